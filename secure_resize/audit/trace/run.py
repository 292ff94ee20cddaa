"""Run a script as Python would, with the trace in it, and in the processes that it starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..report import Report
from .calls import put_together
from .findings import make_report
from .live.records import read
from .live.route import PATCH
from .live.start import FOLDER

__all__ = ["environment", "run_traced"]

INJECTED = str(Path(__file__).parent / "inject")


def environment(folder: str, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which Python traces itself into ``folder``; ``before``: that of this process."""
    around = dict(os.environ if before is None else before)
    paths = [INJECTED, *filter(None, [around.get("PYTHONPATH")])]
    return {**around, "PYTHONPATH": os.pathsep.join(paths), FOLDER: folder}


def run_traced(
    arguments: Sequence[str], *, probing: float = 60.0, tool: str = "trace", routed: str | None = None
) -> tuple[int, Report]:
    """Run ``python *arguments`` and return how it ended, as ``subprocess`` says it, and the report.

    ``routed``: route calls instead of only looking, as the variable ``SECURE_RESIZE_PATCH`` says it.

    It is the same interpreter, with this process' standard streams. Signals that this process is sent, the script is
    sent; Ctrl-C reaches both.
    """
    folder = tempfile.mkdtemp(prefix="secure-resize-trace-")
    try:
        begin = time.monotonic()
        variables = environment(folder)
        if routed is not None:
            variables[PATCH] = routed
        ended = _run([sys.executable, *arguments], variables)
        seconds = time.monotonic() - begin
        seen = put_together(read(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not seen.processes:
        seen.failures.append("nothing was seen: Python started without site (-S, -I, -E?), or ended before the trace")
    facts = {"command": [str(one) for one in arguments], "exit_code": ended}
    return ended, make_report(seen, seconds=seconds, facts=facts, probing=probing, tool=tool)


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    started: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            waiting.append(number)

    with _handlers(pass_on):
        started.append(subprocess.Popen(command, env=dict(variables)))
        for number in waiting:
            started[0].send_signal(number)
        return started[0].wait()


@contextmanager
def _handlers(pass_on: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Signals that end a process are the script's business. (A handler is not inherited by it; an ignored signal is.)

    The terminal sends Ctrl-C and Ctrl-\\ to both processes: those are not passed on once more.
    """
    both, one = (
        [getattr(signal, name) for name in names if hasattr(signal, name)]
        for names in (("SIGINT", "SIGQUIT"), ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"))
    )
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (*both, *one):
            if signal.getsignal(number) is not signal.SIG_IGN:
                handler = pass_on if number in one else _nothing
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for signalled, previous in before.items():
            signal.signal(signalled, previous)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The script decides how this ends."""
