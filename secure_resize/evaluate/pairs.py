"""What is hidden in what: reproducible pairs of photographs, at the sizes that a scaling ratio asks for."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import load
from ..scaling import resize

__all__ = [
    "PAPER_RATIOS",
    "NoPictures",
    "Pair",
    "Ratio",
    "check_pictures",
    "draw_pairs",
    "pair_images",
    "parse_ratio",
    "picture_names",
    "square",
]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# The photographs that scikit-image installs; its drawings, test charts and pages of text are left out.
PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
# Quiring et al., USENIX Security 2020, section 5: the ratio of each pair is drawn uniformly from its bin.
PAPER_RATIOS = ("2-3", "3-4", "4-5", "5-7.5", "7.5-10")
LARGEST_RATIO = 64.0


class NoPictures(ValueError):
    """A folder does not hold the pictures that are needed."""


@dataclass(frozen=True)
class Ratio:
    """Scaling ratios β to draw from: one uniform draw from [low, high) an axis, or one for both axes.

    ``rows`` and ``cols`` are (low, high); where they are equal the ratio is fixed. ``name`` is as it was asked for.
    """

    name: str
    rows: tuple[float, float]
    cols: tuple[float, float]
    shared: bool

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """β of the rows and of the columns."""
        first, second = rng.random(2)
        second = first if self.shared else second
        return _between(self.rows, first), _between(self.cols, second)


def _between(ends: tuple[float, float], place: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * place


def parse_ratio(text: str) -> Ratio:
    """``"4"``, a bin ``"2-3"``, or rows and columns on their own: ``"4x1"``, ``"2-3x2-3"``; ValueError otherwise."""
    axis = r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?"
    match = re.fullmatch(f"{axis}(?:x{axis})?", text)
    ends = []
    for low, high in (match.groups()[:2], match.groups()[2:]) if match else ():
        if low is not None:
            ends.append((float(low), float(high or low)))
    if not ends or any(not 1 <= low <= high <= LARGEST_RATIO for low, high in ends):
        raise ValueError(
            f"unknown ratio {text!r}; expected a number such as 4, a bin such as 2-3, or two for rows and columns such "
            f"as 4x1 or 2-3x2-3, all from 1 to {LARGEST_RATIO:g}"
        )
    return Ratio(text, ends[0], ends[-1], len(ends) == 1)


@dataclass(frozen=True)
class Pair:
    """``target`` is to be hidden in ``source``; both are picture names.

    ``in_size`` and ``out_size`` are (height, width) of the attack image and of what the scaler makes of it;
    ``place_source`` and ``place_target`` in [0, 1) say which part of a picture of another shape is taken.
    """

    index: int
    source: str
    target: str
    ratio: str
    in_size: Size
    out_size: Size
    place_source: float
    place_target: float


def picture_names(folder: Path | None) -> list[str]:
    """The pictures of ``folder``, sorted by name; without a folder, scikit-image's photographs.

    NoPictures where there are fewer than two, ImportError where scikit-image is needed and not installed.
    """
    if folder is None:
        return list(PHOTOGRAPHS)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; expected one that holds pictures")
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(names) < 2:
        raise NoPictures(f"{folder} holds {len(names)} pictures ({', '.join(SUFFIXES)}), at least 2 are needed")
    return names


def _path(folder: Path | None, name: str) -> Path:
    return (Path(load("skimage").__file__).parent / "data" if folder is None else folder) / name


def fingerprint(folder: Path | None) -> str:
    """A hash of all pictures' names and bytes: the same only for the same pictures."""
    digest = hashlib.blake2b(digest_size=16)
    for name in picture_names(folder):
        data = _path(folder, name).read_bytes()
        digest.update(b"%d %b %d " % (len(name), os.fsencode(name), len(data)) + data)
    return digest.hexdigest()


@lru_cache(maxsize=128)
def load_picture(folder: Path | None, name: str) -> Image:
    """A picture as RGB, uint8 (H, W, 3), upright; ValueError with its path where it cannot be read."""
    pillow, operations = load("PIL.Image"), load("PIL.ImageOps")
    path = _path(folder, name)
    try:
        with pillow.open(path) as image:
            picture = np.asarray(operations.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, pillow.DecompressionBombError) as error:
        raise ValueError(f"cannot read the picture {path}: {error}") from None
    picture.flags.writeable = False  # shared by all pairs
    return picture


def draw_pairs(names: Sequence[str], n: int, *, seed: int, ratios: Sequence[str], size: Size) -> list[Pair]:
    """``n`` ordered pairs of distinct pictures, dealt to ``ratios`` in turn; the same for the same arguments.

    No pair comes twice before every pair has come once; then other parts of the pictures are taken. ``size`` is the
    output's (height, width); the source's is β times that, rounded, each axis on its own.

    >>> [(p.source, p.target) for p in draw_pairs(["a", "b"], 2, seed=0, ratios=["4"], size=(56, 56))]
    [('b', 'a'), ('a', 'b')]

    Raises
    ------
    ValueError
        ``n`` below 1, fewer than two pictures, no ratio or an unknown one.
    """
    if n < 1:
        raise ValueError(f"the number of pairs must be at least 1, got {n!r}")
    if len(names) < 2:
        raise ValueError(f"pairs of distinct pictures need at least 2 pictures, got {len(names)}")
    drawn_from = [parse_ratio(ratio) for ratio in ratios]
    if not drawn_from:
        raise ValueError("at least one ratio is needed, such as 4 or 2-3")
    pairs: list[Pair] = []
    total = len(names) * (len(names) - 1)
    order: npt.NDArray[Any] = np.empty(0)
    for index in range(n):
        cycle, place = divmod(index, total)
        if place == 0:
            order = np.random.default_rng([seed, 0, cycle]).permutation(total)
        first, second = divmod(int(order[place]), len(names) - 1)
        rng = np.random.default_rng([seed, 1, index])  # its own: the first n of more pairs are the same
        ratio = drawn_from[index % len(drawn_from)]
        in_size = tuple(round(beta * side) for beta, side in zip(ratio.draw(rng), size, strict=True))
        places = rng.random(2)
        pairs.append(
            Pair(
                index,
                names[first],
                names[second + (second >= first)],
                ratio.name,
                (in_size[0], in_size[1]),
                size,
                float(places[0]),
                float(places[1]),
            )
        )
    return pairs


def check_pictures(pairs: Iterable[Pair], folder: Path | None) -> None:
    """ValueError naming a picture of ``pairs`` that cannot be read: at once, and not after hours."""
    for name in dict.fromkeys(name for pair in pairs for name in (pair.source, pair.target)):
        load_picture(folder, name)


def pair_images(pair: Pair, folder: Path | None) -> tuple[Image, Image]:
    """Source (H, W, 3) and target (h, w, 3) of a pair, uint8: cut to shape, then brought to size by ``resize``."""
    source = brought_to(load_picture(folder, pair.source), pair.in_size, pair.place_source)
    return source, brought_to(load_picture(folder, pair.target), pair.out_size, pair.place_target)


def brought_to(picture: Image, size: Size, place: float) -> Image:
    """The largest part of ``picture`` with the shape of ``size``, at ``place`` in [0, 1] along the longer axis."""
    height, width = picture.shape[:2]
    scale = min(height / size[0], width / size[1])
    part = [min(side, max(1, math.floor(scale * wanted))) for side, wanted in zip((height, width), size, strict=True)]
    top, left = (round(place * (side - kept)) for side, kept in zip((height, width), part, strict=True))
    return resize(picture[top : top + part[0], left : left + part[1]], size, kernel="bicubic")


def square(picture: Image, side: int) -> Image:
    """The middle of a picture, (side, side, 3)."""
    return brought_to(picture, (side, side), 0.5)
