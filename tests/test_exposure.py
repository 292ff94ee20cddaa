"""The figures, the bound and its witness: against values by hand, the literature's numbers and real libraries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import secure_resize as sr
from secure_resize.attacks import craft, psnr
from secure_resize.core.operator import AxisOperator, ScalingOperator
from secure_resize.measure.certificates import least_attack, pair_certificate, worst_change
from secure_resize.measure.exposure import VERDICTS, Exposure, exposure
from secure_resize.measure.probe import probe
from secure_resize.measure.scalers import SCALERS


def axis(rows):
    dense = np.array(rows, float)
    return AxisOperator(dense.shape[1], dense.shape[0], np.zeros(len(dense), np.int64), dense)


NEAREST = axis([[1, 0, 0, 0], [0, 0, 1, 0]])
MEAN = axis([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


def test_figures_that_a_person_can_check():
    nearest = exposure(ScalingOperator(NEAREST, NEAREST))
    assert nearest.stealth_gain_db == pytest.approx(20 * math.log10(2))  # σ = 1, √(16/4) = 2
    assert (nearest.influence, nearest.coverage, nearest.effective_support, nearest.linf_gain) == (255, 0.25, 1, 1)
    assert (nearest.verdict, nearest.uncertainty_db, nearest.doubtful) == ("vulnerable", 0, False)
    mean = exposure(ScalingOperator(MEAN, NEAREST))
    assert mean.stealth_gain_db == pytest.approx(20 * math.log10(math.sqrt(2)))
    assert (mean.influence, mean.coverage, mean.effective_support, mean.linf_gain) == (127.5, 0.5, 2, 1)
    assert mean.verdict == "vulnerable"  # 3.01 dB
    lobes = exposure(ScalingOperator(axis([[-0.25, 1.5, -0.25]]), axis([[1.0]])))
    assert lobes.linf_gain == 2
    assert lobes.effective_support == pytest.approx(4 / (1.5**2 + 2 * 0.25**2))


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(-0.1, "robust"), (0.99, "robust"), (1, "weak"), (2.99, "weak"), (3, "vulnerable")],
)
def test_verdicts(gain, verdict):
    found = Exposure(gain, 0.05, 1, 1, 1, 1, (8, 8), (4, 4))
    assert found.verdict == verdict
    assert found.doubtful == any(abs(gain - limit) <= 0.05 for limit in VERDICTS.values())
    assert verdict in str(found)


def test_area_has_no_gain_at_any_ratio_up_to_64_on_the_float_path():
    """Ours, exactly, and OpenCV's as probed: every integer ratio and many between them."""
    for n_in in [*range(8, 513, 8), *range(9, 512, 7)]:
        assert abs(20 * math.log10(sr.axis_operator(n_in, 8).norm * math.sqrt(n_in / 8))) < 1e-6
    for n_in in (8, 11, 16, 31, 40, 67, 128, 231, 333, 512):
        for name in ("opencv:area", "secure_resize:area"):
            pytest.importorskip(SCALERS[name].module)
            found = exposure(probe(name, (n_in, 16), (8, 8), dtype="float32"))
            assert abs(found.stealth_gain_db) < 0.005
            assert found.uncertainty_db < 0.001


@pytest.mark.parametrize("n", [16, 24, 50, 67, 128, 333, 1024])
@pytest.mark.parametrize("name", ["opencv:area", "secure_resize:area"])
def test_area_on_the_uint8_path_is_within_the_stated_uncertainty(name, n):
    pytest.importorskip(SCALERS[name].module)
    found = exposure(probe(name, (n, 64), (16, 16)))
    assert abs(found.stealth_gain_db) <= found.uncertainty_db + 1e-9
    assert found.uncertainty_db <= 0.1


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("name", "in_size", "out_size", "gain", "within"),
    [
        ("opencv:nearest", (224, 224), (56, 56), 12.04, 0.01),
        ("opencv:linear", (224, 224), (56, 56), 6.02, 0.03),
        ("opencv:linear", (1000, 1000), (224, 224), 12.7, 0.05),
        ("pillow:box", (400, 400), (224, 224), 5.0, 0.1),
        ("opencv:area", (400, 400), (224, 224), 0.0, 0.02),
        ("opencv:area", (1000, 1000), (224, 224), 0.0, 0.03),
        ("pillow:bilinear", (224, 224), (56, 56), 0.0, 0.05),
        ("pillow:bilinear", (1000, 1000), (224, 224), 0.0, 0.05),
        ("opencv:cubic", (224, 224), (56, 56), 9.2, 0.1),
        ("opencv:lanczos4", (224, 224), (56, 56), 11.1, 0.1),
    ],
)
def test_the_numbers_of_the_field(name, in_size, out_size, gain, within, dtype):
    pytest.importorskip(SCALERS[name].module)
    found = exposure(probe(name, in_size, out_size, dtype=dtype))
    assert found.stealth_gain_db == pytest.approx(gain, abs=within)


def test_coverage_is_not_safety():
    """FIELD, trap 1: Lanczos4 reads everything at β = 4 and is wide open."""
    pytest.importorskip("cv2")
    found = exposure(probe("opencv:lanczos4", (128, 128), (32, 32)))
    assert found.coverage == 1
    assert found.verdict == "vulnerable"


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
    ("name", "impossible"), [("opencv:linear", False), ("opencv:area", True), ("pillow:bicubic", True)]
)
def test_certificates_of_a_real_pair(pair, name, impossible):
    pytest.importorskip(SCALERS[name].module)
    certificate = pair_certificate(*pair, probe(name, (512, 512), (112, 112)))
    assert certificate.impossible == impossible
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
    exact = ScalingOperator(operator.rows, operator.cols, 0.0)
    assert reached == pytest.approx(pair_certificate(*pair, exact, epsilon=1.0).psnr_bound, abs=0.1)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_attack_beats_the_certificate(data):
    """Any image at all, and a target that it reaches, box and tolerance counted: its PSNR is below the bound."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    kernel = data.draw(st.sampled_from(["area", "bicubic", "lanczos", "box"]))
    operator = sr.scaling_operator((9, 12), (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))), kernel)
    source = rng.integers(0, 256, (9, 12, 2)).astype(float)
    strength = data.draw(st.sampled_from([1, 20, 300]))
    attack = np.clip(source + rng.normal(size=source.shape) * strength, 0, 255)
    target = np.clip(operator @ attack + rng.uniform(-2, 2, (*operator.out_size, 2)), 0, 255)
    certificate = pair_certificate(source, target, operator, epsilon=1.5, iterations=60)  # and half a level of slack
    assert psnr(attack, source) <= certificate.psnr_bound + 1e-9
    assert certificate.check() == pytest.approx(certificate.psnr_bound, abs=1e-6)


def test_the_box_makes_the_certificate_stronger():
    """Each mean must rise by 115, but its bright pixel has room for 5 only."""
    operator = ScalingOperator(MEAN, axis([[1.0]]), 0.0)
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
    flipped = type(good)(**{**vars(good), "dual": -good.dual, "gain_bound": math.inf})
    assert math.isinf(flipped.check())  # proves nothing


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
    ],
)
def test_bad_arguments(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        pair_certificate(source, target, OPERATOR, **options)
    with pytest.raises(ValueError, match="change must have shape"):
        least_attack(OPERATOR, np.zeros((8, 8)))
