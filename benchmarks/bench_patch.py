"""What routing costs a program: ``python benchmarks/bench_patch.py [rounds]``.

The training scripts of bench_trace.py, but for the detection model, on photographs: each run as it is and by
``secure-resize run --mode enforce``, in turns. First, every down-scaling of the routed run must have been replaced, and
as many as a hand count finds; then the processor time of the loops is compared: the median of the paired ratios, and
the ratio of the minima, which others on the machine disturb less. The robust resizes' own time is in it. Budget: 3 %.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench_trace import CASES, PICTURES, QUIET, Case
from timing import machine, median_ratio

from secure_resize import __version__
from secure_resize.audit.trace.calls import Seen, put_together
from secure_resize.audit.trace.live.records import read
from secure_resize.audit.trace.live.route import PATCH
from secure_resize.audit.trace.run import environment


def run(script: Path, pictures: Path, folder: str | None) -> float:
    """The processor seconds of the script's loop."""
    variables = {**os.environ, **QUIET}
    if folder:
        variables = {**environment(folder, variables), PATCH: "enforce:"}
    done = subprocess.run([sys.executable, script, pictures], env=variables, capture_output=True, check=True)
    return float(done.stderr.split()[-1])


def check(case: Case, seen: Seen) -> None:
    """All that was counted by hand was replaced."""
    assert not seen.failures, seen.failures
    replaced = [call for call in seen.calls if call.replaced]
    assert len(replaced) == len(seen.calls), seen.calls
    assert sum(call.count for call in replaced) == case.counted, seen.calls
    assert sum(call.traced for call in replaced) == case.traced, seen.calls


def measure(case: Case, script: Path, pictures: Path, rounds: int) -> None:
    script.write_text(case.script)
    plain, routed = [], []
    versions: dict[str, str] = {}
    for number in range(rounds):
        for with_routes in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                seconds = run(script, pictures, folder if with_routes else None)
                (routed if with_routes else plain).append(seconds)
                if with_routes:
                    seen = put_together(read(folder))
                    check(case, seen)
                    versions = seen.versions
    figures = median_ratio(routed, plain), min(routed) / min(plain)
    shown = " | ".join(f"{100 * (one - 1):+.1f} %" for one in figures)
    named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    counted = f"{case.counted}" if case.counted else f"traced {case.traced} times"
    print(f"| {case.name} | {named} | {counted} | {median(plain):.2f} s | {shown} |", flush=True)


def main() -> None:
    from PIL import Image
    from skimage import data

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{machine()}, {os.cpu_count()} CPUs, load {load}, secure_resize {__version__}, {rounds} rounds\n")
    print("| script | libraries | replaced | loop without | with, median of the ratios | ratio of the minima |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        for k in range(PICTURES):
            name = ("astronaut", "coffee", "chelsea", "rocket")[k % 4]
            (pictures / f"class{k % 2}").mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(getattr(data, name)()).resize((500 + k, 375))
            image.save(pictures / f"class{k % 2}" / f"{k:02}.jpg", quality=90)
        for case in CASES:
            if "detection" not in case.name:  # whose inner resizes are no pictures'
                measure(case, Path(folder) / "script.py", pictures, rounds)


if __name__ == "__main__":
    main()
