"""Which sizes may a picture have been made for, where nobody says? Its spectrum tells.

An attack repeats the hidden picture's spectrum around every multiple of the output's size: h rows hidden in H stand out
at the frequency of h periods a picture. So each size is ranked by how much its two frequencies stand out beside their
neighbours, and those that stand out most of all are tried too, whether or not a model is known to take them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.quality import LUMA
from .targets import KINDS, SMALLEST_RATIO, Size, Target, plausible_targets
from .views import as_picture

__all__ = ["MOST", "comb", "likely_targets"]

FloatArray = npt.NDArray[np.float64]

# Sizes that are tried of those that rank highest, and frequencies of each axis that are taken from the spectrum alone.
MOST, FREE = 4, 2
# Sizes this near one another are one.
NEAR = 3
# Neighbouring frequencies: across, those that are summed; along, those that a peak is compared with on each side.
ACROSS, ALONG = 3, 20
# By how much more than its neighbours a frequency that is taken from the spectrum has to have.
STRONG = 2.0
# The largest ratio of a size that is taken from the spectrum.
LARGEST_RATIO = 16


def comb(image: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """How much each frequency of the rows and of the columns stands out: float64 (H//2+1,) and (W//2+1,).

    Frequencies are in periods a picture. The ratio of a frequency's power, among the lowest frequencies of the other
    axis, to the median of its neighbours' power.
    """
    picture = as_picture(image)
    grey = picture.astype(np.float32) @ np.asarray(LUMA, np.float32) if picture.shape[2] == 3 else picture.mean(axis=2)
    rows = _outstanding(grey - grey.mean())
    return rows, _outstanding((grey - grey.mean()).T)


def _outstanding(grey: Any) -> FloatArray:
    height, width = grey.shape
    # The lowest frequencies of the columns, one after the other; then all frequencies of the rows of those.
    waves = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(ACROSS)) / width)
    low = grey @ waves
    window = np.hanning(height + 2)[1:-1, None]
    spectrum = np.abs(np.fft.fft(low * window, axis=0)) ** 2
    half = height // 2 + 1
    power = spectrum[:half].sum(axis=1) + np.roll(spectrum[::-1], 1, axis=0)[:half].sum(axis=1)
    padded = np.pad(power, ALONG, mode="reflect") if half > ALONG else np.pad(power, ALONG, mode="edge")
    near = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * ALONG + 1), axis=1)
    return np.asarray(power / (near + 1e-9))


def _at(strength: FloatArray, count: int, size: int) -> float:
    """The most within 1 of ``count`` periods in ``size`` pixels: frequencies above the half are seen mirrored."""
    place = min(count, size - count)
    return float(strength[max(1, place - 1) : place + 2].max(initial=1.0))


def likely_targets(
    image: npt.NDArray[np.uint8],
    *,
    sizes: Iterable[Sequence[int]] | None = None,
    scalers: Iterable[str] = KINDS,
    most: int = MOST,
) -> tuple[list[Target], int]:
    """The targets whose sizes stand out in the spectrum, and how many there were to choose from.

    ``image`` uint8 (H, W) or (H, W, C); ``sizes`` and ``scalers`` as for :func:`plausible_targets`; ``most``: sizes
    that are kept. Without ``sizes``, those that stand out most count as well, whoever may use them.
    """
    names = tuple(scalers)
    height, width = image.shape[:2]
    rows, cols = comb(image)
    known = list(dict.fromkeys(one.size for one in plausible_targets((height, width), sizes=sizes, scalers=names)))
    free = [] if sizes is not None else _free(rows, cols, (height, width))
    known.sort(key=lambda size: -_at(rows, size[0], height) * _at(cols, size[1], width))
    kept = known[:most]
    kept += [size for size in free if all(max(abs(size[0] - h), abs(size[1] - w)) > NEAR for h, w in kept)]
    return [Target(name, size) for size in kept for name in names], (len(known) + FREE**2) * len(names)


def _free(rows: FloatArray, cols: FloatArray, in_size: Size) -> list[Size]:
    """Sizes made of the frequencies that stand out most."""
    best = []
    for strength, size in zip((rows, cols), in_size, strict=True):
        low, high = max(3, size // LARGEST_RATIO), min(size // 2, int(size / SMALLEST_RATIO))
        # The hidden picture's own lowest frequencies lie on both sides of the one that is looked for.
        around = np.convolve(strength, np.ones(5), mode="same")
        strong = [k for k in range(low, high) if around[k] > 5 * STRONG]
        peaks = [k for k in strong if around[k] == around[max(low, k - NEAR) : k + NEAR + 1].max()]
        best.append(sorted(peaks, key=lambda k: -around[k])[:FREE])
    return [(h, w) for h in best[0] for w in best[1]]
