"""Is any statement that calls itself a bound ever false? ``python benchmarks/check_bound.py [IMAGES] [SCALER ...]``.

At least IMAGES attack images (default 12 000) go through the real libraries, as many through each of 15 scalers, in
whole levels: those of every method of ``craft``, of a descent of this file's own, worst changes, least attacks,
noise, single pixels and the source itself, each on noise, black and white, text and photographs. Of each it is checked
that

- the stealth gain, the L∞ gain and the influence hold, with what rounding may do to two outputs;
- no pair certificate says that it cannot be: of the source and the output that it reached, to within nothing and to
  within a few levels, and of the target that it was made for, to within what it missed;
- where the scaler samples, the reconstruction's certificate for the pixels that were changed.

Operators of our kernels, and of Pillow's, give bounds; probed ones estimates, counted apart, which may be off by the
stated uncertainty. Exit code 1 if any statement is false.
"""

import math
import sys
import time
from collections import Counter

import numpy as np

import secure_resize as sr
from secure_resize.attacks.craft import METHODS, craft, known_operator
from secure_resize.measure.certificates import least_attack, pair_certificate, worst_change
from secure_resize.measure.quality import psnr
from secure_resize.measure.rounding import rounding
from secure_resize.measure.scalers import SCALERS

BOUNDS = [f"secure_resize:{kernel}" for kernel in ("area", "bilinear", "hamming", "bicubic", "lanczos", "box")]
BOUNDS += ["pillow:bilinear", "pillow:bicubic", "pillow:lanczos"]
ESTIMATES = ["opencv:linear", "opencv:cubic", "opencv:area", "torch:bicubic", "torch:bilinear+antialias"]
ESTIMATES += ["tensorflow:bilinear"]
SIZES = [((48, 40), (12, 10)), ((50, 60), (20, 24)), ((49, 37), (11, 13)), ((33, 70), (15, 14))]
EPSILONS = (0.0, 1.0, 7.5, 20.0)
WAYS = (*METHODS, "descent", "descent", "worst", "sparse", "noise", "pixel", "pixels", "source")


def picture(rng, size, photo):
    """A source or what a target is made of, uint8 (H, W, 3)."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.integers(0, 256, (*size, 3), np.uint8)
    if kind == 1:
        return rng.choice(np.array([0, 255], np.uint8), (*size, 3))
    if kind == 2:
        return np.full((*size, 3), rng.integers(0, 256), np.uint8)
    if kind == 3:  # strokes, like text
        image = np.full((*size, 3), 255, np.uint8)
        for _ in range(12):
            y, x = (int(rng.integers(0, n)) for n in size)
            image[y : y + int(rng.integers(1, 12)), x : x + int(rng.integers(1, 3))] = 0
            image[y : y + int(rng.integers(1, 3)), x : x + int(rng.integers(1, 12))] = 0
        return 255 - image if rng.integers(2) else image
    top, left = (int(rng.integers(0, n - m)) for n, m in zip(photo.shape, size, strict=False))
    return np.ascontiguousarray(photo[top : top + size[0], left : left + size[1]])


def descend(source, target, operator, scaler, rng):
    """Towards the target along the real library's own residual, within a random budget, rounded at each step."""
    budget, image = rng.uniform(2, 120), source.astype(float)
    step = 1 / (operator.rows.norm * operator.cols.norm) ** 2
    for _ in range(25):
        missing = target - scaler(whole(image), operator.out_size).astype(float)
        change = image + step * rng.uniform(0.3, 1.7) * operator.adjoint(missing) - source
        spent = math.sqrt(np.mean(change**2))
        image = np.clip(source + change * min(1.0, budget / max(spent, 1e-9)), 0, 255)
    return whole(image)


def whole(image):
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def attacked(way, source, target, operator, name, rng):
    """One attack image by ``way``; epsilon as the craft's is drawn."""
    scaler = SCALERS[name]
    if way in METHODS:
        try:
            return craft(source, target, name, method=way, epsilon=float(rng.choice(EPSILONS)), iterations=60).image
        except ValueError:  # the method is for other scalers
            way = "descent"
    if way == "descent":
        return descend(source, target, operator, scaler, rng)
    if way == "worst":
        change = worst_change(operator)[0][..., None] * rng.choice([-1.0, 1.0], 3)
        return whole(source + change / np.abs(change).max() * rng.uniform(1, 255))
    if way == "sparse":
        change = least_attack(operator, rng.normal(size=(*operator.out_size, 3)) ** 3)
        return whole(source + change / np.abs(change).max() * rng.uniform(1, 255))
    if way == "noise":
        return whole(source + rng.normal(size=source.shape) * rng.choice([1, 8, 60]))
    image = source.copy()
    for _ in range({"pixel": 1, "pixels": int(rng.integers(2, 30))}.get(way, 0)):
        image[int(rng.integers(source.shape[0])), int(rng.integers(source.shape[1]))] = rng.integers(0, 256, 3)
    return image


class Ledger:
    """What was checked, and what was false."""

    def __init__(self):
        self.checked, self.broken, self.tightest = Counter(), Counter(), {}

    def holds(self, statement, kind, excess, where):
        """``excess``: by how much what was seen lies beyond what was said, in the statement's own unit."""
        self.checked[statement, kind] += 1
        if excess > self.tightest.get((statement, kind), (-math.inf, ""))[0]:
            self.tightest[statement, kind] = (excess, where)
        if excess > 1e-9:
            self.broken[statement, kind] += 1


def check(ledger, name, operator, source, image, target, way, iterations=40):
    """Every statement about ``image`` as an attack on ``source``."""
    scaler, known, found = SCALERS[name], rounding(operator, SCALERS[name].kernel or None), sr.exposure(operator)
    kind, where = "estimate" if known.is_estimate else "bound", f"{name} {operator.in_size} {way}"
    before, after = (scaler(x, operator.out_size).astype(float) for x in (source, image))
    delta, moved, slack = image.astype(float) - source, after - before, 2 * known.levels
    gain = 10 ** ((found.stealth_gain_db + found.uncertainty_db) / 20)
    rms = math.sqrt(np.mean(moved**2)) - gain * math.sqrt(np.mean(delta**2)) - slack
    ledger.holds("stealth gain, levels", kind, rms, where)
    far = np.abs(moved).max() - found.linf_gain * np.abs(delta).max() - slack
    ledger.holds("L-infinity gain, levels", kind, far, where)
    if np.count_nonzero(delta.any(axis=2)) == 1:
        one = np.abs(moved).max() - found.influence / 255 * np.abs(delta).max() - slack
        ledger.holds("influence of a pixel, levels", kind, one, where)
    reached = psnr(image, source)
    missed = float(np.abs(after - target).max())
    for goal, epsilon in ((after, 0.0), (whole(after + 3 * np.sign(target - after)), 3.0), (target, missed)):
        certificate = pair_certificate(source, goal, operator, epsilon=epsilon, iterations=iterations)
        assert certificate.is_estimate == (kind == "estimate")
        beyond = reached - certificate.psnr_bound - certificate.uncertainty_db if math.isfinite(reached) else -math.inf
        if not math.isfinite(reached) and math.isfinite(certificate.psnr_bound):
            beyond = math.inf
        ledger.holds("pair certificate, dB", kind, beyond, where)
        if reached >= 15 and certificate.impossible:
            ledger.holds("pair proved impossible", kind, math.inf, where)
    if scaler.sampling is not None and way in ("pixel", "pixels", "source"):
        budget = int(np.count_nonzero(delta.any(axis=2)))
        low, high = sr.reconstruction_info(source, operator.out_size, scaler=name).certificate(budget)
        out = sr.reconstruct_resize(image, operator.out_size, scaler=name).astype(float)
        outside = float(np.maximum(low - out, out - high).max()) - known.levels
        ledger.holds("reconstruction's certificate, levels", kind, outside, where)


def main() -> int:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 12_000
    names = sys.argv[2:] or [name for name in BOUNDS + ESTIMATES if SCALERS[name].installed]
    names.sort(key=lambda name: SCALERS[name].module != "torch")  # torch before TensorFlow
    from skimage import data

    photos, ledger, began, ways = (
        [data.astronaut(), data.chelsea(), data.coffee()],
        Ledger(),
        time.perf_counter(),
        Counter(),
    )
    each = -(-wanted // (len(names) * len(SIZES)))
    for name in names:
        for number, (in_size, out_size) in enumerate(SIZES):
            rng = np.random.default_rng([number, *name.encode()])
            operator = known_operator(name, in_size, out_size)
            for count in range(each):
                source, other = (picture(rng, in_size, photos[count % 3]) for _ in range(2))
                target, way = sr.resize(other, out_size), WAYS[count % len(WAYS)]
                image = attacked(way, source, target, operator, name, rng)
                check(ledger, name, operator, source, image, target, way)
                ways[way] += 1
        print(f"{name}: {each * len(SIZES)} images, {sum(ledger.broken.values())} false so far", flush=True)
    print(
        f"{sum(ways.values())} attack images through {len(names)} scalers at {len(SIZES)} pairs of sizes: {dict(ways)}"
    )
    print(f"{'statement':38} {'kind':9} {'checked':>8} {'false':>6}  closest to it")
    for (statement, kind), number in sorted(ledger.checked.items()):
        excess, where = ledger.tightest[statement, kind]
        print(f"{statement:38} {kind:9} {number:8} {ledger.broken[statement, kind]:6}  {excess:+.3f} by {where}")
    print(f"{time.perf_counter() - began:.0f} s")
    return int(any(ledger.broken.values()) or sum(ways.values()) < wanted)


if __name__ == "__main__":
    raise SystemExit(main())
