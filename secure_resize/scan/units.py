"""What a scan goes through: units (files that hold pictures), the items in them, and what is wrong with one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "LIMITS",
    "Data",
    "Item",
    "Limits",
    "MissingExtra",
    "Trouble",
    "Unit",
    "is_image_name",
    "looks_like_an_image",
    "misleading",
    "quoted",
    "read_file",
    "unquoted",
]

# What a picture may be given as: a file's bytes, where such a file lies, or its pixels.
Data: TypeAlias = bytes | os.PathLike[str] | npt.NDArray[Any]

# Endings of files that somebody means to be pictures.
IMAGE_SUFFIXES = frozenset(
    {
        *(".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe"),
        *(".jpeg", ".jpg", ".jxl", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
    }
)
# How such files begin, whatever they are called.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*", b"qoif", b"\x00\x00\x00\x0cjP  ")
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")


@dataclass(frozen=True)
class Limits:
    """How much one picture, file or archive may take before it is a finding instead.

    ``pixels`` of a picture and ``frames`` of an animation that are looked at; ``file_bytes`` of a file, an archive's
    member or a table's cell; ``memory`` in bytes and ``seconds`` of processor time for one picture, of the process that
    looks at it; ``expansion``: how many times its own size a compressed archive may grow to.
    """

    pixels: int = 89_478_485
    frames: int = 8
    file_bytes: int = 256 << 20
    memory: int = 3 << 30
    seconds: float = 60.0
    expansion: int = 1000

    def __post_init__(self) -> None:
        for name in ("pixels", "frames", "file_bytes", "memory", "seconds", "expansion"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"the limit {name} must be a number above 0, got {value!r}")


@dataclass(frozen=True)
class Trouble:
    """Something that is a finding of its own: the rule's name, what was seen, and evidence for machines."""

    code: str
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"code": self.code, "message": self.message, "evidence": dict(self.evidence)}


@dataclass(frozen=True)
class Unit:
    """A file that holds one picture or many.

    ``kind`` is a row of ``SOURCES``; ``path`` where the file lies; ``name`` what its ids begin with: the path from the
    source on, with forward slashes. While ``stamp`` (its size and when it was changed) stays, what is known of it does.
    ``trouble``: what is wrong with the file itself, which is then not opened.
    """

    kind: str
    path: str
    name: str
    stamp: str = ""
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Item:
    """One thing in a unit: the ``number`` by which it is known, its ``id``, and its ``data``; or what is wrong.

    ``declared``: whether whoever made it says that it is a picture (by its name, or a table's type); if not, and it
    does not begin like one, it is left alone.
    """

    number: int
    id: str
    data: Data | None = None
    troubles: tuple[Trouble, ...] = ()
    declared: bool = True


LIMITS = Limits()


class MissingExtra(ImportError):
    """A library that reads this kind of data set is not installed."""


def stamp_of(path: str) -> str:
    """The file's size and time of change."""
    found = os.stat(path)
    return f"{found.st_size} {found.st_mtime_ns}"


def is_image_name(name: str) -> bool:
    """Whether a file of this name is meant to be a picture."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def looks_like_an_image(data: bytes) -> bool:
    """Whether a file that begins with ``data`` (16 bytes or more) is a picture by its first bytes."""
    return (
        data.startswith(_BEGINNINGS)
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        or (data[4:8] == b"ftyp" and data[8:12] in _BRANDS)
        or (data[:2] == b"BM" and len(data) > 26 and data[6:10] == b"\0\0\0\0")
    )


def misleading(name: str) -> str:
    """Why a member of this name would mislead or leave its folder when it is extracted; empty where it would not."""
    parts = name.replace("\\", "/").split("/")
    if not name.strip():
        return "its name is empty"
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        return "its name is an absolute path"
    if ".." in parts:
        return "its name climbs out of the folder by '..'"
    if any(not one.isprintable() and not 0xDC80 <= ord(one) <= 0xDCFF for one in name):
        return "its name holds control characters"
    return ""


def quoted(name: str) -> str:
    """``name`` as one line of a list: as it is where it can be, as a JSON text where that would mislead."""
    plain = name.isprintable() and name == name.strip() and not name.startswith('"')
    return name if plain else json.dumps(name, ensure_ascii=True).replace("\x7f", "\\u007f")


def unquoted(line: str) -> str:
    """The name that :func:`quoted` made a line of; ValueError for a line that is no JSON text and begins like one."""
    line = line.rstrip("\r\n")
    if not line.startswith('"'):
        return line
    name = json.loads(line)
    if not isinstance(name, str):
        raise ValueError(f"expected a name, got {line!r}")
    return name


def read_file(path: str, most: int) -> bytes | Trouble:
    """The bytes of a regular file of at most ``most`` bytes; never waits for a pipe, never reads a device."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                return Trouble("SR404", "this is no regular file: it was not read")
            if found.st_size > most:
                return too_large(found.st_size, most)
            data = file.read(most + 1)  # it may have grown since
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Trouble("SR402", f"it cannot be read: {reason}")
    return too_large(len(data), most) if len(data) > most else data


def too_large(size: int, most: int) -> Trouble:
    """The finding of a file, member or cell with more bytes than the limit."""
    return Trouble("SR403", f"it has {size} bytes, more than the limit of {most}", {"bytes": size, "limit": most})


def as_pixels(value: Any) -> npt.NDArray[np.uint8] | None:
    """A nested list or array as pixels (H, W) or (H, W, C); None where it is none."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)  # channels first
    whole = array.dtype.kind in "iu" and array.ndim in (2, 3) and array.size > 0
    if not whole or array.min() < 0 or array.max() > 255:
        return None
    return np.ascontiguousarray(array, dtype=np.uint8)
