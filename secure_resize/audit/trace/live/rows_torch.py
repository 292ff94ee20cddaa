"""torch and what reaches it: torchvision's tensors, kornia, Keras on torch."""

from __future__ import annotations

import sys
from typing import Any

from .geometry import mapped_steps, stepped_over
from .hook import Arguments, Described, Keywords, Sight, argument, hook, shrinks, unseen

_LOOKS = 16  # at a grid on a GPU, which has to wait for it; from then on at every power of two


def _is_tensor(value: Any) -> bool:
    """Whether it is a real tensor, or one of a graph's; torch.fx's proxies note whatever they are asked."""
    return isinstance(value, sys.modules["torch"].Tensor)


def _shape_of(tensor: Any) -> tuple[tuple[int | None, ...], bool]:
    """The shape, None where it is not known, and whether a graph is being made. Reading it leaves no trace there."""
    core: Any = sys.modules["torch"]._C
    tracing = core._get_tracing_state()
    if tracing is not None:
        core._set_tracing_state(None)
    try:
        shape = tuple(n if type(n) is int else None for n in tensor.shape)
    finally:
        if tracing is not None:
            core._set_tracing_state(tracing)
    return shape, tracing is not None or type(tensor).__name__ in ("FakeTensor", "FunctionalTensor")


def _interpolated(mode: str, antialias: bool, corners: bool, learned: bool) -> Described:
    flags = f"mode={mode}, antialias={antialias}" + ", align_corners=True" * corners
    plane = "bilinear" if mode == "trilinear" else mode  # of a stack or a video, whose planes are read alike
    scaler = f"torch:{plane}{'+antialias' * antialias}"
    return flags + ", of activations" * learned, "" if corners else scaler, "resize"


def _interpolated_again(in_size: Any, out_size: Any, mode: str, antialias: bool, corners: bool, learned: bool) -> Any:
    import torch

    def again(image: Any) -> Any:
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        out = torch.nn.functional.interpolate(
            planes, size=out_size, mode=mode, antialias=antialias, align_corners=corners
        )
        return out[0].permute(1, 2, 0).numpy()

    return again


@hook(
    "torch.nn.functional.interpolate",
    "torch.nn.functional",
    "interpolate",
    "SR103",
    _interpolated,
    again=_interpolated_again,
    pixels=lambda a, k: argument(a, k, 0, "input"),
    graphs=True,
)
def _interpolate(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image = argument(args, kwargs, 0, "input")
    if not _is_tensor(image) or not _is_tensor(result):
        return None
    before, graph = _shape_of(image)
    after, _ = _shape_of(result)
    if len(before) not in (4, 5) or not shrinks(before[-2:], after[-2:]):
        return None
    mode = argument(args, kwargs, 3, "mode", "nearest")
    options = (
        mode,
        bool(argument(args, kwargs, 6, "antialias", False)),
        bool(argument(args, kwargs, 4, "align_corners", False)),
        image.grad_fn is not None,
    )
    nearest = mode in ("nearest", "nearest-exact")
    return Sight(before[-2:], after[-2:], image.dtype, before[1], options, graph, nearest)


_grids: dict[Any, list[Any]] = {}


def _grid_steps(grid: Any, in_size: Any, out_size: Any) -> tuple[float, float] | None:
    if grid.is_cuda:
        known = _grids.setdefault((in_size, out_size), [0, None])
        known[0] += 1
        if known[0] > _LOOKS and known[0] & (known[0] - 1):
            return known[1]  # type: ignore[no-any-return]

    values = grid[0].detach()

    def source(y: int, x: int) -> tuple[float, float]:
        across, down = values[y, x].tolist()
        return down * in_size[0] / 2, across * in_size[1] / 2

    steps = mapped_steps(source, out_size)
    if grid.is_cuda:
        known[1] = steps
    return steps


def _sampled(mode: str, learned: bool) -> Described:
    return f"mode={mode}" + ", of activations" * learned, f"torch:{mode}", "warp"


@hook(
    "torch.nn.functional.grid_sample",
    "torch.nn.functional",
    "grid_sample",
    "SR104",
    _sampled,
    pixels=lambda a, k: argument(a, k, 0, "input"),
    graphs=True,
)
def _grid_sample(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    image, grid = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "grid")
    if not _is_tensor(image) or not _is_tensor(grid):
        return None
    (before, graph), (steps_at, _) = _shape_of(image), _shape_of(grid)
    size = steps_at[1:3]
    if len(before) != 4 or graph or None in before or None in size or 0 in steps_at:
        return None
    over = stepped_over(_grid_steps(grid, before[2:], size), size)
    mode = argument(args, kwargs, 2, "mode", "bilinear")
    options = (mode, image.grad_fn is not None)
    return None if over is None else Sight(over, size, image.dtype, before[1], options, False, mode == "nearest")


def _kornia(mode: str, antialias: bool) -> Described:
    return f"interpolation={mode}, antialias={antialias}", f"kornia:{mode}{'+antialias' * antialias}", "resize"


@hook(
    "kornia.geometry.transform.resize",
    "kornia.geometry.transform.affwarp",
    "resize",
    "SR111",
    _kornia,
    pixels=lambda a, k: argument(a, k, 0, "input"),
    graphs=True,
)
def _kornia_resize(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    # Its blur comes before torch's interpolate: only the two together are what it is.
    mode = argument(args, kwargs, 2, "interpolation", "bilinear")
    antialias = bool(argument(args, kwargs, 5, "antialias", False))
    return _planes(argument(args, kwargs, 0, "input"), result, (mode, antialias), mode.startswith("nearest"))


def _pyrdown_again(in_size: Any, out_size: Any) -> Any:
    import torch
    from kornia.geometry.transform import pyrdown

    factor = max(in_size[0] / out_size[0], in_size[1] / out_size[1])

    def again(image: Any) -> Any:
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        return pyrdown(planes, factor=factor)[0].permute(1, 2, 0).numpy()

    return again


@hook(
    "kornia.geometry.transform.pyrdown",
    "kornia.geometry.transform.pyramid",
    "pyrdown",
    "SR111",
    lambda: ("Gaussian, then bilinear", "", "resize"),
    again=_pyrdown_again,
    graphs=True,
)
def _pyrdown(args: Arguments, kwargs: Keywords, result: Any) -> Sight | None:
    return _planes(argument(args, kwargs, 0, "input"), result, (), False)


def _planes(image: Any, result: Any, options: tuple[Any, ...], nearest: bool) -> Sight | None:
    """Of a tensor (..., H, W)."""
    if not _is_tensor(image) or not _is_tensor(result):
        return None
    (before, graph), (after, _) = _shape_of(image), _shape_of(result)
    if len(before) < 2 or not shrinks(before[-2:], after[-2:]):
        return None
    channels = before[-3] if len(before) > 2 else 1
    return Sight(before[-2:], after[-2:], image.dtype, channels, options, graph, nearest)


unseen("torch.compile", "torch", "compile", "what is compiled runs without the functions that are wrapped")
unseen("torch.jit.script", "torch.jit._script", "script", "a scripted function runs without Python")
unseen("torch.jit.load", "torch.jit._serialization", "load", "a scripted model runs without Python")
