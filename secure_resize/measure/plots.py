"""Pictures of operators and of the survey, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.operator import AxisOperator, ScalingOperator
from .exposure import VERDICTS, exposure
from .scalers import load
from .survey import Surveyed

__all__ = ["plot_operator", "plot_survey"]

# Robust, weak, vulnerable: blue to red, told apart by those who see no green.
COLOURS = ("#2166ac", "#f4a582", "#b2182b")
_DRAWN = 12  # output pixels of which the source is shown


def _figure(width: float, height: float, **layout: Any) -> tuple[Any, Any]:
    matplotlib = load("matplotlib.figure")
    figure = matplotlib.Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**layout)


def plot_operator(operator: ScalingOperator, title: str, path: Path) -> None:
    """Three panels to ``path``: a kernel row, the source pixels read, the frequency response."""
    figure, (kernel, read, response) = _figure(13, 4, ncols=3)
    found = exposure(operator)
    gain = f"stealth gain {found.stealth_gain_db + 0.0:.2f} ± {found.uncertainty_db:.2f} dB"
    figure.suptitle(
        f"{title}, {operator.in_size[0]}x{operator.in_size[1]} to {operator.out_size[0]}x{operator.out_size[1]}: "
        f"{gain}, {found.verdict}"
    )
    for axis, name, colour in ((operator.rows, "rows", COLOURS[0]), (operator.cols, "columns", COLOURS[2])):
        _draw_kernel(kernel, axis, name, colour)
        _draw_response(response, axis, name, colour)
    _draw_read(read, operator)
    kernel.set(title="weights of one output pixel", xlabel="source pixel, from its centre", ylabel="weight")
    response.set(title="frequency response", xlabel="cycles per source pixel", ylabel="gain (dB)", ylim=(-60, 6))
    low, high = kernel.get_ylim()
    kernel.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
    for panel in (kernel, response):
        panel.legend(frameon=False, loc="upper center" if panel is kernel else "upper right")
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _middle(axis: AxisOperator) -> tuple[Any, Any]:
    """The weights of the output pixel in the middle, and their distances from where it lies in the source."""
    i = axis.n_out // 2
    at = axis.start[i] + np.arange(axis.width) - ((i + 0.5) * axis.ratio - 0.5)
    return at, axis.weights[i]


def _draw_kernel(panel: Any, axis: AxisOperator, name: str, colour: str) -> None:
    at, weights = _middle(axis)
    panel.vlines(at, 0, weights, color=colour, alpha=0.6)
    panel.plot(at, weights, "o", color=colour, markersize=4, label=f"{name}, {axis.n_in} to {axis.n_out}")
    panel.axvspan(-axis.ratio / 2, axis.ratio / 2, color=colour, alpha=0.08, linewidth=0)


def _draw_response(panel: Any, axis: AxisOperator, name: str, colour: str) -> None:
    """The kernel row's Fourier transform; beyond half the output's sampling rate everything folds back."""
    frequency = np.linspace(0, 0.5, 512)
    at, weights = _middle(axis)
    size = np.abs(np.exp(-2j * np.pi * np.multiply.outer(frequency, at)) @ weights)
    panel.plot(frequency, 20 * np.log10(np.maximum(size, 1e-4)), color=colour, label=name)
    panel.axvline(0.5 / max(axis.ratio, 1.0), color=colour, linestyle=":", linewidth=1)


def _draw_read(panel: Any, operator: ScalingOperator) -> None:
    """How much each source pixel of the view's corner weighs, relative to a pixel that counts like all the others."""
    totals, edges = [], []
    for axis in (operator.rows, operator.cols):
        total = np.abs(axis.dense()).sum(axis=0) * axis.ratio
        first = int(np.argmax(total > 0))  # what is cropped away is not shown
        totals.append(total[first : first + max(8, round(_DRAWN * axis.ratio))])
        edges.append((first - 0.5, first + len(totals[-1]) - 0.5))
    (top, bottom), (left, right) = edges
    image = panel.imshow(
        np.multiply.outer(*totals), cmap="magma", vmin=0, interpolation="nearest", aspect="auto", origin="upper",
        extent=(left, right, bottom, top),
    )  # fmt: skip
    panel.set(title="what each source pixel counts (1: its share)", xlabel="column", ylabel="row")
    panel.figure.colorbar(image, ax=panel)


def plot_survey(rows: Sequence[Surveyed], path: Path) -> None:
    """A bar a scaler, grouped by library: its largest stealth gain, with the verdict's colour, and every ratio's."""
    figure, panel = _figure(9, 1.2 + 0.19 * len(rows))
    limits = list(VERDICTS.values())[1:]
    ratios = list(rows[0].cells)
    position = np.arange(len(rows))
    worst = [row.worst for row in rows]
    panel.barh(
        position,
        [max(one.stealth_gain_db, 0.0) if one else 0.0 for one in worst],
        color=[COLOURS[list(VERDICTS).index(one.verdict)] if one else "none" for one in worst],
        alpha=0.55,
        height=0.8,
    )
    for ratio, marker in zip(ratios, "o^sDvPX*", strict=False):
        cells = [row.cells[ratio].exposure for row in rows]
        panel.plot(
            [max(cell.stealth_gain_db, 0.0) if cell else np.nan for cell in cells],
            position,
            marker,
            color="black",
            markersize=3,
            label=f"β = {ratio}",
        )
    for limit in limits:
        panel.axvline(limit, color="black", linewidth=0.8, linestyle=":")
    labels = [f"{row.scaler}{' ●' if row.default else ''}{'' if row.worst else ' (no model)'}" for row in rows]
    panel.set_yticks(position, labels, fontsize=7)
    panel.set(xlabel="stealth gain (dB); dotted: 1 dB weak, 3 dB vulnerable; ●: the library's default", xlim=(0, None))
    panel.invert_yaxis()
    panel.margins(y=0.005)
    figure.legend(frameon=False, fontsize=7, loc="outside upper center", ncols=len(ratios))
    figure.savefig(path, dpi=110)
