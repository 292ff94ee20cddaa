"""The coefficient matrices of one block of outputs, from what the callable does to combs of impulses.

The combs stand on mid-grey (on black, negative lobes would be clipped). A comb's period exceeds the kernel's width, so
each output pixel sees each phase once; all phases are sent at the same time, each with a random sign and amplitude, in
as many images as it takes to solve for the weights by least squares. That beats 8-bit rounding, which would blur a
single impulse by 1/254, and the number of images grows with the kernel's width, not with the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator
from .blackbox import PEDESTAL, Levels, ProbeError, Window, constant_image

__all__ = ["SIGNIFICANT", "Colours", "Recovered", "recover"]

FloatArray = npt.NDArray[np.float64]

# A weight is told from zero at this many standard deviations.
SIGNIFICANT = 5.0
# Source pixels of an axis up to which every one of them is asked on its own, where that is needed.
MAX_WHOLE = 2048


@dataclass(frozen=True, eq=False)
class Recovered:
    """One block's matrices, in the window's own pixels, and how well they are known; see ``Provenance``."""

    rows: AxisOperator
    cols: AxisOperator
    weight_std: tuple[float, float]
    nonlinearity: float
    inseparability: float
    colours: Colours


def recover(box: Window, rng: np.random.Generator) -> Recovered:
    """The matrices of what ``box`` shows; ProbeError with the evidence where it is not affine or not separable."""
    colours = _colours(box)
    nonlinearity = _check_affine(box, colours, rng)
    benches = [_Bench(box, colours, axis, rng) for axis in (0, 1)]
    (rows, rows_std), (cols, cols_std) = (_recover_axis(bench) for bench in benches)
    inseparability = _check_separable(box, colours, rng)
    if max(box.in_size) <= MAX_WHOLE and not _predicted(box, colours, rows, cols, rng):
        # An output that reads pixels far apart (a border wrapped round) is seen only with every pixel on its own.
        (rows, rows_std), (cols, cols_std) = (_recover_whole(bench) for bench in benches)
    return Recovered(rows, cols, (rows_std, cols_std), nonlinearity, inseparability, colours)


def _predicted(box: Window, colours: Colours, rows: AxisOperator, cols: AxisOperator, rng: np.random.Generator) -> bool:
    """Whether the matrices predict noise of little contrast, which nothing cuts off."""
    noise = rng.integers(96, 161, (*box.in_size, 1), np.uint8)
    grey = np.where(np.ones(box.channels, bool), noise, 0)
    seen = colours.levels(box(grey)).mean(axis=2) - PEDESTAL
    expected = cols.apply(rows.apply(noise[..., 0].astype(np.float64) - PEDESTAL, 0), 1)
    return bool(np.abs(seen - expected).max() <= 2 * box.box.tolerance)


# What the block does to colours, and the checks of what it is.


@dataclass(frozen=True)
class Colours:
    """How channels and levels come out, in the levels that the window sends. ``base`` (h, w, C_out): mid-grey."""

    base: FloatArray
    bounds: FloatArray  # (2, C_out): what black and white become
    mix: FloatArray  # (C_out, C_in): output units per level, none of a channel's below zero
    independent: bool  # each output channel is its own input channel

    def levels(self, out: FloatArray) -> FloatArray:
        """``out`` (h, w, C_out) in levels, so that mid-grey is PEDESTAL in every pixel."""
        levels: FloatArray = PEDESTAL + (out - self.base) / self.mix.sum(axis=1)
        return levels


def _colours(box: Window) -> Colours:
    """From constant images. The median over the output: at the edge of padding an output need not follow them whole."""
    grey = box(constant_image(box, PEDESTAL))
    black, *primaries = (
        np.median(box(constant_image(box, colour)), axis=(0, 1))
        for colour in (0, *(255 * np.eye(box.channels, dtype=int)))
    )
    mix = (np.stack(primaries, axis=1) - black[:, None]) / 255
    bounds = np.stack([black, black + 255 * mix.sum(axis=1)])
    if not (mix.sum(axis=1) > 0).all():
        raise ProbeError(f"{box.box.name} does not follow the image alike everywhere", bounds=bounds)
    # To a rounding of one level in 255 there is nothing of the other channels in it.
    off = mix - np.diag(np.diag(mix)) if mix.shape[0] == mix.shape[1] else mix
    independent = bool((np.abs(off).max(axis=1) <= np.abs(mix).max(axis=1) / 255).all())
    if independent:
        mix = np.diag(bounds[1] - bounds[0]) / 255
    return Colours(grey, bounds, mix, independent)


def _check_affine(box: Window, colours: Colours, rng: np.random.Generator) -> float:
    """The furthest |f((X + Y)/2) - (f(X) + f(Y))/2|, in levels, on images that no filter takes out of range."""
    # 101 rows of noise over and over: as good as a whole image of it, and sooner made.
    height, width = box.in_size
    shape = (min(height, 101), width, box.channels)
    x = rng.integers(96, 160, shape, np.uint8)
    y = rng.integers(48, 80, shape, np.uint8) * 2 + x % 2  # of x's parity, so that the mean is whole
    responses = []
    for tile in (x, y, x // 2 + y // 2 + x % 2):
        image = box.paint(tile, np.arange(height) % len(tile))
        image[0, 0], image[-1, -1] = 0, 255  # alike in all; some libraries cut off at the image's own range
        responses.append(colours.levels(box(image)))
    defect = float(np.abs(responses[2] - (responses[0] + responses[1]) / 2).max())
    limit = 2 * box.box.tolerance  # each of the three may be off by a tolerance, two of them by half
    if not defect <= limit:
        raise ProbeError(
            f"{box.box.name} is not affine: f((X+Y)/2) lies up to {defect:.3g} levels from (f(X)+f(Y))/2, rounding is "
            f"{limit:.3g}",
            deterministic=True,
            linear=False,
            nonlinearity=defect,
        )
    return defect


def _check_separable(box: Window, colours: Colours, rng: np.random.Generator) -> float:
    """The RMS distance in levels of the response to u·vᵀ from the nearest matrix of rank 1."""
    # Signs that last for about an output pixel: the response is large.
    u, v = (
        rng.choice([-1, 1], n_out)[np.arange(n_in) * n_out // n_in]
        for n_in, n_out in zip(box.in_size, box.out_size, strict=True)
    )
    u[0] = 0  # in this row lie pixels that widen the image's range, which is where some libraries cut off

    def respond(rows: npt.NDArray[Any], amplitude: int) -> FloatArray:
        row = (PEDESTAL + amplitude * np.multiply.outer([-1, 0, 1], v)[..., None]).astype(np.uint8)
        image = box.paint(np.repeat(row, box.channels, axis=2), rows + 1)
        image[0, 0], image[0, -1] = 0, 255
        return colours.levels(box(image))[..., 0]

    for amplitude in (60, 20):  # less, where a kernel's lobes reach black or white, which is cut off
        flat, signs = respond(np.zeros_like(u), amplitude), respond(u, amplitude)
        if not ((np.abs(signs - 127.5) > 127) & (np.abs(flat - 127.5) < 127)).any():
            break
    response = signs - flat
    values = np.linalg.svd(response, compute_uv=False)
    distance = float(np.sqrt((values[1:] ** 2).sum() / response.size))
    if not distance <= min(box.box.tolerance, 1.5):
        raise ProbeError(
            f"{box.box.name} is not separable: its response to a product of rows and columns lies {distance:.3g} "
            "levels (RMS) from a product",
            deterministic=True,
            linear=True,
            separable=False,
            inseparability=distance,
        )
    return distance


# One axis. Rows and columns are probed alike: the image is a set of one-dimensional experiments side by side.


class _Bench:
    """Runs one-dimensional experiments along ``axis``, as many at once as fit side by side along the other axis.

    The other axis is cut into strips of constant value. An output line counts for a strip where it takes on exactly
    the strip's value, whatever the values of the others: found by colouring the strips at random.
    """

    def __init__(self, box: Window, colours: Colours, axis: int, rng: np.random.Generator) -> None:
        self.box, self.colours, self.axis, self.rng = box, colours, axis, rng
        self.n_in, self.n_out = box.in_size[axis], box.out_size[axis]
        self.across_in, self.across_out = box.in_size[1 - axis], box.out_size[1 - axis]
        # A line is a strip's own if the strip's value arrives unchanged.
        self.tolerance = 0.51 if box.box.dtype == "uint8" else 0.02
        self.channels = box.channels if colours.independent else 1
        self.strips, self.lines = self._divide()

    @property
    def capacity(self) -> int:
        """Experiments in one image."""
        return len(self.lines) * self.channels

    def run(self, vectors: Levels, period: int) -> FloatArray:
        """The responses (E, n_out) in levels to ``vectors`` (E, period), repeated along the axis."""
        responses = []
        for first in range(0, len(vectors), self.capacity):
            batch = vectors[first : first + self.capacity]
            padded = batch[np.arange(self.capacity) % len(batch)].reshape(-1, self.channels, period)
            values = np.empty((self.strips.max() + 1, self.channels, period), np.uint8)
            values[:] = padded[0]
            values[list(self.lines)] = padded
            out = self._respond(values)
            means = [out[:, lines].mean(axis=1) for lines in self.lines.values()]  # (n_out, channels) each
            responses.append(np.stack(means).transpose(0, 2, 1).reshape(-1, self.n_out)[: len(batch)])
        return np.concatenate(responses)

    def _respond(self, values: Levels) -> FloatArray:
        """Levels (n_out, lines, channels) for ``values`` (strips, channels, period)."""
        if values.shape[1] < self.box.channels:
            values = np.repeat(values, self.box.channels, axis=1)
        along = np.arange(self.n_in) % values.shape[2]
        ends = np.where(np.arange(self.n_in) % 2, 0, 255).astype(np.uint8)[:, None]
        # Whichever axis it is, the image is put together from whole rows.
        if self.axis == 0:
            image = self.box.paint(values.transpose(2, 0, 1)[:, self.strips], along)
            if self.reserved:
                image[:, 0] = ends
            out = self.colours.levels(self.box(image))
        else:
            image = self.box.paint(values.transpose(0, 2, 1)[:, along], self.strips)
            if self.reserved:
                image[0] = ends
            out = self.colours.levels(self.box(image)).swapaxes(0, 1)
        return out if self.channels > 1 else out.mean(axis=2, keepdims=True)

    def _divide(self) -> tuple[npt.NDArray[np.intp], dict[int, npt.NDArray[np.intp]]]:
        """Each source line's strip, and the output lines that belong to each usable strip; as many strips as work."""
        most = max(1, min(self.across_in, self.across_out) // 4)
        # A callable may round to 8 bits whatever it is given; if so, what arrives is known to half a level.
        for tolerance in dict.fromkeys((self.tolerance, 0.51)):
            self.tolerance, count = tolerance, most
            while count > 1:
                lines = self._own_lines(count)
                if len(lines) >= 0.6 * count:
                    return self.strips, lines
                count //= 2
        lines = self._own_lines(1)
        if not lines:
            raise ProbeError(f"{self.box.box.name} does not keep constants constant along axis {1 - self.axis}")
        return self.strips, lines

    def _own_lines(self, count: int) -> dict[int, npt.NDArray[np.intp]]:
        """With the other axis cut into ``count`` strips: the output lines of each strip that has some."""
        # The first line is of no strip: it widens the image's range, at which some libraries cut off.
        self.reserved = count > 1
        self.strips = np.arange(self.across_in) * count // self.across_in
        own = np.ones((count, self.across_out), bool)
        # One strip alone has no neighbour; what is left is the library's own rounding.
        allowed = self.tolerance if count > 1 else 2 * self.box.box.tolerance
        for _ in range(6 // self.channels):
            paint = self.rng.integers(28, 229, (count, self.channels, 1), np.uint8)
            seen = np.median(self._respond(paint), axis=0)  # (lines, channels)
            own &= (np.abs(seen[None] - paint[:, None, :, 0]) <= allowed).all(axis=2)
        if count > 3:  # a faint tap may reach over the edge unseen: not the outermost lines
            inner = np.pad(own, ((0, 0), (1, 1)), constant_values=False)
            own &= inner[:, 2:] & inner[:, :-2]
        return {int(strip): np.flatnonzero(own[strip]) for strip in np.flatnonzero(own.any(axis=1))}


def _recover_axis(bench: _Bench) -> tuple[AxisOperator, float]:
    """One axis' operator and the standard deviation of its weights."""
    n_in, n_out = bench.n_in, bench.n_out
    center, error = _centers(bench)
    period = 1 << int(np.ceil(np.log2(max(16.0, 4 * error, 2 * n_in / n_out))))
    while True:
        period = period if period < n_in else n_in
        weights, std = _folded(bench, period, period + period // 2 + 24, 60.0)
        start = np.clip(np.round(center - period / 2).astype(np.int64), 0, n_in - period)
        if _inside(_window(weights, start), start, n_in, SIGNIFICANT * std):
            break
        period *= 2
    # The final fit, now that the kernel's width is known: as much contrast as its negative lobes leave room for.
    weights = _window(weights, start)
    first, last = _extent(weights, SIGNIFICANT * std)
    gain = np.where(np.abs(weights) > SIGNIFICANT * std, np.abs(weights), 0).sum(axis=1).max()
    needed = 1.25 * float((last - first).max()) + 8
    if needed < period:
        center = start + (first + last + 1) / 2
        period = int(np.ceil(needed))
        start = np.clip(np.round(center - period / 2).astype(np.int64), 0, n_in - period)
    count = 2 * period + (320 if bench.box.box.dtype == "uint8" else 64)
    weights, std = _folded(bench, period, count, 120.0 / max(1.0, 1.02 * gain))
    return _trimmed(_window(weights, start), start, n_in, SIGNIFICANT * std), std


def _recover_whole(bench: _Bench) -> tuple[AxisOperator, float]:
    """As :func:`_recover_axis`, with a comb as long as the axis: no two source pixels share a phase."""
    n_in = bench.n_in
    count = 2 * n_in + (320 if bench.box.box.dtype == "uint8" else 64)
    weights, std = _folded(bench, n_in, count, 60.0)
    return _trimmed(weights, np.zeros(bench.n_out, np.int64), n_in, SIGNIFICANT * std), std


def _centers(bench: _Bench) -> tuple[FloatArray, float]:
    """Where each output pixel looks, in source pixels (n_out,), from ramps; and by how much that may be wrong."""
    n_in = bench.n_in
    if n_in == 1:
        return np.zeros(bench.n_out), 0.0
    # Ramps up and down with different offsets, also by fractions of a level: their mean is not rounded to whole levels.
    count = max(8, bench.capacity)
    offset = 20 + (np.arange(count) * 0.6180339887) % 1 * 8
    rising = np.floor(offset[:, None] + 200 * np.arange(n_in) / (n_in - 1)).astype(np.uint8)
    up, down = (bench.run(ramps, n_in).mean(axis=0) for ramps in (rising, rising[:, ::-1]))
    dark, bright = bench.run(np.array([[28], [228]], np.uint8), 1)
    # At the edge of padding an output follows the source by a part only.
    follows = np.maximum((bright - dark) / 200, 0.02)
    share = np.clip((up - down) / follows / 400 + 0.5, 0, 1)
    return share * (n_in - 1), 1 + 1.5 / np.sqrt(2 * count) * n_in / 200


def _folded(bench: _Bench, period: int, count: int, amplitude: float) -> tuple[FloatArray, float]:
    """Least-squares weights (n_out, period) of the comb phases, from ``count`` random combs, and their deviation."""
    rng = bench.rng
    combs = rng.choice([-1.0, 1.0], (count, period)) * rng.uniform(0.75, 1.0, (count, period)) * amplitude
    combs = np.round(combs)
    responses = bench.run((PEDESTAL + combs).astype(np.uint8), period) - PEDESTAL
    design = np.column_stack([combs, np.ones(count)])
    gram = np.linalg.inv(design.T @ design)
    solution = gram @ (design.T @ responses)
    # Degrees of freedom: what the fit did not use. float32 rounds too, below what the residuals show.
    variance = ((responses - design @ solution) ** 2).sum() / (responses.shape[1] * (count - period - 1))
    std = float(np.sqrt(variance * np.diag(gram)[:-1].mean()))
    return solution[:-1].T, max(std, 1e-7)


def _window(folded: FloatArray, start: npt.NDArray[np.int64]) -> FloatArray:
    """The folded weights unrolled: row i holds source pixels start[i], start[i] + 1, ..."""
    period = folded.shape[1]
    return np.take_along_axis(folded, (start[:, None] + np.arange(period)) % period, axis=1)


def _inside(weights: FloatArray, start: npt.NDArray[np.int64], n_in: int, tolerance: float) -> bool:
    """Whether the kernel lies well inside its window: the outer eighths, where the image goes on, hold nothing."""
    period = weights.shape[1]
    if period == n_in:
        return True
    edge = max(2, period // 8)
    left = np.abs(weights[start > 0, :edge]).max(initial=0.0)
    right = np.abs(weights[start + period < n_in, -edge:]).max(initial=0.0)
    return bool(max(left, right) <= tolerance)


def _extent(weights: FloatArray, tolerance: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Each row's first and last weight beyond ``tolerance``; 0 and -1 in a row without."""
    used = np.abs(weights) > tolerance
    some = used.any(axis=1)
    last = weights.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return used.argmax(axis=1), np.where(some, last, -1)


def _trimmed(weights: FloatArray, start: npt.NDArray[np.int64], n_in: int, tolerance: float) -> AxisOperator:
    """Cut to each row's first to last significant weight."""
    n_out, period = weights.shape
    first, last = _extent(weights, tolerance)
    position = np.arange(period)
    weights = np.where((position >= first[:, None]) & (position <= last[:, None]), weights, 0)
    width = max(1, int((last - first).max()) + 1)
    begin = np.minimum(start + first, n_in - width)
    columns = begin[:, None] + np.arange(width) - start[:, None]
    inside = (columns >= 0) & (columns < period)
    cut = np.where(inside, np.take_along_axis(weights, np.clip(columns, 0, period - 1), axis=1), 0.0)
    return AxisOperator(n_in, n_out, begin, cut)
