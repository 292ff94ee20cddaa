"""One picture as front ends see it: every view, the robust version beside it, and how suspicious that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

__all__ = ["AVERAGES", "SAME", "Inspected", "Seen", "averages", "look_at"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
Part = tuple[int, int, int, int]
# What the calibration knows under another library's name: these read the same pixels, with the same weights.
SAME = {"keras:bilinear": "opencv:linear"}
AVERAGES = "averages all pixels: what it gives is what a person sees"
# Filters that average at every ratio where they widen with it: of a radius of a pixel at least.
_WIDENING = {"bilinear", "hamming", "bicubic", "lanczos", "lanczos3", "lanczos5", "mitchellcubic", "gaussian"}
_BLURS = ("kornia", "skimage")  # whose antialiasing is a blur, which leaves something at ratios below 2
# From so many levels (RMS) on, a library did not do what its row says.
OTHERWISE = 3.0


@dataclass(frozen=True, eq=False)
class Seen:
    """What one front end, by one filter, makes of the picture.

    ``front_end`` and ``filter`` are names; ``image`` uint8 (h, w, 3) is what the model would see, ``robust`` the same
    part by robust scaling; ``size`` that of the whole picture, or of ``part`` of it (:class:`.View`), scaled.
    ``suspicion`` is None where nothing but the picture can be shown, and ``note`` says why. ``reading``: how the file
    was read for it. ``run``: whether this is what the real library gave. ``text``: what can be read in it alone.
    """

    front_end: str
    filter: str
    image: Image
    robust: Image
    size: Size
    reading: str
    run: bool
    suspicion: Suspicion | None
    part: Part | None = None
    note: str = ""
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
    looked: Mapping[str, list[View] | str] | None = None,
) -> Inspected:
    """Look at a file as ``front_ends`` do; or as ``scalers`` make ``sizes`` of it, all plausible ones for none.

    ``readings`` as :func:`.readings.read_as` gives them, of the same ``data``; ``looked`` as :func:`.running.run_all`
    gives it: what the installed front ends made of it, which are run here otherwise. Raises ImportError where a scaler
    that is named is not installed.
    """
    seen: list[Seen] = []
    problems: dict[str, str] = {}
    if front_ends:
        for row in front_ends:
            try:
                seen += _by_front_end(row, data, readings, looked, problems)
            except Exception as error:  # of somebody else's library, about somebody else's file
                problems[row.name] = f"{type(error).__name__}: {error}"
    else:
        for reading in readings:
            seen += _by_targets(reading, sizes, scalers)
    seen = _judged(seen, readings, rate=None if front_ends or not (sizes and scalers) else 0.001)
    return Inspected(list(readings), seen, problems, _overshoot(data, problems))


def _by_front_end(
    row: FrontEnd,
    data: bytes,
    readings: Sequence[Reading],
    looked: Mapping[str, list[View] | str] | None,
    problems: dict[str, str],
) -> list[Seen]:
    if not row.installed:
        return list(_by_rule(row, readings))
    assert row.look is not None
    views = row.look(data) if looked is None else looked[row.name]
    if isinstance(views, str):
        problems[row.name] = views
        return []
    seen = []
    for view in views:
        reading, apart = _read_by(row, view, readings)
        if row.scalers and apart > OTHERWISE:
            problems[row.name] = f"it did not scale as its row says: {apart:.1f} levels (RMS) from {row.scalers[0]}"
        note = AVERAGES if row.samples is False else f"not judged: no scaler here does the same ({row.filter})"
        scaler = row.scalers[0] if row.scalers else row.filter
        seen.append(_seen(row.name, scaler, view, reading, run=True, note=note))
    return seen


def _by_rule(row: FrontEnd, readings: Sequence[Reading]) -> Iterable[Seen]:
    """Of what cannot be run here: what each filter that it may have would make of each reading."""
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


def _seen(front_end: str, filter: str, view: View, reading: Reading, *, run: bool, note: str = "") -> Seen:
    robust = view.by(_robust, reading.image)
    return Seen(front_end, filter, view.image, robust, view.size, reading.name, run, None, view.part, note)


def _robust(image: Image, size: Size) -> Image:
    return np.asarray(resize(image, size))


def _read_by(row: FrontEnd, view: View, readings: Sequence[Reading]) -> tuple[Reading, float]:
    """The reading that the library started from: the one whose scaled picture is nearest to what it gave; how near."""

    def apart(reading: Reading) -> float:
        scale: Callable[[Image, Size], Image] = _robust
        if row.scalers and SCALERS[name := SAME.get(row.scalers[0], row.scalers[0])].installed:
            scale = SCALERS[name]
        made = view.by(scale, reading.image)
        return rms(made, view.image) if made.shape == view.image.shape else np.inf

    found = [apart(reading) for reading in readings]
    least = int(np.argmin(found))
    return readings[least], found[least]


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
    asked: dict[tuple[str, Part | None], set[Target]] = {}
    for one in seen:
        if not _averages(one) and (name := SAME.get(one.filter, one.filter)) in SCALERS:
            asked.setdefault((one.reading, one.part), set()).add(Target(name, one.size))
    tried = sum(map(len, asked.values()))
    images = {reading.name: reading.image for reading in readings}
    found: dict[tuple[str, Part | None, str, Size], Suspicion] = {}
    for (reading, part), targets in asked.items():
        image = images[reading]
        if part is not None:
            image = np.ascontiguousarray(image[part[0] : part[0] + part[2], part[1] : part[1] + part[3]])
        for suspicion in examine(image, sorted(targets), rate=rate or UNKNOWN_RATE, tried=tried):
            found[reading, part, suspicion.scaler, suspicion.size] = _on_whole(suspicion, part)
    return [replace(one, suspicion=_verdict(one, found)) for one in seen]


def _averages(one: Seen) -> bool:
    return averages(one.filter) if one.filter in SCALERS else one.note == AVERAGES


def averages(name: str) -> bool:
    """Whether a scaler's filter is wider than a pixel and widens with the ratio, whatever the sizes.

    So that it need not be measured. Measured at the sizes that are asked for are OpenCV's area, which samples where one
    axis is enlarged; box, of which footprints may share pixels or leave some out; and what blurs and then samples.
    """
    scaler = SCALERS[name]
    filter = scaler.algorithm.removesuffix("+antialias")
    widens = bool(scaler.kernel) or (filter != scaler.algorithm and scaler.library not in _BLURS)
    return scaler.kernel == "area" or (widens and filter in _WIDENING)


def _verdict(one: Seen, found: Mapping[tuple[str, Part | None, str, Size], Suspicion]) -> Suspicion | None:
    if _averages(one):
        return Suspicion(False, 0.0, 0.0, 1.0, "", one.filter, one.size, note=AVERAGES)
    suspicion = found.get((one.reading, one.part, SAME.get(one.filter, one.filter), one.size))
    return None if suspicion is None else replace(suspicion, scaler=one.filter)


def _on_whole(found: Suspicion, part: Part | None) -> Suspicion:
    """With the box on the whole picture."""
    if part is None or found.box is None:
        return found
    return replace(found, box=(found.box[0] + part[0], found.box[1] + part[1], *found.box[2:]))


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
