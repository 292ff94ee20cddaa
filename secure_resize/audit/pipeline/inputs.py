"""How a pipeline is handed a picture: a registry of kinds, and which of them it takes, found out by trying.

``path`` and ``bytes`` are image files, lossless ones; ``pil``, ``array`` and ``tensor`` decoded pictures, in every
layout and dtype that ``probe`` knows. ``dict:KEY``, ``kw:NAME`` and ``list`` hold one of those. ``tfrecord:KEY`` is a
serialised Example with the picture's file under KEY, ``dataset`` an object (or what a function or class makes) that
reads its pictures from files.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...measure.blackbox import DTYPES, LAYOUTS
from ...measure.scalers import load
from ...registry import Registry
from .target import Target, inside, keras_stage, parameters

__all__ = ["CONTENTS", "FILLED", "KINDS", "MODES", "Kind", "Reader", "Way", "as_picture", "file_bytes", "ways"]

Levels = npt.NDArray[np.uint8]  # (H, W, 3), or (H, W, 1) for the modes of one channel

# The modes of a picture, and how many channels of levels make one.
MODES = {"RGB": 3, "L": 1, "RGBA": 3, "P": 1, "CMYK": 3, "I;16": 1}


def as_picture(levels: Levels, mode: str = "RGB") -> Any:
    """A PIL image of ``mode`` that shows ``levels``; of alpha nothing is transparent, of inks black is not used."""
    module = load("PIL.Image")
    plane = levels[..., 0]
    if mode == "L":
        return module.fromarray(plane)
    if mode == "P":
        picture = module.frombytes("P", (plane.shape[1], plane.shape[0]), np.ascontiguousarray(plane).tobytes())
        picture.putpalette([level for grey in range(256) for level in (grey, grey, grey)])
        return picture
    if mode == "I;16":
        return module.fromarray(plane.astype(np.uint16) * np.uint16(257))
    colours = np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels
    if mode == "RGBA":
        return module.fromarray(np.ascontiguousarray(np.dstack([colours, np.full(plane.shape, 255, np.uint8)])))
    if mode == "CMYK":
        inks = np.dstack([255 - colours, np.zeros(plane.shape, np.uint8)])
        return module.frombytes("CMYK", (plane.shape[1], plane.shape[0]), np.ascontiguousarray(inks).tobytes())
    return module.fromarray(np.ascontiguousarray(colours))


# Of image files by the ending: lossless first. JPEG of quality 100 is for what takes nothing else.
FORMATS = ("png", "jpg as png", "bmp", "jpg")


def file_bytes(levels: Levels, mode: str = "RGB", form: str = "png") -> bytes:
    """An image file that shows ``levels``."""
    stream = io.BytesIO()
    picture = as_picture(levels, mode)
    if mode == "CMYK" and form != "jpg":
        picture.save(stream, "TIFF")
    elif form == "jpg":
        picture.save(stream, "JPEG", quality=100, subsampling=0)
    elif form == "bmp":
        picture.save(stream, "BMP")
    else:
        picture.save(stream, "PNG", compress_level=0)
    return stream.getvalue()


@dataclass(eq=False)
class Way:
    """One way of handing over a picture: ``hand(picture)`` gives the pipeline's result.

    Where ``layouts`` is empty, the picture is made of levels by ``encode(levels, mode)``; else it is what one of those
    layouts of ``probe`` makes. ``form`` is the file's format, ``raw(data)`` hands over a file's bytes as they are.
    """

    name: str
    content: str
    hand: Callable[[Any], Any]
    layouts: tuple[str, ...] = ()
    form: str = ""
    modes: tuple[str, ...] = ("RGB",)
    raw: Callable[[bytes], Any] | None = None
    notes: tuple[str, ...] = ()

    def show(self, levels: Levels, mode: str = "RGB") -> Any:
        """The pipeline's result for a picture of these levels."""
        if self.raw is not None:
            return self.raw(file_bytes(levels, mode, self.form))
        if self.content == "pil":
            return self.hand(as_picture(levels, mode))
        return self.hand(LAYOUTS[self.layouts[0]].encode(levels))


@dataclass(frozen=True)
class Kind:
    """A row of the kinds of input: ``ways(target, folder, key)`` are those to try, the likeliest first."""

    name: str
    ways: Callable[[Target, Path, str], Iterator[Way]]
    keyed: bool = False


KINDS: Registry[Kind] = Registry("input")
CONTENTS = ("path", "bytes", "pil", "array", "tensor")
_ARRAYS = ("HWC", "HW", "CHW", "NHWC", "NCHW")
_TENSORS = ("CHW tensor", "NCHW tensor", "HWC tf", "NHWC tf")


# Contents: what one picture is, handed over by ``put``.


def _contents(name: str, put: Callable[[Any], Any], folder: Path, only: str = "") -> Iterator[Way]:
    """Every content, as ``put`` takes it; ``only`` the one named."""
    shown = {one: f"{name}:{one}" if name else one for one in CONTENTS}
    every = tuple(MODES)
    if only in ("", "path"):
        for kind, form in itertools.product(_texts(put, (str, Path)), FORMATS):
            place = folder / f"picture.{form[:3]}"
            yield Way(shown["path"], "path", put, form=form, modes=every, raw=_written(place, put, kind))
    if only in ("", "bytes"):
        for wrap, form in itertools.product(_texts(put, (bytes, io.BytesIO)), ("png", "bmp", "jpg")):
            yield Way(shown["bytes"], "bytes", put, form=form, modes=every, raw=_wrapped(put, wrap))
    if only in ("", "pil"):
        yield Way(shown["pil"], "pil", put, ("PIL", "PIL grey"), modes=every)
    if only in ("", "array"):
        yield from (Way(shown["array"], "array", put, (one,)) for one in _ARRAYS)
    if only in ("", "tensor"):
        yield from (Way(shown["tensor"], "tensor", put, (one,)) for one in _TENSORS if _loaded(one))


def _texts(put: Callable[[Any], Any], kinds: tuple[Callable[[Any], Any], ...]) -> tuple[Callable[[Any], Any], ...]:
    """A tf.function takes text as a tensor: of any other it makes a constant, and of the file behind it as well."""
    target = getattr(put, "__self__", None)
    if isinstance(target, Target) and hasattr(target.value, "get_concrete_function"):
        constant = load("tensorflow").constant
        return (lambda one: constant(one if isinstance(one, bytes) else str(one)),)
    return kinds


def _wrapped(put: Callable[[Any], Any], wrap: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda data: put(wrap(data))


def _written(place: Path, put: Callable[[Any], Any], kind: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def raw(data: bytes) -> Any:
        place.write_bytes(data)
        return put(kind(place))

    return raw


def _loaded(layout: str) -> bool:
    import sys

    return LAYOUTS[layout].module in sys.modules


# Ways of handing over.


def _plain(content: str) -> Callable[[Target, Path, str], Iterator[Way]]:
    return lambda target, folder, key: _contents("", target.call, folder, content)


for _content in CONTENTS:
    KINDS.add(Kind(_content, _plain(_content)))


def _listed(target: Target, folder: Path, key: str) -> Iterator[Way]:
    yield from _contents("list", lambda one: target.call([one]), folder, key)


KINDS.add(Kind("list", _listed))


def _in_dict(target: Target, folder: Path, key: str) -> Iterator[Way]:
    name, _, only = key.partition(":")
    for one in [name] if name else _missing_keys(target):
        yield from _contents(f"dict:{one}", _keyed(target, one), folder, only)


KINDS.add(Kind("dict", _in_dict, keyed=True))


def _missing_keys(target: Target) -> list[str]:
    """The keys that a target asks a dict for, the likeliest first; by the KeyErrors that it raises."""
    found: list[str] = []
    given: dict[str, Any] = {}
    for _ in range(8):
        try:
            target.call(dict(given))
        except KeyError as error:
            name = error.args[0] if error.args else None
            if not isinstance(name, str) or name in found:
                break
            found.append(name)
            given[name] = 0
            continue
        except Exception:
            break
        break
    return sorted(found, key=lambda name: not _like_a_picture(name))


def _keyed(target: Target, key: str) -> Callable[[Any], Any]:
    """Hands a picture over under ``key``, with 0 under whatever else the target turns out to ask for."""
    others: dict[str, Any] = {}

    def put(picture: Any) -> Any:
        while True:
            try:
                return target.call({key: picture, **others})
            except KeyError as error:
                name = error.args[0] if error.args else None
                if not isinstance(name, str) or name in others or name == key or len(others) > 16:
                    raise
                others[name] = 0

    return put


def _like_a_picture(name: str) -> bool:
    parts = ("image", "img", "pic", "photo", "pixel", "png", "jpeg", "jpg", "frame")
    return any(part in name.lower() for part in parts)


def _by_name(target: Target, folder: Path, key: str) -> Iterator[Way]:
    name, _, only = key.partition(":")
    likely = [*filter(_like_a_picture, parameters(target.value)), "image", "images"]
    names = [name] if name else list(dict.fromkeys(likely))
    for one in names:
        yield from _contents(f"kw:{one}", _named(target, one), folder, only)


def _named(target: Target, name: str) -> Callable[[Any], Any]:
    return lambda picture: target.call(**{name: picture})


KINDS.add(Kind("kw", _by_name, keyed=True))


# TFRecord parsers: an Example with what the parser says that it misses.


def _tfrecord(target: Target, folder: Path, key: str) -> Iterator[Way]:
    if not key and not _loaded("HWC tf"):
        return
    tf = load("tensorflow")

    def example(features: dict[str, Any]) -> bytes:
        made = {}
        for name, value in features.items():
            if isinstance(value, bytes):
                made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            elif isinstance(value, float):
                made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            else:
                made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return bytes(tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString())

    names: list[str] = [key] if key else []
    others: dict[str, Any] = {}
    blank = file_bytes(np.zeros((16, 16, 3), np.uint8))
    for _ in range(24):
        try:
            target.call(tf.constant(example({**others, **dict.fromkeys(names, blank)})))
        except Exception as error:
            asked = re.search(r"[Ff]eature:? (.+?) \(data type: (\w+)\) is required", str(error))
            if asked is None or asked[1] in others or asked[1] in names:
                break
            if asked[2] == "string":
                names.append(asked[1])
            else:
                others[asked[1]] = 0.0 if asked[2] == "float" else 0
            continue
        break
    names = names or ["image/encoded", "image", "image_raw", "jpeg", "png"]
    pictures = [key] if key else sorted(names, key=lambda name: not _like_a_picture(name))
    for one in pictures:
        rest = {**others, **{name: b"" for name in names if name != one}}
        for form in ("png", "jpg"):
            raw = _recorded(target, lambda data, k=one, r=rest: tf.constant(example({**r, k: data})))  # type: ignore[misc]
            yield Way(f"tfrecord:{one}", "tfrecord", target.call, form=form, modes=tuple(MODES), raw=raw)


def _recorded(target: Target, record: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda data: target.call(record(data))


KINDS.add(Kind("tfrecord", _tfrecord, keyed=True))


# Data sets.

# Parameters that a data set is constructed with, and what is written for them.
FILLED = {
    **dict.fromkeys(
        ("root", "folder", "dir", "directory", "data_dir", "image_dir", "img_dir", "images_dir", "data_root",
         "root_dir", "data_path", "image_folder", "train_dir", "dataset_dir"),
        "folder",
    ),
    **dict.fromkeys(
        ("files", "paths", "image_paths", "img_paths", "filenames", "file_list", "filepaths", "file_paths",
         "image_files", "images", "imgs", "image_list", "names"),
        "files",
    ),
    **dict.fromkeys(("samples", "items", "records", "pairs"), "pairs"),
    **dict.fromkeys(("labels", "targets", "classes_list"), "labels"),
}  # fmt: skip


@dataclass(eq=False)
class _Files:
    """A folder of two image files that both show the picture, so that whichever is read is the right one."""

    folder: Path
    classes: bool
    form: str
    paths: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        name = f"{'classes' if self.classes else 'flat'}-{self.form.replace(' ', '-')}"
        below = self.folder / name
        shutil.rmtree(below, ignore_errors=True)
        self.paths = [below / (f"class_{k}" if self.classes else "") / f"{k}.{self.form[:3]}" for k in (0, 1)]
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.root = below
        self.write(file_bytes(np.full((32, 32, 3), 128, np.uint8), "RGB", self.form))

    def write(self, data: bytes) -> None:
        for path in self.paths:
            path.write_bytes(data)

    def value(self, what: str) -> Any:
        """What a parameter is given: the folder, the files, or files with labels."""
        names = [str(path) for path in self.paths]
        pairs = [(names[0], 0), (names[1], 1)]
        return {"folder": str(self.root), "files": names, "labels": [0, 1], "pairs": pairs}[what]


def _dataset(target: Target, folder: Path, key: str) -> Iterator[Way]:
    for classes, form in itertools.product((False, True), FORMATS):
        files = _Files(folder, classes, form)
        for open_it in _openers(target, files):
            # Each way to write the files changes the paths of an object anew.
            shared = isinstance(open_it, functools.partial) and open_it.func is _replaced_in
            reader = Reader(files, open_it, rebuilt=shared)
            notes = ("the files of this data set were replaced by the audit's own",)
            yield Way("dataset", "dataset", reader, form=form, modes=tuple(MODES), raw=reader, notes=notes)


KINDS.add(Kind("dataset", _dataset))


@dataclass(eq=False)
class Reader:
    """Writes the picture into the files and reads the data set's first item."""

    files: _Files
    open: Callable[[], Any]
    data: Any = None
    last_result: Any = None
    rebuilt: bool = False  # a data set that keeps what it read is opened again for each picture
    last: bytes = b""

    def __call__(self, data: bytes) -> Any:
        """The first item, when all files hold ``data``."""
        self.files.write(data)
        if self.data is None or self.rebuilt:
            self.data = self.open()
        result = _first(self.data)
        if not self.rebuilt and self.last and self.last != data and self._same(result):
            self.rebuilt, self.data = True, self.open()
            result = _first(self.data)
        self.last, self.last_result = data, result
        return result

    def _same(self, result: Any) -> bool:
        from ...measure.outputs import pictures

        now, before = pictures(result), pictures(self.last_result)
        return bool(now) and all(name in before and np.array_equal(one, before[name]) for name, one in now.items())


def _first(data: Any) -> Any:
    if hasattr(data, "__getitem__") and not hasattr(data, "element_spec") and not isinstance(data, dict):
        return data[0]
    return next(iter(data))


def _openers(target: Target, files: _Files) -> Iterator[Callable[[], Any]]:
    """Ways of opening the data set on the files: constructed, called, or the object with its paths replaced."""
    value = target.value
    if hasattr(value, "__getitem__") and not isinstance(value, type):
        if _with_paths(value, files, set()):
            yield functools.partial(_replaced_in, target, files)
        return
    names = [name for name in parameters(value) if name.lower() in FILLED and name not in target.given]
    needed = [name for name in parameters(value, required=True) if name not in target.given]
    if not names and needed:  # whatever it is called: a folder or a list of files
        for what in ("folder", "files"):
            yield functools.partial(_opened, target, {needed[0]: what}, files)
    elif names:
        chosen = [name for name in names if name in needed] or names
        yield functools.partial(_opened, target, {name: FILLED[name.lower()] for name in chosen}, files)


def _opened(target: Target, filled: Mapping[str, str], files: _Files) -> Any:
    return target.value(**{name: files.value(what) for name, what in filled.items()}, **target.given)


def _replaced_in(target: Target, files: _Files) -> Any:
    _with_paths(target.value, files, set())
    return target.value


def _with_paths(value: Any, files: _Files, seen: set[int]) -> bool:
    """Replace the first path in every list of existing image files that ``value`` holds; whether there was one."""
    if id(value) in seen or not hasattr(value, "__dict__") or len(seen) > 50:
        return False
    seen.add(id(value))
    found = False
    for name, one in list(vars(value).items()):
        if isinstance(one, list | tuple) and one and _is_file(one[0], value):
            setattr(value, name, type(one)([_replaced(one[0], files), *one[1:]]))
            found = True
        elif hasattr(one, "__getitem__") and hasattr(one, "__dict__"):
            found |= _with_paths(one, files, seen)
    return found


def _is_file(one: Any, owner: Any) -> bool:
    path = one[0] if isinstance(one, tuple | list) and one else one
    roots = [getattr(owner, name, None) for name in ("root", "root_dir", "folder", "data_dir", "image_dir", "img_dir")]
    return isinstance(path, str | Path) and any(
        os.path.isfile(os.path.join(root, path)) for root in ["", *roots] if isinstance(root, str | Path)
    )


def _replaced(one: Any, files: _Files) -> Any:
    if isinstance(one, tuple | list):
        return type(one)([type(one[0])(files.paths[0]), *one[1:]])
    return type(one)(files.paths[0])


# Which of them the target takes.


def ways(target: Target, folder: Path, named: tuple[str, ...] = ()) -> Iterator[Iterator[Way]]:
    """Groups of ways to try, the likeliest first; of each group all that work count. ``named``: those alone."""
    if named:
        for text in named:
            kind, _, key = text.partition(":")
            row = KINDS[kind]
            if row.keyed and not key:
                raise ValueError(f"the input {kind!r} needs a name: {kind}:NAME")
            yield row.ways(target, folder, key)
        return
    parts = [_part(target, name, take) for name, take in inside(target.value)]
    if keras_stage(target.value) is not None:  # what comes out at the end is no picture
        parts, first = parts[1:], parts[0]
        yield itertools.chain.from_iterable(KINDS[one].ways(first, folder, "") for one in CONTENTS)
    data = isinstance(target.value, type) or (hasattr(target.value, "__getitem__") and not callable(target.value))
    groups: list[tuple[str, ...]] = [("dataset",)]
    if not data:
        groups = [CONTENTS, ("list",), ("dict",), ("kw",), ("tfrecord",), ("dataset",)]
    for group in groups:
        yield itertools.chain.from_iterable(KINDS[name].ways(target, folder, "") for name in group)
    for part in parts:
        yield itertools.chain.from_iterable(KINDS[one].ways(part, folder, "") for one in (*CONTENTS, "list"))


def _part(target: Target, name: str, take: Callable[[Any], Any]) -> Target:
    """What ``take`` takes out of a target, as a target."""
    note = f"what is measured is its {name}"
    return Target(target.name, take(target.value), lambda: take(target.find()), {}, target.path, target.line, [note])


assert set(_ARRAYS + _TENSORS) | {"PIL", "PIL grey"} == set(LAYOUTS), DTYPES
