"""``secure-resize scan``: the pictures of a data set that a resize turns into other ones."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..audit.render.words import printable
from ..detect import Calibration
from ..measure.scalers import SCALERS
from ..scan import ENGINES, Limits, calibrate_on, restore as move_back, scan as look_through
from ..scan.run import Heard
from .arguments import Size
from .outcome import Exit, UsageError, usage
from .reporting import Reporting

__all__ = ["scan"]


def scan(
    *source: Path,
    size: Size | None = None,
    scaler: Annotated[tuple[str, ...], Parameter(choices=tuple(SCALERS))] = (),
    any: Annotated[bool, Parameter(name="--any")] = False,
    out: Path | None = None,
    jobs: int = 0,
    engine: Annotated[str, Parameter(choices=tuple(ENGINES))] = "process",
    list: Path | None = None,
    move: Path | None = None,
    restore: Path | None = None,
    calibrate: Path | None = None,
    rate: float | None = None,
    max_pixels: int = Limits.pixels,
    memory_limit: float = Limits.memory / 2**30,
    time_limit: float = Limits.seconds,
    reporting: Reporting = Reporting(),
) -> Exit:
    """Find the pictures of a data set that a resize turns into other ones.

    Looks into folders, tar archives (as streams: nothing is extracted), Parquet and Arrow files, data sets of Hugging
    Face on disk, Lance, and lists of files (.txt, a path a line). A scan that was interrupted, or ended in any other
    way, goes on with the same --out. Exit code 0: nothing was found; 1: a picture is suspicious, or a file is broken,
    hostile or too large; 2: some could not be looked at; 3: there is no picture; 4: usage.

    Parameters
    ----------
    source
        What to look through.
    size
        What the pipeline resizes to.
    scaler
        How it resizes, such as opencv:linear; by default each way in which libraries sample is tried.
    any
        Try each way in which libraries sample and, without --size, all sizes that models are usually fed with.
    out
        The folder for what is known so far and for report.json, report.html, report.csv and report.parquet.
    jobs
        Processes; 0: one a core.
    engine
        Who looks: processes of this machine, Ray on the cluster of RAY_ADDRESS, or this process.
    list
        Write the suspicious pictures' names into this file, one a line.
    move
        Move suspicious files into this folder; its moved.jsonl says where they were.
    restore
        Move the files of this folder back to where --move took them from, and do nothing else.
    calibrate
        Clean pictures of yours (a folder, an archive, a table) to set the thresholds by, or a calibration that was
        saved: calibration.json in a scan's --out.
    rate
        False alarms that are taken, as a share of clean pictures; by default 0.001, or 0.01 where there is more than
        one scaler or size to try.
    max_pixels
        A picture that promises more is a finding.
    memory_limit
        GiB that looking at one picture may take.
    time_limit
        Seconds of processor time that it may take.
    """
    if restore is not None:
        return _restored(restore)
    if not source:
        raise UsageError("expected a folder, file or data set to look through")
    if size is None and not any:
        raise UsageError("expected --size HEIGHTxWIDTH, what the pipeline resizes to, or --any")
    if any and scaler:
        raise UsageError("--any tries every way to sample: leave --scaler out, or --any")
    with usage():
        limits = Limits(pixels=max_pixels, memory=int(memory_limit * 2**30), seconds=time_limit)
        if rate is not None and not 0 < rate < 1:
            raise ValueError(f"--rate must lie between 0 and 1, got {rate:g}")
        if jobs < 0:
            raise ValueError(f"--jobs must be a number of processes, or 0 for one a core; got {jobs}")
        for path in source:
            if not os.path.lexists(path):
                raise ValueError(f"there is no {os.fspath(path)!r}")
    calibration = None if calibrate is None else _calibration(calibrate, size, scaler, limits, out)
    with _progress() as heard:
        try:
            report = look_through(
                [os.fspath(path) for path in source],
                size=size,
                scalers=scaler,
                out=out,
                jobs=jobs,
                engine=engine,
                calibration=calibration,
                rate=rate,
                limits=limits,
                move_to=move,
                list_to=list,
                heard=heard,
            )
        except KeyboardInterrupt:
            kept = f"what is done is kept in {out}, and the same command goes on" if out else "nothing is kept"
            raise KeyboardInterrupt(kept) from None
    code = reporting.emit(report)
    if out is not None and reporting.format in (None, "text") and reporting.report is None:
        print(f"report: {printable(os.fspath(out / 'report.html'))}, report.json, report.csv")
    return code


def _restored(folder: Path) -> Exit:
    try:
        back = move_back(folder)
    except FileNotFoundError as error:
        raise ValueError(f"nothing was moved to {os.fspath(folder)!r}: {error.strerror}") from error
    for path in back:
        print(printable(os.fspath(path)))
    print(f"{len(back)} files moved back", file=sys.stderr)
    return Exit.CLEAN


def _calibration(
    path: Path, size: tuple[int, int] | None, scalers: tuple[str, ...], limits: Limits, out: Path | None
) -> Calibration:
    """One that was saved, or made of the clean pictures there and saved with the report."""
    if path.suffix == ".json" and path.is_file():
        return Calibration.load(path)
    made = calibrate_on(path, size=size, scalers=scalers, limits=limits)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        made.save(out / "calibration.json")
        return Calibration.load(out / "calibration.json")  # the figures as whoever takes the file has them
    return made


@contextlib.contextmanager
def _progress() -> Iterator[Heard | None]:
    """A bar on stderr with the rate and the time that is left, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[pictures]} pictures, {task.fields[suspicious]} suspicious"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, pictures=0, suspicious=0, rate="")

        def heard(pictures: int, suspicious: int, done: int, whole: int) -> None:
            taken = progress.tasks[0].elapsed or 0.0
            rate = f"{pictures / taken:.0f} pictures/s" if taken > 0.5 else ""
            progress.update(
                task, completed=done, total=whole or None, pictures=pictures, suspicious=suspicious, rate=rate
            )

        yield heard
