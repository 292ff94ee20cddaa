"""What is asked and what is answered: a scaler and a size that an attack may aim at, and the suspicion of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import SCALERS
from ..scaling import check_size

__all__ = ["KINDS", "SIZES", "Suspicion", "Target", "as_targets", "plausible_targets"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

# One scaler for each way in which libraries sample: which pixels nearest takes, and the widths and
# weights of the rest. A picture made for another library's scaler of the same kind reads the same pixels.
KINDS = ("opencv:nearest", "pillow:nearest", "opencv:linear", "opencv:cubic", "tensorflow:bicubic")
# The sides that image models are fed with.
SIZES = (224, 256, 299, 320, 336, 384, 416, 448, 512, 640)
# Below this ratio on both axes the filters read (nearly) every pixel, and nothing is hidden.
SMALLEST_RATIO = 1.5


@dataclass(frozen=True, order=True)
class Target:
    """What an attack may aim at: the ``scaler`` (a name in ``SCALERS``) and the ``size`` (height, width) it gives."""

    scaler: str
    size: Size

    def __post_init__(self) -> None:
        if not isinstance(self.scaler, str):
            raise TypeError(f"scaler must be the name of a scaler, got {type(self.scaler).__name__}")
        SCALERS[self.scaler]
        object.__setattr__(self, "size", check_size(self.size))

    def __str__(self) -> str:
        return f"{self.scaler} {self.size[0]}x{self.size[1]}"


@dataclass(frozen=True, eq=False)
class Suspicion:
    """One picture against one :class:`Target`: is what the scaler makes of it another picture than the one seen?

    ``suspicious``: ``p_value`` is at most the false-positive rate that was asked for. ``detector`` names the row of
    :data:`DETECTORS` that finds this least like clean pictures, ``score`` is what it measured, and ``threshold`` the
    score from which on this row would find a picture suspicious. ``p_value``: how many of a hundred clean pictures,
    divided by a hundred, would be found at least as suspicious by any row against any of the targets that were looked
    at; an estimate where it is smaller than the calibration has pictures. Of a picture that is not suspicious, the
    ``score`` is no less than what would be measured, and ``p_value`` no more: what would take longer and cannot decide
    is left out. ``scaler`` and ``size`` are the target's,
    ``box`` (top, left, height, width) is where on the source, in its pixels: around all windows that reach the
    threshold, of a picture that is not suspicious the worst one; None where nothing was looked at.
    ``hidden`` is what the scaler makes of the picture, uint8 like it. ``bound``: levels RMS of a change that a person
    cannot see in the robust picture and the scaler shows for certain; 0 where none is proved (see :mod:`.certificate`).
    ``note`` says why nothing, or not all of it, could be looked at, where that is so. What :func:`examine_file` finds
    names no scaler, and its ``size`` is that of a decoding that scales.
    """

    suspicious: bool
    score: float
    threshold: float
    p_value: float
    detector: str
    scaler: str
    size: Size
    box: tuple[int, int, int, int] | None = None
    hidden: Image | None = field(default=None, repr=False)
    bound: float = 0.0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything but the picture, in what JSON has."""
        return {
            "suspicious": self.suspicious,
            "score": self.score,
            "threshold": self.threshold,
            "p_value": self.p_value,
            "detector": self.detector,
            "scaler": self.scaler,
            "size": list(self.size),
            "box": None if self.box is None else list(self.box),
            "bound": self.bound,
            "note": self.note,
        }


def as_targets(targets: Iterable[Target]) -> tuple[Target, ...]:
    """``targets`` without repetitions; TypeError or ValueError where they are none."""
    if isinstance(targets, Target):
        return (targets,)
    found = tuple(dict.fromkeys(targets))
    for one in found:
        if not isinstance(one, Target):
            raise TypeError(f"targets must be Target(scaler, size), got {type(one).__name__}")
    if not found:
        raise ValueError("at least one target is needed: Target('opencv:linear', (224, 224))")
    return found


def plausible_targets(
    in_size: Sequence[int], *, sizes: Iterable[Sequence[int]] | None = None, scalers: Iterable[str] = KINDS
) -> list[Target]:
    """What an attack on a picture of ``in_size`` (height, width) may aim at, where nobody says.

    >>> plausible_targets((600, 800), scalers=["opencv:linear"])[0]
    Target(scaler='opencv:linear', size=(224, 224))

    ``sizes``: of the outputs, (height, width); by default the squares of :data:`SIZES`, and what keeps the picture's
    shape with the short side as long as one of them. ``scalers``: names; by default one for each kind of sampling. Only
    sizes below the picture's by a ratio of 1.5 are kept: at less than that a sampling filter reads nearly every pixel.
    """
    height, width = check_size(in_size)
    if sizes is None:
        wanted = [(side, side) for side in SIZES]
        for side in SIZES:
            scale = side / min(height, width)
            wanted.append((round(height * scale), round(width * scale)))
    else:
        wanted = [check_size(size) for size in sizes]
    kept = [size for size in dict.fromkeys(wanted) if min(height / size[0], width / size[1]) >= SMALLEST_RATIO]
    return [Target(scaler, size) for size in kept for scaler in scalers]
