"""The detectors that decide, a row each: how little a scaler's output is what a clean picture would give.

Two ideas. *Difference*: a sampling scaler's output against robust scaling's; aliasing differs at random, a hidden
picture the same way over many outputs. *Phase*: what the scaler reads against what lies beside it in the source. A
clean picture does not know where the scaler reads, so the same is measured a step further on, where it does not
read, and what it reads may not stand out any more than that. A hidden picture has to.

A row's function takes a :class:`View` and returns :class:`Measured`; scores rise with suspicion, and are positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import Registry
from .fields import box_mean, energy, inner, peak
from .views import View

__all__ = ["DETECTORS", "WINDOWS", "Detector", "Measured", "register_detector"]

FloatArray = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]

WINDOWS = (3, 5, 9)
# Squared levels a channel that rounding and faint noise may have; less than that is not worth telling apart.
FLOOR = 4.0
# How much wider the window is over which clean pixels are measured, and the ring around it.
MARGIN, RING = 1, 3
# Windows from this on are measured by chance as they are themselves, smaller ones by their energies.
LARGE = 9


@dataclass(frozen=True)
class Measured:
    """What a row found: its ``score``, and the ``box`` (top, left, height, width) of outputs where, None for all.

    ``bound``: levels RMS that it proves to be hidden, see :mod:`.certificate`. Of a row of the file, ``box`` is in the
    file's pixels, and 1/``scale`` is the scale of the decoding that shows something else.
    """

    score: float
    box: Box | None = None
    bound: float = 0.0
    scale: int = 1


Measure = Callable[[View], Measured | None]


@dataclass(frozen=True)
class Detector:
    """A row: ``measure(view)``. Only rows that ``decide`` count in a :class:`Suspicion`; others are for comparison.

    ``measure`` gives None where it has nothing to say. ``smallest``: the least side of an output that it can be
    measured on. ``source``: who described it. ``fixed``: a threshold of its own, with the share of clean pictures that
    reach it, for a row that is not calibrated by scaler and ratio; it decides beside the others, and its share of false
    positives comes on top of theirs. ``whole``: it averages over all outputs, rather than taking the worst window.
    ``of_file``: it looks at the view's file alone, whatever the target; it is ``fixed``.
    """

    name: str
    measure: Measure
    decides: bool
    smallest: int = 3
    source: str = ""
    summary: str = ""
    fixed: tuple[float, float] | None = None
    whole: bool = False
    of_file: bool = False


DETECTORS: Registry[Detector] = Registry("detector")


def register_detector(name: str, *, decides: bool = False, **facts: Any) -> Callable[[Measure], Measure]:
    """Register the decorated function as the detector ``name``; a name that is taken raises ValueError.

    ``facts`` are the other fields of :class:`Detector`.
    """

    def register(measure: Measure) -> Measure:
        DETECTORS.add(Detector(name, measure, decides, **facts))
        return measure

    return register


@dataclass(frozen=True, eq=False)
class _Phases:
    """What the phase rows share: what stands out where the scaler reads and where it does not, (h, w, C) without the
    border, beyond which either reads; its energies (h, w) and their means.
    """

    read: FloatArray
    unread: FloatArray
    energies: tuple[FloatArray, FloatArray]
    means: tuple[float, float]
    by_chance: dict[int, float] = field(default_factory=dict)


def _phases(view: View) -> _Phases:
    if "phases" not in view.shared:
        read, unread = (inner(x, 1) for x in (view.read, view.unread))
        energies = energy(read), energy(unread)
        view.shared["phases"] = _Phases(read, unread, energies, (float(energies[0].mean()), float(energies[1].mean())))
    found: _Phases = view.shared["phases"]
    return found


def _phase(side: int, power: bool, view: View) -> Measured:
    """Over each window of ``side``: the mean of what stands out, squared, or (``power``) of how much it does, squared.

    The mean's square is divided by the variance in the window as well, as in Student's t: a single dot has no mean.
    """
    known, floor = _phases(view), FLOOR * view.source.shape[2]
    near = box_mean(known.energies[1], side + 2 * MARGIN)
    near += np.float32(floor + known.means[1])
    score, place = peak(_stands_out(known.read, known.energies[0], near, side, power))
    place = place[0] + MARGIN + 1, place[1] + MARGIN + 1
    return Measured(score / math.sqrt(_by_chance(known, side, power, floor)), (*place, side, side))


def _stands_out(image: FloatArray, squares: FloatArray, near: FloatArray, side: int, power: bool) -> FloatArray:
    """Of all windows, against ``near``; ``squares`` is the energy of ``image``."""
    squares = inner(squares, MARGIN)
    if power:
        return np.asarray(np.square(box_mean(np.sqrt(squares), side)) * np.float32(side) / near)
    mean = energy(box_mean(inner(image, MARGIN), side))
    return np.asarray(mean * np.float32(side**2) / (near + np.maximum(box_mean(squares, side) - mean, 0)))


def _by_chance(known: _Phases, side: int, power: bool, floor: float) -> float:
    """The same with the two exchanged: how much what is not read stands out of what is read; 1 at least.

    It is a picture's own measure of how high clean pixels score; for small windows, of energies, which is quicker.
    """
    power = power or side < LARGE
    if side not in known.by_chance:
        near = box_mean(known.energies[0], side + 2 * MARGIN)
        near += np.float32(floor + min(known.means))
        found = _stands_out(known.unread, known.energies[1], near, side, power)
        known.by_chance[side] = max(1.0, peak(found)[0])
    return known.by_chance[side]


for _side in WINDOWS:
    register_detector(f"phase{_side}", decides=True, smallest=_side + 2 * MARGIN + 2)(partial(_phase, _side, False))
    register_detector(f"phase{_side}_energy", decides=_side == 5, smallest=_side + 2 * MARGIN + 2)(
        partial(_phase, _side, True)
    )


@register_detector("phase", decides=True, whole=True)
def _phase_whole(view: View) -> Measured:
    """Over the whole picture."""
    read, unread = _phases(view).means
    return Measured(read / (unread + view.source.shape[2]))


def _difference(side: int, power: bool, view: View) -> Measured:
    """Deployed minus robust over each window, over the robust picture's variance and the energy of the ring around."""
    change, wide = view.difference, side + 2 * RING
    squares = energy(change)
    inside = box_mean(squares, side)
    found = inside if power else energy(box_mean(change, side))
    robust = view.robust
    variance = (box_mean(robust * robust, wide) - box_mean(robust, wide) ** 2).sum(axis=2)
    ring = (box_mean(squares, wide) * wide**2 - inner(inside, RING) * side**2) / (wide**2 - side**2)
    score, place = peak(inner(found, RING) / (np.maximum(variance, 0) + ring + FLOOR * change.shape[2]))
    return Measured(score, (place[0] + RING, place[1] + RING, side, side))


for _side in WINDOWS:
    register_detector(f"difference{_side}", smallest=_side + 2 * RING)(partial(_difference, _side, False))
register_detector("difference5_energy", smallest=5 + 2 * RING)(partial(_difference, 5, True))


@register_detector("difference", smallest=5, whole=True)
def _difference_whole(view: View) -> Measured:
    """The share of the difference that is left of it when it is averaged over 5×5 outputs."""
    change = view.difference
    kept = float(energy(box_mean(change, 5)).mean())
    return Measured(kept / (float(energy(change).mean()) + change.shape[2]))
