"""Start and end the trace of a process: put the wrappers in, follow forks, threads and children, take all out again."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from types import FunctionType, ModuleType
from typing import Any

from . import rows_arrays, rows_pillow, rows_tensorflow, rows_torch
from .hook import ROWS
from .importlib_bootstrap import FRAMES, is_wrapper, wrap
from .imports import Awaited, find
from .recorder import STARTED as THREAD_STARTED, Recorder

__all__ = ["FOLDER", "STARTED", "Tracing"]

FOLDER, STARTED = "SECURE_RESIZE_TRACE", "SECURE_RESIZE_TRACE_STARTED"
LIBRARIES = (rows_arrays, rows_pillow, rows_tensorflow, rows_torch)  # whose rows are registered by importing them

Wrappers = dict[int, tuple[Any, Any]]  # (original, wrapper) by the original's id


class Tracing:
    """The trace of this process. ``active`` is the one that is on, if any; a forked child goes on with it."""

    active: Tracing | None = None

    def __init__(self, folder: str) -> None:
        started = os.environ.pop(STARTED, None)
        self.recorder = Recorder(folder, tuple(json.loads(started)) if started else None)
        self.undo: list[tuple[Any, str, Any, Any]] = []
        self.wrappers: Wrappers = {}
        self.awaited = Awaited(
            {
                **{row.module: self._arrived for row in ROWS.values()},
                "multiprocessing.process": self._follow_processes,
                "traceback": self._quiet_traceback,
            }
        )

    def start(self) -> None:
        """Wrap what is imported, and what will be."""
        if Tracing.active is not None:
            raise RuntimeError("this process is being traced already; end that trace first")
        Tracing.active = self
        self.recorder.begin()
        self.awaited.install()
        if self.wrappers:
            self._elsewhere(self.wrappers, list(sys.modules.values()))
        self._follow_threads()
        self._quiet_tracebacks()
        _follow_forks()

    def stop(self) -> None:
        """Put the originals back. What was seen stays in the folder."""
        self.awaited.remove()
        for holder, name, original, wrapper in reversed(self.undo):
            if vars(holder).get(name) is wrapper:
                setattr(holder, name, original)
        self.undo.clear()
        Tracing.active = None

    def _replace(self, holder: Any, name: str, original: Any, wrapper: Any) -> None:
        if isinstance(wrapper, FunctionType) and not is_wrapper(wrapper):  # one of this module's
            FRAMES.add(wrapper.__code__)
            functools.update_wrapper(wrapper, original)
        setattr(holder, name, wrapper)
        self.undo.append((holder, name, original, wrapper))

    def _arrived(self, module: ModuleType, along: set[str]) -> None:
        """Wrap the functions of ``module``, there and where the modules that came ``along`` hold them already."""
        wrappers: Wrappers = {}
        for row in ROWS.values():
            if row.module != module.__name__ or (found := find(module, row.attribute)) is None:
                continue
            holder, name = found
            original = vars(holder)[name]
            if is_wrapper(original):
                continue
            try:
                wrapper = wrap(row, original, self.recorder.note)
                self._replace(holder, name, original, wrapper)
            except Exception as error:
                self.recorder.failure(f"{row.name} could not be wrapped: {type(error).__name__}: {error}")
                continue
            if isinstance(holder, ModuleType):  # a method has one place
                wrappers[id(original)] = original, wrapper
        self.wrappers |= wrappers
        if wrappers and along:
            self._elsewhere(wrappers, [one for name in along if (one := sys.modules.get(name)) is not None])

    def _elsewhere(self, wrappers: Wrappers, modules: list[ModuleType]) -> None:
        """Modules may hold a function under names of their own, as by ``from cv2 import resize as shrink``."""
        for module in modules:
            if not isinstance(module, ModuleType) or str(vars(module).get("__name__")).startswith(str(__package__)):
                continue
            for name, value in list(vars(module).items()):
                known = wrappers.get(id(value))
                if known is not None and known[0] is value:
                    self._replace(module, name, *known)

    def _follow_threads(self) -> None:
        """Remember where threads and processes are started: their own frames may hold none of the user's."""
        recorder, start = self.recorder, threading.Thread.start

        def thread_start(self: threading.Thread) -> None:
            vars(self)[THREAD_STARTED] = recorder.place_in_source(sys._getframe(1))
            start(self)

        self._replace(threading.Thread, "start", start, thread_start)

    def _follow_processes(self, module: ModuleType, along: set[str]) -> None:
        process, recorder = vars(module)["BaseProcess"], self.recorder
        start = process.start

        def process_start(self: Any) -> None:
            site = recorder.place_in_source(sys._getframe(1))
            if site is not None:
                os.environ[STARTED] = json.dumps(site)
            try:
                start(self)
            finally:
                os.environ.pop(STARTED, None)

        self._replace(process, "start", start, process_start)

    def _quiet_tracebacks(self) -> None:
        """Frames of the wrappers are no part of what a script prints when it fails."""
        if sys.excepthook is sys.__excepthook__:
            self._replace(sys, "excepthook", sys.excepthook, _excepthook)
        before = threading.excepthook

        def thread_hook(args: Any) -> None:
            _without_wrappers(args.exc_value)
            before(args)

        self._replace(threading, "excepthook", before, thread_hook)

    def _quiet_traceback(self, module: ModuleType, along: set[str]) -> None:
        described = vars(module)["TracebackException"]
        original = described.__init__

        def __init__(self: Any, exc_type: Any, exc_value: Any, exc_traceback: Any, **kwargs: Any) -> None:
            _without_wrappers(exc_value)
            original(self, exc_type, exc_value, _stripped(exc_traceback), **kwargs)

        self._replace(described, "__init__", original, __init__)


def _excepthook(kind: Any, value: Any, trace: Any) -> None:
    _without_wrappers(value)
    sys.__excepthook__(kind, value, _stripped(trace))


def _without_wrappers(error: BaseException | None) -> None:
    """Take the wrappers' frames out of the tracebacks of an exception, its causes and contexts."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = _stripped(error.__traceback__)
        if error.__cause__ is not None:
            _without_wrappers(error.__cause__)
        error = error.__context__


def _stripped(trace: Any) -> Any:
    while trace is not None and trace.tb_frame.f_code in FRAMES:
        trace = trace.tb_next
    at = trace
    while at is not None:
        while at.tb_next is not None and at.tb_next.tb_frame.f_code in FRAMES:
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    return trace


_forks_followed = False


def _follow_forks() -> None:
    global _forks_followed
    if not _forks_followed and hasattr(os, "register_at_fork"):
        _forks_followed = True
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    if Tracing.active is not None:
        Tracing.active.recorder.forked()
