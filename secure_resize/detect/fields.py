"""Means over windows of a picture's outputs, all places at once. Arrays are float32 (h, w, C) or (h, w)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["box_mean", "energy", "inner", "peak"]

FloatArray = npt.NDArray[np.float32]


def box_mean(image: FloatArray, side: int) -> FloatArray:
    """The means of all windows of ``side`` x ``side`` that lie inside: (h-side+1, w-side+1) or with the channels.

    By adding shifted copies, not by differences of running sums, whose rounding would depend on the rest of the
    picture.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    lines = image.reshape(image.shape[0], -1)  # a pixel further on is ``channels`` numbers further on
    out = _sums(_sums(lines, side, 1), side, channels, across=True)
    out *= np.float32(1 / side**2)
    return out.reshape(out.shape[0], -1, *image.shape[2:])


def _sums(lines: FloatArray, side: int, gap: int, across: bool = False) -> FloatArray:
    """Sums of ``side`` (odd) neighbours that are ``gap`` apart; those of 9 are made of sums of 3."""
    if side == 9:
        return _sums(_sums(lines, 3, gap, across), 3, 3 * gap, across)
    length = lines.shape[1 if across else 0] - (side - 1) * gap

    def part(k: int) -> FloatArray:
        return lines[:, k * gap : k * gap + length] if across else lines[k * gap : k * gap + length]

    out = part(0) + part(1)
    for k in range(2, side):
        out += part(k)
    return out


def energy(image: FloatArray) -> FloatArray:
    """The sum of the squares over the channels: (h, w, C) becomes (h, w)."""
    channels = image.shape[2]
    return np.asarray(np.square(image) @ np.ones(channels, np.float32))


def inner(image: FloatArray, margin: int) -> FloatArray:
    """Without ``margin`` rows and columns at each border."""
    return np.ascontiguousarray(image[margin : image.shape[0] - margin, margin : image.shape[1] - margin])


def peak(field: FloatArray) -> tuple[float, tuple[int, int]]:
    """The largest value of (h, w), and its place."""
    row, col = divmod(int(np.argmax(field)), field.shape[1])
    return float(field[row, col]), (row, col)
