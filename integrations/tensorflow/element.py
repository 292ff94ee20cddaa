"""``resize`` and ``reconstruct`` with their arguments filled in, for the elements of a dataset."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import tensorflow as tf

import secure_resize as sr
from secure_resize.integration_support import Defense, ReconstructionMethod, Size, check_options

from .arguments import Method, Path, Tensor, checked_size
from .functional import check_method, reconstruct, resize

__all__ = ["Reconstruct", "Resize"]

Keys = str | tuple[str, ...]


@dataclass(frozen=True)
class Resize:
    """:func:`.resize` with its arguments filled in, for ``Dataset.map``; it can be pickled, copied and compared.

    Called with an image or a batch it returns it resized. Of a tuple, or of several arguments (``Dataset.map`` spreads
    a tuple), it resizes the first and passes on the rest: ``(image, label)`` stays ``(image, label)``, a namedtuple
    stays one. Of a dict it resizes ``key``, or each of several keys. As ``tf.image.resize`` does, it makes float32 of
    whatever comes; ``dtype="uint8"`` keeps decoded images uint8, with Pillow's bytes, and is the fastest. A bad
    argument raises :func:`.resize`'s errors at construction.
    """

    size: Size
    method: Method = "bilinear"
    preserve_aspect_ratio: bool = False
    _: KW_ONLY
    key: Keys = "image"
    path: Path = "auto"
    defense: Defense = "robust"
    dtype: Any = None
    labels: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size))
        object.__setattr__(self, "dtype", None if self.dtype is None else tf.as_dtype(self.dtype).name)
        check_method(self.method, self.defense, self.path)
        _check_keys(self.key)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def __call__(self, *element: Any) -> Any:
        """The element resized; see the class. KeyError where a dict lacks the key."""
        return _transformed(element, self._resize, self.key)

    def _resize(self, image: Any) -> Tensor:
        return resize(
            image,
            self.size,
            self.method,
            self.preserve_aspect_ratio,
            dtype=self.dtype,
            path=self.path,
            defense=self.defense,
            labels=self.labels,
        )


@dataclass(frozen=True)
class Reconstruct:
    """:func:`.reconstruct` for ``Dataset.map``, directly before somebody else's resize; elements as in :class:`Resize`.

    >>> dataset.map(srtf.Reconstruct((224, 224), "keras:bilinear")).map(keras.layers.Resizing(224, 224))
    """

    size: Size
    scaler: str = "tensorflow:bilinear"
    method: ReconstructionMethod = "median"
    bandwidth: float = 2
    _: KW_ONLY
    key: Keys = "image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", checked_size(self.size))
        check_options(self.method, self.bandwidth, None)
        sr.get_scaler(self.scaler)
        _check_keys(self.key)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def __call__(self, *element: Any) -> Any:
        """The element reconstructed; see the class. KeyError where a dict lacks the key."""
        return _transformed(element, self._reconstruct, self.key)

    def _reconstruct(self, image: Any) -> Tensor:
        return reconstruct(image, self.size, scaler=self.scaler, method=self.method, bandwidth=self.bandwidth)


def _check_keys(key: Any) -> None:
    names = _names(key)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"key must be a name or a tuple of names, got {key!r}")


def _names(key: Keys) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def _transformed(element: tuple[Any, ...], transform: Callable[[Any], Tensor], key: Keys) -> Any:
    """The arguments of a call of ``Dataset.map``, their image or images transformed."""
    if not element:
        raise TypeError("the transform takes an image, or a dataset's element (image, ...) or {'image': ...}; got none")
    return _changed(element[0] if len(element) == 1 else element, transform, _names(key))


def _changed(element: Any, transform: Callable[[Any], Tensor], keys: tuple[str, ...]) -> Any:
    if isinstance(element, tuple):
        changed_tuple = (_changed(element[0], transform, keys), *element[1:])
        return type(element)(*changed_tuple) if hasattr(element, "_fields") else changed_tuple
    if isinstance(element, Mapping):
        missing = [key for key in keys if key not in element]
        if missing:
            raise KeyError(f"no key {missing[0]!r} in the element; its keys: {', '.join(map(repr, element))}")
        changed: Any = copy.copy(element)
        for key in keys:
            changed[key] = _changed(element[key], transform, keys)
        return changed
    return transform(element)
