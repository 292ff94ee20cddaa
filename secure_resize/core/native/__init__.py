"""The C extension's implementation of the core; importing it raises ImportError where it was not built.

Same functions as :mod:`..reference`, the same bytes for uint8 and uint16. ``SECURE_RESIZE_SIMD`` forces an instruction
set: ``avx512``, ``avx2``, ``neon`` or ``portable`` (ImportError for one that the machine lacks).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dct, reference
from ..selection import Selection
from ..taps import Taps

# By their names: where there is no extension that raises ModuleNotFoundError, `from . import _native` would not.
from ._native import (
    MAX_WINDOW,
    Resizer,
    arrange,
    cut_off as fill_cut_off,
    fingerprint as fill_fingerprint,
    level,
    levels,
    line_energy as fill_line_energy,
    place as fill_places,
    resizer as make_resizer,
    run,
    runs,
    second_difference as fill_second_difference,
    select_median as fill_median,
    select_random as fill_random,
    stand_out as fill_stand_out,
    worst_window as find_worst_window,
)
from .views import View, reversed_taps, view_of

__all__ = [
    "apply_area",
    "apply_fixed",
    "apply_float",
    "arrange",
    "cut_off",
    "fingerprint",
    "level",
    "levels",
    "line_energy",
    "place",
    "runs",
    "second_difference",
    "select_median",
    "select_random",
    "stand_out",
    "use_level",
    "worst_window",
]

Array = npt.NDArray[Any]

_level = level()  # what resizers are made for


@contextmanager
def use_level(name: str) -> Iterator[None]:
    """Make resizers for the instruction set ``name`` within the context; for tests and benchmarks, not thread-safe."""
    global _level
    if name not in levels():
        raise ValueError(f"{name!r} is not an instruction set of this machine; valid: {', '.join(levels())}")
    before, _level = _level, name
    try:
        yield
    finally:
        _level = before


def apply_area(image: Array, rows: Taps, cols: Taps, num_threads: int = 1) -> Array:
    """The exact mean over each output pixel's footprint, rounded half up; uint8 or uint16."""
    return _applied("area", image, rows, cols, False, num_threads)


def apply_fixed(image: Array, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int = 1) -> Array:
    """Pillow's two passes with 22-bit taps, rounded to the image's integer dtype after each; uint8 or uint16."""
    if rows is None and cols is None:
        return np.array(image, order="C")
    return _applied("fixed", image, rows, cols, rows_first, num_threads)


def apply_float(image: Array, rows: Taps, cols: Taps, num_threads: int = 1) -> Array:
    """Both passes in float64, rounded to float32 once; float32. Only the taps of an output can make it non-finite."""
    return _applied("float", image, rows, cols, True, num_threads)


def select_median(image: Array, out: Array, selection: Selection) -> None:
    """The lower median of each read pixel's candidates, into ``out``; other dtypes than uint8 by the reference."""
    if not _selectable(image, selection):
        return reference.select_median(image, out, selection)
    for source, target in zip(_lines(image), out, strict=True):
        fill_median(source, target, selection.rows, selection.cols, *selection.half, _level)


def select_random(image: Array, out: Array, selection: Selection, keys: Array) -> None:
    """One candidate of each read pixel, into ``out``; other dtypes than uint8 by the reference."""
    if not _selectable(image, selection):
        return reference.select_random(image, out, selection, keys)
    for source, target, key in zip(_lines(image), out, keys, strict=True):
        fill_random(source, target, selection.rows, selection.cols, *selection.half, key, _level)


def place(values: Array, out: Array, rows: Array, cols: Array) -> None:
    """``out[:, rows[:, None], cols] = values``, images (N, H, W, C) of one dtype."""
    if not _is_lines(out):
        return reference.place(values, out, rows, cols)
    fill_places(values, out, np.ascontiguousarray(rows, np.int32), np.ascontiguousarray(cols, np.int32))


def fingerprint(data: Array, key: Array) -> Array:
    """A keyed universal hash of ``data``: one uint64 for each 1024 bytes begun."""
    hashes = np.empty(-(-len(data) // reference.FINGERPRINT_KEY_BYTES), np.uint64)
    fill_fingerprint(data, key, hashes, _level)
    return hashes


def second_difference(middle: Array, left: Array, right: Array, above: Array, below: Array) -> tuple[Array, Array]:
    """Twice ``middle`` minus its neighbours, and its energy; ``windows.second_difference``."""
    height, width, channels = middle.shape
    lines = np.empty((height - 2, (width - 2) * channels), np.int16)
    energy = np.empty((height - 2, width - 2), np.float32)
    middle, left, right, above, below = map(np.ascontiguousarray, (middle, left, right, above, below))
    fill_second_difference(middle, left, right, above, below, height, width, channels, lines, energy)
    return lines, energy


def line_energy(lines: Array, channels: int) -> Array:
    """The sum of the squares over the channels; ``windows.line_energy``."""
    if lines.dtype != np.int16:
        return reference.line_energy(lines, channels)
    energy = np.empty((lines.shape[0], lines.shape[1] // channels), np.float32)
    fill_line_energy(np.ascontiguousarray(lines), channels, energy)
    return energy


def stand_out(lines: Array | None, energy: Array, near: Array, side: int, channels: int) -> Array:
    """How far windows stand out of what is near; ``windows.stand_out``."""
    height, width = energy.shape
    out = np.empty((height - side + 1, width - side + 1), np.float32)
    fill_stand_out(
        None if lines is None else np.ascontiguousarray(lines),
        np.ascontiguousarray(energy),
        np.ascontiguousarray(near),
        height,
        width,
        channels,
        side,
        out,
    )
    return out


def worst_window(values: Array, side: int) -> tuple[float, tuple[int, int]]:
    """The largest mean of neighbours, and its place; ``windows.worst_window``."""
    mean, row, col = find_worst_window(np.ascontiguousarray(values), values.shape[0], values.shape[1], side)
    return mean, (row, col)


def cut_off(
    components: list[dct.Component], size: tuple[int, int], to_rgb: Array | None
) -> tuple[float, tuple[Array, ...]]:
    """What cutting off a JPEG file's samples changes; ``dct.cut_off``, to a thousandth of a level."""
    if any(8 % step for one in components for step in one.step):
        return reference.cut_off(components, size, to_rgb)
    apart = tuple(np.empty((size[0] // scale, size[1] // scale), np.float32) for scale in dct.SCALES)
    beyond = fill_cut_off(
        tuple(
            (
                np.ascontiguousarray(one.coefficients, np.int16),
                one.quantisation.astype(np.float32),
                *one.coefficients.shape[:2],
                *(step.bit_length() - 1 for step in one.step),
            )
            for one in components
        ),
        *size,
        None if to_rgb is None else to_rgb.astype(np.float32),
        np.ascontiguousarray(dct.dct_matrix().T, np.float32),
        *apart,
    )
    return beyond, apart


def _selectable(image: Array, selection: Selection) -> bool:
    return image.dtype == np.uint8 and selection.window <= MAX_WINDOW


def _lines(image: Array) -> Array:
    """The image, contiguous inside a row."""
    return image if _is_lines(image) else np.ascontiguousarray(image)


def _is_lines(image: Array) -> bool:
    (_, _, columns, channels), item = image.shape, image.itemsize
    _, _, along, across = image.strides
    return bool((across == item or channels == 1) and (along == item * channels or columns == 1))


def _applied(
    kind: str, image: Array, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int
) -> Array:
    """One resize. An axis without taps keeps its size."""
    item, channels = image.itemsize, image.shape[3]
    strides = image.strides
    if item > 1 and not image.flags.aligned:
        image = image.copy()
    elif (strides[3] != item and channels > 1) or (strides[2] != item * channels and image.shape[2] > 1):
        return _seen(view_of(image, kind), kind, rows, cols, rows_first, num_threads)
    return _run(View(image), kind, rows, cols, rows_first, num_threads)


def _seen(view: View, kind: str, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int) -> Array:
    if view.transposed:
        rows, cols, rows_first = cols, rows, not rows_first
    if view.turned and cols is not None:
        cols = reversed_taps(cols)
    if view.upturned and rows is not None:
        rows = reversed_taps(rows)
    result = _run(view, kind, rows, cols, rows_first, num_threads)
    asked = view.asked(result)
    return result if asked is result else _contiguous(asked)


def _run(view: View, kind: str, rows: Taps | None, cols: Taps | None, rows_first: bool, num_threads: int) -> Array:
    image = view.image
    count, height, width, channels = image.shape
    item = image.itemsize
    _, _, pixel, channel = image.strides
    read = 1 if view.planes else channels
    if width == 1 or view.planes:
        pixel = read * item
    if read == 1:
        channel = item
    out = np.empty((count, rows.n_out if rows else height, cols.n_out if cols else width, channels), image.dtype)
    if count == 0:
        return out
    resizer = _resizer(kind, rows or height, cols or width, rows_first, read, item, pixel, channel, _level)
    run(resizer, image, out, num_threads, view.backwards)
    return out


def _contiguous(image: Array) -> Array:
    """A copy; numpy's takes ten times as long for pixels of three bytes."""
    out = np.empty(image.shape, image.dtype)
    arrange(image, out, _level)
    return out


# Bounded like the caches of the weights. A resizer for one of the usual sizes takes some 10 kB.
@lru_cache(maxsize=128)
def _resizer(
    kind: str,
    rows: Taps | int,
    cols: Taps | int,
    rows_first: bool,
    channels: int,
    itemsize: int,
    pixel: int,
    channel: int,
    level: str,
) -> Resizer:
    return make_resizer(kind, _axis(rows), _axis(cols), rows_first, channels, itemsize, pixel, channel, level)


def _axis(taps: Taps | int) -> Any:
    """What C is told of an axis: its weights in C's types, or for an axis that keeps its size that alone."""
    if isinstance(taps, int):
        return (taps,)
    dtype = np.float64 if taps.weights.dtype.kind == "f" else np.int32
    start, weights = np.ascontiguousarray(taps.start, np.int32), np.ascontiguousarray(taps.weights, dtype)
    return taps.n_in, taps.n_out, taps.unit, start, weights
