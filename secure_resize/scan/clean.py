"""Calibration on a user's own clean pictures, read as a scan reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..decoding import DecodeError
from ..detect import KINDS, Calibration, Target, calibrate, plausible_targets
from .look import Image, views
from .reader import Reader
from .sources import SOURCES, NoSource, file_item, units_of
from .units import LIMITS, Item, Limits, Trouble, Unit, looks_like_an_image, read_file

__all__ = ["calibrate_on"]


def calibrate_on(
    source: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    scalers: Sequence[str] = (),
    limits: Limits = LIMITS,
) -> Calibration:
    """A calibration for ``scan(..., size=size, scalers=scalers)`` on the clean pictures of ``source``.

    ``source``: a folder, an archive or a table, as for :func:`scan`. Pictures that cannot be decoded are left out.
    ValueError where there are too few of them: 40 at each ratio.
    """
    pictures = _pictures(source, limits)
    first = next(pictures, None)
    if first is None:
        raise NoSource(f"there is no picture in {os.fspath(source)!r}")
    names = tuple(scalers) or KINDS
    targets = [Target(one, size) for one in names] if size else plausible_targets(first.shape[:2], scalers=names)
    if not targets:
        raise ValueError(f"the pictures in {os.fspath(source)!r} are too small: no model scales them down")

    def all_of_them() -> Iterator[Image]:
        yield first
        yield from pictures

    return calibrate(all_of_them(), targets, source=f"pictures of {os.path.basename(os.path.abspath(source))}")


def _pictures(source: str | os.PathLike[str], limits: Limits) -> Iterator[Image]:
    with Reader(limits) as reader:
        for unit in units_of([source]):
            for item in _items(unit, reader):
                image = _decoded(item, limits)
                if image is not None:
                    yield image


def _items(unit: Unit, reader: Reader) -> Iterator[Item]:
    if SOURCES[unit.kind].read is None:
        item = file_item(unit)
        yield from () if item is None else (item,)
    else:
        for some in reader.items(unit, 0):
            yield from some


def _decoded(item: Item, limits: Limits) -> Image | None:
    data: Any = item.data
    if isinstance(data, os.PathLike):
        data = read_file(os.fspath(data), limits.file_bytes)
    if data is None or isinstance(data, Trouble):
        return None
    if isinstance(data, bytes) and not item.declared and not looks_like_an_image(data):
        return None
    try:
        return next((image for image, _ in views(data, limits, [])), None)
    except (DecodeError, MemoryError):
        return None
