"""``tf.image.resize`` and :func:`secure_resize.reconstruct` for tensors."""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow as tf

import secure_resize as sr
from secure_resize.integration_support import Defense, ReconstructionMethod, check_options, stock_scaler

from . import graph, host
from .arguments import (
    Dims,
    Method,
    Path,
    Tensor,
    as_exact,
    as_images,
    as_size,
    as_tensor,
    chosen_path,
    fitted,
    size_of,
    with_shape,
)

__all__ = ["reconstruct", "resize"]


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def resize(
    images: Tensor,
    size: Any,
    method: Method = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = True,
    name: str | None = None,
    *,
    path: Path = "auto",
    defense: Defense = "robust",
) -> Tensor:
    """``tf.image.resize`` that image-scaling attacks cannot exploit: always antialiased, and the dtype is kept.

    >>> srtf.resize(tf.zeros((768, 1024, 3), tf.uint8), (224, 224)).shape
    TensorShape([224, 224, 3])

    Parameters
    ----------
    images
        Tensor (or array) of shape (H, W, C) or (N, H, W, C); uint8, uint16, float32, float16 or bfloat16 (the last two
        are resized in float32). Any dimension, and the rank, may be unknown until the graph runs.
    size
        (height, width): two whole numbers, or an integer tensor of shape (2,).
    method
        ``"area"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` (= ``"lanczos"``), ``"hamming"`` or, where it leaves
        no pixels out (on the graph path: at sizes known when it is traced), ``"box"``; the
        constants of ``tf.image.ResizeMethod`` are such strings. All but area give Pillow's bytes in uint8.
    preserve_aspect_ratio
        Fit the image into ``size``, by ``tf.image.resize``'s own formula.
    antialias
        Is always on. False (``tf.image.resize``'s default, and its vulnerability) warns and is ignored.
    name
        Name scope of the operations.
    path
        ``"host"``: NumPy or the C extension, in graphs through ``tf.numpy_function``. The fastest, but bound to this
        process: a SavedModel loaded in another one and XLA fail on it, saying so. It holds the GIL in part.
        ``"graph"``: TensorFlow operations, for export. Takes two to five times as long as the NumPy core (more the more
        taps there are), fifty times as long as the C extension and longer, and some 30 bytes of memory for each value
        of the whole batch between the two passes.
        ``"auto"`` (default): host for eager tensors and directly in a function of tf.data (``Dataset.map``, ...), where
        this process is at hand; graph in every other ``tf.function``, since it might be exported.
    defense
        ``"robust"`` (default): all of the above. ``"median"`` or ``"random"``: ``tf.image.resize`` itself, without
        antialiasing, by bilinear, bicubic or nearest, on images reconstructed first by
        :func:`secure_resize.reconstruct`; on the host alone, without gradients.

    Returns
    -------
    A tensor of the same rank **and dtype** (``tf.image.resize`` returns float32), its static shape set as far as known:
    for uint8 and uint16 the bytes of ``secure_resize.resize``, for float32 within its bound. Floating dtypes are
    differentiable. Two limits of TensorFlow: its threads read subnormal float32 values as zero; and where XLA compiles
    the graph path for sizes unknown to the trace, it rounds the weights' last bits its own way (not those of area).

    Raises
    ------
    TypeError
        Any other dtype (none is converted silently), a ragged or sparse tensor, a ``size`` not of whole numbers.
    ValueError
        An unknown method or path, ``"nearest"``, a wrong rank, an empty image, a size out of range. What shows only
        when a graph runs is a ``tf.errors.InvalidArgumentError``.
    """
    scaler = check_method(method, defense, path)
    chosen = chosen_path(path)
    if scaler is None and not antialias:
        warnings.warn(
            "antialias=False is ignored: without it the image is sampled, which image-scaling attacks exploit",
            stacklevel=3,  # the decorator's frame lies between
        )
    with tf.name_scope(name or "secure_resize"):
        images = as_images(images)
        wanted = as_size(size)
        if preserve_aspect_ratio:
            wanted = fitted(wanted, size_of(images))
        if scaler is not None:
            result = _reconstruct_and_resize(images, wanted, method, scaler, defense)
        elif chosen == "host":
            result = host.resize(as_exact(images), wanted, _kernel(method).name)
        else:
            result = graph.resize(as_exact(images), wanted, _kernel(method))
        return with_shape(tf.cast(result, images.dtype), images, wanted)


def reconstruct(
    images: Tensor,
    size: Any,
    *,
    scaler: str = "tensorflow:bilinear",
    method: ReconstructionMethod = "median",
    bandwidth: float = 2,
) -> Tensor:
    """:func:`secure_resize.reconstruct` of a tensor, before ``scaler`` makes ``size`` = (height, width) of it.

    >>> srtf.reconstruct(tf.zeros((768, 1024, 3), tf.uint8), (224, 224)).shape
    TensorShape([768, 1024, 3])

    ``images`` and ``size`` are :func:`resize`'s, ``scaler`` a name such as ``"keras:bilinear"``. On the host alone, no
    gradients; shape and dtype stay.
    """
    check_options(method, bandwidth, None)
    sr.get_scaler(scaler)
    images, wanted = as_images(images), as_size(size)
    safe = host.reconstruct(as_exact(images), wanted, scaler=scaler, method=method, bandwidth=bandwidth)
    return tf.cast(safe, images.dtype)


def check_method(method: Any, defense: str, path: str) -> str | None:
    """The scaler that ``defense`` reconstructs for, None for ``"robust"``; ValueError for what does not go together."""
    scaler = stock_scaler(defense, "tensorflow", method)
    if scaler is None:
        _kernel(method)
    elif path == "graph":
        raise ValueError(f"defense={defense!r} runs on the host alone, got path={path!r}; valid: auto, host")
    return scaler


def _kernel(method: Any) -> sr.Kernel:
    return sr.get_kernel("lanczos" if isinstance(method, str) and method == "lanczos3" else method)


def _reconstruct_and_resize(images: Tensor, size: Dims, method: str, scaler: str, defense: str) -> Tensor:
    """TensorFlow's own resize, not antialiased, of reconstructed images; rounded where their dtype is an integer."""
    safe = host.reconstruct(as_exact(images), size, scaler=scaler, method=defense)
    scaled = tf.image.resize(safe, tf.cast(as_tensor(size), tf.int32), method=method, antialias=False)
    if images.dtype in (tf.uint8, tf.uint16):
        return tf.clip_by_value(tf.round(tf.cast(scaled, tf.float32)), 0, images.dtype.max)
    return scaled
