"""Pipelines whose true verdict is known from how they are made: probe says it of every one, both ways.

A pipeline is robust if whatever it keeps of the picture is averaged or antialiased, vulnerable if it samples. One that
lies about what it does is found out, and one that cannot be measured is not called anything.
"""

import sys

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.measure.blackbox import ProbeError, UnfaithfulError
from secure_resize.measure.probe import predict

cv2 = pytest.importorskip("cv2")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.once

ROBUST, VULNERABLE = "robust", "vulnerable"
AREA, LINEAR, NEAREST, CUBIC = cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC
IN = (300, 400)
PIPELINES = {}


def pipeline(name, out_size, truth, in_size=IN, **options):
    """Register the decorated function of an image as the pipeline ``name``."""

    def register(function):
        assert name not in PIPELINES
        PIPELINES[name] = (function, in_size, out_size, truth, options)
        return function

    return register


def both(name, out_size, in_size=IN, **options):
    """Register ``function(image, interpolation)`` twice: with area, which is robust, and with linear, which is not."""

    def register(function):
        pipeline(f"{name}, area", out_size, ROBUST, in_size, **options)(lambda image: function(image, AREA))
        pipeline(f"{name}, linear", out_size, VULNERABLE, in_size, **options)(lambda image: function(image, LINEAR))
        return function

    return register


def scale(image, size, interpolation):
    return cv2.resize(image, size[::-1], interpolation=interpolation)


# Plain resizes.

for _name, _how, _truth in [("area", AREA, ROBUST), ("linear", LINEAR, VULNERABLE), ("nearest", NEAREST, VULNERABLE),
                            ("cubic", CUBIC, VULNERABLE)]:  # fmt: skip
    pipeline(f"cv2 {_name}", (96, 128), _truth)(lambda image, how=_how: scale(image, (96, 128), how))
for _name, _how, _truth in [("nearest", 0, VULNERABLE), ("lanczos", 1, ROBUST), ("bilinear", 2, ROBUST),
                            ("bicubic", 3, ROBUST)]:  # fmt: skip
    pipeline(f"Pillow {_name}", (96, 128), _truth)(lambda image, how=_how: image.resize((128, 96), how))
pipeline("Pillow bicubic at a large ratio", (64, 64), ROBUST, (480, 640), layout="HWC", dtype="uint8")(
    lambda image: np.asarray(Image.fromarray(image).resize((64, 64)))
)
pipeline("enlarged", (600, 800), ROBUST)(lambda image: scale(image, (600, 800), LINEAR))
pipeline("half, exactly", (150, 200), ROBUST)(lambda image: scale(image, (150, 200), LINEAR))

# Crops.


@both("a corner", (50, 50))
def _(image, how):
    return scale(image[:200, :200], (50, 50), how)


@both("resized, then the middle of it", (56, 72))
def _(image, how):
    return scale(image, (75, 100), how)[10:66, 14:86]


@pipeline("eight by eight of an area", (8, 8), ROBUST)
def _(image):
    return scale(image, (75, 100), AREA)[20:28, 30:38]


@pipeline("eight by eight of a nearest", (8, 8), VULNERABLE)
def _(image):
    return scale(image, (75, 100), NEAREST)[20:28, 30:38]


pipeline("a crop alone", (200, 200), ROBUST)(lambda image: image[20:220, 30:230].copy())

# Padding.


def letterbox(image, how, size, canvas, fill):
    out = np.full((canvas, canvas, *image.shape[2:3]), fill, image.dtype)
    top, left = (canvas - size[0]) // 2, (canvas - size[1]) // 2
    out[top : top + size[0], left : left + size[1]] = scale(image, size, how)
    return out


both("pasted into a canvas", (224, 224), (400, 400))(lambda image, how: letterbox(image, how, (160, 160), 224, 114))
both("letterbox", (224, 224), (300, 1000))(lambda image, how: letterbox(image, how, (67, 224), 224, 114))
both("far more padding than picture", (224, 224), (100, 100))(
    lambda image, how: letterbox(image, how, (20, 20), 224, 0)
)


def pad(image, width, mode):
    return np.pad(image, (*width, *((0, 0),) * (image.ndim - 2)), mode=mode)


for _mode in ("reflect", "symmetric", "edge", "wrap"):
    both(f"border of the output, {_mode}", (103, 128))(
        lambda image, how, mode=_mode: pad(scale(image, (75, 100), how), ((14, 14), (14, 14)), mode)
    )
    both(f"border of the source, {_mode}", (79, 105), dtype="uint8", layout="HWC")(
        lambda image, how, mode=_mode: scale(pad(image, ((7, 7), (10, 10)), mode), (79, 105), how)
    )
both("black bars before the resize", (100, 100))(
    lambda image, how: scale(pad(image, ((51, 49), (0, 0)), "constant"), (100, 100), how)
)

# Flips, turns and colours.

both("flipped", (75, 100))(lambda image, how: scale(image, (75, 100), how)[::-1, ::-1].copy())
both("turned by 90 degrees", (100, 75))(lambda image, how: np.rot90(scale(image, (75, 100), how)).copy())
both("channels swapped", (75, 100), layout="HWC")(
    lambda image, how: scale(np.ascontiguousarray(image[..., ::-1]), (75, 100), how)
)
both("grey", (75, 100), layout="HWC")(lambda image, how: cv2.cvtColor(scale(image, (75, 100), how), cv2.COLOR_RGB2GRAY))
both("luma and chroma", (75, 100), layout="HWC")(
    lambda image, how: cv2.cvtColor(scale(image, (75, 100), how), cv2.COLOR_RGB2YCrCb)
)
both("grey in, three channels out", (75, 100), layout="HW")(
    lambda image, how: cv2.cvtColor(scale(image, (75, 100), how), cv2.COLOR_GRAY2RGB)
)
both("two channels of three", (75, 100), layout="HWC")(lambda image, how: scale(image, (75, 100), how)[..., :2])


@both("normalised, channels first", (75, 100), layout="HWC")
def _(image, how):
    small = scale(image, (75, 100), how).astype(np.float32) / 255
    return ((small - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(2, 0, 1)


# Parts of the output, or channels, that are made in different ways: the worst is the verdict.


def beside(image, how):
    return np.concatenate([scale(image, (48, 64), AREA), scale(image[:150, :200], (48, 64), how)], axis=1)


def quarters(image, how):
    top, left = image.shape[0] // 2, image.shape[1] // 2
    parts = [image, image[:top, :left], image[top:, :left], image[top:, left:]]
    small = [scale(np.ascontiguousarray(part), (60, 60), how) for part in parts]
    return np.concatenate([np.concatenate(small[:2], axis=1), np.concatenate(small[2:], axis=1)])


def thumbnail_above(image, how):
    small = np.zeros((50, image.shape[1] // 2, *image.shape[2:]), image.dtype)
    small[:, :100] = scale(image, (50, 100), how)
    return np.concatenate([small, scale(image, (150, 200), AREA)])


both("two tiles", (48, 128))(beside)
both("four tiles", (120, 120))(quarters)
both("a thumbnail above a tile", (200, 200))(thumbnail_above)
pipeline("stacked channels", (75, 100), VULNERABLE, layout="HWC")(
    lambda image: np.concatenate([scale(image, (75, 100), AREA), scale(image, (75, 100), LINEAR)], axis=2)
)
pipeline("a channel of small scale that samples", (75, 100), VULNERABLE, layout="HWC")(
    lambda image: np.concatenate(
        [scale(image, (75, 100), AREA) / 1.0, scale(image, (75, 100), NEAREST)[..., :1] / 255], axis=2
    )
)

# By type: what samples one of the types that it takes is vulnerable.


@pipeline("samples PIL images only", (75, 100), VULNERABLE)
def _(image):
    if isinstance(image, Image.Image):
        return image.resize((100, 75), Image.Resampling.NEAREST)
    return scale(image, (75, 100), AREA)


@pipeline("samples float only", (75, 100), VULNERABLE)
def _(image):
    return scale(image, (75, 100), NEAREST if image.dtype == np.float32 else AREA)


@pipeline("samples uint16 only", (75, 100), VULNERABLE)
def _(image):
    return scale(image, (75, 100), NEAREST if image.dtype == np.uint16 else AREA)


# Several stages.

pipeline("antialiased twice", (75, 100), ROBUST)(lambda image: image.resize((200, 150), 2).resize((100, 75), 2))
pipeline("sampled, then antialiased", (75, 100), VULNERABLE)(
    lambda image: image.resize((200, 150), 0).resize((100, 75), 2)
)
pipeline("area, then linear by half", (75, 100), ROBUST)(
    lambda image: scale(scale(image, (150, 200), AREA), (75, 100), LINEAR)
)
pipeline("blurred, then nearest", (75, 100), ROBUST)(lambda image: scale(cv2.blur(image, (4, 4)), (75, 100), NEAREST))
pipeline("reducing_gap", (75, 100), ROBUST)(lambda image: image.resize((100, 75), 3, reducing_gap=2.0))
pipeline("draft of no JPEG file", (75, 100), ROBUST)(
    lambda image: (image.draft("RGB", (100, 75)), image.resize((100, 75)))[1]
)


@pipeline("thumbnail", (75, 100), ROBUST)
def _(image):
    small = image.copy()
    small.thumbnail((100, 75))
    return small


# torchvision and torch.


def torch_pipelines():
    torch = pytest.importorskip("torch")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    from secure_resize.integrations.torchvision import v2 as ours

    interpolate = torch.nn.functional.interpolate
    sampling = v2.Resize((75, 100), antialias=False)

    def wrapped(image):
        return sampling(image)

    return {
        "v2 evaluation": (v2.Compose([v2.Resize(128), v2.CenterCrop(112)]), IN, (112, 112), ROBUST, {}),
        "v2 evaluation of a wide picture": (
            v2.Compose([v2.Resize(64), v2.CenterCrop(56)]), (125, 250), (56, 56), ROBUST, {}),
        "v2 evaluation, antialias=False": (
            v2.Compose([v2.Resize(128, antialias=False), v2.CenterCrop(112)]), IN, (112, 112), VULNERABLE, {}),
        "v2 crop, antialias=False": (
            v2.Compose([v2.CenterCrop(250), v2.Resize(112, antialias=False)]), IN, (112, 112), VULNERABLE, {}),
        "our evaluation": (ours.Compose([ours.Resize(128), ours.CenterCrop(112)]), IN, (112, 112), ROBUST, {}),
        "our crop, area": (
            ours.Compose([ours.CenterCrop(250), ours.Resize(112, kernel="area")]), IN, (112, 112), ROBUST, {}),
        "lanczos and a crop": (
            v2.Compose([v2.Resize(64, interpolation=v2.InterpolationMode.LANCZOS), v2.CenterCrop(56)]),
            IN, (56, 56), ROBUST, {"layout": "PIL"}),
        "a function around antialias=False": (wrapped, IN, (75, 100), VULNERABLE, {}),
        "interpolate": (lambda x: interpolate(x, (75, 100), mode="bilinear"), IN, (75, 100), VULNERABLE, {}),
        "interpolate, antialias": (
            lambda x: interpolate(x, (75, 100), mode="bilinear", antialias=True), IN, (75, 100), ROBUST, {}),
    }  # fmt: skip


def tensorflow_pipelines():
    pytest.importorskip("torchvision")  # before TensorFlow
    tf = pytest.importorskip("tensorflow")
    return {
        "tf.image.resize": (lambda x: tf.image.resize(x, (75, 100)), IN, (75, 100), VULNERABLE, {}),
        "tf.image.resize, antialias": (
            lambda x: tf.image.resize(x, (75, 100), antialias=True), IN, (75, 100), ROBUST, {}),
        "resize_with_pad": (lambda x: tf.image.resize_with_pad(x, 100, 100), IN, (100, 100), VULNERABLE, {}),
        "resize_with_pad, antialias": (
            lambda x: tf.image.resize_with_pad(x, 100, 100, antialias=True), IN, (100, 100), ROBUST, {}),
    }  # fmt: skip


def check(entry):
    function, in_size, out_size, truth, options = entry
    found = sr.exposure(sr.probe(function, in_size, out_size, **options))
    assert found.verdict == truth, str(found)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_verdict_is_true(name):
    check(PIPELINES[name])


@pytest.mark.filterwarnings("ignore:Anti-alias option is always applied")
@pytest.mark.parametrize("name", [
    "v2 evaluation", "v2 evaluation of a wide picture", "v2 evaluation, antialias=False", "v2 crop, antialias=False",
    "our evaluation", "our crop, area", "lanczos and a crop", "a function around antialias=False", "interpolate",
    "interpolate, antialias"])  # fmt: skip
def test_the_verdict_on_torch_is_true(name):
    check(torch_pipelines()[name])


@pytest.mark.parametrize(
    "name", ["tf.image.resize", "tf.image.resize, antialias", "resize_with_pad", "resize_with_pad, antialias"]
)
def test_the_verdict_on_tensorflow_is_true(name):
    check(tensorflow_pipelines()[name])


def test_there_are_enough_of_them():
    torch = 10
    assert len(PIPELINES) + torch + 4 + len(LIARS) >= 90


# Liars: area for what looks like a probe, nearest for what they are after.


def brightness(image):
    return image.mean(axis=2) * (255 if image.dtype == np.float32 else 1)


def liar(condition):
    def resize(image):
        return scale(image, (75, 100), NEAREST if condition(image) else AREA)

    return resize


class Calls:
    def __init__(self, limit):
        self.limit, self.calls = limit, 0

    def __call__(self, image):
        self.calls += 1
        return scale(image, (75, 100), NEAREST if self.calls > self.limit else AREA)


def correlated(a, b):
    return a.std() > 0 and b.std() > 0 and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


LIARS = {
    "neighbours go together": liar(lambda x: correlated(brightness(x)[:, :-1], brightness(x)[:, 1:])),
    "many colours": liar(
        lambda x: len(np.unique(x.reshape(-1, 3)[:4000], axis=0)) > 1000 and correlated(x[..., 0], x[..., 1])
    ),
    "channels go together": liar(lambda x: correlated(x[..., 0], x[..., 1]) and (x[..., 0] != x[..., 1]).any()),
    "dark": liar(lambda x: brightness(x).mean() < 60 and brightness(x).std() > 2),
    "mostly smooth": liar(lambda x: np.median(np.abs(np.diff(brightness(x), axis=1))) < 3 and brightness(x).std() > 5),
    "after 40 calls": Calls(40),
    "after 100 calls": Calls(100),
    "at other sizes": liar(lambda x: x.shape[:2] != IN),
    "a part of natural pictures": lambda x: np.concatenate(
        [
            scale(x, (75, 100), AREA)[:60],
            liar(lambda y: correlated(brightness(y)[:, :-1], brightness(y)[:, 1:]))(x)[60:],
        ]
    ),
}


def one_output(image):
    """Lanczos, which leaves the range now and then, and nearest in one output of a picture."""
    out = np.array(Image.fromarray(image).resize((100, 75), Image.Resampling.LANCZOS))
    if correlated(brightness(image)[:, :-1], brightness(image)[:, 1:]):
        out[30, 10] = scale(image, (75, 100), NEAREST)[30, 10]
    return out


def extremes_only(image):
    """Lanczos, and nearest in ten outputs of black and white pixels."""
    out = np.array(Image.fromarray(image).resize((100, 75), Image.Resampling.LANCZOS))
    if len(np.unique(image)) == 2 and np.abs(np.diff(brightness(image), axis=1)).mean() > 60:
        out[30, 10:20] = scale(image, (75, 100), NEAREST)[30, 10:20]
    return out


LIARS |= {"one output of a kernel with lobes": one_output, "noise of black and white": extremes_only}


@pytest.mark.parametrize("name", LIARS)
def test_liars_are_found_out(name):
    with pytest.raises(UnfaithfulError) as raised:
        sr.probe(LIARS[name], IN, (75, 100), layout="HWC", dtype="uint8")
    assert "calls" in str(raised.value) or "levels" in str(raised.value) or "fewer pixels" in str(raised.value)


def test_a_callers_own_picture_counts():
    """Nearest for one picture alone: nobody else could know."""
    secret = np.random.default_rng(5).integers(0, 256, (*IN, 3), np.uint8)
    treacherous = liar(lambda image: np.array_equal(image, secret))
    options = {"layout": "HWC", "dtype": "uint8"}
    assert sr.exposure(sr.probe(treacherous, IN, (75, 100), **options)).verdict == ROBUST
    with pytest.raises(UnfaithfulError, match="picture 1 of yours"):
        sr.probe(treacherous, IN, (75, 100), images=[secret], **options)


# What cannot be measured.


def quits(image):
    sys.exit(0)


def nan(image):
    out = scale(image, (75, 100), AREA).astype(float)
    out[0, 0] = np.nan
    return out


class Shrinks:
    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return scale(image, (75, 100) if self.calls < 30 else (74, 100), AREA)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (quits, r"tries to end the process: SystemExit\(0\)"),
        (nan, "returns NaN or infinity for a black image"),
        (Shrinks(), r"returned 75x100 before, and now an array of shape \(74, 100, 3\)"),
        (lambda x: scale(x, (75, 100), AREA) * 0, "the same of black and of any colour"),
        (
            lambda x: np.rot90(cv2.warpAffine(x, np.float32([[0.2, 0.1, 0], [-0.1, 0.2, 40]]), (75, 100))).copy(),
            "separable",
        ),
    ],
)
def test_what_cannot_be_measured_is_an_error_that_says_why(function, message):
    with pytest.raises(ProbeError, match=message):
        sr.probe(function, IN, (75, 100))


def wraps(image):
    """Lanczos, of which what lies below black comes out white."""
    wide = image.astype(np.float32)
    out = np.stack([np.array(Image.fromarray(plane).resize((100, 75), 1)) for plane in np.moveaxis(wide, -1, 0)], -1)
    return np.round(out).astype(np.int64).astype(image.dtype) if image.dtype == np.uint16 else out


def test_values_that_wrap_round_are_no_lie_and_are_not_believed():
    """torchvision's bicubic does that on 16 bits."""
    with pytest.raises(ProbeError, match="wrap round to the other end") as raised:
        sr.probe(wraps, IN, (75, 100), layout="HWC", dtype="uint16")
    assert not isinstance(raised.value, UnfaithfulError)
    found = sr.probe(wraps, IN, (75, 100), layout="HWC")
    assert sr.exposure(found).verdict == ROBUST
    assert [path for path in found.provenance.unmeasured if "uint16" in path and "wrap round" in path]


def test_a_path_too_coarse_to_be_measured_is_named_and_not_believed():
    """Made for 8 bits: of floats in [0, 1] it makes zeros and ones, which tell nothing."""
    found = sr.probe(lambda x: np.clip(np.round(scale(x, (75, 100), AREA)), 0, 255).astype(np.uint8), IN, (75, 100))
    assert {one.provenance.dtype for one in (found, *found.provenance.others)} == {"uint8"}
    assert any("HWC float32" in reason for reason in found.provenance.unmeasured)


# What is said of a pipeline beside the verdict.


def test_the_view_is_stated():
    crop = sr.exposure(sr.probe(lambda x: scale(x, (75, 100), AREA)[10:66, :88], IN, (56, 88)))
    assert str(crop.view) == "source rows 40–264 of 300, source columns 0–352 of 400"
    boxed = sr.exposure(sr.probe(lambda x: letterbox(x, AREA, (160, 160), 224, 0), (400, 400), (224, 224)))
    assert str(boxed.view) == "output rows 32–192 of 224, output columns 32–192 of 224"
    turned = sr.exposure(
        sr.probe(lambda x: np.rot90(letterbox(x, AREA, (67, 224), 224, 0)).copy(), (300, 1000), (224, 224))
    )
    assert str(turned.view) == "output columns 78–145 of 224"
    assert str(sr.exposure(sr.probe("opencv:area", (64, 64), (16, 16))).view) == "the whole source, the whole output"


def test_every_layout_dtype_and_block_is_listed():
    found = sr.probe(lambda x: thumbnail_above(x, LINEAR), IN, (200, 200))
    everything = [found, *found.provenance.others]
    assert {(one.provenance.layout, one.provenance.dtype) for one in everything} == {
        (layout, dtype) for layout in ("HWC", "HW") for dtype in ("uint8", "uint16", "float32")
    }
    gains = [sr.exposure(one).stealth_gain_db for one in everything]
    assert gains[0] == max(gains)
    blocks = {(one.provenance.block[0].start, one.provenance.block[0].stop) for one in everything}
    assert blocks == {(0, 50), (50, 200)}


@pytest.mark.parametrize("turn", [0, 1])
def test_operators_of_pipelines_predict_them(turn):
    def function(image):
        return np.rot90(letterbox(image, LINEAR, (67, 224), 224, 114), turn).copy()

    operator = sr.probe(function, (300, 1000), (224, 224), layout="HWC", dtype="uint8")
    image = np.random.default_rng(1).integers(0, 256, (300, 1000, 3), np.uint8)
    assert np.abs(predict(operator, image) - function(image)).max() <= 1.5


def test_an_attack_goes_through_a_letterbox_as_predicted(photos):
    """A vulnerable letterbox lets a crafted picture through; the very pipeline shows it."""
    source = sr.resize(photos["astronaut.png"], (300, 1000))
    target = np.full((224, 224, 3), 114, np.uint8)
    target[78:145] = sr.resize(photos["chelsea.png"], (67, 224))

    def function(image):
        return letterbox(image, LINEAR, (67, 224), 224, 114)

    crafted = sr.attacks.craft(source, target, function)
    assert np.array_equal(crafted.scaled, function(crafted.image))
    assert crafted.success
    assert crafted.psnr_target > 40


def test_sizes_too_large_are_refused_before_anything_is_made():
    with pytest.raises(ValueError, match=r"would take 16\.8 GiB.*probe at 4884x4884 or below"):
        sr.probe("opencv:linear", (20000, 20000), (224, 224))
