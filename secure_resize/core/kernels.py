"""Every reconstruction kernel of robust scaling, each a pure function of the distance in source pixels.

A kernel is stated at scale 1. When an axis shrinks by β = n_in / n_out > 1 the kernel is stretched by β, so that every
source pixel is read with a near-uniform weight: that is what makes the scaling robust (Quiring et al., USENIX Security
2020, section 4.1), and what the vulnerable libraries leave out.

The functions repeat the arithmetic of Pillow's ``Resample.c`` operation by operation in float64, because the drop-in
promise is Pillow's bytes. They are written against a namespace ``xp`` (numpy, or any module with numpy's ``where``,
``abs`` and ``round``) and use additions, multiplications and divisions alone, which IEEE 754 rounds alike everywhere:
numpy and TensorFlow on any processor compute the same weights to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..registry import Registry

__all__ = ["KERNELS", "Kernel", "get_kernel", "register_kernel"]

Array = Any  # an array of the namespace xp


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    ``function(x, xp=numpy)`` gives the (unnormalised) weight of a source pixel at distance ``x`` (float64 array, in
    source pixels at scale 1) from the output pixel's centre; it is zero outside ``[-support, support]``. A kernel is
    *sampled* at the source pixels' centres or, with ``integrated``, averaged over each source pixel's extent.
    ``robust``: its stealth gain stays below 1 dB at every pair of sizes (``tests/test_operator.py``); where that is not
    shown, ``resize`` looks at the sizes asked for.
    """

    name: str
    support: float
    function: Callable[..., Array]
    integrated: bool = False
    robust: bool = False


KERNELS: Registry[Kernel] = Registry("kernel")


def register_kernel(
    name: str, support: float, *, integrated: bool = False, robust: bool = False
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register the decorated function as the kernel ``name``; a name that is taken raises ValueError."""

    def register(function: Callable[..., Array]) -> Callable[..., Array]:
        KERNELS.add(Kernel(name, support, function, integrated, robust))
        return function

    return register


def get_kernel(name: str) -> Kernel:
    """The kernel called ``name``; ValueError with the valid names otherwise."""
    if isinstance(name, str) and name in KERNELS:
        return KERNELS[name]
    why = ""
    if isinstance(name, str) and name.startswith("nearest"):
        why = " (nearest reads one pixel per output whatever the ratio: an image-scaling attack controls it completely)"
    raise ValueError(f"unknown kernel {name!r}{why}; valid kernels: {', '.join(KERNELS)}")


def _box(x: Array, xp: Any = np) -> Array:
    """1 on (-1/2, 1/2]; half-open like Pillow's, so that a pixel on the edge between two footprints counts once."""
    return xp.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


# The mean over the output pixel's footprint. It is the box integrated over each source pixel instead of sampled at its
# centre: the only kernel with stealth gain 0 dB at every ratio (a partly covered pixel counts by the covered part).
register_kernel("area", 0.5, integrated=True, robust=True)(_box)
# Between the integer ratios the sampled box reads some pixels not at all.
register_kernel("box", 0.5)(_box)


@register_kernel("bilinear", 1.0, robust=True)
def _bilinear(x: Array, xp: Any = np) -> Array:
    """The triangle."""
    x = xp.abs(x)
    return xp.where(x < 1.0, 1.0 - x, 0.0)


@register_kernel("hamming", 1.0, robust=True)
def _hamming(x: Array, xp: Any = np) -> Array:
    """Sinc under a Hamming window (Pillow's HAMMING), truncated at 1."""
    x = xp.abs(x)
    inside = (x > 0.0) & (x < 1.0)
    y = xp.where(inside, x, 0.5) * np.pi
    half = _sin(y * 0.5, xp)
    # Pillow's constants are C floats; cos y = 1 - 2 sin²(y/2).
    window = float(np.float32(0.54)) + float(np.float32(0.46)) * (1.0 - 2.0 * (half * half))
    return xp.where(inside, _sin(y, xp) / y * window, xp.where(x >= 1.0, 0.0, 1.0))


@register_kernel("bicubic", 2.0, robust=True)
def _bicubic(x: Array, xp: Any = np) -> Array:
    """Keys' cubic convolution with a = -1/2 (R. Keys, IEEE TASSP 29(6), 1981, eq. 15), Pillow's choice."""
    a = -0.5
    x = xp.abs(x)
    inner = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    outer = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return xp.where(x < 1.0, inner, xp.where(x < 2.0, outer, 0.0))


@register_kernel("lanczos", 3.0, robust=True)
def _lanczos(x: Array, xp: Any = np) -> Array:
    """Lanczos with three lobes: sinc(x) sinc(x/3) on [-3, 3) (C. Duchon, J. Appl. Meteorology 18, 1979)."""
    inside = (x >= -3.0) & (x < 3.0)
    x = xp.where(inside, x, 0.0)
    return xp.where(inside, _sinc(x, xp) * _sinc(x / 3.0, xp), 0.0)


def _sinc(x: Array, xp: Any) -> Array:
    y = xp.where(x == 0.0, 0.5, x) * np.pi
    return xp.where(x == 0.0, 1.0, _sin(y, xp) / y)


# π in two parts: k·_PI_HIGH is exact for small k, so y - k·π loses nothing to cancellation.
_PI_HIGH = 3.1415926534682512  # the leading 33 bits of π
_PI_LOW = 1.2154201013012384e-10
# Taylor coefficients of sin: at |r| <= π/2 the first one left out, r²³/23!, is below 2⁻⁵⁹.
_SIN = [(-1.0) ** n / float(np.prod(np.arange(1, 2 * n + 2, dtype=np.float64))) for n in range(11)]


def _sin(y: Array, xp: Any) -> Array:
    """sin y for |y| <= 3π within 2⁻⁵² of the exact value, the same bits in every namespace and on every processor.

    A math library's sine would differ in its last bit between processors, and so, once in some 10¹⁰ weights, would the
    22-bit tap made from it.
    """
    k = xp.round(y * (1.0 / np.pi))
    r = (y - k * _PI_HIGH) - k * _PI_LOW
    square = r * r
    series = _SIN[10]
    for coefficient in _SIN[9:0:-1]:
        series = series * square + coefficient
    sine = r + r * (square * series)
    odd = xp.abs(k - 2.0 * xp.round(k * 0.5)) == 1.0
    return xp.where(odd, -sine, sine)
