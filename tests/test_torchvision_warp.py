"""Affine, perspective and elastic warps: torchvision's where nothing shrinks, and every pixel read where it does."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import PIL.Image
from test_torchvision import same
from torchvision import transforms as stock_v1, tv_tensors
from torchvision.transforms import v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import v1, v2

pytestmark = pytest.mark.once
HEIGHT, WIDTH = 96, 120
CORNERS = [[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1]]
QUARTER = {"angle": 0, "translate": [0, 0], "scale": 0.25, "shear": [0, 0]}
# Calls that shrink, and calls that do not. (With a fill torchvision's have no gradient: an in-place operation.)
SHRINKING = {
    "quarter": lambda f, x: f.affine(x, **QUARTER),
    "turned": lambda f, x: f.affine(x, 30, [3, 2], 0.37, [0, 0]),
    "sheared": lambda f, x: f.affine(x, 10.0, [0, 0], 0.5, [20, 5]),
    "bilinear": lambda f, x: f.affine(x, **QUARTER, interpolation=v2.InterpolationMode.BILINEAR),
    "perspective": lambda f, x: f.perspective(x, CORNERS, [[30, 20], [80, 25], [70, 60], [35, 70]]),
    "elastic": lambda f, x: f.elastic_transform(x, waves()),
}
KEEPING = {
    "turned": lambda f, x: f.affine(x, 33, [5, -3], 1.0, [0, 0]),
    "sheared": lambda f, x: f.affine(x, 0, [0, 0], 1.0, [40, 0]),
    "enlarged": lambda f, x: f.affine(x, 5, [0, 0], 1.7, [0, 0]),
    "a little": lambda f, x: f.affine(x, 0, [0, 0], 0.9, [0, 0]),
    "perspective": lambda f, x: f.perspective(x, CORNERS, [[1, 0], [118, 1], [119, 95], [0, 94]]),
    "elastic": lambda f, x: f.elastic_transform(x, waves() / 30),
}


def waves():
    """A displacement that squeezes the picture threefold in places."""
    x = torch.linspace(0, 6.28, WIDTH).expand(HEIGHT, WIDTH)
    y = torch.linspace(0, 6.28, HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    return torch.stack([x.sin() * 0.6, y.sin() * 0.6], -1)[None]


def reads(call, functional):
    """How much each source pixel counts in all outputs together, inside a margin; the mean is that of one pixel."""
    image = torch.zeros(1, HEIGHT, WIDTH, requires_grad=True)
    (counts,) = torch.autograd.grad(call(functional, image).sum(), image)
    return counts[0, 12:-12, 12:-12]


@pytest.mark.parametrize("functional", [v1.functional, v2.functional], ids=["v1", "v2"])
@pytest.mark.parametrize("name", SHRINKING)
def test_every_pixel_is_read_where_it_shrinks(name, functional):
    call = SHRINKING[name]
    theirs = stock_v1.functional if functional is v1.functional else stock.functional
    unread = reads(call, theirs) == 0
    assert unread.float().mean() > 0.1, "torchvision would not sample"
    counts = reads(call, functional)
    assert not (counts <= 0).any()
    if name not in ("perspective", "elastic"):  # whose scale is not the same everywhere
        assert counts.min() > 0.8 * counts.mean()
        assert counts.max() < 1.3 * counts.mean()
        # The pixels that torchvision skips count like their neighbours.
        assert counts[unread].mean() > 0.95 * counts[~unread].mean()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64], ids=str)
@pytest.mark.parametrize("name", SHRINKING)
def test_an_attack_on_a_warp_fails(name, dtype):
    """Black, but for the pixels that torchvision reads: those are white."""
    call = SHRINKING[name]
    image = torch.zeros(1, HEIGHT, WIDTH, requires_grad=True)
    (counts,) = torch.autograd.grad(call(stock.functional, image).sum(), image)
    attack = ((counts > 0) * 200).to(dtype)
    theirs, ours = (call(functional, attack).double().mean() for functional in (stock.functional, v2.functional))
    share = (counts > 0).double().mean()
    assert ours < theirs * max(0.85, 2 * float(share)) or name == "elastic"
    assert call(v2.functional, attack).dtype == dtype


def test_a_shrinking_affine_is_the_probed_resize():
    """Where nothing turns, it is a resize with a border, and robust by the probe."""

    def shown(module):
        def resize(image):
            x = torch.from_numpy(np.ascontiguousarray(image)).reshape(*image.shape[:2], -1).movedim(-1, 0)
            small = module.affine(x, 0, [0, 0], 0.25, [0, 0])[:, 36:60, 45:75].movedim(0, -1)
            return small.numpy().reshape(24, 30, *image.shape[2:])

        return resize

    verdicts = [
        sr.exposure(sr.probe(shown(module), (96, 120), (24, 30), dtype="uint8", layout="HWC")).verdict
        for module in (stock.functional, v2.functional)
    ]
    assert verdicts == ["vulnerable", "robust"]


@pytest.mark.parametrize("name", KEEPING)
def test_what_does_not_shrink_is_torchvisions(photos, name):
    image = torch.from_numpy(photos["coffee.png"][:HEIGHT, :WIDTH].copy()).movedim(-1, 0)
    for x in (image, tv_tensors.Image(image), PIL.Image.fromarray(photos["coffee.png"][:HEIGHT, :WIDTH])):
        assert same(KEEPING[name](v2.functional, x), KEEPING[name](stock.functional, x))
        assert same(KEEPING[name](v1.functional, x), KEEPING[name](stock_v1.functional, x))


def test_what_is_shown_is_what_torchvision_shows(photos):
    """On a smooth picture, where sampling does no harm, in every type; and the fill is where it was."""
    smooth = sr.resize(sr.resize(photos["coffee.png"], (6, 8)), (HEIGHT, WIDTH), kernel="bicubic")
    image = torch.from_numpy(smooth).movedim(-1, 0)
    kinds = (image, tv_tensors.Image(image), tv_tensors.Video(image[None]), image.float(), PIL.Image.fromarray(smooth))
    for call in (
        lambda f, x: f.affine(x, 30, [3, 2], 0.37, [0, 0], v2.InterpolationMode.BILINEAR, [9.0, 99.0, 200.0]),
        lambda f, x: f.perspective(x, CORNERS, [[30, 20], [80, 25], [70, 60], [35, 70]], fill=[9.0, 99.0, 200.0]),
    ):
        for x in kinds:
            fill_safe = call if not isinstance(x, PIL.Image.Image) else lambda f, x, call=call: call(_Ints(f), x)
            ours, theirs = (fill_safe(f, x) for f in (v2.functional, stock.functional))
            assert type(ours) is type(theirs)
            difference = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
            assert np.median(difference) <= 1
            assert difference.mean() < 4  # along the border, which is averaged too


class _Ints:
    """A functional whose fill is in whole numbers, as PIL images want it."""

    def __init__(self, functional):
        self.functional = functional

    def __getattr__(self, name):
        def call(*args, **kwargs):
            args = [[int(n) for n in a] if isinstance(a, list) and a == [9.0, 99.0, 200.0] else a for a in args]
            kwargs = {k: [int(n) for n in v] if k == "fill" else v for k, v in kwargs.items()}
            return getattr(self.functional, name)(*args, **kwargs)

        return call


TRANSFORMS = {
    "RandomAffine": {"degrees": 30, "scale": (0.2, 0.4), "fill": 3},
    "RandomPerspective": {"distortion_scale": 0.6, "p": 0.7},
    "ElasticTransform": {"alpha": 200.0},
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_draw_as_torchvisions(photos, name):
    array = photos["coffee.png"][:HEIGHT, :WIDTH]
    image, mask = torch.from_numpy(array.copy()).movedim(-1, 0), tv_tensors.Mask(torch.from_numpy(array[..., 0] // 50))
    boxes = tv_tensors.BoundingBoxes([[3.0, 5.0, 40.0, 60.0]], format="XYXY", canvas_size=(HEIGHT, WIDTH))
    for ours, theirs in ((v2, stock), (v1, stock_v1)):
        transforms = [getattr(module, name)(**TRANSFORMS[name]) for module in (ours, theirs)]
        assert isinstance(transforms[0], type(transforms[1]))
        assert repr(transforms[0]) == repr(transforms[1])
        changed = 0
        for seed in range(4):
            results = []
            for transform in (pickle.loads(pickle.dumps(transforms[0])), transforms[1]):
                torch.manual_seed(seed)
                sample = (tv_tensors.Image(image), mask, boxes) if ours is v2 else image
                results.append((transform(sample), torch.rand(1)))
            (mine, after), (wanted, wanted_after) = results
            assert torch.equal(after, wanted_after), "drew another number of random numbers"
            if ours is v2:
                assert same(mine[1], wanted[1])
                assert same(mine[2], wanted[2])
                mine, wanted = mine[0], wanted[0]
            assert (type(mine), mine.dtype, mine.shape) == (type(wanted), wanted.dtype, wanted.shape)
            changed += not torch.equal(mine, wanted)
        assert changed


def test_errors_are_torchvisions():
    image = torch.zeros(3, 9, 9)
    for call in (
        lambda f: f.affine(image, "a", [0, 0], 0.2, [0, 0]),
        lambda f: f.affine(image, 0, [0], 0.2, [0, 0]),
        lambda f: f.affine(image, 0, [0, 0], -1, [0, 0]),
        lambda f: f.affine(image, 0, [0, 0], 0.2, [0, 0], fill=[1.0, 2.0]),
        lambda f: f.affine(image, 0, [0, 0], 0.2, [0, 0], v2.InterpolationMode.BICUBIC),
        lambda f: f.elastic(image, torch.zeros(1, 3, 3, 2)),
        lambda f: f.perspective(image, None, None),
    ):
        with pytest.raises((TypeError, ValueError)) as wanted:
            call(stock.functional)
        with pytest.raises(wanted.type) as got:
            call(v2.functional)
        assert str(got.value) == str(wanted.value)
    for name in ("affine", "perspective", "elastic"):
        with pytest.raises(TypeError):
            getattr(v2.functional, name)(np.zeros((9, 9, 3)), *([torch.zeros(1, 9, 9, 2)] if name == "elastic" else []))
