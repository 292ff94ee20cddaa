"""The evaluation in pictures, drawn with matplotlib: a heat table of success rates, and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..scalers import load
from .summary import Result

__all__ = ["plot_curves", "plot_heat"]

_PANEL = 5.2  # inches
# Told apart without colour by their dashes.
_DASHES = ("-", "--", ":", "-.")


def plot_heat(results: Sequence[Result], path: Path) -> None:
    """The share of pairs attacked (S1) for each scaler, ratio and attack (rows) and each defence (columns).

    Attacks that know the defence have a mark, and a cell in its column alone.
    """
    names = list(dict.fromkeys(result.defense for result in results))
    rows: dict[tuple[str, str, str, bool], dict[str, Result]] = {}
    for result in results:
        key = (result.scaler, result.ratio, result.attack, result.against != "scaler")
        rows.setdefault(key, {})[result.defense] = result
    shares = np.full((len(rows), len(names)), np.nan)
    for i, by_defense in enumerate(rows.values()):
        for name, result in by_defense.items():
            share = result.rate("success").share
            shares[i, names.index(name)] = np.nan if share is None else 100 * share
    labels = [f"{scaler}, β = {ratio}, {attack}{' ◆' * knows}" for scaler, ratio, attack, knows in rows]
    width = 2.2 + 0.075 * max(map(len, labels)) + 0.75 * len(names)
    figure = load("matplotlib.figure").Figure(figsize=(width, 1.6 + 0.3 * len(rows)), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(shares, cmap="RdBu_r", vmin=0, vmax=100, aspect="auto")
    for i, j in np.argwhere(~np.isnan(shares)):
        share = shares[i, j]
        colour = "white" if share < 20 or share > 80 else "black"
        panel.text(j, i, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(rows)), labels, fontsize=8)
    panel.set_title("pairs attacked, S1 (%); ◆: the attack knows the defence", fontsize=10, loc="left")
    figure.colorbar(image, ax=panel, label="S1 (%)", pad=0.02, fraction=0.05)
    figure.savefig(path, dpi=110)


def plot_curves(results: Sequence[Result], path: Path) -> None:
    """For each scaler, the share of pairs whose target was reached (O1) against how visible the attack may be.

    With attacks that have a budget, a second row shows O1 against the share of the window that is changed.
    """
    scalers = list(dict.fromkeys(result.scaler for result in results))
    budgeted = any(result.budget_curve() for result in results)
    columns = min(3, len(scalers))
    lines = -(-len(scalers) // columns)
    figure = load("matplotlib.figure").Figure(
        figsize=(_PANEL * columns, 4.0 * lines * (1 + budgeted)), layout="constrained"
    )
    panels = figure.subplots(lines * (1 + budgeted), columns, squeeze=False)
    for panel in panels.flat:
        panel.set_visible(False)
    for index, scaler in enumerate(scalers):
        own = [result for result in results if result.scaler == scaler]
        _draw_visibility(panels[index // columns, index % columns], own, scaler)
        with_budget = [result for result in own if result.budget_curve()]
        if with_budget:
            _draw_budgets(panels[lines + index // columns, index % columns], with_budget, scaler)
    figure.savefig(path, dpi=110)


def _label(result: Result, ratios: bool) -> str:
    ratio = f", β = {result.ratio}" if ratios else ""
    return f"{result.attack} → {result.defense}{' ◆' * (result.against != 'scaler')}{ratio}"


def _colours(results: Sequence[Result]) -> dict[str, Any]:
    names = list(dict.fromkeys(result.defense for result in results))
    table = load("matplotlib").colormaps["tab10"]
    return {name: table(place % 10) for place, name in enumerate(names)}


def _draw_visibility(panel: Any, results: Sequence[Result], title: str) -> None:
    colours, ratios = _colours(results), len({result.ratio for result in results}) > 1
    kinds = list(dict.fromkeys((result.attack, result.against == "scaler", result.ratio) for result in results))
    for result in results:
        x, y = zip(*result.visibility_curve(), strict=True)
        kind = kinds.index((result.attack, result.against == "scaler", result.ratio))
        dash = _DASHES[kind % len(_DASHES)]
        panel.plot(x, 100 * np.array(y), dash, color=colours[result.defense], label=_label(result, ratios), alpha=0.85)
    panel.axvline(15, color="black", linewidth=0.8, linestyle=":")
    panel.set(title=title, xlabel="PSNR of attack image and source, at least (dB)", xlim=(45, 0), ylim=(-2, 102))
    _finish(panel)


def _draw_budgets(panel: Any, results: Sequence[Result], title: str) -> None:
    colours, ratios = _colours(results), len({result.ratio for result in results}) > 1
    kinds = list(dict.fromkeys((result.attack, result.ratio) for result in results))
    for result in results:
        curve = [(100 * budget, reached) for budget, reached, _ in result.budget_curve() if reached.share is not None]
        x = [budget for budget, _ in curve]
        y = np.array([100 * (rate.share or 0.0) for _, rate in curve])
        ends = np.array([rate.interval or (0.0, 1.0) for _, rate in curve]).T * 100
        dash = _DASHES[kinds.index((result.attack, result.ratio)) % len(_DASHES)]
        label = _label(result, ratios)
        panel.errorbar(
            x, y, [y - ends[0], ends[1] - y], fmt=f"o{dash}", color=colours[result.defense], label=label, capsize=3
        )
    panel.set(title=title, xlabel="unread pixels of a window that are changed, at most (%)", ylim=(-2, 102))
    _finish(panel)


def _finish(panel: Any) -> None:
    panel.set_visible(True)
    panel.set_ylabel("targets reached, O1 (%)")
    panel.grid(alpha=0.3)
    panel.legend(frameon=False, fontsize=6.5, loc="upper left")
