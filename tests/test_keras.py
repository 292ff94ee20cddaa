"""The Keras integration: Keras's own tests of Resizing and its loaders, asked of ours and of Keras's side by side.

The layers' tests run on the backend that KERAS_BACKEND names, here TensorFlow; one test runs them all on torch.
"""

import inspect
import io
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import secure_resize as sr

keras = pytest.importorskip("keras")
from secure_resize.integrations import keras as srk  # noqa: E402

pytestmark = [
    pytest.mark.once,
    # Keras's own, on TensorFlow's bfloat16 and variables with numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
BACKEND = keras.backend.backend()
NEEDS_ANTIALIAS = pytest.mark.skipif(
    "antialias" not in inspect.signature(keras.layers.Resizing).parameters, reason="Keras 3.9's layer has antialias"
)


def numbers(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def apart(ours, theirs):
    return float(np.abs(numbers(ours) - numbers(theirs)).max())


@pytest.fixture(scope="module")
def batch(photos):
    return np.stack([photos[name][:300, :390] for name in ("astronaut.png", "coffee.png")]).astype(np.float32)


# Layers.

OPTIONS = [
    {},
    {"interpolation": "bicubic"},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "fill_value": 7.0},
    {"data_format": "channels_first"},
    {"data_format": "channels_first", "crop_to_aspect_ratio": True},
]


@NEEDS_ANTIALIAS
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [(60, 80), (400, 100), (300, 390)])
def test_layer_resizing_is_keras_antialiased(batch, size, options):
    images = np.moveaxis(batch, -1, 1) if "data_format" in options else batch
    expected = keras.layers.Resizing(*size, antialias=True, **options)(images)
    layer = srk.Resizing(*size, **options)
    result = layer(images)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert apart(result, expected) <= 2e-4  # float32 sums of 255 (tests/test_tensorflow_dropin.py)
    assert apart(layer(images[0]), expected[0]) <= 2e-4
    assert layer.compute_output_shape(images.shape) == tuple(expected.shape)
    symbolic = layer(keras.KerasTensor((None, *images.shape[1:])))
    assert symbolic.shape == (None, *expected.shape[1:])


@NEEDS_ANTIALIAS
@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16"])
def test_layer_dtypes_are_keras(batch, dtype):
    expected = keras.layers.Resizing(60, 80, antialias=True, dtype=dtype)(batch)
    result = srk.Resizing(60, 80, dtype=dtype)(batch)
    assert result.dtype == expected.dtype
    # One unit in the last place, of 255.
    assert apart(result, expected) <= {"uint8": 1, "float16": 0.125, "bfloat16": 1}[dtype]
    if dtype == "uint8" and BACKEND == "tensorflow":
        assert np.array_equal(numbers(result), sr.resize(batch.astype(np.uint8), (60, 80), kernel="bilinear"))


def test_layer_reads_every_pixel(batch):
    layer = srk.Resizing(20, 26)
    operator = sr.probe(lambda image: numbers(layer(image)).astype(np.float32), (150, 130), (20, 26), dtype="float32")
    assert sr.exposure(operator).verdict == "robust"


def test_layer_masks_boxes_and_labels_of_a_dict(batch):
    masks = np.random.default_rng(0).integers(0, 9, (2, 300, 390, 1)).astype(np.float32)
    boxes = {"boxes": np.array([[[10.0, 20.0, 100.0, 200.0]]] * 2, np.float32), "labels": np.array([[1.0]] * 2)}
    data = {"images": batch, "segmentation_masks": masks, "bounding_boxes": boxes, "labels": np.array([1.0, 2.0])}
    options = {"bounding_box_format": "xyxy"}
    try:
        expected = keras.layers.Resizing(60, 80, **options)(data)
    except (TypeError, ValueError, NotImplementedError) as error:
        if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 10):  # which take such dicts
            raise
        pytest.skip(f"Keras {keras.__version__}: {error}")
    result = srk.Resizing(60, 80, **options)(data)
    if np.array_equal(np.round(numbers(expected["segmentation_masks"])), numbers(expected["segmentation_masks"])):
        assert apart(result["segmentation_masks"], expected["segmentation_masks"]) == 0  # (Keras 3.9 takes means)
    assert apart(result["bounding_boxes"]["boxes"], expected["bounding_boxes"]["boxes"]) == 0
    assert apart(result["images"], expected["images"]) > 1


def test_layer_arguments():
    ours, theirs = (inspect.signature(module.Resizing).parameters for module in (srk, keras.layers))
    assert list(ours) == list(theirs)
    for name in ("CenterCrop", "RandomCrop", "RandomZoom"):
        assert inspect.signature(getattr(srk, name)) == inspect.signature(getattr(keras.layers, name))
    with pytest.warns(UserWarning, match="antialias=False is ignored") as caught:
        layer = srk.Resizing(8, 8, antialias=False)
    assert caught[0].filename == __file__
    assert layer.get_config().get("antialias", True) is True
    for bad in ("nearest", "nearest_exact"):
        with pytest.raises(ValueError, match="nearest"):
            srk.Resizing(8, 8, bad)(np.zeros((1, 16, 16, 3), np.float32))
    with pytest.raises(ValueError, match="reads one pixel per output"):
        srk.RandomZoom(0.5, interpolation="nearest")
    with pytest.raises(TypeError):
        srk.Resizing(8)


def test_layer_is_saved_pickled_and_cloned(batch, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            srk.Resizing(32, 40, "bicubic", crop_to_aspect_ratio=True),
            srk.RandomZoom((0.2, 0.9), fill_mode="wrap", seed=1),
            srk.CenterCrop(30, 30),
            keras.layers.Conv2D(2, 3),
        ]
    )
    expected = model(batch, training=False)
    model.save(tmp_path / "model.keras")
    copies = [keras.models.load_model(tmp_path / "model.keras"), pickle.loads(pickle.dumps(model))]
    copies.append(keras.models.clone_model(model))
    copies[-1].set_weights(model.get_weights())
    for copy in copies:
        assert [type(layer) for layer in copy.layers] == [type(layer) for layer in model.layers]
        assert copy.layers[0].get_config() == model.layers[0].get_config()
        assert apart(copy(batch, training=False), expected) < 1e-3
    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(srk.Resizing(5, 6)))
    assert type(layer) is srk.Resizing


ZOOMS = [{"fill_mode": mode} for mode in ("reflect", "wrap", "constant", "nearest")]


@pytest.mark.parametrize("options", [*ZOOMS, {"fill_mode": "constant", "fill_value": 9.0}], ids=str)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_layer_zoom_in_is_keras_and_zoom_out_is_prefiltered(batch, options, data_format):
    images = batch[:, ::4, ::5]
    images = np.moveaxis(images, -1, 1) if data_format == "channels_first" else images
    options = {**options, "data_format": data_format, "seed": 3}

    def zoomed(module, factor):
        return numbers(module.layers.RandomZoom(factor, **options)(images, training=True))

    class Ours:
        layers = srk

    assert np.abs(zoomed(Ours, (-0.5, -0.2)) - zoomed(keras, (-0.5, -0.2))).max() < 1e-2
    ours, theirs = zoomed(Ours, (0.5, 0.9)), zoomed(keras, (0.5, 0.9))
    difference = np.abs(ours - theirs)
    assert 1 < difference.mean() < 12  # the same picture at the same place, but smoother
    assert np.abs(np.diff(ours, axis=2)).mean() < np.abs(np.diff(theirs, axis=2)).mean()


def test_layer_zoom_reads_every_pixel():
    """The coefficient matrix of the rows, from one image a row, at three zooms; and that of Keras's own."""
    rows = np.repeat(np.eye(64, dtype=np.float32)[:, :, None, None], 64, axis=2)
    gains = []
    for module in (srk, keras.layers):
        for zoom in (1.3, 1.6, 1.99):
            layer = module.RandomZoom((zoom - 1, zoom - 1), (zoom - 1, zoom - 1), fill_mode="constant")
            matrix = numbers(layer(rows, training=True))[:, 18:46, 32, 0].T
            gains.append(20 * np.log10(np.linalg.norm(matrix, 2) * np.sqrt(zoom)))
    assert max(gains[:3]) < 0.5
    assert max(gains[3:]) > 1


def test_layer_crops_are_at_the_same_place(batch):
    for name in ("RandomCrop", "CenterCrop"):
        options = {"seed": 5} if name == "RandomCrop" else {}
        ours, theirs = (getattr(module, name)(40, 50, **options) for module in (srk, keras.layers))
        assert apart(ours(batch, training=True), theirs(batch, training=True)) == 0
    wide = batch[:, :30]  # lower than the crop, and so scaled: its width shrinks
    for layer in (srk.CenterCrop(40, 20), srk.RandomCrop(40, 20)):
        assert layer(wide, training=True).shape == (2, 40, 20, 3)


def test_layer_in_tf_data(batch):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((batch, [0, 1]))
    layer = srk.Resizing(60, 80)
    for image, label in dataset.map(lambda image, label: (layer(image), label)):
        expected = tf.image.resize(batch[int(label)], (60, 80), antialias=True)
        assert image.shape == (60, 80, 3)
        assert apart(image.numpy(), expected.numpy()) < 2e-4
    zoom = srk.RandomZoom((0.5, 0.9), seed=1)
    [image] = dataset.take(1).map(lambda image, label: zoom(image, training=True))
    assert image.shape == batch.shape[1:]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="is this test")
def test_layers_on_torch():
    pytest.importorskip("torch")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "test_layer or loads"],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert int(run.stdout.rpartition(" passed")[0].split()[-1]) > 40


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.function")
def test_in_functions_models_and_exports(batch, tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((None, None, 3)), srk.Resizing(32, 40), keras.layers.Rescaling(1 / 255)])
    expected = tf.image.resize(batch, (32, 40), antialias=True) / 255
    assert apart(tf.function(model)(batch), expected) < 1e-6
    assert apart(model.predict(batch, verbose=0), expected) < 1e-6
    compiled = tf.function(lambda x: srk.Resizing(32, 40)(x) / 255, jit_compile=True)
    assert apart(compiled(batch), expected) < 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's and TensorFlow's own, on saving
        model.export(tmp_path / "model", verbose=False)
    code = (
        "import sys; sys.modules['secure_resize'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "np.save(sys.argv[1] + '.npy', model.serve(np.load(sys.argv[2])))"
    )
    np.save(tmp_path / "batch.npy", batch)
    command = [sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "batch.npy")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert apart(np.load(tmp_path / "model.npy"), expected) < 1e-6


# Loaders.


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """Two classes: PNG and JPEG files of the same four photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    for suffix in ("png", "jpg"):
        (folder / suffix).mkdir()
        for name in ("astronaut", "coffee", "chelsea", "rocket"):
            photo = photos.get(f"{name}.png", photos.get(f"{name}.jpg"))
            Image.fromarray(photo).save(folder / suffix / f"{name}.{suffix}", quality=95)
    return folder


LOADED = [
    {},
    {"label_mode": "categorical", "shuffle": False},
    {"labels": None},
    {"color_mode": "grayscale", "interpolation": "area"},
    {"color_mode": "rgba", "interpolation": "lanczos5", "batch_size": None},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True},
    {"data_format": "channels_first"},
    {"validation_split": 0.25, "subset": "both", "interpolation": "gaussian"},
]


@pytest.mark.parametrize("options", LOADED, ids=str)
def test_loads_a_directory_like_keras(folder, options, monkeypatch):
    """PNG files: what Keras gives where its tf.image.resize is called with antialias=True, in its order."""
    tf = pytest.importorskip("tensorflow")
    arguments = {"directory": folder / "png" if options.get("labels", 0) is None else folder, "verbose": False}
    arguments |= {"image_size": (50, 60), "seed": 4, **options}
    if options.get("color_mode") == "rgba":  # JPEG files have none
        arguments["class_names"], arguments["label_mode"] = ["png"], "int"
    ours = srk.image_dataset_from_directory(**arguments)
    resize, pad = tf.image.resize, tf.image.resize_with_pad
    with monkeypatch.context() as patch:
        patch.setattr(tf.image, "resize", lambda *a, **k: resize(*a, **{**k, "antialias": True}))
        patch.setattr(tf.image, "resize_with_pad", lambda *a, **k: pad(*a, **{**k, "antialias": True}))
        theirs = keras.utils.image_dataset_from_directory(**arguments)
    for mine, own in zip(*([x] if not isinstance(x, list) else x for x in (ours, theirs)), strict=True):
        assert mine.element_spec == own.element_spec
        assert mine.file_paths == own.file_paths
        assert mine.class_names == own.class_names
        for ours_batch, theirs_batch in zip(mine, own, strict=True):
            images, labels = ours_batch if isinstance(ours_batch, tuple) else (ours_batch, 0)
            expected, wanted = theirs_batch if isinstance(theirs_batch, tuple) else (theirs_batch, 0)
            assert np.array_equal(labels, wanted)
            same = np.abs(images - expected).max(axis=(-3, -2, -1)) <= 4e-4  # lanczos5
            # Half of the files are JPEG, which are decoded accurately.
            only_png = options.get("labels", 0) is None or "class_names" in arguments
            assert np.mean(same) >= (1 if only_png else 0.15)
            assert np.abs(images - expected).max() < 8


def test_loads_jpeg_files_as_pillow_decodes_them(folder):
    pytest.importorskip("tensorflow")
    options = {"labels": None, "image_size": (40, 50), "shuffle": False, "verbose": False}
    dataset = srk.image_dataset_from_directory(folder / "jpg", **options)
    [batch] = dataset
    for image, path in zip(batch, dataset.file_paths, strict=True):
        with Image.open(path) as opened:
            exact = sr.resize(np.asarray(opened.convert("RGB")).astype(np.float32), (40, 50), kernel="bilinear")
        assert np.abs(image - exact).max() < 1e-2  # where TensorFlow places its outputs


def test_loads_refuse_nearest_and_unknown_ways(folder, monkeypatch):
    pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match="reads one pixel per output"):
        srk.image_dataset_from_directory(folder, interpolation="nearest")
    for bad in ({"interpolation": "sinc"}, {"label_mode": "text"}, {"image_size": 4.5}, {"directory": folder / "none"}):
        arguments = {"directory": folder, "verbose": False, **bad}
        with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever Keras raises
            keras.utils.image_dataset_from_directory(**arguments)
        with pytest.raises(type(theirs.value)):
            srk.image_dataset_from_directory(**arguments)
    with pytest.raises(TypeError):
        srk.image_dataset_from_directory()


def test_loads_nothing_by_a_way_that_is_not_known(folder, monkeypatch):
    """A Keras that does not resize by what is replaced for it: refused, not loaded unprotected."""
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(srk.files, "_of_tensorflow", lambda *arguments: {"tf": __import__("tensorflow")})
    with pytest.raises(RuntimeError, match="in a way that is not known here"):
        srk.image_dataset_from_directory(folder, image_size=(50, 60), verbose=False)


def test_loads_an_image_like_keras(folder):
    file = folder / "png" / "coffee.png"
    for options in ({}, {"interpolation": "bicubic"}, {"keep_aspect_ratio": True}, {"color_mode": "grayscale"}):
        expected = keras.utils.load_img(file, target_size=(40, 50), **{"interpolation": "bilinear", **options})
        assert np.array_equal(srk.load_img(file, target_size=(40, 50), **options), expected)
    assert srk.load_img(str(file)).size == (600, 400)
    with open(file, "rb") as opened:
        assert srk.load_img(io.BytesIO(opened.read()), target_size=(40, 50)).size == (50, 40)
    with pytest.raises(ValueError, match="reads one pixel per output"):
        srk.load_img(file, target_size=(40, 50), interpolation="nearest")
    with pytest.raises(ValueError, match=r"'box'.*dB of stealth gain"):
        srk.load_img(file, target_size=(224, 320), interpolation="box")
    assert srk.load_img(file, target_size=(800, 800), interpolation="nearest").size == (800, 800)
    with pytest.raises(ValueError, match="Invalid interpolation"):
        srk.load_img(file, target_size=(40, 50), interpolation="sinc")


def test_loads_nothing_by_smart_resize_alone(batch):
    small = srk.smart_resize(batch[0], (50, 60))
    assert isinstance(small, np.ndarray)
    crop = batch[0][:, 15:375]  # 300 x 360
    assert np.abs(small - sr.resize(np.ascontiguousarray(crop), (50, 60), kernel="bilinear")).max() < 1e-2
    with pytest.raises(ValueError, match="reads one pixel per output"):
        srk.smart_resize(batch[0], (50, 60), "nearest")
    with pytest.raises(TypeError):
        srk.smart_resize(batch[0], (50, 60), sharpness=1)
