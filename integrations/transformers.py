"""Image processors of ``transformers`` that do not sample; every other name is transformers' own.

>>> from secure_resize.integrations.transformers import AutoImageProcessor
>>> processor = AutoImageProcessor.from_pretrained("google/vit-base-patch16-224")

>>> from secure_resize.integrations.transformers import robust
>>> processor = robust(processor)  # any image, video or multimodal processor that is there already

What :func:`robust` gives is of a subclass of the processor's class, with its name, configuration, signature and repr:
``save_pretrained`` writes what stock writes, which stock loads again (and then samples again). Most processors are
antialiased as they are, and their outputs stay the same to the last bit; while one of these runs, in its own thread,

- ``torch.nn.functional.interpolate`` antialiases where it shrinks, whether the processor asks for that or not (a dozen
  classes do not: depth_pro, molmo2, phi4_multimodal, pp_doclayout_v2 to v4, pp_ocrv6_small_rec, rf_detr, zoedepth ...),
- ``"resample": 0``, nearest, in its configuration or its call is bilinear; segmentation maps are nearest as ever.

A processor that warps images (``NOT_COVERED``) is refused by ``robust``, and ``grid_sample`` (Sapiens2 with ``boxes``)
raises while one runs.
:class:`RobustMixin` does the same to a processor's class of your own, as its first base.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from secure_resize import integration_support as _support

try:
    _stock = _support.load("transformers")
except ImportError as error:
    raise ImportError("secure_resize.integrations.transformers needs transformers: pip install transformers") from error
_BaseImageProcessor = _support.load("transformers.image_processing_utils").BaseImageProcessor
_torch: Any = _support.load("torch") if importlib.util.find_spec("torch") else None

Processor = TypeVar("Processor")

# By the start of the class's name, the processors that scale by other means than a resize.
NOT_COVERED = {
    "VitPose": "it warps boxes out of the image with scipy's affine_transform, which reads few pixels of a large box",
}
# What a processor's work starts with, all in one thread.
_ENTRIES = ("__call__", "preprocess", "resize")
_NEAREST = ("nearest", "nearest-exact")
# Arguments beside the images that are label maps.
_LABELS = ("segmentation_maps", "annotations", "masks", "prompt_masks")


class RobustMixin:
    """First base of a processor's class that is not to sample.

    >>> class Processor(RobustMixin, transformers.ViTImageProcessor):
    ...     size = {"height": 384, "width": 384}
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_warps(cls)
        for name in _ENTRIES:
            function = getattr(cls, name, None)
            if callable(function) and not hasattr(function, "_is_robust"):
                setattr(cls, name, _robustly(function, name == "preprocess"))


def robust(processor: Processor) -> Processor:
    """A copy of an image, video or multimodal processor that does not sample, of a subclass of its class.

    ValueError for a processor that warps images, TypeError for what is no processor of images. A processor of somebody
    else's that scales through another library (``cv2`` in remote code) is not reached by this: see what
    ``secure_resize.probe`` says of it.
    """
    if isinstance(processor, RobustMixin):
        return processor
    # What it cuts up, it gives to these.
    parts = {
        name: getattr(processor, name)
        for name in ("image_processor", "video_processor")
        if getattr(processor, name, None) is not None
    }
    if parts:
        whole = copy.copy(processor)
        for name, part in parts.items():
            setattr(whole, name, robust(part))
        return whole
    if not isinstance(processor, _BaseImageProcessor):
        raise TypeError(
            "robust() takes an image or video processor of transformers, or a processor that has one, got "
            f"{type(processor).__name__}"
        )
    copied = copy.copy(processor)
    for name in ("train_transforms", "val_transforms"):  # timm's, of TimmWrapperImageProcessor
        if hasattr(copied, name):
            from . import timm

            setattr(copied, name, timm.robust(getattr(copied, name)))
    object.__setattr__(copied, "__class__", robust_class(type(processor)))
    return copied


def robust_class(cls: Any) -> Any:
    """The subclass of an image or video processor's class that does not sample, of the same name.

    >>> robust_class(transformers.ViTImageProcessor).from_pretrained("google/vit-base-patch16-224")
    """
    return _robust_class(cls)


@functools.lru_cache(maxsize=1024)
def _robust_class(cls: Any) -> Any:
    if issubclass(cls, RobustMixin):
        return cls
    body = {"__module__": __name__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, "__reduce__": _reduce}
    return type(cls)(cls.__name__, (RobustMixin, cls), body)


def _reduce(self: Any) -> tuple[Any, ...]:
    # The class has no name to be found by: its stock one has.
    return _restore, (type(self).__mro__[2],), self.__dict__


def _restore(cls: Any) -> Any:
    made = robust_class(cls)
    return made.__new__(made)


def _refuse_warps(cls: type[Any]) -> None:
    for start, reason in NOT_COVERED.items():
        if any(base.__name__.startswith(start) for base in cls.__mro__):
            raise ValueError(
                f"{cls.__name__} cannot be made robust: {reason}. Scale the image with secure_resize first"
            )


def _robustly(function: Callable[..., Any], chooses: bool) -> Callable[..., Any]:
    """``function``, a processor's method, without sampling; one that ``chooses`` also without nearest for images."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _Antialiased() if _torch is not None else contextlib.nullcontext():
            other = _instead_of_nearest(self, kwargs) if chooses else {}
            made = function(self, *args, **{**kwargs, **other})
            if other and (len(args) > 1 or any(kwargs.get(name) is not None for name in _LABELS)):
                # Some classes scale label maps as they do images: those are to stay as they were.
                stock = function(self, *args, **kwargs)
                made.update({key: value for key, value in stock.items() if "pixel" not in key})
        return made

    method._is_robust = True  # type: ignore[attr-defined]
    return method


def _instead_of_nearest(processor: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call that its images need, where it or the configuration says nearest."""
    bilinear = _support.load("transformers.image_utils").PILImageResampling.BILINEAR
    chosen = {name: kwargs.get(name, getattr(processor, name, None)) for name in _resamples(processor.__class__)}
    # Pillow's constant, transformers' enumeration of it, or torchvision's.
    return {name: bilinear for name, value in chosen.items() if value in (0, *_NEAREST) or _value(value) in _NEAREST}


def _value(choice: Any) -> Any:
    return getattr(choice, "value", choice)


@functools.lru_cache(maxsize=1024)
def _resamples(cls: Any) -> tuple[str, ...]:
    """The arguments by which an interpolation is chosen: ``resample``, and ``codebook_resample`` and its like."""
    return tuple(name for name in dir(cls) if name.endswith("resample") and not name.startswith(("_", "do_")))


if _torch is not None or TYPE_CHECKING:
    from torch.nn import functional as _functional
    from torch.overrides import TorchFunctionMode

    class _Antialiased(TorchFunctionMode):
        """While this is entered, this thread's ``interpolate`` antialiases where it shrinks."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is _functional.interpolate:
                return _interpolate(*args, **(kwargs or {}))
            if func is _functional.grid_sample:
                raise ValueError("a robust processor met grid_sample, which reads few pixels where it scales down")
            return func(*args, **(kwargs or {}))


def _interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """``torch.nn.functional.interpolate``, antialiased where an axis shrinks; nearest, for label maps, is torch's."""
    given = (input, size, scale_factor, mode, align_corners, recompute_scale_factor)
    if antialias or mode in _NEAREST or not _shrinks(input, size, scale_factor):
        return _functional.interpolate(*given, antialias=antialias)
    if mode in ("bilinear", "bicubic"):
        return _functional.interpolate(*given, antialias=True)
    if mode == "area" and input.ndim == 4:
        from .torchvision import functional

        height, width = _output_size(input, size, scale_factor)
        return functional.resize(input, [height, width], kernel="area")
    raise ValueError(
        f"interpolate(mode={mode!r}) of shape {tuple(input.shape)} cannot be made robust; bilinear, bicubic and area "
        "of (N, C, H, W) can"
    )


def _output_size(input: Any, size: Any, scale_factor: Any) -> tuple[int, ...]:
    edges = input.shape[2:]
    if size is not None:
        return tuple(size) if isinstance(size, (tuple, list)) else (size,) * len(edges)
    factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * len(edges)
    return tuple(int(edge * factor) for edge, factor in zip(edges, factors, strict=True))


def _shrinks(input: Any, size: Any, scale_factor: Any) -> bool:
    if size is None and scale_factor is None:
        return False  # which torch refuses
    made = _output_size(input, size, scale_factor)
    return any(out < edge for out, edge in zip(made, input.shape[2:], strict=False))


class AutoImageProcessor(_stock.AutoImageProcessor):  # type: ignore[misc, name-defined]
    """``transformers.AutoImageProcessor`` whose ``from_pretrained`` gives a robust processor."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Stock's, made robust."""
        return robust(super().from_pretrained(*args, **kwargs))


class AutoVideoProcessor(_stock.AutoVideoProcessor):  # type: ignore[misc, name-defined]
    """``transformers.AutoVideoProcessor`` whose ``from_pretrained`` gives a robust processor."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Stock's, made robust."""
        return robust(super().from_pretrained(*args, **kwargs))


class AutoProcessor(_stock.AutoProcessor):  # type: ignore[misc, name-defined]
    """``transformers.AutoProcessor`` whose ``from_pretrained`` gives a processor that treats images robustly.

    A tokenizer, or whatever else has nothing to do with images, is stock's.
    """

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Stock's, made robust where it takes images."""
        loaded = super().from_pretrained(*args, **kwargs)
        takes = isinstance(loaded, _BaseImageProcessor) or any(
            getattr(loaded, name, None) is not None for name in ("image_processor", "video_processor")
        )
        return robust(loaded) if takes else loaded


if not TYPE_CHECKING:

    def __getattr__(name):
        """Any other of transformers' names; its image and video processors robust."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_stock, name)
        if isinstance(found, type) and issubclass(found, _BaseImageProcessor):
            return robust_class(found)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
