"""``torchvision.transforms.functional``, of the first version of the transforms, with robust resizes of images."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torchvision.transforms import InterpolationMode, functional as _stock
from torchvision.transforms.v2.functional._geometry import _compute_resized_output_size
from torchvision.tv_tensors import Mask

from secure_resize.integration_support import Defense, KernelName

from . import functional as _v2, warp
from .functional import Path, Size

__all__ = [name for name in dir(_stock) if not name.startswith("_")]


def resize(
    img: Any,
    size: Size,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
    *,
    kernel: KernelName | None = None,
    defense: Defense = "robust",
    path: Path = "op",
) -> Any:
    """``torchvision.transforms.functional.resize`` of a PIL image or a tensor, as :func:`.functional.resize` does it.

    >>> resize(torch.zeros(3, 768, 1024, dtype=torch.uint8), [224, 224]).shape
    torch.Size([3, 224, 224])

    These functions know no masks: nearest is refused, but for a ``tv_tensors.Mask``.
    """
    _check(interpolation)
    if isinstance(img, Mask):
        return _stock.resize(img, size, interpolation, max_size, antialias)
    if defense != "robust" and isinstance(img, torch.Tensor):
        scaler = _v2.check_defense(defense, interpolation, kernel)
        new_size = _compute_resized_output_size(list(img.shape[-2:]), size, max_size)
        reconstructed = _v2.reconstruct(img, new_size, scaler=str(scaler), method=defense)
        return _stock.resize(reconstructed, new_size, interpolation, antialias=False)
    options: dict[str, Any] = {"kernel": kernel, "defense": defense, "path": path}
    _v2.warn_of_antialias(antialias if defense == "robust" else None)
    return _v2.resize(img, size, interpolation, max_size, None, **options)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Size,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
    *,
    kernel: KernelName | None = None,
    defense: Defense = "robust",
    path: Path = "op",
) -> Any:
    """Crop as torchvision does, then :func:`resize`."""
    _check(interpolation)
    _v2.warn_of_antialias(antialias if defense == "robust" else None)
    cropped = _stock.crop(img, top, left, height, width)
    return resize(cropped, size, interpolation, None, None, kernel=kernel, defense=defense, path=path)


def _check(interpolation: Any) -> None:
    if not isinstance(interpolation, (int, InterpolationMode)):
        raise TypeError(
            f"interpolation must be an InterpolationMode or Pillow's constant for one, got {interpolation!r}; only v2 "
            "takes names"
        )


def _beside(function: Any, stock: Any) -> Any:
    """Ours for the images that shrink, torchvision's for all else, under its signature."""

    @functools.wraps(stock)
    def warped(*args: Any, **kwargs: Any) -> Any:
        if not args:
            args = (kwargs.pop("img"),)
        return function(stock, *args, **kwargs)

    return warped


affine = _beside(warp.affine_beside, _stock.affine)
perspective = _beside(warp.perspective_beside, _stock.perspective)
elastic_transform = _beside(warp.elastic_beside, _stock.elastic_transform)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
