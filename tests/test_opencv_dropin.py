"""``secure_resize.integrations.opencv``: what ``cv2.resize`` takes, gives and raises, and no axis that samples."""

import inspect
import pickle

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

import secure_resize as sr  # noqa: E402
from secure_resize.integrations import opencv as ours  # noqa: E402

AVERAGING = {cv2.INTER_LINEAR: "bilinear", cv2.INTER_CUBIC: "bicubic", cv2.INTER_AREA: "area"}
AVERAGING |= {cv2.INTER_LANCZOS4: "lanczos", cv2.INTER_LINEAR_EXACT: "bilinear"}
NEAREST = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)


@pytest.fixture(name="photo", scope="module")
def photo_fixture(photos):
    return np.ascontiguousarray(photos["coffee.png"][:200, :303])


# --- what comes out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 2), (40, 60, 3), (3, 60, 9), (40, 60, 128)], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("interpolation", AVERAGING)
def test_shape_and_dtype_are_opencvs_and_values_the_cores(interpolation, dtype, shape):
    rng = np.random.default_rng(0)
    # Not to overshoot what the dtype holds, where the core cuts off after each pass.
    image = (rng.integers(96, 160, shape) * (1 if dtype == "uint8" else 100)).astype(dtype)
    if dtype == "int16":
        image -= 12800
    size = (21, min(shape[0], 17))
    got, stock = ours.resize(image, size, interpolation=interpolation), cv2.resize(image, size, interpolation=1)
    assert (type(got), got.shape, got.dtype, got.flags.c_contiguous) == (type(stock), stock.shape, stock.dtype, True)
    kernel = AVERAGING[interpolation]
    if dtype in ("uint8", "uint16"):
        wanted = sr.resize(image[None] if image.ndim == 3 else image, size[::-1], kernel=kernel).reshape(got.shape)
        assert np.array_equal(got, wanted)
    exact = sr.scaling_operator(shape[:2], size[::-1], kernel).apply(image).reshape(got.shape)
    # Two roundings are 1.06 apart at most, and 8 bits have weights of 22; float32 relative to the largest magnitude.
    bound = {"float64": 1e-9, "float32": 0.1, "uint8": 1.6, "uint16": 1.06, "int16": 1.06}[dtype]
    limits = np.iinfo(dtype) if dtype.startswith(("u", "i")) else None
    clipped = exact if limits is None else exact.clip(limits.min, limits.max)
    assert np.abs(got - clipped).max() <= bound


def test_int16_is_rounded_as_uint16_is():
    image = np.random.default_rng(1).integers(-32768, 32768, (50, 70, 3)).astype(np.int16)
    shifted = (image.astype(np.int32) + 32768).astype(np.uint16)
    for interpolation, kernel in AVERAGING.items():
        wanted = sr.resize(shifted, (11, 13), kernel=kernel).astype(np.int32) - 32768
        assert np.array_equal(ours.resize(image, (13, 11), interpolation=interpolation), wanted)


def test_the_bytes_are_pillows(photo):
    from PIL import Image

    for interpolation, resample in ((cv2.INTER_LINEAR, 2), (cv2.INTER_CUBIC, 3), (cv2.INTER_LANCZOS4, 1)):
        wanted = np.asarray(Image.fromarray(photo).resize((51, 40), resample))
        order = "pillow13" if int(Image.__version__.partition(".")[0]) >= 13 else "pillow12"
        assert order == "pillow12" or np.array_equal(ours.resize(photo, (51, 40), None, 0, 0, interpolation), wanted)


VIEWS = {
    "turned": lambda image: image.transpose(1, 0, 2),
    "reversed": lambda image: image[::-1, ::-1, ::-1],
    "strided": lambda image: image[::2, 1::3],
    "channels": lambda image: image[..., :2],
    "planes": lambda image: np.moveaxis(np.ascontiguousarray(np.moveaxis(image, -1, 0)), 0, -1),
    "fortran": np.asfortranarray,
    "read-only": lambda image: np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
    "row stride 0": lambda image: np.broadcast_to(image[:1], image.shape),
    "subclass": lambda image: image.view(np.recarray),
}


@pytest.mark.parametrize("view", VIEWS)
def test_any_view_is_what_it_shows_and_stays_unchanged(photo, view):
    image = VIEWS[view](photo)
    before = np.array(image)
    for interpolation in AVERAGING:
        for size in ((31, 20), (31, image.shape[0] + 3), (image.shape[1], image.shape[0])):
            got = ours.resize(image, size, interpolation=interpolation)
            assert np.array_equal(got, ours.resize(before, size, interpolation=interpolation))
            assert type(got) is np.ndarray
            assert not np.shares_memory(got, image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_the_other_byte_order_is_read_as_what_it_is(photo, dtype):
    image = photo.astype(dtype)
    swapped = image.astype(image.dtype.newbyteorder())
    for size in ((40, 30), (400, 30), (400, 300)):
        got = ours.resize(swapped, size)
        assert got.dtype == dtype
        assert np.array_equal(got, ours.resize(image, size))
    assert np.array_equal(
        ours.resize(swapped, (9, 9), interpolation=0, labels=True), cv2.resize(image, (9, 9), None, 0, 0, 0)
    )


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_factors_are_rounded_as_opencv_does():
    for edge in range(1, 120):
        image = np.zeros((6, edge), np.uint8)
        for factor in (0.5, 0.25, 0.75, 0.1, 0.3, 1 / 3, 0.15, 1.0, 1.5, np.float32(0.7), 2):
            for given in (None, (0, 0), (7, 0)):
                try:
                    wanted = cv2.resize(image, given, fx=factor, fy=0.5).shape
                except cv2.error:
                    with pytest.raises(cv2.error):
                        ours.resize(image, given, fx=factor, fy=0.5)
                else:
                    assert ours.resize(image, given, fx=factor, fy=0.5).shape == wanted


@pytest.mark.parametrize(
    "size", [(30, 20), [30, 20], np.array([30, 20]), (np.int64(30), np.uint8(20)), range(20, 22)], ids=str
)
def test_sizes_are_width_and_height_and_win_over_factors(photo, size):
    assert ours.resize(photo, size, fx=0.9, fy=0.1).shape == cv2.resize(photo, size, fx=0.9, fy=0.1).shape


@pytest.mark.parametrize("size", [(303, 200), (606, 400), (303, 413), (304, 200), None])
@pytest.mark.parametrize("interpolation", [*AVERAGING, *NEAREST])
def test_what_does_not_shrink_is_opencvs(photo, size, interpolation):
    factors = {"fx": 1.37, "fy": 1.61} if size is None else {}
    wanted = cv2.resize(photo, size, interpolation=interpolation, **factors)
    assert np.array_equal(ours.resize(photo, size, interpolation=interpolation, **factors), wanted)


@pytest.mark.parametrize("interpolation", AVERAGING)
def test_an_axis_that_grows_beside_one_that_shrinks(photo, interpolation):
    got = ours.resize(photo, (400, 50), interpolation=interpolation)
    narrow = sr.resize(photo, (50, 303), kernel=AVERAGING[interpolation])
    assert np.array_equal(got, cv2.resize(narrow, (400, 50), interpolation=interpolation))


# --- where it goes ---------------------------------------------------------------------------------------------------

DESTINATIONS = {
    "fits": lambda: np.zeros((20, 30, 3), np.uint8),
    "rows apart": lambda: np.zeros((20, 60, 3), np.uint8)[:, :30],
    "wrong size": lambda: np.zeros((5, 5, 3), np.uint8),
    "wrong dtype": lambda: np.zeros((20, 30, 3), np.float32),
    "no channels": lambda: np.zeros((20, 30), np.uint8),
    "a number": lambda: 3,
    "fortran": lambda: np.zeros((20, 30, 3), np.uint8, order="F"),
    "reversed": lambda: np.zeros((20, 30, 3), np.uint8)[::-1],
    "channels of more": lambda: np.zeros((20, 30, 4), np.uint8)[..., :3],
    "read-only": lambda: np.frombuffer(bytes(1800), np.uint8).reshape(20, 30, 3),
}


@pytest.mark.parametrize("name", DESTINATIONS)
def test_dst_is_filled_where_opencv_fills_it(photo, name):
    wanted, theirs, mine = ours.resize(photo, (30, 20)), DESTINATIONS[name](), DESTINATIONS[name]()
    try:
        stock = cv2.resize(photo, (30, 20), theirs)
    except cv2.error:
        with pytest.raises(cv2.error):
            ours.resize(photo, (30, 20), mine)
        assert not np.any(mine)
        return
    got = ours.resize(photo, (30, 20), dst=mine)
    assert np.array_equal(got, wanted)
    assert (got is mine) == (stock is theirs)
    assert np.any(mine) == np.any(theirs)


def test_dst_of_one_channel_keeps_its_shape(photo):
    for image in (photo[..., 0], photo[..., :1]):
        dst = np.zeros((20, 30, 1), np.uint8)
        assert ours.resize(image, (30, 20), dst) is dst
        assert np.array_equal(dst[..., 0], ours.resize(photo[..., 0], (30, 20)))


def test_the_source_may_be_the_destination(photo):
    canvas = photo.copy()
    assert np.array_equal(ours.resize(canvas, (100, 60), canvas[:60, :100]), ours.resize(photo, (100, 60)))
    assert np.array_equal(canvas[:60, :100], ours.resize(photo, (100, 60)))


def test_a_umat_gives_a_umat(photo):
    wanted = ours.resize(photo, (30, 20))
    dst = cv2.UMat(np.zeros((20, 30, 3), np.uint8))
    for got in (ours.resize(cv2.UMat(photo), (30, 20)), ours.resize(cv2.UMat(photo), (30, 20), dst), dst):
        assert isinstance(got, cv2.UMat)
        assert np.array_equal(got.get(), wanted)
    other = cv2.UMat(np.zeros((20, 30, 3), np.uint8))
    assert isinstance(ours.resize(photo, (30, 20), other), cv2.UMat)
    assert np.array_equal(other.get(), wanted)


# --- label maps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", NEAREST)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float16", "float32"])
def test_nearest_is_for_label_maps(dtype, interpolation):
    labels = np.random.default_rng(0).integers(0, 9, (40, 60)).astype(dtype)
    wanted = cv2.resize(labels, (13, 11), interpolation=interpolation)
    got = ours.resize(labels, (13, 11), interpolation=interpolation, labels=True)
    assert got.dtype == wanted.dtype
    assert np.array_equal(got, wanted)
    for size in ((13, 11), (60, 11), (90, 11)):
        for error in (cv2.error, ValueError, ours.ResizeError):
            with pytest.raises(error, match=r"reads one pixel per output.*'area'.*labels=True"):
                ours.resize(labels, size, interpolation=interpolation)


def test_labels_are_not_averaged():
    for interpolation in AVERAGING:
        with pytest.raises(ValueError, match="labels=True goes with INTER_NEAREST or INTER_NEAREST_EXACT, got INTER_"):
            ours.resize(np.zeros((9, 9), np.uint8), (4, 4), interpolation=interpolation, labels=True)


def test_a_kernel_by_name(photo):
    for interpolation in (*AVERAGING, *NEAREST):
        got = ours.resize(photo, (30, 20), interpolation=interpolation, kernel="area")
        assert np.array_equal(got, sr.resize(photo, (20, 30)))
    with pytest.raises(ValueError, match=r"unknown kernel 'cubic'; valid kernels: .*bicubic"):
        ours.resize(photo, (30, 20), kernel="cubic")
    with pytest.raises(ours.ResizeError, match=r"'box' weighs source pixels unevenly.*kernel='area'"):
        ours.resize(photo.astype(float), (200, 150), kernel="box")
    with pytest.raises(ours.ResizeError, match=r"dtype uint8, .* got int32"):
        ours.resize(photo.astype(np.int32), (30, 20), interpolation=0, kernel="area")


# --- errors and the face ---------------------------------------------------------------------------------------------

IMAGE = np.zeros((40, 60, 3), np.uint8)
SIZE = (30, 20)
WRONG = {
    "None": (None, SIZE),
    "list": (IMAGE.tolist(), SIZE),
    "complex": (IMAGE.astype(complex), SIZE),
    "int32": (IMAGE.astype(np.int32), SIZE),
    "bool": (IMAGE > 3, SIZE),
    "half": (IMAGE.astype(np.float16), SIZE),
    "objects": (IMAGE.astype(object), SIZE),
    "rank 4": (IMAGE[None], SIZE),
    "channels": (np.zeros((4, 6, 600), np.uint8), SIZE),
    "empty": (IMAGE[:0], SIZE),
    "no channels": (IMAGE[..., :0], SIZE),
    "floats": (IMAGE, (30.0, 20.0)),
    "array of floats": (IMAGE, np.array([30.0, 20.0])),
    "three": (IMAGE, (30, 20, 3)),
    "one": (IMAGE, (30,)),
    "a number": (IMAGE, 30),
    "text": (IMAGE, "30"),
    "dict": (IMAGE, {30: 1, 20: 2}),
    "True": (IMAGE, (True, 20)),
    "no size": (IMAGE, None),
    "zero": (IMAGE, (0, 0)),
    "negative": (IMAGE, (-3, 5)),
    "one factor": (IMAGE, None, None, 0.5),
    "negative factor": (IMAGE, None, None, -0.5, 0.5),
    "nan": (IMAGE, None, None, np.nan, 0.5),
    "inf": (IMAGE, None, None, np.inf, 0.5),
    "text factor": (IMAGE, None, None, "2", 0.5),
    "bool factor": (IMAGE, None, None, True, 0.5),
    "nothing left": (IMAGE, None, None, 0.001, 0.5),
    "interpolation 7": (IMAGE, SIZE, None, 0, 0, 7),
    "interpolation -1": (IMAGE, SIZE, None, 0, 0, -1),
    "interpolation 1.0": (IMAGE, SIZE, None, 0, 0, 1.0),
    "interpolation True": (IMAGE, SIZE, None, 0, 0, True),
    "interpolation text": (IMAGE, SIZE, None, 0, 0, "area"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_opencvs_own(name):
    with pytest.raises(cv2.error) as wanted:
        cv2.resize(*WRONG[name])
    with pytest.raises(cv2.error) as got:
        ours.resize(*WRONG[name])
    if name != "channels":  # which one pixel of is asked for
        assert str(got.value) == str(wanted.value)


def test_what_opencv_takes_and_this_does_not():
    for image in (np.zeros(40, np.uint8), np.zeros((), np.uint8)):
        with pytest.raises(ours.ResizeError, match=r"shape \(H, W\) or \(H, W, C\)"):
            ours.resize(image, SIZE)


def test_the_arguments_are_opencvs(photo):
    parameters = inspect.signature(ours.resize).parameters
    assert list(parameters) == ["src", "dsize", "dst", "fx", "fy", "interpolation", "labels", "kernel"]
    assert cv2.resize.__doc__.startswith("resize(src, dsize[, dst[, fx[, fy[, interpolation]]]]) -> dst")
    assert [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY] == ["labels", "kernel"]
    for name in ("dst", "fx", "fy", "interpolation"):
        assert np.array_equal(ours.resize(photo, SIZE, **{name: None}), ours.resize(src=photo, dsize=SIZE))


def test_every_other_name_is_opencvs():
    assert set(dir(cv2)) <= set(dir(ours))
    public = [name for name in dir(cv2) if not name.startswith("_")]
    assert len(public) > 1000
    assert [name for name in public if getattr(ours, name) is not getattr(cv2, name)] == ["resize"]
    starred = {}
    exec("from secure_resize.integrations.opencv import *", starred)
    assert starred["resize"] is ours.resize
    assert starred["imread"] is cv2.imread
    with pytest.raises(AttributeError, match="rezise"):
        _ = ours.rezise
    assert pickle.loads(pickle.dumps(ours.resize)) is ours.resize


# --- no axis that samples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "interpolation", [*list(AVERAGING)[:3], *(pytest.param(i, marks=pytest.mark.slow) for i in list(AVERAGING)[3:])]
)
@pytest.mark.parametrize(("in_size", "out_size"), [((223, 110), (50, 25)), ((200, 27), (28, 28))], ids=str)
def test_robust_where_opencv_is_not(interpolation, in_size, out_size):
    """The second pair is INTER_AREA's trap: one axis shrinks by seven and the other grows by one pixel."""

    def exposed(resize):
        call = lambda image: resize(image, out_size[::-1], interpolation=interpolation)  # noqa: E731
        return sr.exposure(sr.probe(call, in_size, out_size, layout="HWC"))

    assert exposed(ours.resize).verdict == "robust"
    if interpolation != cv2.INTER_AREA or out_size[1] > in_size[1]:
        assert exposed(cv2.resize).verdict == "vulnerable"


def test_an_attack_on_opencv_fails(photos):
    source, target = photos["coffee.png"], photos["astronaut.png"][:64, :64]
    attack = sr.attacks.craft(source, target, "opencv:linear")
    image = getattr(attack, "image", attack)
    seen, robust = cv2.resize(image, (64, 64)), ours.resize(image, (64, 64))
    assert np.abs(seen.astype(int) - target).max() <= 2
    clean = ours.resize(source, (64, 64)).astype(int)
    assert np.abs(robust - clean).mean() < np.abs(robust.astype(int) - target).mean() / 3


# --- letterbox -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(200, 303, 3), (303, 200, 3), (100, 150), (40, 30, 1), (64, 64, 3), (1, 300, 3)], ids=str
)
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (101, 33)])
def test_letterbox_says_where_the_image_is(shape, size):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    boxed = ours.letterbox(image, size)
    height, width = shape[:2]
    inner = round(width * boxed.scale[0]), round(height * boxed.scale[1])
    left, top = boxed.offset
    assert boxed.image.shape == (size[1], size[0], *shape[2:])[: 2 if shape[2:] == (1,) else 3]
    inside = boxed.image[top : top + inner[1], left : left + inner[0]]
    assert np.array_equal(inside, ours.resize(image, inner))
    border = np.ones(boxed.image.shape[:2], bool)
    border[top : top + inner[1], left : left + inner[0]] = False
    assert (boxed.image[border] == 114).all()
    assert inner[0] == size[0] or inner[1] == size[1]
    assert (left, top) == ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    corners = np.array([[0, 0, width, height]])
    assert np.allclose(boxed.from_source(corners), [[left, top, left + inner[0], top + inner[1]]])
    assert np.allclose(boxed.to_source(boxed.from_source(corners)), corners)
    assert np.allclose(boxed.to_source((left, top)), 0)


def test_letterbox_options(photo):
    small = ours.letterbox(photo, (400, 400), scale_up=False)
    assert small.scale == (1, 1)
    assert small.offset == (48, 100)
    assert np.array_equal(small.image[100:300, 48:351], photo)
    corner = ours.letterbox(photo, (96, 96), center=False, color=(1, 2, 3), kernel="area")
    assert corner.offset == (0, 0)
    assert corner.image[-1, -1].tolist() == [1, 2, 3]
    labels = ours.letterbox(photo[..., 0], (96, 96), interpolation=0, labels=True, color=255)
    assert set(np.unique(labels.image)) <= {255, *np.unique(photo[..., 0])}
    for wrong in ((0, 5), None, (5.0, 5), (5, 5, 5), 5):
        with pytest.raises(cv2.error, match="dsize must be"):
            ours.letterbox(photo, wrong)
    with pytest.raises(ours.ResizeError, match="labels=True"):
        ours.letterbox(photo, (96, 96), interpolation=0)
    with pytest.raises(cv2.error):
        ours.letterbox(None, (5, 5))


def test_letterbox_is_robust():
    def boxed(image):
        return ours.letterbox(image, (64, 64)).image

    assert sr.exposure(sr.probe(boxed, (110, 223), (64, 64), layout="HWC")).verdict == "robust"
