"""Path ``"host"``: the package's own functions on the tensor's buffer, in graphs through a call of Python."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

import secure_resize as sr
from secure_resize.integration_support import apply_operator

from . import weights
from .arguments import EXACT, Dims, Tensor, as_tensor, size_of, with_shape

__all__ = ["reconstruct", "resize"]

Array = npt.NDArray[Any]


def resize(images: Tensor, size: Dims, method: str, *, exact: bool) -> Tensor:
    """Images (..., H, W, C) resized to ``size``: ``exact``, uint8 and uint16 by integer arithmetic, else float32.

    float32 of float32 images has gradients of any order.
    """
    if exact:
        assert images.dtype in EXACT
        return _sized(_numpy_exact, {"kernel": method}, images, size, images.dtype)
    options = {"method": method}

    def forward(x: Tensor, size: Dims = size) -> Tensor:
        return _sized(_numpy_float, options, x, size, tf.float32)

    def adjoint(y: Tensor, size: Dims = size_of(images)) -> Tensor:  # noqa: B008 - of the images, not of the gradient
        return _sized(_numpy_adjoint, options, y, size, tf.float32)

    return forward(images) if images.dtype != tf.float32 else _linear(forward, adjoint)(images)


def reconstruct(images: Tensor, size: Dims, **options: Any) -> Tensor:
    """:func:`secure_resize.reconstruct` of images (..., H, W, C), ``options`` being its own; without gradients."""
    safe = _on_host(_numpy_reconstruct, options, images, size, images.dtype)
    safe.set_shape(images.shape)
    return safe


def _linear(forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``forward``, a linear map whose gradient is ``adjoint``, whose gradient is ``forward``."""
    apply: Callable[[Tensor], Tensor] = tf.custom_gradient(lambda x: (forward(x), _linear(adjoint, forward)))
    return apply


def _sized(
    function: Callable[..., Array], options: dict[str, Any], images: Tensor, size: Dims, dtype: tf.DType
) -> Tensor:
    return with_shape(_on_host(function, options, images, size, dtype), images, size)


def _on_host(
    function: Callable[..., Array], options: dict[str, Any], images: Tensor, size: Dims, dtype: tf.DType
) -> Tensor:
    if tf.executing_eagerly():  # asarray shares the tensor's memory, a call from the graph would copy it
        return tf.convert_to_tensor(function(np.asarray(images), np.asarray(size), **options))
    return _called(function, options, [images, as_tensor(size)], dtype)


# Calls of Python from a graph. tf.numpy_function names its functions pyfunc_0, pyfunc_1, ...: another process, into
# which the graph was carried, may have one of that name, and would call it. Ours carry a name that no other process
# has, and that says what to do where TensorFlow does not find it.

_PROCESS = uuid.uuid4().hex
_CALLS: dict[str, Callable[..., Array]] = {}  # keeps them alive, TensorFlow does not


def _called(function: Callable[..., Array], options: dict[str, Any], inputs: list[Tensor], dtype: tf.DType) -> Tensor:
    words = " ".join(f"{name}={value!r}" for name, value in options.items())
    name = (
        f"[secure_resize, path='host' of process {os.getpid()}: this graph runs in another process, where that path is "
        f"not; make it with path='graph'] ({function.__name__} {words} {_PROCESS})"
    )
    if name not in _CALLS:
        _CALLS[name] = partial(function, **options)
    _registry()[name] = _CALLS[name]
    # Not stateful: the same image gives the same result, and one that nobody reads need not be computed.
    return tf.raw_ops.PyFuncStateless(input=inputs, token=name, Tout=[dtype])[0]


def _registry() -> Any:
    """TensorFlow's table of the Python functions that its graphs call (2.16 to 2.21)."""
    from tensorflow.python.ops import script_ops

    return script_ops._py_funcs._funcs


def _numpy_exact(images: Array, size: Array, *, kernel: Any) -> Array:
    return sr.resize(images, size.tolist(), kernel=kernel)


def _numpy_float(images: Array, size: Array, *, method: Any) -> Array:
    images = images.astype(np.float32, copy=False)
    if method not in weights.METHODS:
        return sr.resize(images, size.tolist(), kernel=method)
    return apply_operator(images, size.tolist(), partial(weights.scaling_operator, method=method))


def _numpy_adjoint(gradient: Array, size: Array, *, method: str) -> Array:
    """The transposed operator: float32 (..., h, w, C) to (..., H, W, C) for ``size`` (H, W)."""
    scaling = weights.scaling_operator(size.tolist(), gradient.shape[-3:-1], method)
    return scaling.rows.adjoint(scaling.cols.adjoint(gradient, -2), -3).astype(np.float32)


def _numpy_reconstruct(images: Array, size: Array, **options: Any) -> Array:
    return sr.reconstruct(images, size.tolist(), **options)
