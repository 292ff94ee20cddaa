"""The quadratic program behind every image-scaling attack: the least change that brings the output where it should be.

For a linear scaler M and a source image s: minimise ½‖x - s‖² such that 0 <= x <= 255 and M x lies within some levels
of the target, pixel by pixel (Xiao et al., USENIX Security 2019, section 4; they solve it column by column, first along
one axis and then along the other) or in the mean square, which is what PSNR counts.
Here the whole image is one program, solved through its dual: every λ, one number an output, gives an image
x(λ) = clip(s + Mᵀλ, 0, 255) and proves a lower bound on the change of any other. Where both meet, both are optimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator

__all__ = ["FEASIBLE", "Between", "Goal", "Linear", "Near", "Solution", "dual_value", "least_change", "reach"]

FloatArray = npt.NDArray[np.float64]
# Levels by which the output may miss its goal at the end.
FEASIBLE = 0.05
MAX_ITERATIONS = 10**6


class Linear(Protocol):
    """Any linear map of images: ``apply`` takes (H, W, C) to (h, w, C), ``adjoint`` back; float64.

    ``norm`` is its spectral norm, or an upper bound of it: the closer, the faster.
    """

    @property
    def norm(self) -> float:
        """σmax."""

    def apply(self, image: FloatArray, /) -> FloatArray:
        """M x."""

    def adjoint(self, image: FloatArray, /) -> FloatArray:
        """Mᵀ y."""


@dataclass(frozen=True, eq=False)
class Solution:
    """An image and the proof of how good it is.

    ``image`` float64 (H, W, C) in [0, 255]; ``dual`` λ (h, w, C); ``change`` = ½‖image - source‖²; ``bound``: what λ
    proves ½‖·‖² to be at least, for every image that meets the goal; ``violation``: by how many levels ``image`` misses
    it; ``largest``: what ½‖·‖² cannot exceed in the box unless pixels
    change that do not count.
    """

    image: FloatArray = field(repr=False)
    dual: FloatArray = field(repr=False)
    change: float
    bound: float
    violation: float
    largest: float
    iterations: int

    @property
    def gap(self) -> float:
        """The relative duality gap: the change is at most this share above (or, violated, below) the optimum's."""
        return abs(self.change - self.bound) / max(self.change, self.bound, 1.0)

    @property
    def feasible(self) -> bool:
        """Whether the image meets the goal, to a twentieth of a level."""
        return self.violation <= FEASIBLE

    @property
    def infeasible(self) -> bool:
        """Whether λ proves that no image in the box meets the goal."""
        return self.bound > self.largest * (1 + 1e-9)


class Goal(Protocol):
    """Where the output should come to: a convex set of output changes t (h, w, C)."""

    def support(self, dual: FloatArray) -> float:
        """min λᵀt over the set."""

    def ascended(self, dual: FloatArray, step: float) -> FloatArray:
        """The proximal step: the λ' that maximises support(λ') - ‖λ' - λ‖² / 2·step."""

    def missing(self, change: FloatArray) -> float:
        """How far outside the set ``change`` lies, in levels."""

    def arranged(self, order: Callable[[FloatArray], FloatArray]) -> Goal:
        """The same with its arrays passed through ``order``."""


@dataclass(frozen=True, eq=False)
class Between:
    """Every output moves by at least ``low`` and at most ``high``, float64 (h, w, C); infinite where it is free."""

    low: FloatArray
    high: FloatArray

    def support(self, dual: FloatArray) -> float:
        """Σ low·λ⁺ - high·λ⁻."""
        with np.errstate(invalid="ignore"):  # 0 · ∞: an output that need not move that way
            return float(np.where(dual > 0, self.low * dual, np.where(dual < 0, self.high * dual, 0.0)).sum())

    def ascended(self, dual: FloatArray, step: float) -> FloatArray:
        """Each output on its own."""
        up, down = dual + step * self.low, dual + step * self.high
        return np.where(up > 0, up, np.where(down < 0, down, 0.0))

    def missing(self, change: FloatArray) -> float:
        """Of the output that is furthest outside its interval."""
        return float(max((self.low - change).max(), (change - self.high).max(), 0.0))

    def arranged(self, order: Callable[[FloatArray], FloatArray]) -> Between:
        """The same with its arrays passed through ``order``."""
        return Between(order(self.low), order(self.high))


@dataclass(frozen=True, eq=False)
class Near:
    """The output moves by ``change``, float64 (h, w, C), but for a root mean square of ``error`` levels."""

    change: FloatArray
    error: float

    @property
    def radius(self) -> float:
        """The 2-norm of the most that the whole output may miss."""
        return self.error * math.sqrt(self.change.size)

    def support(self, dual: FloatArray) -> float:
        """λᵀ change - radius · ‖λ‖."""
        return float(np.vdot(dual, self.change) - self.radius * np.linalg.norm(dual))

    def ascended(self, dual: FloatArray, step: float) -> FloatArray:
        """Towards the centre, and back by the radius."""
        moved = dual + step * self.change
        norm = float(np.linalg.norm(moved))
        return moved * max(0.0, 1.0 - step * self.radius / norm) if norm else moved

    def missing(self, change: FloatArray) -> float:
        """The root mean square beyond ``error``."""
        return max(0.0, float(np.linalg.norm(change - self.change)) / math.sqrt(self.change.size) - self.error)

    def arranged(self, order: Callable[[FloatArray], FloatArray]) -> Near:
        """The same with its array passed through ``order``."""
        return Near(order(self.change), self.error)


def reach(now: FloatArray, target: FloatArray, tolerance: float) -> Between:
    """From where to where each output may move, relative to ``now``: to within ``tolerance`` of the target.

    And beyond, where the output is cut off at 0 and 255 anyway.
    """
    low = np.where(target - tolerance <= 0, -np.inf, target - tolerance - now)
    high = np.where(target + tolerance >= 255, np.inf, target + tolerance - now)
    return Between(low, high)


def least_change(
    source: FloatArray,
    operator: ScalingOperator | Linear,
    goal: Goal,
    *,
    iterations: int = 500,
    tolerance: float = 1e-4,
) -> Solution:
    """The image in [0, 255] nearest to ``source`` whose output moves to where the ``goal`` is.

    Parameters
    ----------
    source
        float64 (H, W, C) in [0, 255].
    operator
        A ScalingOperator, or any other linear map of images. Where a scaler's outputs share no source pixel (nearest at
        ratios above 1, linear from 2, cubic from 4) and the goal is :class:`Between`, each output's λ is found on its
        own and exactly. Otherwise by
        accelerated proximal ascent of the dual (Beck & Teboulle, SIAM J. Imaging Sciences 2009) with restarts
        (O'Donoghue & Candès 2015).
    goal
        :class:`Between`, or :class:`Near`, in levels.
    iterations, tolerance
        The ascent ends after so many steps, or where the duality gap is below ``tolerance`` and the goal is met.

    Raises
    ------
    ValueError
        ``iterations`` not between 1 and 10⁶, a negative ``tolerance``, an operator of zeros, which moves nothing.
    TypeError
        ``iterations`` that are no whole number.
    """
    if isinstance(iterations, bool) or not isinstance(iterations, (int, np.integer)):
        raise TypeError(f"iterations must be a whole number, got {iterations!r} ({type(iterations).__name__})")
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must lie between 1 and {MAX_ITERATIONS}, got {iterations}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a number >= 0, got {tolerance!r}")
    if isinstance(operator, ScalingOperator) and not (operator.rows.weights.any() and operator.cols.weights.any()):
        raise ValueError("the operator is zero: no source pixel moves any output")
    if isinstance(operator, ScalingOperator):
        if isinstance(goal, Between) and _disjoint(operator.rows) and _disjoint(operator.cols):
            return _apart(source, operator, goal)
        return _on_what_is_read(source, operator, goal, iterations, tolerance)
    return _ascend(source, operator, goal, iterations, tolerance)


def dual_value(dual: FloatArray, pulled: FloatArray, source: FloatArray, goal: Goal) -> float:
    """What ``dual`` = λ proves: a lower bound on ½‖x - source‖² of every x in the box that moves the output so.

    ``pulled`` = Mᵀλ. Let g = Mᵀλ and δ = x - s. Then λᵀMδ is at least the goal's ``support``, and ½‖δ‖² >=
    (½‖δ‖² - gᵀδ) + λᵀMδ, whose first part is least, pixel by pixel, at δ = g cut off to the box.
    """
    cut = np.clip(pulled, -source, 255 - source)
    return float((cut * (0.5 * cut - pulled)).sum()) + goal.support(dual)


def _largest(source: FloatArray) -> float:
    return float(0.5 * (np.maximum(source, 255 - source) ** 2).sum())


# Outputs that share no source pixel.


def _disjoint(axis: AxisOperator) -> bool:
    return bool(np.all(np.diff(axis.start) >= axis.width))


def _apart(source: FloatArray, operator: ScalingOperator, goal: Between) -> Solution:
    """Each output on its own: its pixels move by λ·weight until they reach the box's side, which makes λ grow."""
    rows, cols = operator.rows, operator.cols
    taps = [(a, b) for a in range(rows.width) for b in range(cols.width)]
    places = [np.ix_(rows.start + a, cols.start + b) for a, b in taps]
    # One row a tap and one column an output, channels included.
    pixels = np.stack([source[place].ravel() for place in places])
    weights = np.stack([np.repeat(np.outer(rows.weights[:, a], cols.weights[:, b]), source.shape[2]) for a, b in taps])
    wanted = np.clip(0.0, goal.low, goal.high)
    up = (weights > 0) == (wanted.ravel() > 0)  # which way each pixel moves
    size = np.abs(weights)
    room = np.where(up, 255 - pixels, pixels)
    need = np.abs(wanted).ravel()
    factor = _grow(size, room, need)
    with np.errstate(invalid="ignore"):  # ∞ · 0, as below
        moved = np.where(size > 0, np.minimum(factor * size, room), 0.0)
    image = source.copy()
    for place, values in zip(places, np.where(up, pixels + moved, pixels - moved), strict=True):
        image[place] = values.reshape(wanted.shape)
    change = float(0.5 * np.vdot(moved, moved))
    # For an output out of reach no λ is optimal: the larger it is, the more it proves.
    factor = np.minimum(factor, 1e9)
    bound = float(np.vdot(moved, 0.5 * moved - factor * size) + np.vdot(factor, need))
    violation = float(max((need - (moved * size).sum(axis=0)).max(), 0.0))
    dual = np.sign(wanted) * factor.reshape(wanted.shape)
    return Solution(image, dual, change, bound, violation, float(0.5 * np.vdot(room, room)), 1)


def _grow(size: FloatArray, room: FloatArray, need: FloatArray) -> FloatArray:
    """The λ (n,) with Σ size · min(λ · size, room) = need; infinite where that is out of reach. ``size`` (taps, n).

    The sum is concave, increasing and piecewise linear in λ, so that Newton's steps from 0 stay below the root and end
    at it after at most as many of them as there are taps.
    """
    square = size**2
    factor = _ratio(need, square.sum(axis=0))
    left = np.arange(need.size)
    for _ in range(len(size)):
        with np.errstate(invalid="ignore"):  # ∞ · 0: the output is out of reach, the pixel does not count
            full = factor[left] * size[:, left] > room[:, left]
        some = full.any(axis=0)
        left, full = left[some], full[:, some]
        if not left.size:
            break
        gives = np.where(full, size[:, left] * room[:, left], 0.0).sum(axis=0)
        slope = np.where(full, 0.0, square[:, left]).sum(axis=0)
        before = factor[left]
        factor[left] = np.maximum(_ratio(need[left] - gives, slope), before)
        left = left[factor[left] > before]
    return factor


def _ratio(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b, and infinite where b is nothing but a is something."""
    safe = np.where(b > 1e-30, b, 1.0)
    return np.where(b > 1e-30, a / safe, np.where(a > 1e-9, np.inf, 0.0))


# Any other map.


@dataclass(frozen=True, eq=False)
class _Dense:
    """A separable scaler of the pixels that it reads, as two matrices; images with the channels first for BLAS."""

    left: FloatArray
    right: FloatArray
    norm: float

    def apply(self, image: FloatArray) -> FloatArray:
        return np.asarray(np.matmul(np.matmul(self.left, image), self.right.T))

    def adjoint(self, image: FloatArray) -> FloatArray:
        return np.asarray(np.matmul(np.matmul(self.left.T, image), self.right))


def _on_what_is_read(
    source: FloatArray, operator: ScalingOperator, goal: Goal, iterations: int, tolerance: float
) -> Solution:
    """The ascent on the pixels that count: the others stay."""
    rows, cols = operator.rows, operator.cols
    used = np.ix_(np.flatnonzero(rows.read()), np.flatnonzero(cols.read()))
    dense = _Dense(rows.dense()[:, used[0][:, 0]], cols.dense()[:, used[1][0]], rows.norm * cols.norm)
    found = _ascend(_channels_first(source[used]), dense, goal.arranged(_channels_first), iterations, tolerance)
    image = source.copy()
    image[used] = np.moveaxis(found.image, 0, -1)
    dual = np.ascontiguousarray(np.moveaxis(found.dual, 0, -1))
    return replace(found, image=image, dual=dual)


def _channels_first(image: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def _ascend(source: FloatArray, operator: Linear, goal: Goal, iterations: int, tolerance: float) -> Solution:
    norm = operator.norm
    step = 1 / norm**2 if norm else 0.0
    largest = _largest(source)
    dual = ahead = np.zeros_like(operator.apply(source))
    momentum, done = 1.0, 0
    best: tuple[float, FloatArray] = (0.0, dual)
    # Starting from λ = 0: the source itself.
    solution = Solution(source, dual, 0.0, 0.0, goal.missing(dual), largest, 0)
    if solution.violation == 0:
        return solution
    while done < iterations:
        cut = np.clip(operator.adjoint(ahead), -source, 255 - source)
        following = goal.ascended(ahead - step * operator.apply(cut), step)
        # Restart where the momentum points downhill.
        if ((ahead - following) * (following - dual)).sum() > 0:
            momentum = 1.0
        later = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / later * (following - dual)
        dual, momentum = following, later
        done += 1
        if done % 10 == 0 or done == iterations:
            pulled = operator.adjoint(dual)
            value = dual_value(dual, pulled, source, goal)
            if value > best[0]:
                best = (value, dual)
            cut = np.clip(pulled, -source, 255 - source)
            violation = goal.missing(operator.apply(cut))
            change = float(0.5 * (cut**2).sum())
            solution = Solution(source + cut, best[1], change, best[0], violation, largest, done)
            if solution.infeasible or (solution.feasible and solution.gap <= tolerance):
                break
    return solution
