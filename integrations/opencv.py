"""``cv2.resize`` made robust, and a letterbox; every other name of this module is OpenCV's own.

>>> from secure_resize.integrations import opencv as cv2
>>> small = cv2.resize(image, (224, 224))  # (width, height), as ever

:func:`resize` takes what ``cv2.resize`` takes and gives what that gives, but each axis that shrinks is antialiased:

- ``INTER_LINEAR`` and ``INTER_LINEAR_EXACT`` scale with the kernel ``"bilinear"``, ``INTER_CUBIC`` with ``"bicubic"``,
  ``INTER_LANCZOS4`` with ``"lanczos"``, ``INTER_AREA`` with ``"area"``; ``kernel=`` overrides that.
- ``INTER_AREA`` averages in one axis also where the other one grows. OpenCV's samples both as soon as one grows.
- ``INTER_NEAREST`` and ``INTER_NEAREST_EXACT`` where an axis shrinks raise :class:`ResizeError`: they are for label
  maps, ``labels=True``, which averages would fill with labels that are not there.
- An axis that grows, or stays, is OpenCV's: the same bytes.

What else of OpenCV scales down is untouched and samples: ``warpAffine``, ``warpPerspective``, ``remap``, the
``blobFromImage`` functions of ``dnn``, ``imread`` with ``IMREAD_REDUCED_*``. Scale with :func:`resize` first.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

import secure_resize as sr
from secure_resize.integration_support import KernelName, check_kernel, check_size, load

try:
    _stock = load("cv2")
except ImportError as error:
    raise ImportError(
        "secure_resize.integrations.opencv needs the module 'cv2': pip install opencv-python "
        "(or opencv-python-headless)"
    ) from error

__all__ = [*(name for name in dir(_stock) if not name.startswith("_")), "Letterbox", "ResizeError", "letterbox"]

Array = npt.NDArray[Any]

# The kernel that each interpolation is, antialiased; None for those that read one pixel per output.
KERNEL_OF: dict[int, KernelName | None] = {
    _stock.INTER_NEAREST: None,
    _stock.INTER_LINEAR: "bilinear",
    _stock.INTER_CUBIC: "bicubic",
    _stock.INTER_AREA: "area",
    _stock.INTER_LANCZOS4: "lanczos",
    _stock.INTER_LINEAR_EXACT: "bilinear",
    _stock.INTER_NEAREST_EXACT: None,
}
NAME_OF = {
    value: name for name, value in sorted(vars(_stock).items()) if name.startswith("INTER_") and value in KERNEL_OF
}
# Those that OpenCV interpolates; every other one it takes with nearest alone.
DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "int16", "float32", "float64"))
SIGN_BIT = np.uint16(0x8000)


class ResizeError(_stock.error, ValueError):  # type: ignore[misc, name-defined]
    """What is refused here and not by OpenCV: a ``cv2.error`` for those who catch that, and a ValueError."""


class Letterbox(NamedTuple):
    """What :func:`letterbox` gives: the ``image``, and where in it the source lies.

    A point (x, y) of the source, in pixels from the upper left corner, is at ``(x, y) * scale + offset`` in the image.
    """

    image: Array
    scale: tuple[float, float]
    offset: tuple[int, int]

    def to_source(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points (..., 2) in the letterboxed image as points of the source; boxes (..., 4) as their two corners."""
        given = np.asarray(points, np.float64)
        pairs = given.reshape(*given.shape[:-1], -1, 2)
        return np.asarray((pairs - self.offset) / self.scale).reshape(given.shape)

    def from_source(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points (..., 2) or boxes (..., 4) of the source as points of the letterboxed image."""
        given = np.asarray(points, np.float64)
        pairs = given.reshape(*given.shape[:-1], -1, 2)
        return np.asarray(pairs * self.scale + self.offset).reshape(given.shape)


def resize(
    src: Any,
    dsize: Sequence[int] | None,
    dst: Any = None,
    fx: float | None = 0,
    fy: float | None = 0,
    interpolation: int | None = _stock.INTER_LINEAR,
    *,
    labels: bool = False,
    kernel: KernelName | None = None,
) -> Any:
    """``cv2.resize``, robust: the same arguments, sizes, shapes, dtypes and errors.

    >>> resize(np.zeros((768, 1024, 3), np.uint8), (224, 160)).shape
    (160, 224, 3)
    >>> resize(np.zeros((768, 1024), np.uint8), None, fx=0.25, fy=0.5, interpolation=_stock.INTER_AREA).shape
    (384, 256)

    Parameters
    ----------
    src
        (H, W) or (H, W, C), of any strides; uint8, uint16, int16, float32 or float64, with ``labels=True`` whatever
        OpenCV takes. A ``cv2.UMat`` is scaled on the CPU and gives a ``cv2.UMat``. Unlike in OpenCV, bytes of the other
        order are read as what they are.
    dsize, fx, fy
        The output's (width, height); or None, and the factors of width and height, rounded as OpenCV does. The axes
        are scaled by the ratio of the sizes; OpenCV's scale by ``fx`` and ``fy`` themselves where those are given.
    dst
        An array of the output's shape and dtype is filled and returned; any other one is ignored, as in OpenCV.
    interpolation
        ``cv2.INTER_*``; see above what becomes of each.
    labels
        ``src`` is a label map, to be scaled by OpenCV's own nearest; with another interpolation ValueError.
    kernel
        A name from ``secure_resize.KERNELS`` in place of the interpolation's, for axes that shrink.

    Returns
    -------
    An array (h, w) or (h, w, C) of ``src``'s dtype; (H, W, 1) gives (h, w), as in OpenCV. uint8, uint16 and int16 are
    exact as :func:`secure_resize.resize` says, float32 within its bound, float64 to about 10⁻¹².

    Raises
    ------
    cv2.error
        For whatever OpenCV raises it for, in OpenCV's words; as :class:`ResizeError`, also a ValueError, for nearest
        where an axis shrinks, without ``labels=True``.
    ValueError
        An unknown ``kernel``; ``labels=True`` with an interpolation that would mix labels.
    """
    given = src, dsize, dst, fx, fy, interpolation
    chosen = _interpolation(given)
    if labels:
        if KERNEL_OF.get(chosen, "") is not None:
            raise ResizeError(
                f"labels=True goes with INTER_NEAREST or INTER_NEAREST_EXACT, got {_name(chosen)}, which mixes labels"
            )
        return _stock.resize(_native(src), *given[1:])
    if kernel is not None:
        sr.get_kernel(kernel)
    if isinstance(src, _stock.UMat):
        return _give(_stock.UMat(resize(src.get(), dsize, None, fx, fy, chosen, kernel=kernel)), dst)
    image = _image(given, kernel)
    height, width = _output_size(given, image)
    if height >= image.shape[0] and width >= image.shape[1]:
        return _stock.resize(image, dsize, dst, fx, fy, chosen)
    wanted = kernel if kernel is not None else KERNEL_OF[chosen]
    if wanted is None:
        raise ResizeError(
            f"{_name(chosen)} from {image.shape[1]}x{image.shape[0]} to {width}x{height} reads one pixel per output, "
            "which is what image-scaling attacks exploit. For an image ask for another interpolation, or for a kernel "
            f"by name: {', '.join(map(repr, sr.KERNELS))}; for a label map say labels=True"
        )
    shrunk = _shrink(image, (min(height, image.shape[0]), min(width, image.shape[1])), wanted)
    if shrunk.shape[:2] != (height, width):
        shrunk = _stock.resize(shrunk, (width, height), interpolation=chosen)
    return _give(np.ascontiguousarray(shrunk), dst)


def letterbox(
    src: Array,
    dsize: Sequence[int],
    *,
    color: float | Sequence[float] = 114,
    interpolation: int = _stock.INTER_LINEAR,
    scale_up: bool = True,
    center: bool = True,
    labels: bool = False,
    kernel: KernelName | None = None,
) -> Letterbox:
    """:func:`resize` to fit into ``dsize`` = (width, height) with the aspect ratio kept, and a border of ``color``.

    >>> boxed = letterbox(np.zeros((480, 640, 3), np.uint8), (320, 320))
    >>> boxed.image.shape, boxed.scale, boxed.offset
    ((320, 320, 3), (0.5, 0.5), (0, 40))

    ``src`` is an array (H, W) or (H, W, C) as :func:`resize` takes it, and so is the returned image. ``color`` is one
    number or one a channel. The image is in the middle (where the border is odd, the larger part lies right and below),
    or at the upper left with ``center=False``; ``scale_up=False`` leaves a smaller one at its size. The sizes and
    offsets are those of YOLO's letterbox. Errors are those of :func:`resize`.
    """
    image = _image((src, dsize, None, 0, 0, interpolation), kernel)
    if dsize is None or not _are_sizes(dsize) or min(dsize) < 1:
        raise ResizeError(f"dsize must be (width, height), two whole numbers from 1 on, got {dsize!r}")
    out_width, out_height = map(operator.index, dsize)
    height, width = image.shape[:2]
    ratio = min(out_height / height, out_width / width)
    if not scale_up:
        ratio = min(ratio, 1.0)
    inner = max(1, round(width * ratio)), max(1, round(height * ratio))
    resized = resize(image, inner, interpolation=interpolation, labels=labels, kernel=kernel)
    left, top = ((out_width - inner[0]) // 2, (out_height - inner[1]) // 2) if center else (0, 0)
    canvas = np.empty((out_height, out_width, *resized.shape[2:]), resized.dtype)
    canvas[...] = color
    canvas[top : top + inner[1], left : left + inner[0]] = resized
    return Letterbox(canvas, (inner[0] / width, inner[1] / height), (left, top))


def _shrink(image: Array, size: tuple[int, int], kernel: KernelName) -> Array:
    """The image (H, W) or (H, W, C), one of ``DTYPES``, scaled down to ``size`` (height, width)."""
    # As a batch, so that three rows are not taken for three channels.
    batch = image[None] if image.ndim == 3 else image[None, ..., None]
    try:
        if image.dtype == np.float64:
            resized = _shrink_float64(batch, size, kernel)
        elif image.dtype == np.int16:
            # The same order from 0 on: no average and no rounding changes.
            moved = np.ascontiguousarray(batch).view(np.uint16) ^ SIGN_BIT
            resized = (sr.resize(moved, size, kernel=kernel) ^ SIGN_BIT).view(np.int16)
        else:
            resized = sr.resize(batch, size, kernel=kernel)
    except ValueError as error:
        raise ResizeError(str(error)) from error
    # OpenCV has no channel axis for one channel.
    return resized[0] if resized.shape[-1] > 1 else resized[0, ..., 0]


def _shrink_float64(batch: Array, size: tuple[int, int], kernel: KernelName) -> Array:
    check_size(size)
    check_kernel(kernel, batch.shape[1:3], size)
    apply = sr.scaling_operator(batch.shape[1:3], size, kernel).apply
    finite = np.isfinite(batch)
    if finite.all():
        return apply(batch[0])[None]
    # NaN times a weight of 0 is NaN: the core's float32 tells which outputs read one.
    marks = sr.resize(np.where(finite, 0, batch).astype(np.float32), size, kernel=kernel)
    return apply(np.where(finite, batch, 0)[0])[None] + np.where(np.isfinite(marks), 0, marks)


def _give(resized: Any, dst: Any) -> Any:
    """``resized`` in ``dst`` where OpenCV would write there, or as it is."""
    if not isinstance(dst, (np.ndarray, _stock.UMat)):
        return resized
    shape = resized.get().shape if isinstance(resized, _stock.UMat) else resized.shape
    return _stock.resize(resized, (shape[1], shape[0]), dst)  # of an unchanged size, which is a copy


def _interpolation(given: tuple[Any, ...]) -> int:
    value = given[-1]
    if value is None:
        return int(_stock.INTER_LINEAR)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value not in KERNEL_OF:
        _refuse(given, f"unknown interpolation {value!r}; valid: {', '.join(map(_name, KERNEL_OF))}")
    return int(value)


def _name(interpolation: int) -> str:
    return str(NAME_OF.get(interpolation, repr(interpolation)))


def _image(given: tuple[Any, ...], kernel: str | None) -> Array:
    """The source of the call as a plain array that OpenCV would interpolate, or, with nearest, pick from."""
    src = given[0]
    if not isinstance(src, np.ndarray):
        _refuse(given, f"src must be a numpy array, got {type(src).__name__}")
    averaged = kernel is not None or KERNEL_OF[_interpolation(given)] is not None
    if averaged and src.dtype.newbyteorder("=") not in DTYPES:
        _refuse(given, f"src must be of dtype {', '.join(map(str, DTYPES))}, got {src.dtype}")
    if src.ndim not in (2, 3) or 0 in src.shape:
        _refuse(given, f"src must have shape (H, W) or (H, W, C) and pixels, got {src.shape}")
    if src.ndim == 3 and src.shape[2] > 4:
        # How many channels are too many depends on OpenCV's version: it is asked with one pixel.
        _stock.resize(np.zeros((1, 1, src.shape[2]), src.dtype), (1, 1))
    image: Array = _native(src)
    return image


def _native(src: Any) -> Any:
    """Arrays as plain ones in the machine's byte order, which OpenCV takes every order for; anything else itself."""
    if not isinstance(src, np.ndarray):
        return src
    return np.asarray(src).astype(src.dtype.newbyteorder("="), copy=False)


def _output_size(given: tuple[Any, ...], image: Array) -> tuple[int, int]:
    """The (height, width) that OpenCV makes; its ``Size`` is (width, height)."""
    _, dsize, _, *factors, _ = given
    for factor in factors:
        if isinstance(factor, (bool, np.bool_)) or not (factor is None or isinstance(factor, (int, float, np.number))):
            _refuse(given, f"fx and fy must be numbers, got {factor!r}")
    if dsize is not None and not _are_sizes(dsize):
        _refuse(given, f"dsize must be None or (width, height) in whole numbers, got {dsize!r}")
    width, height = (0, 0) if dsize is None else (operator.index(edge) for edge in dsize)
    if min(width, height) < 1:
        fx, fy = (float(factor or 0) for factor in factors)
        if not (0 < fx < math.inf and 0 < fy < math.inf):
            _refuse(given, f"dsize or both fx and fy must be above 0, got {dsize!r}, {fx}, {fy}")
        # Half to even, as cvRound does.
        width, height = round(image.shape[1] * fx), round(image.shape[0] * fy)
        if min(width, height) < 1:
            _refuse(given, f"no pixel is left of {image.shape[1]}x{image.shape[0]} scaled by {fx}, {fy}")
    return height, width


def _are_sizes(dsize: Any) -> bool:
    """Whether OpenCV reads ``dsize`` as two whole numbers."""
    if not hasattr(dsize, "__len__") or not hasattr(dsize, "__getitem__") or isinstance(dsize, (dict, str)):
        return False
    return len(dsize) == 2 and all(
        isinstance(edge, (int, np.integer)) and not isinstance(edge, (bool, np.bool_)) for edge in dsize
    )


def _refuse(given: tuple[Any, ...], message: str) -> NoReturn:
    """OpenCV's own error for these arguments; ours, should it have none."""
    _stock.resize(*given)
    raise ResizeError(message)


if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of OpenCV's names."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
