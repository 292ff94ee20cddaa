"""The pictures of a finding, as a page holds them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...scaling import resize
from ..report import PICTURES
from .words import entries

__all__ = ["Album", "Shown"]

# Photographs are drawn at most this large, diagrams as they are.
_LARGEST = 512
_LARGEST_DIAGRAM = 1600
DIAGRAMS = ("kernel", "frequency")
# Below, a pixel is drawn as a square: a person is to see what the model sees.
_SMALL = 128
# What is read at most: bytes of a file, its pixels, and the bytes of all pictures of one page.
_FILE = 64 << 20
_PIXELS = 50_000_000
_PAGE = 24 << 20


@dataclass(frozen=True)
class Shown:
    """One picture: its ``data`` URI, or why there is none."""

    name: str
    caption: str
    path: str
    uri: str = ""
    size: str = ""
    reason: str = ""
    small: bool = False

    @property
    def diagram(self) -> bool:
        """Whether it is a plot, not a photograph."""
        return self.name in DIAGRAMS


class Album:
    """The pictures of one page; it counts what they take."""

    def __init__(self, folder: Path = Path()) -> None:
        self.left, self.folder = _PAGE, folder

    def of(self, evidence: Mapping[str, Any]) -> Iterator[Shown]:
        """The pictures that ``evidence`` names, in their order."""
        for one in entries(evidence.get("pictures")):
            name, path = str(one.get("name", "other")), str(one.get("path", ""))
            yield self._shown(name, str(one.get("caption") or PICTURES.get(name, "")), path)

    def _shown(self, name: str, caption: str, path: str) -> Shown:
        try:
            data, size = _png(self.folder / path, _LARGEST_DIAGRAM if name in DIAGRAMS else _LARGEST)
        except ImportError:
            return Shown(name, caption, path, reason="Pillow is not installed")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a file that is no picture
            return Shown(name, caption, path, reason=f"not shown: {getattr(error, 'strerror', None) or error}")
        if len(data) > self.left:
            return Shown(name, caption, path, reason="it is left out: the page is full")
        self.left -= len(data)
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return Shown(name, caption, path, uri, f"{size[0]}x{size[1]}", small=max(size) <= _SMALL)


def _png(path: Path, largest: int) -> tuple[bytes, tuple[int, int]]:
    """A PNG file's picture as a PNG of our own, at most ``largest`` wide and high, and its (height, width).

    It is scaled by the exact mean: a browser that scaled an attack image would show what is hidden in it.
    """
    from PIL import Image

    if path.stat().st_size > _FILE:
        raise ValueError(f"the file has more than {_FILE >> 20} MiB")
    with Image.open(path, formats=["PNG"]) as picture:
        width, height = picture.size
        if width * height > _PIXELS:
            raise ValueError(f"it has {height}x{width} pixels")
        image = np.asarray(_opaque(picture))
    ratio = largest / max(height, width)
    if ratio < 1:
        image = resize(image, (max(1, round(height * ratio)), max(1, round(width * ratio))))
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", optimize=True)
    return out.getvalue(), (height, width)


def _opaque(picture: Any) -> Any:
    """Grey or RGB in 8 bits, on white where it is transparent."""
    from PIL import Image

    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if "A" in picture.mode or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
