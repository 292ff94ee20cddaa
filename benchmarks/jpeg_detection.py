"""How well are crafted JPEG files told from honest ones by their coefficients? Prints a Markdown table.

    python benchmarks/jpeg_detection.py PHOTOS... [--crafted 60]

PHOTOS are pictures or folders of them. Honest files: each photograph, and screenshots, line art and noise drawn here,
by libjpeg-turbo at qualities 30 to 100 and every subsampling, and by MozJPEG with its overshoot deringing. Crafted
files: every scale, subsampling and a budget of overshoot that portable decoders take. Figures are the largest of honest
files and the least of crafted ones, as multiples of the threshold; thresholds are fixed, half of the photographs
chose them.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpeglib
import numpy as np
import PIL.Image
import PIL.ImageDraw

import secure_resize as sr

QUALITIES = (30, 40, 50, 60, 70, 80, 90, 100)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def photographs(paths: list[Path]) -> list[PIL.Image.Image]:
    """Every picture in the files and folders, RGB, at most 256 pixels a side."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    found = []
    for file in files:
        try:
            with PIL.Image.open(file) as picture:
                image = picture.convert("RGB")
        except OSError:
            continue
        image.thumbnail((256, 256), reducing_gap=None)
        found.append(image)
    return found


def drawn(number: int) -> PIL.Image.Image:
    """A screenshot, line art, coloured tiles or noise: the hardest edges there are."""
    rng = np.random.default_rng(number)
    kind = number % 4
    if kind == 3:
        side = int(rng.choice([1, 2, 5, 16]))
        tiles = rng.choice([0, 255], (300 // side, 400 // side, int(rng.choice([1, 3]))))
        tiles = np.repeat(np.repeat(tiles, side, axis=0), side, axis=1).astype(np.uint8)
        return PIL.Image.fromarray(tiles[..., 0] if tiles.shape[2] == 1 else tiles).convert("RGB")
    back = tuple(int(x) for x in (rng.choice([0, 255]) * np.ones(3) if kind else rng.integers(0, 256, 3)))
    image = PIL.Image.new("RGB", (400, 300), back)
    draw = PIL.ImageDraw.Draw(image)
    for _ in range(40):
        fore = tuple(255 - x for x in back) if kind == 1 else tuple(int(x) for x in rng.choice([0, 255], 3))
        x, y, a, b = (int(rng.integers(0, 400)) for _ in range(4))
        if rng.random() < 0.5 or kind == 0:
            draw.text((x - 100, y), "The quick brown fox 0123456789 #@&", fill=fore, font_size=int(rng.integers(8, 40)))
        elif rng.random() < 0.5:
            draw.line([(x, y), (a, b)], fill=fore, width=int(rng.integers(1, 5)))
        else:
            draw.rectangle([min(x, a), min(y, b), min(x, a) + 40, min(y, b) + 9], outline=fore)
    return image


def turbo(image: PIL.Image.Image) -> Iterator[bytes]:
    """The image's files by libjpeg-turbo."""
    for quality in QUALITIES:
        for subsampling in SUBSAMPLINGS:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=subsampling)
            yield file.getvalue()


def mozjpeg(image: PIL.Image.Image) -> Iterator[bytes]:
    """The image's files by MozJPEG with deringing."""
    with tempfile.TemporaryDirectory() as folder, jpeglib.version("mozjpeg403"):
        path = os.path.join(folder, "file.jpg")
        made = jpeglib.from_spatial(np.asarray(image))
        for quality in QUALITIES:
            made.write_spatial(path, qt=quality, flags=["+OVERSHOOT_DERINGING"])
            yield Path(path).read_bytes()


def crafted(photos: list[PIL.Image.Image], number: int) -> dict[str, list[sr.Overshoot]]:
    """The crafted files that hide their target, by scale."""
    found: dict[str, list[sr.Overshoot]] = {}
    for k in range(number):
        scale, subsampling = (8, 4, 2)[k % 3], SUBSAMPLINGS[k // 3 % 3]
        limit, epsilon = ((3_000.0, 10.0), (380.0, 14.0), (12_000.0, 4.0))[k // 9 % 3]
        source = np.asarray(photos[k % len(photos)].resize((256, 256)))
        target = np.asarray(photos[(k + len(photos) // 2) % len(photos)].resize((256 // scale, 256 // scale)))
        made = sr.attacks.craft_file(
            source, target, "pillow:draft", subsampling=subsampling, overshoot=limit, epsilon=epsilon
        )
        found.setdefault(f"crafted, 1/{scale}", []).append(sr.overshoot(made.data))
    return found


def row(name: str, found: list[sr.Overshoot], worst: Any) -> str:
    cells = [f"{worst(one.levels[scale] for one in found):.0f}" for scale in (2, 4, 8)]
    score = worst(one.score for one in found)
    caught = sum(one.suspicious for one in found)
    return f"| {name} | {len(found)} | {' | '.join(cells)} | {score:.2f} | {caught} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--crafted", type=int, default=60)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    photos = photographs(options.photos)
    print("| files | number | 1/2 | 1/4 | 1/8 | score | suspicious |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    started, honest = time.process_time(), 0
    kinds = {
        "photographs, first half": (photos[: len(photos) // 2], turbo),
        "photographs, second half": (photos[len(photos) // 2 :], turbo),
        "photographs, MozJPEG": (photos[1::4], mozjpeg),
        "drawn": ([drawn(k) for k in range(48)], turbo),
        "drawn, MozJPEG": ([drawn(k) for k in range(48)], mozjpeg),
    }
    for name, (images, encoder) in kinds.items():
        found = [sr.overshoot(data) for image in images for data in encoder(image)]
        honest += len(found)
        print(row(name, found, max), flush=True)
    seconds = (time.process_time() - started) / honest
    for name, found in crafted(photos, options.crafted).items():
        print(row(name, found, min), flush=True)
    print(f"\n{honest} honest files, {1000 * seconds:.0f} ms each, encoding them included.")
    print(
        "Figures: the largest (of crafted files the least) RMS levels by which 5×5 pixels of the scaled decode lie from"
    )
    print("the mean of the full one; score 1 is the threshold.")


if __name__ == "__main__":
    main()
