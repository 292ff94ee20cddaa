"""What to write instead of a guilty call; and libraries' functions mended for a while, to measure what that does."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...registry import Registry
from ...scaling import resize as robust_resize
from .guilty import Guilty

__all__ = ["MENDS", "Mend", "Replacement", "mended", "replacement"]


@dataclass(frozen=True)
class Mend:
    """How a library's call is mended. ``name`` is the call as trace names it, without what is in brackets.

    ``owner`` is where the function stands, ``module:attribute.path``; ``wrap(original)`` the function mended.
    ``callees`` are the names by which users call it (itself, or a class of its library), each with the keywords to
    write, as source text; ``{module}`` in it is what the callee is an attribute of. ``words`` say the same.
    """

    name: str
    owner: str
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
    callees: Mapping[str, Mapping[str, str]]
    words: str


MENDS: Registry[Mend] = Registry("mended call")


@dataclass(frozen=True)
class Replacement:
    """A line's new text: ``old`` and ``new`` source of the call, from (line, column) to (end_line, end_column)."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    old: str
    new: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return vars(self).copy()


# The mends.


def _opencv(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resize(*arguments: Any, **named: Any) -> Any:
        named.pop("interpolation", None)
        return original(*arguments[:5], **named, interpolation=sys.modules["cv2"].INTER_AREA)

    return resize


def _torch(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def interpolate(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        images = bound.arguments["input"]
        if images.ndim != 4 or bound.arguments.get("mode") == "area":
            return original(*arguments, **named)
        mode = bound.arguments.get("mode", "nearest")
        bound.arguments["mode"] = mode if mode in ("bilinear", "bicubic") else "bilinear"
        bound.arguments.pop("align_corners", None)
        bound.arguments["antialias"] = True
        if not images.is_floating_point() and images.dtype != sys.modules["torch"].uint8:
            bound.arguments["input"] = images.float()
            return original(*bound.args, **bound.kwargs).round().to(images.dtype)
        return original(*bound.args, **bound.kwargs)

    return interpolate


def _tensorflow(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resize(images: Any, size: Any, method: Any = "bilinear", *arguments: Any, **named: Any) -> Any:
        names = ("preserve_aspect_ratio", "antialias", "name")
        named.update(zip(names, arguments, strict=False))
        named["antialias"] = True
        nearest = getattr(method, "value", method) in ("nearest", "area")
        return original(images, size, "bilinear" if nearest else method, **named)

    return resize


def _pillow(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resize(self: Any, size: Any, resample: Any = None, *arguments: Any, **named: Any) -> Any:
        image = self.convert("L" if self.mode == "1" else "RGB") if self.mode in ("1", "P") else self
        return original(image, size, 3 if resample in (None, 0) else resample, *arguments, **named)

    return resize


def _skimage(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resize(image: Any, output_shape: Any, order: Any = None, *arguments: Any, **named: Any) -> Any:
        named["anti_aliasing"] = True
        return original(image, output_shape, 1 if order in (None, 0) else order, *arguments, **named)

    return resize


def _scipy(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def zoom(input: Any, zoom: Any, *arguments: Any, **named: Any) -> Any:
        factors = np.broadcast_to(np.asarray(zoom, float), (np.ndim(input),))
        height, width = (max(1, round(n * factor)) for n, factor in zip(np.shape(input), factors, strict=False))
        if np.ndim(input) not in (2, 3) or (np.ndim(input) == 3 and factors[2] != 1):
            return original(input, zoom, *arguments, **named)
        return robust_resize(np.ascontiguousarray(input), (height, width))

    return zoom


def _kornia(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def resize(*arguments: Any, **named: Any) -> Any:
        return original(*arguments[:5], **{**named, "antialias": True})

    return resize


def _whole(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def draft(self: Any, mode: Any, size: Any) -> None:
        return None

    return draft


_ANTIALIAS = {"antialias": "True"}
MENDS.add(
    Mend(
        "cv2.resize",
        "cv2:resize",
        _opencv,
        {"resize": {"interpolation": "{module}.INTER_AREA"}},
        "interpolation=cv2.INTER_AREA, while both axes shrink",
    )
)
MENDS.add(
    Mend(
        "torch.nn.functional.interpolate",
        "torch.nn.functional:interpolate",
        _torch,
        {
            "interpolate": {"mode": "'bilinear'", "antialias": "True"},
            "Resize": _ANTIALIAS,
            "resize": _ANTIALIAS,
            "RandomResizedCrop": _ANTIALIAS,
        },
        "antialias=True, and bilinear or bicubic",
    )
)
MENDS.add(
    Mend(
        "tf.image.resize",
        "tensorflow:image.resize",
        _tensorflow,
        {"resize": _ANTIALIAS, "resize_with_pad": _ANTIALIAS, "Resizing": _ANTIALIAS},
        "antialias=True (image_dataset_from_directory has no such option: load without it, and scale in a map)",
    )
)
MENDS.add(
    Mend(
        "kornia.geometry.transform.resize",
        "kornia.geometry.transform:resize",
        _kornia,
        {"resize": _ANTIALIAS, "Resize": _ANTIALIAS},
        "antialias=True",
    )
)
MENDS.add(
    Mend(
        "PIL.Image.Image.resize",
        "PIL.Image:Image.resize",
        _pillow,
        {"resize": {"resample": "3"}},
        'convert("RGB") before the resize, and resample=Image.Resampling.BICUBIC',
    )
)
MENDS.add(
    Mend(
        "PIL.Image.Image.draft",
        "PIL.Image:Image.draft",
        _whole,
        {},
        "no draft, and convert or load before thumbnail: then the file is decoded in full",
    )
)
MENDS.add(
    Mend(
        "skimage.transform.resize",
        "skimage.transform:resize",
        _skimage,
        {"resize": {"anti_aliasing": "True"}},
        "anti_aliasing=True and order=1 or above",
    )
)
MENDS.add(
    Mend(
        "scipy.ndimage.zoom",
        "scipy.ndimage:zoom",
        _scipy,
        {},
        "secure_resize.resize(image, (height, width)) instead of zoom, which never antialiases",
    )
)


@contextmanager
def mended(calls: Sequence[str]) -> Iterator[list[Mend]]:
    """The libraries' functions that ``calls`` name, mended meanwhile wherever a module holds them; those that are."""
    rows = [MENDS[name] for name in dict.fromkeys(calls) if name in MENDS]
    undo: list[tuple[Any, str, Any]] = []
    done: dict[str, Any] = {}
    for row in rows:
        module, _, path = row.owner.partition(":")
        owner: Any = sys.modules.get(module)
        *inner, name = path.split(".")
        for one in inner:
            owner = getattr(owner, one, None)
        original = getattr(owner, name, None)
        if original is None or row.owner in done:
            continue
        done[row.owner] = new = row.wrap(original)
        for holder, attribute in _holders(owner, name, original):
            undo.append((holder, attribute, original))
            setattr(holder, attribute, new)
    try:
        yield rows
    finally:
        for holder, attribute, original in undo:
            setattr(holder, attribute, original)


def _holders(owner: Any, name: str, original: Any) -> list[tuple[Any, str]]:
    """Where the function stands, and every module that holds it under any name."""
    found = [(owner, name)]
    if isinstance(owner, type):
        return found
    for module in list(sys.modules.values()):
        values = getattr(module, "__dict__", None)
        if isinstance(values, dict) and module is not owner:
            found += [(module, key) for key, value in list(values.items()) if value is original]
    return found


# The replacement line.


def replacement(call: Guilty) -> Replacement | None:
    """The guilty call's source with the keywords that mend it; None where the line holds no such call."""
    row = MENDS.get(call.call)
    if row is None or call.path is None or call.line is None:
        return None
    source = "".join(linecache.getlines(call.path))
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    of_module = "." not in row.owner.partition(":")[2] or row.owner.startswith("tensorflow:")
    imported = {
        (one.asname or one.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for one in node.names
    }
    for node in ast.walk(tree):
        inside = isinstance(node, ast.Call) and node.lineno <= call.line <= (node.end_lineno or node.lineno)
        if inside and isinstance(node, ast.Call) and _name(node) in row.callees:
            if of_module and _root(node) not in imported:
                return None  # self.resize(image) may be an object's own call, which takes no such keyword
            old = ast.get_source_segment(source, node)
            new = _rewritten(node, row.callees[_name(node)])
            if old is None or new is None:
                return None
            ends = (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)
            column, last = (len(source.splitlines()[line - 1].encode()[:n].decode()) for line, n in ends)
            return Replacement(call.path, ends[0][0], column + 1, ends[1][0], last + 1, old, new)
    return None


def _name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _root(node: ast.Call) -> str:
    """The name that a call's function begins with; nothing where that is no name."""
    base: ast.expr = node.func
    while isinstance(base, ast.Attribute):
        base = base.value
    return base.id if isinstance(base, ast.Name) else ""


def _rewritten(node: ast.Call, keywords: Mapping[str, str]) -> str | None:
    module = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else None
    if any("{module}" in text for text in keywords.values()) and module is None:
        return None  # what the constant is called here is not known
    if any(isinstance(one, ast.Starred) for one in node.args) or len(node.args) > 2:
        return None  # the keyword may be among them already
    new = ast.Call(node.func, list(node.args), [one for one in node.keywords if one.arg not in keywords])
    for name, text in keywords.items():
        old = next((one for one in node.keywords if one.arg == name), None)
        if name == "mode" and old is not None and ast.unparse(old.value) in ("'bilinear'", "'bicubic'"):
            new.keywords.append(old)
            continue
        value = ast.parse(text.format(module=module), mode="eval").body
        new.keywords.append(ast.keyword(name, value))
    return ast.unparse(ast.fix_missing_locations(new))
