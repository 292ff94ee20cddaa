"""What is an image here, and what is wrong with one: types, dtypes, PIL modes, numpy arrays in a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.fx import Proxy
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as _stock
from torchvision.transforms.v2.functional._utils import _KERNEL_REGISTRY

__all__ = [
    "HALF_DTYPES",
    "PIL_MODES",
    "TENSOR_DTYPES",
    "WIDE_DTYPES",
    "Proxy",
    "check_image",
    "is_image",
    "is_recorded",
    "refuse_arrays",
    "refuse_nearest",
]

# Computed in float32 and rounded back once; the core has no half precision.
HALF_DTYPES = (torch.float16, torch.bfloat16)
# Computed in float64, in torch; whole numbers are rounded to the nearest and kept within their range.
WIDE_DTYPES = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
# The core's own, and those that are its uint8 and uint16 in other clothes: offset by half their range, bool as 0 and
# 255.
TENSOR_DTYPES = (
    torch.uint8,
    torch.uint16,
    torch.float32,
    *HALF_DTYPES,
    torch.int8,
    torch.int16,
    torch.bool,
    *WIDE_DTYPES,
)
PIL_MODES = (
    *("L", "RGB", "RGBA", "RGBX", "LA", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa"),
    *("I;16", "I;16L", "I;16B", "I;16N", "I", "F"),
)
# What Pillow resizes with nearest whatever filter is asked for, or by averaging places in a palette; and what to
# convert it to.
INDEXED_MODES = {"P": "RGB", "1": "L", "PA": "RGBA"}
# Types of which torchvision's own kernels resize images.
_IMAGES = (PIL.Image.Image, tv_tensors.Image, tv_tensors.Video, torch.Tensor)


def is_image(inpt: Any, functional: Any = _stock.resize) -> bool:
    """Whether ``functional`` treats ``inpt`` here. All else is torchvision's: masks, boxes, and types of your own.

    A type of your own is one for which, or for a base class of which, you registered a kernel of ``functional``.
    """
    kind = type(inpt)
    if kind is torch.Tensor or kind is tv_tensors.Image or kind is tv_tensors.Video:
        return True
    if not isinstance(inpt, _IMAGES) or isinstance(inpt, Proxy):
        return False
    registered = _KERNEL_REGISTRY.get(functional, {})
    for base in kind.__mro__:
        if base in _IMAGES:
            return True
        if base in registered or base is tv_tensors.TVTensor:
            return False
    return False


def is_recorded(flat_inputs: Sequence[Any]) -> bool:
    """Whether ``torch.fx.symbolic_trace`` is recording: torchvision's transforms would pass its proxies through."""
    return any(isinstance(inpt, Proxy) for inpt in flat_inputs)


def refuse_arrays(flat_inputs: Sequence[Any]) -> None:
    """TypeError for a sample with a numpy image, which torchvision would pass through unresized.

    Arrays that are no pictures pass, as in torchvision: strings, labels, camera matrices, boxes, keypoints. Without an
    image in the sample, every array of two or more axes with more than five rows and columns counts as one.
    """
    arrays = [inpt for inpt in flat_inputs if isinstance(inpt, np.ndarray)]
    if not arrays:
        return
    beside = any(isinstance(inpt, _IMAGES) and getattr(inpt, "ndim", 3) >= 3 for inpt in flat_inputs)
    for array in arrays:
        if len(flat_inputs) == 1 or _looks_like_an_image(array, beside):
            raise TypeError(
                f"got a numpy array of shape {array.shape}, which is neither a PIL image nor a tensor: torchvision "
                "transforms pass it through unresized. Put v2.ToImage() first, or call secure_resize.resize on it"
            )


def _looks_like_an_image(array: Any, beside_an_image: bool) -> bool:
    """Whether an array of a sample is a picture. Beside an image it must have 1, 3 or 4 channels and many pixels."""
    if array.dtype.kind not in "uifb" or array.ndim < 2:
        return False
    if not beside_an_image:
        planes = array.shape[-2:] if array.ndim == 2 or array.shape[-1] > 4 else array.shape[-3:-1]
        return bool(min(planes) > 5)
    if array.ndim not in (3, 4):
        return False
    *_, height, width, channels = array.shape
    if channels not in (1, 3, 4):
        channels, height, width = array.shape[-3:]
    # Of (N, 17, 3) keypoints and (N, 3, 3) matrices there are rarely so many; bytes are pixels.
    least = 5 if array.dtype == np.uint8 else 31
    return bool(channels in (1, 3, 4) and min(height, width) > least)


def refuse_nearest(image: Any, kernels: Sequence[str]) -> None:
    """ValueError: nearest is asked for, of an image; with the way out for a map of labels."""
    label = "A label map goes into tv_tensors.Mask(...), which is resized with nearest whatever is asked for images"
    if isinstance(image, torch.Tensor) and image.dtype in (torch.bool, torch.int8, torch.int16, *WIDE_DTYPES[1:]):
        label = f"This tensor of {image.dtype} looks like a label map: wrap it, tv_tensors.Mask(labels), and nearest is"
        label += " what it gets"
    elif isinstance(image, PIL.Image.Image) and image.mode in ("L", "P", "1", "I"):
        label += ": tv_tensors.Mask(image)"
    raise ValueError(
        "nearest interpolation of an image is what image-scaling attacks exploit: it reads one pixel per output. "
        f"Ask for another interpolation, or for a kernel by name: {', '.join(map(repr, kernels))}. {label}"
    )


def check_image(image: Any) -> None:
    """Everything wrong with an image that does not depend on the size asked for."""
    if isinstance(image, PIL.Image.Image):
        if image.mode in INDEXED_MODES:
            raise ValueError(
                f"a PIL image of mode {image.mode!r} can only be resized with nearest, which image-scaling attacks "
                f"exploit; convert it first: image.convert({INDEXED_MODES[image.mode]!r})"
            )
        if image.mode not in PIL_MODES:
            raise ValueError(
                f"PIL image mode must be one of {', '.join(PIL_MODES)}, got {image.mode!r}; convert it first: "
                "image.convert('RGB')"
            )
        shape = (image.height, image.width)
    else:
        if image.dtype not in TENSOR_DTYPES:
            raise TypeError(
                f"image dtype must be one of {', '.join(map(str, TENSOR_DTYPES))}, got {image.dtype}; convert first, "
                "for example with v2.ToDtype(torch.float32, scale=True)"
            )
        if image.ndim < 3:
            raise ValueError(f"an image tensor must have shape (..., C, H, W), got {tuple(image.shape)}")
        shape = tuple(image.shape)
    if shape[-1] == 0 or shape[-2] == 0:
        raise ValueError(f"image is empty: shape {shape}")
