"""The defended pipeline as an attacker computes it: the windows of the read pixels, and what can be differentiated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator
from ..core.selection import Selection
from ..reconstruction.plan import Plan

__all__ = [
    "CandidateMeans",
    "Defended",
    "Expected",
    "Fill",
    "Middle",
    "Model",
    "Windows",
    "absolute",
    "candidate_means",
    "expected_random",
    "ranked",
    "restricted",
]

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of ``selection``, as views of a plane (H, W) that is padded by the windows' reach.

    K pixels a window, row by row. A *phase* is a set of read pixels (indices into ``selection.rows`` and ``.cols``)
    whose windows share no pixel, so that all of them can be written to at once; the phases hold every read pixel once
    whose row and column ``counts`` (bool, of the selection's rows and columns).
    """

    selection: Selection
    counts: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]

    @property
    def reach(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """``np.pad``'s argument."""
        half = self.selection.half
        return (half[0], half[0]), (half[1], half[1])

    @cached_property
    def phases(self) -> list[tuple[Array, Array]]:
        """(row indices, column indices), intp arrays; their outer product is the phase."""
        chosen = self.selection
        rows, cols = (
            _apart(index, np.flatnonzero(counts), 2 * half)
            for index, counts, half in zip((chosen.rows, chosen.cols), self.counts, chosen.half, strict=True)
        )
        return list(product(rows, cols))

    @cached_property
    def _free(self) -> Array:
        taken = np.multiply.outer(self.selection.read_rows, self.selection.read_cols)
        return ~np.pad(taken, self.reach, constant_values=True)

    def free(self, phase: tuple[Array, Array]) -> npt.NDArray[np.bool_]:
        """Which of a phase's window pixels are candidates, bool (n, K)."""
        return self.read(self._free, phase)

    def read(self, padded: Array, phase: tuple[Array, Array]) -> Array:
        """A copy of a phase's windows, (n, K)."""
        return np.asarray(self._view(padded)[self._places(phase)].reshape(-1, self.selection.window))

    def write(self, padded: Array, phase: tuple[Array, Array], values: Array) -> None:
        """Put (n, K) back."""
        shape = len(phase[0]), len(phase[1]), *(2 * half + 1 for half in self.selection.half)
        self._view(padded)[self._places(phase)] = values.reshape(shape)

    def inside(self, padded: Array) -> Array:
        """The plane (H, W) without its padding."""
        (top, _), (left, _) = self.reach
        return padded[top : top + self.selection.in_size[0], left : left + self.selection.in_size[1]]

    def _view(self, padded: Array) -> Array:
        shape = tuple(2 * half + 1 for half in self.selection.half)
        return np.lib.stride_tricks.sliding_window_view(padded, shape, writeable=True)

    def _places(self, phase: tuple[Array, Array]) -> tuple[Array, Array]:
        return self.selection.rows[phase[0]][:, None], self.selection.cols[phase[1]][None, :]


def _apart(index: Array, places: Array, reach: int) -> list[Array]:
    """``places`` in the ascending ``index``, in groups whose pixels lie more than ``reach`` apart; greedily."""
    groups: list[list[int]] = []
    for place in places.tolist():
        for group in groups:
            if index[place] - index[group[-1]] > reach:
                group.append(place)
                break
        else:
            groups.append([place])
    return [np.array(group) for group in groups]


def ranked(values: Array, first: Array) -> tuple[Array, Array]:
    """``values`` (n, K), whole numbers below 256, sorted along K, those of ``first`` before the others; and whence."""
    count = values.shape[1]
    word = np.uint16 if 512 * count < 1 << 16 else np.uint32
    keys: Array = values.astype(word)
    keys[~first] += 256
    keys *= count
    keys += np.arange(count, dtype=word)
    keys.sort(axis=1)  # many times as fast as argsort
    order, places = np.divmod(keys, word(count))
    return order.astype(np.int32), places.astype(np.int32)


# Reconstruction and scaler as one linear map.


class Fill(Protocol):
    """A linear map of images (H, W, C) to new values of the read pixels (rows, columns, C)."""

    def apply(self, image: FloatArray, /) -> FloatArray:
        """The new values."""

    def adjoint(self, values: FloatArray, /) -> FloatArray:
        """The transposed map."""


@dataclass(frozen=True, eq=False)
class CandidateMeans:
    """Each read pixel becomes the mean of its candidates, or of its footprint where it has none.

    What the random filter gives in the mean over all keys (Gao et al. 2022, section 4.2: its expectation is a
    convolution). The sum of a window's candidates is that of a box in the image whose read pixels are 0.
    """

    plan: Plan

    @cached_property
    def _share(self) -> FloatArray:
        """1 / candidates, (rows, columns, 1); 0 where there are none."""
        count = self.plan.selection.candidates[..., None]
        return np.where(count > 0, 1.0 / np.maximum(count, 1), 0.0)

    def apply(self, image: FloatArray) -> FloatArray:
        """(H, W, C) to (rows, columns, C)."""
        chosen = self.plan.selection
        unread = image.copy()
        unread[np.ix_(chosen.rows, chosen.cols)] = 0
        boxes = _boxes(_boxes(unread, chosen.rows, chosen.half[0], 0), chosen.cols, chosen.half[1], 1)
        return _with_footprints(boxes * self._share, image, self.plan)

    def adjoint(self, values: FloatArray) -> FloatArray:
        """(rows, columns, C) to (H, W, C)."""
        chosen, (height, width) = self.plan.selection, self.plan.selection.in_size
        out = _boxes_adjoint(values * self._share, chosen.cols, chosen.half[1], width, 1)
        out = _boxes_adjoint(out, chosen.rows, chosen.half[0], height, 0)
        out[np.ix_(chosen.rows, chosen.cols)] = 0
        return out + footprints_adjoint(values, self.plan) if self.plan.falls_back else out


def _boxes(image: FloatArray, index: Array, half: int, axis: int) -> FloatArray:
    """Sums over the ``half`` pixels to either side of each of ``index`` along ``axis``."""
    padded = np.pad(image, [(half + 1, half) if k == axis else (0, 0) for k in range(3)])
    sums = np.cumsum(padded, axis=axis)
    return np.asarray(np.take(sums, index + 2 * half + 1, axis) - np.take(sums, index, axis))


def _boxes_adjoint(values: FloatArray, index: Array, half: int, length: int, axis: int) -> FloatArray:
    shape = list(values.shape)
    shape[axis] = length + 2 * half + 1
    steps = np.moveaxis(np.zeros(shape), axis, 0)
    values = np.moveaxis(values, axis, 0)
    steps[index] += values  # no index occurs twice
    steps[index + 2 * half + 1] -= values
    return np.moveaxis(np.cumsum(steps, axis=0)[half : half + length], 0, axis)


def _with_footprints(values: FloatArray, image: FloatArray, plan: Plan) -> FloatArray:
    """``values`` (rows, columns, C), those replaced that the prefilter gives."""
    if plan.falls_back:
        rows, cols = (AxisOperator.of(taps) for taps in plan.footprints)
        values[np.ix_(*plan.fallback)] = cols.apply(rows.apply(image, 0), 1)
    return values


def footprints_adjoint(values: FloatArray, plan: Plan) -> FloatArray:
    """What ``values`` (rows, columns, C) of the pixels that fall back mean for the image (H, W, C)."""
    rows, cols = (AxisOperator.of(taps) for taps in plan.footprints)
    return cols.adjoint(rows.adjoint(values[np.ix_(*plan.fallback)], 0), 1)


@dataclass(frozen=True, eq=False)
class Defended:
    """``x -> scale(fill(x))``, a :class:`secure_resize.solver.Linear`: (H, W, C) to (h, w, C), float64."""

    operator: ScalingOperator  # of the read pixels alone
    fill: Fill
    norm: float  # an upper bound of the spectral norm

    def apply(self, image: FloatArray) -> FloatArray:
        """The output."""
        return self.operator.apply(self.fill.apply(image))

    def adjoint(self, image: FloatArray) -> FloatArray:
        """The transposed map."""
        return self.fill.adjoint(self.operator.adjoint(image))


def candidate_means(plan: Plan, operator: ScalingOperator) -> Defended:
    """The random filter's expectation and the scaler after it, whose ``operator`` is that of the whole image."""
    small = restricted(operator, plan.selection)
    fill = CandidateMeans(plan)
    # ‖M‖² <= ‖|M|‖₁ · ‖|M|‖∞, and the fill's weights are not negative.
    size = Defended(absolute(small), fill, 0.0)
    rows, cols = size.apply(np.ones((*operator.in_size, 1))), size.adjoint(np.ones((*operator.out_size, 1)))
    return Defended(small, fill, math.sqrt(rows.max() * cols.max()))


def restricted(operator: ScalingOperator, selection: Selection) -> ScalingOperator:
    """``operator`` as a map of the read pixels (rows, columns, C) alone."""
    return ScalingOperator(_restricted(operator.rows, selection.rows), _restricted(operator.cols, selection.cols))


def _restricted(axis: AxisOperator, index: Array) -> AxisOperator:
    """The columns ``index``, ascending, of the matrix; what they leave of a band is a band."""
    first = np.searchsorted(index, axis.start)
    width = max(1, int((np.searchsorted(index, axis.start + axis.width) - first).max()))
    start = np.minimum(first, len(index) - width)
    taps = index[start[:, None] + np.arange(width)] - axis.start[:, None]
    inside = (taps >= 0) & (taps < axis.width)
    weights = np.take_along_axis(axis.weights, np.clip(taps, 0, axis.width - 1), axis=1) * inside
    return AxisOperator(len(index), axis.n_out, start, weights)


def absolute(operator: ScalingOperator) -> ScalingOperator:
    """The absolute values of the weights."""
    axes = (
        AxisOperator(axis.n_in, axis.n_out, axis.start.copy(), np.abs(axis.weights))
        for axis in (operator.rows, operator.cols)
    )
    return ScalingOperator(next(axes), next(axes))


# What can be differentiated (Gao et al. 2022, section 4).


class Model(Protocol):
    """What an attacker can compute of the defended pipeline, and differentiate."""

    @property
    def slope(self) -> float:
        """By how much half the error's derivative changes at most, per change of the image."""

    def output(self, image: FloatArray, /) -> FloatArray:
        """The output (h, w, C) that is to be expected."""

    def error(self, image: FloatArray, target: FloatArray, /) -> float:
        """The sum of the output's squared errors that is to be expected."""

    def slope_at(self, image: FloatArray, target: FloatArray, /) -> FloatArray:
        """Half the error's derivative, (H, W, C)."""


@dataclass(frozen=True, eq=False)
class Expected:
    """The random filter, exactly, in the mean over all keys.

    The read pixels are drawn independently, each from its candidates: E‖scale(x̃) - T‖² = ‖M x - T‖² + Σ_p w_p Var_p(x),
    M being the expectation's operator, w_p the sum of the squared weights of read pixel p in all outputs, and Var_p the
    variance of its candidates. It is convex in x.
    """

    mean: Defended
    square: FloatArray  # w_p, (rows, columns, 1)

    @cached_property
    def _pulled(self) -> FloatArray:
        return self.mean.fill.adjoint(self.square)

    @property
    def slope(self) -> float:
        """Of ‖M x - T‖² and of the variances, means of squares less squares."""
        return self.mean.norm**2 + float(self._pulled.max())

    def output(self, image: FloatArray) -> FloatArray:
        """M x."""
        return self.mean.apply(image)

    def error(self, image: FloatArray, target: FloatArray) -> float:
        """See :class:`Model`."""
        drawn = self.mean.fill.apply(image)
        missing = self.mean.operator.apply(drawn) - target
        squares = float((self._pulled * image**2).sum()) - float((self.square * drawn**2).sum())
        return float((missing**2).sum()) + squares

    def slope_at(self, image: FloatArray, target: FloatArray) -> FloatArray:
        """See :class:`Model`."""
        fill, scale = self.mean.fill, self.mean.operator
        drawn = fill.apply(image)
        pulled = scale.adjoint(scale.apply(drawn) - target) - self.square * drawn
        return fill.adjoint(pulled) + self._pulled * image


@dataclass(frozen=True, eq=False)
class Middle:
    """The median filter; its derivative is taken for that of the mean of the 20th to the 80th percentile."""

    plan: Plan
    windows: Windows
    mean: Defended

    @cached_property
    def _free(self) -> list[Array]:
        """Of each phase."""
        return [self.windows.free(phase) for phase in self.windows.phases]

    @property
    def slope(self) -> float:
        """A window's weights are at most 1 / 0.6 of those of the mean of all candidates."""
        return self.mean.norm**2 / 0.6

    def output(self, image: FloatArray) -> FloatArray:
        """The output of the image in whole levels, before the scaler's own rounding."""
        return self.mean.operator.apply(self._medians(image)[0])

    def error(self, image: FloatArray, target: FloatArray) -> float:
        """See :class:`Model`."""
        return float(((self.output(image) - target) ** 2).sum())

    def slope_at(self, image: FloatArray, target: FloatArray) -> FloatArray:
        """See :class:`Model`."""
        medians, shares = self._medians(image)
        missing = self.mean.operator.apply(medians) - target
        pulled = self.mean.operator.adjoint(missing)
        out, windows = np.zeros(image.shape), self.windows
        if self.plan.falls_back:
            out += footprints_adjoint(pulled, self.plan)
        for channel, phases in enumerate(shares):
            plane = np.pad(out[..., channel], windows.reach)
            for phase, share in zip(windows.phases, phases, strict=True):
                values = pulled[phase[0][:, None], phase[1], channel].reshape(-1, 1)
                windows.write(plane, phase, windows.read(plane, phase) + share * values)
            out[..., channel] = windows.inside(plane)
        return out

    def _medians(self, image: FloatArray) -> tuple[FloatArray, list[list[Array]]]:
        """The read pixels' new values (rows, columns, C), and the weights of each channel's and phase's windows."""
        levels = np.round(image).astype(np.uint8)
        chosen, shares = self.plan.selection, []
        # Where there are no candidates, the means of the footprints.
        medians = np.zeros((len(chosen.rows), len(chosen.cols), image.shape[2]))
        medians = _with_footprints(medians, levels.astype(np.float64), self.plan)
        for channel in range(image.shape[2]):
            plane, phases = np.pad(levels[..., channel], self.windows.reach), []
            for phase, free in zip(self.windows.phases, self._free, strict=True):
                middle, share = _trimmed(self.windows.read(plane, phase), free)
                places = phase[0][:, None], phase[1], channel
                has = free.any(axis=1).reshape(len(phase[0]), -1)
                medians[places] = np.where(has, middle.reshape(has.shape), medians[places])
                phases.append(share)
            shares.append(phases)
        return medians, shares


def _trimmed(values: Array, free: Array) -> tuple[Array, Array]:
    """Of windows (n, K): the lower medians, and the weights of the mean of the 20th to the 80th percentile, float32."""
    order = np.where(free, values, np.uint16(256))  # 16 bits: numpy sorts 8 more slowly
    order.sort(axis=1)
    last = np.maximum(free.sum(axis=1) - 1, 0)
    ends = np.floor(0.2 * last).astype(np.intp), last // 2, np.ceil(0.8 * last).astype(np.intp)
    low, middle, high = (np.take_along_axis(order, end[:, None], axis=1) for end in ends)
    inside = free & (values >= low) & (values <= high)
    share = inside * (1 / np.maximum(inside.sum(axis=1), 1)).astype(np.float32)[:, None]
    return middle[:, 0], share


def expected_random(plan: Plan, operator: ScalingOperator) -> Expected:
    """The random filter of ``plan`` and the scaler whose ``operator`` is given."""
    mean = candidate_means(plan, operator)
    squared = ScalingOperator(_squared(mean.operator.rows), _squared(mean.operator.cols))
    square = squared.adjoint(np.ones((*operator.out_size, 1)))
    square[np.ix_(*plan.fallback)] = 0  # a mean is not drawn
    return Expected(mean, square)


def _squared(axis: AxisOperator) -> AxisOperator:
    return AxisOperator(axis.n_in, axis.n_out, axis.start.copy(), axis.weights**2)
