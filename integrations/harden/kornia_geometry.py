"""``kornia.geometry.transform``'s resizes, robust: the same names and arguments, and ``kernel``."""

from __future__ import annotations

from typing import Any

import torch
from kornia.geometry import transform as _stock
from kornia.geometry.transform.affwarp import _side_to_image_size

from secure_resize.integration_support import KernelName

from ..torchvision.v2 import functional

__all__ = ["Rescale", "Resize", "rescale", "resize"]

# kornia's interpolations as kernels; nearest on an image averages.
KERNELS: dict[str, KernelName] = {"bilinear": "bilinear", "bicubic": "bicubic"}


def resize(
    input: torch.Tensor,
    size: int | tuple[int, int],
    interpolation: str = "bilinear",
    align_corners: bool | None = None,
    side: str = "short",
    antialias: bool = False,
    *,
    kernel: KernelName | None = None,
) -> torch.Tensor:
    """``kornia.geometry.transform.resize`` of an image (..., H, W), robust wherever it shrinks; differentiable.

    Where neither axis shrinks it is kornia's own. ``align_corners`` and ``antialias`` say nothing where it shrinks: the
    pixels' centres are scaled, and every pixel counts.
    """
    if not isinstance(input, torch.Tensor) or input.ndim < 2:
        raise TypeError(f"expected an image (..., H, W) as a tensor, got {type(input).__name__}")
    height, width = input.shape[-2:]
    target = _side_to_image_size(size, width / height, side) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if 0 in target or (target[0] >= height and target[1] >= width):
        larger: torch.Tensor = _stock.resize(input, size, interpolation, align_corners, side, antialias)
        return larger
    image = input if input.ndim > 2 else input[None]
    small: torch.Tensor = functional.resize(image, list(target), kernel=kernel or KERNELS.get(interpolation, "area"))
    return small if input.ndim > 2 else small[0]


def rescale(
    input: torch.Tensor,
    factor: float | tuple[float, float],
    interpolation: str = "bilinear",
    align_corners: bool | None = None,
    antialias: bool = False,
    *,
    kernel: KernelName | None = None,
) -> torch.Tensor:
    """``kornia.geometry.transform.rescale``, as :func:`resize`."""
    down, across = (factor, factor) if isinstance(factor, float) else factor
    size = (int(input.shape[-2] * down), int(input.shape[-1] * across))
    return resize(input, size, interpolation, align_corners, antialias=antialias, kernel=kernel)


class Resize(_stock.Resize):  # type: ignore[misc]
    """``kornia.geometry.transform.Resize``, robust; ``kernel`` overrides the interpolation's."""

    kernel: KernelName | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The image (..., H, W), resized."""
        options: Any = (self.interpolation, self.align_corners, self.side, self.antialias)
        return resize(input, self.size, *options, kernel=self.kernel)


class Rescale(_stock.Rescale):  # type: ignore[misc]
    """``kornia.geometry.transform.Rescale``, robust; ``kernel`` overrides the interpolation's."""

    kernel: KernelName | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The image (..., H, W), rescaled."""
        options: Any = (self.interpolation, self.align_corners, self.antialias)
        return rescale(input, self.factor, *options, kernel=self.kernel)
