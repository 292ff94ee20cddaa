"""The attacks on scalers that average (Quiring et al., USENIX Security 2020, section 5.4 and appendix).

A scaler that reads every pixel can still be told what to show, openly: each output's *block*, the source pixels that
count more for it than for any other output, is changed until the mean is the target's. Three ways to change least: the
fewest pixels (L0), the least sum of changes (L1), the least sum of squares (L2, which is the strong attack).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator
from ..measure.solver import FEASIBLE, reach
from .craft import METHODS, FloatArray, Found, Method, Problem, kept, register_method

IntArray = npt.NDArray[np.intp]
Worth = Callable[[FloatArray, FloatArray], FloatArray]
# The search ends after this many sweeps that came no nearer to the target.
PATIENCE = 10


@register_method("area_l0", kernels=("area",))
def _fewest(problem: Problem) -> Found:
    # Moved as far as [0, 255] allows, by its room, a pixel moves the output by weight · room: the largest first.
    return _fill(problem, lambda weight, room: weight * room)


@register_method("area_l1", kernels=("area",))
def _least_sum(problem: Problem) -> Found:
    # Moved by one level, a pixel moves the output by its weight: the heaviest first.
    return _fill(problem, lambda weight, room: np.where(room > 0, weight, 0.0))


METHODS.add(Method("area_l2", METHODS["strong"].run, kernels=("area",)))


@dataclass(frozen=True, eq=False)
class _Blocks:
    """One axis: the source pixels of each output, int (n_out, k), and their weights (n_out, k), 0 for padding."""

    index: IntArray
    weights: FloatArray


def _blocks(axis: AxisOperator) -> _Blocks:
    matrix = axis.dense()
    owner = np.abs(matrix).argmax(axis=0)
    owner[np.abs(matrix).max(axis=0) == 0] = -1  # read by no output
    members = [np.flatnonzero(owner == i) for i in range(axis.n_out)]
    width = max(map(len, members))
    index = np.zeros((axis.n_out, width), np.intp)
    weights = np.zeros((axis.n_out, width))
    for i, member in enumerate(members):
        index[i, : len(member)] = member
        weights[i, : len(member)] = matrix[i, member]
    return _Blocks(index, weights)


def _fill(problem: Problem, worth: Worth) -> Found:
    """Move each block's pixels as far as [0, 255] allows, those of the most ``worth(weight, room)`` first.

    Where blocks share no source pixel that is the optimum. Elsewhere a block's pixels also count for its neighbours: it
    is solved again from the source with what these give it, until nothing is missing (block Jacobi); each block is then
    optimal given the others.
    """
    rows, cols = _blocks(problem.operator.rows), _blocks(problem.operator.cols)
    index = rows.index[:, :, None, None], cols.index[None, None]
    source = np.moveaxis(problem.source[index], (0, 2, 1, 3), (0, 1, 3, 4))  # (h, w, C, rows, columns of the block)
    shape = source.shape
    source = source.reshape(*shape[:3], -1)
    weights = np.einsum("ia,jb->ijab", rows.weights, cols.weights).reshape(*shape[:2], 1, -1)
    goal = reach(problem.operator.apply(problem.source), problem.target, problem.epsilon)
    given: FloatArray = np.zeros(problem.target.shape)  # by the neighbours
    best, least, last_gain, sweep = problem.source, np.inf, 0, 0
    for sweep in range(1, problem.iterations + 1):
        need = np.clip(0.0, goal.low - given, goal.high - given)
        moved = _move(source, weights, need, worth)
        image = problem.source.copy()
        flat = np.moveaxis((source + moved).reshape(shape), (0, 1, 3, 4), (0, 2, 1, 3))
        counts = (rows.weights != 0)[:, :, None, None] & (cols.weights != 0)[None, None]
        where = [np.broadcast_to(one, counts.shape)[counts] for one in index]
        image[where[0], where[1]] = flat[counts]
        change = problem.operator.apply(image - problem.source)
        missing = goal.missing(change)
        if missing < least:
            best, least, last_gain = image, missing, sweep
        if least <= FEASIBLE or sweep - last_gain == PATIENCE:
            break
        # Damped by half: otherwise two neighbours that make up for each other oscillate.
        given = (given + change - (weights * moved).sum(axis=-1)) / 2
    return Found(best, kept(problem, best), sweep)


def _move(source: FloatArray, weights: FloatArray, need: FloatArray, worth: Worth) -> FloatArray:
    """By how much each pixel (h, w, C, k) of the blocks moves so that their outputs move by ``need`` (h, w, C)."""
    size = np.abs(weights)
    up = (weights > 0) == (need > 0)[..., None]
    room = np.where(up, 255 - source, source)
    order = np.argsort(-worth(size, room), axis=-1, kind="stable")
    size, room = (np.take_along_axis(np.broadcast_to(a, source.shape), order, axis=-1) for a in (size, room))
    gains = size * room
    left = np.abs(need)[..., None] - (np.cumsum(gains, axis=-1) - gains)
    moved = np.where(size > 0, np.clip(left / np.where(size > 0, size, 1.0), 0.0, room), 0.0)
    result = np.empty_like(moved)
    np.put_along_axis(result, order, moved, axis=-1)
    return np.where(up, result, -result)
