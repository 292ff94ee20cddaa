"""``inspect``: one picture or file, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..decoding import open_picture
from ..front_ends import select_front_ends
from ..measure.scalers import load
from .calibration import Calibration
from .examining import RATE, examine
from .file import examine_file, not_looked_at
from .search import likely_targets
from .targets import KINDS, Image, Suspicion, Target

__all__ = ["UNKNOWN_RATE", "inspect"]

# Where nobody says which scaler and size, there are many to try.
UNKNOWN_RATE = 0.01


def inspect(
    image: Image | bytes | str | os.PathLike[str],
    size: Sequence[int] | None = None,
    *,
    scaler: str | Sequence[str] | None = None,
    front_end: str | Sequence[str] | None = None,
    calibration: Calibration | None = None,
    rate: float | None = None,
) -> Suspicion:
    """Is another picture hidden in this one, to come out once it is scaled down?

    >>> import numpy as np, secure_resize as sr
    >>> sr.inspect(np.full((600, 800, 3), 200, np.uint8), (224, 224), scaler="opencv:linear").suspicious
    False

    Parameters
    ----------
    image
        uint8 (H, W) or (H, W, C), or a file's path or bytes, which Pillow opens (upright, RGB). Of a JPEG file the
        coefficients are looked at first, which decoders that scale make another picture of: see ``examine_file``;
        needs jpeglib (the extra ``jpeg``), and ``note`` says so where it is missing.
    size
        (height, width) of what the model gets; by default those are tried of the sizes that models are fed with, or any
        other, that stand out in the picture's spectrum.
    scaler
        Names of scalers; by default one for each way of sampling is tried.
    front_end
        Names in ``FRONT_ENDS``, or patterns of them: their rules for the size, and their scalers unless ``scaler`` is
        given.
    calibration, rate
        As in :func:`~secure_resize.detect.examine`; the rate is 0.001, or 0.01 where size or scaler have to be tried.

    Returns
    -------
    The suspicion of the target that the picture is most suspicious of. Nothing that could be attacked is no suspicion.

    Raises
    ------
    TypeError, ValueError
        As :func:`~secure_resize.detect.examine`; a file that is no picture.
    """
    picture, data = _opened(image)
    in_size = (picture.shape[0], picture.shape[1])
    scalers = KINDS if scaler is None else (scaler,) if isinstance(scaler, str) else tuple(scaler)
    tried = None
    if front_end is not None:
        if size is not None:
            raise TypeError("size and front_end exclude each other: a front end has its own rule for the size")
        targets = _front_ends((front_end,) if isinstance(front_end, str) else front_end, in_size, scaler)
    elif size is None:
        targets, tried = likely_targets(picture, scalers=scalers)
    else:
        targets = [Target(one, (size[0], size[1])) for one in scalers]
    note = not_looked_at(data) if data is not None else ""
    if not targets:
        answer = examine_file(data) if data is not None else None
        if answer is None or not answer.suspicious:
            said = "; ".join(filter(None, ["smaller than what models are fed with", note]))
            answer = Suspicion(False, 0.0, 0.0, 1.0, "", "", in_size, note=said)
        return answer
    known = rate if rate is not None else RATE if len(targets) == 1 else UNKNOWN_RATE
    answer = examine(picture, targets, calibration=calibration, file=data, rate=known, tried=tried)[0]
    return (
        answer if answer.suspicious or not note else replace(answer, note="; ".join(filter(None, [answer.note, note])))
    )


def _front_ends(names: Sequence[str], in_size: tuple[int, int], scaler: Any) -> list[Target]:
    """Sizes and scalers of the front ends' rows, each once."""
    found = []
    for row in select_front_ends(tuple(names)):
        scalers = row.scalers if scaler is None else (scaler,) if isinstance(scaler, str) else scaler
        found += [Target(one, size) for size in row.sizes(*in_size) for one in scalers]
    return list(dict.fromkeys(found))


def _opened(image: Any) -> tuple[Image, bytes | None]:
    """The picture, and the bytes it came from."""
    if isinstance(image, np.ndarray):
        return image, None
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    operations = load("PIL.ImageOps")
    try:
        with open_picture(data) as picture:
            return np.asarray(operations.exif_transpose(picture).convert("RGB")), data
    except Exception as error:  # whatever a reader of Pillow's raises for a broken file
        raise ValueError(f"no picture that Pillow can read: {error}") from None
