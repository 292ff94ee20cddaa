"""The direct attack, through the real libraries, and its optimality."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secure_resize as sr
from secure_resize.attacks import craft, psnr, sampling_operator
from secure_resize.scalers import SCALERS, Scaler, get_scaler, register_scaler


@pytest.fixture(scope="module")
def pair(photos):
    return photos["astronaut.png"], photos["chelsea.png"]


@pytest.mark.parametrize("scaler", SCALERS)
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


@pytest.mark.parametrize("scaler", SCALERS)
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


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_the_change_is_the_least(data):
    from secure_resize.attacks import _move_least

    pixels = np.array(data.draw(st.lists(st.integers(0, 255), min_size=4, max_size=4)), float)
    y, x = data.draw(st.floats(0.05, 0.95)), data.draw(st.floats(0.05, 0.95))
    weights = np.outer([1 - y, y], [1 - x, x]).ravel()
    wanted = float(data.draw(st.integers(1, 254)))
    ours = _move_least(pixels.reshape(1, 1, 2, 2), weights.reshape(1, 1, 2, 2), np.array([[wanted]])).ravel()
    assert weights @ ours == pytest.approx(wanted, abs=1e-6)
    assert ours.min() >= 0
    assert ours.max() <= 255
    # The optimality conditions of the convex program: one λ with x = s + λw where x is free, and beyond the box's side
    # where x lies on it. So every pixel bounds λ from below, from above, or from both.
    slope = (ours - pixels) / weights
    lowest = slope[ours > 0].max(initial=-np.inf)
    highest = slope[ours < 255].min(initial=np.inf)
    assert lowest <= highest + 1e-6


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize(("in_size", "out_size"), [((120, 90), (30, 30)), ((97, 131), (41, 17)), ((60, 1), (20, 1))])
def test_the_model_predicts_the_library(scaler, in_size, out_size):
    pytest.importorskip(SCALERS[scaler].module)
    image = np.random.default_rng(3).integers(0, 256, (*in_size, 3), np.uint8)
    predicted = sampling_operator(SCALERS[scaler], in_size, out_size).apply(image)
    # Half a level for the library's rounding, another for torch's between its passes, or for OpenCV's 11-bit weights
    # (255 levels · 2 axes · 2⁻¹⁰), and 0.05 for torch's fixed-point weights.
    assert np.abs(predicted - SCALERS[scaler](image, out_size)).max() <= 1.05
    if SCALERS[scaler].algorithm == "nearest":
        assert np.array_equal(predicted, SCALERS[scaler](image, out_size))


RGB = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((RGB.astype(float), RGB[:8, :8], "opencv:linear"), TypeError, "source must be a uint8 array, got float64"),
        ((RGB, [[1]], "opencv:linear"), TypeError, "target must be a uint8 array, got list"),
        ((RGB, RGB[0, :8, 0], "opencv:linear"), ValueError, r"target must have shape .*got \(8,\)"),
        ((RGB, RGB[:8, :8, 0], "opencv:linear"), ValueError, r"same channels, got shapes \(64, 64, 3\), \(8, 8\)"),
        ((RGB, RGB[:8, :8], "opencv:area"), ValueError, "valid scalers: opencv:linear"),
        ((RGB, RGB[:48, :8], "opencv:linear"), ValueError, r"ratio 1.33, 2 taps\): .* ratio of at least 2"),
    ],
)
def test_bad_arguments(arguments, error, message):
    pytest.importorskip("cv2")
    with pytest.raises(error, match=message):
        craft(*arguments)


def test_bad_options():
    with pytest.raises(ValueError, match="valid methods: direct"):
        craft(RGB, RGB[:8, :8], "opencv:linear", method="weak")
    with pytest.raises(ValueError, match=r"epsilon .* got nan"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=math.nan)
    with pytest.raises(ValueError, match="one shape"):
        psnr(RGB, RGB[:8])
    absent = Scaler("nowhere:cubic", lambda image, size: image[: size[0], : size[1]], "nowhere_to_be_found")
    assert not absent.installed
    with pytest.raises(ValueError, match="knows nearest, linear and bilinear"):
        craft(RGB, RGB[:8, :8], absent)


def test_scalers_are_registered_once():
    with pytest.raises(ValueError, match="already registered"):
        register_scaler("opencv:linear", "cv2")(lambda image, size: image)
    with pytest.raises(ValueError, match="valid scalers"):
        get_scaler("opencv")


@pytest.mark.parametrize("scaler", SCALERS)
def test_scalers_name_their_version(scaler):
    pytest.importorskip(SCALERS[scaler].module)
    assert SCALERS[scaler].version[0].isdecimal()
