"""A JPEG file that shows one picture when it is decoded in full and another when it is decoded at a smaller scale.

Decoders that scale while they decode (libjpeg's 1/2, 1/4 and 1/8) take the mean of each group of pixels before they cut
off to [0, 255]; a full decode cuts off each pixel first. A file is coefficients, so a pixel can be put far beyond black
or white: a full decode shows a black or white dot, and the mean moves by as much as is wanted. Which pixels go beyond,
and which groups are rather shifted as a whole, is chosen by the least change, see :mod:`.overshoot`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.coefficients import MAX_COEFFICIENT, TO_RGB, Component, dct_matrix, split, to_ycc, write
from ..measure.decoders import Decoder, get_decoder
from ..measure.quality import as_levels, psnr, psnr_luma
from ..measure.scalers import load
from .chroma import priced
from .craft import HIDDEN_DB, REACHED_DB, check_image, check_pair, craft
from .overshoot import Hidden, Plane, hide

__all__ = ["SUBSAMPLINGS", "CraftedFile", "craft_file", "shown"]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
# How many pixels, down and across, one sample of chroma stands for.
SUBSAMPLINGS: dict[str, tuple[int, int]] = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
# A decoder's arithmetic has 16 bits: a pixel further than this beyond black or white is not what it computes.
MAX_OVERSHOOT = 12_000.0
OVERSHOOT = 3_000.0
FULL = "pillow:open"


@dataclass(frozen=True, eq=False)
class CraftedFile:
    """A JPEG file and what it shows.

    ``data`` the file's bytes; ``shown`` uint8, what a full accurate decode shows (Pillow's), and ``scaled`` what the
    attacked decoder makes of it. PSNRs in dB: ``psnr_source`` of shown and source, ``psnr_target`` of scaled and
    target, and the same of their BT.601 lumas. ``scale``: the decoder decodes at 1/scale. ``beyond``: which share of
    the samples was put beyond black or white. Of the program before rounding: ``gap``, by which share its squared
    change may lie above the least with which any file reaches the same ``epsilon`` (proved for grey files; nan for
    colours, whose three components are cut off once more as they become RGB).
    """

    data: bytes
    shown: Image
    scaled: Image
    psnr_source: float
    psnr_source_luma: float
    psnr_target: float
    psnr_target_luma: float
    decoder: str
    scale: int
    subsampling: str
    quality: int
    progressive: bool
    epsilon: float
    beyond: float
    gap: float

    @property
    def reached(self) -> bool:
        """The scaled decode is the target: PSNR at least 25 dB, in RGB and in luma."""
        return min(self.psnr_target, self.psnr_target_luma) >= REACHED_DB

    @property
    def hidden(self) -> bool:
        """The full decode looks like the source: PSNR at least 15 dB, in RGB and in luma."""
        return min(self.psnr_source, self.psnr_source_luma) >= HIDDEN_DB

    @property
    def success(self) -> bool:
        """Both goals."""
        return self.reached and self.hidden


def craft_file(
    source: Image,
    target: Image,
    decoder: str | Callable[[bytes], Any],
    *,
    scale: int | None = None,
    epsilon: float = 10.0,
    quality: int = 95,
    subsampling: str = "4:4:4",
    progressive: bool = False,
    overshoot: float = OVERSHOOT,
) -> CraftedFile:
    """A JPEG file that shows ``source`` when decoded in full and ``target`` when ``decoder`` scales it down.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((128, 128), 200, np.uint8), np.full((16, 16), 20, np.uint8)
    >>> crafted = sr.attacks.craft_file(source, target, "pillow:draft")
    >>> crafted.psnr_target > 25 and crafted.psnr_source > 15
    True

    Parameters
    ----------
    source
        uint8 (H, W), (H, W, 1) or (H, W, 3), at most 65 500 a side.
    target
        uint8 (h, w) or (h, w, C), with the source's channels. For a decoder that only scales by 1/2, 1/4 or 1/8, its
        size is the source's, divided and rounded up; for ``pillow:thumbnail`` it is any that makes Pillow scale.
    decoder
        A name in ``measure.decoders.DECODERS``; or a callable from a file's bytes to a uint8 array like ``target``, for
        which ``scale`` says at which scale it decodes, and which scales no further.
    scale
        2, 4 or 8: decoded at 1/scale. By default what the decoder does for these sizes.
    epsilon
        Levels (root mean square) by which the decoded target may miss ``target``; 14.3 are 25 dB.
    quality
        From 1 to 99, of the quantisation tables, whose steps grow where a coefficient would not fit ten bits.
    subsampling
        ``"4:4:4"``, ``"4:2:2"`` or ``"4:2:0"``, of chroma.
    progressive
        Whether to write a progressive file.
    overshoot
        The most levels by which a pixel may lie beyond black or white. Portable C builds of libjpeg wrap around beyond
        383; what most people have uses vector instructions, which do not.

    Raises
    ------
    TypeError, ValueError
        Images of another dtype or of shapes that do not fit, an unknown decoder or subsampling, a number out of range.
    ImportError
        The decoder's library, or jpeglib (``pip install "secure-resize[jpeg]"``), is not installed.
    """
    check_pair(source, target)
    _check(source, quality, subsampling, epsilon, overshoot)
    in_size, out_size = (source.shape[0], source.shape[1]), (target.shape[0], target.shape[1])
    factor, name, call, then = _decoder(decoder, scale, in_size, out_size)
    wanted = target
    if then:  # the least change of the scaled picture that the next scaler turns into the target
        wanted = craft(_means(source, factor), target, then, method="strong_rms", epsilon=epsilon / 2).image
    step = SUBSAMPLINGS[subsampling]
    miss = epsilon * (0.8 if then else 1.0)
    planes = _planes(source, wanted, factor, step)
    if len(planes) == 3 and step != (1, 1):
        planes = priced(planes, as_levels(source), step, epsilon=miss, overshoot=overshoot)
    hidden = hide(planes, epsilon=miss, overshoot=overshoot)
    data = write(in_size, _components(hidden, quality, step, in_size), progressive=progressive)
    full = shown(data).reshape(source.shape)
    scaled = np.asarray(call(data))
    if scaled.size != target.size:
        raise ValueError(f"{name} gave the shape {scaled.shape}, the target has {target.shape}")
    scaled = scaled.reshape(target.shape)
    return CraftedFile(
        data,
        full,
        scaled,
        psnr(full, source),
        psnr_luma(full, source),
        psnr(scaled, target),
        psnr_luma(scaled, target),
        name,
        factor,
        subsampling if source.ndim == 3 and source.shape[2] == 3 else "grey",
        quality,
        progressive,
        epsilon,
        hidden.beyond,
        hidden.gap,
    )


def _check(source: Image, quality: int, subsampling: str, epsilon: float, overshoot: float) -> None:
    check_image("source", source)
    if source.ndim == 3 and source.shape[2] not in (1, 3):
        raise ValueError(f"a JPEG file holds 1 or 3 channels, got the shape {source.shape}")
    if max(source.shape[:2]) > 65_500:
        raise ValueError(f"a JPEG file has at most 65500 pixels a side, got the shape {source.shape}")
    if isinstance(quality, bool) or not isinstance(quality, int | np.integer) or not 1 <= quality <= 99:
        raise ValueError(f"quality must be a whole number from 1 to 99, got {quality!r}")
    if subsampling not in SUBSAMPLINGS:
        raise ValueError(f"unknown subsampling {subsampling!r}; valid: {', '.join(SUBSAMPLINGS)}")
    if not 0 <= epsilon <= 255:
        raise ValueError(f"epsilon must be a number between 0 and 255 levels, got {epsilon!r}")
    if not 1 <= overshoot <= MAX_OVERSHOOT:
        raise ValueError(f"overshoot must be a number of levels from 1 to {MAX_OVERSHOOT:.0f}, got {overshoot!r}")


def _decoder(
    decoder: str | Callable[[bytes], Any], scale: int | None, in_size: tuple[int, int], out_size: tuple[int, int]
) -> tuple[int, str, Callable[[bytes], Any], str]:
    """The fraction, the decoder's name, the decoder as a function of the file, and the scaler behind it."""
    if scale not in (None, 2, 4, 8):
        raise ValueError(f"scale must be 2, 4 or 8, got {scale!r}")
    if not isinstance(decoder, str):
        if not callable(decoder):
            raise TypeError(f"decoder must be a name or a callable of a file's bytes, got {decoder!r}")
        if scale is None:
            raise ValueError("for a callable decoder, scale= must say at which scale it decodes: 2, 4 or 8")
        sizes = {(rounded(in_size[0], scale), rounded(in_size[1], scale)) for rounded in (_down, _up)}
        if out_size not in sizes:
            raise ValueError(f"at 1/{scale} the target's size is {' or '.join(map(str, sizes))}, got {out_size}")
        return scale, getattr(decoder, "__name__", repr(decoder)), decoder, ""
    found: Decoder = get_decoder(decoder, "JPEG")
    factor = found.factor(in_size, out_size)
    if factor == 1:
        raise ValueError(
            f"{decoder} decodes in full from {in_size} to {out_size}: there is no scaled decoding to attack"
        )
    if scale not in (None, factor):
        raise ValueError(f"{decoder} decodes at 1/{factor} from {in_size} to {out_size}, not at 1/{scale}")
    return factor, decoder, lambda data: found(data, out_size), found.then


def _down(length: int, scale: int) -> int:
    return length // scale


def _up(length: int, scale: int) -> int:
    return -(-length // scale)


def shown(data: bytes) -> Image:
    """What a full, accurate decode of the JPEG file shows (Pillow's): uint8 (H, W) or (H, W, 3)."""
    with load("PIL.Image").open(io.BytesIO(data)) as picture:
        return np.asarray(picture, dtype=np.uint8)


# From pictures to planes of samples, and from planes to coefficients.

# What a change of one level of Y, Cb or Cr does to the mean square of R, G and B.
WEIGHTS = (TO_RGB**2).sum(axis=0) / 3
# How much of the square of its change a sample keeps, a pixel, as smooth upsampling spreads it over its neighbours: an
# axis that is halved spreads it by 1/4, 3/4, 3/4, 1/4.
_SPREAD = {1: 1.0, 2: 1.25 / 2}


def _means(image: Image, side: int) -> Image:
    """The mean of each group of side × side pixels, rounded; edges repeated."""
    groups = _grouped(as_levels(image), (side, side))
    return np.round(groups).astype(np.uint8).reshape(*groups.shape[:2], *image.shape[2:])


def _grouped(image: FloatArray, group: tuple[int, int]) -> FloatArray:
    """The mean of each group (down, across) of pixels of (H, W, C); edges repeated."""
    down, across = group
    image = np.pad(image, [(0, -image.shape[0] % down), (0, -image.shape[1] % across), (0, 0)], mode="edge")
    groups = image.reshape(image.shape[0] // down, down, image.shape[1] // across, across, -1)
    return np.asarray(groups.mean(axis=(1, 3)))


def _planes(source: Image, target: Image, factor: int, step: tuple[int, int]) -> list[Plane]:
    """Each component's samples, and what their groups' means have to be; padded to whole blocks of coefficients."""
    levels, wanted = as_levels(source), as_levels(target)
    if levels.shape[2] == 1:
        return [_plane(levels[..., 0], wanted[..., 0], factor, (1, 1), 1.0)]
    levels, wanted = to_ycc(levels), to_ycc(wanted)
    steps = [(1, 1), step, step]
    planes = []
    for channel, own in enumerate(steps):
        # libjpeg scales chroma by no more than its pixels need, and by the same on both axes: at 4:2:2 it repeats the
        # mean of a group for two outputs, whose mean is all that can be asked for.
        least = min(own)
        group, repeated = max(factor // least, 1), (own[0] // least, own[1] // least)
        few = _grouped(levels[..., channel : channel + 1], own)[..., 0]
        asked = _grouped(wanted[..., channel : channel + 1], repeated)[..., 0]
        planes.append(_plane(few, asked, group, own, float(WEIGHTS[channel])))
    return planes


def _plane(samples: FloatArray, target: FloatArray, group: int, step: tuple[int, int], weight: float) -> Plane:
    more = [(0, -samples.shape[axis] % 8) for axis in (0, 1)]
    seen = np.pad(np.ones_like(samples), more)  # what lies beyond the picture's edge nobody sees
    samples = np.pad(samples, more, mode="edge")
    groups = (samples.shape[0] // group, samples.shape[1] // group)
    short = [(0, max(groups[axis] - target.shape[axis], 0)) for axis in (0, 1)]
    means = np.pad(target, short, mode="edge")[: groups[0], : groups[1]]
    counts = np.pad(np.full(target.shape, max(step) / min(step)), short)[: groups[0], : groups[1]]
    spread = _SPREAD[step[0]] * _SPREAD[step[1]]
    return Plane(samples, seen, means, counts, group, weight, spread, step[0] * step[1])


def _components(hidden: Hidden, quality: int, step: tuple[int, int], size: tuple[int, int]) -> list[Component]:
    basis = dct_matrix()
    found = [basis @ (split(plane) - 128.0) @ basis.T for plane in hidden.planes]
    tables = _tables(quality)[: len(found)]
    if len(found) > 1:
        tables.append(tables[1])
        chroma = np.maximum(_fitting(found[1], tables[1]), _fitting(found[2], tables[2]))
        tables = [_fitting(found[0], tables[0]), chroma, chroma]
    else:
        tables = [_fitting(found[0], tables[0])]
    steps = [(1, 1), step, step]
    return [
        Component(np.round(values / table).astype(np.int16), table, own)
        for values, table, own in zip(found, tables, steps, strict=False)
    ]


def _fitting(values: FloatArray, table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The table's steps, longer where a coefficient would need more than ten bits."""
    largest = np.abs(values).max(axis=(0, 1))
    return np.asarray(np.maximum(table, np.ceil(largest / (MAX_COEFFICIENT - 0.5)).astype(np.int64)))


def _tables(quality: int) -> list[npt.NDArray[np.int64]]:
    """The luma's and the chroma's table at this quality, as Pillow (libjpeg) writes them; vertical frequency first."""
    image = load("PIL.Image")
    file = io.BytesIO()
    image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    with image.open(file) as picture:
        found = picture.quantization
    return [np.array(found[index], dtype=np.int64).reshape(8, 8) for index in (0, 1)]
