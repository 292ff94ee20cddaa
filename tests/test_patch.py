"""patched(): every route vulnerable in the stock library, robust within; everything else as it was."""

import functools
import threading

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.integrations.patch import PatchWarning, patched

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


CALLS = {"cv2": cv2_calls, "PIL": pil_calls, "torch": torch_calls}


def gain(function):
    return sr.exposure(sr.probe(function, IN, OUT, dtype="uint8", layout="HWC"))


@pytest.mark.parametrize("library", CALLS)
def test_every_route_is_vulnerable_and_then_robust(library):
    for name, function in CALLS[library]():
        stock = gain(function)
        assert stock.verdict == "vulnerable", (name, stock.stealth_gain_db)
        with patched(library):
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
