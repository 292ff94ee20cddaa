"""The user's own pictures: read, or said in words why not. A picture file is somebody else's, and may be hostile."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...measure.scalers import load

__all__ = ["SUFFIXES", "Picture", "read", "read_all"]

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".jfif", ".png", ".ppm", ".tif", ".tiff", ".webp", ".avif"}
# Pixels that a header may promise. What promises more is not decoded: the file may be a few bytes long.
MOST_PIXELS = 1 << 26
# Of a folder, the pictures that are looked at.
MOST_PICTURES = 200


@dataclass(frozen=True, eq=False)
class Picture:
    """One file. ``levels`` uint8 (H, W, 3), None where it cannot be read; ``problem`` in words, empty for none.

    ``size`` (height, width) is what the header says.
    """

    path: str
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    frames: int = 1
    levels: npt.NDArray[np.uint8] | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Without the pixels."""
        return {
            "path": self.path,
            "mode": self.mode,
            "size": list(self.size),
            "frames": self.frames,
            "problem": self.problem,
        }


def read_all(paths: Sequence[Path], folder: Path | None) -> list[Picture]:
    """The pictures at ``paths`` and all below ``folder``; ValueError for what is not there, or holds none."""
    found = []
    for path in paths:
        if not path.is_file():
            raise ValueError(f"there is no picture {os.fspath(path)!r}")
        found.append(path)
    if folder is not None:
        if not folder.is_dir():
            raise ValueError(f"there is no folder {os.fspath(folder)!r}")
        below = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not below:
            endings = ", ".join(sorted(SUFFIXES))
            raise ValueError(f"there is no picture in {os.fspath(folder)!r}; endings known: {endings}")
        found += below[:MOST_PICTURES]
    return [read(path) for path in found]


def read(path: Path) -> Picture:
    """One picture; whatever is wrong with it is its ``problem``."""
    module = load("PIL.Image")
    name = os.fspath(path).replace(os.sep, "/")
    length = path.stat().st_size
    if length == 0:
        return Picture(name, problem="the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with module.open(path) as picture:
                size, mode = (picture.height, picture.width), picture.mode
                frames = int(getattr(picture, "n_frames", 1))
                if size[0] * size[1] > MOST_PIXELS:
                    reason = (
                        f"its header promises {size[0]}x{size[1]} pixels in {length} bytes; pictures of more than "
                        f"{MOST_PIXELS >> 20} million pixels are not decoded"
                    )
                    return Picture(name, mode, size, frames, problem=reason)
                picture.load()
                levels = _levels(picture)
    except Exception as error:  # every decoder raises its own
        if type(error).__name__ == "DecompressionBombError":
            return Picture(name, problem=f"its header promises far too many pixels for {length} bytes: {error}")
        return Picture(name, problem=f"it cannot be decoded: {type(error).__name__}: {error}")
    problem = f"it has {frames} frames, and libraries do not agree which of them is the picture" if frames > 1 else ""
    return Picture(name, mode, size, frames, levels, problem)


def _levels(picture: Any) -> npt.NDArray[np.uint8]:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture, dtype=np.float64)
        top = 257.0 if values.max() > 255 else 1.0
        plane = np.clip(np.round(values / top), 0, 255).astype(np.uint8)
        return np.repeat(plane[..., None], 3, axis=2)
    return np.ascontiguousarray(np.asarray(picture.convert("RGB")))
