"""Whether a recovered operator is all that a callable does: pictures that it has to predict, and sizes next to its own.

A callable may sample whenever a picture looks like a photograph, or average only what looks like a probe. So what was
recovered from combs and noise has to predict pictures with the statistics of photographs (a spectrum of 1/f, channels
that go together; dark, bright, smooth, of few colours, black and white), the caller's own, and *attack images*:
pictures with another one written into just those pixels that a sampling filter would read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator
from .blackbox import BlackBox, Levels, ProbeError, UnfaithfulError

__all__ = ["check_neighbours", "check_pictures", "natural_picture", "pictures"]

FloatArray = npt.NDArray[np.float64]
Span = Callable[[Levels], tuple[FloatArray, FloatArray]]

_TILE, _TILES = 256, 8  # pixels after which a natural picture repeats itself, and how many of them there are
# Calls after which a callable is taken to have settled; one that changes its ways later is not found out.
_CALLS = 128
# Levels that one unit of a whole-numbered output may be, so that its rounding hides nothing.
_COARSE = 16.0
# Levels by which a value is off that wraps round in 8 bits, and in 16 bits, where a level is 257.
_TURNS = (256.0, 65536 / 257)
# A callable that averages this many times fewer pixels at the next size is not the same filter there. (Linear at 2:1
# reads four pixels alike and 2.25 on average just beside it.)
_FEWER = 2.5


def natural_picture(rng: np.random.Generator, size: tuple[int, int], channels: int, slope: float = 1.1) -> Levels:
    """A random picture uint8 (H, W, C) with an amplitude spectrum of 1/f^slope and channels that go together."""
    tile = _natural_tile(int(rng.integers(_TILES)), channels, slope)
    rows, cols = ((int(rng.integers(_TILE)) + np.arange(n)) % _TILE for n in size)
    return np.ascontiguousarray(tile[rows][:, cols])


@lru_cache(maxsize=64)
def _natural_tile(seed: int, channels: int, slope: float) -> Levels:
    rng = np.random.default_rng(seed)
    falling = 1 / np.maximum(np.hypot(*np.meshgrid(*[np.fft.fftfreq(_TILE)] * 2)), 1 / _TILE) ** slope
    falling[0, 0] = 0
    planes = np.fft.ifft2(np.fft.fft2(rng.normal(size=(channels + 1, _TILE, _TILE))) * falling).real
    planes /= planes.std(axis=(1, 2), keepdims=True)
    tile = np.moveaxis(planes[:1] + 0.25 * planes[1:], 0, -1)
    return np.clip(np.round(118 + 48 * tile), 0, 255).astype(np.uint8)


def pictures(
    operators: Sequence[ScalingOperator], channels: int, own: Sequence[Levels], seed: int
) -> Iterator[tuple[str, Levels]]:
    """Pictures to predict, by what they are; ``own`` are the caller's, RGB of the right size."""
    rng = np.random.default_rng(seed + 1)
    size = operators[0].in_size
    picture = natural_picture(rng, size, channels)
    yield "a picture like a photograph", picture
    yield "a dark picture", picture // 5
    yield "a bright picture", (205 + picture // 5).astype(np.uint8)
    yield "a smooth picture", natural_picture(rng, size, channels, 2.0)
    yield "a picture of few colours", (picture // 64 * 80).astype(np.uint8)
    yield "a grey picture", np.repeat(picture[..., :1], channels, axis=2)
    yield "a black and white drawing", np.where(picture > 118, 255, 0).astype(np.uint8)
    for k, image in enumerate(own, 1):
        yield f"picture {k} of yours", image if channels == 3 else image[..., 1:2]
    for operator in sorted(operators, key=lambda one: -_outputs(one))[:2]:
        for kind, image in _attacks(operator, natural_picture(rng, size, channels), rng):
            yield f"an attack image for {kind}", image


def _outputs(operator: ScalingOperator) -> int:
    return int(np.prod([np.any(axis.weights, axis=1).sum() for axis in (operator.rows, operator.cols)]))


def _attacks(operator: ScalingOperator, source: Levels, rng: np.random.Generator) -> Iterator[tuple[str, Levels]]:
    """``source`` with another picture written into what sampling filters read where the outputs look."""
    target = natural_picture(rng, operator.out_size, source.shape[2])
    centres = [_centres(axis) for axis in (operator.rows, operator.cols)]
    steps = [np.abs(np.median(np.diff(c[~np.isnan(c)]))) if (~np.isnan(c)).sum() > 1 else 1.0 for c in centres]
    corners = [c - (step - 1) / 2 for c, step in zip(centres, steps, strict=True)]
    kinds: dict[str, list[list[FloatArray]]] = {
        "nearest, at the centre": [[np.floor(c + 0.5)] for c in centres],
        "nearest, before the centre": [[np.ceil(c - 0.5)] for c in centres],
        "nearest, at the corner": [[np.floor(c + 0.5)] for c in corners],
        "linear": [[np.floor(c), np.ceil(c)] for c in centres],
        "cubic": [[np.floor(c) - 1, np.floor(c), np.ceil(c), np.ceil(c) + 1] for c in centres],
    }
    for kind, (rows, cols) in kinds.items():
        image = source.copy()
        alive = [np.flatnonzero(~np.isnan(c)) for c in centres]
        for row in rows:
            for col in cols:
                where = [
                    np.clip(one[some], 0, n - 1).astype(np.intp)
                    for one, some, n in zip((row, col), alive, operator.in_size, strict=True)
                ]
                image[np.ix_(*where)] = target[np.ix_(*alive)]
        yield kind, image


def _centres(axis: AxisOperator) -> FloatArray:
    """Each output's centre of mass in source pixels (n_out,), NaN where it reads nothing."""
    size = np.abs(axis.weights)
    total = size.sum(axis=1)
    mean = ((axis.start[:, None] + np.arange(axis.width)) * size).sum(axis=1) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)


def check_pictures(
    box: BlackBox, span: Span, operators: Sequence[ScalingOperator], images: Iterator[tuple[str, Levels]]
) -> None:
    """UnfaithfulError unless the box makes of every image what ``span`` says, to its rounding, in every pixel."""
    known = [operator.provenance for operator in operators if operator.provenance]
    # Output units a level, by output channel. Where no operator makes a channel, nothing may move it at all.
    gain = np.full(span(np.zeros((*box.in_size, box.channels), np.uint8))[0].shape[2], np.nan)
    for one in known:
        own = list(one.channels)
        gain[own] = np.fmin(gain[own], np.abs(one.mix).sum(axis=1))
    if not np.nanmin(gain) > 0:
        raise ProbeError(f"{box.name} has output channels that do not follow the image ({box.path})")
    gain[np.isnan(gain)] = np.nanmin(gain)
    # The noise of the fit, five standard deviations of it, as it shows in a prediction.
    noise = max(
        5 * 128 * sum(s * np.sqrt(a.width) for s, a in zip(k.weight_std, (o.rows, o.cols), strict=True))
        for k, o in zip(known, operators, strict=True)
    )
    limit = box.tolerance + min(float(noise), box.tolerance)
    unit: FloatArray | None = None
    for name, image in images:
        out = box(image)
        if unit is None:  # the first is noise: what is whole then is rounded
            unit = np.where((out == np.round(out)).all(), 1 / gain, 0.0)
            if unit.max() > _COARSE:
                raise ProbeError(
                    f"{box.name} makes steps of {unit.max():.3g} levels of an image of {box.path}: too coarse to tell "
                    "what it does"
                )
        low, high = span(image)
        # (max() of numpy keeps NaN.)
        off = np.maximum(low - out, out - high) / gain - unit / 2
        furthest = float(off.max())
        for turn in _TURNS if furthest > limit else ():
            turned = [
                np.maximum(low - out - way, out + way - high) / gain - unit / 2 for way in (gain * turn, -gain * turn)
            ]
            if np.minimum.reduce([off, *turned]).max() <= limit:
                raise ProbeError(
                    f"{box.name} lets values that leave its range wrap round to the other end ({box.path}, {name}): it "
                    "is not made for such images",
                    picture=name,
                    furthest=furthest,
                )
        if not furthest <= limit:  # NaN is no pass either
            raise UnfaithfulError(
                f"{box.name} does something else with {name} ({box.path}) than its operator says: its output lies up "
                f"to {furthest:.3g} levels from what is predicted, {limit:.3g} would be rounding",
                picture=name,
                furthest=furthest,
                operator=operators[0],
            )


def check_neighbours(box: BlackBox, rng: np.random.Generator, calls: int) -> None:
    """UnfaithfulError where the box averages far fewer pixels at a size next to its own, or after many calls.

    ``calls`` are those before the box's own.
    How many it averages shows in how much is left of a little noise on a picture: the mean Σw² over the outputs.
    """
    height, width = box.in_size
    own = max(_left_of_noise(box, rng, box.in_size) or 0.0, 1e-12)
    image = natural_picture(rng, box.in_size, box.channels)
    while calls + box.calls < _CALLS and image.size < 1 << 22:
        box(image)
    sizes = [
        (height, width),
        (height + 1, width + 1),
        (height - 1, width - 1),
        (height + 8, width),
        (height, width + 7),
    ]
    for size in sizes:
        left = _left_of_noise(box, rng, size) if min(size) > 0 else None
        if left is not None and left > _FEWER * own:
            when = f"after {calls + box.calls} calls" if size == box.in_size else f"at {size[0]}x{size[1]}"
            raise UnfaithfulError(
                f"{box.name} averages {left / own:.3g} times fewer pixels {when} than at first at {height}x{width} "
                f"({box.path})",
                size=size,
            )


def _left_of_noise(box: BlackBox, rng: np.random.Generator, size: tuple[int, int]) -> float | None:
    """The mean square of what noise on a picture of ``size`` changes, over the outputs that it changes.

    None where the box does not take the size: then nobody can use it there either.
    """
    picture = np.clip(natural_picture(rng, size, box.channels), 40, 215)
    squares: list[FloatArray] = []
    while sum(map(len, squares)) < 2000 and len(squares) < 8:  # few outputs say little: more draws
        noise = rng.choice(np.array([-32, 32], np.int16), (*size, 1))
        try:
            more, less = (box.ask((picture + sign * noise).astype(np.uint8)).astype(np.float64) for sign in (1, -1))
        except ProbeError:
            raise
        except Exception:
            return None
        if more.shape != less.shape:
            return None
        squares.append((more - less)[more != less] ** 2)
    found = np.concatenate(squares)
    return float(np.mean(found)) if found.size else None
