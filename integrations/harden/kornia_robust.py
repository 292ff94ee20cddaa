"""``kornia.augmentation``'s transforms that resize, robust: the same draws, masks and boxes as kornia's own."""

from __future__ import annotations

from typing import Any

import torch
from kornia import augmentation as _stock
from kornia.constants import Resample

from secure_resize.integration_support import KernelName

from .kornia_geometry import resize

__all__ = ["LongestMaxSize", "RandomResizedCrop", "Resize", "SmallestMaxSize"]

Params = dict[str, torch.Tensor]


class _Robust(_stock.GeometricAugmentationBase2D):  # type: ignore[misc]
    """What they share: masks go kornia's own way, images ours."""

    kernel: KernelName | None = None

    def apply_transform_mask(
        self, input: torch.Tensor, params: Params, flags: dict[str, Any], transform: torch.Tensor | None = None
    ) -> torch.Tensor:
        """A mask, as kornia's own class does it."""
        stock = super().apply_transform
        align = flags.get("align_corners")
        flags = {**flags, "align_corners": self.flags.get("align_corners", False) if align is None else align}
        mask: torch.Tensor = stock(input, params, flags, transform)
        return mask

    def _scaled(self, image: torch.Tensor, size: tuple[int, int], flags: dict[str, Any]) -> torch.Tensor:
        nearest = flags["resample"] == Resample.NEAREST
        mode = "nearest-exact" if nearest else flags["resample"].name.lower()
        align = None if nearest else flags["align_corners"]
        return resize(image, size, mode, align, kernel=self.kernel)


class Resize(_Robust, _stock.Resize):  # type: ignore[misc]
    """``kornia.augmentation.Resize``, robust."""

    def apply_transform(
        self, input: torch.Tensor, params: Params, flags: dict[str, Any], transform: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The images (B, C, H, W), resized."""
        asked = flags["size"]
        if isinstance(asked, int):
            asked = params["output_size"][0].tolist() if input.shape[0] else (asked, asked)
        return self._scaled(input, (int(asked[0]), int(asked[1])), flags)


class LongestMaxSize(Resize, _stock.LongestMaxSize):  # type: ignore[misc]
    """``kornia.augmentation.LongestMaxSize``, robust."""


class SmallestMaxSize(Resize, _stock.SmallestMaxSize):  # type: ignore[misc]
    """``kornia.augmentation.SmallestMaxSize``, robust."""


class RandomResizedCrop(_Robust, _stock.RandomResizedCrop):  # type: ignore[misc]
    """``kornia.augmentation.RandomResizedCrop``, robust: the same crops, cut out by whole pixels."""

    def apply_transform(
        self, input: torch.Tensor, params: Params, flags: dict[str, Any], transform: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The images (B, C, H, W), each cropped to its box and resized."""
        size = int(flags["size"][0]), int(flags["size"][1])
        boxes = torch.as_tensor(params["src"], dtype=torch.long).tolist()
        crops = [
            image[None, :, max(top, 0) : bottom + 1, max(left, 0) : right + 1]
            for image, ((left, top), _, (right, bottom), _) in zip(input, boxes, strict=True)
        ]
        if not crops:
            return input.new_empty(*input.shape[:-2], *size)
        return torch.cat([self._scaled(crop, size, flags) for crop in crops])
