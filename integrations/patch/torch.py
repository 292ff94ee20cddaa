"""torch: its own antialiased filters for its sampling ones, the exact mean for nearest, grids sampled larger."""

from __future__ import annotations

import functools
import math
import sys
import warnings
from functools import lru_cache
from typing import Any

from secure_resize.integration_support import KernelName, axis_operator, tracing

from .arrays import factor_of, scale_axes
from .routes import LABELS, Answer, Answering, Call, Done, Left, route

ANTIALIASED = ("bilinear", "bicubic")
NEAREST = ("nearest", "nearest-exact")
ACTIVATIONS = Left("inside a network, of no picture", harmless=True)
LEARNED = Left("sampled where a network says, which learns from it")
_CHANNELS = 4  # that a picture has at most


def _torch() -> Any:
    return sys.modules["torch"]


def _quiet_while_traced(replace: Answering) -> Answering:
    """torch.jit.trace warns of sizes that it takes for constants: of ours nobody has to be told."""

    @functools.wraps(replace)
    def within(call: Call) -> Answer:
        torch = _torch()
        if not torch.jit.is_tracing():
            return replace(call)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module=r"secure_resize\.")
            return replace(call)

    return within


def _interpolate_compiling(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
    *,
    original: Any,
) -> Any:
    """What torch's compilers see: torch's own operations alone, and sizes known to them."""
    plain = original(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
    if antialias or input.dim() != 4 or input.shape[1] > _CHANNELS or not input.is_floating_point():
        return plain
    before, after = input.shape[-2:], plain.shape[-2:]
    if after[0] >= before[0] and after[1] >= before[1]:
        return plain
    if mode in ("bilinear", "bicubic") and not align_corners:
        return original(input, size, scale_factor, mode, align_corners, recompute_scale_factor, True)
    if mode == "area" and before[0] % after[0] == 0 and before[1] % after[1] == 0:
        return plain
    return _mean(input, tuple(after))


def _out_size(call: Call, before: tuple[int, ...]) -> tuple[int, ...]:
    size, scale = call.argument(1, "size"), call.argument(2, "scale_factor")
    if size is not None:
        return (
            tuple(map(int, size))
            if isinstance(size, (tuple, list)) or hasattr(size, "__len__")
            else (int(size),) * len(before)
        )
    factors = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * len(before)
    return tuple(math.floor(float(n) * float(f)) for n, f in zip(before, factors, strict=True))


@route("torch.nn.functional.interpolate", compiling=_interpolate_compiling)
@_quiet_while_traced
def interpolate(call: Call) -> Answer:
    """``torch.nn.functional.interpolate``."""
    torch, image, mode = _torch(), call.argument(0, "input"), call.argument(3, "mode", "nearest")
    if not isinstance(image, torch.Tensor) or image.dim() not in (4, 5) or call.argument(6, "antialias", False):
        return None
    before = tuple(map(int, image.shape[2:]))
    after = _out_size(call, before)
    if all(m >= n for n, m in zip(before, after, strict=True)):
        return None
    if mode == "area" and all(n % m == 0 for n, m in zip(before, after, strict=True)):
        return None
    answer = _role(call, image, mode, after)
    if answer is not None:
        return answer
    floating = image.is_floating_point()
    # (With align_corners, torch's antialiased windows slip off the image: 5 dB from 32 to 8 pixels.)
    if mode in ANTIALIASED and floating and image.dim() == 4 and not call.argument(4, "align_corners"):
        return Done(call.with_argument(6, "antialias", True).stock(), f"{mode}, antialias=True")
    if floating:
        by: Any = {"bicubic": "bicubic", "bilinear": "bilinear", "trilinear": "bilinear"}.get(mode, "area")
        small = _fast(image, after, by)
        return Done(_mean(image, after, by) if small is None else small, by)
    call.stock()  # refuses what torch refuses
    if _without_pixels(image):
        return Left("a tensor without pixels")
    kernel: Any = mode if mode in ANTIALIASED else "area"
    if torch.jit.is_tracing():  # an array would stand in the graph as a constant
        exact, limits = (_mean(image.double(), after, kernel) + 0.5).floor(), torch.iinfo(image.dtype)
        return Done(_laid_out(exact.clamp(limits.min, limits.max).to(image.dtype), image), kernel)
    return Done(_by_array(image.detach().cpu(), after, kernel).to(image.device), kernel)


def _role(call: Call, image: Any, mode: str, after: tuple[int, ...]) -> Answer:
    """Why the call is left as it is, if it is."""
    if image.grad_fn is not None or image.shape[1] > _CHANNELS:
        return ACTIVATIONS
    if mode in NEAREST and not _without_pixels(image):
        size = tuple(min(n, m) for n, m in zip(image.shape[-2:], after[-2:], strict=True))
        plane = image.detach().cpu()
        known = plane.float() if plane.dtype in (_torch().bfloat16, _torch().float16) else plane
        if call.names_a_mask() or (image.shape[1] == 1 and call.is_labels(known.numpy(), size)):
            return LABELS
    return None


def _without_pixels(image: Any) -> bool:
    return image.device.type == "meta" or type(image).__name__ in ("FakeTensor", "FunctionalTensor")


def _laid_out(result: Any, like: Any) -> Any:
    """In the memory format of ``like``."""
    torch = _torch()
    if result.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous():
        return result.contiguous(memory_format=torch.channels_last)
    return result


@lru_cache(maxsize=64)
def _matrix(n_in: int, n_out: int, kernel: str, double: bool) -> Any:
    """An array, not a tensor: which would belong to the graph that was traced when it was made."""
    return axis_operator(n_in, n_out, kernel).dense().astype("float64" if double else "float32")


def _fast(image: Any, size: tuple[int, ...], kernel: KernelName) -> Any:
    """As :func:`_mean`, for float32 on the CPU of which no derivative is wanted; None for all others."""
    torch = _torch()
    if type(image) is not torch.Tensor or image.dtype != torch.float32 or image.device.type != "cpu":
        return None
    level = getattr(torch.autograd.forward_ad, "_current_level", 0)  # -1: nothing is differentiated forwards
    if image.requires_grad or image.dim() != 4 or level >= 0 or torch.jit.is_tracing():
        return None
    try:
        return _by_array(image, size, kernel)
    except RuntimeError:  # within vmap, grad and others of torch.func
        return None


def _by_array(image: Any, size: tuple[int, ...], kernel: KernelName) -> Any:
    """A tensor (N, C, ..., H, W) scaled in its own memory format: decoded pictures are (N, H, W, C) in memory."""
    torch, last = _torch(), tuple(range(2, image.dim()))
    (n, channels), apart = image.shape[:2], image.permute(0, *last, 1)
    if not image.is_contiguous() and apart.is_contiguous():
        small = torch.from_numpy(scale_axes(apart.numpy(), (n, *size, channels), kernel))
        small = small.permute(0, image.dim() - 1, *(place - 1 for place in last))
        # torch takes a batch of one for contiguous where its stride says nothing, as of image[None].
        return small if image.stride(0) >= image.stride(2) * image.shape[2] else small.contiguous()
    return _laid_out(torch.from_numpy(scale_axes(image.numpy(), (n, channels, *size), kernel)), image)


def _mean(image: Any, size: tuple[int, ...], kernel: str = "area") -> Any:
    """A floating tensor (N, C, ..., H, W) scaled along its last axes, by matrices: on any device, differentiable."""
    torch = _torch()
    exact = torch.float64 if image.dtype == torch.float64 else torch.float32
    out = image.to(exact)
    for place, length in enumerate(size):
        axis = image.dim() - len(size) + place
        if image.shape[axis] != length:
            matrix = _constant(int(image.shape[axis]), int(length), kernel, exact).to(image.device, exact)
            out = torch.movedim(torch.movedim(out, axis, -1) @ matrix.T, -1, axis)
    return out.to(image.dtype).contiguous()


def _constant(n_in: int, n_out: int, kernel: str, dtype: Any) -> Any:
    torch = _torch()
    if torch.compiler.is_compiling():
        return _area_matrix(n_in, n_out)
    return torch.from_numpy(_matrix(n_in, n_out, kernel, dtype == torch.float64))


def _area_matrix(n_in: int, n_out: int) -> Any:
    """The kernel ``"area"`` in torch's operations, which its compilers follow: what an output covers of each pixel."""
    torch = _torch()
    begin = torch.arange(n_out, dtype=torch.float64)[:, None] * n_in / n_out
    pixel = torch.arange(n_in, dtype=torch.float64)
    covered = torch.minimum(begin + n_in / n_out, pixel + 1) - torch.maximum(begin, pixel)
    return covered.clamp(min=0) * n_out / n_in


@route("torch.nn.functional.grid_sample")
@_quiet_while_traced
def grid_sample(call: Call) -> Answer:
    """``torch.nn.functional.grid_sample``: the grid is interpolated, and what it samples averaged."""
    torch, image, grid = _torch(), call.argument(0, "input"), call.argument(1, "grid")
    mode, corners = call.argument(2, "mode", "bilinear"), bool(call.argument(4, "align_corners", False))
    if not isinstance(image, torch.Tensor) or image.dim() != 4 or 0 in grid.shape or 1 in grid.shape[1:3]:
        return None
    # (While torch.jit.trace runs, lengths are tensors.)
    size = tuple(map(int, grid.shape[1:3]))
    steps = _steps(grid.detach(), [int(n) for n in image.shape[2:]], corners)
    if tracing().stepped_over(steps, size) is None:
        return None
    answer = _role(call, image, mode, size)
    if answer is not None:
        return answer
    if grid.grad_fn is not None:
        return LEARNED
    factors = factor_of(steps[0]), factor_of(steps[1])
    larger = _larger(grid, factors)
    moved = call.with_argument(1, "grid", larger)
    if mode == "nearest":
        moved = moved.with_argument(2, "mode", "bilinear")
    return Done(torch.nn.functional.avg_pool2d(moved.stock(), factors), "sampled larger, then area")


def _steps(grid: Any, in_size: Any, corners: bool) -> tuple[float, float]:
    scale = grid.new_tensor([(n - corners) / 2 for n in (in_size[1], in_size[0])])
    pixels = grid * scale
    across = (pixels[:, :, 1:] - pixels[:, :, :-1]).norm(dim=-1)
    down = (pixels[:, 1:] - pixels[:, :-1]).norm(dim=-1)
    return float(down.amax()), float(across.amax())


def _larger(grid: Any, factors: tuple[int, int]) -> Any:
    """A grid (N, H, W, 2) interpolated linearly ``factors`` times as large, its border continued."""
    torch = _torch()
    for axis, factor in ((1, factors[0]), (2, factors[1])):
        count = int(grid.shape[axis])
        at = (torch.arange(count * factor, device=grid.device) - (factor - 1) / 2) / factor
        low = at.floor().clamp(0, count - 2).long()
        share = (at - low).to(grid.dtype).reshape([-1 if k == axis else 1 for k in range(4)])
        grid = torch.lerp(grid.index_select(axis, low), grid.index_select(axis, low + 1), share)
    return grid


@route("torch.compile")
def compile(call: Call) -> Answer:
    """``torch.compile``: follows what stands in the place of the functions."""
    return None


@route("torch.jit.load", "torch.jit.script")
def scripted(call: Call) -> Answer:
    """TorchScript: runs without Python."""
    return Left("a scripted model runs without Python, as it was written")
