"""The detectors that decide, a row each: how little a scaler's output is what a clean picture would give.

Two ideas. *Difference*: a sampling scaler's output against robust scaling's; aliasing differs at random, a hidden
picture the same way over many outputs. *Phase*: what the scaler reads against what lies beside it in the source, and
both against the same where it does not read (:mod:`.phases`).

A row's function takes a :class:`View` and returns :class:`Measured`; scores rise with suspicion, and are positive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..registry import Registry
from .fields import Box, box_mean, energy, inner, peak
from .phases import FLOOR, UNREAD, phases
from .views import View

__all__ = ["DETECTORS", "WINDOWS", "Detector", "Measured", "register_detector"]

WINDOWS = (3, 5, 9)
# How much wider the window is over which the difference's ring is measured.
RING = 3
# Levels RMS by which all outputs together have to differ from what is seen, to be another picture.
LEAST_WHOLE = 6.0


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
    ``of_file``: it looks at the view's file alone, whatever the target; it is ``fixed``. ``at_most``: of a view,
    numbers that the score never exceeds, ever nearer to it and ever slower to compute; where one of them is no
    suspicion, nothing else is computed. ``reach``: of a view and a score that the view reaches, the box around all that
    reaches it.
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
    at_most: Callable[[View], Iterable[float]] | None = None
    reach: Callable[[View, float], Box] | None = None


DETECTORS: Registry[Detector] = Registry("detector")


def register_detector(name: str, *, decides: bool = False, **facts: Any) -> Callable[[Measure], Measure]:
    """Register the decorated function as the detector ``name``; a name that is taken raises ValueError.

    ``facts`` are the other fields of :class:`Detector`.
    """

    def register(measure: Measure) -> Measure:
        DETECTORS.add(Detector(name, measure, decides, **facts))
        return measure

    return register


def _phase(side: int, power: bool, view: View) -> Measured:
    """The worst window of ``side``: by its mean, or (``power``) by how much its outputs stand out one by one."""
    return Measured(*phases(view).score(side, power))


def _at_most(side: int, power: bool, view: View) -> Iterator[float]:
    return phases(view).at_most(side, power)


def _reach(side: int, power: bool, view: View, score: float) -> Box:
    return phases(view).reach(side, power, score)


for _side in WINDOWS:
    for _power in (False, True):
        register_detector(
            f"phase{_side}_energy" if _power else f"phase{_side}",
            decides=not _power or _side == 5,
            smallest=_side + 2,
            at_most=partial(_at_most, _side, _power),
            reach=partial(_reach, _side, _power),
        )(partial(_phase, _side, _power))


@register_detector("phase", decides=True, whole=True)
def _phase_whole(view: View) -> Measured:
    """Over the whole picture, if what is shown differs from what is seen."""
    known = phases(view)
    if float(energy(view.difference).mean()) < LEAST_WHOLE**2 * view.source.shape[2]:
        return Measured(0.0)
    read, unread = known.read.mean, known.residual(UNREAD[0]).mean
    return Measured(read / (unread + 4 * view.source.shape[2]))


def _difference(side: int, power: bool, view: View) -> Measured:
    """Deployed minus robust over each window, over the robust picture's variance and the energy of the ring around."""
    change, wide = view.difference.astype(np.float32), side + 2 * RING
    squares = energy(change)
    inside = box_mean(squares, side)
    found = inside if power else energy(box_mean(change, side))
    robust = view.robust.astype(np.float32)
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
    change = view.difference.astype(np.float32)
    kept = float(energy(box_mean(change, 5)).mean())
    return Measured(kept / (float(energy(change).mean()) + change.shape[2]))
