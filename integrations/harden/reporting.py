"""What became of a pipeline's parts as a report, with the verdicts measured before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import secure_resize as sr

from .registry import HARDENERS
from .walk import Change, Walk

__all__ = ["report_of", "shown"]

Size = tuple[int, int]
# The worst first, as the audit ranks them.
VERDICTS = ("unfaithful", "vulnerable", "weak", "not measured", "robust")
MOST_PARTS = 24  # that are measured one by one where the whole cannot be


def shown(value: Any, most: int = 160) -> str:
    """A thing as one line of text."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # of somebody's own __repr__
        text = f"{type(value).__name__} (its repr raises {type(error).__name__})"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def report_of(pipeline: Any, walk: Walk, in_size: Any, *, probe: bool, name: str) -> sr.audit.Report:
    """The report of ``walk`` through ``pipeline``."""
    kind = pipeline if hasattr(pipeline, "__qualname__") else type(pipeline)
    name = name or f"{kind.__module__}:{kind.__qualname__}"
    findings = [_finding(name, change) for change in walk.changes if change.verb == "refused"]
    facts: dict[str, Any] = {"target": name, "before": "not measured", "after": "not measured"}
    failures: list[str] = []
    versions: dict[str, str] = {"secure-resize": sr.__version__}
    tables = [_parts_table(walk.changes)] if walk.changes else []
    if probe:
        before, after = _Measured.of(pipeline, in_size), _Measured.of(walk.result, in_size)
        if after.problem and before.problem:
            failures += [f"{name}: the whole could not be measured: {after.problem}"] * (not walk.changes)
            before, after, parts = _part_by_part(walk.changes, in_size)
            failures += [f"{name}{part}: {problem}" for part, problem in parts]
        elif after.problem:
            failures.append(f"{name}: what was hardened could not be measured: {after.problem}")
        facts |= {"before": before.verdict, "after": after.verdict}
        facts |= {"before_db": before.gain, "after_db": after.gain}
        findings += [_named(one, name, report, pipeline) for report in after.reports for one in report.findings]
        versions = {**versions, **{key: text for report in before.reports for key, text in report.versions.items()}}
        tables += before.tables("measured before") + after.tables("measured after")
    facts["parts"] = [_part(change) for change in walk.changes]
    facts["tables"] = tables
    looked_at = 1 if walk.changes or facts["after"] != "not measured" else 0
    return sr.audit.Report("harden", tuple(findings), versions, looked_at, "pipelines", tuple(failures), facts)


def _finding(name: str, change: Change) -> sr.audit.Finding:
    row = HARDENERS.get(change.hardener)
    rule = sr.audit.RULES[row.rule if row else "SR201"]
    return sr.audit.Finding(
        rule.name,
        rule.severity,
        f"{name}{change.path} could not be replaced: {change.decision.why}: {shown(change.before)}",
        sr.audit.Place(f"{name}{change.path}"),
        advice=change.decision.advice,
        context=f"{name}{change.path}",
    )


def _named(finding: sr.audit.Finding, name: str, report: sr.audit.Report, pipeline: Any) -> sr.audit.Finding:
    """A finding of the audit by the pipeline's own name; its place is that of a function's code, not of a class's."""
    place = finding.place if hasattr(pipeline, "__code__") else sr.audit.Place(name)
    return replace(finding, message=finding.message.replace(report.facts["target"], name), place=place)


def _part(change: Change) -> dict[str, Any]:
    after = shown(change.decision.value) if change.verb == "replaced" else ""
    return {
        "part": change.path or "(the whole)",
        "verb": change.verb,
        "library": change.hardener,
        "before": shown(change.before),
        "after": after,
        "why": change.decision.why,
        "advice": change.decision.advice,
    }


def _parts_table(changes: Sequence[Change]) -> dict[str, Any]:
    parts = [_part(change) for change in changes]
    lines = [[one["part"], one["verb"], one["before"], one["after"], one["why"]] for one in parts]
    return {"title": "parts", "header": ["part", "", "before", "after", "why"], "lines": lines}


class _Measured:
    """The audits of one pipeline, or of its parts: the worst verdict and gain, and why there is none."""

    def __init__(self, reports: Sequence[sr.audit.Report], problem: str = "") -> None:
        self.reports, self.problem = reports, problem
        verdicts = {report.facts["verdict"] for report in reports}
        self.verdict = next((one for one in VERDICTS if one in verdicts), "not measured")
        gains = [one.get("stealth_gain_db") for report in reports for one in report.facts["measured"]]
        self.gain = max((gain for gain in gains if gain is not None), default=None)

    @classmethod
    def of(cls, pipeline: Any, in_size: Any) -> _Measured:
        """``pipeline`` measured; a ``problem`` where that cannot be done."""
        try:
            report = sr.audit.audit(pipeline, in_size, attack=False)
        except Exception as error:  # the audit's own, or of somebody else's code
            return cls([], f"{type(error).__name__}: {error}")
        if report.facts["verdict"] == "not measured":
            return cls([], "; ".join(report.failures) or "nothing came out that could be measured")
        return cls([report])

    def tables(self, title: str) -> list[dict[str, Any]]:
        """What was measured."""
        made = [table for report in self.reports for table in report.facts["tables"] if table["title"] == "measured"]
        return [{**table, "title": title} for table in made]


def _part_by_part(changes: Sequence[Change], in_size: Any) -> tuple[_Measured, _Measured, list[tuple[str, str]]]:
    """Before and after of each replaced part on its own; and the parts of which nothing is known, with the reason.

    A data set reads its own files, and a loader is no function of a picture: what is measured then is what they apply.
    """
    before: list[sr.audit.Report] = []
    after: list[sr.audit.Report] = []
    problems: list[tuple[str, str]] = []
    replaced = [change for change in changes if change.verb == "replaced"]
    for change in replaced[:MOST_PARTS]:
        first, then = _Measured.of(change.before, in_size), _Measured.of(change.decision.value, in_size)
        before += first.reports
        after += then.reports
        if then.problem:
            problems.append((change.path, then.problem))
    problems += [(change.path, "not measured: there are too many parts") for change in replaced[MOST_PARTS:]]
    return _Measured(before), _Measured(after), problems
