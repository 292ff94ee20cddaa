"""The C extension gives the numpy reference's bytes, at every instruction set, thread count and layout."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from secure_resize import backend, resize
from secure_resize.core import reference
from secure_resize.core.kernels import KERNELS
from secure_resize.core.operator import axis_operator
from secure_resize.core.taps import Taps, area_taps, fixed_taps

_native = pytest.importorskip("secure_resize.core.native._native", reason="the C extension was not built")
import native_fuzz  # noqa: E402

from secure_resize.core import native  # noqa: E402

pytestmark = pytest.mark.once

LEVELS = native.levels()
PILLOW_KERNELS = [name for name, kernel in KERNELS.items() if not kernel.integrated]
Array = np.ndarray[Any, Any]


def random_image(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.standard_normal(shape, np.float32)
    return rng.integers(np.iinfo(dtype).max + 1, size=shape, dtype=dtype)


def inside(image: Array, *margins: tuple[int, int]) -> Array:
    """A view of the same pixels in a larger array."""
    room = np.zeros([n + sum(margin) for n, margin in zip(image.shape, margins, strict=True)], image.dtype)
    view = room[tuple(slice(before, before + n) for n, (before, _) in zip(image.shape, margins, strict=True))]
    view[...] = image
    return view


def every_other(image: Array) -> Array:
    return np.repeat(image, 2, axis=1)[:, ::2]


def unaligned(image: Array) -> Array:
    shifted = np.zeros(image.nbytes + 1, np.uint8)[1:].view(image.dtype).reshape(image.shape)
    shifted[...] = image
    return shifted


# The same pixels in memory in other ways.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": np.ascontiguousarray,
    "every other row": every_other,
    "a crop": lambda image: inside(image, (0, 0), (1, 2), (3, 4), (0, 0)),
    "some channels": lambda image: inside(image, (0, 0), (0, 0), (0, 0), (0, 1)),
    "bottom up": lambda image: np.ascontiguousarray(image[:, ::-1])[:, ::-1],
    "right to left": lambda image: np.ascontiguousarray(image[:, :, ::-1])[:, :, ::-1],
    "planar": lambda image: np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 3, 1)), 1, 3),
    "channels backwards": lambda image: np.ascontiguousarray(image[..., ::-1])[..., ::-1],
    "backwards, and some of them": lambda image: inside(image[..., ::-1], *3 * [(0, 0)], (0, 1))[..., ::-1],
    "transposed": lambda image: np.ascontiguousarray(image.swapaxes(1, 2)).swapaxes(1, 2),
    "turned by 90 degrees": lambda image: np.rot90(np.ascontiguousarray(np.rot90(image, 1, (1, 2))), -1, (1, 2)),
    "every other column": lambda image: np.repeat(image, 2, axis=2)[:, :, ::2],
    "Fortran": np.asfortranarray,
    "unaligned": unaligned,
    "read-only": lambda image: np.frombuffer(image.tobytes(), image.dtype).reshape(image.shape),
}


def assert_parity(image: Array, function: str, *arguments: Any, threads: int = 1) -> None:
    """Every level gives the reference's bytes."""
    expected = getattr(reference, function)(image, *arguments)
    for level in LEVELS:
        with native.use_level(level):
            result = getattr(native, function)(image, *arguments, threads)
        assert result.dtype == expected.dtype
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, expected, err_msg=f"{function} at {level}, {threads} threads")


# The ratios of real pipelines next to arbitrary ones: they take the paths with 1, 2 and 3 groups of taps, with folds,
# with one limb and two, with sums in 16 bits, in float32 and in int32.
axis = st.one_of(
    st.tuples(st.integers(1, 700), st.integers(1, 300)),
    st.sampled_from([(640, 224), (480, 224), (1024, 224), (768, 224), (1080, 224), (500, 224), (375, 224), (256, 224)]),
    st.sampled_from([(512, 256), (448, 224), (300, 299), (299, 300), (896, 299), (1500, 112), (97, 96), (16, 512)]),
)
channels = st.sampled_from([1, 2, 3, 4, 5, 16, 17])
layout = st.one_of(st.just("contiguous"), st.sampled_from(list(LAYOUTS)))


def bounded(rows: tuple[int, int], cols: tuple[int, int], count: int) -> tuple[int, int]:
    """The rows, shortened so that one example stays below 10 ms."""
    height = min(rows[0], max(1, 400_000 // (cols[0] * count)))
    return height, min(rows[1], 2 * height)


@settings(max_examples=150, deadline=None)
@given(axis, axis, channels, st.sampled_from(["uint8", "uint8", "uint16"]), st.integers(1, 4), st.booleans(), layout)
def test_area_is_the_reference(rows, cols, count, dtype, threads, saturated, strides):
    height, h_out = bounded(rows, cols, count)
    image = random_image((1 + height % 2, height, cols[0], count), dtype)
    if saturated:
        image[:] = np.iinfo(dtype).max
    image = LAYOUTS[strides](image)
    assert_parity(image, "apply_area", area_taps(height, h_out), area_taps(*cols), threads=threads)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [97, 113, 128])
def test_area_at_every_number_of_taps(count, width):
    """From 1 to 80 taps an output, that is every split into groups and folds, on both sides of a whole ratio.

    The 40 output rows are several strips, and sums and divisors come in every size.
    """
    for ratio in (*range(1, 12), 13, 17, 20, 31, 47, 79):
        for n_in in (width * ratio // 8, width * ratio // 8 + 1):
            image = random_image((1, 100 + 7 * ratio, max(n_in, 64), count), "uint8", seed=ratio)
            image[:, ::3] = 255
            rows, cols = area_taps(image.shape[1], 40), area_taps(image.shape[2], width // 8)
            assert_parity(image, "apply_area", rows, cols)


@pytest.mark.parametrize("stride", [4096, 8192, 4096 + 64, 4096 - 1, 6144])
def test_area_of_rows_that_share_cache_sets(stride):
    """Strips are cut by what fits into the cache; their bytes are the same."""
    room = random_image((200, stride), "uint8")
    for count in (1, 3, 4):
        view = room[:, : 900 // count * count].reshape(200, 900 // count, count)[None]
        assert_parity(view, "apply_area", area_taps(200, 61), area_taps(view.shape[2], 37))


@settings(max_examples=150, deadline=None)
@given(
    axis,
    axis,
    channels,
    st.sampled_from(["uint8", "uint8", "uint16"]),
    st.sampled_from(PILLOW_KERNELS),
    st.booleans(),
    st.integers(1, 4),
    layout,
)
def test_fixed_is_the_reference(rows, cols, count, dtype, kernel, rows_first, threads, strides):
    height, h_out = bounded(rows, cols, count)
    image = random_image((1 + height % 2, height, cols[0], count), dtype)
    image[:, : height // 2] = np.where(image[:, : height // 2] > np.iinfo(dtype).max // 2, np.iinfo(dtype).max, 0)
    image, exact = LAYOUTS[strides](image), dtype == "uint16"
    row_taps = fixed_taps(height, h_out, kernel, sum_exactly=exact) if height != h_out else None
    col_taps = fixed_taps(*cols, kernel, sum_exactly=exact) if cols[0] != cols[1] else None
    assert_parity(image, "apply_fixed", row_taps, col_taps, rows_first, threads=threads)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(axis, axis, st.sampled_from([1, 2, 3, 4, 5]), st.sampled_from(list(KERNELS)), st.integers(1, 3), layout)
def test_float_lies_within_the_bound(rows, cols, count, kernel, threads, strides):
    height, h_out = bounded(rows, cols, count)
    image = LAYOUTS[strides](random_image((1, height, cols[0], count), "float32"))
    row_axis, col_axis = axis_operator(height, h_out, kernel), axis_operator(*cols, kernel)
    exact = np.stack([col_axis.apply(row_axis.apply(plane, 0), 1) for plane in np.moveaxis(image[0], -1, 0)], -1)
    # 1e-6 of the largest magnitude read times the sum of the absolute weights.
    gain = np.abs(row_axis.weights).sum(1)[:, None] * np.abs(col_axis.weights).sum(1)
    bound = 1e-6 * gain[..., None] * np.abs(image).max()
    for level in LEVELS:
        with native.use_level(level):
            assert (np.abs(native.apply_float(image, row_axis, col_axis, threads)[0] - exact) <= bound).all(), level


@settings(max_examples=80, deadline=None)
@given(axis, axis, channels, st.sampled_from(list(KERNELS)), st.integers(1, 3), st.booleans())
def test_float_is_the_same_at_every_level(rows, cols, count, kernel, threads, odd_values):
    """The sums are added up in one order."""
    height, h_out = bounded(rows, cols, count)
    image = random_image((1 + height % 2, height, cols[0], count), "float32")
    if odd_values:
        places = np.random.default_rng(1).integers(image.size, size=3)
        image.reshape(-1)[places] = np.nan, np.inf, np.float32(3e38)
    axes = axis_operator(height, h_out, kernel), axis_operator(*cols, kernel)
    results = []
    for level in LEVELS:
        with native.use_level(level):
            results.append(native.apply_float(image, *axes, threads))
    for level, result in zip(LEVELS, results, strict=True):
        np.testing.assert_array_equal(result, results[-1], err_msg=level)


@pytest.mark.parametrize("stride", [4096, 12288, 12288 + 64, 6144])
@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("rows", [(160, 56), (101, 9)])
def test_float_rows_that_share_cache_sets(stride, kernel, rows):
    """They are copied by blocks before they are added up; bicubic's weights at the first ratio have zeros inside."""
    room = random_image((rows[0], stride // 4), "float32")
    for count, width in itertools.product((1, 3, 5), (10, 200)):
        view = room[:, : width * count].reshape(rows[0], width, count)[None]
        axes = axis_operator(*rows, kernel), axis_operator(width, 31, kernel)
        results = []
        for level in LEVELS:
            with native.use_level(level):
                results.append(native.apply_float(view, *axes, 1))
        for level, result in zip(LEVELS, results, strict=True):
            np.testing.assert_array_equal(result, results[-1], err_msg=level)


@pytest.mark.parametrize("kernel", PILLOW_KERNELS)
@pytest.mark.parametrize(("n_in", "n_out"), [(640, 224), (224, 640), (300, 299), (2000, 60), (2000, 8), (4000, 7)])
def test_the_worst_pixels_for_uint16(kernel, n_in, n_out):
    """The largest and least pixels where taps, or their low bytes, are positive, and the other way round.

    As far as sums in 32 bits can go; the last two axes have some 500 taps, and more than those sums have room for.
    """
    taps = fixed_taps(n_in, n_out, kernel, sum_exactly=True)
    short = fixed_taps(8, 9, kernel, sum_exactly=True)
    for i in range(0, n_out, max(1, n_out // 12)):
        weights = taps.weights[i]
        low = ((weights + 128) & 255) - 128
        image = np.zeros((1, 8, n_in, 4), np.uint16)
        window = image[:, :, taps.start[i] : taps.start[i] + taps.width]
        for channel, positive in enumerate([weights > 0, weights < 0, low > 0, low < 0]):
            window[..., channel] = 65535 * positive
        assert_parity(image, "apply_fixed", None, taps, False)
        turned = np.ascontiguousarray(image.swapaxes(1, 2))
        assert_parity(turned, "apply_fixed", taps, short, False)
        assert_parity(turned, "apply_fixed", taps, short, True)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_uint16_taps_need_not_sum_to_the_unit(count):
    image = random_image((1, 96, 128, count), "uint16")
    for kernel in PILLOW_KERNELS:
        taps = [fixed_taps(*pair, kernel, sum_exactly=False) for pair in [(96, 40), (128, 50)]]
        for lost in (0, 1 << 12, 1 << 20):
            less = [replace(one, weights=one.weights - lost * (one.weights > lost)) for one in taps]
            assert_parity(image, "apply_fixed", *less, False)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("size", [(40, 30), (23, 17), (60, 75)])
def test_not_a_number_stays_within_its_support(level, kernel, size):
    image = random_image((1, 40, 30, 2), "float32")
    clean = image.copy()
    bad = [(0, 3, 5, 0), (0, 20, 29, 1), (0, 39, 0, 0)]
    for place, value in zip(bad, [np.nan, np.inf, -np.inf], strict=True):
        image[place] = value
    rows, cols = axis_operator(40, size[0], kernel), axis_operator(30, size[1], kernel)
    reached = np.zeros((*size, 2), bool)
    for _, y, x, c in bad:
        reached[..., c] |= np.outer(rows.dense()[:, y] != 0, cols.dense()[:, x] != 0)
    with native.use_level(level):
        result, untouched = native.apply_float(image, rows, cols, 1)[0], native.apply_float(clean, rows, cols, 1)[0]
    np.testing.assert_array_equal(~np.isfinite(result), reached)
    np.testing.assert_array_equal(result[~reached], untouched[~reached])


def test_float_overflow_is_infinite_as_in_the_reference():
    image = np.full((1, 8, 8, 1), np.finfo(np.float32).max, np.float32)
    image[0, ::2] *= -1
    axis = axis_operator(8, 12, "bicubic")
    expected = reference.apply_float(image, axis, axis)
    assert np.isinf(expected).any()
    for level in LEVELS:
        with native.use_level(level):
            np.testing.assert_array_equal(native.apply_float(image, axis, axis, 1), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kernel", ["area", "bicubic"])
def test_any_strides_give_the_same_bytes_and_are_not_written_to(dtype, kernel):
    image = random_image((2, 60, 90, 3), dtype)
    for level in LEVELS:
        with native.use_level(level):
            expected = resize(image, (32, 40), kernel=kernel)
            for name, layout in LAYOUTS.items():
                view = layout(image)
                np.testing.assert_array_equal(resize(view, (32, 40), kernel=kernel), expected, err_msg=name)
                np.testing.assert_array_equal(view, image, err_msg=name)
    np.testing.assert_array_equal(np.broadcast_to(image[:, :1], image.shape)[:, 5], image[:, 0])
    constant = np.broadcast_to(image[:, :1], image.shape)  # a row stride of 0
    np.testing.assert_array_equal(resize(constant, (32, 40)), resize(constant.copy(), (32, 40)))


COPIED = {"contiguous", "every other row", "unaligned", "read-only"}


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - COPIED))
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_view_is_read_where_it_lies(name, dtype, monkeypatch):
    """Nothing is copied but the result."""
    image = random_image((1, 640, 480, 3), dtype)
    axes = area_taps(640, 64), area_taps(480, 48)
    copied = []
    contiguous = native._contiguous
    monkeypatch.setattr(native, "_contiguous", lambda one: copied.append(one.size) or contiguous(one))
    view = LAYOUTS[name](image)
    assert view.flags.c_contiguous is False
    np.testing.assert_array_equal(native.apply_area(view, *axes), reference.apply_area(image, *axes))
    assert copied in ([], [64 * 48 * 3])


def test_channels_that_may_not_be_there_are_not_read():
    """The last pixel's fourth byte lies behind what may be read: a page without access, where there are such."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    whole = np.frombuffer(memory, np.uint8)
    assert protect(start + page, page, 0) == 0
    size = page // 64 // 4  # columns of 64 rows
    whole[:page] = np.random.default_rng(0).integers(0, 256, page, np.uint8)
    strides = (page, size * 4, 4, 1)
    image = np.ndarray((1, 64, size, 3), np.uint8, buffer=memory, offset=1, strides=strides)
    narrow = np.ndarray((1, 64, 64, 3), np.uint8, buffer=memory, offset=page - 64 * 4 + 1, strides=(0, 0, 4, 1))
    for view in (image, image[:, ::-1], image[:, :, ::-1], narrow, image[..., :1], image[..., 1:]):
        height, width = view.shape[1:3]
        for n_out in (8, 90):
            assert_parity(view, "apply_area", area_taps(height, n_out), area_taps(width, 7))
        bilinear = (
            fixed_taps(height, 8, "bilinear", sum_exactly=False),
            fixed_taps(width, 9, "bilinear", sum_exactly=False),
        )
        assert_parity(view, "apply_fixed", *bilinear, False)


def test_arrange_refuses_what_it_cannot_copy():
    image = np.zeros((1, 4, 4, 3), np.uint8)
    for other in (image[0], image[:, :3], image.astype(np.uint16)):
        with pytest.raises(ValueError, match="of the same shape and dtype"):
            native.arrange(image, np.ascontiguousarray(other), native.level())


@pytest.mark.parametrize("width", [1, 2, 3, 17, 70])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_arrange_copies_every_order(width, channels, dtype):
    room = random_image((2, 3, 6 * width + 2, channels + 2), dtype)
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(room, 3, 1)), 1, 3)
    turned = np.ascontiguousarray(room.swapaxes(1, 2)).swapaxes(1, 2)
    orders = itertools.product((room, planes, turned), (1, -1, 2, 3, 4, 6), (1, -1), (0, 1))
    for (image, step, order, left_out), level in itertools.product(orders, LEVELS):
        view = image[:, ::-1, 1:-1, 1 - left_out : channels + 1][:, :, ::step, ::order]
        out = np.zeros(view.shape, dtype)
        native.arrange(view, out, level)
        np.testing.assert_array_equal(out, view, err_msg=f"step {step}, {order}, {level}")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_place_is_the_reference(dtype, channels):
    rng = np.random.default_rng(channels)
    for layout in ("contiguous", "a crop", "bottom up", "planar", "right to left"):
        image = random_image((2, 20, 30, channels), dtype)
        rows, cols = (np.sort(rng.choice(n, k, replace=False)) for n, k in ((20, 7), (30, 30)))
        values = random_image((2, 7, 30, channels), dtype, seed=1)
        placed, expected = LAYOUTS[layout](image).copy("K"), image.copy()
        native.place(values, placed, rows, cols)
        reference.place(values, expected, rows, cols)
        np.testing.assert_array_equal(placed, expected, err_msg=layout)


def test_place_refuses_indices_outside():
    values, out = np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 4, 5, 3), np.uint8)
    good = np.array([1, 3], np.int32)
    for rows, cols in (([-1, 0], good), ([0, 4], good), (good, [0, 5]), (good, [1]), ([0, 1, 2], good)):
        with pytest.raises(ValueError, match="indices inside"):
            native.place(values, out, np.array(rows, np.int32), np.array(cols, np.int32))
    for wrong in (out[..., :2].copy(), out.astype(np.uint16), np.concatenate([out, out])):
        with pytest.raises(ValueError, match="of the same item"):
            native.place(values, wrong, good, good)
    assert not out.any()


@pytest.mark.skipif(backend() == "reference", reason="resize() runs the numpy reference")
def test_different_implementations_run():
    """One for every kind and dtype and level, so that the parity tests compare what they say they compare."""
    ran: dict[str, set[str]] = {}
    for level, dtype, kernel in itertools.product(LEVELS, ["uint8", "uint16", "float32"], ["area", "bicubic"]):
        before = native.runs()
        with native.use_level(level):
            resize(random_image((96, 128, 3), dtype), (40, 50), kernel=kernel)
        [name] = [name for name, count in native.runs().items() if count != before[name]]
        ran.setdefault(f"{dtype} {kernel}", set()).add(name)
    # AVX-512 has no bodies of its own for these: AVX2's run.
    shared = {"uint16 bicubic", "float32 area", "float32 bicubic"} if "avx512" in LEVELS else set()
    for case, names in ran.items():
        assert len(names) == len(LEVELS) - (case in shared), (case, names)


@pytest.mark.parametrize("level", LEVELS)
def test_a_wrong_kernel_is_noticed(level, monkeypatch):
    """The parity tests can fail: one unit of weight moved from one tap to another, in the C core alone, shows."""

    def corrupted(taps: Taps) -> Taps:
        weights = taps.weights.copy()
        first, last = weights[7].nonzero()[0][[0, -1]]
        step = 1 if taps.unit < 1 << 22 else 1 << 16
        weights[7, first] -= step
        weights[7, last] += step
        return replace(taps, weights=weights)

    cases = [
        (dtype, *case)
        for dtype in ("uint8", "uint16")
        for case in (
            ("apply_area", area_taps(96, 40), area_taps(128, 50)),
            (
                "apply_fixed",
                *(fixed_taps(*pair, "bilinear", sum_exactly=dtype == "uint16") for pair in [(96, 40), (128, 50)]),
                False,
            ),
        )
    ]
    monkeypatch.setattr(sys.modules[__name__], "LEVELS", [level])
    right = native._axis
    for dtype, function, rows, cols, *rest in cases:
        image = random_image((1, 96, 128, 3), dtype)
        native._resizer.cache_clear()
        assert_parity(image, function, rows, cols, *rest)
        native._resizer.cache_clear()
        monkeypatch.setattr(native, "_axis", lambda taps, cols=cols: right(corrupted(taps) if taps is cols else taps))
        with pytest.raises(AssertionError, match="Mismatched elements"):
            assert_parity(image, function, rows, cols, *rest)
        monkeypatch.setattr(native, "_axis", right)
        native._resizer.cache_clear()


def test_large_divisors_leave_int32():
    """Prime sizes: the products of weights pass 2^24, 2^31 and 2^32."""
    for n_in, n_out in [(2999, 211), (4093, 64), (5003, 7)]:
        image = random_image((1, 61, n_in, 1), "uint8")
        assert_parity(image, "apply_area", area_taps(61, 59), area_taps(n_in, n_out))
        tall = np.ascontiguousarray(image.transpose(0, 2, 1, 3))
        assert_parity(tall, "apply_area", area_taps(n_in, n_out), area_taps(61, 59))
    image = random_image((1, 2003, 2011, 1), "uint8")
    assert_parity(image, "apply_area", area_taps(2003, 13), area_taps(2011, 17))
    assert_parity(image.astype(np.uint16) * 257, "apply_area", area_taps(2003, 13), area_taps(2011, 17))


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512", "neon", "mmx"])
def test_the_environment_forces_a_level(level):
    code = "from secure_resize.core import native; print(native.level())"
    environment = {**os.environ, "SECURE_RESIZE_SIMD": level}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if level in LEVELS:
        assert done.stdout.strip() == level
    else:
        assert done.returncode != 0
        assert "ImportError" in done.stderr
        assert level in done.stderr
        assert ", ".join(LEVELS) in done.stderr


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match=r"'mmx'.*portable"), native.use_level("mmx"):
        pass
    with pytest.raises(ValueError, match=r"'mmx'.*portable"):
        native._resizer("area", area_taps(8, 4), area_taps(8, 4), False, 3, 1, 3, 1, "mmx")


BAD_AXES = {
    "start before the axis": (8, 2, 4, np.array([-1, 4], np.int32), np.ones((2, 4), np.int32)),
    "taps past the axis": (8, 2, 4, np.array([0, 5], np.int32), np.ones((2, 4), np.int32)),
    "descending": (8, 2, 4, np.array([4, 0], np.int32), np.ones((2, 4), np.int32)),
    "a wrong sum": (8, 2, 5, np.array([0, 4], np.int32), np.ones((2, 4), np.int32)),
    "negative": (8, 1, 2, np.array([0], np.int32), np.array([[3, -1]], np.int32)),
    "unequal inside": (8, 1, 6, np.array([0], np.int32), np.array([[1, 1, 2, 2]], np.int32)),
    "no weight": (8, 1, 0, np.array([0], np.int32), np.zeros((1, 4), np.int32)),
    "too few numbers": (8, 2, 4, np.array([0], np.int32), np.ones((2, 4), np.int32)),
    "too wide": (3, 1, 4, np.array([0], np.int32), np.ones((1, 4), np.int32)),
    "too long": (1 << 21, 1, 1, np.array([0], np.int32), np.ones((1, 1), np.int32)),
}


@pytest.mark.parametrize("case", BAD_AXES)
def test_invalid_tables_are_refused(case):
    good = native._axis(area_taps(8, 2))
    for rows, cols in [(BAD_AXES[case], good), (good, BAD_AXES[case])]:
        with pytest.raises(ValueError, match=r"weights|start"):
            _native.resizer("area", rows, cols, False, 1, 1, 1, 1, native.level())


def test_invalid_calls_are_refused():
    good = native._axis(area_taps(8, 2))
    resizer = _native.resizer("area", good, good, False, 3, 1, 3, 1, native.level())
    image, out = np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 2, 2, 3), np.uint8)
    _native.run(resizer, image, out, 1, False)
    for wrong_image, wrong_out in [
        (image[:, :7], out),
        (image[:, :, :7], out),
        (image[..., :2], out),
        (image.astype(np.uint16), out),
        (image[0], out),
        (image[:, :, ::-1], out),
        (image, out[:, :1]),
        (image, np.zeros((2, 2, 2, 3), np.uint8)),
        (image, out.astype(np.uint16)),
    ]:
        with pytest.raises(ValueError, match="contiguous"):
            _native.run(resizer, wrong_image, wrong_out, 1, False)
    with pytest.raises((ValueError, BufferError)):
        _native.run(resizer, image, np.frombuffer(bytes(12), np.uint8).reshape(out.shape), 1, False)
    with pytest.raises(ValueError, match="num_threads"):
        _native.run(resizer, image, out, 0, False)
    with pytest.raises(ValueError, match="kind"):
        _native.resizer("cubic", good, good, False, 3, 1, 3, 1, native.level())
    with pytest.raises(ValueError, match="channels"):
        _native.resizer("area", good, good, False, 0, 1, 0, 1, native.level())
    with pytest.raises(TypeError):
        _native.Resizer()
    with pytest.raises(TypeError):
        _native.run(None, image, out, 1, False)


def test_no_images():
    assert native.apply_area(np.empty((0, 8, 8, 3), np.uint8), area_taps(8, 2), area_taps(8, 2)).shape == (0, 2, 2, 3)


def test_fuzz_briefly():
    native_fuzz.fuzz(3000, 0)
    native_fuzz.fuzz_select(1500, 0)


# Allocation failures


@pytest.mark.skipif(not hasattr(_native, "fail_allocation"), reason="needs a build with -DSECURE_RESIZE_TEST_HOOKS=ON")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("area", "uint8"), ("area", "uint16"), ("fixed", "uint8"), ("fixed", "uint16"), ("float", "float32")],
)
def test_every_allocation_may_fail(level, kind, dtype):
    image = random_image((1, 96, 128, 3), dtype)
    out = np.empty((1, 40, 50, 3), dtype)
    if kind == "float":
        rows, cols = (native._axis(axis_operator(*pair, "bicubic")) for pair in [(96, 40), (128, 50)])
    elif kind == "area":
        rows, cols = (native._axis(area_taps(*pair)) for pair in [(96, 40), (128, 50)])
    else:
        rows, cols = (native._axis(fixed_taps(*p, "bicubic", sum_exactly=False)) for p in [(96, 40), (128, 50)])
    live = _native.fail_allocation(-1)

    def attempt(after: int) -> bool:
        """Whether resizer and run succeed when the allocation after so many more fails."""
        _native.fail_allocation(after)
        try:
            item = image.itemsize
            resizer = _native.resizer(kind, rows, cols, False, 3, item, image.strides[2], image.strides[3], level)
            _native.run(resizer, image, out, 3, True)
        except MemoryError:
            return False
        finally:
            _native.fail_allocation(-1)
        return True

    failures = 0
    while not attempt(failures):
        assert _native.fail_allocation(-1) == live, "an allocation was not released"
        failures += 1
    assert failures >= 8  # the resizer, both axes' tables and the scratch memory at least
    assert _native.fail_allocation(-1) == live
