"""Keras's loaders of image files, and ``smart_resize``."""

from __future__ import annotations

import inspect
import sys
from types import FunctionType, ModuleType
from typing import Any

import keras
import numpy as np

from secure_resize.integration_support import check_kernel

from .backend import RobustBackend

__all__ = ["image_dataset_from_directory", "load_img", "smart_resize"]


def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last", **kwargs: Any
) -> Any:
    """``keras.preprocessing.image.smart_resize``, antialiased: the largest central part of the aspect ratio, resized.

    >>> smart_resize(np.zeros((768, 1024, 3), np.float32), (224, 224)).shape
    (224, 224, 3)

    Arguments, result and errors are Keras's; ``"nearest"`` raises ValueError.
    """
    _refuse_nearest(interpolation)
    backend = RobustBackend(kwargs.pop("backend_module", None) or _backend_of_keras())
    stock = keras.preprocessing.image.smart_resize
    return stock(x, size, interpolation, data_format, backend_module=backend, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "bilinear",
    keep_aspect_ratio: bool = False,
) -> Any:
    """``keras.utils.load_img``, whose default interpolation samples: here it is Pillow's bilinear, which does not.

    >>> load_img("cat.jpg", target_size=(224, 224)).size
    (224, 224)

    Arguments, result (a PIL image) and errors are Keras's. ValueError for ``"nearest"``, and for ``"box"`` where it
    leaves pixels out, wherever the image shrinks.
    """
    image = keras.utils.load_img(path, color_mode)
    if target_size is None:
        return image
    if interpolation in ("nearest", "box"):
        width, height = image.size
        target = int(target_size[0]), int(target_size[1])
        if keep_aspect_ratio:
            height, width = min(height, width * target[0] // target[1]), min(width, height * target[1] // target[0])
        if interpolation == "box":
            check_kernel("box", (max(height, 1), max(width, 1)), target)
        elif height > target[0] or width > target[1]:
            _refuse_nearest(interpolation)
    if hasattr(path, "seek"):
        path.seek(0)
    return keras.utils.load_img(path, color_mode, target_size, interpolation, keep_aspect_ratio)


def image_dataset_from_directory(*arguments: Any, path: str = "auto", **named: Any) -> Any:
    """``keras.utils.image_dataset_from_directory`` with robust resizing, which Keras's own has no option for.

    >>> train = image_dataset_from_directory("photographs", image_size=(224, 224))

    Arguments, dataset (with its ``class_names`` and ``file_paths``), order and labels are Keras's. Images are float32,
    those of ``tf.image.resize(..., antialias=True)``; JPEG files are decoded by the accurate inverse DCT, as Pillow
    does, not by TensorFlow's faster default, which makes other pictures of crafted files. ``"nearest"`` raises
    ValueError. ``path="graph"`` is for datasets that a tf.data service's workers run
    (:func:`secure_resize.integrations.tensorflow.resize`).
    """
    stock = keras.utils.image_dataset_from_directory
    bound = inspect.signature(stock).bind(*arguments, **named)
    _refuse_nearest(str(bound.arguments.get("interpolation", "bilinear")).lower())
    resized: list[str] = []
    if bound.arguments.get("format", "tf") == "grain":
        replaced: dict[str, Any] = {"_load_image_grain": _load_for_grain}
    else:
        replaced = _of_tensorflow(sys.modules[stock.__module__], path, resized)
    dataset = _rebuilt(stock, replaced)(*bound.args, **bound.kwargs)
    if not resized and "tf" in replaced:
        raise RuntimeError(
            f"Keras {keras.__version__} resizes the images of a directory in a way that is not known here (3.0 to 3.15 "
            "are); map secure_resize.integrations.tensorflow.decode_and_resize over the files instead"
        )
    return dataset


class _Namespace:
    """An object but for some of its attributes."""

    def __init__(self, original: Any, **attributes: Any) -> None:
        vars(self).update(attributes)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _rebuilt(function: FunctionType, replaced: dict[str, Any]) -> Any:
    """``function`` with ``replaced`` for its module's names, also in the module's functions that it calls."""
    module = vars(sys.modules[function.__module__])
    space = module | replaced
    for name, value in module.items():
        if isinstance(value, FunctionType) and value.__globals__ is module and name not in replaced:
            copied = FunctionType(value.__code__, space, name, value.__defaults__, value.__closure__)
            copied.__kwdefaults__ = value.__kwdefaults__
            space[name] = copied
    return space[function.__name__]


def _of_tensorflow(module: ModuleType, path: str, resized: list[str]) -> dict[str, Any]:
    """What the module of ``image_dataset_from_directory`` is to find under ``tf`` and ``image_utils``."""
    import tensorflow as tf

    from secure_resize.integrations import tensorflow as srtf
    from secure_resize.integrations.tensorflow.files import decoded

    def resize(*arguments: Any, **named: Any) -> Any:
        resized.append("resize")
        return srtf.resize(*arguments, **named, path=path)

    def resize_with_pad(*arguments: Any, **named: Any) -> Any:
        resized.append("resize_with_pad")
        return srtf.resize_with_pad(*arguments, **named, path=path)

    def crop(x: Any, size: Any, *, backend_module: Any, **named: Any) -> Any:
        resized.append("smart_resize")
        backend = RobustBackend(backend_module, path)
        return keras.preprocessing.image.smart_resize(x, size, backend_module=backend, **named)

    def decode_image(contents: Any, channels: int, expand_animations: bool = False) -> Any:
        if channels not in (1, 3):  # which is no JPEG file
            return tf.image.decode_image(contents, channels=channels, expand_animations=expand_animations)
        return tf.ensure_shape(decoded(contents, channels), [None, None, channels])

    image = _Namespace(tf.image, resize=resize, resize_with_pad=resize_with_pad, decode_image=decode_image)
    return {
        "tf": _Namespace(tf, image=image),
        "image_utils": _Namespace(vars(module)["image_utils"], smart_resize=crop),
    }


def _load_for_grain(
    path: Any,
    image_size: Any,
    num_channels: int,
    interpolation: str,
    data_format: str,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
) -> Any:
    """Keras's ``_load_image_grain``, antialiased."""
    image = keras.utils.load_img(path, {1: "grayscale", 3: "rgb", 4: "rgba"}[num_channels])
    array = np.asarray(image, np.float32)
    array = array[..., None] if array.ndim == 2 else array
    x = keras.ops.convert_to_tensor(np.moveaxis(array, -1, 0) if data_format == "channels_first" else array)
    return RobustBackend(_backend_of_keras()).image.resize(
        x,
        size=image_size,
        interpolation=interpolation,
        crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio,
        data_format=data_format,
    )


def _refuse_nearest(interpolation: str) -> None:
    if interpolation == "nearest":
        raise ValueError(
            "interpolation='nearest' reads one pixel per output, and an image-scaling attack controls it completely; "
            "use 'bilinear', or Keras's own function where the images are label maps"
        )


def _backend_of_keras() -> Any:
    """The module of the backend that Keras runs on."""
    from keras.src import backend

    return backend
