"""The coefficients of ``tf.image.resize(..., antialias=True)``, with TensorFlow's own rounding.

TensorFlow computes where an output pixel lies in float32, and so is off by up to 10⁻³ of a source pixel. A drop-in
whose values are to be TensorFlow's must be off by the same; the operators here are, and the core applies them.
The formulas are those of the operations ``ScaleAndTranslate`` and ``ResizeArea``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import secure_resize as sr

__all__ = ["METHODS", "axis_operator", "scaling_operator"]

Floats = npt.NDArray[np.float32]
ONE = np.float32(1)
HALF = np.float32(0.5)


class Row(NamedTuple):
    """A method of ``tf.image.resize``: the operation's name for it, and its kernel, in float32 source pixels.

    ``kernel`` is ours of the same function, whose integer arithmetic is used where uint8 is asked for; None where there
    is none, and results are rounded.
    """

    operation: str
    radius: float
    function: Callable[[Floats], Floats] | None
    kernel: str | None = None


def _triangle(x: Floats) -> Floats:
    return np.where(x < 1, ONE - x, np.float32(0))


def _keys(x: Floats) -> Floats:
    """R. Keys, IEEE TASSP 29(6), 1981, with a = -1/2."""
    outer = ((np.float32(-0.5) * x + np.float32(2.5)) * x - np.float32(4)) * x + np.float32(2)
    inner = ((np.float32(1.5) * x - np.float32(2.5)) * x) * x + ONE
    return np.where(x >= 2, np.float32(0), np.where(x >= 1, outer, inner))


def _mitchell(x: Floats) -> Floats:
    """D. Mitchell and A. Netravali, SIGGRAPH 1988, with B = C = 1/3."""
    outer = ((np.float32(-7 / 18) * x + np.float32(2)) * x - np.float32(10 / 3)) * x + np.float32(16 / 9)
    inner = ((np.float32(7 / 6) * x - np.float32(2)) * x) * x + np.float32(8 / 9)
    return np.where(x >= 2, np.float32(0), np.where(x >= 1, outer, inner))


def _gaussian(x: Floats) -> Floats:
    """Of standard deviation 1/2, cut off at 3/2 (K. Turkowski, Filters for Common Resampling Tasks, 1990)."""
    return np.where(x >= 1.5, np.float32(0), np.exp(-2.0 * x.astype(np.float64) ** 2).astype(np.float32))


def _lanczos(lobes: float) -> Callable[[Floats], Floats]:
    def function(x: Floats) -> Floats:
        y = np.where(x <= 1e-3, 1.0, x.astype(np.float64)) * np.pi
        windowed = lobes * np.sin(y) * np.sin(y / lobes) / (y * y)
        return np.where(x > lobes, 0.0, np.where(x <= 1e-3, 1.0, windowed)).astype(np.float32)

    return function


METHODS: dict[str, Row] = {
    "bilinear": Row("triangle", 1, _triangle, "bilinear"),
    "bicubic": Row("keyscubic", 2, _keys, "bicubic"),
    "area": Row("area", 0, None, "area"),
    "lanczos3": Row("lanczos3", 3, _lanczos(3), "lanczos"),
    "lanczos5": Row("lanczos5", 5, _lanczos(5)),
    "gaussian": Row("gaussian", 1.5, _gaussian),
    "mitchellcubic": Row("mitchellcubic", 2, _mitchell),
}


def scaling_operator(in_size: Any, out_size: Any, method: str) -> sr.ScalingOperator:
    """The operator from ``in_size`` to ``out_size``, (height, width): TensorFlow's, or that of one of our kernels."""
    if method not in METHODS:
        return sr.scaling_operator(tuple(in_size), tuple(out_size), sr.get_kernel(method).name)  # type: ignore[arg-type]
    rows, cols = (axis_operator(int(a), int(b), method) for a, b in zip(in_size, out_size, strict=True))
    return sr.ScalingOperator(rows, cols)


@lru_cache(maxsize=128)
def axis_operator(n_in: int, n_out: int, method: str) -> sr.AxisOperator:
    """One axis of ``method``, a name of :data:`METHODS`: n_in source pixels to n_out."""
    row = METHODS[method]
    first, weights = _area(n_in, n_out) if row.function is None else _sampled(n_in, n_out, row.radius, row.function)
    width = weights.shape[1]
    if width > n_in:  # columns of zeros, beyond the axis
        weights, width = weights[:, :n_in], n_in
    return sr.AxisOperator(n_in, n_out, *_moved(first, weights, n_in - width))


def _sampled(n_in: int, n_out: int, radius: float, kernel: Callable[[Floats], Floats]) -> tuple[Any, Any]:
    """``ComputeSpans`` of ScaleAndTranslate, antialiased."""
    inverse = ONE / (np.float32(n_out) / np.float32(n_in))
    stretch = np.maximum(inverse, ONE)
    reach = np.float32(radius) * stretch
    center = (np.arange(n_out, dtype=np.float32) + HALF) * inverse
    first = np.clip(np.ceil(center - reach - HALF).astype(np.int64), 0, n_in - 1)
    last = np.clip(np.floor(center + reach - HALF).astype(np.int64), 0, n_in - 1)
    pixel = first[:, None] + np.arange(int((last - first).max()) + 1)
    distance = np.abs((pixel.astype(np.float32) + HALF) - center[:, None]) / stretch
    weights = np.where(pixel <= last[:, None], kernel(distance), np.float32(0)).astype(np.float64)
    return first, weights / weights.sum(axis=1, keepdims=True)


def _area(n_in: int, n_out: int) -> tuple[Any, Any]:
    """What ResizeArea weighs the pixels of one axis with: overlaps, whose sum it takes to be the exact ratio."""
    scale = np.float32(n_in) / np.float32(n_out)
    left = np.arange(n_out, dtype=np.float32) * scale
    right = np.arange(1, n_out + 1, dtype=np.float32) * scale
    first, last = np.floor(left).astype(np.int64), np.ceil(right).astype(np.int64)
    pixel = first[:, None] + np.arange(int((last - first).max()))
    begin, end = pixel.astype(np.float32), (pixel + 1).astype(np.float32)
    low, high = np.maximum(begin, left[:, None]), np.minimum(end, right[:, None])
    part = np.where((begin < left[:, None]) & (end > right[:, None]), scale, np.maximum(high - low, np.float32(0)))
    overlap = np.where(pixel < last[:, None], part, np.float32(0)).astype(np.float64)
    beyond = pixel >= n_in  # rounding may reach past the last pixel, which is then read twice
    rows, columns = np.nonzero(beyond)
    np.add.at(overlap, (rows, n_in - 1 - first[rows]), overlap[rows, columns])
    overlap[beyond] = 0
    return first, overlap / float(scale)


def _moved(first: Any, weights: Any, most: int) -> tuple[Any, Any]:
    """The same rows, none starting after ``most``: what starts later is moved back and its weights to the right."""
    start = np.minimum(first, most)
    columns = np.arange(weights.shape[1]) - (first - start)[:, None]
    moved = np.take_along_axis(weights, np.maximum(columns, 0), axis=1)
    return start, np.where(columns < 0, 0.0, moved)
