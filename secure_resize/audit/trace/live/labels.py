"""Whether pixels are labels rather than a picture: a few whole numbers, in areas; or called so around the call."""

from __future__ import annotations

import re
from types import FrameType
from typing import Any

__all__ = ["MASKS", "looks_like_labels", "names_a_mask", "words"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of names, in lower case. A mask or label map holds classes, which must not be mixed.
MASKS = _words(
    """
    mask masks seg segm segmap segmaps segmentation segmentations semseg label labels lbl lbls labelmap trimap
    annotation annotations annot panoptic instances classmap matte alpha mattes groundtruth gt bbox boxes anns
    ann
    """
)

_AUTOGRAPH = "__autograph_generated_file"
_VALUES = 64  # that a map of labels has at most (in what is looked at of it)
_SAME = 0.8  # the share of neighbours in a row that are equal, at least
_ROWS, _COLUMNS = 16, 256  # how much is looked at


def looks_like_labels(pixels: Any, channels: int | None) -> bool:
    """Whether an array, tensor or PIL image of one channel holds few values, whole numbers, in areas.

    Of an image with more channels: False. Only a few rows are looked at.
    """
    if channels not in (None, 1):
        return False
    values: set[float] = set()
    same = pairs = 0
    for row in _rows(pixels):
        values.update(row)
        if len(values) > _VALUES:
            return False
        same += sum(map(float.__eq__, row, row[1:]))
        pairs += len(row) - 1
    return pairs > 0 and same >= _SAME * pairs and all(value == value // 1 for value in values)


def _rows(pixels: Any) -> list[list[float]]:
    """Some rows of the last two axes that are no channels."""
    if hasattr(pixels, "getpixel"):  # PIL
        width, height = pixels.size
        lines = [pixels.crop((0, y, min(width, _COLUMNS), y + 1)) for y in _spread(height)]
        return [list(map(float, line.tobytes() if line.mode in "LP" else _levels(line))) for line in lines]
    shape = tuple(pixels.shape)
    if len(shape) > 2 and shape[-1] == 1:
        pixels, shape = pixels[..., 0], shape[:-1]
    while len(shape) > 2:
        pixels, shape = pixels[shape[0] // 2], shape[1:]
    if hasattr(pixels, "detach"):
        pixels = pixels.detach()
    elif hasattr(pixels, "numpy") and not hasattr(pixels, "tolist"):  # TensorFlow's
        pixels = pixels.numpy()
    return [list(map(float, pixels[y, :_COLUMNS].tolist())) for y in _spread(shape[0])]


def _levels(line: Any) -> list[float]:
    return [line.getpixel((x, 0)) for x in range(line.size[0])]


def _spread(length: int) -> range:
    return range(0, length, max(1, length // _ROWS))


def words(name: str) -> list[str]:
    """The words of an identifier, in lower case: ``pixelValues_2`` is pixel, values."""
    return [one.lower() for one in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def names_a_mask(frame: FrameType, user: FrameType | None) -> bool:
    """Whether the call that ``frame`` makes scales a mask, by the names of libraries' functions or the caller's own.

    Of libraries, between ``frame`` and the ``user``'s: ``resize_mask``, ``apply_to_mask``. Of the user, where the
    call is his: what he calls the pixels.
    """
    at: FrameType | None = frame
    while at is not None and at is not user:
        if _AUTOGRAPH in at.f_code.co_filename:  # TensorFlow's translation of the user's own code
            return not MASKS.isdisjoint(_called(at))
        if not MASKS.isdisjoint(words(at.f_code.co_name)):
            return True
        at = at.f_back
    return frame is user and not MASKS.isdisjoint(_called(frame))


def _called(frame: FrameType) -> list[str]:
    """The words of what the running call of ``frame`` is made on, or given first."""
    import ast
    import linecache

    places = list(frame.f_code.co_positions())
    first, last, begin, end = places[frame.f_lasti // 2] if frame.f_lasti // 2 < len(places) else (None,) * 4
    if first is None or last is None or begin is None or end is None:
        return []
    lines = [linecache.getline(frame.f_code.co_filename, number).encode() for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    try:
        call = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (SyntaxError, ValueError):
        return []
    if not isinstance(call, ast.Call):
        return []
    if isinstance(call.func, ast.Attribute) and call.func.attr == "converted_call" and len(call.args) > 1:
        call = ast.Call(call.args[0], getattr(call.args[1], "elts", []), [])
    given = call.args[:1] or [one.value for one in call.keywords if one.arg in ("src", "input", "image", "images")]
    if isinstance(call.func, ast.Attribute):
        given.append(call.func.value)
    return [
        word
        for one in given
        for node in ast.walk(one)
        for name in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "value", None))
        if isinstance(name, str)
        for word in words(name)
    ]
