"""One picture as front ends see it: every view, the robust version beside it, and how suspicious that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..detect import KINDS, UNKNOWN_RATE, Suspicion, Target, examine, plausible_targets
from ..front_ends import FrontEnd, View
from ..measure.clipping import overshoot
from ..measure.quality import rms
from ..measure.scalers import SCALERS
from ..scaling import resize
from .readings import Reading

__all__ = ["Inspected", "Seen", "look_at"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Seen:
    """What one front end, by one filter, makes of the picture.

    ``front_end`` and ``filter`` are names; ``image`` uint8 (h, w, 3) is what the model would see, ``robust`` the same
    part by robust scaling; ``size`` that of the whole picture, scaled. ``suspicion`` is None where the filter is none
    that is known by name, so that nothing but the picture can be shown. ``reading``: how the file was read for it.
    ``run``: whether this is what the real library gave. ``text``: what can be read in it alone.
    """

    front_end: str
    filter: str
    image: Image
    robust: Image
    size: Size
    reading: str
    run: bool
    suspicion: Suspicion | None
    text: list[str] = field(default_factory=list)

    @property
    def apart(self) -> float:
        """Levels (RMS) between what the model would see and the robust version."""
        return rms(self.image, self.robust)

    @property
    def suspicious(self) -> bool:
        """Whether a detector says so, or text was read in it that the picture has not."""
        return bool(self.text) or (self.suspicion is not None and self.suspicion.suspicious)


@dataclass(frozen=True, eq=False)
class Inspected:
    """One picture: its readings, what was seen of each, what could not be looked at, and a JPEG file's overshoot."""

    readings: list[Reading]
    seen: list[Seen]
    problems: dict[str, str]
    file: dict[str, Any] | None = None

    @property
    def worst(self) -> Seen | None:
        """The most suspicious view."""
        judged = [one for one in self.seen if one.suspicion is not None]
        return min(judged, key=_rank, default=None)

    @property
    def suspicious(self) -> bool:
        """Whether anything is."""
        return any(one.suspicious for one in self.seen) or bool(self.file and self.file["suspicious"])


def _rank(seen: Seen) -> tuple[bool, float, float]:
    found = seen.suspicion
    assert found is not None
    return not seen.suspicious, found.p_value, -found.score / found.threshold if found.threshold else 0.0


def look_at(
    data: bytes,
    readings: Sequence[Reading],
    *,
    front_ends: Sequence[FrontEnd] = (),
    sizes: Sequence[Size] = (),
    scalers: Sequence[str] = (),
) -> Inspected:
    """Look at a file as ``front_ends`` do; or as ``scalers`` make ``sizes`` of it, all plausible ones for none.

    ``readings`` as :func:`.readings.read_as` gives them, of the same ``data``. Raises ImportError where a scaler that
    is named is not installed.
    """
    seen: list[Seen] = []
    problems: dict[str, str] = {}
    if front_ends:
        for row in front_ends:
            try:
                seen += list(_by_front_end(row, data, readings))
            except Exception as error:  # of somebody else's library, about somebody else's file
                problems[row.name] = f"{type(error).__name__}: {error}"
    else:
        for reading in readings:
            seen += _by_targets(reading, sizes, scalers)
    seen = _judged(seen, readings, rate=None if front_ends or not (sizes and scalers) else 0.001)
    return Inspected(list(readings), seen, problems, _overshoot(data, problems))


def _by_front_end(row: FrontEnd, data: bytes, readings: Sequence[Reading]) -> Iterable[Seen]:
    if row.installed:
        assert row.look is not None
        for view in row.look(data):
            reading = _read_by(row, view, readings)
            scaler = row.scalers[0] if row.scalers and view.part is None else ""
            yield _seen(row.name, scaler or row.filter, view, reading, run=True)
        return
    height, width = readings[0].image.shape[:2]
    if not row.sizes(height, width):
        return  # its user says to which size
    for reading in readings:
        height, width = reading.image.shape[:2]
        for size in row.sizes(height, width):
            for scaler in row.scalers:
                if SCALERS[scaler].installed:
                    view = View(SCALERS[scaler](reading.image, size), size)
                    yield _seen(row.name, scaler, view, reading, run=False)


def _seen(front_end: str, filter: str, view: View, reading: Reading, *, run: bool) -> Seen:
    robust = view.by(_robust, reading.image)
    return Seen(front_end, filter, view.image, robust, view.size, reading.name, run, None)


def _robust(image: Image, size: Size) -> Image:
    return np.asarray(resize(image, size))


def _read_by(row: FrontEnd, view: View, readings: Sequence[Reading]) -> Reading:
    """The reading that the library started from: the one whose scaled picture is nearest to what it gave."""

    def apart(reading: Reading) -> float:
        scale: Callable[[Image, Size], Image] = _robust
        if row.scalers and SCALERS[row.scalers[0]].installed:
            scale = SCALERS[row.scalers[0]]
        made = view.by(scale, reading.image)
        return rms(made, view.image) if made.shape == view.image.shape else np.inf

    return min(readings, key=apart)


def _by_targets(reading: Reading, sizes: Sequence[Size], scalers: Sequence[str]) -> Iterable[Seen]:
    in_size = (reading.image.shape[0], reading.image.shape[1])
    if sizes:
        targets = [Target(scaler, size) for scaler in scalers or KINDS for size in sizes]
    else:
        targets = plausible_targets(in_size, scalers=scalers or KINDS)
    for target in targets:
        if scalers or SCALERS[target.scaler].installed:
            made = SCALERS[target.scaler](reading.image, target.size)
            name = f"{target.scaler} {target.size[0]}x{target.size[1]}"
            yield _seen(name, target.scaler, View(made, target.size), reading, run=False)


def _judged(seen: list[Seen], readings: Sequence[Reading], rate: float | None) -> list[Seen]:
    """With the suspicions: each reading against all the scalers and sizes with which it was looked at, once.

    The false-positive rate is that of the picture: it is divided among all of them.
    """
    found: dict[tuple[str, str, Size], Suspicion] = {}
    targets = {
        reading.name: {
            Target(one.filter, one.size) for one in seen if one.reading == reading.name and one.filter in SCALERS
        }
        for reading in readings
    }
    tried = sum(map(len, targets.values()))
    for reading in readings:
        if targets[reading.name]:
            chosen = sorted(targets[reading.name])
            for suspicion in examine(reading.image, chosen, rate=rate or UNKNOWN_RATE, tried=tried):
                found[reading.name, suspicion.scaler, suspicion.size] = suspicion
    return [replace(one, suspicion=found.get((one.reading, one.filter, one.size))) for one in seen]


def _overshoot(data: bytes, problems: dict[str, str]) -> dict[str, Any] | None:
    """What the coefficients of a JPEG file say; None for another file."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        found = overshoot(bytes(data))
    except (ImportError, ValueError) as error:
        problems["the file's coefficients"] = str(error)
        return None
    return {
        "suspicious": found.suspicious,
        "score": round(found.score, 4),
        "levels": {str(scale): round(value, 2) for scale, value in found.levels.items()},
        "beyond": round(found.beyond, 1),
        "scale": found.scale,
        "place": list(found.place),
    }
