"""Whether an attack worked, by the field's definitions, and whether it did what was proved impossible.

With A the attack image for source S and target T, and D what a defense (or the bare scaler) makes of an image: O1 holds
from 25 dB of PSNR(D(A), T) on, O2 from 15 dB of PSNR(A, S) on, and an attack succeeds, S1, if both hold (Quiring et
al., USENIX Security 2020, section 2). A pair whose D(S) already lies within 15 dB of T needs no hiding; it is counted
apart.

For a linear D of gain G, RMS(D(A) - D(S)) ≤ G · RMS(A - S) + 2r, where r is what rounding does. O1 therefore costs
RMS(A - S) ≥ (RMS(T - D(S)) - 14.3 - 2r) / G. Where that is above 45.3 levels, which is 15 dB, the pair is *certified*:
no algorithm reaches S1.

A pair is *near* where RMS(T - D(S)) is at most 45.3 + 14.3 levels, 12.6 dB: there a mere blend of the two pictures,
which no scaler amplifies and everyone sees, meets both goals by the letter. No scaler can be certified against that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..attacks import HIDDEN_DB, REACHED_DB
from ..attacks.payload import LOCAL_DB, LOCAL_LEVELS, most_moved
from ..measure.scalers import load
from .defenses import Linear

__all__ = ["HIDDEN_DB", "REACHED_DB", "SAME_DB", "distance", "judge", "rms"]

Array = npt.NDArray[Any]

# Reported for equal images, whose PSNR is infinite; no two 8-bit images that differ come near it below 10¹¹ pixels.
SAME_DB = 160.0


def judge(
    source: Array,
    target: Array,
    attack: Array,
    *,
    clean: Array,
    seen: Array,
    linear: Linear | None,
) -> dict[str, Any]:
    """The figures and verdicts of one attack image under one defense, as plain numbers in a fixed order.

    ``source`` and ``attack`` (H, W, C), ``target``, ``clean`` and ``seen`` (h, w, C), uint8: ``clean`` is what the
    defense makes of the source, ``seen`` what it makes of the attack image. dB are PSNRs, ``SAME_DB`` for equal images;
    ``rms_*`` and ``local_levels`` are in levels.
    """
    moved, changed = rms(seen, clean), rms(attack, source)
    psnr_source, psnr_target = decibels(changed), decibels(rms(seen, target))
    away = rms(clean, target)
    reached, hidden = psnr_target >= REACHED_DB, psnr_source >= HIDDEN_DB
    levels, _ = most_moved(seen, clean)
    found: dict[str, Any] = {
        "psnr_source": round(psnr_source, 4),
        "psnr_target": round(psnr_target, 4),
        "psnr_clean": round(decibels(moved), 4),
        "ssim_target": similarity(seen, target),
        "reached": reached,
        "hidden": hidden,
        "success": reached and hidden,
        "local_levels": round(levels, 2),
        "local_success": levels >= LOCAL_LEVELS and psnr_source >= LOCAL_DB,
        **distance(clean, target),
        "gain_db": None,
        "bound_db": None,
        "certified_db": None,
        "certified": False,
        "broken_certificate": False,
    }
    if linear is None:
        return found
    least = max(moved - 2 * linear.rounding, 0.0) / linear.gain
    required = max(away - _levels(REACHED_DB) - 2 * linear.rounding, 0.0) / linear.gain
    certified = decibels(required) < HIDDEN_DB
    return found | {
        "gain_db": round(20 * math.log10(linear.gain), 4),
        "bound_db": round(decibels(least), 4),  # the PSNR to the source that this output allows at most
        "certified_db": round(decibels(required), 4),  # and that any attack on the pair which reaches O1 can have
        "certified": certified,
        # Floating point: the sums behind an RMS are exact, its root is not.
        "broken_certificate": changed < least * (1 - 1e-9) or (certified and found["success"]),
    }


def distance(clean: Array, target: Array) -> dict[str, Any]:
    """How far the pair's target lies from what the defense makes of the source, before any attack."""
    away = rms(clean, target)
    needs_hiding = decibels(away) < HIDDEN_DB
    return {
        "psnr_before": round(decibels(away), 4),
        "needs_hiding": needs_hiding,
        "near": needs_hiding and away <= _levels(HIDDEN_DB) + _levels(REACHED_DB),
    }


def rms(a: Array, b: Array) -> float:
    """The root of the mean squared difference of two uint8 images, in levels."""
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {a.shape} and {b.shape}")
    # int16 holds the differences, and uint32 their squares.
    difference = np.subtract(a, b, dtype=np.int16).reshape(-1)
    total = int(np.square(difference, dtype=np.int32).sum(dtype=np.int64))
    return math.sqrt(total / difference.size)


def decibels(levels: float) -> float:
    """The PSNR of two images ``levels`` (RMS) apart; SAME_DB for none."""
    return 20 * math.log10(255.0 / levels) if levels > 0 else SAME_DB


def _levels(psnr: float) -> float:
    return 255.0 * 10 ** (-psnr / 20)


def similarity(a: Array, b: Array) -> float | None:
    """SSIM of two colour images (Wang et al., IEEE TIP 2004); None below 7 pixels or without scikit-image."""
    try:
        metrics = load("skimage.metrics")
    except ImportError:
        return None
    if min(a.shape[:2]) < 7:
        return None
    return round(float(metrics.structural_similarity(a, b, channel_axis=-1)), 4)
