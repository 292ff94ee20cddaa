"""How far an 8-bit resize lies from its coefficient matrices: rounding and clipping, proved or only observed.

Bounds on attacks are about matrices, pixels are integers. What a library makes of an image x is a *model*, in real
numbers, and an error of so many levels in each output. The models know the one thing that rounding is not: that values
are cut off to [0, 255] between the two passes. That never increases a difference, so it takes nothing from a stealth
gain; but what is cut off depends on the image, so the model is not linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.kernels import KERNELS, Kernel
from ..core.operator import AxisOperator, ScalingOperator, axis_operator
from ..core.taps import PRECISION_BITS

__all__ = ["OVERSHOOT", "Rounding", "models", "rounding"]

FloatArray = npt.NDArray[np.float64]
Pass = Callable[[FloatArray], FloatArray]

# What the models' own sums in float64 may be off by: less than 10⁻⁷ level for the longest axis.
_FLOAT = 1e-6
# A kernel that overshoots by less meets no limit: of a probed operator, whose weights are noisy.
OVERSHOOT = 1.02


@dataclass(frozen=True)
class Rounding:
    """``levels``: by how many an output, uint8, may lie from one of the models that ``clips`` names, at most.

    ``kernels``: those of ours whose operator this is, exactly. ``clips``: the pass after which
    values are cut off to [0, 255], ``"rows"`` or ``"cols"``, or ``""`` for neither; where it is not known, all that it
    may be. ``is_estimate``: whether all this was observed on some images, or assumed, instead of proved for all.
    """

    levels: float
    kernels: tuple[str, ...]
    clips: tuple[str, ...]
    is_estimate: bool


def rounding(operator: ScalingOperator, kernel: str | None = None) -> Rounding:
    """What is known of the real resize behind ``operator``, 8-bit images in and out: of ``kernel``, if that is told.

    Proved for the operators of :func:`~secure_resize.scaling_operator`: the resize is then :func:`secure_resize.resize`
    by that kernel, in either order of passes, or Pillow's by its name, which gives the same bytes. Kernels
    can have one operator (``area`` and ``box`` at whole ratios): what is said then holds for each.

    ``area`` rounds its exact mean once: half a level. The other kernels run two passes (one of an axis that keeps its
    size is left out), each a sum with taps that are rounded to multiples of 2⁻²², so off by up to 2⁻²³ each; the sum is
    rounded, by up to half a level, and cut off. So the first pass lies r = ½ + 255·taps·2⁻²³ from the exact one, cut
    off likewise, the second multiplies that by the largest sum Σ|w| of its weights, and adds as much of its own:
    Σ|w|·r + r'.

    An estimate for every other operator. Of a probed one it is the furthest that the probe has seen or, where that is
    more, what two roundings to 8 bits can do, and a hundredth for weights of finite precision; and what five standard
    deviations of the weights can do to black and white. One without provenance stands for a resize that lies within its
    ``residual`` of it; without that, two roundings.
    """
    kernels = tuple(name for name in _kernels(operator) if kernel in (None, name))
    if kernels:
        levels = max(_levels(KERNELS[name], operator.rows, operator.cols) for name in kernels)
        signed = any(float(axis.weights.min()) < 0 for axis in (operator.rows, operator.cols))
        return Rounding(levels, kernels, ("rows", "cols") if signed else ("",), False)
    overshoot = max(_overshoot(axis) for axis in (operator.rows, operator.cols))
    levels, known = 0.51 + 0.5 * max(overshoot, 1.0), operator.provenance
    if known is None:
        return Rounding(levels if operator.residual is None else operator.residual, (), ("",), True)
    seen = [level for level in (operator.residual, known.extreme_residual) if level is not None and np.isfinite(level)]
    levels = max(seen, default=0.0) if known.dtype == "float32" else max(levels, *seen)
    axes = zip(known.weight_std, (operator.rows, operator.cols), strict=True)
    levels += sum(5 * 127.5 * std * math.sqrt(axis.width) for std, axis in axes)
    if known.dtype == "float32" or overshoot <= OVERSHOOT:
        return Rounding(levels, (), ("",), True)
    # Noise meets a limit between the passes too seldom for a probe to tell at every ratio.
    return Rounding(levels, (), (known.clips,) if known.clips in ("rows", "cols") else ("", "rows", "cols"), True)


def models(clips: tuple[str, ...], rows: Pass, cols: Pass, image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The least and the largest that the models ``clips`` make of ``image`` (H, W, C), before the end's own clipping.

    ``rows`` and ``cols`` are the passes along the height and along the width.
    """
    run: dict[str, Callable[[], FloatArray]] = {
        "": lambda: cols(rows(image)),
        "rows": lambda: cols(np.clip(rows(image), 0, 255)),
        "cols": lambda: rows(np.clip(cols(image), 0, 255)),
    }
    found = [run[clip]() for clip in clips]
    return np.minimum.reduce(found), np.maximum.reduce(found)


def _kernels(operator: ScalingOperator) -> list[str]:
    """The kernels whose operator this is, to the last bit; none for one that was probed, or of another filter."""
    if operator.provenance is not None or operator.residual is not None:
        return []
    axes = (operator.rows, operator.cols)
    return [n for n in KERNELS if all(_same(axis, axis_operator(axis.n_in, axis.n_out, n)) for axis in axes)]


def _same(one: AxisOperator, other: AxisOperator) -> bool:
    return one is other or (np.array_equal(one.start, other.start) and np.array_equal(one.weights, other.weights))


def _overshoot(axis: AxisOperator) -> float:
    """The largest Σ|w| of an output."""
    return float(np.abs(axis.weights).sum(axis=1).max())


def _levels(kernel: Kernel, rows: AxisOperator, cols: AxisOperator) -> float:
    """See :func:`rounding`; of the order of passes in which it is more."""
    if kernel.integrated:
        return 0.5 + _FLOAT if (rows.n_in, cols.n_in) != (rows.n_out, cols.n_out) else 0.0
    r, c = (
        (0.5 + 255 * axis.width * 2.0 ** -(PRECISION_BITS + 1)) * (axis.n_in != axis.n_out) for axis in (rows, cols)
    )
    return max(r * _overshoot(cols) + c, c * _overshoot(rows) + r) + _FLOAT
