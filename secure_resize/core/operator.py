"""The coefficient matrices of separable scaling, ``scale(X) = L · X · Rᵀ`` (Quiring et al., USENIX Security 2020).

An :class:`AxisOperator` is the banded matrix of one axis, a :class:`ScalingOperator` the two of an image. They are the
currency of everything that reasons about a resize. Their weights, and the integers that pixels really meet, come from
:mod:`secure_resize.core.taps`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..names import KernelName, Size
from .kernels import get_kernel
from .taps import Taps, axis_weights

__all__ = ["AxisOperator", "Provenance", "ScalingOperator", "axis_operator", "scaling_operator"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AxisOperator(Taps):
    """One axis of a linear scaler: the (n_out, n_in) matrix whose row i is ``weights[i]`` from column ``start[i]`` on.

    ``start`` is int64 (n_out,), ``weights`` float64 (n_out, width); rows with fewer taps are padded with zeros, and
    ``0 <= start`` and ``start + width <= n_in`` hold for every row. Its ``unit`` is 1.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit != 1:
            raise ValueError(f"an operator's weights are in units of 1, not of 1/{self.unit}; use AxisOperator.of")

    @classmethod
    def of(cls, taps: Taps) -> AxisOperator:
        """The operator that ``taps``, integers for instance, stand for."""
        return cls(taps.n_in, taps.n_out, taps.start, taps.weights / taps.unit)

    @property
    def ratio(self) -> float:
        """The scaling ratio β = n_in / n_out."""
        return self.n_in / self.n_out

    def apply(self, x: npt.ArrayLike, axis: int = 0) -> FloatArray:
        """Scale ``x`` (n_in along ``axis``, any real dtype) to n_out along that axis; float64."""
        x = self._moved(x, axis, self.n_in)
        out = np.zeros((self.n_out, *x.shape[1:]))
        for k in range(self.width):
            out += _column(self.weights, k, x.ndim) * x[self.start + k]
        return np.moveaxis(out, 0, axis)

    def adjoint(self, y: npt.ArrayLike, axis: int = 0) -> FloatArray:
        """The transposed matrix applied to ``y`` (n_out along ``axis``); float64, n_in along that axis."""
        y = self._moved(y, axis, self.n_out)
        out = np.zeros((self.n_in, *y.shape[1:]))
        for k in range(self.width):
            np.add.at(out, self.start + k, _column(self.weights, k, y.ndim) * y)
        return np.moveaxis(out, 0, axis)

    def __matmul__(self, x: npt.ArrayLike) -> FloatArray:
        return self.apply(x)

    def read(self, tolerance: float = 0.0) -> npt.NDArray[np.bool_]:
        """Bool (n_in,): the pixels that some output reads with ``|weight| > tolerance``."""
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be a number >= 0, got {tolerance!r}")
        columns = self.start[:, None] + np.arange(self.width)
        used = np.zeros(self.n_in, bool)
        used[columns[np.abs(self.weights) > tolerance]] = True
        return used

    @property
    def norm(self) -> float:
        """The spectral norm ‖L‖₂ = σmax(L)."""
        dense = self.dense()
        gram = dense @ dense.T if self.n_out <= self.n_in else dense.T @ dense
        return math.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0))

    def dense(self) -> FloatArray:
        """The matrix itself, float64 (n_out, n_in)."""
        matrix = np.zeros((self.n_out, self.n_in))
        np.put_along_axis(matrix, self.start[:, None] + np.arange(self.width), self.weights, axis=1)
        return matrix

    def within(self, n_in: int, first_in: int, n_out: int, first_out: int) -> AxisOperator:
        """The same weights on a longer axis of ``n_in`` pixels, this one's from ``first_in`` on, and ``n_out`` outputs.

        The outputs before ``first_out`` and after this one's have weights of zero.
        """
        start = np.zeros(n_out, np.int64)
        weights = np.zeros((n_out, self.width))
        own = slice(first_out, first_out + self.n_out)
        start[own], weights[own] = self.start + first_in, self.weights
        return AxisOperator(n_in, n_out, start, weights)

    @staticmethod
    def _moved(x: npt.ArrayLike, axis: int, expected: int) -> npt.NDArray[Any]:
        moved = np.moveaxis(np.asarray(x), axis, 0)
        if moved.shape[0] != expected:
            raise ValueError(f"axis {axis} must have {expected} elements, got shape {np.shape(x)}")
        return moved


def _column(weights: FloatArray, k: int, ndim: int) -> FloatArray:
    return weights[:, k].reshape(-1, *(1,) * (ndim - 1))


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where a probed operator comes from, and how well it is known. Levels are those of 8 bits, 0 to 255.

    The callable is ``offset[..., o] + Σ_i mix[o, i] · (L · X_i · Rᵀ)`` for output channel o of ``channels`` and input
    channels X_i in levels: float64 ``mix`` (C_out, C_in), ``offset`` (h, w, C_out); with ``transposed`` (a pipeline
    that turns the image by 90°) of the transpose of L · X_i · Rᵀ. ``clips`` tells where values are cut off: ``""``
    nowhere, ``"output"`` at ``bounds`` (2, C_out), what black and white become; ``"rows"`` or ``"cols"`` also between
    the passes, after the one named, at 0 and 255. (Cutting off never increases a difference, so it takes nothing from
    the bounds on attacks.)

    ``block`` is the part of the output that this operator makes, rows and columns as slices; all other outputs have
    rows of zeros in L or R. ``others`` are the operators of the rest, where the callable makes different parts of its
    output, or takes different layouts and dtypes, in different ways: a probe returns the one of largest stealth gain.
    ``unmeasured`` are the ways of handing over an image that it takes but that no operator describes, with the reason.
    """

    name: str
    version: str
    dtype: str
    layout: str
    calls: int
    weight_std: tuple[float, float]  # standard deviation of each weight of rows and of cols
    nonlinearity: float  # levels: the largest |f((X+Y)/2) - (f(X)+f(Y))/2|, which rounding alone brings to about 1
    inseparability: float  # levels: the RMS distance of the response to u·vᵀ from a matrix of rank 1
    extreme_residual: float  # like the operator's residual, on noise of black and white pixels
    clips: str
    bounds: FloatArray
    mix: FloatArray
    offset: FloatArray
    notes: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    transposed: bool = False
    block: tuple[slice, slice] | None = None
    others: tuple[ScalingOperator, ...] = ()
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScalingOperator:
    """A separable linear scaler of images: ``rows`` (L) acts on the height, ``cols`` (R) on the width.

    A probed one also has its ``residual``, the furthest that the callable's output lay from the operator's prediction
    on random images, in levels and with the callable's own rounding, and its ``provenance``.
    """

    rows: AxisOperator
    cols: AxisOperator
    residual: float | None = None
    provenance: Provenance | None = None

    @property
    def in_size(self) -> tuple[int, int]:
        """(height, width) of the source."""
        return self.rows.n_in, self.cols.n_in

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the output; of its transpose where the provenance says ``transposed``."""
        return self.rows.n_out, self.cols.n_out

    def apply(self, image: npt.ArrayLike) -> FloatArray:
        """``L · image · Rᵀ`` in float64, without rounding or clipping; image (H, W) or (H, W, C)."""
        return self.cols.apply(self.rows.apply(image, 0), 1)

    def adjoint(self, image: npt.ArrayLike) -> FloatArray:
        """``Lᵀ · image · R`` in float64; image (h, w) or (h, w, C)."""
        return self.cols.adjoint(self.rows.adjoint(image, 0), 1)

    def __matmul__(self, image: npt.ArrayLike) -> FloatArray:
        return self.apply(image)


def scaling_operator(in_size: Size, out_size: Size, kernel: KernelName = "area") -> ScalingOperator:
    """The operator of ``resize`` from ``in_size`` to ``out_size`` (both (height, width)) before any rounding."""
    return ScalingOperator(
        axis_operator(in_size[0], out_size[0], kernel), axis_operator(in_size[1], out_size[1], kernel)
    )


@lru_cache(maxsize=128)
def axis_operator(n_in: int, n_out: int, kernel: str = "area") -> AxisOperator:
    """The operator of one axis, n_in → n_out source pixels, for the kernel called ``kernel``."""
    chosen = get_kernel(kernel)
    if n_in < 1 or n_out < 1:
        raise ValueError(f"an axis has at least 1 pixel; got n_in={n_in}, n_out={n_out}")
    start, weights, _ = axis_weights(n_in, n_out, chosen, "float32")
    return AxisOperator(n_in, n_out, start, weights)
