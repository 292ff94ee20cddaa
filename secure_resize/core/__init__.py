"""The numeric core: resizing, the selective filters, what detectors ask of pictures. Native or reference: picked once.

``SECURE_RESIZE_BACKEND`` chooses: ``auto`` (default: native where the extension was built, else reference), ``native``
(ImportError where it is absent) or ``reference`` (numpy). Integer results are the same bytes either way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy.typing as npt

from . import reference

__all__ = [
    "BACKENDS",
    "apply_area",
    "apply_fixed",
    "apply_float",
    "backend",
    "cut_off",
    "fingerprint",
    "line_energy",
    "place",
    "second_difference",
    "select_median",
    "select_random",
    "stand_out",
    "worst_window",
]

BACKENDS = ("auto", "native", "reference")


def _pick(wanted: str) -> tuple[str, ModuleType]:
    if wanted not in BACKENDS:
        raise ImportError(f"SECURE_RESIZE_BACKEND={wanted!r} is not a backend; valid: {', '.join(BACKENDS)}")
    if wanted != "reference":
        try:
            from . import native
        except ModuleNotFoundError as error:  # not built; any other ImportError names a mistake
            if wanted == "native":
                raise ImportError(
                    "SECURE_RESIZE_BACKEND=native, but the C extension is not there. It is built on installation where "
                    "a C compiler is found; SECURE_RESIZE_REQUIRE_EXT=1 makes the installation fail instead of "
                    f"leaving it out ({error})"
                ) from error
        except ImportError as error:
            if "cannot import name" not in str(error):
                raise
            raise ImportError(f"the C extension was built from other sources; build it again ({error})") from error
        else:
            return "native", native
    return "reference", reference


_name, _implementation = _pick(os.environ.get("SECURE_RESIZE_BACKEND", "auto"))

apply_area: Callable[..., npt.NDArray[Any]] = _implementation.apply_area
apply_fixed: Callable[..., npt.NDArray[Any]] = _implementation.apply_fixed
apply_float: Callable[..., npt.NDArray[Any]] = _implementation.apply_float
cut_off: Callable[..., tuple[float, tuple[npt.NDArray[Any], ...]]] = _implementation.cut_off
fingerprint: Callable[..., npt.NDArray[Any]] = _implementation.fingerprint
line_energy: Callable[..., npt.NDArray[Any]] = _implementation.line_energy
place: Callable[..., None] = _implementation.place
second_difference: Callable[..., tuple[npt.NDArray[Any], npt.NDArray[Any]]] = _implementation.second_difference
select_median: Callable[..., None] = _implementation.select_median
select_random: Callable[..., None] = _implementation.select_random
stand_out: Callable[..., npt.NDArray[Any]] = _implementation.stand_out
worst_window: Callable[..., tuple[float, tuple[int, int]]] = _implementation.worst_window


def backend() -> str:
    """The implementation in use: ``"native"`` or ``"reference"``."""
    return _name
