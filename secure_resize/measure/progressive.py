"""A baseline JPEG file's coefficients as a progressive file: spectral selection, with the same Huffman tables.

jpeglib writes baseline files alone. Of a progressive file's freedom this takes the simplest part: one scan for each
component's DC coefficients, one each for its low and its high frequencies (ITU-T T.81, G.1.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["as_progressive"]

Codes = dict[int, tuple[int, int]]  # symbol: code and its length
BANDS = ((0, 0), (1, 5), (6, 63))
# Row-major places of the 64 coefficients in zigzag order: along the anti-diagonals, turning at each.
ZIGZAG = np.array(
    sorted(range(64), key=lambda p: (p // 8 + p % 8, p // 8 if (p // 8 + p % 8) % 2 else p % 8)), dtype=np.intp
)


def as_progressive(data: bytes, planes: Sequence[npt.NDArray[np.int16]]) -> bytes:
    """The file ``data``, baseline and in one scan, as a progressive one; ``planes`` are its components' coefficients
    (rows, columns, 8, 8).
    """
    out = [b"\xff\xd8"]
    tables: dict[tuple[int, int], Codes] = {}
    for marker, body in _segments(data):
        if marker == 0xC4:
            tables |= _codes(body)
        if marker == 0xC0:
            marker = 0xC2  # progressive, Huffman
            identities = [body[6 + 3 * index] for index in range(body[5])]
        out.append(_segment(marker, body))
    for low, high in BANDS:
        for index, plane in enumerate(planes):
            table = min(index, 1)
            where = table << 4 if low == 0 else table
            out.append(_segment(0xDA, bytes([1, identities[index], where, low, high, 0])))
            values = plane.reshape(-1, 64)[:, ZIGZAG]
            out.append(_packed(_dc(values, tables[0, table]) if low == 0 else _ac(values, low, high, tables[1, table])))
    return b"".join([*out, b"\xff\xd9"])


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers with their bodies, up to the scan."""
    place = 2
    while data[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield data[place + 1], data[place + 4 : place + 2 + length]
        place += 2 + length


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _codes(body: bytes) -> dict[tuple[int, int], Codes]:
    """The Huffman codes of a DHT segment, by class (0: DC, 1: AC) and number (T.81, annex C)."""
    found: dict[tuple[int, int], Codes] = {}
    while body:
        counts, symbols = body[1:17], body[17:]
        code, taken, codes = 0, 0, {}
        for length, count in enumerate(counts, 1):
            for symbol in symbols[taken : taken + count]:
                codes[symbol] = (code, length)
                code += 1
            taken, code = taken + count, code << 1
        found[body[0] >> 4, body[0] & 15] = codes
        body = body[17 + taken :]
    return found


def _coded(value: int, run: int, codes: Codes) -> str:
    size = abs(value).bit_length()
    code, length = codes[run << 4 | size]
    bits = value if value > 0 else value + (1 << size) - 1
    return f"{code:0{length}b}" + (f"{bits:0{size}b}" if size else "")


def _dc(values: npt.NDArray[np.int16], codes: Codes) -> str:
    steps = np.diff(values[:, 0].astype(int), prepend=0)
    return "".join(_coded(int(step), 0, codes) for step in steps)


def _ac(values: npt.NDArray[np.int16], low: int, high: int, codes: Codes) -> str:
    (skip, skip_length), (end, end_length) = codes[0xF0], codes[0x00]
    skipped, ended = f"{skip:0{skip_length}b}", f"{end:0{end_length}b}"
    bits = []
    for block in values[:, low : high + 1]:
        before = -1
        for place in np.flatnonzero(block).tolist():
            run, before = place - before - 1, place
            bits.append(skipped * (run // 16) + _coded(int(block[place]), run % 16, codes))
        if before < high - low:
            bits.append(ended)
    return "".join(bits)


def _packed(bits: str) -> bytes:
    """The bits as bytes, filled up with ones, each 0xFF followed by 0."""
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
