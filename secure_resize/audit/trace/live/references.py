"""References to a function that were taken before it was replaced: in objects, closures, partials, tuples, frames.

A function that was stored somewhere (``self.resize = cv2.resize``, ``functools.partial(cv2.resize, ...)``, a default
``resize=cv2.resize``, a cell of a closure) is not found by its name. Python's garbage collector knows who refers to it.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Callable, Iterable
from types import CellType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["swap"]

Pairs = dict[int, tuple[Any, Any]]  # (old, new) by the old one's id
_DEPTH = 3  # tuples in tuples that are followed


def swap(pairs: Iterable[tuple[Any, Any]], keep: Callable[[Any], bool] = lambda holder: False) -> list[str]:
    """Put ``new`` in the place of ``old`` wherever this process holds it; ``keep`` tells holders to leave as they are.

    Returns where it could not be done, in words: local variables of other threads.
    """
    known: Pairs = {id(old): (old, new) for old, new in pairs}
    left: list[str] = []
    for _ in range(_DEPTH):
        left += _frames(known)
        known = _swap_once(known, keep)
        if not known:
            break
    return left


def _swap_once(known: Pairs, keep: Callable[[Any], bool]) -> Pairs:
    """Once; what has to be swapped in turn, because it could not be changed: tuples and bound methods."""
    ours = {id(known), *map(id, known.values())}
    again: Pairs = {}
    classes: list[dict[Any, Any]] = []
    for holder in gc.get_referrers(*[old for old, _ in known.values()]):
        if id(holder) in ours or isinstance(holder, FrameType) or keep(holder):
            continue
        if isinstance(holder, dict) and "__module__" in holder and "__spec__" not in holder:
            classes.append(holder)  # a class's own: to be changed through the class
        elif isinstance(holder, (tuple, MethodType)):
            again[id(holder)] = holder, _rebuilt(holder, known)
        else:
            _change(holder, known)
    if classes:
        _change_classes(classes, known)
    return again


def _new(value: Any, known: Pairs) -> Any:
    found = known.get(id(value))
    return value if found is None or found[0] is not value else found[1]


def _rebuilt(holder: Any, known: Pairs) -> Any:
    if isinstance(holder, MethodType):
        return MethodType(_new(holder.__func__, known), _new(holder.__self__, known))
    items = [_new(one, known) for one in holder]
    return holder._make(items) if hasattr(holder, "_make") else tuple(items)


def _change(holder: Any, known: Pairs) -> None:
    try:
        if isinstance(holder, dict):
            for key, value in list(holder.items()):
                if (new := _new(value, known)) is not value:
                    holder[key] = new
        elif isinstance(holder, list):
            for place, value in enumerate(holder):
                if (new := _new(value, known)) is not value:
                    holder[place] = new
        elif isinstance(holder, set):
            for value in list(holder):
                if (new := _new(value, known)) is not value:
                    holder.remove(value)
                    holder.add(new)
        elif isinstance(holder, CellType):
            holder.cell_contents = _new(holder.cell_contents, known)
        elif isinstance(holder, functools.partial):
            state = _new(holder.func, known), _new(holder.args, known), holder.keywords, vars(holder)
            holder.__setstate__(state)  # type: ignore[attr-defined]
        elif isinstance(holder, (staticmethod, classmethod, property)):
            return
        else:
            _change_object(holder, known)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # what forbids it, or is changed meanwhile
        return


def _change_object(holder: Any, known: Pairs) -> None:
    """Attributes, slots, a function's defaults; also those of a class."""
    if isinstance(holder, FunctionType) and holder.__defaults__ is not None:
        holder.__defaults__ = _new(holder.__defaults__, known)
    attributes = dict(getattr(holder, "__dict__", None) or {})
    for kind in type(holder).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(holder, name):
                attributes[name] = getattr(holder, name)
    for name, value in attributes.items():
        if (new := _new(value, known)) is not value:
            (setattr if isinstance(holder, (type, ModuleType)) else object.__setattr__)(holder, name, new)


def _change_classes(holders: list[dict[Any, Any]], known: Pairs) -> None:
    """``holders`` are the dicts of classes, or look like them: a class remembers what it has looked up in its dict."""
    for owner in gc.get_referrers(*holders):
        if not isinstance(owner, type):
            continue
        for name, value in list(vars(owner).items()):
            if (new := _new(value, known)) is not value:
                setattr(owner, name, new)
    for holder in holders:
        if any(_new(value, known) is not value for value in list(holder.values())):
            _change(holder, known)


def _frames(known: Pairs) -> list[str]:
    """Local variables: of this thread's frames changed, of other threads' told."""
    left = []
    here = sys._getframe(1)
    of_this: set[FrameType] = set()
    at: FrameType | None = here
    while at is not None:
        of_this.add(at)
        at = at.f_back
    for first in sys._current_frames().values():
        at = first
        while at is not None:
            if not str(at.f_globals.get("__name__")).startswith("secure_resize."):
                for name, value in list(at.f_locals.items()) if at.f_locals is not at.f_globals else []:
                    if (new := _new(value, known)) is value:
                        continue
                    if at in of_this:
                        _set_local(at, name, new)
                    else:
                        left.append(f"{name} in {at.f_code.co_filename}, line {at.f_lineno}, another thread's variable")
            at = at.f_back
    return left


def _set_local(frame: FrameType, name: str, value: Any) -> None:
    frame.f_locals[name] = value
    if sys.version_info < (3, 13):  # from then on that is enough
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
