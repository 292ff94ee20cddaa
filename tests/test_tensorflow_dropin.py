"""What the TensorFlow integration has in common with tf.image, asked of both side by side.

TensorFlow's own tests of it (ResizeImagesV2Test and those of its neighbours) written anew, and strangers' pipelines.
"""

import inspect
import itertools
import os
import subprocess
import sys
import warnings

import numpy as np
import PIL.Image
import pytest

import secure_resize as sr

tf = pytest.importorskip("tensorflow")
from secure_resize.integrations import tensorflow as srtf  # noqa: E402
from secure_resize.integrations.tensorflow import host, weights  # noqa: E402

PATHS = ("host", "graph")
# Levels of 255, on the host: TensorFlow adds float32 numbers, the core more exactly. The more negative lobes a kernel
# has, the more there is to round.
BOUND = {"bilinear": 1e-4, "area": 1e-4, "gaussian": 1e-4, "bicubic": 2e-4, "mitchellcubic": 2e-4, "lanczos3": 2e-4}
METHODS = list(weights.METHODS)
SIZES = [((512, 512), (224, 224)), ((300, 451), (64, 500)), ((97, 61), (300, 201)), ((5, 3), (2, 7)), ((1, 1), (3, 3))]


def stock(images, size, method="bilinear", **options):
    return tf.image.resize(images, size, method, antialias=True, **options)


def noise(*shape, dtype="uint8"):
    return np.random.default_rng(shape).integers(0, 127, shape).astype(dtype)


def levels(result, expected):
    return float(np.max(np.abs(np.asarray(result, np.float64) - np.asarray(expected, np.float64))))


# Values.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_values_are_those_of_the_antialiased_stock(photos, method, path):
    """On the graph path to the bit."""
    for (height, width), size in SIZES:
        photo = np.ascontiguousarray(photos["astronaut.png"][:height, :width])
        result = srtf.resize(photo, size, method, path=path)
        assert result.dtype == tf.float32
        assert levels(result, stock(photo, size, method)) <= (BOUND.get(method, 3e-4) if path == "host" else 0)


def test_without_tensorflows_rounding_the_bound_is_not_kept(photos):
    """The proof that the test above can fail, and why the weights are TensorFlow's."""
    photo = photos["astronaut.png"].astype(np.float32)
    for method in ("bilinear", "area"):
        expected = stock(photo, (224, 224), method)
        assert levels(sr.resize(photo, (224, 224), kernel=method), expected) > 2 * BOUND[method]


@pytest.mark.parametrize("method", METHODS)
def test_the_methods_do_not_sample(method):
    """At 400 pairs of sizes, ratios from 1 to 30 and to a single pixel, the stealth gain of both axes is below 1 dB."""
    rng = np.random.default_rng(0)
    pairs = [(int(n * ratio), n) for n, ratio in zip(rng.integers(1, 60, 80), rng.uniform(1, 30, 80), strict=True)]
    for n_in, n_out in [*pairs, (432, 224), (224, 223), (1000, 1), (447, 100), (640, 224)]:
        axis = weights.axis_operator(max(n_in, n_out), n_out, method)
        assert axis.read().all()
        # σmax² of L times the ratio, for both axes together; more is a quieter attack.
        assert 20 * np.log10(axis.norm * np.sqrt(axis.ratio)) < 0.5, (n_in, n_out)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", [dtype.name for dtype in srtf.arguments.DTYPES])
def test_every_dtype_that_stock_takes(dtype, path):
    image = tf.cast(noise(30, 20, 3), dtype)
    for size in ((9, 11), (30, 20)):  # the same size is float32 too
        result, expected = srtf.resize(image, size, path=path), stock(image, size)
        assert result.dtype == expected.dtype == tf.float32
        assert levels(result, expected) <= 1e-4
        kept = srtf.resize(image, size, dtype=dtype, path=path)
        assert kept.dtype == dtype
        wanted = np.round(expected) if image.dtype.is_integer else expected
        if dtype in ("uint8", "uint16"):
            assert np.array_equal(kept, sr.resize(image.numpy(), size, kernel="bilinear"))
        else:
            # One unit in the last place of bfloat16, or of an integer on a tie.
            assert levels(tf.cast(kept, tf.float64), wanted) <= (0.5 if dtype == "bfloat16" else 0.0625)
    nearest = srtf.resize(image, (60, 20), "nearest", path=path)
    assert nearest.dtype == dtype
    assert np.array_equal(tf.cast(nearest, tf.float64), tf.cast(stock(image, (60, 20), "nearest"), tf.float64))


def test_pillows_bytes_where_uint8_is_asked_for(photos):
    photo = photos["coffee.png"]
    image = PIL.Image.fromarray(photo)
    for method, resample in [("bilinear", 2), ("bicubic", 3), ("lanczos3", 1), ("hamming", 5)]:
        expected = np.asarray(image.resize((96, 80), resample))
        if int(PIL.__version__.partition(".")[0]) >= 13:
            assert np.array_equal(srtf.resize(photo, (80, 96), method, dtype=tf.uint8), expected)
    for method in ("lanczos5", "gaussian", "mitchellcubic"):  # Pillow has them not
        for path in PATHS:
            result = srtf.resize(photo, (80, 96), method, dtype=tf.uint8, path=path)
            wanted = np.clip(np.round(stock(photo, (80, 96), method)), 0, 255)
            assert np.mean(result.numpy() == wanted) > 0.999  # but for ties


def test_a_dtype_is_saturated_not_wrapped():
    spot = np.full((9, 9, 1), 126, np.int8)
    spot[4] = -128
    result = srtf.resize(spot, (27, 9), "lanczos3", dtype=tf.int8).numpy()
    assert result.max() == 127
    assert srtf.resize(spot, (27, 9), "lanczos3").numpy().max() > 127.5


# The same errors for the same mistakes.

IMAGE = np.zeros((1, 8, 8, 3), np.float32)
MISTAKES = {
    "rank 2": {"images": IMAGE[0, 0]},
    "rank 5": {"images": IMAGE[None]},
    "no tensor": {"images": None},
    "text": {"images": "cat.jpg"},
    "sparse": {"images": tf.sparse.from_dense(IMAGE[0])},
    "bool": {"images": IMAGE.astype(bool)},
    "uint32": {"images": IMAGE.astype(np.uint32)},
    "uint64": {"images": IMAGE.astype(np.uint64)},
    "complex": {"images": IMAGE.astype(np.complex64)},
    "strings": {"images": tf.strings.as_string(IMAGE)},
    "no height": {"images": IMAGE[:, :0]},
    "no channel": {"images": IMAGE[..., :0]},
    "a number for a size": {"size": 4},
    "three sizes": {"size": (4, 4, 4)},
    "a size of floats": {"size": (4.5, 4.0)},
    "a size of None": {"size": (None, 4)},
    "a size of text": {"size": ("a", "b")},
    "no size": {"size": None},
    "a tensor of floats": {"size": tf.constant([4.0, 4.0])},
    "a size of 0": {"size": (0, 4)},
    "a negative size": {"size": (4, -1)},
    "a huge size": {"size": (1 << 33, 1)},
    "a method that there is not": {"method": "sinc"},
    "a method that is a number": {"method": 0},
    "no method": {"method": None},
    "a ragged batch that keeps its shapes": {
        "images": tf.ragged.stack([IMAGE[0], IMAGE[0, :4]]),
        "size": (2, 3),
        "preserve_aspect_ratio": True,
    },
    "a side that rounds to nothing": {
        "images": np.zeros((1, 400, 3, 1), np.float32),
        "size": (4, 4),
        "preserve_aspect_ratio": True,
    },
}


def raised(function, arguments, traced):
    options = {"images": IMAGE, "size": (4, 4), **arguments}
    images = options.pop("images")
    traced = traced and tf.is_tensor(images) | isinstance(images, np.ndarray)
    try:
        run = tf.function(lambda x: function(x, **options)) if traced else lambda x: function(x, **options)
        run(tf.constant(images) if isinstance(images, np.ndarray) else images)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_who_catches_stocks_errors_catches_ours(mistake, traced):
    theirs = raised(stock, MISTAKES[mistake], traced)
    ours = raised(srtf.resize, MISTAKES[mistake], traced)
    assert theirs is not None
    kinds = [kind for kind in (ValueError, TypeError, tf.errors.InvalidArgumentError) if isinstance(theirs, kind)]
    assert kinds
    assert all(isinstance(ours, kind) for kind in kinds), (theirs, ours)


# What differs from TensorFlow on purpose. (name, TensorFlow's, ours, reason, a call that shows it).

DIFFERENCES = [
    (
        "antialias",
        "False by default, and samples",
        "always on; False warns",
        "without it an attack controls the result",
        lambda: srtf.resize(IMAGE, (4, 4), antialias=False),
    ),
    (
        "method='nearest' where an axis shrinks",
        "samples",
        "ValueError without labels=True",
        "one pixel per output is read; label maps need it, and have to be named",
        lambda: srtf.resize(IMAGE, (4, 4), "nearest"),
    ),
    (
        "images of unknown rank; sizes of int64",
        "ValueError",
        "taken",
        "nothing speaks against it (tf.io.decode_image gives no rank)",
        lambda: srtf.resize(IMAGE, tf.constant([4, 4], tf.int64)),
    ),
    (
        "a size of whole floats in an array, or of bools",
        "taken, eagerly",
        "InvalidInput",
        "a mistake more often than meant",
        lambda: srtf.resize(IMAGE, np.array([4.0, 4.0])),
    ),
    (
        "an axis above 2²⁰ pixels, an image above 2³¹",
        "taken, or fails for memory",
        "InvalidInput",
        "sizes are checked before anything is allocated, and every sum is exact below",
        lambda: srtf.resize(IMAGE, (1, (1 << 20) + 1)),
    ),
    (
        "resize_with_pad(antialias), crop_and_resize of shrinking boxes",
        "sample",
        "antialiased; boxes that grow are TensorFlow's",
        "as for resize",
        lambda: srtf.resize_with_pad(IMAGE, 4, 4, antialias=False),
    ),
    (
        "second derivatives",
        "none of the antialiased methods",
        "on the host path, and of area",
        "the host's gradient is a linear map too",
        lambda: check_second_derivatives(),
    ),
]


def second_derivative(resize):
    x = tf.constant(np.random.default_rng(0).random((1, 12, 10, 1), np.float32))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            energy = tf.reduce_sum(resize(x) ** 2)
        slope = tf.reduce_sum(inner.gradient(energy, x) ** 2)
    return outer.gradient(slope, x)


def check_second_derivatives():
    with pytest.raises(LookupError):
        second_derivative(lambda x: tf.image.resize(x, (4, 3), antialias=True))
    for options in ({"path": "host"}, {"method": "area", "path": "host"}, {"method": "area", "path": "graph"}):
        found = second_derivative(lambda x, options=options: srtf.resize(x, (4, 3), **options))
        assert float(tf.reduce_min(tf.abs(found))) > 0


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda row: row[0])
def test_the_differences_are_as_listed(difference):
    _, _, ours, _, call = difference
    if "warns" in ours or "antialiased" in ours:
        with pytest.warns(UserWarning, match="antialias=False is ignored"):
            call()
    elif "Error" in ours or "InvalidInput" in ours:
        with pytest.raises(ValueError, match=r"labels=True|whole number|must lie between"):
            call()
    else:
        call()


# Arguments, shapes, neighbours.


def parameters(function):
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize("name", ["resize", "resize_with_pad", "crop_and_resize", "resize_with_crop_or_pad"])
def test_signatures_are_tensorflows(name):
    ours, theirs = parameters(getattr(srtf, name)), parameters(getattr(tf.image, name))
    assert list(ours)[: len(theirs)] == list(theirs)
    for argument, default in theirs.items():
        assert ours[argument] == (True if argument == "antialias" else default)


@pytest.mark.parametrize("path", PATHS)
def test_a_ragged_batch(photos, path):
    batch = tf.ragged.stack([photos["astronaut.png"][:100, :80], photos["astronaut.png"][:50, :300]])
    expected = stock(batch, (20, 30))
    result = srtf.resize(batch, (20, 30), path=path)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    assert levels(result, expected) <= 1e-4
    traced = tf.function(lambda ragged: srtf.resize(ragged, (20, 30), path=path, dtype=tf.uint8))(batch)
    assert traced.dtype == tf.uint8
    assert levels(traced, expected) <= 1


@pytest.mark.parametrize("path", PATHS)
def test_label_maps(path):
    labels = noise(40, 30, 1)
    with pytest.raises(ValueError, match="labels=True"):
        srtf.resize(labels, (20, 50), "nearest", path=path)
    result = srtf.resize(labels, (20, 50), "nearest", path=path, labels=True)
    assert np.array_equal(result, stock(labels, (20, 50), "nearest"))
    signature = [tf.TensorSpec([None, None, 1], tf.uint8)]
    unknown = tf.function(lambda x: srtf.resize(x, (20, 50), "nearest", path=path), input_signature=signature)
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels=True"):
        unknown(labels)
    assert np.array_equal(unknown(labels[:20]), stock(labels[:20], (20, 50), "nearest"))


@pytest.mark.parametrize("path", PATHS)
def test_resize_with_pad(photos, path):
    rng = np.random.default_rng(3)
    traced = tf.function(
        lambda x, h, w: srtf.resize_with_pad(x, h, w, path=path),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8), *[tf.TensorSpec([], tf.int32)] * 2],
    )
    for height, width, *target in rng.integers(20, 200, (20, 4)).tolist():
        photo = photos["astronaut.png"][:height, :width]
        expected = tf.image.resize_with_pad(photo, *target, antialias=True)
        for result in (srtf.resize_with_pad(photo, *target, path=path), traced(photo, *target)):
            assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
            assert levels(result, expected) <= 1e-4
    assert srtf.resize_with_pad(photo[None], 30, 40, dtype=tf.uint8).dtype == tf.uint8
    for target in ((0, 4), (4, -1)):
        with pytest.raises(ValueError, match="must be > 0"):
            srtf.resize_with_pad(photo, *target)
    assert srtf.resize_with_crop_or_pad is tf.image.resize_with_crop_or_pad


BOXES = np.array([[0.1, 0.2, 0.3, 0.35], [0, 0, 0.1, 0.1], [0.9, 0.2, 1.2, 0.4], [0.3, 0.5, 0.2, 0.35]], np.float32)


def test_boxes_that_grow_are_tensorflows(photos):
    images = tf.cast(np.stack([photos["astronaut.png"][:90, :80], photos["coffee.png"][:90, :80]]), tf.float32)
    for size in ((40, 50), [tf.constant(33), 47]):
        arguments = (images, BOXES, [0, 1, 1, 0], size)
        expected = tf.image.crop_and_resize(*arguments, extrapolation_value=7)
        result = srtf.crop_and_resize(*arguments, extrapolation_value=7)
        assert result.shape == expected.shape
        # An output whose place lies within one float32 of the image's edge may be in or out.
        assert np.mean(np.abs(result - expected) < 0.01) > 0.999
    traced = tf.function(srtf.crop_and_resize)(images, BOXES, [0, 1, 1, 0], (33, 47))
    assert levels(traced, srtf.crop_and_resize(images, BOXES, [0, 1, 1, 0], (33, 47))) < 0.01


def test_boxes_that_shrink_do_not_sample():
    """The coefficient matrix of the rows, from one image a row: its stealth gain, and that of TensorFlow's own."""
    rows = np.repeat(np.eye(200, dtype=np.float32)[:, :, None, None], 3, axis=2)
    gains = []
    for function in (srtf.crop_and_resize, tf.image.crop_and_resize):
        out = function(rows, [[0.1, 0.0, 0.9, 1.0]] * 200, np.arange(200), (20, 3))
        matrix = out.numpy()[:, :, 1, 0].T
        gains.append(20 * np.log10(np.linalg.norm(matrix, 2) * np.sqrt(8)))
        if function is srtf.crop_and_resize:
            assert np.all(matrix[:, 20:180].sum(0) > 0)
    assert gains[0] < 0.5
    assert gains[1] > 6
    single = srtf.crop_and_resize(noise(1, 200, 160, 1), [[0.0, 0.0, 1.0, 1.0]], [0], (1, 1))
    assert abs(float(single[0, 0, 0, 0]) - 63) < 2  # the mean of the noise, not a pixel


def test_boxes_gradients_and_mistakes():
    images, boxes = tf.constant(noise(1, 40, 40, 1, dtype="float32")), tf.constant([[0.2, 0.2, 0.4, 0.4]])
    for function in (srtf.crop_and_resize, tf.image.crop_and_resize):
        with tf.GradientTape() as tape:
            tape.watch([images, boxes])
            value = tf.reduce_sum(function(images, boxes, [0], (20, 20)) ** 2)
        gradients = tape.gradient(value, [images, boxes])
        if function is srtf.crop_and_resize:
            ours = gradients
    assert np.allclose(ours[0], gradients[0], rtol=1e-3, atol=1e-2)
    assert np.allclose(ours[1], gradients[1], rtol=0.05)  # kinked where a place meets a pixel
    with pytest.raises(ValueError, match="labels=True"):
        srtf.crop_and_resize(images, boxes, [0], (4, 4), method="nearest")
    for bad in (
        {"method": "bicubic"},
        {"image": images[0]},
        {"boxes": boxes[0]},
        {"crop_size": (4, 4, 4)},
        {"box_indices": [1]},
        {"box_indices": [0, 0]},
    ):
        options = {"image": images, "boxes": boxes, "box_indices": [0], "crop_size": (4, 4), **bad}
        with pytest.raises((ValueError, tf.errors.OpError)) as theirs:
            tf.image.crop_and_resize(**options)
        with pytest.raises((ValueError, tf.errors.OpError)) as ours:
            srtf.crop_and_resize(**options)
        assert isinstance(ours.value, (type(theirs.value), ValueError))


def test_gradients_are_stocks():
    image = tf.constant(noise(1, 30, 20, 2, dtype="float32"))
    for method, path in itertools.product(METHODS, PATHS):
        if method == "area":  # of which TensorFlow has none
            continue
        found = []
        for function in (lambda x, method=method, path=path: srtf.resize(x, (9, 40), method, path=path), stock):
            with tf.GradientTape() as tape:
                tape.watch(image)
                options = () if function is not stock else ((9, 40), method)
                value = tf.reduce_sum(function(image, *options) ** 2)
            found.append(tape.gradient(value, image).numpy())
        assert np.abs(found[0] - found[1]).max() < 1e-2, method  # of up to 10³


# Which path.


@pytest.fixture
def host_calls(monkeypatch):
    """What has been put into graphs for the host."""
    calls = {}
    monkeypatch.setattr(host, "_CALLS", calls)
    return calls


def test_a_name_is_not_taken_for_tf_data(host_calls):
    def Dataset_map_resize(image):
        return srtf.resize(image, (5, 5))

    tf.function(Dataset_map_resize, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)]).get_concrete_function()
    assert not host_calls


def mapped(dataset, function):
    return [element.numpy() for element in dataset.map(function)]


def test_the_host_is_where_tf_data_of_this_process_calls(host_calls):
    image = noise(20, 20, 3)
    dataset, expected = tf.data.Dataset.from_tensors(image), srtf.resize(image, (5, 5))
    bright = tf.constant(True)
    for count, function in enumerate(
        (
            srtf.Resize((5, 5)),
            lambda x: tf.cond(bright, lambda: srtf.resize(x, (5, 5), "area"), lambda: tf.zeros((5, 5, 3))),
        ),
        start=1,
    ):
        mapped(dataset, function)
        assert len(host_calls) == count
    nested = tf.data.Dataset.range(1).interleave(lambda _: dataset.map(srtf.Resize((5, 5), "gaussian")))
    list(nested)
    assert len(host_calls) == 3
    function = tf.function(lambda x: srtf.resize(x, (5, 5), "hamming"))
    [result] = mapped(dataset, lambda x: function(x))
    assert result.shape == expected.shape
    assert len(host_calls) == 3


@pytest.mark.parametrize("method", ["bicubic", "lanczos3", "lanczos5", "mitchellcubic"])
def test_what_the_host_rounds_otherwise_is_tensorflows_own(method, host_calls):
    image = noise(90, 70, 3)
    stock = tf.image.resize(image, (20, 30), method, antialias=True)
    [mapped_result] = mapped(tf.data.Dataset.from_tensors(image), srtf.Resize((20, 30), method))
    for result in (srtf.resize(image, (20, 30), method), mapped_result):
        np.testing.assert_array_equal(result, stock)
    assert not host_calls
    np.testing.assert_allclose(srtf.resize(image, (20, 30), method, path="host"), stock, rtol=0, atol=3e-4)


def test_a_dataset_within_a_function_is_of_the_graph(host_calls):
    @tf.function
    def total(images):
        dataset = tf.data.Dataset.from_tensor_slices(images).map(lambda image: srtf.resize(image, (4, 6)))
        return dataset.reduce(tf.zeros((4, 6, 3)), lambda sums, image: sums + image)

    images = noise(3, 20, 30, 3)
    assert np.allclose(total(images), tf.reduce_sum(srtf.resize(images, (4, 6)), 0), atol=1e-3)
    assert not host_calls


SERVER = """
import sys, tensorflow as tf
dispatcher = tf.data.experimental.service.DispatchServer()
worker = tf.data.experimental.service.WorkerServer(
    tf.data.experimental.service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1]))
print(dispatcher.target, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_tf_data_service_in_another_process(tmp_path):
    """The graph path runs there; the host path is refused there, in words that say what to write instead."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        target = server.stdout.readline().strip()
        images = noise(4, 20, 30, 3)

        def served(path):
            dataset = tf.data.Dataset.from_tensor_slices(images).map(srtf.Resize((4, 6), path=path))
            service = tf.data.experimental.service.distribute("parallel_epochs", target)
            return [image.numpy() for image in dataset.apply(service)]

        assert sorted(map(np.ndarray.tobytes, served("graph"))) == sorted(
            image.numpy().tobytes() for image in srtf.resize(images, (4, 6), path="graph")
        )
        with pytest.raises(tf.errors.OpError, match=r"runs in another process.*make it with path='graph'"):
            served("auto")
    finally:
        server.stdin.close()
        server.wait(30)
        server.stdout.close()


# A training run: one line changed.

TRAINING = """
import sys
import numpy as np, tensorflow as tf, keras
from PIL import Image
import secure_resize as sr
from secure_resize.integrations import tensorflow as srtf

tf.config.experimental.enable_op_determinism()
photos = np.load(sys.argv[1])
crops = [photos[name][i : i + 150, i : i + 180] for i in range(0, 100, 20) for name in photos]
labels = np.arange(len(crops)) % len(photos.files)

def pillow(crop):
    return np.asarray(Image.fromarray(crop).resize((48, 48), Image.Resampling.BILINEAR))

def losses(prepare, images=crops):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((48, 48, 3)), keras.layers.Rescaling(1 / 127.5, -1), keras.layers.Conv2D(8, 3, 2),
        keras.layers.RandomFlip(seed=1), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(photos.files)),
    ])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = tf.data.Dataset.from_tensor_slices((np.stack(images), labels)).map(prepare, num_parallel_calls=2)
    return model.fit(dataset.shuffle(20, seed=3).batch(4), epochs=2, verbose=0).history["loss"]

same = {}
same["pillow"] = losses(lambda x, y: (x, y), [pillow(crop) for crop in crops])
same["ours, uint8"] = losses(srtf.Resize((48, 48), dtype="uint8"))
same["stock, antialias"] = losses(lambda x, y: (tf.image.resize(x, (48, 48), antialias=True), y))
same["ours"] = losses(lambda x, y: (srtf.resize(x, (48, 48)), y))
same["ours, in graphs"] = losses(lambda x, y: (srtf.resize(x, (48, 48), path="graph"), y))
same["stock"] = losses(lambda x, y: (tf.image.resize(x, (48, 48)), y))
for name, values in same.items():
    print(name, *map(repr, values), sep=";")
"""


@pytest.mark.slow
def test_a_training_run_with_one_line_changed(tmp_path, photos):
    """Two epochs. Pillow's preprocessing and ours: the same loss to the last digit; TensorFlow's antialiased and ours
    on the graph path too, on the host within 5·10⁻⁶, and the sampling default elsewhere."""
    names = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
    np.savez(tmp_path / "photos.npz", **{name: photos[name] for name in names})
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    run = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path / "photos.npz")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    rows = [line.split(";") for line in run.stdout.splitlines() if ";" in line]
    losses = {name: [float(value) for value in values] for name, *values in rows}
    assert len(losses["ours"]) == 2
    assert losses["ours, uint8"] == losses["pillow"]
    assert losses["ours, in graphs"] == losses["stock, antialias"]
    # Inputs differ by up to 10⁻⁴ of 127.5; so does a loss, after 20 steps of Adam.
    assert np.allclose(losses["ours"], losses["stock, antialias"], rtol=0, atol=5e-6)
    assert not np.allclose(losses["stock"], losses["stock, antialias"], rtol=0, atol=2e-5)


EXPORT = """
import sys
sys.modules["secure_resize"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
image = np.load(sys.argv[2])
expected = tf.image.resize(image, (8, 12), antialias=True)
print(float(tf.reduce_max(abs(model.resize(image) - expected))), model.padded(image).shape)
print(model.boxes(image[None]).shape)
"""


@pytest.mark.slow
def test_an_export_runs_where_the_package_is_not(tmp_path):
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
        def resize(self, image):
            return srtf.resize(image, (8, 12))

        @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
        def padded(self, image):
            return srtf.resize_with_pad(image, 8, 12, "area", dtype=tf.uint8)

        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)])
        def boxes(self, images):
            return srtf.crop_and_resize(images, [[0.0, 0.1, 0.5, 0.9]], [0], (8, 12))

    np.save(tmp_path / "image.npy", noise(50, 70, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, on saving
        tf.saved_model.save(Model(), str(tmp_path / "model"))
    command = [sys.executable, "-c", EXPORT, str(tmp_path / "model"), str(tmp_path / "image.npy")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "0.0 (8, 12, 3)\n(1, 8, 12, 3)"
