"""Processes that look at pictures and that may be lost: one that ends becomes a finding, and the others go on.

``concurrent.futures`` gives up all its work when one process ends. Here each has a pipe of its own and says which item
it is at; an item that ends its process is tried once more alone, and then it is a finding.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..workers import end_with_parent
from .units import Limits

__all__ = ["Crew", "Failed", "Lost", "limit_memory", "limited", "one_thread"]

Work = Callable[[Any], Any]
# Threads of the libraries in a worker: the processes share the cores.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# What the C library does with memory that is given back: it keeps it. Pages new to a process cost more time than what
# is done with them here, and glibc returns and asks for them with every array of more than 128 kB.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
# How many times the limit of processor time an item may take by the clock, waiting for a disk or for other processes.
_PATIENCE = 20


@dataclass(frozen=True)
class Lost:
    """What stands for the result of an item whose process ended, and why it did."""

    reason: str
    limit: bool = False


@dataclass(frozen=True)
class Failed:
    """What stands for the result of an item where the work raised this."""

    reason: str


@dataclass(frozen=True)
class Batch:
    """Items that one process gets at once; ``tries``: of each, how often a process ended at it."""

    items: tuple[Any, ...]
    tries: int = 0


class Worker:
    """One process, its pipe, and where it is."""

    def __init__(self, work: Work, limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.place = context.RawValue("q", -1)  # of the item that it is at, in its batch
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.place, work, limits), daemon=True)
        with one_thread():
            self.process.start()
        theirs.close()
        self.batch: Batch | None = None
        self.seen, self.since = -1, 0.0
        self.slow = False

    def give(self, batch: Batch) -> None:
        """Send a batch; a process that has ended in the meantime is noticed when its result is waited for."""
        self.batch, self.seen, self.since = batch, -1, time.monotonic()
        self.place.value = -1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(batch.items)

    def stuck(self, seconds: float) -> bool:
        """Whether it has been at one item for longer than ``seconds``."""
        if self.batch is None:
            return False
        now = time.monotonic()
        if self.place.value != self.seen:
            self.seen, self.since = self.place.value, now
        return now - self.since > seconds

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Crew:
    """``count`` processes that do ``work(item)`` in any order.

    ``work`` can be pickled; ``work.warm()`` loads its libraries.

    Use it as a context manager: at its end all processes have ended.
    """

    def __init__(self, work: Work, count: int, limits: Limits) -> None:
        self.work, self.count, self.limits = work, count, limits
        self.workers: list[Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers:
            worker.end()
        self.workers.clear()

    def results(self, batches: Iterable[Sequence[Any]]) -> Iterator[list[tuple[Any, Any]]]:
        """Pairs of (item, result) as they come, a list at a time; the result of a lost item is a :class:`Lost`."""
        source = iter(batches)
        again: deque[Batch] = deque()
        more = True
        while True:
            for worker in self._idle():
                batch = again.popleft() if again else None
                if batch is None and more:
                    items = next(source, None)
                    more = items is not None
                    batch = None if items is None else Batch(tuple(items))
                if batch is None:
                    break
                worker.give(batch)
            busy = [worker for worker in self.workers if worker.batch is not None]
            if not busy:
                return
            for pipe in wait([worker.pipe for worker in busy], 1.0):
                worker = next(one for one in busy if one.pipe is pipe)
                done = self._answer(worker, again)
                if done:
                    yield done
            for worker in busy:
                if worker.stuck(self.limits.seconds * _PATIENCE):
                    worker.slow = True
                    worker.process.kill()

    def _idle(self) -> Iterator[Worker]:
        """The workers that wait, then new ones as long as there are fewer than there may be."""
        yield from [worker for worker in self.workers if worker.batch is None]
        while len(self.workers) < self.count:
            self.workers.append(Worker(self.work, self.limits))
            yield self.workers[-1]

    def _answer(self, worker: Worker, again: deque[Batch]) -> list[tuple[Any, Any]]:
        """What the worker has done; where it has ended, what is to be done again goes to ``again``."""
        batch = worker.batch
        if batch is None:
            raise RuntimeError("a worker answered that was asked nothing")
        try:
            results = worker.pipe.recv()
        except (EOFError, OSError):
            return self._lost(worker, batch, again)
        worker.batch = None
        return list(zip(batch.items, results, strict=True))

    def _lost(self, worker: Worker, batch: Batch, again: deque[Batch]) -> list[tuple[Any, Any]]:
        worker.process.join()
        self.workers.remove(worker)
        worker.pipe.close()
        place = worker.place.value
        if place < 0:  # it ended before it began: not an item's fault, unless it never begins
            if batch.tries >= 3:
                raise RuntimeError(
                    f"the processes end before they look at anything: {_why(worker, self.limits).reason}"
                )
            again.append(Batch(batch.items, batch.tries + 1))
            return []
        place = min(place, len(batch.items) - 1)
        why = _why(worker, self.limits)
        if len(batch.items) == 1 and (batch.tries or why.limit):
            return [(batch.items[0], why)]
        for part in (batch.items[:place], batch.items[place + 1 :]):
            if part:
                again.append(Batch(part))
        # Alone, and as if for the first time where others were there: what it left in the process is not its fault.
        again.append(Batch((batch.items[place],), 1))
        return []


def _why(worker: Worker, limits: Limits) -> Lost:
    """Why the process ended, in words."""
    code = worker.process.exitcode or 0
    if worker.slow:
        return Lost(f"looking at it did not end within {limits.seconds * _PATIENCE:g} seconds", True)
    if code == -getattr(signal, "SIGPROF", 0) and code:
        return Lost(f"looking at it takes more than the limit of {limits.seconds:g} seconds of processor time", True)
    if code < 0:
        try:
            return Lost(f"the process that looked at it was ended by {signal.Signals(-code).name}")
        except ValueError:
            return Lost(f"the process that looked at it was ended by signal {-code}")
    return Lost(f"the process that looked at it ended with exit code {code}")


def _serve(pipe: Connection, place: Any, work: Work, limits: Limits) -> None:
    """In the process: batches in, results out, until the pipe is closed."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to end
    warm = getattr(work, "warm", None)
    if warm is not None:
        warm()
    limit_memory(limits.memory)
    while True:
        try:
            items = pipe.recv()
        except EOFError:
            return
        results = []
        for number, item in enumerate(items):
            place.value = number
            try:
                with limited(limits.seconds):
                    results.append(work(item))
            except Exception as wrong:  # of the library whose resize is looked at, or a fault of ours
                results.append(Failed(f"{type(wrong).__name__}: {wrong}"))
        try:
            pipe.send(results)
        except BrokenPipeError:
            return


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Within it, the process is ended by SIGPROF after so many seconds of processor time, even in a library's loop."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory(more: int) -> None:
    """Let the process take ``more`` bytes of address space than it has now, where the system knows such a limit."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = used + more if most == resource.RLIM_INFINITY else min(used + more, most)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
    except (ImportError, OSError, ValueError):
        return


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it, processes are started whose libraries use one thread each and that keep their memory, unless the user
    says otherwise.
    """
    wanted = dict.fromkeys(THREADS, "1") | MEMORY
    missing = [name for name in wanted if name not in os.environ]
    os.environ.update((name, wanted[name]) for name in missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)
