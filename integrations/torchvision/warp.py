"""``affine``, ``perspective`` and ``elastic`` of ``torchvision.transforms.v2.functional``, averaged where they shrink.

torchvision reads one pixel, or four, for each output, however many lie under it. Here every output pixel is divided
into a grid of points that lie at most one source pixel apart, and the picture at these points is averaged: each source
pixel is read with nearly the same weight. Where a transform does not shrink, and hence does not sample, torchvision's
own function runs and its result is returned: rotations, translations, shears, enlargements.

A transform counts as shrinking where its steps have more than 1 dB of stealth gain, the bound of the verdict "robust":
1.12 times along both axes, or 1.26 times along one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as _stock
from torchvision.transforms.v2.functional._geometry import (
    _apply_grid_transform,
    _get_inverse_affine_matrix,
    _perspective_coefficients,
)

from . import pil
from .kinds import check_image, is_image

__all__ = [
    "affine",
    "affine_beside",
    "affine_image",
    "affine_video",
    "elastic",
    "elastic_beside",
    "elastic_image",
    "elastic_transform",
    "elastic_video",
    "perspective",
    "perspective_beside",
    "perspective_image",
    "perspective_video",
]

# The product of the steps along both directions, where they are above 1, from which on a transform shrinks: 1 dB.
SHRINKING = 10 ** (1 / 10)
# Outputs of a block, which share their number of points, and points computed at a time.
BLOCK = 64
MAX_POINTS = 1 << 20

_broadcast: Any = torch.broadcast_tensors  # untyped

# From coordinates in the output, in pixels (0.5 is the first one's centre), to those in the source.
Source = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def affine(
    inpt: Any,
    angle: int | float,
    translate: list[float],
    scale: float,
    shear: list[float],
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: list[float] | None = None,
) -> Any:
    """``torchvision.transforms.v2.functional.affine``; images that shrink are averaged, whatever the interpolation.

    >>> affine(torch.zeros(3, 768, 1024), 0, [0, 0], 0.25, [0, 0]).shape
    torch.Size([3, 768, 1024])
    """
    return affine_beside(_stock.affine, inpt, angle, translate, scale, shear, interpolation, fill, center)


def affine_beside(
    stock: Callable[..., Any],
    inpt: Any,
    angle: int | float,
    translate: list[float],
    scale: float,
    shear: list[float],
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: list[float] | None = None,
) -> Any:
    """:func:`affine`, with ``stock`` for all but the images that shrink."""
    arguments = (angle, translate, scale, shear, interpolation, fill, center)
    if not is_image(inpt, _stock.affine) or not _well_formed(angle, translate, scale, shear):
        return stock(inpt, *arguments)  # which has errors of its own for what is wrong
    height, width = _stock.get_size(inpt)
    shears = [float(n) for n in (shear if isinstance(shear, (list, tuple)) else (shear, 0.0))]
    middle = [0.0, 0.0] if center is None else [center[0] - width / 2, center[1] - height / 2]
    moved = [float(n) for n in translate]
    a, b, c, d, e, f = _get_inverse_affine_matrix(middle, float(angle), moved, scale, (shears * 2)[:2])
    if not _lattice_shrinks((a, d), (b, e)):
        return stock(inpt, *arguments)

    def source(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = x - width / 2, y - height / 2
        return a * x + b * y + c + width / 2, d * x + e * y + f + height / 2

    return _averaged(inpt, source, interpolation, fill)


def perspective(
    inpt: Any,
    startpoints: list[list[int]] | None,
    endpoints: list[list[int]] | None,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
    coefficients: list[float] | None = None,
) -> Any:
    """``torchvision.transforms.v2.functional.perspective``; images are averaged where any part of them shrinks."""
    if not is_image(inpt, _stock.perspective):
        return _stock.perspective(inpt, startpoints, endpoints, interpolation, fill, coefficients)
    c = _perspective_coefficients(startpoints, endpoints, coefficients)
    warped = _perspective_if_shrinking(inpt, c, interpolation, fill)
    return _stock.perspective(inpt, None, None, interpolation, fill, c) if warped is None else warped


def perspective_beside(
    stock: Callable[..., Any],
    inpt: Any,
    startpoints: list[list[int]],
    endpoints: list[list[int]],
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """:func:`perspective`, with ``stock`` for all but the images that shrink."""
    warped = None
    if is_image(inpt, _stock.perspective):
        c = _perspective_coefficients(startpoints, endpoints, None)
        warped = _perspective_if_shrinking(inpt, c, interpolation, fill)
    return stock(inpt, startpoints, endpoints, interpolation, fill) if warped is None else warped


def _perspective_if_shrinking(inpt: Any, c: list[float], interpolation: Any, fill: Any) -> Any:

    def source(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        distance = c[6] * x + c[7] * y + 1
        return (c[0] * x + c[1] * y + c[2]) / distance, (c[3] * x + c[4] * y + c[5]) / distance

    shrinks = _field_shrinks(source, *_stock.get_size(inpt))
    return _averaged(inpt, source, interpolation, fill) if shrinks else None


def elastic(
    inpt: Any, displacement: torch.Tensor, interpolation: Any = InterpolationMode.BILINEAR, fill: Any = None
) -> Any:
    """``torchvision.transforms.v2.functional.elastic``; images are averaged where any part of them shrinks."""
    return elastic_beside(_stock.elastic, inpt, displacement, interpolation, fill)


def elastic_beside(
    stock: Callable[..., Any],
    inpt: Any,
    displacement: torch.Tensor,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """:func:`elastic`, with ``stock`` for all but the images that shrink."""
    arguments = (displacement, interpolation, fill)
    height, width = _stock.get_size(inpt) if is_image(inpt, _stock.elastic) else (0, 0)
    if getattr(displacement, "shape", ()) != (1, height, width, 2):  # not ours, or torchvision's own error
        return stock(inpt, *arguments)
    shift = displacement.detach().to("cpu", torch.float64).movedim(-1, 1)

    def source(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = _broadcast(x, y)
        at = torch.stack([x / width, y / height], -1)[None] * 2 - 1
        moved = torch.nn.functional.grid_sample(shift, at, padding_mode="border", align_corners=False)[0]
        return x + moved[0] * (width / 2), y + moved[1] * (height / 2)

    if not _field_shrinks(source, height, width):
        return stock(inpt, *arguments)
    return _averaged(inpt, source, interpolation, fill)


elastic_transform = elastic_image = elastic_video = elastic
affine_image = affine_video = affine
perspective_image = perspective_video = perspective


def _well_formed(angle: Any, translate: Any, scale: Any, shear: Any) -> bool:
    numbers = (int, float)
    pairs = isinstance(translate, (list, tuple)) and len(translate) == 2
    sheared = isinstance(shear, numbers) or (isinstance(shear, (list, tuple)) and len(shear) in (1, 2))
    return isinstance(angle, numbers) and isinstance(scale, numbers) and scale > 0 and pairs and sheared


def _lattice_shrinks(right: tuple[float, float], down: tuple[float, float]) -> bool:
    """Whether points that lie ``right`` and ``down`` of each other in the source leave pixels out.

    By the shortest two steps from point to point (Lagrange and Gauss): those of a shear are no longer than a pixel.
    """
    short, long = complex(*right), complex(*down)
    while True:
        if abs(short) > abs(long):
            short, long = long, short
        times = round((long * short.conjugate()).real / abs(short) ** 2) if short else 0
        if times == 0:
            return max(1.0, abs(short)) * max(1.0, abs(long)) > SHRINKING
        long -= times * short


def _steps(source: Source, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each output pixel: its steps to the right and down, complex numbers in source pixels, and if it is inside."""
    x = torch.arange(width + 1, dtype=torch.float64)[None, :]
    y = torch.arange(height + 1, dtype=torch.float64)[:, None]
    corners = torch.complex(*_broadcast(*source(x, y)))
    right, down = corners[:, 1:] - corners[:, :-1], corners[1:, :] - corners[:-1, :]
    at_x, at_y = source(x[:, :-1] + 0.5, y[:-1, :] + 0.5)
    inside = (at_x > -1) & (at_x < width + 1) & (at_y > -1) & (at_y < height + 1)
    longer_right = torch.where(right[1:].abs() > right[:-1].abs(), right[1:], right[:-1])
    longer_down = torch.where(down[:, 1:].abs() > down[:, :-1].abs(), down[:, 1:], down[:, :-1])
    return longer_right, longer_down, inside


def _field_shrinks(source: Source, height: int, width: int) -> bool:
    """Whether any output pixel inside the picture covers more than it should: by its steps' singular values."""
    right, down, inside = _steps(source, height, width)
    squares = right.abs() ** 2 + down.abs() ** 2
    area = (right.conj() * down).imag.abs()
    root = (squares**2 - 4 * area**2).clamp(min=0).sqrt()
    longest, shortest = ((squares + root) / 2).sqrt(), ((squares - root) / 2).clamp(min=0).sqrt()
    covered = longest.clamp(min=1) * shortest.clamp(min=1)
    # What is not a number lies on the horizon, infinitely far away.
    return bool(((covered > SHRINKING) & inside).any())


def _averaged(inpt: Any, source: Source, interpolation: Any, fill: Any) -> Any:
    """The image at the points of each output pixel, averaged, in the type of ``inpt``."""
    check_image(inpt)
    if isinstance(inpt, PIL.Image.Image):
        array, restore = pil.as_array(inpt)
        array = array.astype("int32") if array.dtype == "uint16" else array
        planes = torch.from_numpy(array.reshape(*array.shape[:2], -1).copy()).movedim(-1, 0)
        warped = _average(planes, source, fill).movedim(0, -1).numpy()
        return restore(warped.reshape(array.shape))
    _stock.affine(inpt[..., :1, :1], 0, [0, 0], 1.0, [0, 0], interpolation, fill)  # its errors for the last two
    warped_tensor = _average(inpt.as_subclass(torch.Tensor), source, fill)
    return tv_tensors.wrap(warped_tensor, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else warped_tensor


# TorchDynamo would unroll the blocks.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _average(image: torch.Tensor, source: Source, fill: Any) -> torch.Tensor:
    *leading, channels, height, width = image.shape
    planes = image.reshape(-1, channels, height, width)
    planes = planes.to(torch.float64 if image.dtype in (torch.float64, torch.int32, torch.int64) else torch.float32)
    out = planes.new_empty(planes.shape)
    for rows, cols, points in _blocks(source, height, width):
        out[..., rows, cols] = _average_block(planes, source, rows, cols, points, fill)
    if not image.dtype.is_floating_point:
        out = out.round() if image.dtype != torch.bool else out >= 0.5
    return out.to(image.dtype).reshape(*leading, channels, height, width)


def _blocks(source: Source, height: int, width: int) -> Iterator[tuple[slice, slice, tuple[int, int]]]:
    """Blocks of outputs, and how many points down and to the right each output of one is divided into."""
    right, down, inside = _steps(source, height, width)
    # No output can need more points than the picture has pixels.
    longest = float(max(height, width))
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            rows, cols = slice(top, min(top + BLOCK, height)), slice(left, min(left + BLOCK, width))
            here = inside[rows, cols]
            points = []
            for steps in (down, right):
                step = torch.nan_to_num(steps[rows, cols].abs(), longest)[here]
                points.append(math.ceil(min(float(step.max()), longest) - 1e-6) if len(step) else 1)
            shape = (points[0] or 1, points[1] or 1)
            height_at_a_time = max(1, MAX_POINTS // (shape[0] * shape[1] * (cols.stop - cols.start)))
            for first in range(rows.start, rows.stop, height_at_a_time):
                yield slice(first, min(first + height_at_a_time, rows.stop)), cols, shape


def _average_block(
    planes: torch.Tensor, source: Source, rows: slice, cols: slice, points: tuple[int, int], fill: Any
) -> torch.Tensor:
    height, width = planes.shape[-2:]
    y, x = (
        torch.arange(part.start * count, part.stop * count, dtype=torch.float64).add_(0.5).div_(count)
        for part, count in ((rows, points[0]), (cols, points[1]))
    )
    at_x, at_y = _broadcast(*source(x[None, :], y[:, None]))
    # Far outside is far outside; grid_sample knows no infinity.
    grid = torch.stack([at_x * (2 / width) - 1, at_y * (2 / height) - 1], -1)[None].nan_to_num(1e6).clamp(-1e6, 1e6)
    sampled = _apply_grid_transform(planes, grid.to(planes), "bilinear", fill=_as_fill(fill))
    return torch.nn.functional.avg_pool2d(sampled, points)


def _as_fill(fill: Any) -> Any:
    return list(fill) if isinstance(fill, Sequence) else fill
