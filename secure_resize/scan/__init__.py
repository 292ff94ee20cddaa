"""Data sets: which pictures does a resize turn into other ones?

``scan`` goes through folders, archives and tables in processes of its own, keeps what it knows in a ledger and answers
with a report. ``Look`` is what every engine calls: pairs of (id, picture) in, rows out; it can be pickled. With
Hugging Face's library, Ray Data, Daft and Spark it goes by columns::

    look = Look(size=(224, 224), scalers=("opencv:linear",))

    dataset.cast_column("image", datasets.Image(decode=False)).map(look.columns, batched=True)
    ray.data.read_parquet(path).map_batches(look.columns)

    @daft.udf(return_dtype=daft.DataType.bool())
    def suspicious(images):
        return look.columns({"image": images.to_pylist()})["suspicious"]

    def suspicious(frames):  # Spark: files.mapInPandas(suspicious, "path string, suspicious boolean")
        for frame in frames:
            found = look.columns({"image": [bytes(one) for one in frame["content"]]})
            yield pandas.DataFrame({"path": frame["path"], "suspicious": found["suspicious"]})
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .engines import ENGINES
from .look import FIELDS, Look, Row
from .sources import SOURCES, NoSource
from .units import Item, Limits, MissingExtra, Trouble

if TYPE_CHECKING:
    from .clean import calibrate_on
    from .move import restore
    from .report import ScanReport
    from .run import scan

__all__ = [
    "ENGINES",
    "FIELDS",
    "SOURCES",
    "Item",
    "Limits",
    "Look",
    "MissingExtra",
    "NoSource",
    "Row",
    "ScanReport",
    "Trouble",
    "calibrate_on",
    "restore",
    "scan",
]
# Not needed by the processes that look at pictures, which start in half the time without these.
_ASKED_FOR = {"ScanReport": "report", "calibrate_on": "clean", "restore": "move", "scan": "run"}


if not TYPE_CHECKING:  # for a type checker every name would be there

    def __getattr__(name):
        if name in _ASKED_FOR:
            return getattr(importlib.import_module(f".{_ASKED_FOR[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
