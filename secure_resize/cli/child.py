"""Somebody else's code in a process of its own, with limits of time and memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..workers import end_with_parent

__all__ = ["ChildError", "ChildLimit", "ChildRaised", "run_in_child"]

Answer = dict[str, Any]


class ChildError(RuntimeError):
    """The process ended, or was ended, without an answer."""


class ChildLimit(ChildError):
    """It was ended: it took longer, or more memory, than it may."""


class ChildRaised(ChildError):
    """What the work in the process raised: the process did not end for it."""


def run_in_child(
    work: Callable[..., Answer],
    *arguments: Any,
    seconds: float,
    memory: float,
    heard: Callable[[Answer], None] | None = None,
    quiet: bool = False,
) -> Answer:
    """``work(*arguments)``, a function of a module, in a newly started interpreter; what it returns must be JSON.

    ``seconds`` and ``memory`` (bytes resident) are the most that it may take. What it prints goes to stderr, with
    ``quiet`` nowhere. With ``heard``, the work is given a function in front of its arguments, and ``heard`` is called
    with what that one is called with. ChildError where it ends the process, takes longer or takes more, or raises what
    it does not return as an answer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, arguments, heard is not None, quiet))
    process.start()
    theirs.close()
    ends = time.monotonic() + seconds
    try:
        while True:
            if ours.poll(0.1):
                found: Answer = json.loads(ours.recv_bytes())
                if heard is None or "told" not in found:
                    break
                heard(found["told"])
            if _resident(process.pid) > memory:
                raise ChildLimit(f"it took more than {memory / 2**30:g} GiB of memory; --memory-limit allows more")
            if time.monotonic() > ends:
                raise ChildLimit(f"it took longer than {seconds:g} seconds; --time-limit allows more")
    except EOFError:
        process.join(10)
        raise ChildError(f"it ended the process (exit code {process.exitcode}) before anything was measured") from None
    finally:
        process.kill()
        process.join(10)
        ours.close()
    if "raised" in found:
        raise ChildRaised(found["raised"])
    return found


def _answer(
    connection: Connection, work: Callable[..., Answer], arguments: tuple[Any, ...], heard: bool, quiet: bool
) -> None:
    end_with_parent()
    sys.stdout.flush()
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)  # what the code prints is no part of the result
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def tell(what: Answer) -> None:
        connection.send_bytes(json.dumps({"told": what}, allow_nan=True).encode())

    try:
        answer = work(*((tell,) if heard else ()), *arguments)
    except BaseException as error:  # SystemExit among them: that is no result either
        answer = {"raised": f"{type(error).__name__}: {error}"}
    connection.send_bytes(json.dumps(answer, allow_nan=True).encode())
    connection.close()
    os._exit(0)  # nothing that the code registered for the end of the process matters any more


def _resident(pid: int | None) -> int:
    """Bytes resident of the process and its own children's; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident(int(child)) for child in children)
