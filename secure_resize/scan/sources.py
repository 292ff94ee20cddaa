"""Where pictures come from: a registry row for each kind of data set, and the units that a source is made of."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..registry import Registry
from .archives import ARCHIVES, TAR_SUFFIXES, read_tar
from .tables import ROWS, needs, read_arrow, read_lance, read_parquet, read_table
from .units import (
    Item,
    Limits,
    Trouble,
    Unit,
    is_image_name,
    looks_like_an_image,
    misleading,
    read_file,
    stamp_of,
    unquoted,
)

__all__ = ["SOURCES", "NoSource", "Source", "in_memory", "items_of", "units_of"]


class NoSource(ValueError):
    """What was given is nothing that a scan can go through."""


@dataclass(frozen=True)
class Source:
    """A kind of data set: how its files are told, and how the items of one are read.

    ``suffixes``: endings of its files; ``needs``: the module and what to install for it. ``read(unit, start, limits)``
    yields the unit's items from number ``start`` on; None where a unit is one picture, which whoever looks at it reads.
    """

    name: str
    what: str
    suffixes: tuple[str, ...]
    read: Callable[[Unit, int, Limits], Iterator[Item]] | None
    needs: str = ""


SOURCES: Registry[Source] = Registry("kind of source")
SOURCES.add(Source("file", "a picture", (), None))
SOURCES.add(Source("tar", "a tar archive (webdataset's shards)", TAR_SUFFIXES, read_tar))
SOURCES.add(Source("parquet", "a Parquet file", (".parquet", ".pq"), read_parquet, "pyarrow"))
SOURCES.add(Source("arrow", "an Arrow file", (".arrow", ".feather", ".ipc"), read_arrow, "pyarrow"))
SOURCES.add(Source("lance", "a Lance data set", (".lance",), read_lance, "pylance"))
LISTS = (".lst", ".list", ".txt")


def units_of(sources: Sequence[str | os.PathLike[str]], *, leave_out: Iterable[Path] = ()) -> Iterator[Unit]:
    """The units of folders, files, data sets and lists of files, each once, in an order that depends on names alone.

    ``leave_out`` are folders that are not gone into, such as the one that the report is written to. A link to a folder
    is never followed: one that stays inside leads to what is seen anyway, and one that leads out is a finding.
    """
    left_out = {os.path.realpath(path) for path in leave_out}
    for source in sources:
        path = os.fspath(source)
        before = f"{os.path.basename(os.path.abspath(path))}/" if len(sources) > 1 else ""
        if not os.path.lexists(path):
            raise NoSource(f"there is no {path!r}")
        kind = kind_of(path)
        if os.path.isdir(path) and kind != "lance":
            yield from _folder(path, before, left_out)
        elif path.lower().endswith(LISTS):
            yield from _listed(path, before)
        else:
            yield _unit(kind, path, before + os.path.basename(os.path.abspath(path)))


def kind_of(path: str) -> str:
    """The row of ``SOURCES`` that the path's ending names; a picture for any other."""
    lowered = path.rstrip("/").lower()
    return next((row.name for row in SOURCES.values() if row.suffixes and lowered.endswith(row.suffixes)), "file")


def _unit(kind: str, path: str, name: str) -> Unit:
    """A unit, with what is wrong with its file or its name."""
    why = misleading(name.lstrip("/"))
    trouble = Trouble("SR404", f"{why}: {name!r}") if why and ".." not in why else None
    try:
        found = os.stat(path)
        if kind != "lance" and not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
            return Unit(kind, path, name, "", Trouble("SR404", f"it is {what}, no regular file: it was not opened"))
        stamp = _stamp_of_folder(path) if stat.S_ISDIR(found.st_mode) else stamp_of(path)
    except OSError as error:
        link = "a link that leads nowhere, or to itself" if os.path.islink(path) else error.strerror
        return Unit(kind, path, name, "", Trouble("SR402", f"it cannot be read: {link}"))
    return Unit(kind, path, name, stamp, trouble)


def _stamp_of_folder(path: str) -> str:
    """Of a data set that is a folder: its newest file's, and how many there are."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return f"{len(files)} {max((os.stat(file).st_mtime_ns for file in files), default=0)}"


def _folder(root: str, before: str, left_out: set[str]) -> Iterator[Unit]:
    """What lies in a folder and below, by name; depth first, without recursion, so that none is too deep."""
    inside = os.path.realpath(root)
    stack = [(root, before)]
    while stack:
        folder, name = stack.pop()
        if os.path.realpath(folder) in left_out:
            continue
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield Unit("file", folder, name, "", Trouble("SR402", f"it cannot be read: {error.strerror}"))
            continue
        only = _data_files(folder) if any(entry.name == "state.json" for entry in entries) else None
        below = []
        for entry in entries:
            kind = kind_of(entry.name)
            if kind == "arrow" and only is not None and entry.name not in only:
                continue  # a cache of the data set
            if entry.is_dir(follow_symlinks=False) and kind != "lance":
                below.append((entry.path, f"{name}{entry.name}/"))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                if not _within(os.path.realpath(entry.path), inside):
                    trouble = Trouble("SR406", "a link to a folder elsewhere: it was not followed")
                    yield Unit("file", entry.path, name + entry.name, "", trouble)
            else:
                yield _unit(kind, entry.path, name + entry.name)
        stack.extend(reversed(below))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _data_files(folder: str) -> set[str] | None:
    """The files that make up a data set that Hugging Face's library saved there; None where it is none."""
    data = read_file(os.path.join(folder, "state.json"), 16 << 20)
    try:
        found = json.loads(data) if isinstance(data, bytes) else None
        files = found["_data_files"] if isinstance(found, dict) else None
        return {str(one["filename"]) for one in files} if isinstance(files, list) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _listed(path: str, before: str) -> Iterator[Unit]:
    """The files that a list names, a path a line, from the folder of the list on if they are not absolute."""
    folder = os.path.dirname(os.path.abspath(path))
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                name = unquoted(line)
                whole = os.path.join(folder, name)
                os.path.lexists(whole)
            except ValueError as error:
                raise NoSource(f"{path}, line {number}: {error}") from error
            yield _unit(kind_of(name), whole, before + name)


def items_of(unit: Unit, start: int, limits: Limits) -> Iterator[Item]:
    """The items of a unit that holds many, from number ``start`` on; what cannot be read is an item that says so.

    MissingExtra where the library for it is not installed.
    """
    read = SOURCES[unit.kind].read
    if unit.trouble is not None:
        yield Item(0, unit.name, troubles=(unit.trouble,))
        return
    if read is None:
        raise ValueError(f"{unit.name!r} is one picture, which has no items")
    number = start - 1
    try:
        for item in read(unit, start, limits):
            number = item.number
            yield item
    except ImportError:
        raise
    except MemoryError:
        message = "reading it takes more memory than the limit: it was not looked at any further"
        yield Item(number + 1, unit.name, troubles=(Trouble("SR403", message),))
    except Exception as error:  # whatever the library raises for a broken file
        said = " ".join(str(error).split()) or type(error).__name__
        yield Item(number + 1, unit.name, troubles=(Trouble("SR402", f"it cannot be read any further: {said}"),))


def file_item(unit: Unit) -> Item | None:
    """A unit that is one picture, as an item; None for a file that is none and does not say that it is one."""
    troubles = () if unit.trouble is None else (unit.trouble,)
    if troubles and not unit.stamp:
        return Item(0, unit.name, troubles=troubles)
    if is_image_name(unit.path):
        return Item(0, unit.name, Path(unit.path), troubles)
    if unit.path.lower().endswith(ARCHIVES):
        inside = Trouble("SR406", "an archive of a kind that is not looked into")
        return Item(0, unit.name, troubles=(*troubles, inside))
    begins = _begins(unit.path)
    if looks_like_an_image(begins) or troubles:
        return Item(0, unit.name, Path(unit.path) if looks_like_an_image(begins) else None, troubles)
    return None


def _begins(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            return os.read(handle, 32)
        finally:
            os.close(handle)
    except OSError:
        return b""


def in_memory(source: Any) -> tuple[Unit, Callable[[int, Limits], Iterator[Item]]]:
    """A data set of the process that scans: Hugging Face's, an Arrow table, or pairs of (id, picture).

    Returns a unit for all of it and the function that reads its items.
    """
    module = type(source).__module__.partition(".")[0]
    unit = Unit("file", f"<{module}>", module, module)
    if module == "datasets":
        needs("pyarrow", "a Hugging Face data set")
        if isinstance(source, dict):
            raise NoSource(f"expected one split of the data set, got all of them: {', '.join(map(str, source))}")
        if not hasattr(source, "with_format"):
            raise NoSource(f"expected a Dataset or an IterableDataset, got {type(source).__name__}")
        table = source.with_format("arrow")
        return unit, partial(_hugging_face, unit, table)
    if module == "pyarrow":
        table = source if hasattr(source, "to_batches") else needs("pyarrow", "a table").Table.from_batches([source])
        return unit, lambda start, limits: read_table(
            unit, table.to_batches(max_chunksize=ROWS), table.schema, start, limits
        )
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | dict):
        return Unit("file", "<pairs>", "", "pairs"), partial(_pairs, source)
    raise NoSource(
        f"expected a path, a Hugging Face Dataset, an Arrow table or an iterable of (id, picture); got "
        f"{type(source).__name__}"
    )


def _hugging_face(unit: Unit, table: Any, start: int, limits: Limits) -> Iterator[Item]:
    batches = table.iter(batch_size=ROWS)
    first = next(iter(batches), None)
    if first is None:
        return

    def all_of_them() -> Iterator[Any]:
        for part in table.iter(batch_size=ROWS):
            yield from part.combine_chunks().to_batches()

    yield from read_table(unit, all_of_them(), first.schema, start, limits)


def _pairs(source: Iterable[Any], start: int, limits: Limits) -> Iterator[Item]:
    for number, pair in enumerate(source):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise NoSource(f"expected pairs of (id, picture), got {type(pair).__name__} as number {number}")
        if number >= start:
            yield Item(number, str(pair[0]), pair[1])
