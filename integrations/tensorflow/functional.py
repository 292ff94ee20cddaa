"""``tf.image.resize`` and :func:`secure_resize.reconstruct` for tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

import secure_resize as sr
from secure_resize.integration_support import Defense, ReconstructionMethod, check_options, stock_scaler

from . import graph, host
from .arguments import (
    EXACT,
    Dims,
    InvalidInput,
    Method,
    Path,
    Tensor,
    as_images,
    as_result,
    as_size,
    as_tensor,
    check_path,
    fitted,
    size_of,
    with_shape,
)
from .weights import METHODS
from .where import chosen_path

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
    dtype: Any = None,
    path: Path = "auto",
    defense: Defense = "robust",
    labels: bool = False,
) -> Tensor:
    """``tf.image.resize`` that image-scaling attacks cannot exploit: always antialiased.

    >>> srtf.resize(tf.zeros((768, 1024, 3), tf.uint8), (224, 224)).dtype
    tf.float32
    >>> srtf.resize(tf.zeros((768, 1024, 3), tf.uint8), (224, 224), dtype=tf.uint8).dtype
    tf.uint8

    Parameters
    ----------
    images
        Tensor (or array) of shape (H, W, C) or (N, H, W, C), or a ragged batch (N, (H), (W), C); of any dtype that
        TensorFlow resizes: uint8, uint16, int8 to int64, float16, bfloat16, float32, float64. Any dimension, and the
        rank, may be unknown until the graph runs.
    size
        (height, width): two whole numbers, or an integer tensor of shape (2,).
    method
        TensorFlow's ``"bilinear"``, ``"bicubic"``, ``"area"``, ``"lanczos3"``, ``"lanczos5"``, ``"gaussian"`` and
        ``"mitchellcubic"`` (the constants of ``tf.image.ResizeMethod`` are such strings), and ours, ``"lanczos"``,
        ``"hamming"`` and, where it leaves no pixels out (on the graph path: at sizes known when it is traced),
        ``"box"``. ``"nearest"`` samples: it is for label maps, see ``labels``.
    preserve_aspect_ratio
        Fit the image into ``size``, by ``tf.image.resize``'s own formula.
    antialias
        Is always on. False (``tf.image.resize``'s default, and its vulnerability) warns and is ignored.
    name
        Name scope of the operations.
    dtype
        The result's. None (default): TensorFlow's rule, float32 (of nearest, the images' own), also where the size
        stays as it is. The images' own dtype: ``tf.uint8`` of uint8 images gives Pillow's bytes, those of
        ``secure_resize.resize`` (so does uint16; ``"lanczos3"`` is its ``"lanczos"``; lanczos5, gaussian and
        mitchellcubic, which Pillow has not, and the other integers are rounded from float32). Or a floating one, cast
        from float32.
    path
        ``"host"``: NumPy or the C extension, in graphs through a call of Python. The fastest, but bound to this
        process: a SavedModel loaded in another one, a tf.data service's worker elsewhere, and XLA, fail on it, saying
        so. It holds the GIL in part.
        ``"graph"``: TensorFlow operations, for export. float32 by TensorFlow's own antialiased ones. uint8 by the
        integer arithmetic spelt out: two to five times as long as the NumPy core takes (more the more taps there are),
        fifty times as long as the C extension and longer, and some 30 bytes of memory for each value of the whole
        batch between the two passes.
        ``"auto"`` (default): host for eager tensors and directly in a function of tf.data (``Dataset.map``, ...) of a
        dataset that Python makes, where this process is at hand; graph in every other ``tf.function``, and in a
        dataset within one, since it might be exported. A dataset for workers elsewhere needs ``"graph"``.
    defense
        ``"robust"`` (default): all of the above. ``"median"`` or ``"random"``: ``tf.image.resize`` itself, without
        antialiasing, by bilinear, bicubic or nearest, on images reconstructed first by
        :func:`secure_resize.reconstruct`; on the host alone, without gradients.
    labels
        Says that the images are label maps, which have no means: ``"nearest"`` is then TensorFlow's own. Otherwise it
        is refused wherever an axis shrinks.

    Returns
    -------
    A tensor of the same rank, its static shape set as far as known. float32: ``tf.image.resize(..., antialias=True)``,
    to the bit on the graph path, which ``"auto"`` takes for bicubic, lanczos and mitchellcubic; else, on the host,
    within 10⁻⁴ of a level of 255 (with ``path="host"`` lanczos and mitchellcubic of noise within twice that), which is
    TensorFlow's rounding; our own methods, the bound of :func:`secure_resize.resize`. Floating images
    have gradients (on the graph path TensorFlow's operations, but area, have no second ones). Two limits of
    TensorFlow: its threads read subnormal float32 values as zero; and where XLA compiles the graph path for sizes
    unknown to the trace, it rounds the weights' last bits its own way (not those of area).

    Raises
    ------
    ValueError
        An unknown method or path; ``"nearest"`` without ``labels`` where an axis shrinks.
    tf.errors.InvalidArgumentError, which is a ValueError and a TypeError too
        Another dtype, a sparse tensor, a wrong rank, an empty image, a size out of range or not of whole numbers:
        TensorFlow raises one of the three, depending on where it finds it. What shows only when a graph runs is an
        InvalidArgumentError alone.
    """
    scaler = check_method(method, defense, path)
    if not antialias and scaler is None and method not in ("area", "nearest"):
        warnings.warn(
            "antialias=False is ignored: without it the image is sampled, which image-scaling attacks exploit",
            stacklevel=3,  # the decorator's frame lies between
        )
    with tf.name_scope(name or "secure_resize"):
        if isinstance(images, tf.RaggedTensor):
            return _ragged(
                images, size, dtype, preserve_aspect_ratio, method=method, path=path, defense=defense, labels=labels
            )
        images = as_images(images)
        wanted = as_size(size)
        out = as_result(dtype, images.dtype, method)
        if preserve_aspect_ratio:
            wanted = fitted(wanted, size_of(images))
        if scaler is not None:
            result = _reconstruct_and_resize(images, wanted, method, scaler, defense)
        elif method == "nearest":
            result = _nearest(images, wanted, labels)
        else:
            kernel = METHODS[method].kernel if method in METHODS else method
            exact = kernel is not None and out == images.dtype and out in EXACT
            # What TensorFlow's rounding moves further than 10⁻⁴ of a level is left to TensorFlow, unless asked for.
            by_host = path == "host" or (chosen_path(path) == "host" and (exact or method not in UNEVEN))
            run = host.resize if by_host else graph.resize
            result = run(_differentiable(images), wanted, kernel if exact and kernel else method, exact=exact)
        return with_shape(_as_dtype(result, out), images, wanted)


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
    safe = host.reconstruct(_reconstructible(images), wanted, scaler=scaler, method=method, bandwidth=bandwidth)
    return tf.cast(safe, images.dtype)


def check_method(method: Any, defense: str, path: str) -> str | None:
    """The scaler that ``defense`` reconstructs for, None for ``"robust"``; ValueError for what does not go together."""
    check_path(path)
    scaler = stock_scaler(defense, "tensorflow", method)
    if scaler is None:
        if not (isinstance(method, str) and (method in METHODS or method in sr.KERNELS or method == "nearest")):
            valid = dict.fromkeys([*METHODS, *sr.KERNELS, "nearest"])
            raise ValueError(f"unknown method {method!r}; valid: {', '.join(valid)}")
    elif path == "graph":
        raise ValueError(f"defense={defense!r} runs on the host alone, got path={path!r}; valid: auto, host")
    return scaler


UNEVEN = ("bicubic", "lanczos3", "lanczos5", "mitchellcubic")


def _differentiable(images: Tensor) -> Tensor:
    """Floating images as float32, so that gradients reach them; integers as they are."""
    return tf.cast(images, tf.float32) if images.dtype.is_floating else images


def _as_dtype(result: Tensor, dtype: tf.DType) -> Tensor:
    """``result`` as ``dtype``, rounded to the nearest where that is an integer."""
    if dtype.is_integer and result.dtype.is_floating:
        # (float64 holds the bounds of 32 bits; those of 64 it does not, and the cast of what lies above is undefined.)
        low, high = float(dtype.min), float(np.nextafter(float(dtype.max) + 1, 0))
        result = tf.clip_by_value(tf.round(tf.cast(result, tf.float64)), low, np.floor(high))
    return tf.cast(result, dtype)


def _reconstructible(images: Tensor) -> Tensor:
    return images if images.dtype in EXACT else tf.cast(images, tf.float32)


def _reconstruct_and_resize(images: Tensor, size: Dims, method: str, scaler: str, defense: str) -> Tensor:
    """TensorFlow's own resize, not antialiased, of reconstructed images; of nearest the images' dtype."""
    safe = host.reconstruct(_reconstructible(images), size, scaler=scaler, method=defense)
    return _sampled(safe, size, method)


def _nearest(images: Tensor, size: Dims, labels: bool) -> Tensor:
    """TensorFlow's own, of label maps, and wherever no axis shrinks, so that every pixel is read."""
    message = "the method 'nearest' reads one pixel per output, and an image-scaling attack controls it completely"
    advice = "use 'area' or 'bilinear', or labels=True where the images are label maps"
    in_size = size_of(images)
    if not labels:
        shrinks = (in_size[0] > size[0]) | (in_size[1] > size[1])
        if isinstance(shrinks, bool):
            if shrinks:
                raise ValueError(f"{message}, from {in_size} to {size}; {advice}")
        else:
            with tf.control_dependencies([tf.debugging.Assert(~shrinks, [message, *in_size, *size, advice])]):
                images = tf.identity(images)
    return _sampled(images, size, "nearest")


# The operations, not tf.image.resize: that may have been replaced by resize itself.
_SAMPLING = {"bilinear": "ResizeBilinear", "bicubic": "ResizeBicubic", "nearest": "ResizeNearestNeighbor"}


def _sampled(images: Tensor, size: Dims, method: str) -> Tensor:
    """``tf.image.resize(images, size, method)``."""
    batch = tf.reshape(images, tf.concat([[-1], tf.shape(images)[-3:]], 0))
    operation = getattr(tf.raw_ops, _SAMPLING[method])
    result = operation(images=batch, size=tf.cast(as_tensor(size), tf.int32), half_pixel_centers=True)
    return tf.reshape(result, tf.concat([tf.shape(images)[:-3], tf.shape(result)[1:]], 0))


def _ragged(images: Any, size: Any, dtype: Any, preserve_aspect_ratio: bool, **options: Any) -> Tensor:
    """Each image of a ragged batch by itself, as ``tf.image.resize`` does."""
    if images.shape.rank != 4 or preserve_aspect_ratio:
        raise InvalidInput(
            f"a ragged batch must have shape (N, (H), (W), C) and is made one size, got shape {images.shape}, "
            f"preserve_aspect_ratio={preserve_aspect_ratio}; resize the images one by one"
        )
    wanted, out = as_size(size), as_result(dtype, images.dtype, options["method"])
    height, width = (n if isinstance(n, int) else None for n in wanted)
    dense = as_tensor(wanted)

    def one(image: Any) -> Tensor:
        image = image.to_tensor() if isinstance(image, tf.RaggedTensor) else image
        return resize(image, dense if None in (height, width) else wanted, dtype=dtype, **options)

    return tf.map_fn(one, images, fn_output_signature=tf.TensorSpec([height, width, images.shape[-1]], out))
