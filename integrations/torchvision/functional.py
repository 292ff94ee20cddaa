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
from secure_resize.integration_support import Defense, KernelName, ReconstructionMethod, pillow_pass_order, stock_scaler

__all__ = [name for name in dir(_stock) if not name.startswith("_")]

Interpolation: TypeAlias = (
    Literal["bilinear", "bicubic", "lanczos", "box", "hamming", "nearest", "nearest-exact"] | InterpolationMode | int
)
Size: TypeAlias = int | Sequence[int] | None

# Computed in float32 and rounded back once; the core has no half precision.
HALF_DTYPES = (torch.float16, torch.bfloat16)
TENSOR_DTYPES = (torch.uint8, torch.uint16, torch.float32, *HALF_DTYPES)
PIL_MODES = ("L", "RGB", "RGBA", "RGBX", "LA", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa", "I;16", "F")
# Colours are averaged weighted by their alpha, as Pillow does: a transparent pixel's colour must not bleed.
PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}
# Pillow resizes these with nearest whatever filter is asked for, without a word.
NEAREST_ONLY = {"P": "RGB", "1": "L"}
# Pillow's own bytes need the passes in the installed version's order; only PIL images are compared with it, and tensors
# give the same bytes whatever Pillow is installed.
PASS_ORDER = pillow_pass_order(PIL.__version__)
# LAB's a and b are signed outside Pillow and offset by 128 inside; only the latter can be averaged as uint8.
LAB_OFFSET = np.array([0, 128, 128], np.uint8)


def resize(
    inpt: Any,
    size: Size,
    interpolation: Interpolation = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
    *,
    kernel: KernelName | None = None,
    defense: Defense = "robust",
) -> Any:
    """Resize one input as ``torchvision.transforms.v2.functional.resize`` does, images robustly.

    >>> resize(torch.zeros(3, 768, 1024, dtype=torch.uint8), [224, 224]).shape
    torch.Size([3, 224, 224])

    Parameters
    ----------
    inpt
        An image: a PIL image of mode L, RGB, RGBA, RGBX, LA, CMYK, YCbCr, LAB, HSV, La, RGBa, I;16 or F; or a pure
        tensor, ``tv_tensors.Image`` or ``tv_tensors.Video`` of shape (..., C, H, W) and dtype uint8, uint16, float32,
        float16 or bfloat16 (the last two computed in float32). Type, dtype, device, memory format and metadata are
        kept. Float tensors are differentiable. A tensor on another device goes through the CPU and back.
        Anything else, masks, bounding boxes and keypoints first of all, goes to torchvision unchanged.
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
        reconstructed first by :func:`secure_resize.reconstruct`. For tensors of uint8 and floating dtypes and PIL
        images of mode L and RGB; without gradients.

    Raises
    ------
    TypeError
        A numpy array, or a tensor dtype other than those above.
    ValueError
        A PIL mode other than those above, an empty image, a meta tensor, nearest on an image, an unknown
        interpolation or kernel, or a size out of range.
    RuntimeError
        ``torch.jit.trace`` is recording.
    """
    if not is_image(inpt):
        refuse_arrays([inpt])
        return _stock.resize(inpt, size, interpolation, max_size, antialias)
    scaler = check_defense(defense, interpolation, kernel)
    if scaler is not None:
        new_size = _compute_resized_output_size(_stock.get_size(inpt), size, max_size)
        return _reconstruct_and_resize(inpt, new_size, _mode(interpolation), scaler, defense)
    warn_of_antialias(antialias)
    return _resize_image(inpt, size, max_size, choose_kernel(interpolation, kernel))


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
) -> Any:
    """Crop as torchvision does, then :func:`resize`: the same inputs, ``kernel``, ``defense`` and errors."""
    if not is_image(inpt):
        refuse_arrays([inpt])
        return _stock.resized_crop(inpt, top, left, height, width, size, interpolation, antialias)
    if defense == "robust":
        warn_of_antialias(antialias)
    cropped = _stock.crop(inpt, top, left, height, width)
    return resize(cropped, size, interpolation, None, None, kernel=kernel, defense=defense)


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


def is_image(inpt: Any) -> bool:
    """Whether ``inpt`` is resized here; everything else is torchvision's."""
    return isinstance(inpt, (PIL.Image.Image, tv_tensors.Image, tv_tensors.Video)) or _stock.is_pure_tensor(inpt)


def refuse_arrays(flat_inputs: Sequence[Any]) -> None:
    """TypeError for a sample with numpy images, which torchvision would pass through unresized.

    Arrays without or with a single axis are labels, unless there is nothing else in the sample.
    """
    for inpt in flat_inputs:
        if isinstance(inpt, np.ndarray) and (inpt.ndim >= 2 or len(flat_inputs) == 1):
            raise TypeError(
                f"got a numpy array of shape {inpt.shape}, which is neither a PIL image nor a tensor: torchvision "
                "transforms pass it through unresized. Put v2.ToImage() first, or call secure_resize.resize on it"
            )


def warn_of_antialias(antialias: bool | None, stacklevel: int = 3) -> None:
    """UserWarning, at the caller's caller unless told otherwise, if antialiasing is asked to be off."""
    if antialias is not None and not antialias:
        warnings.warn(
            f"antialias={antialias} is ignored: without antialiasing a few pixels decide the result, which is what "
            "image-scaling attacks exploit; the image is resized with antialiasing",
            stacklevel=stacklevel,
        )


# TorchDynamo 2.6 fails on a registry, a kind of dict.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def choose_kernel(interpolation: Interpolation, kernel: str | None) -> Any:
    """The name of the kernel for an image; None where only nearest is asked for. ValueError if either is unknown."""
    if kernel is not None:
        return sr.get_kernel(kernel).name
    mode = _mode(interpolation)
    return None if mode.value.startswith("nearest") else mode.value


def _mode(interpolation: Interpolation) -> InterpolationMode:
    for mode in InterpolationMode:
        if interpolation in (mode, mode.value, pil_modes_mapping[mode]):
            return mode
    valid = ", ".join(f"{mode.value!r} ({pil_modes_mapping[mode]})" for mode in InterpolationMode)
    raise ValueError(f"unknown interpolation {interpolation!r}; valid (with Pillow's constants): {valid}")


def check_defense(defense: str, interpolation: Interpolation, kernel: str | None) -> str | None:
    """The scaler that ``defense`` reconstructs for; None for ``"robust"``. ValueError for what does not go together."""
    mode = "" if defense == "robust" else _mode(interpolation).value
    scaler = stock_scaler(defense, "torchvision", mode)
    if scaler is not None and kernel is not None:
        raise ValueError(f"kernel={kernel!r} goes with defense='robust'; {defense!r} keeps torchvision's own")
    return scaler


def _reconstruct_and_resize(image: Any, size: Sequence[int], mode: InterpolationMode, scaler: str, defense: Any) -> Any:
    """torchvision's own resize to ``size``, not antialiased, of the reconstructed image."""
    if isinstance(image, PIL.Image.Image):  # Pillow's own resize reads other pixels
        _check_reconstructible(image)
        tensor = _reconstruct_and_resize(_stock.pil_to_tensor(image), size, mode, scaler, defense)
        return _stock.to_pil_image(tensor, image.mode)
    return _stock.resize(reconstruct(image, size, scaler=scaler, method=defense), size, mode, antialias=False)


def _check_reconstructible(image: Any) -> None:
    if isinstance(image, PIL.Image.Image) and image.mode not in ("L", "RGB"):
        raise ValueError(f"a PIL image must be of mode L or RGB to be reconstructed, got {image.mode!r}; convert it")
    _check_image(image)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def reconstruct(
    image: Any,
    size: Sequence[int],
    *,
    scaler: str = "opencv:linear",
    method: ReconstructionMethod = "median",
    bandwidth: float = 2,
) -> Any:
    """:func:`secure_resize.reconstruct` of a tensor (..., C, H, W) or a PIL image of mode L or RGB, of the same type.

    ``size`` is the (height, width) that ``scaler`` will make of it. Tensors may be uint8, uint16 or floating; no
    gradients flow.
    """
    options: dict[str, Any] = {"scaler": scaler, "method": method, "bandwidth": bandwidth}
    _check_reconstructible(image)
    if isinstance(image, PIL.Image.Image):
        return PIL.Image.fromarray(sr.reconstruct(np.asarray(image), size, **options))
    plain = image.as_subclass(torch.Tensor).detach()
    if plain.numel() == 0:
        return image
    batch = plain.movedim(-3, -1).reshape(-1, *plain.shape[-2:], plain.shape[-3])
    batch = batch.float() if plain.dtype in HALF_DTYPES else batch
    out = torch.from_numpy(sr.reconstruct(batch.numpy(force=True), size, **options))
    out = out.to(plain.device, plain.dtype).movedim(-1, -3).reshape(plain.shape)
    return tv_tensors.wrap(out, like=image) if isinstance(image, tv_tensors.TVTensor) else out


def _resize_image(image: Any, size: Size, max_size: int | None, kernel: KernelName | None) -> Any:
    if kernel is None:
        raise ValueError(
            "nearest interpolation of an image is what image-scaling attacks exploit: it reads one pixel per output. "
            f"Ask for another interpolation, or for a kernel by name: {', '.join(map(repr, sr.KERNELS))}. "
            "Masks are resized with nearest whatever is asked for images"
        )
    _check_image(image)
    old_size = _stock.get_size(image)
    height, width = _compute_resized_output_size(old_size, size, max_size)
    if [height, width] == old_size:
        return image
    if isinstance(image, PIL.Image.Image):
        return _resize_pil(image, (height, width), kernel)
    if isinstance(image, tv_tensors.TVTensor):
        resized = _resize_tensor(image.as_subclass(torch.Tensor), (height, width), kernel)
        return tv_tensors.wrap(resized, like=image)
    return _resize_tensor(image, (height, width), kernel)


def _check_image(image: Any) -> None:
    """Everything wrong with an image that does not depend on the size asked for."""
    if isinstance(image, PIL.Image.Image):
        if image.mode in NEAREST_ONLY:
            raise ValueError(
                f"a PIL image of mode {image.mode!r} can only be resized with nearest, which image-scaling attacks "
                f"exploit; convert it first: image.convert({NEAREST_ONLY[image.mode]!r})"
            )
        if image.mode not in PIL_MODES:
            raise ValueError(f"PIL image mode must be one of {', '.join(PIL_MODES)}, got {image.mode!r}")
        shape = (image.height, image.width)
    else:
        # The core's numpy would be recorded as a constant.
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise RuntimeError("torch.jit.trace cannot record a robust resize; apply it outside the traced module")
        if image.dtype not in TENSOR_DTYPES:
            raise TypeError(
                f"image dtype must be one of {', '.join(map(str, TENSOR_DTYPES))}, got {image.dtype}; convert first, "
                "for example with v2.ToDtype(torch.float32, scale=True)"
            )
        if image.ndim < 3:
            raise ValueError(f"an image tensor must have shape (..., C, H, W), got {tuple(image.shape)}")
        if image.is_meta:
            raise ValueError("a meta tensor holds no pixels to resize; move it to a device with data first")
        shape = tuple(image.shape)
    if 0 in shape[-2:]:
        raise ValueError(f"image is empty: shape {shape}")


def _resize_pil(image: PIL.Image.Image, size: tuple[int, int], kernel: KernelName) -> PIL.Image.Image:
    """A new image of the same mode and info; for its 8-bit modes and kernels the installed Pillow's own bytes."""
    if image.mode in PREMULTIPLIED:
        return _resize_pil(image.convert(PREMULTIPLIED[image.mode]), size, kernel).convert(image.mode)
    pixels = np.asarray(image)
    if image.mode == "LAB":
        resized = sr.resize(pixels ^ LAB_OFFSET, size, kernel=kernel, pass_order=PASS_ORDER) ^ LAB_OFFSET
    else:
        resized = sr.resize(pixels, size, kernel=kernel, pass_order=PASS_ORDER)
    # I;16 is little-endian on every machine.
    resized = resized.astype(pixels.dtype, copy=False)
    result = PIL.Image.frombytes(image.mode, (size[1], size[0]), resized)
    result.info = {key: value.copy() if isinstance(value, list) else value for key, value in image.info.items()}
    return result


# TorchDynamo would trace the core's numpy into torch operations, which round differently.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _resize_tensor(image: torch.Tensor, size: tuple[int, int], kernel: KernelName) -> torch.Tensor:
    if image.numel() == 0:  # no images, or none of their channels
        return image.new_empty(*image.shape[:-2], *size)
    resized: torch.Tensor = _RobustResize.apply(image, size, kernel)
    return resized


class _RobustResize(torch.autograd.Function):
    """:func:`secure_resize.resize` of a non-empty tensor (..., C, H, W)."""

    @staticmethod
    def forward(image: torch.Tensor, size: tuple[int, int], kernel: KernelName) -> torch.Tensor:
        *leading, channels, height, width = image.shape
        # Channels are independent: planes are a batch of grey images, without the copy that interleaving takes.
        interleaved = 0 < image.stride(-3) < image.stride(-1)
        if interleaved:
            batch = image.movedim(-3, -1).reshape(-1, height, width, channels)
        else:
            batch = image.reshape(-1, height, width, 1)
        if image.dtype in HALF_DTYPES:
            batch = batch.float()
        resized = torch.from_numpy(sr.resize(batch.numpy(force=True), size, kernel=kernel))
        resized = resized.to(image.device, image.dtype)
        if interleaved:
            return resized.reshape(*leading, *size, channels).movedim(-1, -3)
        return resized.reshape(*leading, channels, *size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, tuple[int, int], KernelName], output: torch.Tensor) -> None:
        image, size, kernel = inputs
        ctx.plan = (image.shape[-2], image.shape[-1]), size, kernel

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Lᵀ · grad · R: exact, as the core's float path neither rounds nor clips before its one result.

        In torch, hence differentiable itself and on the gradient's device; a dense matrix is no larger than an image.
        """
        operator = sr.scaling_operator(*ctx.plan)
        rows, cols = (torch.from_numpy(axis.dense()).to(grad.device) for axis in (operator.rows, operator.cols))
        return (rows.T @ grad.double() @ cols).to(grad.dtype), None, None


def __getattr__(name: str) -> Any:
    # Never a dunder: with torchvision's __path__, Python would import torchvision's files as submodules of this one.
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_stock, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_stock)})
