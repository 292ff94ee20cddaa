"""The direct attack, through the real libraries, and its optimality."""

import math

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks import craft, psnr
from secure_resize.scalers import SCALERS

# Sampling filters, of three libraries: what the direct attack is for.
SAMPLING = [
    f"{library}:{name}"
    for library, linear in (("torch", "bilinear"), ("opencv", "linear"), ("tensorflow", "bilinear"))
    for name in ("nearest", linear)
]


@pytest.fixture(scope="module")
def pair(photos):
    return photos["astronaut.png"], photos["chelsea.png"]


@pytest.mark.parametrize("scaler", SAMPLING)
@pytest.mark.parametrize("size", [(112, 112), (96, 128), (100, 77)])
def test_it_reaches_the_target_through_the_real_library(pair, scaler, size):
    pytest.importorskip(SCALERS[scaler].module)
    source, target = pair[0], sr.resize(pair[1], size)
    before = source.copy()
    crafted = craft(source, target, scaler)
    # ε = 1, half a level for writing whole levels (a mean of them: no more), half for the library's own rounding
    assert np.abs(crafted.scaled.astype(int) - target).max() <= 2
    assert crafted.psnr_target >= 25
    assert np.array_equal(crafted.scaled, SCALERS[scaler](crafted.image, size))
    assert crafted.psnr_source == psnr(crafted.image, source)
    assert crafted.image.dtype == np.uint8
    assert crafted.image.shape == source.shape
    assert np.array_equal(source, before)


@pytest.mark.parametrize("scaler", SAMPLING)
@pytest.mark.parametrize("kernel", sr.KERNELS)
def test_robust_scaling_does_not_show_it(pair, scaler, kernel):
    pytest.importorskip(SCALERS[scaler].module)
    source, target = pair[0], sr.resize(pair[1], (112, 112))
    crafted = craft(source, target, scaler)
    assert crafted.psnr_source >= 15
    assert psnr(sr.resize(crafted.image, (112, 112), kernel=kernel), target) < 15


def test_grey_and_one_axis_only(pair):
    pytest.importorskip("cv2")
    source, target = pair[0][..., 0], sr.resize(pair[1][..., 0], (512, 128))
    crafted = craft(source, target, "opencv:nearest", epsilon=0)
    assert crafted.image.ndim == 2
    assert np.array_equal(crafted.scaled, target)


def test_equal_pictures_need_no_change(pair):
    pytest.importorskip("cv2")
    source = pair[0]
    crafted = craft(source, SCALERS["opencv:linear"](source, (112, 112)), "opencv:linear")
    assert np.array_equal(crafted.image, source)
    assert math.isinf(crafted.psnr_source)


RGB = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((RGB.astype(float), RGB[:8, :8], "opencv:linear"), TypeError, "source must be a uint8 array, got float64"),
        ((RGB, [[1]], "opencv:linear"), TypeError, "target must be a uint8 array, got list"),
        ((RGB, RGB[0, :8, 0], "opencv:linear"), ValueError, r"target must have shape .*got \(8,\)"),
        ((RGB, RGB[:8, :8, 0], "opencv:linear"), ValueError, r"same channels, got shapes \(64, 64, 3\), \(8, 8\)"),
        ((RGB, RGB[:8, :8], "opencv:bilinear"), ValueError, "valid scalers: .*opencv:linear"),
    ],
)
def test_bad_arguments(arguments, error, message):
    pytest.importorskip("cv2")
    with pytest.raises(error, match=message):
        craft(*arguments)


def test_bad_options():
    with pytest.raises(ValueError, match="valid methods: strong, weak, nearest"):
        craft(RGB, RGB[:8, :8], "opencv:linear", method="best")
    with pytest.raises(ValueError, match=r"epsilon .* got nan"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=math.nan)
    with pytest.raises(ValueError, match="one shape"):
        psnr(RGB, RGB[:8])
