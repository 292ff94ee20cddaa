"""Index safety of every table: ``python tests/exhaustive_index_proof.py [MOST] [PART] [PARTS]``.

For all n_in, n_out up to MOST (2048) and every kernel: each output has at least one tap, ``0 <= start`` and
``start + width <= n_in``, and the taps that an output reads lie inside the ones that are stored for it. What is checked
is the arithmetic of operator.py in its own order, for all outputs of all n_out at a time; tests/test_native_plan.py
compares it with the tables themselves and checks their sums. With PARTS processes, PART 0 to PARTS - 1 share the work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from secure_resize.kernels import KERNELS

IntArray = npt.NDArray[np.int64]


def every_output(sizes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """All outputs of all n_out in ``sizes``: n_out and index of each, and where each n_out's outputs begin."""
    begin = np.cumsum(sizes) - sizes
    return np.repeat(sizes, sizes), np.arange(sizes.sum()) - np.repeat(begin, sizes), begin


def sampled_range(n_in: int, n_out: IntArray, i: IntArray, support: float) -> tuple[IntArray, IntArray]:
    """First and last (exclusive) tap of output i, as in operator.sampled_weights."""
    scale = n_in / n_out
    reach = support * np.maximum(scale, 1.0)
    center = (i + 0.5) * scale
    first = np.maximum((center - reach + 0.5).astype(np.int64), 0)
    return first, np.minimum((center + reach + 0.5).astype(np.int64), n_in)


def area_range(n_in: int, n_out: IntArray, i: IntArray) -> tuple[IntArray, IntArray]:
    """First and last (exclusive) pixel of output i's footprint, as in operator.integrated_weights."""
    divisor = np.gcd(n_in, n_out)
    big, small = n_in // divisor, n_out // divisor
    return i * big // small, -(-(i * big + big) // small)


def ranges(n_in: int, n_out: IntArray, i: IntArray) -> Iterator[tuple[str, IntArray, IntArray]]:
    """Every kernel's ranges; kernels of one support share them."""
    for support in sorted({kernel.support for kernel in KERNELS.values() if not kernel.integrated}):
        yield f"support {support}", *sampled_range(n_in, n_out, i, support)
    yield "area", *area_range(n_in, n_out, i)


def check(n_in: int, n_out: IntArray, i: IntArray, begin: IntArray) -> None:
    """AssertionError for the first table of ``n_in`` pixels that is not safe."""
    for name, first, last in ranges(n_in, n_out, i):
        width = np.maximum.reduceat(last - first, begin)
        assert (last > first).all(), (name, n_in, "an output without taps")
        assert (width <= n_in).all(), (name, n_in, "more taps than pixels")
        start = np.minimum(first, np.repeat(n_in - width, np.diff(np.append(begin, len(i)))))
        assert (start >= 0).all(), (name, n_in, "before the axis")
        assert (start <= first).all(), (name, n_in, "a tap before the stored ones")
        end = start + np.repeat(width, np.diff(np.append(begin, len(i))))
        assert (end <= n_in).all(), (name, n_in, "past the axis")
        assert (end >= last).all(), (name, n_in, "a tap past the stored ones")


def prove(n_ins: range, most: int) -> None:
    """Check every n_in of ``n_ins`` against every n_out up to ``most``."""
    # Some 20 000 outputs at a time stay in the cache.
    chunks, size = [], 0
    for n_out in range(1, most + 1):
        if size == 0:
            chunks.append([n_out])
        else:
            chunks[-1].append(n_out)
        size = (size + n_out) if size + n_out < 20_000 else 0
    outputs = [every_output(np.array(chunk)) for chunk in chunks]
    for n_in in n_ins:
        for n_out, i, begin in outputs:
            check(n_in, n_out, i, begin)


if __name__ == "__main__":
    most, part, parts = (int(x) for x in [*sys.argv[1:4], *["2048", "0", "1"][len(sys.argv) - 1 :]])
    prove(range(1 + part, most + 1, parts), most)
    print(f"every table of n_in, n_out <= {most} is safe (part {part} of {parts})")
