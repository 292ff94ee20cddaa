"""The field's detectors, a row each, for comparison with ours: none of them decides.

X19: Xiao et al., *Seeing is Not Believing*, USENIX Security 2019. K21: Kim et al., *Decamouflage*, DSN 2021. Q23:
Quiring et al., *On the Detection of Image-Scaling Attacks*, ACSAC 2023. Written from the papers; what those leave open
is said at each. All look at the source (H, W, C); scores rise with suspicion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..measure.quality import luma
from ..measure.scalers import load
from ..reconstruction.filters import reconstruct
from ..scaling import resize
from .detectors import Measured, register_detector
from .fields import box_mean
from .views import View

__all__: list[str] = []

FloatArray = npt.NDArray[np.float64]
# SSIM's constants for 255 levels, and its window.
C1, C2, SSIM_SIDE = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 7
# Q23's patches: outputs a side and between two, and the quantile of the changes in each.
PATCH, STEP, QUANTILE = 10, 2, 0.6


def _restored(view: View) -> npt.NDArray[np.uint8]:
    """up(down(A)): scaled by the deployed scaler, and back to the source's size."""
    return resize(view.hidden, (view.source.shape[0], view.source.shape[1]), kernel="bilinear")


def _cosine(a: FloatArray, b: FloatArray) -> float:
    """One minus the cosine of two vectors: 0 for the same direction."""
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return max(0.0, 1 - float(a.ravel() @ b.ravel()) / length) if length else 0.0


def _ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """The mean structural similarity of two images' lumas (Wang et al. 2004), over windows of 7×7."""
    x, y = (luma(image).astype(np.float32) for image in (a, b))
    side = min(SSIM_SIDE, *x.shape)
    side -= 1 - side % 2
    mean_x, mean_y = (box_mean(one, side) for one in (x, y))
    xx, yy, xy = (box_mean(one, side) for one in (x * x, y * y, x * y))
    var_x, var_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    top = (2 * mean_x * mean_y + C1) * (2 * both + C2)
    return float((top / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))).mean())


@register_detector("histogram", source="X19", summary="histograms of A and up(down(A))")
def _histogram(view: View) -> Measured:
    """One minus the cosine of the two images' histograms, 256 levels a channel."""
    planes = [np.moveaxis(image, -1, 0) for image in (view.source, _restored(view))]
    first, second = (np.concatenate([np.bincount(p.ravel(), minlength=256) for p in one]) for one in planes)
    return Measured(_cosine(first.astype(float), second.astype(float)))


@register_detector("scattering", source="X19", summary="where the colours of A and up(down(A)) lie")
def _scattering(view: View) -> Measured:
    """Likewise of each of 256 levels' mean distance from the picture's middle."""
    height, width = view.source.shape[:2]
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in (height, width))
    distance = np.hypot(rows[:, None], cols[None]).ravel()
    vectors = []
    for image in (view.source, _restored(view)):
        grey = np.rint(luma(image)).astype(np.int64).ravel()
        count = np.bincount(grey, minlength=256)
        vectors.append(np.bincount(grey, distance, 256) / np.maximum(count, 1))
    return Measured(_cosine(*vectors))


def _squared(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    return float(np.mean(np.square(a.astype(np.float32) - b)))


@register_detector("down_up_mse", source="K21", summary="mean squared error of A and up(down(A))")
def _down_up_mse(view: View) -> Measured:
    return Measured(_squared(view.source, _restored(view)))


@register_detector("down_up_psnr", source="K21", summary="PSNR of A and up(down(A)), in dB below 100")
def _down_up_psnr(view: View) -> Measured:
    return Measured(100 + 10 * math.log10(max(_squared(view.source, _restored(view)) / 255**2, 1e-10)))


@register_detector("down_up_ssim", source="K21", summary="one minus the SSIM of A and up(down(A))")
def _down_up_ssim(view: View) -> Measured:
    return Measured(1 - _ssim(view.source, _restored(view)))


def _rank_filter(image: npt.NDArray[np.uint8], pick: Callable[..., npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """The least or largest of each pixel's 3×3 neighbours."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = pick(pick(padded[:-2], padded[1:-1]), padded[2:])
    return pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


@register_detector("minimum_filter", source="K21", summary="one minus the SSIM of A and its erosion")
def _minimum_filter(view: View) -> Measured:
    return Measured(1 - _ssim(view.source, _rank_filter(view.source, np.minimum)))


@register_detector("maximum_filter", source="K21", summary="one minus the SSIM of A and its dilation")
def _maximum_filter(view: View) -> Measured:
    return Measured(1 - _ssim(view.source, _rank_filter(view.source, np.maximum)))


def _spectrum(view: View) -> FloatArray:
    """log(1 + |F|) of the luma, its middle at the frequency 0."""
    grey = luma(view.source)
    return np.asarray(np.fft.fftshift(np.log1p(np.abs(np.fft.fft2(grey - grey.mean())))))


@register_detector("csp", source="K21", summary="bright spots in the spectrum")
def _csp(view: View) -> Measured:
    """How many spots of the spectrum, smoothed over 5×5, exceed 70 % of its range; the threshold is ours."""
    smooth = box_mean(_spectrum(view).astype(np.float32), 5)
    bright = smooth > smooth.min() + 0.7 * (smooth.max() - smooth.min())
    return Measured(float(load("scipy.ndimage").label(bright)[1]))


def _expected(view: View) -> list[tuple[int, int]]:
    """Where in the spectrum an attack has its first peaks: once the output's height and width from the middle."""
    (height, width), (h, w) = view.source.shape[:2], view.target.size
    middle = height // 2, width // 2
    places = [(a * h, b * w) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    inside = [(y + middle[0], x + middle[1]) for y, x in places]
    return [(y, x) for y, x in inside if 3 <= y < height - 3 and 3 <= x < width - 3]


@register_detector("peak_spectrum", source="Q23", summary="the spectrum at the expected peaks")
def _peak_spectrum(view: View) -> Measured:
    """The share of the spectrum that lies below the largest value within 2 of an expected peak; 0 for β ≤ 2."""
    spectrum, places = _spectrum(view), _expected(view)
    if not places or min(view.ratios) <= 2:
        return Measured(0.0)
    largest = max(float(spectrum[y - 2 : y + 3, x - 2 : x + 3].max()) for y, x in places)
    return Measured(float((spectrum < largest).mean()))


@register_detector("peak_distance", source="Q23", summary="how near the largest peak is to an expected one")
def _peak_distance(view: View) -> Measured:
    """1 / (1 + distance) of the largest peak outside of the output's own frequencies; 0 for β ≤ 2."""
    spectrum, places = _spectrum(view), _expected(view)
    if not places or min(view.ratios) <= 2:
        return Measured(0.0)
    (height, width), (h, w) = spectrum.shape, view.target.size
    own = np.s_[height // 2 - h // 2 : height // 2 + h // 2 + 1, width // 2 - w // 2 : width // 2 + w // 2 + 1]
    spectrum[own] = -np.inf
    y, x = np.unravel_index(int(np.argmax(spectrum)), spectrum.shape)
    return Measured(1 / (1 + min(math.hypot(y - p, x - q) for p, q in places)))


def _changes(view: View) -> FloatArray:
    """|A - A without what the scaler reads|, the selective median's, the mean over the channels."""
    clean = reconstruct(view.source, view.target.size, scaler=view.target.scaler)
    return np.asarray(np.abs(view.source.astype(np.float32) - clean).mean(axis=2, dtype=np.float64))


@register_detector("clean_filter", source="Q23", summary="mean squared error of A and its selective median")
def _clean_filter(view: View) -> Measured:
    clean = reconstruct(view.source, view.target.size, scaler=view.target.scaler)
    return Measured(_squared(view.source, clean))


@register_detector("clean_filter_ssim", source="Q23", summary="one minus the SSIM of A and its selective median")
def _clean_filter_ssim(view: View) -> Measured:
    return Measured(1 - _ssim(view.source, reconstruct(view.source, view.target.size, scaler=view.target.scaler)))


def _patches(changes: FloatArray) -> Measured:
    """The largest of the patches' quantiles minus their mean."""
    side = min(PATCH, *changes.shape)
    windows = np.lib.stride_tricks.sliding_window_view(changes, (side, side))[::STEP, ::STEP]
    found = np.quantile(windows.reshape(*windows.shape[:2], -1), QUANTILE, axis=-1)
    return Measured(float(found.max() - found.mean()))


@register_detector("patch_clean", source="Q23", summary="the selective median's change by patch, largest minus mean")
def _patch_clean(view: View) -> Measured:
    """Patches of 10 source pixels, 2 apart, over all pixels that lie where something is read."""
    changes = _changes(view)
    rows, cols = changes.any(axis=1), changes.any(axis=0)
    return _patches(changes[np.ix_(rows, cols)]) if rows.any() else Measured(0.0)


@register_detector("targeted_patch_clean", source="Q23", summary="the same over what the scaler reads alone")
def _targeted_patch_clean(view: View) -> Measured:
    """Patches of outputs: what the scaler makes of the change of each pixel that it reads, by its own weights."""
    clean = reconstruct(view.source, view.target.size, scaler=view.target.scaler)
    shown = View(clean, view.target).deployed
    return _patches(np.abs(view.deployed - shown).mean(axis=2, dtype=np.float64))
