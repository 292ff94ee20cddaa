"""Image reconstruction, the defense that keeps the scaler (Quiring et al., USENIX Security 2020, section 4.2).

The pixels that a vulnerable scaler reads are replaced, each by the median, or a random one, of the pixels around it
that the scaler does not read; then the scaler may run as it is. What it is fed no longer depends on the pixels that an
image-scaling attack has to set.

:mod:`.reconstruction` tells what was done to an image, and what an attacker can still do.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import core
from ..core.operator import AxisOperator, ScalingOperator
from ..core.selection import Selection
from ..core.taps import Taps
from ..measure.exposure import exposure
from ..measure.probe import SIGNIFICANT, ProbeError, probe
from ..measure.sampling import sampled_axis
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..scaling import _FROM_BATCH, _as_batch, check_size

__all__ = [
    "METHODS",
    "Plan",
    "check_options",
    "in_size_of",
    "make_plan",
    "reconstruct",
    "reconstruct_resize",
]

Array = npt.NDArray[Any]
Size = tuple[int, int]
AnyScaler = str | Scaler | ScalingOperator

METHODS = ("median", "random")
# Stealth gain in dB below which a scaler needs no reconstruction.
ROBUST_DB = 1.0
# The footprints' integer weights are up to twice those of ``resize`` an axis, whose sums are exact up to 2³¹ pixels.
MAX_PIXELS = 1 << 29
# Images to be scaled are kept, one a thread and plan, up to this size.
_KEPT_BYTES, _KEPT = 1 << 26, 4


def reconstruct(
    image: Array,
    size: Size,
    *,
    scaler: AnyScaler,
    method: str = "median",
    bandwidth: float = 2,
    key: bytes | None = None,
) -> Array:
    """The image with every pixel replaced that ``scaler`` reads on its way to ``size``; all others stay.

    >>> import numpy as np, secure_resize as sr
    >>> image = np.zeros((768, 1024, 3), np.uint8)
    >>> sr.reconstruct(image, (224, 224), scaler="opencv:linear").shape
    (768, 1024, 3)

    Parameters
    ----------
    image
        (H, W), (H, W, C) or (N, H, W, C); uint8, uint16 or float32, any strides and byte order. It is not written to.
    size
        (height, width) that the image will be scaled to.
    scaler
        What will scale it: a name in ``scalers.SCALERS``, a Scaler, or its ScalingOperator, probed for instance. What a
        sampling filter of a known library reads is known in closed form (``Scaler.sampling``); any other scaler is
        probed, once for each pair of sizes, which takes from a tenth of a second to some seconds; one that does more
        than its operator says is taken to read every pixel.
    method
        ``"median"`` (default): the lower median of the candidates, channel by channel. ``"random"``: one of the
        candidates, all its channels, each as likely, drawn from a keyed pseudorandom function of the whole image.
    bandwidth
        The candidates of a pixel are those not read among the ⌊β / bandwidth⌋ pixels to either side, β being the
        scaling ratio, along each axis on its own.
    key
        For experiments with ``"random"``, at least 16 bytes: the same key and image give the same result in every
        process. By default a secret of this process; a forked child has its parent's, any other process its own.

    Returns
    -------
    A new C-contiguous array of the image's shape and dtype, made of the original's values. Where the window of a read
    pixel holds no candidate (β below ``bandwidth``, or a kernel as wide as the gaps), the pixel becomes the exact mean
    over the β × β footprint around it, moved inside the image at the border: an antialiasing prefilter. The image stays
    as it is where the scaler is robust by itself (stealth gain below 1 dB) or neither axis shrinks.
    :func:`.reconstruction_info` tells which.

    Raises
    ------
    TypeError
        ``image`` is no array of a valid dtype; a size, scaler or key of another type.
    ValueError
        A wrong rank, an empty or too large image, a size out of range, an unknown scaler or method, a bandwidth that is
        no number from 1 to 64, a key that is too short; ``probe.ProbeError`` where no operator describes the scaler.
    ImportError
        The named scaler's library is not installed.
    """
    check_options(method, bandwidth, key)
    batch = _as_batch(image)
    plan = make_plan(scaler, in_size_of(batch), check_size(size), float(bandwidth), _name(batch.dtype))
    out = np.array(batch, order="C")
    if not plan.unchanged:
        _fill(batch, out, plan, method, key)
    return _from_batch(out, image.ndim)


def reconstruct_resize(
    image: Array,
    size: Size,
    *,
    scaler: str | Scaler,
    method: str = "median",
    bandwidth: float = 2,
    key: bytes | None = None,
) -> Array:
    """``scaler(reconstruct(image, size, ...), size)``, to the byte, without the pixels that the scaler does not read.

    >>> import numpy as np, secure_resize as sr
    >>> sr.reconstruct_resize(np.zeros((768, 1024, 3), np.uint8), (224, 224), scaler="opencv:linear").shape
    (224, 224, 3)

    Arguments and errors are :func:`reconstruct`'s, but for a ScalingOperator, which cannot scale: the real library
    does. The result has the image's rank and dtype. Where what the scaler reads is known in closed form, it is called
    on an image that holds only that.
    """
    check_options(method, bandwidth, key)
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if not isinstance(scaler, Scaler):
        raise TypeError(f"scaler must be a name or a Scaler, which can be called; got {type(scaler).__name__}")
    batch, size = _as_batch(image), check_size(size)
    plan = make_plan(scaler, in_size_of(batch), size, float(bandwidth), _name(batch.dtype))
    scaled = []
    for source in batch:
        if plan.unchanged:
            fed = source
        elif plan.closed_form:
            fed = _blank(plan, source)
            _fill(source[None], fed[None], plan, method, key)
        else:
            fed = np.array(source, order="C")
            _fill(source[None], fed[None], plan, method, key)
        result = scaler(fed if image.ndim > 2 else fed[..., 0], size).reshape(1, *size, batch.shape[3])
        # A library may hand back what it was given, or what it will write to again.
        scaled.append(result.copy() if not result.flags.writeable or np.may_share_memory(result, fed) else result)
    out = np.concatenate([np.empty((0, *size, batch.shape[3]), batch.dtype), *scaled]) if len(batch) != 1 else scaled[0]
    return _from_batch(out, image.ndim)


# Plans: what does not depend on the pixels.


@dataclass(frozen=True, eq=False)
class Plan:
    """For one scaler, pair of sizes and bandwidth. ``fallback`` are places in the selection's rows and columns."""

    scaler: str
    operator: ScalingOperator
    closed_form: bool
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


def _from_batch(batch: Array, ndim: int) -> Array:
    out: Array = batch[_FROM_BATCH[ndim]]
    return out


@lru_cache(maxsize=8)
def _name(dtype: np.dtype[Any]) -> str:
    """Its name, which numpy puts together anew each time."""
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


@lru_cache(maxsize=128)
def _cached_plan(scaler: Scaler | ScalingOperator, in_size: Size, out_size: Size, bandwidth: float, dtype: str) -> Plan:
    # By its name only if it is the registered one: a name is a claim.
    known = isinstance(scaler, Scaler) and SCALERS.get(scaler.name) is scaler
    sampling = scaler.sampling if known and isinstance(scaler, Scaler) else None
    tolerance, gain_db = (0.0, 0.0), None
    if sampling is not None:
        axes = [sampled_axis(sampling, n_in, n_out) for n_in, n_out in zip(in_size, out_size, strict=True)]
        operator = ScalingOperator(axes[0].operator, axes[1].operator)
        read = [axis.read for axis in axes]
        gain_db = 20 * math.log10(axes[0].gain * axes[1].gain)
    else:
        operator, whole = _asked(scaler, in_size, out_size, dtype) if isinstance(scaler, Scaler) else (scaler, True)
        read = [operator.rows.read(), operator.cols.read()]
        if operator.provenance is not None:
            tolerance = tuple(SIGNIFICANT * std for std in operator.provenance.weight_std)  # type: ignore[assignment]
        gain_db = exposure(operator).stealth_gain_db
        if not whole:
            read, gain_db = [np.ones_like(mask) for mask in read], math.inf
    half = [
        min(math.floor(n_in / (n_out * bandwidth)), n_in - 1) for n_in, n_out in zip(in_size, out_size, strict=True)
    ]
    rows, cols = (np.flatnonzero(mask).astype(np.int32) for mask in read)
    selection = Selection(in_size, rows, cols, (half[0], half[1]))
    # A window without candidates has only read rows and only read columns.
    full = [np.flatnonzero(inside == used) for inside, used in (selection.row_counts, selection.col_counts)]
    name = scaler.name if isinstance(scaler, Scaler) else getattr(operator.provenance, "name", "operator")
    return Plan(name, operator, sampling is not None, tolerance, bandwidth, gain_db, selection, (full[0], full[1]))


def _asked(scaler: Scaler, in_size: Size, out_size: Size, dtype: str) -> tuple[ScalingOperator, bool]:
    """The probed operator, and whether it is all that the scaler does.

    One that cuts off at the image's own range, which any pixel may set, has to be taken to read everything.
    """
    try:
        return probe(scaler, in_size, out_size, dtype=dtype), True
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


# Filling in.


def _fill(batch: Array, out: Array, plan: Plan, method: str, key: bytes | None) -> None:
    """Write the new values of the read pixels of ``batch`` into ``out``, both (N, H, W, C)."""
    selection = plan.selection
    if method == "median":
        core.select_median(batch, out, selection)
    else:
        core.select_random(batch, out, selection, _image_keys(batch, key or _process_key()))
    if plan.falls_back:
        rows, cols = selection.rows[plan.fallback[0]], selection.cols[plan.fallback[1]]
        means = _mean(batch, *plan.footprints)
        out[:, rows[:, None], cols[None, :]] = means


def _mean(batch: Array, rows: Taps, cols: Taps) -> Array:
    if batch.dtype != np.float32:
        return core.apply_area(batch, rows, cols)
    return core.apply_float(batch, AxisOperator.of(rows), AxisOperator.of(cols))


class _Blanks(threading.local):
    def __init__(self) -> None:
        self.images: OrderedDict[tuple[int, int], tuple[Plan, Array]] = OrderedDict()


_blanks = _Blanks()


def _blank(plan: Plan, source: Array) -> Array:
    """An image like ``source`` (H, W, C), zero but for the pixels that ``plan`` reads; this thread's, and reused."""
    if source.nbytes > _KEPT_BYTES:
        return np.zeros(source.shape, source.dtype)
    known, images = (id(plan), source.shape[2]), _blanks.images
    kept = images.get(known)
    if kept is None or kept[0] is not plan:  # an id may be given again, once its plan is gone
        # On a cache line's boundary: a third of the pixels' stores would touch two of them.
        room = np.zeros(source.nbytes + 64, np.uint8)
        begin = -room.ctypes.data % 64
        blank = room[begin : begin + source.nbytes].view(source.dtype).reshape(source.shape)
        kept = images[known] = (plan, blank)
        while len(images) > _KEPT:
            images.popitem(last=False)
    images.move_to_end(known)
    return kept[1]


# Keys. One secret a process; each image's own key is a keyed hash of all its pixels.

_secret: bytes | None = None
_secret_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a lock that another thread holds at a fork is never released in the child
    os.register_at_fork(
        before=_secret_lock.acquire,
        after_in_parent=_secret_lock.release,
        after_in_child=_secret_lock.release,
    )


def _process_key() -> bytes:
    global _secret
    with _secret_lock:
        if _secret is None:
            _secret = secrets.token_bytes(32)
        return _secret


@lru_cache(maxsize=4)
def _hash_keys(key: bytes) -> tuple[bytes, Array, Array]:
    """The keys of the three hashes: 32 bytes, and twice 1024 as an array."""
    outer = hashlib.blake2b(key, digest_size=32, person=b"secure_resize 2").digest()
    parts = [hashlib.blake2b(bytes([k]), key=outer, digest_size=64).digest() for k in range(32)]
    inner = np.frombuffer(b"".join(parts), np.uint8)
    return outer, inner[:1024], inner[1024:]


def _image_keys(batch: Array, key: bytes) -> Array:
    """uint8 (N, 32): a pseudorandom function of each image, all its pixels, dtype and shape.

    A universal hash and then a pseudorandom function of what is left, as in UMAC (Black et al., CRYPTO 1999): NH over
    the pixels, NH under another key over its hashes, and keyed BLAKE2b over those, 1/16384 of the image, and its kind.
    Two images share a key with probability 2⁻³¹ at most, over the secret: 2⁻³² for either NH.
    """
    outer, first, second = _hash_keys(key)
    keys = np.empty((len(batch), 32), np.uint8)
    for image, image_key in zip(batch, keys, strict=True):
        data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
        hashes = core.fingerprint(data, first).astype("<u8", copy=False)
        if len(hashes) > 16:  # or the second would be as long as they are
            hashes = core.fingerprint(hashes.view(np.uint8), second).astype("<u8", copy=False)
        digest = hashlib.blake2b(f"{_name(image.dtype)} {image.shape}".encode(), key=outer, digest_size=32)
        digest.update(hashes.tobytes())
        image_key[:] = np.frombuffer(digest.digest(), np.uint8)
    return keys
