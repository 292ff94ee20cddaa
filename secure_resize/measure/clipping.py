"""What a JPEG file's coefficients say before any decoder cuts them off: would a scaled decode show another picture?

A decoder that scales while it decodes takes means before it cuts off to [0, 255]; a full decode cuts off each pixel
first. Both are computed here from the coefficients, at 1/2, 1/4 and 1/8, for every file alike: what differs is what a
crafted file hides (:func:`secure_resize.attacks.craft_file`), so that a file below the thresholds hides nothing that is
above them. Quantisation makes honest files overshoot too, next to sharp edges and by little.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .coefficients import TO_RGB, Coefficients, joined, read, to_rgb

__all__ = ["BEYOND", "THRESHOLDS", "WINDOW", "Overshoot", "overshoot"]

FloatArray = npt.NDArray[np.float32]
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
_LOT, _OVERLAP = 512, 64
_ROUNDING = 0.01  # levels, of float32


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
    height, width = file.size
    planes = [one.samples() for one in file.components]
    shown = [
        p[: -(-height // one.step[0]), : -(-width // one.step[1])]
        for p, one in zip(planes, file.components, strict=True)
    ]
    beyond = max(max(float(p.max()) - 255, -float(p.min()), 0.0) for p in shown)
    cells = _cut_off(file, planes)
    samples = _at(file, planes, cells)
    clipped = _clipped(samples, file.ycc)
    levels, places = {}, {}
    for scale in THRESHOLDS:
        levels[scale], places[scale] = 0.0, (0, 0)
        if min(file.size) < scale or not len(samples):
            continue
        apart = ((_clipped(_means(samples, scale), file.ycc) - _means(clipped, scale)) ** 2).mean(axis=3)
        side = 8 // scale
        everywhere = np.zeros((*cells.shape, side, side), np.float32)
        everywhere[cells] = apart
        windows = _windows(joined(everywhere)[: height // scale, : width // scale])
        row, column = np.unravel_index(int(windows.argmax()), windows.shape)
        levels[scale] = float(np.sqrt(windows.max()))
        places[scale] = (int(row) * scale, int(column) * scale)
    return _Lot(levels, places, beyond)


def _clipped(samples: FloatArray, ycc: bool) -> FloatArray:
    """What is shown of samples (..., C): each cut off, and again as RGB."""
    shown = np.clip(samples, 0, 255)
    return np.clip(to_rgb(shown), 0, 255) if ycc else shown


def _cut_off(file: Coefficients, planes: list[FloatArray]) -> npt.NDArray[np.bool_]:
    """The cells of 8 × 8 pixels, (rows, columns), of which anything may be cut off: elsewhere every mean is shown.

    By each component's range in its block, so that some are named of which nothing is.
    """
    size = (-(-file.size[0] // 8), -(-file.size[1] // 8))
    low: list[FloatArray] = []
    high: list[FloatArray] = []
    for plane, component in zip(planes, file.components, strict=True):
        down, across = component.step
        for found, reduce in ((low, np.minimum), (high, np.maximum)):
            rows = reduce.reduce(plane.reshape(-1, 8, plane.shape[1]), axis=1)
            blocks = reduce.reduce(rows.reshape(len(rows), -1, 8), axis=2)
            found.append(blocks.repeat(down, axis=0).repeat(across, axis=1)[: size[0], : size[1]])
    least, most = np.stack(low), np.stack(high)
    cut = ((least < 0) | (most > 255)).any(axis=0)
    if file.ycc:
        weights = TO_RGB.astype(np.float32)
        middle, reach = (least + most) / 2, (most - least) / 2
        middle[1:] -= 128
        rgb, around = np.tensordot(weights, middle, 1), np.tensordot(np.abs(weights), reach, 1)
        cut |= ((rgb - around < _ROUNDING) | (rgb + around > 255 - _ROUNDING)).any(axis=0)
    return np.asarray(cut)


def _at(file: Coefficients, planes: list[FloatArray], cells: npt.NDArray[np.bool_]) -> FloatArray:
    """All components in these cells, (cells, 8, 8, C), before they are cut off, chroma repeated."""
    found = []
    for plane, component in zip(planes, file.components, strict=True):
        down, across = component.step
        if 8 % down or 8 % across:  # no block of 8 samples begins with every cell
            plane, down, across = plane.repeat(down, axis=0).repeat(across, axis=1), 1, 1
        parts = plane.reshape(plane.shape[0] * down // 8, 8 // down, plane.shape[1] * across // 8, 8 // across)
        parts = parts.swapaxes(1, 2)[: cells.shape[0], : cells.shape[1]][cells]
        found.append(parts.repeat(down, axis=1).repeat(across, axis=2))
    return np.stack(found, axis=3)


def _means(samples: FloatArray, side: int) -> FloatArray:
    """The means of the groups of (cells, 8, 8, C), (cells, 8 / side, 8 / side, C)."""
    down = _added([samples[:, k::side] for k in range(side)])
    return np.asarray(_added([down[:, :, k::side] for k in range(side)]) / np.float32(side**2))


def _windows(values: FloatArray) -> FloatArray:
    """The mean over WINDOW × WINDOW neighbours (h - WINDOW + 1, w - WINDOW + 1), fewer where there are fewer."""
    for axis in (0, 1):
        along = np.moveaxis(values, axis, 0)
        side = min(WINDOW, len(along))
        count = len(along) - side + 1
        values = np.moveaxis(_added([along[k : k + count] for k in range(side)]) / np.float32(side), 0, axis)
    return values


def _added(parts: list[FloatArray]) -> FloatArray:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
