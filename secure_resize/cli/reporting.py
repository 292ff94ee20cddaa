"""How a command that answers with a report prints it, and ends; and the options by which its user chooses."""

from __future__ import annotations

import io
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, get_args

from cyclopts import Group, Parameter

from ..audit.render.text import write_text
from ..audit.render.words import printable
from ..audit.report import Report, Severity
from .arguments import FailOn
from .outcome import Exit

__all__ = ["FORMATS", "Format", "Reporting", "emit"]

Format = Literal["text", "json", "sarif", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
# What a file's ending says of its format.
SUFFIXES: dict[str, Format] = {".json": "json", ".sarif": "sarif", ".html": "html", ".htm": "html"}


def _writable(kind: Any, path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured for it."""
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"expected a file, got the folder {os.fspath(path)!r}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {os.fspath(path.parent)!r} for {path.name!r}")


@Parameter(name="*", group=Group("Report", sort_key=10))
@dataclass(frozen=True)
class Reporting:
    """The options of every command that answers with a report; a command takes them as one argument.

    ::

        def lint(*paths: Path, reporting: Reporting = Reporting()) -> Exit:
            return reporting.emit(audit.lint(paths))
    """

    format: Format | None = None
    "Of the report; by default what --report's ending says (.json, .sarif, .html), else text."

    report: Annotated[Path | None, Parameter(validator=_writable)] = None
    "Write the report into this file, instead of printing it; where that is not text, the text is printed as well."

    fail_on: FailOn = None
    "The least severity of a finding that makes the exit code 1; low, unless the project says otherwise."

    exit_zero: bool = False
    "Findings leave the exit code 0; what could not be looked at, or nothing to look at, does not."

    def emit(self, report: Report, *, stream: TextIO | None = None, code: int | None = None) -> Exit:
        """Print ``report`` to ``stream`` (stdout), or write it where the user wants it; return the report's exit code.

        ``code``: what the report is to say that the command ends with, where that is another: it was interrupted, or
        ends as the script does that it ran.
        """
        form = self.format or (SUFFIXES.get(self.report.suffix.lower()) if self.report else None) or "text"
        return emit(
            report,
            form,
            file=self.report,
            stream=stream,
            code=code,
            fail_on=self.fail_on or "low",
            exit_zero=self.exit_zero,
        )


def emit(
    report: Report,
    form: Format = "text",
    *,
    file: Path | None = None,
    fail_on: Severity = "low",
    exit_zero: bool = False,
    stream: TextIO | None = None,
    code: int | None = None,
) -> Exit:
    """Print ``report``, or write it into ``file``, and return the exit code, which is the same in every format.

    Findings of ``fail_on`` or above: 1. Else, anything that could not be looked at: 2. Else, nothing to look at: 3.
    With a ``file`` whose format is not text, the text is printed to ``stream`` (stdout by default) as well.
    """
    stream = sys.stdout if stream is None else stream
    ends = Exit(report.exit_code(fail_on, exit_zero=exit_zero))
    shown = ends if code is None else code
    if file is None and form == "text":
        write_text(report, stream)
    elif file is None:
        stream.write(rendered(report, form, shown))
    else:
        write(file, rendered(report, form, shown))
        if form != "text":
            write_text(report, stream)
        print(f"report: {printable(os.fspath(file))}", file=stream)
    return ends


def rendered(report: Report, form: Format, code: int) -> str:
    """``report`` as text of ``form``, for a command that ends with the exit code ``code``."""
    if form == "text":
        out = io.StringIO()
        write_text(report, out)
        return out.getvalue()
    if form == "json":
        return report.to_json() + "\n"
    return (report.to_sarif(code) if form == "sarif" else report.to_html(code)) + "\n"


def write(file: Path, text: str) -> None:
    """Write ``text`` into ``file`` as UTF-8: all of it or nothing, whenever the process is ended."""
    file = Path(os.path.realpath(file))  # a link stays a link
    if file.exists() and not file.is_file():  # a pipe or a terminal
        file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        return
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
