"""What all processes saw, put together: one Call for each (line, function, flags, dtype), with all its sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from .hooks import HOOKS, Hook

__all__ = ["Call", "Seen", "put_together"]

Sizes = tuple[tuple[int | None, int | None], tuple[int | None, int | None]]

# Frames that only hand a call on, by the last part of their names.
_HANDED_ON = {
    "wrapper", "inner", "__call__", "fixed_func", "decorate_context", "fetch",
    "error_handler", "op_dispatch_handler", "wrapped", "decorated", "func_wrapper", "resize_fn",
}  # fmt: skip
LABELS = "left: a map of labels, for which nearest is right"
_THROUGH = 4  # names that are said of the frames between


@dataclass
class Call:
    """One call of the user's code. ``sizes``: times seen by (in-size, out-size); ``traced`` counts graphs made.

    ``site`` is (file, line, function); ``own`` tells whether that is the line that the call comes from, or else where
    its thread or process was started. ``done``: what was done about it, where calls are routed (``"replaced: area"``,
    ``"left: why"``). ``between`` are the library's frames, innermost first.
    """

    hook: Hook
    options: tuple[Any, ...]
    site: tuple[str, int, str] | None
    own: bool
    dtype: str
    channels: int | None
    done: str
    between: list[tuple[str, int, str]]
    sizes: dict[Sizes, int] = field(default_factory=dict)
    count: int = 0
    traced: int = 0
    nanoseconds: int = 0
    looked: int = 0
    looked_like_labels: int = 0
    rounded: bool = False

    @property
    def labels(self) -> bool:
        """Whether every one that was looked at was a map of labels, scaled by the nearest that was asked for."""
        if self.done:
            return self.done == LABELS
        return 0 < self.looked == self.looked_like_labels

    @property
    def replaced(self) -> bool:
        """Whether something robust was called in its place."""
        return self.done.startswith("replaced")

    @property
    def activations(self) -> bool:
        """Whether this is no picture, but what a network makes of one: many channels, or learned."""
        return (self.channels or 0) > 4 or "of activations" in self.flags

    @property
    def flags(self) -> str:
        """The options in the library's own words."""
        return self.hook.describe(*self.options)[0]

    @property
    def scaler(self) -> str:
        """The scaler that this is, or ``""``."""
        return self.hook.describe(*self.options)[1]

    @property
    def kind(self) -> str:
        """``"resize"``, ``"warp"`` or ``"decode"``."""
        return self.hook.describe(*self.options)[2]

    @property
    def named(self) -> list[tuple[str, int, str]]:
        """The libraries' frames that say something, innermost first."""
        known: set[str] = set()
        frames = []
        for path, line, function in self.between:
            package, last = library_of(path), function.rpartition(".")[2]
            hidden = (last.startswith("_") and not last.startswith("__")) or last.endswith(">")  # <lambda>
            if package and package != "tensorflow" and not hidden and last not in _HANDED_ON and function not in known:
                known.add(function)
                frames.append((path, line, function))
        return frames if len(frames) <= _THROUGH else [*frames[: _THROUGH - 1], frames[-1]]

    @property
    def through(self) -> tuple[str, ...]:
        """The libraries' functions that made the call, outermost first."""
        names = [f"{library_of(path)}.{function.replace('.<locals>', '')}" for path, _, function in self.named]
        return tuple(reversed(names))

    @property
    def libraries(self) -> tuple[str, ...]:
        """The libraries between the user's line and the call, outermost first."""
        return tuple(dict.fromkeys(filter(None, (library_of(path) for path, _, _ in reversed(self.between)))))


@dataclass
class Seen:
    """Everything that was seen."""

    calls: list[Call]
    versions: dict[str, str]
    failures: list[str]
    processes: int


def library_of(path: str) -> str:
    """The installed package that a file belongs to; ``""`` for the standard library."""
    parts = PurePath(path).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            first = parts[len(parts) - parts[::-1].index(folder)]
            return first.removesuffix(".py")
    return ""


def put_together(records: Iterable[Mapping[str, Any]]) -> Seen:
    """The records of all processes."""
    calls: dict[Any, Call] = {}
    seen = Seen([], {}, [], 0)
    for record in records:
        if "place" in record:
            _add(calls, record)
        elif "library" in record:
            seen.versions[record["library"]] = record["version"]
        elif "failure" in record:
            if record["failure"] not in seen.failures:
                seen.failures.append(record["failure"])
        elif "process" in record:
            seen.processes += 1
    seen.calls = sorted(calls.values(), key=_order)
    return seen


def _order(call: Call) -> tuple[Any, ...]:
    path, line, _ = call.site or ("", 0, "")
    return path, line, call.hook.name, str(call.options), call.dtype, call.channels or 0, call.own, call.done


def _add(calls: dict[Any, Call], record: Mapping[str, Any]) -> None:
    hook = HOOKS[record["hook"]]
    options, site = tuple(record["options"]), record["site"] and tuple(record["site"])
    dtype = record["dtype"].removeprefix("torch.").removeprefix("<dtype: '").removesuffix("'>")
    key = (hook.name, options, site, record["own"], dtype, record["channels"], record.get("done", ""))
    call = calls.get(key)
    if call is None:
        between = [(path, line, function) for path, line, function in record["between"]]
        call = calls[key] = Call(hook, options, site, record["own"], *key[4:], between)
    times, took, looked, labels = record["counts"]
    sizes: Sizes = (tuple(record["in"]), tuple(record["out"]))
    if record["graph"]:
        call.traced += times
    else:
        call.count += times
    call.sizes[sizes] = call.sizes.get(sizes, 0) + times
    call.nanoseconds += took
    call.looked += looked
    call.looked_like_labels += labels
    call.rounded = call.rounded or record["rounded"]


def relative(path: str, folder: str) -> str:
    """A path as reports have it: relative to ``folder`` if it lies inside, with forward slashes."""
    if path.startswith("<") or not os.path.isabs(path):
        return path
    inside = os.path.relpath(path, folder)
    return PurePath(path if inside.startswith(os.pardir) else inside).as_posix()
