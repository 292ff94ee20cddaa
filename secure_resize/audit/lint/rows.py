"""The calls that scale, a registry row each: parameters, sizes, and which interpolations sample."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from ...registry import Registry
from .values import Ref

__all__ = ["CALLS", "METHODS", "Row", "add", "canonical", "find", "known", "mode_word", "of_known_package", "relevant"]

# What numbers mean as interpolations, by library.
NUMBERS = {
    "cv2": {0: "nearest", 1: "linear", 2: "cubic", 3: "area", 4: "lanczos4", 5: "linear_exact", 6: "nearest_exact"},
    "pillow": {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"},
    "tf1": {0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area"},
    "order": {0: "nearest", 1: "linear", 2: "quadratic", 3: "cubic", 4: "quartic", 5: "quintic"},
    "kornia": {0: "nearest", 1: "bilinear", 2: "bicubic"},
}
NEAREST = frozenset({"nearest", "nearest_exact", "nearest-exact", "nearest_neighbor", "nearestneighbor", "nn"})


@dataclass(frozen=True)
class Row:
    """A call, a class or a method (its name begins with a dot) that scales pictures.

    ``parameters`` in their order. ``picture``, ``size``, ``factors``, ``mode`` and ``antialias`` are names of
    parameters; ``order`` says how ``size`` is written, ``"sides"`` that it is two parameters, height and width.

    What samples: with ``antialias``, whatever is not antialiased, and nearest; with ``bad``, those modes alone; else
    everything but ``safe``. ``default`` and ``antialias_default`` hold where nothing is given. ``unknown`` says whether
    a mode that is not known is reported, ``why`` what is to be said. ``special`` names a function of
    :mod:`.special` that judges instead. ``layer`` says that it is used in networks on inner values too.
    """

    name: str
    code: str
    parameters: tuple[str, ...] = ()
    picture: str | None = None
    size: str | tuple[str, str] | None = None
    order: Literal["hw", "wh", "int"] = "hw"
    factors: tuple[str, ...] = ()
    mode: str | None = None
    numbers: str = ""
    default: str = ""
    safe: frozenset[str] = frozenset()
    bad: frozenset[str] | None = None
    antialias: str | None = None
    antialias_default: bool | None = None
    antialiases: frozenset[str] | None = None  # the modes that antialiasing can do; None: all but nearest
    unknown: bool = False
    needs_size: bool = False
    layer: bool = False
    special: str = ""
    why: str = ""
    advice: str = ""
    confidence: Literal["low", "medium", "high"] = "high"
    severity: Literal["low", "medium", "high"] | None = None
    fix: str = ""
    also: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict, hash=False)


CALLS: Registry[Row] = Registry("call")
_BY_LAST: dict[tuple[str, str], list[tuple[frozenset[str], Row]]] = {}
METHODS: dict[str, Row] = {}
_PACKAGES: set[str] = set()


def add(name: str, code: str, parameters: str = "", **facts: Any) -> Row:
    """Register a row; ``parameters`` as one text."""
    if code == "SR113" or name.startswith(("torchvision.models", "torchvision.transforms._presets")):
        facts["facts"] = {**facts.get("facts", {}), "front_end": name.split(".")[0]}
    row = CALLS.add(Row(name, code, tuple(parameters.split()), **facts))
    for one in (name, *row.also):
        if one.startswith("."):
            METHODS[one[1:]] = row
            continue
        package, *middle, last = one.split(".")
        _PACKAGES.add(package)
        _BY_LAST.setdefault((package, last), []).append((frozenset(middle), row))
    return row


# One package under several names. Private parts of a name do not count: keras.src.layers is keras.layers.
_RENAMED = (
    ("tensorflow.compat.v1.", "tensorflow_v1."),
    ("tensorflow.compat.v2.", "tensorflow."),
    ("tensorflow.python.", "tensorflow."),
    ("tensorflow.keras.", "keras."),
    ("tensorflow_v1.keras.", "keras."),
    ("tensorflow.contrib.keras.", "keras."),
    ("tf_keras.", "keras."),
    ("keras_preprocessing.", "keras.preprocessing."),
    ("keras_cv.", "keras_cv."),
    ("cv2.cv2.", "cv2."),
    ("cv.", "cv."),
)


def canonical(name: str) -> str:
    """The name under which a library's own documentation has it, as far as that is a matter of prefixes."""
    _, lazily, rest = name.partition(".module_utils.")  # how Keras loads its own backends
    name = rest if lazily and rest.startswith("tensorflow") else name
    for old, new in _RENAMED:
        if name.startswith(old):
            name = new + name[len(old) :]
    return name


_VIDEO = re.compile(r"torchvision\.models\.video\..*_Weights\..*\btransforms$")


def find(name: str) -> Row | None:
    """The row of what is called ``name``: the same package and last part, and no part of the row's missing."""
    name = canonical(name)
    if "." not in name:
        return None
    if _VIDEO.match(name):
        return CALLS["torchvision.transforms._presets.VideoClassification"]
    package, *middle, last = name.split(".")
    best: tuple[int, Row] | None = None
    for parts, row in _BY_LAST.get((package, last), ()):
        if parts <= set(middle) and (best is None or len(parts) > best[0]):
            best = (len(parts), row)
    return best[1] if best else None


def known(name: str) -> bool:
    """Whether a name that a star import may have brought is one that matters."""
    return find(name) is not None or canonical(name).split(".")[0] in ("cv2", "PIL")


def of_known_package(name: str) -> bool:
    """Whether the package is one that the rows speak of: what has no row there scales nothing."""
    return canonical(name).split(".")[0] in _PACKAGES or name.split(".")[0] in ("numpy", "jax", "torch", "pandas")


# How a package is called in a file that uses it, where that is not its name.
_SPELLED = {"tensorflow_v1": "tensorflow", "tensorflow": "tensorflow", "keras": "keras", "PIL": "PIL"}
_METHODS = re.compile(
    rb"\.(?:thumbnail|draft|flow_from_\w+)\b|scaling_factor|Image\.(?:AFFINE|EXTENT|PERSPECTIVE|QUAD|MESH)|"
    rb"Transform\.(?:AFFINE|EXTENT|PERSPECTIVE|QUAD|MESH)|antialias\s*=|\bresample\s*="
)
_RESIZE = re.compile(rb"\bresize\b")
_CONFIGURED = re.compile(rb"\btype[\"']?\s*[=:]\s*[\"'][\w.]*Resize[\"']")
_PILLOW = re.compile(rb"NEAREST|nearest|\bBOX\b|resample|quantize|\.gif|[\"'][P1][\"']|,\s*0\s*\)")


@cache
def last_names() -> frozenset[str]:
    """The last parts of the names of all rows: what a call can end with."""
    return frozenset({last for _, last in _BY_LAST} | {"transforms"})


_HINTS = (
    b".thumbnail",
    b".draft",
    b".flow_from_",
    b"scaling_factor",
    b"Image.",
    b"Transform.",
    b"antialias",
    b"resample",
)


@cache
def _words() -> list[tuple[bytes, tuple[bytes, ...], re.Pattern[bytes]]]:
    """For each package: its name, the names of its calls, and these as whole words."""
    names: dict[str, set[str]] = {}
    for (package, last), entries in _BY_LAST.items():
        for parts, _ in entries:
            owners = [one for one in parts if one[:1].isupper()]
            # A class method is found by its class: from_pretrained alone says nothing.
            names.setdefault(_SPELLED.get(package, package), set()).update(owners or [last])
    found = []
    for package, words in names.items():
        pattern = re.compile(rf"\b(?:{'|'.join(sorted(words))})\b".encode())
        found.append((package.encode(), tuple(one.encode() for one in sorted(words)), pattern))
    return found


def relevant(raw: bytes, package: str) -> bool:
    """Whether a file can hold any call of the rows at all, by its words alone; ``package`` is the one it lies in.

    Plain searches first: they are ten times as fast as a pattern, and most files end there.
    """
    if any(one in raw for one in _HINTS) and _METHODS.search(raw):
        return True
    if b"resize" in raw and _RESIZE.search(raw) and _PILLOW.search(raw):
        return True
    if b"Resize" in raw and _CONFIGURED.search(raw):
        return True
    own = package.encode()
    if b"_Weights" in raw and b"video" in raw:
        return True
    return any(
        (name in raw or name == own) and any(one in raw for one in words) and pattern.search(raw)
        for name, words, pattern in _words()
    )


def mode_word(value: Any, numbers: str) -> str | None:
    """An interpolation as a plain word: ``INTER_AREA``, ``"area"`` and 3 are ``"area"`` for OpenCV."""
    if isinstance(value, Ref):
        word = value.name.rpartition(".")[2].lower()
    elif isinstance(value, str):
        word = value.rpartition(".")[2].strip().lower()
    elif isinstance(value, int) and not isinstance(value, bool) and numbers:
        return NUMBERS[numbers].get(value)
    else:
        return None
    for prefix in ("inter_", "interp_", "cv_inter_"):
        word = word.removeprefix(prefix)
    return word.replace("nearest_neighbor", "nearest").replace("nearestneighbor", "nearest")
