"""The tables that the C extension is given are safe to index and sum to what they promise."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_resize.core.plan import area_taps, fixed_taps
from secure_resize.kernels import KERNELS
from secure_resize.operator import area_overlaps, axis_operator

sys.path.insert(0, str(Path(__file__).parent))
import exhaustive_index_proof as proof

sizes = st.integers(1, 2048)


def test_indices_of_all_small_sizes():
    """Every n_in, n_out up to 96; .ci/run proves all up to 2048 (exhaustive_index_proof.py)."""
    proof.prove(range(1, 97), 96)


def test_indices_of_some_large_sizes():
    proof.prove(range(1999, 2049, 17), 2048)


def test_the_proof_can_fail(monkeypatch):
    monkeypatch.setattr(proof, "area_range", lambda n_in, n_out, i: (i * 0, i * 0 + n_in + 1))
    with pytest.raises(AssertionError, match="more taps than pixels"):
        proof.prove(range(5, 6), 8)


@pytest.mark.parametrize("kernel", list(KERNELS))
@settings(max_examples=150, deadline=None)
@given(sizes, sizes)
def test_the_proof_is_about_the_tables(kernel, n_in, n_out):
    """The ranges that the proof checks are those of the operators, and each row's weights sum as promised."""
    i = np.arange(n_out)
    if KERNELS[kernel].integrated:
        first, last = proof.area_range(n_in, np.full(n_out, n_out), i)
        start, width = area_overlaps(n_in, n_out)[0], area_overlaps(n_in, n_out)[1].shape[1]
    else:
        first, last = proof.sampled_range(n_in, np.full(n_out, n_out), i, KERNELS[kernel].support)
        operator = axis_operator(n_in, n_out, kernel)
        start, width = operator.start, operator.width
    assert width == (last - first).max()
    np.testing.assert_array_equal(start, np.minimum(first, n_in - width))
    assert start.min() >= 0
    assert start.max() + width <= n_in
    if KERNELS[kernel].integrated:
        taps = area_taps(n_in, n_out)
        assert taps.weights.min() >= 0
    else:
        taps = fixed_taps(n_in, n_out, kernel, sum_exactly=True)
    np.testing.assert_array_equal(taps.weights.sum(axis=1, dtype=np.int64), taps.unit)
    np.testing.assert_array_equal(taps.start, start)


@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if not kernel.integrated])
@settings(max_examples=100, deadline=None)
@given(sizes, sizes)
def test_sums_of_uint8_fit_int32(kernel, n_in, n_out):
    """255 times the absolute taps and the half that rounds: what lets the C sum uint8 in 32 bits."""
    taps = fixed_taps(n_in, n_out, kernel, sum_exactly=False)
    absolute = np.abs(taps.weights).sum(axis=1, dtype=np.int64).max()
    assert 255 * absolute + (1 << 21) < 1 << 31
    assert np.abs(taps.weights).max() < 1 << 23  # three signed bytes


def test_divisions_are_exact():
    """The quotients of area_avx512.c and area_avx2.c, where they come closest to an integer.

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
