"""The black boxes: they are the libraries' own calls, they keep dtype and shape, and they say what is known of them."""

import subprocess
import sys
from fnmatch import fnmatchcase

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.measure.scalers import DEVIATIONS, SCALERS, Scaler, get_scaler, load, register_scaler
from secure_resize.scaling import resize_unchecked

pytestmark = pytest.mark.once

IMAGE = np.random.default_rng(1).integers(0, 256, (37, 50, 3), np.uint8)
SIZE = (9, 14)
# Written out as a user of the library would: an independent check that the names mean what they say.
CALLS = {
    "opencv:linear": "cv2.resize(x, (14, 9))",
    "opencv:area": "cv2.resize(x, (14, 9), interpolation=cv2.INTER_AREA)",
    "opencv:lanczos4": "cv2.resize(x, (14, 9), interpolation=cv2.INTER_LANCZOS4)",
    "opencv:nearest_exact": "cv2.resize(x, (14, 9), interpolation=cv2.INTER_NEAREST_EXACT)",
    "pillow:bicubic": "np.asarray(PIL.Image.fromarray(x).resize((14, 9)))",
    "pillow:lanczos+reducing_gap": "np.asarray(PIL.Image.fromarray(x).resize((14, 9), 1, reducing_gap=2.0))",
    "torch:nearest": "torch.nn.functional.interpolate(torch.tensor(x.transpose(2, 0, 1))[None], (9, 14))[0]"
    ".numpy().transpose(1, 2, 0)",
    "torchvision:bilinear+antialias": "torchvision.transforms.v2.Resize((9, 14))(torch.tensor(x.transpose(2, 0, 1)))"
    ".numpy().transpose(1, 2, 0)",
    "tensorflow:bilinear": "np.round(tensorflow.image.resize(x, (9, 14)).numpy())",
    "tensorflow:lanczos3+antialias": "np.clip(np.round(tensorflow.image.resize(x, (9, 14), 'lanczos3', antialias=True)"
    ".numpy()), 0, 255)",
    "keras:bilinear": "np.asarray(keras.layers.Resizing(9, 14)(x))",
    "kornia:bilinear": "np.round(kornia.geometry.transform.resize(torch.tensor(x.transpose(2, 0, 1)).float()[None], "
    "(9, 14))[0].numpy().transpose(1, 2, 0))",
    "albumentations:linear": "albumentations.Resize(9, 14)(image=x)['image']",
    "skimage:linear+antialias": "np.round(skimage.transform.resize(x, (9, 14)) * 255)",
    "scipy:cubic": "scipy.ndimage.zoom(x, (9 / 37, 14 / 50, 1))",
    "jax:linear+antialias": "np.round(np.asarray(jax.image.resize(x, (9, 14, 3), 'linear')))",
    "secure_resize:area": "secure_resize.resize(x, (9, 14))",
}
SUBMODULES = {
    "PIL": "PIL.Image",
    "scipy": "scipy.ndimage",
    "skimage": "skimage.transform",
    "torchvision": "torchvision.transforms.v2",
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_the_librarys_own_call(name):
    scaler = SCALERS[name]
    pytest.importorskip(scaler.module)
    load(scaler.module)
    load(SUBMODULES.get(scaler.module, scaler.module))
    names = {"np": np, "x": IMAGE.copy(), scaler.module: sys.modules[scaler.module]}
    if "torch." in CALLS[name]:
        names["torch"] = load("torch")
    assert np.array_equal(scaler(IMAGE, SIZE), eval(CALLS[name], names))


def test_every_library_has_its_own_call_checked():
    assert {SCALERS[name].module for name in CALLS} == {scaler.module for scaler in SCALERS.values()}


@pytest.mark.parametrize("name", SCALERS)
def test_dtype_shape_and_input_are_kept(name):
    scaler = SCALERS[name]
    pytest.importorskip(scaler.module)
    for dtype in ("uint8", "float32"):
        if dtype == "float32" and "palette" in name:
            continue
        image = IMAGE if dtype == "uint8" else (IMAGE / 255).astype(np.float32)
        for picture in (image, image[..., 0]):
            before = picture.copy()
            out = scaler(picture, SIZE)
            assert out.dtype == picture.dtype
            assert out.shape == (*SIZE, *picture.shape[2:])
            assert np.array_equal(picture, before)
        # The two paths are one filter: half a level for each rounding, at most two of them, and Pillow's cut-off.
        if dtype == "float32" and "reducing_gap" not in name and "nearest+antialias" not in name:
            inside = np.abs(scaler(image[..., 0], SIZE) * 255 - scaler(IMAGE[..., 0], SIZE))
            assert np.median(inside) <= 1.0


def test_scalers_are_registered_once():
    with pytest.raises(ValueError, match="already registered"):
        register_scaler("opencv:linear", "cv2")(lambda image, size: image)
    with pytest.raises(ValueError, match="valid scalers"):
        get_scaler("opencv")


def test_what_is_not_installed_says_so(monkeypatch):
    absent = Scaler("nowhere:cubic", lambda image, size: image[: size[0], : size[1]], "nowhere_to_be_found")
    assert not absent.installed
    monkeypatch.setitem(SCALERS, absent.name, absent)
    with pytest.raises(ImportError, match="'nowhere:cubic' needs 'nowhere_to_be_found'"):
        get_scaler("nowhere:cubic")


@pytest.mark.parametrize("name", [name for name, scaler in SCALERS.items() if scaler.default])
def test_one_default_a_library_and_its_version(name):
    scaler = SCALERS[name]
    pytest.importorskip(scaler.module)
    assert [s.name for s in SCALERS.values() if s.library == scaler.library and s.default] == [name]
    assert scaler.version[0].isdecimal()
    assert scaler.name == f"{scaler.library}:{scaler.algorithm}"


def test_every_library_has_a_default():
    assert {s.library for s in SCALERS.values()} == {s.library for s in SCALERS.values() if s.default}


def test_deviations_concern_scalers_and_have_reasons():
    for deviation in DEVIATIONS:
        assert any(fnmatchcase(name, deviation.scalers) for name in SCALERS), deviation
        assert len(deviation.reason) > 20
        assert deviation.levels >= 0


def test_tensorflow_before_torchvision_does_not_end_the_process():
    for module in ("triton", "tensorflow", "torchvision"):
        pytest.importorskip(module)
    code = "from secure_resize.measure.scalers import load; load('tensorflow'); load('torchvision'); print('alive')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "alive", run.stderr[-500:]


def test_what_would_end_the_process_is_refused():
    for module in ("triton", "tensorflow", "torchvision"):
        pytest.importorskip(module)
    code = "import tensorflow; from secure_resize.measure.scalers import load; load('torchvision')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1  # an exception, not the abort (a negative code)
    assert "ImportError: import torchvision before tensorflow" in run.stderr


def test_ours_is_resize():
    for kernel in sr.KERNELS:
        ours = resize_unchecked(IMAGE, SIZE, kernel=kernel)
        assert np.array_equal(SCALERS[f"secure_resize:{kernel}"](IMAGE, SIZE), ours)
