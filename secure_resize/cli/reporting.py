"""How a command that answers with a report prints it, and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ..audit.report import Report, Severity
from .outcome import Exit

__all__ = ["FORMATS", "Format", "emit"]

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)


def emit(
    report: Report,
    form: Format = "text",
    *,
    file: Path | None = None,
    fail_on: Severity = "low",
    exit_zero: bool = False,
) -> Exit:
    """Print ``report``, or write it into ``file``, and return the exit code, which is the same in every format.

    Findings of ``fail_on`` or above: 1. Else, anything that could not be looked at: 2. Else, nothing to look at: 3.
    """
    text = report.to_json() if form == "json" else repr(report)
    if file is None:
        print(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")
    if report.reaches(fail_on):
        return Exit.CLEAN if exit_zero else Exit.FINDINGS
    if report.failures:
        return Exit.FAILED
    return Exit.CLEAN if report.looked_at else Exit.NOTHING
