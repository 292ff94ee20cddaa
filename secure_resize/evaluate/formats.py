"""The evaluation's tables: for the terminal, Markdown (in full and brief), CSV and JSON.

Each is a function of results and settings.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from .summary import LEVEL, Rate, Result, feasible, pooled

__all__ = ["FORMATS", "SUFFIXES"]

Results = Sequence[Result]
Settings = dict[str, Any]
Lines = list[list[str]]


def _oblivious(results: Results) -> list[Result]:
    """Attacks that know of no defense."""
    return [result for result in results if result.against == "scaler"]


def _rows(results: Results) -> dict[tuple[str, str, str], dict[str, Result]]:
    """By (scaler, ratio, attack), and then by defense."""
    rows: dict[tuple[str, str, str], dict[str, Result]] = {}
    for result in _oblivious(results):
        rows.setdefault((result.scaler, result.ratio, result.attack), {})[result.defense] = result
    return rows


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _success_table(results: Results) -> Lines:
    rows = _rows(results)
    defenses = list(dict.fromkeys(result.defense for result in _oblivious(results)))
    lines = [["scaler", "β", "attack", "pairs", *defenses]]
    for (scaler, ratio, attack), by_defense in rows.items():
        pairs = _range([result.pairs for result in by_defense.values()])
        cells = [str(by_defense[name].rate("success")) if name in by_defense else "" for name in defenses]
        lines.append([scaler, ratio, attack, pairs, *cells])
    return lines


def _brief_table(results: Results) -> Lines:
    """A line a scaler and attack: undefended at each ratio, then each defense over all ratios."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in _oblivious(results):
        rows.setdefault((result.scaler, result.attack), []).append(result)
    ratios = list(dict.fromkeys(result.ratio for result in _oblivious(results)))
    defenses = [name for name in dict.fromkeys(r.defense for r in _oblivious(results)) if name != "none"]
    lines = [["scaler", "attack", *(f"β = {ratio}" for ratio in ratios), *defenses]]
    for (scaler, attack), group in rows.items():
        bare = {result.ratio: result.rate("success") for result in group if result.defense == "none"}
        through = {result.defense: result.rate("success") for result in pooled(group)}
        lines.append(
            [
                f"`{scaler}`",
                attack,
                *(_bounded(bare.get(ratio)) for ratio in ratios),
                *(_bounded(through.get(name)) for name in defenses),
            ]
        )
    return lines


def _feasible_table(results: Results, shown: Callable[[Rate], str] = str) -> Lines:
    """A line a scaler and attack: undefended, all feasible ratios as one; empty where a single ratio was asked for."""
    lines = [["scaler", "attack", "β", "pairs", "S1", "S1 where possible"]]
    if len({result.ratio for result in _oblivious(results)}) > 1:
        for result in feasible(results):
            rates = result.rate("success"), result.success_possible
            lines.append([result.scaler, result.attack, result.ratio, str(result.pairs), *map(shown, rates)])
    return lines


def _bounded(rate: Rate | None) -> str:
    """The share in % with the end of its interval that matters: below, of what nearly always works, or above."""
    if rate is None or rate.share is None or rate.interval is None:
        return "-"
    low, high = (100 * end for end in rate.interval)
    return f"{100 * rate.share:.1f} (" + (f"≥ {low:.1f})" if rate.share > 0.5 else f"≤ {high:.1f})")


def _adaptive_table(results: Results) -> Lines:
    known = [result for result in results if result.against != "scaler"]
    budgets = sorted({budget for result in known for budget, *_ in result.budget_curve()})
    header = ["defense", "scaler", "β", "attack", "pairs", "S1", "S1 far", "O1"]
    lines = [[*header, *(f"O1 at {100 * budget:g} %" for budget in budgets), "median dB to source at O1"]]
    for result in sorted(known, key=lambda one: one.defense):  # stable: otherwise as they come
        curve = {budget: reached for budget, reached, _ in result.budget_curve()}
        psnr = result.median_best
        lines.append(
            [
                *(result.defense, result.scaler, result.ratio),
                *(result.attack + (", told the key" if result.against.endswith("key") else ""), str(result.pairs)),
                *(str(rate) for rate in (result.rate("success"), result.success_far, result.rate("reached"))),
                *(_percent(curve.get(budget)) for budget in budgets),
                "-" if psnr is None else f"{psnr:.1f}",
            ]
        )
    return lines


def _percent(rate: Rate | None) -> str:
    return f"{100 * rate.share:.0f}" if rate is not None and rate.share is not None else "-"


def _seen_table(results: Results) -> Lines:
    lines = [["defense", "scaler", "β", "attack", "pairs", "sees target", "sees source", "source, unattacked"]]
    for result in results:
        rates = [result.seen(*asked) for asked in (("seen_as", "target"), ("seen_as", "source"))]
        clean = result.seen("clean_seen_as", "source")
        if clean is not None:
            attack = result.attack if result.against == "scaler" else f"{result.attack} (knows the defense)"
            lines.append(
                [
                    *(result.defense, result.scaler, result.ratio, attack, str(result.pairs)),
                    *(str(rate) for rate in (*rates, clean)),
                ]
            )
    return lines


def _accuracy(settings: Settings) -> str:
    tests = (f"{name} {100 * value:.0f} %" for name, value in (settings.get("accuracy") or {}).items())
    return f"clean accuracy: {', '.join(tests)}"


def _sections(results: Results, settings: Settings) -> list[tuple[str, Lines]]:
    """The tables that have a body, each under what it shows."""
    interval = f"in % of the pairs that need hiding [{100 * LEVEL:g} % interval]"
    sections = [
        (f"attacks that know of no defense, success S1 {interval}", _success_table(results)),
        (f"undefended, all ratios at which the attack is feasible, S1 {interval}", _feasible_table(results)),
        (f"attacks that know the defense, {interval}", _adaptive_table(results)),
        (f"what the classifier sees ({_accuracy(settings)}), {interval}", _seen_table(results)),
    ]
    return [(title, lines) for title, lines in sections if len(lines) > 1]


def _notes(results: Results, settings: Settings) -> list[str]:
    records = [record for result in results for record in result.records]
    judged = [record for record in records if record.get("gain_db") is not None]
    certified = sum(record["certified"] for record in judged)
    broken = sum(record["broken_certificate"] for record in judged)
    alike = len({(r["pair"], r["scaler"], r["defense"]) for r in records if not r["needs_hiding"]})
    notes = [
        "S1: output at 25 dB to the target or better (O1), attack image at 15 dB to the source or better (O2)",
        f"certificates: {len(judged)} records checked, {certified} of them proved impossible, {broken} broken",
    ]
    if len(_feasible_table(results)) > 1:
        notes.append(
            "β from: all ratios at which hiding is feasible, as one; where possible: without the pairs whose "
            "certificate proves it impossible"
        )
    if any(result.success_far != result.rate("success") for result in results if result.against != "scaler"):
        notes.append("far: without the pairs so near, within 12.6 dB, that a visible blend of both meets the goals")
    if alike:
        notes.append(f"left out, target and output already within 15 dB: {alike} of pair, scaler and defense")
    errors: dict[str, int] = {}
    for record in records:
        if record["error"]:
            text = f"{record['attack']} on {record['scaler']}: {record['error']}"
            errors[text] = errors.get(text, 0) + 1
    notes += [f"left out, no attack image ({count} records): {text}" for text, count in list(errors.items())[:5]]
    versions = settings.get("versions", {})
    return [*notes, "; ".join([f"seed {settings.get('seed')}", *dict.fromkeys(versions.values())])]


def as_table(results: Results, settings: Settings) -> str:
    """Aligned columns, and what is to be known of them."""
    parts = []
    for title, lines in _sections(results, settings):
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
        aligned = ("  ".join(f"{text:{w}}" for text, w in zip(line, widths, strict=True)).rstrip() for line in ruled)
        parts.append("\n".join([title, *aligned]))
    return "\n\n".join([*parts, "\n".join(_notes(results, settings))])


def as_markdown(results: Results, settings: Settings) -> str:
    """Markdown tables, each under its title."""
    parts = []
    for title, lines in _sections(results, settings):
        table = _markdown(_quoted(lines), 4 if lines[0][0] == "defense" else 3)
        parts += [f"{title[0].upper()}{title[1:]}:", table]
    return "\n\n".join([*parts, ". ".join(_notes(results, settings)) + "."])


def as_brief(results: Results, settings: Settings) -> str:
    """Markdown tables of shares alone, ratios pooled for the defenses, and a note on how to read them."""
    oblivious = _oblivious(results)
    parts = [
        _markdown(lines, words)
        for lines, words in (
            (_brief_table(results), 2),
            (_quoted(_feasible_table(results, _bounded)), 3),
            (_brief_adaptive(results), 3),
            (_brief_seen(results), 3),
        )
        if len(lines) > 1
    ]
    pairs = {result.ratio: result.pairs + result.alike for result in oblivious}
    defended = any(result.defense != "none" for result in oblivious)
    through = ", then through each defense at all ratios" if defended else ""
    what = [
        f"Success S1 in % of the pairs that need hiding, with the end of its {100 * LEVEL:g} % interval: undefended at "
        f"each ratio ({_range(list(pairs.values()))} pairs each){through}"
    ]
    if settings.get("accuracy"):
        what.append(f"the classifier's {_accuracy(settings)}")
    return "\n\n".join([*parts, ". ".join([*what, *_notes(results, settings)]) + "."])


def _brief_adaptive(results: Results) -> Lines:
    known = [result for result in pooled(results) if result.against != "scaler"]
    budgets = sorted({budget for result in known for budget, *_ in result.budget_curve()})
    header = ["defense", "scaler", "attack that knows it", "pairs", "S1", "S1 far", "S1 at 20 dB"]
    lines = [[*header, *(f"O1 at {100 * budget:g} %" for budget in budgets), "dB to source at O1"]]
    for result in sorted(known, key=lambda one: one.defense):
        curve = {budget: reached for budget, reached, _ in result.budget_curve()}
        psnr = result.median_best
        attack = result.attack + (", told the key" if result.against.endswith("key") else "")
        rates = result.rate("success"), result.success_far, result.success_at(20.0)
        reached = [_percent(curve.get(budget)) for budget in budgets]
        best = "-" if psnr is None else f"{psnr:.1f}"
        scaler = "" if result.scaler.startswith("secure_resize:") else f"`{result.scaler}`"
        lines.append([result.defense, scaler, attack, str(result.pairs), *map(_bounded, rates), *reached, best])
    return lines


def _brief_seen(results: Results) -> Lines:
    lines = [["defense", "scaler", "attack", "pairs", "sees target", "sees source", "source, unattacked"]]
    for result in pooled(results):
        rates = (
            result.seen("seen_as", "target"),
            result.seen("seen_as", "source"),
            result.seen("clean_seen_as", "source"),
        )
        if rates[0] is not None:
            scaler = f"`{result.scaler}`"
            lines.append([result.defense, scaler, result.attack, str(result.pairs), *map(_bounded, rates)])
    return lines


def _quoted(lines: Lines) -> Lines:
    """With the names of scalers as code."""
    return [lines[0], *([f"`{cell}`" if ":" in cell else cell for cell in line] for line in lines[1:])]


def _markdown(lines: Lines, words: int) -> str:
    """A Markdown table whose first ``words`` columns are words, the others figures."""
    align = [*("---" for _ in lines[0][:words]), *("---:" for _ in lines[0][words:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], align, *lines[1:]))


def as_csv(results: Results, settings: Settings) -> str:
    """One line a result, every figure; rates between 0 and 1 with the ends of their intervals."""
    text = io.StringIO()
    rows = [result.figures() for result in results]
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def as_json(results: Results, settings: Settings) -> str:
    """One object: ``settings``, ``results`` with every figure and the curves over budget and visibility, ``feasible``:
    the figures of the undefended attacks over all feasible ratios.
    """

    def rates(*both: Rate) -> list[dict[str, Any]]:
        return [{"share": rate.share, "interval": rate.interval, "pairs": rate.total} for rate in both]

    rows = []
    for result in results:
        budgets = [[budget, *rates(reached, success)] for budget, reached, success in result.budget_curve()]
        curves = {"visibility_curve": result.visibility_curve(), "budget_curve": budgets}
        rows.append(result.figures() | curves)
    found = {"settings": settings, "results": rows, "feasible": [result.figures() for result in feasible(results)]}
    return json.dumps(found, indent=1, allow_nan=False)


FORMATS: dict[str, Callable[[Results, Settings], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "brief": as_brief,
    "csv": as_csv,
    "json": as_json,
}

SUFFIXES = {"table": "txt", "markdown": "md", "brief": "brief.md", "csv": "csv", "json": "json"}
