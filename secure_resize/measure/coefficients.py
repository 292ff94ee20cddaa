"""A JPEG file as what it holds: quantised DCT coefficients, read and written without loss; and the pixels they stand
for before a decoder cuts them off to [0, 255].

jpeglib (the extra ``jpeg``) wraps libjpeg-turbo for the files themselves: Huffman codes, progressive scans, markers.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.dct import Component, dct_matrix
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
    "read",
    "split",
    "to_rgb",
    "to_ycc",
    "write",
]

FloatArray = npt.NDArray[np.float64]
# What baseline Huffman coding holds of an AC coefficient: ten bits.
MAX_COEFFICIENT = 1023
# Of those that jpeglib brings the newest libjpeg-turbo: it takes two thirds of the time of its default, 6b, to read the
# same coefficients, and knows arithmetic coding. Where a build of jpeglib lacks it, whichever is set there reads them.
_LIBJPEG = "turbo210"
# A file's header may claim 65 535 × 65 535 pixels in a few bytes.
MAX_PIXELS = 1 << 27


_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
TO_RGB = np.linalg.inv(_TO_YCC)
_CENTRE = np.array([0.0, 128.0, 128.0])


def to_ycc(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """RGB (..., 3) in levels as JFIF's Y, Cb and Cr, neither rounded nor cut off."""
    return np.asarray(image @ _TO_YCC.T.astype(image.dtype) + _CENTRE.astype(image.dtype))


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Y, Cb and Cr (..., 3) in levels as RGB, neither rounded nor cut off."""
    return np.asarray((image - _CENTRE.astype(image.dtype)) @ TO_RGB.T.astype(image.dtype))


def split(plane: npt.NDArray[Any], side: int = 8) -> npt.NDArray[Any]:
    """(H, W) as blocks (H / side, W / side, side, side)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2)


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
            with _newest_libjpeg(jpeglib):
                found = jpeglib.read_dct(path)
                # The header alone so far: they are read when they are first asked for.
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


def _newest_libjpeg(jpeglib: Any) -> AbstractContextManager[None]:
    return jpeglib.version(_LIBJPEG) if _LIBJPEG in jpeglib.version.versions() else nullcontext()


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
