"""The weights of one axis: the one description from which everything that scales is made.

:class:`Taps` holds an axis's banded coefficient matrix, in real numbers or in integers over a common unit. Everything
else is converted from it where it is needed: :class:`~.operator.AxisOperator` adds the algebra to the real ones,
:mod:`.native` hands them to C, which makes each instruction set's own tables of them, and the TensorFlow integration
makes tensors of them.

The functions of the weights are written against a namespace ``xp``, like the kernels: where the sizes are known only
when a graph runs, the TensorFlow integration evaluates them in the graph. There the sizes are scalar arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .kernels import Kernel, get_kernel

__all__ = [
    "PRECISION_BITS",
    "Taps",
    "area_taps",
    "axis_weights",
    "fixed_point",
    "fixed_taps",
    "integrated_weights",
    "sampled_weights",
]

# Pillow's: 32 bits less 8 for the pixel and 2 for the sign and the overshoot of negative lobes.
PRECISION_BITS = 22


@dataclass(frozen=True, eq=False)
class Taps:
    """Output i of an axis is ``sum(weights[i, k] * pixel[start[i] + k]) / unit``.

    ``start`` is int64 (n_out,), ``weights`` (n_out, width), int32 or float64; rows with fewer taps are padded with
    zeros, and ``0 <= start`` and ``start + width <= n_in`` hold for every row.
    """

    n_in: int
    n_out: int
    start: npt.NDArray[np.int64]
    weights: npt.NDArray[Any]
    unit: int = 1

    def __post_init__(self) -> None:
        if self.start.shape != (self.n_out,) or self.weights.shape[:1] != (self.n_out,) or self.weights.ndim != 2:
            raise ValueError(
                f"start must have shape ({self.n_out},) and weights ({self.n_out}, width); "
                f"got {self.start.shape} and {self.weights.shape}"
            )
        if self.n_out < 1 or self.width < 1:
            raise ValueError(f"an axis has at least 1 output and 1 tap; got {self.n_out} and {self.width}")
        if self.start.min() < 0 or self.start.max() + self.width > self.n_in:
            raise ValueError(
                f"taps reach outside the axis of {self.n_in} pixels: width {self.width}, start {self.start}"
            )
        for array in (self.start, self.weights):
            array.flags.writeable = False  # weights are cached and shared

    @property
    def width(self) -> int:
        """Taps stored per output pixel."""
        return int(self.weights.shape[1])


@lru_cache(maxsize=128)
def area_taps(n_in: int, n_out: int) -> Taps:
    """The exact weights of ``area``: small integers, every row sums to ``unit`` = n_in / gcd(n_in, n_out)."""
    return _integers(n_in, n_out, *axis_weights(n_in, n_out, get_kernel("area"), "uint8"))


@lru_cache(maxsize=128)
def fixed_taps(n_in: int, n_out: int, kernel: str, *, sum_exactly: bool) -> Taps:
    """The kernel's weights in units of 2⁻²², as :func:`fixed_point` rounds them."""
    dtype = "uint16" if sum_exactly else "uint8"
    return _integers(n_in, n_out, *axis_weights(n_in, n_out, get_kernel(kernel), dtype))


def _integers(n_in: int, n_out: int, start: Any, weights: Any, unit: int) -> Taps:
    return Taps(n_in, n_out, start, weights.astype(np.int32), unit)


def axis_weights(n_in: Any, n_out: Any, kernel: Kernel, dtype: str, xp: Any = np) -> tuple[Any, Any, Any]:
    """What an axis of an image of ``dtype`` is multiplied with: start (n_out,), weights (n_out, width) and their unit.

    ``"float32"``: float64 weights, of unit 1. ``"uint8"`` and ``"uint16"``: int64 ones, the exact overlaps for an
    integrated kernel (``area``), :func:`fixed_point`'s for the others; for uint16 each row sums exactly to the unit.
    """
    if kernel.integrated:
        # In units of 1/n_out source pixels, pixel j covers [j·n_out, (j+1)·n_out) and output i [i·n_in, (i+1)·n_in).
        # Both sizes divided by what they share give the smallest integers that are exact (in a graph: as they are).
        shared = math.gcd(n_in, n_out) if xp is np else 1
        total = n_in // shared
        start, overlaps = integrated_weights(n_in, n_out, total, n_out // shared, xp)
        return (start, overlaps / total, 1) if dtype == "float32" else (start, overlaps, total)
    start, weights = sampled_weights(n_in, n_out, kernel, xp)
    if dtype == "float32":
        return start, weights, 1
    return start, fixed_point(weights, dtype == "uint16", xp), 1 << PRECISION_BITS


def integrated_weights(n_in: Any, n_out: Any, big: Any, small: Any, xp: Any = np) -> tuple[Any, Any]:
    """start (n_out,) and integer overlaps (n_out, width); a row sums to ``big``, a whole pixel weighs ``small``."""
    left = xp.arange(n_out)[:, None] * big
    first = left // small
    width = (-(-(left + big) // small) - first).max()
    first = xp.minimum(first, n_in - width)
    pixel = (first + xp.arange(width)) * small
    overlaps = xp.minimum(pixel + small, left + big) - xp.maximum(pixel, left)
    return first[:, 0], xp.maximum(overlaps, 0)


def sampled_weights(n_in: Any, n_out: Any, kernel: Kernel, xp: Any = np) -> tuple[Any, Any]:
    """Pillow's ``precompute_coeffs``, in its order of operations, for a kernel sampled at the pixels' centres."""
    scale = n_in / n_out
    stretch = xp.maximum(scale, 1.0)  # the kernel widens with the ratio: the antialiasing itself
    support = kernel.support * stretch
    center = (xp.arange(n_out) + 0.5) * scale
    first = xp.maximum((center - support + 0.5).astype(np.int64), 0)  # the cast truncates, like C's
    last = xp.minimum((center + support + 0.5).astype(np.int64), n_in)
    width = (last - first).max()
    start = xp.minimum(first, n_in - width)
    pixel = start[:, None] + xp.arange(width)
    weights = kernel.function((pixel - center[:, None] + 0.5) * (1.0 / stretch), xp)
    weights = xp.where((pixel >= first[:, None]) & (pixel < last[:, None]), weights, 0.0)
    # cumsum adds from left to right as Pillow does; numpy's sum adds in pairs and rounds differently.
    weights = weights / xp.cumsum(weights, axis=1)[:, -1:]
    # The sine of a multiple of the rounded π is not exactly 0. That is too small for any 22-bit tap, but a pixel that
    # is not read must not count as read, nor pass on its NaN.
    return start, xp.where(xp.abs(weights) < 2.0**-48, 0.0, weights)


def fixed_point(weights: Any, sum_exactly: bool, xp: Any = np) -> Any:
    """The float64 ``weights`` (n_out, width) as int64 in units of 2⁻²².

    Rounded half away from zero, as Pillow's ``normalize_coeffs_8bpc`` does. That leaves a row's sum off 2²² by at most
    half a unit per tap: nothing at 8 bits (and Pillow's bytes need it so), but up to a whole level at 16. With
    ``sum_exactly`` the largest tap of each row takes up the difference, so that constants stay constant.
    """
    unit = 1 << PRECISION_BITS
    scaled = weights * float(unit)
    taps = xp.where(scaled < 0.0, scaled - 0.5, scaled + 0.5).astype(np.int64)  # the cast truncates, like C's
    if sum_exactly:
        largest = xp.abs(taps) == xp.max(xp.abs(taps), axis=1, keepdims=True)
        first = largest & (xp.cumsum(xp.where(largest, 1, 0), axis=1) == 1)
        taps = xp.where(first, taps + (unit - xp.cumsum(taps, axis=1)[:, -1:]), taps)
    return taps
