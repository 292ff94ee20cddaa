"""A namespace with numpy's names over TensorFlow operations, for the package's kernels and weights to run on.

The module itself is the namespace ``xp`` of :mod:`secure_resize.core.kernels`: it has what they call and no more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import tensorflow as tf

__all__ = ["Array", "abs", "arange", "cumsum", "max", "maximum", "minimum", "round", "where"]

Tensor = Any  # tensorflow is not typed


class Array:
    """A tensor that every operation leaves to itself: its arithmetic is numpy's to the last bit.

    TensorFlow's graph optimiser would rewrite it (measured: x / 3 becomes x * (1 / 3), a + b + 0.5 becomes
    a + (b + 0.5)), and a weight that differs in its last bit can, once in a billion, become another 22-bit tap. The
    optimiser does not look behind a placeholder, so each operand and each result passes through one.
    """

    __array_ufunc__ = None  # numpy's scalars leave the operation to us
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any) -> None:
        dtype = {int: tf.int64, float: tf.float64}.get(type(value))
        tensor = tf.convert_to_tensor(value, dtype)
        self.tensor = tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=tensor.shape)

    def __getitem__(self, index: Any) -> Array:
        return Array(self.tensor[index])

    def astype(self, dtype: npt.DTypeLike) -> Array:
        """Cast as numpy does."""
        return Array(tf.cast(self.tensor, dtype))

    def max(self) -> Array:
        """The largest element."""
        return Array(tf.reduce_max(self.tensor))

    def __neg__(self) -> Array:
        return _of_arrays(operator.neg, self)

    def __add__(self, other: Any) -> Array:
        return _of_arrays(operator.add, self, other)

    def __radd__(self, other: Any) -> Array:
        return _of_arrays(operator.add, other, self)

    def __sub__(self, other: Any) -> Array:
        return _of_arrays(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Array:
        return _of_arrays(operator.sub, other, self)

    def __mul__(self, other: Any) -> Array:
        return _of_arrays(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Array:
        return _of_arrays(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Array:
        return _of_arrays(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return _of_arrays(operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> Array:
        return _of_arrays(operator.floordiv, self, other)

    def __and__(self, other: Any) -> Array:
        return _of_arrays(operator.and_, self, other)

    def __lt__(self, other: Any) -> Array:
        return _of_arrays(operator.lt, self, other)

    def __le__(self, other: Any) -> Array:
        return _of_arrays(operator.le, self, other)

    def __gt__(self, other: Any) -> Array:
        return _of_arrays(operator.gt, self, other)

    def __ge__(self, other: Any) -> Array:
        return _of_arrays(operator.ge, self, other)

    def __eq__(self, other: Any) -> Any:
        return _of_arrays(operator.eq, self, other)


def _of_arrays(function: Callable[..., Tensor], *values: Any, **options: Any) -> Array:
    """A function of tensors on arrays and Python numbers; int64 meeting float64 becomes float64."""
    tensors = [(value if isinstance(value, Array) else Array(value)).tensor for value in values]
    if any(tensor.dtype == tf.float64 for tensor in tensors):
        tensors = [tf.cast(t, tf.float64) if t.dtype == tf.int64 else t for t in tensors]
    return Array(function(*tensors, **options))


def abs(x: Any) -> Array:
    """As numpy's."""
    return _of_arrays(tf.abs, x)


def arange(stop: Any) -> Array:
    """As numpy's, of one argument."""
    return _of_arrays(tf.range, stop)


def cumsum(x: Any, axis: int) -> Array:
    """As numpy's: added from the first element to the last."""
    return _of_arrays(tf.cumsum, x, axis=axis)


def max(x: Any, axis: int, keepdims: bool) -> Array:
    """As numpy's."""
    return _of_arrays(tf.reduce_max, x, axis=axis, keepdims=keepdims)


def maximum(x: Any, y: Any) -> Array:
    """As numpy's."""
    return _of_arrays(tf.maximum, x, y)


def minimum(x: Any, y: Any) -> Array:
    """As numpy's."""
    return _of_arrays(tf.minimum, x, y)


def round(x: Any) -> Array:
    """As numpy's: halves to the even neighbour."""
    return _of_arrays(tf.round, x)


def where(condition: Any, x: Any, y: Any) -> Array:
    """As numpy's."""
    return _of_arrays(tf.where, condition, x, y)
