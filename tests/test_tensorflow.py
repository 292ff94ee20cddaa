"""The TensorFlow integration: the same bytes as sr.resize on every path, in real pipelines and in an exported model.

What it has in common with TensorFlow's own functions is in test_tensorflow_dropin.py.
"""

import copy
import inspect
import pickle
import subprocess
import sys
import warnings
from collections import namedtuple
from functools import cache
from typing import get_args

import numpy as np
import pytest
from conftest import mypy_errors
from hypothesis import example, given, settings, strategies as st

import secure_resize as sr

tf = pytest.importorskip("tensorflow")
from secure_resize.integration_support import stock_scalers  # noqa: E402
from secure_resize.integrations import tensorflow as srtf  # noqa: E402
from secure_resize.integrations.tensorflow import arguments, graph, host  # noqa: E402
from secure_resize.integrations.tensorflow.weights import METHODS  # noqa: E402

DTYPES = ("uint8", "uint16", "float32")
PATHS = ("host", "graph")
ROBUST = [name for name, kernel in sr.KERNELS.items() if kernel.robust]
axis = st.one_of(st.just(1), st.integers(1, 12), st.integers(1, 150))


def noise(*shape, dtype="uint8", seed=0):
    rng = np.random.default_rng([seed, *shape])
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def check_equal(result, image, size, kernel):
    expected = sr.resize(image, size, kernel=kernel)
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    if image.dtype.kind == "f":
        # TensorFlow places outputs in float32, up to 10⁻⁵ of the axis' length off (tests/test_tensorflow_dropin.py).
        assert np.abs(result - expected).max() <= 4e-5 * np.abs(image).max()
    else:
        assert np.array_equal(result, expected)


@cache
def dynamic(kernel, dtype, path="graph"):
    """One trace for every size: resize as a function of images, not even whose rank is known, and of size."""
    signature = [tf.TensorSpec(None, dtype), tf.TensorSpec([2], tf.int32)]
    return tf.function(
        lambda images, size: srtf.resize(images, size, kernel, path=path, dtype=dtype), input_signature=signature
    )


# The same pixels as sr.resize.


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["static", "unknown"])
@pytest.mark.parametrize("shape", [(40, 31, 3), (2, 23, 50, 1)], ids=["3d", "4d"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ROBUST)
def test_same_as_resize(kernel, dtype, path, shape, known):
    image, size = noise(*shape, dtype=dtype), (17, 29)
    if not known:
        check_equal(dynamic(kernel, dtype, path)(image, size).numpy(), image, size, kernel)
        return
    function = tf.function(
        lambda images: srtf.resize(images, size, kernel, path=path, dtype=dtype),
        input_signature=[tf.TensorSpec(shape, dtype)],
    )
    check_equal(function(image).numpy(), image, size, kernel)


@pytest.mark.parametrize("spec", ["eager", (None, None, 3), (None, 31, 3), (40, None, None)], ids=str)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kernel", ["area", "bicubic"])
def test_same_as_resize_where_some_sizes_are_known(kernel, path, spec):
    def function(images, width):
        return srtf.resize(images, [17, width], kernel, path=path, dtype=tf.uint8)

    image = noise(40, 31, 3)
    if spec != "eager":
        function = tf.function(function, input_signature=[tf.TensorSpec(spec, tf.uint8), tf.TensorSpec([], tf.int32)])
    check_equal(function(image, tf.constant(29)).numpy(), image, (17, 29), kernel)


@pytest.mark.parametrize("kernel", ROBUST)
@settings(deadline=None, max_examples=60)
@given(sizes=st.tuples(axis, axis, axis, axis), dtype=st.sampled_from(DTYPES))
@example(sizes=(150, 20, 30, 18), dtype="uint8")  # Pillow 13 runs the vertical pass first
@example(sizes=(1, 90, 40, 1), dtype="uint16")
@example(sizes=(30, 30, 30, 30), dtype="uint8")
def test_any_sizes_in_a_graph_that_knows_none(kernel, sizes, dtype):
    h_in, w_in, *size = sizes
    image = noise(1, h_in, w_in, 2, dtype=dtype)
    check_equal(dynamic(kernel, dtype)(image, size).numpy(), image, tuple(size), kernel)


@pytest.mark.parametrize("kernel", ["area", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_extremes_of_the_range(kernel, dtype):
    image = np.where(noise(1, 301, 200, 3) < 128, 0, np.iinfo(dtype).max).astype(dtype)
    for size in ((40, 40), (600, 250)):
        check_equal(dynamic(kernel, dtype)(image, size).numpy(), image, size, kernel)


def weights(kernel):
    """Start and float64 weights of an axis as the graph computes them."""

    def function(n_in, n_out):
        taps = graph._taps(n_in, n_out, sr.KERNELS[kernel], tf.float32)
        return taps.start, taps.weights

    return tf.function(function, input_signature=[tf.TensorSpec([], tf.int64)] * 2)


def count_differing_bits(kernel):
    function, differing = weights(kernel), 0
    for n_in, n_out in np.random.default_rng(1).integers(1, [[400, 400]] * 30).tolist():
        expected, (start, found) = sr.axis_operator(n_in, n_out, kernel), function(n_in, n_out)
        assert np.array_equal(start, expected.start)
        differing += np.count_nonzero(found.numpy() != expected.weights)
    return differing


@pytest.mark.parametrize("kernel", sr.KERNELS)
def test_a_graph_computes_numpys_weights_to_the_last_bit(kernel):
    assert count_differing_bits(kernel) == 0


def test_without_the_placeholders_the_graph_optimiser_changes_weights(monkeypatch):
    """The proof that the test above can fail, and that the placeholders are needed."""
    monkeypatch.setattr(tf.raw_ops, "PlaceholderWithDefault", lambda input, shape: input)
    assert count_differing_bits("lanczos") > 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_go_through_float32(dtype, path):
    image = tf.cast(noise(30, 20, 3, dtype="float32"), dtype)
    assert srtf.resize(image, (9, 11), path=path).dtype == tf.float32
    result = srtf.resize(image, (9, 11), path=path, dtype=dtype)
    assert result.dtype == dtype
    expected = tf.cast(sr.resize(tf.cast(image, tf.float32).numpy(), (9, 11), kernel="bilinear"), dtype)
    # Both paths round a float64 sum to float32 and then to the narrow dtype: no other result is possible but on a tie.
    assert np.mean(result.numpy() == expected.numpy()) > 0.99


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kernel", ["area", "lanczos"])
def test_infinity_and_nan_stay_where_they_are_read(kernel, path):
    image = noise(1, 40, 40, 1, dtype="float32")
    image[0, 3, 5], image[0, 30, 20] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        expected = sr.resize(image, (13, 60), kernel=kernel)
        result = dynamic(kernel, "float32", path)(image, (13, 60)).numpy()
    assert 0 < np.count_nonzero(~np.isfinite(expected)) < expected.size / 2
    assert np.array_equal(np.isfinite(result), np.isfinite(expected))
    finite = np.isfinite(expected)
    # As in check_equal; the values are below 5.
    assert np.abs(result[finite] - expected[finite]).max() < 5e-5


@pytest.mark.parametrize("kernel", ["area", "bicubic"])
def test_xla_gives_the_same_bytes_where_the_shapes_are_known(kernel):
    image = noise(60, 50, 3)
    function = tf.function(lambda x: srtf.resize(x, (13, 21), kernel, path="graph", dtype=tf.uint8), jit_compile=True)
    check_equal(function(tf.constant(image)).numpy(), image, (13, 21), kernel)


def test_xla_refuses_the_host_path():
    function = tf.function(lambda x: srtf.resize(x, (13, 21), path="host"), jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="PyFunc"):
        function(tf.constant(noise(60, 50, 3)))


@pytest.mark.parametrize("path", PATHS)
def test_empty_batches_stay_empty(path):
    assert dynamic("bilinear", "uint8", path)(np.zeros((0, 9, 8, 3), np.uint8), (4, 5)).shape == (0, 4, 5, 3)


def test_it_is_deterministic():
    image = noise(1, 200, 300, 3)
    function = dynamic("bicubic", "uint8")
    assert len({function(image, (64, 64)).numpy().tobytes() for _ in range(10)}) == 1


# Shapes, sizes and arguments.


def test_the_signature_is_tensorflows_but_for_the_default_of_antialias():
    ours, theirs = inspect.signature(srtf.resize).parameters, inspect.signature(tf.image.resize).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert {name: ours[name].default for name in theirs} == {
        **{name: theirs[name].default for name in theirs},
        "antialias": True,
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([40, 30, 3], [5, None, 3]),
        ([None, None, 3], [5, None, 3]),
        ([7, None, 30, None], [7, 5, None, None]),
        ([None] * 4, [None, 5, None, None]),
        (None, None),
    ],
)
def test_static_shapes_are_set_as_far_as_known(spec, expected, path):
    @tf.function(input_signature=[tf.TensorSpec(spec, tf.uint8), tf.TensorSpec([], tf.int32)])
    def function(images, width):
        return srtf.resize(images, [5, width], path=path)

    shape = function.get_concrete_function().output_shapes
    assert shape.rank is None if expected is None else shape.as_list() == expected


def test_a_size_is_a_pair_of_numbers_or_a_tensor_or_an_array():
    image = noise(20, 30, 3)
    expected = sr.resize(image, (7, 9), kernel="bilinear")
    for size in (
        (7, 9),
        [7, 9],
        np.array([7, 9]),
        tf.constant([7, 9]),
        tf.constant([7, 9], tf.int64),
        [tf.constant(7), 9],
    ):
        assert np.array_equal(srtf.resize(image, size, dtype=tf.uint8), expected)


def fitting(images, size):
    return tf.image.resize(images, size, preserve_aspect_ratio=True)


def test_preserve_aspect_ratio_sizes_are_tensorflows():
    rng = np.random.default_rng(5)
    ours = srtf.Resize
    compared = 0
    signature = [tf.TensorSpec([None, None, 1], tf.uint8), tf.TensorSpec([2], tf.int32)]
    theirs_dynamic = tf.function(fitting, input_signature=signature)
    ours_dynamic = tf.function(
        lambda images, size: srtf.resize(images, size, "bilinear", preserve_aspect_ratio=True, path="host"),
        input_signature=signature,
    )
    for h_in, w_in, *size in rng.integers(1, rng.choice([12, 80, 333], (300, 1)), (300, 4)).tolist():
        image = np.zeros((h_in, w_in, 1), np.uint8)
        try:
            expected = theirs_dynamic(image, size).shape
        except tf.errors.InvalidArgumentError:  # a side that rounds to nothing
            with pytest.raises(ValueError, match="must lie between 1 and"):
                ours(size, "bilinear", preserve_aspect_ratio=True)(image)
            with pytest.raises(tf.errors.InvalidArgumentError, match="must lie between 1 and"):
                ours_dynamic(image, size)
            continue
        assert expected == fitting(image, size).shape
        assert ours(size, "bilinear", preserve_aspect_ratio=True)(image).shape == expected
        assert ours_dynamic(image, size).shape == expected
        compared += 1
    assert compared > 250


@pytest.mark.parametrize("path", PATHS)
def test_preserved_sizes_that_can_be_known_are_static(path):
    function = tf.function(lambda x: srtf.resize(x, (50, 50), preserve_aspect_ratio=True, path=path))
    concrete = function.get_concrete_function(tf.TensorSpec([40, 80, 3], tf.uint8))
    assert concrete.output_shapes.as_list() == [25, 50, 3]


def test_methods_are_tensorflows_names_and_ours():
    image = noise(30, 20, 3)
    for method in (*ROBUST, "lanczos3"):
        kernel = {"lanczos3": "lanczos"}.get(method, method)
        result = srtf.resize(image, (9, 8), method, dtype=tf.uint8)
        assert np.array_equal(result, sr.resize(image, (9, 8), kernel=kernel))
    result = srtf.resize(image, (9, 8), tf.image.ResizeMethod.AREA, dtype=tf.uint8)
    assert np.array_equal(result, sr.resize(image, (9, 8)))


def test_box_is_refused_where_it_leaves_pixels_out():
    """432 to 224: on the host when it runs, in a graph when it is traced; and there wherever the sizes are unknown."""
    image = noise(432, 432, 1)
    for path in PATHS:
        assert np.array_equal(
            srtf.resize(image, (216, 144), "box", path=path, dtype=tf.uint8), sr.resize(image, (216, 144), kernel="box")
        )
        with pytest.raises(ValueError, match=r"'box'.*dB of stealth gain.*use kernel='area'"):
            srtf.resize(image, (224, 224), "box", path=path)
    with pytest.raises(Exception, match=r"'box'.*dB of stealth gain.*use kernel='area'"):  # through tf.numpy_function
        dynamic("box", "uint8", "host")(image, (224, 224))
    with pytest.raises(ValueError, match=r"'box' leaves pixels out at some sizes.*use 'area', or path='host'"):
        dynamic("box", "uint8", "graph")(image, (216, 144))


def test_antialias_false_warns_and_is_ignored():
    image = noise(30, 20, 3)
    with pytest.warns(UserWarning, match="antialias=False is ignored") as caught:
        result = srtf.resize(image, (9, 8), antialias=False)
    assert caught[0].filename == __file__
    assert np.array_equal(result, srtf.resize(image, (9, 8)))


IMAGE = np.zeros((8, 8, 3), np.uint8)
BAD_ARGUMENTS = [
    ({"method": "nearest_exact"}, ValueError, "unknown method 'nearest_exact'; valid: bilinear, bicubic, area"),
    ({"method": 0}, ValueError, "unknown method 0"),
    ({"method": None}, ValueError, "unknown method None"),
    ({"path": "fast"}, ValueError, "valid: auto, host, graph"),
    ({"size": (0, 4)}, ValueError, "height must lie between 1 and"),
    ({"size": (4, 1 << 21)}, ValueError, "width must lie between 1 and"),
    ({"size": (4.0, 4)}, TypeError, "whole number"),
    ({"size": 4}, TypeError, "pair of whole numbers"),
    ({"size": (1, 2, 3)}, TypeError, "pair of whole numbers"),
]
BAD_TENSORS = [
    ({"size": tf.constant([4.0, 4.0])}, ValueError, "integer tensor of shape"),
    ({"size": tf.constant([4, 4, 4])}, ValueError, "integer tensor of shape"),
    ({"size": tf.constant([4, -4])}, ValueError, "width must lie between 1 and"),
    ({"method": "nearest"}, ValueError, r"'nearest' reads one pixel per output.*labels=True"),
    ({"images": IMAGE.astype(np.uint32)}, TypeError, "uint8, float32, .*, got uint32; convert with tf.cast"),
    ({"images": IMAGE.astype(np.uint64)}, tf.errors.InvalidArgumentError, "got uint64"),
    ({"images": IMAGE.astype(bool)}, tf.errors.InvalidArgumentError, "got bool"),
    ({"dtype": tf.uint16}, TypeError, "dtype must be float32, .* or the images' uint8, got uint16"),
    ({"dtype": tf.string}, TypeError, "got string"),
    ({"images": IMAGE[0]}, ValueError, r"\(N, H, W, C\), got \(8, 3\)"),
    ({"images": IMAGE[None, None]}, ValueError, r"\(N, H, W, C\), got"),
    ({"images": IMAGE[:0]}, ValueError, "image is empty"),
    ({"images": IMAGE[..., :0], "path": "graph"}, tf.errors.InvalidArgumentError, r"image is empty: shape \(8, 8, 0\)"),
    ({"images": tf.ragged.stack([IMAGE, IMAGE[:4]]), "preserve_aspect_ratio": True}, ValueError, "ragged batch must"),
    ({"images": tf.ragged.constant([[[1.0]], [[2.0]]])}, ValueError, "ragged batch must have shape"),
    ({"images": tf.sparse.from_dense(IMAGE)}, TypeError, "got SparseTensor"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_ARGUMENTS + BAD_TENSORS)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        srtf.resize(**{"images": IMAGE, "size": (4, 4), **arguments})


@pytest.mark.parametrize(("arguments", "error", "message"), [*BAD_ARGUMENTS, ({"key": ()}, TypeError, "key must be")])
def test_bad_configurations_are_refused_at_construction(arguments, error, message):
    with pytest.raises(error, match=message):
        srtf.Resize(**{"size": (4, 4), **arguments})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("image", "size", "on_host", "in_graph"),
    [
        (IMAGE[:0], (4, 4), "image is empty", "an axis has 1 to"),
        (IMAGE, (0, 4), "height must lie between", "an axis has 1 to"),
        (IMAGE, (4, 1 << 21), "width must lie between", "an axis has 1 to"),
        (IMAGE[0], (4, 4), r"must have shape \(H, W, C\)", r"must have shape \(H, W, C\)"),
    ],
)
def test_what_shows_only_when_the_graph_runs_is_refused_there(image, size, on_host, in_graph, path):
    with pytest.raises(tf.errors.InvalidArgumentError, match=on_host if path == "host" else in_graph):
        dynamic("bilinear", "uint8", path)(image, size)


# tf.data.


@pytest.fixture(scope="module")
def crops(photos):
    """200 crops and rotations of photographs, uint8 (H, W, 3) of many sizes."""
    rng = np.random.default_rng(0)
    colour = [
        photo for photo in photos.values() if photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape[:2]) > 80
    ]
    assert len(colour) >= 4
    images = []
    for i in range(200):
        photo = np.rot90(colour[i % len(colour)], rng.integers(4))
        height, width = (int(rng.integers(40, min(n, 500) + 1)) for n in photo.shape[:2])
        top, left = rng.integers(photo.shape[0] - height + 1), rng.integers(photo.shape[1] - width + 1)
        images.append(np.ascontiguousarray(photo[top : top + height, left : left + width]))
    return images


def dataset_of(images):
    return tf.data.Dataset.from_generator(
        lambda: iter(images), output_signature=tf.TensorSpec([None, None, 3], tf.uint8)
    )


@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic"])
def test_a_pipeline_over_200_photographs(crops, kernel):
    dataset = (
        dataset_of(crops)
        .map(srtf.Resize((96, 128), kernel, dtype="uint8"), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(50)
    )
    assert dataset.element_spec == tf.TensorSpec([None, 96, 128, 3], tf.uint8)
    results = np.concatenate(list(dataset.as_numpy_iterator()))
    assert len(results) == 200
    for result, image in zip(results, crops, strict=True):
        assert np.array_equal(result, sr.resize(image, (96, 128), kernel=kernel))


def test_a_pipeline_of_tensorflow_operations(crops):
    transform = srtf.Resize((96, 128), path="graph", dtype="uint8")
    dataset = dataset_of(crops[:60]).map(transform, num_parallel_calls=tf.data.AUTOTUNE)
    for result, image in zip(dataset.as_numpy_iterator(), crops, strict=False):
        assert np.array_equal(result, sr.resize(image, (96, 128), kernel="bilinear"))


def test_a_pipeline_that_decodes_jpegs(crops):
    files = [tf.io.encode_jpeg(image).numpy() for image in crops]
    decoded = [tf.io.decode_jpeg(file, channels=3).numpy() for file in files]
    # decode_image leaves even the rank unknown
    for decode in (tf.io.decode_jpeg, tf.io.decode_image):
        dataset = tf.data.Dataset.from_tensor_slices(files).map(lambda file, decode=decode: decode(file, channels=3))
        dataset = dataset.map(srtf.Resize((80, 60), "lanczos3", dtype="uint8"), num_parallel_calls=tf.data.AUTOTUNE)
        results = list(dataset.as_numpy_iterator())
        assert len(results) == 200
        for result, image in zip(results, decoded, strict=True):
            assert np.array_equal(result, sr.resize(image, (80, 60), kernel="lanczos"))


@pytest.fixture
def host_calls(monkeypatch):
    calls = []
    original = host._numpy_float

    def _numpy_float(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(host, "_numpy_float", _numpy_float)
    monkeypatch.setattr(host, "_CALLS", {})
    return calls


def test_auto_is_host_for_eager_tensors_and_in_tf_data_and_graph_elsewhere(host_calls):
    image = noise(20, 20, 3)
    srtf.resize(image, (5, 5))
    assert len(host_calls) == 1
    list(tf.data.Dataset.from_tensors(image).map(srtf.Resize((5, 5))))
    list(tf.data.Dataset.from_tensors(image).map(lambda x: srtf.resize(x, (5, 5))))
    assert len(host_calls) == 3
    function = tf.function(lambda x: srtf.resize(x, (5, 5)))
    function(image)
    # tf.function may have traced it before, or reuse this trace for an export: no host path here either.
    list(tf.data.Dataset.from_tensors(image).map(lambda x: function(x)))
    assert len(host_calls) == 3


@pytest.mark.skipif(sr.backend() == "reference", reason="numpy converts what it sums")
@pytest.mark.parametrize("dtype", [tf.uint8, tf.uint16, tf.float32], ids=lambda dtype: dtype.name)
def test_the_core_reads_the_tensor_itself(dtype, monkeypatch):
    """What the C core is given is the tensor's memory, of eager tensors and of those in a pipeline."""
    from secure_resize.core import native

    image, seen, run = tf.cast(noise(40, 50, 3), dtype), [], native.run

    def spy(plan, array, *rest):
        seen.append(array.__array_interface__["data"][0])
        return run(plan, array, *rest)

    monkeypatch.setattr(native, "run", spy)
    srtf.resize(image, (5, 5), dtype=dtype)
    list(tf.data.Dataset.from_tensors(image).map(srtf.Resize((5, 5), dtype=dtype)))
    list(tf.data.Dataset.from_tensors(image[None]).map(srtf.Resize((5, 5), "area", dtype=dtype)))
    own = np.asarray(image).__array_interface__["data"][0]
    assert seen[:2] == [own, own]
    assert len(seen) == 3


Example = namedtuple("Example", "image label")


@pytest.mark.parametrize("path", PATHS)
def test_elements_keep_their_structure(path):
    images, labels = noise(3, 20, 30, 3), np.arange(3)
    expected = sr.resize(images, (7, 9), kernel="bilinear")
    transform = srtf.Resize((7, 9), path=path, dtype="uint8")

    def mapped(elements, transform=transform):
        dataset = tf.data.Dataset.from_tensor_slices(elements).map(transform, num_parallel_calls=2)
        return list(dataset.as_numpy_iterator())

    for i, result in enumerate(mapped((images, labels, labels + 1))):
        assert type(result) is tuple
        assert np.array_equal(result[0], expected[i])
        assert result[1:] == (i, i + 1)
    for i, result in enumerate(mapped({"image": images, "label": labels})):
        assert result.keys() == {"image", "label"}
        assert np.array_equal(result["image"], expected[i])
        assert result["label"] == i
    for i, result in enumerate(mapped(Example(images, labels))):
        assert type(result) is Example
        assert np.array_equal(result.image, expected[i])
        assert result.label == i
    for i, (features, label) in enumerate(mapped(({"image": images}, labels))):
        assert np.array_equal(features["image"], expected[i])
        assert label == i
    for i, result in enumerate(
        mapped({"a": images, "b": images, "c": labels}, srtf.Resize((7, 9), key=("a", "b"), dtype="uint8"))
    ):
        assert np.array_equal(result["a"], expected[i])
        assert np.array_equal(result["b"], expected[i])
        assert result["c"] == i


def test_an_element_as_one_tuple_or_a_batch():
    images = noise(3, 20, 30, 3)
    transform = srtf.Resize((7, 9), dtype="uint8")
    expected = sr.resize(images, (7, 9), kernel="bilinear")
    batch, label = transform((images, "label"))
    assert np.array_equal(batch, expected)
    assert label == "label"
    element = {"image": images, "label": 1}
    assert np.array_equal(transform(element)["image"], expected)
    assert element["image"] is images  # the caller's dict is its own


def test_a_missing_key_names_those_there_are():
    with pytest.raises(KeyError, match="no key 'image' in the element; its keys: 'picture', 'label'"):
        srtf.Resize((7, 9))({"picture": IMAGE, "label": 1})
    with pytest.raises(TypeError, match="got none"):
        srtf.Resize((7, 9))()


def test_resize_objects_are_values():
    transform = srtf.Resize([7, np.int64(9)], "area", True, key="picture", path="host", dtype=tf.uint8)
    assert repr(transform) == (
        "Resize(size=(7, 9), method='area', preserve_aspect_ratio=True, key='picture', path='host', defense='robust', "
        "dtype='uint8', labels=False)"
    )
    for copied in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform), eval(repr(transform), vars(srtf))):
        assert copied == transform
        assert hash(copied) == hash(transform)
        assert np.array_equal(copied(IMAGE), transform(IMAGE))
    assert transform != srtf.Resize((7, 9))


# Gradients.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("kernel", ["area", "bicubic", "hamming"])
def test_gradients_are_the_adjoint(kernel, eager, path):
    """The gradient of s(x) = sum(resize(x)²), and the gradient of that gradient's square norm."""
    first_order = kernel == "bicubic" and path == "graph"  # as far as TensorFlow's own operation goes

    def function(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(srtf.resize(x, (6, 41), kernel, path=path) ** 2)
            first = inner.gradient(value, x)
            norm = tf.reduce_sum(first**2)
        return first, x if first_order else outer.gradient(norm, x)

    if not eager:
        function = tf.function(function, input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32)])
    image = noise(2, 20, 31, 2, dtype="float32")
    first, second = function(tf.constant(image))
    rows, cols = sr.axis_operator(20, 6, kernel).dense(), sr.axis_operator(31, 41, kernel).dense()

    def normal(x):  # LᵀL x RᵀR
        return np.einsum("ih,iH,nHWc,jW,jw->nhwc", rows, rows, x, cols, cols, optimize=True)

    # Results of magnitude below 10, rounded twice on the way; TensorFlow places outputs in float32.
    assert np.allclose(first, 2 * normal(image), rtol=0, atol=1e-4)
    assert first_order or np.allclose(second, 8 * normal(normal(image)), rtol=0, atol=1e-3)


def test_gradients_of_narrow_floats_flow():
    x = tf.cast(noise(9, 9, 1, dtype="float32"), tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(srtf.resize(x, (3, 3), "area"))
    assert np.allclose(tape.gradient(value, x), 1 / 9, atol=1e-3)  # float16 has 11 bits


# Export.


class Exported(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def bicubic(self, image):
        return srtf.resize(image, (32, 48), "bicubic", dtype=tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, None], tf.uint16), tf.TensorSpec([2], tf.int32)])
    def area(self, images, size):
        return srtf.resize(images, size, "area", preserve_aspect_ratio=True, dtype=tf.uint16)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def lanczos(self, images):
        return srtf.resize(images, (20, 20), "lanczos3")

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def host(self, image):
        return srtf.resize(image, (32, 48), path="host")


ELSEWHERE = """
import sys
sys.modules["secure_resize"] = None  # importing it is an ImportError
import numpy as np, tensorflow as tf
folder = sys.argv[1]
model, images = tf.saved_model.load(folder + "/model"), np.load(folder + "/images.npz")
results = {}
for name, image in images.items():
    results["bicubic " + name] = model.bicubic(image)
    results["area " + name] = model.area(image[None].astype(np.uint16) * 257, [40, 30])
    x = tf.constant(image[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model.lanczos(x)
    results["lanczos " + name], results["gradient " + name] = y, tape.gradient(y, x)
np.savez(folder + "/results.npz", **results)
try:
    model.host(image)
except Exception as error:
    print("host:", type(error).__name__, error)
"""


def test_an_exported_model_runs_where_the_package_is_not(tmp_path, photos):
    images = {
        "cat": photos["chelsea.png"],
        "noise": noise(17, 200, 3),
        "pixel": noise(1, 1, 3),
        "large": noise(500, 90, 3),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, on saving
        tf.saved_model.save(Exported(), str(tmp_path / "model"))
    np.savez(tmp_path / "images.npz", **images)
    run = subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "unsaved custom gradients" not in run.stderr
    assert "host: InvalidArgumentError" in run.stdout or "host: UnknownError" in run.stdout  # loudly
    assert "path='host' of process" in run.stdout
    assert "make it with path='graph'" in run.stdout
    results = np.load(tmp_path / "results.npz")
    for name, image in images.items():
        check_equal(results[f"bicubic {name}"], image, (32, 48), "bicubic")
        wide = image[None].astype(np.uint16) * 257
        fitted = tuple(fitting(wide, (40, 30)).shape[1:3])
        check_equal(results[f"area {name}"], wide, fitted, "area")
        check_equal(results[f"lanczos {name}"], image[None].astype(np.float32), (20, 20), "lanczos")
        adjoint = sr.scaling_operator(image.shape[:2], (20, 20), "lanczos").adjoint(np.ones((20, 20, 3)))
        assert np.allclose(results[f"gradient {name}"][0], adjoint, rtol=1e-6, atol=1e-6)  # float32


# Types.

TYPED = """
from secure_resize.integrations import tensorflow as srtf
srtf.Resize([9, 9], "lanczos3", path="graph", defense="robust")
srtf.Reconstruct([9, 9], "keras:bilinear", "random")
srtf.Resize((9, 9), "lancsoz3")
srtf.Resize((9, 9), path="graf")
srtf.Resize((9, 9), defense="mean")
srtf.Reconstruct((9, 9), "keras:bilinear", "mean")
srtf.Rezise((9, 9))
"""


@pytest.mark.slow
def test_a_type_checker_knows_the_names(tmp_path):
    expected = [*((line, "arg-type") for line in range(5, 9)), (9, "attr-defined")]
    assert mypy_errors(TYPED, tmp_path) == expected


def test_literal_types_are_the_valid_names():
    assert sorted(get_args(arguments.Path)) == sorted(arguments.PATHS)
    reconstructed = stock_scalers("tensorflow")
    assert set(get_args(arguments.Method)) == {*sr.KERNELS, *METHODS, "nearest", *reconstructed}
    for method in set(reconstructed) - set(sr.KERNELS):
        assert srtf.Resize((9, 9), method, defense="median").method == method
