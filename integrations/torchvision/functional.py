"""``torchvision.transforms.v2.functional`` with robust resizes of images; every other name is torchvision's own.

Images are converted to the layout of :func:`secure_resize.resize`, resized there and converted back, so tensors of
every memory format hold the bytes that it computes for the numpy array. So do PIL images, with the ``pass_order`` of
the Pillow that is installed, whose own bytes they then are.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_modes_mapping
from torchvision.transforms.v2 import functional as _stock
from torchvision.transforms.v2.functional._geometry import _compute_resized_output_size

import secure_resize as sr
from secure_resize.integration_support import Defense, KernelName, ReconstructionMethod, check_size, stock_scaler

from . import graph, op, pil
from .kinds import Proxy, check_image, is_image, refuse_arrays, refuse_nearest
from .warp import (
    affine as affine,
    affine_image as affine_image,
    affine_video as affine_video,
    elastic as elastic,
    elastic_image as elastic_image,
    elastic_transform as elastic_transform,
    elastic_video as elastic_video,
    perspective as perspective,
    perspective_image as perspective_image,
    perspective_video as perspective_video,
)

__all__ = [name for name in dir(_stock) if not name.startswith("_")]

Interpolation: TypeAlias = (
    Literal["bilinear", "bicubic", "lanczos", "box", "hamming", "nearest", "nearest-exact"] | InterpolationMode | int
)
Size: TypeAlias = int | Sequence[int] | None
Path: TypeAlias = Literal["op", "graph"]

PATHS = ("op", "graph")
# By the mode, its name and Pillow's constant.
MODES = {key: mode for mode in InterpolationMode for key in (mode, mode.value, int(pil_modes_mapping[mode]))}
KERNELS = frozenset(sr.KERNELS)


def resize(
    inpt: Any,
    size: Size,
    interpolation: Interpolation = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
    *,
    kernel: KernelName | None = None,
    defense: Defense = "robust",
    path: Path = "op",
) -> Any:
    """Resize one input as ``torchvision.transforms.v2.functional.resize`` does, images robustly.

    >>> resize(torch.zeros(3, 768, 1024, dtype=torch.uint8), [224, 224]).shape
    torch.Size([3, 224, 224])

    Parameters
    ----------
    inpt
        An image: a PIL image of mode L, RGB, RGBA, RGBX, LA, CMYK, YCbCr, LAB, HSV, La, RGBa, I;16 (L, B and N), I or
        F; or a tensor, ``tv_tensors.Image`` or ``tv_tensors.Video`` (or a subclass) of shape (..., C, H, W) and a real
        dtype. uint8, uint16 and float32 are computed as by :func:`secure_resize.resize`, int8 and int16 as the two
        first with an offset, half precision in float32, float64 and wide integers in float64; a bool is True where at
        least half of the weight is. Type, dtype, device, memory format and metadata are kept. Floating tensors are
        differentiable, in both modes. On a CUDA device the tensor stays there.
        Anything else, masks, bounding boxes, keypoints and types that you registered a kernel for, goes to torchvision
        unchanged.
    size, max_size
        As in torchvision: (height, width), or the shorter edge alone, or None with ``max_size``. An image that has the
        size already is returned itself.
    interpolation
        Picks the kernel of that name, always antialiased. Nearest on an image needs an explicit ``kernel``.
    antialias
        There is no way to switch it off: False warns and is ignored.
    kernel
        A name from ``secure_resize.KERNELS``, ``"area"`` for one, instead of the interpolation's. Masks ignore it.
    defense
        ``"robust"`` (default): all of the above. ``"median"`` or ``"random"``: the pipeline keeps torchvision's own
        interpolation *without* antialiasing (nearest, nearest-exact, bilinear or bicubic), and the image is
        reconstructed first by :func:`secure_resize.reconstruct`. For tensors of uint8, uint16 and floating dtypes and
        PIL images of mode L and RGB; without gradients.
    path
        ``"op"`` (default): the operation ``torch.ops.secure_resize.resize``, which torch.compile, torch.export, make_fx
        and torch.jit.trace record as one node, for any sizes. ``"graph"``: torch operations alone and the same bytes,
        for ONNX and for exported programs that run where this package is not installed; sizes are constants of it.

    Raises
    ------
    TypeError
        A numpy array, or a complex or quantised tensor.
    ValueError
        A PIL mode other than those above, an empty image, nearest on an image, an unknown interpolation, kernel or
        path, or a size out of range.
    """
    if isinstance(inpt, Proxy):
        return _record(inpt, size, interpolation, max_size, antialias, kernel=kernel, defense=defense, path=path)
    if not is_image(inpt):
        refuse_arrays([inpt])
        return _stock.resize(inpt, size, interpolation, max_size, antialias)
    if defense != "robust":
        scaler = check_defense(defense, interpolation, kernel)
        new_size = _compute_resized_output_size(_stock.get_size(inpt), size, max_size)
        return _reconstruct_and_resize(inpt, new_size, _mode(interpolation), scaler, defense)
    warn_of_antialias(antialias)
    check_path(path)
    return _resize_image(inpt, size, max_size, choose_kernel(interpolation, kernel), path)


def _record(proxy: Any, *args: Any, **options: Any) -> Any:
    """A call of :func:`resize` in the graph that ``torch.fx.symbolic_trace`` records."""
    return proxy.tracer.create_proxy("call_function", resize, (proxy, *args), options)


def resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Size,
    interpolation: Interpolation = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
    *,
    kernel: KernelName | None = None,
    defense: Defense = "robust",
    path: Path = "op",
) -> Any:
    """Crop as torchvision does, then :func:`resize`: the same inputs, options and errors."""
    if isinstance(inpt, Proxy):
        inpt = inpt.tracer.create_proxy("call_function", _stock.crop, (inpt, top, left, height, width), {})
        return _record(inpt, size, interpolation, None, antialias, kernel=kernel, defense=defense, path=path)
    if not is_image(inpt, _stock.resized_crop):
        refuse_arrays([inpt])
        return _stock.resized_crop(inpt, top, left, height, width, size, interpolation, antialias)
    if defense == "robust":
        warn_of_antialias(antialias)
    cropped = _stock.crop(inpt, top, left, height, width)
    return resize(cropped, size, interpolation, None, None, kernel=kernel, defense=defense, path=path)


def _as_kernel(function: Callable[..., Any], first: str) -> Callable[..., Any]:
    """``function`` under the name of torchvision's kernel for its first argument, an "image" or a "video"."""

    @functools.wraps(function)
    def kernel(*args: Any, **kwargs: Any) -> Any:
        if not args and first in kwargs:
            args = (kwargs.pop(first),)
        return function(*args, **kwargs)

    kernel.__name__ = kernel.__qualname__ = f"{function.__name__}_{first}"
    kernel.__doc__ = f":func:`{function.__name__}` under the name of torchvision's kernel for {first} tensors."
    signature = inspect.signature(function)
    inpt, *rest = signature.parameters.values()
    kernel.__signature__ = signature.replace(parameters=[inpt.replace(name=first), *rest])  # type: ignore[attr-defined]
    return kernel


resize_image, resize_video = _as_kernel(resize, "image"), _as_kernel(resize, "video")
resized_crop_image, resized_crop_video = _as_kernel(resized_crop, "image"), _as_kernel(resized_crop, "video")


def register_kernel(functional: Any, tv_tensor_cls: Any) -> Any:
    """torchvision's own, which takes this module's functions for those that they replace."""
    name = getattr(functional, "__name__", "")
    if globals().get(name) is functional:
        functional = getattr(_stock, name)
    return _stock.register_kernel(functional, tv_tensor_cls)


def warn_of_antialias(antialias: bool | None, stacklevel: int = 3) -> None:
    """UserWarning, at the caller's caller unless told otherwise, if antialiasing is asked to be off."""
    if antialias is not None and not antialias:
        warnings.warn(
            f"antialias={antialias} is ignored: without antialiasing a few pixels decide the result, which is what "
            "image-scaling attacks exploit; the image is resized with antialiasing",
            stacklevel=stacklevel,
        )


def check_path(path: str) -> None:
    """ValueError for an unknown path."""
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; valid: {', '.join(PATHS)}")


def choose_kernel(interpolation: Interpolation, kernel: str | None) -> Any:
    """The name of the kernel for an image; None where only nearest is asked for. ValueError if either is unknown."""
    if kernel is not None:
        return kernel if kernel in KERNELS else sr.get_kernel(kernel).name
    value = _mode(interpolation).value
    return None if value.startswith("nearest") else value


def _mode(interpolation: Interpolation) -> InterpolationMode:
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if interpolation in MODES:
        return MODES[interpolation]
    valid = ", ".join(f"{mode.value!r} ({pil_modes_mapping[mode]})" for mode in InterpolationMode)
    raise ValueError(f"unknown interpolation {interpolation!r}; valid (with Pillow's constants): {valid}")


def check_defense(defense: str, interpolation: Interpolation, kernel: str | None) -> str | None:
    """The scaler that ``defense`` reconstructs for; None for ``"robust"``. ValueError for what does not go together."""
    mode = "" if defense == "robust" else _mode(interpolation).value
    scaler = stock_scaler(defense, "torchvision", mode)
    if scaler is not None and kernel is not None:
        raise ValueError(f"kernel={kernel!r} goes with defense='robust'; {defense!r} keeps torchvision's own")
    return scaler


def _reconstruct_and_resize(image: Any, size: Sequence[int], mode: InterpolationMode, scaler: Any, defense: Any) -> Any:
    """torchvision's own resize to ``size``, not antialiased, of the reconstructed image."""
    if isinstance(image, PIL.Image.Image):  # Pillow's own resize reads other pixels
        _check_reconstructible(image)
        tensor = _reconstruct_and_resize(_stock.pil_to_tensor(image), size, mode, scaler, defense)
        return _stock.to_pil_image(tensor, image.mode)
    return _stock.resize(reconstruct(image, size, scaler=scaler, method=defense), size, mode, antialias=False)


def _check_reconstructible(image: Any) -> None:
    if isinstance(image, PIL.Image.Image):
        if image.mode not in ("L", "RGB"):
            raise ValueError(f"to be reconstructed a PIL image must be of mode L or RGB, got {image.mode!r}")
    elif image.dtype not in RECONSTRUCTIBLE:
        valid = ", ".join(map(str, RECONSTRUCTIBLE))
        raise TypeError(f"an image must be of dtype {valid} to be reconstructed, got {image.dtype}; convert it")
    check_image(image)


RECONSTRUCTIBLE = (torch.uint8, torch.uint16, torch.float32, torch.float16, torch.bfloat16)


def reconstruct(
    image: Any,
    size: Sequence[int],
    *,
    scaler: str = "opencv:linear",
    method: ReconstructionMethod = "median",
    bandwidth: float = 2,
) -> Any:
    """:func:`secure_resize.reconstruct` of a tensor (..., C, H, W) or a PIL image of mode L or RGB, of the same type.

    ``size`` is the (height, width) that ``scaler`` will make of it. Tensors may be uint8, uint16, float32 or of half
    precision; no gradients flow.
    """
    _check_reconstructible(image)
    if isinstance(image, PIL.Image.Image):
        options: dict[str, Any] = {"scaler": scaler, "method": method, "bandwidth": bandwidth}
        return PIL.Image.fromarray(sr.reconstruct(np.asarray(image), size, **options))
    wrapped = isinstance(image, tv_tensors.TVTensor)
    plain = image.as_subclass(torch.Tensor) if wrapped else image
    out = op.reconstruct(plain.detach(), list(size), scaler, method, float(bandwidth))
    return tv_tensors.wrap(out, like=image) if wrapped else out


def _resize_image(image: Any, size: Size, max_size: int | None, kernel: KernelName | None, path: str) -> Any:
    if kernel is None:
        refuse_nearest(image, list(sr.KERNELS))
    check_image(image)
    is_pil = isinstance(image, PIL.Image.Image)
    old_size = [image.height, image.width] if is_pil else list(image.shape[-2:])
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        old_size = [int(n) for n in old_size]  # torch warns that they are constants from here on
    new_size = _compute_resized_output_size((old_size[0], old_size[1]), size, max_size)
    height, width = new_size
    if [height, width] == old_size:
        return image
    if not all(isinstance(n, (int, torch.SymInt)) for n in new_size):
        height, width = check_size(new_size)
    assert kernel is not None
    if isinstance(image, PIL.Image.Image):
        return pil.resize(image, (height, width), kernel)
    if isinstance(image, tv_tensors.TVTensor):
        resized = _resize_tensor(image.as_subclass(torch.Tensor), [height, width], kernel, path)
        return tv_tensors.wrap(resized, like=image)
    return _resize_tensor(image, [height, width], kernel, path)


def _resize_tensor(image: torch.Tensor, size: list[int], kernel: KernelName, path: str) -> torch.Tensor:
    run: Any = op.resize if path == "op" else graph.resize
    resized: torch.Tensor = run(image, size, kernel)
    return resized


def __getattr__(name: str) -> Any:
    # Never a dunder: with torchvision's __path__, Python would import torchvision's files as submodules of this one.
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
