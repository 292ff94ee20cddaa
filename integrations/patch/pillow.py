"""Pillow: filters that widen for those that do not, palettes through colours, JPEG files decoded in full."""

from __future__ import annotations

from typing import Any

import numpy as np

from secure_resize.integration_support import tracing

from .arrays import factor_of, scale_axes, supersampled
from .routes import LABELS, Answer, Call, Done, Left, route

NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING, _MKS2013, MKS2021 = range(8)
# Filters that Pillow widens, and that leave nothing out at any ratio.
WIDENED = (LANCZOS, BILINEAR, BICUBIC, HAMMING, MKS2021)
FORCED = ("1", "P")  # modes in which Pillow takes NEAREST whatever it is asked for
# Colours are averaged weighted by their alpha, as Pillow does: a transparent pixel's colour must not bleed.
PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}
# LAB's a and b are signed outside Pillow and offset by 128 inside; only the latter can be averaged as uint8.
LAB_OFFSET = np.array([0, 128, 128], np.uint8)
MAPS = ("1", "L", "P", "I", "I;16", "F")  # modes in which there are maps of labels


@route("PIL.Image.Image.resize")
def resize(call: Call) -> Answer:
    """``Image.resize``."""
    image: Any = call.args[0]
    width, height = map(int, call.argument(1, "size"))
    resample, box, gap = call.argument(2, "resample"), call.argument(3, "box"), call.argument(4, "reducing_gap")
    resample = BICUBIC if resample is None else int(resample)
    window = tuple(map(float, (0, 0, *image.size) if box is None else box))
    across, down = window[2] - window[0], window[3] - window[1]
    if width >= across and height >= down:
        return None
    sampled = resample not in WIDENED or image.mode in FORCED
    if resample == NEAREST and _is_labels(call, image, box, (height, width)):
        return LABELS
    if image.mode in FORCED:
        return Done(_in_colours(image, (width, height), box), "area")
    if resample == BOX and across % width == 0 == down % height and box is None:
        sampled = False
    if sampled:
        if any(edge % 1 for edge in window):  # parts of pixels, which Pillow's own filters weigh
            wide = call.with_argument(2, "resample", BILINEAR).with_argument(4, "reducing_gap", None)
            return Done(wide.stock(), "bilinear")
        part = image if box is None else image.crop(tuple(map(int, window)))
        return Done(area(part, (height, width)), "area")
    if gap is None:
        return None
    return Done(call.with_argument(4, "reducing_gap", None).stock(), "without reducing_gap")


def _is_labels(call: Call, image: Any, box: Any, size: tuple[int, int]) -> bool:
    if image.mode not in MAPS:
        return call.names_a_mask()
    part = image if box is None else image.crop(tuple(map(round, box)))
    return call.is_labels(np.asarray(part), (min(size[0], part.height), min(size[1], part.width)))


def area(image: Any, size: tuple[int, int]) -> Any:
    """The exact mean, to ``size`` (height, width): a new image of the same mode and info."""
    from PIL import Image

    if image.mode in PREMULTIPLIED:
        return area(image.convert(PREMULTIPLIED[image.mode]), size).convert(image.mode)
    pixels = np.asarray(image)
    if image.mode == "LAB":
        pixels = pixels ^ LAB_OFFSET
    small = scale_axes(pixels, (*size, *pixels.shape[2:]))
    if image.mode == "LAB":
        small = small ^ LAB_OFFSET
    result = Image.frombytes(image.mode, (size[1], size[0]), np.ascontiguousarray(small, pixels.dtype).tobytes())
    result.info = {key: value.copy() if isinstance(value, list) else value for key, value in image.info.items()}
    return result


def _in_colours(image: Any, size: tuple[int, int], box: Any) -> Any:
    """Of a mode whose pixels are no quantities: scaled in colours, and back to the same palette."""
    part = image if box is None else image.crop(tuple(map(round, box)))
    if image.mode == "1":
        return area(part.convert("L"), size[::-1]).point(lambda level: 255 * (level >= 128), "1")
    clear = "transparency" in image.info
    result = _nearest_entries(area(part.convert("RGBA" if clear else "RGB"), size[::-1]), image)
    result.info = dict(image.info)
    return result


def _nearest_entries(colours: Any, like: Any) -> Any:
    """An image of ``like``'s palette, each pixel the entry nearest to its colour."""
    from PIL import Image

    wide = colours.mode == "RGBA"
    entries = np.array(like.getpalette("RGB"), np.int32).reshape(-1, 3)
    if wide:
        full = np.full((len(entries), 1), 255)
        transparency = like.info.get("transparency", b"")
        if isinstance(transparency, int):
            full[transparency] = 0
        else:
            full[: len(transparency), 0] = list(transparency)[: len(entries)]
        entries = np.hstack([entries, full]).astype(np.int32)
    pixels = np.asarray(colours).astype(np.int32)
    shape = pixels.shape[:2]
    flat, back = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0, return_inverse=True)
    nearest = np.empty(len(flat), np.uint8)
    for first in range(0, len(flat), 4096):
        part = flat[first : first + 4096, None, :]
        nearest[first : first + 4096] = ((part - entries) ** 2).sum(-1).argmin(1)
    result = Image.fromarray(nearest[back.reshape(shape)], "L")
    result.putpalette(like.palette)
    return result


@route("PIL.Image.Image.reduce")
def reduce(call: Call) -> Answer:
    """``Image.reduce``: its blocks at the border are smaller, down to a single pixel."""
    image: Any = call.args[0]
    factor, box = call.argument(1, "factor"), call.argument(2, "box")
    across, down = factor if isinstance(factor, (tuple, list)) else (factor, factor)
    part = image if box is None else image.crop(tuple(map(round, box)))
    width, height = part.size
    if width % across == 0 == height % down or (across, down) == (1, 1) or image.mode in FORCED:
        return None
    return Done(area(part, (-(-height // down), -(-width // across))), "area")


@route("PIL.Image.Image.draft")
def draft(call: Call) -> Answer:
    """``JpegImageFile.draft``: decoded in full, then scaled as the file would have been while it was decoded."""
    image: Any = call.args[0]
    mode, size = call.argument(1, "mode"), call.argument(2, "size")
    if size is None or len(image.tile) != 1 or image.size[0] // size[0] < 2 or image.size[1] // size[1] < 2:
        return None
    full = image.size
    scale = min(full[0] // size[0], full[1] // size[1])
    factor = next(one for one in (8, 4, 2, 1) if scale >= one)
    call.original(image, mode, full)
    image.load()
    small = area(image, (-(-full[1] // factor), -(-full[0] // factor)))
    image.im, image._size = small.im, small.size
    return Done((image.mode, (0, 0, full[0] / factor, full[1] / factor)), "decoded in full, then area")


@route("PIL.Image.Image.transform")
def transform(call: Call) -> Answer:
    """``Image.transform``: rendered larger, then averaged."""
    image: Any = call.args[0]
    size, method, data = call.argument(1, "size"), call.argument(2, "method"), call.argument(3, "data")
    resample = int(call.argument(4, "resample", NEAREST))
    fill, color = call.argument(5, "fill", 1), call.argument(6, "fillcolor")
    if hasattr(method, "getdata"):
        method, data = method.getdata()
    out = int(size[1]), int(size[0])
    steps = tracing().transform_steps(int(method), data, out)
    if tracing().stepped_over(steps, out) is None:
        return None
    nearest = resample == NEAREST
    if nearest and _is_labels(call, image, None, (min(out[0], image.height), min(out[1], image.width))):
        return LABELS
    if image.mode in FORCED:
        return Left(f"mode {image.mode}, of which pixels can only be picked: convert it first")
    if int(method) == 4:
        return Left("a mesh of quadrilaterals")
    plain = PREMULTIPLIED.get(image.mode, image.mode)
    source = image if plain == image.mode else image.convert(plain)
    factors = factor_of(steps[0]), factor_of(steps[1])
    filter = BILINEAR if nearest else resample

    def tile(top: int, left: int, height: int, width: int) -> Any:
        part = _part(int(method), data, out, (top, left, height, width), factors)
        to = width * factors[1], height * factors[0]
        large = call.original(source, to, part[0], part[1], filter, fill, color)
        pixels = np.asarray(large)
        return pixels ^ LAB_OFFSET if image.mode == "LAB" else pixels

    from PIL import Image

    pixels = supersampled(out, factors, tile)
    pixels = pixels ^ LAB_OFFSET if image.mode == "LAB" else pixels
    result = Image.frombytes(source.mode, (out[1], out[0]), np.ascontiguousarray(pixels).tobytes())
    if plain != image.mode:
        result = result.convert(image.mode)
    result.info = dict(image.info)
    return Done(result, "rendered larger, then area")


def _part(method: int, data: Any, out: tuple[int, int], part: tuple[int, int, int, int], factors: Any) -> Any:
    """(method, data) that renders this part of the output larger. Pillow's coordinates are corners', not centres'."""
    (top, left, height, width), (down, across) = part, factors
    if method == 1:  # EXTENT: the same as an affine map
        x, y = (data[2] - data[0]) / out[1], (data[3] - data[1]) / out[0]
        method, data = 0, (x, 0.0, data[0], 0.0, y, data[1])
    if method == 0:
        a, b, c, d, e, f = data[:6]
        return 0, (a / across, b / down, a * left + b * top + c, d / across, e / down, d * left + e * top + f)
    if method == 2:
        a, b, c, d, e, f, g, h = data[:8]
        # Centres are at + 0.5, scaled like everything else.
        rest = g * left + h * top + 1.0
        rows = [
            (a / across, b / down, a * left + b * top + c),
            (d / across, e / down, d * left + e * top + f),
            (g / across, h / down, rest),
        ]
        flat = [value / rest for row in rows for value in row]
        return 2, tuple(flat[:8])
    # QUAD: bilinear between four corners: north-west, south-west, south-east, north-east.
    corners = np.array(data, float).reshape(4, 2)

    def at(x: float, y: float) -> Any:
        u, v = x / out[1], y / out[0]
        nw, sw, se, ne = corners
        return (1 - u) * (1 - v) * nw + (1 - u) * v * sw + u * v * se + u * (1 - v) * ne

    right, bottom = left + width, top + height
    quad = [at(left, top), at(left, bottom), at(right, bottom), at(right, top)]
    return 3, tuple(float(value) for corner in quad for value in corner)
