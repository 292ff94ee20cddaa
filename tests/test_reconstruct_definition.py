"""``reconstruct`` from end to end against a definition that shares nothing with it: whole numbers and loops.

What is read are the nonzero entries of |L| and |R|; the window reaches ⌊β / bandwidth⌋; candidates are its unread
pixels; the lower median, channel by channel, or any one of them with all its channels; without candidates the mean over
the β × β footprint, rounded half up; nothing at all for a scaler that is robust by itself.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.core import reference


def random_axis(rng, n_in, n_out):
    """A coefficient matrix (n_out, n_in) with 1 to 3 taps a row at random places, some negative, one of them 0."""
    weights = np.zeros((n_out, n_in))
    first = np.sort(rng.integers(0, n_in, n_out))
    for row, start in zip(weights, first, strict=True):
        taps = rng.choice([0.5, 1.0, -0.25, 0.0], int(rng.integers(1, 4)))[: n_in - start]
        row[start : start + len(taps)] = taps
    weights[0, first[0]] = 1.0
    return weights


def stealth_gain(rows, cols, operator):
    """Of the whole image or in view, whichever is larger."""
    gain = np.prod([np.linalg.norm(m, 2) * math.sqrt(m.shape[1] / m.shape[0]) for m in (rows, cols)])
    return max(20 * math.log10(gain), sr.exposure(operator).stealth_gain_db)


def footprint(place, n_in, n_out):
    """{pixel: its share} of the mean over β pixels around the centre of ``place``, moved inside the axis."""
    beta = max(Fraction(n_in, n_out), Fraction(1))
    left = min(max(place + Fraction(1, 2) - beta / 2, Fraction(0)), n_in - beta)
    shares = {x: min(Fraction(x + 1), left + beta) - max(Fraction(x), left) for x in range(n_in)}
    return {x: share / beta for x, share in shares.items() if share > 0}


def expected(image, rows, cols, bandwidth):
    """{read pixel: (its candidates (n, C), or its mean (C,) as whole numbers)}."""
    (h, height), (w, width) = rows.shape, cols.shape
    read = {(y, x) for y in np.flatnonzero(rows.any(axis=0)) for x in np.flatnonzero(cols.any(axis=0))}
    reach = math.floor(Fraction(height, h) / bandwidth), math.floor(Fraction(width, w) / bandwidth)
    found = {}
    for y, x in read:
        window = [
            image[j, i]
            for j in range(y - reach[0], y + reach[0] + 1)
            for i in range(x - reach[1], x + reach[1] + 1)
            if 0 <= j < height and 0 <= i < width and (j, i) not in read
        ]
        if window:
            found[y, x] = np.array(window)
            continue
        down, across = footprint(int(y), height, h), footprint(int(x), width, w)
        mean = [
            sum(a * b * int(image[j, i, c]) for j, a in down.items() for i, b in across.items())
            for c in range(image.shape[2])
        ]
        found[y, x] = np.array([math.floor(value + Fraction(1, 2)) for value in mean])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("core", ["in use", "numpy"])
def test_reconstruct_is_its_definition(core, monkeypatch):
    if core == "numpy":
        for name in ("apply_area", "select_median", "select_random", "fingerprint", "place"):
            monkeypatch.setattr(sr.core, name, getattr(reference, name))
    rng = np.random.default_rng(21)
    seen = {"median": 0, "mean": 0, "unchanged": 0}
    for case in range(1000):
        height, width, h, w = (int(n) for n in rng.integers(1, (17, 17, 7, 7)))
        rows, cols = random_axis(rng, height, h), random_axis(rng, width, w)
        bandwidth = (1, 2, 3, 1.5)[case % 4]
        image = rng.integers(0, (256, 256, 3)[case % 3], (height, width, int(rng.integers(1, 5)))).astype(np.uint8)
        axes = [sr.AxisOperator(m.shape[1], m.shape[0], np.zeros(len(m), np.int64), m) for m in (rows, cols)]
        options = {"scaler": sr.ScalingOperator(*axes), "bandwidth": bandwidth}
        median = sr.reconstruct(image, (h, w), **options)
        random = sr.reconstruct(image, (h, w), method="random", **options)
        if stealth_gain(rows, cols, options["scaler"]) < 1 or (h >= height and w >= width):
            assert np.array_equal(median, image)
            assert np.array_equal(random, image)
            seen["unchanged"] += 1
            continue
        wanted, rest = expected(image, rows, cols, Fraction(bandwidth)), np.ones((height, width), bool)
        for (y, x), values in wanted.items():
            rest[y, x] = False
            if values.ndim == 1:
                assert np.array_equal(median[y, x], values), (case, y, x)
                assert np.array_equal(random[y, x], values), (case, y, x)
                seen["mean"] += 1
            else:
                assert np.array_equal(median[y, x], np.sort(values, axis=0)[(len(values) - 1) // 2]), (case, y, x)
                assert (values == random[y, x]).all(axis=1).any(), (case, y, x)
                seen["median"] += 1
        assert np.array_equal(median[rest], image[rest])
        assert np.array_equal(random[rest], image[rest])
    assert min(seen.values()) >= 50, seen
