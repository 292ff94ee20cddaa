"""``secure-resize lint``: the calls that scale pictures by sampling, found by reading."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown

from ..audit.lint import NothingToLint, fix as apply_fixes, lint as find
from ..audit.lint.suppress import write_baseline as write_down
from ..audit.pages import page
from ..audit.render.words import printable
from ..audit.report import Report
from ..audit.rules import DOCUMENTATION, RULES
from .outcome import Exit, UsageError, usage
from .reporting import Reporting

__all__ = ["lint"]


def lint(
    *paths: Path,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    diff: str | None = None,
    fix: Annotated[bool, Parameter(name="--fix")] = False,
    explain: str | None = None,
    jobs: int = 0,
    reporting: Reporting = Reporting(),
) -> Exit:
    """Find the calls that scale pictures by sampling: Python, notebooks, JSON configurations. Runs nothing of them.

    A comment "# noqa: SR101" on a line of the call waves it through. What a project always wants stands in the table
    [tool.secure-resize] of its pyproject.toml: select, ignore, exclude, per-file-ignores, fail-on. Exit code 0: nothing
    was found; 1: something was; 2: some files could not be read; 3: there is nothing to look at; 4: usage.

    Parameters
    ----------
    paths
        Files and folders.
    select
        Only these rules: codes or beginnings of them, such as SR101 or SR1.
    ignore
        Not these.
    exclude
        Patterns of names or paths that are not looked at, such as 'tests' or '*_test.py'.
    baseline
        A file of findings that are known: only others count.
    write_baseline
        Write what is found into this file, for --baseline, and end with exit code 0.
    diff
        A commit: only lines that changed since, and new files.
    fix
        Write the replacements that are safe into the files; what is left is reported.
    explain
        Print the page of a rule: what it finds, why, what to write instead, and what was measured.
    jobs
        Processes that read; 0: as many as there are processors.
    """
    if explain is not None:
        with usage():
            _explain(explain.strip().upper())
        return Exit.CLEAN
    if not paths:
        raise UsageError("expected a file or folder to look at")

    def run() -> Report:
        with usage(), Console(stderr=True).status("reading") as status:
            return find(
                paths, select=select, ignore=ignore, exclude=exclude, baseline=baseline, diff=diff,
                jobs=jobs or os.cpu_count() or 1, progress=lambda count: status.update(f"reading: {count} files"),
            )  # fmt: skip

    try:
        report = run()
        if fix:
            made, failed = apply_fixes(report)
            for one in failed:
                print(printable(one), file=sys.stderr)
            print(f"fixed {made} of {len(report.active)} findings", file=sys.stderr)
            report = run()
    except NothingToLint as error:
        raise UsageError(str(error)) from error
    if write_baseline is not None:
        count = write_down(write_baseline, report.findings)
        print(f"{count} findings written to {printable(os.fspath(write_baseline))}", file=sys.stderr)
        return Exit.CLEAN
    asked = report.facts.get("fail_on")
    if asked and reporting.fail_on is None:  # the command's own word goes before the project's
        reporting = replace(reporting, fail_on=asked)
    return reporting.emit(report)


def _explain(code: str) -> None:
    """Print the rule's page: as Markdown, or laid out on a terminal."""
    text = page(code)
    console = Console()
    if console.is_terminal:
        console.print(Markdown(re.sub(r"!\[([^\]]*)\]\(([^)]*)\)", rf"[The picture]({DOCUMENTATION}\2): \1", text)))
        console.print(f"\n{RULES[code].url}", soft_wrap=True)
    else:
        print(text, end="")
