"""What reconstruction does to one image, and what an attacker can still do: the per-image certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..core.operator import AxisOperator, ScalingOperator
from ..core.taps import Taps
from ..measure.exposure import Exposure, exposure
from ..measure.probe import probe
from ..names import ProbeDtype, ReconstructionMethod
from ..scaling import as_batch, check_size
from .filters import plan_of_image
from .plan import ROBUST_DB, AnyScaler, Plan, check_options, in_size_of, make_plan

__all__ = ["ReconstructionInfo", "reconstruction_info"]

Array = npt.NDArray[Any]
Size = tuple[int, int]

_INTERVAL_VALUES = 1 << 22  # sorted at a time


def reconstruction_info(
    image: Array,
    size: Sequence[int],
    *,
    scaler: AnyScaler,
    method: ReconstructionMethod = "median",
    bandwidth: float = 2,
) -> ReconstructionInfo:
    """What :func:`reconstruct` does to one image (H, W) or (H, W, C), and what an attacker can still do.

    >>> import numpy as np, secure_resize as sr
    >>> info = sr.reconstruction_info(np.zeros((64, 64), np.uint8), (16, 16), scaler="opencv:nearest")
    >>> info.pixels_read, int(info.breakdown.min())
    (256, 4)

    Arguments and errors are :func:`reconstruct`'s.
    """
    check_options(method, bandwidth, None)
    batch = as_batch(image)
    if image.ndim == 4:
        raise ValueError(f"image must have shape (H, W) or (H, W, C), one image; got {image.shape}")
    plan = make_plan(scaler, in_size_of(batch), check_size(size), float(bandwidth), batch.dtype.name)
    return ReconstructionInfo(method, plan_of_image(plan, batch[0], scaler, method), batch[0])


@dataclass(frozen=True, eq=False)
class ReconstructionInfo:
    """What reconstruction does to one image, from :func:`reconstruction_info`; printed, a table.

    Read pixels are ``read_rows`` × ``read_cols`` (bool (H,) and (W,)), ``pixels_read`` of them in number; arrays about
    them have the shape (rows, columns) of the selection, and (rows, columns, C) where they hold values.
    """

    method: str
    _plan: Plan = field(repr=False)
    _image: Array = field(repr=False)

    @property
    def scaler(self) -> str:
        """The scaler's name."""
        return self._plan.scaler

    @property
    def in_size(self) -> Size:
        """(height, width) of the image."""
        return self._plan.operator.in_size

    @property
    def out_size(self) -> Size:
        """(height, width) that it is scaled to."""
        return self._plan.operator.out_size

    @property
    def bandwidth(self) -> float:
        """Windows reach ⌊β / bandwidth⌋ pixels to either side."""
        return self._plan.bandwidth

    @property
    def half_window(self) -> tuple[int, int]:
        """That reach, (rows, columns)."""
        return self._plan.selection.half

    @property
    def tolerance(self) -> tuple[float, float]:
        """Weights of rows and of columns up to these may have been taken for 0: five standard deviations of a probe."""
        return self._plan.tolerance

    @property
    def stealth_gain_db(self) -> float:
        """The scaler's own stealth gain, without reconstruction."""
        return self._plan.gain_db

    @property
    def unchanged(self) -> bool:
        """Whether the image stays as it is: the scaler is robust by itself, or enlarges."""
        return self._plan.unchanged

    @property
    def read_rows(self) -> npt.NDArray[np.bool_]:
        """The rows that the scaler reads, bool (H,)."""
        return self._plan.selection.read_rows

    @property
    def read_cols(self) -> npt.NDArray[np.bool_]:
        """The columns that the scaler reads, bool (W,)."""
        return self._plan.selection.read_cols

    @property
    def pixels_read(self) -> int:
        """How many pixels the scaler reads."""
        return int(self._plan.selection.candidates.size)

    @property
    def candidates(self) -> npt.NDArray[np.int32]:
        """How many candidates each read pixel has, int32 (rows, columns); 0 where the prefilter stands in."""
        return self._plan.selection.candidates

    @property
    def fallback(self) -> npt.NDArray[np.bool_]:
        """Where the prefilter stands in, bool (rows, columns)."""
        return np.zeros(self.candidates.shape, bool) if self.unchanged else self.candidates == 0

    @property
    def breakdown(self) -> npt.NDArray[np.int32]:
        """How many pixels of its window an attacker must change to choose a read pixel's new value: (rows, columns).

        The median of n breaks down with n / 2 of them, rounded up: then it can be made black. One pixel may be the one
        drawn, with probability 1 / n, and moves the prefilter's mean by its weight. 0 where the image is unchanged.
        """
        if self.unchanged:
            return np.zeros(self.candidates.shape, np.int32)
        return np.maximum((self.candidates + 1) // 2 if self.method == "median" else 1, 1) + np.zeros_like(
            self.candidates
        )

    @cached_property
    def operator(self) -> ScalingOperator:
        """The scaler's operator: probed, even where what it reads is known in closed form; or the one given."""
        plan, sizes = self._plan, (self.in_size, self.out_size)
        return (
            probe(plan.scaler, *sizes, dtype=cast(ProbeDtype, self._image.dtype.name))
            if plan.closed_form
            else plan.operator
        )

    @property
    def exposure(self) -> Exposure | None:
        """What prefilter and scaler together give away where the prefilter stands in; None where it nowhere does."""
        plan = self._plan
        if plan.unchanged or not plan.falls_back:
            return None
        axes = [
            _composed(axis, indices[places], taps)
            for axis, indices, places, taps in zip(
                (self.operator.rows, self.operator.cols),
                (plan.selection.rows, plan.selection.cols),
                plan.fallback,
                plan.footprints,
                strict=True,
            )
        ]
        return exposure(ScalingOperator(axes[0], axes[1]))

    @property
    def why(self) -> str:
        """What was done, and why."""
        if self._plan.enlarges:
            return "unchanged: no axis shrinks, so no pixel is skipped"
        if self.unchanged:
            return f"unchanged: {self.scaler} is robust by itself (stealth gain below {ROBUST_DB:.0f} dB)"
        if not self._plan.falls_back:
            return "every window holds pixels that are not read"
        if self.stealth_gain_db == np.inf:
            return "no operator describes all that the scaler does: every pixel counts as read and becomes a mean"
        half, share = self.half_window, 100 * float(self.fallback.mean())
        return (
            f"{share:.1f} % of the read pixels have no unread pixel within {half[0]} rows and {half[1]} columns (the "
            "ratio is small against bandwidth and kernel): they become the mean of their footprints"
        )

    def intervals(self, budget: int) -> tuple[Array, Array]:
        """The least and the largest value that each read pixel can get if ``budget`` pixels of its window are changed.

        Float64 (rows, columns, C), both reached. Median: with the n candidates sorted and h = (n - 1) / 2 rounded down
        it is x[h - budget] and x[h + budget], 0 and the largest value beyond the ends. Random: the extremes of the
        candidates, and anything with a budget. Prefilter: the mean moves by the changed pixels' weights.
        """
        if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 0:
            raise ValueError(f"budget must be a whole number of pixels >= 0, got {budget!r}")
        plan, image = self._plan, self._image
        if plan.unchanged:
            raise ValueError(f"{self.why}; there are no windows")
        top = 1.0 if image.dtype == np.float32 else float(np.iinfo(image.dtype).max)
        budget = min(int(budget), image.size)
        low = np.empty((*self.candidates.shape, image.shape[2]))
        high = np.empty_like(low)
        step = max(1, _INTERVAL_VALUES // (plan.selection.window * low[0].size))
        for first in range(0, len(low), step):
            here = slice(first, first + step)
            low[here], high[here] = self._window_intervals(here, budget, top)
        if plan.falls_back:
            rows, cols = (AxisOperator.of(taps).dense() for taps in plan.footprints)
            for a, i in enumerate(plan.fallback[0]):
                for b, j in enumerate(plan.fallback[1]):
                    low[i, j], high[i, j] = _mean_interval(image, rows[a], cols[b], budget, top)
        return low, high

    def _window_intervals(self, here: slice, budget: int, top: float) -> tuple[Array, Array]:
        """Of the read rows ``here``: (rows, columns, C); meaningless where there are no candidates."""
        selection, image = self._plan.selection, self._image
        (height, width), (half_rows, half_cols) = selection.in_size, selection.half
        y = selection.rows[here, None] + np.arange(-half_rows, half_rows + 1)
        x = selection.cols[:, None] + np.arange(-half_cols, half_cols + 1)
        inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[None, :, None, :]
        y, x = np.clip(y, 0, height - 1)[:, None, :, None], np.clip(x, 0, width - 1)[None, :, None, :]
        free = inside & ~(selection.read_rows[y] & selection.read_cols[x])
        values = np.where(free[..., None], image[y, x].astype(np.float64), np.nan)
        values = np.sort(values.reshape(*values.shape[:2], -1, image.shape[2]), axis=2)  # candidates first, NaN last
        count = self.candidates[here, :, None, None]
        if self.method == "random":
            reach = count if budget else np.zeros_like(count)
            down, up = -reach, np.maximum(count - 1, 0) + reach
        else:
            middle = np.maximum(count - 1, 0) // 2
            down, up = middle - budget, middle + budget
        ends = [
            np.take_along_axis(values, np.clip(place, 0, values.shape[2] - 1), axis=2)[:, :, 0] for place in (down, up)
        ]
        return np.where(down[:, :, 0] < 0, 0.0, ends[0]), np.where((up >= count)[:, :, 0], top, ends[1])

    def certificate(self, budget: int) -> tuple[Array, Array]:
        """Between which values every output pixel stays, float64 (h, w, C), whatever ``budget`` pixels are changed.

        The :meth:`intervals`, through the scaler's weights by their signs, before its rounding. The budget counts per
        window, and so all the more if it is that of the whole image. Probed weights are known to :attr:`tolerance`.
        Where weights are negative, a scaler of integers may cut off what overshoots between its passes, whichever runs
        first: the intervals hold for all three.
        """
        plan, image = self._plan, self._image
        low, high = (image.astype(np.float64) for _ in "lh")
        places = np.ix_(plan.selection.rows, plan.selection.cols)
        low[places], high[places] = self.intervals(budget)
        rows, cols = self.operator.rows, self.operator.cols
        positive, negative = (
            [_signed(axis, sign) for axis in (rows, cols)] for sign in (1.0, -1.0)
        )  # weights are products, whose sign is that of both

        def through(first: Array, second: Array) -> Array:
            """``first`` by the positive products, ``second`` by the negative ones."""
            same = [ScalingOperator(a[0], a[1]).apply(first) for a in (positive, negative)]
            mixed = [
                ScalingOperator(a, b).apply(second) for a, b in ((positive[0], negative[1]), (negative[0], positive[1]))
            ]
            return np.asarray(same[0] + same[1] - mixed[0] - mixed[1])

        top = 1.0 if image.dtype == np.float32 else float(np.iinfo(image.dtype).max)
        ends = [(through(low, high), through(high, low))]
        if image.dtype.kind == "u" and any(part.weights.any() for part in negative):
            for order in ((0, 1), (1, 0)):
                least, most = low, high
                for axis in order:
                    up, down = ((positive[axis].apply(x, axis), negative[axis].apply(x, axis)) for x in (least, most))
                    least, most = (np.clip(end, 0, top) for end in (up[0] - down[1], down[0] - up[1]))
                ends.append((least, most))
        return (
            np.clip(np.minimum.reduce([least for least, _ in ends]), 0, top),
            np.clip(np.maximum.reduce([most for _, most in ends]), 0, top),
        )

    def __str__(self) -> str:
        return "\n".join(f"{name:18} {value}" for name, value in self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """The figures by name, formatted with their units."""
        (height, width), (h, w) = self.in_size, self.out_size
        share = 100 * self.pixels_read / (height * width)
        shown = [
            ("scaler", f"{self.scaler}, stealth gain {self.stealth_gain_db + 0.0:.2f} dB"),
            ("sizes", f"{height}x{width} to {h}x{w} (height x width)"),
            ("pixels read", f"{self.pixels_read} ({share:.1f} %)"),
            ("done", "nothing" if self.unchanged else self.method),
            ("why", self.why),
        ]
        if not self.unchanged:
            counts = self.candidates[self.candidates > 0]
            if counts.size:
                shown.append(("candidates", f"{counts.min()} to {counts.max()} a window"))
                shown.append(("breakdown", f"from {self.breakdown[self.candidates > 0].min()} changed pixels on"))
            if self.exposure is not None:
                shown.append(("with prefilter", f"stealth gain {self.exposure.stealth_gain_db + 0.0:.2f} dB"))
        return shown


def _composed(axis: AxisOperator, pixels: npt.NDArray[np.int32], taps: Taps) -> AxisOperator:
    """The axis fed by the footprints' means at ``pixels`` and by nothing else."""
    dense = axis.dense()[:, pixels] @ AxisOperator.of(taps).dense()
    return AxisOperator(axis.n_in, axis.n_out, np.zeros(axis.n_out, np.int64), dense)


def _signed(axis: AxisOperator, sign: float) -> AxisOperator:
    return AxisOperator(axis.n_in, axis.n_out, axis.start.copy(), np.maximum(sign * axis.weights, 0.0))


def _mean_interval(image: Array, rows: Array, cols: Array, budget: int, top: float) -> tuple[Array, Array]:
    """What the mean over a footprint can be made if the ``budget`` pixels that count most are made black, or white."""
    weights = np.multiply.outer(rows, cols)
    used = weights > 0
    values, weights = image[used].astype(np.float64), weights[used][:, None]
    mean = (weights * values).sum(axis=0)
    down, up = (np.sort(weights * room, axis=0)[::-1][:budget].sum(axis=0) for room in (values, top - values))
    return mean - down, mean + up
