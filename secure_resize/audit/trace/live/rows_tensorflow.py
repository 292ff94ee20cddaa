"""TensorFlow: the operations under tf.image, tf.keras and Keras on TensorFlow, eager and while a graph is made.

A graph is executed by TensorFlow, not by Python: these functions see it being made, once for each tracing, with sizes
that may not be known. Nothing is inserted into it (an operation that counts would be saved with a model, and forbids
XLA and some optimisations of tf.data), so how often it is executed is not known, and is said to be so.
"""

from __future__ import annotations

from typing import Any

from .geometry import affine_steps, stepped_over
from .hook import Arguments, Described, Keywords, Sight, argument, hook, shrinks, unseen

OPERATIONS = "tensorflow.python.ops.gen_image_ops"
KERNELS = {"triangle": "bilinear", "keyscubic": "bicubic"}


def _shape(value: Any) -> tuple[int | None, ...] | None:
    """Of a tensor or an array; None where even the number of axes is not known."""
    get = getattr(value, "_shape_tuple", None)
    shape = get() if get is not None else getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _graph(value: Any) -> bool:
    return type(value).__name__ != "EagerTensor"


def _sizes(images: Any, result: Any) -> tuple[tuple[Any, Any], tuple[Any, Any], int | None] | None:
    """In-size, out-size and channels of (N, H, W, C), or None where nothing gets smaller."""
    before, after = _shape(images), _shape(result)
    before = before if before is not None and len(before) == 4 else (None,) * 4
    after = after if after is not None and len(after) == 4 else (None,) * 4
    in_size, out_size = (before[1], before[2]), (after[1], after[2])
    return (in_size, out_size, before[3]) if shrinks(in_size, out_size) else None


def _resized(method: str, corners: bool, centers: bool) -> Described:
    legacy = method != "area" and not centers
    flags = f"{method}, antialias=False" + ", align_corners=True" * corners + ", half_pixel_centers=False" * legacy
    return flags, "" if legacy or corners else f"tensorflow:{method}", "resize"


_LEGACY = {
    "bilinear": "ResizeBilinear",
    "nearest": "ResizeNearestNeighbor",
    "bicubic": "ResizeBicubic",
}


def _legacy_again(in_size: Any, out_size: Any, method: str, corners: bool, centers: bool) -> Any:
    import tensorflow

    operation = getattr(tensorflow.raw_ops, _LEGACY[method])

    def again(image: Any) -> Any:
        return operation(images=image[None], size=out_size, align_corners=corners, half_pixel_centers=centers)[
            0
        ].numpy()

    return again


def _resizer(method: str, function: str, operation: str) -> None:
    """The rows of one sampling operation: as tf.image calls it, and as tf.raw_ops does."""

    def read(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
        images = argument(args, kwargs, 0, "images")
        sizes = _sizes(images, result)
        if sizes is None:
            return None
        options = (
            method,
            bool(argument(args, kwargs, 2, "align_corners", False)),
            bool(argument(args, kwargs, 3, "half_pixel_centers", False)),
        )
        dtype = getattr(images, "dtype", result.dtype)
        return Sight(sizes[0], sizes[1], dtype, sizes[2], options, _graph(result), method == "nearest")

    pixels = lambda args, kwargs: argument(args, kwargs, 0, "images")  # noqa: E731
    facts = {"pixels": pixels, "again": _legacy_again if method in _LEGACY else None}
    hook(f"tf.image.resize ({method})", OPERATIONS, function, "SR106", _resized, shown="tf.image.resize", **facts)(read)
    hook(f"tf.raw_ops.{operation}", OPERATIONS, operation, "SR106", _resized, **facts)(read)


_resizer("bilinear", "resize_bilinear", "ResizeBilinear")
_resizer("nearest", "resize_nearest_neighbor", "ResizeNearestNeighbor")
_resizer("bicubic", "resize_bicubic", "ResizeBicubic")
_resizer("area", "resize_area", "ResizeArea")


def _scaled(kernel: str, antialias: bool) -> Described:
    method = KERNELS.get(kernel, kernel)
    scaler = f"tensorflow:{method}{'+antialias' * antialias}"
    return f"{method}, antialias={antialias}", scaler, "resize"


def _scale_and_translate(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    images = argument(args, kwargs, 0, "images")
    sizes = _sizes(images, result)
    if sizes is None:
        return None
    options = (
        str(argument(args, kwargs, 4, "kernel_type", "lanczos3")),
        bool(argument(args, kwargs, 5, "antialias", True)),
    )
    return Sight(sizes[0], sizes[1], getattr(images, "dtype", result.dtype), sizes[2], options, _graph(result))


for _function, _name, _shown in (
    ("scale_and_translate", "tf.image.resize (scale_and_translate)", "tf.image.resize"),
    ("ScaleAndTranslate", "tf.raw_ops.ScaleAndTranslate", ""),
):
    hook(_name, OPERATIONS, _function, "SR106", _scaled, shown=_shown or _name)(_scale_and_translate)


def _cropped(method: str) -> Described:
    return method, f"tensorflow:{method}", "warp"


def _crop_and_resize(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, boxes = argument(args, kwargs, 0, "image"), argument(args, kwargs, 1, "boxes")
    before, after = _shape(image), _shape(result)
    if before is None or after is None or len(before) != 4 or len(after) != 4:
        return None
    method = str(argument(args, kwargs, 4, "method", "bilinear"))
    size = (after[1], after[2])
    graph = _graph(result)
    over: Any = (None, None)
    if not graph:
        values = boxes.numpy() if hasattr(boxes, "numpy") else boxes
        height, width = size
        steps = [
            (abs(b[2] - b[0]) * (before[1] or 1) / (height or 1), abs(b[3] - b[1]) * (before[2] or 1) / (width or 1))
            for b in values
        ]
        if not steps:
            return None
        over = stepped_over((max(s[0] for s in steps), max(s[1] for s in steps)), size)
    dtype = getattr(image, "dtype", result.dtype)
    return None if over is None else Sight(over, size, dtype, before[3], (method,), graph, method == "nearest")


def _projected(interpolation: str) -> Described:
    return interpolation, f"tensorflow:{interpolation.lower()}", "warp"


def _project(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    images, transforms = argument(args, kwargs, 0, "images"), argument(args, kwargs, 1, "transforms")
    before, after = _shape(images), _shape(result)
    if before is None or after is None or len(after) != 4 or _graph(result) or _graph(transforms):
        return None  # whether a transform shrinks is not known before it is there
    size = (after[1] or 1, after[2] or 1)
    rows = transforms.numpy().tolist()
    steps = [affine_steps(row[0], row[1], row[3], row[4]) for row in rows]
    over = stepped_over((max(s[0] for s in steps), max(s[1] for s in steps)), size)
    name = str(argument(args, kwargs, 4, "interpolation", "BILINEAR"))
    return None if over is None else Sight(over, size, images.dtype, before[3], (name,), False, name == "NEAREST")


for _function, _name, _describe, _read in (
    ("crop_and_resize", "tf.image.crop_and_resize", _cropped, _crop_and_resize),
    ("CropAndResize", "tf.raw_ops.CropAndResize", _cropped, _crop_and_resize),
    ("image_projective_transform_v3", "gen_image_ops.image_projective_transform_v3", _projected, _project),
    ("ImageProjectiveTransformV3", "tf.raw_ops.ImageProjectiveTransformV3", _projected, _project),
):
    _image = "images" if _read is _project else "image"
    hook(
        _name,
        OPERATIONS,
        _function,
        "SR106",
        _describe,
        pixels=lambda args, kwargs, image=_image: argument(args, kwargs, 0, image),
    )(_read)


def _decoding(ratio: int) -> Described:
    return "dct_method=INTEGER_FAST" if ratio == 1 else f"ratio={ratio}", "", "decode"


def _inexact(result: Any) -> Sight:
    """A decode in full that was replaced by an exact one."""
    shape = _shape(result) or (None,) * 3
    size = (shape[-3], shape[-2]) if len(shape) >= 3 else (None, None)
    return Sight(size, size, result.dtype, shape[-1], (1,), _graph(result))


def _decoded(place: int) -> Any:
    def read(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
        ratio = int(argument(args, kwargs, place, "ratio", 1) or 1)
        if ratio == 1:
            return None
        shape = _shape(result) or (None,) * 3
        out = (shape[0], shape[1])
        before = tuple(None if n is None else n * ratio for n in out)
        return Sight(before, out, result.dtype, shape[2], (ratio,), _graph(result))

    return read


for _function, _name, _place in (
    ("decode_jpeg", "tf.io.decode_jpeg", 2),
    ("DecodeJpeg", "tf.raw_ops.DecodeJpeg", 2),
    ("decode_and_crop_jpeg", "tf.io.decode_and_crop_jpeg", 3),
    ("DecodeAndCropJpeg", "tf.raw_ops.DecodeAndCropJpeg", 3),
):
    hook(_name, OPERATIONS, _function, "SR109", _decoding, unscaled=_inexact)(_decoded(_place))

# These scale nothing, and decode JPEG, whatever they are called, by a fast transform that cannot be turned off.
for _function, _name in (
    ("decode_image", "tf.io.decode_image"),
    ("DecodeImage", "tf.raw_ops.DecodeImage"),
    ("decode_png", "tf.io.decode_png"),
    ("DecodePng", "tf.raw_ops.DecodePng"),
):
    hook(_name, OPERATIONS, _function, "SR110", _decoding, unscaled=_inexact)(lambda args, kwargs, result: None)

unseen(
    "tf.saved_model.load",
    "tensorflow.python.saved_model.load",
    "load",
    "a saved model's graph is executed as it was saved",
)
