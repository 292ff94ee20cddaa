"""The ways in which a picture file is read: front ends differ in what they make of the same bytes before they scale.

Upright by EXIF or as stored, transparency over white, over black or dropped, the first frame or another one, a colour
profile applied or not, 16 bits and CMYK as Pillow or as OpenCV has them.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decoding import MAX_PIXELS, DecodeError, TooLarge, decode, open_picture
from ..measure.scalers import load

__all__ = ["FRAMES", "Reading", "read_as"]

Image = npt.NDArray[np.uint8]
# Of an animation, how many are looked at.
FRAMES = 4
_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Reading:
    """``image`` uint8 (H, W, 3), and in words who reads the file so."""

    name: str
    image: Image


def read_as(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[list[Reading], list[str]]:
    """The readings of a file that differ, what most viewers show first; and what is to be said of the file.

    DecodeError for a file that is no picture, broken, or larger than ``max_pixels``.
    """
    facts = _facts(data, max_pixels)
    size, frames = facts["size"], facts["frames"]
    found = [Reading("as shown", decode(data, size, max_pixels=max_pixels))]
    notes = []

    def add(name: str, image: Image | None) -> None:
        if image is not None and not any(np.array_equal(image, one.image) for one in found):
            found.append(Reading(name, image))

    if facts["turned"]:
        notes.append("EXIF turns it")
        stored = size[::-1] if facts["turned"] >= 5 else size
        add("as stored, EXIF ignored", decode(data, stored, exif=False, max_pixels=max_pixels))
    if facts["transparent"]:
        notes.append("it has transparency")
        add("transparency over black", decode(data, size, background=(0, 0, 0), max_pixels=max_pixels))
        add("transparency dropped", decode(data, size, background=None, max_pixels=max_pixels))
    if frames > 1:
        more = "" if frames <= FRAMES else f", of which the first {FRAMES} were looked at"
        notes.append(f"it has {frames} frames{more}")
        for index in range(1, min(frames, FRAMES)):
            add(f"frame {index + 1}", _frame(data, index))
    if facts["profile"]:
        notes.append("it has a colour profile")
        add("colour profile applied", _profiled(data))
    if facts["mode"].startswith(("I;16", "CMYK")):
        notes.append(f"its pixels are {'CMYK' if facts['mode'] == 'CMYK' else '16 bits'}")
        add("as OpenCV reads it", _opencv(data))
        add("as Pillow converts it", _frame(data, 0))
    return found, notes


def _facts(data: bytes, max_pixels: int) -> dict[str, Any]:
    try:
        with open_picture(data) as picture:
            if picture.width * picture.height > max_pixels:
                raise TooLarge(f"{picture.width}×{picture.height} pixels are more than max_pixels={max_pixels}")
            turned = int(picture.getexif().get(_ORIENTATION, 1))
            height, width = picture.height, picture.width
            return {
                "size": (width, height) if turned in (5, 6, 7, 8) else (height, width),
                "turned": turned if 2 <= turned <= 8 else 0,
                "frames": int(getattr(picture, "n_frames", 1)),
                "transparent": bool(picture.has_transparency_data),
                "profile": bool(picture.info.get("icc_profile")),
                "mode": str(picture.mode),
            }
    except DecodeError:
        raise
    except Exception as error:  # whatever a plugin of Pillow's raises for a broken file
        decode(data, (1, 1), max_pixels=max_pixels)  # which says it better, or can
        raise DecodeError(f"this file cannot be decoded: {type(error).__name__}: {error}") from error


def _frame(data: bytes, index: int) -> Image | None:
    with open_picture(data) as picture:
        try:
            picture.seek(index)
            return np.asarray(load("PIL.ImageOps").exif_transpose(picture).convert("RGB"), dtype=np.uint8)
        except (EOFError, OSError, ValueError):  # a frame that is not there
            return None


def _profiled(data: bytes) -> Image | None:
    management = load("PIL.ImageCms")
    with open_picture(data) as picture:
        try:
            profile = management.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
            upright = load("PIL.ImageOps").exif_transpose(picture)
            if upright.mode not in ("RGB", "CMYK", "L"):
                upright = upright.convert("RGB")
            made = management.profileToProfile(upright, profile, management.createProfile("sRGB"), outputMode="RGB")
            return np.asarray(made, dtype=np.uint8)
        except (management.PyCMSError, OSError, ValueError):  # a profile that is none: nobody applies it
            return None


def _opencv(data: bytes) -> Image | None:
    if importlib.util.find_spec("cv2") is None:
        return None
    cv2 = load("cv2")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[..., ::-1])
