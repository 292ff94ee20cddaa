"""How fast is resize(), against everything else that scales a picture well? Prints Markdown tables.

    python benchmarks/bench_resize.py [--rounds 15] [--level avx2] [--rival-python NAME=PYTHON ...]

uint8 RGB photographs, numpy in, numpy out, one pinned thread. Contenders take turns; every figure is the median over
the rounds of a ratio within one round, so that what else the machine does cancels. Results are asserted before anything
is timed: ours against the numpy reference, and against Pillow where the promise is Pillow's bytes.

Rivals that are no dependency (Pillow-SIMD, fast_image_resize, pic-scale, libvips: rivals.py) get environments of their
own, made here or named by ``--rival-python``, and are timed there in turn; what cannot be had is said.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import math
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import rivals
import timing

import secure_resize as sr
from secure_resize.core import reference
from secure_resize.core.taps import area_taps, fixed_taps
from secure_resize.scaling import PASS_ORDERS

# (source, output), both (height, width): the sizes of the project's speed goals.
CASES = [
    ((480, 640), (224, 224)),
    ((768, 1024), (224, 224)),
    ((1080, 1920), (224, 224)),
    ((2000, 3000), (299, 299)),
    ((3000, 4000), (224, 224)),
]
KERNELS = ("bilinear", "bicubic", "lanczos")
DECODERS = ("JPEG decode (torchvision)", "JPEG decode (OpenCV)", "JPEG decode (torchvision), enlarged, quality 90")
chosen = ""  # the level of "ours"; the machine's best, if none
PAUSE = 0.003  # seconds, after which the threads sleep


def photograph(size: tuple[int, int]) -> np.ndarray:
    """A photograph of that size, its pixels below 255 (the floor looks for 255 and so reads to the end)."""
    import skimage.data

    image = sr.resize(skimage.data.astronaut(), size, kernel="bicubic")
    return np.minimum(image, 254)


def jpeg_file(size: tuple[int, int]) -> np.ndarray:
    """A JPEG file of that size in OpenCV's default quality, 95: photographs side by side in their own resolution.

    Enlarged ones decode faster, for they lack detail.
    """
    import cv2
    import skimage.data

    height, width = size
    photographs = [image[:300] for image in (skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket())]
    row = np.concatenate(photographs * (width // 1000 + 1), axis=1)
    rows = [np.roll(row, 500 * number, axis=1)[:, :width] for number in range(height // 300 + 1)]
    file: np.ndarray = cv2.imencode(".jpg", np.concatenate(rows)[:height])[1]
    return file


def read_once(image: np.ndarray) -> Callable[[], object]:
    """The floor: the C library's search for a byte that is not there reads every source byte once."""
    memchr = ctypes.CDLL(None).memchr
    memchr.restype = ctypes.c_void_p
    memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    address, length = image.ctypes.data, image.nbytes
    assert memchr(address, 255, length) is None
    return lambda: memchr(address, 255, length)


def by_reference(image: np.ndarray, size: tuple[int, int], kernel: str) -> np.ndarray:
    """What resize() gives with the numpy reference."""
    axes = list(zip(image.shape[:2], size, strict=True))
    if kernel == "area":
        return reference.apply_area(image[None], *(area_taps(*axis) for axis in axes))[0]
    taps = (fixed_taps(*axis, kernel, sum_exactly=False) for axis in axes)
    return reference.apply_fixed(image[None], *taps, PASS_ORDERS["pillow13"](*image.shape[:2], *size))[0]


def ours(image: np.ndarray, size: tuple[int, int], kernel: str, threads: int = 1) -> Callable[[], np.ndarray]:
    return lambda: sr.resize(image, size, kernel=kernel, num_threads=threads)


def at_level(level: str, call: Callable[[], object]) -> Callable[[], object]:
    """``call`` with the C core's plans for the instruction set ``level``."""
    from secure_resize.core import native

    def run() -> object:
        with native.use_level(level):
            return call()

    return run


def levels() -> list[str]:
    """The C core's instruction sets, from the one of "ours" down; none without it."""
    if sr.backend() == "reference":
        return []
    from secure_resize.core import native

    return native.levels()[native.levels().index(chosen or native.level()) :]


def contenders(image: np.ndarray, size: tuple[int, int]) -> dict[str, Callable[[], object]]:
    """Name → call, for everything that runs in this process."""
    import cv2
    import PIL.Image
    import tensorflow as tf
    import torch
    import torchvision
    from torchvision.transforms.v2 import functional

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pillow = PIL.Image.fromarray(image)
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
    channels_last = torch.from_numpy(image).permute(2, 0, 1)
    tensor = tf.constant(image)
    calls: dict[str, Callable[[], object]] = {
        "floor": read_once(image),
        "Pillow box": lambda: pillow.resize(size[::-1], PIL.Image.Resampling.BOX),
        "torchvision channels_last": lambda: functional.resize(channels_last, list(size)),
        "torchvision CHW": lambda: functional.resize(planes, list(size)),
        "OpenCV area": lambda: cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA),
        "OpenCV linear (vulnerable)": lambda: cv2.resize(image, size[::-1]),
        "TensorFlow area": lambda: tf.image.resize(tensor, size, "area"),
        "TensorFlow bilinear": lambda: tf.image.resize(tensor, size, antialias=True),
        "ours area": ours(image, size, "area"),
        "ours area, numpy": lambda: by_reference(image, size, "area"),
    }
    jpeg = jpeg_file(image.shape[:2])
    encoded = torch.from_numpy(jpeg)
    smooth = torch.from_numpy(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
    for file in (encoded, smooth):
        assert torchvision.io.decode_jpeg(file).shape[1:] == image.shape[:2]
    calls["JPEG decode (OpenCV)"] = lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    calls["JPEG decode (torchvision)"] = lambda: torchvision.io.decode_jpeg(encoded)
    calls["JPEG decode (torchvision), enlarged, quality 90"] = lambda: torchvision.io.decode_jpeg(smooth)
    for level in levels()[1:]:
        calls[f"ours area, {level}"] = at_level(level, ours(image, size, "area"))
    for kernel in KERNELS:
        filter = PIL.Image.Resampling[kernel.upper()]
        calls[f"Pillow {kernel}"] = lambda filter=filter: pillow.resize(size[::-1], filter)
        calls[f"ours {kernel}"] = ours(image, size, kernel)
    return calls


def check(image: np.ndarray, size: tuple[int, int]) -> None:
    """The results that are about to be timed are the right ones."""
    import PIL.Image

    for kernel in ("area", *KERNELS):
        result = sr.resize(image, size, kernel=kernel)
        assert np.array_equal(result, by_reference(image, size, kernel)), (size, kernel)
        assert np.array_equal(result, ours(image, size, kernel, threads=2)()), (size, kernel)
        for level in levels()[1:]:
            assert np.array_equal(result, at_level(level, ours(image, size, kernel))()), (size, kernel, level)
        if kernel != "area":
            pillow = PIL.Image.fromarray(image).resize(size[::-1], PIL.Image.Resampling[kernel.upper()])
            assert np.array_equal(result, np.asarray(pillow)), (size, kernel)


def measure(others: list[rivals.Process], rounds: int) -> list[dict[str, list[float]]]:
    """For every case seconds by contender, one a round."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for source, size in CASES:
            image = photograph(source)
            check(image, size)
            timers = {
                name: (lambda call=call: timing.seconds(call, rivals.AT_LEAST))
                for name, call in contenders(image, size).items()
            }
            path = Path(folder) / f"{source[0]}.npy"
            np.save(path, image)
            for other in others:
                for kernel in other.rival.kernels:
                    mine = sr.resize(image, size, kernel=kernel.replace("box", "area"))
                    timers[f"{other.rival.name} {kernel}"] = other.timer(path, size, kernel, mine)
            results.append(timing.take_turns(timers, rounds))
    return results


def measure_threads(rounds: int) -> list[dict[str, list[float]]]:
    """For every case seconds of area on one thread and on two; the process must not be pinned to one core."""
    results = []
    for source, size in CASES:
        image = photograph(source)
        calls = {"one thread": ours(image, size, "area"), "two threads": ours(image, size, "area", threads=2)}
        timers = {name: (lambda call=call: timing.seconds(call, rivals.AT_LEAST)) for name, call in calls.items()}
        rested = {f"{name}, rested": (lambda call=call: after_a_pause(call)) for name, call in calls.items()}
        results.append(timing.take_turns(timers, rounds) | timing.take_turns(rested, 3 * rounds))
    return results


def after_a_pause(call: Callable[[], object]) -> float:
    """Seconds of one call, as one image now and then takes."""
    time.sleep(PAUSE)
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def table(rows: list[tuple[str, str, str]], results: list[dict[str, list[float]]]) -> str:
    """Markdown: for (title, contender, ours) how many times our time the contender takes, by case and in the mean."""
    head = [f"{w}×{h} → {out[1]}" for (h, w), out in CASES]
    lines = [["times as long", *head, "geometric mean"], ["---"] + ["---:"] * (len(CASES) + 1)]
    for title, contender, mine in rows:
        if contender not in results[0]:
            continue
        ratios = [timing.median_ratio(result[contender], result[mine]) for result in results]
        lines.append([title, *(f"{ratio:.2f}" for ratio in ratios), f"**{math.exp(np.mean(np.log(ratios))):.2f}**"])
    mine = ["ours area, in ms"] + [f"{1000 * np.median(result['ours area']):.3f}" for result in results] + [""]
    return "\n".join("| " + " | ".join(line) + " |" for line in [*lines, mine])


def rows_of(others: list[rivals.Process]) -> list[tuple[str, str, str]]:
    """The table: title, what is timed against ours, ours."""
    area = [
        *(f"{other.rival.name} box" for other in others), "torchvision channels_last", "torchvision CHW", "OpenCV area",
        "OpenCV linear (vulnerable)", "Pillow box", "TensorFlow area", "TensorFlow bilinear",
    ]  # fmt: skip
    rows = [(f"{name} / ours area", name, "ours area") for name in area]
    for name in (*(other.rival.name for other in others), "Pillow"):
        rows += [(f"{name} {k} / ours {k}", f"{name} {k}", f"ours {k}") for k in KERNELS]
    for name in ("Pillow-SIMD box", "Pillow box"):
        rows += [(f"{name} / ours area, {level}", name, f"ours area, {level}") for level in levels()[1:]]
    rows.append(("Pillow box / ours area, numpy", "Pillow box", "ours area, numpy"))
    rows += [(f"{name} / ours area", name, "ours area") for name in DECODERS]
    rows.append(("ours area / reading the source once", "ours area", "floor"))
    rows.append(("ours area, one thread / two threads", "one thread", "two threads"))
    rows.append((f"the same, {1000 * PAUSE:.0f} ms after the last image", "one thread, rested", "two threads, rested"))
    return rows


def versions(others: list[rivals.Process]) -> str:
    names = ("pillow", "opencv-python-headless", "torch", "torchvision", "tensorflow", "numpy")
    found = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return ", ".join(found + [f"{other.rival.name} {other.version}" for other in others])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--level", help="the instruction set of ours, instead of this machine's best")
    parser.add_argument("--rival-python", action="append", default=[], metavar="NAME=PYTHON")
    options = parser.parse_args()
    pythons = {name.lower(): python for name, python in (item.split("=", 1) for item in options.rival_python)}
    import torchvision  # noqa: F401  (before TensorFlow, or the process ends)

    from secure_resize.core import native

    global chosen
    chosen = options.level or ""
    with ExitStack() as stack:
        stack.enter_context(native.use_level(options.level) if options.level else nullcontext())
        threads = measure_threads(options.rounds)
        timing.pin()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        others = rivals.start(folder, pythons, stack)
        results = [{**result, **pair} for result, pair in zip(measure(others, options.rounds), threads, strict=True)]
        print(table(rows_of(others), results))
        backend = ", ".join([sr.backend(), *levels()[:1]])
        print(f"\n{timing.machine()}, one core; {backend}; {versions(others)}; {options.rounds} rounds.")


if __name__ == "__main__":
    main()
