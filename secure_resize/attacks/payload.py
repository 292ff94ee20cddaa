"""What is worth hiding: targets made from the clean output, and measures of whether they came through.

``clean`` is what the deployed pipeline makes of the source: scale(S), or, behind a defense, its own output. References:
local triggers and matched histograms, Quiring & Rieck, *Backdooring and Poisoning Neural Networks with Image-Scaling
Attacks*, DLS 2020; hidden text, Trail of Bits, *Weaponizing image scaling against production AI systems*, 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..measure.quality import luma, psnr
from .craft import HIDDEN_DB, check_image

__all__ = [
    "LOCAL_DB",
    "LOCAL_LEVELS",
    "Local",
    "TextPayload",
    "legibility",
    "local_success",
    "local_trigger",
    "match_histogram",
    "most_moved",
    "text_levels",
    "text_payload",
]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
Block = tuple[int, int, int, int]

# A local attack moves some block of 5×5 output pixels by 64 levels at least, and PSNR(A, S) is 30 dB or more.
LOCAL_LEVELS, LOCAL_DB, _SIDE = 64.0, 30.0, 5


# Local triggers.


def local_trigger(
    clean: Image,
    *,
    place: tuple[int, int] | None = None,
    seed: int = 0,
    levels: int = 72,
    patch: Image | None = None,
) -> tuple[Image, Block]:
    """``clean`` with one block moved, or replaced by ``patch``; and the block (top, left, height, width).

    Parameters
    ----------
    clean
        uint8 (h, w) or (h, w, C).
    place
        (top, left) of the block in output pixels; by default chosen by ``seed``.
    levels
        By how much each channel of the 5×5 block moves: up where its mean is below 128, else down; cut off to [0, 255].
    patch
        Instead of moving the block: what it becomes, uint8 (height, width) or (height, width, C).

    Raises
    ------
    TypeError, ValueError
        An image of another dtype or rank, a block that does not lie inside it, levels outside 1 to 255.
    """
    check_image("clean", clean)
    if patch is not None:
        check_image("patch", patch)
        if patch.shape[2:] != clean.shape[2:]:
            raise ValueError(f"patch must have the channels of clean, got shapes {patch.shape} and {clean.shape}")
    if isinstance(levels, bool) or not isinstance(levels, int | np.integer) or not 1 <= levels <= 255:
        raise ValueError(f"levels must be a whole number from 1 to 255, got {levels!r}")
    height, width = (_SIDE, _SIDE) if patch is None else patch.shape[:2]
    room = clean.shape[0] - height, clean.shape[1] - width
    if min(room) < 0:
        raise ValueError(f"a block of {height}x{width} does not fit into an output of {clean.shape[:2]}")
    if place is None:
        rng = np.random.default_rng(seed)
        place = int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
    if not (0 <= place[0] <= room[0] and 0 <= place[1] <= room[1]):
        raise ValueError(f"place must lie between (0, 0) and {room}, got {place!r}")
    target, here = clean.copy(), (slice(place[0], place[0] + height), slice(place[1], place[1] + width))
    if patch is None:
        block = clean[here].astype(np.int64)
        step = np.where(block.mean(axis=(0, 1)) < 127.5, levels, -levels)
        target[here] = np.clip(block + step, 0, 255)
    else:
        target[here] = patch
    return target, (*place, height, width)


@dataclass(frozen=True)
class Local:
    """What an attack does to the 5×5 output block that it moves most.

    ``moved``: by how many levels the block's mean moved, |mean of scaled - clean| of each channel, averaged over the
    channels (a mean first, so that the random filter's noise does not count as a move); ``place``: the block's
    (top, left). ``psnr_source``: PSNR of attack image and source in dB, of the whole image; ``psnr_footprint``: of the
    block's footprint alone. A visible patch passes the first easily where the image is large; the second does not
    depend on its size.
    """

    moved: float
    place: tuple[int, int]
    psnr_source: float
    psnr_footprint: float

    @property
    def success(self) -> bool:
        """The block moved by at least 64 levels, and the whole image's PSNR is at least 30 dB."""
        return self.moved >= LOCAL_LEVELS and self.psnr_source >= LOCAL_DB

    @property
    def hidden(self) -> bool:
        """Success, and the footprint itself keeps 15 dB, goal O2's measure."""
        return self.success and self.psnr_footprint >= HIDDEN_DB


def local_success(image: Image, source: Image, scaled: Image, clean: Image) -> Local:
    """Whether ``scaled``, the pipeline's output for the attack ``image``, shows a local change against ``clean``.

    ``image`` and ``source`` uint8 (H, W) or (H, W, C), ``scaled`` and ``clean`` uint8 (h, w) or (h, w, C) of 5×5 pixels
    at least.
    """
    for name, one in (("image", image), ("source", source), ("scaled", scaled), ("clean", clean)):
        check_image(name, one)
    if image.shape != source.shape or scaled.shape != clean.shape or min(clean.shape[:2]) < _SIDE:
        raise ValueError(
            "image and source, scaled and clean must have one shape each, the latter of 5x5 pixels at least; got "
            f"{image.shape}, {source.shape}, {scaled.shape}, {clean.shape}"
        )
    moved, (top, left) = most_moved(scaled, clean)
    bounds = [
        slice(math.floor(first * n_in / n_out), math.ceil((first + _SIDE) * n_in / n_out))
        for first, n_in, n_out in zip((top, left), source.shape, clean.shape, strict=False)
    ]
    here = bounds[0], bounds[1]
    return Local(moved, (top, left), psnr(image, source), psnr(image[here], source[here]))


def most_moved(scaled: Image, clean: Image) -> tuple[float, tuple[int, int]]:
    """By how many levels the mean of some 5×5 block moved at most, and where that block is: (levels, (top, left)).

    Of each channel |mean of scaled - clean|, averaged over the channels; of the whole image where it is smaller.
    """
    change = (scaled.astype(np.float64) - clean).reshape(*clean.shape[:2], -1)
    sides = min(_SIDE, clean.shape[0]), min(_SIDE, clean.shape[1])
    planes = [np.abs(_box_means(change[..., channel], *sides)) for channel in range(change.shape[2])]
    means = np.mean(planes, axis=0)
    top, left = np.unravel_index(means.argmax(), means.shape)
    return float(means[top, left]), (int(top), int(left))


def _box_means(plane: FloatArray, height: int, width: int) -> FloatArray:
    """The means of all boxes of a plane (h, w), (h - height + 1, w - width + 1)."""
    sums = np.pad(plane, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return np.asarray(boxes / (height * width))


# Text.


@dataclass(frozen=True, eq=False)
class TextPayload:
    """A target that says something.

    ``target`` uint8 like the clean output; ``glyphs`` float64 (height, width), 1 where the text is and 0 where it is
    not; ``block`` = (top, left, height, width) where it stands in the target.
    """

    target: Image = field(repr=False)
    glyphs: FloatArray = field(repr=False)
    block: Block
    text: str


def text_payload(clean: Image, text: str, *, font_size: int = 12, levels: int = 128) -> TextPayload:
    """``text`` written into the darkest place of ``clean`` that holds it, ``levels`` brighter than what is there.

    Dark places are where it shows least in the source, and where a language model still reads it (T25). Lines are
    separated by ``"\\n"``; the font is Pillow's default one, ``font_size`` its size in output pixels.

    Raises
    ------
    TypeError, ValueError
        A bad image, no text, text that does not fit, a bad size or levels.
    ImportError
        Pillow is not installed.
    """
    check_image("clean", clean)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"text must hold something to write, got {text!r}")
    for name, value, most in (("font_size", font_size, 1000), ("levels", levels, 255)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    glyphs = _drawn(text, font_size)
    height, width = glyphs.shape
    if height > clean.shape[0] or width > clean.shape[1]:
        raise ValueError(f"the text takes {height}x{width} pixels, the output has {clean.shape[:2]}")
    means = _box_means(luma(clean), height, width)
    top, left = (int(index) for index in np.unravel_index(means.argmin(), means.shape))
    target, here = clean.copy(), (slice(top, top + height), slice(left, left + width))
    ink = glyphs.reshape(height, width, *(1,) * (clean.ndim - 2))
    target[here] = np.round(np.clip(clean[here] + levels * ink, 0, 255))
    return TextPayload(target, glyphs, (top, left, height, width), text)


def legibility(scaled: Image, payload: TextPayload) -> float:
    """The correlation coefficient, -1 to 1, of the output's luma where the text should be with the text itself.

    1: the text and nothing else, however faint, see :func:`text_levels`; near 0: no trace of it. What is behind the
    text takes from it: the payload's own target shows what the best attack could have. ``scaled`` uint8 like the
    target; where text and background are both constant, 0.
    """
    seen, ink = _in_block(scaled, payload), payload.glyphs - payload.glyphs.mean()
    seen -= seen.mean()
    norm = math.sqrt(float((seen**2).sum() * (ink**2).sum()))
    return float((seen * ink).sum()) / norm if norm else 0.0


def text_levels(scaled: Image, payload: TextPayload, clean: Image) -> float:
    """By how many levels the text stands out in ``scaled`` from what ``clean``, the source's own output, shows there.

    The factor of the text in the change of luma, by least squares. Both images uint8 like the target.
    """
    change = _in_block(scaled, payload) - _in_block(clean, payload)
    ink = payload.glyphs - payload.glyphs.mean()
    return float((change * ink).sum() / (ink**2).sum())


def _in_block(image: Image, payload: TextPayload) -> FloatArray:
    check_image("output", image)
    if image.shape != payload.target.shape:
        raise ValueError(f"the output must have the target's shape {payload.target.shape}, got {image.shape}")
    top, left, height, width = payload.block
    return luma(image)[top : top + height, left : left + width]


def _drawn(text: str, font_size: int) -> FloatArray:
    from PIL import Image as PILImage, ImageDraw, ImageFont

    font = ImageFont.load_default(font_size)
    measure = ImageDraw.Draw(PILImage.new("L", (1, 1)))
    left, top, right, bottom = measure.multiline_textbbox((0, 0), text, font=font)
    size = math.ceil(right) - math.floor(left) + 2, math.ceil(bottom) - math.floor(top) + 2
    picture = PILImage.new("L", size)
    ImageDraw.Draw(picture).multiline_text((1 - math.floor(left), 1 - math.floor(top)), text, fill=255, font=font)
    return np.asarray(picture, dtype=np.float64) / 255


# Histograms.


def match_histogram(target: Image, clean: Image) -> Image:
    """``target`` with the histogram that ``clean`` has, channel by channel; uint8 like ``target``.

    So that a histogram of the output gives nothing away (Quiring & Rieck 2020). The attack may have more to change for
    it, or less. ``clean`` may have another height and width, but not other channels.

    Raises
    ------
    TypeError, ValueError
        Images of another dtype or rank, or with different channels.
    ImportError
        scikit-image is not installed.
    """
    check_image("target", target)
    check_image("clean", clean)
    if target.shape[2:] != clean.shape[2:]:
        raise ValueError(f"target and clean must have the same channels, got shapes {target.shape}, {clean.shape}")
    from skimage.exposure import match_histograms

    matched = match_histograms(target, clean, channel_axis=-1 if target.ndim == 3 else None)
    return np.asarray(np.clip(np.round(matched), 0, 255).astype(np.uint8))
