"""Every table there is up to a size, checked: ``python tests/proofs/exhaustive_index_proof.py [MOST] [PART] [PARTS]``.

For all n_in, n_out up to MOST (2048), every kernel and every output:

- *Index safety*: it has at least one tap, ``0 <= start``, ``start + width <= n_in``, ``start`` never descends, and the
  taps that it reads lie inside the ones that are stored for it.
- *uint16* (and ``area`` in either dtype): the integer weights sum exactly to the unit.
- *uint8*: Pillow's taps are each rounded on their own, and its bytes need them so; their sums cannot be exact. They are
  so near the unit that a constant image of any value from 0 to 255 keeps it: ``-2²¹ <= 255 (sum - 2²²) < 2²¹``, after
  which ``(value sum + 2²¹) >> 22 == value``. No tap needs more than three signed bytes, and 255 times the sum of a
  row's absolute taps, and the half that rounds, stay below 2³¹: what lets the C core add in int32.
- *uint8 with AVX2*: each row's taps can be split in the parts of split.h, whose sums fit int16. This runs the C core's
  own ``find_split`` wherever a simpler split does not show at once that it finds one. Of more than 256 outputs, every
  sixteenth number of them: the C core splits each table when it is made, and leaves to plain C what it cannot split.

There are some 10¹¹ taps, too many for numpy, so this is done in C: ``table_proof.c`` repeats core/taps.py in
its own order of operations, on the kernels of kernels.py themselves, which are written against any
namespace and are handed one here that writes C. tests/test_native_tables.py compares the tables that come out with the
package's. With PARTS processes, PART 0 to PARTS - 1 share the work.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_resize.core.kernels import KERNELS, Kernel

SOURCE = Path(__file__).with_name("table_proof.c")
CORE = Path(__file__).parents[2] / "secure_resize" / "core" / "native"  # split.h
# The order of `Fault` in table_proof.c.
FAULTS = [
    "safe",
    "an output without taps",
    "more taps than pixels",
    "before the axis",
    "past the axis",
    "a tap outside the stored ones",
    "start descends",
    "a tap of more than three signed bytes, or no number",
    "taps that the AVX2 kernel cannot split",
    "a constant uint8 image would change",
    "a sum of uint8 would leave int32",
    "a sum for uint16 is not the unit",
    "a sum of area is not the unit",
    "a covered pixel does not count as whole",
]


class CExpression:
    """What a kernel computes with instead of an array: a C expression, which it adds to a list of C statements."""

    def __init__(self, text: str, lines: list[str]) -> None:
        self.text, self.lines = text, lines

    def new(self, expression: str, kind: str = "double") -> CExpression:
        """A C variable that holds ``expression``."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"const {kind} {name} = {expression};")
        return CExpression(name, self.lines)


def text(value: Any) -> str:
    """A C expression or a number in C, to the last bit."""
    return value.text if isinstance(value, CExpression) else f"({float(value).hex()})"


def _define(name: str, sign: str, kind: str) -> None:
    setattr(CExpression, f"__{name}__", lambda a, b: a.new(f"{text(a)} {sign} {text(b)}", kind))
    if kind == "double":
        setattr(CExpression, f"__r{name}__", lambda a, b: a.new(f"{text(b)} {sign} {text(a)}", kind))


for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
    _define(_name, _sign, "double")
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "and": "&", "or": "|"}.items():
    _define(_name, _sign, "int")
CExpression.__neg__ = lambda a: a.new(f"-{a.text}")  # type: ignore[attr-defined]


class CNamespace:
    """The part of numpy's namespace that kernels.py allows itself."""

    @staticmethod
    def where(condition: CExpression, a: Any, b: Any) -> CExpression:
        return condition.new(f"{condition.text} ? {text(a)} : {text(b)}")

    @staticmethod
    def abs(a: CExpression) -> CExpression:
        return a.new(f"fabs({a.text})")

    @staticmethod
    def round(a: CExpression) -> CExpression:
        return a.new(f"rint({a.text})")  # halves to even, as numpy's


def c_function(kernel: Kernel) -> str:
    """The kernel's function in C."""
    lines: list[str] = []
    result = text(kernel.function(CExpression("x", lines), CNamespace))
    body = "".join(f"    {line}\n" for line in lines)
    return f"static inline double {kernel.name}(double x) {{\n{body}    return {result};\n}}\n"


def kernels_header(kernels: Mapping[str, Kernel]) -> str:
    """``kernels.h`` as table_proof.c wants it."""
    functions, cases = [], []
    for number, kernel in enumerate(kernels.values()):
        if kernel.integrated:
            call = "integrated(n_in, n_out, totals, table)"
        else:
            functions.append(c_function(kernel))
            call = f"sampled({kernel.name}, {kernel.support.hex()}, n_in, n_out, totals, table)"
        cases.append(f"        case {number}: return {call};\n")
    arguments = "int kernel, int32_t n_in, int32_t n_out, Totals* totals, Table* table"
    return (
        "\n".join(functions)
        + f"\nstatic Fault run({arguments}) {{\n    switch (kernel) {{\n{''.join(cases)}    }}\n    abort();\n}}\n"
    )


class _Totals(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("rows", "taps", "off", "absolute")]


class _Table(ctypes.Structure):
    _fields_ = [("width", ctypes.c_int32), *((name, ctypes.c_void_p) for name in ("start", "uint8", "uint16"))]


class Checker:
    """table_proof.c for some kernels, compiled; ``edit`` replaces parts of its text, to see it fail."""

    def __init__(self, kernels: Mapping[str, Kernel] = KERNELS, edit: Mapping[str, str] | None = None) -> None:
        self.names = list(kernels)
        self.totals = {name: _Totals() for name in kernels}
        source = SOURCE.read_text()
        for old, new in (edit or {}).items():
            if old not in source:
                raise ValueError(f"{SOURCE.name} does not contain {old!r}")
            source = source.replace(old, new)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "kernels.h").write_text(kernels_header(kernels))
            Path(folder, SOURCE.name).write_text(source)
            # Nothing here may change a bit: no contraction to fused operations, no reordering.
            flags = "-std=gnu11 -O3 -march=native -ffp-contract=off -fno-math-errno -fno-trapping-math -shared -fPIC"
            if platform.machine() == "x86_64":
                flags += " -mprefer-vector-width=512"
            command = ["cc", *flags.split(), f"-I{CORE}", SOURCE.name, "-o", "proof.so", "-lm"]
            subprocess.run(command, cwd=folder, check=True)
            self._library = ctypes.CDLL(str(Path(folder, "proof.so")))

    def prove(self, n_ins: Iterable[int], most: int) -> None:
        """AssertionError for the first table, of n_in in ``n_ins`` to n_out up to ``most``, that is not right."""
        failed = ctypes.c_int32()
        for n_in in n_ins:
            for number, name in enumerate(self.names):
                totals = ctypes.byref(self.totals[name])
                fault = self._library.prove(number, n_in, most, ctypes.byref(failed), totals)
                assert fault == 0, f"{name} {n_in} -> {failed.value}: {FAULTS[fault]}"

    def tables(
        self, name: str, n_in: int, n_out: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Start (n_out,) and the weights for uint8 and uint16 (n_out, width) of one table."""
        start = np.empty(n_out, np.int32)
        weights = [np.empty(n_out * n_in, np.int32) for _ in range(2)]
        table = _Table(0, start.ctypes.data, *(array.ctypes.data for array in weights))
        fault = self._library.tables(self.names.index(name), n_in, n_out, ctypes.byref(table))
        assert fault == 0, f"{name} {n_in} -> {n_out}: {FAULTS[fault]}"
        small, large = (array[: n_out * table.width].reshape(n_out, table.width) for array in weights)
        return start, small, large

    def split(self, taps: npt.NDArray[np.int32]) -> tuple[int, npt.NDArray[np.int32]]:
        """The scale and the parts low (n,) of one output's taps (n,), as the AVX2 kernel splits them."""
        low = np.zeros(len(taps), np.int32)
        scale = self._library.split_taps(ctypes.c_void_p(taps.ctypes.data), len(taps), ctypes.c_void_p(low.ctypes.data))
        assert scale > 0, f"the AVX2 kernel cannot split {taps}"
        return scale, low


if __name__ == "__main__":
    most, part, parts = (int(x) for x in [*sys.argv[1:4], *["2048", "0", "1"][len(sys.argv) - 1 :]])
    began = time.perf_counter()
    checker = Checker()
    checker.prove(range(1 + part, most + 1, parts), most)
    for name, totals in checker.totals.items():
        print(
            f"{name}: {totals.rows} rows, {totals.taps} taps; sums off the unit by at most {totals.off}, "
            f"absolute taps sum to at most {totals.absolute}"
        )
    seconds = time.perf_counter() - began
    print(f"every table of n_in, n_out <= {most} is right (part {part} of {parts}, {seconds:.0f} s)")
