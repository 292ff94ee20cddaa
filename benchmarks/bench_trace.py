"""What tracing costs a script: ``python benchmarks/bench_trace.py [rounds]``.

Four training scripts on photographs (OpenCV; torchvision with two workers; a detection model; Keras), each run without
the trace and with it, in turns. First their output must be the same, the trained weights' hash in it, and the trace
must have counted what a hand count finds; then the processor time of the loops is compared: the median of the paired
ratios, and the ratio of the minima, which others on the machine disturb less. Budget: 5 %.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from timing import machine, median_ratio

from secure_resize.audit.trace.calls import put_together
from secure_resize.audit.trace.live.records import read
from secure_resize.audit.trace.run import environment

HEAD = """
import glob, hashlib, resource, sys, time
def spent():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
def report(began, weights):
    print(hashlib.sha256(weights).hexdigest())
    print(spent() - began, file=sys.stderr)
paths = sorted(glob.glob(sys.argv[1] + "/*/*.jpg"))
"""

OPENCV = (
    HEAD
    + """
import cv2, numpy as np
cv2.setNumThreads(1)
began = spent()
weights = np.zeros(64 * 64 * 3)
for epoch in range(20):
    x = np.stack([cv2.resize(cv2.imread(path), (64, 64)) for path in paths]).reshape(len(paths), -1) / 255.0
    weights -= 0.001 * x.T @ (1 / (1 + np.exp(-x @ weights)) - np.arange(len(paths)) % 2)
report(began, weights.tobytes())
"""
)

TORCHVISION = (
    HEAD
    + """
import torch
from torchvision import datasets
from torchvision.transforms import v2
torch.set_num_threads(1), torch.manual_seed(0)
transform = v2.Compose([v2.ToImage(), v2.Resize((64, 64), antialias=False), v2.ToDtype(torch.float32, scale=True)])
data = torch.utils.data.ConcatDataset([datasets.ImageFolder(sys.argv[1], transform)] * 4)
nn = torch.nn
network = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 2))
optimizer = torch.optim.SGD(network.parameters(), 0.01)
began = spent()
for epoch in range(4):
    for images, labels in torch.utils.data.DataLoader(data, 8, num_workers=2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
report(began, b"".join(one.numpy().tobytes() for one in network.state_dict().values()))
"""
)

DETECTION = (
    HEAD
    + """
import torch, torchvision
from torchvision.transforms import v2
torch.set_num_threads(1), torch.manual_seed(0)
build = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
model = build(weights=None, weights_backbone=None, num_classes=2, min_size=96, max_size=128)
optimizer = torch.optim.SGD(model.parameters(), 0.001)
boxes = [{"boxes": torch.tensor([[9.0, 9.0, 200.0, 200.0]]), "labels": torch.tensor([1])}]
load = torchvision.datasets.folder.default_loader
images = [v2.functional.to_image(load(path)) / 255.0 for path in paths]
began = spent()
for image in images[:6]:
    optimizer.zero_grad()
    sum(model([image], boxes).values()).backward()
    optimizer.step()
report(began, b"".join(one.numpy().tobytes() for one in model.state_dict().values()))
"""
)

KERAS = (
    HEAD
    + """
import keras, numpy as np, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
keras.utils.set_random_seed(0)
load = keras.utils.image_dataset_from_directory
data = load(sys.argv[1], image_size=(64, 64), batch_size=8, shuffle=False, verbose=False)
layers = keras.layers
network = keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(8, 5, 2), layers.Flatten(), layers.Dense(2)])
network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
began = spent()
network.fit(data, epochs=4, verbose=0, shuffle=False)
report(began, b"".join(one.tobytes() for one in network.get_weights()))
"""
)


@dataclass(frozen=True)
class Case:
    """``counted`` by hand: calls that were seen executed, and graphs that were seen made."""

    name: str
    script: str
    counted: int
    traced: int = 0


PICTURES = 24
CASES = (
    Case("OpenCV, 20 epochs", OPENCV, 20 * PICTURES),
    Case("torchvision, 2 workers, 4 epochs", TORCHVISION, 16 * PICTURES),
    Case("torchvision detection, 6 steps", DETECTION, 6),
    Case("Keras, image_dataset_from_directory, 4 epochs", KERAS, 0, 1),
)
QUIET = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "0"}


def run(script: Path, pictures: Path, folder: str | None) -> tuple[bytes, float]:
    """What the script prints, and the processor seconds of its loop."""
    variables = {**os.environ, **QUIET}
    done = subprocess.run(
        [sys.executable, script, pictures],
        env=environment(folder, variables) if folder else variables,
        capture_output=True,
        check=True,
    )
    return done.stdout, float(done.stderr.split()[-1])


def measure(case: Case, script: Path, pictures: Path, rounds: int) -> None:
    script.write_text(case.script)
    plain, traced = [], []
    for number in range(rounds):
        for with_trace in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                (traced if with_trace else plain).append(run(script, pictures, folder if with_trace else None))
                if with_trace:
                    seen = put_together(read(folder))
                    assert not seen.failures, seen.failures
                    assert sum(call.count for call in seen.calls) == case.counted, seen.calls
                    assert sum(call.traced for call in seen.calls) == case.traced, seen.calls
    assert len({out for out, _ in plain + traced}) == 1, "the trace changed what the script prints"
    without, with_it = ([one[1] for one in runs] for runs in (plain, traced))
    counted = f"{case.counted}" if case.counted else f"traced {case.traced} times"
    figures = (median_ratio(with_it, without), min(with_it) / min(without))
    shown = " | ".join(f"{100 * (one - 1):+.1f} %" for one in figures)
    print(f"| {case.name} | {counted} | {median(without):.2f} s | {shown} |", flush=True)


def main() -> None:
    from PIL import Image
    from skimage import data

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{machine()}, {os.cpu_count()} CPUs, {rounds} rounds; the output of all runs was the same\n")
    print("| script | down-scalings | loop without | with, median of the ratios | ratio of the minima |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        for k in range(PICTURES):
            name = ("astronaut", "coffee", "chelsea", "rocket")[k % 4]
            (pictures / f"class{k % 2}").mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(getattr(data, name)()).resize((500 + k, 375))
            image.save(pictures / f"class{k % 2}" / f"{k:02}.jpg", quality=90)
        for case in CASES:
            measure(case, Path(folder) / "script.py", pictures, rounds)


if __name__ == "__main__":
    main()
