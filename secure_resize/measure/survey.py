"""Who is vulnerable here: every installed library's resizes, probed at several ratios; a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..tables import Table
from ..workers import pool
from .blackbox import ProbeError
from .exposure import Exposure, exposure
from .probe import probe
from .scalers import SCALERS

__all__ = ["FORMATS", "RATIOS", "Measured", "NothingInstalled", "Surveyed", "measure", "select"]

# 250/56 is 1000/224: the common case of a photograph, and no integer. The side of the output is 56 pixels; an axis'
# stealth gain depends on the ratio and hardly on the size.
SIDE = 56
RATIOS: dict[str, int] = {"2": 112, "3": 168, "4": 224, "4.46": 250, "8": 448}


class NothingInstalled(ImportError):
    """None of the libraries that were asked for is installed."""


@dataclass(frozen=True)
class Measured:
    """One scaler at one size: its exposure, or why there is none. ``residual`` in levels."""

    in_size: tuple[int, int]
    out_size: tuple[int, int]
    exposure: Exposure | None
    residual: float | None
    notes: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True)
class Surveyed:
    """One scaler at every ratio asked for; ``cells`` by the ratio's name."""

    scaler: str
    version: str
    default: bool
    cells: dict[str, Measured]

    @property
    def worst(self) -> Exposure | None:
        """The exposure with the largest stealth gain; None where no cell has one."""
        found = [cell.exposure for cell in self.cells.values() if cell.exposure]
        return max(found, key=lambda one: one.stealth_gain_db, default=None)

    @property
    def robust(self) -> bool:
        """Whether it is robust at every ratio; a cell without an exposure is not."""
        return all(cell.exposure and cell.exposure.verdict == "robust" for cell in self.cells.values())


def select(patterns: Sequence[str], *, defaults: bool = False) -> list[str]:
    """The scalers' names that match any of ``patterns`` (``fnmatch``), only ``defaults`` of them; or ValueError."""
    names = [name for name in SCALERS if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
    names = [name for name in names if SCALERS[name].default or not defaults]
    if not names:
        raise ValueError(f"no scaler matches {', '.join(patterns)}; valid scalers: {', '.join(SCALERS)}")
    return names


def measure(
    names: Sequence[str], ratios: dict[str, int], *, progress: Callable[[str], None] = lambda library: None
) -> tuple[list[Surveyed], dict[str, list[str]]]:
    """Probe the scalers ``names`` at ``ratios`` (name: side of the square source; the output's is SIDE).

    Each library runs in a process of its own: several of them in one do not always survive each other. ``progress`` is
    told each one's module before its turn.

    Returns the rows, and by module what was left out because it is not installed.
    """
    groups: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for name in names:
        scaler = SCALERS[name]
        (groups if scaler.installed else missing).setdefault(scaler.module, []).append(name)
    found: dict[str, Surveyed] = {}
    for module, group in groups.items():
        progress(module)
        with pool(1) as worker:
            try:
                rows = worker.submit(_measure, group, ratios).result()
            except BrokenProcessPool:
                rows = [_crashed(name, ratios) for name in group]
        found |= {row.scaler: row for row in rows}
    return [found[name] for name in names if name in found], missing


def _measure(names: Sequence[str], ratios: dict[str, int]) -> list[Surveyed]:
    return [
        Surveyed(
            name,
            SCALERS[name].version,
            SCALERS[name].default,
            {ratio: _cell(name, (side, side), (SIDE, SIDE)) for ratio, side in ratios.items()},
        )
        for name in names
    ]


def _crashed(name: str, ratios: dict[str, int]) -> Surveyed:
    cells = {
        ratio: Measured((side, side), (SIDE, SIDE), None, None, (), "the library ended its process")
        for ratio, side in ratios.items()
    }
    return Surveyed(name, "", SCALERS[name].default, cells)


def _cell(name: str, in_size: tuple[int, int], out_size: tuple[int, int]) -> Measured:
    try:
        operator = probe(name, in_size, out_size)
    except (ProbeError, ImportError) as error:
        # A finding: what does not fit a model is named, not left out.
        notes = tuple(f"{d.code}: {d.reason}" for d in SCALERS[name].deviations(in_size, out_size))
        return Measured(in_size, out_size, None, None, notes, str(error))
    assert operator.provenance is not None
    return Measured(in_size, out_size, exposure(operator), operator.residual, operator.provenance.notes)


# Output. Each format is a function of the rows and of what is missing.


def _figure(cell: Measured) -> str:
    return f"{cell.exposure.stealth_gain_db + 0.0:.1f}".replace("-0.0", "0.0") if cell.exposure else "no model"


def _table(rows: Sequence[Surveyed], *, code: str = "", bold: str = "") -> Table:
    """``code`` and ``bold`` are put around the names of scalers and around the verdict "vulnerable"."""
    ratios = list(rows[0].cells) if rows else []
    mixed = not all(row.default for row in rows)
    lines = []
    for row in rows:
        mark = " (default)" if row.default and mixed else ""
        verdict = row.worst.verdict if row.worst else "no model"
        verdict = f"{bold}{verdict}{bold}" if verdict == "vulnerable" else verdict
        lines.append([f"{code}{row.scaler}{code}{mark}", row.version, *map(_figure, row.cells.values()), verdict])
    header = ["scaler", "version", *(f"β = {ratio}" for ratio in ratios), "verdict"]
    return Table(header, lines, range(2, len(header) - 1), "stealth gain in dB (two axes, uint8)")


def _notes(rows: Sequence[Surveyed]) -> list[str]:
    """Every deviation and finding once, with the scalers that it concerns."""
    concerned: dict[str, list[str]] = {}
    for row in rows:
        for cell in row.cells.values():
            for note in (*cell.notes, *([f"no model: {cell.error}"] if cell.error else [])):
                names = concerned.setdefault(note, [])
                if row.scaler not in names:
                    names.append(row.scaler)
    return [f"{note} [{', '.join(names)}]" for note, names in concerned.items() if not note.startswith("extremes")]


def _left_out(missing: dict[str, list[str]]) -> list[str]:
    return [f"left out, {module} is not installed: {', '.join(names)}" for module, names in missing.items()]


def as_table(rows: Sequence[Surveyed], missing: dict[str, list[str]]) -> str:
    """Aligned columns: stealth gain in dB at each ratio, verdict on the worst of them, then what is on record."""
    return "\n".join([_table(rows).text(), "", *_notes(rows), *_left_out(missing)])


def as_markdown(rows: Sequence[Surveyed], missing: dict[str, list[str]]) -> str:
    """A Markdown table; the vulnerable in bold."""
    return _table(rows, code="`", bold="**").markdown()


def by_library(rows: Sequence[Surveyed], missing: dict[str, list[str]]) -> str:
    """A Markdown table of each library's default and, unless that is robust, its first scaler of ``rows`` that is.

    Figures are the largest stealth gain in dB at any ratio.
    """

    def gain(row: Surveyed) -> str:
        return f"{row.worst.stealth_gain_db + 0.0:.1f}".replace("-0.0", "0.0") if row.worst else ""

    lines = []
    for row in rows:
        if row.default:
            library = SCALERS[row.scaler].library
            robust = [other for other in rows if other.robust and SCALERS[other.scaler].library == library]
            instead = [] if row.robust else robust[:1]
            verdict = row.worst.verdict if row.worst else "no model"
            verdict = f"**{verdict}**" if verdict == "vulnerable" else verdict
            lines.append([f"{library} {row.version}", f"`{SCALERS[row.scaler].algorithm}`", gain(row), verdict])
            lines[-1] += [f"`{SCALERS[instead[0].scaler].algorithm}`", gain(instead[0])] if instead else ["", ""]
    header = ["library", "by default", "dB", "verdict", "made safe by", "dB"]
    return Table(header, lines, range(2, len(header), 3)).markdown()


def as_json(rows: Sequence[Surveyed], missing: dict[str, list[str]]) -> str:
    """One object: ``rows`` with every figure of every cell, ``missing`` by module."""

    def cell(one: Measured) -> dict[str, Any]:
        known = {"in_size": one.in_size, "out_size": one.out_size, "residual": one.residual, "notes": one.notes}
        if one.exposure is None:
            return {**known, "error": one.error}
        return {**known, **one.exposure.to_dict()}

    return json.dumps(
        {
            "rows": [
                {
                    "scaler": row.scaler,
                    "version": row.version,
                    "default": row.default,
                    "cells": {ratio: cell(one) for ratio, one in row.cells.items()},
                }
                for row in rows
            ],
            "missing": missing,
        },
        indent=1,
    )


FORMATS: dict[str, Callable[[Sequence[Surveyed], dict[str, list[str]]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "libraries": by_library,
    "json": as_json,
}
