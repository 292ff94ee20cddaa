"""The scan: sources through an engine into the ledger, and out of it the report and what is to be done with files."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ..detect import KINDS, RATE, UNKNOWN_RATE, Calibration
from ..measure.scalers import SCALERS
from ..scaling import check_size
from .engines import ENGINES, Todo
from .ledger import Ledger
from .look import Look, Row
from .move import move
from .report import Images, ScanReport, report_of, write_files, write_list
from .sources import NoSource, in_memory, units_of
from .units import LIMITS, Item, Limits, Unit

__all__ = ["LEDGER", "Heard", "scan"]

LEDGER = "ledger.sqlite"
# Told as the scan goes on: (pictures done, suspicious ones, bytes of the source that are done, bytes of all of it).
Heard = Callable[[int, int, int, int], None]


def scan(
    source: Any,
    *,
    size: Sequence[int] | None = None,
    scalers: Iterable[str] = (),
    out: str | os.PathLike[str] | None = None,
    jobs: int = 0,
    engine: str = "process",
    calibration: Calibration | None = None,
    rate: float | None = None,
    limits: Limits = LIMITS,
    move_to: str | os.PathLike[str] | None = None,
    list_to: str | os.PathLike[str] | None = None,
    heard: Heard | None = None,
) -> ScanReport:
    """Look for pictures that a resize turns into other ones, in a whole data set.

    >>> import numpy as np
    >>> pictures = [("a", np.full((64, 64, 3), 9, np.uint8)), ("b", np.full((64, 64, 3), 99, np.uint8))]
    >>> report = scan(pictures, size=(16, 16), scalers=["opencv:linear"], engine="here")
    >>> [(one["id"], one["suspicious"]) for one in report.images]
    [('a', False), ('b', False)]

    Parameters
    ----------
    source
        A folder, a picture, a tar archive (read as a stream, never extracted), a Parquet or Arrow file, a Lance data
        set, a list of files (``.txt``: a path a line), or a sequence of such paths; archives and tables in folders are
        looked into. Or a Hugging Face ``Dataset``, an Arrow table, an iterable of (id, picture): a picture is a file's
        bytes, a path or a uint8 array.
    size
        (height, width) that the pipeline resizes to; by default every size that models are usually fed with, which
        takes many times as long and needs stronger signs.
    scalers
        How the pipeline resizes, names in ``SCALERS``; by default one for each way in which libraries sample.
    out
        The folder for the ledger, with which an interrupted scan goes on, and for ``report.json``, ``report.csv``,
        ``report.parquet`` (with pyarrow) and ``report.html``. What has not changed since is not looked at again.
        By default nothing is kept.
    jobs
        Processes; 0: one a core.
    engine
        A name in ``ENGINES``: ``"process"``, ``"ray"`` or ``"here"``.
    calibration, rate
        As for ``detect.examine``: by default the calibration that ships, and a false-positive rate of 0.001 a picture,
        or 0.01 where scalers or sizes have to be tried.
    limits
        What one picture, file or archive may take.
    move_to
        Move suspicious files into this folder; ``restore`` moves them back. Members of archives stay.
    list_to
        A file that gets a suspicious id a line; one that would mislead is a JSON text.
    heard
        Called as the scan goes on.

    Returns
    -------
    A :class:`ScanReport`: the same source gives the same bytes, however often the scan was ended and by whom.

    Raises
    ------
    TypeError, ValueError
        A bad argument; a folder ``out`` of a scan with other options, naming those that differ.
    ImportError
        A library that the source, the engine or a scaler needs, with what installs it.
    RuntimeError
        Another scan is writing into ``out``.
    """
    wanted = None if size is None else check_size(size)
    look = Look(wanted, tuple(scalers), calibration, rate, limits, pictures=out is not None)
    run = ENGINES[engine].run
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 0:
        raise ValueError(f"jobs must be a number of processes, or 0 for one a core; got {jobs!r}")
    jobs = jobs or os.cpu_count() or 1
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()) if out is None else out)
        folder.mkdir(parents=True, exist_ok=True)
        units, items = _source(source, [folder, *([Path(move_to)] if move_to else [])])
        ledger = stack.enter_context(Ledger(folder / LEDGER))
        number = ledger.settle(_settings(look))
        if ledger.moves():  # the last scan was ended while it moved files: what it found is known
            move(ledger)
        else:
            told = _Told(heard, units) if heard is not None else None
            for rows, complete in run(look, _todo(ledger, number, units(), told), jobs, items):
                ledger.add(rows)
                for unit in complete:
                    ledger.complete(unit)
                if told is not None:
                    told.of(rows, complete)
            ledger.finish(number)
            if move_to is not None:
                ledger.plan_moves(os.path.abspath(move_to))
        report = report_of(ledger, _versions(look), _facts(look))
        if out is not None:
            write_files(report, ledger, folder)
        if list_to is not None:
            write_list(ledger, Path(list_to))
        move(ledger)
        return replace(report, images=list(report.images) if out is None else Images(folder / LEDGER))


def _source(source: Any, leave_out: list[Path]) -> tuple[Callable[[], Iterator[Unit]], Any]:
    """A function that gives the units of ``source``, and one that reads their items where no file holds them."""
    if isinstance(source, str | os.PathLike):
        source = [source]
    if isinstance(source, list | tuple) and source and all(isinstance(one, str | os.PathLike) for one in source):
        for one in source:
            if not os.path.lexists(one):
                raise NoSource(f"there is no {os.fspath(one)!r}")
        return lambda: units_of(source, leave_out=leave_out), None
    unit, read = in_memory(source)

    def items(todo: Todo) -> Iterator[list[Item]]:
        return ([item] for item in read(todo.start, LIMITS))

    return lambda: iter([unit]), items


def _todo(ledger: Ledger, run: int, units: Iterator[Unit], told: _Told | None) -> Iterator[Todo]:
    """The units that are not known as a whole yet."""
    for unit in units:
        known, numbers = ledger.begin(unit, run)
        if known:
            if told is not None:
                told.known(unit)
            continue
        yield Todo(unit, frozenset(numbers))


class _Told:
    """Tells how far the scan is: by the bytes of the files that are done."""

    def __init__(self, heard: Heard, units: Callable[[], Iterator[Unit]]) -> None:
        self.heard = heard
        self.all = sum(map(_bytes, units()))
        self.pictures = self.suspicious = self.bytes = 0
        self.parts: dict[str, int] = {}  # bytes that were read of units that are not complete

    def known(self, unit: Unit) -> None:
        """The unit was done by a scan before this one."""
        self.bytes += _bytes(unit)

    def of(self, rows: Sequence[tuple[str, int, Row]], units: Sequence[Unit]) -> None:
        """These rows came, and these units are complete."""
        for name, _, row in rows:
            self.pictures += row.answer is not None or bool(row.troubles)
            self.suspicious += row.suspicious
            self.parts[name] = self.parts.get(name, 0) + row.read
        for unit in units:
            self.bytes += _bytes(unit)
            self.parts.pop(unit.name, None)
        self.heard(self.pictures, self.suspicious, min(self.bytes + sum(self.parts.values()), self.all), self.all)


def _bytes(unit: Unit) -> int:
    return int(unit.stamp.partition(" ")[0]) if unit.kind != "lance" and unit.stamp[:1].isdigit() else 0


def _settings(look: Look) -> dict[str, Any]:
    """What the rows of a ledger depend on."""
    return {
        "size": look.size,
        "scalers": look.scalers,
        "limits": asdict(look.limits),
        "rate": look.rate,
        "calibration": _digest(look.calibration),
        "versions": _versions(look),
    }


def _digest(calibration: Calibration | None) -> str:
    if calibration is None:
        return "shipped"
    return hashlib.sha256(json.dumps(asdict(calibration), sort_keys=True).encode()).hexdigest()[:16]


def _versions(look: Look) -> dict[str, str]:
    """Of what decodes and scales."""
    from .. import __version__

    found = {"secure-resize": __version__, "numpy": metadata.version("numpy")}
    for name in ("pillow", "simplejpeg", "jpeglib"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if not look.scalers:  # one scaler of each kind, and those that take long to load are computed here
        with contextlib.suppress(ImportError):
            found["opencv"] = SCALERS["opencv:linear"].version
    for name in look.scalers:
        row = SCALERS[name]
        if not row.ours:
            found[row.library] = row.version
    return found


def _facts(look: Look) -> dict[str, Any]:
    single = look.size is not None and len(look.scalers or KINDS) == 1
    looked = importlib.util.find_spec("jpeglib") is not None
    return {
        "size": look.size or "any",
        "scalers": look.scalers or KINDS,
        "false_positive_rate": look.rate or (RATE if single else UNKNOWN_RATE),
        "jpeg_coefficients": "looked at" if looked else "not looked at: pip install 'secure-resize[jpeg]'",
        "calibration": "shipped" if look.calibration is None else look.calibration.source or "the user's own",
    }
