"""Pictures that lie in memory in another order than the one they were asked for: read where they lie, not copied.

``bgr[..., ::-1]``, ``rgba[..., :3]``, a flip, (C, H, W) seen as (H, W, C) and a transposed picture hold the bytes of a
plain one. That one is resized, and the small result put in the order that was asked for. The bytes are the same: an
axis that is turned round gets its weights turned round, and all sums are of integers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from ..taps import Taps

__all__ = ["View", "reversed_taps", "view_of"]

Array = npt.NDArray[Any]


class View(NamedTuple):
    """``image`` (N, H, W, C) is contiguous inside a row; the rest says how the picture asked for is seen in it."""

    image: Array
    turned: bool = False  # columns from right to left
    upturned: bool = False  # rows from bottom to top; only beside transposed, as a row's stride may be anything
    transposed: bool = False  # rows are columns
    backwards: bool = False  # the last channel first
    kept: int = 0  # so many channels, of which more are there; 0: all
    planes: int = 0  # channels that lie one after the other, as so many times as many pictures

    def asked(self, result: Array) -> Array:
        """The resized ``image`` in the order that was asked for."""
        if self.planes:
            count, height, width, _ = result.shape
            result = result.reshape(count // self.planes, self.planes, height, width).transpose(0, 2, 3, 1)
        if self.kept:
            result = result[..., : self.kept]
        if self.turned:
            result = result[:, :, ::-1]
        if self.upturned:
            result = result[:, ::-1]
        if self.transposed:
            result = result.swapaxes(1, 2)
        return result[..., ::-1] if self.backwards else result


def view_of(image: Array, *, exact: bool) -> View | None:
    """How ``image``, whose rows are not contiguous, can be read without a copy; None: not at all.

    ``exact`` says that no order of the sums can be told from another, which holds for integers: else an axis is neither
    turned round nor exchanged.
    """
    _, height, width, channels = image.shape
    item, (_, down, along, across) = image.itemsize, image.strides
    backwards, turned = channels > 1 and across < 0, width > 1 and along < 0
    if turned and not exact:
        return None
    if backwards:
        image = image[..., ::-1]
    if turned:
        image = image[:, :, ::-1]
    down, along, across = abs(down), abs(along), abs(across)
    if channels == 1 or across == item:
        if along == channels * item or width == 1:
            return View(image, turned, backwards=backwards)
        if channels * item < along <= 4 * item and along % item == 0:
            whole = _with_dropped(image, along // item)
            return None if whole is None else View(whole, turned, backwards=backwards, kept=channels)
        if down == channels * item and height > 1 and exact:
            bottom_up = image.strides[1] < 0
            if bottom_up:
                image = image[:, ::-1]
            return View(image.swapaxes(1, 2), bottom_up, turned, True, backwards)
    elif along == item and width > 1:
        planes = _planes(image)
        return None if planes is None else View(planes, turned, backwards=backwards, planes=channels)
    return None


def _with_dropped(image: Array, channels: int) -> Array | None:
    """The picture with the last channels, which were left out, where they can be shown to be in the array's memory."""
    root: Array = image
    while isinstance(root.base, np.ndarray):
        root = root.base
    missing = (channels - image.shape[3]) * image.itemsize
    if _end(image) + missing > _end(root):
        return None
    strides = (*image.strides[:3], image.itemsize)
    return as_strided(image, (*image.shape[:3], channels), strides, writeable=False)


def _end(image: Array) -> int:
    """The address behind the last byte of an array's memory."""
    address: int = image.__array_interface__["data"][0]
    reach = sum((n - 1) * stride for n, stride in zip(image.shape, image.strides, strict=True) if stride > 0)
    return address + int(reach) + image.itemsize


def _planes(image: Array) -> Array | None:
    """Channels that lie one after the other as pictures of one channel."""
    count, height, width, channels = image.shape
    each, down, along, across = image.strides
    if count == 1:
        return image.transpose(3, 1, 2, 0)
    if each != channels * across:
        return None
    return as_strided(image, (count * channels, height, width, 1), (across, down, along, along), writeable=False)


@lru_cache(maxsize=128)
def reversed_taps(taps: Taps) -> Taps:
    """The weights for the axis read from its other end, which give the outputs from the last to the first."""
    start = taps.n_in - taps.width - taps.start[::-1]
    return Taps(taps.n_in, taps.n_out, start, np.ascontiguousarray(taps.weights[::-1, ::-1]), taps.unit)
