"""What a scaler's coefficient matrices give away to every attack on it, in closed form.

For scale(X) = L · X · Rᵀ with N source and n output pixels, every source change δ and the output change t it causes
obey RMS(t) ≤ G · RMS(δ), with G = σmax(L) · σmax(R) · √(N/n). The *stealth gain* 20·log₁₀ G is how much quieter an
attack may be in the source than its effect is in the output. A scaler that keeps constants has at least 0 dB. Cutting
values off to [0, 255] and everything else that never increases a difference keeps the bound; rounding adds its levels.

A pipeline is not a resize: it crops and pads. So N and n are counted *in view*, axis by axis. N are the source pixels
between the outermost ones that count, n the outputs that the source moves. Outputs that repeat another one (a border
copied outwards, a reflection) count once: it takes no second attack to move the copy. Where an axis of outputs falls
into runs that look at different parts of the source, or at other scales, each run is a scaler of its own, and the worst
is the verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator

__all__ = ["VERDICTS", "Exposure", "View", "exposure"]

FloatArray = npt.NDArray[np.float64]

# Verdict: the stealth gain in dB (two axes together) from which on it holds.
VERDICTS = {"robust": -math.inf, "weak": 1.0, "vulnerable": 3.0}
# Outputs in a row that make a run of their own, where the places that they look at jump. Shorter ones say too little
# about the pixels between their outputs: what they read is all that is seen of them.
_RUN = 8
# Outputs at either end of an axis that the border of the picture may make uneven.
_ENDS = 2
# Of the search for fair shares: rounds at most, and rounds without progress after which it ends.
_ROUNDS, _IDLE = 60, 6


@dataclass(frozen=True)
class View:
    """What of the source can reach the output, and which outputs the source moves; slices of rows and of columns.

    ``in_size`` and ``out_size`` are the whole sizes, (height, width).
    """

    in_size: tuple[int, int]
    out_size: tuple[int, int]
    source: tuple[slice, slice]
    output: tuple[slice, slice]

    @property
    def whole(self) -> bool:
        """Whether nothing is cropped away and nothing is padding."""
        parts = zip((*self.source, *self.output), (*self.in_size, *self.out_size), strict=True)
        return all(part == slice(0, size) for part, size in parts)

    def __str__(self) -> str:
        names = ("source rows", "source columns", "output rows", "output columns")
        parts = zip(names, (*self.source, *self.output), (*self.in_size, *self.out_size), strict=True)
        cut = [f"{name} {part.start}–{part.stop} of {size}" for name, part, size in parts if part != slice(0, size)]
        return ", ".join(cut) or "the whole source, the whole output"


@dataclass(frozen=True)
class Exposure:
    """What an operator gives away, in view. Figures are for both axes together; ``±`` figures are five deviations.

    ``stealth_gain_db`` ± ``uncertainty_db``: see the module. ``influence``: levels by which one source pixel, changed
    by 255, moves one output at most. ``coverage``: the share of source pixels in view that any output reads. Coverage
    is not safety: a filter may read all and weigh few. ``effective_support``: how many source pixels an output really
    averages, mean of (Σ|w|)²/Σw². ``linf_gain``: levels that an output moves at most when every source pixel may move
    by one. ``in_size`` and ``out_size`` are (height, width); ``view`` tells the parts of them that count.
    """

    stealth_gain_db: float
    uncertainty_db: float
    influence: float
    coverage: float
    effective_support: float
    linf_gain: float
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    view: View | None = None

    @property
    def verdict(self) -> str:
        """``robust`` below 1 dB of stealth gain, ``weak`` below 3 dB, else ``vulnerable``."""
        return [name for name, lowest in VERDICTS.items() if self.stealth_gain_db >= lowest][-1]

    @property
    def doubtful(self) -> bool:
        """Whether the uncertainty reaches across a verdict's limit."""
        return any(abs(self.stealth_gain_db - lowest) <= self.uncertainty_db for lowest in VERDICTS.values())

    def __str__(self) -> str:
        return "\n".join(f"{name:18} {value}" for name, value in self.rows())

    def to_dict(self) -> dict[str, Any]:
        """Every figure and the verdict by name, as JSON can hold them; ``view`` as text and as pairs of ends."""
        seen = self.view or View(self.in_size, self.out_size, *_everything(self.in_size, self.out_size))
        parts = {"source": seen.source, "output": seen.output}
        ends = {name: [[part.start, part.stop] for part in both] for name, both in parts.items()}
        return {**vars(self), "view": {"text": str(seen), **ends}, "verdict": self.verdict, "doubtful": self.doubtful}

    def rows(self) -> list[tuple[str, str]]:
        """The figures by name, formatted with their units."""
        seen = self.view or View(self.in_size, self.out_size, *_everything(self.in_size, self.out_size))
        pixels = [math.prod(part.stop - part.start for part in parts) for parts in (seen.source, seen.output)]
        return [
            ("verdict", self.verdict + (" (within the uncertainty of another)" if self.doubtful else "")),
            ("stealth gain", f"{self.stealth_gain_db + 0.0:.2f} ± {self.uncertainty_db:.2f} dB"),
            ("view", str(seen)),
            ("influence", f"{self.influence:.1f} of 255 levels"),
            ("coverage", f"{100 * self.coverage:.1f} % of the source pixels in view"),
            (
                "effective support",
                f"{self.effective_support:.1f} pixels an output ({pixels[0] / pixels[1]:.1f} source pixels an output)",
            ),
            ("L∞ gain", f"{self.linf_gain:.3f}"),
        ]


def _everything(*sizes: tuple[int, int]) -> list[tuple[slice, slice]]:
    return [(slice(0, height), slice(0, width)) for height, width in sizes]


def exposure(operator: ScalingOperator) -> Exposure:
    """What ``operator`` gives away, with the uncertainty of a probed one.

    >>> import secure_resize as sr
    >>> sr.exposure(sr.scaling_operator((400, 400), (224, 224), "area")).verdict
    'robust'
    """
    axes = [
        _axis_exposure(axis, std)
        for axis, std in zip((operator.rows, operator.cols), _weight_std(operator), strict=True)
    ]
    turned = operator.provenance is not None and operator.provenance.transposed
    outputs = [axis.output for axis in axes]
    out_size = operator.out_size
    view = View(
        operator.in_size,
        (out_size[1], out_size[0]) if turned else out_size,
        (axes[0].source, axes[1].source),
        (outputs[1], outputs[0]) if turned else (outputs[0], outputs[1]),
    )
    return Exposure(
        sum(axis.gain_db for axis in axes),
        sum(axis.error_db for axis in axes),
        255.0 * math.prod(axis.largest for axis in axes),
        math.prod(axis.coverage for axis in axes),
        math.prod(axis.support for axis in axes),
        math.prod(axis.linf for axis in axes),
        operator.in_size,
        view.out_size,
        view,
    )


def _weight_std(operator: ScalingOperator) -> tuple[float, float]:
    return operator.provenance.weight_std if operator.provenance else (0.0, 0.0)


@dataclass(frozen=True)
class _AxisExposure:
    """One axis' share of the figures, and its view."""

    gain_db: float
    error_db: float
    largest: float
    coverage: float
    support: float
    linf: float
    source: slice
    output: slice


def _axis_exposure(axis: AxisOperator, std: float) -> _AxisExposure:
    size = np.abs(axis.weights)
    faint = 5 * std
    moved = np.flatnonzero((size > faint).any(axis=1))
    if not moved.size:
        return _AxisExposure(-math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, slice(0, axis.n_in), slice(0, axis.n_out))
    dense = axis.dense()
    gain, error = _gain(dense, moved, std, faint)
    total, square = size[moved].sum(axis=1), (size[moved] ** 2).sum(axis=1)
    source = _in_view(dense[moved])
    read = axis.read(faint)[source]
    return _AxisExposure(
        gain,
        error,
        float(size.max()),
        float(read.mean()),
        float((total**2 / square).mean()),
        float(total.max()),
        source,
        slice(int(moved[0]), int(moved[-1]) + 1),
    )


def _gain(dense: FloatArray, moved: npt.NDArray[np.intp], std: float, faint: float) -> tuple[float, float]:
    """Stealth gain in dB of the outputs ``moved`` of a matrix, and its uncertainty.

    A plain resize has G² = N/n · σmax². What is put together of several, or shows a border continued outwards, has the
    largest of three: that of each regular run of outputs, of all outputs that read few pixels, and of all outputs at
    fair shares of the source.
    """
    rows = dense[moved]
    view = _in_view(rows)
    if view.stop - view.start <= len(rows) and len(_runs(rows)) == 1 and _monotone(rows):
        return _plain_gain(rows, std)  # enlarged, which repeats outputs and pixels at the border by nature
    rows = rows[_distinct(rows, faint)]
    view = _in_view(rows)
    runs = [rows[run] for run in _runs(rows)]
    if len(runs) == 1 and not _uneven(rows):
        return _plain_gain(rows, std)
    regular = [run[_regular(run)] for run in runs if len(run) >= _RUN]
    gains = [_plain_gain(run, std) for run in regular if len(run) >= _RUN // 2]
    # Fair shares would give what samples to the outputs that average the same pixels.
    size = np.abs(rows)
    sharp = rows[size.sum(axis=1) ** 2 / (size**2).sum(axis=1) < 0.5 * (view.stop - view.start) / len(rows)]
    if len(sharp) >= _RUN:
        gains.append(_plain_gain(sharp, std))
    return max([*gains, _fair_gain(rows, view, std)])


def _plain_gain(rows: FloatArray, std: float) -> tuple[float, float]:
    """Of outputs (n, n_in) that lie evenly, in their own view: G² = N/n · σmax²."""
    view = _in_view(rows)
    return _gain_db(rows, np.full(len(rows), (view.stop - view.start) / len(rows)), std)


def _gain_db(rows: FloatArray, shares: FloatArray, std: float) -> tuple[float, float]:
    """Of outputs that stand for so many source pixels each: 20 log₁₀ of the norm of diag(√shares) · rows."""
    matrix = rows[:, np.any(rows, axis=0)] * np.sqrt(shares)[:, None]
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    gain, ratio = math.sqrt(max(float(np.linalg.eigvalsh(gram)[-1]), 0.0)), float(shares.mean())
    if not gain:
        return -math.inf, 0.0
    width = max(1, int((matrix != 0).sum(axis=1).max()))
    return 20 * math.log10(gain), _norm_error_db(width, ratio, gain / math.sqrt(ratio), std)


def _fair_gain(rows: FloatArray, view: slice, std: float) -> tuple[float, float]:
    """Of outputs (n, n_in) that lie unevenly: each stands for a share of the source, and together for N pixels.

    An attack that hides a picture moves all that show it. So a pixel is divided among the outputs that read it (one
    that nobody reads belongs to the nearest), in the way that gives the attack the least: what is shown twice, by a
    border copied or reflected outwards, is no second chance to be seen. Any division bounds Σ sⱼ tⱼ² ≤ G² Σ δᵢ², with
    Σ sⱼ = N; the best one is found by moving pixels, again and again, from outputs that the worst changes move much to
    those that they move little (multiplicative weights). The outermost outputs, which a border that was continued makes
    uneven, are not judged: two at either end, of at least 16.
    """
    size = np.abs(rows[:, view])
    size = np.where(size > 0.02 * size.max(axis=0), size, 0.0)  # a tail hardly reads
    total = size.sum(axis=0)
    shares = size[:, total > 0] / total[total > 0]
    fixed = _unread(rows, np.flatnonzero(total == 0) + view.start)
    judged = np.ones(len(rows), bool)
    ends = min(_ENDS, len(rows) // 8)
    order = np.argsort(_places(rows), kind="stable")
    judged[np.r_[order[:ends], order[len(rows) - ends :]]] = False
    gram = rows @ rows.T
    least, best, idle = math.inf, np.zeros(len(rows)), 0
    for _ in range(_ROUNDS):
        weights = np.where(judged, shares.sum(axis=1) + fixed, 0.0)
        root = np.sqrt(weights)
        values, vectors = np.linalg.eigh(gram * root[:, None] * root)
        idle = 0 if values[-1] < 0.998 * least else idle + 1
        if values[-1] < least:
            least, best = float(values[-1]), weights
        if idle > _IDLE or not values[-1] > 0:
            break
        # How much the largest changes, and those nearly as large, move each output.
        mixture = np.clip(values / values[-1], 0, None) ** 24
        seen = gram @ (root[:, None] * vectors)
        moved = (seen**2 * (mixture / np.maximum(values, 1e-9 * values[-1]))).sum(axis=1)
        moved[~judged] *= 0.3
        shares *= np.exp(-0.5 * moved / moved.max())[:, None]
        shares /= shares.sum(axis=0)
    return _gain_db(rows[best > 0], best[best > 0], std)


def _regular(rows: FloatArray) -> slice:
    """The longest stretch of outputs (n, n_in) that follow each other at the usual step and share no pixel twice."""
    step = np.diff(_places(rows))
    usual = float(np.median(step))
    even = np.abs(step - usual) <= 0.25 * abs(usual) + 1
    ends = np.flatnonzero(~np.r_[False, even, False])
    longest = int(np.argmax(np.diff(ends)))
    first, last = int(ends[longest]), int(ends[longest + 1])
    # What lies next to a border that was continued reads it once more.
    return slice(first + _ENDS, max(first + _ENDS, last - _ENDS))


def _uneven(rows: FloatArray) -> bool:
    """Whether outputs (n, n_in) do not look at places at equal steps, or pixels at a border count more than others.

    Both are so where a border was continued outwards (copied, reflected) before the resize.
    """
    if not _monotone(rows):
        return True
    n = len(rows)
    if n < 2 * _RUN:  # too few to tell a border from what non-integer ratios do
        return False
    place, half = _places(rows), n // 2
    step = float(np.median(place[half:] - place[: n - half])) / half
    off = place - step * np.arange(n)
    if np.abs(off - np.median(off)).max() > 1.5 + 0.75 * abs(step):
        return True
    weight = np.abs(rows).sum(axis=0)
    weight = weight[weight > 0]
    border = min(3, max(1, n // 16)) * math.ceil(len(weight) / n) + 1
    return bool(weight.max() > 1.3 * weight[border:-border].max(initial=0.0) > 0)


def _monotone(rows: FloatArray) -> bool:
    """Whether outputs look further and further on, or further and further back."""
    step = np.diff(_places(rows))
    return not (step * np.sign(np.median(step)) < -0.5).any() if len(step) else True


def _unread(rows: FloatArray, pixels: npt.NDArray[np.intp]) -> FloatArray:
    """How many of the ``pixels``, which no output reads, lie nearest to where each output (n,) looks."""
    place = _places(rows)
    order = np.argsort(place, kind="stable")
    between = (place[order][1:] + place[order][:-1]) / 2
    return np.bincount(order[np.searchsorted(between, pixels)], minlength=len(rows)).astype(np.float64)


def _places(rows: FloatArray) -> FloatArray:
    """Each output's centre of mass, in source pixels (n,); where its weights lie far apart, its weighted median."""
    size = np.abs(rows)
    pixel, total = np.arange(rows.shape[1]), size.sum(axis=1)
    place = (size @ pixel) / total
    spread = np.sqrt(np.maximum((size @ pixel**2) / total - place**2, 0))
    apart = spread > 8 * np.median(spread) + 8
    if apart.any():
        halves = np.cumsum(size[apart], axis=1) >= 0.5 * total[apart, None]
        place[apart] = halves.argmax(axis=1)
    return np.asarray(place)


def _norm_error_db(width: int, ratio: float, norm: float, std: float) -> float:
    """By how much weights with independent errors of deviation ``std`` may have shifted σmax, in dB.

    First order: uᵀEv of a unit pair has deviation ``std``, and the largest of many such pairs stays within five.
    Second order: ‖E‖²/σ, where ‖E‖ of a band with k entries a row and c a column is near std·(√k + √c).
    """
    if not std:
        return 0.0
    noise = std * (math.sqrt(width) + math.sqrt(max(1.0, width / max(ratio, 1e-9))))
    return 20 * math.log10(1 + (5 * std + noise**2 / norm) / norm) if norm else 0.0


def _runs(rows: FloatArray) -> list[npt.NDArray[np.intp]]:
    """The runs of outputs (n, n_in), consecutive ones whose places follow each other; all as one if none is long."""
    size = np.abs(rows)
    place = _places(size)
    spread = np.sqrt(np.maximum((size @ np.arange(size.shape[1]) ** 2) / size.sum(axis=1) - place**2, 0))
    parts = np.split(np.arange(len(rows)), _breaks(np.diff(place), spread))
    long = [part for part in parts if len(part) >= max(_RUN, len(rows) / 16)]
    return parts if long else [np.arange(len(rows))]


def _breaks(step: FloatArray, spread: FloatArray) -> npt.NDArray[np.intp]:
    """Before which outputs a new run begins: where the ``step`` from output to output jumps.

    ``spread`` is how far, in source pixels, each output's weights lie from their centre.
    """
    if len(step) < 2:
        return np.zeros(0, np.intp)
    reach = min(4, (len(step) - 1) // 2)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(step, reach, mode="edge"), 2 * reach + 1)
    usual = np.median(around, axis=1)
    allowed = 2 * np.maximum(1.0, np.abs(usual)) + 0.5 * (spread[1:] + spread[:-1])
    jump = np.abs(step - usual) > allowed
    return np.flatnonzero(jump) + 1


def _distinct(rows: FloatArray, faint: float) -> npt.NDArray[np.intp]:
    """The outputs (n, n_in) that do not repeat an earlier one, weight for weight, to within twice ``faint``."""
    kept: dict[int, list[int]] = {}
    distinct = []
    for k, where in enumerate(np.round(8 * _places(rows)).astype(np.int64).tolist()):
        # Only outputs that look at the same place can be the same.
        near = [other for shift in (-1, 0, 1) for other in kept.get(where + shift, ())]
        if not any(np.abs(rows[k] - rows[other]).max() <= max(2 * faint, 1e-9) for other in near):
            kept.setdefault(where, []).append(k)
            distinct.append(k)
    return np.array(distinct, np.intp)


def _in_view(rows: FloatArray) -> slice:
    """The source pixels between the outermost ones that count: by half as much as a pixel usually does.

    Beyond, a kernel's tails fade out. Pixels that are left to the border of the image belong to the view if they are no
    more than what is left unread between two outputs: they are not cropped away, the sampling begins behind them.
    """
    weight = np.abs(rows).sum(axis=0)
    n_in = len(weight)
    used = np.flatnonzero(weight >= 0.5 * np.median(weight[weight > 0]))
    first, last = int(used[0]), int(used[-1]) + 1
    steps = np.abs(np.diff(np.sort(_places(rows))))
    step = float(np.median(steps[steps > 0.01])) if (steps > 0.01).any() else float(n_in)
    width = float(np.median((np.abs(rows) > 0).sum(axis=1)))
    left = max(step + 1 - width, 0.25 * step)
    # A tail that reaches the border from less than an output's share away was not cut by a crop either.
    tails = np.flatnonzero(weight)
    starts = first <= left or (first < step and tails[0] <= left)
    ends = n_in - last <= left or (n_in - last < step and n_in - 1 - tails[-1] <= left)
    return slice(0 if starts else first, n_in if ends else last)
