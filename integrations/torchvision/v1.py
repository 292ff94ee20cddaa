"""``torchvision.transforms``, the first version, with robust resizes of images; every other name is torchvision's own.

>>> from secure_resize.integrations.torchvision import v1 as transforms  # was: from torchvision import transforms

The rules are those of :mod:`.v2`. Transforms of this version know no masks, so nearest is always refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torchvision import transforms as _stock
from torchvision.transforms import InterpolationMode

from secure_resize.integration_support import Defense, KernelName

from . import functional_v1 as functional
from .functional import Path, choose_kernel
from .v2 import Options

if TYPE_CHECKING:
    # Type checkers do not run __getattr__ below. Each name as itself, which a strict one takes for exported.
    from torchvision.transforms import (
        AugMix as AugMix,
        AutoAugment as AutoAugment,
        AutoAugmentPolicy as AutoAugmentPolicy,
        CenterCrop as CenterCrop,
        ColorJitter as ColorJitter,
        Compose as Compose,
        ConvertImageDtype as ConvertImageDtype,
        FiveCrop as FiveCrop,
        GaussianBlur as GaussianBlur,
        Grayscale as Grayscale,
        Lambda as Lambda,
        LinearTransformation as LinearTransformation,
        Normalize as Normalize,
        Pad as Pad,
        PILToTensor as PILToTensor,
        RandAugment as RandAugment,
        RandomAdjustSharpness as RandomAdjustSharpness,
        RandomApply as RandomApply,
        RandomAutocontrast as RandomAutocontrast,
        RandomChoice as RandomChoice,
        RandomCrop as RandomCrop,
        RandomEqualize as RandomEqualize,
        RandomErasing as RandomErasing,
        RandomGrayscale as RandomGrayscale,
        RandomHorizontalFlip as RandomHorizontalFlip,
        RandomInvert as RandomInvert,
        RandomOrder as RandomOrder,
        RandomPosterize as RandomPosterize,
        RandomRotation as RandomRotation,
        RandomSolarize as RandomSolarize,
        RandomVerticalFlip as RandomVerticalFlip,
        TenCrop as TenCrop,
        ToPILImage as ToPILImage,
        ToTensor as ToTensor,
        TrivialAugmentWide as TrivialAugmentWide,
        autoaugment as autoaugment,
        transforms as transforms,
    )

__all__ = [name for name in dir(_stock) if not name.startswith("_") and name != "v2"]

# As os does with os.path: `import secure_resize.integrations.torchvision.v1.functional` works too.
sys.modules[f"{__name__}.functional"] = functional


class Resize(Options, _stock.Resize):  # type: ignore[misc]
    """``torchvision.transforms.Resize``, robust; ``kernel`` (``"area"``, ...) overrides the interpolation's.

    >>> Resize(256)(PIL.Image.open("photo.jpg"))  # the same bytes as torchvision's
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: Path = "op",
    ) -> None:
        super().__init__(size, interpolation, max_size, antialias)
        self._set_kernel(kernel, antialias, defense, path)

    def forward(self, img: Any) -> Any:
        """Resize one PIL image or tensor."""
        return functional.resize(img, self.size, self.interpolation, self.max_size, None, **self.options)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}{_options_repr(self)})"


class RandomResizedCrop(Options, _stock.RandomResizedCrop):  # type: ignore[misc]
    """``torchvision.transforms.RandomResizedCrop``, robust; the same crops from the same seed."""

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: Path = "op",
    ) -> None:
        super().__init__(size, scale, ratio, interpolation, antialias)
        self._set_kernel(kernel, antialias, defense, path)

    def forward(self, img: Any) -> Any:
        """Crop one PIL image or tensor, and resize it."""
        top, left, height, width = self.get_params(img, self.scale, self.ratio)
        rest = (self.size, self.interpolation, None)
        return functional.resized_crop(img, top, left, height, width, *rest, **self.options)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}{_options_repr(self)})"


class RandomAffine(_stock.RandomAffine):  # type: ignore[misc]
    """``torchvision.transforms.RandomAffine``, averaged where it shrinks; the same draws from the same seed."""

    def forward(self, img: Any) -> Any:
        """Warp one PIL image or tensor."""
        channels, height, width = functional.get_dimensions(img)
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        fill = _of_each_channel(self.fill, img, channels)
        return functional.affine(img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center)


class RandomPerspective(_stock.RandomPerspective):  # type: ignore[misc]
    """``torchvision.transforms.RandomPerspective``, averaged where it shrinks; the same draws from the same seed."""

    def forward(self, img: Any) -> Any:
        """Warp one PIL image or tensor, or leave it."""
        channels, height, width = functional.get_dimensions(img)
        if torch.rand(1) >= self.p:
            return img
        points = self.get_params(width, height, self.distortion_scale)
        return functional.perspective(img, *points, self.interpolation, _of_each_channel(self.fill, img, channels))


class ElasticTransform(_stock.ElasticTransform):  # type: ignore[misc]
    """``torchvision.transforms.ElasticTransform``, averaged where it shrinks; the same draws from the same seed."""

    def forward(self, tensor: Any) -> Any:
        """Warp one PIL image or tensor."""
        _, height, width = functional.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return functional.elastic_transform(tensor, displacement, self.interpolation, self.fill)


def _options_repr(transform: Options) -> str:
    """The kernel that runs, and what is not the default."""
    kernel = choose_kernel(transform.interpolation, transform.kernel)
    shown = f", kernel={kernel}" if transform.defense == "robust" else f", defense={transform.defense}"
    return shown if transform.path == "op" else f"{shown}, path={transform.path}"


def _of_each_channel(fill: Any, img: Any, channels: int) -> Any:
    """``fill`` as torchvision has it for tensors: a number for each channel."""
    if not isinstance(img, torch.Tensor):
        return fill
    return [float(fill)] * channels if isinstance(fill, (int, float)) else [float(level) for level in fill]


if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of torchvision's names."""
        # No dunder: with torchvision's __path__, Python would import torchvision's files as submodules of this one.
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
