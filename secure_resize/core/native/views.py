"""Pictures that lie in memory in another order than the one they were asked for: read where they lie, not copied.

``bgr[..., ::-1]``, ``rgba[..., :3]``, a flip, (C, H, W) seen as (H, W, C) and a transposed picture hold the bytes of a
plain one. That one is resized, and the small result put in the order that was asked for, by C as it is made or, turned
and transposed, here. The bytes are the same: an axis that is turned round gets its weights turned round, and all sums
are of integers. Of any other picture C gathers the rows it reads, a few at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..taps import Taps

__all__ = ["View", "reversed_taps", "view_of"]

Array = npt.NDArray[Any]


class View(NamedTuple):
    """``image`` (N, H, W, C) is what C is given; the rest says how the picture asked for is seen in it."""

    image: Array
    turned: bool = False  # columns from right to left
    upturned: bool = False  # rows from bottom to top; only beside transposed, as a row's stride may be anything
    transposed: bool = False  # rows are columns
    backwards: bool = False  # the last channel first
    planes: bool = False  # channels lie one after the other, each a picture of one channel

    def asked(self, result: Array) -> Array:
        """The resized ``image``, its channels in order, in the order that was asked for."""
        if self.turned:
            result = result[:, :, ::-1]
        if self.upturned:
            result = result[:, ::-1]
        return result.swapaxes(1, 2) if self.transposed else result


def view_of(image: Array, kind: str) -> View:
    """How ``image``, whose rows are not contiguous, is read; ``kind`` is the resize's.

    Where float32 is summed the order of the sums can be told from another: no axis is turned round or exchanged.
    """
    _, height, width, channels = image.shape
    item, (_, down, along, across) = image.itemsize, image.strides
    exact = kind != "float"
    backwards, turned = channels > 1 and across < 0, exact and width > 1 and along < 0
    if backwards:
        image = image[..., ::-1]
    if turned:
        image = image[:, :, ::-1]
    down, along, across = abs(down), abs(along) if turned else along, abs(across)
    if channels == 1 or across == item:
        if along == channels * item or width == 1:
            return View(image, turned, backwards=backwards)
        if down == channels * item and height > 1 and exact:
            bottom_up = image.strides[1] < 0
            if bottom_up:
                image = image[:, ::-1]
            return View(image.swapaxes(1, 2), bottom_up, turned, True, backwards)
    elif along == item and width > 1 and not (kind == "fixed" and channels == 3 and item == 1):
        # Three planes of bytes are read side by side there.
        return View(image, turned, backwards=backwards, planes=True)
    return View(image, turned, backwards=backwards)


@lru_cache(maxsize=128)
def reversed_taps(taps: Taps) -> Taps:
    """The weights for the axis read from its other end, which give the outputs from the last to the first."""
    start = taps.n_in - taps.width - taps.start[::-1]
    return Taps(taps.n_in, taps.n_out, start, np.ascontiguousarray(taps.weights[::-1, ::-1]), taps.unit)
