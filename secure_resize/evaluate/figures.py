"""The evaluation in pictures, drawn with matplotlib: a heat table of success rates, and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..measure.scalers import SCALERS, load
from .summary import Result

__all__ = ["plot_curves", "plot_heat"]

_COLUMNS = 3
# Told apart without colour by their dashes.
_DASHES = ("-", "--", ":", "-.")


def _subject(result: Result) -> str:
    """The scaler; one for all our kernels, each of which stands in its own column."""
    scaler = SCALERS[result.scaler]
    return scaler.library if scaler.ours and result.knows else result.scaler


def plot_heat(results: Sequence[Result], path: Path) -> None:
    """The share of pairs attacked (S1) for each scaler, ratio and attack (lines) and each defense (columns).

    Of the attacks that know the defense, only the one that succeeds most often is shown, in a line of its own.
    """
    names = list(dict.fromkeys(result.defense for result in results))
    lines: dict[str, dict[str, float]] = {}
    for result in sorted(results, key=lambda one: one.knows != ""):
        knows = "the best that knows the defense" + (" and its key" if result.told_key else "")
        attack = knows if result.knows else result.attack
        line = lines.setdefault(f"{_subject(result)}, β = {result.ratio}, {attack}", {})
        share = result.success.share
        if share is not None:
            line[result.defense] = max(100 * share, line.get(result.defense, 0.0))
    shares = np.array([[line.get(name, np.nan) for name in names] for line in lines.values()])
    width = 2.2 + 0.075 * max(map(len, lines)) + 0.75 * len(names)
    figure = load("matplotlib.figure").Figure(figsize=(width, 1.6 + 0.3 * len(lines)), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(shares, cmap="RdBu_r", vmin=0, vmax=100, aspect="auto")
    for i, j in np.argwhere(~np.isnan(shares)):
        share = shares[i, j]
        colour = "white" if share < 20 or share > 80 else "black"
        panel.text(j, i, f"{share:.3g}", ha="center", va="center", color=colour, fontsize=8)
    panel.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(lines)), list(lines), fontsize=8)
    panel.set_title("pairs attacked, S1 (%)", fontsize=10, loc="left")
    figure.colorbar(image, ax=panel, pad=0.02, fraction=0.05)
    figure.savefig(path, dpi=110)


def plot_curves(results: Sequence[Result], path: Path) -> None:
    """For each scaler, the share of pairs whose target was reached (O1) against how visible the attack may be.

    Attacks that have a budget get a panel more: O1 against that.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_subject(result), []).append(result)
    drawn = [(_draw_visibility, name, group) for name, group in groups.items()]
    for name, group in groups.items():
        budgeted = [result for result in group if result.budget_curve()]
        drawn += [(_draw_budgets, name, budgeted)] if budgeted else []
    columns = min(_COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    figure = load("matplotlib.figure").Figure(figsize=(5.2 * columns, 4.0 * lines), layout="constrained")
    table = load("matplotlib").colormaps["tab10"]
    names = list(dict.fromkeys(result.defense for result in results))
    colours = {name: table(place % 10) for place, name in enumerate(names)}
    for place, (draw, name, group) in enumerate(drawn, 1):
        panel = figure.add_subplot(lines, columns, place)
        draw(panel, group, colours)
        panel.set(title=name, ylabel="targets reached, O1 (%)", ylim=(-2, 102))
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, fontsize=6.5, loc="upper left").set_in_layout(False)  # there may be many lines
    figure.savefig(path, dpi=110)


def _styled(results: Sequence[Result]) -> list[tuple[Result, str, str]]:
    """Each with its dashes, which tell attacks and ratios apart, and its label; ◆ marks those that know the defense."""
    kinds = list(dict.fromkeys((result.attack, result.knows == "", result.ratio) for result in results))
    several = len({result.ratio for result in results}) > 1
    found = []
    for result in results:
        kind = kinds.index((result.attack, result.knows == "", result.ratio))
        label = f"{result.attack} → {result.defense}{' ◆' * bool(result.knows)}"
        found.append((result, _DASHES[kind % len(_DASHES)], label + f", β = {result.ratio}" * several))
    return found


def _draw_visibility(panel: Any, results: Sequence[Result], colours: dict[str, Any]) -> None:
    nowhere = 0
    for result, dash, label in _styled(results):
        x, y = zip(*result.visibility_curve(), strict=True)
        nowhere += max(y) == 0
        shown = label if max(y) > 0 else None
        panel.plot(x, 100 * np.array(y), dash, color=colours[result.defense], label=shown, alpha=0.85)
    if nowhere:
        panel.plot([], [], color="grey", label=f"all other defenses: 0 ({nowhere} lines)")
    panel.axvline(15, color="black", linewidth=0.8, linestyle=":")
    panel.set(xlabel="PSNR of attack image and source, at least (dB)", xlim=(45, 0))


def _draw_budgets(panel: Any, results: Sequence[Result], colours: dict[str, Any]) -> None:
    for result, dash, label in _styled(results):
        curve = [(100 * budget, reached) for budget, reached, _ in result.budget_curve()]
        y = np.array([100 * (rate.share or 0.0) for _, rate in curve])
        ends = np.array([rate.interval or (0.0, 1.0) for _, rate in curve]).T * 100
        panel.errorbar(
            [budget for budget, _ in curve],
            y,
            [y - ends[0], ends[1] - y],
            fmt=f"o{dash}",
            color=colours[result.defense],
            label=label,
            capsize=3,
        )
    panel.set(xlabel="budget (%): of the window's pixels, or of the way", xlim=(0, 103))
