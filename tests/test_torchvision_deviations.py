"""Every difference to torchvision that the table of deviations names is there, on both sides, and no other name is."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import PIL.Image
from torchvision import models
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import presets, v2
from secure_resize.integrations.torchvision.deviations import DEVIATIONS

pytestmark = pytest.mark.once


@pytest.fixture(name="image")
def image_fixture(photos):
    return torch.tensor(photos["coffee.png"][:96, :120]).movedim(-1, 0)


def refuses(error, call):
    with pytest.raises(error):
        call()
    return True


def differ(ours, theirs, at_most):
    """They do, by no more than that."""
    difference = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)).max()
    return 0 < difference <= at_most


def antialias(x):
    with pytest.warns(UserWarning, match="ignored"):
        ours = v2.Resize(24, antialias=False)(x)
    return torch.equal(ours, v2.Resize(24)(x)) and not torch.equal(ours, stock.Resize(24, antialias=False)(x))


def indexed(x):
    images = [PIL.Image.new(mode, (9, 9)) for mode in ("P", "PA", "1")]
    return all(refuses(ValueError, lambda image=image: v2.Resize(4)(image)) for image in images)


def byte_order(x):
    values = np.asarray(x[0].numpy(), np.uint16) * 200
    images = [
        PIL.Image.frombytes(m, (120, 96), values.astype(d).tobytes()) for m, d in (("I;16", "<u2"), ("I;16B", ">u2"))
    ]
    return np.array_equal(*(np.asarray(v2.Resize(24)(image)) for image in images))


def mode_i(x):
    image = PIL.Image.fromarray(x[0].numpy().astype(np.int32) * 7001)
    return differ(v2.Resize(24)(image), stock.Resize(24)(image), 1)


def arrays(x):
    sample = (np.zeros((40, 50, 3), np.uint8), 1)
    return stock.Resize(9)(sample)[0].shape == (40, 50, 3) and refuses(TypeError, lambda: v2.Resize(9)(sample))


def booleans(x):
    dots = torch.zeros(1, 96, 96, dtype=torch.bool)
    dots[:, ::4, ::4] = True  # one pixel of sixteen
    return bool(stock.Resize(24)(dots).all()) and not v2.Resize(24)(dots).any()


def integers(x):
    edge = torch.where(x > 128, torch.tensor(127), torch.tensor(-128)).to(torch.int8)
    ours, theirs = (module.Resize(40, "bicubic")(edge).int() for module in (v2, stock))
    return bool(((ours - theirs).abs() > 100).any() and ((ours - theirs).abs() <= 1).float().mean() > 0.5)


def script(x):
    return (
        refuses(RuntimeError, lambda: v2.Resize(9).__prepare_scriptable__())
        and stock.Resize(9).__prepare_scriptable__()
    )


def symbolic(x):
    ours, theirs = (torch.fx.symbolic_trace(torch.nn.Sequential(module.Resize(24))) for module in (v2, stock))
    return ours(x).shape == (3, 24, 30) and theirs(x).shape == x.shape


def warps(x):
    ours, theirs = (module.functional.affine(x, 0, [0, 0], 0.25, [0, 0]) for module in (v2, stock))
    return not torch.equal(ours, theirs)


def video(x):
    weights = models.video.R3D_18_Weights.DEFAULT
    return not torch.equal(presets.robust(weights)(x[None]), weights.transforms()(x[None]))


def detection(x):
    transform = GeneralizedRCNNTransform(32, 64, [0.0] * 3, [1.0] * 3).eval()
    ours, theirs = (t([x.float()])[0].tensors for t in (presets.robust(transform), transform))
    return not torch.equal(ours, theirs)


CHECKS = {
    "`antialias=False`": antialias,
    "nearest, of an image": lambda x: refuses(ValueError, lambda: v2.Resize(9, "nearest")(x)),
    "PIL modes P, PA and 1": indexed,
    "PIL modes I;16B and I;16N": byte_order,
    "PIL mode I": mode_i,
    "numpy image in a sample": arrays,
    "bool tensor": booleans,
    "other integer tensors": integers,
    "uint8 tensor": lambda x: np.array_equal(
        v2.Resize(24)(x).movedim(0, -1), sr.resize(x.movedim(0, -1).contiguous().numpy(), (24, 30), kernel="bilinear")
    ),
    "float tensor": lambda x: differ(v2.Resize(24)(x.float()), stock.Resize(24)(x.float()), 1e-3),
    "`torch.jit.script`": script,
    "`torch.fx.symbolic_trace`": symbolic,
    "`affine`, `perspective`, `elastic` that shrink an image": warps,
    "presets of video models": video,
    "`GeneralizedRCNNTransform`": detection,
    "`kernel=`, `defense=`, `path=`": lambda x: refuses(TypeError, lambda: stock.Resize(9, kernel="area")),
}


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda row: row.call)
def test_each_deviation_is_there(image, deviation):
    assert CHECKS[deviation.call](image)
    assert deviation.stock
    assert deviation.ours
    assert deviation.reason


def test_every_check_has_its_row():
    assert CHECKS.keys() == {row.call for row in DEVIATIONS}
