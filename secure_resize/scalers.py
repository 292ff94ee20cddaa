"""Other libraries' resizes as black boxes, called the way their users call them; for auditing, never for use.

Each is a small function registered under ``library:algorithm``, with a lazy import. :data:`SCALERS` holds them by name.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SCALERS", "Scaler", "get_scaler", "register_scaler"]

Image = npt.NDArray[np.uint8]
ScalerCall = Callable[[Image, tuple[int, int]], Image]


@dataclass(frozen=True)
class Scaler:
    """A library's resize: ``scaler(image, (height, width))`` on uint8 (H, W) or (H, W, C) arrays.

    ``name`` is ``library:algorithm``, with ``+antialias`` where the library is asked for it; ``module`` is what has to
    be installed.
    """

    name: str
    call: ScalerCall
    module: str

    def __call__(self, image: Image, size: tuple[int, int]) -> Image:
        """Scale ``image`` to ``size`` = (height, width) through the real library."""
        return self.call(image, size)

    @property
    def algorithm(self) -> str:
        """The part of the name after the library."""
        return self.name.partition(":")[2]

    @property
    def installed(self) -> bool:
        """Whether the library can be imported here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed library's version."""
        return str(importlib.import_module(self.module).__version__)


SCALERS: dict[str, Scaler] = {}


def register_scaler(name: str, module: str) -> Callable[[ScalerCall], ScalerCall]:
    """Register the decorated function as the scaler ``name``; a name that is taken raises ValueError."""

    def register(call: ScalerCall) -> ScalerCall:
        if name in SCALERS:
            raise ValueError(f"scaler {name!r} is already registered; registered scalers: {', '.join(SCALERS)}")
        SCALERS[name] = Scaler(name, call, module)
        return call

    return register


def get_scaler(name: str) -> Scaler:
    """The scaler called ``name``; ValueError with the valid names otherwise, ImportError where it is not installed."""
    if name not in SCALERS:
        raise ValueError(f"unknown scaler {name!r}; valid scalers: {', '.join(SCALERS)}")
    if not SCALERS[name].installed:
        raise ImportError(f"the scaler {name!r} needs {SCALERS[name].module!r}, which is not installed")
    return SCALERS[name]


def _opencv(interpolation: str) -> ScalerCall:
    def scale(image: Image, size: tuple[int, int]) -> Image:
        import cv2

        return np.asarray(cv2.resize(image, size[::-1], interpolation=getattr(cv2, interpolation)))

    return scale


def _torch(mode: str) -> ScalerCall:
    def scale(image: Image, size: tuple[int, int]) -> Image:
        import torch

        planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), -1, 0)))[None]
        out = torch.nn.functional.interpolate(planes, size=size, mode=mode)[0].numpy()
        return np.ascontiguousarray(np.moveaxis(out, 0, -1)).reshape(*size, *image.shape[2:])

    return scale


def _tensorflow(method: str) -> ScalerCall:
    def scale(image: Image, size: tuple[int, int]) -> Image:
        import tensorflow as tf

        out: Any = tf.image.resize(np.atleast_3d(image), size, method=method)
        # tf.image.resize gives float32; its users cast back with saturate_cast, which rounds nothing: round first.
        return np.asarray(tf.saturate_cast(tf.round(out), tf.uint8)).reshape(*size, *image.shape[2:])

    return scale


# The name is the user's call: cv2.resize(image, size), tf.image.resize(image, size), interpolate(image, size).
register_scaler("opencv:linear", "cv2")(_opencv("INTER_LINEAR"))
register_scaler("opencv:nearest", "cv2")(_opencv("INTER_NEAREST"))
register_scaler("tensorflow:bilinear", "tensorflow")(_tensorflow("bilinear"))
register_scaler("tensorflow:nearest", "tensorflow")(_tensorflow("nearest"))
register_scaler("torch:nearest", "torch")(_torch("nearest"))
register_scaler("torch:bilinear", "torch")(_torch("bilinear"))
