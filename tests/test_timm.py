"""``secure_resize.integrations.timm``: timm's pipelines, byte for byte, but for what would sample."""

# ruff: noqa: E402, what needs timm is imported after the check for it

import inspect
import pickle
import random
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")

import PIL.Image
import timm.data
from timm.data import transforms as timm_transforms

import secure_resize as sr
from secure_resize.integrations import timm as ours

pytestmark = pytest.mark.once
INTERPOLATIONS = ["bilinear", "bicubic", "lanczos", "hamming", "random"]
PIPELINES = {
    "eval": {},
    "eval, squash": {"crop_mode": "squash"},
    "eval, border": {"crop_mode": "border"},
    "eval, not square": {"input_size": (3, 48, 64)},
    "eval, prefetcher": {"use_prefetcher": True},
    "eval, trimmed": {"crop_border_pixels": 5, "normalize": False},
    "train": {"is_training": True},
    "train, prefetcher": {"is_training": True, "use_prefetcher": True},
    "train, no augmentation": {"is_training": True, "no_aug": True},
    "train, rkrc": {"is_training": True, "train_crop_mode": "rkrc"},
    "train, rkrr": {"is_training": True, "train_crop_mode": "rkrr", "color_jitter": None},
    "train, rand augment": {"is_training": True, "auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.5},
    "train, three parts": {"is_training": True, "separate": True, "auto_augment": "augmix-m3-w3"},
    "naflex": {"naflex": True, "patch_size": 16, "max_seq_len": 12},
    "naflex, train": {"naflex": True, "is_training": True, "patch_size": 16, "max_seq_len": 12},
}


@pytest.fixture(name="photo", scope="module")
def photo_fixture(photos):
    return PIL.Image.fromarray(photos["coffee.png"][:150, :203])


def seeded(transform, image, seed):
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002, of timm's own augmentations
    for part in transform if isinstance(transform, tuple) else (transform,):
        image = part(image)
    return image, random.random(), torch.rand(1)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_are_timms(photo, name, interpolation):
    arguments = {"input_size": 64, **PIPELINES[name], "interpolation": interpolation}
    # timm has no random interpolation for some, and Pillow no lanczos or hamming for rand augment's rotations.
    seed = 0
    try:
        stock = timm.data.create_transform(**arguments)
        for seed in range(4):
            seeded(stock, photo, seed)
    except (KeyError, ValueError) as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            seeded(ours.create_transform(**arguments), photo, seed)
        return
    robust = ours.create_transform(**arguments)
    assert repr(robust) == repr(stock)
    assert type(robust) is type(stock)
    for seed in range(4):
        wanted, got = (seeded(transform, photo, seed) for transform in (stock, robust))
        assert torch.equal(got[0], wanted[0])
        assert got[1:] == wanted[1:], "drew another number of random numbers"
    copied = pickle.loads(pickle.dumps(robust))
    assert torch.equal(seeded(copied, photo, 0)[0], seeded(robust, photo, 0)[0])


def test_the_arguments_are_timms():
    parameters = list(inspect.signature(ours.create_transform).parameters.values())
    assert parameters[:-1] == list(inspect.signature(timm.data.create_transform).parameters.values())
    assert (parameters[-1].name, parameters[-1].kind) == ("kernel", inspect.Parameter.KEYWORD_ONLY)
    assert ours.create_transform.__doc__.startswith("``timm.data.create_transform``, robust")
    config = ours.resolve_data_config({}, pretrained_cfg={"input_size": (3, 32, 32), "interpolation": "bicubic"})
    assert ours.resolve_data_config is timm.data.resolve_data_config
    assert "interpolation=bicubic" in repr(ours.create_transform(**config))
    assert {name for name in dir(timm.data) if not name.startswith("_")} <= set(dir(ours))
    with pytest.raises(AttributeError, match="rezise"):
        _ = ours.rezise


def resizes(transform):
    parts = transform if isinstance(transform, tuple) else (transform,)
    return [step for part in parts for step in part.transforms if hasattr(step, "interpolation")]


@pytest.mark.parametrize("name", PIPELINES)
def test_nearest_is_refused_or_replaced(photo, name):
    arguments = {"input_size": 64, **PIPELINES[name], "interpolation": "nearest"}
    assert resizes(timm.data.create_transform(**arguments))
    with pytest.raises(ValueError, match=r"interpolation='nearest' reads one pixel .* kernel= one of 'area'"):
        ours.create_transform(**arguments)
    if "naflex" in name:
        return
    replaced = ours.create_transform(**arguments, kernel="area")
    assert [type(step) for step in resizes(replaced)] == [
        ours.ROBUST[type(step).__mro__[2]] for step in resizes(replaced)
    ]
    assert seeded(replaced, photo, 0)[0].shape == seeded(timm.data.create_transform(**arguments), photo, 0)[0].shape


def test_box_is_refused_where_it_leaves_pixels_out():
    image = PIL.Image.new("RGB", (432, 432))
    arguments = {"input_size": 224, "crop_pct": 1.0, "interpolation": "box"}
    with pytest.raises(ValueError, match=r"'box' weighs source pixels unevenly .*kernel='area'"):
        ours.create_transform(**arguments)(image)
    assert ours.create_transform(**arguments, kernel="area")(image).shape == (3, 224, 224)
    assert ours.create_transform(**{**arguments, "input_size": 216})(image).shape == (3, 216, 216)


def test_tensorflows_preprocessing_is_refused():
    class TfPreprocessTransform:
        pass

    with pytest.raises(ValueError, match="tf_preprocessing=True resizes with TensorFlow"):
        ours.robust(TfPreprocessTransform())
    with pytest.raises(ValueError, match="unknown kernel 'cubic'"):
        ours.create_transform(64, kernel="cubic")


@pytest.mark.parametrize("crop", ["center", "border", "squash"])
def test_robust_where_timm_is_not(crop):
    arguments = {"input_size": (3, 24, 30), "crop_mode": crop, "crop_pct": 1.0, "interpolation": "nearest"}

    def verdict(library, **options):
        transform = library.create_transform(**arguments, **options)
        return sr.exposure(sr.probe(transform, (110, 222), (24, 30), layout="PIL")).verdict

    assert verdict(timm.data) == "vulnerable"
    assert verdict(ours, kernel="area") == "robust"
    arguments["interpolation"] = "bicubic"
    assert verdict(ours) == "robust"


def test_a_tensor_is_resized_as_the_torchvision_transforms_do(photo):
    from secure_resize.integrations.torchvision import functional

    tensor = functional.pil_to_tensor(photo)
    transform = ours.create_transform(64, interpolation="bicubic", normalize=False, crop_pct=1.0, crop_mode="squash")
    assert torch.equal(transform(tensor), functional.resize(tensor, [64, 64], "bicubic"))


class Pictures(torch.utils.data.Dataset):
    def __init__(self, photo):
        self.photo, self.transform = photo, None

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transform(self.photo), index


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_has_robust_transforms(photo, workers):
    options = {"batch_size": 2, "num_workers": workers, "use_prefetcher": False, "pin_memory": False}
    batches = {}
    for library in (timm.data, ours):
        for interpolation in ("bicubic", "nearest"):
            extra = {"kernel": "bicubic"} if library is ours and interpolation == "nearest" else {}
            dataset = Pictures(photo)
            loader = library.create_loader(dataset, (3, 48, 48), interpolation=interpolation, **options, **extra)
            batches[library, interpolation] = torch.cat([images for images, _ in loader])
    assert torch.equal(batches[ours, "bicubic"], batches[timm.data, "bicubic"])
    assert torch.equal(batches[ours, "nearest"], batches[ours, "bicubic"])
    assert not torch.equal(batches[timm.data, "nearest"], batches[ours, "bicubic"])
    with pytest.raises(ValueError, match="nearest"):
        ours.create_loader(Pictures(photo), (3, 48, 48), interpolation="nearest", **options)
    with pytest.raises(ValueError, match="use_multi_epochs_loader"):
        ours.create_loader(Pictures(photo), (3, 48, 48), use_multi_epochs_loader=True, **options)


def test_every_class_of_timms_that_resizes_is_known():
    """Those of timm.data.transforms and of NaFlex that have an interpolation."""
    from timm.data import naflex_transforms

    found = set()
    for module in (timm_transforms, naflex_transforms):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == module.__name__ and "interpolation" in inspect.signature(cls).parameters:
                found.add(name)
    assert found == {cls.__name__ for cls in ours.ROBUST if cls.__module__.startswith("timm")} | set(ours._NAFLEX)
