"""What is proved of attacks: the witness by hand, and the bound against everything that real libraries let through."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

import secure_resize as sr
from secure_resize.attacks import craft, psnr
from secure_resize.attacks.craft import known_operator
from secure_resize.measure.certificates import least_attack, pair_certificate, worst_change
from secure_resize.measure.exposure import exposure
from secure_resize.measure.probe import probe
from secure_resize.measure.rounding import models, rounding
from secure_resize.measure.scalers import SCALERS
from secure_resize.scaling import PASS_ORDERS, resize_unchecked

pytestmark = pytest.mark.once


def axis(rows):
    dense = np.array(rows, float)
    return sr.AxisOperator(dense.shape[1], dense.shape[0], np.zeros(len(dense), np.int64), dense)


MEAN = axis([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])

# Images that bring resizes to their limits, uint8 (H, W, 2).
KINDS = ("noise", "binary", "text", "photograph", "extreme")


def picture(kind, size, rng, photos):
    shape = (*size, 2)
    if kind == "noise":
        return rng.integers(0, 256, shape, np.uint8)
    if kind == "binary":
        return rng.choice(np.array([0, 255], np.uint8), shape)
    if kind == "text":  # strokes, black on white or white on black
        image = np.full(shape, 255, np.uint8)
        for _ in range(8):
            top, left = (int(rng.integers(0, n)) for n in size)
            image[top : top + int(rng.integers(1, 3)), left : left + int(rng.integers(1, 12))] = 0
            image[top : top + int(rng.integers(1, 12)), left : left + int(rng.integers(1, 3))] = 0
        return 255 - image if rng.integers(2) else image
    if kind == "photograph":
        photo = photos[str(rng.choice(["astronaut.png", "chelsea.png", "coffee.png"]))]
        top, left = (int(rng.integers(0, n - m)) for n, m in zip(photo.shape[:2], size, strict=True))
        return np.ascontiguousarray(photo[top : top + size[0], left : left + size[1], :2])
    # What overshoots most between the passes: the sign of the kernel's own lobes.
    waves = [np.sign(np.sin(np.arange(n) * rng.uniform(0.2, 3) + rng.uniform(0, 6))) for n in size]
    return np.repeat(np.where(np.multiply.outer(*waves) > 0, 255, 0).astype(np.uint8)[..., None], 2, axis=2)


def attacked(source, kind, operator, rng, photos):
    """An image that somebody might send in place of ``source``, which may be the source."""
    if kind == "source":
        return source
    if kind == "other":
        return picture(str(rng.choice(KINDS)), source.shape[:2], rng, photos)
    if kind == "worst":
        change = worst_change(operator)[0][..., None]
        change = change * rng.uniform(1, 255) / np.abs(change).max()
    elif kind == "least":
        wanted = np.repeat(rng.normal(size=(*operator.out_size, 1)) * rng.uniform(1, 100), 2, axis=2)
        change = least_attack(operator, wanted)
    else:
        change = rng.normal(size=source.shape) * rng.choice([0.5, 3, 30])
    return np.clip(np.round(source + change), 0, 255).astype(np.uint8)


ATTACKS = ("source", "other", "noise", "worst", "least")
sizes = st.tuples(st.integers(1, 48), st.integers(1, 48))


@settings(deadline=None, max_examples=600)
@given(
    in_size=sizes,
    out_size=sizes,
    kernel=st.sampled_from(list(sr.KERNELS)),
    kind=st.sampled_from(KINDS),
    attack=st.sampled_from(ATTACKS),
    order=st.sampled_from(list(PASS_ORDERS)),
    epsilon=st.sampled_from([0.0, 0.5, 1.0, 7.3]),
    seed=st.integers(0, 2**32 - 1),
)
# A = S, where clipping between the passes made "bounds" of 34 and 45 dB.
@pytest.mark.slow
@example((40, 40), (16, 16), "lanczos", "binary", "source", "pillow13", 0.0, 0)
@example((40, 40), (16, 16), "lanczos", "text", "source", "pillow12", 1.0, 1)
@example((40, 44), (11, 44), "bicubic", "binary", "source", "pillow13", 0.0, 2)
def test_no_image_passes_its_bound(photos, in_size, out_size, kernel, kind, attack, order, epsilon, seed):
    """Through the real resize, in whole levels: whatever A gives T (to within ε), PSNR(A, S) is below the bound."""
    rng = np.random.default_rng(seed)
    operator = sr.scaling_operator(in_size, out_size, kernel)
    source = picture(kind, in_size, rng, photos)
    image = attacked(source, attack, operator, rng, photos)
    scaled = resize_unchecked(image, out_size, kernel=kernel, pass_order=order).astype(float)
    target = np.clip(scaled + rng.uniform(-epsilon, epsilon, scaled.shape), 0, 255)
    certificate = pair_certificate(source, target, operator, epsilon=epsilon, iterations=60)
    assert not certificate.is_estimate
    assert psnr(image, source) <= certificate.psnr_bound
    assert certificate.check() == pytest.approx(certificate.psnr_bound, rel=1e-6)
    if attack == "source":
        assert math.isinf(certificate.psnr_bound)
        assert not certificate.impossible


PILLOWS = ["bicubic", "lanczos", "bilinear", "hamming", "box"]


@pytest.mark.parametrize("kernel", PILLOWS)
@settings(deadline=None, max_examples=60)
@given(sizes, sizes, st.sampled_from(KINDS), st.sampled_from(ATTACKS), st.integers(0, 2**32 - 1))
def test_no_image_passes_pillows_bound(photos, kernel, in_size, out_size, kind, attack, seed):
    pytest.importorskip("PIL")
    rng = np.random.default_rng(seed)
    operator = sr.scaling_operator(in_size, out_size, kernel)
    source = picture(kind, in_size, rng, photos)
    image = attacked(source, attack, operator, rng, photos)
    target = SCALERS[f"pillow:{kernel}"](image, out_size)
    certificate = pair_certificate(source, target, operator, epsilon=0.0, iterations=60)
    assert not certificate.is_estimate
    assert psnr(image, source) <= certificate.psnr_bound


LIBRARIES = [
    "pillow:lanczos",
    "torch:bicubic",
    "torch:bicubic+antialias",
    "torchvision:bilinear+antialias",
    "opencv:linear",
    "opencv:cubic",
    "opencv:lanczos4",
    "opencv:area",
    "tensorflow:bilinear",
    "tensorflow:lanczos3+antialias",
    "skimage:linear+antialias",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_estimates_say_so_and_leave_the_source_alone(name, photos):
    """Of a probed operator, at the ratios where they were false for A = S; and images on the way to the target."""
    pytest.importorskip(SCALERS[name].module)
    rng = np.random.default_rng(3)
    for in_size, out_size in [((100, 120), (40, 48)), ((96, 90), (29, 31))]:
        operator = probe(name, in_size, out_size)
        for kind in KINDS:
            source = np.repeat(picture(kind, in_size, rng, photos)[..., :1], 3, axis=2)
            certificate = pair_certificate(source, SCALERS[name](source, out_size), operator)
            assert certificate.is_estimate
            assert "is_estimate=True" in repr(certificate)
            assert math.isinf(certificate.psnr_bound), (kind, in_size)
            image = attacked(source, "worst", operator, rng, photos)
            certificate = pair_certificate(source, SCALERS[name](image, out_size), operator, epsilon=0.0)
            assert psnr(image, source) <= certificate.psnr_bound + certificate.uncertainty_db


def test_an_estimate_proves_nothing_impossible():
    source, target = np.full((64, 64, 3), 200, np.uint8), np.zeros((16, 16, 3), np.uint8)
    proof = pair_certificate(source, target, sr.scaling_operator((64, 64), (16, 16)))
    assert (proof.is_estimate, proof.impossible) == (False, True)
    estimate = pair_certificate(source, target, probe("secure_resize:area", (64, 64), (16, 16)))
    assert (estimate.is_estimate, estimate.impossible) == (True, False)
    assert estimate.psnr_bound == pytest.approx(proof.psnr_bound, abs=0.1)
    assert json.loads(json.dumps(estimate.to_dict()))["is_estimate"]
    none = pair_certificate(source, np.full((16, 16, 3), 200), sr.scaling_operator((64, 64), (16, 16)))
    assert json.loads(json.dumps(none.to_dict(), allow_nan=False))["psnr_bound"] is None


# How far a resize lies from its model.


@settings(deadline=None, max_examples=400)
@given(
    sizes,
    sizes,
    st.sampled_from(list(sr.KERNELS)),
    st.sampled_from(KINDS),
    st.sampled_from(list(PASS_ORDERS)),
    st.integers(0, 2**32 - 1),
)
@example((1000, 3), (1, 3), "lanczos", "noise", "pillow13", 0)
@example((7, 5), (7, 5), "area", "noise", "pillow13", 0)
@example((7, 5), (7, 5), "bicubic", "noise", "pillow13", 0)
def test_outputs_lie_within_the_rounding_of_a_model(photos, in_size, out_size, kernel, kind, order, seed):
    image = picture(kind, in_size, np.random.default_rng(seed), photos)
    operator = sr.scaling_operator(in_size, out_size, kernel)
    known = rounding(operator, kernel)
    assert (known.kernels, known.is_estimate) == ((kernel,), False)
    anonymous = rounding(operator)
    assert kernel in anonymous.kernels
    assert anonymous.levels >= known.levels
    out = resize_unchecked(image, out_size, kernel=kernel, pass_order=order).astype(float)
    off = np.inf
    for clips in known.clips:
        model, _ = models(
            (clips,), lambda x: operator.rows.apply(x, 0), lambda x: operator.cols.apply(x, 1), image.astype(float)
        )
        off = min(off, np.abs(np.clip(model, 0, 255) - out).max())
    assert off <= known.levels


def test_rounding_by_hand():
    area = rounding(sr.scaling_operator((20, 20), (9, 9)))
    assert (area.kernels, area.clips, area.is_estimate) == (("area",), ("",), False)
    assert area.levels == pytest.approx(0.5, abs=1e-5)
    either = rounding(sr.scaling_operator((20, 20), (10, 10)))  # box has the same matrices, and rounds twice
    assert (either.kernels, either.levels) == (("area", "box"), pytest.approx(1.0, abs=1e-3))
    twice = rounding(sr.scaling_operator((20, 20), (10, 10), "bilinear"))
    assert (twice.kernels, twice.clips) == (("bilinear",), ("",))
    assert twice.levels == pytest.approx(1.0, abs=1e-3)
    assert rounding(sr.scaling_operator((20, 20), (10, 20), "bilinear")).levels == pytest.approx(0.5, abs=1e-3)
    lanczos = rounding(sr.scaling_operator((20, 20), (10, 10), "lanczos"))
    assert lanczos.clips == ("rows", "cols")
    overshoot = np.abs(sr.axis_operator(20, 10, "lanczos").weights).sum(axis=1).max()
    assert lanczos.levels == pytest.approx(0.5 + 0.5 * overshoot, abs=1e-3)
    unknown = sr.ScalingOperator(MEAN, axis([[1.0]]))
    assert rounding(unknown).is_estimate
    assert rounding(sr.ScalingOperator(MEAN, axis([[1.0]]), 0.25)).levels == 0.25


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), st.sampled_from(list(sr.KERNELS))
)
def test_the_worst_change_reaches_the_bound(h_in, w_in, h_out, w_out, kernel):
    operator = sr.scaling_operator((h_in, w_in), (h_out, w_out), kernel)
    change, effect = worst_change(operator)
    ratio = math.sqrt(np.mean(effect**2) / np.mean(change**2))
    # two square roots of eigenvalues in float64
    assert 20 * math.log10(ratio) == pytest.approx(exposure(operator).stealth_gain_db, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 14), st.integers(2, 14), st.integers(0, 999))
def test_the_least_attack_is_the_least(n_in, n_out, seed):
    rng = np.random.default_rng(seed)
    operator = sr.scaling_operator((n_in + 8, n_in), (n_out, min(n_out, n_in)), "bilinear")
    dense = np.kron(operator.rows.dense(), operator.cols.dense())
    change = rng.normal(size=operator.out_size)
    expected = np.linalg.lstsq(dense, change.ravel(), rcond=1e-9)[0]
    found = least_attack(operator, change)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-6 * max(1, np.abs(expected).max()))
    in_colour = least_attack(operator, np.stack([change, 2 * change], axis=2))
    np.testing.assert_allclose(in_colour[..., 1], 2 * found, atol=1e-9 * max(1, np.abs(found).max()))


@pytest.mark.parametrize(
    "name", ["opencv:linear", "opencv:area", "pillow:lanczos", "torch:nearest", "tensorflow:bicubic"]
)
def test_real_attacks_reach_the_bound_within_a_tenth_of_a_decibel(name):
    """Through the library, in whole levels: the worst change made visible, and what it really does."""
    pytest.importorskip(SCALERS[name].module)
    operator = probe(name, (256, 256), (48, 48))
    change, _ = worst_change(operator)
    source = np.full((256, 256), 128, np.uint8)
    attack = np.round(128 + change * (90 / np.abs(change).max())).astype(np.uint8)
    effect = SCALERS[name](attack, (48, 48)).astype(float) - SCALERS[name](source, (48, 48))
    ratio = math.sqrt(np.mean(effect**2) / np.mean((attack - 128.0) ** 2))
    found = exposure(operator)
    assert 20 * math.log10(ratio) == pytest.approx(found.stealth_gain_db, abs=0.1)


# Certificates.


@pytest.fixture(scope="module")
def pair(photos):
    return photos["astronaut.png"], sr.resize(photos["chelsea.png"], (112, 112))


@pytest.mark.parametrize(
    ("name", "hopeless"), [("opencv:linear", False), ("opencv:area", True), ("pillow:bicubic", True)]
)
def test_certificates_of_a_real_pair(pair, name, hopeless):
    pytest.importorskip(SCALERS[name].module)
    certificate = pair_certificate(*pair, probe(name, (512, 512), (112, 112)))
    assert (certificate.psnr_bound < 15) == hopeless
    assert certificate.psnr_bound <= certificate.gain_bound
    assert certificate.check() == pytest.approx(certificate.psnr_bound, abs=1e-6)


def test_a_real_attack_comes_close_to_its_certificate_and_not_past_it(pair):
    pytest.importorskip("cv2")
    crafted = craft(*pair, "opencv:linear", epsilon=1.0)
    missed = float(np.abs(crafted.scaled.astype(int) - pair[1]).max())
    operator = probe("opencv:linear", (512, 512), (112, 112))
    reached = psnr(crafted.image, pair[0])
    assert reached <= pair_certificate(*pair, operator, epsilon=missed).psnr_bound
    # Its own ε, and no room for rounding: the attack is the optimum, up to the whole levels that it is written in.
    exact = sr.ScalingOperator(operator.rows, operator.cols, 0.0)
    assert reached == pytest.approx(pair_certificate(*pair, exact, epsilon=1.0).psnr_bound, abs=0.1)


def test_the_box_makes_the_certificate_stronger():
    """Each mean must rise by 115, but its bright pixel has room for 5 only."""
    operator = sr.ScalingOperator(MEAN, axis([[1.0]]), 0.0)
    source, target = np.array([[10.0], [250.0], [10.0], [250.0]]), np.array([[245.0], [245.0]])
    certificate = pair_certificate(source, target, operator, epsilon=0.0)
    # Without the box δ = 115 on both; with it the bright one can only rise by 5, the dark one by 225.
    assert certificate.psnr_bound == pytest.approx(psnr(np.array([[235.0], [255.0]]), source[:2]), abs=0.01)
    assert certificate.gain_bound > certificate.psnr_bound + 2


def test_a_forged_witness_does_not_pass():
    source, target = np.full((16, 16), 200, np.uint8), np.zeros((4, 4), np.uint8)
    good = pair_certificate(source, target, sr.scaling_operator((16, 16), (4, 4)))
    forged = type(good)(**{**vars(good), "dual": good.dual * 3})
    assert good.impossible
    assert forged.check() > good.psnr_bound + 0.1 or forged.check() == good.gain_bound
    flipped = type(good)(**{**vars(good), "dual": -good.dual, "gain_bound": 0.0, "psnr_bound": 0.0})
    assert flipped.check() == pytest.approx(good.gain_bound, rel=1e-9)  # λ proves nothing; the gain is computed anew


def test_no_change_needed_proves_nothing():
    source = np.full((16, 16), 200, np.uint8)
    certificate = pair_certificate(source, np.full((4, 4), 200, np.uint8), sr.scaling_operator((16, 16), (4, 4)))
    assert math.isinf(certificate.psnr_bound)
    assert not certificate.impossible


OPERATOR = sr.scaling_operator((8, 8), (4, 4))


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (np.zeros((9, 8)), np.zeros((4, 4)), {}, r"source must have size 8x8.*got shape \(9, 8"),
        (np.zeros((8, 8)), np.zeros((4, 5)), {}, "target must have size 4x4"),
        (np.zeros((8, 8, 3)), np.zeros((4, 4)), {}, "same channels"),
        (np.full((8, 8), 256.0), np.zeros((4, 4)), {}, r"source must lie in \[0, 255\]"),
        (np.full((8, 8), np.nan), np.zeros((4, 4)), {}, "source must lie in"),
        (np.zeros((8, 8)), np.zeros((4, 4)), {"epsilon": -1}, "epsilon must be .* got -1"),
        (np.zeros((8, 8)), np.zeros((4, 4)), {"epsilon": math.inf}, "epsilon must be .* got inf"),
        (np.zeros((8, 8)), np.full((4, 4), 200), {"iterations": 10**30}, "iterations must lie between 1 and 1000000"),
    ],
)
def test_bad_arguments(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        pair_certificate(source, target, OPERATOR, **options)
    with pytest.raises(ValueError, match="change must have shape"):
        least_attack(OPERATOR, np.zeros((8, 8)))


@pytest.mark.parametrize("epsilon", ["1", None, True, [1.0]])
def test_epsilon_is_a_number(epsilon):
    with pytest.raises(TypeError, match="epsilon must be a number of levels, got"):
        pair_certificate(np.zeros((8, 8)), np.zeros((4, 4)), OPERATOR, epsilon=epsilon)


def test_a_zero_operator_proves_nothing():
    nothing = sr.ScalingOperator(axis(np.zeros((4, 8))), axis(np.eye(8)[::2]))
    with pytest.raises(ValueError, match="operator is zero"):
        pair_certificate(np.zeros((8, 8)), np.full((4, 4), 9), nothing)
    with pytest.raises(ValueError, match="operator is zero"):
        worst_change(nothing)
    assert not least_attack(nothing, np.ones((4, 4))).any()


def test_padding_is_left_out():
    """A letterbox: the outer outputs are black whatever the source, and do not make an attack impossible."""
    inner = sr.scaling_operator((32, 32), (8, 8), "area")

    def padded(one):
        start, weights = np.zeros(12, np.int64), np.zeros((12, one.width))
        start[2:10], weights[2:10] = one.start, one.weights
        return sr.AxisOperator(one.n_in, 12, start, weights)

    operator = sr.ScalingOperator(padded(inner.rows), padded(inner.cols), 0.5)
    rng = np.random.default_rng(0)
    source, other = rng.integers(0, 256, (32, 32), np.uint8), rng.integers(0, 256, (32, 32), np.uint8)
    target = np.full((12, 12), 255, np.uint8)
    target[2:10, 2:10] = sr.resize(other, (8, 8))
    certificate = pair_certificate(source, target, operator)
    alone = pair_certificate(source, target[2:10, 2:10], sr.ScalingOperator(inner.rows, inner.cols, 0.5))
    assert certificate.psnr_bound == pytest.approx(alone.psnr_bound, abs=0.05)
    assert certificate.check() == pytest.approx(certificate.psnr_bound, rel=1e-6)
    target[2:10, 2:10] = sr.resize(source, (8, 8))
    assert math.isinf(pair_certificate(source, target, operator).psnr_bound)


def test_cropped_pixels_do_not_count():
    inner = sr.axis_operator(20, 5, "area")
    cropped = sr.AxisOperator(32, 5, inner.start + 6, inner.weights)
    operator = sr.ScalingOperator(cropped, cropped, 0.5)
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 256, (32, 32), np.uint8), rng.integers(0, 256, (5, 5), np.uint8)
    certificate = pair_certificate(source, target, operator)
    alone = pair_certificate(source[6:26, 6:26], target, sr.ScalingOperator(inner, inner, 0.5))
    # The same squared change, shared by more pixels.
    assert certificate.psnr_bound == pytest.approx(alone.psnr_bound + 20 * math.log10(32 / 20), abs=0.05)


def test_a_scaler_that_claims_a_kernel_is_probed():
    """Only the registered ones are known to be it."""
    pytest.importorskip("PIL")
    honest = SCALERS["pillow:bicubic"]
    assert not rounding(known_operator(honest, (40, 40), (10, 10))).is_estimate
    liar = dataclasses.replace(honest, call=SCALERS["pillow:nearest"].call)
    found = known_operator(liar, (40, 40), (10, 10))
    assert rounding(found).is_estimate
    assert exposure(found).stealth_gain_db > 10


def test_reconstructions_certificate_knows_of_clipping_between_the_passes():
    """The output of the source itself lay up to 33 levels outside, through torch's bicubic on black and white."""
    pytest.importorskip("torch")
    scaler, rng = SCALERS["torch:bicubic"], np.random.default_rng(0)
    allowed = rounding(known_operator(scaler, (49, 37), (11, 13))).levels
    for _ in range(20):
        image = rng.choice(np.array([0, 255], np.uint8), (49, 37, 3))
        low, high = sr.reconstruction_info(image, (11, 13), scaler="torch:bicubic").certificate(0)
        out = sr.reconstruct_resize(image, (11, 13), scaler="torch:bicubic").astype(float)
        assert np.maximum(low - out, out - high).max() <= allowed


CHECK = Path(sr.__file__).parent.parent / "benchmarks" / "check_bound.py"


@pytest.mark.slow
@pytest.mark.skipif(not CHECK.exists(), reason="no source checkout")
@pytest.mark.parametrize("broken", [False, True])
def test_check_bound_notices_a_false_bound(monkeypatch, capsys, broken):
    """Five images of each way through two scalers: exit code 0; with clipping and half the rounding forgotten, 1."""
    pytest.importorskip("skimage")
    spec = importlib.util.spec_from_file_location("check_bound", CHECK)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr("sys.argv", ["check_bound.py", "160", "secure_resize:lanczos", "secure_resize:area"])
    if broken:
        false = {"levels": 0.2, "clips": ("",)}
        monkeypatch.setattr(
            "secure_resize.measure.certificates.rounding",
            lambda operator: dataclasses.replace(rounding(operator), **false),
        )
    assert script.main() == broken
    shown = capsys.readouterr().out
    assert "160 attack images through 2 scalers" in shown
    assert "pair certificate, dB" in shown
