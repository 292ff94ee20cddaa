"""Where the outputs of a pipeline look: which of them the source moves, and the blocks that one scaling makes each.

A pipeline crops, pads, flips, turns and puts pictures side by side. Before its matrices can be recovered it has to be
known which source pixel every output shows: the response to ramps of brightness along either axis tells, one image for
all outputs. From that map follow the *blocks*: rectangles of outputs whose place in the source depends on the row along
one axis and on the column along the other, which is what a separable scaling does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .blackbox import PEDESTAL, BlackBox, Levels, ProbeError, Slices, Window, constant_image

__all__ = ["find_windows"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A response of less than this share of the largest is none: what is left of a neighbour through a faint tap.
_FAINT = 0.02
# Ramps of each axis, with offsets between whole levels, so that their mean is known better than to a level.
_RAMPS = 8
_MOST_BLOCKS = 64
# Beyond the outermost outputs' places, in steps of one output: how far a kernel may reach. (lanczos5 reaches 5.)
_MARGIN = 7


@dataclass(frozen=True, eq=False)
class _Places:
    """Where outputs (h, w) of some channels look: source rows ``y`` and columns ``x``, known to ``error`` pixels."""

    y: FloatArray
    x: FloatArray
    error: tuple[float, float]


def find_windows(box: BlackBox) -> list[Window]:
    """The blocks of the box's output, each with the part of the source that it is made of, channel by channel.

    Channels that are made alike share a block. ProbeError where the outputs follow the source in no such way.
    """
    response = _responses(box)
    strength = np.abs(response).sum(axis=3)
    strongest = strength.max(axis=(0, 1))
    if not strongest.max() > 0:
        raise ProbeError(f"{box.name} gives the same output for black and white", strongest=strongest)
    moves = (strength > _FAINT * strongest) & (strongest > 1e-9 * strongest.max())
    # By channel (C_out, C_in): what most of the outputs do.
    mix = np.stack(
        [
            np.median(response[moves[..., o], o], axis=0) if moves[..., o].any() else np.zeros(box.channels)
            for o in range(moves.shape[2])
        ]
    )
    signs = np.where(mix < -_FAINT * np.maximum(np.abs(mix).max(axis=1), 1e-300)[:, None], -1, 1)
    windows = []
    for pattern in np.unique(signs, axis=0):
        members = np.flatnonzero((signs == pattern).all(axis=1) & moves.any(axis=(0, 1)))
        for channels in _alike(box, members, pattern, moves, np.abs(mix).sum(axis=1) / 255):
            where = moves[..., channels[0]]
            places = _places(box, channels, pattern, where, strength)
            windows += [
                Window(box, _source(box, places, block, transposed), block, channels, transposed, pattern)
                for block, transposed in _blocks(box.name, where, places)
            ]
    return windows


def _responses(box: BlackBox) -> FloatArray:
    """By how much each output moves when one channel goes from black to white: (h, w, C_out, C_in)."""
    black = box(constant_image(box, 0))
    return np.stack([box(constant_image(box, 255 * colour)) - black for colour in np.eye(box.channels, dtype=int)], -1)


def _signed(levels: npt.NDArray[Any], pattern: npt.NDArray[np.int64]) -> Levels:
    """``levels`` (H, W) in every channel, upside down where the pattern is negative."""
    image = np.empty((*levels.shape, len(pattern)), np.uint8)
    image[...] = levels[..., None]
    for channel in np.flatnonzero(pattern < 0):
        np.subtract(255, image[..., channel], out=image[..., channel])
    return image


def _alike(
    box: BlackBox,
    members: npt.NDArray[np.intp],
    pattern: npt.NDArray[np.int64],
    moves: BoolArray,
    gain: FloatArray,
) -> list[npt.NDArray[np.intp]]:
    """The channels ``members`` in groups that make the same of grey pictures, each by its own ``gain`` per level."""
    if len(members) < 2:
        return [members] if len(members) else []
    rng = np.random.default_rng(len(members))
    fine = rng.integers(0, 256, box.in_size, np.uint8)
    coarse = np.repeat(np.repeat(rng.integers(0, 256, [-(-n // 8) for n in box.in_size]), 8, 0), 8, 1)
    coarse = coarse[: box.in_size[0], : box.in_size[1]]
    grey = box(_signed(np.full(box.in_size, PEDESTAL, np.uint8), pattern))[..., members]
    seen = [(box(_signed(image, pattern))[..., members] - grey) / gain[members] for image in (fine, coarse)]
    # What a whole unit of the output is in levels: where only whole ones come, each is off by half.
    unit = (1.0 if (grey == np.round(grey)).all() else 0.0) / gain[members]
    groups: list[list[int]] = []
    for k, channel in enumerate(members):
        for group in groups:
            first = group[0]
            allowed = box.tolerance + 0.5 * (unit[k] + unit[first])
            if (moves[..., channel] == moves[..., members[first]]).all() and all(
                np.abs(one[..., k] - one[..., first]).max() <= allowed for one in seen
            ):
                group.append(k)
                break
        else:
            groups.append([k])
    return [members[group] for group in groups]


def _places(
    box: BlackBox,
    channels: npt.NDArray[np.intp],
    pattern: npt.NDArray[np.int64],
    moves: BoolArray,
    strength: FloatArray,
) -> _Places:
    """From ramps along either axis and back, of which the difference cancels what does not follow the source."""
    found, errors = [], []
    scale = np.where(moves, strength[..., channels].mean(axis=2), 1.0) / 255
    offsets = 20 + (np.arange(_RAMPS) * 0.6180339887) % 1 * 8
    for axis, n in enumerate(box.in_size):
        rising = np.zeros(moves.shape)
        for offset in offsets if n > 1 else ():
            ramp = np.floor(offset + 200 * np.arange(n) / (n - 1)).astype(np.uint8)
            for sign, line in ((1, ramp), (-1, ramp[::-1])):
                image = np.broadcast_to(line[:, None] if axis == 0 else line[None], box.in_size)
                rising += sign * box(_signed(image, pattern))[..., channels].mean(axis=2)
        # The difference is -200 levels at the first pixel and 200 at the last.
        share = np.clip(rising / _RAMPS / scale / 200, -1, 1) / 2 + 0.5
        found.append(np.where(moves, share * (n - 1), np.nan))
        errors.append(0.5 + 1.5 / np.sqrt(2 * _RAMPS) * n / 200)
    return _Places(found[0], found[1], (errors[0], errors[1]))


# Blocks: rectangles of outputs that move, whose places are a function of the row and one of the column.


def _blocks(name: str, moves: BoolArray, places: _Places) -> list[tuple[Slices, bool]]:
    """The rectangles, and whether each is transposed: its rows run along the source's columns."""
    done: list[tuple[Slices, bool]] = []
    todo: list[Slices] = [(slice(0, moves.shape[0]), slice(0, moves.shape[1]))]
    while todo:
        block = todo.pop()
        inside = moves[block]
        if not inside.any():
            continue
        tight = tuple(
            slice(part.start + int(some[0]), part.start + int(some[-1]) + 1)
            for part, some in zip(block, (np.flatnonzero(inside.any(axis=1 - k)) for k in (0, 1)), strict=True)
        )
        block = (tight[0], tight[1])
        y, x = places.y[block], places.x[block]
        straight, turned = _spread(y, x, places.error), _spread(x, y, places.error[::-1])
        whole = moves[block].all()
        if whole and min(straight, turned) <= 1:
            done.append((block, bool(straight > 1)))
        else:
            todo += _cut(name, block, moves[block], y, x, places.error)
        if len(done) + len(todo) > _MOST_BLOCKS:
            raise ProbeError(f"{name}: its outputs fall into more than {_MOST_BLOCKS} blocks of different places")
    return sorted(done, key=lambda one: (one[0][0].start, one[0][1].start))


def _spread(y: FloatArray, x: FloatArray, error: tuple[float, float]) -> float:
    """How far places are from y being a function of the row and x of the column, in units of what noise allows."""
    off = [np.abs(one - np.median(one, axis=1 - k, keepdims=True)) for k, one in enumerate((y, x))]
    if np.isnan(off[0]).any():
        return np.inf
    # Of all outputs but a few: where padding begins, an output is a mixture, and its place is none.
    return max(float(np.quantile(one, 0.98)) / (4 * limit) for one, limit in zip(off, error, strict=True))


def _cut(
    name: str, block: Slices, moves: BoolArray, y: FloatArray, x: FloatArray, error: tuple[float, float]
) -> list[Slices]:
    """The two sides of the row or column across which most changes; ProbeError where nothing does."""
    best, where, axis = 0.0, 0, 0
    for k in (0, 1):
        if moves.shape[k] < 2:
            continue
        jump = (np.diff(moves.astype(np.int8), axis=k) != 0).astype(float) * 4
        for one, limit in zip((y, x), error, strict=True):
            step = np.diff(one, axis=k)
            step = np.abs(step - np.nanmedian(step)) / (4 * limit) if not np.isnan(step).all() else step
            jump += np.minimum(np.nan_to_num(step), 4)
        score = jump.mean(axis=1 - k)
        if score.max() > best:
            best, where, axis = float(score.max()), int(score.argmax()) + 1, k
    if best < 0.2:
        raise ProbeError(
            f"{name} is not separable: where its outputs look in the source does not follow from row and column",
            deterministic=True,
            separable=False,
        )
    part = block[axis]
    sides = slice(part.start, part.start + where), slice(part.start + where, part.stop)
    return [(side, block[1]) if axis == 0 else (block[0], side) for side in sides]


def _source(box: BlackBox, places: _Places, block: Slices, transposed: bool) -> Slices:
    """The part of the source in which the block's kernels lie for certain: all of it unless much is out of reach."""
    parts = []
    for axis, (n, one, error) in enumerate(zip(box.in_size, (places.y, places.x), places.error, strict=True)):
        seen = one[block]
        outputs = seen.shape[1 - axis if transposed else axis]
        low, high = float(seen.min()), float(seen.max())
        step = max(1.0, (high - low) / max(outputs - 1, 1))
        margin = _MARGIN * step + 3 * error + 4
        first, last = max(0, int(low - margin)), min(n, int(high + margin) + 2)
        parts.append(slice(first, last) if last - first < 0.75 * n else slice(0, n))
    return parts[0], parts[1]
