"""How long probing a photograph-sized resize takes, and how much memory: ``python benchmarks/bench_probe.py``.

Probes OpenCV's linear and area filters at 4000x3000 to 224x224 (uint8, RGB), checks that the operator predicts the
library and that area's stealth gain is 0 dB, then times it. Budget: 2 seconds and 500 MB each.
"""

import os
import resource
import subprocess
import sys
import time

import numpy as np

SCALERS = ("opencv:linear", "opencv:area", "opencv:nearest", "opencv:cubic")
IN_SIZE, OUT_SIZE = (3000, 4000), (224, 224)


def measure(name: str) -> None:
    import secure_resize as sr
    from secure_resize.measure.exposure import exposure
    from secure_resize.measure.probe import probe
    from secure_resize.measure.scalers import get_scaler

    scaler = get_scaler(name)
    scaler(np.zeros((32, 32, 3), np.uint8), (8, 8))  # the library's own loading is not the probe's
    before = time.perf_counter()
    operator = probe(scaler, IN_SIZE, OUT_SIZE)
    seconds = time.perf_counter() - before
    assert operator.residual <= 1.0, operator.residual  # half a level, and the library's own rounding
    found = exposure(operator)
    assert (name == "opencv:area") == (found.stealth_gain_db < 0.1), found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| {name} {scaler.version} | {seconds:.2f} s | {peak:.0f} MB | {operator.provenance.calls} | "
        f"{operator.residual:.2f} | {found.stealth_gain_db:.2f} ± {found.uncertainty_db:.2f} dB | {found.verdict} |"
    )
    assert sr.__version__


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    print(f"| {IN_SIZE[1]}x{IN_SIZE[0]} to 224x224, {os.cpu_count()} CPUs | time | peak memory | calls", end=" | ")
    print("residual (levels) | stealth gain | verdict |\n| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in SCALERS:  # each in its own process: the peak is its own
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    main()
