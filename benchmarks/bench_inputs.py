"""What do other pixels and other layouts cost than uint8 RGB in one piece? Prints two Markdown tables.

    python benchmarks/bench_inputs.py [--rounds 15] [--level avx2]

Views that users really pass (reversed and dropped channels, flips, planes, crops) against the same pixels in one piece,
and uint16 and float32 against OpenCV and torchvision in that type. One pinned thread, contenders in turn, medians of
ratios within a round; results are asserted first.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import timing

import secure_resize as sr
from secure_resize.core import native
from secure_resize.tables import Table

AT_LEAST = 0.004  # seconds a turn
OUT = (224, 224)
VIEW_SIZES = [(768, 1024), (1080, 1920)]
SIZES = [(480, 640), (768, 1024), (1080, 1920)]

# From a photograph with twice the rows and columns and four channels to a view of it, height × width × channels.
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "channels reversed, `bgr[..., ::-1]`": lambda x: packed(x[::2, ::2, :3])[..., ::-1],
    "alpha dropped, `rgba[..., :3]`": lambda x: packed(x[::2, ::2])[..., :3],
    "flipped left to right": lambda x: packed(x[::2, ::2, :3])[:, ::-1],
    "flipped upside down": lambda x: packed(x[::2, ::2, :3])[::-1],
    "crop of a larger picture": lambda x: packed(x[..., :3])[5 : 5 + len(x) // 2, 7 : 7 + x.shape[1] // 2],
    "every second row": lambda x: packed(x[:, ::2, :3])[::2],
    "every second column": lambda x: packed(x[::2, :, :3])[:, ::2],
    "planes, CHW seen as HWC": lambda x: packed(x[::2, ::2, :3].transpose(2, 0, 1)).transpose(1, 2, 0),
    "transposed": lambda x: packed(x[::2, ::2, :3].transpose(1, 0, 2)).transpose(1, 0, 2),
}
KERNELS = ("area", "bilinear")


def packed(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image)


def photograph(size: tuple[int, int]) -> np.ndarray:
    import skimage.data

    return sr.resize(skimage.data.astronaut(), size, kernel="bicubic")


def timed(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    timers = {name: partial(timing.seconds, call, AT_LEAST) for name, call in calls.items()}
    return timing.take_turns(timers, rounds, alternate=True)


def views(rounds: int) -> str:
    """A view's time as a multiple of that of the same pixels in one piece."""
    cells: dict[tuple[str, str], list[str]] = {}
    for height, width in VIEW_SIZES:
        whole = photograph((2 * height, 2 * width))
        whole = np.dstack([whole, whole[..., :1]])
        for kernel in KERNELS:
            for name, view in VIEWS.items():
                seen = view(whole)
                plain = packed(seen)
                calls = {x: partial(sr.resize, y, OUT, kernel=kernel) for x, y in (("view", seen), ("plain", plain))}
                assert np.array_equal(calls["view"](), calls["plain"]())
                found = timed(calls, rounds)
                ratio = timing.median_ratio(found["view"], found["plain"])
                cells.setdefault((name, kernel), []).append(f"{ratio:.2f}")
    head = ["times as long as in one piece", "kernel", *(f"{w}×{h} → {OUT[1]}" for h, w in VIEW_SIZES)]
    return Table(head, [[*row, *ratios] for row, ratios in cells.items()], range(2, len(head))).markdown()


def in_dtype(image: np.ndarray, dtype: str) -> np.ndarray:
    return image.astype(np.uint16) * 257 if dtype == "uint16" else image.astype(np.float32) / 255


def rivals(image: np.ndarray, kernel: str) -> dict[str, Callable[[], np.ndarray]]:
    """Who resizes that type: OpenCV's area averages, its bilinear does not; torchvision has no area, no uint16."""
    import cv2
    import torch
    from torchvision.transforms.v2 import functional

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    flags = {"OpenCV AREA": cv2.INTER_AREA}
    if kernel == "bilinear":
        flags["OpenCV LINEAR (vulnerable)"] = cv2.INTER_LINEAR
    calls: dict[str, Callable[[], np.ndarray]] = {
        name: lambda flag=flag: cv2.resize(image, OUT[::-1], interpolation=flag) for name, flag in flags.items()
    }
    if image.dtype == np.float32 and kernel == "bilinear":
        for layout, tensor in (
            ("CHW", torch.from_numpy(packed(image.transpose(2, 0, 1)))),
            ("channels_last", torch.from_numpy(image).permute(2, 0, 1)),
        ):
            calls[f"torchvision {layout}"] = lambda tensor=tensor: functional.resize(tensor, list(OUT)).numpy()
    return calls


def dtypes(rounds: int) -> str:
    """A rival's time as a multiple of ours."""
    cells: dict[tuple[str, str, str], list[str]] = {}
    for size in SIZES:
        for dtype in ("uint16", "float32"):
            image = in_dtype(photograph(size), dtype)
            for kernel in KERNELS:
                ours = partial(sr.resize, image, OUT, kernel=kernel)
                others = rivals(image, kernel)
                for name, call in others.items():
                    result = call()
                    result = result.transpose(1, 2, 0) if result.shape[0] == 3 else result
                    apart = np.abs(result.astype(float) - ours()).mean() / (65535 if dtype == "uint16" else 1)
                    assert apart < 0.02, (name, dtype, kernel, apart)
                found = timed({"ours": ours, **others}, rounds)
                for name in others:
                    ratio = timing.median_ratio(found[name], found["ours"])
                    cells.setdefault((dtype, kernel, name), []).append(f"{ratio:.2f}")
    head = ["type", "kernel", "times as long as ours", *(f"{w}×{h} → {OUT[1]}" for h, w in SIZES)]
    return Table(head, [[*row, *ratios] for row, ratios in cells.items()], range(3, len(head))).markdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--level", help="the instruction set of ours, instead of this machine's best")
    options = parser.parse_args()
    timing.pin()
    with native.use_level(options.level) if options.level else nullcontext():
        print(views(options.rounds), "\n")
        print(dtypes(options.rounds), "\n")
    names = ("opencv-python-headless", "torch", "torchvision", "numpy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    print(f"{timing.machine()}, one core; {options.level or native.level()}; {versions}; {options.rounds} rounds.")


if __name__ == "__main__":
    main()
