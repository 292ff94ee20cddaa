"""Trained through Pillow, served by others: 100 pictures, the same bytes. And a training with one import changed.

What a model was trained on are Pillow's bytes; an exported torch program, ONNX, a SavedModel and tf.data give the same.
"""

# ruff: noqa: E402, what needs torch is imported after the check for it

import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("skimage")

import PIL.Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import v2

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork.* may lead to deadlocks:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning"),  # on one core
    pytest.mark.skipif(
        int(PIL.__version__.partition(".")[0]) < 13, reason="older versions of Pillow run their passes in another order"
    ),
]
IN, OUT = (180, 240), (64, 80)
FILTERS = {"bilinear": PIL.Image.Resampling.BILINEAR, "bicubic": PIL.Image.Resampling.BICUBIC}


@pytest.fixture(scope="module", name="pictures")
def pictures_fixture(photos):
    """100 views of photographs, uint8 (100, 180, 240, 3)."""
    large = [
        photo for photo in photos.values() if photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape[:2]) > 250
    ]
    assert len(large) >= 5
    rng, views = np.random.default_rng(0), []
    for index in range(100):
        photo = large[index % len(large)]
        top, left = (int(rng.integers(n - m)) for n, m in zip(photo.shape, IN, strict=False))
        views.append(photo[top : top + IN[0], left : left + IN[1]])
    return np.stack(views)


@pytest.fixture(scope="module", name="trained_on", params=FILTERS)
def trained_on_fixture(request, pictures):
    """The name of the filter, and what Pillow makes of the pictures: (100, 64, 80, 3)."""
    size = OUT[::-1]
    return request.param, np.stack([PIL.Image.fromarray(x).resize(size, FILTERS[request.param]) for x in pictures])


class Served(torch.nn.Module):
    """A model's first step, of a batch (N, C, H, W)."""

    def __init__(self, name, path):
        super().__init__()
        self.resize = v2.Resize(OUT, name, path=path)

    def forward(self, batch):
        return self.resize(batch)


def planes(pictures):
    return torch.from_numpy(pictures).movedim(-1, 1).contiguous()


def export(name, path, pictures):
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(Served(name, path), (planes(pictures[:2]),), dynamic_shapes=(batch,))


@pytest.mark.parametrize("path", ["op", "graph"])
def test_an_exported_torch_program(pictures, trained_on, path, tmp_path):
    """Saved, and loaded by a process of its own; that of the graph does not have the package."""
    name, wanted = trained_on
    torch.export.save(export(name, path, pictures), tmp_path / "program.pt2")
    np.savez(tmp_path / "pictures.npz", pictures=pictures, wanted=wanted)
    first = {
        "op": "import secure_resize.integrations.torchvision.v2",
        "graph": "import sys; sys.modules['secure_resize'] = None",
    }
    code = f"""{first[path]}
import numpy, torch
data = numpy.load("pictures.npz")
batch = torch.from_numpy(data["pictures"]).movedim(-1, 1).contiguous()
served = torch.export.load("program.pt2").module()(batch)
assert numpy.array_equal(served.movedim(1, -1).numpy(), data["wanted"])
"""
    environment = dict(os.environ)
    if path == "graph":
        environment.pop("PYTHONPATH")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_onnx(pictures, trained_on, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    name, wanted = trained_on
    program = torch.onnx.export(export(name, "graph", pictures), dynamo=True, verbose=False)
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (served,) = session.run(None, {session.get_inputs()[0].name: planes(pictures).numpy()})
    assert np.array_equal(np.moveaxis(served, 1, -1), wanted)


def test_a_saved_model_and_tf_data(pictures, trained_on, tmp_path):
    tf = pytest.importorskip("tensorflow")
    from secure_resize.integrations import tensorflow as srtf

    name, wanted = trained_on
    dataset = tf.data.Dataset.from_tensor_slices(pictures).map(srtf.Resize(OUT, name, dtype=tf.uint8)).batch(100)
    assert np.array_equal(next(iter(dataset)).numpy(), wanted)
    module = tf.Module()
    signature = tf.TensorSpec([None, *IN, 3], tf.uint8)
    module.serve = tf.function(
        lambda batch: srtf.resize(batch, OUT, name, dtype=tf.uint8, path="graph"), input_signature=[signature]
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    served = tf.saved_model.load(str(tmp_path / "model")).serve(pictures)
    assert np.array_equal(served.numpy(), wanted)


def test_the_core_itself(pictures, trained_on):
    name, wanted = trained_on
    assert np.array_equal(sr.resize(pictures, OUT, kernel=name), wanted)


# --- a training -----------------------------------------------------------------------------------------------------


class Pictures(Dataset):
    """PIL images and which half of the pictures they are from."""

    def __init__(self, pictures, transform):
        self.pictures, self.transform = pictures, transform

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        return self.transform(PIL.Image.fromarray(self.pictures[index])), index % 2


def train(transforms, interpolation, pictures):
    """The losses of two epochs of a small network; ``transforms`` is the one import that differs."""
    transform = transforms.Compose(
        [
            transforms.Resize(96, interpolation),
            transforms.RandomResizedCrop(48, interpolation=interpolation),
            transforms.RandomHorizontalFlip(),
            transforms.ToImage(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, 2), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, 2), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 2),
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    loader = DataLoader(
        Pictures(pictures, transform), batch_size=20, shuffle=True, num_workers=2, multiprocessing_context="fork"
    )
    losses = []
    for _ in range(2):
        for images, labels in loader:
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("interpolation", [stock.InterpolationMode.BILINEAR, stock.InterpolationMode.BICUBIC])
def test_a_training_with_one_import_changed_has_the_same_losses(pictures, interpolation):
    """Two workers, two epochs, to the last digit; with another kernel they would differ."""
    losses = train(v2, interpolation, pictures[:60])
    assert losses == train(stock, interpolation, pictures[:60])
    assert len(set(losses)) == 6
