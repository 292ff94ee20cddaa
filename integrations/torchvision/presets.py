"""The transforms that torchvision's models come with, robust: ``ResNet50_Weights.DEFAULT.transforms()`` and its like.

>>> transform = presets.robust(R3D_18_Weights.DEFAULT.transforms())  # of the video models, which sample
>>> model.transform = presets.robust(model.transform)                # of a detection model, which samples too

The classes are subclasses of torchvision's, of the same names, attributes and repr.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NoReturn

import torch
from torchvision.models import WeightsEnum
from torchvision.models.detection import transform as _detection
from torchvision.transforms import InterpolationMode, _presets

from secure_resize.integration_support import Defense, KernelName

from . import functional, functional_v1

__all__ = [
    "GeneralizedRCNNTransform",
    "ImageClassification",
    "SemanticSegmentation",
    "VideoClassification",
    "robust",
]


def robust(preset: Any, *, kernel: KernelName | None = None, defense: Defense = "robust") -> Any:
    """A preset of torchvision, with its resize made robust.

    Parameters
    ----------
    preset
        What ``weights.transforms()`` gives, ``weights.transforms`` itself, or the weights; a detection model's
        ``GeneralizedRCNNTransform``, or the model: then a copy that shares its parameters. Presets without a resize
        (detection, optical flow) are returned themselves.
    kernel, defense
        As for :func:`.functional.resize`. With ``defense="median"`` video models keep the interpolation that they were
        trained with.

    Raises
    ------
    TypeError
        Anything else.
    """
    options = {"kernel": kernel, "defense": defense}
    if isinstance(preset, WeightsEnum):
        return robust(preset.transforms(), **options)  # type: ignore[arg-type]
    factory = preset.func if isinstance(preset, functools.partial) else preset
    if isinstance(factory, type) and factory in ROBUST:
        given = (preset.args, preset.keywords) if isinstance(preset, functools.partial) else ((), {})
        return functools.partial(_construct, factory, options, *given[0], **given[1])
    if isinstance(factory, type) and factory in WITHOUT_RESIZE:
        return preset
    if type(preset) in ROBUST:
        return _converted(preset, options)
    if isinstance(preset, (*ROBUST.values(), *WITHOUT_RESIZE)):
        return preset
    if isinstance(preset, torch.nn.Module) and isinstance(getattr(preset, "transform", None), tuple(ROBUST)):
        model = copy.copy(preset)
        model._modules = dict(preset._modules)
        model.transform = robust(preset.transform, **options)  # type: ignore[arg-type]
        return model
    valid = ", ".join(kind.__name__ for kind in (*ROBUST, *WITHOUT_RESIZE))
    raise TypeError(
        f"got {type(preset).__module__}.{type(preset).__name__}, which is no preset of torchvision; valid: "
        f"{valid}, weights, or a detection model"
    )


def _construct(kind: Any, options: dict[str, Any], *args: Any, **keywords: Any) -> Any:
    return _converted(kind(*args, **keywords), options)


def _converted(preset: Any, options: dict[str, Any]) -> Any:
    kind = ROBUST[type(preset)]
    mode = getattr(preset, "interpolation", InterpolationMode.BILINEAR)
    functional.choose_kernel(mode, options["kernel"])
    functional.check_defense(options["defense"], mode, options["kernel"])
    new = kind.__new__(kind)
    new.__dict__ = copy.deepcopy(preset.__dict__)
    for name, value in options.items():
        if value != getattr(kind, name):
            setattr(new, name, value)
    return new


class _Resizing:
    """What the presets share: the image has its size before torchvision's resize sees it, which then does nothing."""

    kernel: KernelName | None = None
    defense: Defense = "robust"

    def resized(self, image: Any, size: Any, interpolation: Any) -> Any:
        """The image resized by the function of this version of the transforms."""
        return functional_v1.resize(image, size, interpolation, kernel=self.kernel, defense=self.defense)

    def __prepare_scriptable__(self) -> NoReturn:
        raise RuntimeError(f"{type(self).__name__} cannot be scripted; apply it outside the scripted module")


class ImageClassification(_Resizing, _presets.ImageClassification):  # type: ignore[misc]
    """The preset of the classification models, robust for tensors whatever ``antialias`` says."""

    def forward(self, img: Any) -> Any:
        """Resize, crop and normalise a PIL image or tensors (..., C, H, W)."""
        return super().forward(self.resized(img, self.resize_size, self.interpolation))


class SemanticSegmentation(_Resizing, _presets.SemanticSegmentation):  # type: ignore[misc]
    """The preset of the segmentation models, robust for tensors whatever ``antialias`` says."""

    def forward(self, img: Any) -> Any:
        """Resize and normalise a PIL image or tensors (..., C, H, W)."""
        if self.resize_size is not None:
            img = self.resized(img, self.resize_size, self.interpolation)
        return super().forward(img)


class VideoClassification(_Resizing, _presets.VideoClassification):  # type: ignore[misc]
    """The preset of the video models, which in torchvision samples each frame: antialiased here."""

    def forward(self, vid: Any) -> Any:
        """Resize, crop and normalise videos (..., T, C, H, W) into (..., C, T, H, W)."""
        resized = self.resized(vid, self.resize_size, self.interpolation)
        return super().forward(resized.contiguous())


class GeneralizedRCNNTransform(_Resizing, _detection.GeneralizedRCNNTransform):  # type: ignore[misc]
    """What detection models begin with, which in torchvision samples: antialiased here. Targets are torchvision's."""

    def resize(self, image: Any, target: Any = None) -> Any:
        """Resize one normalised image (C, H, W), and its target's masks, boxes and keypoints."""
        # torchvision's own, on a picture without pixels: it draws the size and resizes the target.
        shape, target = super().resize(image.to("meta"), target)
        size = list(shape.shape[-2:])
        mode = InterpolationMode.BILINEAR
        return functional.resize(image, size, mode, kernel=self.kernel, defense=self.defense), target


ROBUST = {
    _presets.ImageClassification: ImageClassification,
    _presets.SemanticSegmentation: SemanticSegmentation,
    _presets.VideoClassification: VideoClassification,
    _detection.GeneralizedRCNNTransform: GeneralizedRCNNTransform,
}
WITHOUT_RESIZE = (_presets.ObjectDetection, _presets.OpticalFlow)
