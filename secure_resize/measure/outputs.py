"""The pictures in what a pipeline gives: in dicts, tuples, batches and objects, normalised, channels first, in patches.

A picture is named by the way to it: ``pixel_values[0]`` is the first picture under that key, ``0.tensors[1]`` the
second in the attribute ``tensors`` of the first thing of a tuple, ``[0]`` the first of a bare batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import Registry

__all__ = ["UNPATCHED", "Patches", "array_of", "chosen", "pictures"]

Array = npt.NDArray[Any]

_DEPTH = 5  # of dicts in tuples in objects; what lies deeper is nobody's picture
_LEAST = 8  # pixels of a picture's side; smaller things are labels, boxes and sizes
_MOST = 64  # pictures of one result
_CHANNELS = (1, 3, 4)


# Processors that cut their pictures into patches: a row each says how they are put together again.


@dataclass(frozen=True)
class Patches:
    """How a processor flattens its pictures: ``whole(result) -> pictures (C, h, w)`` where ``keys`` are there."""

    name: str
    keys: tuple[str, ...]
    whole: Callable[[Mapping[str, Any]], list[Array]]


UNPATCHED: Registry[Patches] = Registry("patch layout")


def _qwen(result: Mapping[str, Any]) -> list[Array]:
    """Of Qwen2-VL and what follows it: rows (t, h/2, w/2, 2, 2) of patches (C, 2 frames, p, p)."""
    rows, grids = array_of(result["pixel_values"]), array_of(result["image_grid_thw"])
    assert rows is not None
    assert grids is not None
    found, first, merged, frames = [], 0, 2, 2
    for t, h, w in np.asarray(grids, int).reshape(-1, 3).tolist():
        own = rows[first : first + t * h * w]
        first += t * h * w
        side = math.isqrt(own.shape[1] // (3 * frames))
        parts = own.reshape(t, h // merged, w // merged, merged, merged, 3, frames, side, side)
        whole = parts.transpose(0, 6, 5, 1, 3, 7, 2, 4, 8).reshape(t * frames, 3, h * side, w * side)
        found.append(whole[0])  # a still picture is its own second frame
    return found


def _naflex(result: Mapping[str, Any]) -> list[Array]:
    """Of SigLIP 2 (NaFlex): rows (h, w) of patches (p, p, C), padded with rows of nothing."""
    rows, shapes = array_of(result["pixel_values"]), array_of(result["spatial_shapes"])
    assert rows is not None
    assert shapes is not None
    found = []
    for own, (h, w) in zip(rows, np.asarray(shapes, int).reshape(-1, 2).tolist(), strict=True):
        side = math.isqrt(own.shape[1] // 3)
        parts = own[: h * w].reshape(h, w, side, side, 3)
        found.append(parts.transpose(4, 0, 2, 1, 3).reshape(3, h * side, w * side))
    return found


UNPATCHED.add(Patches("qwen2_vl", ("pixel_values", "image_grid_thw"), _qwen))
UNPATCHED.add(Patches("siglip2", ("pixel_values", "spatial_shapes"), _naflex))


# What is a picture.


def pictures(result: Any) -> dict[str, Array]:
    """The pictures in ``result`` by name, float64 (h, w, C) in the pipeline's own units."""
    found: dict[str, Array] = {}
    for name, array in _leaves(result, "", _DEPTH):
        for index, picture in _split(array):
            if len(found) < _MOST:
                found[f"{name}{index}" or "result"] = np.asarray(picture, dtype=np.float64)
    return found


def array_of(value: Any) -> Array | None:
    """A tensor, a PIL image or an array of numbers as an array; None for anything else."""
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) in ("torch.bfloat16", "torch.float16") else value
    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "numpy") and hasattr(value, "shape"):
        try:
            array = np.asarray(value.numpy())
        except Exception:  # a symbolic tensor has no numbers
            return None
    elif hasattr(value, "getbands") or (hasattr(value, "__array__") and hasattr(value, "shape")):
        array = np.asarray(value)
    else:
        return None
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return array if array.dtype.kind in "uif" else None


def _leaves(value: Any, name: str, depth: int) -> Iterator[tuple[str, Array]]:
    """Every array in ``value``, with the way to it."""
    array = array_of(value)
    if array is not None:
        yield name, array
    elif depth and isinstance(value, Mapping):
        patches = next((row for row in UNPATCHED.values() if _patched(row, value)), None)
        if patches:
            key = patches.keys[0]
            yield from ((f"{_joined(name, key)}[{k}]", one) for k, one in enumerate(patches.whole(value)))
            return
        for key, one in list(value.items()):
            yield from _leaves(one, _joined(name, str(key)), depth - 1)
    elif depth and isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        for k, one in enumerate(value[:_MOST]):
            yield from _leaves(one, _joined(name, str(k)), depth - 1)
    elif depth and not callable(value) and hasattr(value, "__dict__") and not isinstance(value, type):
        for key, one in list(vars(value).items()):
            if not key.startswith("_"):
                yield from _leaves(one, _joined(name, key), depth - 1)


def _patched(row: Patches, value: Mapping[str, Any]) -> bool:
    array = array_of(value[row.keys[0]]) if all(key in value for key in row.keys) else None
    return array is not None and array.ndim in (2, 3) and array.shape[-1] % 3 == 0 and array.shape[-1] >= 3 * 64


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _split(array: Array) -> Iterator[tuple[str, Array]]:
    """The pictures (h, w, C) in an array: itself, or the members of a batch, of tiles or of frames."""
    array = np.asarray(array)
    while array.ndim > 5 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        found = [("", array[..., None])]
    elif array.ndim == 3:
        found = [("", _channels_last(array))]
    elif array.ndim == 4:
        found = [(f"[{k}]", _channels_last(one)) for k, one in enumerate(_members(array))]
    elif array.ndim == 5:
        every = ((k, j, one) for k, member in enumerate(array) for j, one in enumerate(_members(member)))
        found = [(f"[{k}][{j}]", _channels_last(one)) for k, j, one in every]
    else:
        found = []
    yield from ((index, one) for index, one in found if min(one.shape[:2]) >= _LEAST and 1 <= one.shape[2] <= _MOST)


def _members(array: Array) -> Array:
    """A batch (N, ...) as it is; frames with the channels before them, (C, T, h, w), turned over."""
    channels, frames = array.shape[:2]
    batch = array.shape[-1] in _CHANNELS or (frames in _CHANNELS and not (channels == 3 and frames == 1))
    return array if batch or channels not in _CHANNELS else array.swapaxes(0, 1)


def _channels_last(array: Array) -> Array:
    """(h, w, C) of an array of three axes; the shorter end is the channels."""
    first, last = array.shape[0], array.shape[-1]
    if last in _CHANNELS and not (first in _CHANNELS and first >= last):
        return array
    if first in _CHANNELS or first < last:
        return np.moveaxis(array, 0, -1)
    return array


def chosen(names: Sequence[str], wanted: str) -> list[str]:
    """Those of ``names`` that ``wanted``, a key, an index or an attribute, leads to; ValueError where it does not."""
    parts = _parts(wanted)
    found = [name for name in names if _parts(name)[: len(parts)] == parts]
    if not found:
        raise ValueError(f"there is no picture under the output {wanted!r}; the pictures are: {', '.join(names)}")
    return found


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("[", ".").replace("]", "").split(".") if part]
