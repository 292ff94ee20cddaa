"""What the usual sampling filters read, in closed form: coefficient matrices of other libraries' resizes.

Image reconstruction has to know which pixels a scaler reads. Asking the scaler (:mod:`.probe`) takes its time at every
new size; for the scalers whose row in :mod:`.scalers` names a filter of this module the answer is known.
``tests/test_reconstruct.py`` asks the libraries whether it is right. A filter whose weights change with the ratio
(antialiasing, ``area``) is not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator

__all__ = ["CORNER", "CUBIC", "CUBIC_SHARP", "LINEAR", "NEAREST", "SampledAxis", "Sampling", "sampled_axis"]

Array = npt.NDArray[Any]

# Libraries compute where an output lies in float32, each in its own order of operations; what they get lies within this
# many units in the last place of the source coordinate.
_ULPS = 8 * 2.0**-24


@dataclass(frozen=True)
class Sampling:
    """A filter of fixed width. Output i looks at (i + ½)·β - ½, or with ``corner`` at i·β, in source pixels.

    ``support`` is the kernel's half-width, 0 for nearest, which takes the pixel ⌊(i + ½)·β⌋, or ⌊i·β⌋; ``kernel`` gives
    the weight at a distance of less than that. (Some libraries bend it at the border, or with the dtype: how much a
    pixel counts is for a probe to say. Which pixels count is not bent.)
    """

    support: int
    kernel: Callable[[Array], Array] | None = None
    corner: bool = False


def _triangle(x: Array) -> Array:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _keys(a: float) -> Callable[[Array], Array]:
    """Cubic convolution (R. Keys, IEEE TASSP 29(6), 1981)."""

    def kernel(x: Array) -> Array:
        x = np.abs(x)
        inner, outer = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
        return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))

    return kernel


CORNER, NEAREST = Sampling(0, corner=True), Sampling(0)
LINEAR = Sampling(1, _triangle)
CUBIC, CUBIC_SHARP = Sampling(2, _keys(-0.5)), Sampling(2, _keys(-0.75))


@dataclass(frozen=True, eq=False)
class SampledAxis:
    """One axis of a sampling filter: its ``operator``, and all that the library may read as bool (n_in,).

    ``read`` holds every pixel of nonzero weight, and those next to them that rounding may bring in: an output that lies
    within float32's precision of a source pixel's edge or centre may be taken for one on either side of it.
    """

    operator: AxisOperator
    read: npt.NDArray[np.bool_]
    gain: float  # σmax · √β


@lru_cache(maxsize=1024)
def sampled_axis(filter: Sampling, n_in: int, n_out: int) -> SampledAxis:
    """The axis n_in → n_out of ``filter``."""
    i = np.arange(n_out, dtype=np.int64)
    # In units of 1 / 2·n_out source pixels, so that whole numbers are exact.
    position = 2 * i * n_in if filter.corner else (2 * i + 1) * n_in
    unit = 2 * n_out
    # A whole ratio is exact in floating point, unless it was taken for the reciprocal of its reciprocal (1 / (1 / 49)).
    guard = 0.0 if n_in % n_out == 0 and 1.0 / (n_out / n_in) == n_in // n_out else n_in * _ULPS
    reach = max(filter.support, 1)
    if filter.kernel is None:
        taps = (position // unit)[:, None]
        weights = np.ones((n_out, 1))
        fraction = (position % unit) / unit
        near = [taps[:, 0] - (fraction < guard), taps[:, 0] + (fraction > 1 - guard)]
    else:
        position = position - n_out
        first = position // unit
        fraction = (position % unit) / unit
        taps = first[:, None] + np.arange(1 - reach, reach + 1)
        weights = filter.kernel(taps - (first + fraction)[:, None])
        whole, low, high = fraction == 0, fraction <= guard, fraction >= 1 - guard
        # On a pixel's centre, exactly, the other weights are 0.
        near = [first - (reach - 1) * ~whole, first + reach * ~whole]
        if guard:
            near += [first - reach * low, first + reach * low, first + (1 + reach) * high]
            near[0], near[1] = first - (reach - 1), first + reach
    read = np.zeros(n_in, bool)
    lows, highs = np.minimum.reduce(near), np.maximum.reduce(near)
    for offset in range(2 * reach + 3):
        read[np.clip(np.minimum(lows + offset, highs), 0, n_in - 1)] = True
    operator = _banded(n_in, n_out, np.clip(taps, 0, n_in - 1), weights)
    read.flags.writeable = False
    return SampledAxis(operator, read, operator.norm * np.sqrt(n_in / n_out))


def _banded(n_in: int, n_out: int, taps: Array, weights: Array) -> AxisOperator:
    """Weights (n_out, k) of pixels ``taps`` inside the axis, where a pixel may occur more than once."""
    width = min(weights.shape[1], n_in)
    start = np.minimum(taps[:, 0], n_in - width)
    banded = np.zeros((n_out, width))
    np.add.at(banded, (np.arange(n_out)[:, None], taps - start[:, None]), weights)
    return AxisOperator(n_in, n_out, start, banded)
