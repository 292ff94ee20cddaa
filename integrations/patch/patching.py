"""Which libraries are routed in this process at the moment, and how: contexts nest, and may overlap in threads."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from time import perf_counter_ns
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Literal

from secure_resize.integration_support import tracing

from .importing import ENVIRONMENT, environment
from .routes import Answer, Call, Done, Left, Route, routes_of

__all__ = ["MODES", "Mode", "PatchWarning", "Patching", "routing"]

Mode = Literal["enforce", "warn"]
_SITES = 4096  # places in the user's code that are remembered
MODES: tuple[Mode, ...] = ("enforce", "warn")


# Whether this thread or task runs within routing().
_WITHIN: ContextVar[bool] = ContextVar("secure_resize.routing", default=False)


class PatchWarning(UserWarning):
    """A call that samples, and was not replaced."""


class Patching:
    """The routes that are on in this process. ``active`` is the one there is, while any context is open."""

    active: Patching | None = None
    lock = threading.RLock()

    def __init__(self) -> None:
        self.tracing = tracing()
        self.inside = self.tracing.Inside()
        self.contexts: list[tuple[tuple[str, ...], Mode]] = []
        self.modes: dict[str, Mode] = {}  # by the route's name; enforce before warn
        self.standing: dict[str, Mode] = {}  # all routes, once anything runs within routing()
        self.wrapped: dict[str, Any] = {}  # the wrappings, by the route's name
        self.pairs: dict[str, list[tuple[Any, Any]]] = {}
        self.said: set[Any] = set()
        self.masks: dict[tuple[CodeType, int], bool] = {}  # by the place of a call in the user's code
        self.gains = self.tracing.Gains(10.0)
        self.recorder: Any = None
        self.before: dict[str, str | None] = {}

    @classmethod
    def enter(cls, libraries: tuple[str, ...], mode: Mode, recorder: Any = None) -> None:
        """Open one more context."""
        routes_of(libraries)
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}; valid modes: {', '.join(MODES)}")
        with cls.lock:
            if cls.active is None:
                cls.active = cls()
            if recorder is not None:
                cls.active.recorder = recorder
                _follow_forks()
            cls.active.contexts.append((libraries, mode))
            try:
                cls.active._follow()
            except BaseException:  # a warning that is an error
                cls.leave(libraries, mode)
                raise

    @classmethod
    def leave(cls, libraries: tuple[str, ...], mode: Mode) -> None:
        """Close one of those contexts."""
        with cls.lock:
            active = cls.active
            assert active is not None
            active.contexts.remove((libraries, mode))
            active._follow()
            if not active.contexts and not active.standing:
                cls.active = None

    @classmethod
    def stand(cls) -> None:
        """Open all routes, for those who run within :func:`routing`."""
        if cls.active is not None and cls.active.standing:
            return
        with cls.lock:
            if cls.active is None:
                cls.active = cls()
            cls.active.standing = {one.name: "enforce" for one in routes_of(())}
            cls.active._follow()

    def _follow(self) -> None:
        """Wrap and unwrap what the contexts that are open ask for."""
        wanted: dict[str, tuple[Route, Mode]] = {}
        for libraries, mode in self.contexts:
            for one in routes_of(libraries):
                if mode == "enforce" or one.name not in wanted:
                    wanted[one.name] = one, mode
        self.modes = {name: mode for name, (_, mode) in wanted.items()}
        wanted |= {one.name: (one, "enforce") for one in routes_of(()) if one.name in self.standing}
        self._unwrap([name for name in self.wrapped if name not in wanted])
        new = [one for name, (one, _) in wanted.items() if name not in self.wrapped]
        if new:
            self._wrap(new)
        self._pass_on()

    def _wrap(self, new: list[Route]) -> None:
        by_name = {one.name: one for one in new}
        fresh: list[tuple[Any, Any]] = []

        def make(hook: Any, original: Any) -> Any:
            wrapper = self._wrapper(by_name[hook.name], original)
            fresh.append((original, wrapper))
            self.pairs.setdefault(hook.name, []).append((original, wrapper))
            return wrapper

        for one in new:
            self.wrapped[one.name] = self.tracing.Wrapping([one.hook], make, self._failed)
        for one in new:
            self.wrapped[one.name].start()
        for place in self._swap(fresh):
            self._failed(f"a reference to a routed function cannot be replaced: {place}")

    def _swap(self, pairs: list[tuple[Any, Any]]) -> list[str]:
        """References that were taken earlier; where it could not be done."""
        if not pairs:
            return []
        keep = {id(pairs), *map(id, pairs)}
        for known in self.pairs.values():
            keep |= {id(known), *map(id, known)}
            for _, wrapper in known:
                keep |= {id(vars(wrapper)), *map(id, _cells(wrapper))}
        for wrapping in self.wrapped.values():
            keep |= {*map(id, wrapping.undo), *map(id, wrapping.wrappers.values())}
        left: list[str] = self.tracing.swap(pairs, lambda holder: id(holder) in keep)
        return left

    def _unwrap(self, names: list[str]) -> None:
        pairs: list[tuple[Any, Any]] = []
        for name in names:
            self.wrapped.pop(name).stop()
            pairs += [(wrapper, original) for original, wrapper in self.pairs.pop(name, [])]
        self._swap(pairs)

    def _failed(self, text: str) -> None:
        if self.recorder is not None:
            self.recorder.failure(text)
        else:
            self._warn(text, "", 0)

    def _pass_on(self) -> None:
        """To the processes that are started from now on, by their environment."""
        if not self.before:
            self.before = {name: os.environ.get(name) for name in ("PYTHONPATH", ENVIRONMENT)}
        if self.contexts:
            os.environ.update(environment(self.contexts, self.before))
            return
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def arrived(self, module: ModuleType, along: set[str]) -> None:
        """Wrap what ``module`` holds, where its import was not awaited."""
        with self.lock:
            for wrapping in self.wrapped.values():
                if module.__name__ in {row.module for row in wrapping.rows}:
                    wrapping.arrived(module, along)

    # A call.

    def _wrapper(self, one: Route, original: Any) -> Any:
        tracing, hook, modes, name = self.tracing, one.hook, self.modes_of, one.name
        prepare = hook.prepare

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType) -> Any:
            mode = modes().get(name)
            if mode is None:
                return original(*args, **kwargs)
            before = None if prepare is None else prepare(args, kwargs)
            began = perf_counter_ns()
            answer = self._answer(one, original, args, kwargs, frame) if mode == "enforce" else None
            result = answer.result if isinstance(answer, Done) else original(*args, **kwargs)
            if self.recorder is not None:
                took = perf_counter_ns() - began
                self.recorder.note(hook, args, kwargs, result, before, took, frame, _done(answer))
            elif isinstance(answer, Left):
                self._say(one, answer, frame)
            elif mode == "warn":
                self._look(one, args, kwargs, result if prepare is None else (before, result), frame)
            return result

        compiling = None
        if hook.graphs:
            compiled = one.compiling
            compiling = original if compiled is None else _compiling(compiled, original, modes, name)
        return tracing.wrap(original, around, self.inside, compiling)

    def modes_of(self) -> dict[str, Mode]:
        """The mode of each route that is on, at this moment."""
        return self.standing if _WITHIN.get() else self.modes

    def _answer(self, one: Route, original: Any, args: Any, kwargs: Any, frame: FrameType) -> Answer:
        try:
            return one.replace(Call(original, args, kwargs, lambda: self._names_a_mask(frame), self._routed))
        except Exception as error:
            # What the library does not take either raises its own error next; what it takes and we do not is said.
            return Left(f"it could not be replaced: {type(error).__name__}: {error}")

    def _say(self, one: Route, left: Left, frame: FrameType) -> None:
        path, line = self._place(frame)
        key = one.name, path, line, left.why
        if key not in self.said:
            self.said.add(key)
            self._warn(f"{one.hook.shown} is left as it is: {left.why}", path, line)

    def _look(self, one: Route, args: Any, kwargs: Any, result: Any, frame: FrameType) -> None:
        """In mode "warn": what was called samples, and how badly."""
        try:
            sight = one.hook.read(args, kwargs, result)
            if sight is None:
                return
            path, line = self._place(frame)
            key = one.name, path, line, sight.options
            if key in self.said:
                return
            self.said.add(key)
            gain = self.gains.of(one.hook, sight.options, sight.in_size, sight.out_size)
        except Exception as error:
            self._warn(f"{one.hook.shown}: {type(error).__name__}: {error}", *self._place(frame))
            return
        if gain.verdict == "robust":
            return
        labels = (
            sight.nearest
            and not sight.graph
            and self.tracing.looks_like_labels(one.hook.pixels(args, kwargs), sight.channels)
        )
        flags = one.hook.describe(*sight.options)[0]
        sizes = " -> ".join("x".join("?" if n is None else str(n) for n in size) for size in sight[:2])
        figure = gain.how if gain.stealth_gain_db is None else f"{gain.stealth_gain_db:.1f} dB of stealth gain"
        said = "a map of labels, for which nearest is right" if labels else f"{gain.verdict}, {figure}"
        self._warn(f"{one.hook.shown} ({flags}) {sizes}: {said}", path, line)

    def _routed(self, function: Callable[[], Any]) -> Any:
        self.inside.active = False
        try:
            return function()
        finally:
            self.inside.active = True

    def _names_a_mask(self, frame: FrameType) -> bool:
        user = self.tracing.user_frame(frame)
        if frame is not user:
            return bool(self.tracing.names_a_mask(frame, user))
        site = frame.f_code, frame.f_lasti  # the source of one call says the same each time
        known = self.masks.get(site)
        if known is None:
            if len(self.masks) >= _SITES:
                self.masks.clear()
            known = self.masks[site] = bool(self.tracing.names_a_mask(frame, user))
        return known

    def _place(self, frame: FrameType) -> tuple[str, int]:
        found = self.tracing.user_frame(frame) or frame
        path, line, _ = self.tracing.site_of(found)
        return path, line

    def _warn(self, text: str, path: str, line: int) -> None:
        warnings.warn_explicit(text, PatchWarning, path or "<secure_resize>", line)


def _done(answer: Answer) -> str:
    """An answer as the records have it."""
    if answer is None:
        return ""
    return f"replaced: {answer.by}" if isinstance(answer, Done) else f"left: {answer.why}"


@contextlib.contextmanager
def routing() -> Iterator[None]:
    """What is called within, by this thread or task, is routed as by ``patched()``; what others call is not.

    The routes are opened once a process, which takes a second or two, and stay open.
    """
    Patching.stand()
    token = _WITHIN.set(True)
    try:
        yield
    finally:
        _WITHIN.reset(token)


def _compiling(compiled: Callable[..., Any], original: Any, modes: Callable[[], dict[str, Mode]], name: str) -> Any:
    def compiling(*args: Any, **kwargs: Any) -> Any:
        if modes().get(name) == "enforce":
            return compiled(*args, original=original, **kwargs)
        return original(*args, **kwargs)

    return compiling


def _cells(function: Any) -> list[Any]:
    """The cells of a wrapper, and of the functions in them that are ours."""
    cells = list(getattr(function, "__closure__", None) or ())
    inner = [one.cell_contents for one in cells if isinstance(one.cell_contents, FunctionType)]
    ours = [one for one in inner if str(one.__module__).startswith("secure_resize.")]
    return [*cells, *(cell for one in ours for cell in _cells(one))]


_forks_followed = False


def _follow_forks() -> None:
    """A forked child writes files of its own."""
    global _forks_followed
    if not _forks_followed and hasattr(os, "register_at_fork"):
        _forks_followed = True
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    if Patching.active is not None and Patching.active.recorder is not None:
        Patching.active.recorder.forked()
