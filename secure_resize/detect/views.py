"""A picture as a scaler sees it: what is deployed, the same a few pixels further on, and robust scaling beside it."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import core
from ..core.taps import PRECISION_BITS, Taps, fixed_point
from ..measure.sampling import Sampling, sampled_axis
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..scaling import from_batch, resize
from .targets import Target

__all__ = ["View", "as_picture"]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Levels = npt.NDArray[np.int16]


def as_picture(image: Any) -> Image:
    """``image`` as uint8 (H, W, C), C from 1 to 4; TypeError or ValueError otherwise."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError(f"image must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"image must have shape (H, W) or (H, W, C), got {image.shape}")
    picture = image.reshape(*image.shape[:2], -1)
    if picture.shape[2] > 4:
        raise ValueError(f"image must have 1 to 4 channels, the last axis; got shape {image.shape}")
    return np.ascontiguousarray(picture)


@lru_cache(maxsize=64)
def _scaler(name: str) -> Scaler:
    return get_scaler(name)


@dataclass(frozen=True, eq=False)
class View:
    """``source``, uint8 (H, W, C), against a ``target``; everything else is computed when it is first asked for.

    ``file`` is what the source was decoded from, where that is known; ``shared`` is what rows keep for
    one another. Outputs are (h, w, C), in levels.
    """

    source: Image
    target: Target
    file: bytes | None = None
    shared: dict[str, Any] = field(default_factory=dict)
    _shifts: dict[tuple[int, int], Image] = field(default_factory=dict)

    @cached_property
    def scaler(self) -> Scaler:
        """The target's scaler."""
        return SCALERS[self.target.scaler]

    @property
    def ratios(self) -> tuple[float, float]:
        """β of the rows and of the columns."""
        (height, width), size = self.source.shape[:2], self.target.size
        return height / size[0], width / size[1]

    @cached_property
    def hidden(self) -> Image:
        """uint8: what the scaler makes of the source."""
        return self._shifted_image(0, 0)

    @cached_property
    def deployed(self) -> FloatArray:
        """``hidden`` as float32."""
        return self.hidden.astype(np.float32)

    @cached_property
    def robust(self) -> Image:
        """uint8: what robust scaling (area) makes of it."""
        return resize(self.source, self.target.size)

    @cached_property
    def difference(self) -> Levels:
        """int16: ``hidden`` - ``robust``."""
        return np.subtract(self.hidden, self.robust, dtype=np.int16)

    @cached_property
    def aliasing(self) -> Levels:
        """``difference`` a step further on, where the scaler does not read."""
        (height, width), (down, right) = self.source.shape[:2], self.steps
        image = self._padded()[3 * down : 3 * down + height, right : right + width]
        robust: Image = resize(image, self.target.size)
        return np.subtract(self.shifted(1, -1), robust, dtype=np.int16)

    @cached_property
    def steps(self) -> tuple[int, int]:
        """How many source pixels beside what is read nothing is read: a filter's width, or what the ratio leaves."""
        width = 1 if self.scaler.algorithm.startswith("nearest") else 2
        halves = (max(1, round(ratio / 2)) for ratio in self.ratios)
        down, right = (min(width, half) for half in halves)
        return down, right

    def shifted(self, rows: int, cols: int) -> Image:
        """What the scaler gives if it reads every pixel so many steps further down and to the right: -2 to 2."""
        if (rows, cols) not in self._shifts:
            self._shifts[rows, cols] = self._shifted_image(rows, cols) if rows or cols else self.hidden
        return self._shifts[rows, cols]

    def _padded(self) -> Image:
        """The source continued by its border, so far that every shift is a part of it.

        It is kept for the next picture of the same size: memory that is new costs more than filling it.
        """
        down, right = (2 * step for step in self.steps)
        height, width, channels = self.source.shape
        shape = (height + 2 * down, width + 2 * right, channels)
        of = getattr(_KEPT, "of", None)
        if of is None or of() is not self:
            if getattr(_KEPT, "image", _NOTHING).shape != shape:
                _KEPT.image = np.empty(shape, np.uint8)
            _fill(_KEPT.image, self.source, down, right)
            _KEPT.of = weakref.ref(self)
        kept: Image = _KEPT.image
        return kept

    def _shifted_image(self, rows: int, cols: int) -> Image:
        (height, width), (down, right) = self.source.shape[:2], self.steps
        rows, cols = rows * down, cols * right
        if self.scaler.library not in _CHEAP and self.scaler.sampling is not None:
            taps = (_taps(self.scaler.sampling, *axis) for axis in zip(*self._axes, (rows, cols), strict=True))
            return from_batch(core.apply_fixed(self.source[None], *taps, True), 3)
        if not rows and not cols:
            return _scaler(self.target.scaler)(self.source, self.target.size)
        top, left = rows + 2 * down, cols + 2 * right
        return _scaler(self.target.scaler)(self._padded()[top : top + height, left : left + width], self.target.size)

    @property
    def _axes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two axes' numbers of pixels, and of outputs."""
        return (self.source.shape[0], self.source.shape[1]), self.target.size


# The last picture that a thread has continued by its border.
_KEPT = threading.local()
_NOTHING = np.empty((0, 0, 0), np.uint8)


def _fill(out: Image, source: Image, down: int, right: int) -> None:
    rows, cols = slice(down, down + source.shape[0]), slice(right, right + source.shape[1])
    out[rows, cols] = source
    out[rows, : cols.start], out[rows, cols.stop :] = source[:, :1], source[:, -1:]
    out[:down], out[rows.stop :] = out[down], out[rows.stop - 1]


# Libraries whose own resize is as quick as any; others' sampling filters are computed here from their closed form.
_CHEAP = ("opencv", "secure_resize")


@lru_cache(maxsize=256)
def _taps(sampling: Sampling, n_in: int, n_out: int, shift: int) -> Taps:
    """A filter's weights in 22 bits, every output reading ``shift`` pixels further on, as far as there are pixels."""
    axis = sampled_axis(sampling, n_in, n_out).operator
    start = (axis.start + shift).clip(0, n_in - axis.width)
    weights = fixed_point(axis.weights, True).astype(np.int32)
    return Taps(n_in, n_out, start, weights, 1 << PRECISION_BITS)
