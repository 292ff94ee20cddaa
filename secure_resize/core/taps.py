"""Fixed-point tables of one axis: what the integer arithmetic of uint8 and uint16 images really multiplies with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .operator import area_overlaps, axis_operator

__all__ = ["PRECISION_BITS", "Taps", "area_taps", "fixed_point", "fixed_taps"]

# Pillow's: 32 bits less 8 for the pixel and 2 for the sign and the overshoot of negative lobes.
PRECISION_BITS = 22


@dataclass(frozen=True, eq=False)
class Taps:
    """Output i of an axis is ``sum(weights[i, k] * pixel[start[i] + k]) / unit``, all integers.

    ``start`` is int32 (n_out,), ``weights`` int32 (n_out, width), zero-padded; ``0 <= start`` and
    ``start + width <= n_in``.
    """

    n_in: int
    n_out: int
    start: npt.NDArray[np.int32]
    weights: npt.NDArray[np.int32]
    unit: int

    def __post_init__(self) -> None:
        for array in (self.start, self.weights):
            array.flags.writeable = False  # plans are cached and shared

    @property
    def width(self) -> int:
        """Taps stored per output pixel."""
        return int(self.weights.shape[1])


@lru_cache(maxsize=128)
def area_taps(n_in: int, n_out: int) -> Taps:
    """The exact weights of ``area``: small integers, every row sums to ``unit`` = n_in / gcd(n_in, n_out)."""
    start, overlaps, unit = area_overlaps(n_in, n_out)
    return Taps(n_in, n_out, start.astype(np.int32), overlaps.astype(np.int32), unit)


@lru_cache(maxsize=128)
def fixed_taps(n_in: int, n_out: int, kernel: str, *, sum_exactly: bool) -> Taps:
    """The kernel's weights in units of 2⁻²², rounded half away from zero as Pillow's ``normalize_coeffs_8bpc`` does.

    Rounding leaves a row's sum off 2²² by at most half a unit per tap: nothing at 8 bits (and Pillow's bytes need it
    so), but up to a whole level at 16. With ``sum_exactly`` the largest tap of each row takes up the difference, so
    that constants stay constant.
    """
    operator = axis_operator(n_in, n_out, kernel)
    weights = fixed_point(operator.weights, sum_exactly).astype(np.int32)
    return Taps(n_in, n_out, operator.start.astype(np.int32), weights, 1 << PRECISION_BITS)


def fixed_point(weights: Any, sum_exactly: bool, xp: Any = np) -> Any:
    """The float64 ``weights`` (n_out, width) as int64 in units of 2⁻²²; ``xp`` as in :mod:`..kernels`."""
    unit = 1 << PRECISION_BITS
    scaled = weights * float(unit)
    taps = xp.where(scaled < 0.0, scaled - 0.5, scaled + 0.5).astype(np.int64)  # the cast truncates, like C's
    if sum_exactly:
        largest = xp.abs(taps) == xp.max(xp.abs(taps), axis=1, keepdims=True)
        first = largest & (xp.cumsum(xp.where(largest, 1, 0), axis=1) == 1)
        taps = xp.where(first, taps + (unit - xp.cumsum(taps, axis=1)[:, -1:]), taps)
    return taps
