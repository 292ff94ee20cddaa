"""One changed import: sizes, random draws, names and signatures are torchvision's, and no insecure path is left."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import inspect
import pickle
import subprocess
import sys
import warnings
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import PIL.Image
from conftest import mypy_errors
from test_torchvision import core_resize, interleaved, photo_fixture, pil_image, same, tensor  # noqa: F401
from torch.jit.frontend import NotSupportedError
from torch.utils._pytree import tree_flatten
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2 as stock

import secure_resize as sr
from secure_resize.integration_support import pillow_pass_order
from secure_resize.integrations.torchvision import functional, pil, v2

# --- sizes and random draws ---------------------------------------------------------------------------------------

edges = st.integers(1, 60)
sizes = st.one_of(st.none(), edges, st.lists(edges, min_size=1, max_size=2), st.tuples(edges, edges))


@settings(deadline=None, max_examples=300)
@given(height=edges, width=edges, size=sizes, max_size=st.one_of(st.none(), st.integers(1, 120)))
def test_sizes_are_torchvisions(height, width, size, max_size):
    image = torch.zeros(1, height, width, dtype=torch.uint8)
    shapes = []
    for call in (
        lambda: stock.Resize(size, max_size=max_size)(image),
        lambda: v2.Resize(size, max_size=max_size)(image),
        lambda: functional.resize(image, size, max_size=max_size),
    ):
        try:
            shapes.append(call().shape)
        except (ValueError, RuntimeError) as error:
            # torch refuses an output without pixels in its own words, and later
            empty = any(words in str(error) for words in ("greater than 0", "must lie between"))
            shapes.append("no pixels" if empty else str(error))
    assert shapes[0] == shapes[1] == shapes[2]


def test_size_errors_are_torchvisions():
    for arguments in ({"size": (1, 2, 3)}, {"size": 2.5}, {"size": None}):
        with pytest.raises(ValueError) as wanted:  # noqa: PT011, the message is compared
            stock.Resize(**arguments)(torch.zeros(3, 4, 4))
        with pytest.raises(ValueError) as got:  # noqa: PT011
            v2.Resize(**arguments)(torch.zeros(3, 4, 4))
        assert str(got.value) == str(wanted.value)


RESIZING = {
    "Resize": {"size": 20, "max_size": 25},
    "RandomResizedCrop": {"size": (24, 20)},
    "RandomResize": {"min_size": 12, "max_size": 100},
    "RandomShortestSize": {"min_size": [12, 30, 90], "max_size": 110},
    "ScaleJitter": {"target_size": (80, 90), "scale_range": (0.3, 1.5)},
}


def detection_sample(photo):
    """An image and one of everything that torchvision resizes along with it, and labels that it does not."""
    canvas = photo.shape[:2]
    mask = tv_tensors.Mask(torch.from_numpy(photo[..., 3] > 99)[None])
    boxes = [[3.0, 5.0, 40.0, 60.0], [10.0, 20.0, 87.0, 61.0]]
    sample = {
        "image": pil_image(photo, "RGB"),
        "mask": mask,
        "instances": tv_tensors.Mask(torch.from_numpy(photo[..., 0].astype(np.int64) // 50)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=canvas),
        "labels": torch.tensor([1, 2]),
        "name": "coffee",
        "scores": np.array([0.5, 0.25]),
        "id": np.array(7),
    }
    if hasattr(tv_tensors, "KeyPoints"):  # torchvision 0.23
        rotated = [[30.0, 30.0, 20.0, 10.0, 0.3]]
        sample["rotated"] = tv_tensors.BoundingBoxes(rotated, format="CXCYWHR", canvas_size=canvas)
        sample["points"] = tv_tensors.KeyPoints([[3.0, 4.0], [50.0, 60.0]], canvas_size=canvas)
    return sample


def stock_mode(interpolation):
    """Which torchvision takes by name only in newer versions."""
    return InterpolationMode(interpolation) if isinstance(interpolation, str) else interpolation


INTERPOLATIONS = ["bilinear", "bicubic", 3, PIL.Image.Resampling.HAMMING, InterpolationMode.LANCZOS]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("name", RESIZING)
def test_whole_samples_are_torchvisions(photo, name, interpolation):
    sample = detection_sample(photo)
    ours = getattr(v2, name)(**RESIZING[name], interpolation=interpolation)
    theirs = getattr(stock, name)(**RESIZING[name], interpolation=stock_mode(interpolation))
    assert isinstance(ours, type(theirs))
    for seed in range(8):
        torch.manual_seed(seed)
        wanted, after = theirs(sample), torch.rand(1)
        torch.manual_seed(seed)
        result = ours(sample)
        assert torch.equal(torch.rand(1), after), "drew another number of random numbers"
        assert list(result) == list(wanted)
        assert all(same(result[key], wanted[key]) for key in result)
        assert pickle.loads(pickle.dumps(ours)).__dict__.keys() == ours.__dict__.keys()


@pytest.mark.parametrize("kernel", [name for name, kernel in sr.KERNELS.items() if kernel.robust])
def test_random_resized_crop_is_the_core_on_torchvisions_crop(photo, kernel):
    for image in (tensor(photo, "CHW"), tensor(photo, "HWC view"), tensor(photo, "channels_last")):
        transform = v2.RandomResizedCrop(20, kernel=kernel)
        torch.manual_seed(3)
        crop = stock.RandomResizedCrop(20).make_params([image])
        torch.manual_seed(3)
        result = transform(image)
        assert interleaved(result) == interleaved(image)
        assert torch.equal(result, core_resize(stock.functional.crop(image, **crop), (20, 20), kernel))


@pytest.mark.parametrize("interpolation", ["nearest", "nearest-exact", 0])
@pytest.mark.parametrize("name", RESIZING)
def test_masks_alone_may_be_nearest(photo, name, interpolation):
    sample = {key: value for key, value in detection_sample(photo).items() if key != "image"}
    del sample["labels"]  # without an image beside it, torchvision would take it for one
    ours = getattr(v2, name)(**RESIZING[name], interpolation=interpolation)
    theirs = getattr(stock, name)(**RESIZING[name], interpolation=stock_mode(interpolation))
    torch.manual_seed(0)
    wanted = theirs(sample)
    torch.manual_seed(0)
    assert all(same(value, wanted[key]) for key, value in ours(sample).items())
    with pytest.raises(ValueError, match="nearest"):
        ours(detection_sample(photo))


# --- a drop-in ----------------------------------------------------------------------------------------------------

OWN_FUNCTIONS = {"resize", "resize_image", "resize_video", "resized_crop", "resized_crop_image", "resized_crop_video"}
WARPING = ["RandomAffine", "RandomPerspective", "ElasticTransform"]
WARPS = {name + part for name in ("affine", "perspective", "elastic") for part in ("", "_image", "_video")}


@pytest.mark.parametrize(
    ("ours", "theirs", "own"),
    [
        (v2, stock, {*RESIZING, *WARPING, "functional"}),
        (functional, stock.functional, OWN_FUNCTIONS | WARPS | {"elastic_transform", "register_kernel"}),
    ],
)
def test_every_other_name_is_torchvisions(ours, theirs, own):
    names = [name for name in dir(theirs) if not name.startswith("__")]
    assert set(names) <= set(dir(ours))
    own = {*own, "_stock"}
    assert {name for name in names if getattr(ours, name) is not getattr(theirs, name)} <= own
    assert all(getattr(ours, name) is not getattr(theirs, name) for name in own - {"_stock"})
    starred = {}
    exec(f"from {ours.__name__} import *", starred)
    assert {name for name in names if not name.startswith("_")} <= set(starred)
    assert all(starred[name] is getattr(ours, name) for name in own - {"_stock"})
    with pytest.raises(AttributeError, match="no attribute 'Rezise'"):
        _ = ours.Rezise
    with pytest.raises(AttributeError, match="__path__"):
        _ = ours.__path__


def test_nothing_that_takes_antialias_is_left_to_torchvision():
    for ours, theirs in ((v2, stock), (functional, stock.functional)):
        for name, value in inspect.getmembers(theirs, callable):
            if not name.startswith("_") and "antialias" in inspect.signature(value).parameters:
                assert "kernel" in inspect.signature(getattr(ours, name)).parameters, name


def test_functional_can_be_imported_as_a_module():
    import secure_resize.integrations.torchvision.v2.functional as imported

    assert imported is functional
    assert v2.functional is functional


@pytest.mark.parametrize("name", [*RESIZING, *sorted(OWN_FUNCTIONS)])
def test_signatures_are_torchvisions_with_three_more(name):
    def parameters(module):
        found = inspect.signature(getattr(module, name)).parameters.values()
        # An interpolation's default was no name, but the mode, in older versions.
        return [(p.name, p.kind, getattr(p.default, "value", p.default)) for p in found]

    ours, theirs = map(parameters, (v2, stock) if name in RESIZING else (functional, stock.functional))
    defaults = {"kernel": None, "defense": "robust", "path": "op"}
    own = [(name, inspect.Parameter.KEYWORD_ONLY, default) for name, default in defaults.items()]
    assert ours == [*theirs, *own]


def test_functions_are_the_transforms(photo):
    image = tensor(photo, "CHW")
    wanted = v2.Resize((20, 31), "bicubic")(image)
    cropped = v2.Resize((9, 8), kernel="area")(image[..., 4:40, 3:50])
    for suffix in ("", "_image", "_video"):
        assert torch.equal(getattr(functional, f"resize{suffix}")(image, [20, 31], "bicubic"), wanted)
        crop = getattr(functional, f"resized_crop{suffix}")
        assert torch.equal(crop(image, 4, 3, 36, 47, [9, 8], kernel="area"), cropped)
    padded = functional.resized_crop(image, -5, -6, 80, 90, [9, 8])
    assert torch.equal(padded, v2.Resize((9, 8))(stock.functional.crop(image, -5, -6, 80, 90)))


def test_repr_shows_the_kernel():
    assert repr(v2.Resize(9)) == "Resize(size=[9], interpolation=bilinear, antialias=True, kernel=bilinear)"
    assert repr(v2.RandomResizedCrop(9, interpolation=3, kernel="area")).endswith("antialias=True, kernel=area)")
    assert repr(v2.RandomResize(8, 9, 3)).endswith("kernel=bicubic)")
    assert repr(v2.Resize(9, "nearest")).endswith("kernel=None)")


def test_interpolation_may_be_changed_later(photo):
    transform = v2.Resize((20, 31))
    transform.interpolation = InterpolationMode.BICUBIC
    assert same(transform(pil_image(photo, "RGB")), pil_image(photo, "RGB").resize((31, 20), 3))


# --- no insecure path ---------------------------------------------------------------------------------------------


def test_antialias_false_is_ignored_with_a_warning(photo):
    image = tensor(photo, "CHW").float()
    wanted = functional.resize(image, 9)
    for name, arguments in RESIZING.items():
        with pytest.warns(UserWarning, match="antialias=False is ignored") as record:
            getattr(v2, name)(**arguments, antialias=False)
        assert record[0].filename == __file__
    with pytest.warns(UserWarning, match="antialias=False is ignored") as record:
        assert torch.equal(functional.resize(image, 9, antialias=False), wanted)
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match="antialias=False is ignored"):
        functional.resized_crop(image, 0, 0, 9, 9, [4, 4], antialias=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(v2.Resize(9, antialias=None)(image), wanted)
        assert torch.equal(functional.resize(image, 9, antialias=None), wanted)


def test_an_attack_on_torchvision_fails(photo):
    """Black, but for the pixels that torchvision reads without antialiasing: those are white."""
    image = torch.zeros(3, 240, 320, requires_grad=True)
    vulnerable = stock.Resize((24, 32), antialias=False)
    read = torch.autograd.grad(vulnerable(image).sum(), image)[0] != 0
    attack = (read * 255).to(torch.uint8)
    assert read.float().mean() < 0.05
    assert vulnerable(attack).min() == 255
    with pytest.warns(UserWarning, match="ignored"):
        ours = v2.Resize((24, 32), antialias=False)
    for kernel in [name for name, kernel in sr.KERNELS.items() if kernel.robust]:
        ours.kernel = kernel
        assert ours(attack).max() < 25


IMAGE = torch.zeros(3, 9, 9)
ERRORS = {
    "nearest": (lambda: v2.Resize(4, "nearest")(IMAGE), ValueError, "nearest interpolation .* 'area'"),
    "nearest-exact": (lambda: v2.RandomResizedCrop(4, interpolation="nearest-exact")(IMAGE), ValueError, "nearest"),
    "nearest function": (lambda: functional.resize(IMAGE, 4, InterpolationMode.NEAREST), ValueError, "nearest"),
    "nearest by code": (lambda: functional.resize(IMAGE, 4, PIL.Image.NEAREST), ValueError, "nearest"),
    "nearest, same size": (lambda: functional.resize(IMAGE, 9, "nearest"), ValueError, "nearest"),
    "kernel nearest": (lambda: v2.Resize(4, kernel="nearest"), ValueError, "unknown kernel 'nearest'.*lanczos"),
    "kernel": (lambda: functional.resize(IMAGE, 4, kernel="cubic"), ValueError, "unknown kernel 'cubic'.*bicubic"),
    "interpolation": (lambda: v2.Resize(4, "cubic"), ValueError, "unknown interpolation 'cubic'.*'bicubic' \\(3\\)"),
    "interpolation code": (lambda: v2.Resize(4, 9), ValueError, "unknown interpolation 9"),
    "array": (lambda: v2.Resize(4)(np.zeros((9, 9, 3), np.uint8)), TypeError, "numpy array .*v2.ToImage"),
    "array in a function": (lambda: functional.resize(np.zeros((9, 9)), 4), TypeError, "v2.ToImage"),
    "array in a crop": (lambda: functional.resized_crop(np.zeros((9, 9)), 0, 0, 4, 4, 4), TypeError, "v2.ToImage"),
    "array of labels alone": (lambda: v2.Resize(4)(np.zeros(9)), TypeError, "v2.ToImage"),
    "array and label": (lambda: v2.RandomResizedCrop(4)(np.zeros((9, 9, 3)), 1), TypeError, "v2.ToImage"),
    "array in a dictionary": (
        lambda: v2.Resize(4)({"a": IMAGE, "b": [np.zeros((40, 50, 3))]}),
        TypeError,
        "v2.ToImage",
    ),
    "rank": (lambda: v2.Resize(4)(IMAGE[0]), ValueError, r"\(\.\.\., C, H, W\), got \(9, 9\)"),
    "no height": (lambda: v2.Resize(4)(IMAGE[:, :0]), ValueError, r"empty: shape \(3, 0, 9\)"),
    "no width": (lambda: functional.resize(IMAGE[..., :0], [4, 4]), ValueError, r"empty: shape \(3, 9, 0\)"),
    "no pixels": (lambda: v2.Resize((4, 4))(PIL.Image.new("L", (0, 5))), ValueError, r"empty: shape \(5, 0\)"),
    "path": (lambda: v2.Resize(4, path="host"), ValueError, "unknown path 'host'; valid: op, graph"),
    "path of a function": (lambda: functional.resize(IMAGE, 4, path="tf"), ValueError, "unknown path 'tf'"),
    "size zero": (lambda: functional.resize(IMAGE, [0, 4]), ValueError, "height must lie between 1"),
    "size float": (lambda: functional.resize(IMAGE, [4.5, 4]), TypeError, "height must be a whole number, got 4.5"),
    "P": (lambda: v2.Resize(4)(PIL.Image.new("P", (9, 9))), ValueError, r"mode 'P'.*convert\('RGB'\)"),
    "1": (lambda: v2.Resize(4)(PIL.Image.new("1", (9, 9))), ValueError, r"mode '1'.*convert\('L'\)"),
    "PA": (lambda: v2.Resize(4)(PIL.Image.new("PA", (9, 9))), ValueError, r"mode 'PA'.*convert\('RGBA'\)"),
    "labels": (lambda: v2.Resize(4, "nearest")(IMAGE.long()), ValueError, r"torch.int64 .* tv_tensors.Mask\(labels\)"),
    "labels in PIL": (
        lambda: v2.Resize(4, "nearest")(PIL.Image.new("L", (9, 9))),
        ValueError,
        r"tv_tensors.Mask\(image\)",
    ),
    "script": (lambda: torch.jit.script(v2.Resize(4)), RuntimeError, "Resize cannot be scripted"),
    "script inside": (lambda: torch.jit.script(torch.nn.Sequential(v2.Resize(4))), RuntimeError, "cannot be scripted"),
    "script of a crop": (lambda: torch.jit.script(v2.RandomResizedCrop(4)), RuntimeError, "cannot be scripted"),
    "script of a function": (lambda: torch.jit.script(functional.resize), NotSupportedError, "keyword-only"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, message = ERRORS[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


@pytest.mark.parametrize("dtype", ["complex64", "float8_e4m3fn"])
def test_other_dtypes_are_refused_by_name(dtype):
    image = torch.zeros(3, 9, 9, dtype=getattr(torch, dtype))
    for wrapped in (image, tv_tensors.Image(image)):
        for size in (4, 9):  # 9 is its size already
            with pytest.raises(TypeError, match=rf"one of torch\.uint8, .*, got torch\.{dtype};"):
                v2.Resize(size)(wrapped)


def test_samples_without_an_image_pass_as_in_torchvision():
    class Custom(tv_tensors.TVTensor):
        pass

    for sample in ("name", 3, None, {"a": 1.5}, torch.zeros(3).as_subclass(Custom), (np.zeros(3), 1)):
        ours, theirs = (tree_flatten(module.Resize(4)(sample))[0] for module in (v2, stock))
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


# --- versions, types and the order of imports -----------------------------------------------------------------------

TYPED = """
from secure_resize.integrations.torchvision import v2
v2.Compose([v2.Resize([256, 256], "bicubic", kernel="area"), v2.CenterCrop(224), v2.RandomResizedCrop((24, 24))])
v2.functional.resize(None, [4, 4], kernel="lanczos", defense="median")
v2.Rezise(256)
v2.Resize(256, kernel="bicubc")
v2.Resize(256, defense="mean")
v2.Reconstruct((9, 9), method="mean")
"""


@pytest.mark.slow
def test_a_type_checker_knows_v2(tmp_path):
    names = [name for name in dir(stock) if not name.startswith("_")]
    assert len(names) > 50
    found = mypy_errors(TYPED + "".join(f"v2.{name}\n" for name in names), tmp_path)
    assert found == [(5, "attr-defined"), *((line, "arg-type") for line in range(6, 9))]


@pytest.mark.parametrize(("version", "order"), [("10.4.0", "pillow12"), ("12.1.1", "pillow12"), ("13.0.0", "pillow13")])
def test_pil_images_follow_the_pillow_that_is_installed(photo, monkeypatch, version, order):
    """Tall and narrow, where Pillow 13 runs the vertical pass first and Pillow 12 did not; tensors are the same."""
    image, size = np.ascontiguousarray(np.tile(photo[..., :3], (3, 1, 1))), (31, 60)
    wanted = {name: sr.resize(image, size, kernel="bicubic", pass_order=name) for name in ("pillow12", "pillow13")}
    assert not np.array_equal(*wanted.values())
    monkeypatch.setattr(pil, "PASS_ORDER", pillow_pass_order(version))
    result = v2.Resize(size, "bicubic")(PIL.Image.fromarray(image))
    assert np.array_equal(result, wanted[order])
    planes = v2.Resize(size, "bicubic")(torch.from_numpy(image).movedim(-1, 0))
    assert np.array_equal(planes.movedim(0, -1), wanted["pillow13"])


@pytest.mark.slow
def test_torchvisions_whose_transforms_would_bypass_ours_are_refused():
    """Before 0.21 the method was called _transform, so that ours would never run."""
    code = (
        "import torchvision.transforms.v2 as v2; v2.Transform._transform = v2.Transform.transform\n"
        "del v2.Transform.transform\nfrom secure_resize.integrations.torchvision import v2"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: secure_resize.integrations.torchvision needs torchvision 0.21 or newer" in run.stderr


@pytest.mark.parametrize("module", ["torchvision", "torchvision.v2", "torchvision.functional"])
def test_importing_it_after_tensorflow_names_the_order(module):
    """Both load LLVM, and the process would end without a word."""
    pytest.importorskip("triton")
    code = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        f"import secure_resize.integrations.{module}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("ImportError: import torchvision before tensorflow")


def test_a_size_may_be_a_list_everywhere(photo):
    image = np.ascontiguousarray(photo[..., :3])
    wanted = sr.resize(image, (20, 31))
    assert np.array_equal(sr.resize(image, [20, 31]), wanted)
    assert np.array_equal(sr.resize(image, np.array([20, 31])), wanted)
    for size in ([20, 31], (20, 31)):
        result = v2.Resize(size, kernel="area")(torch.from_numpy(image).movedim(-1, 0))
        assert np.array_equal(result.movedim(0, -1), wanted)
        assert np.array_equal(
            v2.Reconstruct(size)(PIL.Image.fromarray(image)), sr.reconstruct(image, [20, 31], scaler="opencv:linear")
        )
        assert sr.scaling_operator([61, 87], size).out_size == (20, 31)
        assert sr.reconstruct_resize(image, size, scaler="pillow:nearest").shape == (20, 31, 3)
        assert sr.probe("torchvision:nearest", [61, 87], size).out_size == (20, 31)
        assert sr.get_scaler("torchvision:nearest")(image, size).shape == (20, 31, 3)


def test_interpolations_are_torchvisions():
    names = next(part for part in get_args(functional.Interpolation) if get_origin(part) is Literal)
    assert sorted(get_args(names)) == sorted(mode.value for mode in InterpolationMode)
