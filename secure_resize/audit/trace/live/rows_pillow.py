"""Pillow, and JPEG files through simplejpeg. (torchvision, Keras' load_img, timm and transformers call it.)"""

from __future__ import annotations

import sys
from typing import Any

from .geometry import affine_steps, projective_steps, stepped_over
from .hook import Arguments, Described, Keywords, Sight, argument, hook, shrinks

FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming", "mks2013", "mks2021")
NEAREST, BICUBIC = 0, 3
FORCED = ("1", "P")  # modes in which Pillow takes NEAREST whatever it is asked for


def _filter(number: int) -> str:
    return FILTERS[number] if 0 <= number < len(FILTERS) else ""


def _resized(number: int, mode: str, gap: bool) -> Described:
    name = _filter(number)
    if mode in FORCED and name != "nearest":
        return f"{name.upper()} asked for, NEAREST used: mode {mode}", "pillow:nearest", "resize"
    flags = f"{name.upper() or number}, mode {mode}" + ", reducing_gap" * gap
    return flags, f"pillow:{name}{'+reducing_gap' * (gap and name != 'nearest')}" if name else "", "resize"


@hook("PIL.Image.Image.resize", "PIL.Image", "Image.resize", "SR108", _resized)
def _resize(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = args[0]
    (after_x, after_y), (before_x, before_y) = result.size, image.size
    box = argument(args, kwargs, 3, "box")
    if box is not None:
        before_x, before_y = round(box[2] - box[0]), round(box[3] - box[1])
    if after_y >= before_y and after_x >= before_x:
        return None
    resample = argument(args, kwargs, 2, "resample")
    resample = BICUBIC if resample is None else int(resample)
    options = (resample, image.mode, argument(args, kwargs, 4, "reducing_gap") is not None)
    nearest = resample == NEAREST  # asked for: in modes P and 1 other filters are NEAREST too, but nobody knows
    return Sight((before_y, before_x), (after_y, after_x), "uint8", len(image.getbands()), options, False, nearest)


def _reduce_again(in_size: Any, out_size: Any, mode: str) -> Any:
    from PIL import Image

    factor = round(in_size[1] / out_size[1]), round(in_size[0] / out_size[0])
    return lambda image: Image.fromarray(image).reduce(factor)


@hook(
    "PIL.Image.Image.reduce",
    "PIL.Image",
    "Image.reduce",
    "SR108",
    lambda mode: (f"mode {mode}", "", "resize"),
    again=_reduce_again,
)
def _reduce(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = args[0]
    box = argument(args, kwargs, 2, "box")
    before = image.size if box is None else (round(box[2] - box[0]), round(box[3] - box[1]))
    sizes = (before[1], before[0]), (result.size[1], result.size[0])
    return Sight(*sizes, "uint8", len(image.getbands()), (image.mode,)) if shrinks(*sizes) else None


def _transformed(number: int, mode: str) -> Described:
    # A transform's filters have a fixed width, like those of OpenCV and torch; Pillow's own names widen theirs.
    measured = {"nearest": "pillow:nearest", "bilinear": "torch:bilinear", "bicubic": "torch:bicubic"}
    name = "nearest" if mode in FORCED else _filter(number)
    return f"{name.upper() or number}, mode {mode}", measured.get(name, ""), "warp"


def _corner_steps(quad: Any, width: int, height: int) -> tuple[float, float]:
    """Of a quadrilateral: corners upper left, lower left, lower right, upper right."""
    down = ((quad[2] - quad[0]) / height, (quad[3] - quad[1]) / height)
    across = ((quad[6] - quad[0]) / width, (quad[7] - quad[1]) / width)
    return (down[0] ** 2 + down[1] ** 2) ** 0.5, (across[0] ** 2 + across[1] ** 2) ** 0.5


def transform_steps(method: int, data: Any, size: tuple[int, int]) -> tuple[float, float] | None:
    """Steps of ``Image.transform(size, method, data)`` down and across, ``size`` being (height, width)."""
    height, width = size
    if method == 0:  # AFFINE
        return affine_steps(data[0], data[1], data[3], data[4])
    if method == 1:  # EXTENT
        return abs(data[3] - data[1]) / height, abs(data[2] - data[0]) / width
    if method == 2:  # PERSPECTIVE
        return projective_steps([data[0:3], data[3:6], [data[6], data[7], 1.0]], size)
    if method == 3:  # QUAD
        return _corner_steps(data, width, height)
    if method == 4:  # MESH: (box, quadrilateral) pairs
        steps = [_corner_steps(quad, max(1, box[2] - box[0]), max(1, box[3] - box[1])) for box, quad in data]
        return max(one[0] for one in steps), max(one[1] for one in steps)
    return None


@hook("PIL.Image.Image.transform", "PIL.Image", "Image.transform", "SR108", _transformed)
def _transform(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, method, data = args[0], argument(args, kwargs, 2, "method"), argument(args, kwargs, 3, "data")
    if hasattr(method, "getdata"):
        method, data = method.getdata()
    if not isinstance(method, int):
        return None
    size = (result.size[1], result.size[0])
    over = stepped_over(transform_steps(int(method), data, size), size)
    resample = int(argument(args, kwargs, 4, "resample", NEAREST))
    return (
        None
        if over is None
        else Sight(over, size, "uint8", len(image.getbands()), (resample, image.mode), False, resample == NEAREST)
    )


@hook(
    "PIL.Image.Image.draft",
    "PIL.JpegImagePlugin",
    "JpegImageFile.draft",
    "SR109",
    lambda factor: (f"decodes 1/{factor} of a JPEG file", "", "decode"),
    prepare=lambda args, kwargs: args[0].size,
)
def _draft(args: Arguments, kwargs: Keywords, results: Any) -> Sight | None:
    image, (before, answer) = args[0], results
    after = image.size
    if answer is None or after == before:
        return None
    factor = round(max(before[0] / after[0], before[1] / after[1]))
    return Sight((before[1], before[0]), (after[1], after[0]), "uint8", len(image.getbands()), (factor,))


@hook(
    "simplejpeg.decode_jpeg",
    "simplejpeg",
    "decode_jpeg",
    "SR109",
    lambda factor: (f"decodes 1/{factor} of a JPEG file", "", "decode"),
)
def _simplejpeg(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    if not argument(args, kwargs, 4, "min_height", 0) and not argument(args, kwargs, 5, "min_width", 0):
        return None
    read: Any = sys.modules["simplejpeg"].decode_jpeg_header
    before, after = read(argument(args, kwargs, 0, "data"))[:2], result.shape
    if after[0] >= before[0] and after[1] >= before[1]:
        return None
    factor = round(max(before[0] / after[0], before[1] / after[1]))
    return Sight((before[0], before[1]), (after[0], after[1]), "uint8", after[2], (factor,))
