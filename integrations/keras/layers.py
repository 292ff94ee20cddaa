"""Keras's image preprocessing layers that shrink images."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import keras

from .backend import RobustBackend

__all__ = ["CenterCrop", "RandomCrop", "RandomZoom", "Resizing"]

_STOCK = keras.layers


class _Robust:
    """Makes a layer of Keras resize by :class:`RobustBackend`, and nothing else."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        signature = inspect.signature(super().__init__)
        takes = signature.parameters
        antialias = named.pop("antialias", True) if "antialias" not in takes else None
        bound = signature.bind(*arguments, **named)
        if bound.arguments.get("interpolation") == "nearest":
            raise ValueError(
                f"{type(self).__name__}(interpolation='nearest') reads one pixel per output, and an image-scaling "
                "attack controls it completely; valid: bilinear and Keras's others. Label maps are scaled by nearest "
                "as the 'segmentation_masks' of a dict, or by Keras's own layer"
            )
        if "antialias" in takes:
            antialias = bound.arguments.get("antialias", True)
            bound.arguments["antialias"] = True
        if not antialias:
            warnings.warn(
                "antialias=False is ignored: without it the image is sampled, which image-scaling attacks exploit",
                stacklevel=2,
            )
        super().__init__(*bound.args, **bound.kwargs)
        self.backend = RobustBackend(self.backend, exact=True)  # type: ignore[has-type]


def _drop_in(stock: type) -> Any:
    """Register the decorated class as a serialisable layer with the signature of ``stock``."""

    def register(layer: type) -> type:
        signature = inspect.signature(stock)
        parameters = [
            parameter.replace(default=True) if parameter.name == "antialias" else parameter
            for parameter in signature.parameters.values()
        ]
        layer.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        registered: type = keras.saving.register_keras_serializable(package="secure_resize")(layer)
        return registered

    return register


@_drop_in(_STOCK.Resizing)
class Resizing(_Robust, _STOCK.Resizing):  # type: ignore[misc, name-defined]
    """``keras.layers.Resizing`` that image-scaling attacks cannot exploit: always antialiased.

    >>> Resizing(224, 224)(keras.ops.zeros((2, 768, 1024, 3))).shape
    TensorShape([2, 224, 224, 3])

    Arguments, dtype and layout are Keras's, and so are the values, those of ``antialias=True`` (within 10⁻⁴ of a level
    of 255 on the TensorFlow backend); ``antialias=False`` warns and is ignored. A layer of dtype uint8 gives Pillow's
    bytes on the TensorFlow backend. ``"nearest"`` raises ValueError, masks in a dict are scaled by it.
    """


@_drop_in(_STOCK.CenterCrop)
class CenterCrop(_Robust, _STOCK.CenterCrop):  # type: ignore[misc, name-defined]
    """``keras.layers.CenterCrop``, which resizes images that are smaller than the crop in one direction: robustly.

    >>> CenterCrop(224, 224)(keras.ops.zeros((2, 768, 200, 3))).shape
    TensorShape([2, 224, 224, 3])
    """


@_drop_in(_STOCK.RandomCrop)
class RandomCrop(_Robust, _STOCK.RandomCrop):  # type: ignore[misc, name-defined]
    """``keras.layers.RandomCrop``, which resizes at inference, and what is smaller than the crop: robustly.

    >>> RandomCrop(224, 224)(keras.ops.zeros((2, 768, 1024, 3)), training=False).shape
    TensorShape([2, 224, 224, 3])

    The same seed crops at the same place as Keras's own.
    """


@_drop_in(_STOCK.RandomZoom)
class RandomZoom(_Robust, _STOCK.RandomZoom):  # type: ignore[misc, name-defined]
    """``keras.layers.RandomZoom`` that reads every pixel where it zooms out.

    >>> RandomZoom((0.2, 0.9))(keras.ops.zeros((2, 224, 224, 3)), training=True).shape
    TensorShape([2, 224, 224, 3])

    Bilinear, its triangle stretched by the zoom; where it zooms in, the values are Keras's own. The same seed zooms by
    the same factor.
    """
