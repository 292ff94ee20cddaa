"""patched(): every route vulnerable in the stock library, robust within; everything else as it was."""

import functools
import inspect
import io
import pickle
import threading
import warnings

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.audit.trace.hooks import HOOKS
from secure_resize.integrations.patch import LIBRARIES, ROUTES, PatchWarning, patched

pytestmark = pytest.mark.once
IN, OUT = (32, 48), (8, 12)
HALF = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])


@pytest.fixture
def picture(photos):
    return np.ascontiguousarray(photos["astronaut.png"][:192, 100:388])


# By route: calls of an array (H, W, 3) that scale IN to OUT by sampling, each as one function.


def cv2_calls():
    cv2 = pytest.importorskip("cv2")
    rows, columns = np.mgrid[0:8, 0:12].astype(np.float32)
    x, y = columns * 4 + 1.5, rows * 4 + 1.5
    whole = np.vstack([HALF, [0, 0, 1]])
    for flag in ("LINEAR", "NEAREST", "CUBIC", "LANCZOS4", "LINEAR_EXACT", "NEAREST_EXACT"):
        way = getattr(cv2, f"INTER_{flag}")
        yield "cv2.resize", lambda image, way=way: cv2.resize(image, (12, 8), interpolation=way)
    yield "cv2.resize", lambda image: cv2.resize(image, None, None, 0.25, 0.25)
    for way in (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC):
        yield "cv2.warpAffine", lambda image, way=way: cv2.warpAffine(image, HALF, (12, 8), flags=way)
        yield "cv2.warpPerspective", lambda image, way=way: cv2.warpPerspective(image, whole, (12, 8), flags=way)
        yield "cv2.remap", lambda image, way=way: cv2.remap(image, x, y, way)
    back = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    yield "cv2.warpAffine", lambda image: cv2.warpAffine(image, cv2.invertAffineTransform(HALF), (12, 8), flags=back)
    fixed = cv2.convertMaps(x, y, cv2.CV_16SC2)
    yield "cv2.remap", lambda image: cv2.remap(image, *fixed, cv2.INTER_LINEAR)

    def planes(blob):
        return np.round(blob[0]).astype(np.uint8).transpose(1, 2, 0)

    yield "cv2.dnn.blobFromImage", lambda image: planes(cv2.dnn.blobFromImage(image, 1.0, (12, 8)))
    yield "cv2.dnn.blobFromImages", lambda image: planes(cv2.dnn.blobFromImages([image], 1.0, (12, 8)))


def pil_calls():
    Image = pytest.importorskip("PIL.Image")

    def through(function):
        return lambda image: np.asarray(function(Image.fromarray(image)))

    yield "PIL.Image.Image.resize", through(lambda image: image.resize((12, 8), Image.NEAREST))
    yield "PIL.Image.Image.resize", through(lambda image: image.resize((12, 8), Image.NEAREST, (0, 0, 48, 32)))
    method = Image.Transform
    for way in (Image.NEAREST, Image.BILINEAR, Image.BICUBIC):
        for kind, data in (
            (method.AFFINE, (4, 0, 0, 0, 4, 0)),
            (method.EXTENT, (0, 0, 48, 32)),
            (method.PERSPECTIVE, (4, 0, 0, 0, 4, 0, 0, 0)),
            (method.QUAD, (0, 0, 0, 32, 48, 32, 48, 0)),
        ):
            warp = functools.partial(Image.Image.transform, size=(12, 8), method=kind, data=data, resample=way)
            yield "PIL.Image.Image.transform", through(warp)


def torch_calls():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional

    def through(function, dtype=torch.float32):
        def call(image):
            out = function(torch.from_numpy(image).permute(2, 0, 1)[None].to(dtype))
            return np.clip(np.round(out[0].permute(1, 2, 0).double().numpy()), 0, 255).astype(np.uint8)

        return call

    name = "torch.nn.functional.interpolate"
    for dtype in (torch.float32, torch.uint8, torch.float64):
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
            yield name, through(lambda x, mode=mode: F.interpolate(x, (8, 12), mode=mode), dtype)
    yield name, through(lambda x: F.interpolate(x, scale_factor=0.25))
    yield name, through(lambda x: F.interpolate(x, (8, 12), mode="bilinear", align_corners=True))
    yield name, through(lambda x: F.interpolate(x[:, :, None], (1, 8, 12), mode="trilinear")[:, :, 0])
    yield name, through(lambda x: torch.nn.Upsample(scale_factor=0.25)(x))
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 3, 8, 12], align_corners=False)
    for mode in ("bilinear", "nearest", "bicubic"):
        yield (
            "torch.nn.functional.grid_sample",
            through(lambda x, mode=mode: F.grid_sample(x, grid, mode, align_corners=False)),
        )


def rounded(values):
    return np.clip(np.round(np.asarray(values, np.float64)), 0, 255).astype(np.uint8)


def scientific_calls():
    transform, ndimage = pytest.importorskip("skimage.transform"), pytest.importorskip("scipy.ndimage")
    grid = np.mgrid[0:8, 0:12] * 4 + 1.5
    matrix = np.array([[4, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])

    def planes(function):
        return lambda image: np.dstack([rounded(function(image[..., channel])) for channel in range(3)])

    for n in (0, 1, 3):
        aliased = functools.partial(transform.resize, output_shape=OUT, order=n, anti_aliasing=False)
        yield "skimage.transform.resize", lambda image, f=aliased: rounded(f(image, preserve_range=True))
        warp = functools.partial(transform.warp, inverse_map=matrix, output_shape=OUT, order=n, preserve_range=True)
        yield "skimage.transform.warp", lambda image, f=warp: rounded(f(image))
        zoom = functools.partial(ndimage.zoom, zoom=(0.25, 0.25, 1), order=n)
        yield "scipy.ndimage.zoom", lambda image, f=zoom: rounded(f(image))
        affine = functools.partial(
            ndimage.affine_transform, matrix=[4.0, 4.0], offset=[1.5, 1.5], output_shape=OUT, order=n
        )
        yield "scipy.ndimage.affine_transform", planes(affine)
        yield (
            "scipy.ndimage.map_coordinates",
            planes(functools.partial(ndimage.map_coordinates, coordinates=grid, order=n)),
        )
    reduce = functools.partial(transform.pyramid_reduce, downscale=4, sigma=0.1, channel_axis=-1, preserve_range=True)
    yield "skimage.transform.pyramid_reduce", lambda image: rounded(reduce(image))


def kornia_calls():
    torch, kornia = pytest.importorskip("torch"), pytest.importorskip("kornia.geometry.transform")

    def through(function):
        def call(image):
            return rounded(function(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0))

        return call

    for mode in ("bilinear", "nearest"):
        yield "kornia.geometry.transform.resize", through(lambda x, mode=mode: kornia.resize(x, OUT, mode))


def tensorflow_calls():
    tf = pytest.importorskip("tensorflow")
    raw, size = tf.raw_ops, tf.constant(OUT)
    box, shrink = [[0.0, 0.0, 1.0, 1.0]], [[4.0, 0, 1.5, 0, 4, 1.5, 0, 0]]
    for method in ("bilinear", "nearest", "bicubic"):
        yield f"tf.image.resize ({method})", lambda image, m=method: rounded(tf.image.resize(image, OUT, m))
        if method == "nearest":  # in a graph too
            yield (
                f"tf.image.resize ({method})",
                lambda image: rounded(
                    next(iter(tf.data.Dataset.from_tensors(image).map(lambda x: tf.image.resize(x, OUT, "nearest"))))
                ),
            )
    for name in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"):
        yield f"tf.raw_ops.{name}", lambda image, n=name: rounded(getattr(raw, n)(images=image[None], size=size)[0])
    yield (
        "tf.raw_ops.ResizeArea",
        lambda image: rounded(raw.ResizeArea(images=image[None], size=size, align_corners=True)[0]),
    )
    to = {"size": size, "scale": [0.25, 0.25], "translation": [0.0, 0.0], "antialias": False}
    yield "tf.raw_ops.ScaleAndTranslate", lambda image: rounded(raw.ScaleAndTranslate(images=image[None], **to)[0])
    for way in ("bilinear", "nearest"):
        yield (
            "tf.image.crop_and_resize",
            lambda image, way=way: rounded(tf.image.crop_and_resize(image[None], box, [0], OUT, way)[0]),
        )
    warp = {"transforms": shrink, "output_shape": size, "fill_value": 0.0, "interpolation": "BILINEAR"}
    yield (
        "tf.raw_ops.ImageProjectiveTransformV3",
        lambda image: rounded(raw.ImageProjectiveTransformV3(images=image[None], **warp)[0]),
    )


CALLS = {
    "cv2": cv2_calls,
    "PIL": pil_calls,
    "torch": torch_calls,
    "skimage": scientific_calls,
    "kornia": kornia_calls,
    "tensorflow": tensorflow_calls,
}
# Rows that are no scaling of an array, each in a test of its own; and those that do the same as another.
OTHERS = {
    "cv2.imread", "cv2.imdecode", "PIL.Image.Image.draft", "PIL.Image.Image.reduce", "simplejpeg.decode_jpeg",
    "tf.io.decode_jpeg", "tf.io.decode_and_crop_jpeg", "tf.raw_ops.DecodeJpeg", "tf.raw_ops.DecodeAndCropJpeg",
    "tf.io.decode_image", "tf.io.decode_png", "tf.raw_ops.DecodeImage", "tf.raw_ops.DecodePng",
    "kornia.geometry.transform.pyrdown", "torch.compile", "torch.jit.load", "torch.jit.script", "tf.saved_model.load",
    "tf.image.resize (area)", "tf.image.resize (scale_and_translate)", "tf.raw_ops.CropAndResize",
    "gen_image_ops.image_projective_transform_v3",
}  # fmt: skip


def test_every_hook_is_routed_and_every_route_is_tested():
    assert {row.name for row in ROUTES.values()} == set(HOOKS)
    assert {row.package for row in ROUTES.values()} <= {package for all in LIBRARIES.values() for package in all}
    named = {name for calls in CALLS.values() for name in calls.__code__.co_consts if isinstance(name, str)}
    families = tuple(name for name in named if name.endswith(("raw_ops.", "resize (")))
    untested = {name for name in set(ROUTES) - OTHERS if name not in named and not name.startswith(families)}
    assert not untested


def gain(function):
    return sr.exposure(sr.probe(function, IN, OUT, dtype="uint8", layout="HWC"))


@pytest.mark.slow
@pytest.mark.parametrize("library", CALLS)
def test_every_route_is_vulnerable_and_then_robust(library):
    for name, function in CALLS[library]():
        stock = gain(function)
        assert stock.verdict == "vulnerable", (name, stock.stealth_gain_db)
        with patched(library), warnings.catch_warnings():
            # A plane of one level, by which the probe looks for the layout, is a map of labels, and said to be left.
            warnings.simplefilter("ignore", PatchWarning)
            within = gain(function)
        assert within.verdict == "robust", (name, within.stealth_gain_db)
        assert gain(function).stealth_gain_db == stock.stealth_gain_db


def test_references_that_were_taken_earlier():
    cv2 = pytest.importorskip("cv2")
    stock, image = cv2.resize, np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    robust = sr.resize(image, (16, 12), kernel="bilinear")

    class Slots:
        __slots__ = ("shrink",)

    class Holder:
        on_class = cv2.resize

        def __init__(self):
            self.attribute, self.nested, self.items = cv2.resize, (1, (cv2.resize,)), [{"a": cv2.resize}]

    def default(image, dsize, shrink=cv2.resize):
        return shrink(image, dsize)

    def closure():
        held = cv2.resize
        return lambda image, dsize: held(image, dsize)

    slots, holder, closed, local = Slots(), Holder(), closure(), cv2.resize
    slots.shrink = cv2.resize
    partial = functools.partial(cv2.resize, interpolation=cv2.INTER_LINEAR)
    bound = pytest.importorskip("PIL.Image").fromarray(image).resize

    def held():
        return [slots.shrink, holder.on_class, holder.attribute, holder.nested[1][0], holder.items[0]["a"], default,
                closed, partial, local]  # fmt: skip

    before = [one(image, (12, 16)) for one in held()]
    nearest = np.asarray(bound((12, 16), 0))
    with patched("cv2", "PIL"):
        for number, one in enumerate(held()):
            assert np.array_equal(one(image, (12, 16)), robust), number
        assert np.array_equal(np.asarray(bound((12, 16), 0)), sr.resize(image, (16, 12)))
        holder.taken_within = cv2.resize
    assert holder.taken_within is cv2.resize is stock is local is partial.func is default.__defaults__[0]
    assert bound.__func__ is type(bound.__self__).resize
    for one, was in zip(held(), before, strict=True):
        assert np.array_equal(one(image, (12, 16)), was)
    assert np.array_equal(np.asarray(bound((12, 16), 0)), nearest)


def test_nesting_threads_and_exceptions():
    cv2 = pytest.importorskip("cv2")
    stock, image = cv2.resize, np.random.default_rng(0).integers(0, 256, (64, 48), np.uint8)
    plain, robust = stock(image, (12, 16)), sr.resize(image, (16, 12), kernel="bilinear")
    first, second = patched("cv2"), patched("PIL", "cv2", mode="warn")
    with first, second:  # enforce goes before warn
        assert np.array_equal(cv2.resize(image, (12, 16)), robust)
        with first:
            pass
        assert np.array_equal(cv2.resize(image, (12, 16)), robust)
        found = []
        thread = threading.Thread(target=lambda: found.append(cv2.resize(image, (12, 16))))
        thread.start(), thread.join()
        assert np.array_equal(found[0], robust)
        with pytest.raises(cv2.error):
            cv2.resize(image, (0, 0))
    assert cv2.resize is stock
    first.__enter__(), second.__enter__(), first.__exit__(None, None, None)  # in any order
    with pytest.warns(PatchWarning, match=r"cv2.resize \(INTER_LINEAR\) 64x48 -> 16x12: vulnerable, 6.0 dB"):
        assert np.array_equal(cv2.resize(image, (12, 16)), plain)
    second.__exit__(None, None, None)
    assert cv2.resize is stock
    with pytest.raises(KeyError, match="mine"), first:
        raise KeyError("mine")
    assert cv2.resize is stock

    @patched("cv2")
    def decorated(image):
        """Says so."""
        return cv2.resize(image, (12, 16))

    assert np.array_equal(decorated(image), robust)
    assert decorated.__doc__ == "Says so."
    was = id(stock)
    del stock, plain  # a variable of another thread, which could not be replaced
    workers = [threading.Thread(target=lambda: [decorated(image) for _ in range(5)]) for _ in range(3)]
    [one.start() for one in workers], [one.join() for one in workers]
    assert id(cv2.resize) == was


def test_bad_arguments():
    with pytest.raises(ValueError, match="unknown library 'cv3'; valid libraries: PIL, albumentations, cv2"):
        patched("cv3")
    with pytest.raises(ValueError, match="unknown mode 'off'; valid modes: enforce, warn"):
        patched("cv2", mode="off")


def test_labels_are_left_and_said_so():
    cv2 = pytest.importorskip("cv2")
    labels = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((20, 16), np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, labels.shape, np.uint8)
    plain = cv2.resize(labels, (12, 16), interpolation=cv2.INTER_NEAREST)
    with patched("cv2"), pytest.warns(PatchWarning, match="left as it is: a map of labels") as said:
        small = [cv2.resize(labels, (12, 16), interpolation=cv2.INTER_NEAREST) for _ in range(3)]
    assert all(np.array_equal(one, plain) for one in small)
    assert len(said) == 1
    assert said[0].filename == __file__
    mask = noise
    with patched("cv2"), pytest.warns(PatchWarning, match="a map of labels"):
        cv2.resize(mask, (12, 16), interpolation=cv2.INTER_NEAREST)  # is called a mask
    hidden = np.kron(np.full((15, 16), 40, np.uint8), np.ones((4, 4), np.uint8))
    hidden[2::4, 2::4] = np.where(np.arange(15)[:, None] < 8, 40, 200)  # few values, and a picture for nearest alone
    with patched("cv2"):
        assert cv2.resize(hidden, (16, 15), interpolation=cv2.INTER_NEAREST_EXACT).max() < 60


@pytest.fixture(scope="module")
def crafted():
    """A JPEG file that a full decode shows as one picture and one of a quarter of the size as another."""
    pytest.importorskip("jpeglib")
    source = np.full((128, 128), 128, np.uint8)
    target = np.kron(np.array([[20, 230], [230, 20]], np.uint8), np.ones((16, 16), np.uint8))
    found = sr.attacks.craft_file(source, target, "pillow:draft", scale=4)
    return found.data, target


def test_decoders_that_scale(crafted, tmp_path):
    cv2, Image = pytest.importorskip("cv2"), pytest.importorskip("PIL.Image")
    simplejpeg = pytest.importorskip("simplejpeg")
    data, target = crafted
    path = tmp_path / "crafted.jpg"
    path.write_bytes(data)

    def draft():
        image = Image.open(io.BytesIO(data))
        told = image.draft("L", (32, 32))
        return np.asarray(image), (told, image.size, image.mode, image.draft("L", (16, 16)))

    def thumbnail():
        image = Image.open(path)
        image.thumbnail((16, 16))
        return np.asarray(image), (image.size, image.mode)

    def reduced():
        image = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4)
        return image, (image.shape, image.dtype)

    def decoded():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
        return image, (image.shape, image.dtype)

    def simple():
        image = simplejpeg.decode_jpeg(data, "GRAY", min_width=32, min_height=32)[..., 0]
        return image, (image.shape, image.dtype)

    full = np.asarray(Image.open(io.BytesIO(data)))
    for scaled in (draft, thumbnail, reduced, decoded, simple):
        stock, said = scaled()
        with patched():
            ours, says = scaled()
        assert says == said, scaled
        small = target[:: target.shape[0] // len(stock), :: target.shape[1] // len(stock)]
        assert np.abs(stock - small.astype(float)).mean() < 30, scaled  # shows the other picture
        assert np.abs(ours - sr.resize(full, ours.shape).astype(float)).max() <= 8, scaled  # and then does not


def test_palettes_blocks_and_gaps():
    Image = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (60, 61, 3), np.uint8)
    picture = Image.fromarray(image)
    palette, two = picture.quantize(16), picture.convert("1")
    with patched("PIL"):
        small = palette.resize((15, 15))
        assert (small.mode, small.getpalette()) == ("P", palette.getpalette())
        wanted = sr.resize(np.asarray(palette.convert("RGB")), (15, 15)).astype(int)
        entries = np.array(palette.getpalette()).reshape(-1, 3)
        nearest = np.abs(wanted[:, :, None] - entries).astype(int) ** 2
        assert np.array_equal(np.asarray(small.convert("RGB")), entries[nearest.sum(-1).argmin(-1)])
        assert two.resize((15, 15)).mode == "1"
        assert np.array_equal(np.asarray(picture.reduce(8)), sr.resize(image, (8, 8)))
        assert np.array_equal(
            np.asarray(picture.resize((7, 7), 3, reducing_gap=1.0)), np.asarray(picture.resize((7, 7)))
        )
    assert not np.array_equal(np.asarray(picture.reduce(8)), sr.resize(image, (8, 8)))


def test_what_does_not_sample_is_the_librarys():
    cv2, Image, torch = (pytest.importorskip(name) for name in ("cv2", "PIL.Image", "torch"))
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    picture, planes = Image.fromarray(image), torch.from_numpy(image).permute(2, 0, 1)[None].float()
    calls = [
        lambda: cv2.resize(image, (90, 80), interpolation=cv2.INTER_CUBIC),
        lambda: cv2.resize(image, (60, 40)),
        lambda: cv2.resize(image, (20, 10), interpolation=cv2.INTER_AREA),
        lambda: cv2.warpAffine(image, np.array([[0.8, 0.6, 0], [-0.6, 0.8, 9]]), (60, 40)),
        lambda: np.asarray(picture.resize((90, 80), 0)),
        lambda: np.asarray(picture.resize((20, 10))),
        lambda: np.asarray(picture.rotate(30, Image.BILINEAR)),
        lambda: torch.nn.functional.interpolate(planes, (80, 90)).numpy(),
        lambda: torch.nn.functional.interpolate(planes, (10, 20), mode="bilinear", antialias=True).numpy(),
        lambda: torch.nn.functional.interpolate(planes, (10, 20), mode="area").numpy(),
    ]
    before = [one() for one in calls]
    with patched():
        for number, (one, was) in enumerate(zip(calls, before, strict=True)):
            assert np.array_equal(one(), was), number


def test_signatures_names_and_pickles():
    cv2, Image, torch = (pytest.importorskip(name) for name in ("cv2", "PIL.Image", "torch"))
    stock = [Image.Image.resize, Image.Image.draft, torch.nn.functional.interpolate, torch.nn.functional.grid_sample]
    said = [(inspect.signature(one), one.__name__, one.__doc__, one.__module__) for one in stock]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickle looks for the function in numpy's old modules too
        pickled = pickle.dumps(cv2.resize)
    with patched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        routed = [Image.Image.resize, Image.Image.draft, torch.nn.functional.interpolate]
        routed.append(torch.nn.functional.grid_sample)
        assert [(inspect.signature(one), one.__name__, one.__doc__, one.__module__) for one in routed] == said
        assert pickle.dumps(cv2.resize) == pickled
        assert pickle.loads(pickled) is cv2.resize


@pytest.mark.slow
def test_torch_still_compiles():
    torch = pytest.importorskip("torch")
    planes = torch.rand(1, 3, 32, 32)

    def shrink(x):
        return torch.nn.functional.interpolate(x, size=[8, 8], mode="bilinear") * 2

    def nearest(x):
        return torch.nn.functional.interpolate(x, size=[8, 8])

    with warnings.catch_warnings(), patched("torch"):
        warnings.simplefilter("ignore")
        for function in (shrink, nearest):
            eager = function(planes)
            compiled = torch.compile(function, backend="eager", fullgraph=True)(planes)
            assert torch.allclose(compiled, eager, atol=1e-6)
            assert torch.func.grad(lambda x, f=function: f(x).sum())(planes).shape == planes.shape


def test_torch_is_traced_without_a_word_of_ours():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    first, second = torch.rand(2, 1, 3, 32, 48)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 3, 8, 12], align_corners=False)
    functions = [
        lambda x: F.interpolate(x, (8, 12), mode="bilinear"),
        lambda x: F.interpolate(x, (8, 12)),
        lambda x: F.interpolate((x * 255).to(torch.uint8), (8, 12)),
        lambda x: F.grid_sample(x, grid, align_corners=False),
        lambda x: F.interpolate(x, (64, 96)),
    ]
    with patched("torch"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for number, function in enumerate(functions):
            traced = torch.jit.trace(function, first)
            # Nothing of the first one stands in it.
            assert torch.allclose(traced(second), function(second), rtol=0, atol=1e-6), number
    assert not [one for one in said if issubclass(one.category, torch.jit.TracerWarning)]


def test_grids_that_are_left_say_so():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    picture, learned = torch.rand(1, 3, 32, 48), torch.rand(1, 3, 32, 48, requires_grad=True) * 1
    small, same = (F.affine_grid(torch.eye(2, 3)[None], [1, 3, *size], align_corners=False) for size in (OUT, IN))
    cases = [
        (learned, small, "inside a network, of no picture"),
        (torch.rand(1, 9, 32, 48), small, "inside a network, of no picture"),
        (picture, small.clone().requires_grad_() * 1, "sampled where a network says"),
    ]
    for image, grid, why in cases:
        stock = F.grid_sample(image, grid, align_corners=False)
        with patched("torch"), pytest.warns(PatchWarning, match=f"grid_sample is left as it is: {why}"):
            assert torch.equal(F.grid_sample(image, grid, align_corners=False), stock)
    with patched("torch"):  # scales nothing down: no word
        F.grid_sample(learned, same, align_corners=False)


@pytest.fixture(scope="module")
def inexact():
    """A JPEG file that an accurate decode shows as one picture and TensorFlow's fast one as another."""
    pytest.importorskip("jpeglib")
    pytest.importorskip("tensorflow")
    target = np.kron(np.array([[20, 230], [230, 20]], np.uint8), np.ones((32, 32), np.uint8))
    return sr.attacks.craft_blank(target).data, target


@pytest.mark.slow
def test_tensorflow_decodes_in_full_and_exactly(crafted, inexact):
    tf, Image = pytest.importorskip("tensorflow"), pytest.importorskip("PIL.Image")
    whole = tf.constant([0, 0, 32, 32])
    scaled = [
        lambda data: tf.io.decode_jpeg(data, ratio=4),
        lambda data: tf.image.decode_jpeg(data, 1, ratio=4),
        lambda data: tf.raw_ops.DecodeJpeg(contents=data, ratio=4),
        lambda data: tf.io.decode_and_crop_jpeg(data, whole, ratio=4),
        lambda data: tf.image.decode_and_crop_jpeg(data, whole, ratio=4),
        lambda data: tf.raw_ops.DecodeAndCropJpeg(contents=data, crop_window=whole, ratio=4),
    ]
    square = tf.constant([0, 0, 64, 64])
    fast = [
        lambda data: tf.io.decode_jpeg(data),
        lambda data: tf.image.decode_jpeg(data, dct_method="INTEGER_FAST"),
        lambda data: tf.io.decode_and_crop_jpeg(data, square),
        lambda data: tf.io.decode_image(data),
        lambda data: tf.image.decode_image(data, 1, expand_animations=False),
        lambda data: tf.io.decode_png(data, 1),
        lambda data: tf.raw_ops.DecodeImage(contents=data),
        lambda data: tf.raw_ops.DecodePng(contents=data),
        lambda data: tf.cast(tf.round(tf.io.decode_image(data, 1, tf.float32) * 255), tf.uint8),
        lambda data: tf.io.decode_image(data, 1, tf.uint16) // 256,
    ]

    def in_graph(function):
        return lambda data: next(iter(tf.data.Dataset.from_tensors(data).map(function)))

    for (data, target), functions in ((crafted, scaled), (inexact, fast)):
        full = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        wanted = sr.resize(full, target.shape).astype(int)
        assert np.abs(wanted - target).mean() > 60
        ways = [way for function in functions for way in (function, in_graph(function))]
        before = [way(data).numpy() for way in ways]
        with patched("tensorflow"):
            within = [way(data).numpy() for way in ways]
        for number, (stock, ours) in enumerate(zip(before, within, strict=True)):
            assert (ours.shape, ours.dtype) == (stock.shape, stock.dtype), number
            assert np.abs(stock[..., 0].astype(int) - target).mean() < 30, number  # shows the other picture
            assert np.abs(ours[..., 0].astype(int) - wanted).max() <= 8, number  # and then does not
    png = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(png, "PNG")
    ways = [tf.io.decode_image, in_graph(tf.io.decode_image)]
    before = [way(png.getvalue()).numpy() for way in ways]
    with patched("tensorflow"):
        assert all(np.array_equal(way(png.getvalue()), stock) for way, stock in zip(ways, before, strict=True))
