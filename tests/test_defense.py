"""``defense="median"`` and ``"random"`` on the transforms: the framework's own resize of the reconstructed image."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.measure.scalers import SCALERS

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
import PIL.Image  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import InterpolationMode, v2 as stock  # noqa: E402

from secure_resize.integrations.torchvision import functional, v2  # noqa: E402

MODES = ["nearest", "nearest-exact", "bilinear", "bicubic"]
DEFENSES = ["median", "random"]
SIZED = ("size", "min_size", "max_size", "target_size", "scale_range", "scale", "ratio")
SIZES = [(30, 41), (52, 60), (97, 20)]  # of 120 × 160: β from 1.2 to 8


@pytest.fixture(scope="module", name="photo")
def photo_fixture(photos):
    return np.ascontiguousarray(photos["coffee.png"][100:220, 200:360])


def expected(photo, size, scaler, defense):
    return SCALERS[scaler](sr.reconstruct(photo, size, scaler=scaler, method=defense), size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("mode", MODES)
def test_torchvision(photo, mode, defense, size):
    """Tensors of every kind, and the random filter's draws are the process's: the same for the same image."""
    wanted = expected(photo, size, f"torchvision:{mode.replace('-', '_')}", defense)
    tensor, transform = torch.from_numpy(photo).movedim(-1, 0), v2.Resize(size, mode, defense=defense)
    for image in (tensor, tensor.contiguous(), tv_tensors.Image(tensor), tensor[None].expand(2, -1, -1, -1)):
        out = pickle.loads(pickle.dumps(transform))(image)
        assert type(out) is type(image)
        pixels = out.as_subclass(torch.Tensor).movedim(-3, -1).numpy()
        # torchvision resizes a channels_last tensor by another kernel, a level off at most.
        assert np.abs(pixels.reshape(-1, *wanted.shape).astype(int) - wanted).max() <= 1
    assert np.array_equal(np.asarray(transform(PIL.Image.fromarray(photo))), wanted)
    assert f"defense={defense}" in repr(transform)


def test_torchvision_crops_first(photo):
    tensor = torch.from_numpy(photo).movedim(-1, 0).contiguous()
    torch.manual_seed(3)
    ours = v2.RandomResizedCrop(24, interpolation="nearest", defense="median")(tensor)
    torch.manual_seed(3)
    top, left, height, width = v2.RandomResizedCrop(24).make_params([tensor]).values()
    crop = photo[top : top + height, left : left + width]
    assert np.array_equal(ours.movedim(0, -1).numpy(), expected(crop, (24, 24), "torchvision:nearest", "median"))


@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize(
    "transform",
    [
        v2.Resize(30),
        v2.RandomResizedCrop(24),
        v2.RandomResize(20, 40),
        v2.RandomShortestSize([24, 30], max_size=50),
        v2.ScaleJitter((30, 40), (0.5, 1.0)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_every_resizing_transform_takes_a_defense(photo, transform, defense):
    """Of the same random size, or crop, as torchvision's own from the same seed."""
    tensor, cls = torch.from_numpy(photo).movedim(-1, 0).contiguous(), type(transform)
    sized = {name: getattr(transform, name) for name in inspect.signature(cls).parameters if name in SIZED}
    ours = cls(**sized, interpolation="nearest", defense=defense)
    assert f"defense={defense}" in repr(ours)
    torch.manual_seed(3)
    out = pickle.loads(pickle.dumps(ours))(tensor)
    torch.manual_seed(3)
    assert out.shape == getattr(stock, cls.__name__)(**sized, interpolation=InterpolationMode.NEAREST)(tensor).shape
    torch.manual_seed(3)
    crop = photo
    if cls is v2.RandomResizedCrop:
        top, left, height, width = transform.make_params([tensor]).values()
        crop = photo[top : top + height, left : left + width]
    wanted = expected(crop, tuple(out.shape[-2:]), "torchvision:nearest", defense)
    assert np.array_equal(out.movedim(0, -1).numpy(), wanted)


def test_torchvision_floats_masks_and_boxes(photo):
    image = torch.from_numpy(photo).movedim(-1, 0).float() / 255
    mask = tv_tensors.Mask(torch.arange(120 * 160).reshape(1, 120, 160))
    out, small = v2.Resize((30, 40), defense="median")(image, mask)
    assert out.shape == (3, 30, 40)
    assert torch.equal(small, v2.functional.resize(mask, [30, 40]))
    half = v2.Resize((30, 40), defense="median")(image.half())
    assert half.dtype == torch.float16
    assert (half.float() - out).abs().max() < 0.002  # half precision


def test_torchvision_attack_fails_and_plain_would_not(photo):
    """Pixels that nearest reads set to white show without the defense, and not with it."""
    attacked = photo.copy()
    attacked[::4, ::4] = 255
    tensor = torch.from_numpy(attacked).movedim(-1, 0).contiguous()
    assert (torch.nn.functional.interpolate(tensor[None], (30, 40)) == 255).all()
    for defense in DEFENSES:
        out = v2.Resize((30, 40), "nearest", defense=defense)(tensor)
        clean = v2.Resize((30, 40), "nearest", defense=defense)(torch.from_numpy(photo).movedim(-1, 0).contiguous())
        assert (out == 255).float().mean() < 0.1
        if defense == "median":
            assert torch.equal(out, clean)


def test_reconstruct_before_a_third_party(photo):
    """cv2.resize after v2.Reconstruct is reconstruct_resize; masks and labels pass."""
    cv2 = pytest.importorskip("cv2")
    transform = v2.Reconstruct((30, 40), scaler="opencv:linear")
    wanted = sr.reconstruct_resize(photo, (30, 40), scaler="opencv:linear")
    tensor = torch.from_numpy(photo).movedim(-1, 0)
    out, label = transform(tensor, 7)
    assert label == 7
    assert np.array_equal(cv2.resize(np.ascontiguousarray(out.movedim(0, -1).numpy()), (40, 30)), wanted)
    pil = transform(PIL.Image.fromarray(photo))
    assert np.array_equal(cv2.resize(np.asarray(pil), (40, 30)), wanted)
    mask = tv_tensors.Mask(torch.zeros(1, 120, 160))
    assert transform(mask) is mask
    with pytest.raises(TypeError, match="numpy array"):
        transform(photo)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"defense": "mean"}, "valid: robust, median, random"),
        ({"defense": "median", "interpolation": "lanczos"}, "valid: bilinear, bicubic, nearest, nearest-exact"),
        ({"defense": "median", "kernel": "area"}, "goes with defense='robust'"),
    ],
)
def test_torchvision_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        v2.Resize(10, **options)
    with pytest.raises(ValueError, match=message):
        functional.resize(torch.zeros(3, 40, 40), [10, 10], **options)


def test_torchvision_refuses_modes_it_cannot_reconstruct():
    with pytest.raises(ValueError, match="mode L or RGB"):
        v2.Resize(10, defense="median")(PIL.Image.new("RGBA", (40, 40)))
    with pytest.raises(ValueError, match="mode L or RGB"):
        v2.Reconstruct((10, 10))(PIL.Image.new("P", (40, 40)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("method", ["bilinear", "bicubic", "nearest"])
def test_tensorflow(photo, method, defense, size):
    """Eager, in tf.data, and batched."""
    tf = pytest.importorskip("tensorflow")
    from secure_resize.integrations import tensorflow as srtf

    wanted = expected(photo, size, f"tensorflow:{method}", defense)
    transform = srtf.Resize(size, method, defense=defense, dtype="uint8")
    assert np.array_equal(transform(tf.constant(photo)), wanted)
    dataset = tf.data.Dataset.from_tensors((photo, 3)).map(transform)
    [(image, label)] = list(dataset)
    assert image.shape == (*size, 3)
    assert int(label) == 3
    assert np.array_equal(image, wanted)
    if defense == "median":
        assert np.array_equal(transform(tf.constant(photo[None]))[0], wanted)


@pytest.mark.parametrize("defense", DEFENSES)
def test_tensorflow_reconstruct_before_a_third_party(photo, defense):
    """Keras's layer after srtf.Reconstruct, in a pipeline, is reconstruct_resize; the rest of an element passes."""
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("keras")
    from secure_resize.integrations import tensorflow as srtf

    transform, layer = srtf.Reconstruct((30, 40), "keras:bilinear", defense), keras.layers.Resizing(30, 40)
    assert pickle.loads(pickle.dumps(transform)) == transform
    wanted = sr.reconstruct(photo, (30, 40), scaler="keras:bilinear", method=defense)
    small = sr.reconstruct_resize(photo, (30, 40), scaler="keras:bilinear", method=defense)
    assert np.array_equal(transform(tf.constant(photo)), wanted)
    dataset = tf.data.Dataset.from_tensors({"image": photo, "label": 3}).map(transform)
    [element] = dataset.map(lambda element: element | {"small": layer(element["image"])})
    assert np.array_equal(element["image"], wanted)
    assert int(element["label"]) == 3
    assert np.array_equal(np.round(element["small"]), small)
    half = transform(tf.cast(photo, tf.float16))
    assert (half.dtype, half.shape) == (tf.float16, photo.shape)
    for bad, message in [
        (("keras:blinear",), "unknown scaler"),
        (("keras:bilinear", "mean"), "valid methods"),
        (("keras:bilinear", "median", 0), "bandwidth"),
    ]:
        with pytest.raises(ValueError, match=message):
            srtf.Reconstruct((30, 40), *bad)


def test_tensorflow_bad_arguments():
    tf = pytest.importorskip("tensorflow")
    from secure_resize.integrations import tensorflow as srtf

    for options, message in [
        ({"defense": "mean"}, "valid: robust, median, random"),
        ({"defense": "median", "method": "area"}, "valid: bilinear, nearest, bicubic"),
        ({"defense": "median", "path": "graph"}, "valid: auto, host"),
    ]:
        with pytest.raises(ValueError, match=message):
            srtf.Resize((8, 8), **options)
        with pytest.raises(ValueError, match=message):
            srtf.resize(tf.zeros((32, 32, 3), tf.uint8), (8, 8), **options)
    assert srtf.Resize((8, 8), defense="median") != srtf.Resize((8, 8))
