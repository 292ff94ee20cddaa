"""A wrapped function of a library as a row: where it stands, and how a call of it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ROWS", "Hook", "Sight", "argument", "hook", "shrinks", "unseen"]

Side = int | None  # None: not known while a graph is made
Size = tuple[Side, ...]  # height, width
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Described = tuple[str, str, str]


class Sight(NamedTuple):
    """What is read of one call on the hot path; hashable, and equal for equal calls.

    ``options`` are the row's own: flags, as JSON can hold them. ``graph`` tells that the call made a part of a graph,
    which is executed later and elsewhere, any number of times. ``nearest`` tells that nearest was asked for, which is
    right where the pixels are labels.
    """

    in_size: Size
    out_size: Size
    dtype: Any
    channels: int | None
    options: tuple[Any, ...]
    graph: bool = False
    nearest: bool = False


Read = Callable[[Arguments, Keywords, Any], Sight | None]


class Hook(NamedTuple):
    """One function that scales images down.

    ``attribute`` is what it is called in ``module``, whose import is awaited; ``shown``, what users call it, where
    ``name`` says more. ``read`` turns a call that scales down into a Sight and any other one into None; ``describe``,
    a Sight's options into the flags as text, the scaler of ``SCALERS`` that this is (``""``: none of them), and what
    kind of call it is: ``"resize"``; ``"warp"``, whose in-size is the part of the source that an output of its size
    steps over; ``"decode"``, a decoder that scales; ``"unseen"``, something whose down-scalings will not be seen.
    ``pixels`` gives the image, by which label maps are known, where nearest is asked for. ``prepare`` notes what a call
    is going to change: then ``read`` is given (that, the result). ``graphs``: whether torch's compilers may read it.
    ``again(in_size, out_size, *options)``: the same call as a function of an array (H, W, C), for what is none of the
    scalers and is to be measured. ``unscaled(result)``: how a call that scales nothing is noted once it was replaced.
    """

    name: str
    module: str
    attribute: str
    rule: str
    read: Read
    describe: Callable[..., Described]
    pixels: Callable[[Arguments, Keywords], Any] = lambda args, kwargs: args[0]
    prepare: Callable[[Arguments, Keywords], Any] | None = None
    graphs: bool = False
    shown: str = ""
    again: Callable[..., Callable[[Any], Any]] | None = None
    unscaled: Callable[[Any], Sight] | None = None


ROWS: dict[str, Hook] = {}


def hook(
    name: str, module: str, attribute: str, rule: str, describe: Callable[..., Described], **facts: Any
) -> Callable[[Read], Read]:
    """Register the decorated function, which reads a call, as the row ``name``."""

    def register(read: Read) -> Read:
        if name in ROWS:
            raise ValueError(f"a hook of {name!r} is already registered")
        ROWS[name] = Hook(name, module, attribute, rule, read, describe, **{"shown": name, **facts})
        return read

    return register


def argument(args: Arguments, kwargs: Keywords, place: int, name: str, default: Any = None) -> Any:
    """An argument that may be given by place or by name."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def shrinks(in_size: Size, out_size: Size) -> bool:
    """Whether an axis gets shorter; one whose length is not known might."""
    return any(n is None or m is None or m < n for n, m in zip(in_size, out_size, strict=True))


def unseen(name: str, module: str, attribute: str, why: str) -> None:
    """Register a row for what hides down-scalings from Python: that it was called is all that can be said."""

    def read(args: Arguments, kwargs: Keywords, result: Any) -> Sight:
        return Sight((None, None), (None, None), "", None, (), True)

    hook(name, module, attribute, "", lambda: (why, "", "unseen"))(read)
