"""Sums over windows of a picture's outputs, all places at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["box_mean", "energy", "inner", "peak"]

FloatArray = npt.NDArray[np.float32]


def box_mean(planes: FloatArray, side: int) -> FloatArray:
    """The means of all windows of ``side`` x ``side`` that lie inside; (..., h, w) becomes (..., h-side+1, w-side+1).

    By adding shifted copies, not by differences of running sums, whose rounding would depend on the rest of the
    picture.
    """
    out = _runs(_runs(planes, side, -1), side, -2)
    out *= np.float32(1 / side**2)
    return out


def _runs(planes: FloatArray, side: int, axis: int) -> FloatArray:
    """Sums of ``side`` (odd) neighbours along ``axis``; those of 9 are made of sums of 3."""
    if side == 9:
        return _spread(_runs(planes, 3, axis), 3, 3, axis)
    return _spread(planes, side, 1, axis)


def _spread(planes: FloatArray, count: int, gap: int, axis: int) -> FloatArray:
    length = planes.shape[axis] - (count - 1) * gap
    lines = planes.swapaxes(axis, -1)
    out = lines[..., :length] + lines[..., gap : gap + length]
    for k in range(2, count):
        out += lines[..., k * gap : k * gap + length]
    return out.swapaxes(axis, -1)


def energy(planes: FloatArray) -> FloatArray:
    """The sum of the squares over the planes: (C, h, w) becomes (h, w)."""
    return np.asarray(np.einsum("chw,chw->hw", planes, planes))


def inner(planes: FloatArray, margin: int) -> FloatArray:
    """Without ``margin`` rows and columns at each border."""
    return planes[..., margin : planes.shape[-2] - margin, margin : planes.shape[-1] - margin]


def peak(field: FloatArray) -> tuple[float, tuple[int, int]]:
    """The largest value of (h, w), and its place."""
    place = int(np.argmax(field))
    row, col = divmod(place, field.shape[1])
    return float(field[row, col]), (row, col)
