"""``timm.data`` with robust resizes; every other name is ``timm.data``'s own.

>>> from secure_resize.integrations import timm
>>> transform = timm.create_transform(**timm.resolve_data_config(model=model), is_training=True)

:func:`create_transform` gives timm's own pipeline with its resizes (:data:`ROBUST`) replaced by subclasses of the same
name, repr, sizes and random draws. Images have the same bytes with ``bilinear``, ``bicubic``, ``lanczos``, ``hamming``
and ``random``, since timm antialiases. What differs is what it samples with: ``nearest`` raises ValueError, and so does
``box`` where it leaves pixels out, unless ``kernel="area"`` (or another) says what to scale with instead.
``tf_preprocessing=True``, which samples through TensorFlow, raises ValueError.
"""

from __future__ import annotations

import copy
import functools
import inspect
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import secure_resize as sr
from secure_resize import integration_support as _support
from secure_resize.integration_support import KernelName

from .torchvision import functional

try:
    _stock = _support.load("timm.data")
    _transforms = _support.load("timm.data.transforms")
except ImportError as error:
    raise ImportError("secure_resize.integrations.timm needs timm: pip install timm") from error
_torchvision = _support.load("torchvision.transforms")


class _Robust:
    """What the classes below share."""

    kernel: KernelName | None = None
    interpolation: Any

    def _scale(self, image: Any, size: Any, max_size: int | None = None) -> Any:
        return functional.resize(image, size, _drawn(self.interpolation), max_size, kernel=self.kernel)


class Resize(_Robust, _torchvision.Resize):  # type: ignore[misc, name-defined]
    """``torchvision.transforms.Resize`` as timm uses it, robust."""

    def forward(self, img: Any) -> Any:
        """Resize an image."""
        return self._scale(img, self.size, self.max_size)


class RandomResizedCropAndInterpolation(_Robust, _transforms.RandomResizedCropAndInterpolation):  # type: ignore[misc, name-defined]
    """``timm.data.transforms.RandomResizedCropAndInterpolation``, robust; the same crops from the same seed."""

    def __call__(self, img: Any) -> Any:
        """Crop an image at random and resize that."""
        top, left, height, width = self.get_params(img, self.scale, self.ratio)
        return self._scale(functional.crop(img, top, left, height, width), self.size)


class ResizeKeepRatio(_Robust, _transforms.ResizeKeepRatio):  # type: ignore[misc, name-defined]
    """``timm.data.transforms.ResizeKeepRatio``, robust; the same sizes from the same seed."""

    def __call__(self, img: Any) -> Any:
        """Resize an image."""
        how = (self.random_scale_prob, self.random_scale_range, self.random_scale_area)
        aspect = (self.random_aspect_prob, self.random_aspect_range)
        return self._scale(img, self.get_params(img, self.size, self.longest, *how, *aspect))


def _drawn(interpolation: Any) -> Any:
    return random.choice(interpolation) if isinstance(interpolation, (tuple, list)) else interpolation


# The robust class of each that resizes.
ROBUST: dict[type, type] = {
    _torchvision.Resize: Resize,
    _transforms.RandomResizedCropAndInterpolation: RandomResizedCropAndInterpolation,
    _transforms.ResizeKeepRatio: ResizeKeepRatio,
}
# Those of NaFlex antialias themselves, unless they are asked for nearest.
_NAFLEX = ("ResizeToSequence", "RandomResizedCropToSequence", "ResizeKeepRatioToSequence")


def robust(transform: Any, kernel: KernelName | None = None) -> Any:
    """A copy of a transform of timm's, or of a Compose or tuple of them, that does not sample.

    Everything that does not resize stays the same object. ValueError where an image would be sampled: nearest without a
    ``kernel``, and TensorFlow's preprocessing.
    """
    if isinstance(transform, (tuple, list)):
        return type(transform)(robust(part, kernel) for part in transform)
    if isinstance(transform, _torchvision.Compose):
        composed = copy.copy(transform)
        composed.transforms = [robust(part, kernel) for part in transform.transforms]
        return composed
    name = type(transform).__name__
    if name == "TfPreprocessTransform":
        raise ValueError("tf_preprocessing=True resizes with TensorFlow, which samples; leave it out")
    made = ROBUST.get(type(transform))
    if made is None and name not in _NAFLEX:
        return transform
    _check(transform.interpolation, kernel if made is not None else None)
    if made is None:
        return transform
    copied = copy.copy(transform)
    copied.__class__ = made
    copied.kernel = kernel
    return copied


def _check(interpolation: Any, kernel: KernelName | None) -> None:
    if kernel is not None:
        sr.get_kernel(kernel)
        return
    for mode in interpolation if isinstance(interpolation, (tuple, list)) else (interpolation,):
        if functional.choose_kernel(mode, None) is None:
            raise ValueError(
                "interpolation='nearest' reads one pixel per output, which is what image-scaling attacks exploit; "
                "valid: bilinear, bicubic, lanczos, hamming, box, random, or nearest with what scales in its place, "
                f"kernel= one of {', '.join(map(repr, sr.KERNELS))}"
            )


def _robustly(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which gives a transform, with one more argument."""

    @functools.wraps(function)
    def create(*args: Any, kernel: KernelName | None = None, **kwargs: Any) -> Any:
        return robust(function(*args, **kwargs), kernel)

    signature = inspect.signature(function)
    own = inspect.Parameter("kernel", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="KernelName | None")
    create.__signature__ = signature.replace(parameters=[*signature.parameters.values(), own])  # type: ignore[attr-defined]
    create.__module__ = __name__
    return create


create_transform = _robustly(_stock.create_transform)
create_transform.__doc__ = """``timm.data.create_transform``, robust: its arguments and one more, ``kernel``.

>>> create_transform(224, interpolation="bicubic")(PIL.Image.open("photo.jpg")).shape
torch.Size([3, 224, 224])

``kernel`` is a name from ``secure_resize.KERNELS`` that scales in place of ``interpolation``. See above for the errors.
"""


def create_loader(dataset: Any, *args: Any, kernel: KernelName | None = None, **kwargs: Any) -> Any:
    """``timm.data.create_loader``, whose transforms are robust; ``kernel`` as in :func:`create_transform`.

    ValueError with ``use_multi_epochs_loader``, whose processes start with timm's transforms before those are replaced.
    """
    if kwargs.get("use_multi_epochs_loader"):
        raise ValueError("use_multi_epochs_loader=True starts to load before its transforms are robust; leave it out")
    loader = _stock.create_loader(dataset, *args, **kwargs)
    # One that loads at sizes that change has a transform for each.
    for scaled in (dataset, getattr(loader, "loader", loader).dataset):
        for name in ("transform", "transforms"):
            given = getattr(scaled, name, None)
            if given is not None:
                setattr(scaled, name, robust(given, kernel))
    return loader


__all__ = [*(name for name in dir(_stock) if not name.startswith("_")), "ROBUST", "robust"]

if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of ``timm.data``'s names."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
