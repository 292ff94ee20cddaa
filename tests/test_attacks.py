"""The attacks on the scaler alone, through the real libraries, and their optimality."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import secure_resize as sr
from secure_resize.attacks import METHODS, craft, psnr, register_method
from secure_resize.attacks.craft import Problem
from secure_resize.measure.quality import psnr_luma, share
from secure_resize.measure.scalers import SCALERS

pytestmark = pytest.mark.once

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
@pytest.mark.parametrize("kernel", [name for name, kernel in sr.KERNELS.items() if kernel.robust])
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


# What each method is for: it reaches the target there.
SUITED = {
    "strong": ["opencv:linear", "opencv:cubic", "opencv:lanczos4", "opencv:area", "tensorflow:bilinear+antialias"],
    "strong_rms": ["opencv:linear", "opencv:lanczos4", "secure_resize:area"],
    "weak": ["opencv:linear", "pillow:bicubic", "torch:area"],
    "nearest": ["opencv:nearest", "torch:nearest", "tensorflow:nearest", "pillow:nearest"],
    "least": ["opencv:nearest", "opencv:linear", "opencv:area"],
    "counter": ["opencv:nearest", "opencv:linear", "tensorflow:bilinear"],
    "area_l0": ["secure_resize:area", "opencv:area", "torch:area", "opencv:linear"],
    "area_l1": ["secure_resize:area", "opencv:area", "torch:area", "opencv:linear"],
    "area_l2": ["secure_resize:area", "opencv:area", "tensorflow:area"],
}


def test_every_method_is_tested():
    assert set(SUITED) == set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "scaler"), [(m, scaler) for m, scalers in SUITED.items() for scaler in scalers])
@pytest.mark.parametrize("size", [(64, 64), (57, 75)])
def test_every_method_reaches_what_it_is_for(pair, method, scaler, size):
    pytest.importorskip(SCALERS[scaler].module)
    source, target = sr.resize(pair[0], (256, 256)), sr.resize(pair[1], size)
    crafted = craft(source, target, scaler, method=method)
    assert crafted.method == method
    assert crafted.reached
    assert np.array_equal(crafted.scaled, SCALERS[scaler](crafted.image, size))
    assert crafted.image.shape == source.shape
    if method in ("strong", "strong_rms", "weak", "nearest", "counter", "area_l2"):
        assert crafted.feasible
    if method in ("strong", "strong_rms"):
        assert crafted.gap <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["opencv:nearest", "opencv:linear", "opencv:cubic", "opencv:area", "pillow:lanczos"])
def test_no_other_method_changes_less_than_the_strong_one(pair, scaler):
    pytest.importorskip(SCALERS[scaler].module)
    source, target = sr.resize(pair[0], (250, 250)), sr.resize(pair[1], (56, 56))
    strong = craft(source, target, scaler, epsilon=2.0)
    for method in METHODS.keys() - {"strong_rms"}:  # whose outputs may lie further away
        other = craft(source, target, scaler, method=method, epsilon=1.0)
        if other.feasible:  # its output lies within 1 level before, and so within 2 after rounding the image
            assert other.psnr_source <= strong.psnr_source + 0.05


@pytest.mark.parametrize("scaler", ["opencv:nearest", "opencv:linear", "opencv:lanczos4", "secure_resize:area"])
def test_nobody_reaches_25_decibels_with_less(pair, scaler):
    pytest.importorskip(SCALERS[scaler].module)
    source, target = sr.resize(pair[0], (250, 250)), sr.resize(pair[1], (56, 56))
    least = craft(source, target, scaler, method="strong_rms", epsilon=14.2)
    assert 25 <= least.psnr_target < 25.2
    for epsilon in (1, 10, 14.2):
        assert craft(source, target, scaler, epsilon=epsilon).psnr_source < least.psnr_source


def test_weak_does_not_look_at_the_source(pair):
    source, target = sr.resize(pair[0], (128, 128)), sr.resize(pair[1], (32, 32))
    one = craft(source, target, sr.scaling_operator((128, 128), (32, 32)), method="weak")
    other = craft(255 - source, target, sr.scaling_operator((128, 128), (32, 32)), method="weak")
    assert np.array_equal(one.image, other.image)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), block=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_area_attacks_change_least(seed, block):
    """Where the blocks share no pixel: L0 against every subset, L1 against a linear program."""
    from scipy.optimize import linprog

    random = np.random.default_rng(seed)
    size = block[0] * 2, block[1]
    axes = [
        sr.AxisOperator(n, n // k, k * np.arange(n // k), random.uniform(0.1, 0.5, (n // k, k)))
        for n, k in ((size[0], block[0]), (size[1], block[1]))
    ]
    operator = sr.ScalingOperator(*axes)
    source = random.uniform(0, 255, (*size, 1))
    target = operator.apply(np.clip(random.uniform(-200, 455, source.shape), 0, 255))
    problem = Problem(source, target, operator, 0.0, 100)
    fewest, sums = (METHODS[f"area_l{p}"](problem) for p in (0, 1))
    for found in (fewest, sums):
        assert found.feasible
        assert np.abs(operator.apply(found.image) - target).max() < 0.06
    for i in range(2):
        weights = np.outer(axes[0].weights[i], axes[1].weights[0]).ravel()
        rows = slice(i * block[0], (i + 1) * block[0])
        pixels = source[rows].ravel()
        need = float(target[i, 0, 0] - weights @ pixels)
        changes = (fewest.image - source)[rows].ravel()
        least = next(
            count
            for count in range(len(pixels) + 1)
            for chosen in map(list, itertools.combinations(range(len(pixels)), count))
            if -(weights * pixels)[chosen].sum() - 1e-9 <= need <= (weights * (255 - pixels))[chosen].sum() + 1e-9
        )
        assert (np.abs(changes) > 1e-9).sum() == least
        program = linprog(
            np.ones(2 * len(pixels)),
            A_eq=[[*weights, *-weights]],
            b_eq=[need],
            bounds=[(0, 255 - p) for p in pixels] + [(0, p) for p in pixels],
        )
        assert np.abs((sums.image - source)[rows]).sum() == pytest.approx(program.fun, abs=1e-6)


def test_area_methods_on_blocks_that_share_pixels(pair):
    """No optimum is claimed; the target is reached, and each norm is least where it is meant to be."""
    operator = sr.scaling_operator((250, 250), (56, 56))
    source, target = sr.resize(pair[0], (250, 250)), sr.resize(pair[1], (56, 56))
    change = {}
    for method in ("area_l0", "area_l1", "area_l2"):
        crafted = craft(source, target, operator, method=method)
        assert crafted.reached
        change[method] = crafted.image.astype(float) - source
    norms = {p: {m: (np.abs(d[d != 0]) ** p).sum() for m, d in change.items()} for p in (0, 1, 2)}
    assert min(norms[0], key=norms[0].get) == "area_l0"
    assert norms[1]["area_l1"] <= norms[1]["area_l0"]
    assert min(norms[2], key=norms[2].get) == "area_l2"


def test_the_first_tolerance_that_reaches_both_goals(pair):
    pytest.importorskip("cv2")
    source, target = sr.resize(pair[0], (256, 256)), sr.resize(pair[1], (64, 64))
    alone = {epsilon: craft(source, target, "opencv:linear", epsilon=epsilon) for epsilon in (0, 1, 4, 12)}
    assert [alone[e].psnr_source for e in alone] == sorted(alone[e].psnr_source for e in alone)
    assert craft(source, target, "opencv:linear", epsilon=[0, 1, 4]).epsilon == 0
    bright = np.full((256, 256, 3), 255, np.uint8)  # too far away: no tolerance hides it
    dark = np.zeros((64, 64, 3), np.uint8)
    worst = craft(bright, dark, "opencv:area", epsilon=[1, 4, 12, 60])
    assert worst.reached
    assert not worst.hidden
    assert worst.epsilon == 12  # the least change that still counts as the target


def test_any_callable_and_any_operator(pair):
    cv2 = pytest.importorskip("cv2")
    v2, torch = pytest.importorskip("torchvision.transforms.v2"), pytest.importorskip("torch")
    source, target = sr.resize(pair[0], (256, 256)), sr.resize(pair[1], (64, 64))
    named = craft(source, target, "opencv:linear")
    called = craft(source, target, lambda image: cv2.resize(image, (64, 64)))
    assert np.array_equal(named.image, called.image)
    assert np.array_equal(named.scaled, called.scaled)
    by_operator = craft(source, target, sr.probe("opencv:linear", (256, 256), (64, 64)))
    assert np.array_equal(named.image, by_operator.image)
    assert np.abs(named.scaled.astype(int) - by_operator.scaled).max() <= 1
    transform = v2.Compose([v2.Resize((64, 64), antialias=False), v2.ToDtype(torch.float32, scale=True)])
    assert craft(source, target, transform).success  # a tensor in, floats from 0 to 1 out
    grey = craft(source[..., 0], target[..., 0], lambda image: cv2.resize(image, (64, 64)))
    assert grey.reached


def test_the_defaults_are_out_of_reach(pair):
    """What hides in linear scaling does not hide in ours: the same picture, the same goal."""
    pytest.importorskip("cv2")
    source, target = sr.resize(pair[0], (250, 250)), sr.resize(pair[1], (56, 56))
    assert craft(source, target, "opencv:linear").success
    for kernel in sr.KERNELS:
        crafted = craft(source, target, f"secure_resize:{kernel}")
        assert crafted.reached
        assert not crafted.hidden


@pytest.mark.parametrize("scaler", ["opencv:lanczos4", "secure_resize:bilinear", "secure_resize:area"])
def test_more_iterations_change_nothing(pair, scaler):
    pytest.importorskip("cv2")
    source, target = sr.resize(pair[0], (250, 250)), sr.resize(pair[1], (56, 56))
    once, twice = (craft(source, target, scaler, iterations=n) for n in (500, 1000))
    assert np.array_equal(once.image, twice.image)
    assert once.iterations < 500


def test_what_nothing_reads_moves_the_other_way(pair):
    """Of the counterweight: the output is the strong attack's, local means are the source's."""
    pytest.importorskip("cv2")
    source, target = sr.resize(pair[0], (256, 256)) // 2 + 64, sr.resize(pair[1], (64, 64)) // 2 + 64
    strong, counter = (craft(source, target, "opencv:nearest", method=method) for method in ("strong", "counter"))
    assert np.array_equal(counter.scaled, strong.scaled)
    clean, plain, balanced = (sr.resize(image, (64, 64)).astype(int) for image in (source, strong.image, counter.image))
    assert np.abs(plain - clean).max() >= 8
    assert np.abs(balanced - clean).max() <= 1  # whole levels
    read = np.zeros((256, 256), bool)
    read[::4, ::4] = True
    assert np.array_equal(counter.image[read], strong.image[read])
    assert np.array_equal(strong.image[~read], source[~read])
    # What the selective median then shows: not the target, but its negative, faintly.
    filtered = [sr.reconstruct_resize(image, (64, 64), scaler="opencv:nearest") for image in (counter.image, source)]
    assert -0.2 < share(filtered[0], filtered[1], target) < -0.02


def test_one_channel_and_luma(pair):
    source, target = sr.resize(pair[0], (64, 64)), sr.resize(pair[1], (16, 16))
    operator = sr.scaling_operator((64, 64), (16, 16))
    found = craft(source, target, operator)
    assert found.psnr_target_luma == psnr_luma(found.scaled, target)
    assert found.psnr_source_luma == psnr_luma(found.image, source)
    assert 0.97 < found.share < 1.03
    grey = craft(source[..., 0], target[..., 0], operator)
    assert grey.psnr_target_luma == pytest.approx(grey.psnr_target)
    assert craft(source, sr.resize(source, (16, 16)), operator).share == 0  # nothing was asked for


def letterboxed(n_in, n_out, first, last):
    """An axis of ``n_out`` outputs of which those from ``first`` to ``last`` show the source."""
    inner = sr.axis_operator(n_in, last - first, "bilinear")
    start, weights = np.zeros(n_out, np.int64), np.zeros((n_out, inner.width))
    start[first:last], weights[first:last] = inner.start, inner.weights
    return sr.AxisOperator(n_in, n_out, start, weights)


@pytest.mark.parametrize("method", METHODS)
def test_outputs_that_nothing_moves_do_not_count(pair, method):
    source, target = sr.resize(pair[0], (60, 200)), sr.resize(pair[1], (56, 56))
    operator = sr.ScalingOperator(letterboxed(60, 56, 20, 36), sr.axis_operator(200, 56, "bilinear"))
    found = craft(source, target, operator, method=method)
    inside = sr.ScalingOperator(sr.axis_operator(60, 16, "bilinear"), operator.cols)
    alone = craft(source, np.ascontiguousarray(target[20:36]), inside, method=method)
    assert (found.psnr_target, found.share) == (pytest.approx(alone.psnr_target), pytest.approx(alone.share))
    assert found.reached == alone.reached
    assert found.feasible == alone.feasible
    assert np.array_equal(found.image, alone.image)
    assert not found.scaled[:20].any()


def test_a_pipeline_that_turns_the_image(pair):
    """As a probe will describe it: what L · X · Rᵀ gives is the transpose of what the pipeline shows."""
    source, target = sr.resize(pair[0], (60, 200)), sr.resize(pair[1], (56, 16))
    rows, cols = sr.axis_operator(60, 16, "bilinear"), sr.axis_operator(200, 56, "bilinear")
    turned = sr.ScalingOperator(rows, cols, None, SimpleNamespace(transposed=True, clips=""))
    found = craft(source, target, turned)
    upright = craft(source, np.ascontiguousarray(target.swapaxes(0, 1)), sr.ScalingOperator(rows, cols))
    assert found.scaled.shape == (56, 16, 3)
    assert np.array_equal(found.image, upright.image)
    assert np.array_equal(found.scaled, upright.scaled.swapaxes(0, 1))
    assert found.psnr_target == upright.psnr_target > 40


def test_an_output_that_depends_on_nothing_is_refused():
    nothing = sr.AxisOperator(64, 8, np.zeros(8, np.int64), np.zeros((8, 1)))
    with pytest.raises(ValueError, match="no output depends on any source pixel"):
        craft(RGB, RGB[:8, :8], sr.ScalingOperator(nothing, nothing))


RGB = np.zeros((64, 64, 3), np.uint8)
MANY = np.zeros((64, 64, 600), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((RGB.astype(float), RGB[:8, :8], "opencv:linear"), TypeError, "source must be a uint8 array, got float64"),
        ((RGB, [[1]], "opencv:linear"), TypeError, "target must be a uint8 array, got list"),
        ((RGB, RGB[0, :8, 0], "opencv:linear"), ValueError, r"target must have shape .*got \(8,\)"),
        ((RGB, RGB[:8, :8, 0], "opencv:linear"), ValueError, r"same channels, got shapes \(64, 64, 3\), \(8, 8\)"),
        ((RGB, RGB[:8, :8], "opencv:bilinear"), ValueError, "valid scalers: .*opencv:linear"),
        (
            (RGB[..., :0], RGB[:8, :8, :0], "opencv:linear"),
            ValueError,
            r"shape \(H, W\) or \(H, W, C\), got \(64, 64, 0\)",
        ),
        ((MANY, MANY[:8, :8], "opencv:linear"), ValueError, r"opencv:linear cannot scale .* \(64, 64, 600\)"),
    ],
)
def test_bad_arguments(arguments, error, message):
    pytest.importorskip("cv2")
    with pytest.raises(error, match=message):
        craft(*arguments)


def test_bad_options():
    with pytest.raises(ValueError, match="valid attack methods: strong, strong_rms, weak, nearest"):
        craft(RGB, RGB[:8, :8], "opencv:linear", method="best")
    with pytest.raises(ValueError, match=r"epsilon .* got nan"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=math.nan)
    for wrong in ("1", None, True, 1j, {}, [1, "2"]):
        with pytest.raises(TypeError, match="epsilon must be a number between 0 and 255 levels, or a list"):
            craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=wrong)
    with pytest.raises(ValueError, match=r"epsilon .* got 1000"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=10**30)
    with pytest.raises(ValueError, match=r"must rise, got \[2, 1\]"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=[2, 1])
    with pytest.raises(ValueError, match=r"list of such numbers; got \[\]"):
        craft(RGB, RGB[:8, :8], "opencv:linear", epsilon=[])
    with pytest.raises(ValueError, match=r"iterations .* got 0"):
        craft(RGB, RGB[:8, :8], "opencv:linear", iterations=0)
    with pytest.raises(ValueError, match=r"the operator scales \(64, 64\) to \(8, 8\), not"):
        craft(RGB, RGB[:9, :9], sr.scaling_operator((64, 64), (8, 8)))
    with pytest.raises(ValueError, match=r"takes 3 channels and returns 1: .* which has 3"):
        craft(RGB, RGB[:8, :8], lambda image: image[::8, ::8].mean(axis=2))
    with pytest.raises(ValueError, match="makes 3 channels of fewer"):
        craft(RGB, RGB[:8, :8], lambda image: np.repeat(image[::8, ::8].mean(axis=2, keepdims=True), 3, axis=2))
    with pytest.raises(ValueError, match="'strong' is already registered"):
        register_method("strong")(METHODS["strong"].run)
    with pytest.raises(ValueError, match="one shape"):
        psnr(RGB, RGB[:8])
