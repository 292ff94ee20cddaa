"""Robust scaling of numpy arrays of every dtype and rank, and of warps, by rendering them larger first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import secure_resize as sr
from secure_resize.integration_support import KernelName, axis_operator

__all__ = ["LARGEST_STEP", "factor_of", "looks_like_labels", "scale_axes", "supersampled"]

Array = npt.NDArray[Any]

LARGEST_STEP = 256  # source pixels between two outputs of a warp, up to which it is rendered larger
_AT_ONCE = 1 << 22  # pixels of a larger rendering that are there at a time
_WIDEST = 16384  # and its edge: OpenCV warps up to 32767


def scale_axes(image: Array, shape: tuple[int, ...], kernel: KernelName = "area") -> Array:
    """``image`` scaled to ``shape``, along every axis whose length differs; the dtype stays, integers are rounded.

    uint8, uint16 and float32 of two axes scaled as :func:`secure_resize.resize` does it; all else in float64.
    """
    changed = [axis for axis, (n, m) in enumerate(zip(image.shape, shape, strict=True)) if n != m]
    exact = image.dtype.newbyteorder("=") in (np.uint8, np.uint16, np.float32) and len(changed) <= 2
    if exact and image.ndim >= 2 and changed:
        first = min(changed[0], image.ndim - 2)
        if changed[-1] <= first + 1:
            batch = image.reshape(math.prod(image.shape[:first]), *image.shape[first : first + 2], -1)
            return sr.resize(batch, shape[first : first + 2], kernel=kernel).reshape(shape)
    out = image.astype(np.float64)
    for axis in changed:
        out = axis_operator(image.shape[axis], shape[axis], kernel).apply(out, axis)
    if image.dtype == bool:
        return out >= 0.5
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        out = np.clip(np.round(out), float(limits.min), float(limits.max))
    return np.ascontiguousarray(out).astype(image.dtype)


def factor_of(step: float) -> int:
    """How many times as large an axis is rendered whose outputs lie ``step`` source pixels apart."""
    return max(1, min(LARGEST_STEP, math.ceil(step - 1e-6)))


def supersampled(size: tuple[int, int], factors: tuple[int, int], tile: Callable[[int, int, int, int], Array]) -> Array:
    """A warp whose outputs lie no more than a source pixel apart before they are averaged.

    ``tile(top, left, height, width)`` renders this part of the output, ``factors`` times as large: an array (height ·
    factors[0], width · factors[1], ...), its values at the centres of the smaller pixels.
    """
    (height, width), (down, across) = size, factors
    wide = max(1, min(width, _WIDEST // across))
    high = max(1, min(height, _WIDEST // down, _AT_ONCE // (wide * across * down)))
    out: Array | None = None
    for top in range(0, height, high):
        for left in range(0, width, wide):
            rows, columns = min(high, height - top), min(wide, width - left)
            large = tile(top, left, rows, columns)
            small = scale_axes(large, (rows, columns, *large.shape[2:]))
            if out is None:
                out = np.empty((height, width, *small.shape[2:]), small.dtype)
            out[top : top + rows, left : left + columns] = small
    assert out is not None
    return out


_VALUES = 64  # that a map of labels has at most
_SAME = 0.8  # the share of neighbours in a row that are equal, at least
_AROUND = 3  # of the nine pixels around one that is picked, itself among them, that have its label, at least
_STRAY = 0.002  # the share of outputs for which that need not hold


def looks_like_labels(pixels: Array, size: tuple[int, ...]) -> bool:
    """Whether pixels (..., H, W) to be scaled to ``size`` (height, width) are few whole numbers, in areas.

    All of them are looked at, and whether a pixel that nearest takes has neighbours of its label: a picture that hides
    another one from nearest, which reads single pixels, does not pass.
    """
    if pixels.ndim < 2 or pixels.size == 0:
        return False
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    some = planes[0, :: max(1, planes.shape[1] // 16)]
    if _same(some[None]) < _SAME or len(np.unique(some)) > _VALUES:
        return False
    values = np.unique(planes)
    if len(values) > _VALUES or (values.dtype.kind == "f" and not np.array_equal(values, np.floor(values))):
        return False
    return _same(planes) >= _SAME and all(_stray(plane, size) <= _STRAY for plane in planes)


def _same(planes: Array) -> float:
    pairs = planes[..., 1:] == planes[..., :-1]
    return float(pairs.mean()) if pairs.size else 0.0


def _stray(plane: Array, size: tuple[int, ...]) -> float:
    """The share of outputs for which nearest picks, at the middle or at the corner, a pixel that stands alone."""
    worst = 0.0
    axes = list(zip(plane.shape, size, strict=True))
    for shift in (0, 1):
        at = [np.minimum((np.arange(m) * n + shift * n // 2) // m, n - 1) for n, m in axes]
        picked = plane[np.ix_(*at)]
        alike = np.zeros(picked.shape, int)
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                near = [np.clip(one + by, 0, n - 1) for one, by, n in zip(at, (down, across), plane.shape, strict=True)]
                alike += plane[np.ix_(*near)] == picked
        worst = max(worst, float((alike < _AROUND).mean()))
    return worst
