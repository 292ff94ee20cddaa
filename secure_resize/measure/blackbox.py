"""A callable as a black box: images in whole levels in, whatever layout and dtype it wants; (h, w, C) float64 out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .scalers import Scaler, get_scaler, load

__all__ = ["DTYPES", "LAYOUTS", "PEDESTAL", "BlackBox", "Layout", "ProbeError", "constant_image", "open_box"]

FloatArray = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]  # what is sent: (H, W, C), whole levels whatever the dtype

PEDESTAL = 128  # mid-grey
# How an image in whole levels is written in each dtype, and the value of a level in it.
DTYPES: dict[str, float] = {"uint8": 1.0, "uint16": 257.0, "float32": 1.0 / 255.0}


class ProbeError(ValueError):
    """A callable that no separable linear operator describes; ``evidence`` holds what was measured, by name."""

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence


# Layouts: how an image (H, W, C) is handed over. What comes back may be laid out in another way (ToTensor does that).


@dataclass(frozen=True)
class Layout:
    """A way to hand over an image: ``encode`` an (H, W, C) array; ``channels_first`` if the callable then reads so."""

    name: str
    encode: Callable[[npt.NDArray[Any]], Any]
    channels_first: bool = False
    channels: int = 3


def _tensor(image: npt.NDArray[Any]) -> Any:
    return load("torch").from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("HWC", lambda image: image),
        Layout("HW", lambda image: np.ascontiguousarray(image[..., 0]), channels=1),
        Layout("NHWC", lambda image: image[None]),
        Layout("CHW", lambda image: np.ascontiguousarray(np.moveaxis(image, -1, 0)), True),
        Layout("NCHW", lambda image: np.ascontiguousarray(np.moveaxis(image, -1, 0))[None], True),
        Layout("PIL", lambda image: load("PIL.Image").fromarray(image)),
        Layout("PIL grey", lambda image: load("PIL.Image").fromarray(image[..., 0]), channels=1),
        Layout("CHW tensor", _tensor, True),
        Layout("NCHW tensor", lambda image: _tensor(image)[None], True),
        Layout("HWC tf", lambda image: load("tensorflow").convert_to_tensor(image)),
        Layout("NHWC tf", lambda image: load("tensorflow").convert_to_tensor(image[None])),
    )
}
_NEEDS = {"PIL": "PIL", "tensor": "torch", "tf": "tensorflow"}
_TORCH_FIRST = ("CHW tensor", "NCHW tensor", "PIL", "HWC", "NHWC", "CHW", "NCHW", "HW", "PIL grey")
_NUMPY_FIRST = ("HWC", "NHWC", "PIL", "CHW tensor", "NCHW tensor", "CHW", "NCHW", "HW", "PIL grey", "HWC tf", "NHWC tf")


@dataclass
class BlackBox:
    """The callable under test: levels in, float64 (h, w, C_out) out, however it wants them."""

    name: str
    version: str
    call: Callable[[Any], Any]
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    dtype: str
    layout: Layout
    notes: tuple[str, ...] = ()
    calls: int = 0
    # Where images are put together: a fresh array each time would cost more than the resize.
    canvas: Levels | None = None

    def paint(self, rows: Levels, index: npt.NDArray[Any]) -> Levels:
        """The image whose rows are ``rows[index]``, in the canvas; good until the next one."""
        if self.canvas is None:
            self.canvas = np.empty((*self.in_size, self.layout.channels), np.uint8)
        return np.take(rows, index, axis=0, out=self.canvas, mode="clip")

    def __call__(self, levels: Levels) -> FloatArray:
        """What the callable makes of ``levels`` (H, W, C), float64 (h, w, C_out) in its own units."""
        self.calls += 1
        image = levels if self.dtype == "uint8" else levels * np.asarray(DTYPES[self.dtype], self.dtype)
        try:
            out = self.call(self.layout.encode(image))
        except Exception as error:
            if self.calls == 1:
                raise  # not this layout
            raise ProbeError(f"{self.name} itself fails at these sizes: {error}", error=error) from error
        if hasattr(out, "detach"):  # a torch tensor
            out = out.detach().cpu()
        array = np.asarray(out)
        if array.dtype.kind not in "uif":
            raise TypeError(f"the result is no array of numbers: {type(out).__name__}")
        return self._as_hwc(array).astype(np.float64)

    def _as_hwc(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        if array.shape == self.out_size:
            return array[..., None]
        if array.ndim == 3:
            last, first = array.shape[:2] == self.out_size, array.shape[1:] == self.out_size
            if first and (self.layout.channels_first or not last):
                return np.moveaxis(array, 0, -1)
            if last:
                return array
        raise ValueError(f"expected a result of {self.out_size[0]}x{self.out_size[1]}, got shape {array.shape}")


def open_box(
    resize: Any, in_size: tuple[int, int], out_size: tuple[int, int], dtype: str, layout: str
) -> tuple[BlackBox, FloatArray]:
    """The callable in a layout in which it does something with an image, and what mid-grey becomes."""
    if layout != "auto" and layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; valid layouts: auto, {', '.join(LAYOUTS)}")
    if isinstance(resize, str):
        resize = get_scaler(resize)
    if isinstance(resize, Scaler):
        scaler = resize
        notes = tuple(f"{d.code}: {d.reason}" for d in scaler.deviations(in_size, out_size))
        box = BlackBox(
            scaler.name,
            scaler.version,
            lambda image: scaler(image, out_size),
            in_size,
            out_size,
            dtype,
            LAYOUTS["HWC" if layout == "auto" else layout],
            notes,
        )
        box.calls = 1  # whatever happens from here on is no matter of the layout
        grey = box(constant_image(box, PEDESTAL))
        box.calls = 1
        return box, grey
    if not callable(resize):
        raise TypeError(f"resize must be a scaler's name, a Scaler or a callable, got {type(resize).__name__}")
    name, root = _name_of(resize)
    version = str(getattr(sys.modules.get(root), "__version__", "")) if root else ""
    order = (_TORCH_FIRST if root in ("torch", "torchvision", "kornia") else _NUMPY_FIRST) if layout == "auto" else ()
    refusals = {}
    for candidate in order or (layout,):
        needs = next((module for word, module in _NEEDS.items() if word in candidate.split()), None)
        if layout == "auto" and needs is not None and needs not in sys.modules and needs != "PIL":
            continue  # nobody here can want a tensor of a library that was never imported
        box = BlackBox(name, version, resize, in_size, out_size, dtype, LAYOUTS[candidate])
        try:
            grey = box(constant_image(box, PEDESTAL))
        except Exception as error:  # whatever a stranger's code raises: the next layout may be the one
            refusals[candidate] = (
                f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120] if str(error) else ''}"
            )
            continue
        return box, grey
    raise ProbeError(
        f"{name} makes no {out_size[0]}x{out_size[1]} of a {dtype} image of {in_size[0]}x{in_size[1]} in any layout: "
        + "; ".join(f"{key}: {value}" for key, value in refusals.items()),
        layouts=refusals,
    )


def _name_of(resize: Any) -> tuple[str, str]:
    """A callable's name and the top-level package that it comes from."""
    inner = getattr(resize, "func", resize)  # functools.partial
    owner = inner if hasattr(inner, "__qualname__") else type(inner)
    module = str(getattr(owner, "__module__", "") or "")
    name = getattr(owner, "__qualname__", type(owner).__name__)
    return (f"{module}:{name}" if module else name), module.partition(".")[0]


def constant_image(box: BlackBox, colour: Any) -> Levels:
    """An image of one colour, a level or one for each channel."""
    row = np.empty((1, box.in_size[1], box.layout.channels), np.uint8)
    row[:] = colour
    return box.paint(row, np.zeros(box.in_size[0], np.intp))
