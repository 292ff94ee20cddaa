"""TensorFlow's operations, eager and while a graph is made: its own antialiased one, decoding in full, larger warps."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .arrays import LARGEST_STEP
from .routes import LABELS, Answer, Call, Done, Left, route

# The kernel of ScaleAndTranslate that each sampling operation is, antialiased.
KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
_VALUES, _SAME, _AROUND, _STRAY = 64, 0.8, 3, 0.002  # as in .arrays, for maps of labels in a graph


def _tf() -> Any:
    return importlib.import_module("tensorflow")


def _operations() -> Any:
    return importlib.import_module("tensorflow.python.ops.gen_image_ops")


def _sides(images: Any, size: Any) -> tuple[Any, Any]:
    """In-size and out-size as far as they are known here; None for a side that is not."""
    tf = _tf()
    shape = images.shape
    before = (None, None) if shape.rank is None else tuple(shape[1:3])
    known = tf.get_static_value(size)
    return before, (None, None) if known is None else tuple(map(int, known))


def _where_it_shrinks(images: Any, size: Any, robust: Callable[[], Any], stock: Callable[[], Any]) -> Any:
    """``robust()``, or None where nothing shrinks; a condition of the graph where only that will know."""
    tf = _tf()
    before, after = _sides(images, size)
    if None not in (*before, *after):
        return robust() if any(m < n for n, m in zip(before, after, strict=True)) else None
    shrinks = tf.reduce_any(tf.cast(size, tf.int32) < tf.shape(images)[1:3])
    return tf.cond(shrinks, robust, stock)


def _images(call: Call, name: str = "images") -> Any:
    tf = _tf()
    return tf.convert_to_tensor(call.argument(0, name))


def _antialiased(method: str) -> Callable[[Call], Answer]:
    def replace(call: Call) -> Answer:
        images, size = _images(call), call.argument(1, "size")
        result = _where_it_shrinks(images, size, lambda: _scaled(images, size, KERNELS[method]), call.stock)
        return None if result is None else Done(result, f"{method}, antialias=True")

    return replace


def _scaled(images: Any, size: Any, kernel: str) -> Any:
    """As ``tf.image.resize(..., antialias=True)`` does it; float32."""
    tf = _tf()
    size = tf.cast(size, tf.int32)
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(images)[1:3], tf.float32)
    result = _operations().scale_and_translate(images, size, scale, tf.zeros([2]), kernel, antialias=True)
    known = tf.get_static_value(size)
    if known is not None:
        result.set_shape([images.shape[0], int(known[0]), int(known[1]), images.shape[3]])
    return result


def _area(images: Any, size: Any) -> Any:
    """The mean over each output's footprint, in the images' dtype; differentiable where they are floating."""
    tf = _tf()
    if images.dtype.is_floating:
        return tf.cast(_scaled(images, size, "triangle"), images.dtype)
    mean = tf.round(_operations().resize_area(images, tf.cast(size, tf.int32)))
    return tf.saturate_cast(mean, images.dtype)


for _method, _operation in (("bilinear", "ResizeBilinear"), ("bicubic", "ResizeBicubic")):
    route(f"tf.image.resize ({_method})", f"tf.raw_ops.{_operation}")(_antialiased(_method))


@route("tf.image.resize (nearest)", "tf.raw_ops.ResizeNearestNeighbor")
def nearest(call: Call) -> Answer:
    """``ResizeNearestNeighbor``: what is in a graph is looked at when that runs."""
    tf, images, size = _tf(), _images(call), call.argument(1, "size")
    before, after = _sides(images, size)
    if None not in (*before, *after) and all(m >= n for n, m in zip(before, after, strict=True)):
        return None
    if call.names_a_mask():
        return LABELS
    planes = images.shape.rank is None or images.shape[3] in (1, None)
    if not planes:
        result = _where_it_shrinks(images, size, lambda: _area(images, size), call.stock)
        return Done(result, "area")
    if hasattr(images, "numpy"):
        pixels = images.numpy()
        if pixels.shape[3] == 1 and call.is_labels(pixels[..., 0], tuple(map(min, before, after))):
            return LABELS
        return Done(_area(images, size), "area")

    def decided() -> Any:
        return tf.cond(_looks_like_labels(images, size, call), call.stock, lambda: _area(images, size))

    return Done(_where_it_shrinks(images, size, decided, call.stock), "area, but for maps of labels")


def _looks_like_labels(images: Any, size: Any, call: Call) -> Any:
    """As :func:`.arrays.looks_like_labels`, as operations of a graph."""
    tf = _tf()
    values = tf.cast(images, tf.float32)
    same = tf.reduce_mean(tf.cast(tf.equal(values[:, :, 1:], values[:, :, :-1]), tf.float32))
    few = tf.size(tf.unique(tf.reshape(values, [-1]))[0]) <= _VALUES
    whole = tf.reduce_all(tf.equal(values, tf.floor(values)))
    picked = call.stock()
    alike = tf.zeros_like(picked, tf.int32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            near = call.with_argument(0, "images", tf.roll(images, [down, across], [1, 2])).stock()
            alike += tf.cast(tf.equal(near, picked), tf.int32)
    stray = tf.reduce_mean(tf.cast(alike < _AROUND, tf.float32))
    one = tf.equal(tf.shape(images)[3], 1)
    return one & few & whole & (same >= _SAME) & (stray <= _STRAY)


@route("tf.image.resize (area)", "tf.raw_ops.ResizeArea")
def area(call: Call) -> Answer:
    """``ResizeArea``: the exact mean already, unless its corners are aligned."""
    if not call.argument(2, "align_corners", False):
        return None
    return Done(call.with_argument(2, "align_corners", False).stock(), "area")


@route("tf.image.resize (scale_and_translate)", "tf.raw_ops.ScaleAndTranslate")
def scale_and_translate(call: Call) -> Answer:
    """``ScaleAndTranslate``: antialiased, by a kernel that leaves nothing out."""
    kernel = call.argument(4, "kernel_type", "lanczos3")
    kernel = kernel.decode() if isinstance(kernel, bytes) else str(kernel)
    if call.argument(5, "antialias", True) and kernel != "box":
        return None
    tf = _tf()
    scale = tf.get_static_value(call.argument(2, "scale"))
    if scale is not None and min(scale) >= 1:
        return None
    moved = call.with_argument(5, "antialias", True)
    moved = moved.with_argument(4, "kernel_type", "triangle") if kernel == "box" else moved
    return Done(moved.stock(), f"{'triangle' if kernel == 'box' else kernel}, antialias=True")


# Warps: rendered larger, by as many times as the outputs lie source pixels apart, and averaged.


def _factors(steps: Any) -> Any:
    """Whole numbers from steps (2,)."""
    tf = _tf()
    return tf.clip_by_value(tf.cast(tf.math.ceil(steps - 0.04), tf.int32), 1, LARGEST_STEP)


def _averaged(large: Any, size: Any, factors: Any, dtype: Any) -> Any:
    tf = _tf()
    shape = tf.shape(large)
    cells = tf.reshape(large, [shape[0], size[0], factors[0], size[1], factors[1], shape[3]])
    mean = tf.reduce_mean(tf.cast(cells, tf.float64 if dtype == tf.float64 else tf.float32), [2, 4])
    return tf.cast(mean, dtype) if dtype.is_floating else tf.saturate_cast(tf.round(mean), dtype)


def _larger(factors: Any, large: Callable[[], Any], stock: Callable[[], Any]) -> Any:
    """``large()`` if some factor is above 1; None where it is known that none is."""
    tf = _tf()
    known = tf.get_static_value(factors)
    if known is not None:
        return large() if max(known) > 1 else None
    return tf.cond(tf.reduce_any(factors > 1), large, stock)


@route("tf.image.crop_and_resize", "tf.raw_ops.CropAndResize")
def crop_and_resize(call: Call) -> Answer:
    """``CropAndResize``."""
    tf, image = _tf(), _images(call, "image")
    boxes = tf.convert_to_tensor(call.argument(1, "boxes"), tf.float32)
    size = tf.cast(call.argument(3, "crop_size"), tf.int32)
    method = call.argument(4, "method", "bilinear")
    near = method in ("nearest", b"nearest")
    if near and (call.names_a_mask() or _eager_labels(call, image)):
        return LABELS
    spans = tf.abs(boxes[:, 2:] - boxes[:, :2]) * tf.cast(tf.shape(image)[1:3] - 1, tf.float32)
    steps = tf.reduce_max(tf.concat([spans, tf.zeros([1, 2])], 0), 0) / tf.cast(tf.maximum(size - 1, 1), tf.float32)
    factors = _factors(steps)

    def large() -> Any:
        more = call.with_argument(3, "crop_size", size * factors)
        more = more.with_argument(4, "method", "bilinear") if near else more
        return _averaged(more.stock(), size, factors, tf.float32)

    return _done(_larger(factors, large, call.stock), size)


def _done(result: Any, size: Any) -> Answer:
    if result is None:
        return None
    known = _tf().get_static_value(size)
    if known is not None:
        result.set_shape([None, int(known[0]), int(known[1]), None])
    return Done(result, "rendered larger, then area")


def _eager_labels(call: Call, images: Any) -> bool:
    if not hasattr(images, "numpy") or images.shape[3] != 1:
        return False
    pixels = images.numpy()[..., 0]
    return call.is_labels(pixels, tuple(max(1, n // 4) for n in pixels.shape[1:]))


@route("gen_image_ops.image_projective_transform_v3", "tf.raw_ops.ImageProjectiveTransformV3")
def project(call: Call) -> Answer:
    """``ImageProjectiveTransformV3``, whose coordinates are pixels' indices."""
    tf, images = _tf(), _images(call)
    transforms = tf.cast(call.argument(1, "transforms"), tf.float32)
    size = tf.cast(call.argument(2, "output_shape"), tf.int32)
    name = call.argument(4, "interpolation", "BILINEAR")
    near = name in ("NEAREST", b"NEAREST")
    if near and (call.names_a_mask() or _eager_labels(call, images)):
        return LABELS
    a, b, c, d, e, f, g, h = tf.unstack(transforms, axis=1)
    steps = tf.stack([tf.reduce_max(tf.sqrt(b * b + e * e)), tf.reduce_max(tf.sqrt(a * a + d * d))])
    factors = _factors(steps)

    def large() -> Any:
        down, across = tf.unstack(tf.cast(factors, tf.float32))
        # The larger one's pixel X is pixel (X - (k - 1) / 2) / k of the output.
        x, y = (across - 1) / (2 * across), (down - 1) / (2 * down)
        rest = 1 - g * x - h * y
        rows = [a / across, b / down, c - a * x - b * y, d / across, e / down, f - d * x - e * y, g / across, h / down]
        moved = call.with_argument(1, "transforms", tf.stack([row / rest for row in rows], 1))
        moved = moved.with_argument(2, "output_shape", size * factors)
        moved = moved.with_argument(4, "interpolation", "BILINEAR") if near else moved
        return _averaged(moved.stock(), size, factors, images.dtype)

    return _done(_larger(factors, large, call.stock), size)


# Files.

_FAST = ("", "INTEGER_FAST")  # the methods whose transform makes other pictures of coefficients that no picture has
_EXACT = "dct_method=INTEGER_ACCURATE"
_CROPPED = ("contents", "crop_window", "channels", "ratio", "fancy_upscaling", "try_recover_truncated",
            "acceptable_fraction", "dct_method", "name")  # fmt: skip


def _decoded(ratio_at: int, dct_at: int, crop: bool) -> Callable[[Call], Answer]:
    def replace(call: Call) -> Answer:
        tf = _tf()
        ratio = int(call.argument(ratio_at, "ratio", 1) or 1)
        dct = call.argument(dct_at, "dct_method", "") or ""
        dct = dct.decode() if isinstance(dct, bytes) else dct
        exact = call.with_argument(dct_at, "dct_method", "INTEGER_ACCURATE")
        if ratio == 1:
            return Done(exact.stock(), _EXACT) if dct in _FAST else None
        if crop:
            given = dict(zip(_CROPPED, exact.args, strict=False)) | exact.kwargs
            window = given.pop("crop_window")
            image = _operations().decode_jpeg(**{**given, "ratio": 1})
        else:
            image = exact.with_argument(ratio_at, "ratio", 1).stock()
        size = -(-tf.shape(image)[:2] // ratio)
        small = _area(image[None], size)[0]
        small.set_shape([None, None, image.shape[2]])
        if crop:
            top, left, height, width = tf.unstack(tf.cast(window, tf.int32))
            small = small[top : top + height, left : left + width]
        return Done(small, "decoded in full, then area")

    return replace


route("tf.io.decode_jpeg", "tf.raw_ops.DecodeJpeg")(_decoded(2, 6, False))
route("tf.io.decode_and_crop_jpeg", "tf.raw_ops.DecodeAndCropJpeg")(_decoded(3, 7, True))


def _decoded_of_any_kind(dtype_at: int) -> Callable[[Call], Answer]:
    """Operations that decode JPEG among other formats, by the fast transform, and cannot be told otherwise."""

    def replace(call: Call) -> Answer:
        tf = _tf()
        contents = tf.convert_to_tensor(call.argument(0, "contents"))
        channels = int(call.argument(1, "channels", 0) or 0)
        dtype = tf.as_dtype(call.argument(dtype_at, "dtype", tf.uint8))
        if channels not in (0, 1, 3):
            return None  # which it does not decode JPEG to

        def exact() -> Any:
            image = _operations().decode_jpeg(contents, channels, dct_method="INTEGER_ACCURATE")
            return tf.image.convert_image_dtype(image, dtype)

        is_jpeg = tf.equal(tf.strings.substr(contents, 0, 3), b"\xff\xd8\xff")
        if hasattr(contents, "numpy"):
            return Done(exact(), _EXACT) if is_jpeg else None
        result = tf.cond(is_jpeg, exact, call.stock)
        shape = call.stock().shape  # an operation whose result nobody takes, which a graph prunes
        result.set_shape(shape)
        return Done(result, f"{_EXACT} where it is JPEG")

    return replace


route("tf.io.decode_image", "tf.raw_ops.DecodeImage")(_decoded_of_any_kind(2))
route("tf.io.decode_png", "tf.raw_ops.DecodePng")(_decoded_of_any_kind(2))


@route("tf.saved_model.load")
def load(call: Call) -> Answer:
    """``tf.saved_model.load``: runs as it was saved."""
    return Left("a saved model's graph is executed as it was saved")
