"""The walk through a pipeline: what it is made of, what becomes of each part, and the same pipeline put together again.

Only what lies on the way to a replaced part is copied, each thing once and not deeply; everything else (weights, files
read, random generators) is the argument's own, and the argument stays as it was.
"""

from __future__ import annotations

import copy
import enum
import functools
import io
import itertools
import logging
import random
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from secure_resize.integration_support import KernelName

from .registry import HARDENERS, Asked, Decision, refused

__all__ = ["Change", "Walk"]

# Things without parts that could resize.
ATOMS = (
    type, types.ModuleType, types.BuiltinFunctionType, types.FunctionType, str, bytes, bytearray, memoryview, int,
    float, complex, type(None), enum.Enum, np.ndarray, np.generic, np.random.Generator, random.Random, range, slice,
    set, frozenset, PurePath, re.Pattern, io.IOBase, logging.Logger, types.CodeType, types.GeneratorType,
)  # fmt: skip
# Of libraries, by module and name: the same.
FOREIGN_ATOMS = (("torch", "Tensor"), ("torch", "Generator"), ("torch", "dtype"), ("PIL.Image", "Image"))
# Attributes that hold what is done to label maps, and not to pictures.
LABELS = re.compile(r"^(target_transforms?|(mask|masks|label|labels|seg|segmentation)(_transforms?)?)$")
# A list as long as this is looked into only if one of its first elements is more than data.
LONG = 64
MOST = 200_000  # things, of which a pipeline has some hundred

Key = tuple[int, bool]  # a thing's id, and whether it stands where label maps are


@dataclass(frozen=True, eq=False)
class Change:
    """What became of one part: the way to it from the pipeline, what stood there, the hardener's name, the decision."""

    path: str
    before: Any
    hardener: str
    decision: Decision

    @property
    def verb(self) -> str:
        """``replaced``, ``left`` or ``refused``."""
        return self.decision.verb


class Walk:
    """One walk. ``result`` is the hardened pipeline; ``changes`` what became of each part that has to do with it."""

    def __init__(self, pipeline: Any, kernel: KernelName | None = None) -> None:
        self.kernel = kernel
        self.changes: list[Change] = []
        self._decisions: dict[Key, Decision] = {}
        self._parts: dict[Key, list[tuple[Any, str, Any, bool]]] = {}  # (key, path's end, part, labels) of each thing
        self._alive: list[Any] = []  # ids are of things that live
        self._survey(pipeline)
        self._dirty = self._ways_to_replaced()
        self._made: dict[Key, Any] = {}
        self.result = self._rebuilt(pipeline, False)

    # What there is.

    def _survey(self, pipeline: Any) -> None:
        todo: list[tuple[Any, str, bool]] = [(pipeline, "", False)]
        while todo:
            value, path, labels = todo.pop()
            key = (id(value), labels)
            if key in self._parts or key in self._decisions or not _may_matter(value):
                continue
            self._alive.append(value)
            if len(self._alive) > MOST:
                decision = refused(pipeline, f"it has more than {MOST} parts", "harden its transforms one by one")
                self.changes.append(Change(path, value, "", decision))
                return
            found = self._decided(value, labels)
            if found is not None:
                name, decision = found
                self._decisions[key] = decision
                self.changes.append(Change(path, value, name, decision))
                continue
            parts = [] if isinstance(value, ATOMS) else list(_parts(value, labels))
            self._parts[key] = parts
            # The last in is the first out: in the order in which they stand.
            todo += [(part, path + end, inner) for _, end, part, inner in reversed(parts)]

    def _decided(self, value: Any, labels: bool) -> tuple[str, Decision] | None:
        asked = Asked(self.kernel, labels, self._inside)
        # What is anybody's is so after all that is some library's.
        for row in sorted(HARDENERS.values(), key=lambda row: row.module == "builtins"):
            if row.module in sys.modules:
                decision = row.decide(value, asked)
                if decision is not None:
                    return row.name, decision
        return None

    def _inside(self, value: Any) -> bool:
        return any(change.verb != "left" for change in Walk(value, self.kernel).changes)

    # The same again.

    def _ways_to_replaced(self) -> set[Key]:
        """The things that are replaced, and those that hold one of them, however deep."""
        holders: dict[Key, list[Key]] = {}
        for key, parts in self._parts.items():
            for _, _, part, labels in parts:
                holders.setdefault((id(part), labels), []).append(key)
        todo = [key for key, decision in self._decisions.items() if decision.verb == "replaced"]
        dirty: set[Key] = set()
        while todo:
            key = todo.pop()
            if key not in dirty:
                dirty.add(key)
                todo += holders.get(key, [])
        return dirty

    def _rebuilt(self, value: Any, labels: bool) -> Any:
        key = (id(value), labels)
        if key not in self._dirty:
            return value
        if key in self._decisions:
            return self._decisions[key].value
        if key not in self._made:
            _put_together(value, self._parts[key], self._rebuilt, functools.partial(self._made.__setitem__, key))
        return self._made[key]


def _may_matter(value: Any) -> bool:
    """Whether a thing can resize, or hold what does."""
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        return True
    if isinstance(value, ATOMS):
        return False
    return not any(
        isinstance(value, getattr(sys.modules[module], name)) for module, name in FOREIGN_ATOMS if module in sys.modules
    )


def _parts(value: Any, labels: bool) -> Iterator[tuple[Any, str, Any, bool]]:
    """What a thing holds: its key there, the path's end, the part, whether that is for label maps."""
    if isinstance(value, functools.partial):
        yield from (("func", ".func", value.func, labels), ("args", ".args", value.args, labels))
        yield "keywords", ".keywords", value.keywords, labels
    elif isinstance(value, types.MethodType):
        yield "__self__", ".__self__", value.__self__, labels
    elif isinstance(value, dict):
        if not _is_data(value.values(), len(value)):
            yield from ((key, f"[{key!r}]", one, labels or _for_labels(key)) for key, one in list(value.items()))
    elif isinstance(value, list | tuple) and not _is_data(value, len(value)):
        yield from ((index, f"[{index}]", one, labels) for index, one in enumerate(value))
    if isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, functools.partial):
        for name, one in list(vars(value).items()):
            yield f".{name}", f".{name}", one, labels or _for_labels(name)


def _for_labels(name: Any) -> bool:
    return isinstance(name, str) and LABELS.match(name) is not None


def _is_data(values: Any, length: int) -> bool:
    """Whether a long container holds nothing but data, as far as its first elements tell."""
    return length > LONG and not any(_holds_things(one, 3) for one in itertools.islice(values, LONG))


def _holds_things(value: Any, deep: int) -> bool:
    if isinstance(value, list | tuple | dict):
        members = value.values() if isinstance(value, dict) else value
        return deep > 0 and any(_holds_things(one, deep - 1) for one in itertools.islice(members, LONG))
    return _may_matter(value) and (callable(value) or hasattr(value, "__dict__"))


def _put_together(value: Any, parts: Any, rebuilt: Any, made: Any) -> None:
    """``made(new)``: ``value`` with its parts rebuilt. What can be changed is handed over first: it may hold itself."""
    if isinstance(value, functools.partial):
        new = {key: rebuilt(part, labels) for key, _, part, labels in parts}
        made(type(value)(new["func"], *new["args"], **new["keywords"]))
        return
    if isinstance(value, types.MethodType):
        made(types.MethodType(value.__func__, rebuilt(value.__self__, parts[0][3])))
        return
    if isinstance(value, tuple):
        members = [rebuilt(part, labels) for key, _, part, labels in parts if isinstance(key, int)]
        made(getattr(value, "_make", type(value))(members))  # of a named one, _make
        return
    new = _copied(value)
    made(new)
    for key, _, part, labels in parts:
        now = rebuilt(part, labels)
        if now is part:
            continue
        if isinstance(key, str) and key.startswith(".") and not (isinstance(value, Mapping) and key in value):
            vars(new)[key[1:]] = now  # past any __setattr__: it is the same object in all but this
        else:
            new[key] = now


def _copied(value: Any) -> Any:
    """A shallow copy, of torch's modules and loaders one that shares nothing that calls change."""
    new = copy.copy(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        # Hooks, and what parts there are, are each one's own; the parts, weights among them, are shared.
        vars(new).update({name: copy.copy(one) for name, one in vars(value).items() if isinstance(one, dict)})
    if torch is not None and isinstance(value, torch.utils.data.DataLoader):
        vars(new)["_iterator"] = None  # workers that live on have the other's data set
    return new
