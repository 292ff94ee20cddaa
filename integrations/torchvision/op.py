"""``torch.ops.secure_resize``: the resize as torch's own kind of operation, so that every tracer records it as such.

``resize(Tensor image, SymInt[] size, str kernel)`` is :func:`secure_resize.resize` of an image (..., C, H, W),
``resize_adjoint`` the transpose of its matrix, each the derivative of the other; ``reconstruct`` is
:func:`secure_resize.reconstruct`. All have kernels for the CPU, for accelerators, for shapes alone (meta and fake
tensors), for ``torch.vmap``, and the first two for derivatives in both modes. A program that was exported with them
needs ``import secure_resize.integrations.torchvision`` where it is loaded; ``path="graph"`` needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad as _forward_ad

import secure_resize as sr
from secure_resize.integration_support import check_size

from . import graph
from .kinds import HALF_DTYPES, WIDE_DTYPES

__all__ = ["reconstruct", "resize"]

forward_ad: Any = _forward_ad  # in part untyped

Size = Sequence[int]

# Devices that compute in float64 and int64, where the image stays; from others it goes through the CPU and back.
CAPABLE_DEVICES = ("cuda", "xpu")
# Values of taps that a device holds at a time: with what is made of them about a gigabyte.
MAX_TAPS = 1 << 26

_library: Any = torch.library.Library("secure_resize", "DEF")  # type: ignore[no-untyped-call]


def _empty(image: torch.Tensor, size: Size) -> torch.Tensor:
    """The result for ``image``, without its values: the channels lie together where the image's do."""
    *leading, channels, _, _ = image.shape
    if 0 < image.stride(-3) < image.stride(-1):
        return image.new_empty((*leading, *size, channels)).movedim(-1, -3)
    return image.new_empty((*leading, channels, *size))


def _resize(image: torch.Tensor, size: Size, kernel: str) -> torch.Tensor:
    """The operation itself."""
    if image.numel() == 0:  # no images, or none of their channels
        return _empty(image, size)
    height, width = check_size(size)
    if image.device.type in CAPABLE_DEVICES:
        return _resize_on_device(image, (height, width), kernel)
    if image.dtype in WIDE_DTYPES:
        on_cpu: torch.Tensor = graph.resize(image.cpu(), (height, width), kernel)
        return on_cpu.to(image.device)
    *leading, channels, h_in, w_in = image.shape
    # Channels are independent: planes are a batch of grey images, without the copy that interleaving takes.
    interleaved = 0 < image.stride(-3) < image.stride(-1)
    lines = image.movedim(-3, -1) if interleaved else image
    batch = lines.reshape(-1, h_in, w_in, channels if interleaved else 1)
    resized = torch.from_numpy(_resize_array(batch, (height, width), kernel)).to(image.device, image.dtype)
    if interleaved:
        return resized.reshape(*leading, height, width, channels).movedim(-1, -3)
    return resized.reshape(*leading, channels, height, width)


def _resize_array(batch: torch.Tensor, size: tuple[int, int], kernel: Any) -> Any:
    """A batch (N, H, W, C) of any dtype but the wide ones, as the core has it."""
    if batch.dtype in HALF_DTYPES:
        batch = batch.float()
    pixels = batch.numpy(force=True)
    if pixels.dtype == np.int8:
        return (sr.resize(pixels.view(np.uint8) ^ 0x80, size, kernel=kernel) ^ 0x80).view(np.int8)
    if pixels.dtype == np.int16:
        return (sr.resize(pixels.view(np.uint16) ^ 0x8000, size, kernel=kernel) ^ 0x8000).view(np.int16)
    if pixels.dtype == np.bool_:
        return sr.resize(pixels.view(np.uint8) * np.uint8(255), size, kernel=kernel) >= 128
    return sr.resize(pixels, size, kernel=kernel)


def _resize_on_device(image: torch.Tensor, size: tuple[int, int], kernel: str) -> torch.Tensor:
    """On the image's own device and stream, a few images at a time."""
    planes = image.reshape(-1, 1, *image.shape[-2:])
    support = 2 * sr.KERNELS[kernel].support + 2
    step = max(1, int(MAX_TAPS / (support * max(planes[0].numel(), size[0] * size[1]))))
    parts = [graph.resize(planes[first : first + step], size, kernel) for first in range(0, len(planes), step)]
    resized = torch.cat(parts) if len(parts) > 1 else parts[0]
    return graph.as_laid_out(resized.reshape(*image.shape[:-2], *size), image)


def _adjoint(gradient: torch.Tensor, size: Size, kernel: Any) -> torch.Tensor:
    """Lᵀ · gradient · R for images of ``size``: exact, as the float path neither rounds nor clips before its result.

    A dense matrix is no larger than an image.
    """
    height, width = size
    if gradient.numel() == 0:
        return gradient.new_zeros((*gradient.shape[:-2], height, width))
    operator = sr.scaling_operator((height, width), (gradient.shape[-2], gradient.shape[-1]), kernel)
    home = gradient.device if gradient.device.type in ("cpu", *CAPABLE_DEVICES) else torch.device("cpu")
    rows, cols = (torch.from_numpy(axis.dense()).to(home) for axis in (operator.rows, operator.cols))
    return (rows.T @ gradient.to(home, torch.float64) @ cols).to(gradient.device, gradient.dtype).contiguous()


def _reconstruct(image: torch.Tensor, size: Size, scaler: str, method: Any, bandwidth: float) -> torch.Tensor:
    out = torch.empty_like(image)
    if image.numel():
        batch = image.movedim(-3, -1).reshape(-1, *image.shape[-2:], image.shape[-3])
        pixels = (batch.float() if image.dtype in HALF_DTYPES else batch).numpy(force=True)
        height, width = size
        new = sr.reconstruct(pixels, (height, width), scaler=scaler, method=method, bandwidth=bandwidth)
        out.copy_(torch.from_numpy(new).movedim(-1, -3).reshape(image.shape))
    return out


def _define(name: str, arguments: str, function: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """Register an operation of an image, its first argument, and of numbers and names."""
    _library.define(f"{name}(Tensor image, {arguments}) -> Tensor")
    _library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"secure_resize::{name}", fake, lib=_library)
    operation = getattr(torch.ops.secure_resize, name).default

    def batched(info: Any, in_dims: Any, image: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, int]:
        return operation(image.movedim(in_dims[0], 0), *rest), 0

    torch.library.register_vmap(f"secure_resize::{name}", batched, lib=_library)
    return operation


resize = _define("resize", "SymInt[] size, str kernel", _resize, lambda image, size, kernel: _empty(image, size))
_resize_adjoint = _define(
    "resize_adjoint",
    "SymInt[] size, str kernel",
    _adjoint,
    lambda gradient, size, kernel: gradient.new_empty((*gradient.shape[:-2], *size)),
)
reconstruct = _define(
    "reconstruct",
    "SymInt[] size, str scaler, str method, float bandwidth",
    _reconstruct,
    lambda image, size, scaler, method, bandwidth: torch.empty_like(image),
)


def _differentiable(operation: Any, adjoint: Any) -> Callable[..., Any]:
    """The kernel of a linear operation where derivatives are asked for: backwards ``adjoint``, forwards itself.

    torch.library.register_autograd knows no forward mode, gives a tangent of zero without a word, and fails under
    torch.func.grad.
    """

    class Linear(torch.autograd.function._SingleLevelFunction):
        @staticmethod
        def forward(image: torch.Tensor, size: Size, kernel: str) -> Any:
            if not torch._C._are_functorch_transforms_active():
                with torch._C._AutoDispatchBelowAutograd():
                    return operation(image, size, kernel)
            # Of this level of torch.func alone: those below it have derivatives of their own.
            with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True), torch._C._AutoDispatchBelowAutograd():
                return operation(image, size, kernel)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            image, size, kernel = inputs
            ctx.in_size, ctx.size, ctx.kernel = image.shape[-2:], size, kernel

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> Any:
            return adjoint(gradient, ctx.in_size, ctx.kernel), None, None

        @staticmethod
        def jvp(ctx: Any, tangent: torch.Tensor, size: None, kernel: None) -> Any:
            return operation(tangent, ctx.size, ctx.kernel)

    apply: Any = Linear.apply  # type: ignore[attr-defined]

    def run(image: torch.Tensor, size: Size, kernel: str) -> Any:
        backwards = image.requires_grad and torch.is_grad_enabled()
        if image.is_floating_point() and (backwards or forward_ad.unpack_dual(image).tangent is not None):
            if not torch._C._are_functorch_transforms_active():
                return apply(image, size, kernel)
            with enable_single_level_autograd_function():
                return apply(image, size, kernel)
        with torch._C._AutoDispatchBelowAutograd():
            return operation(image, size, kernel)

    return run


_library.impl("resize", _differentiable(resize, _resize_adjoint), "Autograd")
_library.impl("resize_adjoint", _differentiable(_resize_adjoint, resize), "Autograd")
