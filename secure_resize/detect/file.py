"""A file before it is decoded: a JPEG file's coefficients may hold another picture for decoders that scale.

See :mod:`secure_resize.measure.clipping` for what is measured. Rows of this kind need no target: what they find is in
the file, whatever resize comes after.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..decoding import open_picture
from ..measure.clipping import THRESHOLDS, WINDOW, Overshoot, overshoot
from .detectors import DETECTORS, Measured, register_detector
from .targets import KINDS, Image, Suspicion, Target
from .views import View

__all__ = ["examine_file", "not_looked_at"]

# Of 9336 honest files none is suspicious (benchmarks/jpeg_detection.py); the upper end of the interval of 95 %.
_HONEST = 3.2e-4
_ORIENTATION = 0x0112  # Exif


@lru_cache(maxsize=1)
def _coefficients(file: bytes) -> Overshoot | str:
    """What the coefficients say, or why they cannot be read; ``""`` for what is no JPEG file."""
    if not file.startswith(b"\xff\xd8\xff"):
        return ""
    try:
        return overshoot(file)
    except (ImportError, ValueError) as error:
        return " ".join(str(error).split())


def not_looked_at(file: bytes) -> str:
    """Why the coefficients of a JPEG file were not looked at; ``""`` where they were, and for other files."""
    found = _coefficients(file)
    return found if isinstance(found, str) else ""


@register_detector(
    "overshoot",
    decides=True,
    smallest=1,
    fixed=(1.0, _HONEST),
    of_file=True,
    source="this project",
    summary="a JPEG file's means before and after they are cut off to black and white, as multiples of a threshold",
)
def _overshoot(view: View) -> Measured | None:
    """The score of the file's coefficients, and the window of the scale that differs most."""
    found = _coefficients(view.file) if view.file is not None else ""
    if isinstance(found, str):
        return None
    if found.levels[found.scale] < THRESHOLDS[found.scale]:
        return Measured(found.score)  # nothing, or what inexact decoders alone show
    side, (top, left) = WINDOW * found.scale, found.place
    height, width = found.size
    return Measured(found.score, (top, left, min(side, height - top), min(side, width - left)), scale=found.scale)


def examine_file(file: bytes) -> Suspicion | None:
    """Is another picture hidden in the file itself, for decoders that scale or that are not exact?

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((128, 128), 200, np.uint8), np.full((16, 16), 20, np.uint8)
    >>> examine_file(sr.attacks.craft_file(source, target, "pillow:draft").data).suspicious
    True

    The suspicion names no scaler; its ``size`` and ``hidden`` are those of the scaled decode that differs, or the whole
    file's and None where inexact decoders alone show something else. ``box`` is None where the file says that it is to
    be turned. None for a file that no row has anything to say of: see :func:`not_looked_at`.
    """
    worst: tuple[float, str, Measured] | None = None
    view = View(np.zeros((1, 1, 3), np.uint8), Target(KINDS[0], (1, 1)), file)
    for row in DETECTORS.values():
        if row.decides and row.of_file and row.fixed is not None:
            one = row.measure(view)
            if one is not None and (worst is None or one.score / row.fixed[0] > worst[0]):
                worst = one.score / row.fixed[0], row.name, one
    if worst is None:
        return None
    _, name, found = worst
    threshold, share = DETECTORS[name].fixed or (1.0, 1.0)
    suspicious = found.score >= threshold
    hidden, size, upright = _decoded(file, found.scale if suspicious else 1)
    box = found.box or (0, 0, *size) if upright else None
    return Suspicion(suspicious, found.score, threshold, share if suspicious else 1.0, name, "", size, box, hidden)


def _decoded(file: bytes, scale: int) -> tuple[Image | None, tuple[int, int], bool]:
    """What a decoder that scales shows, its size, and whether the file is not to be turned."""
    with open_picture(file, ["JPEG"]) as picture:
        try:
            upright = picture.getexif().get(_ORIENTATION, 1) == 1
        except Exception:  # whatever Pillow raises for a broken directory
            upright = False
        if scale == 1:
            return None, (picture.height, picture.width), upright
        picture.draft(picture.mode, (max(picture.width // scale, 1), max(picture.height // scale, 1)))
        size = picture.height, picture.width
        try:
            return np.asarray(picture if picture.mode in ("L", "RGB") else picture.convert("RGB")), size, upright
        except OSError:  # it ends early
            return None, size, upright
