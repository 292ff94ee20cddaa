"""OpenCV: ``resize`` through the drop-in, warps rendered larger and averaged, files decoded in full."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_resize.integration_support import tracing

from .arrays import factor_of, scale_axes, supersampled
from .routes import LABELS, Answer, Call, Done, Left, route

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float64]

LINEAR, AREA = 1, 3
NEAREST = (0, 6)
INVERSE_MAP = 16
TRANSPARENT = 5  # cv2.BORDER_TRANSPARENT
REDUCED = 16 | 32 | 64  # cv2.IMREAD_REDUCED_*
COLOR = 1
JPEG = b"\xff\xd8\xff"


def _array(image: Any) -> Any:
    """As an array; a ``cv2.UMat`` is fetched."""
    return image if hasattr(image, "shape") else image.get()


def is_labels(call: Call, image: Array, size: tuple[int, ...]) -> bool:
    """Whether nearest is right for this array: of one channel, few values, in areas."""
    if image.ndim == 3 and image.shape[2] != 1:
        return call.names_a_mask()
    return call.is_labels(image.reshape(image.shape[:2]), size)


@route("cv2.resize")
def resize(call: Call) -> Answer:
    """``cv2.resize``: the drop-in's."""
    src, dsize = call.argument(0, "src"), call.argument(1, "dsize")
    fx, fy = call.argument(3, "fx", 0) or 0, call.argument(4, "fy", 0) or 0
    interpolation = call.argument(5, "interpolation", LINEAR)
    interpolation = LINEAR if interpolation is None else int(interpolation)
    image = _array(src)
    height, width = image.shape[:2]
    if dsize is not None and min(dsize) > 0:
        across, down = int(dsize[0]), int(dsize[1])
    else:
        across, down = round(width * fx), round(height * fy)
    if down >= height and across >= width:
        return None
    if interpolation == AREA and down <= height and across <= width:
        return None  # the exact mean, as long as no axis grows
    from .. import opencv

    kernel: Any = None
    if interpolation in NEAREST:
        if is_labels(call, image, (min(down, height), min(across, width))):
            return LABELS
        kernel = "area"
    if image.dtype.newbyteorder("=") not in opencv.DTYPES:
        return Left(f"pixels of {image.dtype}, of which OpenCV only picks some")
    result = opencv.resize(src, dsize, call.argument(2, "dst"), fx, fy, interpolation, kernel=kernel)
    return Done(result, kernel or opencv.KERNEL_OF[interpolation] or "area")


# Warps. Pixel j of a rendering k times as large lies at (j - (k - 1) / 2) / k of the smaller one's pixels.


def _larger(top: int, left: int, factors: tuple[int, int]) -> Matrix:
    """From the output's pixels to those of a larger rendering that begins at row ``top``, column ``left``."""
    down, across = factors
    return np.array(
        [[across, 0, (across - 1) / 2 - left * across], [0, down, (down - 1) / 2 - top * down], [0, 0, 1.0]]
    )


def _steps(back: Matrix, size: tuple[int, int]) -> tuple[float, float]:
    """The largest steps down and across, in source pixels, at the corners and the middle of the output."""
    height, width = size
    largest = [0.0, 0.0]
    with np.errstate(all="ignore"):
        for y in (0.0, height / 2, height - 1.0):
            for x in (0.0, width / 2, width - 1.0):
                here, right, below = (back @ np.array([u, v, 1.0]) for u, v in ((x, y), (x + 1, y), (x, y + 1)))
                at, *others = (point[:2] / point[2] for point in (here, below, right))
                for axis, other in enumerate(others):
                    step = float(np.hypot(*(other - at)))
                    largest[axis] = max(largest[axis], step if np.isfinite(step) else 0.0)
    return largest[0], largest[1]


def _warped(call: Call, size: tuple[int, int], steps: tuple[float, float], render: Callable[..., Array]) -> Answer:
    """``render(image, top, left, height, width, factors, flags, border, dst)`` is the library's own, larger."""
    image = _array(call.argument(0, "src"))
    if tracing().stepped_over(steps, size) is None:
        return None
    flags, border = int(call.argument(4, "flags", LINEAR)), int(call.argument(5, "borderMode", 0) or 0)
    nearest = flags & 7 in NEAREST
    if nearest and is_labels(call, image, size):
        return LABELS
    factors = factor_of(steps[0]), factor_of(steps[1])
    flags = flags & ~7 | LINEAR if nearest or flags & 7 == AREA else flags
    dst = call.argument(3, "dst")
    behind = dst if border == TRANSPARENT and isinstance(dst, np.ndarray) else None

    def tile(top: int, left: int, height: int, width: int) -> Array:
        below = None
        if behind is not None:
            part = behind[top : top + height, left : left + width]
            below = np.ascontiguousarray(part.repeat(factors[0], 0).repeat(factors[1], 1))
        return render(image, top, left, height, width, factors, flags, border, below)

    result = supersampled(size, factors, tile)
    return Done(_given(call, result, dst), "rendered larger, then area")


def _given(call: Call, result: Array, dst: Any) -> Any:
    """As the library would give it: in ``dst``, or as a ``cv2.UMat`` where it was given one."""
    cv2: Any = importlib.import_module("cv2")
    if not hasattr(call.argument(0, "src"), "shape"):
        return cv2.UMat(result)
    if isinstance(dst, np.ndarray) and dst.shape == result.shape and dst.dtype == result.dtype:
        dst[...] = result
        return dst
    return result


def _linear_warp(call: Call, whole: Matrix, rows: int) -> Answer:
    """``whole`` (3, 3): as the call has it, of which the library is given so many ``rows``."""
    width, height = map(int, call.argument(2, "dsize"))
    size = height, width
    inverted = bool(int(call.argument(4, "flags", LINEAR)) & INVERSE_MAP)
    back: Any = whole if inverted else np.linalg.inv(whole)
    value = call.argument(6, "borderValue")

    def render(
        image: Array, top: int, left: int, high: int, wide: int, factors: Any, flags: int, border: int, dst: Any
    ) -> Array:
        larger = _larger(top, left, factors)
        matrix = whole @ np.linalg.inv(larger) if inverted else larger @ whole
        more = {} if value is None else {"borderValue": value}
        to = wide * factors[1], high * factors[0]
        return np.asarray(call.original(image, matrix[:rows], to, dst=dst, flags=flags, borderMode=border, **more))

    return _warped(call, size, _steps(back, size), render)


@route("cv2.warpAffine")
def warp_affine(call: Call) -> Answer:
    """``cv2.warpAffine``."""
    matrix = np.asarray(call.argument(1, "M"), np.float64)
    return _linear_warp(call, np.vstack([matrix, [0.0, 0.0, 1.0]]), 2)


@route("cv2.warpPerspective")
def warp_perspective(call: Call) -> Answer:
    """``cv2.warpPerspective``."""
    return _linear_warp(call, np.asarray(call.argument(1, "M"), np.float64), 3)


@route("cv2.remap")
def remap(call: Call) -> Answer:
    """``cv2.remap``: the map is interpolated."""
    cv2: Any = importlib.import_module("cv2")
    first, second = call.argument(1, "map1"), call.argument(2, "map2")
    first, second = _array(first), None if second is None else _array(second)
    size = first.shape[:2]
    if first.ndim == 3 and first.dtype == np.int16:
        x, y = cv2.convertMaps(first, second, cv2.CV_32FC1)
    elif first.ndim == 3:
        x, y = first[..., 0], first[..., 1]
    else:
        x, y = first, second
    where = np.dstack([x, y]).astype(np.float32)
    steps = map_steps(where)
    value = call.argument(6, "borderValue")
    # remap(src, map1, map2, interpolation[, dst[, borderMode[, borderValue]]])
    flags, dst, border = (
        call.argument(3, "interpolation", LINEAR),
        call.argument(4, "dst"),
        call.argument(5, "borderMode", 0),
    )
    moved = Call(
        call.original,
        (call.argument(0, "src"), None, None, dst, flags, border),
        {},
        call.names_a_mask,
    )

    def render(
        image: Array, top: int, left: int, high: int, wide: int, factors: Any, flags: int, border: int, dst: Any
    ) -> Array:
        part = larger_map(where, top, left, high, wide, factors)
        more = {} if value is None else {"borderValue": value}
        return np.asarray(call.original(image, part, None, flags, dst, border, **more))

    return _warped(moved, size, steps, render)


def map_steps(where: Array) -> tuple[float, float]:
    """The largest steps of a map (H, W, 2) down and across."""
    steps = []
    for axis in (0, 1):
        far = np.linalg.norm(np.diff(where, axis=axis), axis=-1)
        far = far[np.isfinite(far)]
        steps.append(float(np.quantile(far, 0.99)) if far.size else 0.0)
    return steps[0], steps[1]


def larger_map(where: Array, top: int, left: int, high: int, wide: int, factors: tuple[int, int]) -> Array:
    """Part of a map (H, W, n), interpolated linearly ``factors`` times as large, its border continued."""
    for axis, (first, length, factor) in enumerate(((top, high, factors[0]), (left, wide, factors[1]))):
        at = first + (np.arange(length * factor) - (factor - 1) / 2) / factor
        count = where.shape[axis]
        if count == 1:
            where = where.repeat(factor, axis)
            continue
        low = np.clip(np.floor(at), 0, count - 2).astype(int)
        share = (at - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(where.ndim)])
        where = where.take(low, axis) * (1 - share) + where.take(low + 1, axis) * share
    return np.ascontiguousarray(where)


# Blobs and files.


@route("cv2.dnn.blobFromImage")
def blob_from_image(call: Call) -> Answer:
    """``cv2.dnn.blobFromImage``."""
    return _blob(call, 0, "image", lambda image, scaled: scaled(image))


@route("cv2.dnn.blobFromImages")
def blob_from_images(call: Call) -> Answer:
    """``cv2.dnn.blobFromImages``."""
    return _blob(call, 0, "images", lambda images, scaled: [scaled(one) for one in images])


def _blob(call: Call, place: int, name: str, each: Callable[[Any, Callable[[Any], Any]], Any]) -> Answer:
    from .. import opencv

    width, height = map(int, call.argument(2, "size", (0, 0)) or (0, 0))
    crop = bool(call.argument(5, "crop", False))
    changed = False

    def scaled(given: Any) -> Any:
        nonlocal changed
        image = _array(given)
        if not width or not height:
            return given
        rows, columns = image.shape[:2]
        down, across = height, width
        if crop:
            # OpenCV scales by the larger of the two ratios, and cuts the middle out.
            ratio = max(width / columns, height / rows)
            down, across = int(rows * ratio), int(columns * ratio)
        if down >= rows and across >= columns:
            return given
        changed = True
        small = opencv.resize(image, (across, down))
        if crop:
            top, left = (small.shape[0] - height) // 2, (small.shape[1] - width) // 2
            small = np.ascontiguousarray(small[top : top + height, left : left + width])
        return small

    images = each(call.argument(place, name), scaled)
    return Done(call.with_argument(place, name, images).stock(), "bilinear") if changed else None


def _in_full(flags: int, decode: Callable[[int], Any], is_jpeg: Callable[[], bool]) -> Answer:
    """``decode(flags)`` at full size, then scaled as the file would have been while it was decoded."""
    if flags < 0 or not flags & REDUCED:
        return None
    factor = 2 if flags & 16 else 4 if flags & 32 else 8
    image = decode(flags & ~REDUCED)
    if image is None:
        return Done(None, "area")
    # libjpeg rounds up; what OpenCV scales itself is rounded down.
    size = tuple(-(-n // factor) if is_jpeg() else max(1, n // factor) for n in image.shape[:2])
    return Done(scale_axes(image, (*size, *image.shape[2:])), "decoded in full, then area")


@route("cv2.imread")
def imread(call: Call) -> Answer:
    """``cv2.imread(filename[, flags])`` or ``cv2.imread(filename[, dst[, flags]])``."""
    args, path = call.args, call.argument(0, "filename")
    flags = call.kwargs.get("flags", args[-1] if len(args) > 1 and isinstance(args[-1], int) else COLOR)

    def is_jpeg() -> bool:
        with open(path, "rb") as file:
            return file.read(3) == JPEG

    return _in_full(int(flags), lambda full: call.original(path, full), is_jpeg)


@route("cv2.imdecode")
def imdecode(call: Call) -> Answer:
    """``cv2.imdecode``."""
    buffer = call.argument(0, "buf")
    return _in_full(
        int(call.argument(1, "flags", COLOR)),
        lambda full: call.original(buffer, full),
        lambda: bytes(memoryview(buffer).cast("B")[:3]) == JPEG,
    )
