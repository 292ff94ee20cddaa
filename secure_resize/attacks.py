"""Image-scaling attacks, for auditing: how a picture is hidden so that it appears only after down-scaling.

The attack image A = S + Δ looks like the source S; scaled, it is the target T (Xiao et al., USENIX Security 2019;
Quiring et al., USENIX Security 2020, section 2). Whether an attack worked is always measured through the real library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .operator import ScalingOperator
from .probe import probe
from .scalers import Scaler, get_scaler

__all__ = ["Crafted", "craft", "psnr"]

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Crafted:
    """An attack image and what it does.

    ``image`` uint8 like the source; ``scaled`` what the real library makes of it; ``psnr_source`` of image and source
    and ``psnr_target`` of scaled and target, in dB. The usual bars for success are 15 and 25 dB.
    """

    image: Image
    scaled: Image
    psnr_source: float
    psnr_target: float


def craft(
    source: Image, target: Image, scaler: str | Scaler, *, method: str = "direct", epsilon: float = 1.0
) -> Crafted:
    """Hide ``target`` in ``source`` so that ``scaler`` brings it out.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((64, 64), 200, np.uint8), np.zeros((16, 16), np.uint8)
    >>> sr.attacks.craft(source, target, "opencv:linear").psnr_target > 25
    True

    Parameters
    ----------
    source
        uint8 (H, W) or (H, W, C).
    target
        uint8 (h, w) or (h, w, C), with the source's channels; its size is the scaler's output size.
    scaler
        A name in ``scalers.SCALERS`` or a Scaler. What it reads is probed.
    method
        ``"direct"``: the least change, in the 2-norm and inside [0, 255], that takes every output pixel to within
        ``epsilon`` of the target, before rounding to whole levels. For scalers whose outputs share no source pixel
        (nearest at ratios above 1, linear from 2, cubic from 4): each one's pixels x = clip(s + λw, 0, 255) are found
        on their own, by bisecting λ (the optimality conditions of the quadratic program of Xiao et al., section 4).
    epsilon
        Levels by which the scaled attack image may miss the target.

    Raises
    ------
    TypeError, ValueError
        Images of another dtype or of shapes that do not fit, an unknown scaler or method, a ratio at which the scaler's
        outputs share source pixels.
    ImportError
        The scaler's library is not installed.
    """
    if method != "direct":
        raise ValueError(f"unknown attack method {method!r}; valid methods: direct")
    if not 0 <= epsilon < 256:
        raise ValueError(f"epsilon must lie between 0 and 255 levels, got {epsilon!r}")
    for name, image in (("source", source), ("target", target)):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise TypeError(f"{name} must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"{name} must have shape (H, W) or (H, W, C), got {image.shape}")
    if source.shape[2:] != target.shape[2:]:
        raise ValueError(f"source and target must have the same channels, got shapes {source.shape}, {target.shape}")
    chosen = get_scaler(scaler) if isinstance(scaler, str) else scaler
    size = target.shape[0], target.shape[1]
    model = _probed(chosen, (source.shape[0], source.shape[1]), size)
    image = _direct(source, target, model, epsilon)
    scaled = chosen(image, size)
    return Crafted(image, scaled, psnr(image, source), psnr(scaled, target))


def psnr(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two images of one shape in [0, 255], in dB; infinite where they are equal."""
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {a.shape} and {b.shape}")
    mean_square = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10.0 * math.log10(255.0**2 / mean_square) if mean_square else math.inf


@lru_cache(maxsize=32)
def _probed(scaler: str | Scaler, in_size: tuple[int, int], out_size: tuple[int, int]) -> ScalingOperator:
    return probe(scaler, in_size, out_size)


def _direct(source: Image, target: Image, model: ScalingOperator, epsilon: float) -> Image:
    """The least change per output pixel; all outputs, channels and taps at once."""
    for axis in (model.rows, model.cols):
        if np.any(np.diff(axis.start) < axis.width):
            raise ValueError(
                f"outputs share source pixels at {axis.n_in} to {axis.n_out} pixels (ratio {axis.ratio:.3g}, "
                f"{axis.width} taps): the direct attack needs a ratio of at least {axis.width}"
            )
    rows = (model.rows.start[:, None] + np.arange(model.rows.width))[:, None, :, None]
    cols = (model.cols.start[:, None] + np.arange(model.cols.width))[None, :, None, :]
    weights = model.rows.weights[:, None, :, None] * model.cols.weights[None, :, None, :]
    image = np.atleast_3d(source).copy()
    for channel in range(image.shape[2]):
        pixels = image[rows, cols, channel].astype(np.float64)  # (h, w, taps of the rows, taps of the columns)
        wanted = np.atleast_3d(target)[:, :, channel].astype(np.float64)
        reached = (weights * pixels).sum(axis=(2, 3))
        wanted = np.clip(reached, wanted - epsilon, wanted + epsilon)
        image[rows, cols, channel] = np.round(_move_least(pixels, weights, np.clip(wanted, 0, 255)))
    return image.reshape(source.shape)


def _move_least(pixels: npt.NDArray[Any], weights: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The x in [0, 255] nearest to ``pixels`` with ``sum(weights * x) == wanted``: x = clip(pixels + λ weights)."""
    # At the ends of the bracket every pixel that counts (no weight is below 2⁻²⁰ unless it is 0) is saturated.
    low = np.full(wanted.shape, -255.0 * 2**20)
    high = -low
    for _ in range(60):  # the bracket ends up narrower than float64 can tell
        middle = (low + high) / 2
        moved = np.clip(pixels + middle[..., None, None] * weights, 0, 255)
        short = (weights * moved).sum(axis=(2, 3)) < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(np.clip(pixels + high[..., None, None] * weights, 0, 255))
