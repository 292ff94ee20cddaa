"""What does replacing the resize cost a whole input pipeline? Prints a Markdown table.

    python benchmarks/bench_pipeline.py [--rounds 31] [--images 16]

JPEG files in, batches of uint8 images out, through a real torch DataLoader and a real tf.data pipeline on one pinned
core; only the resize differs between a stock pipeline and ours. The batches of ours are asserted to be resize()'s
before anything is timed. The share is the resize's time on a decoded image, alone, of the pipeline's time an image.
Rows that load are from the file to the size in one call of ours, against the stock decode and resize; they have no
share, and the images are asserted to be resize()'s of Pillow's full decode.

A shared machine's processor runs at different speeds from one second to the next, whatever is measured. So pipelines
take short turns, first one and then the other first, and the ratio is the median over the rounds of a ratio within one.
Rates are of processor time, which other programs do not lengthen: on one core nothing waits for another.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import PIL.Image
import timing
import torch
import torchvision  # noqa: F401  (before TensorFlow, or the process ends)
from torchvision.transforms import v2 as stock_v2

import secure_resize as sr
from secure_resize.integrations import tensorflow as srtf
from secure_resize.integrations.torchvision import v2

SIZE = (224, 224)
BATCH = 16
SOURCES = [(480, 640), (768, 1024), (1080, 1920)]


@dataclass(frozen=True)
class Pipeline:
    """JPEG files to batches: decode one file, resize one decoded image, make an iterable of all files' batches."""

    decode: Callable[[str], Any]
    resize: Callable[[Any], Any]
    make: Callable[[list[str], Callable[[str], Any], Callable[[Any], Any]], Iterable[Any]]
    loads: bool = False  # ``decode`` does it all

    def batches(self, files: list[str]) -> Iterable[Any]:
        return self.make(files, self.decode, self.resize)


class Files(torch.utils.data.Dataset[Any]):
    """A dataset of JPEG files."""

    def __init__(self, files: list[str], load: Callable[[str], Any]) -> None:
        self.files, self.load = files, load

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        return self.load(self.files[index])


def data_loader(files: list[str], decode: Callable[[str], Any], resize: Callable[[Any], Any]) -> Iterable[Any]:
    def load(file: str) -> torch.Tensor:
        image = resize(decode(file))
        if isinstance(image, np.ndarray):
            return torch.from_numpy(image)
        return stock_v2.functional.pil_to_tensor(image) if isinstance(image, PIL.Image.Image) else image

    return torch.utils.data.DataLoader(Files(files, load), batch_size=BATCH)


def tf_data(files: list[str], decode: Callable[[str], Any], resize: Callable[[Any], Any]) -> Iterable[Any]:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(files).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return dataset


def decode_pil(file: str) -> PIL.Image.Image:
    with PIL.Image.open(file) as image:
        image.load()
        return image


def decode_tensor(file: str) -> torch.Tensor:
    return stock_v2.functional.pil_to_tensor(decode_pil(file))


def decode_opencv(file: str) -> np.ndarray:
    return cv2.imread(file)


def decode_tensorflow(file: Any) -> Any:
    import tensorflow as tf

    return tf.io.decode_jpeg(tf.io.read_file(file), channels=3)


def read(file: str) -> bytes:
    return Path(file).read_bytes()


def load_tensorflow(file: Any) -> Any:
    import tensorflow as tf

    return srtf.decode_and_resize(tf.io.read_file(file), SIZE)


def decode_opencv_bytes(file: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(read(file), np.uint8), cv2.IMREAD_COLOR)


def load_numpy(file: str) -> np.ndarray:
    return sr.decode(read(file), SIZE)


def loading() -> dict[str, tuple[bool, Pipeline, Pipeline]]:
    """As :func:`pairs`, of what goes from files to tensors in one call."""
    import tensorflow as tf

    def all_in_one(load: Callable[[Any], Any], make: Any) -> Pipeline:
        return Pipeline(load, lambda image: image, make, loads=True)

    def stock(antialias: bool) -> Pipeline:
        return Pipeline(decode_tensorflow, lambda image: tf.image.resize(image, SIZE, antialias=antialias), tf_data)

    ours = all_in_one(v2.load(SIZE), data_loader)
    return {
        "DataLoader, Image.open + v2.Resize bilinear → v2.load": (
            True,
            Pipeline(decode_pil, stock_v2.Resize(SIZE), data_loader),
            ours,
        ),
        "DataLoader, cv2.imdecode + cv2.resize linear → sr.decode": (
            False,
            Pipeline(decode_opencv_bytes, lambda image: cv2.resize(image, SIZE), data_loader),
            all_in_one(load_numpy, data_loader),
        ),
        "tf.data, decode_jpeg + tf.image.resize antialias=True → srtf.decode_and_resize": (
            True,
            stock(True),
            all_in_one(load_tensorflow, tf_data),
        ),
        "tf.data, decode_jpeg + tf.image.resize → srtf.decode_and_resize": (
            False,
            stock(False),
            all_in_one(load_tensorflow, tf_data),
        ),
    }


def pairs() -> dict[str, tuple[bool, Pipeline, Pipeline]]:
    """Title → (is the stock resize antialiased, stock pipeline, ours)."""
    import tensorflow as tf

    def loader(decode: Callable[[str], Any], resize: Callable[[Any], Any]) -> Pipeline:
        return Pipeline(decode, resize, data_loader)

    def dataset(resize: Callable[[Any], Any]) -> Pipeline:
        return Pipeline(decode_tensorflow, resize, tf_data)

    return {
        "DataLoader, PIL, v2.Resize bilinear": (
            True,
            loader(decode_pil, stock_v2.Resize(SIZE)),
            loader(decode_pil, v2.Resize(SIZE)),
        ),
        "DataLoader, PIL, v2.Resize bicubic": (
            True,
            loader(decode_pil, stock_v2.Resize(SIZE, interpolation="bicubic")),
            loader(decode_pil, v2.Resize(SIZE, interpolation="bicubic")),
        ),
        "DataLoader, tensor, v2.Resize bilinear": (
            True,
            loader(decode_tensor, stock_v2.Resize(SIZE)),
            loader(decode_tensor, v2.Resize(SIZE)),
        ),
        "DataLoader, cv2.resize linear → sr.resize area": (
            False,
            loader(decode_opencv, lambda image: cv2.resize(image, SIZE)),
            loader(decode_opencv, lambda image: sr.resize(image, SIZE)),
        ),
        "tf.data, tf.image.resize antialias=True": (
            True,
            dataset(lambda image: tf.image.resize(image, SIZE, antialias=True)),
            dataset(srtf.Resize(SIZE)),
        ),
        "tf.data, tf.image.resize → srtf.Resize bilinear": (
            False,
            dataset(lambda image: tf.image.resize(image, SIZE)),
            dataset(srtf.Resize(SIZE)),
        ),
        "tf.data, tf.image.resize → srtf.Resize area": (
            False,
            dataset(lambda image: tf.image.resize(image, SIZE)),
            dataset(srtf.Resize(SIZE, method="area")),
        ),
    }


def write_photographs(folder: Path, source: tuple[int, int], count: int) -> list[str]:
    import skimage.data

    files = []
    photographs = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    large = [sr.resize(photograph, (source[0] + 64, source[1] + 64), kernel="bicubic") for photograph in photographs]
    for i in range(count):
        image = large[i % len(large)][i % 64 :, i % 61 :][: source[0], : source[1]]
        files.append(str(folder / f"{source[0]}-{i}.jpg"))
        PIL.Image.fromarray(image).save(files[-1], quality=90)
    return files


def check(pipeline: Pipeline, files: list[str]) -> None:
    """Every image of the pipeline is what its resize makes of the decoded file, and one of sr.resize's results."""
    images = np.concatenate([np.asarray(batch) for batch in pipeline.batches(files)])
    assert len(images) == len(files)
    for image, file in zip(images, files, strict=True):
        decoded = decode_pil(file) if pipeline.loads else pipeline.decode(file)
        array = np.asarray(decoded)
        if isinstance(decoded, torch.Tensor):
            array = np.moveaxis(array, 0, -1)
        if image.shape[0] == 3:
            image = np.moveaxis(image, 0, -1)
        robust = [name for name, kernel in sr.KERNELS.items() if kernel.robust]
        assert any(np.array_equal(image, sr.resize(array, SIZE, kernel=kernel)) for kernel in robust), file


def seconds_an_image(pipeline: Pipeline, files: list[str]) -> Callable[[], float]:
    batches = pipeline.batches(files)  # made once, like a training's; a turn is an epoch

    def time_once() -> float:
        started = time.process_time()
        assert sum(len(batch) for batch in batches) == len(files)
        return (time.process_time() - started) / len(files)

    time_once()
    return time_once


def resize_alone(pipeline: Pipeline, file: str) -> Callable[[], float]:
    decoded = pipeline.decode(file)
    return lambda: timing.seconds(lambda: pipeline.resize(decoded), 0.01, time.process_time)


def shares(pipelines: dict[str, Pipeline], file: str, times: dict[str, list[float]]) -> str:
    timers = {name: resize_alone(pipeline, file) for name, pipeline in pipelines.items()}
    resizes = timing.take_turns(timers, len(times["stock"]), alternate=True)
    return " → ".join(f"{timing.median_ratio(resizes[name], times[name]):.1%}" for name in pipelines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--only", default="", help="rows whose title has this in it")
    options = parser.parse_args()
    timing.pin()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    contenders = {title: row for title, row in (pairs() | loading()).items() if options.only in title}
    print("| pipeline | source | stock, images/s | ours, images/s | ours / stock | resize's share, stock → ours |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            files = write_photographs(Path(folder), source, options.images)
            for title, (antialiased, stock, our) in contenders.items():
                check(our, files[:BATCH])
                pipelines = {"stock": stock, "ours": our}
                # On their own, so that either runs as often after itself as after the other.
                timers = {name: seconds_an_image(pipeline, files) for name, pipeline in pipelines.items()}
                times = timing.take_turns(timers, options.rounds, alternate=True)
                share = "" if our.loads else shares(pipelines, files[0], times)
                rates = {name: 1 / statistics.median(found) for name, found in times.items()}
                speedup = timing.median_ratio(times["stock"], times["ours"])
                kind = "" if antialiased else " (vulnerable)"
                print(
                    f"| {title}{kind} | {source[1]}×{source[0]} | {rates['stock']:.0f} | {rates['ours']:.0f} "
                    f"| **{speedup:.3f}** | {share} |",
                    flush=True,
                )
    names = ("pillow", "opencv-python-headless", "torch", "torchvision", "tensorflow")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    print(f"\n{timing.machine()}, one core; backend {sr.backend()}; {versions}; {options.rounds} rounds.")


if __name__ == "__main__":
    main()
