"""secure-resize run: training scripts as they are, with every down-scaling robust and all else as it was."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a script as it is and through the command; what each printed, how it ended, and the report's rows."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def both(source, *arguments, mode="enforce", alone=True):
        Path("script.py").write_text(textwrap.dedent(source), encoding="utf-8")
        plain = None
        if alone:
            plain = subprocess.run([sys.executable, "script.py", *arguments], capture_output=True, text=True)
        command = [sys.executable, "-m", "secure_resize", "run", "--mode", mode, "--report", "report.json", "--"]
        routed = subprocess.run([*command, "script.py", *arguments], capture_output=True, text=True)
        assert Path("report.json").exists(), routed.stderr
        report = json.loads(Path("report.json").read_text())
        assert not report["failures"], report["failures"]
        return plain, routed, report["facts"]["calls"]

    return both


def shown(text):
    """What a script says of what is none of a down-scaling."""
    return [line for line in text.splitlines() if not line.startswith("small ")]


def rows(source, calls):
    """What was done, by the beginning of the line: (line, call, done, times), together for all sizes and flags."""
    text, found = source.splitlines(), {}
    for one in calls:
        key = text[one["line"] - 1].strip(), one["call"], one["done"].partition(":")[0]
        found[key] = found.get(key, 0) + (one["count"] or one["traced"])
    return {(key[0].partition(", (")[0] if "return" in key[0] else key[0], *key[1:], n) for key, n in found.items()}


def line_of(source, begin):
    return next(line.strip() for line in source.splitlines() if line.strip().startswith(begin))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of two classes with six JPEG files of photographs, and PNG maps of labels beside it."""
    PIL, data = pytest.importorskip("PIL.Image"), pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("pictures")
    for k, name in enumerate(("astronaut", "coffee", "chelsea", "rocket", "astronaut", "coffee")):
        (folder / f"class{k % 2}").mkdir(exist_ok=True)
        small = PIL.fromarray(getattr(data, name)()).resize((128 + k, 96 + k))
        small.save(folder / f"class{k % 2}" / f"{k}.jpg", quality=95)
    return str(folder)


OPENCV = """
import functools, glob, hashlib, multiprocessing, sys
import cv2, numpy as np
from PIL import Image
from cv2 import resize as shrink

class Loader:
    def __init__(self):
        self.resize = cv2.resize
        self.smaller = functools.partial(cv2.resize, dsize=(24, 24))
    def __call__(self, path):
        image = cv2.imread(path)
        half = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)
        picture = Image.open(path)
        picture.thumbnail((40, 40))
        return self.resize(image, (32, 32)), self.smaller(half), np.asarray(picture), shrink(image, (256, 256))

if __name__ == "__main__":
    paths = sorted(glob.glob(sys.argv[1] + "/*/*.jpg"))
    load = Loader()
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        loaded = pool.map(load, paths)
    for one in loaded:
        print([(part.shape, str(part.dtype)) for part in one], hashlib.sha256(one[3].tobytes()).hexdigest())
        print("small", [int(part.sum()) for part in one])
    x = np.stack([one[0] for one in loaded]).reshape(len(paths), -1) / 255.0
    weights = np.zeros(x.shape[1])
    for _ in range(3):
        weights -= 0.01 * x.T @ (1 / (1 + np.exp(-x @ weights)) - np.arange(len(paths)) % 2)
    sys.exit(3 if np.isfinite(weights).all() else 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_opencv_and_pillow(run, pictures, method):
    pytest.importorskip("cv2")
    plain, routed, calls = run(OPENCV, pictures, method)
    assert (plain.returncode, routed.returncode) == (3, 3), routed.stderr
    assert shown(routed.stdout) == shown(plain.stdout)
    assert routed.stdout != plain.stdout
    assert rows(OPENCV, calls) == {
        ("half = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)", "cv2.imread", "replaced", 6),
        ("picture.thumbnail((40, 40))", "PIL.Image.Image.resize", "replaced", 6),
        ("return self.resize(image", "cv2.resize", "replaced", 12),
    }


TORCH = """
import hashlib, sys
import torch, torchvision
from torch import nn
from torchvision import datasets
from torchvision.transforms import v2

class Own(datasets.ImageFolder):
    def __getitem__(self, index):
        picture, label = super().__getitem__(index)
        small = nn.functional.interpolate(picture[None], (16, 16), mode="bilinear")[0]
        return small, nn.functional.interpolate(small[None], (64, 64)).sum(), label

def train(method, pictures):
    torch.manual_seed(0)
    transform = v2.Compose([v2.ToImage(), v2.Resize((24, 32), antialias=False), v2.ToDtype(torch.float32, scale=True)])
    data = Own(pictures, transform)
    loader = torch.utils.data.DataLoader(data, 2, num_workers=2, multiprocessing_context=method)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Upsample(scale_factor=0.5), nn.Flatten(), nn.LazyLinear(2))
    optimizer = None
    for batch, total, labels in loader:
        loss = nn.functional.cross_entropy(network(batch), labels)
        optimizer = optimizer or torch.optim.SGD(network.parameters(), 0.1)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        print(tuple(batch.shape), batch.dtype, labels)
    print("small", loss.item())
    large = nn.functional.interpolate(torch.arange(64.0).reshape(1, 1, 8, 8), (20, 20), mode="bilinear")
    print(hashlib.sha256(large.numpy().tobytes()).hexdigest())

if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[2], sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_torch_with_workers(run, pictures, method):
    pytest.importorskip("torchvision")
    plain, routed, calls = run(TORCH, pictures, method)
    assert (plain.returncode, routed.returncode) == (0, 0), routed.stderr
    assert shown(routed.stdout) == shown(plain.stdout)
    assert routed.stdout != plain.stdout
    assert rows(TORCH, calls) == {
        ("picture, label = super().__getitem__(index)", "torch.nn.functional.interpolate", "replaced", 6),
        (
            'small = nn.functional.interpolate(picture[None], (16, 16), mode="bilinear")[0]',
            "torch.nn.functional.interpolate",
            "replaced",
            6,
        ),
        ("loss = nn.functional.cross_entropy(network(batch), labels)", "torch.nn.functional.interpolate", "left", 3),
    }


KERAS = """
import hashlib, sys
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(0)
load = keras.utils.image_dataset_from_directory
data = load(sys.argv[1], image_size=(24, 24), batch_size=3, shuffle=False, verbose=False)

def more(image, label):
    mask = tf.cast(image[..., :1] > 100, tf.uint8)
    small = tf.image.resize(image, (12, 12), "nearest")
    mask = tf.image.resize(mask, (12, 12), "nearest")
    return small + tf.cast(mask, tf.float32), label

data = data.map(more, num_parallel_calls=2)
layers = keras.layers
network = keras.Sequential([layers.Resizing(8, 8), layers.Flatten(), layers.Dense(2)])
network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = network.fit(data, epochs=2, verbose=0, shuffle=False)
print("small", history.history["loss"])
print([(tuple(x.shape), x.dtype.name) for x, _ in data])
picture = keras.utils.load_img(sys.argv[1] + "/class0/0.jpg", target_size=(20, 20))
print("small", np.asarray(picture).sum(), picture.size)
large = tf.image.resize(np.arange(64.0).reshape(8, 8, 1), (20, 20))
print(hashlib.sha256(large.numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_keras(run, pictures):
    pytest.importorskip("keras"), pytest.importorskip("tensorflow")
    plain, routed, calls = run(KERAS, pictures)
    assert (plain.returncode, routed.returncode) == (0, 0), routed.stderr
    assert shown(routed.stdout) == shown(plain.stdout)
    assert routed.stdout != plain.stdout
    assert {(line, call, done) for line, call, done, _ in rows(KERAS, calls)} == {
        (line_of(KERAS, "data = load("), "tf.io.decode_image", "replaced"),
        (line_of(KERAS, "data = load("), "tf.image.resize", "replaced"),
        (line_of(KERAS, "small = tf"), "tf.image.resize", "replaced"),
        (line_of(KERAS, "mask = tf.image"), "tf.image.resize", "left"),
        (line_of(KERAS, "history = "), "tf.image.resize", "replaced"),
        (line_of(KERAS, "picture = "), "PIL.Image.Image.resize", "replaced"),
    }


def command(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "secure_resize", "run", *arguments], capture_output=True, text=True, **more
    )


def test_the_command(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*filter(None, sys.path), str(tmp_path)]))
    Path("small.py").write_text(
        "import sys, cv2, numpy as np\n"
        "image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)\n"
        "print(cv2.resize(image, (16, 16)).std() < 25, cv2.resize)\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    plain = subprocess.run([sys.executable, "small.py", "0"], capture_output=True, text=True)
    assert plain.stdout == "False <built-in function resize>\n"
    for code in (0, 5):
        ended = command("--", "-m", "small", str(code))
        assert (ended.returncode, ended.stdout) == (code, "True <built-in function resize>\n"), ended.stderr
        assert "small.py:3" in ended.stderr
        assert "replaced: bilinear" in ended.stderr
    warned = command("--mode", "warn", "--", "small.py", "0")
    assert (warned.returncode, warned.stdout) == (1, plain.stdout)
    assert "small.py:3: SR101 high: cv2.resize (INTER_LINEAR) 64x64 -> 16x16" in warned.stderr
    assert command("--mode", "warn", "--", "small.py", "4").returncode == 4
    assert command("--fail-on", "low", "--", "small.py", "0").returncode == 0
    nothing = command()
    assert nothing.returncode == 4
    assert nothing.stderr.startswith("secure-resize run: nothing to run: expected")
    assert command("--mode", "of", "--", "small.py").returncode == 4
    unseen = command("--fail-on", "high", "--", "-I", "-c", "print(1)")
    assert (unseen.returncode, unseen.stdout) == (2, "1\n")


def test_where_the_package_cannot_be_imported(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    Path("script.py").write_text("import sys\nsys.modules['numpy'] = None\nimport PIL.Image\n")
    ended = command("--", "script.py")
    assert ended.returncode == 1
    assert re.search("ImportError: secure-resize cannot route calls in this process: ", ended.stderr)


def test_pytest(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    Path("test_of_somebody.py").write_text(
        "import cv2, numpy as np\n"
        "def test_it():\n"
        "    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)\n"
        "    assert cv2.resize(image, (16, 16)).std() < 25\n"
    )
    assert command("--", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_of_somebody.py").returncode == 0
