"""Which samples of a JPEG file go beyond black or white: the least change that a full decode shows.

For each group of samples whose mean a scaled decoder takes, with d the change of the mean that the target asks for:
either all samples stay within [0, 255], and the least change is one step for all of them, cut off to what each has
room for; or some sample lies beyond. Then the full decode shows it as white (d > 0) or black, which is cheapest for the
one that is nearest to it, and it can carry all of the change that the others are spared. So the least change of a group
is the smaller of two numbers, and that of a picture, whose mean square miss may be epsilon², follows by one Lagrange
multiplier, which proves a lower bound for every other file as well.

Of colours at full resolution the three components are chosen together: one pixel may go beyond in more than one of
them, and RGB, which is cut off once more, changes by less than by all of them apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..measure.coefficients import to_rgb

__all__ = ["Hidden", "Plane", "hide"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """One component of a picture: ``samples`` (H, W) in levels, which of them are ``seen`` (1 or 0), the ``means`` that
    the groups of ``group`` × ``group`` samples have to have, and for how many outputs each counts (``counts``).

    ``weight``: what the square of one level's change counts in RGB. ``spread``: which part of the square of a single
    sample's change a full decode keeps a pixel, once smooth upsampling has spread it. ``area``: how many pixels a
    sample stands for. ``prices``: what it costs to put each sample beyond white, and beyond black, where that is
    known better than by these.
    """

    samples: FloatArray
    seen: FloatArray
    means: FloatArray
    counts: FloatArray
    group: int
    weight: float
    spread: float
    area: int
    prices: tuple[FloatArray, FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Hidden:
    """What was found: the planes in levels, beyond [0, 255] where samples overshoot; which share of the samples does;
    and the ``gap``: by which share the squared change may lie above the least (nan where that is not proved).
    """

    planes: list[FloatArray]
    beyond: float
    gap: float


@dataclass(frozen=True, eq=False)
class _Groups:
    """A plane, group by group: ``samples`` and ``seen`` (groups, n), and the change that the mean needs (groups,).

    ``dear`` is the least cost of putting samples beyond, and ``many`` how many of them, in the order ``order``.
    """

    plane: Plane
    samples: FloatArray
    seen: FloatArray
    need: FloatArray
    counts: FloatArray
    price: FloatArray
    order: npt.NDArray[np.intp]
    many: npt.NDArray[np.intp]
    dear: FloatArray


def hide(planes: Sequence[Plane], *, epsilon: float, overshoot: float) -> Hidden:
    """The planes with which the groups' means come to within ``epsilon`` levels (RMS, in RGB) of what they have to be.

    ``overshoot`` is the most by which a sample may lie beyond [0, 255].
    """
    groups = [_grouped(plane, overshoot) for plane in planes]
    shared = _shared(groups) if len(planes) == 3 and all(plane.area == 1 for plane in planes) else None

    def moved_by(multiplier: float) -> list[_Change]:
        if shared is None:
            return [_moved(one, multiplier) for one in groups]
        return _moved_together(groups, shared, multiplier)

    outputs = sum(float(one.counts.sum()) for one in groups) / len(groups)
    allowed = outputs * epsilon**2
    low, high = -6.0, 6.0  # log10 of the multiplier
    for _ in range(20):
        middle = (low + high) / 2
        missed = sum(_missed(one, change) for one, change in zip(groups, moved_by(10**middle), strict=True))
        low, high = (middle, high) if missed > allowed else (low, middle)
    multiplier = 10**high
    moved = moved_by(multiplier)
    cost = sum(_cost(one, change) for one, change in zip(groups, moved, strict=True))
    bound = sum(_lower(one, multiplier) for one in groups) - multiplier * allowed
    gap = max(1 - bound / cost, 0.0) if cost > 0 else 0.0
    found = [_joined(one, one.samples + change.change) for one, change in zip(groups, moved, strict=True)]
    beyond = float(np.mean([change.beyond.mean() for change in moved]))
    return Hidden(found, beyond, gap if len(planes) == 1 else math.nan)


def _grouped(plane: Plane, overshoot: float) -> _Groups:
    samples, seen = (_split(one, plane.group) for one in (plane.samples, plane.seen))
    need = plane.means.ravel() - samples.mean(axis=1)
    n = samples.shape[1]
    up = need[:, None] > 0
    room = np.where(up, 255 - samples, samples)  # up to white, or down to black
    price = plane.weight * plane.spread * plane.area * seen * room**2
    if plane.prices is not None:
        price = seen * np.where(up, *(_split(one, plane.group) for one in plane.prices))
    order = _order(price, plane.group)
    carried = np.cumsum(np.take_along_axis(room, order, axis=1) + overshoot, axis=1)
    many = np.minimum((carried < n * np.abs(need)[:, None] - 1e-9).sum(axis=1), n - 1) + 1
    dear = np.take_along_axis(np.cumsum(np.take_along_axis(price, order, axis=1), axis=1), many[:, None] - 1, axis=1)
    return _Groups(plane, samples, seen, need, plane.counts.ravel(), price, order, many, dear[:, 0])


def _order(price: FloatArray, side: int) -> npt.NDArray[np.intp]:
    """In which order the samples of each group go beyond: the cheapest of each row first, then the others.

    Decoders with vector instructions compute a row of a block in 16 bits, where two samples far beyond would add up.
    """
    rows = price.reshape(len(price), side, side)
    rank = np.argsort(np.argsort(rows, axis=2, kind="stable"), axis=2, kind="stable").reshape(price.shape)
    return np.lexsort((price, rank), axis=1)


def _split(plane: FloatArray, side: int) -> FloatArray:
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side * side)


def _joined(one: _Groups, samples: FloatArray) -> FloatArray:
    side, (height, width) = one.plane.group, one.plane.samples.shape
    return samples.reshape(height // side, width // side, side, side).swapaxes(1, 2).reshape(height, width)


@dataclass(frozen=True, eq=False)
class _Change:
    """``change`` (groups, n) of the samples; ``within`` (groups,) what the groups' change costs as long as all samples
    stay within [0, 255], the miss included; ``beyond`` (groups, n) which ones do not.
    """

    change: FloatArray
    within: FloatArray
    beyond: npt.NDArray[np.bool_]


def _moved(one: _Groups, multiplier: float) -> _Change:
    """Each group's least change plus ``multiplier`` times the square of its miss."""
    even, within = _within(one, multiplier)
    blown = (one.dear < within) & (one.need != 0) & (one.counts > 0)
    rank = np.empty_like(one.order)
    np.put_along_axis(rank, one.order, np.arange(one.order.shape[1])[None], axis=1)
    return _carried(one, even, within, blown[:, None] & (rank < one.many[:, None]))


def _within(one: _Groups, multiplier: float) -> tuple[FloatArray, FloatArray]:
    """The least change of the groups whose samples all stay within [0, 255], and what it costs, the miss included."""
    plane = one.plane
    # A change of the whole group is as smooth as the picture: no part of it is lost in upsampling.
    weight = plane.weight * plane.area
    even = _even(one, weight, multiplier * plane.weight * one.counts)
    missed = even.mean(axis=1) - one.need
    within = weight * (one.seen * even**2).sum(axis=1) + multiplier * plane.weight * one.counts * missed**2
    return even, within


def _carried(one: _Groups, even: FloatArray, within: FloatArray, beyond: npt.NDArray[np.bool_]) -> _Change:
    """The samples ``beyond`` carry their groups' whole change: each to the edge, and what is left in equal parts."""
    blown = beyond.any(axis=1, keepdims=True)
    edge = np.where(one.need[:, None] > 0, 255 - one.samples, -one.samples)
    left = one.samples.shape[1] * one.need - (edge * beyond).sum(axis=1)
    left = left / np.maximum(beyond.sum(axis=1), 1)
    return _Change(np.where(blown, beyond * (edge + left[:, None]), even), within, beyond)


# Three components at once.

# Which components go beyond in one pixel each: all the ways to do it.
_SETS: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
_WAYS: tuple[tuple[tuple[int, ...], ...], ...] = (
    (),
    *(((a,),) for a in range(3)),
    *(((a,), (b,)) for a, b in ((0, 1), (0, 2), (1, 2))),
    *(((a, b),) for a, b in ((0, 1), (0, 2), (1, 2))),
    ((0,), (1,), (2,)),
    ((0,), (1, 2)),
    ((1,), (0, 2)),
    ((2,), (0, 1)),
    ((0, 1, 2),),
)


@dataclass(frozen=True, eq=False)
class _Shared:
    """By set of components: what it costs, at least, to put them beyond in one pixel (groups,), and which pixel that
    is. Infinite where one pixel cannot carry a component's change.
    """

    price: dict[tuple[int, ...], FloatArray]
    pixel: dict[tuple[int, ...], npt.NDArray[np.intp]]


def _shared(groups: Sequence[_Groups]) -> _Shared:
    samples = np.stack([one.samples for one in groups], axis=2)
    shown = np.clip(to_rgb(samples), 0, 255)
    edges = np.stack([np.where(one.need > 0, 255.0, 0.0) for one in groups], axis=1)
    price: dict[tuple[int, ...], FloatArray] = {}
    pixel: dict[tuple[int, ...], npt.NDArray[np.intp]] = {}
    for chosen in _SETS:
        beyond = samples.copy()
        beyond[:, :, list(chosen)] = edges[:, None, list(chosen)]
        cost = ((np.clip(to_rgb(beyond), 0, 255) - shown) ** 2).mean(axis=2) * groups[0].seen
        pixel[chosen] = cost.argmin(axis=1)
        price[chosen] = cost.min(axis=1)
        for one in (groups[index] for index in chosen):
            possible = (one.many == 1) & (one.need != 0) & (one.counts > 0)
            price[chosen] = np.where(possible, price[chosen], np.inf)
    for index, one in enumerate(groups):  # where it takes more than one pixel
        more = (one.many > 1) & (one.counts > 0)
        price[index,] = np.where(more, one.dear, price[index,])
    return _Shared(price, pixel)


def _moved_together(groups: Sequence[_Groups], shared: _Shared, multiplier: float) -> list[_Change]:
    """:func:`_moved` of the three components of each group."""
    within = [_within(one, multiplier) for one in groups]
    costs = []
    for way in _WAYS:
        away = {index for chosen in way for index in chosen}
        stay = sum((within[index][1] for index in range(3) if index not in away), np.zeros(len(groups[0].need)))
        costs.append(sum((shared.price[chosen] for chosen in way), stay))
    best = np.argmin(costs, axis=0)
    found = []
    for index, one in enumerate(groups):
        beyond = np.zeros(one.samples.shape, dtype=bool)
        for number, way in enumerate(_WAYS):
            for chosen in way:
                if index in chosen:
                    here = np.flatnonzero(best == number)
                    beyond[here, shared.pixel[chosen][here]] = True
        several = np.flatnonzero(beyond.any(axis=1) & (one.many > 1))
        beyond[several] = False
        for group in several:
            beyond[group, one.order[group, : one.many[group]]] = True
        found.append(_carried(one, *within[index], beyond))
    return found


def _even(one: _Groups, weight: float, pull: FloatArray) -> FloatArray:
    """The change (groups, n) within [0, 255] with the least weight·Σδ² + pull·(mean δ - need)².

    All samples move by one step, cut off to what each has room for: samples that nobody sees move all the way.
    """
    n = one.samples.shape[1]
    low, high = np.minimum(one.need, 0.0), np.maximum(one.need, 0.0)
    low, high = 255 * np.sign(low), 255 * np.sign(high)
    bottom, top = -one.samples, 255 - one.samples

    def at(step: FloatArray) -> FloatArray:
        return np.asarray(np.clip(step[:, None], bottom, top))

    for _ in range(22):
        step = (low + high) / 2
        # The derivative by the common step, divided by 2·(samples that move).
        rising = weight * step * n + pull * (at(step).mean(axis=1) - one.need) > 0
        low, high = np.where(rising, low, step), np.where(rising, step, high)
    return at((low + high) / 2)


def _missed(one: _Groups, change: _Change) -> float:
    missed = change.change.mean(axis=1) - one.need
    return one.plane.weight * float((one.counts * missed**2).sum())


def _cost(one: _Groups, change: _Change) -> float:
    """The squared change that a full decode shows."""
    plane = one.plane
    cut = np.clip(one.samples + change.change, 0, 255) - one.samples
    alone = np.where(change.beyond, plane.spread, 1.0)
    return plane.weight * plane.area * float((one.seen * alone * cut**2).sum())


def _lower(one: _Groups, multiplier: float) -> float:
    """What no file can undercut: the sum over the groups of the cheaper of the two ways."""
    first = np.take_along_axis(one.price, one.order[:, :1], axis=1)[:, 0]  # one sample beyond, and no limit on it
    return float(np.minimum(_moved(one, multiplier).within, np.where(one.need != 0, first, 0.0)).sum())
