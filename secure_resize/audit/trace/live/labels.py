"""Whether pixels are labels rather than a picture: a few whole numbers, in areas."""

from __future__ import annotations

from typing import Any

__all__ = ["looks_like_labels"]

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
