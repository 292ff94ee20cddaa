"""What stands out where a scaler reads, and where it does not.

A residual is what the scaler's filter gives at a place, minus the mean of what it gives a step away on two opposite
sides: above and below, or left and right, whichever is nearer, so that edges and lines leave little of it. A hidden
picture lies in the pixels that are read, and stands out there. A clean picture does not know where the scaler reads:
the same, diagonally a step further on, in any of four directions, is as large.

A window's score is the square of its mean residual, over the variance inside and the energy of what is not read around
it. The picture's own score is the largest, over the power EXPONENT of the largest of the four places that are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .. import core
from ..core.windows import window_sums
from ..scaling import resize
from .fields import Box, around, energy, inner, peak
from .views import View

__all__ = ["Phases", "phases"]

FloatArray = npt.NDArray[np.float32]
Lines = npt.NDArray[np.int16]
Place = tuple[int, int]

# Squared levels a channel that rounding and faint noise may have; less than that is not worth telling apart.
FLOOR = 4.0
# The side of the window around each output over which pixels that are not read are measured.
WIDE = 9
# Steps down and to the right, where nothing is read; the first is looked at first.
UNREAD = ((1, -1), (-1, 1), (1, 1), (-1, -1))
# How far a picture's own scores where nothing is read count against it: 0 not at all, 1 in full. On photographs of
# scikit-image, 3/4 finds the most triggers.
EXPONENT = 0.75
# Levels RMS by which what a scaler shows has to differ from the mean of all pixels, which is what a person sees. Where
# a picture was enlarged before, pixels that are read do stand out, but show nothing else.
LEAST = 12.0
# The least share of that, squared, by which the source has to differ from what is shown, enlarged. A picture that was
# enlarged before by a filter differs less: what a person sees is what is shown, only softer. (A checkerboard that is
# enlarged bilinearly keeps a ninth of its power.)
APART = 0.05
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class _Residual:
    """Twice the residual as lines (h-2, (w-2)·C), its energy (h-2, w-2), and that one's mean."""

    lines: Lines
    energy: FloatArray
    mean: float


class Phases:
    """The residuals of a view, each computed when it is first asked for; energies are in squares of half levels."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.channels = view.source.shape[2]
        self._residuals: dict[Place, _Residual] = {}
        self._known: dict[tuple[int, bool], tuple[FloatArray, float]] = {}
        self._near: dict[Place, FloatArray] = {}  # around what is not read, of what is

    def residual(self, place: Place) -> _Residual:
        """At a place that is so many steps further down and to the right."""
        if place not in self._residuals:
            (y, x), at = place, self.view.shifted
            found, power = core.second_difference(at(y, x), at(y, x - 1), at(y, x + 1), at(y - 1, x), at(y + 1, x))
            self._residuals[place] = _Residual(found, power, float(power.mean()))
        return self._residuals[place]

    @cached_property
    def read(self) -> _Residual:
        """Where the scaler reads."""
        return self.residual((0, 0))

    @cached_property
    def _everywhere(self) -> FloatArray:
        """The mean energy of all that is not read."""
        total = self.residual(UNREAD[0]).energy.copy()
        for place in UNREAD[1:]:
            total += self.residual(place).energy
        total *= np.float32(1 / len(UNREAD))
        return total

    def _around(self, energy: FloatArray, mean: float) -> FloatArray:
        """The mean energy around each output, (h-2, w-2), and all that is added to it."""
        wide = min(WIDE, *energy.shape)
        wide -= 1 - wide % 2
        inside: FloatArray = window_sums(energy, wide, 1)
        inside *= np.float32(1 / wide**2)
        inside += np.float32(4 * FLOOR * self.channels + mean)
        near = np.empty_like(energy)
        side, (rows, cols) = wide // 2, inside.shape
        near[side : side + rows, side : side + cols] = inside
        near[:, :side], near[:, side + cols :] = near[:, side : side + 1], near[:, side + cols - 1 : side + cols]
        near[:side], near[side + rows :] = near[side], near[side + rows - 1]
        return near

    @cached_property
    def _first(self) -> FloatArray:
        """What lies around outputs, of the first place where nothing is read."""
        first = self.residual(UNREAD[0])
        return self._around(first.energy, first.mean)

    def _stands_out(self, one: _Residual, near: FloatArray, side: int, power: bool, part: slice = ALL) -> FloatArray:
        """Of all windows of ``part`` of the rows of a residual, how far it stands out of ``near``."""
        found = None if power else one.lines[part]
        return core.stand_out(found, one.energy[part], near[part], side, self.channels)

    def _by_chance(self, place: Place, side: int, power: bool, part: slice = ALL) -> float:
        """The largest that stands out where nothing is read, of what is read; 1 at least."""
        one = self.residual(place)
        if place not in self._near:
            self._near[place] = self._around(self.read.energy, min(self.read.mean, one.mean))
        near = self._near[place]
        return max(1.0, peak(self._stands_out(one, near, side, power, part))[0])

    def _differs(self, side: int) -> npt.NDArray[np.bool_]:
        """Whether what is shown in each window differs from what is seen, and the source from what is shown."""
        change, apart = (window_sums(x, side, 1) for x in self._changes)
        return np.asarray((change >= LEAST**2 * self.channels * side**2) & (apart >= np.float32(APART) * change))

    @cached_property
    def _changes(self) -> tuple[FloatArray, FloatArray]:
        """By output, (h-2, w-2): the square of what is shown minus what is seen; the mean square of the source minus
        what is shown, enlarged to its size.
        """
        source = self.view.source
        shown: npt.NDArray[np.uint8] = resize(self.view.hidden, source.shape[:2], kernel="bilinear")
        apart = np.maximum(source, shown) - np.minimum(source, shown)
        squares = resize(np.multiply(apart, apart, dtype=np.uint16), self.view.target.size)
        total = squares.astype(np.float32).sum(axis=2)
        return inner(energy(self.view.difference), 1), inner(total, 1)

    def at_most(self, side: int, power: bool) -> Iterator[float]:
        """Never less than the score, ever nearer to it: of the first place where nothing is read alone."""
        out = peak(self._stands_out(self.read, self._first, side, power))[0]
        yield out
        height = len(self.read.energy)
        if height >= 8 * side:
            part = slice(3 * height // 8, 5 * height // 8)
            yield out / self._by_chance(UNREAD[0], side, power, part) ** EXPONENT
        yield out / self._by_chance(UNREAD[0], side, power) ** EXPONENT

    def _scores(self, side: int, power: bool) -> tuple[FloatArray, float]:
        """How far all windows of ``side`` stand out, and what that is divided by, which is chance."""
        if (side, power) not in self._known:
            everywhere = self._everywhere
            near = np.maximum(self._around(everywhere, float(everywhere.mean())), self._first)
            stands_out = self._stands_out(self.read, near, side, power)
            stands_out *= self._differs(side)
            chance = max(self._by_chance(place, side, power) for place in UNREAD)
            self._known[side, power] = stands_out, chance**EXPONENT
        return self._known[side, power]

    def score(self, side: int, power: bool) -> tuple[float, Box]:
        """The score of the worst window of ``side``, and that window, in outputs."""
        stands_out, chance = self._scores(side, power)
        worst, (row, col) = peak(stands_out)
        return worst / chance, (row + 1, col + 1, side, side)

    def reach(self, side: int, power: bool, score: float) -> Box:
        """The smallest box of outputs around all windows of ``side`` with at least this score, which one has."""
        stands_out, chance = self._scores(side, power)
        return around(stands_out >= min(score * chance, float(stands_out.max())), side, 1)


def phases(view: View) -> Phases:
    """Those of a view, which all rows share."""
    if "phases" not in view.shared:
        view.shared["phases"] = Phases(view)
    found: Phases = view.shared["phases"]
    return found
