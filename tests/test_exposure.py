"""The figures: against values by hand, the literature's numbers and real libraries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import secure_resize as sr
from secure_resize.core.operator import AxisOperator, ScalingOperator
from secure_resize.measure.exposure import VERDICTS, Exposure, exposure
from secure_resize.measure.probe import probe
from secure_resize.measure.sampling import sampled_axis
from secure_resize.measure.scalers import SCALERS

pytestmark = pytest.mark.once


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


@pytest.mark.slow
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


SAMPLERS = ["opencv:nearest", "pillow:nearest", "opencv:linear", "opencv:cubic"]


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 60), st.floats(1, 30), st.sampled_from([*sr.KERNELS, *SAMPLERS]))
def test_a_plain_resize_is_in_view_as_a_whole(n_out, ratio, name):
    """Nothing is cropped and nothing padded: the gain is σmax · √(N/n) of the matrix as it is."""
    sizes = int(n_out * ratio), n_out
    sampling = None if name in sr.KERNELS else SCALERS[name].sampling
    axis = sampled_axis(sampling, *sizes).operator if sampling else sr.axis_operator(*sizes, name)
    found = exposure(ScalingOperator(axis, axis))
    assert found.stealth_gain_db == pytest.approx(40 * math.log10(axis.norm * math.sqrt(axis.ratio)), abs=1e-9)
    assert found.view.whole


@settings(deadline=None, max_examples=60)
@given(
    st.integers(100, 300),
    st.floats(1.6, 8),
    st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)),
    st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)),
    st.sampled_from(["reflect", "symmetric", "edge"]),
    st.sampled_from(["reflect", "symmetric", "edge", "wrap"]),
    st.sampled_from(["area", "bilinear", "lanczos", "opencv:nearest", "opencv:linear", "opencv:cubic"]),
)
def test_borders_continued_before_and_after_the_resize_change_little(n, ratio, before, after, first, second, name):
    """The truth is the gain of the resize itself, on the picture with the border continued."""
    found, truth, n_out = _continued(n, ratio, before, after, first, second, name)
    if name in sr.KERNELS:
        # Outputs repeated: up to 2 dB, on both axes. A border continued before may be overstated: the next test.
        assert n_out < 24 or any(before) or found.stealth_gain_db < truth + 2
    else:
        # The largest gain of few outputs depends on which of them the border leaves.
        assert found.stealth_gain_db > truth - 2.5
        assert found.verdict != "robust" or truth < 1


@pytest.mark.xfail(strict=True, reason="an edge repeated before and after the resize is overstated (SECURITY.md)")
def test_an_edge_repeated_before_and_after_the_resize_changes_little():
    found, truth, _ = _continued(139, 1.609375, (0, 0.1875), (0.1875, 0.1875), "edge", "edge", "area")
    assert found.stealth_gain_db < truth + 2


def _continued(n, ratio, before, after, first, second, name):
    """The exposure of a resize with its border continued before and after, the resize's own gain, its outputs."""
    copied = np.pad(np.arange(n), [int(share * n) for share in before], mode=first)
    n_out = int(len(copied) / ratio)
    kept = np.pad(np.arange(n_out), [int(share * n_out) for share in after], mode=second)
    sampling = None if name in sr.KERNELS else SCALERS[name].sampling
    sizes = len(copied), n_out
    axis = sampled_axis(sampling, *sizes).operator if sampling else sr.axis_operator(*sizes, name)
    dense = (axis.dense() @ np.eye(n)[copied])[kept]
    axis_of_pipeline = AxisOperator(n, len(dense), np.zeros(len(dense), np.int64), dense)
    found = exposure(ScalingOperator(axis_of_pipeline, axis_of_pipeline))
    return found, 40 * math.log10(axis.norm * math.sqrt(axis.ratio)), n_out


def test_coverage_is_not_safety():
    """FIELD, trap 1: Lanczos4 reads everything at β = 4 and is wide open."""
    pytest.importorskip("cv2")
    found = exposure(probe("opencv:lanczos4", (128, 128), (32, 32)))
    assert found.coverage == 1
    assert found.verdict == "vulnerable"


def test_outputs_that_sample_are_no_safer_among_others_that_average():
    """The averages of the same places, and the order of the outputs, hide no sampling."""
    averaged = sr.axis_operator(240, 30, "area").dense()
    sampled = sampled_axis(SCALERS["opencv:nearest"].sampling, 240, 30).operator.dense()
    dense = np.random.default_rng(0).permutation(np.concatenate([averaged, sampled]))
    mixed = AxisOperator(240, 60, np.zeros(60, np.int64), dense)
    assert exposure(ScalingOperator(mixed, axis([[1.0]]))).verdict == "vulnerable"
    twice = np.random.default_rng(0).permutation(np.concatenate([averaged, averaged[:, ::-1]]))
    harmless = AxisOperator(240, 60, np.zeros(60, np.int64), twice)
    assert exposure(ScalingOperator(harmless, axis([[1.0]]))).verdict == "robust"
