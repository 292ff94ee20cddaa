"""``secure_resize.integrations.albumentations``: one changed import, and what shrinks an image no longer samples."""

import inspect
import json
import pickle

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("albumentations")

import secure_resize as sr  # noqa: E402
from secure_resize.integration_support import load  # noqa: E402
from secure_resize.integrations import albumentations as ours, opencv  # noqa: E402

stock = load("albumentations")
# albumentations asks for Affine instead of ShiftScaleRotate, and complains of what it wrote itself for SafeRotate.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ShiftScaleRotate is a special case of Affine:UserWarning"),
    pytest.mark.filterwarnings("ignore:Argument.* are not valid for transform SafeRotate:UserWarning"),
]

# Every transform, with arguments by which it shrinks; those of "fixed" always from (110, 222) by the same factors.
SHRINKING = {
    "Resize": {"height": 31, "width": 40},
    "RandomResizedCrop": {"size": (25, 30), "scale": (0.5, 1.0)},
    "RandomSizedCrop": {"min_max_height": (60, 100), "size": (25, 30)},
    "RandomSizedBBoxSafeCrop": {"height": 25, "width": 30},
    "LongestMaxSize": {"max_size": [40, 50]},
    "SmallestMaxSize": {"max_size_hw": (30, 30)},
    "RandomScale": {"scale_limit": (-0.8, -0.4)},
    "CropAndPad": {"px": (40, 90)},
    "Affine": {"scale": (0.2, 0.5), "rotate": (-30, 30), "shear": (-10, 10)},
    "ShiftScaleRotate": {"scale_limit": (-0.7, -0.4)},
    "SafeRotate": {"limit": (20, 70)},
}
FIXED = {
    "Resize": ({"height": 31, "width": 50}, (31, 50)),
    "RandomResizedCrop": ({"size": (31, 50), "scale": (1.0, 1.0), "ratio": (222 / 110, 222 / 110)}, (31, 50)),
    "RandomSizedCrop": ({"min_max_height": (9, 9), "size": (31, 50)}, (31, 50)),
    "RandomSizedBBoxSafeCrop": ({"height": 31, "width": 50}, (31, 50)),
    "LongestMaxSize": ({"max_size": 50}, (25, 50)),
    "SmallestMaxSize": ({"max_size": 25}, (25, 50)),
    "RandomScale": ({"scale_limit": (-0.77, -0.77)}, (25, 51)),
    "Affine": ({"scale": (0.24, 0.24)}, (110, 222)),
    "CropAndPad": ({"px": 200}, (110, 222)),
}


def make(library, name, arguments, p=1.0):
    return getattr(library, name)(**arguments, p=p)


def compose(library, name, arguments, seed=0, kind="Compose", p=1.0):
    composed = getattr(library, kind)(
        [make(library, name, arguments, p)],
        bbox_params=library.BboxParams("pascal_voc", label_fields=["classes"]),
        keypoint_params=library.KeypointParams("xy"),
    )
    composed.set_random_seed(seed)
    return composed


@pytest.fixture(name="sample", scope="module")
def sample_fixture(photos):
    photo = np.ascontiguousarray(photos["coffee.png"][:150, :203])
    return {
        "image": photo,
        "mask": photo[..., 0] // 50,
        "masks": [photo[..., 1] // 90, photo[..., 2] // 90],
        "bboxes": np.array([[20.0, 30.0, 90.0, 80.0], [100.0, 40.0, 150.0, 120.0]]),
        "classes": [3, 4],
        "keypoints": np.array([[30.0, 40.0], [120.0, 100.0]]),
    }


def test_every_robust_transform_is_tried():
    assert list(SHRINKING) == list(ours.ROBUST)
    assert set(FIXED) <= set(SHRINKING)


# --- a drop-in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Compose", "ReplayCompose"])
@pytest.mark.parametrize("name", SHRINKING)
def test_all_but_the_image_is_albumentations(sample, name, kind):
    for seed in range(6):
        wanted = compose(stock, name, SHRINKING[name], seed, kind, p=0.8)(**sample)
        got = compose(ours, name, SHRINKING[name], seed, kind, p=0.8)(**sample)
        assert list(got) == list(wanted)
        for key in ("mask", "bboxes", "keypoints", "classes"):
            assert np.array_equal(got[key], wanted[key]), key
        assert all(np.array_equal(a, b) for a, b in zip(got["masks"], wanted["masks"], strict=True))
        assert (got["image"].shape, got["image"].dtype) == (wanted["image"].shape, wanted["image"].dtype)
        if np.array_equal(wanted["image"], sample["image"]):
            assert np.array_equal(got["image"], sample["image"])  # p
        if kind == "ReplayCompose":
            again = ours.ReplayCompose.replay(got["replay"], **sample)
            assert np.array_equal(again["image"], got["image"])


@pytest.mark.parametrize("name", SHRINKING)
def test_it_serializes_as_itself(sample, name):
    transform = compose(ours, name, SHRINKING[name], seed=3)
    wanted = transform(**sample)["image"]
    loaded = ours.from_dict(json.loads(json.dumps(ours.to_dict(transform))))
    assert type(loaded[0]) is getattr(ours, name)
    loaded.set_random_seed(3)
    assert np.array_equal(loaded(**sample)["image"], wanted)
    copy = pickle.loads(pickle.dumps(compose(ours, name, SHRINKING[name], seed=3)))
    assert np.array_equal(copy(**sample)["image"], wanted)
    bare = make(ours, name, SHRINKING[name])
    assert repr(bare) == repr(make(stock, name, SHRINKING[name]))
    full_name = bare.to_dict()["transform"].pop("__class_fullname__")
    assert full_name == f"secure_resize.integrations.albumentations.{name}"


@pytest.mark.parametrize("name", SHRINKING)
def test_class_and_signature_are_albumentations(name):
    cls, theirs = getattr(ours, name), getattr(stock, name)
    assert issubclass(cls, theirs)
    assert inspect.signature(cls) == inspect.signature(theirs)
    assert cls is ours.ROBUST[name]


@pytest.mark.parametrize("arguments", [{"height": 0, "width": 3}, {"height": 3.5, "width": 3}, {"width": 3}], ids=str)
def test_wrong_arguments_raise_what_albumentations_raises(arguments):
    with pytest.raises(Exception) as wanted:  # noqa: PT011, the type is compared
        stock.Resize(**arguments)
    with pytest.raises(type(wanted.value)) as got:
        ours.Resize(**arguments)
    assert str(got.value) == str(wanted.value)
    with pytest.warns(UserWarning, match="'antialias' are not valid"):
        ours.Resize(3, 4, antialias=True)


def test_every_other_name_is_albumentations():
    names = {name for name in dir(stock) if not name.startswith("__")}
    assert names <= set(dir(ours))
    changed = {name for name in names if getattr(ours, name) is not getattr(stock, name)}
    assert changed == set(ours.ROBUST)
    starred = {}
    exec("from secure_resize.integrations.albumentations import *", starred)
    assert starred["Resize"] is ours.Resize
    assert starred["HorizontalFlip"] is stock.HorizontalFlip
    with pytest.raises(AttributeError, match="Rezise"):
        _ = ours.Rezise


def test_whatever_interpolates_is_robust_or_named():
    def interpolates(cls):
        return any("interpolation" in name for name in inspect.signature(cls).parameters)

    classes = {name: cls for name, cls in inspect.getmembers(stock, inspect.isclass)}
    found = {name for name, cls in classes.items() if issubclass(cls, stock.BasicTransform) and interpolates(cls)}
    # A rotation alone changes no scale.
    assert found - {"Rotate"} <= set(ours.ROBUST) | set(ours.NOT_COVERED)
    assert len(found) >= 20
    assert not set(ours.ROBUST) & set(ours.NOT_COVERED)
    assert all(hasattr(stock, name) for name in ours.NOT_COVERED)


# --- the image ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4])
@pytest.mark.parametrize("name", ["Resize", "LongestMaxSize", "SmallestMaxSize", "RandomScale"])
def test_whole_images_are_resized_by_the_core(sample, name, interpolation):
    got = make(ours, name, {**SHRINKING[name], "interpolation": interpolation})(image=sample["image"])["image"]
    wanted = opencv.resize(sample["image"], got.shape[1::-1], interpolation=interpolation)
    assert np.array_equal(got, wanted)
    assert got.shape != sample["image"].shape


@pytest.mark.parametrize("name", ["RandomResizedCrop", "RandomSizedCrop", "RandomSizedBBoxSafeCrop"])
def test_crops_are_resized_by_the_core(sample, name):
    got = compose(ours, name, SHRINKING[name], 5, "ReplayCompose")(**sample)
    left, top, right, bottom = got["replay"]["transforms"][0]["params"]["crop_coords"]
    assert np.array_equal(got["image"], opencv.resize(sample["image"][top:bottom, left:right], (30, 25)))


@pytest.mark.parametrize("area", ["image", "image_mask"])
@pytest.mark.parametrize("name", ["Resize", "LongestMaxSize", "RandomScale", "RandomResizedCrop"])
def test_area_for_downscale(sample, name, area):
    arguments = {**SHRINKING[name], "area_for_downscale": area}
    wanted = compose(stock, name, arguments, 4)(**sample)
    got = compose(ours, name, arguments, 4)(**sample)
    assert np.array_equal(got["mask"], wanted["mask"])
    # Both are the mean over the footprint; OpenCV's rounds once more.
    assert np.abs(got["image"].astype(int) - wanted["image"]).max() <= 1


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [None, 1, 3, 7])
@pytest.mark.parametrize("name", SHRINKING)
def test_any_dtype_and_number_of_channels(sample, name, channels, dtype):
    image = np.resize(sample["image"], (150, 203) if channels is None else (150, 203, channels)).astype(dtype)
    if dtype == "float32":
        image /= 255
    rest = {key: sample[key] for key in ("bboxes", "classes", "keypoints")}
    wanted = compose(stock, name, SHRINKING[name])(image=image, **rest)["image"]
    got = compose(ours, name, SHRINKING[name])(image=image, **rest)["image"]
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    if channels == 7:
        first = compose(ours, name, SHRINKING[name])(image=np.ascontiguousarray(image[..., :3]), **rest)["image"]
        assert np.array_equal(got[..., :3], first)


@pytest.mark.parametrize("name", [name for name in SHRINKING if name != "RandomSizedBBoxSafeCrop"])
def test_volumes_are_their_slices(sample, name):
    volume = np.stack([sample["image"], sample["image"][::-1], sample["image"] // 2])
    data = {"volume": volume}
    if "MaxSize" not in name:  # which fail in albumentations
        data["mask3d"] = volume[..., 0] // 60
    transforms = [ours.Compose([make(library, name, SHRINKING[name])], seed=7) for library in (ours, stock)]
    got, wanted = (transform(**data) for transform in transforms)
    assert got["volume"].shape == wanted["volume"].shape
    assert np.array_equal(got.get("mask3d"), wanted.get("mask3d"))
    images = ours.Compose([make(ours, name, SHRINKING[name])], seed=7)(images=volume)["images"]
    single = ours.Compose([make(ours, name, SHRINKING[name])], seed=7)(image=volume[0])["image"]
    assert np.array_equal(images[0], single)
    assert np.array_equal(got["volume"], images)


GROWING = {
    "Resize": {"height": 160, "width": 203},
    "RandomScale": {"scale_limit": (0.1, 0.7)},
    "Affine": {"scale": (1.0, 1.4), "rotate": (-30, 30)},
    "ShiftScaleRotate": {"scale_limit": (0.1, 0.4)},
}


@pytest.mark.parametrize("interpolation", [cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
@pytest.mark.parametrize("name", GROWING)
def test_what_grows_is_albumentations(sample, name, interpolation):
    arguments = {**GROWING[name], "interpolation": interpolation}
    for seed in range(4):
        wanted = compose(stock, name, arguments, seed)(**sample)["image"]
        assert np.array_equal(compose(ours, name, arguments, seed)(**sample)["image"], wanted)


@pytest.mark.parametrize("name", SHRINKING)
def test_nearest_is_refused_for_an_image_that_shrinks(sample, name):
    with pytest.raises(ValueError, match=r"INTER_NEAREST .*reads one pixel per output"):
        compose(ours, name, {**SHRINKING[name], "interpolation": cv2.INTER_NEAREST})(**sample)


def test_a_warp_keeps_its_place(photos):
    """A smooth picture, shrunk and turned: ours differs from albumentations' by its blur alone, not by a shift."""
    photo = cv2.GaussianBlur(photos["astronaut.png"], (0, 0), 8)
    arguments = {"scale": {"x": 0.3, "y": 0.45}, "rotate": 25, "translate_px": {"x": 11, "y": -7}}
    wanted = make(stock, "Affine", arguments)(image=photo)["image"].astype(int)
    got = make(ours, "Affine", arguments)(image=photo)["image"].astype(int)
    # 0.55 without the half pixel by which the centres of a shrunk image's pixels move.
    assert np.abs(got - wanted).mean() < 0.2


# --- no path that samples -----------------------------------------------------------------------------------------


# Each takes seconds to be asked of, or is a near copy of one beside it.
SLOW = {"SmallestMaxSize", "RandomSizedCrop", "RandomSizedBBoxSafeCrop", "CropAndPad"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in FIXED]
)
def test_robust_where_albumentations_is_not(name):
    arguments, out_size = FIXED[name]

    def verdict(library):
        transform = make(library, name, arguments)

        def call(image):
            if "Crop" in name and "Pad" not in name:  # where it crops is random
                return transform.apply(image, crop_coords=(0, 0, *image.shape[1::-1]))
            return transform(image=image)["image"]

        return sr.exposure(sr.probe(call, (110, 222), out_size, layout="HWC")).verdict

    assert verdict(stock) == "vulnerable"
    assert verdict(ours) == "robust"


def stealth_gain(transform, edge):
    """Of a linear transform of square images, in dB: 20 log10(σmax √(N / n)) of its whole matrix, column by column."""
    impulses = np.eye(edge * edge, dtype=np.float32).reshape(-1, edge, edge)
    matrix = np.stack([transform(image=impulse)["image"].ravel() for impulse in impulses], axis=1)
    outputs = np.count_nonzero(
        np.abs(matrix).sum(axis=1) > 0.5
    )  # all but those in whose place there is hardly an image
    return 20 * np.log10(np.linalg.norm(matrix, 2) * edge / np.sqrt(outputs))


WARPS = [
    {"scale": {"x": 0.25, "y": 0.3}, "rotate": 20, "shear": 10, "interpolation": cv2.INTER_LANCZOS4},
    {"scale": {"x": 0.65, "y": 0.4}, "rotate": -55, "shear": -33, "interpolation": cv2.INTER_LINEAR},
    {"scale": {"x": 0.3, "y": 0.8}, "rotate": 3, "shear": -13, "interpolation": cv2.INTER_CUBIC},
]


@pytest.mark.parametrize("arguments", WARPS, ids=lambda arguments: str(arguments["rotate"]))
def test_warps_that_no_probe_takes_apart_are_robust(arguments):
    """Turned and sheared they are not separable; their matrix is small enough to be written down."""
    assert stealth_gain(make(stock, "Affine", arguments), 22) > 4
    assert stealth_gain(make(ours, "Affine", arguments), 22) < 1


@pytest.mark.parametrize("name", ["Affine", "ShiftScaleRotate"])
@pytest.mark.parametrize("angle", [0, 33, 90])
def test_a_warp_reads_every_pixel(name, angle):
    """Single pixels set to white: how many of them show in the output, of albumentations' and of ours."""
    arguments = {"scale": 0.25, "rotate": angle}
    if name == "ShiftScaleRotate":
        arguments = {"scale_limit": (-0.75, -0.75), "rotate_limit": (angle, angle), "shift_limit": 0}
    pixels = np.random.default_rng(0).integers(44, 84, (60, 2))
    seen = []
    for library in (stock, ours):
        transform, black = make(library, name, arguments), np.zeros((128, 128), np.uint8)
        shows = []
        for y, x in pixels:
            image = black.copy()
            image[y, x] = 255
            shows.append(transform(image=image)["image"].any())
        seen.append(np.mean(shows))
    assert seen[0] < 0.5
    assert seen[1] == 1
