"""A data set of real photographs through real data loaders, in this process, in forked and in spawned workers."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import os
import threading
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("skimage")

from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import v2

PHOTOS = Path(find_spec("skimage").origin).parent / "data"
NAMES = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg"]
SIZE = (48, 56)

# A forked worker inherits this process's caches, a spawned one unpickles the transform (and takes seconds to start).
HERE, FORK, SPAWN = (0, None), (2, "fork"), (2, "spawn")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork.* may lead to deadlocks:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning"),  # on one core
]


@lru_cache(maxsize=len(NAMES))
def photo(name):
    with Image.open(PHOTOS / name) as image:
        return image.convert("RGB")


class Photos(Dataset):
    """200 views of scikit-image's photographs, each another crop, turned by 0 to 270 degrees; (view, its number)."""

    def __init__(self, transform=None):
        self.transform = transform

    def __len__(self):
        return 200

    def __getitem__(self, index):
        image = photo(NAMES[index % len(NAMES)])
        rng = np.random.default_rng(index)
        width, height = (int(rng.integers(40, min(edge, 400))) for edge in image.size)
        left, top = int(rng.integers(image.width - width)), int(rng.integers(image.height - height))
        view = image.crop((left, top, left + width, top + height)).rotate(90 * (index % 4), expand=True)
        return (self.transform(view) if self.transform else view), index


def load(transform, num_workers, context):
    torch.manual_seed(0)
    loader = DataLoader(
        Photos(transform), batch_size=32, shuffle=True, num_workers=num_workers, multiprocessing_context=context
    )
    batches, numbers = zip(*loader, strict=True)
    return torch.cat(batches), torch.cat(numbers)


@pytest.fixture(scope="module")
def views():
    """The untransformed views; there are enough shapes among them to evict plans from the core's caches."""
    views = [np.asarray(view) for view, _ in (Photos()[index] for index in range(200))]
    assert len({view.shape for view in views}) > 150
    return views


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kernel"), [(HERE, "bilinear"), (HERE, "area"), (FORK, "bilinear"), (FORK, "area"), (SPAWN, "area")]
)
def test_every_batch_is_the_cores(views, workers, kernel):
    # PIL images are resized before, tensors after the conversion.
    resize = v2.Resize(SIZE) if kernel == "bilinear" else v2.Resize(SIZE, kernel=kernel)
    steps = [resize, v2.ToImage()] if kernel == "area" else [v2.ToImage(), resize]
    images, numbers = load(v2.Compose(steps), *workers)
    assert sorted(numbers.tolist()) == list(range(200))
    wanted = [sr.resize(views[number], SIZE, kernel=kernel) for number in numbers]
    assert np.array_equal(images.movedim(1, -1).numpy(), np.stack(wanted))


@pytest.mark.parametrize("workers", [HERE, FORK])
def test_random_crops_are_torchvisions_in_every_worker(workers):
    ours, theirs = (
        load(
            module.Compose([module.RandomResizedCrop(48, interpolation=InterpolationMode.BICUBIC), module.ToImage()]),
            *workers,
        )
        for module in (v2, stock)
    )
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


class Threaded(Dataset):
    """Eight noise images, resized by three threads in whatever process they are asked for."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (301, 400, 3), np.uint8)
        return torch.from_numpy(sr.resize(image, (100, 121), num_threads=3)), os.getpid()


@pytest.mark.slow
@pytest.mark.parametrize(("context", "loaders"), [("fork", 50), ("spawn", 2)])
def test_workers_start_while_threads_are_in_use(context, loaders):
    """Two workers a loader, 100 forked ones in all; this process's pool is at work whenever one of them starts."""
    wanted = torch.stack([Threaded()[index][0] for index in range(8)])
    image, stop = np.zeros((300, 400, 3), np.uint8), threading.Event()

    def keep_busy():
        while not stop.is_set():
            sr.resize(image, (100, 120), num_threads=4)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    pids = set()
    try:
        for _ in range(loaders):
            # A worker that hangs is a RuntimeError after so many seconds.
            loader = DataLoader(Threaded(), batch_size=2, num_workers=2, multiprocessing_context=context, timeout=60)
            batches, workers = zip(*loader, strict=True)
            assert torch.equal(torch.cat(batches), wanted)
            pids.update(torch.cat(workers).tolist())
    finally:
        stop.set()
        busy.join()
    assert os.getpid() not in pids
    assert len(pids) > loaders  # both workers of a loader, and new ones for each
