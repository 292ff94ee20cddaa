"""Anybody's functions and classes: where their code names something that scales, they run with its calls routed.

Their code is not rewritten. It is read for names (``resize``, ``interpolate``, ...), its own and that of the functions
that it calls; where there is one, the calls that it makes of OpenCV, torch, Pillow and so on are routed as by
``patched``, and those of nobody else.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from typing import Any, ClassVar

from .dropins import is_ours
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced
from .routed import ENTRIES, Routed, can_route, routed_class

__all__ = ["WORDS"]

# What calls that scale are named, in the libraries that can be routed.
WORDS = frozenset(
    {
        *("Upsample", "affine_transform", "blobFromImage", "blobFromImages", "crop_and_resize", "draft", "grid_sample"),
        *("imrescale", "imresize", "interpolate", "letterbox", "pyrDown", "remap", "rescale", "resize"),
        *("resize_with_crop_or_pad", "resize_with_pad", "resized_crop", "smart_resize", "thumbnail", "warp"),
        *("warpAffine", "warpPerspective", "zoom"),
    }
)
# Whose classes and functions other rows know, or nobody scales pictures with.
LIBRARIES = frozenset(
    {
        *("PIL", "albumentations", "albucore", "cv2", "datasets", "fsspec", "huggingface_hub", "keras", "keras_hub"),
        *("kornia", "numpy", "onnx", "onnxruntime", "optree", "pandas", "pyarrow", "safetensors", "scipy"),
        *("secure_resize", "skimage", "tensorflow", "timm", "tokenizers", "torch", "torchvision", "transformers"),
        *("ultralytics", "webdataset"),
    }
)
_DEEP = 4  # functions that call functions


def _decide(value: Any, asked: Asked) -> Decision | None:
    decision = _decided(value, asked)
    if decision is None or decision.verb != "replaced" or can_route():
        return decision
    return refused(value, decision.why.partition(";")[0], "scale by secure_resize.resize in it")


def _decided(value: Any, asked: Asked) -> Decision | None:
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | functools.partial):
        return _function(value, asked)
    if isinstance(value, types.MethodType | dict | list | tuple) or not _is_users(type(value)):
        return None
    if isinstance(value, Routed) or is_ours(type(value)) or getattr(type(value), "_is_routed", False):
        return kept(value, "its calls are routed already")
    own = vars(value) if isinstance(getattr(value, "__dict__", None), dict) else {}
    word = next(filter(None, (_word(one, asked, set(own)) for one in _methods(type(value)))), None)
    if word is None or not any(hasattr(type(value), name) for name in ENTRIES):
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module) and any(True for _ in value.parameters()):
        why = f"its code names {word}; a network with weights is left as it was trained"
        return refused(value, why, "scale pictures robustly before it, or run it within patched(...)")
    try:
        new = routed_class(value)
    except TypeError as error:
        return refused(value, f"its code names {word}, and its class cannot be derived from ({error})", _ADVICE)
    return replaced(new, f"its code names {word}; the calls that it makes are routed")


_ADVICE = "run it within secure_resize.integrations.patched(...)"


def _function(value: Any, asked: Asked) -> Decision | None:
    """A function, the user's or a library's own call; or a partial of the latter."""
    inner = value.func if isinstance(value, functools.partial) else value
    name = getattr(inner, "__name__", "")
    if name in WORDS and not _is_users(inner):  # also where the library's function is routed already, for others
        return replaced(Routed(value), f"it is {name}; its calls are routed")
    if inner is not value or not isinstance(value, types.FunctionType) or not _is_users(value):
        return None  # of a partial, the walk comes to its function, and arguments
    word = _word(value, asked, set())
    if word is None:
        return None
    return replaced(Routed(value), f"its code names {word}; the calls that it makes are routed")


def _is_users(thing: Any) -> bool:
    if isinstance(thing, types.BuiltinFunctionType):  # OpenCV's say no module
        return False
    top = (getattr(thing, "__module__", None) or "").partition(".")[0]
    return top not in LIBRARIES and (top not in sys.stdlib_module_names or top == "__main__")


def _methods(kind: type) -> Iterator[types.FunctionType]:
    """The functions of a class and of those it derives from, as far as they are the user's."""
    for one in kind.__mro__:
        if not _is_users(one) or one is object:
            continue
        for name, member in vars(one).items():
            function = getattr(member, "__func__", member)
            if isinstance(function, types.FunctionType) and (name in ENTRIES or not name.startswith("__")):
                yield function


def _word(
    function: Any, asked: Asked, attributes: set[str], deep: int = _DEEP, seen: set[int] | None = None
) -> str | None:
    """What of ``WORDS`` the code of a function names, or of one that it calls; or what it holds that would be replaced.

    ``attributes`` are names that the thing itself holds: what ``self.resize`` is, the walk finds out.
    """
    seen = set() if seen is None else seen
    if id(function) in seen or not deep:
        return None
    seen.add(id(function))
    names = set(_names(function.__code__))
    found = names & WORDS - attributes
    if found:
        return min(found)
    for one in _reached(function, names):
        name = getattr(one, "__name__", "")
        if name in WORDS and callable(one):  # under a name that the user gave it
            word: str | None = name
        elif isinstance(one, types.FunctionType):
            word = _word(one, asked, attributes, deep - 1, seen) if _is_users(one) else None
        else:
            word = f"a {type(one).__name__} that scales" if _inside(one, asked, seen) else None
        if word:
            return word
    return None


def _inside(value: Any, asked: Asked, seen: set[int]) -> bool:
    if id(value) in seen or isinstance(value, type | types.ModuleType) or not callable(value):
        return False
    seen.add(id(value))
    with _once(id(value)) as first:
        return first and asked.inside(value)


class _once:
    """Whether ``key`` is not being looked into already, further up: functions hold one another."""

    active: ClassVar[set[int]] = set()

    def __init__(self, key: int) -> None:
        self.key = key

    def __enter__(self) -> bool:
        self.first = self.key not in self.active
        self.active.add(self.key)
        return self.first

    def __exit__(self, *error: Any) -> None:
        if self.first:
            self.active.discard(self.key)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _names(one)


def _reached(function: types.FunctionType, names: set[str]) -> Iterator[Any]:
    """What a function can call: its closure, its module's globals that it names, functions of modules that it names."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for value in function.__defaults__ or ():
        yield value
    named = [function.__globals__[name] for name in sorted(names) if name in function.__globals__]
    for value in named:
        if isinstance(value, types.ModuleType):
            members = [vars(value).get(name) for name in sorted(names)]
            yield from (one for one in members if isinstance(one, types.FunctionType))
        else:
            yield value


HARDENERS.add(
    Hardener(
        "plain",
        "builtins",
        "SR201",
        _decide,
        replaces="functions, and objects of anybody's classes, whose code names something that scales: the calls that "
        "they make are routed as by patched()",
        shares="the function itself; all that an object holds",
        examples=(
            "import functools\nfrom torch.nn import functional\n"
            "functools.partial(functional.interpolate, size=(64, 64), mode='bilinear')",
        ),
        layout="NCHW tensor",
        call=lambda pipeline, picture: pipeline(picture.float() / 255),
    )
)
