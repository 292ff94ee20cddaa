"""The numpy specification of the core: what every other implementation must equal, byte for byte.

Images are (N, H, W, C), of any strides, and validated by the caller. Results are new and C-contiguous.

The banded coefficient matrices are applied in blocks of a few output pixels: a block reads a short run of source
pixels, so it is a small dense matrix, and the BLAS behind ``numpy.matmul`` multiplies it at full speed. The sums are
exact all the same. Weights and pixels are integers (or integers times 2⁻²²), and float32 holds every integer up to
2²⁴, float64 up to 2⁵³; as long as no partial sum can pass that, no order of summation and no fused multiply-add rounds
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dct import cut_off
from .selection import NETWORK_LIMIT, TWICE_LIMIT, Selection, median_network
from .taps import PRECISION_BITS, Taps
from .windows import line_energy, second_difference, stand_out, worst_window

__all__ = [
    "apply_area",
    "apply_fixed",
    "apply_float",
    "cut_off",
    "fingerprint",
    "line_energy",
    "place",
    "second_difference",
    "select_median",
    "select_random",
    "stand_out",
    "worst_window",
]

Array = npt.NDArray[Any]

# Outputs per block. A block of b outputs multiplies about b times more zeros than taps when β is small, and has b times
# the overhead of a call less; 16 was the fastest of 8, 16, 32 for 1024×768 → 224×224.
_BLOCK = 16
# OpenBLAS starts threads above 2¹⁸ multiplications a product; below, a data loader's worker keeps to its one core.
_MAX_PRODUCT = 1 << 18
# Source pixels converted to floating point at a time: bounds the memory to a few times the cache.
_CHUNK = 1 << 19


def apply_area(image: Array, rows: Taps, cols: Taps, num_threads: int = 1) -> Array:
    """The exact mean over each output pixel's footprint, rounded half up; uint8 or uint16.

    With S the weighted integer sum and D = rows.unit · cols.unit the result is ⌊(2S + D) / 2D⌋. S is exact for images
    of up to 2³¹ pixels; the quotient of two integers below 2⁵³ cannot round up to an integer that it does not reach.
    """
    out = np.empty((image.shape[0], rows.n_out, cols.n_out, image.shape[3]), image.dtype)
    narrow = np.iinfo(image.dtype).max * rows.unit < 1 << 24
    divisor = float(rows.unit * cols.unit)
    for source, target in zip(image, out, strict=True):
        sums = _apply_rows(source, rows, "float32" if narrow else "float64")
        sums = _apply_cols(_planar(sums), cols)
        sums *= 2.0
        sums += divisor
        sums /= 2.0 * divisor
        target[...] = np.moveaxis(sums, 0, -1)  # the cast truncates: floor, the sums are not negative
    return out


def apply_fixed(image: Array, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int = 1) -> Array:
    """Pillow's two passes with 22-bit taps, rounded to the image's integer dtype after each; uint8 or uint16.

    An axis whose taps are None keeps its size and is not touched. ``rows_first`` runs the vertical pass first.
    """
    for taps, along_rows in ((rows, True), (cols, False)) if rows_first else ((cols, False), (rows, True)):
        if taps is not None:
            image = _pass_over_rows(image, taps) if along_rows else _pass_over_cols(image, taps)
    return np.array(image, order="C")


def apply_float(image: Array, rows: Taps, cols: Taps, num_threads: int = 1) -> Array:
    """Both passes in float64, rounded to float32 once; float32. Only the taps of an output can make it non-finite."""
    finite = bool(np.isfinite(image).all())
    out = np.empty((image.shape[0], rows.n_out, cols.n_out, image.shape[3]), np.float32)
    for source, target in zip(image, out, strict=True):
        if finite:
            result = np.moveaxis(_apply_cols(_planar(_apply_rows(source, rows, "float64")), cols), 0, -1)
        else:  # a block multiplies pixels outside an output's support by zero, and 0 · NaN is NaN
            result = _apply_taps(_apply_taps(source, rows, 0), cols, 1)
        with np.errstate(over="ignore"):  # an overshoot beyond float32 is infinite, as in any float32 arithmetic
            target[...] = result
    return out


def _pass_over_cols(image: Array, taps: Taps) -> Array:
    out = np.empty((*image.shape[:2], taps.n_out, image.shape[3]), image.dtype)
    step = max(1, _CHUNK // (image.shape[2] * image.shape[3]))
    for source, target in zip(image, out, strict=True):
        for top in range(0, len(source), step):
            sums = _apply_cols(_planar(source[top : top + step]), taps)
            target[top : top + step] = np.moveaxis(_round_fixed(sums, image.dtype), 0, -1)
    return out


def _pass_over_rows(image: Array, taps: Taps) -> Array:
    out = np.empty((image.shape[0], taps.n_out, *image.shape[2:]), image.dtype)
    for source, target in zip(image, out, strict=True):
        target[...] = _round_fixed(_apply_rows(source, taps, "float64"), image.dtype)
    return out


def _round_fixed(sums: Array, dtype: np.dtype[Any]) -> Array:
    """⌊sum / 2²² + 1/2⌋ clipped to the dtype's range; overwrites ``sums``."""
    sums *= 2.0**-PRECISION_BITS
    sums += 0.5
    np.clip(sums, 0.0, np.iinfo(dtype).max, out=sums)
    return sums.astype(dtype)  # truncates: floor, the sums are not negative any more


def _planar(image: Array) -> Array:
    """(H, W, C) as a contiguous (C, H, W) array of float64."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 0), np.float64)


class _Block(NamedTuple):
    """A few consecutive outputs, the run of pixels that they read and the dense matrix between the two."""

    outputs: slice
    pixels: slice
    matrix: Array


@lru_cache(maxsize=64)
def _blocks(taps: Taps, dtype: str) -> list[_Block]:
    blocks = []
    for first in range(0, taps.n_out, _BLOCK):
        start, weights = taps.start[first : first + _BLOCK], taps.weights[first : first + _BLOCK]
        begin, end = int(start.min()), int(start.max()) + taps.width
        matrix = np.zeros((len(start), end - begin), dtype)
        np.put_along_axis(matrix, (start - begin)[:, None] + np.arange(taps.width), weights.astype(dtype), axis=1)
        blocks.append(_Block(slice(first, first + len(start)), slice(begin, end), matrix))
    return blocks


def _apply_rows(image: Array, taps: Taps, dtype: str) -> Array:
    """The taps along axis 0 of (H, W, C), as a (n_out, W, C) array of ``dtype``, float32 or float64."""
    out = np.empty((taps.n_out, image.shape[1] * image.shape[2]), dtype)
    for outputs, pixels, matrix in _blocks(taps, dtype):
        for left in _columns(image.shape[1], len(matrix) * matrix.shape[1] * image.shape[2]):
            source = image[pixels, left].astype(dtype, order="C").reshape(matrix.shape[1], -1)
            columns = slice(left.start * image.shape[2], left.stop * image.shape[2])
            np.matmul(matrix, source, out=out[outputs, columns])
    return out.reshape(taps.n_out, *image.shape[1:])


def _apply_cols(planar: Array, taps: Taps) -> Array:
    """The taps along the last axis of a contiguous float64 (C, H, W) array, as (C, H, n_out)."""
    lines = planar.reshape(-1, planar.shape[-1])
    out = np.empty((len(lines), taps.n_out))
    for outputs, pixels, matrix in _blocks(taps, "float64"):
        for top in _columns(len(lines), matrix.size):
            np.matmul(lines[top, pixels], matrix.T, out=out[top, outputs])
    return out.reshape(*planar.shape[:-1], taps.n_out)


def _columns(total: int, cost: int) -> Iterator[slice]:
    """Slices of ``range(total)``, each small enough that ``cost`` multiplications an element stay on one core."""
    step = max(1, _MAX_PRODUCT // cost)
    for first in range(0, total, step):
        yield slice(first, min(first + step, total))


def _apply_taps(image: Array, taps: Taps, axis: int) -> Array:
    """The taps along ``axis``, one at a time and none of weight zero; float64."""
    image = np.moveaxis(image.astype(np.float64), axis, 0)
    out = np.zeros((taps.n_out, *image.shape[1:]))
    for k in range(taps.width):
        weights = taps.weights[:, k].reshape(-1, *(1,) * (image.ndim - 1))
        with np.errstate(invalid="ignore"):  # infinity times zero, replaced at once
            out += np.where(weights != 0, weights * image[taps.start + k], 0.0)
    return np.moveaxis(out, 0, axis)


# The selective filters. They write the new values of the read pixels, selection.rows × selection.cols, into ``out``, an
# image of the same shape that they do not touch elsewhere; where a window holds no candidate they write 0.

# Values of windows gathered at a time, so that a network's planes stay in the second-level cache.
_PLANES = 1 << 20


def place(values: Array, out: Array, rows: Array, cols: Array) -> None:
    """``out[:, rows[:, None], cols] = values``, images (N, H, W, C) of one dtype."""
    out[:, rows[:, None], cols] = values


def select_median(image: Array, out: Array, selection: Selection) -> None:
    """The lower median of each read pixel's candidates, channel by channel; uint8, uint16 or float32.

    NaN counts as larger than every number: the median is NaN where at least half of the candidates are, rounded down,
    and otherwise a number. The time is linear in the pixels of all windows together.
    """
    counts, channels = selection.candidates, image.shape[3]
    if counts.size == 0:
        return
    step = min(max(1, _PLANES // (selection.window * len(selection.cols) * channels)), len(selection.rows))
    # Whichever takes fewer of numpy's calls: some for each pixel of a window of `step` rows, or some for each window.
    one_by_one = selection.window > max(NETWORK_LIMIT, step * len(selection.cols))
    for source, target in zip(image, out, strict=True):
        if one_by_one:
            _select_medians_of_large_windows(source, target, selection)
            continue
        for first in range(0, len(selection.rows), step):
            rows = selection.rows[first : first + step]
            middle = _middle(_windows(source, selection, rows))
            if source.dtype.kind == "f":
                middle = np.where(counts[first : first + step, :, None] > 0, middle, np.float32(0))
            target[np.ix_(rows, selection.cols)] = middle


def _select_medians_of_large_windows(source: Array, target: Array, selection: Selection) -> None:
    """Window by window: a few of many pixels each."""
    (height, width), (reach_rows, reach_cols) = selection.in_size, selection.half
    for y in selection.rows.tolist():
        rows = np.arange(max(y - reach_rows, 0), min(y + reach_rows + 1, height))
        read = selection.read_rows[rows]
        in_unread, in_read = source[rows[~read]], source[rows[read]]  # once for all windows of the row
        for x in selection.cols.tolist():
            cols = np.arange(max(x - reach_cols, 0), min(x + reach_cols + 1, width))
            free = cols[~selection.read_cols[cols]]
            values = [in_unread[:, cols[0] : cols[-1] + 1], in_read[:, free]]
            target[y, x] = _lower_median(np.concatenate([part.reshape(-1, source.shape[2]) for part in values]))


def _lower_median(values: Array) -> Array:
    """Of each column of ``values`` (n, C), in linear time; zeros where n is 0."""
    if len(values) == 0:
        return np.zeros(values.shape[1], values.dtype)
    rank = (len(values) - 1) // 2
    if values.dtype != np.uint8:
        return np.asarray(np.partition(values, rank, axis=0)[rank])
    below = [np.cumsum(np.bincount(column, minlength=256)) for column in values.T]
    return np.array([np.searchsorted(count, rank, side="right") for count in below], np.uint8)


def _windows(source: Array, selection: Selection, rows: Array) -> Array:
    """The windows' values, padded so that their middle is the median, as (K, len(rows), columns, C).

    Every window gets the same number of values and its median the same rank: what is no candidate counts in turn as
    the least and the largest value. With K values (odd), n of them candidates, (K - n) / 2, rounded up, count as least,
    and the middle one is the candidates' number (n - 1) / 2, rounded down.
    """
    (height, width), cols, channels = selection.in_size, selection.cols, source.shape[2]
    top, bottom = max(int(rows[0]) - selection.half[0], 0), int(rows[-1]) + selection.half[0] + 1
    planes = np.empty((selection.window, len(rows), len(cols) * channels), source.dtype)
    # What is no candidate, and which of it counts as largest: words of zeros or ones, to be combined by bits.
    word = np.dtype(f"u{source.itemsize}")
    pads = np.zeros(planes.shape[1:], word)
    reach, columns = range(-selection.half[1], selection.half[1] + 1), []
    for dx in reach:
        x = np.clip(cols + dx, 0, width - 1)
        outside = np.repeat(_ones(x != cols + dx, word), channels)
        read = np.repeat(_ones(selection.read_cols[x], word), channels)
        columns.append((np.take(source[top:bottom], x, axis=1).reshape(-1, planes.shape[2]), outside, read))
    k = 0
    for dy in range(-selection.half[0], selection.half[0] + 1):
        y = np.clip(rows + dy, 0, height - 1)
        row_outside, row_read = _ones(y != rows + dy, word)[:, None], _ones(selection.read_rows[y], word)[:, None]
        for column, outside, read in columns:
            plane = planes[k]
            np.take(column, y - top, axis=0, out=plane, mode="clip")
            excluded = row_read & read
            excluded |= row_outside
            excluded |= outside
            if source.dtype.kind == "u":
                plane &= ~excluded
                plane |= excluded & pads
            else:
                np.copyto(plane, np.where(pads, np.nan, -np.inf), where=excluded != 0, casting="same_kind")
            pads ^= excluded
            k += 1
    return planes.reshape(-1, len(rows), len(cols), channels)


def _ones(mask: Array, word: np.dtype[Any]) -> Array:
    """All bits of a word where the bool ``mask`` is true."""
    return np.asarray(np.negative(mask.astype(word)))


def _middle(planes: Array) -> Array:
    """The middle value along axis 0, of odd length; overwrites ``planes``."""
    middle = (len(planes) - 1) // 2
    if planes.dtype.kind == "f" or len(planes) > NETWORK_LIMIT:  # np.minimum passes NaN on, sorting puts it last
        planes.partition(middle, axis=0)
        return np.asarray(planes[middle])
    spare = np.empty_like(planes[0])
    for i, j, which in median_network(len(planes)).tolist():
        if which == 3:
            np.minimum(planes[i], planes[j], out=spare)
            np.maximum(planes[i], planes[j], out=planes[j])
            planes[i][...] = spare
        else:
            np.minimum(planes[i], planes[j], out=planes[i]) if which == 1 else np.maximum(
                planes[i], planes[j], out=planes[j]
            )
    return np.asarray(planes[middle])


def select_random(image: Array, out: Array, selection: Selection, keys: Array) -> None:
    """One candidate of each read pixel, all its channels, by the keystream of the image's key; ``keys`` (N, 32) bytes.

    Candidates are numbered like this: those in the window's unread rows, row by row; then those in its read rows. Which
    is drawn, :func:`_draw` says.
    """
    counts = selection.candidates
    (inside_rows, read_rows), (inside_cols, read_cols) = selection.row_counts, selection.col_counts
    unread, width = (inside_rows - read_rows)[:, None], inside_cols[None, :]
    apart = unread * width
    left = np.maximum(selection.cols - selection.half[1], 0)[None, :]
    offset, order = _window_rows(selection)
    free_cols = np.flatnonzero(~selection.read_cols)
    free_before = np.concatenate([[0], np.cumsum(~selection.read_cols)])[left]
    i = np.arange(len(selection.rows))[:, None]
    for source, target, key in zip(image, out, keys, strict=True):
        k = _draw(key, counts, selection.window <= TWICE_LIMIT)
        in_read = k >= apart
        k -= np.where(in_read, apart, 0)
        step = np.maximum(np.where(in_read, width - read_cols[None, :], width), 1)
        row, col = np.divmod(k, step)
        y = order[np.minimum(offset[i] + np.where(in_read, unread + row, row), len(order) - 1)]
        x = left + col
        if len(free_cols):
            x = np.where(in_read, free_cols[np.minimum(free_before + col, len(free_cols) - 1)], x)
        drawn = source[y, np.minimum(x, source.shape[1] - 1)]
        target[np.ix_(selection.rows, selection.cols)] = np.where(counts[..., None] > 0, drawn, 0)


def _draw(key: Array, counts: Array, twice: bool) -> Array:
    """Whole numbers below ``counts`` (rows, columns), int32; 0 where those are 0.

    ⌊word · n / 2³²⌋ of n, whose probabilities are equal to n · 2⁻³². Words are used for 16 columns at a time. With
    ``twice``, what the draws of 16 columns leave of their words, word · n modulo 2³², serves as the words of the 16
    columns after them; the probabilities of the two draws together are equal to their n · n · 2⁻³².
    """
    groups = -(-counts.shape[1] // 32) * 2
    padded = np.zeros((len(counts), groups * 16), np.uint64)
    padded[:, : counts.shape[1]] = counts
    ranges = np.maximum(padded, 1).reshape(len(counts), groups, 16)
    used = -(-counts.shape[1] // 16)
    if twice:
        words = chacha8(key, padded.size // 2).reshape(len(counts), groups // 2, 16).astype(np.uint64)
        first = words * ranges[:, ::2]
        second = (first & np.uint64(0xFFFFFFFF)) * ranges[:, 1::2]
        products = np.stack([first, second], axis=2)
    else:
        words = chacha8(key, len(counts) * used * 16).reshape(len(counts), used, 16)
        products = words * ranges[:, :used]
    k = (products >> np.uint64(32)).reshape(len(counts), groups * 16 if twice else used * 16)
    return np.asarray(k[:, : counts.shape[1]].astype(np.int32))


def _window_rows(selection: Selection) -> tuple[Array, Array]:
    """The rows of each read row's window, unread ones first: where each window begins, and all of them in turn."""
    inside = selection.row_counts[0]
    offset = np.cumsum(inside) - inside
    first = np.maximum(selection.rows - selection.half[0], 0)
    window = np.repeat(np.arange(len(inside)), inside)
    row = np.arange(inside.sum()) - np.repeat(offset - first, inside)
    return offset, row[np.lexsort((row, selection.read_rows[row], window))]


def chacha8(key: Array, words: int) -> Array:
    """``words`` words, uint32, of the ChaCha keystream of 8 rounds with nonce 0 and a 64-bit block counter.

    D. J. Bernstein, ChaCha, a variant of Salsa20, 2008. ``key`` is uint8 (32,). Of 16 blocks each their first words
    come first, then their second words, and so on, as vectors of 16 blocks hold them.
    """
    blocks = np.arange(-(-words // 256) * 16, dtype=np.uint64)
    start = np.zeros((16, len(blocks)), np.uint32)
    start[:4, :] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    start[4:12, :] = np.frombuffer(key.tobytes(), "<u4")[:, None]
    start[12], start[13] = blocks.astype(np.uint32), (blocks >> np.uint64(32)).astype(np.uint32)
    state, spare = start.copy(), np.empty(len(blocks), np.uint32)
    for _ in range(4):
        for a, b, c, d in _QUARTER_ROUNDS:
            for to, add, into, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[to] += state[add]
                state[into] ^= state[to]
                np.right_shift(state[into], np.uint32(32 - shift), out=spare)
                state[into] <<= np.uint32(shift)
                state[into] |= spare
    return (state + start).reshape(16, -1, 16).swapaxes(0, 1).reshape(-1)[:words]


_QUARTER_ROUNDS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
_QUARTER_ROUNDS += [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]

FINGERPRINT_KEY_BYTES = 1024


def fingerprint(data: Array, key: Array) -> Array:
    """A keyed universal hash of ``data`` (contiguous bytes, uint8): one uint64 for each 1024 bytes of it.

    NH of UMAC (Black et al., CRYPTO 1999): Σ (m₂ᵢ + k₂ᵢ)(m₂ᵢ₊₁ + k₂ᵢ₊₁) over 32-bit words, sums of words modulo 2³², of
    products modulo 2⁶⁴. Two different blocks of one length agree with probability 2⁻³² over the ``key`` (1024 bytes).
    """
    whole = len(data) // FINGERPRINT_KEY_BYTES
    tail = np.zeros(FINGERPRINT_KEY_BYTES, np.uint8)
    tail[: len(data) % FINGERPRINT_KEY_BYTES] = data[whole * FINGERPRINT_KEY_BYTES :]
    blocks = [data[: whole * FINGERPRINT_KEY_BYTES], tail[: FINGERPRINT_KEY_BYTES * bool(len(data) > whole << 10)]]
    hashes = []
    for block in blocks:
        words = np.frombuffer(block, "<u4").reshape(-1, FINGERPRINT_KEY_BYTES // 4) + key.view("<u4")
        hashes.append((words[:, ::2].astype(np.uint64) * words[:, 1::2]).sum(axis=1, dtype=np.uint64))
    return np.concatenate(hashes)
