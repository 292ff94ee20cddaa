"""``ultralytics.data.augment``'s transforms that scale pictures, robust: the same arguments, labels and padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from ultralytics.data import augment as _stock

import secure_resize as sr
from secure_resize.integration_support import KernelName

__all__ = ["CenterCrop", "ClassifyLetterBox", "LetterBox"]

# OpenCV's constants as kernels; nearest on an image averages.
KERNELS: dict[int, KernelName] = {0: "area", 1: "bilinear", 2: "bicubic", 3: "area", 4: "lanczos", 6: "area"}


def _shrunk(image: Any, size: tuple[int, int], kernel: KernelName) -> Any:
    """An image (H, W) or (H, W, C) at (height, width), where that is smaller in any direction; else the image."""
    if size[0] >= image.shape[0] and size[1] >= image.shape[1]:
        return image
    return sr.resize(np.ascontiguousarray(image), size, kernel=kernel)


class LetterBox(_stock.LetterBox):  # type: ignore[misc]
    """``ultralytics.data.augment.LetterBox``, robust; masks are resized by nearest, as ever."""

    kernel: KernelName | None = None

    def apply_image(self, labels: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Scale ``labels["img"]`` (H, W, C) and pad it."""
        width, height = params["new_unpad"]
        labels["img"] = _shrunk(labels["img"], (height, width), self.kernel or KERNELS.get(self.interpolation, "area"))
        scaled: dict[str, Any] = super().apply_image(labels, params)
        return scaled


class ClassifyLetterBox(_stock.ClassifyLetterBox):  # type: ignore[misc]
    """``ultralytics.data.augment.ClassifyLetterBox``, robust."""

    kernel: KernelName | None = None

    def __call__(self, im: Any) -> Any:
        """The image (H, W, 3), scaled and padded."""
        height, width = im.shape[:2]
        ratio = min(self.h / height, self.w / width)
        return super().__call__(_shrunk(im, (round(height * ratio), round(width * ratio)), self.kernel or "bilinear"))


class CenterCrop(_stock.CenterCrop):  # type: ignore[misc]
    """``ultralytics.data.augment.CenterCrop``, robust."""

    kernel: KernelName | None = None

    def __call__(self, im: Any) -> Any:
        """The largest square in the middle of an image (H, W, C), or a PIL image, scaled."""
        image = np.asarray(im)
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        return super().__call__(_shrunk(square, (self.h, self.w), self.kernel or "bilinear"))
