"""What the detectors ask of the outputs of a scaler: sums over windows, second differences, how far they stand out.

Planes are (h, w) or (h, w, C); lines are the same as (h, w·C), where a pixel further on is C numbers further on. The
numpy specification: the C extension rounds every sum in the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "SIDES",
    "line_energy",
    "second_difference",
    "stand_out",
    "window_sums",
    "worst_window",
]

FloatArray = npt.NDArray[np.float32]
Lines = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

SIDES = (3, 5, 9)  # of windows


def window_sums(image: Lines, side: int, channels: int) -> Lines:
    """The sums of all windows of ``side`` x ``side`` that lie inside lines: (h-side+1, (w-side+1)·C).

    By adding shifted copies, not by differences of running sums, whose rounding would depend on the rest of the
    picture. Numbers of 16 bits have to fit the sums of 25; those of 81 are float32.
    """
    down = _sums(image, side, 1)
    if side == 9 and down.dtype == np.int16:
        return _sums(_sums(down, 3, channels, across=True).astype(np.float32), 3, 3 * channels, across=True)
    return _sums(down, side, channels, across=True)


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


def second_difference(
    middle: Image, left: Image, right: Image, above: Image, below: Image
) -> tuple[npt.NDArray[np.int16], FloatArray]:
    """Twice ``middle`` minus both neighbours on a line, on that of two lines where it has less energy.

    All uint8 (h, w, C), the border is left out: lines (h-2, (w-2)·C), and their energy over the channels (h-2, w-2).
    """
    channels = middle.shape[2]
    across, down = (
        2 * _inside(middle) - _inside(before) - _inside(after) for before, after in ((left, right), (above, below))
    )
    energies = line_energy(across, channels), line_energy(down, channels)
    nearer = energies[0] < energies[1]
    return np.where(np.repeat(nearer, channels, axis=1), across, down), np.minimum(*energies)


def _inside(image: Image) -> npt.NDArray[np.int16]:
    inner = image[1:-1, 1:-1].astype(np.int16)
    return inner.reshape(inner.shape[0], -1)


def stand_out(
    lines: npt.NDArray[np.int16] | None, energy: FloatArray, near: FloatArray, side: int, channels: int
) -> FloatArray:
    """Of all windows of ``side`` (one of SIDES), how far what is in it stands out of what is ``near``.

    The square of the mean of ``lines`` (h, w·C), over the variance inside and ``near`` (h, w) at the window's middle;
    without lines that of the mean of the roots of ``energy`` (h, w), over ``near`` alone. (h-side+1, w-side+1).
    """
    margin = side // 2
    near = near[margin : near.shape[0] - margin, margin : near.shape[1] - margin]
    if lines is None:
        roots = window_sums(np.sqrt(energy), side, 1)
        roots *= roots
        roots *= np.float32(1 / side**3)
        roots /= near
        return roots
    mean = line_energy(window_sums(lines, side, channels), channels)
    mean *= np.float32(1 / side**4)
    inside: FloatArray = window_sums(energy, side, 1)
    inside *= np.float32(1 / side**2)
    inside -= mean
    np.maximum(inside, 0, out=inside)
    inside += near
    mean *= np.float32(side**2)
    mean /= inside
    return mean


def worst_window(values: FloatArray, side: int) -> tuple[float, tuple[int, int]]:
    """The largest mean of ``side`` x ``side`` neighbours of (h, w), fewer where there are fewer, and its place."""
    down, across = min(side, values.shape[0]), min(side, values.shape[1])
    rows, cols = values.shape[0] - down + 1, values.shape[1] - across + 1
    sums = values[:rows].copy()
    for k in range(1, down):
        sums += values[k : k + rows]
    total = sums[:, :cols].copy()
    for k in range(1, across):
        total += sums[:, k : k + cols]
    row, col = divmod(int(np.argmax(total)), cols)
    return float(total[row, col] / np.float32(down * across)), (row, col)
