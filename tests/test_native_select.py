"""The selective filters of the C extension give the numpy reference's bytes at every instruction set and layout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from secure_resize.core import reference
from secure_resize.core.selection import Selection, median_network

_native = pytest.importorskip("secure_resize.core.native._native", reason="the C extension was not built")
from secure_resize.core import native  # noqa: E402

LEVELS = native.levels()


def selection_of(rng, height, width, half, ratio):
    """Read rows and columns as scalers have them, in groups at a ratio, or at random."""
    indices = []
    for n in (height, width):
        if rng.random() < 0.5:
            index = np.flatnonzero(rng.random(n) < rng.uniform(0.05, 1))
        else:
            first = (np.arange(max(1, int(n / ratio))) * ratio).astype(int)
            index = np.unique(np.clip([first, first + rng.integers(0, 2)], 0, n - 1))
        indices.append((index if len(index) else np.array([n - 1])).astype(np.int32))
    return Selection((height, width), *indices, half)


def assert_parity(image, selection, keys):
    for name, extra in (("select_median", ()), ("select_random", (keys,))):
        expected = np.full(image.shape, 9, image.dtype)
        getattr(reference, name)(image, expected, selection, *extra)
        for level in LEVELS:
            with native.use_level(level):
                result = np.full(image.shape, 9, image.dtype)
                getattr(native, name)(image, result, selection, *extra)
            np.testing.assert_array_equal(result, expected, err_msg=f"{name} at {level}")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 60), st.one_of(st.integers(1, 60), st.integers(150, 500))),
    half=st.tuples(st.integers(0, 8), st.integers(0, 9)),
    channels=st.sampled_from([1, 2, 3, 3, 3, 4, 5, 17]),
    ratio=st.floats(1, 12),
    levels=st.sampled_from([2, 3, 256]),
)
def test_the_filters_are_the_reference(seed, size, half, channels, ratio, levels):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, levels, (1 + seed % 2, *size, channels), np.uint8)
    image[image == levels - 1] = 255
    selection = selection_of(rng, *size, half, ratio)
    assert_parity(image, selection, rng.integers(0, 256, (len(image), 32), np.uint8))


@pytest.mark.parametrize("half", [(7, 8), (9, 9), (20, 20)])
def test_windows_searched_bit_by_bit(half):
    """225, 361 and 1681 values: below and above what a byte counts."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1, 60, 80, 3), np.uint8)
    assert_parity(image, selection_of(rng, 60, 80, half, 11.3), rng.integers(0, 256, (1, 32), np.uint8))


@pytest.mark.parametrize("half", [(0, 20), (1, 24), (3, 48), (6, 60), (0, 199)])
def test_draws_from_wide_windows(half):
    """Thousands of divisions by widths at which 1 / width times a multiple of it is rounded below a whole number."""
    rng = np.random.default_rng(6)
    for step in (2, 7):
        rows, cols = (np.arange(0, n, step, dtype=np.int32) for n in (60, 400))
        image = rng.integers(0, 256, (1, 60, 400, 3), np.uint8)
        assert_parity(image, Selection((60, 400), rows, cols, half), rng.integers(0, 256, (1, 32), np.uint8))


@pytest.mark.parametrize("layout", ["rows", "crop", "columns", "planar", "reversed"])
def test_layouts(layout):
    rng = np.random.default_rng(2)
    base = rng.integers(0, 256, (2, 60, 90, 3), np.uint8)
    image = {
        "rows": base[:, ::2],
        "crop": base[:, 3:-5, 7:-9],
        "columns": base[:, :, ::3],
        "planar": np.moveaxis(np.ascontiguousarray(np.moveaxis(base, 3, 1)), 1, 3),
        "reversed": base[:, ::-1, ::-1],
    }[layout]
    selection = selection_of(rng, *image.shape[1:3], (2, 2), 4.5)
    assert_parity(image, selection, rng.integers(0, 256, (2, 32), np.uint8))


@pytest.mark.parametrize("length", [0, 1, 7, 1023, 1024, 1025, 5000, 65536])
def test_fingerprints_are_the_reference(length):
    rng = np.random.default_rng(length)
    data, key = (rng.integers(0, 256, n, np.uint8) for n in (length, 1024))
    expected = reference.fingerprint(data, key)
    assert len(expected) == -(-length // 1024)
    for level in LEVELS:
        with native.use_level(level):
            np.testing.assert_array_equal(native.fingerprint(data, key), expected, err_msg=level)


def test_fingerprint_is_nh():
    """The definition in Python's integers, on one block."""
    rng = np.random.default_rng(3)
    data, key = (rng.integers(0, 256, 1024, np.uint8) for _ in range(2))
    m, k = (array.view("<u4").tolist() for array in (data, key))
    total = sum(((m[i] + k[i]) % 2**32) * ((m[i + 1] + k[i + 1]) % 2**32) for i in range(0, 256, 2)) % 2**64
    assert reference.fingerprint(data, key).tolist() == [total]


def test_chacha8_is_chacha8():
    """The first block for the key of zeros, from the test vectors of draft-strombergson-chacha-test-vectors-01, TC1."""
    expected = "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e"
    words = reference.chacha8(np.zeros(32, np.uint8), 256).reshape(16, 16)  # [word][block]
    assert words[:, 0].astype("<u4").tobytes().hex()[:64] == expected
    assert len(np.unique(words)) == 256


@pytest.mark.parametrize("level", LEVELS)
def test_a_wrong_network_is_noticed(level, monkeypatch):
    """The parity tests can fail: a network without its last exchange finds other medians."""
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (1, 40, 60, 3), np.uint8)
    monkeypatch.setattr(native, "median_network", lambda window: np.ascontiguousarray(median_network(window)[:-1]))
    with pytest.raises(AssertionError), native.use_level(level):
        assert_parity(image, selection_of(rng, 40, 60, (1, 2), 4.5), np.zeros((1, 32), np.uint8))


@pytest.mark.skipif(not hasattr(_native, "fail_allocation"), reason="needs a build with -DSECURE_RESIZE_TEST_HOOKS=ON")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["median", "random"])
def test_every_allocation_may_fail(method, channels, level):
    """Each in turn: MemoryError, and nothing stays allocated."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (40, 60, channels), np.uint8)
    out, selection = image.copy(), selection_of(rng, 40, 60, (1, 2), 4.5)
    tables = image, out, selection.rows, selection.cols, *selection.half
    live = _native.fail_allocation(-1)

    def attempt(after):
        _native.fail_allocation(after)
        try:
            if method == "median":
                _native.select_median(*tables, median_network(15), level)
            else:
                _native.select_random(*tables, np.zeros(32, np.uint8), level)
        except MemoryError:
            return False
        finally:
            _native.fail_allocation(-1)
        return True

    failures = 0
    while not attempt(failures):
        assert _native.fail_allocation(-1) == live, "an allocation was not released"
        failures += 1
    # All tables of the median come from one allocation, and avx512 has one more; those of the draws from five.
    assert failures == {"median": 1, "random": 5}[method] + (
        level == "avx512" and (method == "median" or channels == 3)
    )
    assert _native.fail_allocation(-1) == live


def test_bad_tables_are_refused():
    image, out = np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)
    good = [image, out, np.array([1, 4], np.int32), np.array([0, 8], np.int32), 1, 1, median_network(9), LEVELS[0]]
    _native.select_median(*good)
    bad_tables = [
        (2, np.array([4, 1], np.int32)),
        (2, np.array([1, 8], np.int32)),
        (3, np.array([-1, 2], np.int32)),
        (3, np.array([3, 3], np.int32)),
        (4, -1),
        (5, 1 << 20),
        (6, np.array([[0, 9, 3]], np.int32)),
        (6, np.array([[3, 2, 3]], np.int32)),
        (6, np.array([[0, 1, 0]], np.int32)),
    ]
    for place, value in bad_tables:
        arguments = list(good)
        arguments[place] = value
        with pytest.raises(ValueError, match="invalid selection"):
            _native.select_median(*arguments)
    for place, value in [(0, image[:, ::2]), (1, out[:7]), (0, image[..., ::-1]), (1, out.astype(np.uint16))]:
        arguments = list(good)
        arguments[place] = value
        with pytest.raises(ValueError, match="contiguous inside a row"):
            _native.select_median(*arguments)
    with pytest.raises(ValueError, match="32 bytes"):
        _native.select_random(*good[:6], np.zeros(31, np.uint8), LEVELS[0])
    with pytest.raises(ValueError, match="1024 bytes"):
        _native.fingerprint(image, np.zeros(8, np.uint8), np.zeros(1, np.uint64), LEVELS[0])
    with pytest.raises(ValueError, match="not an instruction set"):
        _native.select_median(*good[:-1], "mmx")


def test_unrolled_networks_are_the_networks():
    """networks.h, which is not installed, is what ``median_network`` gives."""
    header = Path(__file__).parent.parent / "secure_resize" / "core" / "native" / "networks.h"
    if not header.exists():
        pytest.skip("installed without sources")
    found = re.findall(r"#define NETWORK_(\d+)((?:[^#])*)", header.read_text())
    assert [int(inputs) for inputs, _ in found] == [9, 15, 21, 25]
    for inputs, body in found:
        exchanges = [(int(i), int(j)) for i, j in re.findall(r"E\((\d+), (\d+)\)", body)]
        assert exchanges == [(i, j) for i, j, _ in median_network(int(inputs)).tolist()]
