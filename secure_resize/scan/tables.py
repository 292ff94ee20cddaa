"""Tables with pictures in them: Parquet, Arrow, Hugging Face data sets on disk, Lance; read a few rows at a time."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from .units import Item, Limits, MissingExtra, Trouble, Unit, as_pixels, misleading, read_file, too_large

__all__ = ["needs", "read_arrow", "read_lance", "read_parquet", "read_table"]

ROWS = 16  # that are held at a time


def needs(module: str, what: str, extra: str = "secure-resize[scan]") -> Any:
    """Import ``module``, or say in one line what installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{what} needs {module}: pip install '{extra}'") from error


def read_parquet(unit: Unit, start: int, limits: Limits) -> Iterator[Item]:
    """The pictures of a Parquet file."""
    parquet = needs("pyarrow.parquet", "Parquet")
    with parquet.ParquetFile(unit.path) as file:
        columns = picture_columns(file.schema_arrow)
        yield from _numbered(unit, file.iter_batches(ROWS, columns=columns), columns, start, limits)


def read_arrow(unit: Unit, start: int, limits: Limits) -> Iterator[Item]:
    """The pictures of an Arrow file, of the format with random access or of the stream that Hugging Face writes."""
    arrow = needs("pyarrow", "Arrow")
    with arrow.memory_map(unit.path) as file:
        try:
            reader = arrow.ipc.open_file(file)
            batches: Iterable[Any] = (reader.get_batch(k) for k in range(reader.num_record_batches))
        except arrow.ArrowInvalid:
            file.seek(0)
            reader = arrow.ipc.open_stream(file)
            batches = reader
        columns = picture_columns(reader.schema)
        small = (batch.slice(k, ROWS) for batch in batches for k in range(0, batch.num_rows, ROWS))
        yield from _numbered(unit, small, columns, start, limits)


def read_lance(unit: Unit, start: int, limits: Limits) -> Iterator[Item]:
    """The pictures of a Lance data set."""
    dataset = needs("lance", "Lance", "pylance").dataset(unit.path)
    columns = picture_columns(dataset.schema)
    batches = dataset.to_batches(columns=columns, batch_size=ROWS, scan_in_order=True)
    yield from _numbered(unit, batches, columns, start, limits)


def read_table(unit: Unit, batches: Iterable[Any], schema: Any, start: int, limits: Limits) -> Iterator[Item]:
    """The pictures of record batches or tables that are in memory already, whose paths are the user's own."""
    columns = picture_columns(schema)
    yield from _numbered(unit, batches, columns, start, limits, own=True)


def picture_columns(schema: Any) -> list[str]:
    """The columns that may hold pictures; ValueError, with all there are, where there is none."""
    found = [field.name for field in schema if _kind(field.type)]
    if not found:
        listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise ValueError(f"no column holds pictures (bytes, Hugging Face's Image, or arrays); the columns are {listed}")
    return found


def _kind(type: Any) -> str:
    """What a column of this Arrow type holds: ``"bytes"``, ``"image"``, ``"pixels"``, lists of them, or nothing."""
    arrow = importlib.import_module("pyarrow")
    types = arrow.types
    if isinstance(type, arrow.BaseExtensionType):
        return "pixels" if "ensor" in str(type) or "Array" in str(type) else _kind(type.storage_type)
    if types.is_binary(type) or types.is_large_binary(type) or types.is_fixed_size_binary(type):
        return "bytes"
    if types.is_struct(type):
        names = {type.field(k).name for k in range(type.num_fields)}
        return "image" if "bytes" in names else ""
    if types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type):
        inner = type.value_type
        if types.is_list(inner) or types.is_large_list(inner) or types.is_fixed_size_list(inner):
            deepest = inner.value_type
            while hasattr(deepest, "value_type"):
                deepest = deepest.value_type
            return "pixels" if types.is_uint8(deepest) else ""
        kind = _kind(inner)
        return f"list of {kind}" if kind in ("bytes", "image") else ""
    return ""


def _numbered(
    unit: Unit, batches: Iterable[Any], columns: list[str], start: int, limits: Limits, own: bool = False
) -> Iterator[Item]:
    """Every value of the columns, row by row, numbered; those from ``start`` on."""
    number = row = 0
    for batch in batches:
        kinds = {name: _kind(batch.schema.field(name).type) for name in columns}
        count = batch.num_rows
        for k in range(count):
            for name in columns:
                id = f"{unit.name}#{row}" + (f"/{name}" if len(columns) > 1 else "")
                cell = batch.column(name)[k]
                for place, value in _values(cell, kinds[name]):
                    if number >= start:
                        yield _item(number, id + place, kinds[name], value, limits, own)
                    number += 1
            row += 1


def _values(cell: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """The cell's scalars, and where each is in the cell."""
    if not kind.startswith("list of "):
        yield "", cell
        return
    if cell.is_valid:
        for k, one in enumerate(cell):
            yield f"[{k}]", one


def _item(number: int, id: str, kind: str, cell: Any, limits: Limits, own: bool) -> Item:
    if not cell.is_valid:
        return Item(number, id, declared=False)
    kind = kind.removeprefix("list of ")
    if kind == "pixels":
        image = as_pixels(cell.to_numpy() if hasattr(cell, "to_numpy") else cell.as_py())
        missing = Trouble("SR402", "the array is no picture: expected (H, W) or (H, W, C) of whole levels, 0 to 255")
        return Item(number, id, image, () if image is not None else (missing,))
    if kind == "image":
        part = cell["bytes"]
        if not part.is_valid:
            return _by_path(number, id, cell, limits, own)
        cell = part
    size = len(cell.as_buffer())
    if size > limits.file_bytes:
        return Item(number, id, troubles=(too_large(size, limits.file_bytes),))
    return Item(number, id, cell.as_py(), declared=kind == "image")


def _by_path(number: int, id: str, cell: Any, limits: Limits, own: bool) -> Item:
    """A picture that is only named: read where the user made the table, a finding where somebody else did."""
    value = cell.as_py()
    path = value.get("path")
    if not isinstance(path, str):
        return Item(number, id, declared=False)
    if own and not misleading(os.path.basename(path)):
        data = read_file(path, limits.file_bytes)
        return Item(number, id, troubles=(data,)) if isinstance(data, Trouble) else Item(number, id, data)
    message = f"the table names the file {path!r} instead of holding it: it was not read"
    return Item(number, id, troubles=(Trouble("SR404", message),))
