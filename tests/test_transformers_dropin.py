"""``secure_resize.integrations.transformers``: image processors no longer sample, and are otherwise the same."""

# ruff: noqa: E402, what needs transformers is imported after the check for it

import copy
import inspect
import pickle
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
transformers = pytest.importorskip("transformers", minversion="5.0")

import PIL.Image
from torch.nn import functional

import secure_resize as sr
from secure_resize.integrations import transformers as ours

pytestmark = pytest.mark.once
IN_SIZE = (150, 230)
SIZE = {"height": 56, "width": 56}
# Processors that sample: class, configuration, and the picture in what they give.
SAMPLING = {
    "DepthProImageProcessor": ({"size": SIZE}, "pixel_values"),
    "PPDocLayoutV2ImageProcessor": ({"size": SIZE}, "pixel_values"),
    "PPDocLayoutV3ImageProcessor": ({"size": SIZE}, "pixel_values"),
    "PPDocLayoutV4ImageProcessor": ({"size": SIZE}, "pixel_values"),
    "PPOCRV6SmallRecImageProcessor": ({}, "pixel_values"),
    "RfDetrImageProcessor": ({"size": SIZE}, "pixel_values"),
    "ZoeDepthImageProcessor": ({"size": SIZE, "ensure_multiple_of": 1, "do_pad": False}, "pixel_values"),
    "ZoeDepthImageProcessorPil": ({"size": SIZE, "ensure_multiple_of": 1, "do_pad": False}, "pixel_values"),
    "Molmo2ImageProcessor": ({"size": SIZE, "overlap_margins": [1, 1]}, "pixel_values"),
    "Phi4MultimodalImageProcessor": ({"size": SIZE, "patch_size": 14}, "image_pixel_values"),
    # Of these, what the configuration says.
    "ViTImageProcessor": ({"size": SIZE, "resample": 0}, "pixel_values"),
    "ViTImageProcessorPil": ({"size": SIZE, "resample": 0}, "pixel_values"),
    "CLIPImageProcessor": ({"size": {"shortest_edge": 56}, "do_center_crop": False, "resample": 0}, "pixel_values"),
}
ANTIALIASED = ["ViTImageProcessor", "ViTImageProcessorPil", "CLIPImageProcessor", "DetrImageProcessor"]


def make(name):
    if not hasattr(transformers, name):
        pytest.skip(f"this transformers has no {name}")
    return getattr(transformers, name)(**SAMPLING.get(name, ({},))[0])


def picture(processor, image, key="pixel_values", **options):
    """The first picture (C, h, w) of what ``processor`` makes of an image (H, W, C)."""
    made = processor(images=image, return_tensors="np", input_data_format="channels_last", **options)[key]
    if "Molmo2" in type(processor).__name__:  # (crops, patches, pixels), the whole image first: its 4 x 4 patches
        return np.asarray(made)[0].reshape(4, 4, 14, 14, 3).transpose(4, 0, 2, 1, 3).reshape(3, 56, 56)
    while np.ndim(made) > 3:
        made = made[0]
    return np.asarray(made)


@pytest.fixture(name="photo", scope="module")
def photo_fixture(photos):
    return np.ascontiguousarray(photos["coffee.png"][: IN_SIZE[0], : IN_SIZE[1]])


# --- no path that samples -----------------------------------------------------------------------------------------


# Near copies of those beside them.
SLOW = {"PPDocLayoutV2ImageProcessor", "PPDocLayoutV3ImageProcessor", "ZoeDepthImageProcessorPil", "CLIPImageProcessor"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SAMPLING]
)
def test_robust_where_stock_is_not(photo, name):
    processor, key = make(name), SAMPLING[name][1]
    out_size = picture(processor, photo, key).shape[-2:]

    # phi4's tiles come first, and are no part of the question where they are the image itself.
    in_size = (112, 224) if "Phi4" in name else IN_SIZE

    def verdict(of):
        operator = sr.probe(lambda image: picture(of, image, key), in_size, out_size, layout="HWC", dtype="uint8")
        return sr.exposure(operator).verdict

    assert verdict(processor) == "vulnerable"
    assert verdict(ours.robust(processor)) == "robust"


def test_what_was_antialiased_stays_what_it_was(photo):
    for name in ANTIALIASED:
        processor = getattr(transformers, name)()
        for image in (photo, PIL.Image.fromarray(photo), torch.from_numpy(photo).permute(2, 0, 1)):
            wanted, got = (p(images=image, return_tensors="np") for p in (processor, ours.robust(processor)))
            assert wanted.keys() == got.keys()
            assert all(np.array_equal(wanted[key], got[key]) for key in wanted), name


def test_nearest_in_a_call_is_bilinear(photo):
    for name in ("ViTImageProcessor", "ViTImageProcessorPil"):
        processor = getattr(transformers, name)(size=SIZE, resample=2)
        wanted = picture(processor, photo)
        for resample in (0, PIL.Image.Resampling.NEAREST):
            assert not np.array_equal(picture(processor, photo, resample=resample), wanted)
            assert np.array_equal(picture(ours.robust(processor), photo, resample=resample), wanted)
        assert np.array_equal(picture(ours.robust(processor), photo, resample=3), picture(processor, photo, resample=3))


@pytest.mark.parametrize("name", ["BeitImageProcessor", "BeitImageProcessorPil", "SegformerImageProcessor"])
def test_label_maps_are_nearest_as_ever(photo, name):
    processor = getattr(transformers, name)(size=SIZE, resample=0, do_center_crop=False)
    labels = (photo[..., 0] // 25 * 25).astype(np.uint8)
    wanted, got = (p(photo, labels, return_tensors="np") for p in (processor, ours.robust(processor)))
    assert np.array_equal(wanted["labels"], got["labels"])
    assert wanted.keys() == got.keys()
    assert not np.array_equal(wanted["pixel_values"], got["pixel_values"])


def test_the_interpolations_of_a_processor_of_ones_own(photo):
    class Own(ours.RobustMixin, transformers.image_processing_backends.TorchvisionBackend):
        mode = "bilinear"
        scale = None

        def _preprocess(self, images, **kwargs):
            size = None if self.scale else (37, 51)
            made = [functional.interpolate(i[None].float(), size, self.scale, self.mode)[0] for i in images]
            return transformers.BatchFeature({"pixel_values": made}, tensor_type="np")

    own, tensor = Own(), torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    for mode in ("bilinear", "bicubic"):
        own.mode = mode
        wanted = functional.interpolate(tensor, (37, 51), mode=mode, antialias=True)[0]
        assert np.array_equal(picture(own, photo), wanted)
    own.mode, own.scale = "bilinear", (0.5, 0.3)
    wanted = functional.interpolate(tensor, scale_factor=(0.5, 0.3), mode="bilinear", antialias=True)[0]
    assert np.array_equal(picture(own, photo), wanted)
    own.scale = 1.5
    assert np.array_equal(picture(own, photo), functional.interpolate(tensor, scale_factor=1.5, mode="bilinear")[0])
    own.mode, own.scale = "area", None
    wanted = sr.resize(photo.astype(np.float32), (37, 51)).transpose(2, 0, 1)
    assert np.allclose(picture(own, photo), wanted, atol=1e-3)
    assert isinstance(pickle.loads(pickle.dumps(transformers.ViTImageProcessor())), transformers.ViTImageProcessor)


def test_what_cannot_be_made_robust_is_refused(photo):
    with pytest.raises(ValueError, match="VitPoseImageProcessor cannot be made robust: it warps boxes"):
        ours.robust(transformers.VitPoseImageProcessor())
    with pytest.raises(ValueError, match="VitPose"):
        _ = ours.VitPoseImageProcessor
    with pytest.raises(TypeError, match=r"takes an image or video processor .* got int"):
        ours.robust(3)

    class Warps(ours.RobustMixin, transformers.image_processing_backends.TorchvisionBackend):
        def _preprocess(self, images, **kwargs):
            return functional.grid_sample(images[0][None].float(), torch.zeros(1, 4, 4, 2), align_corners=False)

    with pytest.raises(ValueError, match="grid_sample"):
        Warps()(photo)

    class Volumes(Warps):
        def _preprocess(self, images, **kwargs):
            return functional.interpolate(images[0][None, None].float(), (3, 9, 9), mode="trilinear")

    with pytest.raises(ValueError, match=r"mode='trilinear'.* cannot be made robust"):
        Volumes()(photo)


def test_only_the_processor_and_its_thread_are_antialiased(photo):
    processor = ours.robust(transformers.ViTImageProcessor(size=SIZE))
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    wanted = functional.interpolate(image, (9, 9), mode="bilinear")
    found, inside, done = [], threading.Event(), threading.Event()

    class Slow(ours.RobustMixin, transformers.image_processing_backends.TorchvisionBackend):
        def _preprocess(self, images, **kwargs):
            inside.set()
            done.wait(60)
            return functional.interpolate(images[0][None].float(), (9, 9), mode="bilinear")

    thread = threading.Thread(target=lambda: found.append(Slow()(photo)))
    thread.start()
    inside.wait(60)
    meanwhile = functional.interpolate(image, (9, 9), mode="bilinear")
    done.set()
    thread.join()
    processor(photo)
    assert torch.equal(meanwhile, wanted)
    assert torch.equal(functional.interpolate(image, (9, 9), mode="bilinear"), wanted)
    assert torch.equal(found[0], functional.interpolate(image, (9, 9), mode="bilinear", antialias=True))


# --- a drop-in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ViTImageProcessor", "ViTImageProcessorPil", "DepthProImageProcessor"])
def test_it_is_the_processor_in_all_but_its_sampling(tmp_path, photo, name):
    processor = make(name)
    robust = ours.robust(processor)
    cls = type(processor)
    assert isinstance(robust, cls)
    assert type(robust).__name__ == cls.__name__
    assert (repr(robust), robust.to_dict()) == (repr(processor), processor.to_dict())
    for method in ("__call__", "preprocess", "resize"):
        assert inspect.signature(getattr(type(robust), method)) == inspect.signature(getattr(cls, method))
    assert ours.robust(robust) is robust
    assert type(processor) is cls
    for copied in (pickle.loads(pickle.dumps(robust)), copy.copy(robust), copy.deepcopy(robust)):
        assert type(copied) is type(robust)
        assert repr(copied) == repr(processor)
        assert np.array_equal(picture(copied, photo), picture(robust, photo))
    robust.save_pretrained(tmp_path / "ours")
    processor.save_pretrained(tmp_path / "stock")
    saved = [(tmp_path / kind / "preprocessor_config.json").read_text() for kind in ("ours", "stock")]
    assert saved[0] == saved[1]
    again = type(robust).from_pretrained(tmp_path / "ours")
    assert np.array_equal(picture(again, photo), picture(robust, photo))
    stock = transformers.AutoImageProcessor.from_pretrained(tmp_path / "ours", backend=processor.backend)
    assert type(stock) is cls
    assert np.array_equal(picture(stock, photo), picture(processor, photo))
    auto = ours.AutoImageProcessor.from_pretrained(tmp_path / "ours", backend=processor.backend)
    assert type(auto) is type(robust)
    assert np.array_equal(picture(auto, photo), picture(robust, photo))


def test_classes_are_robust_under_their_own_names(photo):
    assert ours.ViTImageProcessor is ours.robust_class(transformers.ViTImageProcessor)
    assert issubclass(ours.ViTImageProcessor, transformers.ViTImageProcessor)
    assert ours.robust_class(ours.ViTImageProcessor) is ours.ViTImageProcessor
    wanted = picture(transformers.ViTImageProcessor(size=SIZE, resample=2), photo)
    assert np.array_equal(picture(ours.ViTImageProcessor(size=SIZE, resample=0), photo), wanted)
    assert ours.BatchFeature is transformers.BatchFeature
    assert "ViTModel" in dir(ours)
    with pytest.raises(AttributeError, match="Rezise"):
        _ = ours.Rezise


def test_a_multimodal_processor_has_robust_parts(tmp_path, photo):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo"]))
    tokenizer = transformers.BertTokenizer(vocab=str(tmp_path / "vocab.txt"))
    images = transformers.ViTImageProcessor(size=SIZE, resample=0)
    processor = transformers.VisionTextDualEncoderProcessor(image_processor=images, tokenizer=tokenizer)
    robust = ours.robust(processor)
    assert type(robust) is type(processor)
    assert robust.tokenizer is tokenizer
    assert processor.image_processor is images
    assert isinstance(robust.image_processor, ours.RobustMixin)
    wanted = ours.robust(images)(photo, return_tensors="np")["pixel_values"]
    got = robust(text="a photo", images=photo, return_tensors="np")
    assert np.array_equal(got["pixel_values"], wanted)
    assert not np.array_equal(got["pixel_values"], processor(images=photo, return_tensors="np")["pixel_values"])
    processor.save_pretrained(tmp_path / "saved")
    loaded = ours.AutoProcessor.from_pretrained(tmp_path / "saved")
    assert np.array_equal(loaded(images=photo, return_tensors="np")["pixel_values"], wanted)


def test_timms_pipelines_are_timms(photo):
    timm = pytest.importorskip("timm")
    config = {"input_size": (3, 48, 48), "crop_pct": 0.9, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    processor = transformers.TimmWrapperImageProcessor({**config, "interpolation": "bicubic"})
    robust, image = ours.robust(processor), PIL.Image.fromarray(photo)
    assert torch.equal(robust(image)["pixel_values"], processor(image)["pixel_values"])
    assert isinstance(processor.val_transforms.transforms[0], timm.data.transforms_factory.transforms.Resize)
    assert "integrations.timm" in type(robust.val_transforms.transforms[0]).__module__
    assert "integrations" not in type(processor.val_transforms.transforms[0]).__module__
    with pytest.raises(ValueError, match="interpolation='nearest' reads one pixel"):
        ours.robust(transformers.TimmWrapperImageProcessor({**config, "interpolation": "nearest"}))


def test_video_processors(photo):
    if not hasattr(transformers, "Molmo2VideoProcessor"):
        pytest.skip("this transformers has no molmo2")
    processor = transformers.Molmo2VideoProcessor()
    robust = ours.robust(processor)
    assert isinstance(robust, transformers.Molmo2VideoProcessor)
    assert repr(robust) == repr(processor)
