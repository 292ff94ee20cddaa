"""Image reconstruction, the defense that keeps the scaler (Quiring et al., USENIX Security 2020, section 4.2).

The pixels that a vulnerable scaler reads are replaced, each by the median, or a random one, of the pixels around it
that the scaler does not read; then the scaler may run as it is. What it is fed no longer depends on the pixels that an
image-scaling attack has to set.

:mod:`.plan` finds out what is read, :mod:`.info` tells what was done to an image and what an attacker can still do.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import core
from ..core.operator import AxisOperator
from ..core.taps import Taps
from ..measure.scalers import Scaler, get_scaler
from ..names import ReconstructionMethod
from ..scaling import as_batch, check_size, from_batch
from .keys import image_keys, process_key
from .plan import AnyScaler, Plan, check_options, distrusted, dtype_name, in_size_of, make_plan

__all__ = ["plan_of_image", "reconstruct", "reconstruct_resize"]

Array = npt.NDArray[Any]
Size = tuple[int, int]

# Images to be scaled are kept, one a thread and plan, up to this size.
_KEPT_BYTES, _KEPT = 1 << 26, 4


def reconstruct(
    image: Array,
    size: Sequence[int],
    *,
    scaler: AnyScaler,
    method: ReconstructionMethod = "median",
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
        NaN counts as larger than every number: a median is NaN only where half of the candidates are; the mean is NaN
        wherever its footprint holds one.
    size
        (height, width) that the image will be scaled to.
    scaler
        What will scale it: a name in ``scalers.SCALERS``, a Scaler, or its ScalingOperator, probed for instance. What a
        sampling filter of a known library reads is known in closed form (``Scaler.sampling``); any other scaler is
        probed, once for each pair of sizes, which takes from a tenth of a second to some seconds; one that does more
        than its operator says is taken to read every pixel. So is a Scaler that is not in ``SCALERS`` for an image on
        which it does not do what its operator predicts: it is called on each to see.
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
    batch, size = as_batch(image), check_size(size)
    plan = make_plan(scaler, in_size_of(batch), size, float(bandwidth), dtype_name(batch.dtype))
    if plan.known:
        out = np.array(batch, order="C")
        if not plan.unchanged:
            _fill(batch, out, plan, method, key)
        return from_batch(out, image.ndim)
    out = np.empty(batch.shape, batch.dtype)
    for source, target in zip(batch, out, strict=True):
        target[...] = _scaled(plan, source, scaler, image.ndim > 2, method, key)[0]
    return from_batch(out, image.ndim)


def reconstruct_resize(
    image: Array,
    size: Sequence[int],
    *,
    scaler: str | Scaler,
    method: ReconstructionMethod = "median",
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
    batch, size = as_batch(image), check_size(size)
    plan = make_plan(scaler, in_size_of(batch), size, float(bandwidth), dtype_name(batch.dtype))
    scaled = [_scaled(plan, source, scaler, image.ndim > 2, method, key)[1] for source in batch]
    out = np.concatenate([np.empty((0, *size, batch.shape[3]), batch.dtype), *scaled]) if len(batch) != 1 else scaled[0]
    return from_batch(out, image.ndim)


def plan_of_image(plan: Plan, source: Array, scaler: AnyScaler, method: str) -> Plan:
    """``plan``, or the one used instead for ``source`` (H, W, C) if the scaler does not do on it what it was probed to.

    With a key of its own: which candidates are drawn does not decide it.
    """
    return plan if plan.known else _scaled(plan, source, scaler, True, method, None)[2]


def _scaled(
    plan: Plan, source: Array, scaler: AnyScaler, channels: bool, method: str, key: bytes | None
) -> tuple[Array, Array, Plan]:
    """What the scaler is fed for ``source`` (H, W, C), what it makes of that (1, h, w, C), and the plan.

    If the scaler is a black box, and did not do what its operator predicts, it is fed anew, with every pixel taken for
    one that it reads. ``channels``: it is given three dimensions.
    """
    assert isinstance(scaler, Scaler)
    fed = _fed(plan, source, method, key)
    result = _call(scaler, fed, plan, channels)
    if not plan.known and not plan.predicts(fed, result[0]):
        plan = distrusted(scaler, plan, dtype_name(source.dtype))
        fed = _fed(plan, source, method, key)
        result = _call(scaler, fed, plan, channels)
    return fed, result, plan


def _fed(plan: Plan, source: Array, method: str, key: bytes | None) -> Array:
    """The image for the scaler: reconstructed, or holding only what is read where that is known in closed form."""
    if plan.unchanged:
        return source
    fed = _blank(plan, source) if plan.closed_form else np.array(source, order="C")
    _fill(source[None], fed[None], plan, method, key)
    return fed


def _call(scaler: Scaler, fed: Array, plan: Plan, channels: bool) -> Array:
    """What ``scaler`` makes of ``fed`` (H, W, C), as (1, h, w, C) that shares no memory with it."""
    size = plan.operator.out_size
    try:
        result = scaler(fed if channels else fed[..., 0], size)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a library's own, such as cv2.error for more channels than it takes
        raise ValueError(
            f"{scaler.name} fails on an image of shape {fed.shape}, {fed.dtype}, to {size[0]}x{size[1]}: {error}"
        ) from error
    # A library may hand back what it was given, or what it will write to again.
    result = result.copy() if not result.flags.writeable or np.may_share_memory(result, fed) else result
    return result.reshape(1, *size, fed.shape[2])


def _fill(batch: Array, out: Array, plan: Plan, method: str, key: bytes | None) -> None:
    """Write the new values of the read pixels of ``batch`` into ``out``, both (N, H, W, C)."""
    selection = plan.selection
    if method == "median":
        core.select_median(batch, out, selection)
    else:
        core.select_random(batch, out, selection, image_keys(batch, key or process_key()))
    if plan.falls_back:
        rows, cols = selection.rows[plan.fallback[0]], selection.cols[plan.fallback[1]]
        core.place(_mean(batch, *plan.footprints), out, rows, cols)


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
