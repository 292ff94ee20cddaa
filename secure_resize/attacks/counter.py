"""The strong attack with a counterweight: what nothing reads moves the other way, and local means stay as they were.

Makers of such payloads do it to hide the brightness of the read pixels from people and from detectors that average
(Trail of Bits, *Weaponizing image scaling against production AI systems*, 2025). A defense that then shows the unread
pixels, as the selective filters do, shows the payload's negative, faintly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator
from .craft import METHODS, FloatArray, Found, Problem, register_method

# Steps of the bisection for the levels by which unread pixels move, from [-255, 255] to within 510 / 2²² = 10⁻⁴.
_HALVINGS = 22


@register_method("counter")
def _counter(problem: Problem) -> Found:
    found = METHODS["strong"](problem)
    rows, cols = problem.operator.rows, problem.operator.cols
    free = ~np.logical_and.outer(rows.read(), cols.read())
    parts, spread = _parts(rows, cols)
    wanted = -parts(found.image - problem.source)  # what the unread pixels of each part have to make up for
    low, high = np.full(wanted.shape, -255.0), np.full(wanted.shape, 255.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        given = parts(_moved(problem.source, free, spread(middle)) - problem.source)
        low, high = np.where(given < wanted, middle, low), np.where(given < wanted, high, middle)
    moved = _moved(problem.source, free, spread((low + high) / 2))
    image = np.where(free[..., None], moved, found.image)
    return Found(image, found.feasible, found.iterations)


def _moved(source: FloatArray, free: npt.NDArray[np.bool_], step: FloatArray) -> FloatArray:
    return np.where(free[..., None], np.clip(source + step, 0, 255), source)


def _parts(rows: AxisOperator, cols: AxisOperator) -> tuple[Callable[..., FloatArray], Callable[..., FloatArray]]:
    """The source divided among the outputs, a rectangle each: sums over the parts, and values spread over them."""
    owners = [np.arange(axis.n_in) * axis.n_out // axis.n_in for axis in (rows, cols)]
    firsts, places = zip(
        *(np.unique(owner, return_index=True, return_inverse=True)[1:] for owner in owners), strict=True
    )

    def sums(image: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(np.add.reduceat(image, firsts[0], axis=0), firsts[1], axis=1))

    def spread(values: FloatArray) -> FloatArray:
        return np.asarray(values[np.ix_(*places)])

    return sums, spread
