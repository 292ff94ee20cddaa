"""Robust resizing for TensorFlow: ``resize`` in place of ``tf.image.resize``, ``Resize`` for ``Dataset.map``.

>>> from secure_resize.integrations import tensorflow as srtf
>>> dataset.map(srtf.Resize((224, 224)), num_parallel_calls=tf.data.AUTOTUNE)

There are two paths to the same bytes: ``"host"`` calls :func:`secure_resize.resize` on the tensor's buffer, ``"graph"``
is made of TensorFlow operations alone and can be exported and run where this package is not installed.
"""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

import secure_resize as sr
from secure_resize.core.kernels import Kernel, get_kernel
from secure_resize.core.taps import PRECISION_BITS, area_taps, axis_weights, fixed_taps
from secure_resize.measure.scalers import get_scaler
from secure_resize.reconstruction.filters import check_options
from secure_resize.scaling import MAX_AXIS, MAX_PIXELS, PASS_ORDERS, check_size

__all__ = ["Reconstruct", "Resize", "reconstruct", "resize"]

Array = npt.NDArray[Any]
Tensor = Any  # tensorflow is not typed
Dim = Any  # a size: an int where it is known when the function is traced, else a scalar int64 tensor
Size = tuple[Dim, Dim]

PATHS = ("auto", "host", "graph")
NARROW = (tf.float16, tf.bfloat16)  # resized in float32
DTYPES = (tf.uint8, tf.uint16, tf.float32, *NARROW)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def resize(
    images: Tensor,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = True,
    name: str | None = None,
    *,
    path: str = "auto",
    defense: str = "robust",
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
        ``"area"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` (= ``"lanczos"``), ``"box"`` or ``"hamming"``; the
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
    if _defense(defense, method, path) != "robust":
        return _reconstruct_and_resize(images, size, method, preserve_aspect_ratio, name, defense)
    kernel, chosen = _kernel(method), _path(path)
    if not antialias:
        warnings.warn(
            "antialias=False is ignored: without it the image is sampled, which image-scaling attacks exploit",
            stacklevel=3,  # the decorator's frame lies between
        )
    run = _resize_host if chosen == "host" else _resize_graph
    with tf.name_scope(name or "secure_resize"):
        images = _images(images)
        wanted = _size(size)
        if preserve_aspect_ratio:
            wanted = _fit(wanted, _in_size(images))
        result = run(tf.cast(images, tf.float32) if images.dtype in NARROW else images, wanted, kernel)
        return _shaped(tf.cast(result, images.dtype), images, wanted)


def reconstruct(
    images: Tensor, size: Any, *, scaler: str = "tensorflow:bilinear", method: str = "median", bandwidth: float = 2
) -> Tensor:
    """:func:`secure_resize.reconstruct` of a tensor, before ``scaler`` makes ``size`` = (height, width) of it.

    >>> srtf.reconstruct(tf.zeros((768, 1024, 3), tf.uint8), (224, 224)).shape
    TensorShape([768, 1024, 3])

    ``images`` and ``size`` are :func:`resize`'s, ``scaler`` a name such as ``"keras:bilinear"``. On the host alone, no
    gradients; shape and dtype stay.
    """
    check_options(method, bandwidth, None)
    get_scaler(scaler)
    images, wanted = _images(images), _size(size)
    exact = tf.cast(images, tf.float32) if images.dtype in NARROW else images

    def call(images: Array, size: Array) -> Array:
        options: dict[str, Any] = {"scaler": scaler, "method": method, "bandwidth": bandwidth}
        return sr.reconstruct(images, (int(size[0]), int(size[1])), **options)

    sizes = tf.stack([tf.cast(n, tf.int64) for n in wanted])
    if tf.executing_eagerly():
        safe = tf.convert_to_tensor(call(np.asarray(exact), np.asarray(sizes)))
    else:
        safe = tf.numpy_function(call, [exact, sizes], exact.dtype, stateful=False)
        safe.set_shape(exact.shape)
    return tf.cast(safe, images.dtype)


# What a transform of images makes of one of a dataset's elements.


def _keys(key: Any) -> tuple[str, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if not keys or not all(isinstance(name, str) for name in keys):
        raise TypeError(f"key must be a name or a tuple of names, got {key!r}")
    return keys


def _of_element(element: tuple[Any, ...], transform: Callable[[Any], Tensor], owner: Resize | Reconstruct) -> Any:
    """The arguments that ``owner`` was called with, their image or images transformed."""
    if not element:
        name = type(owner).__name__
        raise TypeError(f"{name} takes an image, or a dataset's element (image, ...) or {{'image': ...}}; got none")
    return _changed(element[0] if len(element) == 1 else element, transform, _keys(owner.key))


def _changed(element: Any, transform: Callable[[Any], Tensor], keys: tuple[str, ...]) -> Any:
    if isinstance(element, tuple):
        changed_tuple = (_changed(element[0], transform, keys), *element[1:])
        return type(element)(*changed_tuple) if hasattr(element, "_fields") else changed_tuple
    if isinstance(element, Mapping):
        missing = [key for key in keys if key not in element]
        if missing:
            raise KeyError(f"no key {missing[0]!r} in the element; its keys: {', '.join(map(repr, element))}")
        changed: Any = copy.copy(element)
        for key in keys:
            changed[key] = _changed(element[key], transform, keys)
        return changed
    return transform(element)


@dataclass(frozen=True)
class Resize:
    """:func:`resize` with its arguments filled in, for ``Dataset.map``; it can be pickled, copied and compared.

    Called with an image or a batch it returns it resized. Of a tuple, or of several arguments (``Dataset.map`` spreads
    a tuple), it resizes the first and passes on the rest: ``(image, label)`` stays ``(image, label)``, a namedtuple
    stays one. Of a dict it resizes ``key``, or each of several keys. A bad argument raises :func:`resize`'s errors at
    construction.
    """

    size: tuple[int, int]
    method: str = "bilinear"
    preserve_aspect_ratio: bool = False
    _: KW_ONLY
    key: str | tuple[str, ...] = "image"
    path: str = "auto"
    defense: str = "robust"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_size(self.size))
        if _defense(self.defense, self.method, self.path) == "robust":
            _kernel(self.method)
        _path(self.path)
        _keys(self.key)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def __call__(self, *element: Any) -> Any:
        """The element resized; see the class. KeyError where a dict lacks the key."""
        return _of_element(element, self._resize, self)

    def _resize(self, image: Any) -> Tensor:
        return resize(image, self.size, self.method, self.preserve_aspect_ratio, path=self.path, defense=self.defense)


@dataclass(frozen=True)
class Reconstruct:
    """:func:`reconstruct` for ``Dataset.map``, directly before somebody else's resize; elements as in :class:`Resize`.

    >>> dataset.map(srtf.Reconstruct((224, 224), "keras:bilinear")).map(keras.layers.Resizing(224, 224))
    """

    size: tuple[int, int]
    scaler: str = "tensorflow:bilinear"
    method: str = "median"
    bandwidth: float = 2
    _: KW_ONLY
    key: str | tuple[str, ...] = "image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_size(self.size))
        check_options(self.method, self.bandwidth, None)
        get_scaler(self.scaler)
        _keys(self.key)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def __call__(self, *element: Any) -> Any:
        """The element reconstructed; see the class. KeyError where a dict lacks the key."""
        return _of_element(element, self._reconstruct, self)

    def _reconstruct(self, image: Any) -> Tensor:
        return reconstruct(image, self.size, scaler=self.scaler, method=self.method, bandwidth=self.bandwidth)


# What the caller wrote, checked.


def _kernel(method: Any) -> Kernel:
    return get_kernel("lanczos" if isinstance(method, str) and method == "lanczos3" else method)


DEFENSES = ("robust", "median", "random")
SAMPLED = ("bilinear", "bicubic", "nearest")  # methods whose pixels read are known in closed form


def _defense(defense: str, method: Any, path: str) -> str:
    if defense not in DEFENSES:
        raise ValueError(f"unknown defense {defense!r}; valid: {', '.join(DEFENSES)}")
    if defense != "robust":
        if method not in SAMPLED:
            raise ValueError(f"method {method!r} cannot be reconstructed for; valid: {', '.join(SAMPLED)}")
        if path not in ("auto", "host"):
            raise ValueError(f"defense={defense!r} runs on the host alone, got path={path!r}; valid: auto, host")
    return defense


def _path(path: str) -> str:
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; valid: {', '.join(PATHS)}")
    if path != "auto" or tf.executing_eagerly():
        return "host" if path == "auto" else path
    # tf.data names the graphs of its functions "Dataset_map_..."; if it ever did not, this would choose graph: slower,
    # but the same bytes.
    return "host" if getattr(tf.compat.v1.get_default_graph(), "name", "").startswith("Dataset") else "graph"


def _images(images: Any) -> Tensor:
    """``images`` as a dense tensor of a valid dtype, of rank 3 or 4, or checked to be when the graph runs."""
    if isinstance(images, tf.RaggedTensor | tf.SparseTensor):
        raise TypeError(f"images must be dense, got {type(images).__name__}; resize them one by one, before batching")
    images = tf.convert_to_tensor(images)
    if images.dtype not in DTYPES:
        valid = ", ".join(dtype.name for dtype in DTYPES)
        raise TypeError(f"images must be of dtype {valid}, got {images.dtype.name}; convert with tf.cast")
    message = "images must have shape (H, W, C) or (N, H, W, C), got"
    if images.shape.rank is None:
        rank = tf.rank(images)
        with tf.control_dependencies([tf.debugging.Assert((rank == 3) | (rank == 4), [message, tf.shape(images)])]):
            return tf.identity(images)
    if images.shape.rank not in (3, 4):
        raise ValueError(f"{message} {images.shape}")
    return images


def _size(size: Any) -> Size:
    """``size`` as (height, width), each an int wherever it can be known."""
    tensors = (tf.Tensor, tf.Variable)
    if not (
        isinstance(size, tensors) or (isinstance(size, list | tuple) and any(isinstance(n, tensors) for n in size))
    ):
        return check_size(size)
    size = tf.convert_to_tensor(size)
    if not size.dtype.is_integer or not size.shape.is_compatible_with([2]):
        raise ValueError(f"size must be an integer tensor of shape (2,), got {size.dtype.name} of shape {size.shape}")
    known = tf.get_static_value(size, partial=True)
    known = [None, None] if known is None else list(known)
    if None not in known:
        return check_size(known)
    size = tf.ensure_shape(tf.cast(size, tf.int64), [2])
    height, width = (size[i] if n is None else int(n) for i, n in enumerate(known))
    return height, width


def _fit(size: Size, in_size: Size) -> Size:
    """The size that ``tf.image.resize`` makes of ``size`` with preserve_aspect_ratio, in its float32 arithmetic."""
    if all(isinstance(n, int) for n in (*size, *in_size)):
        height, width = (np.float32(max(n, 1)) for n in in_size)
        scale = np.minimum(np.float32(size[0]) / height, np.float32(size[1]) / width)
        return check_size((int(np.round(scale * height)), int(np.round(scale * width))))
    height, width = (tf.cast(n, tf.float32) for n in in_size)
    scale = tf.minimum(tf.cast(size[0], tf.float32) / height, tf.cast(size[1], tf.float32) / width)
    return tf.cast(tf.round(scale * height), tf.int64), tf.cast(tf.round(scale * width), tf.int64)


# Sizes that may be known when a function is traced, or only when it runs.


def _dim(tensor: Tensor, axis: int) -> Dim:
    known = None if tensor.shape.rank is None else tensor.shape[axis]
    return tf.shape(tensor, tf.int64)[axis] if known is None else known


def _in_size(images: Tensor) -> Size:
    return _dim(images, -3), _dim(images, -2)


def _shaped(result: Tensor, images: Tensor, size: Size) -> Tensor:
    """``result``, ``images`` resized to ``size``, with what is known of that in its static shape."""
    if images.shape.rank is not None:
        height, width = (n if isinstance(n, int) else None for n in size)
        result.set_shape([*images.shape[:-3], height, width, images.shape[-1]])
    return result


# Path "host".


def _resize_host(images: Tensor, size: Size, kernel: Kernel) -> Tensor:
    forward = partial(_call, partial(_numpy_resize, kernel=kernel.name), size=size)
    if images.dtype != tf.float32:
        return forward(images)
    return _linear(forward, partial(_call, partial(_numpy_adjoint, kernel=kernel.name), size=_in_size(images)))(images)


def _linear(forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``forward``, a linear map whose gradient is ``adjoint``, whose gradient is ``forward``."""
    apply: Callable[[Tensor], Tensor] = tf.custom_gradient(lambda x: (forward(x), _linear(adjoint, forward)))
    return apply


def _call(function: Callable[[Array, Array], Array], images: Tensor, size: Size) -> Tensor:
    if tf.executing_eagerly():  # asarray shares the tensor's memory, tf.numpy_function would copy it
        return tf.convert_to_tensor(function(np.asarray(images), np.asarray(size)))
    # Not stateful: the same image gives the same result, and one that nobody reads need not be computed.
    arguments = [images, tf.stack([tf.cast(n, tf.int64) for n in size])]
    return _shaped(tf.numpy_function(function, arguments, images.dtype, stateful=False), images, size)


def _numpy_resize(images: Array, size: Array, *, kernel: str) -> Array:
    return sr.resize(images, (int(size[0]), int(size[1])), kernel=kernel)


def _numpy_adjoint(gradient: Array, size: Array, *, kernel: str) -> Array:
    """The transposed operator: float32 (..., h, w, C) to (..., H, W, C) for ``size`` (H, W)."""
    scaling = sr.scaling_operator((int(size[0]), int(size[1])), gradient.shape[-3:-1], kernel)
    return scaling.rows.adjoint(scaling.cols.adjoint(gradient, -2), -3).astype(np.float32)


def _reconstruct_and_resize(
    images: Tensor, size: Any, method: str, preserve_aspect_ratio: bool, name: str | None, defense: str
) -> Tensor:
    with tf.name_scope(name or "secure_resize"):
        images = _images(images)
        wanted = _size(size)
        if preserve_aspect_ratio:
            wanted = _fit(wanted, _in_size(images))
        sizes = tf.stack([tf.cast(n, tf.int64) for n in wanted])
        exact = tf.cast(images, tf.float32) if images.dtype in NARROW else images
        safe = reconstruct(exact, wanted, scaler=f"tensorflow:{method}", method=defense)
        scaled = tf.image.resize(safe, tf.cast(sizes, tf.int32), method=method, antialias=False)
        if images.dtype in (tf.uint8, tf.uint16):
            scaled = tf.clip_by_value(tf.round(tf.cast(scaled, tf.float32)), 0, images.dtype.max)
        return _shaped(tf.cast(scaled, images.dtype), images, wanted)


# Path "graph".


def _resize_graph(images: Tensor, size: Size, kernel: Kernel) -> Tensor:
    images, size = _bounded(images, size)
    in_size, channels = _in_size(images), _dim(images, -1)
    batch = tf.reshape(images, [-1, *in_size, channels])
    rows, cols = (_taps(n_in, n_out, kernel, images.dtype) for n_in, n_out in zip(in_size, size, strict=True))
    if images.dtype == tf.float32:
        result = _apply_float(batch, rows, cols)
    elif kernel.integrated:  # core.reference.apply_area
        sums = tf.cast(_apply(_apply(batch, rows, 1), cols, 2), tf.int64)
        divisor = rows.unit * cols.unit
        # Of integers, because the graph optimiser turns a division by a constant float into a multiplication.
        result = tf.cast((2 * sums + divisor) // (2 * divisor), images.dtype)
    else:
        result = _apply_fixed(batch, rows, cols)
    return tf.reshape(result, tf.concat([tf.shape(images, tf.int64)[:-3], [*size, channels]], 0))


def _bounded(images: Tensor, size: Size) -> tuple[Tensor, Size]:
    """Both unchanged, unless the images are empty or a size is out of resize()'s bounds."""
    valid = _dim(images, -1) >= 1
    for h, w in (_in_size(images), size):
        valid = valid & (h >= 1) & (w >= 1) & (h <= MAX_AXIS) & (w <= MAX_AXIS) & (h * w <= MAX_PIXELS)
    bounds = f"an axis has 1 to {MAX_AXIS} pixels, an image up to {MAX_PIXELS}, and a channel; got images of shape"
    if isinstance(valid, bool):
        if not valid:
            raise ValueError(f"{bounds} {images.shape}, size ({size[0]}, {size[1]})")
        return images, size
    with tf.control_dependencies([tf.debugging.Assert(valid, [bounds, tf.shape(images), "size", *size])]):
        height, width = (n if isinstance(n, int) else tf.identity(n) for n in size)
        return tf.identity(images), (height, width)


def _apply_float(batch: Tensor, rows: _Taps, cols: _Taps) -> Tensor:
    """core.reference.apply_float. The gradient is written down: that of a loop would keep what every tap has read."""

    def gradient(y: Tensor) -> Tensor:
        return tf.cast(_apply(_apply(y, cols, 2, transposed=True), rows, 1, transposed=True), tf.float32)

    return tf.custom_gradient(lambda x: (tf.cast(_apply(_apply(x, rows, 1), cols, 2), tf.float32), gradient))(batch)


def _apply_fixed(batch: Tensor, rows: _Taps, cols: _Taps) -> Tensor:
    """core.reference.apply_fixed, with the order of passes of Pillow 13."""

    def run(image: Tensor, taps: _Taps, axis: int) -> Tensor:
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


class _Taps(NamedTuple):
    """Output i of an axis is ``sum(weights[i, k] * pixel[start[i] + k]) / unit``.

    ``start`` int64 (n_out,), ``weights`` float64 (n_out, width), integers unless the images are floating; ``unit``
    int64. The tables of :mod:`secure_resize.core.taps` as tensors.
    """

    n_in: Dim
    n_out: Dim
    start: Tensor
    weights: Tensor
    unit: Tensor


def _taps(n_in: Dim, n_out: Dim, kernel: Kernel, dtype: tf.DType) -> _Taps:
    if isinstance(n_in, int) and isinstance(n_out, int):
        start, weights, unit = _known_taps(n_in, n_out, kernel, dtype)
    else:
        # On a GPU, cumsum would add in another order.
        with tf.device("/CPU:0"):
            start, weights, unit = _computed_taps(_Array(n_in), _Array(n_out), kernel, dtype)
    return _Taps(n_in, n_out, tf.cast(start, tf.int64), tf.cast(weights, tf.float64), tf.cast(unit, tf.int64))


def _known_taps(n_in: int, n_out: int, kernel: Kernel, dtype: tf.DType) -> tuple[Array, Array, int]:
    if dtype == tf.float32:
        axis = sr.axis_operator(n_in, n_out, kernel.name)
        return axis.start, axis.weights, 1
    if kernel.integrated:
        taps = area_taps(n_in, n_out)
    else:
        taps = fixed_taps(n_in, n_out, kernel.name, sum_exactly=dtype == tf.uint16)
    return taps.start, taps.weights, taps.unit


def _computed_taps(n_in: _Array, n_out: _Array, kernel: Kernel, dtype: tf.DType) -> tuple[Tensor, Tensor, Tensor]:
    """The same where a size is known only when the graph runs."""
    start, weights, unit = axis_weights(n_in, n_out, kernel, dtype.name, _XP)
    return start.tensor, weights.tensor, getattr(unit, "tensor", unit)


def _apply(x: Tensor, taps: _Taps, axis: int, *, transposed: bool = False) -> Tensor:
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


# A namespace and an array with numpy's face, for core/kernels.py and core/taps.py to run on.


class _Array:
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

    def __getitem__(self, index: Any) -> _Array:
        return _Array(self.tensor[index])

    def astype(self, dtype: npt.DTypeLike) -> _Array:
        return _Array(tf.cast(self.tensor, dtype))

    def max(self) -> _Array:
        return _Array(tf.reduce_max(self.tensor))


def _lifted(function: Callable[..., Tensor]) -> Callable[..., _Array]:
    """``function`` of tensors as one of arrays and Python numbers, int64 meeting float64 becoming float64."""

    def on_arrays(*values: Any, **options: Any) -> _Array:
        tensors = [(value if isinstance(value, _Array) else _Array(value)).tensor for value in values]
        if any(tensor.dtype == tf.float64 for tensor in tensors):
            tensors = [tf.cast(t, tf.float64) if t.dtype == tf.int64 else t for t in tensors]
        return _Array(function(*tensors, **options))

    return on_arrays


for _name in ("add", "sub", "mul", "truediv", "floordiv", "lt", "le", "gt", "ge", "eq", "and_", "neg"):
    setattr(_Array, f"__{_name.strip('_')}__", _lifted(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(_Array, f"__r{_name}__", lambda self, other, name=_name: _lifted(getattr(operator, name))(other, self))

_XP = SimpleNamespace(
    **{name: _lifted(getattr(tf, name)) for name in ("abs", "cumsum", "maximum", "minimum", "round", "where")},
    arange=_lifted(tf.range),
    max=_lifted(tf.reduce_max),
)
