"""Means over windows of a picture's outputs, all places at once.

Planes are (h, w) or (h, w, C); lines are the same as (h, w·C), where a pixel further on is C numbers further on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["box_mean", "energy", "inner", "line_energy", "lines", "peak", "window_sums"]

FloatArray = npt.NDArray[np.float32]
Lines = npt.NDArray[Any]


def lines(image: npt.NDArray[Any]) -> Lines:
    """(h, w) or (h, w, C) as lines."""
    return image.reshape(image.shape[0], -1)


def window_sums(image: Lines, side: int, channels: int) -> Lines:
    """The sums of all windows of ``side`` x ``side`` that lie inside lines: (h-side+1, (w-side+1)·C).

    By adding shifted copies, not by differences of running sums, whose rounding would depend on the rest of the
    picture. Numbers of 16 bits have to fit the sums of 25; those of 81 are float32.
    """
    down = _sums(image, side, 1)
    if side == 9 and down.dtype == np.int16:
        return _sums(_sums(down, 3, channels, across=True).astype(np.float32), 3, 3 * channels, across=True)
    return _sums(down, side, channels, across=True)


def box_mean(image: FloatArray, side: int) -> FloatArray:
    """The means of all windows of planes, float32: (h-side+1, w-side+1) or with the channels."""
    channels = image.shape[2] if image.ndim == 3 else 1
    out: FloatArray = window_sums(lines(image), side, channels)
    out *= np.float32(1 / side**2)
    return out.reshape(out.shape[0], -1, *image.shape[2:])


def _sums(image: Lines, side: int, gap: int, across: bool = False) -> Lines:
    """Sums of ``side`` (odd) neighbours that are ``gap`` apart; those of 9 are made of sums of 3."""
    if side == 9:
        return _sums(_sums(image, 3, gap, across), 3, 3 * gap, across)
    length = image.shape[1 if across else 0] - (side - 1) * gap

    def part(k: int) -> Lines:
        return image[:, k * gap : k * gap + length] if across else image[k * gap : k * gap + length]

    out = part(0) + part(1)
    for k in range(2, side):
        out += part(k)
    return out


def line_energy(image: Lines, channels: int) -> FloatArray:
    """The sum of the squares over the channels of lines: float32 (h, w)."""
    squares = image.astype(np.float32)
    squares *= squares
    out = squares[:, ::channels]
    if channels == 1:
        return out
    out = out + squares[:, 1::channels]
    for channel in range(2, channels):
        out += squares[:, channel::channels]
    return out


def energy(image: npt.NDArray[Any]) -> FloatArray:
    """The sum of the squares over the channels: (h, w, C) becomes float32 (h, w)."""
    return line_energy(lines(image), image.shape[2])


def inner(image: FloatArray, margin: int) -> FloatArray:
    """Without ``margin`` rows and columns at each border."""
    return image[margin : image.shape[0] - margin, margin : image.shape[1] - margin]


def peak(field: FloatArray) -> tuple[float, tuple[int, int]]:
    """The largest value of (h, w), and its place."""
    row, col = divmod(int(np.argmax(field)), field.shape[1])
    return float(field[row, col]), (row, col)
