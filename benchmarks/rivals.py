"""Other scalers, each in a process of an environment of its own: some take Pillow's name, none is a dependency.

Not among them is pillow-allsimd, which is not on PyPI: ``--rival-python pillow-simd=PYTHON`` times any other build that
goes by Pillow's name in its place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

AT_LEAST = 0.004  # seconds a turn
TOLERANCE = 4.0  # levels in the mean: what is timed is the same filter, whatever its rounding

# Reads a case a line: the source's and the result's file, the output's size, the kernel, seconds. Answers with seconds
# a call, or saves the result where that file's name is given.
WORKER = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np, timing
os.sched_setaffinity(0, {int(sys.argv[2])})
%s
print(VERSION, flush=True)
prepared = {}
for line in sys.stdin:
    source, result, height, width, kernel, at_least = line.split()
    key = source, height, width, kernel
    if key not in prepared:
        prepared[key] = prepare(np.load(source), int(height), int(width), kernel)
    call, to_array = prepared[key]
    if result == "-":
        print(timing.seconds(call, float(at_least)), flush=True)
    else:
        np.save(result, to_array(call()))
        print(0.0, flush=True)
"""

PILLOW = """
import PIL
from PIL import Image
VERSION = PIL.__version__
def prepare(source, height, width, kernel):
    image, filter = Image.fromarray(source), Image.Resampling[kernel.upper()]
    return (lambda: image.resize((width, height), filter)), np.asarray
"""

FAST_IMAGE_RESIZE = """
import importlib.metadata
from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
VERSION = importlib.metadata.version("cykooz-resizer")
FILTERS = dict(box="box", bilinear="bilinear", bicubic="catmull_rom", lanczos="lanczos3")
resizer = Resizer()
def prepare(source, height, width, kernel):
    image = ImageData(source.shape[1], source.shape[0], PixelType.U8x3, source.tobytes())
    options = ResizeOptions(ResizeAlg.convolution(FilterType[FILTERS[kernel]]))
    def call():
        result = ImageData(width, height, PixelType.U8x3)
        resizer.resize(image, result, options)
        return result
    return call, lambda image: np.frombuffer(image.get_buffer(), np.uint8).reshape(height, width, 3)
"""

PIC_SCALE = """
import importlib.metadata
from PIL import Image
from pic_scale import Plan, Resampling
VERSION = importlib.metadata.version("pic-scale")
def prepare(source, height, width, kernel):
    image = Image.fromarray(source)
    plan = Plan(image.size, (width, height), getattr(Resampling, kernel.upper()), "RGB")
    return (lambda: plan.resize(image)), np.asarray
"""

VIPS = """
import pyvips
VERSION = ".".join(str(pyvips.version(part)) for part in range(3))
pyvips.cache_set_max(0)  # or the second call does nothing
def prepare(source, height, width, kernel):
    image = pyvips.Image.new_from_array(source)
    down, across = source.shape[0] / height, source.shape[1] / width
    def call():
        if kernel == "box":
            return image.shrink(across, down).write_to_memory()
        name = dict(bilinear="linear", bicubic="cubic", lanczos="lanczos3")[kernel]
        return image.resize(1 / across, vscale=1 / down, kernel=name).write_to_memory()
    return call, lambda data: np.frombuffer(data, np.uint8).reshape(height, width, 3)
"""


@dataclass(frozen=True)
class Rival:
    """A scaler, what installs it and what calls it."""

    name: str
    requirements: tuple[str, ...]
    code: str
    options: tuple[str, ...] = ()  # of pip
    environment: dict[str, str] = field(default_factory=dict)  # of pip
    kernels: tuple[str, ...] = ("box", "bilinear", "bicubic", "lanczos")


RIVALS = (
    Rival(
        "Pillow-SIMD",
        ("pillow-simd", "numpy"),
        PILLOW,
        options=("--no-binary", "pillow-simd"),
        environment={"CC": "cc -mavx2"},
    ),
    Rival("fast_image_resize", ("cykooz-resizer", "pillow", "numpy"), FAST_IMAGE_RESIZE),
    # Its box (0.7.12) averages over about 16 times the footprint: another filter, not timed.
    Rival("pic-scale", ("pic-scale", "pillow", "numpy"), PIC_SCALE, kernels=("bilinear", "bicubic", "lanczos")),
    Rival("libvips", ("pyvips", "pyvips-binary", "numpy"), VIPS),
)


class Process:
    """A rival at work."""

    def __init__(self, rival: Rival, python: str) -> None:
        self.rival = rival
        core = str(min(os.sched_getaffinity(0)))
        command = [python, "-c", WORKER % rival.code, str(Path(__file__).parent), core]
        environment = {**os.environ, "VIPS_CONCURRENCY": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[str] = self._process.stdin
        self._from: IO[str] = self._process.stdout
        self.version = self._from.readline().strip()
        if not self.version:
            raise RuntimeError("its process ended")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._to.close()
        self._process.wait()

    def _ask(self, source: Path, result: str, size: tuple[int, int], kernel: str) -> float:
        print(source, result, *size, kernel, AT_LEAST, file=self._to, flush=True)
        return float(self._from.readline())

    def timer(self, source: Path, size: tuple[int, int], kernel: str, ours: np.ndarray) -> Callable[[], float]:
        """Times one resize of the array saved at ``source``, whose result has to be near ``ours``."""
        result = source.with_suffix(".result.npy")
        self._ask(source, str(result), size, kernel)
        apart = np.abs(np.load(result).astype(int) - ours).mean()
        assert apart <= TOLERANCE, (self.rival.name, size, kernel, apart)
        return lambda: self._ask(source, "-", size, kernel)


def start(folder: Path, pythons: dict[str, str], stack: ExitStack) -> list[Process]:
    """Every rival that can be had here, at work until ``stack`` ends; prints which cannot."""
    running = []
    for rival in RIVALS:
        try:
            python = pythons.get(rival.name.lower()) or _environment(rival, folder / rival.name)
            running.append(stack.enter_context(Process(rival, python)))
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{rival.name} is left out, it cannot be had here: {error}\n")
    return running


def _environment(rival: Rival, folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", *rival.options, *rival.requirements]
    subprocess.run(install, check=True, env={**os.environ, **rival.environment}, capture_output=True)
    return python
