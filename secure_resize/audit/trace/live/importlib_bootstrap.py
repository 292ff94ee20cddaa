"""The callables that stand in the place of a library's functions.

The name of this file is no accident. ``warnings.warn(stacklevel=2)`` in a wrapped function means its caller, and skips
frames of files that have "importlib" and "_bootstrap" in their names: with any other name, warnings would name this
file instead of the user's.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

from .hook import Hook

__all__ = ["FRAMES", "BuiltIn", "is_wrapper", "nothing_more", "wrap"]

Note = Callable[[Hook, tuple[Any, ...], dict[str, Any], Any, Any, int, Any], None]


class _Inside(threading.local):
    """Whether this thread is inside of a wrapped function: what that one calls in turn is its own business."""

    active = False


_INSIDE = _Inside()


class nothing_more:
    """Within it, calls are not recorded: what the library does to answer our own questions."""

    def __enter__(self) -> None:
        self.before, _INSIDE.active = _INSIDE.active, True

    def __exit__(self, *raised: object) -> None:
        _INSIDE.active = self.before


class BuiltIn:
    """In the place of a built-in function: binds to no instance, pickles as the global that it is, prints the same."""

    autograph_info__: dict[str, Any] = {}  # noqa: RUF012 - by this, TensorFlow's AutoGraph leaves it as it is

    def __init__(self, hook: Hook, original: Any, note: Note) -> None:
        self._secure_resize_original = original
        self._hook, self._note = hook, note
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__text_signature__"):
            setattr(self, name, getattr(original, name, None))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        if _INSIDE.active:
            return self._secure_resize_original(*args, **kwargs)
        _INSIDE.active = True
        try:
            begin = perf_counter_ns()
            result = self._secure_resize_original(*args, **kwargs)
            took = perf_counter_ns() - begin
            self._note(self._hook, args, kwargs, result, None, took, sys._getframe(1))
        finally:
            _INSIDE.active = False
        return result

    def __reduce__(self) -> str:
        return str(self.__name__)

    def __repr__(self) -> str:
        return repr(self._secure_resize_original)

    def __getattr__(self, name: str) -> Any:
        if name in ("_secure_resize_original", "__wrapped__"):
            raise AttributeError(name)
        return getattr(self._secure_resize_original, name)

    # isinstance is asked for the class that an object says it has.
    __class__ = property(lambda self: BuiltinFunctionType)


def wrap(hook: Hook, original: Any, note: Note) -> Any:
    """What to put in the place of ``original``."""
    if isinstance(original, BuiltinFunctionType):
        return BuiltIn(hook, original, note)
    prepare = hook.prepare

    def hooked(*args: Any, **kwargs: Any) -> Any:
        if _INSIDE.active:
            return original(*args, **kwargs)
        _INSIDE.active = True
        try:
            before = None if prepare is None else prepare(args, kwargs)
            begin = perf_counter_ns()
            result = original(*args, **kwargs)
            took = perf_counter_ns() - begin
            note(hook, args, kwargs, result, before, took, sys._getframe(1))
        finally:
            _INSIDE.active = False
        return result

    torch: Any = sys.modules.get("torch")

    def compiled(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        return hooked(*args, **kwargs)

    wrapper = hooked
    if hook.graphs:
        # torch.jit.script reads the source of what __wrapped__ says, and looks its names up in the globals of what it
        # was given: so those have to be the original's. torch.compile follows the first branch.
        wrapper = FunctionType(compiled.__code__, original.__globals__, original.__name__, None, compiled.__closure__)
    functools.update_wrapper(wrapper, original)
    wrapper.__defaults__ = None
    wrapper._secure_resize_original = original  # type: ignore[attr-defined]
    return wrapper


def is_wrapper(value: Any) -> bool:
    """Whether ``value`` stands in the place of a function already."""
    return "_secure_resize_original" in getattr(value, "__dict__", ())


# Code whose frames are no part of what went wrong in a script.
FRAMES = {BuiltIn.__call__.__code__, *(one for one in wrap.__code__.co_consts if isinstance(one, CodeType))}
