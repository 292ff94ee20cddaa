"""Recover the coefficient matrices of any resize from what it does to images.

A resize is asked, never believed: the operator that comes back has predicted random images through the callable itself,
on the dtype that its users give it. The images that it is recovered from are combs of impulses on mid-grey (on black,
negative lobes would be clipped). A comb's period exceeds the kernel's width, so each output pixel sees each phase
once; all phases are sent at the same time, each with a random sign and amplitude, in as many images as it takes to
solve for the weights by least squares. That beats 8-bit rounding, which would blur a single impulse by 1/254, and the
number of images grows with the kernel's width, not with the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, Provenance, ScalingOperator
from ..scaling import check_size
from .blackbox import DTYPES, LAYOUTS, PEDESTAL, BlackBox, ProbeError, constant_image, open_box
from .scalers import Scaler

__all__ = ["DTYPES", "LAYOUTS", "ProbeError", "predict", "probe"]

FloatArray = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]  # what is sent: (H, W, C), whole levels whatever the dtype

# Further than this from its own model, in levels: not the separable linear map that the model says. Rounding once costs
# 0.5 level, rounding between the two passes as well 0.5 and more (‖kernel‖₁, 1.0 to 1.3), and the fit its uncertainty.
TOLERANCES = {"uint8": 1.5, "uint16": 0.05, "float32": 0.05}
# Where a library may cut values off to [0, 255]; what predicts best is what it does. See Provenance.
CLIPS = ("", "output", "rows", "cols")
# A weight is told from zero at this many standard deviations.
SIGNIFICANT = 5.0


def probe(
    resize: str | Scaler | Callable[[Any], Any],
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    *,
    dtype: str = "uint8",
    layout: str = "auto",
    seed: int = 0,
) -> ScalingOperator:
    """The coefficient matrices of a resize, as it is installed here.

    >>> import secure_resize as sr
    >>> operator = sr.probe("secure_resize:area", (64, 96), (16, 16))
    >>> operator.residual < 1
    True

    Parameters
    ----------
    resize
        A name in ``SCALERS``, a Scaler, or a callable of one image: a function, a transform, a whole pipeline (resize,
        crop, flip, normalise, to grey: anything affine).
    in_size, out_size
        (height, width) of the image that goes in and of what comes out.
    dtype
        What the callable is given: ``"uint8"``, ``"uint16"`` or ``"float32"`` (in [0, 1]).
    layout
        A name in ``LAYOUTS``, or ``"auto"``: the first in which the callable makes an ``out_size`` of an ``in_size``.
    seed
        Of the random images.

    Returns
    -------
    The operator, normalised to keep constants; ``residual`` and ``provenance`` say how well it is known and what else
    the callable does (colours, offset). :func:`predict` puts it all together.

    Raises
    ------
    ProbeError
        The callable is not deterministic, not affine, not separable, or does not do what the recovered operator
        predicts; or it returns ``out_size`` in no layout. ``evidence`` says what was measured.
    TypeError, ValueError
        A bad size, dtype or layout, an unknown name.
    ImportError
        The named library is not installed.
    """
    in_size, out_size = check_size(in_size), check_size(out_size)
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; valid dtypes: {', '.join(DTYPES)}")
    rng = np.random.default_rng(seed)
    box, grey = open_box(resize, in_size, out_size, dtype, layout)
    noise = rng.integers(0, 256, (*in_size, box.layout.channels), np.uint8)
    response = _check_deterministic(box, noise)
    colours = _colours(box, grey)
    nonlinearity = _check_affine(box, colours, rng)
    rows, rows_std = _recover_axis(_Bench(box, colours, 0, rng))
    cols, cols_std = _recover_axis(_Bench(box, colours, 1, rng))
    inseparability = _check_separable(box, colours, rng)
    model = ScalingOperator(rows, cols)
    pedestal = np.einsum("oi,hw->hwo", colours.mix, model.apply(np.full(in_size, float(PEDESTAL))))
    provenance = Provenance(
        name=box.name,
        version=box.version,
        dtype=dtype,
        layout=box.layout.name,
        calls=0,
        weight_std=(rows_std, cols_std),
        nonlinearity=nonlinearity,
        inseparability=inseparability,
        extreme_residual=np.nan,
        clips="",
        bounds=colours.bounds,
        mix=colours.mix,
        offset=colours.base - pedestal,
        notes=box.notes,
    )
    return _verified(box, ScalingOperator(rows, cols, None, provenance), noise, response)


def predict(operator: ScalingOperator, image: npt.NDArray[Any]) -> FloatArray:
    """What a probed callable makes of ``image`` (H, W, C) in levels, by its operator; (h, w, C_out), its own units."""
    known = operator.provenance
    if known is None:
        raise ValueError("the operator was not probed: it has no provenance; use operator.apply")
    scaled = np.asarray(image)
    passes = (operator.rows, 0), (operator.cols, 1)
    for axis, number in passes[::-1] if known.clips == "cols" else passes:
        scaled = axis.apply(scaled, number)
        if known.clips in ("rows", "cols"):
            scaled = np.clip(scaled, 0, 255)
    out: FloatArray = scaled @ known.mix.T + known.offset
    return np.clip(out, known.bounds.min(axis=0), known.bounds.max(axis=0)) if known.clips else out


# What the callable does to colours, and the checks of what it is.


@dataclass(frozen=True)
class _Colours:
    """How channels and levels come out. ``base`` (h, w, C_out) is what mid-grey becomes."""

    base: FloatArray
    bounds: FloatArray  # (2, C_out): what black and white become
    mix: FloatArray  # (C_out, C_in): output units per level
    independent: bool  # each output channel is its own input channel

    def levels(self, out: FloatArray) -> FloatArray:
        """``out`` (h, w, C_out) in levels, so that mid-grey is PEDESTAL in every pixel; dead channels are left out."""
        gain = self.mix.sum(axis=1)
        alive = np.abs(gain) > 0.01 * np.abs(gain).max()
        levels: FloatArray = PEDESTAL + (out - self.base)[..., alive] / gain[alive]
        return levels


def _colours(box: BlackBox, grey: FloatArray) -> _Colours:
    """From constant images. The median over the output: padding need not follow the image."""
    channels = box.layout.channels
    black, *primaries = (
        np.median(box(constant_image(box, colour)), axis=(0, 1)) for colour in (0, *(255 * np.eye(channels, dtype=int)))
    )
    mix = (np.stack(primaries, axis=1) - black[:, None]) / 255
    bounds = np.stack([black, black + 255 * mix.sum(axis=1)])
    # To a rounding of one level in 255 there is nothing of the other channels in it.
    limit = np.abs(mix).max()
    if not limit > 0:
        raise ProbeError(f"{box.name} gives the same output for black and white", bounds=bounds)
    off = mix - np.diag(np.diag(mix)) if mix.shape[0] == mix.shape[1] else mix
    independent = bool(np.abs(off).max() <= limit / 255)
    if independent:
        mix = np.diag(bounds[1] - bounds[0]) / 255
        independent = bool(np.abs(np.diag(mix)).min() > 0.01 * limit)
    return _Colours(grey, bounds, mix, independent)


def _check_deterministic(box: BlackBox, noise: Levels) -> FloatArray:
    """What ``noise`` becomes, twice."""
    first, second = box(noise), box(noise.copy())
    if not np.array_equal(first, second):
        furthest = float(np.abs(first - second).max())
        raise ProbeError(
            f"{box.name} is not deterministic: two runs on one image differ by up to {furthest:.4g}; fix its random "
            "choices (a seed, p=1, a fixed crop) and probe each",
            deterministic=False,
            furthest=furthest,
        )
    return first


def _check_affine(box: BlackBox, colours: _Colours, rng: np.random.Generator) -> float:
    """The furthest |f((X + Y)/2) - (f(X) + f(Y))/2|, in levels, on images that no filter takes out of range."""
    # 101 rows of noise over and over: as good as a whole image of it, and sooner made.
    height, width = box.in_size
    shape = (min(height, 101), width, box.layout.channels)
    x = rng.integers(96, 160, shape, np.uint8)
    y = rng.integers(48, 80, shape, np.uint8) * 2 + x % 2  # of x's parity, so that the mean is whole
    responses = []
    for tile in (x, y, x // 2 + y // 2 + x % 2):
        image = box.paint(tile, np.arange(height) % len(tile))
        image[0, 0], image[-1, -1] = 0, 255  # alike in all; some libraries cut off at the image's own range
        responses.append(colours.levels(box(image)))
    defect = float(np.abs(responses[2] - (responses[0] + responses[1]) / 2).max())
    limit = 2 * TOLERANCES[box.dtype]  # each of the three may be off by a TOLERANCE, two of them by half
    if not defect <= limit:
        raise ProbeError(
            f"{box.name} is not affine: f((X+Y)/2) lies up to {defect:.3g} levels from (f(X)+f(Y))/2, rounding is "
            f"{limit:.3g}",
            deterministic=True,
            linear=False,
            nonlinearity=defect,
        )
    return defect


def _check_separable(box: BlackBox, colours: _Colours, rng: np.random.Generator) -> float:
    """The RMS distance in levels of the response to u·vᵀ from the nearest matrix of rank 1."""
    # Signs that last for about an output pixel: the response is large.
    u, v = (
        rng.choice([-1, 1], n_out)[np.arange(n_in) * n_out // n_in]
        for n_in, n_out in zip(box.in_size, box.out_size, strict=True)
    )
    u[0] = 0  # in this row lie pixels that widen the image's range, which is where some libraries cut off

    def respond(rows: npt.NDArray[Any], amplitude: int) -> FloatArray:
        row = (PEDESTAL + amplitude * np.multiply.outer([-1, 0, 1], v)[..., None]).astype(np.uint8)
        image = box.paint(np.repeat(row, box.layout.channels, axis=2), rows + 1)
        image[0, 0], image[0, -1] = 0, 255
        return colours.levels(box(image))[..., 0]

    for amplitude in (60, 20):  # less, where a kernel's lobes reach black or white, which is cut off
        flat, signs = respond(np.zeros_like(u), amplitude), respond(u, amplitude)
        if not ((np.abs(signs - 127.5) > 127) & (np.abs(flat - 127.5) < 127)).any():
            break
    response = signs - flat
    values = np.linalg.svd(response, compute_uv=False)
    distance = float(np.sqrt((values[1:] ** 2).sum() / response.size))
    if not distance <= TOLERANCES[box.dtype]:
        raise ProbeError(
            f"{box.name} is not separable: its response to a product of rows and columns lies {distance:.3g} levels "
            "(RMS) from a product",
            deterministic=True,
            linear=True,
            separable=False,
            inseparability=distance,
        )
    return distance


def _verified(box: BlackBox, operator: ScalingOperator, noise: Levels, response: FloatArray) -> ScalingOperator:
    """The operator with its residual on ``noise``, which it was not recovered from, or a ProbeError."""
    assert operator.provenance is not None
    extreme = (noise >> 7).astype(np.uint8) * np.uint8(255)
    outputs = response, box(extreme)
    gain = np.abs(operator.provenance.mix).sum(axis=1).max()
    # A kernel that overshoots nowhere meets no limit.
    lobes = max(float(np.abs(axis.weights).sum(axis=1).max()) for axis in (operator.rows, operator.cols)) > 1.02
    tried: list[tuple[float, float, ScalingOperator]] = []
    for clips in CLIPS if lobes else CLIPS[:1]:
        candidate = replace(operator, provenance=replace(operator.provenance, clips=clips, calls=box.calls))
        off = [
            float(np.abs(predict(candidate, x) - y).max() / gain)
            for x, y in zip((noise, extreme), outputs, strict=True)
        ]
        tried.append((off[0], off[1], candidate))
    # The simplest that predicts about as well as the best: a tenth of a level is no reason to cut off.
    best = min(max(entry[:2]) for entry in tried)
    residual, extreme_residual, chosen = next(entry for entry in tried if max(entry[:2]) <= best + 0.1)
    limit = TOLERANCES[box.dtype] + min(_prediction_noise(operator), TOLERANCES[box.dtype])
    if not residual <= limit:
        raise ProbeError(
            f"the operator recovered from {box.name} does not predict it: off by {residual:.3g} levels on a random "
            f"image, {limit:.3g} would be rounding",
            deterministic=True,
            linear=True,
            separable=True,
            residual=residual,
            operator=chosen,
        )
    assert chosen.provenance is not None
    notes = chosen.provenance.notes
    if extreme_residual > limit:
        notes += (f"extremes: on noise of black and white pixels the model is off by {extreme_residual:.3g} levels",)
    known = replace(chosen.provenance, notes=notes, extreme_residual=extreme_residual)
    return replace(chosen, residual=residual, provenance=known)


def _prediction_noise(operator: ScalingOperator) -> float:
    """Levels by which the weights' uncertainty moves the prediction of a random image: five standard deviations."""
    assert operator.provenance is not None
    rows_std, cols_std = operator.provenance.weight_std
    spread = rows_std * np.sqrt(operator.rows.width) + cols_std * np.sqrt(operator.cols.width)
    return float(SIGNIFICANT * PEDESTAL * spread)


# One axis. Rows and columns are probed alike: the image is a set of one-dimensional experiments side by side.


class _Bench:
    """Runs one-dimensional experiments along ``axis``, as many at once as fit side by side along the other axis.

    The other axis is cut into blocks of constant value. An output line counts for a block where it takes on exactly
    the block's value, whatever the values of the others: found by colouring the blocks at random.
    """

    def __init__(self, box: BlackBox, colours: _Colours, axis: int, rng: np.random.Generator) -> None:
        self.box, self.colours, self.axis, self.rng = box, colours, axis, rng
        self.n_in, self.n_out = box.in_size[axis], box.out_size[axis]
        self.across_in, self.across_out = box.in_size[1 - axis], box.out_size[1 - axis]
        # A line is a block's own if the block's value arrives unchanged.
        self.tolerance = {"uint8": 0.51}.get(box.dtype, 0.02)
        self.channels = box.layout.channels if colours.independent else 1
        self.blocks, self.lines = self._divide()

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
            values = np.empty((self.blocks.max() + 1, self.channels, period), np.uint8)
            values[:] = padded[0]
            values[list(self.lines)] = padded
            out = self._respond(values)
            means = [out[:, lines].mean(axis=1) for lines in self.lines.values()]  # (n_out, channels) each
            responses.append(np.stack(means).transpose(0, 2, 1).reshape(-1, self.n_out)[: len(batch)])
        return np.concatenate(responses)

    def _respond(self, values: Levels) -> FloatArray:
        """Levels (n_out, lines, channels) for ``values`` (blocks, channels, period)."""
        if values.shape[1] < self.box.layout.channels:
            values = np.repeat(values, self.box.layout.channels, axis=1)
        along = np.arange(self.n_in) % values.shape[2]
        ends = np.where(np.arange(self.n_in) % 2, 0, 255).astype(np.uint8)[:, None]
        # Whichever axis it is, the image is put together from whole rows.
        if self.axis == 0:
            image = self.box.paint(values.transpose(2, 0, 1)[:, self.blocks], along)
            if self.reserved:
                image[:, 0] = ends
            out = self.colours.levels(self.box(image))
        else:
            image = self.box.paint(values.transpose(0, 2, 1)[:, along], self.blocks)
            if self.reserved:
                image[0] = ends
            out = self.colours.levels(self.box(image)).swapaxes(0, 1)
        return out if self.channels > 1 or self.box.layout.channels == 1 else out.mean(axis=2, keepdims=True)

    def _divide(self) -> tuple[npt.NDArray[np.intp], dict[int, npt.NDArray[np.intp]]]:
        """Each source line's block, and the output lines that belong to each usable block; as many blocks as work."""
        count = max(1, min(self.across_in, self.across_out) // 4)
        while True:
            # The first line is of no block: it widens the image's range, at which some libraries cut off.
            self.reserved = count > 1
            self.blocks = np.arange(self.across_in) * count // self.across_in
            own = np.ones((count, self.across_out), bool)
            for _ in range(6 // self.channels):
                paint = self.rng.integers(28, 229, (count, self.channels, 1), np.uint8)
                seen = np.median(self._respond(paint), axis=0)  # (lines, channels)
                # One block alone has no neighbour; what is left is the library's own rounding.
                allowed = self.tolerance if count > 1 else 2 * TOLERANCES[self.box.dtype]
                own &= (np.abs(seen[None] - paint[:, None, :, 0]) <= allowed).all(axis=2)
            if count > 3:  # a faint tap may reach over the edge unseen: not the outermost lines
                inner = np.pad(own, ((0, 0), (1, 1)), constant_values=False)
                own &= inner[:, 2:] & inner[:, :-2]
            lines = {int(block): np.flatnonzero(own[block]) for block in np.flatnonzero(own.any(axis=1))}
            if lines and len(lines) >= 0.6 * count:
                return self.blocks, lines
            if count == 1:
                raise ProbeError(f"{self.box.name} does not keep constants constant along axis {1 - self.axis}")
            count //= 2


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
    count = 2 * period + (320 if bench.box.dtype == "uint8" else 64)
    weights, std = _folded(bench, period, count, 120.0 / max(1.0, 1.02 * gain))
    return _trimmed(_window(weights, start), start, n_in, SIGNIFICANT * std), std


def _centers(bench: _Bench) -> tuple[FloatArray, float]:
    """Where each output pixel looks, in source pixels (n_out,), from ramps; and by how much that may be wrong."""
    n_in = bench.n_in
    if n_in == 1:
        return np.zeros(bench.n_out), 0.0
    # Ramps with different offsets, also by fractions of a level: their mean is not rounded to whole levels.
    count = max(8, bench.capacity)
    offset = 20 + (np.arange(count) * 0.6180339887) % 1 * 8
    ramps = np.floor(offset[:, None] + 200 * np.arange(n_in) / (n_in - 1)).astype(np.uint8)
    level = (bench.run(ramps, n_in) - (offset[:, None] - 0.5)).mean(axis=0)
    return np.clip(level / 200 * (n_in - 1), 0, n_in - 1), 1 + 1.5 / np.sqrt(count) * n_in / 200


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
