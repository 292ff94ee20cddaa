"""How far apart in the source the outputs of a warp lie: what stands for its ratio.

A warp has no ratio of its own. Steps are source pixels between neighbouring outputs at the middle of the output; the
in-size of a warp's Sight is the part of the source that an output of its size steps over, at a step rounded to an
eighth of an octave, so that random transforms make no endless list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["affine_steps", "inverse", "mapped_steps", "projective_steps", "stepped_over"]

Steps = tuple[float, float]  # down, across


def stepped_over(steps: Steps | None, out_size: tuple[Any, ...]) -> tuple[int, ...] | None:
    """The in-size that stands for ``steps``; None where the warp shrinks nothing."""
    if steps is None or not all(map(math.isfinite, steps)):
        return None
    eighths = [round(8 * math.log2(max(step, 1e-6))) for step in steps]
    if max(eighths) < 1:
        return None
    return tuple(max(1, round(n * 2.0 ** (k / 8))) for n, k in zip(out_size, eighths, strict=True))


def affine_steps(a: float, b: float, c: float, d: float) -> Steps:
    """Steps of the map from outputs to the source x = a·X + b·Y + …, y = c·X + d·Y + …"""
    return math.hypot(b, d), math.hypot(a, c)


def projective_steps(matrix: Sequence[Sequence[float]], out_size: tuple[int, ...]) -> Steps | None:
    """Steps at the middle of the output of the map (X, Y, 1) → ``matrix`` · (X, Y, 1), from outputs to the source."""

    def at(x: float, y: float) -> tuple[float, float]:
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
        return u / w, v / w

    x, y = out_size[1] / 2, out_size[0] / 2
    try:
        here, right, down = at(x, y), at(x + 1, y), at(x, y + 1)
    except ZeroDivisionError:
        return None
    return math.dist(here, down), math.dist(here, right)


def inverse(m: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """Of a 3 × 3 matrix; None where it has none."""
    (a, b, c), (d, e, f), (g, h, i) = ([float(x) for x in row] for row in m)
    whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if not whole or not math.isfinite(whole):
        return None
    adjugate = [
        [e * i - f * h, c * h - b * i, b * f - c * e],
        [f * g - d * i, a * i - c * g, c * d - a * f],
        [d * h - e * g, b * g - a * h, a * e - b * d],
    ]
    return [[x / whole for x in row] for row in adjugate]


def mapped_steps(source: Callable[[int, int], tuple[float, float]], out_size: tuple[int, ...]) -> Steps | None:
    """Steps of a map given point by point: ``source(Y, X)`` is where an output looks, (y, x) in source pixels."""
    height, width = out_size
    top, left = height // 4, width // 4
    down, across = max(1, height // 2), max(1, width // 2)
    if top + down >= height or left + across >= width:
        return None
    y, x = height // 2, width // 2
    steps = (
        math.dist(source(top, x), source(top + down, x)) / down,
        math.dist(source(y, left), source(y, left + across)) / across,
    )
    return steps
