"""Robust pictures from webdataset, HF datasets, Ray Data and Grain: a short function each, to call or to copy.

All of them leave the files encoded until :func:`secure_resize.decode` gets their bytes, which decodes in full, sets
upright, and scales with the exact mean: neither the library's decoder nor its resize ever sees a picture. ``size`` is
(height, width), ``options`` are those of ``secure_resize.decode``; a broken file raises its ``DecodeError``.

The libraries are imported when they are called for. What the functions hand over pickles, so that it reaches the
workers of every library, by fork or by spawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import secure_resize as sr
from secure_resize.integration_support import Size, check_size, load

__all__ = ["Decode", "grain_pictures", "huggingface_pictures", "ray_pictures", "webdataset_pictures"]


class Decode:
    """From a row with an encoded picture to the same row with a robustly scaled one, uint8 (height, width, 3).

    >>> Decode((224, 224), "image")({"image": file_bytes, "label": 3})["image"].shape
    (224, 224, 3)

    ``keys`` are the columns that may hold the picture, of which the first that a row has counts: its bytes, its path,
    or HF's ``{"bytes": ..., "path": ...}``. It is stored as ``to``, or under its own key. KeyError for a row with none.
    """

    def __init__(self, size: Size, *keys: str, to: str | None = None, **options: Any) -> None:
        self.size, self.keys, self.to, self.options = check_size(size), keys, to, options

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with its picture decoded and scaled."""
        for key in self.keys:
            if key in row:
                break
        else:
            raise KeyError(f"a row has none of {', '.join(self.keys)}, only {', '.join(row)}")
        file = row[key]
        if isinstance(file, Mapping):
            file = file["path"] if file.get("bytes") is None else file["bytes"]
        rest = {name: value for name, value in row.items() if name != key}
        return {**rest, self.to or key: sr.decode(file, self.size, **self.options)}


class _DecodeToPil(Decode):
    """A PIL image instead, which ``datasets`` stores as it is; an array it would store as a list of 64-bit integers."""

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        decoded, column = super().__call__(row), self.to or self.keys[0]
        return {**decoded, column: load("PIL.Image").fromarray(decoded[column])}


def webdataset_pictures(shards: str | Sequence[str], size: Size, **options: Any) -> Any:
    """A ``webdataset.WebDataset`` of the shards' samples, their picture robustly scaled as ``"image"``.

    >>> samples = webdataset_pictures("train-{0000..0099}.tar", (224, 224))
    >>> loader = webdataset.WebLoader(samples.shuffle(1000).to_tuple("image", "cls").batched(64), batch_size=None)

    There is no ``.decode("pil")`` in it: what is left encoded, the labels for instance, is the caller's to decode.
    """
    samples = load("webdataset").WebDataset(shards, shardshuffle=False)
    return samples.map(Decode(size, "jpg", "jpeg", "png", "webp", to="image", **options))


def huggingface_pictures(
    dataset: Any, size: Size, column: str = "image", *, num_proc: int | None = None, **options: Any
) -> Any:
    """A ``datasets.Dataset`` (or DatasetDict, or iterable one) whose ``column`` of images is robustly scaled ones.

    >>> train = huggingface_pictures(datasets.load_dataset("cifar10", split="train"), (224, 224), "img")
    >>> train[0]["img"]
    <PIL.PngImagePlugin.PngImageFile image mode=RGB size=224x224>

    They are stored as PNG files, without loss, and come in whatever format is set, as the images did before.
    ``datasets`` would decode the images with Pillow first; the column is cast so that their files come as they are.
    ``num_proc`` processes share the work, except on an iterable data set.
    """
    datasets = load("datasets")

    files = dataset.cast_column(column, datasets.Image(decode=False))
    features = next(iter(files.values())).features if isinstance(files, dict) else files.features
    known: dict[str, Any] = {}
    if features:
        known["features"] = datasets.Features({**features, column: datasets.Image()})
    if num_proc is not None:
        known["num_proc"] = num_proc
    return files.map(_DecodeToPil(size, column, **options), **known)


def ray_pictures(paths: str | Sequence[str], size: Size, **options: Any) -> Any:
    """A ``ray.data.Dataset`` of robustly scaled pictures: the columns ``"image"`` and ``"path"``.

    >>> for batch in ray_pictures("s3://bucket/photos", (224, 224)).iter_torch_batches(batch_size=64): ...

    ``ray.data.read_images`` decodes and scales by itself; this reads the files' bytes.
    """
    files = load("ray.data").read_binary_files(paths, include_paths=True)
    return files.map(Decode(size, "bytes", to="image", **options))


def grain_pictures(rows: Sequence[Mapping[str, Any]], size: Size, column: str = "image", **options: Any) -> Any:
    """A ``grain.MapDataset`` of ``rows``, robustly scaled where they have the bytes or the path of a picture.

    >>> rows = [{"image": path, "label": label} for path, label in files]
    >>> batches = grain_pictures(rows, (224, 224)).shuffle(seed=0).to_iter_dataset().batch(64)

    ``rows`` is whatever Grain takes for a source: anything with a length and an index, an ``ArrayRecordDataSource``.
    """
    return load("grain").MapDataset.source(rows).map(Decode(size, column, **options))
