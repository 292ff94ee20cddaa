"""Is the stealth gain ever beaten? ``python benchmarks/check_bound.py [CHANGES]`` (default 100 000), exit code 1 if so.

Every installed scaler is probed at three sizes. Source changes are then run through the real library, on uint8 images
and in whole levels: a third random (dense, sparse, blocks, noise of both signs), a third random combinations of the
operator's strongest singular pairs, a third the worst change itself at all strengths and least attacks on random
targets. A violation is RMS(output change) > G · RMS(source change), beyond what rounding can explain: the library's
residual on either image, as it was measured when the operator was probed.
"""

import sys
import time
from collections import Counter

import numpy as np

from secure_resize.measure.certificates import least_attack
from secure_resize.measure.exposure import exposure
from secure_resize.measure.probe import ProbeError, probe
from secure_resize.measure.scalers import SCALERS

SIZES = [((48, 40), (12, 10)), ((49, 37), (11, 13)), ((35, 45), (7, 9))]
KINDS = ("random", "singular", "optimised")


def changes(kind, operator, count, rng):
    """``count`` source changes (count, H, W) in levels, not yet cut off."""
    height, width = operator.in_size
    if kind == "random":
        dense = rng.normal(size=(count, height, width))
        dense *= rng.random((count, height, width)) < rng.choice([0.01, 0.1, 0.5, 1.0], (count, 1, 1))
        dense[::4] = np.sign(dense[::4])
    elif kind == "singular":
        vectors = [np.linalg.svd(axis.dense(), full_matrices=False)[2] for axis in (operator.rows, operator.cols)]
        few = [v[: max(1, len(v) // 3)] for v in vectors]
        mixes = rng.normal(size=(count, len(few[0]), len(few[1])))
        dense = np.einsum("kij,ih,jw->khw", mixes, *few)
    else:
        targets = rng.normal(size=(*operator.out_size, count)) ** 3
        dense = np.moveaxis(least_attack(operator, targets), -1, 0)
    peak = np.abs(dense).max(axis=(1, 2), keepdims=True)
    return dense / np.maximum(peak, 1e-12) * rng.uniform(1, 255, (count, 1, 1))


def main() -> int:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    names = [name for name, scaler in SCALERS.items() if scaler.installed]
    names.sort(key=lambda name: SCALERS[name].module not in ("torch", "torchvision", "kornia"))
    batch = -(-wanted // (len(names) * len(SIZES) * len(KINDS) * 3)) * 3
    rng, began = np.random.default_rng(0), time.perf_counter()
    tried, violations, closest, left_out = Counter(), 0, (-np.inf, ""), []
    for name in names:
        for in_size, out_size in SIZES:
            try:
                operator = probe(name, in_size, out_size)
            except ProbeError as error:
                left_out.append(f"{name} {in_size}: {error}")
                continue
            found = exposure(operator)
            gain = 10 ** ((found.stealth_gain_db + found.uncertainty_db) / 20)
            for kind in KINDS:
                delta = changes(kind, operator, batch, rng)
                delta = np.moveaxis(delta.reshape(batch // 3, 3, *in_size), 1, -1)
                # Half of them on grey, where there is room for large changes.
                bases = [np.full((*in_size, 3), 128, np.uint8), rng.integers(0, 256, (*in_size, 3), np.uint8)]
                before = [SCALERS[name](base, out_size).astype(float) for base in bases]
                for k, change in enumerate(delta):
                    attack = np.clip(np.round(bases[k % 2] + change), 0, 255).astype(np.uint8)
                    moved = SCALERS[name](attack, out_size) - before[k % 2]
                    spent = np.sqrt(np.mean((attack.astype(float) - bases[k % 2]) ** 2, axis=(0, 1)))
                    reached = np.sqrt(np.mean(moved**2, axis=(0, 1)))
                    excess = reached - gain * spent  # levels
                    violations += int((excess > 2 * operator.residual).sum())
                    ratio = np.where(spent > 20, reached / np.maximum(spent, 1e-9) / gain, 0).max()
                    closest = max(closest, (float(ratio), f"{name} at {in_size} to {out_size}, {kind}"))
                tried[kind] += batch
    print(f"{sum(tried.values())} source changes over {len(names)} scalers: {dict(tried)}")
    print(f"violations: {violations}")
    print(f"closest: {20 * np.log10(closest[0]):+.3f} dB of the bound and its uncertainty, {closest[1]}")
    for line in left_out:
        print(f"no operator: {line}")
    print(f"{time.perf_counter() - began:.0f} s")
    return int(violations > 0 or sum(tried.values()) < wanted)


if __name__ == "__main__":
    raise SystemExit(main())
