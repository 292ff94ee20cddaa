"""What can be read in what a model sees, and cannot in the picture itself: by RapidOCR, which ships its models."""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import load

__all__ = ["MODULES", "new_text", "read_text"]

Image = npt.NDArray[np.uint8]
MODULES = ("rapidocr_onnxruntime", "rapidocr")
# Below this, what is recognised is as often texture as text.
CONFIDENCE = 0.8
LETTERS = 4
ALIKE = 0.7


@lru_cache(maxsize=1)
def _reader() -> Any:
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            return load(name).RapidOCR()
    raise ImportError('reading text needs RapidOCR: pip install "secure-resize[ocr]"')


def read_text(image: Image) -> list[str]:
    """The lines of text in ``image``, uint8 (h, w, 3), that are recognised with confidence; small ones enlarged."""
    by = max(1, -(-640 // max(image.shape[:2])))
    if by > 1:  # the detector misses letters of a few pixels
        size = image.shape[1] * by, image.shape[0] * by
        image = np.asarray(load("PIL.Image").fromarray(image).resize(size))
    found = _reader()(np.ascontiguousarray(image[..., ::-1]))
    lines = found[0] if isinstance(found, tuple) else list(zip(found.boxes, found.txts, found.scores, strict=True))
    return [str(text) for _, text, score in lines or () if float(score) >= CONFIDENCE and _letters(text)]


def new_text(seen: Sequence[str], source: Sequence[str]) -> list[str]:
    """The lines of ``seen`` that say something that none of ``source`` does."""
    known = [_plain(line) for line in source]
    everything = "".join(known)
    return [
        line
        for line in seen
        if _plain(line) not in everything
        and not any(SequenceMatcher(None, _plain(line), one).ratio() >= ALIKE for one in known)
    ]


def _letters(text: str) -> bool:
    return sum(one.isalnum() for one in text) >= LETTERS


def _plain(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKC", text).casefold() if one.isalnum())
