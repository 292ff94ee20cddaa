"""One callable that looks at pictures, whatever engine calls it: pairs of (id, picture) in, rows out."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decoding import DecodeError, TooLarge, open_picture, set_upright, whole_picture
from ..detect import KINDS, RATE, UNKNOWN_RATE, Suspicion, Target, examine, examine_file, likely_targets, not_looked_at
from ..measure.scalers import get_scaler, load
from ..scaling import check_size, resize
from .units import LIMITS, Data, Item, Limits, Trouble, as_pixels, looks_like_an_image, read_file

__all__ = ["FIELDS", "Look", "Row", "looked_at"]

Image = npt.NDArray[np.uint8]
# What a report says of a picture, beside its id.
FIELDS = ("suspicious", "score", "threshold", "p_value", "detector", "scaler", "size", "box")
# Of a picture in the gallery: the longest side.
_SHOWN = 200
_ORANGE = (255, 80, 0)


@dataclass(frozen=True)
class Row:
    """What is known of one picture: ``answer`` by :data:`FIELDS`, or None where it could not be looked at.

    ``troubles`` are findings of their own. ``pictures``: PNG files by name, of a suspicious one, and
    ``size``: (height, width) of it, by which ``box`` is meant. ``read``: bytes of the file. A row with neither
    answer nor troubles is a file that is no picture and does not say that it is one.
    """

    id: str
    answer: Mapping[str, Any] | None = None
    troubles: tuple[Trouble, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    read: int = 0

    @property
    def suspicious(self) -> bool:
        """Whether it may hide another picture."""
        return self.answer is not None and bool(self.answer["suspicious"])


@dataclass(frozen=True)
class Look:
    """Looks at pictures: a plain callable that can be pickled, for any engine.

    >>> import numpy as np
    >>> look = Look(size=(16, 16), scalers=("opencv:nearest",))
    >>> [row.suspicious for row in look([("grey", np.full((64, 64), 128, np.uint8))])]
    [False]

    A batch is a sequence of (id, picture), a picture being a file's bytes, a path, or a uint8 array (H, W) or
    (H, W, C); there is a :class:`Row` for each. Nothing that a picture is raises: it becomes a row with a finding.

    ``size``: (height, width) that the pipeline resizes to; None: any that models are fed with. ``scalers``: names in
    ``SCALERS``; empty: one for each way in which libraries sample. ``calibration``, ``rate``: as for
    ``detect.examine``; by default the rate is 0.001, or 0.01 where scalers or sizes have to be tried. ``pictures``:
    whether rows of suspicious pictures carry what a gallery shows of them.
    """

    size: tuple[int, int] | None = None
    scalers: tuple[str, ...] = ()
    calibration: Any = None
    rate: float | None = None
    limits: Limits = LIMITS
    pictures: bool = False

    def __post_init__(self) -> None:
        if self.size is not None:
            object.__setattr__(self, "size", check_size(self.size))
        object.__setattr__(self, "scalers", tuple(self.scalers))
        for name in self.scalers:
            get_scaler(name)  # it is known and its library is there
        if self.rate is not None and not 0 < self.rate < 1:
            raise ValueError(f"rate must lie between 0 and 1, got {self.rate!r}")

    def __call__(self, batch: Sequence[tuple[str, Data]]) -> list[Row]:
        """A row for each (id, picture) of ``batch``, in their order."""
        return [self.one(Item(0, id, data)) for id, data in batch]

    def columns(self, batch: Mapping[str, Any], *, image: str = "image", id: str | None = None) -> dict[str, list[Any]]:
        """A batch of columns, as ``datasets.map(batched=True)``, Ray Data and Daft give it, to columns of answers.

        >>> import numpy as np
        >>> Look(size=(8, 8)).columns({"image": [np.zeros((32, 32), np.uint8)]})["suspicious"]
        [False]

        ``image`` names the column of pictures: bytes, arrays, or Hugging Face's ``{"bytes", "path"}``; ``id`` one of
        names. The result has a column for each of :data:`FIELDS`, None where a picture could not be looked at, and
        ``finding``, which says why, or ``""``.
        """
        values = list(batch[image])
        names = [str(one) for one in batch[id]] if id is not None else [str(k) for k in range(len(values))]
        rows = self([(name, _held(value)) for name, value in zip(names, values, strict=True)])
        found: dict[str, list[Any]] = {
            name: [None if row.answer is None else row.answer[name] for row in rows] for name in FIELDS
        }
        found["finding"] = ["; ".join(f"{one.code}: {one.message}" for one in row.troubles) for row in rows]
        return found

    def warm(self) -> None:
        """Load all that it needs, before a process limits its memory."""
        self.one(Item(0, "", np.full((64, 64, 3), 128, np.uint8)))
        load("PIL.Image").init()

    def one(self, item: Item) -> Row:
        """The row of one item."""
        troubles = list(item.troubles)
        data = item.data
        if isinstance(data, os.PathLike):
            found = read_file(os.fspath(data), self.limits.file_bytes)
            if isinstance(found, Trouble):
                return Row(item.id, None, (*troubles, found))
            data = found
        if data is None or (isinstance(data, bytes) and not item.declared and not looks_like_an_image(data)):
            return Row(item.id, None, tuple(troubles))
        read = len(data) if isinstance(data, bytes) else 0
        try:
            return replace(self._worst(item.id, data, troubles), read=read)
        except MemoryError:
            troubles.append(_too_much_memory(self.limits))
        except DecodeError as error:
            troubles.append(_undecodable(error, self.limits))
        return Row(item.id, None, tuple(troubles), read=read)

    def _worst(self, id: str, data: Any, troubles: list[Trouble]) -> Row:
        """The row of the view of the picture that is the most suspicious one."""
        worst: tuple[Suspicion, Image] | None = None
        file = data if isinstance(data, bytes) else None
        seen_any = False
        for image, among in views(data, self.limits, troubles):
            seen_any = True
            found = self._examined(image, file, among)
            if found is not None and (worst is None or _order(found) > _order(worst[0])):
                worst = found, image
            file = None  # the coefficients are those of all views
        if seen_any and isinstance(data, bytes) and _coefficients_are_read():
            why = not_looked_at(data)
            troubles += [Trouble("SR406", f"what its coefficients hide was not looked at: {why}")] if why else []
        if worst is None:
            return Row(id, dict(_NOTHING) if seen_any else None, tuple(troubles))
        found, image = worst
        pictures = drawn(image, found) if self.pictures and found.suspicious else {}
        return Row(id, _plain(found), tuple(troubles), pictures, (image.shape[0], image.shape[1]))

    def _examined(self, image: Image, file: bytes | None, among: int) -> Suspicion | None:
        """The worst suspicion of one of ``among`` views, and of the ``file`` behind it; None for what no model shrinks.

        The false-positive rate is a picture's: it is divided among its views as it is among the targets.
        """
        targets, tried = self._targets(image)
        if targets:
            rate = self.rate or (RATE if len(targets) == 1 else UNKNOWN_RATE)
            tried = among * (tried or len(targets)) if among > 1 else tried
            return examine(image, targets, calibration=self.calibration, file=file, rate=rate, tried=tried)[0]
        found = examine_file(file) if file is not None else None
        return found if found is not None and found.suspicious else None

    def _targets(self, image: Image) -> tuple[list[Target], int | None]:
        """What the picture is examined against, and of how many that were thought of where those are not all."""
        scalers = self.scalers or KINDS
        if self.size is None:
            return likely_targets(image, scalers=scalers)
        return [Target(scaler, self.size) for scaler in scalers], None


@lru_cache(maxsize=1)
def _coefficients_are_read() -> bool:
    return importlib.util.find_spec("jpeglib") is not None


# Of a picture that no model shrinks.
_NOTHING: dict[str, Any] = {
    "suspicious": False, "score": 0.0, "threshold": None, "p_value": 1.0, "detector": "", "scaler": "", "size": None,
    "box": None,
}  # fmt: skip


def looked_at(row: Row) -> bool:
    """Whether the row is about a picture, or what should have been one."""
    return row.answer is not None or bool(row.troubles)


def _order(found: Suspicion) -> tuple[bool, float, float]:
    return found.suspicious, -found.p_value, found.score / (found.threshold or 1.0)


def _plain(found: Suspicion) -> dict[str, Any]:
    """By :data:`FIELDS`, figures to six digits: what lies beyond depends on the machine."""
    values = found.to_dict()
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in ((name, values[name]) for name in FIELDS)
    }


def _held(value: Any) -> Data:
    """What a column holds, as a picture."""
    if isinstance(value, Mapping):
        if isinstance(value.get("bytes"), bytes):
            return value["bytes"]  # type: ignore[no-any-return]
        raise TypeError("expected the pictures' bytes in column 'bytes'; Image(decode=False) gives them")
    if isinstance(value, bytes | np.ndarray | os.PathLike):
        return value
    if hasattr(value, "convert"):  # Pillow's
        return np.asarray(value.convert("RGB"))
    return np.asarray(value)


def _undecodable(error: DecodeError, limits: Limits) -> Trouble:
    """SR402, or SR403 where it is too large or takes too much."""
    if isinstance(error.__cause__, MemoryError):
        return _too_much_memory(limits)
    said = " ".join(str(error).split())
    return Trouble("SR403" if isinstance(error, TooLarge) else "SR402", said.replace("max_pixels=", "the limit of "))


def _too_much_memory(limits: Limits) -> Trouble:
    return Trouble("SR403", f"looking at it takes more memory than the limit of {limits.memory / 2**30:g} GiB")


def views(data: Any, limits: Limits, troubles: list[Trouble]) -> Iterator[tuple[Image, int]]:
    """The picture in each way in which pipelines see it, uint8 (H, W, C), and how many ways there are, at most.

    As it lies in the file and upright; where it is transparent on white, on black and with its transparency dropped;
    each of the first frames. What is left out is added to ``troubles``. DecodeError where nothing can be seen.
    """
    if not isinstance(data, bytes):
        image = as_pixels(data)
        if image is None:
            raise DecodeError("the array is no picture: expected (H, W) or (H, W, C) of whole levels from 0 to 255")
        if image.shape[0] * image.shape[1] > limits.pixels:
            raise TooLarge(f"{image.shape[1]}×{image.shape[0]} pixels are more than max_pixels={limits.pixels}")
        yield np.atleast_3d(image)[..., :4], 1
        return
    image, orientation = whole_picture(data, max_pixels=limits.pixels)
    first = _levels(image)
    transparent, frames = (False, 1) if data.startswith(b"\xff\xd8\xff") else _header(data)
    backgrounds = ((0, 0, 0), None) if transparent else ()
    among = 1 + (orientation != 1) + len(backgrounds) + min(frames, limits.frames) - 1
    yield first, among
    if orientation != 1:
        yield np.ascontiguousarray(set_upright(first, orientation)), among
    for background in backgrounds:
        seen = whole_picture(data, exif=False, background=background, max_pixels=limits.pixels)[0]
        yield _levels(seen), among
    if frames > 1:
        for frame in _frames(data, limits, troubles):
            yield frame, among


def _levels(image: npt.NDArray[Any]) -> Image:
    """8 bits, and three axes."""
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.atleast_3d(image)


def _header(data: bytes) -> tuple[bool, int]:
    """Whether a file that can be decoded has transparency, and how many frames."""
    try:
        with open_picture(data) as picture:
            return bool(picture.has_transparency_data), int(getattr(picture, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # a chain of frames that breaks off: _frames says where
        return False, 2


def _frames(data: bytes, limits: Limits, troubles: list[Trouble]) -> Iterator[Image]:
    """The frames behind the first, as they are composed."""
    try:
        with open_picture(data) as picture:
            count = int(getattr(picture, "n_frames", 1))
            for number in range(1, min(count, limits.frames)):
                picture.seek(number)
                if picture.width * picture.height > limits.pixels:
                    raise TooLarge(f"{picture.width}×{picture.height} pixels are more than the limit")
                yield np.asarray(picture.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # whatever a plugin of Pillow's raises
        troubles.append(Trouble("SR402", f"a frame behind the first cannot be decoded: {error}"))
        return
    if count > limits.frames:
        said = f"it has {count} frames, of which the first {limits.frames} were looked at"
        troubles.append(Trouble("SR406", said, {"frames": count}))


def drawn(image: Image, found: Suspicion) -> dict[str, bytes]:
    """What a gallery shows of a suspicious picture, as PNG files; scaled by the exact mean, which shows nothing new."""
    source = _small(image)
    if found.box is not None:
        _frame(source, found.box, image.shape[:2])
    pictures = {"source": source}
    if found.hidden is not None:
        seen = np.atleast_3d(found.hidden)
        robust = np.atleast_3d(resize(image, found.size))
        apart = np.clip(128 + (seen.astype(np.int16) - robust), 0, 255).astype(np.uint8)
        pictures |= {"seen": _small(seen), "fixed": _small(robust), "difference": _small(apart)}
    return {name: _png(one) for name, one in pictures.items()}


def _small(image: Image) -> Image:
    """RGB, at most _SHOWN a side; a copy."""
    height, width, channels = image.shape
    ratio = _SHOWN / max(height, width)
    if ratio < 1:
        image = np.atleast_3d(resize(image, (max(1, round(height * ratio)), max(1, round(width * ratio)))))
    return np.array(image[..., :3] if channels >= 3 else np.repeat(image[..., :1], 3, axis=2))


def _frame(shown: Image, box: tuple[int, int, int, int], size: tuple[int, ...]) -> None:
    """Draw the box (top, left, height, width), in pixels of the picture of ``size``, into the small picture."""
    down, across = shown.shape[0] / size[0], shown.shape[1] / size[1]
    top, left = int(box[0] * down), int(box[1] * across)
    bottom = min(max(top + 2, round((box[0] + box[2]) * down)), shown.shape[0])
    right = min(max(left + 2, round((box[1] + box[3]) * across)), shown.shape[1])
    top, left = max(0, min(top, bottom - 2)), max(0, min(left, right - 2))
    for width in (2, 1):
        inside = shown[top + width : bottom - width, left + width : right - width].copy()
        if width == 2 or not inside.size:
            shown[top:bottom, left:right] = _ORANGE
            shown[top + width : bottom - width, left + width : right - width] = inside
            return


def _png(image: Image) -> bytes:
    out = io.BytesIO()
    load("PIL.Image").fromarray(image).save(out, "PNG")
    return out.getvalue()
