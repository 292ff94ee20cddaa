"""The detectors that decide, a row each: how little a scaler's output is what a clean picture would give.

Two ideas. *Difference*: a sampling scaler's output against robust scaling's; aliasing differs at random, a hidden
picture the same way over many outputs. *Phase*: what the scaler reads against what lies beside it in the source. A
clean picture does not know where the scaler reads, so the same is measured half a ratio further on, where it does not
read, and what it reads may not stand out any more than that. A hidden picture has to.

A row's function takes a :class:`View` and returns :class:`Measured`; scores rise with suspicion, and are positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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


@dataclass(frozen=True)
class Measured:
    """What a row found: its ``score``, and the ``box`` (top, left, height, width) of outputs where, None for all."""

    score: float
    box: Box | None = None


Measure = Callable[[View], Measured]


@dataclass(frozen=True)
class Detector:
    """A row: ``measure(view)``. Only rows that ``decide`` count in a :class:`Suspicion`; others are for comparison.

    ``smallest``: the least side of an output that it can be measured on. ``source``: who described it.
    """

    name: str
    measure: Measure
    decides: bool
    smallest: int = 3
    source: str = ""
    summary: str = ""


DETECTORS: Registry[Detector] = Registry("detector")


def register_detector(
    name: str, *, decides: bool = False, smallest: int = 3, source: str = "", summary: str = ""
) -> Callable[[Measure], Measure]:
    """Register the decorated function as the detector ``name``; a name that is taken raises ValueError."""

    def register(measure: Measure) -> Measure:
        DETECTORS.add(Detector(name, measure, decides, smallest, source, summary))
        return measure

    return register


def _phase(side: int, power: bool, view: View) -> Measured:
    """Over each window of ``side``: the mean of what stands out, squared, or (``power``) the mean of its squares."""
    margin = MARGIN + 1  # the outputs at the border read beyond it
    read, unread = inner(view.read, margin - 1), inner(view.unread, margin - 1)
    floor = FLOOR * len(read)
    found, other = (_stands_out(x, side, power) for x in (read, unread))
    energies = [energy(x) for x in (unread, read)]
    means = [float(x.mean()) for x in energies]
    near = [box_mean(x, side + 2 * MARGIN) for x in energies]
    near[0] += floor + means[0]
    near[1] += floor + min(means)
    score, place = peak(inner(found, MARGIN) / near[0])
    clean, _ = peak(inner(other, MARGIN) / near[1])
    return Measured(score / max(1.0, clean) ** 0.5, (place[0] + margin, place[1] + margin, side, side))


def _stands_out(planes: FloatArray, side: int, power: bool) -> FloatArray:
    if power:
        return box_mean(energy(planes), side) * np.float32(side)
    return energy(box_mean(planes, side)) * np.float32(side**2)


for _side in WINDOWS:
    register_detector(f"phase{_side}", decides=True, smallest=_side + 4)(partial(_phase, _side, False))
for _side in WINDOWS[:2]:
    register_detector(f"phase{_side}_energy", decides=True, smallest=_side + 4)(partial(_phase, _side, True))


@register_detector("phase", decides=True)
def _phase_whole(view: View) -> Measured:
    """Over the whole picture."""
    read, unread = (float(energy(x).mean()) for x in (view.read, view.unread))
    return Measured(read / (unread + len(view.read)))


def _difference(side: int, power: bool, view: View) -> Measured:
    """Deployed minus robust over each window, over the robust picture's variance and the energy of the ring around."""
    change, wide = view.difference, side + 2 * RING
    squares = energy(change)
    inside = box_mean(squares, side)
    found = inside if power else energy(box_mean(change, side))
    robust = view.robust
    variance = (box_mean(robust * robust, wide) - box_mean(robust, wide) ** 2).sum(axis=0)
    ring = (box_mean(squares, wide) * wide**2 - inner(inside, RING) * side**2) / (wide**2 - side**2)
    score, place = peak(inner(found, RING) / (np.maximum(variance, 0) + ring + FLOOR * len(change)))
    return Measured(score, (place[0] + RING, place[1] + RING, side, side))


for _side in WINDOWS:
    register_detector(f"difference{_side}", smallest=_side + 2 * RING)(partial(_difference, _side, False))
register_detector("difference5_energy", smallest=5 + 2 * RING)(partial(_difference, 5, True))


@register_detector("difference", decides=True, smallest=5)
def _difference_whole(view: View) -> Measured:
    """The share of the difference that is left of it when it is averaged over 5×5 outputs."""
    change = view.difference
    kept = float(energy(box_mean(change, 5)).mean())
    return Measured(kept / (float(energy(change).mean()) + len(change)))
