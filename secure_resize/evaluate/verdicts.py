"""Whether an attack worked, by the field's definitions, and whether it did what was proved impossible.

With A the attack image for source S and target T, and D what a defense (or the bare scaler) makes of an image: O1 holds
from 25 dB of PSNR(D(A), T) on, O2 from 15 dB of PSNR(A, S) on, and an attack succeeds, S1, if both hold (Quiring et
al., USENIX Security 2020, section 2). O1 is judged in RGB and in luma, and either is enough: after a change of colours
a picture that RGB's PSNR calls lost may still be plain. A pair whose D(S) already lies within 15 dB of T, in RGB or in
luma, needs no hiding; it is counted apart. What a PSNR misses altogether, a faint trace of T or of its negative, the
*share* tells, see :func:`secure_resize.measure.quality.share`.

For a linear D of gain G, RMS(D(A) - D(S)) ≤ G · RMS(A - S) + 2r, where r is what rounding does. O1 therefore costs
RMS(A - S) ≥ (RMS(T - D(S)) - 14.3 - 2r) / G in RGB. In luma Y it costs less: |ΔY| ≤ ‖w‖ · |ΔRGB| for BT.601's weights
w, so RMS(ΔY) ≤ 1.158 · RMS(ΔRGB), and RMS(A - S) ≥ ((RMS(Y(T) - Y(D(S))) - 14.3) / 1.158 - 2r) / G. Where the lesser of
both is above 45.3 levels, which is 15 dB, the pair is *certified*: no algorithm reaches S1. Of a library whose operator
is probed, gain and rounding are what was observed, and all this is an estimate; the records say so.

A pair is *near* where a mere blend of the two pictures, which no scaler amplifies and everyone sees, meets both goals
by the letter: RMS(T - D(S)) at most 45.3 + 14.3 levels (12.6 dB), or 1.158 · 45.3 + 14.3 in luma. No scaler can be
certified against that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from ..attacks import HIDDEN_DB, REACHED_DB
from ..attacks.payload import LOCAL_DB, LOCAL_LEVELS, most_moved
from ..measure.quality import LUMA, decibels, levels, luma, rms, share
from ..measure.scalers import load
from .defenses import Linear
from .records import Distance, Verdict

__all__ = ["HIDDEN_DB", "REACHED_DB", "SAME_DB", "distance", "judge", "similarity"]

Array = npt.NDArray[Any]

# Written for equal images, whose PSNR is infinite; no two 8-bit images that differ come near it below 10¹¹ pixels.
SAME_DB = 160.0
# RMS(ΔY) / RMS(ΔRGB) at most, for three channels: ‖w‖ · √3. For others the luma is the mean, and it is 1.
LUMA_GAIN = math.sqrt(3 * sum(weight**2 for weight in LUMA))


def judge(
    source: Array,
    target: Array,
    attack: Array,
    *,
    clean: Array,
    seen: Array,
    linear: Linear | None,
) -> Verdict:
    """The figures and verdicts of one attack image under one defense.

    ``source`` and ``attack`` (H, W, C), ``target``, ``clean`` and ``seen`` (h, w, C), uint8: ``clean`` is what the
    defense makes of the source, ``seen`` what it makes of the attack image. PSNRs are ``SAME_DB`` for equal images.
    """
    moved, changed = rms(seen, clean), rms(attack, source)
    target_luma = _db(rms(luma(seen), luma(target)))
    psnr_source, psnr_target = _db(changed), _db(rms(seen, target))
    reached, hidden = max(psnr_target, target_luma) >= REACHED_DB, psnr_source >= HIDDEN_DB
    moved_most, _ = most_moved(seen, clean)
    gain = bound = certified_db = None
    certified = broken = False
    if linear is not None:
        least = max(moved - 2 * linear.rounding, 0.0) / linear.gain
        required = _required(clean, target, linear)
        gain, bound, certified_db = 20 * math.log10(linear.gain), _db(least), _db(required)
        certified = certified_db < HIDDEN_DB
        # Floating point: the sums behind an RMS are exact, its root is not.
        broken = changed < least * (1 - 1e-9) or (certified and reached and hidden)
    return Verdict(
        psnr_source=round(psnr_source, 4),
        psnr_target=round(psnr_target, 4),
        psnr_clean=round(_db(moved), 4),
        psnr_source_luma=round(_db(rms(luma(attack), luma(source))), 4),
        psnr_target_luma=round(target_luma, 4),
        share=round(share(seen, clean, target), 5),
        ssim_target=similarity(seen, target),
        reached=reached,
        hidden=hidden,
        success=reached and hidden,
        local_levels=round(moved_most, 2),
        local_success=moved_most >= LOCAL_LEVELS and psnr_source >= LOCAL_DB,
        gain_db=None if gain is None else round(gain, 4),
        bound_db=None if bound is None else round(bound, 4),
        certified_db=None if certified_db is None else round(certified_db, 4),
        certified=certified,
        broken_certificate=broken,
        is_estimate=linear is not None and linear.is_estimate,
    )


def distance(clean: Array, target: Array) -> Distance:
    """How far ``target`` lies from ``clean``, what the defense makes of the source; both uint8 (h, w, C)."""
    away, away_luma = rms(clean, target), rms(luma(clean), luma(target))
    needs_hiding = max(_db(away), _db(away_luma)) < HIDDEN_DB
    blend = _required(clean, target, Linear(1.0, 0.0)) <= levels(HIDDEN_DB)
    return Distance(round(_db(away), 4), round(_db(away_luma), 4), needs_hiding, needs_hiding and blend)


def _required(clean: Array, target: Array, linear: Linear) -> float:
    """The RMS change of the source, in levels, that O1 costs at least, in RGB or in luma."""
    room, gain = levels(REACHED_DB), LUMA_GAIN if clean.shape[2] == 3 else 1.0
    rgb = rms(clean, target) - room
    by_luma = (rms(luma(clean), luma(target)) - room) / gain
    return max(min(rgb, by_luma) - 2 * linear.rounding, 0.0) / linear.gain


def _db(distance: float) -> float:
    return min(decibels(distance), SAME_DB)


def similarity(a: Array, b: Array) -> float | None:
    """SSIM of two colour images (Wang et al., IEEE TIP 2004); None below 7 pixels or without scikit-image."""
    try:
        metrics = load("skimage.metrics")
    except ImportError:
        return None
    if min(a.shape[:2]) < 7:
        return None
    return round(float(metrics.structural_similarity(a, b, channel_axis=-1)), 4)
