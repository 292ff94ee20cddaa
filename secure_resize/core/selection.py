"""What the selective filters work on: which pixels are read, their windows, and the network that finds a median.

The pixels that a separable scaler reads are an outer product of read rows and read columns, so everything about a
window (how many pixels it holds, how many of them are read) follows from one-dimensional tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["NETWORK_LIMIT", "TWICE_LIMIT", "Selection", "median_network"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int32]

# Windows of more pixels are sorted, or searched bit by bit, instead: a network grows faster than their pixels.
NETWORK_LIMIT = 127
# In windows of at most so many pixels a random word serves two draws.
TWICE_LIMIT = 127


@dataclass(frozen=True, eq=False)
class Selection:
    """The read pixels ``rows`` × ``cols`` (ascending int32 indices) of an image of ``in_size`` and their windows.

    The window of a pixel reaches ``half`` = (rows, columns) pixels to either side and ends at the image's border. Its
    *candidates* are the pixels in it that are not read themselves.
    """

    in_size: tuple[int, int]
    rows: IntArray
    cols: IntArray
    half: tuple[int, int]

    def __post_init__(self) -> None:
        for array in (self.rows, self.cols):
            array.flags.writeable = False  # selections are cached and shared

    @property
    def window(self) -> int:
        """Pixels of a window inside the image; odd."""
        return (2 * self.half[0] + 1) * (2 * self.half[1] + 1)

    @cached_property
    def read_rows(self) -> BoolArray:
        """Bool (H,)."""
        return _mask(self.rows, self.in_size[0])

    @cached_property
    def read_cols(self) -> BoolArray:
        """Bool (W,)."""
        return _mask(self.cols, self.in_size[1])

    @cached_property
    def row_counts(self) -> tuple[IntArray, IntArray]:
        """For each read row: the rows of its window inside the image, and those of them that are read."""
        return _counts(self.rows, self.read_rows, self.half[0])

    @cached_property
    def col_counts(self) -> tuple[IntArray, IntArray]:
        """For each read column: the columns of its window inside the image, and those of them that are read."""
        return _counts(self.cols, self.read_cols, self.half[1])

    @cached_property
    def candidates(self) -> IntArray:
        """int32 (rows, cols): the candidates of each read pixel."""
        (inside_rows, read_rows), (inside_cols, read_cols) = self.row_counts, self.col_counts
        return np.asarray(np.multiply.outer(inside_rows, inside_cols) - np.multiply.outer(read_rows, read_cols))


def _mask(indices: IntArray, length: int) -> BoolArray:
    mask = np.zeros(length, bool)
    mask[indices] = True
    return mask


def _counts(indices: IntArray, read: BoolArray, half: int) -> tuple[IntArray, IntArray]:
    first, last = np.maximum(indices - half, 0), np.minimum(indices + half + 1, len(read))
    below = np.concatenate([[0], np.cumsum(read)])
    return (last - first).astype(np.int32), (below[last] - below[first]).astype(np.int32)


@lru_cache(maxsize=64)
def median_network(inputs: int) -> npt.NDArray[np.int32]:
    """Compare-exchanges (i, j, which) that bring the middle of ``inputs`` (odd) elements to place (inputs - 1) / 2.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, algorithm 5.2.2M) without what the middle does
    not depend on. ``which``: 1 if only the smaller is needed later (at i), 2 if only the larger (at j), 3 if both.
    """
    network = []
    top = 1 << max(0, (inputs - 1).bit_length() - 1)
    p = top if inputs > 1 else 0
    while p > 0:
        q, r, d = top, 0, p
        while True:
            network += [(i, i + d) for i in range(inputs - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    needed, pruned = {(inputs - 1) // 2}, []
    for i, j in reversed(network):
        which = (i in needed) + 2 * (j in needed)
        if which:
            pruned.append((i, j, which))
            needed |= {i, j}
    result = np.array(pruned[::-1], np.int32).reshape(-1, 3)
    result.flags.writeable = False
    return result
