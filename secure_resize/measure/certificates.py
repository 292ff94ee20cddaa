"""What no attack on a scaler can do: the least change of a source, and the bound on every attack on a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator
from .exposure import exposure
from .solver import Between, dual_value, least_change, reach

__all__ = ["HIDDEN_DB", "Certificate", "least_attack", "pair_certificate", "worst_change"]

FloatArray = npt.NDArray[np.float64]

# PSNR of attack image and source in dB from which on an attack counts as hidden (Quiring et al. 2020, goal O2).
HIDDEN_DB = 15.0


def worst_change(operator: ScalingOperator) -> tuple[FloatArray, FloatArray]:
    """The source change δ (H, W) and output change t (h, w), ‖δ‖ = 1, that reach the stealth gain exactly."""
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
    within ``epsilon`` levels of the target everywhere; infinite where the source does. ``dual`` λ (h, w, C) proves it,
    see :meth:`check`; ``gain_bound`` is the weaker bound that the stealth gain alone gives. ``slack`` is what is added
    to ``epsilon`` for rounding: the operator's residual. ``uncertainty_db`` is that of a probed operator's norm.
    """

    psnr_bound: float
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
        """Whether no algorithm can attack the pair: every attack image lies below 15 dB to the source."""
        return self.psnr_bound + self.uncertainty_db < HIDDEN_DB

    def check(self) -> float:
        """Recompute the bound from λ, the images and the dense matrices alone, and return it in dB.

        Let x = S + δ be an attack image, g = Mᵀλ, and [a, b] what the output may move by. Then λᵀMδ ≥ Σ a·λ⁺ - b·λ⁻,
        and ½‖δ‖² ≥ (½‖δ‖² - gᵀδ) + λᵀMδ, whose first part is least, pixel by pixel, at δ = g cut off to the box
        [-S, 255 - S]. So ½‖δ‖² ≥ Σ(½c² - g·c) + Σ(a·λ⁺ - b·λ⁻) with c = clip(g, -S, 255 - S), for whatever λ.
        """
        left, right = self.operator.rows.dense(), self.operator.cols.dense()
        source = _with_channels(self.source)
        goal = reach(_both(left, right, source), _with_channels(self.target), self.epsilon + self.slack)
        value = dual_value(self.dual, _both(left.T, right.T, self.dual), source, goal)
        return min(_psnr(2 * value, source.size), self.gain_bound)


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
        Of the scaler, probed or not. Where it cuts values off between its passes (``Provenance.clips``) the map is not
        linear, and the bound is that of the stealth gain.
    epsilon
        Levels by which the scaled attack image may miss the target. What rounding does is added: the operator's
        residual or, without one, half a level.
    iterations
        Of the search for the best λ. Every λ proves a bound; more iterations may find a tighter one.

    Raises
    ------
    ValueError
        Shapes that do not fit, values out of range, a negative ``epsilon``.
    """
    images = [_with_channels(np.asarray(image)) for image in (source, target)]
    for name, image, size in zip(("source", "target"), images, (operator.in_size, operator.out_size), strict=True):
        if image.shape[:2] != size:
            raise ValueError(f"{name} must have size {size[0]}x{size[1]}, as the operator; got shape {image.shape}")
        if not (image.min() >= 0 and image.max() <= 255):
            raise ValueError(f"{name} must lie in [0, 255], got [{image.min()}, {image.max()}]")
    if images[0].shape[2] != images[1].shape[2]:
        raise ValueError(f"source and target must have the same channels, got {images[0].shape}, {images[1].shape}")
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be a number of levels >= 0, got {epsilon!r}")
    slack = 0.5 if operator.residual is None else operator.residual
    uncertainty = exposure(operator).uncertainty_db
    goal = reach(operator.apply(images[0]), images[1], epsilon + slack)
    gain_bound = _gain_bound(operator, goal, images[0].size)
    linear = operator.provenance is None or operator.provenance.clips in ("", "output")
    dual, bound = np.zeros(images[1].shape), gain_bound
    if linear:
        found = least_change(images[0], operator, goal, iterations=iterations, tolerance=1e-5)
        dual, bound = found.dual, min(_psnr(2 * found.bound, images[0].size), gain_bound)
    return Certificate(bound, gain_bound, dual, epsilon, slack, uncertainty, source, target, operator)


def _with_channels(image: npt.NDArray[Any]) -> FloatArray:
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"images must have shape (H, W) or (H, W, C), got {image.shape}")
    return image.astype(np.float64).reshape(*image.shape[:2], -1)


def _psnr(squared_distance: float, size: int) -> float:
    return 10 * math.log10(255.0**2 * size / squared_distance) if squared_distance > 0 else math.inf


def _gain_bound(operator: ScalingOperator, goal: Between, size: int) -> float:
    """‖δ‖ ≥ ‖t‖ / (σmax(L) · σmax(R)) for the least t that the output has to move by."""
    least = np.maximum(np.maximum(goal.low, -goal.high), 0)
    gain = operator.rows.norm * operator.cols.norm
    return _psnr(float((least**2).sum()) / gain**2, size)
