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
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType
from typing import Any

__all__ = ["FRAMES", "Around", "BuiltIn", "Inside", "is_wrapper", "nothing_more", "wrap"]

# Makes a call: (original, arguments, keywords, the frame that calls) -> result.
Around = Callable[[Any, tuple[Any, ...], dict[str, Any], FrameType], Any]


class Inside(threading.local):
    """Whether this thread is inside of a wrapped function: what that one calls in turn is its own business."""

    active = False


class nothing_more:
    """Within it, calls are passed on as they are: what the library does to answer our own questions."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def __enter__(self) -> None:
        self.before, self.inside.active = self.inside.active, True

    def __exit__(self, *raised: object) -> None:
        self.inside.active = self.before


class BuiltIn:
    """In the place of a built-in function: binds to no instance, pickles as the global that it is, prints the same."""

    autograph_info__: dict[str, Any] = {}  # noqa: RUF012 - by this, TensorFlow's AutoGraph leaves it as it is

    def __init__(self, original: Any, around: Around, inside: Inside) -> None:
        self._secure_resize_original = original
        self._around, self._inside = around, inside
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__text_signature__"):
            setattr(self, name, getattr(original, name, None))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        inside = self._inside
        if inside.active:
            return self._secure_resize_original(*args, **kwargs)
        inside.active = True
        try:
            return self._around(self._secure_resize_original, args, kwargs, sys._getframe(1))
        finally:
            inside.active = False

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


def wrap(original: Any, around: Around, inside: Inside, compiling: Callable[..., Any] | None = None) -> Any:
    """What to put in the place of ``original``: each call of it is ``around``'s, unless this thread is ``inside``.

    ``compiling``: what torch's compilers are to see instead; given for functions that they may read.
    """
    around = _as_of_here(around)
    if isinstance(original, BuiltinFunctionType):
        return BuiltIn(original, around, inside)

    def hooked(*args: Any, **kwargs: Any) -> Any:
        if inside.active:
            return original(*args, **kwargs)
        inside.active = True
        try:
            return around(original, args, kwargs, sys._getframe(1))
        finally:
            inside.active = False

    torch: Any = sys.modules.get("torch")

    def compiled(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return compiling(*args, **kwargs)  # type: ignore[misc]
        return hooked(*args, **kwargs)

    wrapper = hooked
    if compiling is not None:
        # torch.jit.script reads the source of what __wrapped__ says, and looks its names up in the globals of what it
        # was given: so those have to be the original's. torch.compile follows the first branch.
        wrapper = FunctionType(compiled.__code__, original.__globals__, original.__name__, None, compiled.__closure__)
    functools.update_wrapper(wrapper, original)
    wrapper.__defaults__ = None
    wrapper._secure_resize_original = original  # type: ignore[attr-defined]
    return wrapper


def _as_of_here(around: Any) -> Around:
    """The same function as if it stood in this file, for what the name of this file is good for."""
    code = around.__code__.replace(co_filename=__file__)
    FRAMES.add(code)
    return FunctionType(code, around.__globals__, around.__name__, around.__defaults__, around.__closure__)


def is_wrapper(value: Any) -> bool:
    """Whether ``value`` stands in the place of a function already."""
    return "_secure_resize_original" in getattr(value, "__dict__", ())


# Code whose frames are no part of what went wrong in a script.
FRAMES = {BuiltIn.__call__.__code__, *(one for one in wrap.__code__.co_consts if isinstance(one, CodeType))}
