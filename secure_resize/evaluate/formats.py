"""The evaluation's tables: for the terminal, Markdown (in full and brief), CSV and JSON.

Each is a function of results and settings.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..measure.scalers import SCALERS
from ..tables import Table
from .options import Settings
from .summary import LEVEL, Rate, Result, feasible, pooled

__all__ = ["FORMATS", "SUFFIXES"]

Results = Sequence[Result]
Shown = Callable[[Rate], str]


def _oblivious(results: Results) -> list[Result]:
    """Attacks that know of no defense."""
    return [result for result in results if not result.knows]


def _knowing(results: Results) -> list[Result]:
    """Attacks that know a defense, by defense."""
    return sorted((result for result in results if result.knows), key=lambda one: one.defense)


def _by_defense(results: Results) -> dict[tuple[str, str, str], dict[str, Result]]:
    """The oblivious ones by (scaler, ratio, attack), and then by defense."""
    found: dict[tuple[str, str, str], dict[str, Result]] = {}
    for result in _oblivious(results):
        found.setdefault((result.scaler, result.ratio, result.attack), {})[result.defense] = result
    return found


def _defenses(results: Results) -> list[str]:
    return list(dict.fromkeys(result.defense for result in _oblivious(results)))


# Cells.


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _bounded(rate: Rate | None) -> str:
    """The share in % with the end of its interval that matters: below, of what nearly always works, or above."""
    if rate is None or rate.share is None or rate.interval is None:
        return "-"
    low, high = (100 * end for end in rate.interval)
    return f"{100 * rate.share:.1f} (" + (f"≥ {low:.1f})" if rate.share > 0.5 else f"≤ {high:.1f})")


def _percent(rate: Rate | None) -> str:
    return f"{100 * rate.share:.0f}" if rate is not None and rate.share is not None else "-"


def _trace(result: Result | None) -> str:
    """The median share of the target in %, and the median PSNR to it in luma."""
    if result is None or result.median_share is None:
        return "-"
    luma = result.median(lambda _, verdict: verdict.psnr_target_luma)
    return f"{100 * result.median_share:.1f} ({luma:.1f})".replace("-0.0 ", "0.0 ")


def _best(result: Result) -> str:
    return "-" if result.median_best is None else f"{result.median_best:.1f}"


def _name(result: Result) -> str:
    return result.attack + (", told the key" if result.told_key else "")


# Tables; those of the brief format pool the ratios.

_INTERVAL = f"in % of the pairs that need hiding [{100 * LEVEL:g} % interval]"


def _success_table(results: Results) -> Table:
    names, lines = _defenses(results), []
    for (scaler, ratio, attack), found in _by_defense(results).items():
        pairs = _range([result.pairs for result in found.values()])
        cells = [str(found[name].success) if name in found else "" for name in names]
        lines.append([scaler, ratio, attack, pairs, *cells])
    header = ["scaler", "β", "attack", "pairs", *names]
    return Table(header, lines, range(3, len(header)), f"attacks that know of no defense, success S1 {_INTERVAL}")


def _share_table(results: Results) -> Table:
    names = _defenses(results)
    lines = [
        [scaler, ratio, attack, *(_trace(found.get(name)) for name in names)]
        for (scaler, ratio, attack), found in _by_defense(results).items()
    ]
    header = ["scaler", "β", "attack", *names]
    title = "how much of the target the output shows: median share in % (median PSNR to it in luma, dB)"
    return Table(header, lines, range(3, len(header)), title)


def _brief_table(results: Results) -> Table:
    """A line a scaler and attack: undefended at each ratio, then each defense over all ratios."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in _oblivious(results):
        groups.setdefault((result.scaler, result.attack), []).append(result)
    ratios = list(dict.fromkeys(result.ratio for result in _oblivious(results)))
    names, lines = [name for name in _defenses(results) if name != "none"], []
    for (scaler, attack), group in groups.items():
        bare = {result.ratio: result.success for result in group if result.defense == "none"}
        through = {result.defense: result.success for result in pooled(group)}
        cells = [*map(bare.get, ratios), *map(through.get, names)]
        lines.append([scaler, attack, *map(_bounded, cells)])
    header = ["scaler", "attack", *(f"β = {ratio}" for ratio in ratios), *names]
    return Table(header, lines, range(2, len(header)))


def _feasible_table(results: Results, shown: Shown = str) -> Table:
    """A line a scaler and attack: undefended, all feasible ratios as one; empty where a single ratio was asked for."""
    lines = []
    if len({result.ratio for result in _oblivious(results)}) > 1:
        for result in feasible(results):
            rates = result.success, result.success_possible
            lines.append([result.scaler, result.attack, result.ratio, str(result.pairs), *map(shown, rates)])
    header = ["scaler", "attack", "β", "pairs", "S1", "S1 where possible"]
    title = f"undefended, all ratios at which the attack is feasible, S1 {_INTERVAL}"
    return Table(header, lines, range(3, len(header)), title)


def _adaptive_table(results: Results) -> Table:
    known, lines = _knowing(results), []
    budgets = sorted({budget for result in known for budget, *_ in result.budget_curve()})
    for result in known:
        curve = {budget: reached for budget, reached, _ in result.budget_curve()}
        rates = result.success, result.success_far, result.reached
        reached = [_percent(curve.get(budget)) for budget in budgets]
        words = [result.defense, result.scaler, result.ratio, _name(result)]
        lines.append([*words, str(result.pairs), *map(str, rates), *reached, _best(result), _trace(result)])
    header = ["defense", "scaler", "β", "attack", "pairs", "S1", "S1 far", "O1"]
    header += [*(f"O1 at {100 * budget:g} %" for budget in budgets), "median dB to source at O1", "share (luma)"]
    return Table(header, lines, range(4, len(header)), f"attacks that know the defense, {_INTERVAL}")


def _brief_adaptive(results: Results) -> Table:
    known, lines = _knowing(pooled(results)), []
    budgets = sorted({budget for result in known for budget, *_ in result.budget_curve()})
    for result in known:
        curve = {budget: reached for budget, reached, _ in result.budget_curve()}
        rates = result.success, result.success_far, result.success_at(20.0)
        reached = [_percent(curve.get(budget)) for budget in budgets]
        scaler = "" if SCALERS[result.scaler].ours else result.scaler
        words = [result.defense, scaler, _name(result)]
        lines.append([*words, str(result.pairs), *map(_bounded, rates), *reached, _best(result)])
    header = ["defense", "scaler", "attack that knows it", "pairs", "S1", "S1 far", "S1 at 20 dB"]
    header += [*(f"O1 at {100 * budget:g} %" for budget in budgets), "dB to source at O1"]
    return Table(header, lines, range(3, len(header)))


def _seen_table(results: Results, accuracy: str = "", shown: Shown = str) -> Table:
    lines = []
    for result in results:
        rates = result.seen("target"), result.seen("source"), result.seen("source", clean=True)
        cells = [shown(rate) for rate in rates if rate is not None]
        if cells:
            attack = f"{result.attack} (knows the defense)" if result.knows else result.attack
            lines.append([result.defense, result.scaler, result.ratio, attack, str(result.pairs), *cells])
    header = ["defense", "scaler", "β", "attack", "pairs", "sees target", "sees source", "source, unattacked"]
    return Table(header, lines, range(4, len(header)), f"what the classifier sees ({accuracy}), {_INTERVAL}")


def _accuracy(settings: Settings) -> str:
    tests = (f"{name} {100 * value:.0f} %" for name, value in (settings.accuracy or {}).items())
    return f"clean accuracy: {', '.join(tests)}"


def _tables(results: Results, settings: Settings) -> list[Table]:
    """Those that have a body."""
    tables = (
        _success_table(results),
        _share_table(results),
        _feasible_table(results),
        _adaptive_table(results),
        _seen_table(results, _accuracy(settings)),
    )
    return [table for table in tables if table.lines]


def _notes(results: Results, settings: Settings) -> list[str]:
    records = [record for result in results for record in result.records]
    judged = [record.verdict for record in records if record.verdict and record.verdict.gain_db is not None]
    counts = [
        f"{len(some)} records checked, {sum(v.certified for v in some)} of them {what}, "
        f"{sum(v.broken_certificate for v in some)} broken"
        for some, what in (
            ([v for v in judged if not v.is_estimate], "proved impossible"),
            ([v for v in judged if v.is_estimate], "impossible by an estimate"),
        )
    ]
    alike = len({(r.pair, r.scaler, r.defense) for r in records if not r.distance.needs_hiding})
    notes = [
        "S1: output at 25 dB to the target or better, in RGB or in luma (O1), attack image at 15 dB to the source or "
        "better (O2)",
        f"certificates: {counts[0]}; of probed operators: {counts[1]}",
    ]
    if _feasible_table(results).lines:
        notes.append(
            "β from: all ratios at which hiding is feasible, as one; where possible: without the pairs whose "
            "certificate proves it impossible"
        )
    if any(result.success_far != result.success for result in results if result.knows):
        notes.append("far: without the pairs so near that a visible blend of both meets the goals")
    if alike:
        notes.append(f"left out, target and output already within 15 dB: {alike} of pair, scaler and defense")
    errors: dict[str, int] = {}
    for record in records:
        if record.error:
            text = f"{record.attack} on {record.scaler}: {record.error}"
            errors[text] = errors.get(text, 0) + 1
    notes += [f"left out, no attack image ({count} records): {text}" for text, count in list(errors.items())[:5]]
    return [*notes, "; ".join([f"seed {settings.options.seed}", *dict.fromkeys(settings.versions.values())])]


# Formats.


def as_table(results: Results, settings: Settings) -> str:
    """Aligned columns, and what is to be known of them."""
    parts = [table.text() for table in _tables(results, settings)]
    return "\n\n".join([*parts, "\n".join(_notes(results, settings))])


def as_markdown(results: Results, settings: Settings) -> str:
    """Markdown tables, each under its title."""
    parts = []
    for table in _tables(results, settings):
        parts += [f"{table.title[0].upper()}{table.title[1:]}:", _quoted(table)]
    return "\n\n".join([*parts, ". ".join(_notes(results, settings)) + "."])


def as_brief(results: Results, settings: Settings) -> str:
    """Markdown tables of shares alone, ratios pooled for the defenses, and a note on how to read them."""
    oblivious = _oblivious(results)
    defended = any(result.defense != "none" for result in oblivious)
    tables = [
        _brief_table(results),
        _feasible_table(results, _bounded),
        _brief_adaptive(results),
        _seen_table(pooled(results), shown=_bounded),
    ]
    parts = [_quoted(table) for table in tables if table.lines]
    if defended:
        shares = _share_table(pooled(results))
        parts += [f"{shares.title[0].upper()}{shares.title[1:]}:", _quoted(shares)]
    pairs = {result.ratio: result.pairs + result.alike for result in oblivious}
    through = ", then through each defense at all ratios" if defended else ""
    what = [
        f"Success S1 in % of the pairs that need hiding, with the end of its {100 * LEVEL:g} % interval: undefended at "
        f"each ratio ({_range(list(pairs.values()))} pairs each){through}"
    ]
    if settings.accuracy:
        what.append(f"the classifier's {_accuracy(settings)}")
    return "\n\n".join([*parts, ". ".join([*what, *_notes(results, settings)]) + "."])


def _quoted(table: Table) -> str:
    """As Markdown, with the names of scalers as code."""
    lines = [[f"`{cell}`" if cell in SCALERS else cell for cell in line] for line in table.lines]
    return Table(table.header, lines, table.figures).markdown()


def as_csv(results: Results, settings: Settings) -> str:
    """One line a result, every figure; rates between 0 and 1 with the ends of their intervals."""
    text = io.StringIO()
    figures = [result.figures() for result in results]
    writer = csv.DictWriter(text, list(figures[0]) if figures else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures)
    return text.getvalue().rstrip("\n")


def as_json(results: Results, settings: Settings) -> str:
    """One object: ``settings``, ``results`` with every figure and the curves over budget and visibility, ``feasible``:
    the figures of the undefended attacks over all feasible ratios.
    """

    def rates(*both: Rate) -> list[dict[str, Any]]:
        return [{"share": rate.share, "interval": rate.interval, "pairs": rate.total} for rate in both]

    found: list[dict[str, Any]] = []
    for result in results:
        budgets = [[budget, *rates(reached, success)] for budget, reached, success in result.budget_curve()]
        found.append(result.figures() | {"visibility_curve": result.visibility_curve(), "budget_curve": budgets})
    apart = [result.figures() for result in feasible(results)]
    return json.dumps({"settings": settings.plain(), "results": found, "feasible": apart}, indent=1, allow_nan=False)


FORMATS: dict[str, Callable[[Results, Settings], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "brief": as_brief,
    "csv": as_csv,
    "json": as_json,
}

SUFFIXES = {"table": "txt", "markdown": "md", "brief": "brief.md", "csv": "csv", "json": "json"}
