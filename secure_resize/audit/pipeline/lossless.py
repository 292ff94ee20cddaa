"""JPEG encoders inside of a pipeline made lossless for a while, so that what stands around them can be measured.

A pipeline that re-encodes its picture is not linear, and no operator describes it; without the loss it is, or may be.
What is measured so is an estimate of the real one. Whether an attack goes through is measured on the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Encoders", "lossless"]


@dataclass
class Encoders:
    """Whether any encoder of the pipeline was ``used``."""

    used: bool = False


@contextmanager
def lossless(*, active: bool = True) -> Iterator[Encoders]:
    """Every JPEG encoder that is loaded writes PNG meanwhile; with ``active=False`` they are only watched."""
    seen = Encoders()
    undo: list[tuple[Any, str, Any]] = []
    for module, name, make in _ENCODERS:
        owner = _owner(module)
        if owner is not None and hasattr(owner, name):
            original = getattr(owner, name)
            undo.append((owner, name, original))
            setattr(owner, name, make(original, seen, active))
    try:
        yield seen
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def _owner(path: str) -> Any:
    module, _, rest = path.partition(":")
    found = sys.modules.get(module)
    for name in filter(None, rest.split(".")):
        found = getattr(found, name, None)
    return found


def _pillow(original: Callable[..., Any], seen: Encoders, active: bool) -> Callable[..., Any]:
    def save(self: Any, fp: Any, format: Any = None, **options: Any) -> Any:
        name = str(format or getattr(fp, "name", fp)).lower()
        if name.endswith(("jpeg", "jpg")):
            seen.used = True
            if active:
                return original(self, fp, "PNG", compress_level=1)
        return original(self, fp, format, **options)

    return save


def _opencv(original: Callable[..., Any], seen: Encoders, active: bool) -> Callable[..., Any]:
    def imencode(ext: str, img: Any, params: Any = ()) -> Any:
        if ext.lower() in (".jpg", ".jpeg"):
            seen.used = True
            if active:
                return original(".png", img)
        return original(ext, img, params)

    return imencode


def _torchvision(original: Callable[..., Any], seen: Encoders, active: bool) -> Callable[..., Any]:
    def encode_jpeg(input: Any, quality: int = 75) -> Any:
        seen.used = True
        return sys.modules["torchvision.io"].encode_png(input, 1) if active else original(input, quality)

    return encode_jpeg


def _tensorflow(original: Callable[..., Any], seen: Encoders, active: bool) -> Callable[..., Any]:
    def encode_jpeg(image: Any, *arguments: Any, **options: Any) -> Any:
        seen.used = True
        return sys.modules["tensorflow"].io.encode_png(image) if active else original(image, *arguments, **options)

    return encode_jpeg


def _quality(original: Callable[..., Any], seen: Encoders, active: bool) -> Callable[..., Any]:
    def adjust_jpeg_quality(image: Any, *arguments: Any, **options: Any) -> Any:
        seen.used = True
        return image if active else original(image, *arguments, **options)

    return adjust_jpeg_quality


_ENCODERS = (
    ("PIL.Image:Image", "save", _pillow),
    ("cv2", "imencode", _opencv),
    ("torchvision.io", "encode_jpeg", _torchvision),
    ("tensorflow:io", "encode_jpeg", _tensorflow),
    ("tensorflow:image", "encode_jpeg", _tensorflow),
    ("tensorflow:image", "adjust_jpeg_quality", _quality),
)
