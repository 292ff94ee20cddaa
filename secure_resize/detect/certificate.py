"""What is certain of a picture that a scaler shows: how far it lies from what a person sees.

Let D be what the deployed scaler makes of a picture and M the exact mean of each output's part of it, which is what a
person sees at that size. Take any picture S with the same means M, of which the scaler's output, averaged over 5×5
outputs, lies no further than *a* from M: a picture that aliases by *a*. By the triangle inequality what the scaler
shows of this picture then lies at least ‖mean of D - M over the 5×5‖ - a from what it shows of S, RMS over the same
outputs (an average never exceeds the root mean square). For *a* the picture itself is asked: how much its output
aliases at most when the scaler reads a step further on. With half a level for each rounding of M this is a proof,
for that *a*; that S aliases no more than this picture does where nobody reads is what it assumes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..core import line_energy
from ..core.windows import window_sums
from .detectors import Measured, register_detector
from .fields import Box, around, lines, peak
from .views import View

__all__ = ["SIDE", "hidden_levels"]

SIDE = 5
# Levels by which M may be off: it is rounded, once here and once where nothing is read.
ROUNDING = 1.0


def hidden_levels(view: View) -> tuple[float, float, tuple[int, int]]:
    """Levels RMS: the furthest that 5×5 outputs lie from what is seen, the same a step on; the first's place."""
    (here, place), (there, _) = peak(_energy(view.difference)), peak(_energy(view.aliasing))
    return _levels(here, view), _levels(there, view), place


def _energy(change: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Of all 5×5 outputs, the energy of the sum."""
    channels = change.shape[2]
    return line_energy(window_sums(lines(change), SIDE, channels), channels)


def _levels(energy: float, view: View) -> float:
    return math.sqrt(energy / view.source.shape[2]) / SIDE**2


def _reach(view: View, score: float) -> Box:
    moved, clean, _ = hidden_levels(view)
    energies = _energy(view.difference)
    least = (score * (clean + ROUNDING) / moved) ** 2 * float(energies.max())
    return around(energies >= min(least, float(energies.max())), SIDE)


@register_detector(
    "certificate",
    decides=True,
    smallest=SIDE,
    summary="how far outputs lie from what is seen, beside where nothing is read",
    reach=_reach,
)
def _certificate(view: View) -> Measured:
    moved, clean, place = hidden_levels(view)
    return Measured(moved / (clean + ROUNDING), (*place, SIDE, SIDE), max(0.0, moved - clean - ROUNDING))
