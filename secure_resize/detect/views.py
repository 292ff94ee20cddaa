"""A picture as a scaler sees it: what is deployed, the same a few pixels further on, and robust scaling beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator
from ..measure.sampling import sampled_axis
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..scaling import resize
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


@dataclass(frozen=True, eq=False)
class View:
    """``source``, uint8 (H, W, C), against a ``target``; everything else is computed when it is first asked for.

    Arrays of outputs are float32 (C, h, w), in levels.
    """

    source: Image
    target: Target
    _shifts: dict[tuple[int, int], FloatArray] = field(default_factory=dict)

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
        """uint8 (h, w, C): what the scaler makes of the source."""
        return self.shifted_image(0, 0)

    @cached_property
    def robust(self) -> FloatArray:
        """What robust scaling (area) makes of it."""
        return _planes(resize(self.source, self.target.size))

    @cached_property
    def deployed(self) -> FloatArray:
        """``hidden`` as planes."""
        return self.shifted(0, 0)

    @cached_property
    def difference(self) -> FloatArray:
        """``deployed`` - ``robust``."""
        return self.deployed - self.robust

    @cached_property
    def halves(self) -> tuple[int, int]:
        """Half a ratio of each axis in whole source pixels: what lies there is as far from what is read as anything."""
        return max(1, round(self.ratios[0] / 2)), max(1, round(self.ratios[1] / 2))

    @cached_property
    def steps(self) -> tuple[int, int]:
        """How many source pixels beside what is read nothing is read, if the ratio lets that be: a filter's width."""
        width = 1 if self.scaler.algorithm.startswith("nearest") else 2
        return min(width, self.halves[0]), min(width, self.halves[1])

    @cached_property
    def _padded(self) -> Image:
        """The source continued by its border, so far that every shift is a part of it."""
        reach = [(step, step + half) for step, half in zip(self.steps, self.halves, strict=True)]
        return np.pad(self.source, (*reach, (0, 0)), mode="edge")

    def shifted_image(self, rows: int, cols: int) -> Image:
        """What the scaler would make of the source if it read every pixel as many rows and columns further on."""
        height, width = self.source.shape[:2]
        if self.scaler.library not in _CHEAP and self.scaler.sampling is not None:
            known = [sampled_axis(self.scaler.sampling, n, m).operator for n, m in self._axes]
            return _sampled(self.source, (_indices(known[0], rows), _indices(known[1], cols)))
        top, left = rows + self.steps[0], cols + self.steps[1]
        image = self._padded[top : top + height, left : left + width] if rows or cols else self.source
        return get_scaler(self.target.scaler)(image, self.target.size)

    def shifted(self, rows: int, cols: int) -> FloatArray:
        """:meth:`shifted_image` as planes; computed once."""
        if (rows, cols) not in self._shifts:
            self._shifts[rows, cols] = _planes(self.shifted_image(rows, cols))
        return self._shifts[rows, cols]

    def _edge(self, rows: int, cols: int) -> FloatArray:
        """What is read there minus the mean of what would be read beside it, in all four directions."""
        down, right = self.steps
        beside = self.shifted(rows - down, cols) + self.shifted(rows + down, cols)
        beside += self.shifted(rows, cols - right)
        beside += self.shifted(rows, cols + right)
        beside *= -0.25
        beside += self.shifted(rows, cols)
        return beside

    @cached_property
    def read(self) -> FloatArray:
        """What the scaler reads, minus the mean of what lies beside it in the source."""
        return self._edge(0, 0)

    @cached_property
    def unread(self) -> FloatArray:
        """The same where the scaler does not read, half a ratio further on: how much clean pixels stand out here."""
        return self._edge(*self.halves)

    @property
    def _axes(self) -> list[tuple[int, int]]:
        return list(zip(self.source.shape[:2], self.target.size, strict=True))


# Libraries whose own resize is as quick as any; the others' sampling filters are computed here from their closed form.
_CHEAP = ("opencv", "pillow", "secure_resize")


def _planes(image: Image) -> FloatArray:
    return np.ascontiguousarray(np.moveaxis(image, -1, 0), dtype=np.float32)


def _indices(axis: AxisOperator, shift: int) -> tuple[Any, Any]:
    return (axis.start[:, None] + np.arange(axis.width) + shift).clip(0, axis.n_in - 1), axis.weights


def _sampled(image: Image, axes: tuple[tuple[Any, Any], tuple[Any, Any]]) -> Image:
    """Each axis's taps (n_out, width) and their weights applied to ``image``, rounded and cut off."""
    (rows, row_weights), (cols, col_weights) = axes
    if rows.shape[1] == cols.shape[1] == 1:
        return np.asarray(image.take(rows[:, 0], 0).take(cols[:, 0], 1))
    down, across = row_weights.astype(np.float32), col_weights.astype(np.float32)
    tall = sum(down[:, k, None, None] * image.take(rows[:, k], 0) for k in range(rows.shape[1]))
    out = sum(across[None, :, k, None] * tall.take(cols[:, k], 1) for k in range(cols.shape[1]))
    return np.asarray(np.clip(np.rint(out), 0, 255).astype(np.uint8))
