"""Path ``"graph"``: the same by TensorFlow operations alone, for sizes known to the trace or only to the run.

Integer results are the core's bytes, of the core's weights. Floating ones are those of TensorFlow's own antialiased
operations, where it has them; XLA, which has not, gets the weights instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import secure_resize as sr
from secure_resize.integration_support import (
    MAX_AXIS,
    MAX_PIXELS,
    PASS_ORDERS,
    PRECISION_BITS,
    axis_weights,
    check_kernel,
)

from . import namespace as xp, weights
from .arguments import Dim, Dims, InvalidInput, Tensor, as_tensor, dim_of, size_of
from .where import compiled

__all__ = ["resize"]


def resize(images: Tensor, size: Dims, method: str, *, exact: bool) -> Tensor:
    """Images (..., H, W, C) resized to ``size``: ``exact``, uint8 and uint16 by integer arithmetic, else float32.

    Floating images have gradients; of TensorFlow's own operations, but for area, of the first order.
    """
    images, size = _bounded(images, size)
    in_size, channels = size_of(images), dim_of(images, -1)
    batch = tf.reshape(images, [-1, *in_size, channels])
    if not exact and method in weights.METHODS and not compiled():
        result = _apply_stock(tf.cast(batch, tf.float32), in_size, size, method)
    else:
        result = _apply_taps(batch if exact else tf.cast(batch, tf.float32), in_size, size, method)
    return tf.reshape(result, tf.concat([tf.shape(images, tf.int64)[:-3], [*size, channels]], 0))


def _apply_stock(batch: Tensor, in_size: Dims, size: Dims, method: str) -> Tensor:
    """float32, by TensorFlow's own operation and its gradient; that of ResizeArea, which there is not, is ours."""
    wanted = tf.cast(as_tensor(size), tf.int32)
    if method == "area":
        rows, cols = (_stock_taps(n_in, n_out, method) for n_in, n_out in zip(in_size, size, strict=True))
        return _with_gradient(lambda x: tf.raw_ops.ResizeArea(images=x, size=wanted), rows, cols)(batch)
    return tf.raw_ops.ScaleAndTranslate(
        images=batch,
        size=wanted,
        scale=tf.cast(wanted, tf.float32) / tf.cast(as_tensor(in_size), tf.float32),
        translation=tf.zeros([2]),
        kernel_type=weights.METHODS[method].operation,
        antialias=True,
    )


def _apply_taps(batch: Tensor, in_size: Dims, size: Dims, method: str) -> Tensor:
    """By the weights themselves: uint8 and uint16 as the core, float32 as the core or TensorFlow."""
    if batch.dtype == tf.float32 and method in weights.METHODS:
        rows, cols = (_stock_taps(n_in, n_out, method) for n_in, n_out in zip(in_size, size, strict=True))
        return _apply_float(batch, rows, cols)
    kernel = sr.get_kernel(method)
    _check_kernel(kernel, in_size, size)
    rows, cols = (_taps(n_in, n_out, kernel, batch.dtype) for n_in, n_out in zip(in_size, size, strict=True))
    if batch.dtype == tf.float32:
        return _apply_float(batch, rows, cols)
    return _apply_area(batch, rows, cols) if kernel.integrated else _apply_fixed(batch, rows, cols)


def _check_kernel(kernel: sr.Kernel, in_size: Dims, size: Dims) -> None:
    """ValueError where ``kernel`` leaves pixels out, or might at sizes that are known only when the graph runs."""
    if all(isinstance(n, int) for n in (*in_size, *size)):
        check_kernel(kernel.name, in_size, size)
    elif not kernel.robust:
        raise ValueError(
            f"the kernel {kernel.name!r} leaves pixels out at some sizes, and the graph path does not know these, "
            f"{in_size} to {size}, before it runs; use 'area', or path='host'"
        )


def _bounded(images: Tensor, size: Dims) -> tuple[Tensor, Dims]:
    """Both unchanged, unless the images are empty or a size is out of resize()'s bounds."""
    valid = dim_of(images, -1) >= 1
    for h, w in (size_of(images), size):
        valid = valid & (h >= 1) & (w >= 1) & (h <= MAX_AXIS) & (w <= MAX_AXIS) & (h * w <= MAX_PIXELS)
    bounds = f"an axis has 1 to {MAX_AXIS} pixels, an image up to {MAX_PIXELS}, and a channel; got images of shape"
    if isinstance(valid, bool):
        if not valid:
            raise InvalidInput(f"{bounds} {images.shape}, size ({size[0]}, {size[1]})")
        return images, size
    with tf.control_dependencies([tf.debugging.Assert(valid, [bounds, tf.shape(images), "size", *size])]):
        height, width = (n if isinstance(n, int) else tf.identity(n) for n in size)
        return tf.identity(images), (height, width)


# The three arithmetics of secure_resize.core.reference, under the same names.


def _apply_float(batch: Tensor, rows: Taps, cols: Taps) -> Tensor:
    return _with_gradient(lambda x: tf.cast(_apply(_apply(x, rows, 1), cols, 2), tf.float32), rows, cols)(batch)


def _with_gradient(forward: Callable[[Tensor], Tensor], rows: Taps, cols: Taps) -> Callable[[Tensor], Tensor]:
    """``forward``, with its gradient written down: that of a loop would keep what every tap has read."""

    def gradient(y: Tensor) -> Tensor:
        return tf.cast(_apply(_apply(y, cols, 2, transposed=True), rows, 1, transposed=True), tf.float32)

    apply: Callable[[Tensor], Tensor] = tf.custom_gradient(lambda x: (forward(x), gradient))
    return apply


def _apply_area(batch: Tensor, rows: Taps, cols: Taps) -> Tensor:
    sums = tf.cast(_apply(_apply(batch, rows, 1), cols, 2), tf.int64)
    divisor = rows.unit * cols.unit
    # Of integers, because the graph optimiser turns a division by a constant float into a multiplication.
    return tf.cast((2 * sums + divisor) // (2 * divisor), batch.dtype)


def _apply_fixed(batch: Tensor, rows: Taps, cols: Taps) -> Tensor:
    """Pillow's, with the order of passes of Pillow 13."""

    def run(image: Tensor, taps: Taps, axis: int) -> Tensor:
        if isinstance(taps.n_in, int) and isinstance(taps.n_out, int) and taps.n_in == taps.n_out:
            return image
        # The sums are integers below 2⁵³ and the factor a power of two: only the cast rounds, downwards.
        sums = _apply(image, taps, axis) * 2.0**-PRECISION_BITS + 0.5
        return tf.cast(tf.clip_by_value(sums, 0.0, float(batch.dtype.max)), batch.dtype)

    def rows_first() -> Tensor:
        return run(run(batch, rows, 1), cols, 2)

    def cols_first() -> Tensor:
        return run(run(batch, cols, 2), rows, 1)

    by_rows = PASS_ORDERS["pillow13"](rows.n_in, cols.n_in, rows.n_out, cols.n_out)
    if isinstance(by_rows, bool):
        return rows_first() if by_rows else cols_first()
    return tf.cond(by_rows, rows_first, cols_first)


def _apply(x: Tensor, taps: Taps, axis: int, *, transposed: bool = False) -> Tensor:
    """The sums of the taps along ``axis`` of (N, H, W, C), or the transpose of that matrix applied to it; float64.

    One tap at a time, over all outputs: that needs the memory of a few results, where a gather of all taps would need
    that of a result for each. The small dense matrices of core.reference are up to three times faster where there are
    many taps, but spread NaN and infinity, and so would need this beside them.
    """
    front = [axis, *(other for other in range(4) if other != axis)]
    lines = tf.transpose(x, front)
    # no_nan: a tap of weight zero is padding, and passes on no infinity.
    times = tf.math.multiply_no_nan if x.dtype.is_floating else tf.multiply

    def add_tap(k: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        weights = taps.weights[:, k, None, None, None]
        if transposed:
            parts = times(tf.cast(lines, tf.float64), weights)
            return k + 1, tf.tensor_scatter_nd_add(sums, (taps.start + k)[:, None], parts)
        return k + 1, sums + times(tf.cast(tf.gather(lines, taps.start + k), tf.float64), weights)

    shape = [taps.n_in if transposed else taps.n_out, *tf.unstack(tf.shape(lines, tf.int64)[1:])]
    zeros = tf.zeros(shape, tf.float64)
    width = tf.shape(taps.weights, tf.int64)[1]
    shapes = tf.TensorShape([]), tf.TensorShape([None] * 4)
    _, sums = tf.while_loop(lambda k, _: k < width, add_tap, (tf.constant(0, tf.int64), zeros), shape_invariants=shapes)
    return tf.transpose(sums, np.argsort(front))


# The tables of secure_resize.core.taps as tensors.


class Taps(NamedTuple):
    """Output i of an axis is ``sum(weights[i, k] * pixel[start[i] + k]) / unit``.

    ``start`` int64 (n_out,), ``weights`` float64 (n_out, width), integers unless the images are floating; ``unit``
    int64.
    """

    n_in: Dim
    n_out: Dim
    start: Tensor
    weights: Tensor
    unit: Tensor


def _taps(n_in: Dim, n_out: Dim, kernel: sr.Kernel, dtype: tf.DType) -> Taps:
    if isinstance(n_in, int) and isinstance(n_out, int):
        start, weights, unit = axis_weights(n_in, n_out, kernel, dtype.name)
    else:
        # On a GPU, cumsum would add in another order.
        with tf.device("/CPU:0"):
            found = axis_weights(xp.Array(n_in), xp.Array(n_out), kernel, dtype.name, xp)
        start, weights, unit = (getattr(part, "tensor", part) for part in found)
    return Taps(n_in, n_out, tf.cast(start, tf.int64), tf.cast(weights, tf.float64), tf.cast(unit, tf.int64))


def _stock_taps(n_in: Dim, n_out: Dim, method: str) -> Taps:
    """TensorFlow's weights; where the sizes are known only when the graph runs, ours, before its rounding."""
    if isinstance(n_in, int) and isinstance(n_out, int):
        axis = weights.axis_operator(n_in, n_out, method)
        return Taps(n_in, n_out, tf.constant(axis.start), tf.constant(axis.weights), tf.constant(1, tf.int64))
    kernel = weights.METHODS[method].kernel
    if kernel is None:
        raise ValueError(
            f"XLA has no {method!r} for sizes that are known only when the graph runs, {n_in} to {n_out}; valid: "
            f"{', '.join(name for name, row in weights.METHODS.items() if row.kernel)}"
        )
    return _taps(n_in, n_out, sr.get_kernel(kernel), tf.float32)
