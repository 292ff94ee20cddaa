"""``torchvision.transforms.v2`` with robust resizes of images; every other name is torchvision's own.

The transforms that resize are subclasses of torchvision's, with the same arguments and three more, ``kernel``,
``defense`` and ``path``. They draw the same random numbers, and masks, bounding boxes and keypoints are left to the
stock class. All share these rules:

- ``defense="median"`` or ``"random"`` keeps torchvision's interpolation, without antialiasing, and reconstructs the
  image before it; what follows is about the default, ``"robust"``.
- Without ``kernel``, an image is resized with the antialiased kernel that ``interpolation`` names.
- ``antialias=False`` warns and is ignored: it is what makes tensors attackable.
- Nearest raises ValueError when an image, rather than a mask, meets it; so does a PIL image of mode P, PA or 1.
- A numpy image raises TypeError; torchvision would pass it through unresized.
- ``torch.jit.script`` raises RuntimeError; torchvision would put its own class into the script.
- ``torch.fx.symbolic_trace`` records the resize of ``Resize``, and raises for those that draw; torchvision's are
  dropped from its graph.

``RandomAffine``, ``RandomPerspective`` and ``ElasticTransform`` are torchvision's, but for images that they shrink:
those are averaged (:mod:`.warp`). See :func:`.functional.resize` for the kinds of images and dtypes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from torchvision.transforms import v2 as _stock

import secure_resize as sr
from secure_resize.integration_support import Defense, KernelName, ReconstructionMethod

from . import functional as functional
from .kinds import is_image, is_recorded, refuse_arrays

if TYPE_CHECKING:
    # Type checkers do not run __getattr__ below. Each name as itself, which a strict one takes for exported.
    from torchvision.transforms.v2 import (
        JPEG as JPEG,
        RGB as RGB,
        AugMix as AugMix,
        AutoAugment as AutoAugment,
        AutoAugmentPolicy as AutoAugmentPolicy,
        CenterCrop as CenterCrop,
        ClampBoundingBoxes as ClampBoundingBoxes,
        ClampKeyPoints as ClampKeyPoints,
        ColorJitter as ColorJitter,
        Compose as Compose,
        ConvertBoundingBoxFormat as ConvertBoundingBoxFormat,
        ConvertImageDtype as ConvertImageDtype,
        CutMix as CutMix,
        FiveCrop as FiveCrop,
        GaussianBlur as GaussianBlur,
        GaussianNoise as GaussianNoise,
        Grayscale as Grayscale,
        Identity as Identity,
        InterpolationMode as InterpolationMode,
        Lambda as Lambda,
        LinearTransformation as LinearTransformation,
        MixUp as MixUp,
        Normalize as Normalize,
        Pad as Pad,
        PILToTensor as PILToTensor,
        RandAugment as RandAugment,
        RandomAdjustSharpness as RandomAdjustSharpness,
        RandomApply as RandomApply,
        RandomAutocontrast as RandomAutocontrast,
        RandomChannelPermutation as RandomChannelPermutation,
        RandomChoice as RandomChoice,
        RandomCrop as RandomCrop,
        RandomEqualize as RandomEqualize,
        RandomErasing as RandomErasing,
        RandomGrayscale as RandomGrayscale,
        RandomHorizontalFlip as RandomHorizontalFlip,
        RandomInvert as RandomInvert,
        RandomIoUCrop as RandomIoUCrop,
        RandomOrder as RandomOrder,
        RandomPhotometricDistort as RandomPhotometricDistort,
        RandomPosterize as RandomPosterize,
        RandomRotation as RandomRotation,
        RandomSolarize as RandomSolarize,
        RandomVerticalFlip as RandomVerticalFlip,
        RandomZoomOut as RandomZoomOut,
        SanitizeBoundingBoxes as SanitizeBoundingBoxes,
        SanitizeKeyPoints as SanitizeKeyPoints,
        SetClampingMode as SetClampingMode,
        TenCrop as TenCrop,
        ToDtype as ToDtype,
        ToImage as ToImage,
        ToPILImage as ToPILImage,
        ToPureTensor as ToPureTensor,
        ToTensor as ToTensor,
        Transform as Transform,
        TrivialAugmentWide as TrivialAugmentWide,
        UniformTemporalSubsample as UniformTemporalSubsample,
        check_type as check_type,
        get_bounding_boxes as get_bounding_boxes,
        get_keypoints as get_keypoints,
        has_all as has_all,
        has_any as has_any,
        query_chw as query_chw,
        query_size as query_size,
    )

if not hasattr(_stock.Transform, "transform"):  # called _transform: ours would not be called, and images be sampled
    raise ImportError("secure_resize.integrations.torchvision needs torchvision 0.21 or newer")

__all__ = [*(name for name in dir(_stock) if not name.startswith("_")), "Reconstruct", "load"]

# As os does with os.path: `import secure_resize.integrations.torchvision.v2.functional` works too.
sys.modules[f"{__name__}.functional"] = functional


class Options:
    """The options that our transforms have beside torchvision's arguments, and what they cannot do."""

    interpolation: functional.Interpolation
    kernel: KernelName | None
    defense: Defense = "robust"
    path: functional.Path = "op"

    def _set_kernel(
        self, kernel: KernelName | None, antialias: bool | None, defense: Defense, path: functional.Path
    ) -> None:
        functional.check_path(path)
        functional.choose_kernel(self.interpolation, kernel)  # raises for unknown names now, not at the first image
        if functional.check_defense(defense, self.interpolation, kernel) is None:
            functional.warn_of_antialias(antialias, stacklevel=4)  # at the line that constructs the transform
        else:
            self.defense = defense
        self.kernel = kernel
        if path != "op":
            self.path = path

    @property
    def options(self) -> dict[str, Any]:
        """What our functions take beside torchvision's arguments."""
        return {"kernel": self.kernel, "defense": self.defense, "path": self.path}

    def __prepare_scriptable__(self) -> NoReturn:
        raise RuntimeError(
            f"{type(self).__name__} cannot be scripted: torch.jit.script would replace it by torchvision's own class, "
            "which is not robust. Apply it outside the scripted module"
        )


class _RobustResizing(Options, _stock.Transform):  # type: ignore[misc]
    """What the transforms below share."""

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """TypeError for numpy images and for proxies of ``torch.fx.symbolic_trace``, which would pass through."""
        refuse_arrays(flat_inputs)
        if is_recorded(flat_inputs):
            raise TypeError(
                f"torch.fx.symbolic_trace cannot record {type(self).__name__}, which needs sizes and random numbers; "
                "use torch.export or make_fx, or apply it outside the traced module"
            )
        super().check_inputs(flat_inputs)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one input to the ``params["size"]`` drawn for the sample."""
        if not is_image(inpt):
            return super().transform(inpt, params)
        return functional.resize(inpt, params["size"], self.interpolation, **self.options)

    def extra_repr(self) -> str:
        shown: str = super().extra_repr()  # with the options, but for what is None
        if self.defense == "robust" and self.kernel is None:
            shown += f", kernel={functional.choose_kernel(self.interpolation, None)}"
        return shown


class Resize(_RobustResizing, _stock.Resize):  # type: ignore[misc]
    """``torchvision.transforms.v2.Resize``, robust; ``kernel`` (``"area"``, ...) overrides the interpolation's.

    >>> Resize(256)(PIL.Image.open("photo.jpg"))  # the same bytes as torchvision's
    >>> Resize((224, 224), kernel="area")(torch.zeros(8, 3, 768, 1024, dtype=torch.uint8)).shape
    torch.Size([8, 3, 224, 224])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None,
        interpolation: functional.Interpolation = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: functional.Path = "op",
    ) -> None:
        super().__init__(size, interpolation, max_size, antialias)
        self._set_kernel(kernel, antialias, defense, path)

    def forward(self, *inputs: Any) -> Any:
        """Resize a sample; of what ``torch.fx.symbolic_trace`` hands over, record the resize."""
        if is_recorded([inputs]):  # this is the module that is traced
            inputs = (inputs[0],)
        if len(inputs) == 1 and is_recorded(inputs):
            return functional.resize(inputs[0], self.size, self.interpolation, self.max_size, **self.options)
        return super().forward(*inputs)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one input."""
        if not is_image(inpt):
            return super().transform(inpt, params)
        return functional.resize(inpt, self.size, self.interpolation, self.max_size, **self.options)


class RandomResizedCrop(_RobustResizing, _stock.RandomResizedCrop):  # type: ignore[misc]
    """``torchvision.transforms.v2.RandomResizedCrop``, robust; the same crops from the same seed."""

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: functional.Interpolation = "bilinear",
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: functional.Path = "op",
    ) -> None:
        super().__init__(size, scale, ratio, interpolation, antialias)
        self._set_kernel(kernel, antialias, defense, path)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop one input to the ``params`` drawn for the sample and resize it."""
        if not is_image(inpt, _stock.functional.resized_crop):
            return super().transform(inpt, params)
        return functional.resized_crop(inpt, **params, size=self.size, interpolation=self.interpolation, **self.options)


class RandomResize(_RobustResizing, _stock.RandomResize):  # type: ignore[misc]
    """``torchvision.transforms.v2.RandomResize``, robust; the same sizes from the same seed."""

    def __init__(
        self,
        min_size: int,
        max_size: int,
        interpolation: functional.Interpolation = "bilinear",
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: functional.Path = "op",
    ) -> None:
        super().__init__(min_size, max_size, interpolation, antialias)
        self._set_kernel(kernel, antialias, defense, path)


class RandomShortestSize(_RobustResizing, _stock.RandomShortestSize):  # type: ignore[misc]
    """``torchvision.transforms.v2.RandomShortestSize``, robust; the same sizes from the same seed."""

    def __init__(
        self,
        min_size: list[int] | tuple[int] | int,
        max_size: int | None = None,
        interpolation: functional.Interpolation = "bilinear",
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: functional.Path = "op",
    ) -> None:
        super().__init__(min_size, max_size, interpolation, antialias)
        self._set_kernel(kernel, antialias, defense, path)


class ScaleJitter(_RobustResizing, _stock.ScaleJitter):  # type: ignore[misc]
    """``torchvision.transforms.v2.ScaleJitter``, robust; the same sizes from the same seed."""

    def __init__(
        self,
        target_size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: functional.Interpolation = "bilinear",
        antialias: bool | None = True,
        *,
        kernel: KernelName | None = None,
        defense: Defense = "robust",
        path: functional.Path = "op",
    ) -> None:
        super().__init__(target_size, scale_range, interpolation, antialias)
        self._set_kernel(kernel, antialias, defense, path)


class _Averaging(_stock.Transform):  # type: ignore[misc]
    """What the transforms below share: torchvision's, with our function where an image is warped."""

    def _call_kernel(self, function: Any, inpt: Any, *args: Any, **kwargs: Any) -> Any:
        if function in WARPS and is_image(inpt, function):
            return WARPS[function](inpt, *args, **kwargs)
        return super()._call_kernel(function, inpt, *args, **kwargs)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """TypeError for numpy images, which would pass through."""
        refuse_arrays(flat_inputs)
        super().check_inputs(flat_inputs)


WARPS = {getattr(_stock.functional, name): getattr(functional, name) for name in ("affine", "perspective", "elastic")}


class RandomAffine(_Averaging, _stock.RandomAffine):  # type: ignore[misc]
    """``torchvision.transforms.v2.RandomAffine``, averaged where it shrinks; the same draws from the same seed."""


class RandomPerspective(_Averaging, _stock.RandomPerspective):  # type: ignore[misc]
    """``torchvision.transforms.v2.RandomPerspective``, averaged where it shrinks; the same draws from the same seed."""


class ElasticTransform(_Averaging, _stock.ElasticTransform):  # type: ignore[misc]
    """``torchvision.transforms.v2.ElasticTransform``, averaged where it shrinks; the same draws from the same seed."""


class load:
    """A ``loader=`` for ``ImageFolder`` and its like: from an image file's path to a robustly scaled image.

    >>> ImageFolder("photos", loader=v2.load((224, 224)), transform=v2.ToDtype(torch.float32, scale=True))

    Calls :func:`secure_resize.decode` with the same ``options``: every file is decoded in full, so that no crafted one
    shows the model another picture, and set upright by its EXIF orientation. Gives a uint8 ``tv_tensors.Image``
    (3, h, w), or (1, h, w) with ``mode="L"``.
    """

    def __init__(self, size: Sequence[int], **options: Any) -> None:
        self.size, self.options = tuple(size), options

    def __call__(self, path: Any) -> Any:
        """The image in the file ``path``, or of a file's bytes."""
        image = sr.decode(path, self.size, **self.options)
        return functional.to_image(image if image.ndim == 3 else image[..., None])

    def __repr__(self) -> str:
        return f"load({', '.join([str(self.size), *(f'{name}={value!r}' for name, value in self.options.items())])})"


class Reconstruct(_stock.Transform):  # type: ignore[misc]
    """:func:`secure_resize.reconstruct` before a third party's resize: put it directly in front of that.

    >>> v2.Compose([v2.Reconstruct((224, 224), scaler="opencv:linear"), their_resize])

    ``size`` is the (height, width) that ``scaler`` (such as ``"opencv:linear"``) will make of the
    image. Images keep their type; masks, boxes and everything else pass through.
    """

    def __init__(
        self,
        size: Sequence[int],
        scaler: str = "opencv:linear",
        method: ReconstructionMethod = "median",
        bandwidth: float = 2,
    ) -> None:
        super().__init__()
        self.size, self.scaler, self.method, self.bandwidth = tuple(size), scaler, method, bandwidth

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """TypeError for numpy images, which would pass through."""
        refuse_arrays(flat_inputs)
        if is_recorded(flat_inputs):
            raise TypeError("torch.fx.symbolic_trace cannot record Reconstruct; use torch.export or make_fx")
        super().check_inputs(flat_inputs)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Reconstruct one input, if it is an image."""
        if not is_image(inpt):
            return inpt
        return functional.reconstruct(inpt, self.size, scaler=self.scaler, method=self.method, bandwidth=self.bandwidth)


if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of torchvision's names."""
        # No dunder: with torchvision's __path__, Python would import torchvision's files as submodules of this one.
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
