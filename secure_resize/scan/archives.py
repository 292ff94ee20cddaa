"""Tar archives as streams: never extracted, read forward only, with limits on everything that a header may ask for."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from typing import IO, Any, cast

from .units import Item, Limits, MissingExtra, Trouble, Unit, is_image_name, misleading, too_large

__all__ = ["ARCHIVES", "TAR_SUFFIXES", "read_tar"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
# Archives that are not looked into, where they lie in a folder or in an archive.
ARCHIVES = (*TAR_SUFFIXES, ".7z", ".bz2", ".gz", ".rar", ".xz", ".zip", ".zst")
# The largest header that a tar archive may have (long names, pax records).
_HEADER = 1 << 20
_STEP = 1 << 20


class ArchiveError(Exception):
    """The archive goes on in a way in which no honest one does."""


class Stream(io.RawIOBase):
    """A file that ``tarfile`` reads headers from: forward only, by little, and no further than ``most`` bytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.place, self.most = file, 0, most
        self.last = b""

    def tell(self) -> int:
        """How many bytes were read."""
        return self.place

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Forward."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes of a header."""
        if not 0 <= size <= _HEADER:
            raise ArchiveError(f"a header of {size} bytes, more than {_HEADER}")
        self.last = self.data(size)
        return self.last

    def check_end(self) -> None:
        """ArchiveError where the headers ended otherwise than by the file's end or by zeros up to it."""
        if any(self.last):
            raise ArchiveError("a broken header")  # at which tarfile stops as if that were the end
        if self.last and any(self.data(tarfile.RECORDSIZE)):
            raise ArchiveError("there is more behind its end, which some readers see and others do not")

    def data(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer where the file ends."""
        if self.place + size > self.most:
            raise ArchiveError(f"it grows to more than {self.most} bytes; the rest was not looked at")
        parts: list[bytes] = []
        while size > 0 and (part := self.file.read(min(size, _STEP))):
            parts.append(part)
            size -= len(part)
            self.place += len(part)
        return b"".join(parts)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go forward to ``place``."""
        if whence or place < self.place:
            raise ArchiveError("a header leads backwards")
        if self.file.seekable() and isinstance(self.file, io.BufferedReader):
            if place > self.most:
                raise ArchiveError(f"it claims more than {self.most} bytes, which it does not have")
            self.place = self.file.seek(place)
        while self.place < place and self.data(min(place - self.place, _STEP)):
            pass
        return self.place


def opened(path: str) -> IO[bytes]:
    """The archive, decompressed by what its first bytes say."""
    file = open(path, "rb")  # noqa: SIM115  (closed by who reads)
    begins = file.read(6)
    file.seek(0)
    if begins[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if begins[:3] == b"BZh":
        return cast(IO[bytes], bz2.BZ2File(file))
    if begins == b"\xfd7zXZ\0":
        return cast(IO[bytes], lzma.LZMAFile(file))
    if begins[:4] == b"\x28\xb5\x2f\xfd":
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # from Python 3.14 on
        except ImportError:
            file.close()
            raise MissingExtra("archives in Zstandard are read from Python 3.14 on") from None
        return zstd.ZstdFile(file)  # type: ignore[no-any-return, unused-ignore]
    return file


def read_tar(unit: Unit, start: int, limits: Limits) -> Iterator[Item]:
    """The members of an archive from number ``start`` on; every member has a number, whatever it is.

    Where the archive ends early or goes wrong, the last item says so.
    """
    number = 0
    size = os.path.getsize(unit.path)
    with opened(unit.path) as file:
        plain = isinstance(file, io.BufferedReader)
        # What is not compressed cannot grow; a small archive of zeros may well grow to some megabytes.
        stream = Stream(file, size + tarfile.RECORDSIZE if plain else max(size * limits.expansion, 64 << 20))
        try:
            with tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # or it keeps every header
                    if number >= start:
                        yield _item(unit, number, member, stream, limits)
                    number += 1
                stream.check_end()
        # Whatever tarfile and the decompressors raise for broken archives; a MemoryError for one that takes too much.
        except Exception as error:
            said = str(error) or type(error).__name__
            code = "SR403" if isinstance(error, MemoryError) or "grows" in said else "SR404"
            yield Item(number, unit.name, troubles=(Trouble(code, f"the archive cannot be read any further: {said}"),))


def _item(unit: Unit, number: int, member: tarfile.TarInfo, stream: Stream, limits: Limits) -> Item:
    """One member, its bytes read where it is a file that may be a picture."""
    id = f"{unit.name}::{member.name}"
    why = misleading(member.name)
    troubles = [Trouble("SR404", f"{why}: {member.name!r}")] if why else []
    if member.issym() or member.islnk():
        message = f"a link to {member.linkname!r}: it was not followed"
        return Item(number, id, troubles=(*troubles, Trouble("SR404", message)))
    if member.isdir():
        return Item(number, id, troubles=tuple(troubles), declared=False)
    if not member.isfile() or member.issparse():
        kind = "a sparse file" if member.issparse() else "a device, a pipe or of an unknown kind"
        return Item(number, id, troubles=(*troubles, Trouble("SR404", f"it is {kind}: it was not read")))
    if member.name.lower().endswith(ARCHIVES):
        inside = Trouble("SR406", "an archive inside an archive: it was not looked into")
        return Item(number, id, troubles=(*troubles, inside))
    if member.size > limits.file_bytes:
        return Item(number, id, troubles=(*troubles, too_large(member.size, limits.file_bytes)))
    stream.seek(member.offset_data)
    data: Any = stream.data(member.size)
    if len(data) < member.size:
        raise ArchiveError(f"it ends within {member.name!r}")
    return Item(number, id, data, tuple(troubles), declared=is_image_name(member.name))
