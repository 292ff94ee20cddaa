"""A JPEG file that is blank to everybody and a chosen picture to a decoder with the inexact inverse DCT.

libjpeg's INTEGER_FAST (JDCT_IFAST, TensorFlow's default) adds in 16 bits, 32 to a level, and wraps around: 2048 levels
more are none. The accurate one (JDCT_ISLOW) saturates instead, and cuts off to white or black. So 2048 levels on top of
a picture's mean, in its DC coefficients, are white to every accurate decoder and the picture itself to the fast one. No
resize has a part in it, and none undoes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..measure.coefficients import Component, dct_matrix, split, to_ycc, write
from ..measure.decoders import get_decoder
from ..measure.quality import as_levels, psnr, psnr_luma
from .craft import check_image
from .jpeg import shown

__all__ = ["BlankFile", "craft_blank"]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
SHADES = {"white": 255, "black": 0}
# 2048 levels in a block's DC coefficient; in units of STEP it still fits the code of a DC coefficient.
_WRAP, _STEP = 8 * 2048, 16


@dataclass(frozen=True, eq=False)
class BlankFile:
    """A JPEG file and what it shows.

    ``data`` the file's bytes; ``shown`` uint8, what a full accurate decode shows (Pillow's), and ``decoded`` what the
    attacked decoder does. PSNRs in dB: ``psnr_blank`` of the lumas of shown and of the shade alone, ``psnr_target`` of
    decoded and target, and ``psnr_target_luma`` of their lumas.
    """

    data: bytes
    shown: Image
    decoded: Image
    psnr_blank: float
    psnr_target: float
    psnr_target_luma: float


def craft_blank(
    target: Image,
    decoder: str | Callable[[bytes], Any] = "tensorflow:decode_jpeg",
    *,
    shade: Literal["white", "black"] = "white",
) -> BlankFile:
    """A JPEG file that shows a blank page when decoded accurately, and ``target`` to ``decoder``.

    >>> from skimage import data
    >>> crafted = sr.attacks.craft_blank(data.astronaut())
    >>> crafted.shown.mean() > 240 and crafted.psnr_target > 25
    True

    ``target`` is uint8 (H, W), (H, W, 1) or (H, W, 3); of colours the page keeps a tint, since only luma is moved.
    ``decoder`` a name in ``measure.decoders.DECODERS`` or a callable from a file's bytes to an array like ``target``:
    whether it is one that wraps around is measured, ``psnr_target`` tells.

    Raises TypeError and ValueError for another image, decoder or shade, ImportError where the decoder's library or
    jpeglib is not installed.
    """
    check_image("target", target)
    if target.ndim == 3 and target.shape[2] not in (1, 3):
        raise ValueError(f"a JPEG file holds 1 or 3 channels, got the shape {target.shape}")
    if shade not in SHADES:
        raise ValueError(f"unknown shade {shade!r}; valid: {', '.join(SHADES)}")
    call: Callable[[bytes], Any]
    if isinstance(decoder, str):
        found = get_decoder(decoder, "JPEG")
        call = lambda data: found(data, (target.shape[0], target.shape[1]))  # noqa: E731
    else:
        call = decoder
    levels = as_levels(target)
    planes = np.moveaxis(to_ycc(levels) if levels.shape[2] == 3 else levels, 2, 0)
    components = [_component(plane, _WRAP if shade == "white" else -_WRAP) for plane in planes[:1]]
    components += [_component(plane, 0) for plane in planes[1:]]
    data = write((target.shape[0], target.shape[1]), components)
    everybody = shown(data).reshape(target.shape)
    decoded = np.asarray(call(data), dtype=np.uint8).reshape(target.shape)
    blank = np.full_like(target, SHADES[shade])
    return BlankFile(
        data,
        everybody,
        decoded,
        psnr_luma(everybody, blank),
        psnr(decoded, target),
        psnr_luma(decoded, target),
    )


def _component(plane: FloatArray, lift: int) -> Component:
    plane = np.pad(plane, [(0, -length % 8) for length in plane.shape], mode="edge")
    basis = dct_matrix()
    values = basis @ (split(plane) - 128.0) @ basis.T
    coefficients = np.round(values / _STEP)
    if lift:
        # What the accurate decoder adds to the saturated DC in 16 bits would wrap there as well.
        coefficients[..., :, 4] = 0
        coefficients[..., 0, 0] += lift // _STEP
        # A column without other coefficients is computed apart, without saturating.
        flat = (coefficients[..., 1:, 0] == 0).all(axis=-1)
        coefficients[..., 7, 0] = np.where(flat, 1, coefficients[..., 7, 0])
    return Component(coefficients.astype(np.int16), np.full((8, 8), _STEP, np.int64))
