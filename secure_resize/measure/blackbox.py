"""A callable as a black box: images in whole levels in, whatever layout and dtype it wants; (h, w, C) float64 out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .scalers import Scaler, get_scaler, load

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "MAX_BYTES",
    "PEDESTAL",
    "BlackBox",
    "Layout",
    "ProbeError",
    "Slices",
    "TooLargeToProbe",
    "UnfaithfulError",
    "Window",
    "check_layout",
    "constant_image",
    "open_boxes",
]

FloatArray = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]  # what is sent: (H, W, C), whole levels whatever the dtype
Slices = tuple[slice, slice]  # rows and columns

PEDESTAL = 128  # mid-grey
# How an image in whole levels is written in each dtype, and the value of a level in it.
DTYPES: dict[str, float] = {"uint8": 1.0, "uint16": 257.0, "float32": 1.0 / 255.0}
# What a probe may hold in images at a time: in levels those that it sends, keeps and puts together, and what is made of
# one of them in another dtype.
MAX_BYTES = 1 << 30
_COPIES = 15
# Of an output, where the layout is found out by trying: more are an axis of the image taken for channels.
MAX_CHANNELS = 64


class TooLargeToProbe(ValueError):
    """A size whose images would take more than MAX_BYTES."""


class ProbeError(ValueError):
    """A callable that no separable linear operator describes; ``evidence`` holds what was measured, by name."""

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence


class UnfaithfulError(ProbeError):
    """A callable that treats some pictures otherwise than the operator says that was recovered from it.

    That is a finding about the callable, not a failure of the measurement: what it does depends on the picture, on the
    image's size or on how often it was called, and no verdict on the operator is a verdict on it.
    """


# Layouts: how an image (H, W, C) is handed over. What comes back may be laid out in another way (ToTensor does that).


@dataclass(frozen=True)
class Layout:
    """A way to hand over an image: ``encode`` an (H, W, C) array; ``channels_first`` if the callable then reads so.

    ``module`` is the library whose type that is, if any.
    """

    name: str
    encode: Callable[[npt.NDArray[Any]], Any]
    channels_first: bool = False
    channels: int = 3
    module: str = ""


def _planes(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def _tensor(image: npt.NDArray[Any]) -> Any:
    return load("torch").from_numpy(_planes(image))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("HWC", lambda image: image),
        Layout("HW", lambda image: np.ascontiguousarray(image[..., 0]), channels=1),
        Layout("NHWC", lambda image: image[None]),
        Layout("CHW", _planes, True),
        Layout("NCHW", lambda image: _planes(image)[None], True),
        Layout("PIL", lambda image: load("PIL.Image").fromarray(image), module="PIL"),
        Layout("PIL grey", lambda image: load("PIL.Image").fromarray(image[..., 0]), channels=1, module="PIL"),
        Layout("CHW tensor", _tensor, True, module="torch"),
        Layout("NCHW tensor", lambda image: _tensor(image)[None], True, module="torch"),
        Layout("HWC tf", lambda image: load("tensorflow").convert_to_tensor(image), module="tensorflow"),
        Layout("NHWC tf", lambda image: load("tensorflow").convert_to_tensor(image[None]), module="tensorflow"),
    )
}


@dataclass
class BlackBox:
    """The callable under test: levels in, float64 (h, w, C_out) out, however it wants them.

    ``tolerance``: levels by which its output may lie from its own linear model, by rounding alone.
    """

    name: str
    version: str
    call: Callable[[Any], Any]
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    dtype: str
    layout: Layout
    tolerance: float
    notes: tuple[str, ...] = ()
    calls: int = 0
    # Where images are put together: a fresh array each time would cost more than the resize.
    canvas: Levels | None = None

    @property
    def channels(self) -> int:
        """Of the image that is sent."""
        return self.layout.channels

    @property
    def path(self) -> str:
        """What it is given, in words."""
        return f"{self.layout.name} {self.dtype}"

    def paint(self, rows: Levels, index: npt.NDArray[Any]) -> Levels:
        """The image whose rows are ``rows[index]``, in the canvas; good until the next one."""
        if self.canvas is None:
            self.canvas = np.empty((*self.in_size, self.channels), np.uint8)
        return np.take(rows, index, axis=0, out=self.canvas, mode="clip")

    def __call__(self, levels: Levels) -> FloatArray:
        """What the callable makes of ``levels`` (H, W, C), float64 (h, w, C_out) in its own units."""
        try:
            array = self.ask(levels)
        except Exception as error:
            raise ProbeError(f"{self.name} itself fails at these sizes: {_told(error)}", error=error) from error
        out = self._as_hwc(array).astype(np.float64)
        if not np.isfinite(out).all():
            raise ProbeError(f"{self.name} returns NaN or infinity for an image of {self.path}")
        return out

    def ask(self, levels: Levels) -> npt.NDArray[Any]:
        """The callable's own answer as an array of numbers, of whatever shape; raises what the callable raises."""
        self.calls += 1
        image = levels if self.dtype == "uint8" else levels * np.asarray(DTYPES[self.dtype], self.dtype)
        try:
            out = self.call(self.layout.encode(image))
        except SystemExit as error:
            raise ProbeError(f"{self.name} tries to end the process: SystemExit({error.code!r})") from error
        if hasattr(out, "detach"):  # a torch tensor
            out = out.detach().cpu()
        array = np.asarray(out)
        if array.dtype.kind not in "uif":
            raise TypeError(f"the result is no array of numbers: {type(out).__name__}")
        return array

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
        text = "x".join(map(str, self.out_size))
        if self.calls > 1:
            raise ProbeError(f"{self.name} returned {text} before, and now an array of shape {array.shape}")
        raise ValueError(f"expected a result of {text}, got shape {array.shape}")


@dataclass
class Window:
    """A box seen through a window: a part of the source that is sent, the rest mid-grey; a part of what comes back.

    ``source`` and ``output`` are rows and columns, ``outputs`` the output channels looked at. With ``transposed`` the
    output is turned over, its rows being the source's columns. Where ``signs`` (C,) is -1 the levels of that channel
    are sent upside down, so that all that the channels do to these outputs has one sign.
    """

    box: BlackBox
    source: Slices
    output: Slices
    outputs: npt.NDArray[np.intp]
    transposed: bool
    signs: npt.NDArray[np.int64]
    canvas: Levels = field(init=False, repr=False)

    def __post_init__(self) -> None:
        grey = np.where(self.signs > 0, PEDESTAL, 255 - PEDESTAL).astype(np.uint8)
        self.canvas = np.empty((*self.box.in_size, self.channels), np.uint8)
        self.canvas[:] = grey

    @property
    def channels(self) -> int:
        """Of the image that is sent."""
        return self.box.channels

    @property
    def in_size(self) -> tuple[int, int]:
        """(height, width) of the part that is sent."""
        return _size(self.source)

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the part that comes back, turned over if so."""
        height, width = _size(self.output)
        return (width, height) if self.transposed else (height, width)

    def paint(self, rows: Levels, index: npt.NDArray[Any]) -> Levels:
        """The part whose rows are ``rows[index]``; good until the next one."""
        part = self.canvas[self.source]
        if part.flags.c_contiguous:
            np.take(rows, index, axis=0, out=part, mode="clip")
        else:
            part[...] = rows[index]
        return part

    def __call__(self, levels: Levels) -> FloatArray:
        """What becomes of ``levels`` (H, W, C): float64 (h, w, outputs)."""
        part = self.canvas[self.source]
        if not np.may_share_memory(part, levels):
            part[...] = levels
        upside_down = np.flatnonzero(self.signs < 0)
        part[..., upside_down] = 255 - part[..., upside_down]
        out = self.box(self.canvas)[self.output][..., self.outputs]
        part[..., upside_down] = 255 - part[..., upside_down]
        return out.swapaxes(0, 1) if self.transposed else out


def _size(window: Slices) -> tuple[int, int]:
    return window[0].stop - window[0].start, window[1].stop - window[1].start


def constant_image(box: BlackBox | Window, colour: Any) -> Levels:
    """An image of one colour, a level or one for each channel."""
    row = np.empty((1, box.in_size[1], box.channels), np.uint8)
    row[:] = colour
    return box.paint(row, np.zeros(box.in_size[0], np.intp))


# Which ways of handing over an image a callable takes.


def check_layout(layout: str) -> None:
    """ValueError for an unknown layout."""
    if layout != "auto" and layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; valid layouts: auto, {', '.join(LAYOUTS)}")


def open_boxes(
    resize: Any, in_size: tuple[int, int], out_size: tuple[int, int], dtype: str, layout: str
) -> list[BlackBox]:
    """The callable in every layout and dtype that was asked for and in which it makes an ``out_size`` of an image.

    With ``"auto"`` those are all that it takes; a scaler has one, its own. ProbeError where there is none.
    """
    check_layout(layout)
    if dtype != "auto" and dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; valid dtypes: auto, {', '.join(DTYPES)}")
    if isinstance(resize, str):
        resize = get_scaler(resize)
    _check_memory(in_size, "uint8" if isinstance(resize, Scaler) and dtype == "auto" else dtype)
    if isinstance(resize, Scaler):
        return [_scaler_box(resize, in_size, out_size, dtype, layout)]
    if not callable(resize):
        raise TypeError(f"resize must be a scaler's name, a Scaler or a callable, got {type(resize).__name__}")
    name, root = _name_of(resize)
    version = str(getattr(sys.modules.get(root), "__version__", "")) if root else ""
    refusals: dict[str, str] = {}
    boxes: list[BlackBox] = []
    for candidate in _candidates(layout):
        if layout == "auto" and candidate in ("NHWC", "NCHW") and any(not box.layout.module for box in boxes):
            continue  # it takes one array at a time, and an axis more would be taken for something else
        for kind in DTYPES if dtype == "auto" else (dtype,):
            box = BlackBox(name, version, resize, in_size, out_size, kind, LAYOUTS[candidate], TOLERANCE)
            try:
                _try(box, strict=layout == "auto" or dtype == "auto")
            except Exception as error:  # whatever a stranger's code raises: the next layout may be the one
                refusals[box.path] = _told(error)
            else:
                boxes.append(box)
    if not boxes:
        reasons: dict[str, list[str]] = {}
        for path, reason in refusals.items():
            reasons.setdefault(reason, []).append(path)
        raise ProbeError(
            f"{name} makes no {out_size[0]}x{out_size[1]} of an image of {in_size[0]}x{in_size[1]} in any layout: "
            + "; ".join(f"{', '.join(paths)}: {reason}" for reason, paths in reasons.items()),
            layouts=refusals,
        )
    return boxes


# Levels by which a pipeline's output may lie from its linear model: every stage that rounds to 8 bits adds half a level
# and more, and three of them in a row are common (decode or convert, resize, convert).
TOLERANCE = 3.0
# Of a library's resize, by dtype: rounding once costs half a level, rounding between the two passes as well 0.5 and
# more (‖kernel‖₁, 1.0 to 1.3), and the fit its uncertainty.
SCALER_TOLERANCES = {"uint8": 1.5, "uint16": 0.05, "float32": 0.05}


def _scaler_box(
    scaler: Scaler, in_size: tuple[int, int], out_size: tuple[int, int], dtype: str, layout: str
) -> BlackBox:
    dtype = "uint8" if dtype == "auto" else dtype
    known = scaler.deviations(in_size, out_size)
    return BlackBox(
        scaler.name,
        scaler.version,
        lambda image: scaler(image, out_size),
        in_size,
        out_size,
        dtype,
        LAYOUTS["HWC" if layout == "auto" else layout],
        SCALER_TOLERANCES[dtype] + sum(deviation.levels for deviation in known),
        tuple(f"{deviation.code}: {deviation.reason}" for deviation in known),
    )


def _check_memory(in_size: tuple[int, int], dtype: str) -> None:
    """TooLargeToProbe for a size whose images would take more than MAX_BYTES, before any is made."""
    itemsize = 4 if dtype == "auto" else np.dtype(dtype).itemsize
    needed = in_size[0] * in_size[1] * 3 * (_COPIES + (2 * itemsize if itemsize > 1 else 0))
    if needed > MAX_BYTES:
        factor = (needed / MAX_BYTES) ** 0.5
        smaller = "x".join(str(int(n / factor)) for n in in_size)
        raise TooLargeToProbe(
            f"probing at {in_size[0]}x{in_size[1]} would take {needed / 2**30:.1f} GiB in images, at most "
            f"{MAX_BYTES / 2**30:g} are allowed; stealth gain depends on the ratio: probe at {smaller} or below, with "
            "the output as much smaller" + (", or name one dtype, such as uint8" if itemsize > 1 else "")
        )


def _candidates(layout: str) -> Iterator[str]:
    """The layouts to try: with ``"auto"`` all but those of libraries that nobody here can have a tensor of."""
    for name, candidate in LAYOUTS.items():
        if layout == name:
            yield name
        elif layout == "auto":
            present = candidate.module in sys.modules or candidate.module in ("", "PIL")
            if present and (not candidate.module or importlib.util.find_spec(candidate.module)):
                yield name


def _try(box: BlackBox, *, strict: bool) -> None:
    """Raise unless the callable takes the layout; ``strict``: unless it also takes the image for what it is.

    A callable that reads an array's axes as others than they are may return the right size all the same. What it makes
    of an image of one colour then changes from place to place; or it makes the same of black and white.
    """
    black = box._as_hwc(box.ask(constant_image(box, 0))).astype(np.float64)
    if not np.isfinite(black).all():
        raise ValueError("it returns NaN or infinity for a black image")
    if not strict or not np.array_equal(black, box._as_hwc(box.ask(constant_image(box, 0)))):
        return  # what is not deterministic is told as that, later on
    if black.shape[2] > MAX_CHANNELS:
        raise ValueError(f"it returns {black.shape[2]} channels: it takes the axes for others")
    followed = False
    for colour in 255 * np.eye(box.channels, dtype=int):
        change = np.abs(box._as_hwc(box.ask(constant_image(box, colour))) - black)
        for channel in np.moveaxis(change, -1, 0):
            if channel.max() > 0:
                followed = True
                moved = channel[channel > 0.02 * channel.max()]
                if np.mean(np.abs(moved - np.median(moved)) <= 0.02 * channel.max()) < 0.5:
                    raise ValueError("an image of one colour does not stay one: it takes the axes for others")
    if not followed:
        raise ValueError("it makes the same of black and of any colour")


def _told(error: BaseException) -> str:
    if isinstance(error, ProbeError):
        return str(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:120] if text else ''}"


def _name_of(resize: Any) -> tuple[str, str]:
    """A callable's name and the top-level package that it comes from."""
    inner = getattr(resize, "func", resize)  # functools.partial
    owner = inner if hasattr(inner, "__qualname__") else type(inner)
    module = str(getattr(owner, "__module__", "") or "")
    name = cast(str, getattr(owner, "__qualname__", type(owner).__name__))
    return (f"{module}:{name}" if module else name), module.partition(".")[0]
