"""Tables of words and figures: one builder for the terminal's aligned columns and for Markdown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table"]

_RULE_UNDER_HEADER = "    \n    \n -- \n    \n    \n    \n    \n    \n"  # rich.box.Box: ASCII, nothing but that rule


@dataclass(frozen=True)
class Table:
    """``header`` and ``lines``, all of one length; the columns ``figures`` are aligned to the right."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    figures: range
    title: str = ""

    def text(self) -> str:
        """Aligned columns under the title, each as wide as its widest cell. Needs rich."""
        from rich.box import Box
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable(box=Box(_RULE_UNDER_HEADER, ascii=True), show_edge=False, pad_edge=False)
        for place, name in enumerate(self.header):
            table.add_column(name, justify="right" if place in self.figures else "left", no_wrap=True)
        for line in self.lines:
            table.add_row(*line)
        out = io.StringIO()
        console = Console(file=out, width=1 << 16, markup=False, emoji=False, highlight=False, color_system=None)
        console.print(table)
        drawn = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
        return f"{self.title}\n{drawn}" if self.title else drawn

    def markdown(self) -> str:
        """A Markdown table, without the title."""
        align = ["---:" if place in self.figures else "---" for place in range(len(self.header))]
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.header, align, *self.lines))
