"""What a sample of subsampled chroma beyond black or white costs in the RGB that a full decode shows.

A chroma sample stands for several pixels and is spread over their neighbours by smooth upsampling; RGB is cut off once
more, so that over a bright or dark pixel much of it does not show. And the luma of those pixels is free to make up for
it: where some sample of its group lies beyond black or white, its mean is carried by that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..measure.coefficients import to_rgb, to_ycc
from .overshoot import Plane, hide

__all__ = ["priced", "upsampled"]

FloatArray = npt.NDArray[np.float64]
Step = tuple[int, int]
# Along an axis: which pixels a sample is seen in, from its own first one on, and by how much.
_SEEN = {1: ((0, 1.0),), 2: ((-1, 0.25), (0, 0.75), (1, 0.75), (2, 0.25))}
# Of the way on which luma alone would make up for a pixel's error, how far it goes: cut off, all of it may be too much.
_MAKE_UP = (0.0, 0.35, 0.7, 1.0, 1.4)


def priced(planes: Sequence[Plane], source: FloatArray, step: Step, *, epsilon: float, overshoot: float) -> list[Plane]:
    """``planes`` (Y, Cb, Cr) with what each sample costs beyond white and beyond black, in RGB.

    ``source`` float64 (H, W, 3) in RGB levels, ``step`` the subsampling (down, across). Chroma is chosen first, with
    luma free to make up for it; then luma, with that chroma.
    """
    samples = [plane.samples for plane in planes]
    first = _with_prices(planes, samples, source, step)
    found = hide(first, epsilon=epsilon, overshoot=overshoot).planes
    height, width = source.shape[:2]
    seen = _seen(found, step, height, width)
    luma = planes[0].samples.copy()
    luma[:height, :width] = _made_up(np.dstack([to_ycc(source)[..., 0], seen[..., 1:]]), source)[0]
    second = _with_prices(planes, found, source, step)
    return [replace(planes[0], samples=luma, prices=second[0].prices), *first[1:]]


def upsampled(plane: FloatArray, step: Step) -> FloatArray:
    """A plane of chroma at full resolution, as smooth upsampling has it."""
    for axis, factor in enumerate(step):
        if factor == 2:
            rows = np.moveaxis(plane, axis, 0)
            before, after = np.concatenate([rows[:1], rows[:-1]]), np.concatenate([rows[1:], rows[-1:]])
            whole = np.stack([0.75 * rows + 0.25 * before, 0.75 * rows + 0.25 * after], axis=1)
            plane = np.moveaxis(whole.reshape(2 * len(rows), *rows.shape[1:]), 0, axis)
    return plane


def _seen(planes: Sequence[FloatArray], step: Step, height: int, width: int) -> FloatArray:
    """(H, W, 3) of Y, Cb and Cr as a full decode has them before they become RGB."""
    steps = ((1, 1), step, step)
    whole = [upsampled(np.clip(plane, 0, 255), own) for plane, own in zip(planes, steps, strict=True)]
    return np.stack([plane[:height, :width] for plane in whole], axis=2)


def _error(ycc: FloatArray, source: FloatArray) -> FloatArray:
    return np.asarray(((np.clip(to_rgb(ycc), 0, 255) - source) ** 2).mean(axis=-1))


def _made_up(ycc: FloatArray, source: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The luma with which a pixel of this chroma comes nearest to the source, and how far off it then is, squared."""
    way = (source - to_rgb(ycc)).mean(axis=-1)
    moved = np.stack([np.clip(ycc[..., 0] + share * way, 0, 255) for share in _MAKE_UP])
    errors = np.stack([_error(np.concatenate([y[..., None], ycc[..., 1:]], axis=-1), source) for y in moved])
    best = errors.argmin(axis=0)[None]
    return np.take_along_axis(moved, best, 0)[0], np.take_along_axis(errors, best, 0)[0]


def _with_prices(planes: Sequence[Plane], now: Sequence[FloatArray], source: FloatArray, step: Step) -> list[Plane]:
    """With the prices of single samples, all others being as they are ``now``."""
    height, width = source.shape[:2]
    seen = _seen(now, step, height, width)
    luma, free = _made_up(np.dstack([to_ycc(source)[..., 0], seen[..., 1:]]), source)
    made_up = np.dstack([luma, seen[..., 1:]])
    found = []
    for channel, plane in enumerate(planes):
        prices = []
        for edge in (255.0, 0.0):
            if channel == 0:
                blown = seen.copy()
                blown[..., 0] = edge
                cost = np.zeros_like(plane.samples)
                cost[:height, :width] = _error(blown, source) - free
            else:
                cost = _chroma_price(channel, edge - np.clip(now[channel], 0, 255), made_up, free, source, step)
            prices.append(np.maximum(cost, 0))
        found.append(replace(plane, prices=(prices[0], prices[1])))
    return found


def _chroma_price(
    channel: int, change: FloatArray, made_up: FloatArray, free: FloatArray, source: FloatArray, step: Step
) -> FloatArray:
    """What the ``change`` of each sample of this channel alone costs over the pixels in which it is seen."""
    height, width = source.shape[:2]
    rows, columns = np.ogrid[: change.shape[0], : change.shape[1]]
    total = np.zeros_like(change)
    for down, by_row in _SEEN[step[0]]:
        for across, by_column in _SEEN[step[1]]:
            y, x = rows * step[0] + down, columns * step[1] + across
            there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
            pixels = made_up[y, x]
            pixels[..., channel] += by_row * by_column * change
            total += np.where(there, _made_up(pixels, source[y, x])[1] - free[y, x], 0)
    return total
