"""A JPEG file as what it holds: quantised DCT coefficients, read and written without loss; and the pixels they stand
for before a decoder cuts them off to [0, 255].

jpeglib (the extra ``jpeg``) wraps libjpeg-turbo for the files themselves: Huffman codes, progressive scans, markers.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decoding import DecodeError, TooLarge, open_picture
from .progressive import as_progressive
from .scalers import load

__all__ = [
    "MAX_COEFFICIENT",
    "MAX_PIXELS",
    "TO_RGB",
    "Coefficients",
    "Component",
    "dct_matrix",
    "joined",
    "read",
    "split",
    "to_rgb",
    "to_ycc",
    "write",
]

FloatArray = npt.NDArray[np.float64]
# What baseline Huffman coding holds of an AC coefficient: ten bits.
MAX_COEFFICIENT = 1023
# A file's header may claim 65 535 × 65 535 pixels in a few bytes.
MAX_PIXELS = 1 << 27


@dataclass(frozen=True, eq=False)
class Component:
    """One of a file's components, Y, Cb or Cr: ``coefficients`` int16 (rows, columns, 8, 8) of blocks, vertical
    frequency first, in units of ``quantisation`` (8, 8). ``step`` is (down, across): how many of the picture's pixels
    one sample stands for.
    """

    coefficients: npt.NDArray[np.int16]
    quantisation: npt.NDArray[np.int64]
    step: tuple[int, int] = (1, 1)

    def samples(self) -> npt.NDArray[np.float32]:
        """The samples (8·rows, 8·columns) in levels as the inverse DCT gives them: not rounded, not cut off."""
        # Every block is a row of one product of matrices, in which numpy takes a tenth of the time of small ones.
        inverse = self.quantisation.reshape(64, 1) * np.kron(dct_matrix(), dct_matrix())
        rows = self.coefficients.reshape(-1, 64).astype(np.float32) @ inverse.astype(np.float32)
        rows += np.float32(128.0)
        return np.asarray(joined(rows.reshape(self.coefficients.shape)))


_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
TO_RGB = np.linalg.inv(_TO_YCC)
_CENTRE = np.array([0.0, 128.0, 128.0])


def to_ycc(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB (..., 3) in levels as JFIF's Y, Cb and Cr, neither rounded nor cut off."""
    return np.asarray(image @ _TO_YCC.T.astype(image.dtype) + _CENTRE.astype(image.dtype))


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Y, Cb and Cr (..., 3) in levels as RGB, neither rounded nor cut off."""
    return np.asarray((image - _CENTRE.astype(image.dtype)) @ TO_RGB.T.astype(image.dtype))


@lru_cache(maxsize=1)
def dct_matrix() -> FloatArray:
    """The orthonormal DCT of eight numbers: row k holds frequency k."""
    k, x = np.mgrid[0:8, 0:8]
    return np.asarray(np.where(k == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * k * np.pi / 16))


def split(plane: npt.NDArray[Any], side: int = 8) -> npt.NDArray[Any]:
    """(H, W) as blocks (H / side, W / side, side, side)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2)


def joined(blocks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The blocks (rows, columns, side, side) as one plane again."""
    rows, columns, side, _ = blocks.shape
    return blocks.swapaxes(1, 2).reshape(rows * side, columns * side)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A JPEG file: its picture's ``size`` = (height, width), its components, and whether those are Y, Cb and Cr."""

    size: tuple[int, int]
    components: list[Component]
    ycc: bool


def read(data: bytes) -> Coefficients:
    """The coefficients of the JPEG file ``data``.

    Raises ValueError for what is no JPEG file, is broken, or is larger than MAX_PIXELS; ImportError without jpeglib.
    """
    jpeglib = _jpeglib()
    _check_header(data)
    with _as_file(data) as path:
        try:
            found = jpeglib.read_dct(path)
            planes = [found.Y, found.Cb, found.Cr, found.K][: found.num_components]
        except (OSError, ValueError) as error:
            raise ValueError("this JPEG file is broken: its coefficients cannot be read") from error
    factors = np.asarray(found.samp_factor)
    components = []
    for index, plane in enumerate(planes):
        table = np.asarray(found.qt)[found.quant_tbl_no[index]].astype(np.int64)
        step = tuple(int(most // own) for most, own in zip(factors.max(axis=0), factors[index], strict=True))
        components.append(Component(np.asarray(plane, dtype=np.int16), table, (step[0], step[1])))
    ycc = int(found.jpeg_color_space) == int(jpeglib.JCS_YCbCr)  # which compare equal to each other as they are
    return Coefficients((int(found.height), int(found.width)), components, ycc)


def _jpeglib() -> Any:
    if importlib.util.find_spec("jpeglib") is None:
        raise ImportError('the coefficients of JPEG files need jpeglib: pip install "secure-resize[jpeg]"')
    return load("jpeglib")


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to ``data``: in memory where the system has such files, which saves a third of the time of reading."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with os.fdopen(os.memfd_create("file.jpg"), "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.jpg")
        with open(path, "wb") as file:
            file.write(data)
        yield path


def _check_header(data: bytes) -> None:
    try:
        with open_picture(data, ["JPEG"]) as picture:
            size = picture.size
    except TooLarge:
        raise
    except DecodeError as error:
        raise ValueError("this is no JPEG file, or its header is broken") from error
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"the JPEG file claims {size[1]}×{size[0]} pixels; at most {MAX_PIXELS} are read")


def write(size: tuple[int, int], components: Sequence[Component], *, progressive: bool = False) -> bytes:
    """A JPEG file of ``size`` = (height, width) with these components: Y alone, or Y, Cb and Cr, of which chroma has
    one table and one ``step``.
    """
    jpeglib = _jpeglib()
    tables = np.stack([one.quantisation for one in components[:2]]).astype(np.uint16)
    planes = [one.coefficients for one in components]
    made = jpeglib.from_dct(*planes, qt=tables, quant_tbl_no=[0, 1, 1][: len(planes)])
    made.height, made.width = size
    most = np.max([one.step for one in components], axis=0)
    made.samp_factor = np.array([most // one.step for one in components], dtype=np.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.jpg")
        made.write_dct(path)
        with open(path, "rb") as file:
            data = file.read()
    return as_progressive(data, planes) if progressive else data
