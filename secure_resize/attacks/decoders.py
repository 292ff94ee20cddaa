"""Which decoders installed here show another picture of a crafted file: measured, a table or JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from ..measure.decoders import DECODERS, Decoder
from ..measure.exposure import VERDICTS, exposure
from ..measure.probe import probe
from ..measure.quality import psnr
from ..measure.scalers import load
from ..scaling import resize
from ..tables import Table
from ..workers import pool
from .craft import REACHED_DB
from .inexact import craft_blank
from .jpeg import craft_file

__all__ = ["FORMATS", "SCALES", "DecoderRow", "measure_decoders", "select_decoders"]

Image = npt.NDArray[np.uint8]
SCALES = (2, 4, 8)
SIDE = 128


@dataclass(frozen=True)
class DecoderCell:
    """A decoder at one scale: PSNRs in dB of what it shows and the hidden target, of what a full decode shows and the
    source; and ``gain_db``, by how much quieter the file's change is in the full decode than in the scaled one. Of a
    decoder of another format than JPEG, which is linear, ``gain_db`` is the stealth gain of its probed operator, and
    ``exposed`` what that means; there is no crafted file then, and no PSNR.
    """

    psnr_target: float | None
    psnr_source: float | None
    gain_db: float
    exposed: str = ""

    @property
    def attacked(self) -> bool:
        """Whether the decoder shows a hidden picture."""
        if self.psnr_target is None:
            return self.exposed == "vulnerable"
        return self.psnr_target >= REACHED_DB


@dataclass(frozen=True)
class DecoderRow:
    """A decoder: its cells by scale, none where it decodes in full alone; ``full_db``, the PSNR in dB of its full
    decode of a crafted file and of Pillow's (None where it has none); ``blank_db``, the PSNR in dB at which it shows
    the picture that a file blank to Pillow hides from accurate decoders; ``error``, why it could not be measured.
    """

    decoder: str
    version: str
    default: bool
    cells: dict[int, DecoderCell]
    full_db: float | None
    note: str
    error: str = ""
    blank_db: float = 0.0

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.error:
            return "not measured"
        if self.cells:
            if any(cell.attacked for cell in self.cells.values()):
                return "vulnerable"
            exposed = [cell.exposed for cell in self.cells.values() if cell.exposed]
            return max(exposed, key=list(VERDICTS).index) if exposed else "not reached"
        if self.blank_db >= REACHED_DB:
            return "vulnerable"
        return "decodes in full" if self.full_db == np.inf else "decodes otherwise"


def pictures(scale: int) -> tuple[Image, Image]:
    """A source (SIDE, SIDE, 3), a textured slope of greys and colours; and a target for 1/``scale``, a bright disc."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    texture = 25 * np.sin(40 * x + 17 * y) * np.cos(31 * y)
    source = np.dstack([60 + 120 * x, 90 + 60 * y, 150 - 90 * x * y]) + texture[..., None]
    rows, columns = np.mgrid[0 : SIDE // scale, 0 : SIDE // scale] / (SIDE // scale)
    disc = (rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.1
    target = np.where(disc[..., None], [225.0, 200.0, 60.0], [40.0, 60.0, 110.0])
    return np.clip(np.round(source), 0, 255).astype(np.uint8), target.astype(np.uint8)


def select_decoders(patterns: Sequence[str]) -> list[str]:
    """The decoders' names that match any of ``patterns`` (``fnmatch``), all for none; or ValueError."""
    names = [name for name in DECODERS if not patterns or any(fnmatchcase(name, one) for one in patterns)]
    if not names:
        raise ValueError(f"no decoder matches {', '.join(patterns)}; valid decoders: {DECODERS.names}")
    return names


def measure_decoders(
    names: Sequence[str], *, progress: Callable[[str], None] = lambda library: None
) -> tuple[list[DecoderRow], list[str]]:
    """Attack the decoders ``names``, each library in a process of its own; ``progress`` is told its module.

    Returns the rows, and the names of those that are not installed.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if DECODERS[name].installed:
            groups.setdefault(DECODERS[name].module, []).append(name)
    found: dict[str, DecoderRow] = {}
    for module, group in groups.items():
        progress(module)
        with pool(1) as worker:
            try:
                rows = worker.submit(_measure, group).result()
            except BrokenProcessPool:
                rows = [_failed(name, "the library ended its process") for name in group]
        found |= {row.decoder: row for row in rows}
    return [found[name] for name in names if name in found], [name for name in names if name not in found]


def _measure(names: Sequence[str]) -> list[DecoderRow]:
    return [_row(name) for name in names]


def _failed(name: str, error: str) -> DecoderRow:
    return DecoderRow(name, "", DECODERS[name].default, {}, None, DECODERS[name].note, error)


def _row(name: str) -> DecoderRow:
    decoder = DECODERS[name]
    try:
        if decoder.form != "JPEG":
            cells = {scale: _probed(decoder, scale) for scale in decoder.scales}
            return DecoderRow(name, decoder.version, decoder.default, cells, None, decoder.note)
        if not decoder.scaled:
            crafted = craft_file(*pictures(8), "pillow:draft")
            full = psnr(decoder(crafted.data, (SIDE, SIDE)), crafted.shown)
            blank = craft_blank(pictures(8)[0], name).psnr_target
            return DecoderRow(name, decoder.version, decoder.default, {}, full, decoder.note, blank_db=blank)
        cells = {}
        for scale in SCALES:
            source, target = pictures(2 * scale if decoder.then else scale)
            crafted = craft_file(source, target, name)
            clean = resize(source, (target.shape[0], target.shape[1]))
            gain = crafted.psnr_source - psnr(crafted.scaled, clean)
            cells[scale] = DecoderCell(crafted.psnr_target, crafted.psnr_source, gain)
        return DecoderRow(name, decoder.version, decoder.default, cells, None, decoder.note)
    except (OSError, RuntimeError, ValueError) as error:  # the C library behind it is missing, for one
        return _failed(name, " ".join(str(error).split()))


def _probed(decoder: Decoder, scale: int) -> DecoderCell:
    """The decoder as a resize of the picture that a lossless file holds."""
    size = decoder.size((SIDE, SIDE), scale)

    def scaled(image: Image) -> Image:
        file = io.BytesIO()
        load("PIL.Image").fromarray(image).save(file, decoder.form, **decoder.saved)
        return decoder(file.getvalue(), size)

    found = exposure(probe(scaled, (SIDE, SIDE), size, dtype="uint8", layout="HWC"))
    return DecoderCell(None, None, found.stealth_gain_db + 0.0, found.verdict)


# Output. Each format is a function of the rows and of what is missing.

_TITLE = (
    "Decoders and a crafted file of one pair of pictures: by how many dB its change is quieter in the full\n"
    "decode than in the scaled one (and the PSNR at which that shows the hidden picture; 25 dB is a success). Not\n"
    "linear: what is cut off to black or white hides the rest. Of formats other than JPEG: the stealth gain, probed."
)


def _cell(cell: DecoderCell) -> str:
    gain = f"{round(cell.gain_db, 1) + 0.0:.1f}"  # no minus before a zero
    return gain if cell.psnr_target is None else f"{gain} ({cell.psnr_target:.0f})"


def _table(rows: Sequence[DecoderRow], code: str = "", bold: str = "") -> Table:
    lines = []
    for row in rows:
        cells = [_cell(cell) for cell in row.cells.values()]
        full = "" if row.full_db is None else "equal" if row.full_db == np.inf else f"{row.full_db:.1f} dB"
        blank = "" if row.full_db is None else f"{row.blank_db:.0f}"
        verdict = f"{bold}{row.verdict}{bold}" if row.verdict == "vulnerable" else row.verdict
        lines.append([f"{code}{row.decoder}{code}", row.version, *(cells or [""] * len(SCALES)), full, blank, verdict])
    header = [
        "decoder",
        "version",
        *(f"1/{scale}" for scale in SCALES),
        "full decode, to Pillow's",
        "hidden in a blank, dB",
        "verdict",
    ]
    return Table(header, lines, range(2, 2 + len(SCALES)), _TITLE)


def _as_table(rows: Sequence[DecoderRow], missing: Sequence[str]) -> str:
    notes = [f"{row.decoder}: {row.error or row.note}" for row in rows if row.error or row.note]
    left_out = [f"left out, not installed: {', '.join(missing)}"] if missing else []
    return "\n".join([_table(rows).text(), "", *notes, *left_out])


def _as_markdown(rows: Sequence[DecoderRow], missing: Sequence[str]) -> str:
    return _table(rows, "`", "**").markdown()


def _as_json(rows: Sequence[DecoderRow], missing: Sequence[str]) -> str:
    def finite(values: dict[str, object]) -> dict[str, object]:
        return {name: str(value) if value == np.inf else value for name, value in values.items()}

    shown = []
    for row in rows:
        cells = {str(scale): finite(asdict(cell)) for scale, cell in row.cells.items()}
        shown.append({**finite({**asdict(row), "cells": None}), "cells": cells, "verdict": row.verdict})
    return json.dumps({"rows": shown, "missing": list(missing)}, indent=1, allow_nan=False)


FORMATS: dict[str, Callable[[Sequence[DecoderRow], Sequence[str]], str]] = {
    "table": _as_table,
    "markdown": _as_markdown,
    "json": _as_json,
}
