"""Structure-aware fuzzing of the C extension: ``python tests/proofs/native_fuzz.py CALLS SEED [resize|select|detect]``.

Without a choice all, with a fifth as many calls for the selective filters and a fiftieth for the detectors.
Random sizes, strides, kernels, channels, dtypes, instruction sets, thread counts, NaN and infinities; for the selective
filters random read sets and windows, from many threads at a time. Every result is compared with the portable C's, byte
for byte for the integer dtypes, and every 50th with the numpy reference. Meant for a build with ASAN and UBSAN, which
look for what comparing cannot see.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_resize.core import native, reference
from secure_resize.core.dct import Component
from secure_resize.core.kernels import KERNELS
from secure_resize.core.operator import AxisOperator, axis_operator
from secure_resize.core.selection import Selection
from secure_resize.core.taps import Taps, area_taps, fixed_taps
from secure_resize.core.windows import SIDES
from secure_resize.measure.coefficients import TO_RGB

Array = npt.NDArray[Any]
AXES_PER_ROUND = 12  # axes made at a time; making them costs more than resizing with them
CALLS_PER_ROUND = 800
REFERENCE_EVERY = 50


class Axis:
    """One random axis with all the tables that the three functions want."""

    def __init__(self, rng: np.random.Generator, large: bool) -> None:
        most = 200 if large else 64
        self.n_in = int(rng.integers(1, most))
        # Ratios from 1/8 to the whole axis in one pixel, with 1 and the usual integers among them.
        choices = [self.n_in, max(1, self.n_in // 2), max(1, self.n_in // 4), int(rng.integers(1, self.n_in + 1)), 1]
        self.n_out = int(rng.choice([*choices, int(rng.integers(1, 1 + min(8 * self.n_in, most)))]))
        kernel = str(rng.choice([name for name, kernel in KERNELS.items() if not kernel.integrated]))
        self.area = area_taps.__wrapped__(self.n_in, self.n_out)
        self.fixed = {exact: fixed_taps(self.n_in, self.n_out, kernel, sum_exactly=exact) for exact in (False, True)}
        self.real = axis_operator(self.n_in, self.n_out, str(rng.choice(["area", kernel])))

    def taps(self, dtype: np.dtype[Any]) -> Taps | None:
        """What resize() would use: nothing where the size stays."""
        return None if self.n_in == self.n_out else self.fixed[dtype == np.uint16]


def random_image(rng: np.random.Generator, height: int, width: int) -> Array:
    """(N, H, W, C) of random dtype, values and strides."""
    dtype = np.dtype(str(rng.choice(["uint8", "uint8", "uint16", "float32"])))
    channels = int(rng.choice([1, 2, 3, 3, 4, 5, 17]))
    shape = [int(rng.integers(1, 3)), height, width, channels]
    layout = rng.integers(12)
    if layout == 0:
        shape[1] *= 2  # every other row
    elif layout == 1:
        shape[2] += 5  # a crop
    elif layout == 5:
        shape[3] += 1  # a channel that is left out
    elif layout == 9:
        shape[2] *= 2  # every other column
    fill = rng.integers(3)
    if fill == 0:
        image = np.full(shape, 255, dtype) if dtype == np.uint8 else np.ones(shape, dtype)
    elif dtype == np.float32:
        image = rng.standard_normal(shape, np.float32)
        if fill == 1:
            flat = image.reshape(-1)
            flat[rng.integers(flat.size, size=2)] = rng.choice([np.nan, np.inf, -np.inf, 3e38], 2)
    else:
        image = rng.integers(np.iinfo(dtype).max + 1, size=shape, dtype=dtype)
    if layout == 0:
        return image[:, ::2]
    if layout == 1:
        return image[:, :, 2:-3]
    if layout == 2:
        return image[:, ::-1]
    if layout == 3:
        return image[:, :, ::-1]
    if layout == 4:  # planar: channels as images, of one channel
        planes = np.moveaxis(image, 3, 1)
        return np.ascontiguousarray(planes).reshape(-1, height, width, 1)
    if layout == 5:
        return image[..., :-1]
    if layout == 6:
        return image[..., ::-1]
    if layout == 9:
        return image[:, :, ::2]
    if layout == 10:
        return np.asfortranarray(image)
    if layout == 7:  # planar, seen as pixels
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 3, 1)), 1, 3)
    if layout == 8:  # turned by 90 degrees
        return np.rot90(np.ascontiguousarray(np.rot90(image, 1, (1, 2))), -1, (1, 2))
    return image


def same(a: Array, b: Array, image: Array, rows: AxisOperator, cols: AxisOperator) -> bool:
    """Equal bytes, or for float32 (two roundings of two exact sums) the stated bound."""
    if a.dtype != np.float32:
        return bool(np.array_equal(a, b))
    finite = np.abs(image[np.isfinite(image)].astype(np.float64))
    gain = np.abs(rows.weights).sum(axis=1).max() * np.abs(cols.weights).sum(axis=1).max()
    bound = 2e-6 * gain * finite.max(initial=0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        # Near the largest float32 one sum may round to infinity and the other not.
        close = np.abs(a.astype(np.float64) - b) <= bound
    return bool((close | (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(b) > 3.4e38) | (np.abs(a) > 3.4e38)).all())


def call(module: Any, image: Array, rows: Axis, cols: Axis, area: bool, rows_first: bool, threads: int) -> Array:
    """The function of ``module`` that the dtype and ``area`` ask for."""
    result: Array
    if image.dtype == np.float32:
        result = module.apply_float(image, rows.real, cols.real, threads)
    elif area:
        result = module.apply_area(image, rows.area, cols.area, threads)
    else:
        result = module.apply_fixed(image, rows.taps(image.dtype), cols.taps(image.dtype), rows_first, threads)
    return result


def fuzz(calls: int, seed: int) -> int:
    """Make at least ``calls`` calls; returns how many. AssertionError with the case on the first difference."""
    rng = np.random.default_rng(seed)
    made, levels = 0, native.levels()
    while made < calls:
        axes = [Axis(rng, large=k % 4 == 0) for k in range(AXES_PER_ROUND)]
        for turn in range(CALLS_PER_ROUND // (len(levels) + 1)):
            rows, cols = axes[rng.integers(AXES_PER_ROUND)], axes[rng.integers(AXES_PER_ROUND)]
            image = random_image(rng, rows.n_in, cols.n_in)
            area, rows_first, threads = bool(rng.integers(2)), bool(rng.integers(2)), int(rng.choice([1, 1, 1, 2, 5]))
            case = (seed, made, image.shape, image.strides, image.dtype, rows.n_out, cols.n_out, area, rows_first)
            with native.use_level("portable"):
                expected = call(native, image, rows, cols, area, rows_first, 1)
            for level in levels:
                with native.use_level(level):
                    result = call(native, image, rows, cols, area, rows_first, threads)
                assert same(result, expected, image, rows.real, cols.real), (level, threads, case)
            if turn % REFERENCE_EVERY == 0:
                with np.errstate(invalid="ignore"):
                    truth = call(reference, image, rows, cols, area, rows_first, 1)
                assert same(expected, truth, image, rows.real, cols.real), ("reference", case)
            made += len(levels) + 1
    return made


# The selective filters.


def random_indices(rng: np.random.Generator, length: int) -> npt.NDArray[np.int32]:
    """Which rows, or columns, are read: none, all, any, or groups at a ratio as scalers have them."""
    kind = rng.integers(8)
    if kind == 0:
        read = rng.random(length) < rng.choice([0.0, 1.0])
    elif kind < 4:
        read = rng.random(length) < rng.uniform(0, 1)
    else:
        read = np.zeros(length, bool)
        first = np.arange(0, length, rng.uniform(1, 12)).astype(int)
        for tap in range(int(rng.integers(1, 5))):
            read[np.minimum(first + tap, length - 1)] = True
    return np.flatnonzero(read).astype(np.int32)


def random_selection(rng: np.random.Generator) -> Selection:
    """Of any size, with windows of up to 16384 pixels, which the kernels take; mostly of few."""
    size = tuple(int(n) for n in rng.integers(1, 300 if rng.random() < 0.02 else 40, 2))
    most = 40 if rng.random() < 0.02 else 6
    half = int(rng.integers(0, most)), int(rng.integers(0, most))
    return Selection((size[0], size[1]), random_indices(rng, size[0]), random_indices(rng, size[1]), half)


def random_bytes(rng: np.random.Generator, selection: Selection) -> Array:
    """An image (1, H, W, C) of noise, few values or one, contiguous inside a row or not, its rows anywhere."""
    height, width = selection.in_size
    channels = int(rng.choice([1, 2, 3, 3, 3, 4, 5, 17]))
    shape = [1, height, width, channels]
    layout = rng.integers(5)
    if layout == 0:
        shape[1] *= 2  # every other row
    elif layout == 1:
        shape[2] += 5  # a crop
    image = rng.integers(0, rng.choice([1, 2, 256]), shape, np.uint8)
    if rng.random() < 0.3:
        image[image > 0] = 255
    if layout == 0:
        return image[:, ::2]
    if layout == 1:
        return image[:, :, 2:-3]
    if layout == 2:
        return image[:, ::-1]
    if layout == 3:
        return image[:, :, ::-1]
    return image


def filtered(module: Any, method: str, image: Array, selection: Selection, key: Array) -> Array:
    """What the filter writes, into an image of other values, rows apart: nothing else may change."""
    room = np.full((1, image.shape[1], image.shape[2] + 3, image.shape[3]), 77, np.uint8)
    out = room[:, :, 1:-2]
    if method == "median":
        module.select_median(image, out, selection)
    else:
        module.select_random(image, out, selection, key)
    return room


def fuzz_select(calls: int, seed: int) -> int:
    """The same for the selective filters and the fingerprint, from up to four threads at once."""
    rng, made, levels, turn = np.random.default_rng(seed), 0, native.levels(), 0
    with ThreadPoolExecutor(4) as pool:
        while made < calls:
            selection = random_selection(rng)
            image, key = random_bytes(rng, selection), rng.integers(0, 256, (1, 32), np.uint8)
            method, threads = str(rng.choice(["median", "random"])), int(rng.choice([1, 1, 1, 4]))
            case = (seed, made, method, image.shape, image.strides, selection.half)
            with native.use_level("portable"):
                expected = filtered(native, method, image, selection, key)
            read = np.zeros(expected.shape[1:3], bool)
            read[np.ix_(selection.rows, selection.cols + 1)] = True
            assert (expected[0][~read] == 77).all(), ("elsewhere", case)
            for level in levels:
                with native.use_level(level):
                    jobs = [pool.submit(filtered, native, method, image, selection, key) for _ in range(threads)]
                    assert all(np.array_equal(job.result(), expected) for job in jobs), (level, threads, case)
                made += threads
            if turn % REFERENCE_EVERY == 0:
                assert np.array_equal(expected, filtered(reference, method, image, selection, key)), ("reference", case)
            if turn % 10 == 0:
                data, hash_key = (rng.integers(0, 256, n, np.uint8) for n in (rng.integers(0, 5000), 1024))
                for level in levels:
                    with native.use_level(level):
                        hashes = native.fingerprint(data, hash_key)
                    assert np.array_equal(hashes, reference.fingerprint(data, hash_key)), (level, len(data))
                made += len(levels)
            made, turn = made + 1, turn + 1
    return made


# What the detectors ask for.


def compare_windows(rng: np.random.Generator) -> int:
    """One random picture through the functions of core/windows.py; returns the number of calls."""
    channels, (height, width) = int(rng.choice([1, 2, 3, 3, 4])), (int(n) for n in rng.integers(3, 40, 2))
    levels = int(rng.choice([1, 2, 256]))
    pictures = rng.integers(0, levels, (5, height, width, channels), np.uint8)
    if levels == 2:
        pictures *= 255
    found, expected = (core.second_difference(*pictures) for core in (native, reference))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), pictures.shape
    lines, energy = expected
    assert np.array_equal(native.line_energy(lines, channels), reference.line_energy(lines, channels)), lines.shape
    near = energy * np.float32(rng.uniform(0, 2)) + np.float32(rng.uniform(0.1, 100))
    calls = 2
    for side in SIDES:
        if min(energy.shape) >= side:
            for of in (lines, None):
                a, b = (core.stand_out(of, energy, near, side, channels) for core in (native, reference))
                assert np.array_equal(a, b), (side, of is None, energy.shape)
                calls += 1
        a, b = (core.worst_window(energy, side) for core in (native, reference))
        assert a == b, (side, energy.shape)
    return calls + len(SIDES)


def random_components(rng: np.random.Generator, size: tuple[int, int]) -> list[Component]:
    """Of a JPEG file: one, three in any subsampling, or four; calm, lively, or as far beyond white as 16 bits go."""
    count = int(rng.choice([1, 3, 3, 3, 4]))
    steps = [(int(rng.choice([1, 2, 2, 4])), int(rng.choice([1, 2, 2, 4, 3]))) if k else (1, 1) for k in range(count)]
    reach = rng.choice([3, 60, 60, 1023])
    found = []
    for step in steps:
        blocks = [-(-n // (8 * one)) + int(rng.integers(2)) for n, one in zip(size, step, strict=True)]
        coefficients = rng.integers(-reach, reach + 1, (*blocks, 8, 8)) // (
            1 + np.add.outer(np.arange(8), np.arange(8))
        )
        coefficients[..., 0, 0] = rng.integers(-200, 200, blocks)
        table = rng.integers(1, 12 if reach < 1000 else 256, (8, 8))
        found.append(Component(coefficients.astype(np.int16), table, step))
    return found


def compare_cut_off(rng: np.random.Generator) -> int:
    """One random JPEG file through core/dct.py, to a thousandth of a level or a millionth of what is cut off."""
    size = int(rng.integers(1, 70)), int(rng.integers(1, 70))
    components = random_components(rng, size)
    to_rgb = TO_RGB if len(components) == 3 and rng.random() < 0.7 else None
    (here, planes), (there, expected) = (core.cut_off(components, size, to_rgb) for core in (native, reference))
    case = (size, [one.step for one in components], to_rgb is None)
    assert abs(here - there) <= 1e-3 + 2e-5 * there, (here, there, case)
    tolerance = 1e-3 + 2e-5 * there  # of what far larger samples leave in their means
    for plane, wanted in zip(planes, expected, strict=True):
        assert np.allclose(np.sqrt(plane), np.sqrt(wanted), rtol=1e-3, atol=tolerance), case
    return 1


def fuzz_detect(calls: int, seed: int) -> int:
    """The same for what the detectors ask for."""
    rng, made = np.random.default_rng(seed), 0
    while made < calls:
        made += compare_windows(rng) + compare_cut_off(rng)
    return made


if __name__ == "__main__":
    calls, seed, wanted = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if wanted in ([], ["resize"]):
        print(fuzz(calls, seed), "calls of the resizes")
    if wanted in ([], ["select"]):
        print(fuzz_select(calls if wanted else calls // 5, seed), "calls of the selective filters")
    if wanted in ([], ["detect"]):
        print(fuzz_detect(calls if wanted else calls // 50, seed), "calls of the detectors' functions")
    print({k: v for k, v in native.runs().items() if v})
