"""One file's findings."""

from __future__ import annotations

import ast
import json
import sys
import traceback
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ..report import Confidence, Finding, Place, Severity
from ..rules import RULES
from .documents import Cell, Setting, cells_of, settings_of
from .files import CONFIGURATION, NotReadable, content, decoded, package_of, shown
from .fixes import Source, fix_of
from .judge import Hit, Judge
from .rows import relevant
from .suppress import Noqa
from .tree import read_tree

__all__ = ["Read", "lint_text", "read_file"]


PYTHON = ".".join(map(str, sys.version_info[:2]))


@dataclass
class Read:
    """What came of one file."""

    findings: list[Finding] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    looked_at: int = 1


def read_file(file: Path) -> Read:
    """Look at one file; whatever is wrong with it is a line of ``failures``."""
    kind = file.suffix.lower()
    try:
        raw = content(file)
        if kind == ".json":
            return _configuration(file, raw)
        package = package_of(file)
        if kind != ".ipynb" and not relevant(raw, package[0] if package else ""):
            decoded_ok(raw, kind)
            return Read()
        text = decoded(raw, kind)
        if kind == ".ipynb":
            return _notebook(file, text)
        return Read(lint_text(text, shown(file), package))
    except NotReadable as error:
        return Read(failures=[str(error)], looked_at=0)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        return Read(failures=[f"Python {PYTHON} cannot parse it: {error.msg}{line}"], looked_at=0)
    except (RecursionError, MemoryError):
        return Read(failures=["it is nested too deeply to be read"], looked_at=0)
    except Exception as error:  # whatever a hostile file makes of the linter is no reason to leave out the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return Read(failures=[f"the linter failed on it: {what}"], looked_at=0)


def decoded_ok(raw: bytes, kind: str) -> None:
    """Raise NotReadable where a file without anything to find is not even text."""
    if not raw.isascii() or b"\0" in raw:
        decoded(raw, kind)


def lint_text(text: str, path: str, package: tuple[str, ...] = (), cells: list[Cell] | None = None) -> list[Finding]:
    """The findings in Python ``text``. SyntaxError where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file's own escapes and comparisons are nobody's business here
        node = ast.parse(text)
    judge = Judge(read_tree(node, package), package[0] if package else "")
    hits = judge.hits()
    if not hits:
        return []
    source, noqa = Source(text), Noqa(text)
    return [_finding(hit, judge, source, noqa, path, cells) for hit in hits]


def _finding(hit: Hit, judge: Judge, source: Source, noqa: Noqa, path: str, cells: list[Cell] | None) -> Finding:
    node = hit.place.node
    line, column = source.start(node)
    end_line, end_column = source.end(node)
    if isinstance(node.func, ast.Attribute) and any(isinstance(one, ast.Call) for one in ast.walk(node.func.value)):
        line = node.func.end_lineno or line
        column = source.column(line, node.func.end_col_offset or 0) - len(node.func.attr)
    rule = RULES[hit.code]
    fixed = fix_of(hit, judge, source) if cells is None else None
    suppressed = "noqa" if noqa.covers(hit.code, node.lineno, end_line) else None
    evidence: dict[str, Any] = dict(hit.evidence)
    place = Place(path, line, column, end_line, end_column)
    if cells is not None:
        cell = next(one for one in reversed(cells) if one.first <= line)
        first = cell.first - 1
        place = replace(place, line=line - first, end_line=end_line - first, cell=cell.number)
    return Finding(
        hit.code, hit.severity, hit.message, place, hit.confidence, hit.row.advice or rule.instead, fixed, evidence,
        source.line(line), suppressed,
    )  # fmt: skip


def _notebook(file: Path, text: str) -> Read:
    try:
        code, cells, failures = cells_of(text)
    except ValueError as error:
        raise NotReadable(f"it is not a notebook ({error})") from error
    findings = lint_text(code, shown(file), (), cells) if cells else []
    return Read(findings, failures)


def _configuration(file: Path, raw: bytes) -> Read:
    named = "preprocessor_config" in file.name or "processor_config" in file.name
    if not CONFIGURATION.search(raw):
        if named:
            _settings(raw)
        return Read()
    settings = _settings(raw)
    path = shown(file)
    findings = [
        Finding(
            "SR115",
            cast(Severity, one.severity),
            f"{one.context}: {one.reason}",
            Place(path, one.line, one.column, one.line, one.end_column),
            cast(Confidence, one.confidence),
            RULES["SR115"].instead,
            None,
            one.setting,
            one.context,
        )
        for one in settings
    ]
    return Read(findings)


def _settings(raw: bytes) -> list[Setting]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return settings_of(decoded(raw, ".json"))
    except json.JSONDecodeError as error:
        raise NotReadable(f"it is not JSON ({error})") from error
