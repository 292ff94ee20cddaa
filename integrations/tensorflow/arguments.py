"""What the caller wrote, checked; and sizes that are known when a function is traced, or only when it runs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from secure_resize.integration_support import check_size

__all__ = ["Dims", "InvalidInput", "Method", "Path", "Tensor"]

Tensor = Any  # tensorflow is not typed
Dim = Any  # a size: an int where it is known when the function is traced, else a scalar int64 tensor
Dims = tuple[Dim, Dim]  # (height, width)
Path: TypeAlias = Literal["auto", "host", "graph"]
Method: TypeAlias = Literal[
    "area",
    "bilinear",
    "bicubic",
    "gaussian",
    "lanczos3",
    "lanczos5",
    "mitchellcubic",
    "nearest",
    "lanczos",
    "box",
    "hamming",
]

PATHS = ("auto", "host", "graph")
# Those that TensorFlow's own resizes take.
DTYPES = (
    tf.uint8,
    tf.float32,
    tf.int8,
    tf.int16,
    tf.uint16,
    tf.int32,
    tf.int64,
    tf.float16,
    tf.bfloat16,
    tf.float64,
)
EXACT = (tf.uint8, tf.uint16)  # whose results are integer arithmetic by definition


class InvalidInput(tf.errors.InvalidArgumentError, ValueError, TypeError):  # type: ignore[misc]
    """An image or a size that cannot be: TensorFlow raises one of these three, depending on where it finds it."""

    def __init__(self, message: str) -> None:
        super().__init__(None, None, message)


def check_path(path: str) -> None:
    """ValueError for an unknown path."""
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; valid: {', '.join(PATHS)}")


def as_images(images: Any) -> Tensor:
    """``images`` as a dense tensor of a valid dtype, of rank 3 or 4, or checked to be when the graph runs."""
    if isinstance(images, tf.SparseTensor):
        raise InvalidInput("images must be dense or ragged, got SparseTensor; convert with tf.sparse.to_dense")
    images = tf.convert_to_tensor(images)
    if images.dtype not in DTYPES:
        valid = ", ".join(dtype.name for dtype in DTYPES)
        raise InvalidInput(f"images must be of dtype {valid}, got {images.dtype.name}; convert with tf.cast")
    message = "images must have shape (H, W, C) or (N, H, W, C), got"
    if images.shape.rank is None:
        rank = tf.rank(images)
        with tf.control_dependencies([tf.debugging.Assert((rank == 3) | (rank == 4), [message, tf.shape(images)])]):
            return tf.identity(images)
    if images.shape.rank not in (3, 4):
        raise InvalidInput(f"{message} {images.shape}")
    if 0 in images.shape.as_list()[-3:]:
        raise InvalidInput(f"image is empty: shape {images.shape}")
    return images


def as_result(dtype: Any, images: tf.DType, method: str) -> tf.DType:
    """The result's dtype: TensorFlow's rule where ``dtype`` is None, else ``dtype``, or InvalidInput."""
    if dtype is None:
        return images if method == "nearest" else tf.float32
    dtype = tf.as_dtype(dtype)
    if dtype == images or (dtype.is_floating and dtype in DTYPES and method != "nearest"):
        return dtype
    valid = images.name if method == "nearest" else f"float32, float64, float16, bfloat16 or the images' {images.name}"
    raise InvalidInput(f"dtype must be {valid}, got {dtype.name}; cast the result, rounding as it is to be rounded")


def as_size(size: Any) -> Dims:
    """``size`` as (height, width), each an int wherever it can be known."""
    tensors = (tf.Tensor, tf.Variable)
    if not (
        isinstance(size, tensors) or (isinstance(size, list | tuple) and any(isinstance(n, tensors) for n in size))
    ):
        return checked_size(size)
    size = tf.convert_to_tensor(size)
    if not size.dtype.is_integer or not size.shape.is_compatible_with([2]):
        raise InvalidInput(f"size must be an integer tensor of shape (2,), got {size.dtype.name} of shape {size.shape}")
    known = tf.get_static_value(size, partial=True)
    known = [None, None] if known is None else list(known)
    if None not in known:
        return checked_size(known)
    size = tf.ensure_shape(tf.cast(size, tf.int64), [2])
    height, width = (size[i] if n is None else int(n) for i, n in enumerate(known))
    return height, width


def checked_size(size: Any) -> tuple[int, int]:
    """:func:`secure_resize.integration_support.check_size` with the errors of this integration."""
    try:
        return check_size(size)
    except (TypeError, ValueError) as error:
        raise InvalidInput(str(error)) from None


def fitted(size: Dims, in_size: Dims) -> Dims:
    """The size that ``tf.image.resize`` makes of ``size`` with preserve_aspect_ratio, in its float32 arithmetic."""
    if all(isinstance(n, int) for n in (*size, *in_size)):
        height, width = (np.float32(max(n, 1)) for n in in_size)
        scale = np.minimum(np.float32(size[0]) / height, np.float32(size[1]) / width)
        return checked_size((int(np.round(scale * height)), int(np.round(scale * width))))
    height, width = (tf.cast(n, tf.float32) for n in in_size)
    scale = tf.minimum(tf.cast(size[0], tf.float32) / height, tf.cast(size[1], tf.float32) / width)
    return tf.cast(tf.round(scale * height), tf.int64), tf.cast(tf.round(scale * width), tf.int64)


def dim_of(tensor: Tensor, axis: int) -> Dim:
    """The length of an axis."""
    known = None if tensor.shape.rank is None else tensor.shape[axis]
    return tf.shape(tensor, tf.int64)[axis] if known is None else known


def size_of(images: Tensor) -> Dims:
    """(height, width) of images (..., H, W, C)."""
    return dim_of(images, -3), dim_of(images, -2)


def as_tensor(size: Dims) -> Tensor:
    """``size`` as one int64 tensor (2,)."""
    return tf.stack([tf.cast(n, tf.int64) for n in size])


def with_shape(result: Tensor, images: Tensor, size: Dims) -> Tensor:
    """``result``, ``images`` resized to ``size``, with what is known of that in its static shape."""
    if images.shape.rank is not None:
        height, width = (n if isinstance(n, int) else None for n in size)
        result.set_shape([*images.shape[:-3], height, width, images.shape[-1]])
    return result
