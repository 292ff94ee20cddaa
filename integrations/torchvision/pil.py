"""PIL images: their pixels as arrays and back, resized with the installed Pillow's own bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import torch

import secure_resize as sr
from secure_resize.integration_support import KernelName, pillow_pass_order

from . import graph

__all__ = ["as_array", "resize"]

# Colours are averaged weighted by their alpha, as Pillow does: a transparent pixel's colour must not bleed.
PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}
# Pillow's own bytes need the passes in the installed version's order; only PIL images are compared with it, and tensors
# give the same bytes whatever Pillow is installed.
PASS_ORDER = pillow_pass_order(PIL.__version__)
# LAB's a and b are signed outside Pillow and offset by 128 inside; only the latter can be averaged as uint8.
LAB_OFFSET = np.array([0, 128, 128], np.uint8)


def resize(image: PIL.Image.Image, size: tuple[int, int], kernel: KernelName) -> PIL.Image.Image:
    """A new image of the same mode and info; for its 8-bit modes and kernels the installed Pillow's own bytes.

    Mode I is computed in float64 and rounded once, where Pillow rounds after each pass: at most a level apart.
    """
    pixels, restore = as_array(image)
    if pixels.dtype == np.int32:
        planes = graph.resize(torch.from_numpy(pixels.copy())[None], size, kernel)
        return restore(planes[0].numpy())
    return restore(sr.resize(pixels, size, kernel=kernel, pass_order=PASS_ORDER))


def as_array(image: PIL.Image.Image) -> tuple[Any, Callable[[Any], PIL.Image.Image]]:
    """The pixels of ``image`` in the form in which they can be averaged, and what makes such an image of an array."""
    mode = PREMULTIPLIED.get(image.mode, image.mode)
    pixels = np.asarray(image if mode == image.mode else image.convert(mode))
    offset = LAB_OFFSET if mode == "LAB" else None

    def restore(array: Any) -> PIL.Image.Image:
        array = array if offset is None else array ^ offset
        # I;16 is little-endian on every machine, I;16B big-endian.
        array = np.ascontiguousarray(array.astype(pixels.dtype, copy=False))
        result = PIL.Image.frombytes(mode, (array.shape[1], array.shape[0]), array)
        result.info = {key: value.copy() if isinstance(value, list) else value for key, value in image.info.items()}
        return result if mode == image.mode else result.convert(image.mode)

    return pixels if offset is None else pixels ^ offset, restore
