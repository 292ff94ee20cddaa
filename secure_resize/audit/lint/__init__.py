"""Find calls and classes that scale pictures down by sampling, by reading alone: nothing of the target is run."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ... import __version__
from ..report import Finding, Report
from .changes import Changes
from .config import Config, check_codes, nearest
from .files import discovered, shown
from .fixes import apply_edits
from .read import Read, read_file
from .suppress import read_baseline, waved_by_baseline

__all__ = ["NothingToLint", "fix", "lint"]

FEW = 300  # files, for which no second process is started


class NothingToLint(FileNotFoundError):
    """None of the paths exists."""


def lint(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    exclude: Sequence[str] = (),
    baseline: str | os.PathLike[str] | None = None,
    diff: str | None = None,
    config: bool = True,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Find the calls under ``paths`` that scale pictures by sampling.

    >>> import secure_resize as sr
    >>> report = sr.audit.lint("my_project")  # doctest: +SKIP
    >>> [(one.code, str(one.place)) for one in report.active]  # doctest: +SKIP
    [('SR101', 'my_project/data.py:14:13')]

    Reads Python files, notebooks and JSON configurations, imports and runs nothing of them. ``select`` and ``ignore``
    are codes of rules or beginnings of them, ``exclude`` patterns of file and folder names; together with those of the
    nearest ``[tool.secure-resize]`` in a pyproject.toml above each path, unless ``config=False``; ``select`` replaces
    its. ``baseline`` is a file of findings to wave through, ``diff`` a commit: only lines that changed since count.
    ``jobs`` processes read (1: this one).

    What cannot be read or parsed is a line of ``failures``, never an exception. ValueError for codes, configurations,
    baselines and commits that there are not; NothingToLint where none of the paths exists.
    """
    tops = [Path(one) for one in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    failures: list[str] = []
    existing = [one for one in tops if one.exists()]
    failures += [f"{shown(one)}: there is no such file or folder" for one in tops if not one.exists()]
    if not existing:
        raise NothingToLint(f"there is no {', '.join(repr(str(one)) for one in tops) or 'path to look at'}")
    asked = _Asked(check_codes(select, "select"), check_codes(ignore, "ignore"), tuple(exclude))
    known = read_baseline(Path(baseline)) if baseline is not None else None
    configs = {top: asked.join(nearest(top) if config else Config()) for top in existing}
    changes = {top: Changes(diff, top) for top in existing} if diff is not None else {}
    wanted: list[tuple[Path, Path]] = []
    for top in existing:
        for file, _ in discovered([top], configs[top].exclude, failures):
            if not changes or changes[top].touches(file):
                wanted.append((file, top))
    wanted = list({file: (file, top) for file, top in wanted}.values())
    findings: list[Finding] = []
    looked_at = 0
    results = _all_read([file for file, _ in wanted], jobs)
    for (file, top), result in zip(wanted, results, strict=True):
        looked_at += result.looked_at
        failures += [f"{shown(file)}: {one}" for one in result.failures]
        own = [one for one in result.findings if configs[top].wants(one.code, file)]
        findings += _changed(own, changes[top], file) if changes else own
        if progress is not None:
            progress(looked_at)
    if known is not None:
        findings = waved_by_baseline(findings, known)
    facts: dict[str, Any] = {"diff": diff} if diff is not None else {}
    fail_on = [one.fail_on for one in configs.values() if one.fail_on]
    facts |= {"fail_on": fail_on[0]} if fail_on else {}
    return Report("lint", tuple(findings), {"secure_resize": __version__}, looked_at, "files", tuple(failures), facts)


@dataclass(frozen=True)
class _Asked:
    """What the caller asks, to be joined with what a project does."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    exclude: tuple[str, ...]

    def join(self, config: Config) -> Config:
        return replace(
            config,
            select=self.select or config.select,
            ignore=(*self.ignore, *config.ignore),
            exclude=(*self.exclude, *config.exclude),
        )


def _changed(findings: list[Finding], changes: Changes, file: Path) -> list[Finding]:
    """Those on lines that changed; in a notebook all, as its lines are not those of the file."""
    if not findings:
        return []
    lines = changes.lines(file)
    if lines is None or file.suffix.lower() == ".ipynb":
        return findings
    return [
        one
        for one in findings
        if any(
            span.start <= (one.place.end_line or one.place.line or 0) and (one.place.line or 0) < span.stop
            for span in lines
        )
    ]


def _all_read(files: list[Path], jobs: int) -> Iterator[Read]:
    if jobs == 1 or len(files) < FEW:
        yield from map(read_file, files)
        return
    # Not forked: the process may have threads. A program that asks for several jobs guards its main module.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(read_file, files, chunksize=32)


def fix(report: Report) -> tuple[int, list[str]]:
    """Apply the fixes of the active findings of ``report`` to their files: how many, and what could not be fixed.

    A file that would not parse afterwards stays as it was.
    """
    by_file: dict[str, list[Finding]] = {}
    for one in report.active:
        if one.fix is not None:
            by_file.setdefault(one.place.path, []).append(one)
    made, failures = 0, []
    for name, findings in by_file.items():
        edits = [edit for one in findings if one.fix is not None for edit in one.fix.edits]
        try:
            apply_edits(Path(name), edits)
            made += len(findings)
        except (OSError, SyntaxError, ValueError) as error:
            failures.append(f"{name}: not fixed: {type(error).__name__}: {error}")
    return made, failures
