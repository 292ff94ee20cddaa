"""What a JPEG file's samples show before and after they are cut off to [0, 255], by cells of 8 × 8 pixels.

The numpy specification; the C extension's results lie within a thousandth of a level of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SCALES", "Component", "cut_off", "dct_matrix"]

FloatArray = npt.NDArray[np.float32]

SCALES = (2, 4, 8)
_ROUNDING = 0.01  # levels, of float32
_MIDDLE = np.float32(128)


@dataclass(frozen=True, eq=False)
class Component:
    """One of a file's components: ``coefficients`` int16 (rows, columns, 8, 8), vertical frequency first, in units of
    ``quantisation`` (8, 8). ``step`` is (down, across): how many of the picture's pixels one sample stands for.
    """

    coefficients: npt.NDArray[np.int16]
    quantisation: npt.NDArray[np.int64]
    step: tuple[int, int] = (1, 1)

    def samples(self) -> FloatArray:
        """The samples (8·rows, 8·columns) in levels as the inverse DCT gives them: not rounded, not cut off."""
        # Every block is a row of one product of matrices, in which numpy takes a tenth of the time of small ones.
        inverse = self.quantisation.reshape(64, 1) * np.kron(dct_matrix(), dct_matrix())
        rows = self.coefficients.reshape(-1, 64).astype(np.float32) @ inverse.astype(np.float32)
        rows += _MIDDLE
        return np.asarray(joined(rows.reshape(self.coefficients.shape)))


@lru_cache(maxsize=1)
def dct_matrix() -> npt.NDArray[np.float64]:
    """The orthonormal DCT of eight numbers: row k holds frequency k."""
    k, x = np.mgrid[0:8, 0:8]
    return np.asarray(np.where(k == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * k * np.pi / 16))


def joined(blocks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The blocks (rows, columns, side, side) as one plane again."""
    rows, columns, side, _ = blocks.shape
    return blocks.swapaxes(1, 2).reshape(rows * side, columns * side)


def cut_off(
    components: list[Component], size: tuple[int, int], to_rgb: npt.NDArray[Any] | None
) -> tuple[float, tuple[FloatArray, ...]]:
    """By how many levels samples lie beyond black or white at most, and what that changes in means of pixels.

    Of groups of 2, 4 and 8 pixels a side (SCALES), each (height / side, width / side): the square of the means before
    minus those after cutting off, averaged over the colours. Before and after, what is shown is cut off: samples, and
    if they are Y, Cb and Cr their colours by ``to_rgb`` (3, 3). ``size``: (height, width) of the picture.
    """
    planes = [one.samples() for one in components]
    beyond = 0.0
    for plane, one in zip(planes, components, strict=True):
        shown = plane[: -(-size[0] // one.step[0]), : -(-size[1] // one.step[1])]
        beyond = max(beyond, float(shown.max()) - 255, -float(shown.min()))
    weights = None if to_rgb is None else to_rgb.astype(np.float32)
    cells = _cells(components, planes, size, weights)
    samples = _at(components, planes, cells)
    clipped = _shown(samples, weights)
    apart = []
    for scale in SCALES:
        groups = np.zeros((*cells.shape, 8 // scale, 8 // scale), np.float32)
        if len(samples):
            groups[cells] = ((_shown(_means(samples, scale), weights) - _means(clipped, scale)) ** 2).mean(axis=3)
        apart.append(np.ascontiguousarray(joined(groups)[: size[0] // scale, : size[1] // scale]))
    return beyond, tuple(apart)


def _shown(samples: FloatArray, weights: FloatArray | None) -> FloatArray:
    """What is shown of samples (..., C): each cut off, and again as RGB."""
    shown = np.clip(samples, 0, 255)
    if weights is None:
        return shown
    shown[..., 1:] -= _MIDDLE
    return np.asarray(np.clip(shown @ weights.T, 0, 255))


def _cells(
    components: list[Component], planes: list[FloatArray], size: tuple[int, int], weights: FloatArray | None
) -> npt.NDArray[np.bool_]:
    """The cells of 8 × 8 pixels, (rows, columns), of which anything may be cut off: elsewhere every mean is shown.

    By each component's range in its block, so that some are named of which nothing is.
    """
    cells = (-(-size[0] // 8), -(-size[1] // 8))
    low: list[FloatArray] = []
    high: list[FloatArray] = []
    for plane, component in zip(planes, components, strict=True):
        down, across = component.step
        for found, reduce in ((low, np.minimum), (high, np.maximum)):
            rows = reduce.reduce(plane.reshape(-1, 8, plane.shape[1]), axis=1)
            blocks = reduce.reduce(rows.reshape(len(rows), -1, 8), axis=2)
            found.append(blocks.repeat(down, axis=0).repeat(across, axis=1)[: cells[0], : cells[1]])
    least, most = np.stack(low), np.stack(high)
    cut = ((least < 0) | (most > 255)).any(axis=0)
    if weights is not None:
        middle, reach = (least + most) / 2, (most - least) / 2
        middle[1:] -= _MIDDLE
        rgb, around = np.tensordot(weights, middle, 1), np.tensordot(np.abs(weights), reach, 1)
        cut |= ((rgb - around < _ROUNDING) | (rgb + around > 255 - _ROUNDING)).any(axis=0)
    return np.asarray(cut)


def _at(components: list[Component], planes: list[FloatArray], cells: npt.NDArray[np.bool_]) -> FloatArray:
    """All components in these cells, (cells, 8, 8, C), before they are cut off, chroma repeated."""
    found = []
    for plane, component in zip(planes, components, strict=True):
        down, across = component.step
        if 8 % down or 8 % across:  # no block of 8 samples begins with every cell
            plane, down, across = plane.repeat(down, axis=0).repeat(across, axis=1), 1, 1
        parts = plane.reshape(plane.shape[0] * down // 8, 8 // down, plane.shape[1] * across // 8, 8 // across)
        parts = parts.swapaxes(1, 2)[: cells.shape[0], : cells.shape[1]][cells]
        found.append(parts.repeat(down, axis=1).repeat(across, axis=2))
    return np.stack(found, axis=3)


def _means(samples: FloatArray, side: int) -> FloatArray:
    """The means of the groups of (cells, 8, 8, C), (cells, 8 / side, 8 / side, C)."""
    down = _added([samples[:, k::side] for k in range(side)])
    return np.asarray(_added([down[:, :, k::side] for k in range(side)]) / np.float32(side**2))


def _added(parts: list[FloatArray]) -> FloatArray:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
