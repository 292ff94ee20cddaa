"""scikit-image, SciPy and kornia, and JPEG files through simplejpeg."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secure_resize.integration_support import KernelName, tracing

from .arrays import factor_of, scale_axes, supersampled
from .opencv import larger_map, map_steps
from .routes import LABELS, Answer, Call, Done, route

Array = npt.NDArray[Any]


def _kernel(order: int) -> KernelName:
    return "area" if order == 0 else "bilinear" if order == 1 else "bicubic"


def _is_labels(call: Call, image: Array, size: tuple[int, ...]) -> bool:
    """Of an array that nearest was asked for: (H, W), (H, W, 1), or a stack (..., H, W)."""
    if image.dtype == bool:
        return True
    if image.ndim > 2 and image.shape[-1] == 1:
        image, size = image[..., 0], size[: image.ndim - 1]
    if image.ndim > 2 and image.shape[-1] <= 4:
        return call.names_a_mask()
    return call.is_labels(image, tuple(map(min, image.shape[-2:], size[-2:])))


@route("skimage.transform.resize")
def resize(call: Call) -> Answer:
    """``skimage.transform.resize``: with the smoothing that it has."""
    image, shape = np.asarray(call.argument(0, "image")), tuple(call.argument(1, "output_shape"))
    order, smoothed = call.argument(2, "order"), call.argument(7, "anti_aliasing")
    before = image.shape[: len(shape)]
    if image.ndim < 2 or all(m >= n for n, m in zip(before, shape, strict=False)):
        return None
    logical = image.dtype == bool
    order = (0 if logical else 1) if order is None else int(order)
    smoothed = (not logical and order != 0) if smoothed is None else bool(smoothed)
    if smoothed and order and call.argument(8, "anti_aliasing_sigma") is None:
        return None
    if logical or (order == 0 and _is_labels(call, image, (*shape, *image.shape[len(shape) :]))):
        return LABELS
    moved = call.with_argument(7, "anti_aliasing", True).with_argument(8, "anti_aliasing_sigma", None)
    return Done(moved.with_argument(2, "order", max(order, 1)).stock(), "anti_aliasing=True")


@route("skimage.transform.pyramid_reduce")
def pyramid_reduce(call: Call) -> Answer:
    """``skimage.transform.pyramid_reduce``: its Gaussian is wide enough, unless it is told to be none."""
    downscale, sigma = call.argument(1, "downscale", 2), call.argument(2, "sigma")
    if sigma is None or sigma >= 2 * downscale / 6.0:
        return None
    return Done(call.with_argument(2, "sigma", None).stock(), "the default sigma")


@route("skimage.transform.warp")
def warp(call: Call) -> Answer:
    """``skimage.transform.warp`` by a matrix: rendered larger, then averaged."""
    image, back = np.asarray(call.argument(0, "image")), call.argument(1, "inverse_map")
    matrix = _matrix(back)
    if matrix is None or image.ndim not in (2, 3):
        return None
    shape = call.argument(3, "output_shape")
    size = tuple(map(int, (image.shape if shape is None else shape)[:2]))
    steps = tracing().projective_steps(matrix.tolist(), size)
    if tracing().stepped_over(steps, size) is None:
        return None
    order = call.argument(4, "order")
    order = (0 if image.dtype == bool else 1) if order is None else int(order)
    if order == 0 and _is_labels(call, image, (*size, *image.shape[2:])):
        return LABELS
    factors = factor_of(steps[0]), factor_of(steps[1])

    def tile(top: int, left: int, height: int, width: int) -> Array:
        moved = call.with_argument(1, "inverse_map", matrix @ _smaller(top, left, factors))
        moved = moved.with_argument(3, "output_shape", (height * factors[0], width * factors[1]))
        return np.asarray(moved.with_argument(4, "order", max(order, 1)).stock())

    return Done(supersampled((size[0], size[1]), factors, tile), "rendered larger, then area")


def _matrix(back: Any) -> Array | None:
    """The (3, 3) matrix of a transform, its bound method ``inverse``, or an array; None for another function."""
    owner = getattr(back, "__self__", None)
    if owner is not None and getattr(back, "__name__", "") == "inverse" and hasattr(owner, "params"):
        return np.asarray(np.linalg.inv(np.asarray(owner.params, float)))
    found = getattr(back, "params", back)
    return np.asarray(found, float) if getattr(found, "shape", None) == (3, 3) else None


def _smaller(top: int, left: int, factors: tuple[int, int]) -> Array:
    """From the pixels of a larger rendering that begins at row ``top``, column ``left``, to the output's."""
    down, across = factors
    x, y = left - (across - 1) / (2 * across), top - (down - 1) / (2 * down)
    return np.array([[1 / across, 0, x], [0, 1 / down, y], [0, 0, 1.0]])


@route("scipy.ndimage.zoom")
def zoom(call: Call) -> Answer:
    """``scipy.ndimage.zoom``: the axes that shrink are ours, the others its own."""
    image, factors = np.asarray(call.argument(0, "input")), call.argument(1, "zoom")
    order = int(call.argument(3, "order", 3))
    factors = [float(one) for one in (factors if hasattr(factors, "__len__") else [factors] * image.ndim)]
    after = tuple(round(n * one) for n, one in zip(image.shape, factors, strict=True))
    shrunk = tuple(min(n, m) for n, m in zip(image.shape, after, strict=True))
    if image.ndim < 2 or shrunk == image.shape or image.dtype.kind == "c" or 0 in shrunk:
        return None
    if order == 0 and _is_labels(call, image, shrunk):
        return LABELS
    small = scale_axes(image, shrunk, _kernel(order))
    output = call.argument(2, "output")
    if shrunk != after:
        rest = [m / n if m > n else 1.0 for n, m in zip(image.shape, after, strict=True)]
        return Done(call.with_argument(0, "input", small).with_argument(1, "zoom", rest).stock(), _kernel(order))
    if isinstance(output, np.ndarray):
        output[...] = small
        return Done(None, _kernel(order))
    return Done(small if output is None else small.astype(output), _kernel(order))


@route("scipy.ndimage.affine_transform")
def affine_transform(call: Call) -> Answer:
    """``scipy.ndimage.affine_transform`` of a picture (H, W): rendered larger, then averaged."""
    image = np.asarray(call.argument(0, "input"))
    if image.ndim != 2:
        return None
    given = np.asarray(call.argument(1, "matrix"), float)
    offset = np.broadcast_to(np.asarray(call.argument(2, "offset", 0.0), float), (2,))
    if given.ndim == 1:
        given = np.diag(given)
    if given.shape[1] == 3:
        offset, given = given[:2, 2], given[:2, :2]
    shape = call.argument(3, "output_shape")
    output = call.argument(4, "output")
    if shape is None:
        shape = output.shape if isinstance(output, np.ndarray) else image.shape
    size = int(shape[0]), int(shape[1])
    steps = float(np.hypot(*given[:, 0])), float(np.hypot(*given[:, 1]))

    def at(top: int, left: int, height: int, width: int, factors: tuple[int, int], order: int) -> Array:
        first = np.array([top, left]) - (np.array(factors) - 1) / (2 * np.array(factors))
        moved = call.with_argument(1, "matrix", given / np.array(factors)).with_argument(
            2, "offset", offset + given @ first
        )
        moved = moved.with_argument(3, "output_shape", (height * factors[0], width * factors[1]))
        moved = moved.with_argument(4, "output", output.dtype if isinstance(output, np.ndarray) else output)
        return np.asarray(moved.with_argument(5, "order", order).stock())

    return _rendered(call, image, size, steps, int(call.argument(5, "order", 3)), output, at)


@route("scipy.ndimage.map_coordinates")
def map_coordinates(call: Call) -> Answer:
    """``scipy.ndimage.map_coordinates`` of a picture (H, W) on a grid: the grid is interpolated."""
    image, where = np.asarray(call.argument(0, "input")), np.asarray(call.argument(1, "coordinates"), float)
    if image.ndim != 2 or where.ndim != 3 or len(where) != 2 or 1 in where.shape[1:]:
        return None
    places = np.moveaxis(where, 0, -1)
    output = call.argument(2, "output")

    def at(top: int, left: int, height: int, width: int, factors: tuple[int, int], order: int) -> Array:
        part = np.moveaxis(larger_map(places, top, left, height, width, factors), -1, 0)
        moved = call.with_argument(1, "coordinates", part)
        moved = moved.with_argument(2, "output", output.dtype if isinstance(output, np.ndarray) else output)
        return np.asarray(moved.with_argument(3, "order", order).stock())

    size = places.shape[0], places.shape[1]
    return _rendered(call, image, size, map_steps(places), int(call.argument(3, "order", 3)), output, at)


def _rendered(
    call: Call, image: Array, size: tuple[int, int], steps: tuple[float, float], order: int, output: Any, at: Any
) -> Answer:
    if tracing().stepped_over(steps, size) is None:
        return None
    if order == 0 and _is_labels(call, image, size):
        return LABELS
    factors = factor_of(steps[0]), factor_of(steps[1])
    small = supersampled(size, factors, lambda *part: at(*part, factors, max(order, 1)))
    if isinstance(output, np.ndarray):
        output[...] = small
        return Done(None, "rendered larger, then area")
    return Done(small, "rendered larger, then area")


# kornia is torch's own calls, but for its blur, which belongs to them.


@route("kornia.geometry.transform.resize")
def kornia_resize(call: Call) -> Answer:
    """``kornia.geometry.transform.resize``: what it calls is routed, where it does not blur itself."""
    mode = call.argument(2, "interpolation", "bilinear")
    if call.argument(5, "antialias", False) and not str(mode).startswith("nearest"):
        return None
    return Done(call.through(), "what it calls")


@route("kornia.geometry.transform.pyrdown")
def pyrdown(call: Call) -> Answer:
    """``kornia.geometry.transform.pyrdown``: its blur is made for a factor of two."""
    return None if float(call.argument(3, "factor", 2.0)) <= 2.0 else Done(call.through(), "what it calls")


@route("simplejpeg.decode_jpeg")
def decode_jpeg(call: Call) -> Answer:
    """``simplejpeg.decode_jpeg(min_height=, min_width=, min_factor=)``: decoded in full, then scaled."""
    import simplejpeg  # type: ignore[import-untyped, unused-ignore]

    smallest = [int(call.argument(place, name, default) or 0) for place, name, default in _SMALLEST]
    if not (smallest[0] or smallest[1]) or smallest[2] > 8:
        return None
    height, width = simplejpeg.decode_jpeg_header(call.argument(0, "data"), *smallest)[:2]
    whole = call
    for place, name, default in _SMALLEST:
        whole = whole.with_argument(place, name, default)
    buffer = call.argument(7, "buffer")
    if buffer is not None:
        whole = whole.with_argument(7, "buffer", None)
    image = np.asarray(whole.stock())
    if image.shape[:2] == (height, width):
        return None if buffer is not None else Done(image, "decoded in full")
    small = scale_axes(image, (height, width, *image.shape[2:]))
    if buffer is None:
        return Done(small, "decoded in full, then area")
    target = np.frombuffer(buffer, np.uint8)[: small.size].reshape(small.shape)
    target[...] = small
    return Done(target, "decoded in full, then area")


_SMALLEST = ((4, "min_height", 0), (5, "min_width", 0), (6, "min_factor", 1))
