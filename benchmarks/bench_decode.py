"""From a JPEG file's bytes to 224×224, safe for crafted files, against what is not. Prints a Markdown table.

    python benchmarks/bench_decode.py PHOTOS [--rounds 15]

PHOTOS is a folder of pictures: three of them, enlarged and saved at quality 90. One pinned core, contenders in turns,
medians of paired ratios of processor time. Ours is asserted to be resize() of the full decode before anything is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import timing

import secure_resize as sr

SIZE = (224, 224)
SOURCES = [(640, 480), (1024, 768), (1920, 1080), (4000, 3000)]


def opencv(data: bytes) -> object:
    """cv2.imdecode and a vulnerable cv2.resize."""
    return cv2.resize(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), SIZE)


def pillow(data: bytes) -> object:
    """Image.open and its default resize."""
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.resize(SIZE))


def ours(data: bytes) -> object:
    """sr.decode, area."""
    return sr.decode(data, SIZE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    timing.pin()
    cv2.setNumThreads(1)
    photos = sorted(options.photos.glob("*.jpg"))[:3]
    print(f"{timing.machine()}, {sr.backend()}, Pillow {PIL.__version__}, OpenCV {cv2.__version__}, simplejpeg "
          f"{'used' if importlib.util.find_spec('simplejpeg') else 'not installed'}\n")  # fmt: skip
    print("| source | ours, ms | cv2.imdecode + vulnerable cv2.resize / ours | Pillow / ours |")
    print("|---|---:|---:|---:|")
    for size in SOURCES:
        ratios: dict[str, list[float]] = {"opencv": [], "pillow": []}
        took = []
        for photo in photos:
            file = io.BytesIO()
            with PIL.Image.open(photo) as image:
                image.convert("RGB").resize(size, PIL.Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            data = file.getvalue()
            with PIL.Image.open(io.BytesIO(data)) as image:
                np.testing.assert_array_equal(ours(data), sr.resize(np.asarray(image), SIZE))
            timers = {
                call.__name__: lambda call=call, data=data: timing.seconds(lambda: call(data), 0.0, time.process_time)
                for call in (opencv, pillow, ours)
            }
            rounds = timing.take_turns(timers, options.rounds, alternate=True)
            took += rounds["ours"]
            for name, found in ratios.items():
                found += [a / b for a, b in zip(rounds[name], rounds["ours"], strict=True)]
        cells = [f"{statistics.median(ratios[name]):.2f}" for name in ("opencv", "pillow")]
        print(f"| {size[0]}×{size[1]} | {1000 * statistics.median(took):.2f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
