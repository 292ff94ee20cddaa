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

from .clean import calibrate_on
from .engines import ENGINES
from .look import FIELDS, Look, Row
from .move import restore
from .report import ScanReport
from .run import scan
from .sources import SOURCES, NoSource
from .units import Item, Limits, MissingExtra, Trouble

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
