"""What reconstruction prepares for a scaler and a pair of sizes: what is read, and what takes its place.

A plan holds the pixels that the scaler reads, known in closed form or probed, their windows, and the places whose
window holds nothing else, where a mean over the footprint has to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..core.operator import ScalingOperator
from ..core.selection import Selection
from ..core.taps import Taps
from ..measure.exposure import exposure
from ..measure.probe import SIGNIFICANT, ProbeError, predict, probe
from ..measure.sampling import sampled_axis
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..names import ProbeDtype

__all__ = [
    "METHODS",
    "ROBUST_DB",
    "AnyScaler",
    "Plan",
    "check_options",
    "distrusted",
    "dtype_name",
    "in_size_of",
    "make_plan",
]

Array = npt.NDArray[Any]
Size = tuple[int, int]
AnyScaler = str | Scaler | ScalingOperator

METHODS = ("median", "random")
# Stealth gain in dB below which a scaler needs no reconstruction.
ROBUST_DB = 1.0
# The footprints' integer weights are up to twice those of ``resize`` an axis, whose sums are exact up to 2³¹ pixels.
MAX_PIXELS = 1 << 29
# Levels of 255 by which a scaler's output may lie from its operator's prediction: twice what a probe lets pass.
_ROUNDING = {"uint8": 3.0, "uint16": 0.1, "float32": 0.1}


@dataclass(frozen=True, eq=False)
class Plan:
    """For one scaler, pair of sizes and bandwidth. ``fallback`` are places in the selection's rows and columns.

    ``known``: what the scaler reads is known, because it is a registered one, or its operator was given. Any other is a
    black box that was probed, and that may do something else on another picture: each result is compared with what the
    operator predicts (:meth:`predicts`).
    """

    scaler: str
    operator: ScalingOperator
    closed_form: bool
    known: bool
    tolerance: tuple[float, float]
    bandwidth: float
    gain_db: float
    selection: Selection
    fallback: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

    @cached_property
    def enlarges(self) -> bool:
        """Whether no axis shrinks, so that no pixel is skipped."""
        return all(a >= b for a, b in zip(self.operator.out_size, self.operator.in_size, strict=True))

    @cached_property
    def unchanged(self) -> bool:
        """Whether the image is left as it is."""
        return self.gain_db < ROBUST_DB or self.enlarges

    @property
    def falls_back(self) -> bool:
        """Whether some window holds no candidate."""
        return len(self.fallback[0]) > 0 and len(self.fallback[1]) > 0

    def predicts(self, image: Array, scaled: Array) -> bool:
        """Whether ``scaled`` (h, w, C) is what the operator makes of ``image`` (H, W, C), up to rounding.

        Each channel on its own, as a resize treats them. Where NaN or an infinity comes in, nothing can be said.
        """
        provenance = self.operator.provenance
        if provenance is None:
            return True
        channels, dtype = image.shape[2], image.dtype.name
        levels = 255.0 if dtype == "float32" else 255.0 / np.iinfo(image.dtype).max
        ends = np.array([[0.0], [255.0]]) + np.zeros(channels)
        neutral = replace(provenance, mix=np.eye(channels), offset=np.zeros(channels), bounds=ends)
        with np.errstate(invalid="ignore", over="ignore"):
            wanted = predict(replace(self.operator, provenance=neutral), image * levels)
            off = np.abs(wanted - scaled * levels)
        told = np.isfinite(wanted)
        largest = np.abs(image, where=np.isfinite(image), out=np.zeros(image.shape)).max() * levels
        return bool((off[told] <= _ROUNDING[dtype] * max(1.0, largest / 255)).all())

    @cached_property
    def footprints(self) -> tuple[Taps, Taps]:
        """The prefilter at the rows and at the columns that fall back."""
        (rows, cols), (height, width) = self.fallback, self.operator.out_size
        return (
            _footprints(self.selection.rows[rows], self.selection.in_size[0], height),
            _footprints(self.selection.cols[cols], self.selection.in_size[1], width),
        )


def check_options(method: str, bandwidth: float, key: bytes | None) -> None:
    """Raise what :func:`reconstruct` raises for bad options."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; valid methods: {', '.join(METHODS)}")
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, int | float | np.number) or not 1 <= bandwidth <= 64:
        raise ValueError(f"bandwidth must be a number from 1 to 64, got {bandwidth!r}")
    if key is not None and not isinstance(key, bytes):
        raise TypeError(f"key must be bytes or None, got {type(key).__name__}")
    if key is not None and len(key) < 16:
        raise ValueError(f"key must have at least 16 bytes, got {len(key)}")


@lru_cache(maxsize=8)
def dtype_name(dtype: np.dtype[Any]) -> str:
    """The dtype's name, kept because numpy puts it together anew each time."""
    return dtype.name


def in_size_of(batch: Array) -> Size:
    """(height, width) of a batch (N, H, W, C); ValueError if too large."""
    if batch.shape[1] * batch.shape[2] > MAX_PIXELS:
        raise ValueError(f"image of {batch.shape[1]}x{batch.shape[2]} is too large: at most {MAX_PIXELS} pixels")
    return batch.shape[1], batch.shape[2]


def make_plan(scaler: AnyScaler, in_size: Size, out_size: Size, bandwidth: float, dtype: str) -> Plan:
    """The plan of valid options, from the cache where there is one; raises what :func:`reconstruct` does."""
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if isinstance(scaler, ScalingOperator):
        if (scaler.in_size, scaler.out_size) != (in_size, out_size):
            raise ValueError(f"the operator scales {scaler.in_size} to {scaler.out_size}, not {in_size} to {out_size}")
    elif not isinstance(scaler, Scaler):
        raise TypeError(f"scaler must be a name, a Scaler or a ScalingOperator, got {type(scaler).__name__}")
    return _cached_plan(scaler, in_size, out_size, bandwidth, dtype)


def distrusted(scaler: Scaler, plan: Plan, dtype: str) -> Plan:
    """The plan for ``scaler`` if it may read every pixel, after it did what the operator of ``plan`` does not predict.

    ProbeError where no axis shrinks: a pixel's footprint is then the pixel itself, and nothing can stand in for it.
    """
    if plan.enlarges:
        raise ProbeError(f"{scaler.name} does not do on this picture what it did when it was probed")
    sizes = plan.operator.in_size, plan.operator.out_size
    return _cached_plan(scaler, *sizes, plan.bandwidth, dtype, trusted=False)


@lru_cache(maxsize=128)
def _cached_plan(
    scaler: Scaler | ScalingOperator,
    in_size: Size,
    out_size: Size,
    bandwidth: float,
    dtype: str,
    *,
    trusted: bool = True,
) -> Plan:
    # Anybody may give a scaler a registered one's name: only the registered one itself is known by it.
    known = not isinstance(scaler, Scaler) or SCALERS.get(scaler.name) is scaler
    sampling = scaler.sampling if known and isinstance(scaler, Scaler) else None
    tolerance, gain_db = (0.0, 0.0), None
    if sampling is not None:
        axes = [sampled_axis(sampling, n_in, n_out) for n_in, n_out in zip(in_size, out_size, strict=True)]
        operator = ScalingOperator(axes[0].operator, axes[1].operator)
        read = [axis.read for axis in axes]
        gain_db = 20 * math.log10(axes[0].gain * axes[1].gain)
    else:
        operator, whole = _asked(scaler, in_size, out_size, dtype) if isinstance(scaler, Scaler) else (scaler, True)
        # A black box may make parts of its output in other ways, each of which a probe describes by an operator.
        parts = [operator, *(operator.provenance.others if operator.provenance else ())]
        axes_of = [part.rows for part in parts], [part.cols for part in parts]
        read = [np.logical_or.reduce([axis.read() for axis in axes]) for axes in axes_of]
        if operator.provenance is not None:
            tolerance = tuple(SIGNIFICANT * std for std in operator.provenance.weight_std)  # type: ignore[assignment]
        if not (read[0].any() and read[1].any()):
            raise ValueError("the operator reads no pixel: all its weights are 0")
        gain_db = max(_gain_db(part) for part in parts)
        if not (whole and trusted):
            read, gain_db = [np.ones_like(mask) for mask in read], math.inf
    half = [
        min(math.floor(n_in / (n_out * bandwidth)), n_in - 1) for n_in, n_out in zip(in_size, out_size, strict=True)
    ]
    rows, cols = (np.flatnonzero(mask).astype(np.int32) for mask in read)
    selection = Selection(in_size, rows, cols, (half[0], half[1]))
    # A window without candidates has only read rows and only read columns.
    full = [np.flatnonzero(inside == used) for inside, used in (selection.row_counts, selection.col_counts)]
    name = scaler.name if isinstance(scaler, Scaler) else getattr(operator.provenance, "name", "operator")
    closed, fallback = sampling is not None, (full[0], full[1])
    return Plan(name, operator, closed, known, tolerance, bandwidth, gain_db, selection, fallback)


def _gain_db(operator: ScalingOperator) -> float:
    """The stealth gain in view or of the whole image, whichever is larger: in doubt an image is filtered."""
    whole = [axis.norm * math.sqrt(axis.ratio) for axis in (operator.rows, operator.cols)]
    return max(exposure(operator).stealth_gain_db, 20 * math.log10(max(whole[0] * whole[1], 1e-300)))


def _asked(scaler: Scaler, in_size: Size, out_size: Size, dtype: str) -> tuple[ScalingOperator, bool]:
    """The probed operator, and whether it is all that the scaler does.

    One that cuts off at the image's own range, which any pixel may set, has to be taken to read everything.
    """
    try:
        return probe(scaler, in_size, out_size, dtype=cast(ProbeDtype, dtype)), True
    except ProbeError as error:
        operator = error.evidence.get("operator")
        if not isinstance(operator, ScalingOperator):
            raise
        return operator, False


def _footprints(pixels: npt.NDArray[np.int32], n_in: int, n_out: int) -> Taps:
    """The mean over the β pixels around the centre of each of ``pixels``, moved inside the axis; at least one pixel.

    In units of 1 / 2·n_out source pixels: a pixel is 2·n_out wide, a footprint 2·n_in.
    """
    pixel, width = 2 * n_out, 2 * max(n_in, n_out)
    shared = math.gcd(pixel // 2, width // 2)  # both stay even, and so their difference
    pixel, width = pixel // shared, width // shared
    left = np.clip(pixels.astype(np.int64) * pixel + (pixel - width) // 2, 0, n_in * pixel - width)
    first = left // pixel
    taps = min(int((-(-(left + width) // pixel) - first).max()), n_in)
    first = np.minimum(first, n_in - taps)
    edge = (first[:, None] + np.arange(taps)) * pixel
    overlap = np.minimum(edge + pixel, (left + width)[:, None]) - np.maximum(edge, left[:, None])
    weights = np.maximum(overlap, 0).astype(np.int32)
    return Taps(n_in, len(pixels), first, weights, width)
