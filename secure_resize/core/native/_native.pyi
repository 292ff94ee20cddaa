from typing import Any, TypeAlias, final

import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[Any]
_Axis: TypeAlias = tuple[int] | tuple[int, int, int, _Array, _Array]

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
def level() -> str: ...
def levels() -> list[str]: ...
def runs() -> dict[str, int]: ...
def fail_allocation(after: int, /) -> int: ...
