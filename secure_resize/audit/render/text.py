"""A report for a terminal, or for whatever reads a command's output: rich lays it out, and colours it on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from ..report import PICTURES, Finding, Report
from .words import entries, facts, own_tables, printable, summary, tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["write_text"]

COLOURS = {"low": "cyan", "medium": "yellow", "high": "bold red"}
_INDENT = 4
# How wide a line may be where nothing wraps it.
_ENDLESS = 1 << 16


def write_text(report: Report, stream: TextIO) -> None:
    """Print ``report`` to ``stream``: as wide as the terminal, or one finding's message a line where there is none.

    Nothing in the report is read as markup or as a terminal's control sequence.
    """
    from rich.console import Console

    console = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False, safe_box=True)
    if not console.is_terminal:
        console = Console(file=stream, markup=False, emoji=False, highlight=False, color_system=None, width=_ENDLESS)
    _print(console, _rows(console, facts(report.facts), 0))
    detailed = report.tool != "lint"
    _tables(console, own_tables(report), 0)
    if report.facts and report.active:
        console.print()
    for place, finding in enumerate(report.active):
        if place:
            console.print()
        _finding(console, finding, detailed)
    if report.active:
        console.print()
    end: list[Text] = []
    for failure in report.failures:
        end += _laid(console, _text(("could not look at ", "bold red"), (printable(failure), "")))
    end += _laid(console, _text((summary(report), "bold red" if report.active else "bold")))
    mendable = sum(one.fix is not None for one in report.active)
    if mendable and report.tool == "lint":
        end += _laid(console, _text((f"--fix can mend {mendable} of them", "dim")))
    _print(console, end)


def _finding(console: Console, finding: Finding, detailed: bool) -> None:
    """The place, the rule and the message in one line that editors can read, then what belongs to it."""
    sure = f" ({finding.confidence} confidence)" if finding.confidence != "high" else ""
    head = [
        (f"{printable(str(finding.place))}: ", "bold"),
        (printable(finding.code), "bold"),
        (" ", ""),
        (finding.severity, COLOURS[finding.severity]),
        (f"{sure}: ", ""),
        (printable(finding.message), ""),
    ]
    lines = _laid(console, _text(*head))
    if finding.context:
        lines += _laid(console, _text(("| ", "dim"), (printable(finding.context), "dim")), _INDENT)
    _print(console, lines + _rows(console, list(_details(finding, detailed)), _INDENT))
    if detailed:
        _tables(console, tables(finding.evidence), _INDENT)


def _details(finding: Finding, detailed: bool) -> Iterator[tuple[str, str]]:
    """What to do first, then what was seen."""
    if finding.advice:
        yield "instead", printable(finding.advice, keep="\n")
    if finding.fix:
        yield "fix", printable(finding.fix.description)
    for one in entries(finding.evidence.get("related")):
        at = ":".join(str(one[key]) for key in ("path", "line", "column") if one.get(key) is not None)
        yield "see", printable(f"{at}: {one.get('message', '')}")
    if detailed:
        yield from facts(finding.evidence)
    for one in entries(finding.evidence.get("pictures")):
        name = str(one.get("name", "other"))
        yield "picture", printable(f"{one.get('path', '')}: {one.get('caption') or PICTURES.get(name) or name}")


def _rows(console: Console, rows: list[tuple[str, str]], indent: int) -> list[Text]:
    """Labels and values, the values under each other."""
    width = max([len(name) for name, _ in rows], default=0)
    lines: list[Text] = []
    for name, value in rows:
        first, *others = value.split("\n")
        lines += _laid(console, _text((f"{name:{width}}  ", "dim"), (first, "")), indent, width + 2)
        for line in others:
            lines += _laid(console, _text((" " * (width + 2), ""), (line, "")), indent, width + 2)
    return lines


def _tables(console: Console, shown: list[dict[str, Any]], indent: int) -> None:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for one in shown:
        title = printable(one["title"])
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for place, name in enumerate(one["header"]):
            table.add_column(Text(printable(name)), justify="right" if place in one["numbers"] else "left")
        for line in one["lines"]:
            table.add_row(*map(Text, line))
        console.print()
        if title:
            _print(console, _laid(console, _text((title, "bold")), indent))
        if console.is_terminal:
            console.print(Padding(table, (0, 0, 0, indent), expand=False))
        else:
            with console.capture() as drawn:
                console.print(Padding(table, (0, 0, 0, indent), expand=False))
            console.file.writelines(f"{line.rstrip()}\n" for line in drawn.get().splitlines())


def _text(*parts: tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*parts)


def _laid(console: Console, text: Text, indent: int = 0, hang: int = _INDENT) -> list[Text]:
    """One line, wrapped on a terminal, with what goes on in the next line ``hang`` further to the right."""
    from rich.text import Text

    width = max(console.width - indent - hang, 20)
    if not console.is_terminal or text.cell_len <= width:
        return [Text(" " * indent) + text]
    first, *others = text.wrap(console, width, overflow="fold")
    lines = [Text(" " * indent) + first, *(Text(" " * (indent + hang)) + other for other in others)]
    for line in lines:
        line.rstrip()
    return lines


def _print(console: Console, lines: list[Text]) -> None:
    """Lines that are laid out, at once."""
    from rich.text import Text

    if console.is_terminal and lines:
        console.print(Text("\n").join(lines), no_wrap=True, overflow="ignore", crop=False)
    else:
        console.file.writelines(f"{line.plain.rstrip()}\n" for line in lines)
