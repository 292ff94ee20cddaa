"""The first version of the transforms, and what torchvision's own models come with."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import inspect
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import PIL.Image
from test_torchvision import photo_fixture, pil_image, same, tensor  # noqa: F401
from torchvision import models, transforms as stock, tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import InterpolationMode, _presets

import secure_resize as sr
from secure_resize.integrations.torchvision import presets, v1

pytestmark = pytest.mark.once

MODES = [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS, 5]

# --- the first version ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_v1_gives_torchvisions_bytes(photo, mode):
    image = pil_image(photo, "RGB")
    for size in (20, (20, 31), [40]):
        ours, theirs = (module.Resize(size, mode) for module in (v1, stock))
        assert same(ours(image), theirs(image))
        assert same(v1.functional.resize(image, size, mode), theirs(image))
        assert isinstance(ours, stock.Resize)
    for seed in range(4):
        results = []
        for module in (v1, stock):
            torch.manual_seed(seed)
            transform = pickle.loads(pickle.dumps(module.RandomResizedCrop(20, interpolation=mode)))
            results.append((transform(image), torch.rand(1)))
        assert same(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
    planes = tensor(photo, "CHW")
    wanted = sr.resize(photo[..., :3], (20, 31), kernel=v1.functional._v2.choose_kernel(mode, None))
    assert torch.equal(v1.Resize((20, 31), mode)(planes).movedim(0, -1), torch.from_numpy(wanted))


def test_v1_has_every_name_and_signature_of_torchvisions():
    for ours, theirs, own in ((v1, stock, {}), (v1.functional, stock.functional, {})):
        names = {name for name in dir(theirs) if not name.startswith("_")}
        assert names <= set(dir(ours))
        starred = dict(own)
        exec(f"from {ours.__name__} import *", starred)
        assert names - {"v2", "transforms"} <= set(starred) | {"v2"}
        with pytest.raises(AttributeError, match="no attribute 'Rezise'"):
            _ = ours.Rezise
    for name in ("Resize", "RandomResizedCrop", "functional.resize", "functional.resized_crop", "functional.affine"):
        ours, theirs = v1, stock
        for part in name.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        parameters = list(inspect.signature(ours).parameters)
        wanted = list(inspect.signature(theirs).parameters)
        assert parameters[: len(wanted)] == wanted
        assert set(parameters[len(wanted) :]) <= {"kernel", "defense", "path"}
    import secure_resize.integrations.torchvision.v1.functional as imported

    assert imported is v1.functional


def test_v1_refuses_what_v2_refuses(photo):
    image = pil_image(photo, "RGB")
    with pytest.raises(ValueError, match="nearest"):
        v1.Resize(20, InterpolationMode.NEAREST)(image)
    with pytest.raises(TypeError, match="only v2 takes names"):
        v1.functional.resize(image, 20, "bilinear")
    with pytest.raises(TypeError, match="numpy array"):
        v1.Resize(20)(np.asarray(image))
    with pytest.warns(UserWarning, match="antialias=False is ignored") as record:
        v1.Resize(20, antialias=False)
    assert record[0].filename == __file__
    with pytest.raises(RuntimeError, match="cannot be scripted"):
        v1.Resize(20).__prepare_scriptable__()
    mask = tv_tensors.Mask(torch.from_numpy(photo[..., :1]).movedim(-1, 0))
    nearest = InterpolationMode.NEAREST
    assert torch.equal(v1.functional.resize(mask, [20, 31], nearest), stock.functional.resize(mask, [20, 31], nearest))
    assert repr(v1.Resize(9, kernel="area")).endswith("antialias=True, kernel=area)")
    assert repr(v1.RandomResizedCrop(9, path="graph")).endswith("kernel=bilinear, path=graph)")


# --- presets --------------------------------------------------------------------------------------------------------

PRESETS = {
    "classification": models.ResNet50_Weights.DEFAULT,
    "bicubic": models.ViT_B_16_Weights.DEFAULT,
    "segmentation": models.segmentation.FCN_ResNet50_Weights.DEFAULT,
    "video": models.video.R3D_18_Weights.DEFAULT,
    "video transformer": models.video.Swin3D_T_Weights.DEFAULT,
}


def sampled(transform, image):
    """The share of the pixels, inside what is shown, that ``transform`` does not read."""
    x = image.clone().requires_grad_()
    (counts,) = torch.autograd.grad((transform(x) * torch.rand(1)).sum(), x)
    middle = counts[..., 100:-100, 170:-170]
    return float((middle == 0).float().mean())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_read_every_pixel(name):
    stock_preset, preset = PRESETS[name].transforms(), presets.robust(PRESETS[name])
    shape = (2, 3, 700, 900) if "video" in name else (3, 700, 900)
    image = torch.rand(shape)
    result, wanted = preset(image), stock_preset(image)
    assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
    assert isinstance(preset, type(stock_preset))
    assert repr(preset) == repr(stock_preset)
    assert preset.describe() == stock_preset.describe()
    assert torch.equal(pickle.loads(pickle.dumps(preset))(image), result)
    assert (sampled(stock_preset, image) > 0.3) == ("video" in name)
    assert sampled(preset, image) == 0
    if "video" in name:
        assert torch.equal(preset(image[None])[0], result)


def test_presets_give_torchvisions_bytes_for_pil_images(photos):
    image = PIL.Image.fromarray(photos["coffee.png"])
    for name, weights in PRESETS.items():
        if "video" not in name:
            assert torch.equal(presets.robust(weights.transforms())(image), weights.transforms()(image))
    vulnerable = _presets.ImageClassification(crop_size=24, resize_size=32, antialias=False)
    picture = torch.tensor(photos["coffee.png"]).movedim(-1, 0)
    wanted = _presets.ImageClassification(crop_size=24, resize_size=32)(image)
    assert torch.equal(presets.robust(vulnerable)(picture), wanted)


def test_every_weights_of_torchvision_is_taken():
    """By the function, by the factory that weights hold, and twice."""
    kinds = set()
    for model in models.list_models():
        for weights in models.get_model_weights(model):
            factory = presets.robust(weights.transforms)
            preset = factory()
            kinds.add(type(preset))
            assert isinstance(preset, type(weights.transforms()))
            assert type(presets.robust(preset)) is type(preset)
    assert kinds >= {*presets.ROBUST.values(), *presets.WITHOUT_RESIZE} - {presets.GeneralizedRCNNTransform}
    kernel = presets.robust(models.ResNet50_Weights.DEFAULT.transforms, kernel="area")()
    assert kernel.kernel == "area"
    with pytest.raises(ValueError, match="unknown kernel"):
        presets.robust(models.ResNet50_Weights.DEFAULT, kernel="box2")
    with pytest.raises(TypeError, match=r"no preset of torchvision; valid: ImageClassif.* or a detection model"):
        presets.robust(stock.Resize(9))


def test_a_video_preset_may_keep_its_interpolation(photos):
    video = torch.tensor(photos["coffee.png"]).movedim(-1, 0)[None]
    preset = presets.robust(models.video.R3D_18_Weights.DEFAULT.transforms(), defense="median")
    reconstructed = v1.functional._v2.reconstruct(video, (128, 171), scaler="torchvision:bilinear", method="median")
    assert torch.equal(preset(video), models.video.R3D_18_Weights.DEFAULT.transforms()(reconstructed))


# --- detection ------------------------------------------------------------------------------------------------------


def detection(**options):
    return GeneralizedRCNNTransform((60, 80, 100), 160, [0.4] * 3, [0.2] * 3, **options)


@pytest.mark.parametrize("options", [{}, {"fixed_size": (90, 70)}, {"_skip_resize": True}], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_detection_resizes_targets_as_torchvision(options, training):
    ours, theirs = presets.robust(detection(**options)), detection(**options)
    images = [torch.rand(3, 300, 400), torch.rand(3, 210, 200)]
    targets = [
        {
            "boxes": torch.tensor([[3.0, 5, 40, 60]]),
            "masks": (torch.rand(1, *image.shape[1:]) > 0.5).byte(),
            "keypoints": torch.tensor([[[3.0, 4, 1]]]),
            "labels": torch.tensor([1]),
        }
        for image in images
    ]
    results = []
    for transform in (pickle.loads(pickle.dumps(ours)), theirs):
        transform.train(training)
        torch.manual_seed(0)
        results.append((*transform(images, targets), torch.rand(1)))
    (batch, mine, after), (stock_batch, wanted, stock_after) = results
    assert torch.equal(after, stock_after)
    assert batch.image_sizes == stock_batch.image_sizes
    assert batch.tensors.shape == stock_batch.tensors.shape
    for one, other in zip(mine, wanted, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in other)
    assert torch.equal(batch.tensors, stock_batch.tensors) == (training and "_skip_resize" in options)
    assert repr(ours) == repr(theirs)


def test_detection_reads_every_pixel():
    def resize(transform, image):
        transform.eval()
        return transform([image])[0].tensors

    image = torch.rand(3, 500, 600)
    assert sampled(lambda x: resize(detection(), x), image) > 0.5
    assert sampled(lambda x: resize(presets.robust(detection()), x), image) == 0


def test_a_detection_model_is_copied_with_its_parameters_shared():
    model = models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    robust = presets.robust(model)
    assert type(robust) is type(model)
    assert type(robust.transform) is presets.GeneralizedRCNNTransform
    assert type(model.transform) is GeneralizedRCNNTransform
    assert next(robust.parameters()) is next(model.parameters())
    robust.eval()
    assert set(robust([torch.rand(3, 400, 500)])[0]) == {"boxes", "scores", "labels"}
