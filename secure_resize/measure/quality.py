"""How far two images are apart: in RGB, in luma, and how much of a hidden picture an output shows.

Images are uint8 or float in [0, 255], of shape (h, w) or (h, w, C). ``where``, bool (h, w), picks the pixels that
count; by default all do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LUMA", "as_levels", "decibels", "levels", "luma", "psnr", "psnr_luma", "rms", "share"]

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_] | None

# Of red, green and blue, in the luma of ITU-R BT.601, which JPEG keeps at full resolution.
LUMA = (0.299, 0.587, 0.114)


def as_levels(image: Array) -> FloatArray:
    """The image as float64 (h, w, C)."""
    return image.astype(np.float64).reshape(*image.shape[:2], -1)


def rms(a: Array, b: Array, where: Mask = None) -> float:
    """The root of the mean squared difference of two images, in levels; 0 where no pixel counts."""
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {a.shape} and {b.shape}")
    if where is not None:
        a, b = a[where], b[where]
    if a.size == 0:
        return 0.0
    if a.dtype == b.dtype == np.uint8:  # int16 holds the differences, and int32 their squares: the sum is exact
        total = int(np.square(np.subtract(a, b, dtype=np.int16), dtype=np.int32).sum(dtype=np.int64))
        return math.sqrt(total / a.size)
    return float(np.sqrt(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)))


def decibels(distance: float) -> float:
    """The PSNR of two images ``distance`` levels (RMS) apart; infinite for none."""
    return 20 * math.log10(255.0 / distance) if distance > 0 else math.inf


def levels(psnr: float) -> float:
    """The RMS distance of two images whose PSNR is ``psnr`` dB."""
    return 255.0 * 10 ** (-psnr / 20)


def psnr(a: Array, b: Array, where: Mask = None) -> float:
    """Peak signal-to-noise ratio of two images of one shape, in dB; infinite where they are equal."""
    return decibels(rms(a, b, where))


def luma(image: Array) -> FloatArray:
    """float64 (h, w): BT.601's luma of three channels, else the mean of them."""
    image = as_levels(image)
    return np.asarray(image @ LUMA if image.shape[2] == 3 else image.mean(axis=2))


def psnr_luma(a: Array, b: Array, where: Mask = None) -> float:
    """The PSNR of the lumas of two images of one shape, in dB."""
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {a.shape} and {b.shape}")
    return psnr(luma(a), luma(b), where)


def share(output: Array, clean: Array, target: Array, where: Mask = None) -> float:
    """How much of the target an output shows: the projection of output - clean on target - clean.

    1 is the target, 0 no trace of it, negative its negative; 0 also where target and clean are equal. All three images
    of one shape; ``clean`` is the output for the unattacked source.
    """
    pick: Any = ... if where is None else where
    way = (as_levels(target) - as_levels(clean))[pick]
    length = float(np.vdot(way, way))
    return float(np.vdot((as_levels(output) - as_levels(clean))[pick], way)) / length if length else 0.0
