"""Every scaler reconstructed: ``python tests/proofs/reconstruct_sweep.py pairs|ratios COUNT [PATTERN ...] [--jobs N]``.

``pairs``: at COUNT random pairs of sizes, β from 1 to 20, ``reconstruct_resize`` is ``scaler(reconstruct(x))`` to the
byte, for both methods. ``ratios``: at COUNT ratios from 1 to 64, no read pixel keeps its influence: all of them are
changed, and the output stays; where the prefilter stands in, some are changed, one at a time, and the output moves
within its bound. The random filter draws anew from a changed image: there, read pixels of a value that no other pixel
has are gone afterwards. And what the plan says is not read is not: changing it moves the library's own output by no
more than a probe's tolerance.

PATTERN (fnmatch) picks scalers. Prints a line a scaler, with the processor's seconds, and the totals; exits with 1 if
anything failed. Libraries run on one thread each: their images are small. The test suite runs a small part of it.
"""

from __future__ import annotations

import os

if __name__ in ("__main__", "__mp_main__"):  # read when the libraries are loaded
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = "1"
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}

import argparse
import contextlib
import hashlib
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatchcase
from multiprocessing import get_context
from typing import ClassVar

import numpy as np

import secure_resize as sr
from secure_resize.measure.blackbox import Window, open_boxes
from secure_resize.measure.probe import ProbeError
from secure_resize.measure.scalers import SCALERS
from secure_resize.reconstruction.plan import make_plan

BANDWIDTHS = (1, 2, 3)
# Of the columns, while β is swept along the rows: ratios of 1.5, 2.9 and 4.
COLUMNS = ((24, 16), (47, 16), (40, 10))


def random_sizes(rng, largest=6_000):
    """(in_size, out_size) with β from 1 to 20 on each axis; whole ratios in a third of the cases."""
    while True:
        out_size = tuple(int(n) for n in rng.integers(2, 17, 2))
        ratio = rng.integers(1, 21, 2) if rng.random() < 1 / 3 else rng.uniform(1, 20, 2)
        in_size = tuple(int(n * r) for n, r in zip(out_size, ratio, strict=True))
        if in_size[0] * in_size[1] <= largest:
            return in_size, out_size


def random_image(rng, size):
    """Noise, or noise of black and white."""
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    return image if rng.random() < 0.5 else np.where(image < 128, np.uint8(0), np.uint8(255))


def check_pair(scaler, in_size, out_size, rng):
    """The two ways agree, for both methods."""
    image, key, bandwidth = random_image(rng, in_size), rng.bytes(32), int(rng.choice(BANDWIDTHS))
    for method in ("median", "random"):
        options = {"scaler": scaler, "method": method, "bandwidth": bandwidth, "key": key}
        whole = sr.reconstruct(image, out_size, **options)
        fast = sr.reconstruct_resize(image, out_size, **options)
        assert np.array_equal(fast, scaler(whole, out_size)), (scaler.name, in_size, out_size, bandwidth, method)


def check_unread(scaler, plan, image, rng):
    """An unread pixel is not read: the library's own output moves by no more than the weights taken for 0 let it."""
    selection, operator = plan.selection, plan.operator
    free = ~np.multiply.outer(selection.read_rows, selection.read_cols)
    if not free.any():
        return
    moved = image.copy()
    if plan.closed_form:
        moved[free], allowed = 255 - image[free], 0.0
    else:
        y, x = (int(place) for place in np.argwhere(free)[rng.integers(int(free.sum()))])
        moved[y, x] = np.where(image[y, x] < 128, 255, 0)
        # A weight is a product, of which the factor of an unread row or column is within its tolerance.
        most = [float(np.abs(axis.weights).max()) for axis in (operator.rows, operator.cols)]
        weight = max(
            plan.tolerance[0] * (most[1] + plan.tolerance[1]), plan.tolerance[1] * (most[0] + plan.tolerance[0])
        )
        allowed = 255 * weight + 1  # and a rounding that it tips over
        allowed += any(d.code.endswith(("roundings", "filter")) for d in scaler.deviations(*operator_sizes(plan)))
    change = np.abs(scaler(moved, operator.out_size).astype(int) - scaler(image, operator.out_size)).max()
    assert change <= allowed, (scaler.name, "unread", operator_sizes(plan), int(change), allowed)


def operator_sizes(plan):
    return plan.operator.in_size, plan.operator.out_size


def check_influence(scaler, in_size, out_size, rng):
    """Changing what is read does not show, or no more than the prefilter lets through. Returns what was done."""
    plan = make_plan(scaler, in_size, out_size, 2.0, "uint8")
    if plan.unchanged:
        return "unchanged"
    image = rng.integers(0, 256, (*in_size, 3), np.uint8)
    check_unread(scaler, plan, image, rng)
    check_draws(scaler, plan, image)
    rows, cols = plan.selection.rows, plan.selection.cols
    before = sr.reconstruct_resize(image, out_size, scaler=scaler)
    if not plan.falls_back:
        image[np.ix_(rows, cols)] = rng.integers(0, 256, (len(rows), len(cols), 3), np.uint8)
        assert np.array_equal(sr.reconstruct_resize(image, out_size, scaler=scaler), before), (scaler.name, in_size)
        return "median"
    # One whose window is empty, and any one: a pixel with a median may lie in its neighbours' footprints.
    check_prefilter(
        scaler, plan, image, before, (rows[rng.choice(plan.fallback[0])], cols[rng.choice(plan.fallback[1])])
    )
    check_prefilter(scaler, plan, image, before, (rng.choice(rows), rng.choice(cols)))
    return "prefilter"


def check_draws(scaler, plan, image):
    """The random filter draws no read pixel: marked by a value of their own, none is left where it draws."""
    (rows, cols), (empty_rows, empty_cols) = (plan.selection.rows, plan.selection.cols), plan.fallback
    marked = np.minimum(image, 254)
    marked[np.ix_(rows, cols)] = 255
    out = sr.reconstruct(marked, plan.operator.out_size, scaler=scaler, method="random")[np.ix_(rows, cols)]
    drawn = np.ones(out.shape[:2], bool)
    drawn[np.ix_(empty_rows, empty_cols)] = False
    assert (out[drawn] < 255).all(), (scaler.name, "drawn", operator_sizes(plan))


def check_prefilter(scaler, plan, image, before, place):
    """The pixel ``place`` (row, column) of ``image`` moves its output, ``before``, by its weight in the means."""
    rows, cols = plan.selection.rows, plan.selection.cols
    moved = image.copy()
    moved[place] = np.where(image[place] < 128, 255, 0)
    after = sr.reconstruct_resize(moved, plan.operator.out_size, scaler=scaler)
    bound = 1.0
    for axis, taps, read, empty, at in zip(
        (plan.operator.rows, plan.operator.cols), plan.footprints, (rows, cols), plan.fallback, place, strict=True
    ):
        weight = sr.AxisOperator.of(taps).dense()
        bound = np.multiply.outer(bound, np.abs(axis.dense()[:, read[empty]]) @ weight[:, at])
    # The means are rounded, before and after: by up to half a level each, times what the scaler makes of a level; the
    # scaler rounds both outputs, some twice and with weights of 11 bits; a probe's weights have their deviation.
    gain = np.prod([np.abs(axis.weights).sum(axis=1).max() for axis in (plan.operator.rows, plan.operator.cols)])
    slack = gain + 3 + 255 * 4 * max(plan.tolerance)
    change = np.abs(after.astype(int) - before).max(axis=2)
    assert (change <= 255 * bound.reshape(change.shape) + slack).all(), (
        scaler.name,
        operator_sizes(plan),
        change.max(),
    )
    assert bound.max() < 1, (scaler.name, operator_sizes(plan))  # not passed through


def sweep_pairs(scaler, count, rng, probed_in_full=2):
    """{what happened: how often}; refused pairs are those at which no operator describes the scaler.

    After the first pairs, those ``probed_in_full``, what the scaler reads is found axis by axis, which takes less time.
    """
    seen: Counter[str] = Counter()
    for k in range(count):
        sizes = random_sizes(rng)
        with contextlib.nullcontext() if k < probed_in_full else Axes():
            attempt(seen, lambda *sizes: check_pair(scaler, *sizes, rng) or "equal", *sizes)
    return seen


def sweep_ratios(scaler, count, rng):
    """The same for ``count`` ratios from 1 to 64 along the rows."""
    seen: Counter[str] = Counter()
    with Axes() as axes:
        for k, ratio in enumerate(np.geomspace(1, 64, count) if count < 100 else np.linspace(1, 64, count)):
            n_out = 3 + k % 2
            width, columns = COLUMNS[rng.choice(len(COLUMNS), p=(0.5, 0.3, 0.2))]
            sizes = (max(n_out, round(ratio * n_out)), width), (n_out, columns)
            attempt(seen, lambda *sizes: check_influence(scaler, *sizes, rng), *sizes)
        if axes.full:
            seen["probed in full"] = axes.full
    return seen


def attempt(seen, check, in_size, out_size):
    """Count what ``check`` says, and keep what it raises."""
    try:
        seen[check(in_size, out_size)] += 1
    except ProbeError as error:
        seen[f"refused: {in_size} to {out_size}: {str(error)[:120]}"] += 1
    except Exception as error:  # a sweep is to find all of them
        seen[f"FAILED: {in_size} to {out_size}: {type(error).__name__} {str(error)[:200]}"] += 1


class Axes:
    """Within it a probe recovers an axis from images that are ``ACROSS`` pixels across and stay so, each axis once.

    Many experiments fit side by side in one of those, whatever the size of the output is. Scalers that make the same
    bytes of a random one (a library's under two names) share what is found. All else that a probe does it does at the
    real sizes, and so checks there, on random images, the operator that is put together from the two axes. What does
    not pass is probed in full.
    """

    ACROSS = 64
    known: ClassVar[dict[tuple[object, ...], object]] = {}

    # What of the recovery is replaced meanwhile.
    REPLACED = ("_Bench", "_recover_axis", "_recover_whole")

    def __init__(self):
        self.module, self.user = (
            sys.modules[f"secure_resize.{name}"] for name in ("measure.recover", "reconstruction.plan")
        )
        self.probe = self.user.probe
        self.whole = {name: getattr(self.module, name) for name in self.REPLACED}
        self.full = 0

    def __enter__(self):
        self.user.probe = self.by_axes
        return self

    def __exit__(self, *error):
        self.user.probe = self.probe

    def by_axes(self, scaler, in_size, out_size, **options):
        self.scaler = scaler
        self.replace(_Bench=lambda *bench: bench, _recover_axis=self.recover, _recover_whole=self.refuse)
        try:
            return self.probe(scaler, in_size, out_size, **options)
        except ProbeError as error:
            if "operator" in error.evidence or "itself fails" in str(error):
                self.replace(**self.whole)
                self.full += 1
                return self.probe(scaler, in_size, out_size, **options)
            raise
        finally:
            self.replace(**self.whole)

    def replace(self, **functions):
        for name, function in functions.items():
            setattr(self.module, name, function)

    def refuse(self, bench):
        raise ProbeError("what is put together from two axes does not predict", operator=None)

    def recover(self, bench):
        """Instead of ``_recover_axis``; gets what a ``_Bench`` is made of."""
        window, _, axis, rng = bench
        n_in, n_out = window.in_size[axis], window.out_size[axis]
        across = self.ACROSS
        sizes = [(n_in, across), (n_out, across)] if axis == 0 else [(across, n_in), (across, n_out)]
        (thin,) = open_boxes(self.scaler, *sizes, window.box.dtype, "auto")
        noise = np.random.default_rng(n_in).integers(0, 256, (*sizes[0], 3), np.uint8)
        key = thin.dtype, axis, n_in, n_out, hashlib.sha256(thin(noise).tobytes()).digest()
        if key not in self.known:
            parts = [(slice(0, height), slice(0, width)) for height, width in sizes]
            whole = Window(thin, *parts, np.arange(3), False, np.ones(3, int))
            made = self.whole["_Bench"](whole, self.module._colours(whole), axis, rng)
            self.known[key] = self.whole["_recover_axis"](made)
        return self.known[key]


def good(what):
    return not what.startswith(("FAILED", "refused"))


def prepare():
    """Before TensorFlow: loaded after it, torchvision ends the process."""
    with contextlib.suppress(ImportError):
        import torch
        import torchvision  # noqa: F401

        torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)


def sweep(what, name, count, seed):
    """Of the scaler called ``name``: what was seen, and in how many of the processor's seconds."""
    started, rng = time.process_time(), np.random.default_rng(seed)
    seen = {"pairs": sweep_pairs, "ratios": sweep_ratios}[what](SCALERS[name], count, rng)
    return seen, time.process_time() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pairs", "ratios"))
    parser.add_argument("count", type=int)
    parser.add_argument("pattern", nargs="*", default=["*"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    started, used, total = time.perf_counter(), 0.0, Counter()
    names = [s.name for s in SCALERS.values() if s.installed and any(fnmatchcase(s.name, p) for p in options.pattern)]
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), prepare) as pool:
        jobs = {pool.submit(sweep, options.what, name, options.count, options.seed): name for name in names}
        for job in as_completed(jobs):
            seen, seconds = job.result()
            used += seconds
            line = ", ".join(f"{number} {what}" for what, number in seen.items() if good(what))
            print(f"{jobs[job]:36} {seconds:6.1f} s  {line}", flush=True)
            for problem in (what for what in seen if not good(what)):
                print(f"    {problem}", flush=True)
            for what, number in seen.items():
                total[what if good(what) else what.partition(":")[0]] += number
    elapsed = time.perf_counter() - started
    print(f"{len(names)} scalers, {used:.0f} s of the processor's time in {elapsed:.0f} s: {dict(total)}")
    return int(any(not good(what) for what in total))


if __name__ == "__main__":
    sys.exit(main())
