"""What routing costs a program: ``python benchmarks/bench_patch.py [rounds]``.

The training scripts of bench_trace.py, but for the detection model, on photographs of 500x375 that are scaled to
224x224: each run as it is and by ``secure-resize run --mode enforce``, in turns. First, every down-scaling of the
routed run must have been replaced, and as many as a hand count finds; then the processor time of the loops is compared:
the median of the paired ratios, and the ratio of the minima, which others on the machine disturb less. The robust
resizes' own time is in it. Budget: 3 %.

A second table says what of a call's cost is the filter (the robust one called by hand) and what the routing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench_trace import CASES, PICTURES, QUIET, Case
from timing import machine, median_ratio

import secure_resize as sr
from secure_resize import __version__
from secure_resize.audit.trace.calls import Seen, put_together
from secure_resize.audit.trace.live.records import read
from secure_resize.audit.trace.live.route import PATCH
from secure_resize.audit.trace.run import environment
from secure_resize.integrations import patched

SIZE = 224
# What the scripts of bench_trace.py say of 64x64, at this size.
LARGER = {"64 * 64": f"{SIZE} * {SIZE}", "(64, 64)": f"({SIZE}, {SIZE})", "Linear(7200": f"Linear({8 * 110 * 110}"}


def at_size(script: str) -> str:
    """The script, scaling to ``SIZE``."""
    for small, large in LARGER.items():
        script = script.replace(small, large)
    return script


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
    replaced = [call for call in replaced if call.kind != "decode"]  # scales nothing
    assert sum(call.count for call in replaced) == case.counted, seen.calls
    assert sum(call.traced for call in replaced) == case.traced, seen.calls


def measure(case: Case, script: Path, pictures: Path, rounds: int) -> None:
    script.write_text(at_size(case.script))
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


def microseconds(call: Any) -> float:
    """Of one call: the least of five times twenty."""
    best = float("inf")
    for _ in range(5):
        began = perf_counter()
        for _ in range(20):
            call()
        best = min(best, (perf_counter() - began) / 20)
    return 1e6 * best


def calls() -> list[tuple[str, Any, Any]]:
    """A call by its name, and what it is replaced by, called by hand; the last ones are left to the library."""
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    cv2.setNumThreads(1), torch.set_num_threads(1)
    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    picture, planes = Image.fromarray(image), torch.from_numpy(image).permute(2, 0, 1)[None].float()
    size, larger, scale = (SIZE, SIZE), (510, 385), torch.nn.functional.interpolate
    return [
        ("cv2.resize", lambda: cv2.resize(image, size), lambda: sr.resize(image, size, kernel="bilinear")),
        ("cv2.resize, nearest", lambda: cv2.resize(image, size, interpolation=0), lambda: sr.resize(image, size)),
        (
            "Image.resize, nearest",
            lambda: picture.resize(size, 0),
            lambda: Image.fromarray(sr.resize(np.asarray(picture), size)),
        ),
        (
            "interpolate, bilinear",
            lambda: scale(planes, size, mode="bilinear"),
            lambda: scale(planes, size, mode="bilinear", antialias=True),
        ),
        ("cv2.resize, larger", lambda: cv2.resize(image, larger), lambda: cv2.resize(image, larger)),
        ("Image.resize, larger", lambda: picture.resize(larger, 0), lambda: picture.resize(larger, 0)),
        ("interpolate, larger", lambda: scale(planes, larger[::-1]), lambda: scale(planes, larger[::-1])),
    ]


def measure_calls() -> None:
    """The table of single calls."""
    print(f"\n| call, 500x375 to {SIZE}x{SIZE}, us | stock | the robust filter | routed | of it, the routing |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, stock, robust in calls():
        plain, by_hand = microseconds(stock), microseconds(robust)
        with patched("cv2", "PIL", "torch"):
            routed = microseconds(stock)
        print(f"| {name} | {plain:.0f} | {by_hand:.0f} | {routed:.0f} | {routed - by_hand:.0f} |", flush=True)


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
    measure_calls()


if __name__ == "__main__":
    main()
