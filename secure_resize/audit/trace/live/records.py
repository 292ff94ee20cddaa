"""What a process leaves behind: a file of lines for what it saw, and one of counters that outlives a SIGKILL.

Both lie in the folder of the trace, named by the process. A line is appended at the first sighting of a call; the file
is opened for it alone, since a script may close every descriptor that it finds. The counters are a shared mapping of
memory, so that counting is an addition, and nothing has to be written at the end of a process that has none.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

__all__ = ["FIELDS", "ROOM", "Writer", "read"]

FIELDS = 4  # of 8 bytes for each call: times seen, nanoseconds, times looked for labels, times that there were any
ROOM = 16384  # different calls that a process may have


class Writer:
    """One process' files in ``folder``; made anew in a forked child."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.stem = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}")
        self.counters = self._map()
        self.lines = 0

    def _map(self) -> Any:
        """Memory that is a file's; or, where there is no room for one, memory alone."""
        size = 8 * FIELDS * ROOM
        try:
            handle = os.open(f"{self.stem}.counts", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # A sparse file on a disk that is full would end the process with SIGBUS.
                os.posix_fallocate(handle, 0, size)
                return memoryview(mmap.mmap(handle, size)).cast("Q")
            finally:
                os.close(handle)
        except (OSError, AttributeError) as error:
            self.counters = None
            self.write({"failure": f"counts are lost: {error}"})
            return memoryview(bytearray(size)).cast("Q")

    def write(self, record: dict[str, Any]) -> None:
        """Append ``record`` as a line."""
        line = json.dumps(record, default=str).encode() + b"\n"
        handle = os.open(f"{self.stem}.lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def begin(self, started: Any) -> None:
        """The first line: who this is."""
        argv = getattr(sys, "orig_argv", [])
        self.write({"process": os.getpid(), "argv": list(argv)[:20], "cwd": os.getcwd(), "started": started})


def read(folder: str) -> Iterator[dict[str, Any]]:
    """Every line of every process, with ``counts`` beside each call; what was cut off by a kill is left out."""
    from pathlib import Path  # the traced processes do without it

    for path in sorted(Path(folder).glob("*.lines")):
        try:
            raw = path.with_suffix(".counts").read_bytes()
        except OSError:
            raw = b""
        counters = memoryview(raw[: len(raw) // 8 * 8]).cast("Q") if len(raw) >= 8 else memoryview(b"")
        places: dict[int, dict[str, Any]] = {}
        for line in path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if "place" in record:
                if "as" in record:  # from the same line as another
                    other = places[record["as"]]
                    record |= {"site": other["site"], "between": other["between"]}
                places[record["place"]] = record
                first = FIELDS * record["place"]
                known = list(counters[first : first + FIELDS])
                record["counts"] = known if len(known) == FIELDS else [0] * FIELDS
            record["of"] = path.stem
            yield record
