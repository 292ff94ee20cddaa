"""``albumentations`` with robust resizes of images; every other name is albumentations' own.

>>> from secure_resize.integrations import albumentations as A
>>> transform = A.Compose([A.RandomResizedCrop((224, 224)), A.HorizontalFlip()])

The transforms that resize (:data:`ROBUST`) are subclasses of albumentations', with the same arguments, random draws,
boxes, keypoints, masks, repr and serialization. Where an axis of an image shrinks, ``interpolation`` names an
antialiased kernel, as in :mod:`secure_resize.integrations.opencv`: ``cv2.INTER_AREA`` (or ``area_for_downscale``) is
the exact mean, and nearest raises ``ResizeError`` unless nothing shrinks. Masks are albumentations' own, nearest by
default, and so is whatever grows.

``Affine`` and its like shrink the image robustly by what their matrix shrinks, and then warp at the same scale or
larger: equal to albumentations' but for that, and equal to it where nothing shrinks.

A serialized pipeline names these classes: ``A.from_dict`` finds them once this module is imported, and fails without.
What of albumentations still samples where it shrinks an image is in :data:`NOT_COVERED`, with the reason.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_resize import integration_support as _support  # albumentations has a load of its own

from . import opencv

try:
    _stock = _support.load("albumentations")
    _albucore = _support.load("albucore")
except ImportError as error:
    raise ImportError(
        "secure_resize.integrations.albumentations needs albumentations: pip install albumentations"
    ) from error
if "area_for_downscale" not in inspect.signature(_stock.Resize).parameters:
    raise ImportError("secure_resize.integrations.albumentations needs albumentations 2.0.8, its last release")
_crops = _support.load("albumentations.augmentations.crops.functional")

Array = npt.NDArray[Any]
INTER_AREA = _support.load("cv2").INTER_AREA

# What is albumentations' own here and reads fewer pixels than it should where it shrinks an image.
NOT_COVERED = {
    "Perspective": "its scale differs from place to place",
    "ElasticTransform": "its scale differs from place to place",
    "GridDistortion": "its scale differs from place to place",
    "GridElasticDeform": "its scale differs from place to place",
    "OpticalDistortion": "its scale differs from place to place",
    "PiecewiseAffine": "its scale differs from place to place",
    "ThinPlateSpline": "its scale differs from place to place",
    "ChromaticAberration": "its scale differs from place to place",
    "Superpixels": "shrinks to max_size with cv2.resize before it looks for segments, and enlarges again",
    "Mosaic": "fits the other pictures into their cells with albumentations' own classes",
    "OverlayElements": "fits its overlays with cv2.resize, INTER_AREA, which samples where one axis grows",
    "FDA": "fits its reference picture with cv2.resize, INTER_LINEAR",
    "HistogramMatching": "fits its reference picture with cv2.resize, INTER_LINEAR",
    "Downscale": "samples on purpose, and enlarges again",
}


def _resize(image: Array, size: tuple[int, int], interpolation: int) -> Array:
    """The image (H, W) or (H, W, C), of any number of channels, as one of ``size`` (height, width)."""
    if tuple(size) == image.shape[:2]:
        return image
    resize = _albucore.maybe_process_in_chunks(opencv.resize, dsize=(size[1], size[0]), interpolation=interpolation)
    resized: Array = resize(image)
    return resized[..., None] if resized.ndim < image.ndim else resized


def _interpolation(transform: Any, shrinks: bool) -> int:
    """What ``transform`` asks for an image, by albumentations' rule."""
    averages = shrinks and transform.area_for_downscale in ("image", "image_mask")
    return int(INTER_AREA if averages else transform.interpolation)


class Resize(_stock.Resize):  # type: ignore[misc, name-defined]
    """``albumentations.Resize``, robust.

    >>> Resize(224, 224)(image=np.zeros((768, 1024, 3), np.uint8))["image"].shape
    (224, 224, 3)
    """

    def apply(self, img: Array, **params: Any) -> Array:
        """Resize the image."""
        shrinks = self.height < img.shape[0] or self.width < img.shape[1]
        return _resize(img, (self.height, self.width), _interpolation(self, shrinks))


class _MaxSize:
    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        """Resize the image by ``scale``, rounded as albumentations does."""
        height, width = (max(1, round(edge * scale)) for edge in img.shape[:2])
        return _resize(img, (height, width), _interpolation(self, scale < 1))


class LongestMaxSize(_MaxSize, _stock.LongestMaxSize):  # type: ignore[misc, name-defined]
    """``albumentations.LongestMaxSize``, robust."""


class SmallestMaxSize(_MaxSize, _stock.SmallestMaxSize):  # type: ignore[misc, name-defined]
    """``albumentations.SmallestMaxSize``, robust."""


class RandomScale(_stock.RandomScale):  # type: ignore[misc, name-defined]
    """``albumentations.RandomScale``, robust; the same scales from the same seed."""

    def apply(self, img: Array, scale: float, **params: Any) -> Array:
        """Resize the image by the ``scale`` drawn."""
        height, width = (int(edge * scale) for edge in img.shape[:2])
        return _resize(img, (height, width), _interpolation(self, scale < 1))


class _SizedCrop:
    size: tuple[int, int]

    def apply(self, img: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        """Crop the image to ``crop_coords`` and resize that."""
        crop: Array = _crops.crop(img, *crop_coords)
        shrinks = crop.shape[0] > self.size[0] or crop.shape[1] > self.size[1]
        return _resize(crop, (self.size[0], self.size[1]), _interpolation(self, shrinks))

    def apply_to_images(self, images: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        """Crop and resize every image, or every slice of a volume."""
        return np.stack([self.apply(image, crop_coords, **params) for image in images])

    def apply_to_mask3d(self, mask3d: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        """Albumentations' own, which is its ``apply_to_images``."""
        own: Array = super().apply_to_images(mask3d, crop_coords, **params)  # type: ignore[misc]
        return own


class RandomResizedCrop(_SizedCrop, _stock.RandomResizedCrop):  # type: ignore[misc, name-defined]
    """``albumentations.RandomResizedCrop``, robust; the same crops from the same seed."""


class RandomSizedCrop(_SizedCrop, _stock.RandomSizedCrop):  # type: ignore[misc, name-defined]
    """``albumentations.RandomSizedCrop``, robust; the same crops from the same seed."""


class RandomSizedBBoxSafeCrop(_stock.RandomSizedBBoxSafeCrop):  # type: ignore[misc, name-defined]
    """``albumentations.RandomSizedBBoxSafeCrop``, robust; the same crops from the same seed."""

    def apply(self, img: Array, crop_coords: tuple[int, int, int, int], **params: Any) -> Array:
        """Crop the image to ``crop_coords`` and resize that."""
        return _resize(_crops.crop(img, *crop_coords), (self.height, self.width), self.interpolation)


class CropAndPad(_stock.CropAndPad):  # type: ignore[misc, name-defined]
    """``albumentations.CropAndPad``, robust where padding and ``keep_size`` shrink the image."""

    def apply(self, img: Array, crop_params: Any, pad_params: Any, fill: Any, **params: Any) -> Array:
        """Crop and pad the image, then resize it to the size that it had."""
        size = params["shape"][:2]
        padded: Array = _crops.crop_and_pad(
            img, crop_params, pad_params, fill, size, self.interpolation, self.border_mode, False
        )
        return _resize(padded, (size[0], size[1]), self.interpolation) if self.keep_size else padded


class _Warp:
    def apply(self, img: Array, matrix: Array, output_shape: tuple[int, int], **params: Any) -> Array:
        """Shrink the image robustly by what ``matrix`` shrinks, then warp it by the rest."""
        size = _shrunk_size(img.shape[:2], matrix)
        if size == img.shape[:2]:
            own: Array = super().apply(img, matrix=matrix, output_shape=output_shape, **params)  # type: ignore[misc]
            return own
        shrunk = _resize(img, size, self.interpolation)  # type: ignore[attr-defined]
        # From pixels of the shrunk image to those of the image; the centre of pixel k lies at k + ½.
        ratios = img.shape[1] / size[1], img.shape[0] / size[0]
        grow = np.diag([*ratios, 1.0])
        grow[:2, 2] = [ratio / 2 - 0.5 for ratio in ratios]
        warped: Array = super().apply(shrunk, matrix=matrix @ grow, output_shape=output_shape, **params)  # type: ignore[misc]
        return warped


class Affine(_Warp, _stock.Affine):  # type: ignore[misc, name-defined]
    """``albumentations.Affine``, robust; the same matrices from the same seed."""


class ShiftScaleRotate(_Warp, _stock.ShiftScaleRotate):  # type: ignore[misc, name-defined]
    """``albumentations.ShiftScaleRotate``, robust; the same matrices from the same seed."""


class SafeRotate(_Warp, _stock.SafeRotate):  # type: ignore[misc, name-defined]
    """``albumentations.SafeRotate``, robust; the same angles from the same seed."""


def _shrunk_size(size: tuple[int, ...], matrix: Array) -> tuple[int, int]:
    """The largest size from which the affine ``matrix``, of images of ``size``, no longer shrinks in any direction."""
    linear = np.asarray(matrix, np.float64)[:2, :2]
    lengths = np.hypot(linear[0], linear[1])  # how long a step of one pixel along x and along y becomes
    if not np.all(lengths > 0):
        raise opencv.ResizeError(f"the matrix {linear.tolist()} maps the image to a line")
    factors = np.minimum(lengths, 1)
    # A shear also shrinks between the axes.
    factors *= min(1.0, float(np.linalg.svd(linear / factors, compute_uv=False)[-1]))
    height, width = (
        edge if factor > 1 - 1e-6 else max(1, int(edge * factor + 1e-6))
        for edge, factor in zip(size[:2], factors[::-1], strict=True)
    )
    return height, width


# By name, the transforms that are robust here.
ROBUST = {
    transform.__name__: transform
    for transform in (
        Resize,
        RandomResizedCrop,
        RandomSizedCrop,
        RandomSizedBBoxSafeCrop,
        LongestMaxSize,
        SmallestMaxSize,
        RandomScale,
        CropAndPad,
        Affine,
        ShiftScaleRotate,
        SafeRotate,
    )
}
__all__ = [*(name for name in dir(_stock) if not name.startswith("_")), "NOT_COVERED", "ROBUST"]

if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of albumentations' names."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
