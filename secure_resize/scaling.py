"""Robust scaling: the resize that image-scaling attacks cannot exploit (Quiring et al., USENIX Security 2020, 4.1)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Never

import numpy as np
import numpy.typing as npt

# Not np.ma, which numpy imports when it is first asked for: a worker forked meanwhile would wait for it forever.
from numpy.ma import MaskedArray

from . import core
from .core.kernels import KERNELS, get_kernel
from .core.operator import axis_operator
from .core.taps import area_taps, fixed_taps
from .names import KernelName, PassOrder, Size

__all__ = [
    "MAX_AXIS",
    "MAX_PIXELS",
    "PASS_ORDERS",
    "REFUSED_DB",
    "as_batch",
    "check_kernel",
    "check_size",
    "from_batch",
    "resize",
    "resize_unchecked",
]

DTYPES = {np.dtype(name) for name in ("uint8", "uint16", "float32")}  # in the machine's byte order
# By the image's rank: what makes it a batch of images with channels, and what undoes that.
_AS_BATCH: dict[int, Any] = {2: np.s_[None, :, :, None], 3: np.s_[None], 4: np.s_[:]}
_FROM_BATCH: dict[int, Any] = {2: np.s_[0, :, :, 0], 3: np.s_[0], 4: np.s_[:]}
# Bounds on source and output: within them every size product fits 64 bits and every sum of ``area`` is exact.
MAX_AXIS = 1 << 20
MAX_PIXELS = (1 << 31) - 1
# Stealth gain of both axes, in dB, from which on a kernel is refused: that of the verdict "weak".
REFUSED_DB = 1.0

# Whether Pillow's vertical pass runs first; the intermediate is rounded to 8 bits, so the order shows in the bytes.
# Sizes may be tensors: `&`, not `and`.
PASS_ORDERS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    # Pillow 13: whichever order leaves the smaller intermediate image, roughly.
    "pillow13": lambda h_in, w_in, h_out, w_out: (h_out < h_in) & (h_in - h_out > 2 * (w_in - w_out)),
    # Pillow 12 and before: always horizontal first.
    "pillow12": lambda h_in, w_in, h_out, w_out: False,
}


def resize(
    image: npt.NDArray[Any],
    size: Size,
    *,
    kernel: KernelName = "area",
    pass_order: PassOrder = "pillow13",
    num_threads: int = 1,
    **unknown: Never,
) -> npt.NDArray[Any]:
    """Scale an image robustly: every source pixel counts, with near-uniform weight, at every scaling ratio.

    >>> import numpy as np, secure_resize as sr
    >>> sr.resize(np.zeros((768, 1024, 3), np.uint8), (224, 224)).shape
    (224, 224, 3)

    Parameters
    ----------
    image
        (H, W), (H, W, C) or (N, H, W, C); uint8, uint16 or float32, any strides and byte order. It is not written to.
    size
        (height, width) of the output, a tuple or a list of whole numbers from 1 to 2²⁰.
    kernel
        ``"area"`` (default): the exact mean over each output pixel's footprint, in either direction, correctly rounded;
        stealth gain 0 dB at every ratio. ``"bilinear"``, ``"hamming"``, ``"bicubic"``, ``"lanczos"``: Pillow's
        antialiased resize, in uint8 the same bytes as ``Image.resize``. ``"box"``: Pillow's too, where it leaves no
        pixels out; between the integer ratios it does, and is refused.
    pass_order
        For the Pillow kernels: the order of the two passes, by the rule of Pillow 13 (``"pillow13"``, default) or of
        Pillow 12 and before (``"pillow12"``). The default does not depend on the Pillow that is installed.
    num_threads
        Threads for one image; the numpy reference always runs on one.

    Returns
    -------
    A new C-contiguous array of the same number of dimensions and dtype (in the machine's byte order). uint8 and uint16
    results are the same bytes from every backend; float32 results lie within 10⁻⁶ of the exact value, relative to the
    largest magnitude among the pixels read (times the sum of the absolute weights, where a kernel has negative lobes).
    NaN and infinity reach the outputs that read them and no others.

    Raises
    ------
    TypeError
        ``image`` is no array of a valid dtype, ``size`` holds something else than whole numbers, or an argument that
        there is not (``interpolation``: it is called ``kernel`` here).
    ValueError
        A wrong rank, an empty image, one with the channels first, a size out of range, an unknown kernel or pass order,
        a kernel that leaves pixels out at these sizes.
    """
    if unknown:
        raise TypeError(
            f"resize() got an unexpected argument {next(iter(unknown))!r}; valid: kernel= (one of "
            f"{', '.join(KERNELS)}), pass_order=, num_threads="
        )
    return _resize(image, size, kernel, pass_order, num_threads, checked=True)


def resize_unchecked(
    image: npt.NDArray[Any], size: Size, *, kernel: str, pass_order: str = "pillow13", num_threads: int = 1
) -> npt.NDArray[Any]:
    """:func:`resize` by any kernel at any sizes, also where it leaves pixels out: to be audited, not used."""
    return _resize(image, size, kernel, pass_order, num_threads, checked=False)


def _resize(
    image: npt.NDArray[Any], size: Size, kernel: str, pass_order: str, num_threads: int, checked: bool
) -> npt.NDArray[Any]:
    get_kernel(kernel)
    if pass_order not in PASS_ORDERS:
        raise ValueError(f"unknown pass_order {pass_order!r}; valid: {', '.join(PASS_ORDERS)}")
    _whole_number(num_threads, "num_threads", 1, 1024)
    height, width = check_size(size)
    batch = as_batch(image)
    if checked:
        check_kernel(kernel, (batch.shape[1], batch.shape[2]), (height, width))
    resized = _resize_batch(batch, height, width, kernel, pass_order, num_threads)
    return from_batch(resized, image.ndim)


def check_kernel(kernel: str, in_size: tuple[int, int], out_size: tuple[int, int]) -> None:
    """ValueError where ``kernel`` samples from ``in_size`` to ``out_size`` (height, width).

    That is where its stealth gain reaches 1 dB, or any pixel has no weight. Nothing is computed for the kernels of
    which it is known that they never do.
    """
    if get_kernel(kernel).robust:
        return
    axes = [_unevenness(n_in, n_out, kernel) for n_in, n_out in zip(in_size, out_size, strict=True)]
    gain, unread = (sum(figures) for figures in zip(*axes, strict=True))
    if gain >= REFUSED_DB or unread:
        raise ValueError(
            f"the kernel {kernel!r} weighs source pixels unevenly from {in_size[0]}x{in_size[1]} to "
            f"{out_size[0]}x{out_size[1]}, {unread} rows and columns not at all: {gain:.1f} dB of stealth gain for an "
            "image-scaling attack; use kernel='area'"
        )


@lru_cache(maxsize=1024)
def _unevenness(n_in: int, n_out: int, kernel: str) -> tuple[float, int]:
    """The stealth gain of one axis in dB, never less, and how many pixels have no weight.

    Of a matrix without negative entries, every positive vector x bounds the largest eigenvalue of L·Lᵀ from above by
    max (L·Lᵀx)ᵢ/xᵢ and from below by the least of them (Collatz and Wielandt); x = L·Lᵀx, repeated, closes the gap.
    """
    axis = axis_operator(n_in, n_out, kernel)
    size = np.abs(axis.weights)
    taps = axis.start[:, None] + np.arange(axis.width)

    def summed(outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(taps.ravel(), (size * outputs[:, None]).ravel(), n_in), np.float64)

    largest, vector = math.inf, np.ones(n_out)
    for _ in range(200):
        image = (size * summed(vector)[taps]).sum(axis=1)
        found = float((image / vector).max())
        if found >= largest * (1 - 1e-12):
            break
        # (A little of the old one: where no footprints meet, what is small would vanish.)
        largest, vector = found, image / found + 1e-3 * vector
    gain = 10 * math.log10(min(found, largest) * axis.ratio)
    return gain, int(np.count_nonzero(summed(np.ones(n_out)) == 0))


def check_size(size: Any) -> tuple[int, int]:
    """``size`` as (height, width) in Python integers, or a TypeError or ValueError that says what is wrong with it."""
    if isinstance(size, (str, bytes)) or not hasattr(size, "__len__") or len(size) != 2:
        raise TypeError(f"size must be a pair of whole numbers (height, width), got {size!r}")
    height, width = _whole_number(size[0], "height", 1, MAX_AXIS), _whole_number(size[1], "width", 1, MAX_AXIS)
    if height * width > MAX_PIXELS:
        raise ValueError(f"size {height}x{width} has {height * width} pixels; at most {MAX_PIXELS} are valid")
    return height, width


def _whole_number(value: Any, name: str, low: int, high: int) -> int:
    if type(value) is int and low <= value <= high:  # as good as always; every call pays for what follows
        return value
    try:
        # bool is an int to Python, True as a height is a mistake; index() refuses floats, NaN among them.
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be a whole number, got {value!r} ({type(value).__name__})")
    if not low <= number <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, got {number}")
    return number


def as_batch(image: Any) -> npt.NDArray[Any]:
    """The validated image as (N, H, W, C) in the machine's byte order; a view wherever possible."""
    if not isinstance(image, np.ndarray) or isinstance(image, MaskedArray):
        raise TypeError(f"image must be a numpy array, got {type(image).__name__}; convert with numpy.asarray")
    native = image.dtype in DTYPES
    if not native and image.dtype.newbyteorder("=") not in DTYPES:
        raise TypeError(f"image dtype must be one of uint8, uint16, float32, got {image.dtype}")
    if image.ndim not in _AS_BATCH:
        raise ValueError(f"image must have shape (H, W), (H, W, C) or (N, H, W, C), got {image.shape}")
    if image.ndim == 3 and image.shape[0] in (1, 3, 4) and image.shape[2] > 4:
        raise ValueError(
            f"image of shape {image.shape} has its channels first, the layout (C, H, W); it must be (H, W, C): "
            "np.moveaxis(image, 0, -1) makes it so"
        )
    batch: npt.NDArray[Any] = np.asarray(image)[_AS_BATCH[image.ndim]]
    _, height, width, channels = batch.shape
    if 0 in (height, width, channels):
        raise ValueError(f"image is empty: shape {image.shape}")
    if max(height, width) > MAX_AXIS or height * width > MAX_PIXELS:
        raise ValueError(f"image of {height}x{width} is too large: at most {MAX_AXIS} an axis, {MAX_PIXELS} pixels")
    return batch if native else batch.astype(batch.dtype.newbyteorder("="))


def from_batch(batch: npt.NDArray[Any], ndim: int) -> npt.NDArray[Any]:
    """The batch (N, H, W, C) as an image of ``ndim`` dimensions, which :func:`as_batch` made it of."""
    out: npt.NDArray[Any] = batch[_FROM_BATCH[ndim]]
    return out


def _resize_batch(
    batch: npt.NDArray[Any], height: int, width: int, kernel: str, pass_order: str, num_threads: int
) -> npt.NDArray[Any]:
    h_in, w_in = batch.shape[1:3]
    if batch.dtype == np.float32:
        rows, cols = axis_operator(h_in, height, kernel), axis_operator(w_in, width, kernel)
        return core.apply_float(batch, rows, cols, num_threads)
    if KERNELS[kernel].integrated:
        return core.apply_area(batch, area_taps(h_in, height), area_taps(w_in, width), num_threads)
    sum_exactly = batch.dtype == np.uint16
    return core.apply_fixed(
        batch,
        fixed_taps(h_in, height, kernel, sum_exactly=sum_exactly) if height != h_in else None,
        fixed_taps(w_in, width, kernel, sum_exactly=sum_exactly) if width != w_in else None,
        PASS_ORDERS[pass_order](h_in, w_in, height, width),
        num_threads,
    )
