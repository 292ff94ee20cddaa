"""A picture as a scaler sees it: what is deployed, the same a few pixels further on, and robust scaling beside it."""

from __future__ import annotations

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
    _shifts: dict[tuple[int, int], npt.NDArray[np.int16]] = field(default_factory=dict)

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
    def robust(self) -> FloatArray:
        """float32: what robust scaling (area) makes of it."""
        return resize(self.source, self.target.size).astype(np.float32)

    @cached_property
    def difference(self) -> FloatArray:
        """float32: ``deployed`` - ``robust``."""
        return self.deployed - self.robust

    @cached_property
    def aliasing(self) -> FloatArray:
        """``difference`` a step further on, where the scaler does not read."""
        (height, width), (down, right) = self.source.shape[:2], self.steps
        robust = resize(self._padded[2 * down : 2 * down + height, right : right + width], self.target.size)
        return np.asarray(np.subtract(self._shifted(down, -right), robust, dtype=np.float32))

    @cached_property
    def steps(self) -> tuple[int, int]:
        """How many source pixels beside what is read nothing is read: a filter's width, or what the ratio leaves."""
        width = 1 if self.scaler.algorithm.startswith("nearest") else 2
        halves = (max(1, round(ratio / 2)) for ratio in self.ratios)
        down, right = (min(width, half) for half in halves)
        return down, right

    @cached_property
    def read(self) -> FloatArray:
        """float32: what the scaler reads, minus the mean of what lies a step beside it in the source, on four sides."""
        return self._edge(0, 0)

    @cached_property
    def unread(self) -> FloatArray:
        """The same a step down and to the left, where the scaler does not read: so much do clean pixels stand out.

        (Down and left: edges of enlarged pixels, which lie where whole ratios begin, count on one axis at least.)
        """
        return self._edge(self.steps[0], -self.steps[1])

    def _edge(self, rows: int, cols: int) -> FloatArray:
        down, right = self.steps
        out = self._shifted(rows, cols) * np.int16(4)
        for place in ((rows - down, cols), (rows + down, cols), (rows, cols - right), (rows, cols + right)):
            out -= self._shifted(*place)
        return np.asarray(np.multiply(out, np.float32(0.25), dtype=np.float32))

    def _shifted(self, rows: int, cols: int) -> npt.NDArray[np.int16]:
        if (rows, cols) not in self._shifts:
            image = self._shifted_image(rows, cols) if rows or cols else self.hidden
            self._shifts[rows, cols] = image.astype(np.int16)
        return self._shifts[rows, cols]

    @cached_property
    def _padded(self) -> Image:
        """The source continued by its border, so far that every shift is a part of it."""
        down, right = self.steps
        height, width, channels = self.source.shape
        out = np.empty((height + 3 * down, width + 3 * right, channels), np.uint8)
        rows, cols = slice(down, down + height), slice(2 * right, 2 * right + width)
        out[rows, cols] = self.source
        out[rows, : cols.start], out[rows, cols.stop :] = self.source[:, :1], self.source[:, -1:]
        out[:down], out[rows.stop :] = out[down], out[rows.stop - 1]
        return out

    def _shifted_image(self, rows: int, cols: int) -> Image:
        """What the scaler would make of the source if it read every pixel as many rows and columns further on."""
        height, width = self.source.shape[:2]
        if self.scaler.library not in _CHEAP and self.scaler.sampling is not None:
            down, across = (_taps(self.scaler.sampling, *axis) for axis in zip(*self._axes, (rows, cols), strict=True))
            return from_batch(core.apply_fixed(self.source[None], down, across, True), 3)
        top, left = rows + self.steps[0], cols + 2 * self.steps[1]
        image = self._padded[top : top + height, left : left + width] if rows or cols else self.source
        return _scaler(self.target.scaler)(image, self.target.size)

    @property
    def _axes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two axes' numbers of pixels, and of outputs."""
        return (self.source.shape[0], self.source.shape[1]), self.target.size


# Libraries whose own resize is as quick as any; the others' sampling filters are computed here from their closed form.
_CHEAP = ("opencv", "pillow", "secure_resize")


@lru_cache(maxsize=256)
def _taps(sampling: Sampling, n_in: int, n_out: int, shift: int) -> Taps:
    """A filter's weights in 22 bits, every output reading ``shift`` pixels further on, as far as there are pixels."""
    axis = sampled_axis(sampling, n_in, n_out).operator
    start = (axis.start + shift).clip(0, n_in - axis.width)
    weights = fixed_point(axis.weights, True).astype(np.int32)
    return Taps(n_in, n_out, start, weights, 1 << PRECISION_BITS)
