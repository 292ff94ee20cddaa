"""Every scaler reconstructed: ``python tests/reconstruct_sweep.py pairs|ratios COUNT [PATTERN] [SEED]``.

``pairs``: at COUNT random pairs of sizes, β from 1 to 20, ``reconstruct_resize`` is ``scaler(reconstruct(x))`` to the
byte, for both methods. ``ratios``: at COUNT ratios from 1 to 64, no read pixel keeps its influence: all of them are
changed, and the output stays; where the prefilter stands in, one is changed, and the output moves within its bound.
PATTERN (fnmatch) picks scalers. Prints a line a scaler; what fails is raised. The test suite runs a small part of it.
"""

from __future__ import annotations

import sys
import time
from fnmatch import fnmatchcase

import numpy as np

import secure_resize as sr
from secure_resize.probe import ProbeError
from secure_resize.reconstruct import make_plan
from secure_resize.scalers import SCALERS

BANDWIDTHS = (1, 2, 3)


def random_sizes(rng, largest=40_000):
    """(in_size, out_size) with β from 1 to 20 on each axis; whole ratios in a third of the cases."""
    while True:
        out_size = tuple(int(n) for n in rng.integers(2, 33, 2))
        ratio = rng.integers(1, 21, 2) if rng.random() < 1 / 3 else rng.uniform(1, 20, 2)
        in_size = tuple(int(n * r) for n, r in zip(out_size, ratio, strict=True))
        if in_size[0] * in_size[1] <= largest:
            return in_size, out_size


def random_image(rng, size):
    """Noise, or noise of black and white."""
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    return image if rng.random() < 0.5 else np.where(image < 128, np.uint8(0), np.uint8(255))


def check_pair(scaler, in_size, out_size, rng):
    """The two ways agree, and nothing that a vulnerable scaler reads is passed through."""
    image, key, bandwidth = random_image(rng, in_size), rng.bytes(32), int(rng.choice(BANDWIDTHS))
    for method in ("median", "random"):
        options = {"scaler": scaler, "method": method, "bandwidth": bandwidth, "key": key}
        whole = sr.reconstruct(image, out_size, **options)
        fast = sr.reconstruct_resize(image, out_size, **options)
        assert np.array_equal(fast, scaler(whole, out_size)), (scaler.name, in_size, out_size, bandwidth, method)


def check_influence(scaler, in_size, out_size, rng):
    """Changing what is read does not show, or no more than the prefilter lets through. Returns what was done."""
    plan = make_plan(scaler, in_size, out_size, 2.0, "uint8")
    if plan.unchanged:
        return "unchanged"
    image = rng.integers(0, 256, (*in_size, 3), np.uint8)
    before = sr.reconstruct_resize(image, out_size, scaler=scaler)
    rows, cols = plan.selection.rows, plan.selection.cols
    if not plan.falls_back:
        image[np.ix_(rows, cols)] = rng.integers(0, 256, (len(rows), len(cols), 3), np.uint8)
        assert np.array_equal(sr.reconstruct_resize(image, out_size, scaler=scaler), before), (scaler.name, in_size)
        return "median"
    y, x = rows[rng.choice(plan.fallback[0])], cols[rng.choice(plan.fallback[1])]
    moved = image.copy()
    moved[y, x] = np.where(image[y, x] < 128, 255, 0)
    after = sr.reconstruct_resize(moved, out_size, scaler=scaler)
    bound = 1.0
    for axis, taps, index, place in zip(
        (plan.operator.rows, plan.operator.cols), plan.footprints, (rows, cols), (y, x), strict=True
    ):
        fallback = plan.fallback[0 if index is rows else 1]
        weight = sr.AxisOperator(taps.n_in, taps.n_out, taps.start.astype(np.int64), taps.weights / taps.unit).dense()
        bound = np.multiply.outer(bound, np.abs(axis.dense()[:, index[fallback]]) @ weight[:, place])
    # The means are rounded, before and after: by up to half a level each, times what the scaler makes of a level; the
    # scaler rounds both outputs, some twice and with weights of 11 bits; a probe's weights have their deviation.
    gain = np.prod([np.abs(axis.weights).sum(axis=1).max() for axis in (plan.operator.rows, plan.operator.cols)])
    slack = gain + 3 + 255 * 4 * max(plan.tolerance)
    change = np.abs(after.astype(int) - before).max(axis=2)
    assert (change <= 255 * bound.reshape(out_size) + slack).all(), (scaler.name, in_size, change.max())
    assert bound.max() < 1, (scaler.name, in_size)  # not passed through
    return "prefilter"


def sweep_pairs(scaler, count, rng):
    """{what happened: how often}; refused pairs are those at which no operator describes the scaler."""
    seen = {"equal": 0, "refused": 0}
    for _ in range(count):
        sizes = random_sizes(rng)
        try:
            check_pair(scaler, *sizes, rng)
        except ProbeError as error:
            seen["refused"] += 1
            seen["last refusal"] = f"{sizes}: {str(error)[:90]}"
        else:
            seen["equal"] += 1
    return seen


def sweep_ratios(scaler, count, rng):
    """The same for ``count`` ratios from 1 to 64 along the rows; 2.9 along the columns, or the same."""
    seen: dict[str, int] = {}
    for height in np.unique(np.round(np.geomspace(8, 512, count)) if count < 100 else np.linspace(8, 512, count)):
        in_size = (int(height), 23 if rng.random() < 0.8 else min(int(height), 64))
        try:
            done = check_influence(scaler, in_size, (8, 8), rng)
        except ProbeError as error:
            done = "refused"
            seen["last refusal"] = f"{in_size}: {str(error)[:90]}"
        seen[done] = seen.get(done, 0) + 1
    return seen


def main() -> None:
    what, count = sys.argv[1], int(sys.argv[2])
    pattern, seed = (sys.argv[3:] + ["*", "0"][len(sys.argv) - 3 :])[:2]
    for scaler in SCALERS.values():
        if scaler.installed and fnmatchcase(scaler.name, pattern):
            started, rng = time.perf_counter(), np.random.default_rng(int(seed))
            seen = {"pairs": sweep_pairs, "ratios": sweep_ratios}[what](scaler, count, rng)
            print(f"{scaler.name:36} {time.perf_counter() - started:6.1f} s  {seen}", flush=True)


if __name__ == "__main__":
    import torchvision  # noqa: F401  (before TensorFlow, or the process ends)

    main()
