from typing import Any, TypeAlias, final

import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[Any]
_Axis: TypeAlias = tuple[int] | tuple[int, int, int, _Array, _Array]
_Component: TypeAlias = tuple[_Array, _Array, int, int, int, int]

PRECISION_BITS: int
MAX_AXIS: int
MAX_WINDOW: int
TWICE_LIMIT: int
FINGERPRINT_BLOCK: int

@final
class Resizer:
    @property
    def implementation(self) -> str: ...

def resizer(
    kind: str,
    rows: _Axis,
    cols: _Axis,
    rows_first: bool,
    channels: int,
    itemsize: int,
    pixel: int,
    channel: int,
    level: str,
    /,
) -> Resizer: ...
def run(resizer: Resizer, image: _Array, out: _Array, num_threads: int, backwards: bool, /) -> None: ...
def arrange(image: _Array, out: _Array, level: str, /) -> None: ...
def place(values: _Array, out: _Array, rows: _Array, cols: _Array, /) -> None: ...
def select_median(
    image: _Array, out: _Array, rows: _Array, cols: _Array, half_rows: int, half_cols: int, level: str, /
) -> None: ...
def select_random(
    image: _Array, out: _Array, rows: _Array, cols: _Array, half_rows: int, half_cols: int, key: _Array, level: str, /
) -> None: ...
def fingerprint(data: _Array, key: _Array, hashes: _Array, level: str, /) -> None: ...
def second_difference(
    middle: _Array,
    left: _Array,
    right: _Array,
    above: _Array,
    below: _Array,
    height: int,
    width: int,
    channels: int,
    lines: _Array,
    energy: _Array,
    /,
) -> None: ...
def line_energy(lines: _Array, channels: int, energy: _Array, /) -> None: ...
def stand_out(
    lines: _Array | None,
    energy: _Array,
    near: _Array,
    height: int,
    width: int,
    channels: int,
    side: int,
    out: _Array,
    /,
) -> None: ...
def cut_off(
    components: tuple[_Component, ...],
    height: int,
    width: int,
    to_rgb: _Array | None,
    inverse: _Array,
    halves: _Array,
    quarters: _Array,
    eighths: _Array,
    /,
) -> float: ...
def worst_window(values: _Array, height: int, width: int, side: int, /) -> tuple[float, int, int]: ...
def level() -> str: ...
def levels() -> list[str]: ...
def runs() -> dict[str, int]: ...
def fail_allocation(after: int, /) -> int: ...
