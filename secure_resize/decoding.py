"""From an image file to a robustly scaled array, in one call that is safe for crafted files.

A decoder that scales while it decodes averages before it cuts off to [0, 255], so that a crafted JPEG file shows it
another picture than everybody else sees (:func:`secure_resize.attacks.craft_file`). Here every file is decoded in full
and accurately, each pixel is cut off, and then :func:`secure_resize.resize` scales. Pillow reads the files; simplejpeg,
where it is installed, decodes the usual JPEG files to the same bytes in less time.
"""

from __future__ import annotations

import importlib
import io
import os
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .core.kernels import get_kernel
from .names import KernelName, Size
from .scaling import check_size, resize

__all__ = ["MAX_PIXELS", "DecodeError", "TooLarge", "decode", "open_picture", "set_upright", "whole_picture"]

Image = npt.NDArray[np.uint8]
Data = bytes | bytearray | memoryview
# As many as Pillow opens without a warning: 256 MiB of RGB.
MAX_PIXELS = 89_478_485
# These would start another program (Ghostscript) or need a handler of the user's own to be decoded.
REFUSED = ("EPS", "WMF", "BUFR", "GRIB", "HDF5")
MODES = ("RGB", "L")
_ORIENTATION = 0x0112  # EXIF's tag
# What EXIF's orientations do to an array (H, W, ...) to set it upright, and whether they exchange its axes.
_UPRIGHT: dict[int, tuple[Callable[[Any], Any], bool]] = {
    2: (lambda a: a[:, ::-1], False),
    3: (lambda a: a[::-1, ::-1], False),
    4: (lambda a: a[::-1], False),
    5: (lambda a: a.swapaxes(0, 1), True),
    6: (lambda a: a[::-1].swapaxes(0, 1), True),
    7: (lambda a: a[::-1, ::-1].swapaxes(0, 1), True),
    8: (lambda a: a[:, ::-1].swapaxes(0, 1), True),
}


class DecodeError(ValueError):
    """A file that cannot be decoded: no image, broken, truncated, too large, or of a kind that has no 8-bit picture."""


class TooLarge(DecodeError):
    """More pixels than are allowed, here or by Pillow."""


def decode(
    file: Data | str | os.PathLike[str],
    size: Size,
    *,
    kernel: KernelName = "area",
    mode: Literal["RGB", "L"] = "RGB",
    exif: bool = True,
    background: tuple[int, int, int] | None = (255, 255, 255),
    truncated: Literal["error", "pad"] = "error",
    max_pixels: int = MAX_PIXELS,
    num_threads: int = 1,
) -> Image:
    """An image file as a robustly scaled array, safe for crafted files.

    >>> import secure_resize as sr
    >>> sr.decode("photo.jpg", (224, 224)).shape
    (224, 224, 3)

    It is ``resize(whole, size, kernel=kernel)``, to the byte, of the whole picture: decoded in full with the accurate
    inverse DCT and smooth chroma (as Pillow decodes it), cut off to [0, 255] and set upright.

    Parameters
    ----------
    file
        The file's bytes, or its path: whatever Pillow opens but EPS and WMF, which would start another program. Of an
        animation or a file of several pages this is the first picture.
    size
        (height, width) of the upright output.
    kernel, num_threads
        As for :func:`secure_resize.resize`.
    mode
        ``"RGB"``: (h, w, 3), grey files with three equal channels, CMYK and palettes converted by Pillow before they
        are scaled. ``"L"``: (h, w), the luma. 16-bit grey is scaled with 16 bits and then rounded to 8.
    exif
        Whether to set the picture upright by its EXIF (or XMP) orientation, as every viewer does.
    background
        Transparent pixels are laid over this colour before they are scaled, as viewers do (over white by default).
        None drops the transparency as ``convert("RGB")`` does, which shows colours that nobody sees.
    truncated
        ``"error"``, or ``"pad"``: what is missing of a truncated file is black or grey.
    max_pixels
        Files that claim more pixels are refused before any is decoded.

    Returns
    -------
    uint8, C-contiguous, (h, w, 3) or (h, w).

    Raises
    ------
    DecodeError
        A ValueError: the file is no image, broken, truncated or too large, or has no 8-bit picture (32-bit integers and
        floats, whose range no file says).
    TypeError, ValueError
        A bad argument, as :func:`secure_resize.resize` says.
    OSError, ImportError
        The path cannot be read; Pillow is not installed.
    """
    wanted = check_size(size)
    get_kernel(kernel)
    whole, orientation = whole_picture(
        file, mode=mode, exif=exif, background=background, truncated=truncated, max_pixels=max_pixels
    )
    upright, turned = _UPRIGHT.get(orientation, (None, False))
    if upright and kernel != "area":  # whose bytes do not depend on which axis is scaled first
        whole, upright, turned = upright(whole), None, False
    small = resize(whole, wanted[::-1] if turned else wanted, kernel=kernel, num_threads=num_threads)
    if upright:
        small = upright(small)
    if small.dtype == np.uint16:
        small = ((small.astype(np.uint32) + 128) // 257).astype(np.uint8)
        small = np.repeat(small[..., None], 3, axis=2) if mode == "RGB" else small
    return np.ascontiguousarray(small)


def whole_picture(
    file: Data | str | os.PathLike[str],
    *,
    mode: Literal["RGB", "L"] = "RGB",
    exif: bool = True,
    background: tuple[int, int, int] | None = (255, 255, 255),
    truncated: Literal["error", "pad"] = "error",
    max_pixels: int = MAX_PIXELS,
) -> tuple[npt.NDArray[Any], int]:
    """The whole picture as :func:`decode` scales it, as it lies in the file, and its orientation (1: it is upright).

    uint8, 16-bit grey uint16, (H, W, 3) or (H, W); :func:`set_upright` turns it. Arguments and errors are those of
    :func:`decode`; without ``exif`` the orientation is 1.
    """
    _check(mode, background, truncated, max_pixels)
    module = _modules()[0]  # ImportError is about Pillow; later, it is a reader's, about the file
    data = _bytes(file)
    try:
        return _whole(data, mode, exif, background, truncated == "pad", max_pixels)
    except DecodeError:
        raise
    except module.DecompressionBombError as error:
        raise TooLarge(f"{error}; Pillow's own limit is PIL.Image.MAX_IMAGE_PIXELS") from error
    # Whatever a plugin of Pillow's raises for a broken file: struct.error, zlib.error, SyntaxError, IndexError, ...
    except Exception as error:
        raise DecodeError(f"this file cannot be decoded: {type(error).__name__}: {error}") from error


def open_picture(file: Data, formats: Sequence[str] | None = None) -> Any:
    """A file as a Pillow picture, identified and not decoded yet; a context manager.

    By the readers that are registered with Pillow (``formats``: names of some), and not by ``PIL.Image.open``: some
    libraries replace that when they are imported, by one that installs packages, or that fails in its own ways.

    Raises DecodeError for whatever no reader opens, ImportError without Pillow.
    """
    module, usual, _ = _modules()
    stream, start = io.BytesIO(file), bytes(file[:16])
    for name in usual if formats is None else formats:
        reader, accept = module.OPEN[name]
        try:
            accepted = accept is None or accept(start)
            if not accepted or isinstance(accepted, str):  # why it cannot be, in words
                continue
            stream.seek(0)
            picture = reader(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # by which readers say that it is none of theirs
            continue
        except module.DecompressionBombError as error:
            raise TooLarge(f"{error}; Pillow's own limit is PIL.Image.MAX_IMAGE_PIXELS") from error
        except Exception as error:
            raise DecodeError(f"this file cannot be decoded: {type(error).__name__}: {error}") from error
        limit, pixels = module.MAX_IMAGE_PIXELS, picture.width * picture.height
        if limit is not None and pixels > 2 * limit:
            raise TooLarge(
                f"image size ({pixels} pixels) exceeds limit of {2 * limit} pixels, could be a decompression bomb; "
                "Pillow's own limit is PIL.Image.MAX_IMAGE_PIXELS"
            )
        return picture
    raise DecodeError(f"this is no image that Pillow {module.__version__} opens, or its header is broken")


def set_upright(image: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A picture (H, W, ...) turned as EXIF's ``orientation`` asks for; a view. Unknown orientations turn nothing."""
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else turn[0](image)


def _check(mode: Any, background: Any, truncated: Any, max_pixels: Any) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; valid: {', '.join(MODES)}")
    if truncated not in ("error", "pad"):
        raise ValueError(f"truncated must be 'error' or 'pad', got {truncated!r}")
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int | np.integer) or max_pixels < 1:
        raise ValueError(f"max_pixels must be a whole number of at least 1, got {max_pixels!r}")
    if background is not None:
        levels = tuple(background) if isinstance(background, tuple | list) else ()
        if len(levels) != 3 or not all(isinstance(one, int | np.integer) and 0 <= one <= 255 for one in levels):
            raise ValueError(f"background must be three levels from 0 to 255, or None; got {background!r}")


def _bytes(file: Any) -> Data:
    if isinstance(file, bytes | bytearray | memoryview):
        return file
    if isinstance(file, str | os.PathLike):
        return Path(file).read_bytes()
    raise TypeError(f"file must be a file's bytes or its path, got {type(file).__name__}")


@lru_cache(maxsize=1)
def _modules() -> tuple[Any, tuple[str, ...], Any]:
    """Pillow, the formats that it opens here, and simplejpeg or None."""
    try:
        image = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise ImportError("decode() needs Pillow: pip install pillow") from error
    image.init()
    try:
        fast = importlib.import_module("simplejpeg")
    except ImportError:
        fast = None
    return image, tuple(name for name in image.OPEN if name not in REFUSED), fast


def _whole(
    data: Data, mode: str, exif: bool, background: tuple[int, ...] | None, pad: bool, max_pixels: int
) -> tuple[npt.NDArray[Any], int]:
    """The whole picture, uint8 or (16-bit grey) uint16, as it lies in the file; and its orientation, 1 for upright."""
    fast = _modules()[2]
    image = None if fast is None else _usual_jpeg(data, fast, mode, max_pixels)
    if image is not None and not (exif and _may_be_turned(data)):
        return image, 1
    with open_picture(data) as picture:
        if picture.width * picture.height > max_pixels:
            raise TooLarge(f"{picture.width}×{picture.height} pixels are more than max_pixels={max_pixels}")
        if image is None:
            _load(picture, pad)
        orientation = int(picture.getexif().get(_ORIENTATION, 1)) if exif else 1  # for PNG files this loads them too
        if image is None:
            image = _as_array(picture, mode, background)
    return image, orientation


# Colour space and subsampling of which both decoders make the same bytes; and of what mode. Pillow makes the luma of a
# file in colours of its RGB.
_USUAL = {
    "RGB": {("YCbCr", "444"), ("YCbCr", "422"), ("YCbCr", "420"), ("Gray", "Gray")},
    "L": {("Gray", "Gray")},
}


def _usual_jpeg(data: Data, fast: Any, mode: str, max_pixels: int) -> Image | None:
    """Through simplejpeg, to Pillow's bytes; None where the file is none for it, or not quite as it should be."""
    if bytes(data[:3]) != b"\xff\xd8\xff":
        return None
    try:
        height, width, *kind = fast.decode_jpeg_header(data)
        if tuple(kind) not in _USUAL[mode] or height * width > max_pixels:
            return None
        image = np.asarray(fast.decode_jpeg(data, colorspace="GRAY" if mode == "L" else "RGB"))
    except ValueError:  # truncated or broken: Pillow says how far it goes
        return None
    return image[..., 0] if mode == "L" else image


def _may_be_turned(data: Data) -> bool:
    """Whether the JPEG file has a segment in which EXIF or XMP could say so."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        if data[place + 1] == 0xE1:
            return True
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    return place + 4 > len(data) or data[place] != 0xFF


def _load(picture: Any, pad: bool) -> None:
    try:
        picture.load()
    except OSError:
        if not pad or not getattr(picture, "tile", None):
            raise
        picture.tile = []  # no more to come: what has been decoded so far stays, the rest is as it was allocated
        picture.load()


def _as_array(picture: Any, mode: str, background: tuple[int, ...] | None) -> npt.NDArray[Any]:
    module = _modules()[0]
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if picture.mode in ("I", "F"):
        raise DecodeError(f"pixels of mode {picture.mode} (32 bits) have no known range: scale them to 8 bits first")
    if background is not None and picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = module.alpha_composite(module.new("RGBA", rgba.size, (*background, 255)), rgba)
    return np.asarray(picture.convert(mode))
