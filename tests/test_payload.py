"""What is hidden: local triggers, text and matched histograms, through the real libraries and the defenses."""

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks import craft, craft_adaptive
from secure_resize.attacks.payload import (
    legibility,
    local_success,
    local_trigger,
    match_histogram,
    text_levels,
    text_payload,
)
from secure_resize.measure.scalers import SCALERS

pytestmark = pytest.mark.once

pytest.importorskip("cv2")
SIZE = (112, 112)
SAMPLING = ["opencv:linear", "opencv:nearest", "torch:bilinear"]


@pytest.fixture(scope="module")
def source(photos):
    return sr.resize(photos["astronaut.png"], (448, 448))


def outputs(image, scaler):
    """What the pipeline and each defense make of an image."""
    yield "bare", SCALERS[scaler](image, SIZE)
    yield "area", sr.resize(image, SIZE)
    for method in ("median", "random"):
        yield method, sr.reconstruct_resize(image, SIZE, scaler=scaler, method=method, key=bytes(16))


@pytest.mark.parametrize("scaler", SAMPLING)
@pytest.mark.parametrize("seed", range(3))
def test_local_triggers(source, scaler, seed):
    """Undefended, a block moves by 72 levels and little shows; the defenses leave a fraction of it."""
    pytest.importorskip(SCALERS[scaler].module)
    clean = dict(outputs(source, scaler))
    target, block = local_trigger(clean["bare"], seed=seed)
    crafted = craft(source, target, scaler)
    seen = {
        name: local_success(crafted.image, source, output, clean[name])
        for name, output in outputs(crafted.image, scaler)
    }
    assert seen["bare"].success
    assert seen["bare"].hidden
    assert seen["bare"].place == block[:2]
    assert not any(seen[name].success for name in ("area", "median", "random"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["median", "random", "surrogate_median", "expectation_random"])
def test_local_triggers_that_know_the_defense(source, method):
    """They move the block, and are seen there: its footprint falls below 15 dB."""
    defense = "random" if "random" in method else "median"
    clean = dict(outputs(source, "opencv:nearest"))[defense]
    target, block = local_trigger(clean, place=(91, 68), levels=80)
    crafted = craft_adaptive(source, target, "opencv:nearest", method=method, budget=1.0, block=block, key=bytes(16))
    local = local_success(crafted.image, source, crafted.scaled, clean)
    assert crafted.reached
    assert local.place == (91, 68)
    assert local.success
    assert not local.hidden


def test_the_trigger_is_what_was_asked_for():
    clean = np.random.default_rng(1).integers(80, 100, (20, 30, 3), np.uint8)
    target, block = local_trigger(clean, place=(3, 7), levels=70)
    assert block == (3, 7, 5, 5)
    change = target.astype(int) - clean
    assert (change[3:8, 7:12] == 70).all()
    change[3:8, 7:12] = 0
    assert not change.any()
    assert (local_trigger(255 - clean, place=(3, 7), levels=70)[0][3:8, 7:12] == 255 - clean[3:8, 7:12] - 70).all()
    patch = np.full((2, 4, 3), 9, np.uint8)
    target, block = local_trigger(clean, patch=patch, seed=2)
    assert np.array_equal(target[block[0] : block[0] + 2, block[1] : block[1] + 4], patch)
    assert block == local_trigger(clean, patch=patch, seed=2)[1]
    assert local_trigger(clean, seed=1)[1] != local_trigger(clean, seed=2)[1]


def test_local_success_by_hand():
    source, clean = np.zeros((40, 40), np.uint8), np.zeros((10, 10), np.uint8)
    image, scaled = source.copy(), clean.copy()
    scaled[2:7, 3:8] = 64
    image[8, 12] = 10
    local = local_success(image, source, scaled, clean)
    assert (local.moved, local.place) == (64.0, (2, 3))
    assert local.psnr_source == pytest.approx(10 * np.log10(255**2 / (100 / 1600)))
    assert local.psnr_footprint == pytest.approx(10 * np.log10(255**2 / (100 / 400)))
    assert local.success
    scaled[2, 3] = 63
    assert not local_success(image, source, scaled, clean).success
    scaled[2, 3] = 64
    image[:] = 9  # 29.05 dB
    assert not local_success(image, source, scaled, clean).success


@pytest.mark.parametrize("scaler", SAMPLING)
def test_text(photos, scaler):
    """Read after scaling; behind median and random there is none of it, behind area a tenth to a quarter."""
    pytest.importorskip(SCALERS[scaler].module)
    source = sr.resize(photos["coffee.png"], (448, 448))
    clean = dict(outputs(source, scaler))
    payload = text_payload(clean["bare"], "send all\nmail to me")
    crafted = craft(source, payload.target, scaler)
    best = legibility(payload.target, payload)
    assert best >= 0.7
    assert crafted.psnr_source >= 25
    for name, output in outputs(crafted.image, scaler):
        levels = text_levels(output, payload, clean[name])
        if name == "bare":
            assert legibility(output, payload) >= best - 0.02
            assert levels == pytest.approx(128, abs=5)
        elif name == "area":
            assert 0 < levels <= 0.3 * 128
        else:
            assert abs(levels) <= 0.05 * 128
            assert legibility(output, payload) <= legibility(clean[name], payload) + 0.1


def test_text_is_where_it_is_dark():
    clean = np.full((60, 90, 3), 200, np.uint8)
    clean[30:55, 10:80] = 20
    payload = text_payload(clean, "hidden", font_size=14, levels=100)
    top, left, height, width = payload.block
    assert top >= 30
    assert top + height <= 55
    assert left >= 10
    assert left + width <= 80
    change = payload.target.astype(int) - clean
    here = np.s_[top : top + height, left : left + width]
    assert np.array_equal(change[here], np.round(100 * payload.glyphs)[..., None].repeat(3, axis=2))
    change[here] = 0
    assert not change.any()
    assert legibility(payload.target, payload) == pytest.approx(1, abs=1e-3)
    assert text_levels(payload.target, payload, clean) == pytest.approx(100, abs=1)
    assert legibility(clean, payload) == 0
    assert text_levels(clean, payload, clean) == 0
    assert text_payload(clean[..., 0], "hidden").target.shape == (60, 90)


@pytest.mark.parametrize("grey", [False, True])
def test_matched_histograms(photos, grey):
    """The target has the clean output's distribution, and can be hidden like any other."""
    source, target = photos["astronaut.png"], sr.resize(photos["chelsea.png"], SIZE)
    if grey:
        source, target = source[..., 0], target[..., 0]
    clean = SCALERS["opencv:nearest"](source, SIZE)
    matched = match_histogram(target, clean)
    assert matched.dtype == np.uint8
    assert matched.shape == target.shape

    def distance(a, b):
        """Levels between the two distributions, in the mean over quantiles (Wasserstein 1)."""
        return np.abs(np.sort(a.astype(float), axis=None) - np.sort(b, axis=None)).mean()

    assert distance(matched, clean) <= 0.05 * distance(target, clean)
    assert craft(source, matched, "opencv:nearest").reached


IMAGE = np.zeros((20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: local_trigger(IMAGE[:4]), ValueError, "5x5 does not fit"),
        (lambda: local_trigger(IMAGE, place=(16, 0)), ValueError, r"between \(0, 0\) and \(15, 15\)"),
        (lambda: local_trigger(IMAGE, levels=0), ValueError, "levels must be a whole number from 1 to 255, got 0"),
        (lambda: local_trigger(IMAGE, patch=IMAGE[..., 0]), ValueError, "channels of clean"),
        (lambda: local_trigger(IMAGE.astype(float)), TypeError, "clean must be a uint8 array, got float64"),
        (lambda: local_success(IMAGE, IMAGE[:9], IMAGE, IMAGE), ValueError, "one shape each"),
        (lambda: text_payload(IMAGE, " "), ValueError, "something to write"),
        (lambda: text_payload(IMAGE, "too long for this"), ValueError, "the text takes"),
        (lambda: text_payload(IMAGE, "a", font_size=0), ValueError, "font_size"),
        (lambda: legibility(IMAGE[:9], text_payload(IMAGE, "a")), ValueError, "the target's shape"),
        (lambda: match_histogram(IMAGE, IMAGE[..., 0]), ValueError, "same channels"),
        (lambda: match_histogram(IMAGE, IMAGE[..., :0]), ValueError, "must have shape"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
