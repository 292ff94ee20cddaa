"""Archives and tables are read in a process of its own: a hostile one may end it, and the scan goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from ..workers import end_with_parent
from .crew import limit_memory, limited, one_thread
from .sources import items_of
from .units import Item, Limits, MissingExtra, Trouble, Unit

__all__ = ["Reader"]

# What is sent at once, at most.
_ITEMS, _BYTES = 32, 4 << 20
# How many times the limit of processor time may go into finding the first item, or into reading one by the clock.
_PATIENCE = 20


class Reader:
    """One process that reads units; a context manager, at whose end it has ended."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.process: Any = None
        self.pipe: Any = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def items(self, unit: Unit, start: int) -> Iterator[list[Item]]:
        """The unit's items from number ``start`` on, some at a time; where the process ends twice, the last says so."""
        number, tries, finished = start, 0, False
        while not finished:
            self._begin()
            try:
                self.pipe.send((unit, number))
                while (items := self._received()) is not None:
                    if items:
                        number, tries = items[-1].number + 1, 0
                        yield items
                finished = True
            except (EOFError, OSError) as error:
                why, limit = self._why(error)
                tries += 1
                if tries == 2 or limit:
                    yield [Item(number, unit.name, troubles=(Trouble("SR403" if limit else "SR405", why),))]
                    finished = True
            finally:
                if not finished:  # it ended, or nobody wants the rest
                    self._end()

    def _begin(self) -> None:
        if self.process is not None and self.process.is_alive():
            return
        self._end()
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.limits), daemon=True)
        with one_thread():
            self.process.start()
        theirs.close()

    def _received(self) -> list[Item] | None:
        if not self.pipe.poll(self.limits.seconds * _PATIENCE):
            raise TimeoutError(f"reading it did not go on within {self.limits.seconds * _PATIENCE:g} seconds")
        found = self.pipe.recv()
        if isinstance(found, MissingExtra):
            raise MissingExtra(str(found))
        return found  # type: ignore[no-any-return]

    def _why(self, error: Exception) -> tuple[str, bool]:
        """Why nothing more comes, and whether a limit is the reason."""
        if isinstance(error, TimeoutError):
            return str(error), True
        self.process.join(10)
        code = self.process.exitcode or 0
        if code and code == -getattr(signal, "SIGPROF", 0):
            return f"reading it takes more than the limit of {self.limits.seconds:g} seconds of processor time", True
        name = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
        return f"reading it any further ended the process by {name}", False

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
        self.process = None


def _serve(pipe: Connection, limits: Limits) -> None:
    """In the process: a unit in, its items out, then None."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            unit, start = pipe.recv()
            limit_memory(limits.memory)
            for items in _some(unit, start, limits):
                pipe.send(items)
            pipe.send(None)
        except (EOFError, BrokenPipeError):
            return
        except ImportError as error:
            pipe.send(MissingExtra(str(error)))


def _some(unit: Unit, start: int, limits: Limits) -> Iterator[list[Item]]:
    """The unit's items, as many at a time as are sent at once."""
    items = items_of(unit, start, limits)
    some: list[Item] = []
    size, seconds = 0, limits.seconds * _PATIENCE
    while True:
        with limited(seconds):
            item = next(items, None)
        seconds = limits.seconds
        if item is not None:
            some.append(item)
            size += 0 if item.data is None else _size(item.data)
        if some and (item is None or len(some) == _ITEMS or size > _BYTES):
            yield some
            some, size = [], 0
        if item is None:
            return


def _size(data: Any) -> int:
    return int(getattr(data, "nbytes", 0)) or len(data)
