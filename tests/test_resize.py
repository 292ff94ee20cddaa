"""resize() against Pillow, against a float64 mean, and on bad input."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image, __version__ as pillow_version

import secure_resize as sr
from secure_resize.scaling import MAX_AXIS, PASS_ORDERS, resize_unchecked

PILLOW = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
PILLOW_ORDER = "pillow13" if int(pillow_version.split(".")[0]) >= 13 else "pillow12"
sizes = st.one_of(st.integers(1, 20), st.integers(1, 400))
size_pairs = st.tuples(sizes, sizes, sizes, sizes)


def noise(*shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng([seed, *shape])
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def through_pillow(image, size, kernel):
    return np.asarray(Image.fromarray(image).resize(size[::-1], PILLOW[kernel]))


def overlap_matrix(n_in, n_out):
    """The mean over each output's footprint, written out: float64 (n_out, n_in), another way than the package does."""
    edges = np.arange(n_out + 1) * (n_in / n_out)
    pixel = np.arange(n_in)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(covered, 0) * (n_out / n_in)


def exact_area(image, size):
    rows, cols = overlap_matrix(image.shape[0], size[0]), overlap_matrix(image.shape[1], size[1])
    return np.einsum("hH,HW...,wW->hw...", rows, image.astype(float), cols, optimize=True)


def test_every_kernel_but_area_is_pillows():
    assert set(sr.KERNELS) == {*PILLOW, "area"}


@pytest.mark.parametrize("kernel", PILLOW)
@settings(deadline=None, max_examples=250)
@given(pair=size_pairs, channels=st.sampled_from([None, 3]))
@example(pair=(1, 300, 7, 1), channels=3)
@example(pair=(300, 1, 1, 300), channels=3)
@example(pair=(1, 1, 20, 20), channels=None)
def test_bytes_of_pillow_on_noise(kernel, pair, channels):
    image = noise(*pair[:2], *([channels] if channels else []))
    assert np.array_equal(
        resize_unchecked(image, pair[2:], kernel=kernel, pass_order=PILLOW_ORDER),
        through_pillow(image, pair[2:], kernel),
    )


@pytest.mark.parametrize("kernel", PILLOW)
def test_bytes_of_pillow_on_photographs(photos, kernel):
    """Ten crops of every photograph, each to another size: 290 size pairs a kernel."""
    rng = np.random.default_rng(7)
    for name, photo in photos.items():
        image = photo[..., 0] if photo.ndim == 3 and photo.shape[2] == 2 else photo  # alpha: test_torchvision.py
        for _ in range(10):
            top, left = rng.integers(0, image.shape[:2])
            height, width = (int(rng.integers(1, rng.choice([8, 64, 500]))) for _ in range(2))
            crop = np.ascontiguousarray(image[top : top + 600, left : left + 600])
            ours = resize_unchecked(crop, (height, width), kernel=kernel, pass_order=PILLOW_ORDER)
            pillows = through_pillow(crop, (height, width), kernel)
            assert np.array_equal(ours, pillows), (name, crop.shape, height, width)


def test_pass_orders_differ_where_pillow_13_changed_its_own():
    # The two rules disagree where the height shrinks by more than twice what the width does.
    image = noise(900, 64, 3)
    thirteen, twelve = (sr.resize(image, (50, 40), kernel="bicubic", pass_order=order) for order in PASS_ORDERS)
    assert not np.array_equal(thirteen, twelve)
    # Horizontal first, as two calls with one axis each: what Pillow 12 does.
    by_hand = sr.resize(sr.resize(image, (900, 40), kernel="bicubic"), (50, 40), kernel="bicubic")
    assert np.array_equal(twelve, by_hand)


@settings(deadline=None, max_examples=300)
@given(pair=size_pairs)
@example(pair=(1, 300, 7, 1))
@example(pair=(512, 511, 1, 510))
@example(pair=(3, 5, 400, 399))
def test_area_is_the_rounded_mean(pair):
    image = noise(*pair[:2], 3)
    error = np.abs(sr.resize(image, pair[2:]) - exact_area(image, pair[2:]))
    assert error.max() <= 0.5 + 1e-9  # the promise is 0.51; the mean is correctly rounded up to float64's error here


def test_area_on_photographs(photos):
    for name, photo in photos.items():
        error = np.abs(sr.resize(photo, (150, 211)) - exact_area(photo, (150, 211)))
        assert error.max() <= 0.5 + 1e-9, name


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("kernel", sr.KERNELS)
@settings(deadline=None, max_examples=40)
@given(pair=size_pairs, data=st.data())
def test_constants_stay_constant(kernel, dtype, pair, data):
    level = data.draw(st.integers(0, np.iinfo(dtype).max) if dtype != np.float32 else st.integers(-1000, 1000))
    out = resize_unchecked(np.full(pair[:2], level, dtype), pair[2:], kernel=kernel)
    assert out.dtype == dtype
    if dtype == np.float32:
        # 10⁻⁶ of the magnitude, times Σ|w|, which stays below 2 for both passes together
        assert np.abs(out - level).max() <= 2e-6 * abs(level)
    else:
        assert (out == level).all()


def one_pass_uint16(image, n_out, kernel):
    """The definition of a uint16 pass over axis 0, in plain int64: 22-bit taps that sum to 2²², rounded, clipped."""
    exact = sr.axis_operator(len(image), n_out, kernel).dense() * 2**22
    taps = np.trunc(exact + np.copysign(0.5, exact)).astype(np.int64)
    taps[np.arange(n_out), np.abs(taps).argmax(axis=1)] += 2**22 - taps.sum(axis=1)
    return np.clip((taps @ image.astype(np.int64) + 2**21) >> 22, 0, 65535)


@pytest.mark.parametrize("kernel", PILLOW)
@settings(deadline=None, max_examples=60)
@given(pair=size_pairs)
def test_uint16_by_its_definition(kernel, pair):
    image = noise(*pair[:2], dtype=np.uint16)
    expected = image
    for axis in (0, 1) if PASS_ORDERS["pillow13"](*pair) else (1, 0):
        if expected.shape[axis] != pair[2 + axis]:
            expected = np.moveaxis(one_pass_uint16(np.moveaxis(expected, axis, 0), pair[2 + axis], kernel), 0, axis)
    assert np.array_equal(resize_unchecked(image, pair[2:], kernel=kernel), expected)


@settings(deadline=None, max_examples=60)
@given(pair=size_pairs)
def test_uint16_area_is_the_rounded_mean(pair):
    image = noise(*pair[:2], dtype=np.uint16)
    assert np.abs(sr.resize(image, pair[2:]) - exact_area(image, pair[2:])).max() <= 0.5 + 1e-7  # float64's error here


@pytest.mark.parametrize("kernel", sr.KERNELS)
@settings(deadline=None, max_examples=40)
@given(pair=size_pairs)
def test_float32_within_its_bound(kernel, pair):
    image = noise(*pair[:2], dtype=np.float32)
    operator = sr.scaling_operator(pair[:2], pair[2:], kernel)
    spread = np.prod([np.abs(axis.weights).sum(axis=1).max() for axis in (operator.rows, operator.cols)])
    error = np.abs(resize_unchecked(image, pair[2:], kernel=kernel) - operator.apply(image))
    assert error.max() <= 1e-6 * spread * np.abs(image).max()


@pytest.mark.parametrize("kernel", sr.KERNELS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_pixels_reach_only_the_outputs_that_read_them(kernel, value):
    image = noise(60, 50, dtype=np.float32)
    clean = resize_unchecked(image, (17, 23), kernel=kernel)
    image[31, 20] = value
    out = resize_unchecked(image, (17, 23), kernel=kernel)
    operator = sr.scaling_operator((60, 50), (17, 23), kernel)
    touched = (operator.rows.dense()[:, 31] != 0)[:, None] & (operator.cols.dense()[:, 20] != 0)
    assert touched.any()
    assert not np.isfinite(out[touched]).any()
    np.testing.assert_allclose(out[~touched], clean[~touched], rtol=0, atol=5e-6)  # two roundings of float32


@pytest.mark.parametrize("kernel", sr.KERNELS)
@pytest.mark.parametrize("size", [(60, 50), (180, 50), (20, 150)])
def test_a_kernels_zeros_are_not_read(kernel, size):
    """Where a kernel meets pixels at its zeros (equal sizes, odd multiples), a NaN there does not spread."""
    image = noise(60, 50, dtype=np.float32)
    image[31, 20] = math.nan
    exact = sr.scaling_operator((60, 50), size, kernel)
    rows, cols = (np.abs(axis.dense()) > 1e-9 for axis in (exact.rows, exact.cols))
    expected = rows[:, 31, None] & cols[:, 20]
    assert np.array_equal(np.isnan(resize_unchecked(image, size, kernel=kernel)), expected)
    if size == (60, 50):
        assert expected.sum() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("kernel", sr.KERNELS)
def test_layouts_do_not_matter(kernel, dtype):
    image = noise(60, 50, 3, dtype=dtype)
    before = image.copy()
    expected = resize_unchecked(image, (23, 31), kernel=kernel)
    padded = np.zeros((60, 57, 4), dtype)
    padded[:, 4:54, :3] = image
    readonly = image.copy()
    readonly.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + image.tobytes(), np.uint8)[1:].view(dtype).reshape(image.shape)
    layouts = {
        "big-endian": image.astype(image.dtype.newbyteorder(">")),
        "little-endian": image.astype(image.dtype.newbyteorder("<")),
        "read-only": readonly,
        "negative strides": image[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "Fortran order": np.asfortranarray(image),
        "channels first in memory": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        "a window of a larger image": padded[:, 4:54, :3],
        "every other pixel": np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)[::2, ::2],
        "unaligned": unaligned,
    }
    for name, layout in layouts.items():
        out = resize_unchecked(layout, (23, 31), kernel=kernel)
        assert np.array_equal(out, expected), name
        assert out.dtype == dtype
        assert out.flags.c_contiguous
        assert out.flags.writeable
    planes = [resize_unchecked(image[..., channel], (23, 31), kernel=kernel) for channel in range(3)]
    if dtype == np.float32:  # float sums may be grouped by layout: the bound of resize, 10⁻⁶ of the magnitude, twice
        np.testing.assert_allclose(np.stack(planes, axis=-1), expected, rtol=0, atol=2e-6 * 2 * np.abs(image).max())
    else:
        assert np.array_equal(np.stack(planes, axis=-1), expected)
    broadcast = np.broadcast_to(image, (4, *image.shape))
    assert np.array_equal(resize_unchecked(broadcast, (23, 31), kernel=kernel), np.stack([expected] * 4))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 1), (7, 9, 4), (7, 9, 13), (2, 7, 9, 3), (0, 7, 9, 3)])
def test_rank_is_kept(shape, dtype):
    out = sr.resize(noise(*shape, dtype=dtype), (5, 4))
    height_axis = max(len(shape) - 3, 0)
    assert out.shape == (*shape[:height_axis], 5, 4, *shape[height_axis + 2 :])
    assert out.dtype == dtype


@pytest.mark.parametrize("kernel", sr.KERNELS)
def test_the_same_size_is_an_equal_copy(kernel):
    image = noise(20, 30, 3)
    out = sr.resize(image, (20, 30), kernel=kernel)
    assert np.array_equal(out, image)
    assert not np.shares_memory(out, image)


def test_threads_do_not_matter():
    image = noise(300, 400, 3)
    for kernel in sr.KERNELS:
        one, four = (resize_unchecked(image, (99, 77), kernel=kernel, num_threads=n) for n in (1, 4))
        assert np.array_equal(one, four)


GOOD = np.zeros((4, 4, 3), np.uint8)


class Grid(list):
    """Not an array, although it has a length."""


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros(4, np.uint8), ValueError, r"\(H, W\).*got \(4,\)"),
        (np.zeros((1,) * 5, np.uint8), ValueError, r"\(N, H, W, C\).*got \(1, 1, 1, 1, 1\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "empty.*0, 4, 3"),
        (np.zeros((4, 0), np.uint8), ValueError, "empty"),
        (np.zeros((4, 4, 0), np.uint8), ValueError, "empty"),
        (np.zeros((4, 4), bool), TypeError, "uint8, uint16, float32, got bool"),
        (np.zeros((4, 4), np.int64), TypeError, "got int64"),
        (np.zeros((4, 4), np.int8), TypeError, "got int8"),
        (np.zeros((4, 4), np.float64), TypeError, "got float64"),
        (np.zeros((4, 4), np.complex64), TypeError, "got complex64"),
        (np.zeros((4, 4), object), TypeError, "got object"),
        (np.zeros((4, 4), "S3"), TypeError, r"got \|S3"),
        (np.ma.masked_array(GOOD), TypeError, "MaskedArray"),
        (GOOD.tolist(), TypeError, "got list"),
        (Grid(), TypeError, "got Grid"),
        (None, TypeError, "got NoneType"),
        (Image.fromarray(GOOD), TypeError, "got Image"),
        (np.broadcast_to(np.uint8(0), (MAX_AXIS + 1, 1)), ValueError, "too large"),
        (np.broadcast_to(np.uint8(0), (1 << 16, 1 << 16)), ValueError, "too large"),
    ],
)
def test_bad_images(image, error, message):
    with pytest.raises(error, match=message):
        sr.resize(image, (2, 2))


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        ((0, 4), ValueError, "height must lie between 1 and 1048576, got 0"),
        ((4, 0), ValueError, "width .* got 0"),
        ((-1, 4), ValueError, "got -1"),
        ((4, 10**30), ValueError, "between 1 and"),
        ((MAX_AXIS, MAX_AXIS), ValueError, "pixels; at most"),
        ((4.0, 4), TypeError, r"height must be a whole number, got 4.0 \(float\)"),
        ((4, math.nan), TypeError, "got nan"),
        ((math.inf, 4), TypeError, "got inf"),
        ((True, 4), TypeError, r"got True \(bool\)"),
        ((4, np.True_), TypeError, "whole number"),
        (("4", 4), TypeError, r"got '4' \(str\)"),
        ((4, None), TypeError, "got None"),
        (4, TypeError, r"pair of whole numbers \(height, width\), got 4"),
        (None, TypeError, "pair"),
        ("44", TypeError, "pair"),
        ((4,), TypeError, "pair"),
        ((4, 4, 3), TypeError, "pair"),
    ],
)
def test_bad_sizes(size, error, message):
    with pytest.raises(error, match=message):
        sr.resize(GOOD, size)


@pytest.mark.parametrize("size", [[2, 3], np.array([2, 3]), (np.int64(2), np.uint8(3))])
def test_sizes_of_any_integer_type(size):
    assert sr.resize(GOOD, size).shape == (2, 3, 3)


@pytest.mark.parametrize("kernel", ["nearest", "cubic", "AREA", "", None, 3, ["area"]])
def test_unknown_kernels(kernel):
    with pytest.raises(ValueError, match="valid kernels: area, box, bilinear"):
        sr.resize(GOOD, (2, 2), kernel=kernel)


def test_nearest_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="image-scaling attack controls it completely"):
        sr.resize(GOOD, (2, 2), kernel="nearest")


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("pass_order", "pillow14", ValueError, "valid: pillow13, pillow12"),
        ("num_threads", 0, ValueError, "between 1"),
        ("num_threads", 1.5, TypeError, "whole number"),
        ("num_threads", True, TypeError, "bool"),
    ],
)
def test_bad_options(argument, value, error, message):
    with pytest.raises(error, match=message):
        sr.resize(GOOD, (2, 2), **{argument: value})


# Refused: what would sample after all, and what the caller did not mean.


@pytest.mark.parametrize(
    ("in_size", "size", "refused"),
    [
        ((432, 432), (224, 224), True),  # 5.7 dB: 5.4 % of the pixels have no weight
        ((400, 400), (224, 224), True),
        ((400, 100), (224, 100), True),
        ((400, 400), (200, 100), False),
        ((448, 448), (224, 224), False),
        ((4001, 4000), (224, 224), False),  # seventeen pixels here and eighteen there
        ((13, 6), (6, 6), True),  # 0.35 dB, but a row that two footprints meet on belongs to neither
        ((1, 261), (1, 14), False),  # one pixel belongs to two footprints: 0.15 dB
        ((100, 100), (200, 300), False),
        ((224, 224), (224, 224), False),
    ],
)
def test_box_is_refused_where_it_leaves_pixels_out(in_size, size, refused):
    """And nowhere else: by the stealth gain of its matrices, computed another way than resize does."""
    operator = sr.scaling_operator(in_size, size, "box")
    read = operator.rows.read().all() and operator.cols.read().all()
    assert (sr.exposure(operator).stealth_gain_db >= 1 or not read) == refused
    image = noise(*in_size)
    for dtype in (np.uint8, np.uint16, np.float32):
        if refused:
            with pytest.raises(ValueError, match=r"'box'.*dB of stealth gain.*use kernel='area'"):
                sr.resize(image.astype(dtype), size, kernel="box")
        else:
            assert sr.resize(image.astype(dtype), size, kernel="box").shape == size


@settings(deadline=None, max_examples=200)
@given(pair=size_pairs)
def test_what_box_is_let_through_reads_all_and_has_less_than_a_decibel(pair):
    operator = sr.scaling_operator(pair[:2], pair[2:], "box")
    gain, read = sr.exposure(operator).stealth_gain_db, operator.rows.read().all() and operator.cols.read().all()
    try:
        sr.resize(np.zeros(pair[:2], np.uint8), pair[2:], kernel="box")
    except ValueError:
        assert gain >= 1 - 1e-9 or not read
    else:
        assert gain < 1
        assert read


def test_box_stays_a_scaler_to_audit():
    from secure_resize.measure.scalers import SCALERS

    image = noise(432, 432, 3)
    assert np.array_equal(
        SCALERS["secure_resize:box"](image, (224, 224)), resize_unchecked(image, (224, 224), kernel="box")
    )
    inverted = image.copy()
    unread = ~sr.axis_operator(432, 224, "box").read()
    assert unread.sum() == 12
    inverted[unread] = 255 - inverted[unread]
    assert np.array_equal(
        resize_unchecked(inverted, (224, 224), kernel="box"), resize_unchecked(image, (224, 224), kernel="box")
    )


@pytest.mark.parametrize("shape", [(3, 500, 400), (1, 9, 5), (4, 8, 8)])
@pytest.mark.parametrize("resize", [sr.resize, lambda image, size: sr.reconstruct(image, size, scaler="opencv:linear")])
def test_channels_first_is_refused(shape, resize):
    with pytest.raises(ValueError, match=r"layout \(C, H, W\).*must be \(H, W, C\): np.moveaxis\(image, 0, -1\)"):
        resize(np.zeros(shape, np.uint8), (8, 8))


@pytest.mark.parametrize("shape", [(3, 500, 4), (3, 3, 3), (2, 9, 5), (1, 9, 1), (3, 500), (3, 9, 8, 8)])
def test_what_may_be_channels_last_is_resized(shape):
    assert sr.resize(np.zeros(shape, np.uint8), (2, 2)).ndim == len(shape)


@pytest.mark.parametrize("argument", ["interpolation", "resample", "antialias"])
def test_arguments_of_other_libraries(argument):
    with pytest.raises(TypeError, match=rf"'{argument}'; valid: kernel= \(one of area, .*lanczos\)"):
        sr.resize(GOOD, (2, 2), **{argument: "bicubic"})
