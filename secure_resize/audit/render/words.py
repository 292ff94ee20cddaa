"""The words of a report: what stands in it may come out of hostile files, and stays text wherever it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..report import SEVERITIES, Report

__all__ = [
    "EXIT_CODES",
    "counted",
    "entries",
    "facts",
    "label",
    "own_tables",
    "printable",
    "summary",
    "tables",
    "value",
]

EXIT_CODES = {0: "clean", 1: "findings", 2: "could not run", 3: "nothing to look at", 4: "usage", 130: "interrupted"}
# Evidence that has a form of its own.
FORMS = ("pictures", "tables", "related")
_LONGEST = 4000  # characters of one text


def printable(text: str, keep: str = "") -> str:
    """``text`` with all that is no visible character or space written out, as in Python's repr, but for ``keep``.

    Escape sequences, newlines, zero-width characters and those that turn the direction of writing among them. Very long
    texts are cut, which is said.
    """
    cut = f"... ({len(text) - _LONGEST} more characters)" if len(text) > _LONGEST else ""
    shown = text[:_LONGEST]
    if not shown.isprintable():
        shown = "".join(
            one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in shown
        )
    return shown + cut


def exit_word(report: Report, code: int) -> str:
    """What the exit code ``code`` says; of a script that was run, its code is its own."""
    if report.tool in ("trace", "run") and code == report.facts.get("exit_code"):
        return "as the script ended"
    return EXIT_CODES.get(code, "unknown")


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``: the noun is given as the plural."""
    return f"{number} {noun[:-1] if number == 1 and noun.endswith('s') else noun}"


def summary(report: Report) -> str:
    """What was found, in a line."""
    if not (report.looked_at or report.findings):
        return (
            f"could not look at {counted(len(report.failures), 'things')}" if report.failures else "nothing to look at"
        )
    active = report.active
    by_severity = Counter(one.severity for one in active)
    listed = ", ".join(f"{by_severity[one]} {one}" for one in reversed(SEVERITIES) if by_severity[one])
    line = f"{counted(len(active), 'findings') if active else 'no findings'}{f' ({listed})' if listed else ''}"
    line += f" in {counted(report.looked_at, report.unit)}"
    suppressed = Counter(one.suppressed for one in report.findings if one.suppressed is not None)
    if suppressed:
        by = ", ".join(f"{number} by {name}" for name, number in sorted(suppressed.items()))
        line += f"; suppressed: {by}"
    if report.failures:
        line += f"; could not look at {len(report.failures)}"
    return printable(line)


def label(key: str) -> str:
    """A key of the evidence as words: ``stealth_gain_db`` as ``stealth gain, dB``."""
    words = key.removesuffix("_db").replace("_", " ")
    return printable(f"{words}, dB" if key.endswith("_db") else words)


def value(of: Any) -> str:
    """A value of the evidence in one line."""
    return printable(_value(of))


def _value(of: Any) -> str:
    if of is None:
        return "-"
    if isinstance(of, bool):
        return "yes" if of else "no"
    if isinstance(of, float):
        return f"{of + 0.0:.4g}"
    if isinstance(of, Mapping):
        return ", ".join(f"{label(str(key))} {_value(one)}" for key, one in of.items()) or "-"
    if isinstance(of, (list, tuple)):
        if len(of) == 2 and all(isinstance(one, int) and not isinstance(one, bool) for one in of):
            return f"{of[0]}x{of[1]}"  # a size
        return ", ".join(map(_value, of)) or "-"
    return str(of)


def facts(of: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Evidence or facts as rows of (label, value), without what has a form of its own, and what says nothing.

    Records in lists or in each other are left out too: they are for machines, and a table beside them is for people.
    """
    shown = {key: one for key, one in of.items() if key not in FORMS and not _records(one) and not _empty(one)}
    return [(label(str(key)), value(one)) for key, one in shown.items()]


def _empty(of: Any) -> bool:
    return of is None or (isinstance(of, (str, list, tuple, Mapping)) and not of)


def _records(of: Any) -> bool:
    """A list of records, or a record that holds one."""
    if isinstance(of, Mapping):
        return any(isinstance(one, Mapping) or _records(one) for one in of.values())
    return isinstance(of, (list, tuple)) and bool(of) and all(isinstance(one, Mapping) for one in of)


def tables(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of evidence or facts: title, header, lines and the places of the columns that hold numbers."""
    found = []
    for one in entries(of.get("tables")):
        lines = [list(line) for line in _listed(one.get("lines")) if isinstance(line, (list, tuple))]
        header = [str(name) for name in _listed(one.get("header"))]
        width = max([len(header), *map(len, lines)])
        if width:
            header += [""] * (width - len(header))
            lines = [[*line, *[""] * (width - len(line))] for line in lines]
            numbers = [k for k in range(width) if lines and all(_is_number(line[k]) for line in lines)]
            words = [[value(cell) if cell != "" else "" for cell in line] for line in lines]
            found.append({"title": str(one.get("title", "")), "header": header, "lines": words, "numbers": numbers})
    return found


def own_tables(report: Report) -> list[dict[str, Any]]:
    """The report's tables, without those that a finding shows."""
    shown = [(one["header"], one["lines"]) for finding in report.active for one in tables(finding.evidence)]
    return [one for one in tables(report.facts) if (one["header"], one["lines"]) not in shown]


def entries(of: Any) -> Iterable[Mapping[str, Any]]:
    """The mappings of a list, whatever else it holds; nothing where it is no list."""
    return [one for one in _listed(of) if isinstance(one, Mapping)]


def _listed(of: Any) -> list[Any]:
    return list(of) if isinstance(of, (list, tuple)) else []


def _is_number(of: Any) -> bool:
    text = str(of).removesuffix(" dB").removesuffix("%").strip()
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True
