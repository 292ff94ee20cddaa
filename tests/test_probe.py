"""Operators are recovered from every library, predict it, and what cannot be described raises with its evidence."""

import functools

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.measure.probe import LAYOUTS, ProbeError, predict, probe
from secure_resize.measure.scalers import SCALERS, Scaler
from secure_resize.scaling import resize_unchecked

pytestmark = pytest.mark.once

# Shrinking by an integer, by no integer, by an odd integer (whose outputs lie on pixels' centres), one axis up and one
# down, and axes of one pixel.
SIZES = [((48, 56), (12, 14)), ((50, 67), (17, 21)), ((35, 49), (7, 7)), ((52, 44), (17, 57)), ((36, 1), (9, 1))]
# Where probing fails, and must: skimage cuts off at the image's own range, see the deviations.
NO_MODEL = [(f"skimage:{order}", size) for order in ("quadratic", "cubic", "quartic", "quintic") for size in SIZES[-1:]]


def limit(scaler, sizes):
    """Half a level for the model, half for the rounding of the result, and what the library is known to add."""
    return 0.5 + 0.5 + sum(deviation.levels for deviation in scaler.deviations(*sizes))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "x".join(map(str, sum(sizes, ()))))
@pytest.mark.parametrize("name", SCALERS)
def test_the_operator_predicts_its_library(name, sizes):
    scaler = SCALERS[name]
    pytest.importorskip(scaler.module)
    if (name, sizes) in NO_MODEL:
        with pytest.raises(ProbeError, match=r"does not predict|does not keep"):
            probe(name, *sizes)
        assert any(deviation.code == "own-range" for deviation in scaler.deviations(*sizes))
        return
    operator = probe(name, *sizes)
    allowed = limit(scaler, sizes)
    assert operator.residual <= allowed
    assert (operator.in_size, operator.out_size) == sizes
    # Again on an image that the probe never saw, through Scaler and predict alone.
    image = np.random.default_rng(99).integers(0, 256, (*sizes[0], 3), np.uint8)
    assert np.abs(predict(operator, image) - scaler(image, sizes[1])).max() <= allowed + 0.25  # a new draw's extreme
    known = operator.provenance
    assert (known.name, known.version, known.dtype, known.layout) == (name, scaler.version, "uint8", "HWC")
    assert len(known.notes) >= len(scaler.deviations(*sizes))
    # Exact for those that keep constants; a filter that rounds on the way loses a level or two of 255.
    np.testing.assert_allclose(known.mix, np.eye(3), atol=2 / 255)


@pytest.mark.parametrize("name", ["opencv:cubic", "pillow:lanczos", "torch:bicubic", "scipy:cubic", "jax:linear"])
def test_the_float_path_is_recovered_to_float_precision(name):
    pytest.importorskip(SCALERS[name].module)
    operator = probe(name, (50, 67), (17, 21), dtype="float32")
    assert operator.residual <= 0.02  # of 255 levels: float32, and the splines' endless tails
    assert max(operator.provenance.weight_std) <= 1e-5


@pytest.mark.parametrize("kernel", sr.KERNELS)
def test_our_own_operators_are_recovered(kernel):
    """The one place where the truth is known: the weights, and that the stated deviation is theirs."""
    truth = sr.scaling_operator((60, 83), (13, 27), kernel)
    for dtype, worst in (("uint8", 2e-3), ("uint16", 2e-5), ("float32", 1e-6)):
        found = probe(f"secure_resize:{kernel}" if dtype != "uint16" else functools.partial(
            resize_unchecked, size=(13, 27), kernel=kernel), (60, 83), (13, 27), dtype=dtype)  # fmt: skip
        for axis, true, std in zip(
            (found.rows, found.cols), (truth.rows, truth.cols), found.provenance.weight_std, strict=True
        ):
            errors = axis.dense() - true.dense()
            assert np.abs(errors).max() <= worst
            assert np.sqrt(np.mean(errors**2)) <= 2 * std + 1e-7


def test_the_number_of_images_does_not_grow_with_the_image():
    calls = [probe("opencv:linear", (n, n), (n // 4, n // 4)).provenance.calls for n in (128, 512)]
    assert calls[1] <= calls[0]


# What users hand over: layouts, and whole pipelines.


EXACT = 1e-9  # of a level: the model's own float64 sums


def nearest(image):
    return image[::4, ::4]


def test_numpy_layouts():
    operators = {
        "HWC": probe(lambda image: nearest(image) if image.ndim == 3 else None, (32, 48), (8, 12)),
        "NHWC": probe(lambda batch: batch[:, ::4, ::4], (32, 48), (8, 12), layout="NHWC"),
        "CHW": probe(lambda planes: planes[:, ::4, ::4], (32, 48), (8, 12), layout="CHW"),
        "NCHW": probe(lambda planes: planes[:, :, ::4, ::4], (32, 48), (8, 12), layout="NCHW"),
        "HW": probe(lambda plane: plane[::4, ::4] if plane.ndim == 2 else None, (32, 48), (8, 12)),
    }
    for layout, operator in operators.items():
        assert operator.provenance.layout == layout
        assert operator.residual <= EXACT
        np.testing.assert_allclose(operator.rows.dense(), np.eye(32)[::4], atol=EXACT)
        np.testing.assert_allclose(operator.cols.dense(), np.eye(48)[::4], atol=EXACT)


def test_layouts_of_the_frameworks():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    torch = pytest.importorskip("torch")
    from PIL import Image

    sizes = (40, 56), (10, 14)
    tensor = probe(v2.Resize(sizes[1], antialias=False), *sizes)
    assert tensor.provenance.layout == "CHW tensor"
    batch = probe(lambda x: torch.nn.functional.interpolate(x, sizes[1]), *sizes, dtype="float32", layout="NCHW tensor")
    assert batch.rows.width == batch.cols.width == 1
    picture = probe(lambda x: x.resize((14, 10), Image.Resampling.NEAREST), *sizes)
    assert (picture.provenance.layout, picture.rows.width) == ("PIL", 1)


def test_a_classifiers_whole_pipeline():
    """Resize, crop, normalise: an affine map of which the crop shows in the matrices and the rest in mix and offset."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    torch = pytest.importorskip("torch")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    pipeline = v2.Compose([v2.Resize(32), v2.CenterCrop(28), v2.ToDtype(torch.float32, scale=True),
                           v2.Normalize(mean, std), v2.RandomHorizontalFlip(p=1.0)])  # fmt: skip
    operator = probe(pipeline, (96, 128), (28, 28), layout="CHW tensor")
    assert operator.residual <= 1.5
    # 8-bit levels inside: the gain is known to a level in 255
    np.testing.assert_allclose(np.diag(operator.provenance.mix), 1 / (255 * np.array(std)), rtol=1 / 255)
    assert operator.cols.start[0] > operator.cols.start[-1]  # flipped
    assert not operator.rows.read()[:4].any()  # cropped
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    predicted = predict(operator, image.permute(1, 2, 0).numpy())
    assert np.abs(predicted - pipeline(image).permute(1, 2, 0).numpy()).max() <= 1.5 / (255 * min(std))


def test_colours_are_part_of_the_map():
    grey = probe(lambda x: nearest(x) @ np.array([0.299, 0.587, 0.114]), (32, 48), (8, 12))
    np.testing.assert_allclose(grey.provenance.mix, [[0.299, 0.587, 0.114]], atol=1e-9)
    swapped = probe(lambda x: nearest(x)[..., ::-1], (32, 48), (8, 12))
    np.testing.assert_allclose(swapped.provenance.mix, np.eye(3)[::-1], atol=1e-12)
    assert swapped.residual <= EXACT


def test_padding_is_an_offset():
    padded = probe(lambda x: np.pad(nearest(x), ((1, 1), (1, 1), (0, 0)), constant_values=7), (32, 48), (10, 14))
    assert padded.residual <= EXACT
    assert not padded.rows.dense()[[0, -1]].any()
    assert (padded.provenance.offset[0] == 7).all()


# What no operator describes.


def median(image):
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), (0, 1))
    return np.median(windows, axis=(-1, -2)).astype(np.uint8)


def diagonal_blur(image):
    return ((image[:-2, :-2].astype(int) + image[2:, 2:]) // 2).astype(np.uint8)


def noisy(image, rng=np.random.default_rng(0)):  # noqa: B008 - one generator for all calls is the point
    return np.clip(nearest(image) + rng.integers(0, 3, (8, 12, 1)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("function", "out_size", "message", "evidence"),
    [
        (noisy, (8, 12), "not deterministic", {"deterministic": False, "furthest": 2.0}),
        (median, (30, 46), "not affine", {"linear": False}),
        (diagonal_blur, (30, 46), "not separable", {"linear": True, "separable": False}),
        (lambda x: nearest(x) * 0 + 9, (8, 12), "the same of black and of any colour", {}),
    ],
)
def test_what_is_no_scaler_raises_with_its_evidence(function, out_size, message, evidence):
    with pytest.raises(ProbeError, match=message) as raised:
        probe(function, (32, 48), out_size)
    assert evidence.items() <= raised.value.evidence.items()


def test_lobes_that_reach_black_or_white_are_separable_still():
    """What is cut off there is not what makes a kernel inseparable: lanczos5's lobes at a ratio of 1.2."""
    pytest.importorskip("tensorflow")
    assert probe("tensorflow:lanczos5", (12, 46), (10, 23)).residual < 1


def test_a_model_that_does_not_predict_is_an_error():
    """Grey goes one way and colour another: what is measured on combs is refuted by a random image."""

    def treacherous(image):
        colourful = int(np.ptp(image.astype(int), axis=2).max()) > 250 and image.min() == 0
        busy = len(np.unique(image)) > 200
        return image[1::4, 1::4] if colourful and busy else image[::4, ::4]

    with pytest.raises(ProbeError, match="does not predict it: off by") as raised:
        probe(treacherous, (32, 48), (8, 12))
    assert raised.value.evidence["residual"] > 50
    assert raised.value.evidence["operator"].out_size == (8, 12)


def test_arrays_passed_through_unresized_are_not_believed():
    """FIELD, trap 7: v2.Resize returns a numpy array as it came; no layout works that gives no out_size."""
    with pytest.raises(
        ProbeError, match=r"in any layout: HWC uint8, .*: ValueError: expected a result of 8x12"
    ) as raised:
        probe(lambda image: image, (32, 48), (8, 12))
    assert {path.rpartition(" ")[0] for path in raised.value.evidence["layouts"]} <= set(LAYOUTS)


# Deviations: what is recorded is so, here and now. (If a new version mends one, its test says so.)


def test_inter_area_with_one_axis_enlarged_is_no_area():
    """FIELD, trap 3: 2000x223 to 224x224."""
    pytest.importorskip("cv2")
    operator = probe("opencv:area", (223, 200), (224, 20))
    assert any(note.startswith("no-area") for note in operator.provenance.notes)
    assert sr.exposure(operator).stealth_gain_db > 3
    assert operator.cols.width == 2  # of ten pixels that it should average
    assert not probe("opencv:area", (220, 200), (22, 20)).provenance.notes


def test_pillow_modes_p_and_1_are_nearest():
    pytest.importorskip("PIL")
    from PIL import Image

    assert any(
        note.startswith("nearest-in-p-and-1") for note in probe("pillow:bicubic", (40, 40), (10, 10)).provenance.notes
    )
    palette, plain = (probe(name, (40, 40), (10, 10)) for name in ("pillow:bicubic+palette", "pillow:nearest"))
    np.testing.assert_allclose(palette.rows.dense(), plain.rows.dense(), atol=EXACT)
    bilevel = Image.fromarray(np.random.default_rng(0).integers(0, 2, (40, 40), np.uint8) * 255).convert("1")
    assert np.array_equal(bilevel.resize((10, 10)), bilevel.resize((10, 10), Image.Resampling.NEAREST))


@pytest.mark.parametrize(
    ("name", "offset"),
    [("opencv:nearest", 0), ("torch:nearest", 0), ("opencv:nearest_exact", 2), ("pillow:nearest", 2)],
)
def test_nearest_offsets_at_4_to_1(name, offset):
    """FIELD, trap 6."""
    pytest.importorskip(SCALERS[name].module)
    operator = probe(name, (32, 48), (8, 12))
    assert (operator.rows.start % 4 == offset).all()
    assert any(note.startswith("first-pixel") for note in operator.provenance.notes) == (offset == 0)


@pytest.mark.parametrize("name", ["opencv:linear", "opencv:cubic", "opencv:lanczos4"])
def test_odd_integer_ratios_collapse_to_one_pixel(name):
    """FIELD, trap 2."""
    pytest.importorskip("cv2")
    operator = probe(name, (50, 70), (10, 14))
    assert operator.rows.width == operator.cols.width == 1
    assert any(note.startswith("one-pixel") for note in operator.provenance.notes)


@pytest.mark.parametrize("name", ["torch:bilinear", "torchvision:bilinear", "pillow:bicubic"])
def test_two_roundings_are_on_record(name):
    pytest.importorskip(SCALERS[name].module)
    operator = probe(name, (20, 30), (47, 61))
    assert any("rounded to 8 bits" in note for note in operator.provenance.notes)
    assert operator.residual > 0.75  # one rounding alone would leave 0.5 and the fit's noise


def test_uint8_tensors_to_one_pixel_fail_in_torch():
    pytest.importorskip("torch")
    with pytest.raises(ProbeError, match="itself fails at these sizes"):
        probe("torch:bilinear", (40, 56), (1, 1))
    assert any(deviation.code == "fails" for deviation in SCALERS["torch:bilinear"].deviations((40, 56), (1, 1)))


# Arguments.

BROKEN = Scaler("x:y", lambda image, size: 1 / 0, "numpy")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("opencv:bilinear", (8, 8), (4, 4)), {}, ValueError, "valid scalers: .*opencv:linear"),
        ((nearest, (0, 8), (4, 4)), {}, ValueError, "height must lie between 1"),
        ((nearest, (8, 8), 4), {}, TypeError, "pair of whole numbers"),
        ((nearest, (8, 8), (4, 4)), {"dtype": "int8"}, ValueError, "valid dtypes: auto, uint8, uint16, float32"),
        ((nearest, (8, 8), (4, 4)), {"layout": "WHC"}, ValueError, "valid layouts: auto, HWC"),
        ((3, (8, 8), (4, 4)), {}, TypeError, "a scaler's name, a Scaler or a callable, got int"),
        (
            (Scaler("x:y", lambda image, size: 1 / 0, "numpy"), (8, 8), (4, 4)),
            {},
            ProbeError,
            "itself fails .*division",
        ),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        probe(*arguments, **options)


def test_predict_wants_a_probed_operator():
    with pytest.raises(ValueError, match="was not probed"):
        predict(sr.scaling_operator((8, 8), (4, 4)), np.zeros((8, 8, 3)))
