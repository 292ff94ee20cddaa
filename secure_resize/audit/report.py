"""Findings and reports: what every audit answers, whatever it looked at and however it is printed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, get_args

__all__ = [
    "CONFIDENCES",
    "PICTURES",
    "SEVERITIES",
    "Edit",
    "Finding",
    "Fix",
    "Place",
    "Report",
    "ascii_json",
    "jsonable",
    "text_of",
]

Severity = Literal["low", "medium", "high"]
Confidence = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)
_DEEPEST = 32  # levels of evidence that are shown
# The pictures that a finding may carry, and what each shows.
PICTURES = {
    "source": "the picture that a person is to see",
    "target": "the picture that the model is to see",
    "attack": "the attack image, as a person sees it",
    "seen": "what the pipeline makes of the attack image",
    "clean": "what the pipeline makes of the source",
    "fixed": "what it makes of the attack image with the fix",
    "difference": "what the pipeline makes of it less what robust scaling does; grey where they agree",
    "kernel": "the weights by which the pipeline reads the source",
    "frequency": "the pipeline's frequency response",
    "other": "",
}


@dataclass(frozen=True)
class Place:
    """Where something stands. Lines and columns count from 1; ``None`` where a file has none, or there is no file.

    Columns count characters (Unicode code points), not bytes; ``end_column`` is the column behind the last character.
    ``path`` is relative to where the command runs, with forward slashes, or what names the thing that has no file. In a
    notebook ``cell`` is the cell's number, from 1, and the lines count within it.
    """

    path: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    cell: int | None = None

    def __str__(self) -> str:
        cell = None if self.cell is None else f"cell {self.cell}"
        return ":".join(str(part) for part in (self.path, cell, self.line, self.column) if part is not None)


@dataclass(frozen=True)
class Edit:
    """Replace what stands from (line, column) up to (end_line, end_column), counted as in :class:`Place`."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True)
class Fix:
    """A safe replacement: what it does, and its edits to the finding's file."""

    description: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``code`` is a rule of :data:`RULES`; ``advice`` says what to write instead. ``evidence`` holds what was seen or
    measured, as JSON can hold it; a report shows its entries in their order, under their own names. Three names have a
    form of their own:

    - ``"pictures"``: a list of ``{"name", "caption", "path"}`` in the order in which a reader wants them. ``name`` is
      one of :data:`PICTURES`, ``path`` a PNG file, absolute or relative to where the command runs. The HTML page has
      them inside it; the other formats name the files. A file that is gone or no PNG is left out, with a word.
    - ``"tables"``: a list of ``{"title", "header": [...], "lines": [[...], ...]}`` of texts and numbers.
    - ``"related"``: a list of ``{"path", "line", "column", "message"}``, other places that the finding is about, such
      as the guilty call; all but ``path`` and ``message`` may be left out.

    A list of records under any other name is for machines: JSON and SARIF have it, what people read has not.

    ``context`` is the text that makes the fingerprint, usually the line of code without
    its indentation: it stays when lines above it move. ``suppressed`` says by what a finding was waved through:
    ``"noqa"``, ``"baseline"``.
    """

    code: str
    severity: Severity
    message: str
    place: Place
    confidence: Confidence = "high"
    advice: str = ""
    fix: Fix | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    context: str = ""
    suppressed: str | None = None

    @property
    def fingerprint(self) -> str:
        """Stays the same when the finding moves to another line of its file."""
        parts = (self.code, self.place.path, self.context or self.message)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, flat: the place's fields stand beside the finding's."""
        fix = self.fix and {"description": self.fix.description, "edits": [vars(e) for e in self.fix.edits]}
        found: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "confidence": self.confidence,
            "path": self.place.path,
            "line": self.place.line,
            "column": self.place.column,
            "end_line": self.place.end_line,
            "end_column": self.place.end_column,
            "cell": self.place.cell,
            "message": self.message,
            "advice": self.advice,
            "fix": fix,
            "evidence": self.evidence,
            "fingerprint": self.fingerprint,
            "suppressed": self.suppressed,
        }
        as_json: dict[str, Any] = jsonable(found)
        return as_json


@dataclass(frozen=True)
class Report:
    """What one audit found.

    ``tool`` is the command (``"lint"``, ``"trace"``, ``"audit"``), ``looked_at`` how many things it looked at, in
    ``unit``s (files, calls, pipelines), ``failures`` what could not be looked at, a line each. ``facts`` is what the
    command has to say besides, as JSON can hold it; it may have ``"tables"`` as a finding's evidence may. The findings
    are held in the order of their places.
    """

    tool: str
    findings: tuple[Finding, ...]
    versions: Mapping[str, str]
    looked_at: int
    unit: str = "files"
    failures: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(sorted(self.findings, key=_placed)))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "the truth value of a Report is ambiguous: is it true that something was found, or that all is well? "
            "Use report.active, the findings that nobody waved through"
        )

    @property
    def active(self) -> tuple[Finding, ...]:
        """The findings that nobody suppressed."""
        return tuple(finding for finding in self.findings if finding.suppressed is None)

    def exit_code(self, fail_on: Severity = "low", *, exit_zero: bool = False) -> int:
        """How a command ends that answers with this report, in every format.

        1: active findings of ``fail_on`` or above, unless ``exit_zero``. Else 2: something could not be looked at. Else
        3: there was nothing to look at. Else 0.
        """
        if self.reaches(fail_on) and not exit_zero:
            return 1
        if self.failures:
            return 2
        return 0 if self.looked_at or self.findings else 3

    def reaches(self, severity: Severity) -> bool:
        """Whether any active finding is of ``severity`` or above."""
        return any(SEVERITIES.index(one.severity) >= SEVERITIES.index(severity) for one in self.active)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "tool": self.tool,
            "findings": [finding.to_dict() for finding in self.findings],
            "looked_at": {self.unit: self.looked_at},
            "failures": jsonable(self.failures),
            "versions": jsonable(self.versions),
            "facts": jsonable(self.facts),
        }

    def to_json(self) -> str:
        """JSON text in ASCII; the same report gives the same bytes."""
        return ascii_json(self.to_dict())

    def to_sarif(self, exit_code: int | None = None) -> str:
        """SARIF 2.1.0, as code-scanning sites read it, with the exit code that the command ends with."""
        from .render.sarif import sarif

        return sarif(self, self.exit_code() if exit_code is None else exit_code)

    def to_html(self, exit_code: int | None = None) -> str:
        """One page that needs nothing beside it. Needs jinja2, and Pillow for the findings' pictures."""
        from .render.page import page

        return page(self, self.exit_code() if exit_code is None else exit_code)

    def __repr__(self) -> str:
        from .render.words import printable, summary

        lines = [f"{one.place}: {one.code} {one.severity}: {one.message}" for one in self.active]
        return "\n".join([*map(printable, lines), summary(self)])


def ascii_json(value: Any) -> str:
    """JSON text that prints as it is: ASCII, without control characters but for the newlines between its lines."""
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")


def _placed(finding: Finding) -> tuple[str, int, int, int, str]:
    place = finding.place
    return place.path, place.cell or 0, place.line or 0, place.column or 0, finding.code


def text_of(text: str) -> str:
    """``text`` without lone surrogates, which no encoding and few parsers take: they become ``\\udc80`` in writing."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def jsonable(value: Any, deep: int = 0) -> Any:
    """``value`` as JSON has it: a number that is not finite as text, everything that JSON knows not as its repr."""
    if isinstance(value, str):
        return text_of(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 64 else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if deep > _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {text_of(str(key)): jsonable(one, deep + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(one, deep + 1) for one in value]
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return jsonable(value.tolist(), deep + 1)
    return text_of(str(value))
