"""The numpy specification of the core: what every other implementation must equal, byte for byte.

Images are (N, H, W, C), of any strides, and validated by the caller. Results are new and C-contiguous.

The banded coefficient matrices are applied in blocks of a few output pixels: a block reads a short run of source
pixels, so it is a small dense matrix, and the BLAS behind ``numpy.matmul`` multiplies it at full speed. The sums are
exact all the same. Weights and pixels are integers (or integers times 2⁻²²), and float32 holds every integer up to
2²⁴, float64 up to 2⁵³; as long as no partial sum can pass that, no order of summation and no fused multiply-add rounds
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..operator import AxisOperator
from .plan import PRECISION_BITS, Taps

__all__ = ["apply_area", "apply_fixed", "apply_float"]

Array = npt.NDArray[Any]

# Outputs per block. A block of b outputs multiplies about b times more zeros than taps when β is small, and has b times
# the overhead of a call less; 16 was the fastest of 8, 16, 32 for 1024×768 → 224×224.
_BLOCK = 16
# OpenBLAS starts threads above 2¹⁸ multiplications a product; below, a data loader's worker keeps to its one core.
_MAX_PRODUCT = 1 << 18
# Source pixels converted to floating point at a time: bounds the memory to a few times the cache.
_CHUNK = 1 << 19


def apply_area(image: Array, rows: Taps, cols: Taps, num_threads: int = 1) -> Array:
    """The exact mean over each output pixel's footprint, rounded half up; uint8 or uint16.

    With S the weighted integer sum and D = rows.unit · cols.unit the result is ⌊(2S + D) / 2D⌋. S is exact for images
    of up to 2³¹ pixels; the quotient of two integers below 2⁵³ cannot round up to an integer that it does not reach.
    """
    out = np.empty((image.shape[0], rows.n_out, cols.n_out, image.shape[3]), image.dtype)
    narrow = np.iinfo(image.dtype).max * rows.unit < 1 << 24
    divisor = float(rows.unit * cols.unit)
    for source, target in zip(image, out, strict=True):
        sums = _apply_rows(source, rows, "float32" if narrow else "float64")
        sums = _apply_cols(_planar(sums), cols)
        sums *= 2.0
        sums += divisor
        sums /= 2.0 * divisor
        target[...] = np.moveaxis(sums, 0, -1)  # the cast truncates: floor, the sums are not negative
    return out


def apply_fixed(image: Array, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int = 1) -> Array:
    """Pillow's two passes with 22-bit taps, rounded to the image's integer dtype after each; uint8 or uint16.

    An axis whose taps are None keeps its size and is not touched. ``rows_first`` runs the vertical pass first.
    """
    for taps, along_rows in ((rows, True), (cols, False)) if rows_first else ((cols, False), (rows, True)):
        if taps is not None:
            image = _pass_over_rows(image, taps) if along_rows else _pass_over_cols(image, taps)
    return np.array(image, order="C")


def apply_float(image: Array, rows: AxisOperator, cols: AxisOperator, num_threads: int = 1) -> Array:
    """Both passes in float64, rounded to float32 once; float32. Only the taps of an output can make it non-finite."""
    finite = bool(np.isfinite(image).all())
    out = np.empty((image.shape[0], rows.n_out, cols.n_out, image.shape[3]), np.float32)
    for source, target in zip(image, out, strict=True):
        if finite:
            result = np.moveaxis(_apply_cols(_planar(_apply_rows(source, rows, "float64")), cols), 0, -1)
        else:  # a block multiplies pixels outside an output's support by zero, and 0 · NaN is NaN
            result = _apply_taps(_apply_taps(source, rows, 0), cols, 1)
        with np.errstate(over="ignore"):  # an overshoot beyond float32 is infinite, as in any float32 arithmetic
            target[...] = result
    return out


def _pass_over_cols(image: Array, taps: Taps) -> Array:
    out = np.empty((*image.shape[:2], taps.n_out, image.shape[3]), image.dtype)
    step = max(1, _CHUNK // (image.shape[2] * image.shape[3]))
    for source, target in zip(image, out, strict=True):
        for top in range(0, len(source), step):
            sums = _apply_cols(_planar(source[top : top + step]), taps)
            target[top : top + step] = np.moveaxis(_round_fixed(sums, image.dtype), 0, -1)
    return out


def _pass_over_rows(image: Array, taps: Taps) -> Array:
    out = np.empty((image.shape[0], taps.n_out, *image.shape[2:]), image.dtype)
    for source, target in zip(image, out, strict=True):
        target[...] = _round_fixed(_apply_rows(source, taps, "float64"), image.dtype)
    return out


def _round_fixed(sums: Array, dtype: np.dtype[Any]) -> Array:
    """⌊sum / 2²² + 1/2⌋ clipped to the dtype's range; overwrites ``sums``."""
    sums *= 2.0**-PRECISION_BITS
    sums += 0.5
    np.clip(sums, 0.0, np.iinfo(dtype).max, out=sums)
    return sums.astype(dtype)  # truncates: floor, the sums are not negative any more


def _planar(image: Array) -> Array:
    """(H, W, C) as a contiguous (C, H, W) array of float64."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 0), np.float64)


class _Block(NamedTuple):
    """A few consecutive outputs, the run of pixels that they read and the dense matrix between the two."""

    outputs: slice
    pixels: slice
    matrix: Array


@lru_cache(maxsize=64)
def _blocks(taps: Taps | AxisOperator, dtype: str) -> list[_Block]:
    blocks = []
    for first in range(0, taps.n_out, _BLOCK):
        start, weights = taps.start[first : first + _BLOCK], taps.weights[first : first + _BLOCK]
        begin, end = int(start.min()), int(start.max()) + taps.width
        matrix = np.zeros((len(start), end - begin), dtype)
        np.put_along_axis(matrix, (start - begin)[:, None] + np.arange(taps.width), weights.astype(dtype), axis=1)
        blocks.append(_Block(slice(first, first + len(start)), slice(begin, end), matrix))
    return blocks


def _apply_rows(image: Array, taps: Taps | AxisOperator, dtype: str) -> Array:
    """The taps along axis 0 of (H, W, C), as a (n_out, W, C) array of ``dtype``, float32 or float64."""
    out = np.empty((taps.n_out, image.shape[1] * image.shape[2]), dtype)
    for outputs, pixels, matrix in _blocks(taps, dtype):
        for left in _columns(image.shape[1], len(matrix) * matrix.shape[1] * image.shape[2]):
            source = image[pixels, left].astype(dtype, order="C").reshape(matrix.shape[1], -1)
            columns = slice(left.start * image.shape[2], left.stop * image.shape[2])
            np.matmul(matrix, source, out=out[outputs, columns])
    return out.reshape(taps.n_out, *image.shape[1:])


def _apply_cols(planar: Array, taps: Taps | AxisOperator) -> Array:
    """The taps along the last axis of a contiguous float64 (C, H, W) array, as (C, H, n_out)."""
    lines = planar.reshape(-1, planar.shape[-1])
    out = np.empty((len(lines), taps.n_out))
    for outputs, pixels, matrix in _blocks(taps, "float64"):
        for top in _columns(len(lines), matrix.size):
            np.matmul(lines[top, pixels], matrix.T, out=out[top, outputs])
    return out.reshape(*planar.shape[:-1], taps.n_out)


def _columns(total: int, cost: int) -> Iterator[slice]:
    """Slices of ``range(total)``, each small enough that ``cost`` multiplications an element stay on one core."""
    step = max(1, _MAX_PRODUCT // cost)
    for first in range(0, total, step):
        yield slice(first, min(first + step, total))


def _apply_taps(image: Array, taps: AxisOperator, axis: int) -> Array:
    """The taps along ``axis``, one at a time and none of weight zero; float64."""
    image = np.moveaxis(image.astype(np.float64), axis, 0)
    out = np.zeros((taps.n_out, *image.shape[1:]))
    for k in range(taps.width):
        weights = taps.weights[:, k].reshape(-1, *(1,) * (image.ndim - 1))
        with np.errstate(invalid="ignore"):  # infinity times zero, replaced at once
            out += np.where(weights != 0, weights * image[taps.start + k], 0.0)
    return np.moveaxis(out, 0, axis)
