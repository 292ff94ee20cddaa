"""The tables that the C extension is given are safe to index and sum to what they promise."""

from __future__ import annotations

import shutil

import exhaustive_index_proof as proof
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from secure_resize.core import reference
from secure_resize.core.kernels import KERNELS, Kernel
from secure_resize.core.taps import area_taps, fixed_taps

pytestmark = pytest.mark.once

sizes = st.integers(1, 2048)


@pytest.fixture(scope="module")
def compiled():
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    return proof.Checker


@pytest.fixture(scope="module")
def checker(compiled):
    return compiled()


def assert_tables_are_the_packages(checker, kernel, n_in, n_out):
    start, for_uint8, for_uint16 = checker.tables(kernel, n_in, n_out)
    for sum_exactly, weights in ((False, for_uint8), (True, for_uint16)):
        if KERNELS[kernel].integrated:
            taps = area_taps.__wrapped__(n_in, n_out)
        else:
            taps = fixed_taps.__wrapped__(n_in, n_out, kernel, sum_exactly=sum_exactly)
        np.testing.assert_array_equal(start, taps.start)
        np.testing.assert_array_equal(weights, taps.weights)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", list(KERNELS))
@settings(max_examples=100, deadline=None)
@given(n_in=sizes, n_out=sizes)
def test_the_proof_is_about_the_tables(checker, kernel, n_in, n_out):
    """What the C of the proof makes is what the core is given, to the last bit of every tap."""
    assert_tables_are_the_packages(checker, kernel, n_in, n_out)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_the_proof_is_about_all_small_tables(checker, kernel):
    for n_in in range(1, 33):
        for n_out in range(1, 33):
            assert_tables_are_the_packages(checker, kernel, n_in, n_out)


def test_small_tables_and_some_large_ones_are_right(checker):
    """Every n_in, n_out up to 96; .ci/run proves all up to 2048."""
    checker.prove(range(1, 97), 96)
    checker.prove([1999, 2048], 256)


def broken(name, function):
    return {"broken": Kernel("broken", KERNELS[name].support, function)}


def test_a_kernel_without_a_sum_is_noticed(compiled):
    """Weights that cancel: their quotients are infinite or no numbers."""
    antisymmetric = broken("bilinear", lambda x, xp=np: xp.where(x < 0.0, -1.0, 1.0))
    with pytest.raises(AssertionError, match="no number"):
        compiled(antisymmetric).prove([16], 16)


def test_a_kernel_of_large_lobes_is_noticed(compiled):
    """Absolute weights that sum to more than 2: 255 times as much leaves int32."""
    ringing = broken("bicubic", lambda x, xp=np: xp.where(xp.abs(x) < 0.75, 1.0, -0.2))
    with pytest.raises(AssertionError, match="leave int32"):
        compiled(ringing).prove([16], 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # taps.py's rounding of positions, its padding of rows at the end, its sums, and its rounding to integers.
        ("center[i] + reach + 0.5), n_in)", "center[i] - reach + 0.5), n_in)", "without taps"),
        ("(int32_t)(center[i] + reach + 0.5), n_in", "(int32_t)(center[i] + reach + 1.5), n_in + 1", "more taps than"),
        ("start[i] = least(first[i], n_in - width)", "start[i] = first[i]", "past the axis"),
        ("start[i] = least(first[i], n_in - width)", "start[i] = first[i] - 1", "before the axis"),
        ("start[i] = least(first[i], n_in - width)", "start[i] = most(n_in - width - first[i], 0)", "stored"),
        ("scaled += scaled < 0.0 ? -0.5 : 0.5;", "scaled = scaled * 0.998;", "constant uint8 image"),
        ("tap + (UNIT - total[l]) : tap;\n", "tap : tap;\n", "for uint16"),
        ("taken[l] |= takes;", "", "for uint16"),
        ("!find_split(row, width, &split)", "true", "cannot split"),
        ("most(least(pixel + small, right) - most(pixel, left), 0)", "least(small, right - pixel)", "of area"),
    ],
)
def test_a_broken_table_is_noticed(compiled, old, new, message):
    kernels = {name: KERNELS[name] for name in ("bilinear", "area")}
    with pytest.raises(AssertionError, match=message):
        compiled(kernels, {old: new}).prove(range(1, 65), 64)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-(1 << 22), 1 << 22), min_size=1, max_size=8))
def test_split_taps_sum_to_16_bits(checker, taps):
    """Of any taps, up to four of a parity: the parts make the taps, fit their types, and so do their sums (split.h)."""
    weights = np.array(taps, np.int32)
    scale, low = checker.split(weights)
    high, rest = np.divmod(weights - low, scale)
    assert (rest == 0).all()
    assert (np.abs(high) < 1 << 15).all()
    for parity in (low[::2], low[1::2]):
        # What rounds, 2^21 % scale, is added to one of the sums.
        assert 255 * parity[parity > 0].sum() + (1 << 21) % scale < 1 << 15
        assert 255 * parity[parity < 0].sum() >= -(1 << 15)


@given(st.integers(2, 127), st.data())
def test_the_smallest_scale_will_do_for_few_taps(checker, scale, data):
    """What split.h proves: (n + 1) scale <= 4 * 127, for n taps of a parity, is enough."""
    most = (scale - 1) * 32766
    rests = st.integers(0, scale - 1)
    taps = data.draw(st.lists(rests, min_size=1, max_size=4 * 127 // scale - 1))
    even = [most - most % scale, *taps[1:]]  # the first asks for the scale
    weights = np.zeros(2 * len(even), np.int32)
    weights[::2] = even
    assert checker.split(weights)[0] <= scale


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("n_in", "n_out"), [(640, 224), (224, 640), (300, 299), (2000, 60)])
def test_the_worst_pixels_for_split_taps(checker, kernel, n_in, n_out):
    """White where a part low is positive, and black elsewhere, or the other way round: as far as its sums can go."""
    native = pytest.importorskip("secure_resize.core.native", reason="the C extension was not built")
    if "avx2" not in native.levels():
        pytest.skip("needs AVX2")
    taps = fixed_taps(n_in, n_out, kernel, sum_exactly=False)
    for i in range(0, n_out, 7):
        used = taps.weights[i].nonzero()[0]
        weights = np.ascontiguousarray(taps.weights[i, used[0] : used[-1] + 1])
        low = checker.split(weights)[1]
        image = np.zeros((1, 8, n_in, 4), np.uint8)
        window = image[:, :, taps.start[i] + used[0] :][:, :, : len(low)]
        window[..., 0], window[..., 1] = 255 * (low > 0), 255 * (low < 0)
        expected = reference.apply_fixed(image, None, taps, False)
        turned = np.ascontiguousarray(image.swapaxes(1, 2))
        with native.use_level("avx2"):
            np.testing.assert_array_equal(native.apply_fixed(image, None, taps, False), expected)
            rows = native.apply_fixed(turned, taps, fixed_taps(8, 9, kernel, sum_exactly=False), False)
        cols = fixed_taps(8, 9, kernel, sum_exactly=False)
        np.testing.assert_array_equal(rows, reference.apply_fixed(turned, taps, cols, False))


def test_divisions_are_exact():
    """The quotients of area_avx512.c and area_avx2_along.c, where they come closest to an integer.

    float64 holds the products exactly, so that the one rounding of a fused operation can be seen.
    """
    q = np.arange(256)
    for divisor in range(1, 1 << 15):
        reciprocal = np.float32(1 / divisor)
        if float(reciprocal) * divisor < 1:
            reciprocal = np.nextafter(reciprocal, np.float32(2))
        nearest = np.concatenate([q * divisor, q * divisor + divisor - 1])
        assert (np.floor(nearest * float(reciprocal)) == np.concatenate([q, q])).all(), divisor
    for divisor in range(1, 1 << 13):
        reciprocal, half = np.float32(1 / divisor), np.float32(0.5 + 0.25 / divisor)
        first = np.maximum(-(-(2 * q - 1) * divisor // 2), 0)  # the least sum that rounds to q
        sums = np.concatenate([first, np.maximum(first - 1, 0)])
        rounded = (sums * float(reciprocal) + float(half)).astype(np.float32)
        assert (rounded.astype(np.int64) == (2 * sums + divisor) // (2 * divisor)).all(), divisor
        for rows in range(129, 258):  # sums that lack 2^15 times cols.unit, which the added constant makes up for
            if divisor % rows:
                continue
            lacking = divisor // rows << 15
            half_and_lacking = np.float32(0.5 + (0.25 + lacking) / divisor)
            rounded = ((sums - lacking) * float(reciprocal) + float(half_and_lacking)).astype(np.float32)
            assert (rounded.astype(np.int64) == (2 * sums + divisor) // (2 * divisor)).all(), (divisor, rows)
