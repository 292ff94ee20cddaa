"""Path ``"host"``: the package's own functions on the tensor's buffer, in graphs through ``tf.numpy_function``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

import secure_resize as sr

from .arguments import Dims, Tensor, as_tensor, size_of, with_shape

__all__ = ["reconstruct", "resize"]

Array = npt.NDArray[Any]


def resize(images: Tensor, size: Dims, kernel: str) -> Tensor:
    """uint8, uint16 or float32 images (..., H, W, C) resized to ``size``; float32 with gradients of any order."""
    forward = partial(_resize_on_host, size=size, kernel=kernel)
    if images.dtype != tf.float32:
        return forward(images)
    return _linear(forward, partial(_adjoint_on_host, size=size_of(images), kernel=kernel))(images)


def reconstruct(images: Tensor, size: Dims, **options: Any) -> Tensor:
    """:func:`secure_resize.reconstruct` of images (..., H, W, C), ``options`` being its own; without gradients."""
    safe = _on_host(partial(_numpy_reconstruct, options=options), images, size)
    safe.set_shape(images.shape)
    return safe


def _linear(forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``forward``, a linear map whose gradient is ``adjoint``, whose gradient is ``forward``."""
    apply: Callable[[Tensor], Tensor] = tf.custom_gradient(lambda x: (forward(x), _linear(adjoint, forward)))
    return apply


def _resize_on_host(images: Tensor, size: Dims, kernel: str) -> Tensor:
    return with_shape(_on_host(partial(_numpy_resize, kernel=kernel), images, size), images, size)


def _adjoint_on_host(gradient: Tensor, size: Dims, kernel: str) -> Tensor:
    return with_shape(_on_host(partial(_numpy_adjoint, kernel=kernel), gradient, size), gradient, size)


def _on_host(function: Callable[[Array, Array], Array], images: Tensor, size: Dims) -> Tensor:
    if tf.executing_eagerly():  # asarray shares the tensor's memory, tf.numpy_function would copy it
        return tf.convert_to_tensor(function(np.asarray(images), np.asarray(size)))
    # Not stateful: the same image gives the same result, and one that nobody reads need not be computed.
    return tf.numpy_function(function, [images, as_tensor(size)], images.dtype, stateful=False)


def _numpy_resize(images: Array, size: Array, *, kernel: Any) -> Array:
    return sr.resize(images, size.tolist(), kernel=kernel)


def _numpy_adjoint(gradient: Array, size: Array, *, kernel: Any) -> Array:
    """The transposed operator: float32 (..., h, w, C) to (..., H, W, C) for ``size`` (H, W)."""
    height, width = size.tolist()
    scaling = sr.scaling_operator((height, width), gradient.shape[-3:-1], kernel)
    return scaling.rows.adjoint(scaling.cols.adjoint(gradient, -2), -3).astype(np.float32)


def _numpy_reconstruct(images: Array, size: Array, *, options: dict[str, Any]) -> Array:
    return sr.reconstruct(images, size.tolist(), **options)
