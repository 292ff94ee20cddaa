"""Attacked and clean pictures by number, for benchmarks/detection.py: the same for the same photographs and number.

``GROUPS`` has a row for each kind. A case is a picture with the scaler and the size that it was made for, or with which
a clean one is looked at. Making attacks takes long, so ``cases`` keeps them in a folder if it is given one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from detection_pictures import FAMILIES, cut
from PIL import Image

import secure_resize as sr
from secure_resize.attacks.payload import local_trigger

Picture = npt.NDArray[np.uint8]
SCALERS = ("opencv:nearest", "pillow:nearest", "opencv:linear", "opencv:cubic", "tensorflow:bicubic", "opencv:lanczos4")
# Crafting asks a scaler's library; these are the same filters without loading TensorFlow.
CRAFTED_FOR = {"tensorflow:bicubic": "opencv:cubic"}
METHODS = ("strong", "weak", "least", "strong_rms", "nearest", "counter")
SIDES = (192, 256, 320)


@dataclass(frozen=True)
class Case:
    """``kept`` tells whether it counts: attacks that bring out no other picture do not."""

    picture: Picture
    scaler: str
    size: tuple[int, int]
    kept: bool = True
    psnr: float = float("inf")


def jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _aim(rng: np.random.Generator, side: int) -> tuple[str, tuple[int, int]]:
    size = round(side / rng.uniform(2.5, 10))
    return str(rng.choice(SCALERS)), (size, size)


def _source(photos: list[Picture], rng: np.random.Generator) -> Picture:
    return cut(photos[int(rng.integers(len(photos)))], int(rng.choice(SIDES)), rng)


def photograph(photos: list[Picture], number: int) -> Case:
    rng = np.random.default_rng([10, number])
    part = cut(photos[number % len(photos)], int(rng.choice(SIDES)), rng)
    return Case(jpeg(part, int(rng.integers(70, 97))) if number % 2 else part, *_aim(rng, len(part)))


def drawn(photos: list[Picture], number: int) -> Case:
    rng = np.random.default_rng([20, number])
    part = list(FAMILIES.values())[number % len(FAMILIES)](rng, int(rng.choice(SIDES)))
    return Case(jpeg(part, int(rng.integers(70, 97))) if rng.random() < 0.3 else part, *_aim(rng, len(part)))


def whole(photos: list[Picture], number: int) -> Case:
    """Another picture hidden in all of it; every method in turn."""
    rng = np.random.default_rng([30, number])
    source = _source(photos, rng)
    scaler, size = _aim(rng, len(source))
    scaler = CRAFTED_FOR.get(scaler, scaler)
    other = cut(photos[int(rng.integers(len(photos)))], 320, rng)
    target = sr.resize(other, size, kernel="bicubic")
    near = sr.attacks.psnr(sr.get_scaler(scaler)(source, size), target) >= 15
    method: Any = METHODS[number % len(METHODS)]
    made = sr.attacks.craft(
        source, target, scaler, method=method, epsilon=14.0 if number % 4 == 3 else 1.0, iterations=40
    )
    return Case(made.image, scaler, size, made.reached and not near, made.psnr_source)


def _trigger(side: int, levels: int, board: bool, photos: list[Picture], number: int) -> Case:
    rng = np.random.default_rng([40, side, levels, board, number])
    source = _source(photos, rng)
    scaler, size = _aim(rng, len(source))
    scaler = CRAFTED_FOR.get(scaler, scaler)
    clean = sr.get_scaler(scaler)(source, size)
    top, left = (int(rng.integers(1, n - side)) for n in size)
    patch = clean[top : top + side, left : left + side].astype(int)
    if board:
        mean = np.clip(patch.mean(axis=(0, 1)), levels, 255 - levels)
        signs = 1 - 2 * (np.add.outer(np.arange(side), np.arange(side)) % 2)
        patch = mean + levels * signs[..., None]
    else:
        patch = patch + np.where(patch.mean(axis=(0, 1)) < 127.5, levels, -levels)
    target, _ = local_trigger(clean, place=(top, left), patch=np.clip(patch, 0, 255).astype(np.uint8))
    made = sr.attacks.craft(source, target, scaler, iterations=40)
    return Case(made.image, scaler, size, True, made.psnr_source)


def trigger(side: int, levels: int, board: bool = False) -> Callable[[list[Picture], int], Case]:
    """A local trigger: a block of ``side`` outputs moved by ``levels``, or a checkerboard of as much."""
    return lambda photos, number: _trigger(side, levels, board, photos, number)


def averaged(photos: list[Picture], number: int) -> Case:
    """Aimed at a scaler that averages: nothing but a blend of both pictures does it."""
    rng = np.random.default_rng([50, number])
    source = _source(photos, rng)
    size = (round(len(source) / rng.uniform(2.5, 10)),) * 2
    target = sr.resize(cut(photos[int(rng.integers(len(photos)))], 320, rng), size)
    near = sr.attacks.psnr(sr.resize(source, size), target) >= 15
    method: Any = ("strong", "area_l0", "area_l1", "area_l2")[number % 4]
    made = sr.attacks.craft(source, target, "opencv:area", method=method, iterations=40)
    return Case(made.image, "opencv:area", size, made.reached and not near, made.psnr_source)


GROUPS: dict[str, Callable[[list[Picture], int], Case]] = {
    "photographs": photograph,
    "drawn": drawn,
    "whole": whole,
    "5x5 of 72 levels": trigger(5, 72),
    "3x3 of 72 levels": trigger(3, 72),
    "5x5 of 40 levels": trigger(5, 40),
    "checkerboard 5x5 of 72 levels": trigger(5, 72, True),
    "averaged": averaged,
}


def cases(group: str, photos: list[Picture], count: int, folder: Path | None, first: int = 0) -> Iterator[Case]:
    """``count`` of a group, from the number ``first`` on."""
    make = GROUPS[group]
    for number in range(first, first + count):
        path = (
            folder / f"{group.replace(' ', '_')}-{number}.npz" if folder and make not in (photograph, drawn) else None
        )
        if path is not None and path.exists():
            with np.load(path) as saved:
                yield Case(
                    saved["picture"],
                    str(saved["scaler"]),
                    (int(saved["size"][0]), int(saved["size"][1])),
                    bool(saved["kept"]),
                    float(saved["psnr"]),
                )
            continue
        case = make(photos, number)
        if path is not None:
            with path.open("wb") as file:
                np.savez(file, **{name: getattr(case, name) for name in ("picture", "scaler", "size", "kept", "psnr")})
        yield case
