"""What a JPEG file's coefficients say before any decoder cuts them off: would a scaled decode show another picture?

A decoder that scales while it decodes takes means before it cuts off to [0, 255]; a full decode cuts off each pixel
first. Both are computed here from the coefficients, at 1/2, 1/4 and 1/8, for every file alike: what differs is what a
crafted file hides (:func:`secure_resize.attacks.craft_file`), so that a file below the thresholds hides nothing that is
above them. Quantisation makes honest files overshoot too, next to sharp edges and by little.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .. import core
from ..core.dct import SCALES
from .coefficients import TO_RGB, Coefficients, read

__all__ = ["BEYOND", "THRESHOLDS", "WINDOW", "Overshoot", "overshoot"]

# By scale: the RMS levels in a window from which on a file is suspicious. Between the largest of honest files
# (quality 30 to 100: 29, 21 and 23, line art by MozJPEG among them) and the least that crafted ones have at their own
# scale (58, 56 and 61): benchmarks/jpeg_detection.py.
THRESHOLDS = {2: 42.0, 4: 32.0, 8: 32.0}
# Levels beyond black or white from which on decoders differ: INTEGER_FAST wraps around at 1024, and what it then shows
# can be any picture (secure_resize.attacks.craft_blank). Honest files stay below 200.
BEYOND = 500.0
# Outputs a side; the smallest thing that is looked for.
WINDOW = 5
# Rows of pixels that are looked at at a time, for memory's sake, and by how many one lot overlaps the next: more than a
# window of the coarsest scale.
_LOT, _OVERLAP = 1024, 64


@dataclass(frozen=True)
class Overshoot:
    """What scaled decoders show of a JPEG file beside what everybody sees.

    ``levels`` by scale (2, 4, 8): how far, at most, 5×5 pixels of the picture decoded at 1/scale lie from the mean of
    the full decode, RMS. ``score``: the largest of them as a multiple of its threshold, or of ``beyond`` as one of 500,
    from where on inexact decoders show something else; ``scale`` which of ``levels`` is the largest,
    and ``place`` where, (row, column) in pixels of the whole picture. ``beyond``: the most by which a sample lies
    beyond black or white.
    """

    size: tuple[int, int]
    levels: dict[int, float]
    score: float
    scale: int
    place: tuple[int, int]
    beyond: float

    @property
    def suspicious(self) -> bool:
        """Whether a scaled or an inexact decode may show another picture: the score reaches 1."""
        return self.score >= 1


def overshoot(file: bytes | str | os.PathLike[str]) -> Overshoot:
    """Look for another picture in the coefficients of a JPEG file, before anything decodes it.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((128, 128), 200, np.uint8), np.full((16, 16), 20, np.uint8)
    >>> sr.overshoot(sr.attacks.craft_file(source, target, "pillow:draft").data).suspicious
    True

    ``file`` is the file's bytes or its path. A picture smaller than the group of a scale is not looked at by that
    scale. It speaks of libjpeg's way to scale, the mean of a group, and of accurate arithmetic; not of what the pixels
    of a full decode hide from a resize.

    Raises ValueError for what is no JPEG file, broken, or larger than ``coefficients.MAX_PIXELS``, TypeError for
    anything else than bytes or a path, ImportError without jpeglib (``pip install "secure-resize[jpeg]"``).
    """
    if isinstance(file, str | os.PathLike):
        file = Path(file).read_bytes()
    if not isinstance(file, bytes):
        raise TypeError(f"file must be a file's bytes or its path, got {type(file).__name__}")
    return of_coefficients(read(file))


def of_coefficients(file: Coefficients) -> Overshoot:
    """:func:`overshoot` of a file's coefficients."""
    found = [(top, _of_lot(lot)) for top, lot in _lots(file)]
    levels, places = {}, {}
    for scale in THRESHOLDS:
        top, one = max(found, key=lambda each: each[1].levels[scale])
        levels[scale] = one.levels[scale]
        places[scale] = (top + one.places[scale][0], one.places[scale][1])
    worst = max(levels, key=lambda scale: levels[scale] / THRESHOLDS[scale])
    beyond = max(one.beyond for _, one in found)
    score = max(levels[worst] / THRESHOLDS[worst], beyond / BEYOND)
    return Overshoot(file.size, levels, score, worst, places[worst], beyond)


def _lots(file: Coefficients) -> Iterator[tuple[int, Coefficients]]:
    """The file's rows, some at a time, each with its first row of pixels."""
    height, width = file.size
    if any(_OVERLAP % (8 * component.step[0]) for component in file.components):
        yield 0, file
        return
    for top in range(0, max(height - _OVERLAP, 1), _LOT - _OVERLAP):
        end = min(top + _LOT, height)
        parts = []
        for one in file.components:
            side = 8 * one.step[0]
            parts.append(replace(one, coefficients=one.coefficients[top // side : -(-end // side)]))
        yield top, Coefficients((end - top, width), parts, file.ycc)


@dataclass(frozen=True)
class _Lot:
    """What :class:`Overshoot` says of all of it, of some rows; ``places`` by scale."""

    levels: dict[int, float]
    places: dict[int, tuple[int, int]]
    beyond: float


def _of_lot(file: Coefficients) -> _Lot:
    beyond, apart = core.cut_off(file.components, file.size, TO_RGB if file.ycc else None)
    levels, places = {}, {}
    for scale, plane in zip(SCALES, apart, strict=True):
        levels[scale], places[scale] = 0.0, (0, 0)
        if min(file.size) >= scale:
            worst, (row, column) = core.worst_window(plane, WINDOW)
            levels[scale], places[scale] = math.sqrt(worst), (row * scale, column * scale)
    return _Lot(levels, places, beyond)
