"""Means over windows of a picture's outputs, all places at once.

Planes are (h, w) or (h, w, C); lines are the same as (h, w·C), where a pixel further on is C numbers further on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import line_energy
from ..core.windows import window_sums

__all__ = ["Box", "around", "box_mean", "energy", "inner", "lines", "peak"]

FloatArray = npt.NDArray[np.float32]
Lines = npt.NDArray[Any]
Box = tuple[int, int, int, int]  # top, left, height, width


def lines(image: npt.NDArray[Any]) -> Lines:
    """(h, w) or (h, w, C) as lines."""
    return image.reshape(image.shape[0], -1)


def box_mean(image: FloatArray, side: int) -> FloatArray:
    """The means of all windows of planes, float32: (h-side+1, w-side+1) or with the channels."""
    channels = image.shape[2] if image.ndim == 3 else 1
    out: FloatArray = window_sums(lines(image), side, channels)
    out *= np.float32(1 / side**2)
    return out.reshape(out.shape[0], -1, *image.shape[2:])


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


def around(windows: npt.NDArray[np.bool_], side: int, margin: int = 0) -> Box:
    """The smallest box around those windows of ``side`` that are marked by their top left place, ``margin`` further on.

    At least one has to be.
    """
    rows, cols = np.flatnonzero(windows.any(axis=1)), np.flatnonzero(windows.any(axis=0))
    top, left = int(rows[0]), int(cols[0])
    return top + margin, left + margin, int(rows[-1]) - top + side, int(cols[-1]) - left + side
