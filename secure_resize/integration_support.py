"""What integrations need beside the public names: shared checks, and the tables that a graph computes for itself.

Not public. Integrations import ``secure_resize`` and this module, and nothing else of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from . import core
from .core.operator import ScalingOperator, axis_operator
from .core.taps import PRECISION_BITS, axis_weights
from .measure.scalers import SCALERS, load
from .names import Defense, KernelName, PassOrder, ReconstructionMethod, Size
from .reconstruction.plan import METHODS, check_options
from .registry import Registry
from .scaling import MAX_AXIS, MAX_PIXELS, PASS_ORDERS, as_batch, check_kernel, check_size, from_batch

__all__ = [
    "DEFENSES",
    "MAX_AXIS",
    "MAX_PIXELS",
    "PASS_ORDERS",
    "PRECISION_BITS",
    "Defense",
    "KernelName",
    "ReconstructionMethod",
    "Registry",
    "Size",
    "apply_operator",
    "axis_operator",
    "axis_weights",
    "check_kernel",
    "check_options",
    "check_size",
    "load",
    "pillow_pass_order",
    "stock_scaler",
    "stock_scalers",
    "tracing",
]

DEFENSES = ("robust", *METHODS)


def stock_scalers(library: str) -> dict[str, str]:
    """The resizes of ``library`` whose reads are known in closed form: their scalers' names by that of the algorithm.

    The algorithm is spelled as the library does it: ``nearest-exact``.
    """
    known = [row for row in SCALERS.values() if row.library == library and row.sampling is not None]
    return {row.algorithm.replace("_", "-"): row.name for row in known}


def stock_scaler(defense: str, library: str, algorithm: str) -> str | None:
    """The scaler that ``defense`` reconstructs images for; None for ``"robust"``, which replaces the scaler instead.

    ValueError for an unknown defense, and for an algorithm of ``library`` that no image can be reconstructed for.
    """
    if defense not in DEFENSES:
        raise ValueError(f"unknown defense {defense!r}; valid: {', '.join(DEFENSES)}")
    if defense == "robust":
        return None
    known = stock_scalers(library)
    if algorithm not in known:
        raise ValueError(
            f"defense={defense!r} keeps {library}'s own resize, and images cannot be reconstructed for {algorithm!r}; "
            f"valid: {', '.join(known)}"
        )
    return known[algorithm]


def pillow_pass_order(version: str) -> PassOrder:
    """The ``pass_order`` that gives the bytes of this version of Pillow."""
    return "pillow13" if int(version.partition(".")[0]) >= 13 else "pillow12"


def tracing() -> Any:
    """What watches libraries' functions, as the module ``audit.trace.routing``; imported when it is first needed."""
    from .audit.trace import routing

    return routing


def apply_operator(
    image: npt.NDArray[Any], size: Size, operator: Callable[[Size, Size], ScalingOperator], *, num_threads: int = 1
) -> npt.NDArray[Any]:
    """The float32 ``image`` scaled by ``operator(in_size, out_size)``, which need not be that of one of our kernels.

    For libraries whose weights are known but are not ours to the last bit. Shapes, bounds and errors are
    :func:`secure_resize.resize`'s; whether the operator samples is for the caller to know.
    """
    batch, (height, width) = as_batch(image), check_size(size)
    if batch.dtype != "float32":
        raise TypeError(f"image dtype must be float32, got {image.dtype}")
    found = operator((batch.shape[1], batch.shape[2]), (height, width))
    return from_batch(core.apply_float(batch, found.rows, found.cols, num_threads), image.ndim)
