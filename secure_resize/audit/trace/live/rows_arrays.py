"""Libraries of arrays: OpenCV, scikit-image, SciPy. (albumentations, imgaug and mmcv call them.)"""

from __future__ import annotations

from typing import Any

from .geometry import affine_steps, inverse, mapped_steps, projective_steps, stepped_over
from .hook import Arguments, Described, Keywords, Sight, argument, hook, shrinks

INTER = {
    0: ("INTER_NEAREST", "nearest"),
    1: ("INTER_LINEAR", "linear"),
    2: ("INTER_CUBIC", "cubic"),
    3: ("INTER_AREA", "area"),
    4: ("INTER_LANCZOS4", "lanczos4"),
    5: ("INTER_LINEAR_EXACT", "linear_exact"),
    6: ("INTER_NEAREST_EXACT", "nearest_exact"),
}
NEAREST = (0, 6)
INVERSE_MAP = 16  # cv2.WARP_INVERSE_MAP
JPEG = b"\xff\xd8\xff"


def _shape(image: Any) -> tuple[int, ...]:
    shape = getattr(image, "shape", None)
    return tuple(image.get().shape if shape is None else shape)  # a cv2.UMat has none


def _channels(shape: tuple[int, ...]) -> int:
    return shape[2] if len(shape) > 2 else 1


def _resized(kind: str) -> Any:
    def describe(interpolation: int) -> Described:
        flag, algorithm = INTER.get(interpolation, (f"interpolation {interpolation}", ""))
        return flag, f"opencv:{algorithm}" if algorithm else "", kind

    return describe


@hook("cv2.resize", "cv2", "resize", "SR101", _resized("resize"), pixels=lambda a, k: a[0] if a else k["src"])
def _resize(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = args[0] if args else kwargs["src"]
    before, after = _shape(image), _shape(result)
    if after[0] >= before[0] and after[1] >= before[1]:
        return None
    flag = args[5] if len(args) > 5 else kwargs.get("interpolation", 1)
    return Sight(
        before[:2], after[:2], getattr(image, "dtype", "UMat"), _channels(before), (int(flag),), False, flag in NEAREST
    )


def _warped(
    image: Any, result: Any, flags: int, steps: tuple[float, float] | None, size: tuple[int, ...]
) -> Sight | None:
    over = stepped_over(steps, size)
    if over is None:
        return None
    flag = int(flags) & 7
    return Sight(over, size, getattr(image, "dtype", "UMat"), _channels(_shape(image)), (flag,), False, flag in NEAREST)


@hook("cv2.warpAffine", "cv2", "warpAffine", "SR102", _resized("warp"), pixels=lambda a, k: a[0] if a else k["src"])
def _warp_affine(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    matrix = argument(args, kwargs, 1, "M")
    return _linear_warp([*([float(x) for x in row] for row in matrix), [0.0, 0.0, 1.0]], args, kwargs, result)


@hook(
    "cv2.warpPerspective",
    "cv2",
    "warpPerspective",
    "SR102",
    _resized("warp"),
    pixels=lambda a, k: a[0] if a else k["src"],
)
def _warp_perspective(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    return _linear_warp([[float(x) for x in row] for row in argument(args, kwargs, 1, "M")], args, kwargs, result)


def _linear_warp(matrix: list[list[float]], args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    flags = argument(args, kwargs, 4, "flags", 1)
    size = _shape(result)[:2]
    back = matrix if flags & INVERSE_MAP else inverse(matrix)
    steps = None if back is None else projective_steps(back, size)
    return _warped(argument(args, kwargs, 0, "src"), result, flags, steps, size)


@hook("cv2.remap", "cv2", "remap", "SR102", _resized("warp"), pixels=lambda a, k: a[0] if a else k["src"])
def _remap(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    first, second = argument(args, kwargs, 1, "map1"), argument(args, kwargs, 2, "map2")

    def source(y: int, x: int) -> tuple[float, float]:
        if len(first.shape) == 3:
            return float(first[y, x, 1]), float(first[y, x, 0])
        return float(second[y, x]), float(first[y, x])

    size = _shape(result)[:2]
    flags = argument(args, kwargs, 3, "interpolation", 1)
    return _warped(argument(args, kwargs, 0, "src"), result, flags, mapped_steps(source, size), size)


def _blob(shape: tuple[int, ...], images: Any, args: Arguments, kwargs: Keywords) -> Sight | None:
    width, height = argument(args, kwargs, 2, "size", (0, 0))
    if not width or not height:
        return None
    size = (int(height), int(width))
    if argument(args, kwargs, 5, "crop", False):
        scale = max(height / shape[0], width / shape[1])
        size = (int(shape[0] * scale), int(shape[1] * scale))
    return Sight(shape[:2], size, images.dtype, _channels(shape), (1,)) if shrinks(shape[:2], size) else None


@hook("cv2.dnn.blobFromImage", "cv2", "dnn.blobFromImage", "SR101", _resized("resize"))
def _blob_from_image(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = argument(args, kwargs, 0, "image")
    return _blob(_shape(image), image, args, kwargs)


@hook("cv2.dnn.blobFromImages", "cv2", "dnn.blobFromImages", "SR101", _resized("resize"))
def _blob_from_images(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = argument(args, kwargs, 0, "images")[0]
    return _blob(_shape(image), image, args, kwargs)


def _reduced(factor: int, jpeg: bool) -> Described:
    if jpeg:
        return f"IMREAD_REDUCED_*_{factor} of a JPEG file", "", "decode"
    return f"IMREAD_REDUCED_*_{factor} of a file that is no JPEG", "opencv:linear_exact", "resize"


def _read_reduced(flags: Any, head: Any, result: Any) -> Sight | None:
    if result is None or flags < 0 or not flags & 0b1110000:
        return None
    factor = 2 if flags & 16 else 4 if flags & 32 else 8
    shape = result.shape
    before = (shape[0] * factor, shape[1] * factor)
    return Sight(before, shape[:2], result.dtype, _channels(shape), (factor, head() == JPEG))


@hook("cv2.imread", "cv2", "imread", "SR109", _reduced)
def _imread(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    def head() -> bytes:
        with open(argument(args, kwargs, 0, "filename"), "rb") as file:
            return file.read(3)

    # imread(filename[, flags]) or imread(filename[, dst[, flags]])
    flags = kwargs.get("flags", args[-1] if len(args) > 1 and isinstance(args[-1], int) else 1)
    return _read_reduced(flags, head, result)


@hook("cv2.imdecode", "cv2", "imdecode", "SR109", _reduced)
def _imdecode(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    buffer = argument(args, kwargs, 0, "buf")
    return _read_reduced(argument(args, kwargs, 1, "flags", 1), lambda: bytes(memoryview(buffer).cast("B")[:3]), result)


# scikit-image and SciPy

ORDERS = ("nearest", "linear", "quadratic", "cubic", "quartic", "quintic")


def _order(order: int) -> str:
    return ORDERS[order] if 0 <= order < len(ORDERS) else ""


def _image_axes(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, int]:
    """The two axes of an n-dimensional array that are an image's height and width."""
    if len(before) > 2 and before[-1] == after[-1] and before[-1] <= 4:
        return len(before) - 3, len(before) - 2
    return len(before) - 2, len(before) - 1


def _whole(image: Any, result: Any, options: tuple[Any, ...], nearest: bool) -> Sight | None:
    before, after = tuple(getattr(image, "shape", ())), tuple(result.shape)
    if len(before) < 2 or len(before) != len(after):
        return None
    y, x = _image_axes(before, after)
    sizes = (before[y], before[x]), (after[y], after[x])
    channels = 1 if len(before) == 2 else before[-1] if x < len(before) - 1 else None
    return Sight(*sizes, image.dtype, channels, options, False, nearest) if shrinks(*sizes) else None


def _skimage(order: int, smoothed: bool) -> Described:
    name = _order(order)
    flags = f"order={order}, anti_aliasing={smoothed}"
    return flags, f"skimage:{name}{'+antialias' * smoothed}" if name else "", "resize"


def _image(args: Arguments, kwargs: Keywords) -> Any:
    return argument(args, kwargs, 0, "image")


@hook("skimage.transform.resize", "skimage.transform._warps", "resize", "SR112", _skimage, pixels=_image)
def _skimage_resize(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = argument(args, kwargs, 0, "image")
    logical = str(getattr(image, "dtype", "")) == "bool"
    order = argument(args, kwargs, 2, "order")
    order = (0 if logical else 1) if order is None else int(order)
    smoothed = argument(args, kwargs, 7, "anti_aliasing")
    smoothed = (not logical and order != 0) if smoothed is None else bool(smoothed)
    return _whole(image, result, (order, smoothed), order == 0 and not smoothed)


@hook(
    "skimage.transform.pyramid_reduce",
    "skimage.transform.pyramids",
    "pyramid_reduce",
    "SR112",
    lambda: ("Gaussian, then order=1", "", "resize"),
    again=lambda *sizes: _reduce_again(*sizes),
)
def _pyramid_reduce(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    return _whole(argument(args, kwargs, 0, "image"), result, (), False)


def _reduce_again(in_size: Any, out_size: Any) -> Any:
    import skimage.transform

    factor = max(in_size[0] / out_size[0], in_size[1] / out_size[1])
    return lambda image: skimage.transform.pyramid_reduce(image, factor, channel_axis=-1, preserve_range=True)


def _spline_warp(library: str) -> Any:
    def describe(order: int) -> Described:
        name = _order(order)
        return f"order={order}", f"{library}:{name}" if name else "", "warp"

    return describe


@hook("skimage.transform.warp", "skimage.transform._warps", "warp", "SR112", _spline_warp("skimage"), pixels=_image)
def _skimage_warp(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, back = argument(args, kwargs, 0, "image"), argument(args, kwargs, 1, "inverse_map")
    # A transform, its bound method .inverse, or a matrix; other functions say nothing of their steps.
    owner = getattr(back, "__self__", None)
    matrix = getattr(back, "params", None)
    if owner is not None and getattr(back, "__name__", "") == "inverse" and hasattr(owner, "params"):
        matrix = inverse(owner.params)
    elif matrix is None and hasattr(back, "shape"):
        matrix = back
    if matrix is None or getattr(matrix, "shape", (3, 3)) != (3, 3):
        return None
    size = tuple(result.shape[:2])
    over = stepped_over(projective_steps([[float(x) for x in row] for row in matrix], size), size)
    order = argument(args, kwargs, 4, "order")
    order = 1 if order is None else int(order)
    return None if over is None else Sight(over, size, image.dtype, _channels(image.shape), (order,), False, order == 0)


def _zoomed(order: int, grid_mode: bool) -> Described:
    name = _order(order)
    scaler = f"scipy:{name}" if name and not grid_mode else ""
    return f"order={order}" + ", grid_mode=True" * grid_mode, scaler, "resize"


def _zoom_again(in_size: Any, out_size: Any, order: int, grid_mode: bool) -> Any:
    import scipy.ndimage  # type: ignore[import-untyped]

    zoom = (out_size[0] / in_size[0], out_size[1] / in_size[1], 1)
    return lambda image: scipy.ndimage.zoom(image, zoom, order=order, mode="reflect", grid_mode=grid_mode)


@hook(
    "scipy.ndimage.zoom",
    "scipy.ndimage._interpolation",
    "zoom",
    "SR112",
    _zoomed,
    again=_zoom_again,
    pixels=lambda a, k: argument(a, k, 0, "input"),
)
def _zoom(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    order = int(argument(args, kwargs, 3, "order", 3))
    options = (order, bool(kwargs.get("grid_mode", False)))
    output = argument(args, kwargs, 2, "output")
    out = result if result is not None else output
    return _whole(argument(args, kwargs, 0, "input"), out, options, order == 0)


@hook(
    "scipy.ndimage.affine_transform",
    "scipy.ndimage._interpolation",
    "affine_transform",
    "SR112",
    _spline_warp("scipy"),
    pixels=lambda a, k: argument(a, k, 0, "input"),
)
def _affine_transform(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, matrix = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "matrix")
    if len(getattr(image, "shape", ())) != 2:
        return None
    rows = matrix.tolist() if hasattr(matrix, "tolist") else list(matrix)
    if not isinstance(rows[0], (list, tuple)):
        rows = [[rows[0], 0.0], [0.0, rows[1]]]
    size = tuple((result if result is not None else argument(args, kwargs, 4, "output")).shape)
    over = stepped_over(affine_steps(rows[1][1], rows[1][0], rows[0][1], rows[0][0]), size)
    order = int(argument(args, kwargs, 5, "order", 3))
    return None if over is None else Sight(over, size, image.dtype, 1, (order,), False, order == 0)


@hook(
    "scipy.ndimage.map_coordinates",
    "scipy.ndimage._interpolation",
    "map_coordinates",
    "SR112",
    _spline_warp("scipy"),
    pixels=lambda a, k: argument(a, k, 0, "input"),
)
def _map_coordinates(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, at = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "coordinates")
    size = tuple(getattr(at[0], "shape", ()))
    if len(at) != 2 or len(size) != 2 or len(getattr(image, "shape", ())) != 2:
        return None
    steps = mapped_steps(lambda y, x: (float(at[0][y, x]), float(at[1][y, x])), size)
    over = stepped_over(steps, size)
    order = int(argument(args, kwargs, 3, "order", 3))
    return None if over is None else Sight(over, size, image.dtype, 1, (order,), False, order == 0)
