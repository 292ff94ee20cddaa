"""What no attack on a scaler can do: the least change of a source, and the bound on every attack on a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator
from .exposure import exposure
from .quality import as_levels, decibels
from .rounding import Pass, models, rounding
from .solver import Between, dual_value, least_change, reach

__all__ = ["HIDDEN_DB", "Certificate", "least_attack", "pair_certificate", "worst_change"]

FloatArray = npt.NDArray[np.float64]

# PSNR of attack image and source in dB from which on an attack counts as hidden (Quiring et al. 2020, goal O2).
HIDDEN_DB = 15.0
# By which share sums in float64 might have overestimated a squared distance.
_FLOAT = 1e-9


def worst_change(operator: ScalingOperator) -> tuple[FloatArray, FloatArray]:
    """The source change δ (H, W) and output change t (h, w), ‖δ‖ = 1, that reach the stealth gain exactly.

    ValueError for an operator of zeros, which no change gets through.
    """
    _check_moves(operator)
    left, right = (_top_vector(axis) for axis in (operator.rows, operator.cols))
    change = np.multiply.outer(left, right)
    return change, operator.apply(change)


def _top_vector(axis: AxisOperator) -> FloatArray:
    dense = axis.dense()
    if axis.n_in <= axis.n_out:
        return np.asarray(np.linalg.eigh(dense.T @ dense)[1][:, -1])
    vector = dense.T @ np.linalg.eigh(dense @ dense.T)[1][:, -1]
    return np.asarray(vector / np.linalg.norm(vector))


def least_attack(operator: ScalingOperator, change: npt.ArrayLike) -> FloatArray:
    """The least source change, in the 2-norm, that changes the output by ``change``: δ* = L⁺ · change · (R⁺)ᵀ.

    ``change`` (h, w) or (h, w, C) in levels; the result (H, W[, C]) knows neither box nor rounding. Where no source
    change gives exactly ``change`` (a row of zeros, an enlarged axis), it is the least of those that come nearest.
    """
    change = np.asarray(change, dtype=np.float64)
    if change.shape[:2] != operator.out_size or change.ndim not in (2, 3):
        raise ValueError(
            f"change must have shape {operator.out_size} or {(*operator.out_size, 'C')}, got {change.shape}"
        )
    left, right = (
        np.linalg.pinv(axis.dense(), rcond=1e-10).astype(np.float64) for axis in (operator.rows, operator.cols)
    )
    return _both(left, right, change)


def _both(left: FloatArray, right: FloatArray, image: FloatArray) -> FloatArray:
    """left · image · rightᵀ for (H, W) or (H, W, C)."""
    out = np.tensordot(left, image, axes=(1, 0))
    return np.moveaxis(np.tensordot(out, right, axes=(1, 1)), -1, 1)


@dataclass(frozen=True, eq=False)
class Certificate:
    """A bound on every attack that hides ``target`` in ``source``, with its witness.

    ``psnr_bound``: the highest PSNR to the source, in dB, that an attack image may have whose scaled version lies
    within ``epsilon`` levels of the target everywhere; infinite where the source does. ``is_estimate``: the bound holds
    for the operator, but that the real resize is this operator was only observed, by a probe, or assumed; where it is
    False the bound holds for the resize itself, rounding and clipping included. ``dual`` λ (h, w, C) proves the bound,
    see :meth:`check`; ``gain_bound`` is the weaker one that the stealth gain alone gives. ``slack`` is what is added to
    ``epsilon`` for rounding, in levels (:func:`.rounding.rounding`). ``uncertainty_db`` is that of a probed operator's
    norm.
    """

    psnr_bound: float
    is_estimate: bool
    gain_bound: float
    dual: FloatArray = field(repr=False)
    epsilon: float
    slack: float
    uncertainty_db: float
    source: npt.NDArray[Any] = field(repr=False)
    target: npt.NDArray[Any] = field(repr=False)
    operator: ScalingOperator = field(repr=False)

    @property
    def impossible(self) -> bool:
        """Whether it is proved that nothing can attack the pair: every attack image lies below 15 dB to the source.

        An estimate proves nothing: False, however low its ``psnr_bound``.
        """
        return not self.is_estimate and self.psnr_bound < HIDDEN_DB

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON knows them: an infinite bound, which is none, is None."""
        bounds = {"psnr_bound": self.psnr_bound, "gain_bound": self.gain_bound}
        return {
            "is_estimate": self.is_estimate,
            "impossible": self.impossible,
            **{name: value if math.isfinite(value) else None for name, value in bounds.items()},
            "epsilon": self.epsilon,
            "slack": self.slack,
            "uncertainty_db": self.uncertainty_db,
        }

    def check(self) -> float:
        """Recompute the bound from λ, the images and the dense matrices alone, and return it in dB.

        Let x = S + δ be an attack image and [a, b] what each output of the model has to move by, at least and at most:
        from what the model makes of S to within ``epsilon`` + ``slack`` of T, everything beyond 0 or 255 where T is as
        near to it.

        By the stealth gain: neither matrix M = L, R moves its input by more than σmax(M)·‖δ‖, and cutting off to
        [0, 255] between them moves nothing further apart. So ‖δ‖ ≥ ‖t‖ / (σmax(L)·σmax(R)) for the least t in [a, b].

        By λ, for models that are linear: let g = Mᵀλ. Then λᵀMδ ≥ Σ a·λ⁺ - b·λ⁻, and ½‖δ‖² ≥ (½‖δ‖² - gᵀδ) + λᵀMδ,
        whose first part is least, pixel by pixel, at δ = g cut off to the box [-S, 255 - S]. So ½‖δ‖² ≥ Σ(½c² - g·c) +
        Σ(a·λ⁺ - b·λ⁻) with c = clip(g, -S, 255 - S), for whatever λ. (λ = 0, which stands where the model is not
        linear, proves ½‖δ‖² ≥ 0.)
        """
        left, right = self.operator.rows.dense(), self.operator.cols.dense()
        source, target = _with_channels(self.source), _with_channels(self.target)
        goal = _goal(
            self.operator,
            source,
            target,
            self.epsilon + self.slack,
            lambda image: np.tensordot(left, image, axes=(1, 0)),
            lambda image: np.moveaxis(np.tensordot(image, right, axes=(1, 1)), -1, 1),
        )
        gain_bound = _gain_bound(float(np.linalg.norm(left, 2) * np.linalg.norm(right, 2)), goal, source.size)
        if not self.dual.any() or not _linear(self.operator):
            return gain_bound
        value = dual_value(self.dual, _both(left.T, right.T, self.dual), source, goal)
        return min(_psnr(2 * value, source.size), gain_bound)


def pair_certificate(
    source: npt.NDArray[Any],
    target: npt.NDArray[Any],
    operator: ScalingOperator,
    *,
    epsilon: float = 1.0,
    iterations: int = 300,
) -> Certificate:
    """The highest PSNR to ``source`` that any attack reaching ``target`` through ``operator`` can have.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((64, 64), 200, np.uint8), np.zeros((16, 16), np.uint8)
    >>> sr.pair_certificate(source, target, sr.scaling_operator((64, 64), (16, 16))).impossible
    True

    Parameters
    ----------
    source, target
        (H, W) or (H, W, C) and (h, w) or (h, w, C) in [0, 255], of the operator's sizes, channels alike.
    operator
        Of the scaler. One of :func:`~secure_resize.scaling_operator` gives a bound, for :func:`~secure_resize.resize`
        of uint8 images and, by ``bilinear``, ``hamming``, ``bicubic``, ``lanczos`` and ``box``, for Pillow's. Any other
        gives an estimate. Where the kernel has negative weights, values may be cut off between the passes: no linear
        map, and the bound is that of the stealth gain. Outputs that no source pixel moves, padding, are left out.
    epsilon
        Levels by which the scaled attack image may miss the target. What rounding does is added.
    iterations
        Of the search for the best λ. Every λ proves a bound; more iterations may find a tighter one.

    Raises
    ------
    ValueError
        Shapes that do not fit, values out of range, a negative or infinite ``epsilon``, an operator of zeros.
    TypeError
        An ``epsilon`` that is no number, ``iterations`` that are no whole number.
    """
    images = [_with_channels(np.asarray(image)) for image in (source, target)]
    for name, image, size in zip(("source", "target"), images, (operator.in_size, operator.out_size), strict=True):
        if image.shape[:2] != size:
            raise ValueError(f"{name} must have size {size[0]}x{size[1]}, as the operator; got shape {image.shape}")
        if not (image.min() >= 0 and image.max() <= 255):
            raise ValueError(f"{name} must lie in [0, 255], got [{image.min()}, {image.max()}]")
    if images[0].shape[2] != images[1].shape[2]:
        raise ValueError(f"source and target must have the same channels, got {images[0].shape}, {images[1].shape}")
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float, np.integer, np.floating)):
        raise TypeError(f"epsilon must be a number of levels, got {epsilon!r} ({type(epsilon).__name__})")
    if not (epsilon >= 0 and math.isfinite(epsilon)):
        raise ValueError(f"epsilon must be a number of levels >= 0, got {epsilon!r}")
    _check_moves(operator)
    known = rounding(operator)
    rows, cols = operator.rows, operator.cols
    goal = _goal(
        operator,
        images[0],
        images[1],
        epsilon + known.levels,
        lambda image: rows.apply(image, 0),
        lambda image: cols.apply(image, 1),
    )
    gain_bound = _gain_bound(rows.norm * cols.norm, goal, images[0].size)
    dual, bound = np.zeros(images[1].shape), gain_bound
    if _linear(operator) and math.isfinite(gain_bound):
        found = least_change(images[0], operator, goal, iterations=iterations, tolerance=1e-5)
        dual, bound = found.dual, min(_psnr(2 * found.bound, images[0].size), gain_bound)
    uncertainty = exposure(operator).uncertainty_db
    return Certificate(
        bound, known.is_estimate, gain_bound, dual, epsilon, known.levels, uncertainty, source, target, operator
    )


def _check_moves(operator: ScalingOperator) -> None:
    if not (operator.rows.weights.any() and operator.cols.weights.any()):
        raise ValueError("the operator is zero: no source pixel moves any output")


def _with_channels(image: npt.NDArray[Any]) -> FloatArray:
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"images must have shape (H, W) or (H, W, C), got {image.shape}")
    return as_levels(image)


def _linear(operator: ScalingOperator) -> bool:
    """Whether the model is linear; of a probed operator, whether its probe found it so."""
    known = rounding(operator)
    if known.is_estimate and operator.provenance is not None:
        return operator.provenance.clips in ("", "output")
    return known.clips == ("",)


def _goal(
    operator: ScalingOperator, source: FloatArray, target: FloatArray, tolerance: float, rows: Pass, cols: Pass
) -> Between:
    """From where to where each output may move: free where no source pixel moves it."""
    least, most = models(rounding(operator).clips, rows, cols, source)
    low, high = reach(most, target, tolerance).low, reach(least, target, tolerance).high
    moved = np.multiply.outer(operator.rows.weights.any(axis=1), operator.cols.weights.any(axis=1))[..., None]
    return Between(np.where(moved, low, -np.inf), np.where(moved, high, np.inf))


def _psnr(squared_distance: float, size: int) -> float:
    return decibels(math.sqrt(max(squared_distance, 0.0) * (1 - _FLOAT) / size))


def _gain_bound(norm: float, goal: Between, size: int) -> float:
    """‖δ‖ ≥ ‖t‖ / σmax for the least t that the output has to move by."""
    least = np.maximum(np.maximum(goal.low, -goal.high), 0)
    return _psnr(float((least**2).sum()) / norm**2, size)
