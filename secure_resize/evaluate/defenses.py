"""What stands between an attack image and the model: the scaler alone, robust scaling, image reconstruction.

A defense is one row of :data:`DEFENSES`: a function of the image under ``@register_defense``. Those that are linear
also name their operator, from which follows what no attack can do (:mod:`secure_resize.measure.exposure`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..attacks.craft import known_operator
from ..core.kernels import KERNELS
from ..core.operator import ScalingOperator, scaling_operator
from ..measure.exposure import exposure
from ..measure.probe import ProbeError
from ..measure.rounding import rounding
from ..measure.scalers import Scaler
from ..reconstruction.filters import reconstruct_resize
from ..reconstruction.plan import METHODS
from ..registry import Registry
from ..scaling import resize_unchecked

__all__ = ["DEFENSES", "Defense", "Linear", "register_defense"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
DefenseCall = Callable[[Image, Size, Scaler, bytes], Image]


@dataclass(frozen=True)
class Linear:
    """What is known of a linear defense: ``gain`` ≥ RMS(output change)/RMS(source change), up to ``rounding``.

    ``gain`` is σmax(L) · σmax(R) · √(N/n) for all N source pixels and all n outputs, a probed operator's uncertainty
    included; ``rounding`` the levels by which one output may lie from the map of that gain (:mod:`.measure.rounding`).
    ``is_estimate``: whether they were observed, as of a probed operator, instead of proved.
    """

    gain: float
    rounding: float
    is_estimate: bool = False


def _not_linear(scaler: Scaler, in_size: Size, out_size: Size) -> Linear | None:
    return None


@dataclass(frozen=True)
class Defense:
    """``defense(image, size, scaler, key)`` is what the model sees, uint8 (h, w, 3).

    ``scaler`` is the pipeline's own, which robust scaling replaces; ``key`` the secret of a random choice, unknown to
    the attacker. ``linear(scaler, in_size, out_size)`` is what is known where the defense is linear, else None.
    ``kernel``: of the robust scaling that it is, if it is one; ``reconstruction``: of the image reconstruction that it
    is, the filter's name.
    """

    name: str
    call: DefenseCall
    linear: Callable[[Scaler, Size, Size], Linear | None] = _not_linear
    kernel: str = ""
    reconstruction: str = ""

    def __call__(self, image: Image, size: Size, scaler: Scaler, key: bytes) -> Image:
        """Scale ``image`` (H, W, C) to ``size`` = (height, width)."""
        return self.call(image, size, scaler, key)


DEFENSES: Registry[Defense] = Registry("defense")


def register_defense(name: str, **facts: Any) -> Callable[[DefenseCall], DefenseCall]:
    """Register the decorated function as the defense ``name``; a name that is taken raises ValueError.

    ``facts`` are the other fields of :class:`Defense`.
    """

    def register(call: DefenseCall) -> DefenseCall:
        DEFENSES.add(Defense(name, call, **facts))
        return call

    return register


@lru_cache(maxsize=64)
def probed(scaler: Scaler, in_size: Size, out_size: Size) -> Linear | None:
    """What a probe finds; None where no operator describes the scaler."""
    try:
        return _linear(known_operator(scaler, in_size, out_size))  # which keeps what the attacks have probed
    except ProbeError:
        return None


@lru_cache(maxsize=64)
def _robust(kernel: Any, scaler: Scaler, in_size: Size, out_size: Size) -> Linear:
    return _linear(scaling_operator(in_size, out_size, kernel), kernel)


def _linear(operator: ScalingOperator, kernel: str | None = None) -> Linear:
    gain = math.prod(axis.norm * math.sqrt(axis.ratio) for axis in (operator.rows, operator.cols))
    known = rounding(operator, kernel)
    return Linear(gain * 10 ** (exposure(operator).uncertainty_db / 20), known.levels, known.is_estimate)


@register_defense("none", linear=probed)
def _none(image: Image, size: Size, scaler: Scaler, key: bytes) -> Image:
    return scaler(image, size)


def _resized(kernel: str, image: Image, size: Size, scaler: Scaler, key: bytes) -> Image:
    return resize_unchecked(image, size, kernel=kernel)


def _reconstructed(method: Any, image: Image, size: Size, scaler: Scaler, key: bytes) -> Image:
    secret: dict[str, Any] = {"key": key} if method == "random" else {}
    return reconstruct_resize(image, size, scaler=scaler, method=method, **secret)


for _kernel in KERNELS:
    register_defense(_kernel, linear=partial(_robust, _kernel), kernel=_kernel)(partial(_resized, _kernel))
for _method in METHODS:
    register_defense(_method, reconstruction=_method)(partial(_reconstructed, _method))
