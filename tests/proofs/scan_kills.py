"""A scan that is killed again and again ends with the report of one that was not: ``scan_kills.py IMAGES KILLS``.

Generates IMAGES small pictures, some of them attacked, in folders, tar archives and a Parquet file, and broken ones;
scans them once undisturbed and once with KILLS times SIGKILL, at random moments, to the scan or to one of its
processes. Every file of the two reports must be the same, byte for byte. Prints how long it took and how much memory
the scanning process had at most.

    nice python tests/proofs/scan_kills.py 100000 100 [--seed 0] [--jobs 2] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import secure_resize as sr
from secure_resize.scan.ledger import Ledger

SIZE, SMALL = (48, 48), (12, 12)
SCALER = "opencv:nearest"
REPORTS = ("report.json", "report.csv", "report.parquet", "report.html", "list.txt")


@cache
def base(number: int) -> np.ndarray[Any, Any]:
    """A smooth and noisy picture."""
    rng = np.random.default_rng(number)
    rows, columns = (np.sin(np.arange(side) / rng.uniform(4, 30)) for side in SIZE)
    image = 128 + 40 * np.add.outer(rows, columns)[..., None] + rng.normal(0, 15, 3) + rng.normal(0, 3, (*SIZE, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def picture(number: int) -> bytes:
    """A small picture as a file, unlike all others; every 50th attacked, every 97th broken."""
    image = base(number % 512).copy()
    image[0, 0] = np.frombuffer(number.to_bytes(3, "big"), np.uint8)
    if number % 50 == 0:
        step = SIZE[0] // SMALL[0]
        image[::step, ::step] = np.random.default_rng(number).integers(0, 2, (*SMALL, 1)) * 255
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "PNG" if number % 3 else "BMP", compress_level=1)
    data = file.getvalue()
    return data[: len(data) // 2] if number % 97 == 0 else data


def make(folder: Path, images: int) -> None:
    """Half of them as files, the rest in archives and, where pyarrow is, a table."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        parquet = None
    files = images // 2
    for number in range(files):
        path = folder / f"files/{number // 1000:03d}/{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    rest = range(files, images)
    shards = max(2, len(rest) // 5000)
    for shard in range(shards):
        part = rest[shard::shards]
        if parquet and shard == 0:
            rows = [{"image": {"bytes": picture(number), "path": f"{number}.png"}} for number in part]
            parquet.write_table(arrow.Table.from_pylist(rows), folder / "table.parquet", row_group_size=500)
            continue
        with tarfile.open(folder / f"shard-{shard:03d}.tar", "w") as archive:
            for number in part:
                data = picture(number)
                member = tarfile.TarInfo(f"{number:06d}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def start(folder: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    """A scan in a process of its own."""
    command = [sys.executable, __file__, "--scan", str(folder), str(out), str(jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment)


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def rows(out: Path) -> int:
    """How many rows the ledger of a scan that was killed has."""
    try:
        with Ledger(out / "ledger.sqlite") as ledger:
            return sum(number for kind, number in ledger.counts().items() if kind != "suspicious")
    except RuntimeError:  # its workers have not all noticed yet
        return -1


def progressed(out: Path) -> bool:
    """Whether the scan that runs has added rows, which it says in a file that is taken away here."""
    path = out / "progress"
    if not path.exists():
        return False
    path.unlink()
    return True


def disturb(
    folder: Path, out: Path, jobs: int, kills: int, rng: random.Random, seconds: float
) -> tuple[int, list[int]]:
    """Scan, ending processes ``kills`` times while it does; how many were the scan itself, and the rows known then."""
    ended, known = 0, []
    running = start(folder, out, jobs)
    for _ in range(kills):
        if rng.random() < 0.8:  # most come when something has been done, some at any time
            progressed(out)
            while not progressed(out) and running.poll() is None:
                time.sleep(0.01)
        try:
            running.wait(rng.uniform(0, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            pass
        else:
            print("it finished before the last kill", file=sys.stderr)
            break
        below = children(running.pid)
        if below and rng.random() < 0.25:
            os.kill(rng.choice(below), signal.SIGKILL)
        else:
            running.kill()
            running.wait()
            ended += 1
            known.append(rows(out))
            running = start(folder, out, jobs)
    if running.wait() != 0:
        raise SystemExit(f"the disturbed scan ended with exit code {running.returncode}")
    return ended, known


def compare(first: Path, second: Path) -> list[str]:
    """The files that differ."""
    return [
        name
        for name in REPORTS
        if (first / name).exists() != (second / name).exists()
        or ((first / name).exists() and (first / name).read_bytes() != (second / name).read_bytes())
    ]


def scan(folder: str, out: str, jobs: str) -> None:
    """In the process: scan, and note how much memory it had at most."""

    def heard(pictures: int, *others: int) -> None:
        if pictures:
            (Path(out) / "progress").touch()

    listed = Path(out) / "list.txt"
    report = sr.scan.scan(folder, size=SMALL, scalers=[SCALER], out=out, jobs=int(jobs), list_to=listed, heard=heard)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    (Path(out) / "peak.json").write_text(json.dumps({"peak_kib": int(peak.split()[1]), "exit": report.exit_code()}))


def prove(
    images: int, kills: int, *, seed: int = 0, jobs: int = 2, keep: Path | None = None
) -> tuple[list[str], list[int]]:
    """Run both scans; the files in which they differ, and how many rows were known whenever the scan was killed."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = keep or Path(temporary)
        folder = root / "data"
        if not folder.exists():
            make(folder, images)
        began = time.monotonic()
        if start(folder, root / "undisturbed", jobs).wait() != 0:
            raise SystemExit("the undisturbed scan failed")
        took = time.monotonic() - began
        began = time.monotonic()
        # Spread over the time that it takes: each kill costs the start of the processes as well.
        ended, known = disturb(folder, root / "killed", jobs, kills, rng, took / kills)
        again = time.monotonic() - began
        found = compare(root / "undisturbed", root / "killed")
        peak = json.loads((root / "undisturbed" / "peak.json").read_text())["peak_kib"] / 1024
        size = (root / "undisturbed" / "report.json").stat().st_size / 2**20
        print(
            f"{images} pictures: {took:.0f} s undisturbed ({images / took:.0f} a second), {again:.0f} s with {kills} "
            f"kills, {ended} of them of the scan itself, which knew {known} rows; peak of the scanning process "
            f"{peak:.0f} MiB; report.json {size:.1f} MiB; files that differ: {', '.join(found) or 'none'}"
        )
    return found, known


if __name__ == "__main__":
    if sys.argv[1:2] == ["--scan"]:
        scan(*sys.argv[2:])
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    sys.exit(bool(prove(options.images, options.kills, seed=options.seed, jobs=options.jobs, keep=options.keep)[0]))
