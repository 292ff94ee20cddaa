"""How much of decoding's throughput a scan has. Prints a Markdown table.

    python benchmarks/bench_scan.py PHOTOS [--files 400] [--rounds 5] [--jobs 1]

PHOTOS is a folder of pictures, enlarged to each size and saved as JPEG at quality 90. ``scan`` to 224×224 for one
(scaler, size), by as many processes as decode the same files in the same order and do nothing else; the two take turns.
The time is that of the wall clock between the first and the last file, the start of the processes left out on both
sides. Before anything is timed, the scan is asserted to have an answer for each picture.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import timing

import secure_resize as sr
from secure_resize.decoding import whole_picture
from secure_resize.scan import Look
from secure_resize.scan.crew import Crew
from secure_resize.scan.engines import LookAt, Task
from secure_resize.scan.ledger import Ledger
from secure_resize.scan.run import scan
from secure_resize.scan.sources import file_item, units_of

SIZE = (224, 224)
SIDES = [(480, 640), (768, 1024), (1500, 2000)]
BATCH = 32


@dataclass(frozen=True)
class Decode:
    """What a crew does that only decodes."""

    def __call__(self, task: Task) -> int:
        return int(whole_picture(task[1].data)[0].nbytes)

    def warm(self) -> None:
        whole_picture(encoded(np.zeros((8, 8, 3), np.uint8)))


def encoded(image: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()


def make(photos: list[Path], folder: Path, side: tuple[int, int], files: int) -> int:
    """Write the files; their bytes in all."""
    size = 0
    for number in range(files):
        photo = photos[number % len(photos)]
        if number < len(photos):
            with PIL.Image.open(photo) as picture:
                image = np.asarray(picture.convert("RGB"))
            data = encoded(sr.resize(image, side, kernel="bicubic"))
        else:
            data = (folder / f"{number - len(photos):05d}.jpg").read_bytes()
        (folder / f"{number:05d}.jpg").write_bytes(data)
        size += len(data)
    return size


def tasks(folder: Path) -> list[list[Task]]:
    found = [(unit.name, item) for unit in units_of([folder]) if (item := file_item(unit)) is not None]
    return [found[k : k + BATCH] for k in range(0, len(found), BATCH)]


def decoding(crew: Crew, batches: list[list[Task]]) -> float:
    """Seconds to decode all of them."""
    began = time.perf_counter()
    for _ in crew.results(batches):
        pass
    return time.perf_counter() - began


def scanning(crew: Crew, folder: Path) -> float:
    """Seconds to look through the folder into a new ledger, by processes that are there already."""
    with tempfile.TemporaryDirectory() as out, Ledger(Path(out) / "ledger.sqlite") as ledger:
        began = time.perf_counter()
        for results in crew.results(_looked(folder, ledger)):
            ledger.add((task[0], task[1].number, row) for task, row in results)
        ledger.finish(1)
        return time.perf_counter() - began


def _looked(folder: Path, ledger: Ledger) -> Iterator[list[Task]]:
    batch: list[Task] = []
    for unit in units_of([folder]):
        ledger.begin(unit, 1)
        item = file_item(unit)
        if item is not None:
            batch.append((unit.name, item))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scaler", default="opencv:linear", help="secure_resize:area: all but the detectors")
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*.jpg"))[:60]
    look = Look(size=SIZE, scalers=(options.scaler,))
    versions = scan(
        [("one", np.zeros((300, 300, 3), np.uint8))], size=SIZE, scalers=[options.scaler], engine="here"
    ).versions
    print(f"{timing.machine()}, {sr.backend()}, {options.jobs} processes; {options.scaler} to {SIZE[0]}×{SIZE[1]};",
          ", ".join(f"{name} {number}" for name, number in versions.items()), "\n")  # fmt: skip
    print("| pictures | decoding alone, a second | scan, a second | scan / decoding |")
    print("|---|---:|---:|---:|")
    for side in SIDES:
        with tempfile.TemporaryDirectory() as temporary:
            count = max(len(photos), options.files * SIDES[0][0] * SIDES[0][1] // (side[0] * side[1]))
            print(measured(Path(temporary), photos, side, count, look, options), flush=True)


def measured(
    folder: Path, photos: list[Path], side: tuple[int, int], count: int, look: Look, options: argparse.Namespace
) -> str:
    """A line of the table."""
    make(photos, folder, side, count)
    report = scan(folder, size=SIZE, scalers=[options.scaler], jobs=options.jobs)
    assert len(list(report.images)) == count, report
    batches = tasks(folder)
    with Crew(Decode(), options.jobs, look.limits) as decoders, Crew(LookAt(look), options.jobs, look.limits) as crew:
        timers = {"decode": lambda: decoding(decoders, batches), "scan": lambda: scanning(crew, folder)}
        timing.take_turns(timers, 1)
        rounds = timing.take_turns(timers, options.rounds, alternate=True)
    ratio = timing.median_ratio(rounds["decode"], rounds["scan"])
    rates = [count / statistics.median(rounds[name]) for name in ("decode", "scan")]
    return f"| {side[1]}×{side[0]} | {rates[0]:.0f} | {rates[1]:.0f} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
