"""Start and end the trace of a process: put the wrappers in, follow forks, threads and children, take all out again."""

from __future__ import annotations

import json
import os
import sys
import threading
from time import perf_counter_ns
from types import FrameType, ModuleType
from typing import Any

from . import rows_arrays, rows_pillow, rows_tensorflow, rows_torch
from .hook import ROWS, Hook
from .importlib_bootstrap import FRAMES, wrap
from .recorder import INSIDE, STARTED as THREAD_STARTED, Recorder
from .wrapping import Wrapping

__all__ = ["FOLDER", "STARTED", "Tracing"]

FOLDER, STARTED = "SECURE_RESIZE_TRACE", "SECURE_RESIZE_TRACE_STARTED"
LIBRARIES = (rows_arrays, rows_pillow, rows_tensorflow, rows_torch)  # whose rows are registered by importing them


class Tracing:
    """The trace of this process. ``active`` is the one that is on, if any; a forked child goes on with it."""

    active: Tracing | None = None

    def __init__(self, folder: str) -> None:
        started = os.environ.pop(STARTED, None)
        self.recorder = Recorder(folder, tuple(json.loads(started)) if started else None)
        self.wrapping = Wrapping(
            ROWS.values(),
            self._wrapped,
            self.recorder.failure,
            {"multiprocessing.process": self._follow_processes, "traceback": self._quiet_traceback},
        )

    def start(self) -> None:
        """Wrap what is imported, and what will be."""
        if Tracing.active is not None:
            raise RuntimeError("this process is being traced already; end that trace first")
        Tracing.active = self
        self.recorder.begin()
        self.wrapping.start()
        self._follow_threads()
        self._quiet_tracebacks()
        _follow_forks()

    def stop(self) -> None:
        """Put the originals back. What was seen stays in the folder."""
        self.wrapping.stop()
        Tracing.active = None

    def _wrapped(self, row: Hook, original: Any) -> Any:
        note, prepare = self.recorder.note, row.prepare

        def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType) -> Any:
            before = None if prepare is None else prepare(args, kwargs)
            begin = perf_counter_ns()
            result = original(*args, **kwargs)
            took = perf_counter_ns() - begin
            note(row, args, kwargs, result, before, took, frame)
            return result

        return wrap(original, around, INSIDE, original if row.graphs else None)

    def _follow_threads(self) -> None:
        """Remember where threads and processes are started: their own frames may hold none of the user's."""
        recorder, start = self.recorder, threading.Thread.start

        def thread_start(self: threading.Thread) -> None:
            vars(self)[THREAD_STARTED] = recorder.place_in_source(sys._getframe(1))
            start(self)

        self.wrapping.replace(threading.Thread, "start", start, thread_start)

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

        self.wrapping.replace(process, "start", start, process_start)

    def _quiet_tracebacks(self) -> None:
        """Frames of the wrappers are no part of what a script prints when it fails."""
        if sys.excepthook is sys.__excepthook__:
            self.wrapping.replace(sys, "excepthook", sys.excepthook, _excepthook)
        before = threading.excepthook

        def thread_hook(args: Any) -> None:
            _without_wrappers(args.exc_value)
            before(args)

        self.wrapping.replace(threading, "excepthook", before, thread_hook)

    def _quiet_traceback(self, module: ModuleType, along: set[str]) -> None:
        described = vars(module)["TracebackException"]
        original = described.__init__

        def __init__(self: Any, exc_type: Any, exc_value: Any, exc_traceback: Any, **kwargs: Any) -> None:
            _without_wrappers(exc_value)
            original(self, exc_type, exc_value, _stripped(exc_traceback), **kwargs)

        self.wrapping.replace(described, "__init__", original, __init__)


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
