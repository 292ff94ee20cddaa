"""Path ``"graph"``: the same bytes by torch operations alone.

For ONNX, for programs that run where this package is not installed, and for devices that hold a picture themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

import secure_resize as sr
from secure_resize.integration_support import PASS_ORDERS, PRECISION_BITS, axis_weights, check_kernel

from .kinds import HALF_DTYPES

__all__ = ["as_laid_out", "resize"]

Size = tuple[int, int]

# Integers that the core has, by the dtypes that stand for them: the core's name, the largest level and the offset.
CODES = {
    torch.uint8: ("uint8", 255, 0),
    torch.int8: ("uint8", 255, 128),
    torch.bool: ("uint8", 255, 0),
    torch.uint16: ("uint16", 65535, 0),
    torch.int16: ("uint16", 65535, 32768),
}


# TorchDynamo would trace numpy into torch operations, which round differently; so it leaves this to later stages, which
# see torch's operations alone.
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def resize(image: torch.Tensor, size: Sequence[int], kernel: str) -> torch.Tensor:
    """An image (..., C, H, W) resized to ``size``, known when the graph is made; (..., C, h, w), of the same dtype.

    The arithmetic is that of ``secure_resize.core.reference``. Takes some ten bytes of memory for each value and tap.
    """
    size, (height, width) = (size[0], size[1]), image.shape[-2:]
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        height, width = int(height), int(width)
    if not all(isinstance(n, int) for n in (height, width, *size)):
        raise ValueError(
            f"path='graph' needs sizes that are known when the graph is made, got {(height, width)} to {size}: its "
            "weights are constants of it. Leave these dimensions static, or use path='op'"
        )
    check_kernel(kernel, (height, width), size)
    run = _resize_codes if image.dtype in CODES else _resize_numbers
    return as_laid_out(run(image, size, kernel), image)


def as_laid_out(resized: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """``resized`` with its channels together where ``image``'s are."""
    if 0 < image.stride(-3) < image.stride(-1):
        return resized.movedim(-3, -1).contiguous().movedim(-1, -3)
    return resized


def _resize_numbers(image: torch.Tensor, size: Size, kernel: str) -> torch.Tensor:
    """Floating-point and wide whole numbers: both passes in float64, rounded once."""
    sums = image.to(torch.float64)
    for axis in _by_shrinking(image, size):
        sums = _weigh(sums, axis, size[axis], kernel, "float32", torch.float64)
    if image.dtype in HALF_DTYPES:
        return sums.to(torch.float32).to(image.dtype)
    if image.dtype.is_floating_point:
        return sums.to(image.dtype)
    limits = torch.iinfo(image.dtype)
    # The largest float64 below 2⁶³ is 2⁶³ - 1024: what is larger would wrap.
    top = limits.max if limits.max < 1 << 53 else math.nextafter(float(limits.max), 0)
    return sums.round().clamp(limits.min, top).to(image.dtype)


def _resize_codes(image: torch.Tensor, size: Size, kernel: str) -> torch.Tensor:
    """What the core resizes as uint8 or uint16: integer arithmetic."""
    name, largest, offset = CODES[image.dtype]
    codes = image
    if image.dtype != torch.uint8:
        codes = image.to(torch.int32) * 255 if image.dtype == torch.bool else image.to(torch.int32) + offset
    run = _area if sr.KERNELS[kernel].integrated else _fixed
    codes = run(codes, size, kernel, name, largest)
    if image.dtype == torch.bool:
        return codes >= 128
    return (codes - offset if offset else codes).to(image.dtype)


def _area(codes: torch.Tensor, size: Size, kernel: str, name: str, largest: int) -> torch.Tensor:
    """⌊(2S + D) / 2D⌋ of the weighted sum S and the weights' sum D."""
    divisor, sums = 1, codes
    for axis in _by_shrinking(codes, size):
        n_in, n_out = int(codes.shape[axis]), size[axis]
        divisor *= n_in // math.gcd(n_in, n_out)
        narrow = largest * divisor < 1 << 31
        sums = _weigh(sums, axis, n_out, kernel, name, torch.int32 if narrow else torch.int64)
    sums = sums.to(torch.int64)
    return (2 * sums + divisor) // (2 * divisor)


def _fixed(codes: torch.Tensor, size: Size, kernel: str, name: str, largest: int) -> torch.Tensor:
    """Pillow's two passes, each rounded to whole levels, in the order of Pillow 13."""
    height, width = (int(n) for n in codes.shape[-2:])
    accumulator = torch.int32 if name == "uint8" else torch.int64
    for axis in (-2, -1) if PASS_ORDERS["pillow13"](height, width, *size) else (-1, -2):
        if codes.shape[axis] != size[axis]:
            sums = _weigh(codes, axis, size[axis], kernel, name, accumulator) + (1 << PRECISION_BITS - 1)
            codes = sums.clamp(0, ((largest + 1) << PRECISION_BITS) - 1) // (1 << PRECISION_BITS)
    return codes


def _by_shrinking(image: torch.Tensor, size: Size) -> list[int]:
    """The axes whose size changes, the one that shrinks more first: the order leaves no trace where nothing rounds."""
    axes = [axis for axis in (-2, -1) if image.shape[axis] != size[axis]]
    return sorted(axes, key=lambda axis: size[axis] / int(image.shape[axis]))


def _weigh(
    lines: torch.Tensor, axis: int, n_out: int, kernel: str, dtype: str, accumulator: torch.dtype
) -> torch.Tensor:
    """The sums of the taps along ``axis``, -1 or -2."""
    n_in = int(lines.shape[axis])
    pixels, weights = (torch.from_numpy(table) for table in _tables(n_in, n_out, kernel, dtype))
    pixels, weights = pixels.to(lines.device), weights.to(lines.device, accumulator)
    shape = list(lines.shape)
    shape[axis:] = [*pixels.shape, *shape[axis:][1:]]
    taps = lines.index_select(axis, pixels.flatten()).reshape(shape).to(accumulator)
    if axis == -2:
        weights = weights.unsqueeze(-1)
    if accumulator.is_floating_point:  # a tap of weight zero is padding, and passes on no NaN
        taps = taps.masked_fill(weights == 0, 0)
    sums: torch.Tensor = (taps * weights).sum(axis, dtype=accumulator)
    return sums


@lru_cache(maxsize=128)
def _tables(n_in: int, n_out: int, kernel: str, dtype: str) -> tuple[Any, Any]:
    """int64 (n_out, width), the pixels that each output reads; and their weights, float64 or int64.

    Arrays, since a tensor made while something traces belongs to that trace.
    """
    start, weights, _ = axis_weights(n_in, n_out, sr.get_kernel(kernel), dtype)
    return start[:, None] + np.arange(weights.shape[1]), weights
