"""Findings and reports: what every audit answers, whatever it looked at and however it is printed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, get_args

__all__ = ["CONFIDENCES", "PICTURES", "SEVERITIES", "Edit", "Finding", "Fix", "Place", "Report"]

Severity = Literal["low", "medium", "high"]
Confidence = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)
# The pictures that a finding may carry, and what each shows.
PICTURES = {
    "source": "the picture that a person is to see",
    "target": "the picture that the model is to see",
    "attack": "the attack image, as a person sees it",
    "seen": "what the pipeline makes of the attack image",
    "clean": "what the pipeline makes of the source",
    "fixed": "what it makes of the attack image with the fix",
    "kernel": "the weights by which the pipeline reads the source",
    "frequency": "the pipeline's frequency response",
    "other": "",
}


@dataclass(frozen=True)
class Place:
    """Where something stands. Lines and columns count from 1; ``None`` where a file has none, or there is no file.

    ``path`` is relative to where the command runs, with forward slashes, or what names the thing that has no file.
    ``end_column`` is the column behind the last character.
    """

    path: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)


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
        return {
            "code": self.code,
            "severity": self.severity,
            "confidence": self.confidence,
            "path": self.place.path,
            "line": self.place.line,
            "column": self.place.column,
            "end_line": self.place.end_line,
            "end_column": self.place.end_column,
            "message": self.message,
            "advice": self.advice,
            "fix": self.fix and {"description": self.fix.description, "edits": [vars(e) for e in self.fix.edits]},
            "evidence": _jsonable(self.evidence),
            "fingerprint": self.fingerprint,
            "suppressed": self.suppressed,
        }


@dataclass(frozen=True)
class Report:
    """What one audit found.

    ``tool`` is the command (``"lint"``, ``"trace"``, ``"audit"``), ``looked_at`` how many things it looked at, in
    ``unit``s (files, calls, pipelines), ``failures`` what could not be looked at, a line each. ``facts`` is what the
    command has to say besides, as JSON can hold it.
    """

    tool: str
    findings: tuple[Finding, ...]
    versions: Mapping[str, str]
    looked_at: int
    unit: str = "files"
    failures: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

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
            "failures": list(self.failures),
            "versions": dict(self.versions),
            "facts": _jsonable(self.facts),
        }

    def to_json(self) -> str:
        """JSON text; the same report gives the same bytes."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=True, allow_nan=False)

    def __repr__(self) -> str:
        lines = [f"{one.place}: {one.code} {one.severity}: {one.message}" for one in self.active]
        return "\n".join([*lines, f"{len(lines)} findings in {self.looked_at} {self.unit}"])


def _jsonable(value: Any) -> Any:
    """Mappings, sequences and numbers as JSON has them; a number that is not finite as text."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
