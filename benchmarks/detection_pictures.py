"""Clean pictures, drawn or cut from photographs, for calibrating and for testing detectors; each a function of a seed.

``FAMILIES`` has the drawn kinds by name: what cameras do not take and false alarms live on. Every function takes a
generator of random numbers and a side in pixels, and returns uint8 (side, side, 3).
"""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["FAMILIES", "cut", "read_photographs"]

Picture = npt.NDArray[np.uint8]
Rng = np.random.Generator
SENTENCE = "The quick brown fox jumps over the lazy dog 0123456789 (#@&%) {x += 1;} "


def _levels(image: npt.NDArray[np.float64]) -> Picture:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _colour(rng: Rng) -> tuple[int, int, int]:
    return tuple(int(x) for x in rng.integers(0, 256, 3))  # type: ignore[return-value]


def _fonts() -> list[str]:
    """Font files of matplotlib, if it is installed; else Pillow's own font alone."""
    try:
        import matplotlib
    except ImportError:
        return []
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(glob.glob(str(folder / "DejaVu*.ttf")))


def _font(rng: Rng, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    fonts = _fonts()
    return ImageFont.truetype(fonts[int(rng.integers(len(fonts)))], size) if fonts else ImageFont.load_default(size)


def spectrum(rng: Rng, side: int) -> Picture:
    """Noise with the spectrum of natural pictures, 1/f to the power of 0.8 to 1.6, its channels correlated."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    fall = (np.hypot(fy, fx) + 1 / side) ** -rng.uniform(0.8, 1.6)
    planes = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * fall, (side, side)) for _ in range(4)]
    mixed = np.stack([planes[3] + rng.uniform(0.1, 0.5) * plane for plane in planes[:3]], -1)
    mixed = (mixed - mixed.mean()) / mixed.std()
    return _levels(rng.uniform(70, 180) + rng.uniform(20, 70) * mixed)


def leaves(rng: Rng, side: int) -> Picture:
    """Dead leaves: discs that hide one another, radii by a power law, with a fine texture."""
    image = np.zeros((side, side, 3))
    image[:] = rng.integers(0, 256, 3)
    y, x = np.mgrid[:side, :side]
    for _ in range(int(rng.integers(60, 250))):
        radius = min(2.0 * (1 - rng.random()) ** -0.6, side / 2)
        cy, cx = rng.uniform(-radius, side + radius, 2)
        top, left = (max(0, int(c - radius)) for c in (cy, cx))
        here = np.s_[top : int(cy + radius) + 2, left : int(cx + radius) + 2]
        inside = np.hypot(y[here] - cy, x[here] - cx) <= radius
        image[here][inside] = rng.integers(0, 256, 3)
    return _levels(image + rng.normal(0, rng.uniform(0, 8), image.shape))


def text(rng: Rng, side: int) -> Picture:
    """A page of small print, grey or coloured, in any of a few fonts."""
    back, fore = (_colour(rng), _colour(rng)) if rng.random() < 0.4 else ((255, 255, 255), (0, 0, 0))
    if rng.random() < 0.3:
        back, fore = fore, back
    image = Image.new("RGB", (side, side), back)
    draw, height = ImageDraw.Draw(image), int(rng.integers(7, 24))
    font, start = _font(rng, height), int(rng.integers(len(SENTENCE)))
    if rng.random() < 0.3:
        draw.fontmode = "1"  # without antialiasing
    for line, top in enumerate(range(int(rng.integers(8)), side, int(height * rng.uniform(1.1, 1.6)))):
        words = (SENTENCE[(start + 7 * line) % len(SENTENCE) :] + SENTENCE * 4)[: 4 * side // height]
        draw.text((int(rng.integers(0, 20)), top), words, fill=fore, font=font)
    return np.asarray(image)


def screenshot(rng: Rng, side: int) -> Picture:
    """Windows, buttons, one-pixel lines, gradients and labels."""
    image = Image.new("RGB", (side, side), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(6, 30))):
        x, y = (int(v) for v in rng.integers(-20, side, 2))
        w, h = (int(v) for v in rng.integers(8, side // 2, 2))
        draw.rectangle([x, y, x + w, y + h], fill=_colour(rng), outline=_colour(rng), width=int(rng.integers(0, 3)))
        font = _font(rng, int(rng.integers(8, 18)))
        draw.text((x + 4, y + 3), SENTENCE[: int(rng.integers(4, 40))], fill=_colour(rng), font=font)
        if rng.random() < 0.3:
            for step in range(0, h, int(rng.integers(2, 20))):
                draw.line([x, y + step, x + w, y + step], fill=_colour(rng))
    return np.asarray(image)


def chart(rng: Rng, side: int) -> Picture:
    """Axes, a grid of thin or dashed lines, curves, bars and scattered markers."""
    image = Image.new("RGB", (side, side), (255, 255, 255) if rng.random() < 0.7 else _colour(rng))
    draw = ImageDraw.Draw(image)
    gap, ink = int(rng.integers(4, 40)), _colour(rng)
    for at in range(int(rng.integers(gap)), side, gap):
        for k in range(0, side, int(rng.choice([side, 4, 6]))):
            end = k + 2 if rng.random() < 0.5 else side
            draw.line([k, at, end, at], fill=ink)
            draw.line([at, k, at, end], fill=ink)
    for _ in range(int(rng.integers(1, 6))):
        walk = side / 2 + np.cumsum(rng.normal(0, side / 60, side))
        draw.line([(k, float(v)) for k, v in enumerate(walk)], fill=_colour(rng), width=int(rng.integers(1, 4)))
    for x, y in rng.integers(0, side, (int(rng.integers(0, 300)), 2)):
        draw.ellipse([int(x), int(y), int(x) + int(rng.integers(1, 5)), int(y) + 2], fill=_colour(rng))
    for left in range(0, side, int(rng.integers(5, 60))):
        if rng.random() < 0.3:
            draw.rectangle([left, int(rng.integers(side)), left + int(rng.integers(1, 30)), side], fill=_colour(rng))
    draw.text((side // 4, 2), SENTENCE[:20], fill=(0, 0, 0), font=_font(rng, 11))
    return np.asarray(image)


def halftone(rng: Rng, side: int) -> Picture:
    """A picture in dots on a turned screen, as printed, in black and white or in four inks."""
    grey = leaves(rng, side) if rng.random() < 0.5 else spectrum(rng, side)
    y, x = np.mgrid[:side, :side]
    period = rng.uniform(2.5, 9)
    angles = np.deg2rad(rng.uniform(0, 90) + np.array([15, 75, 0]))
    same = rng.random() < 0.5
    planes = []
    for channel, angle in enumerate(angles):
        turn = angles[0] if same else angle
        u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        screen = (np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period)) / 4 + 0.5
        planes.append(np.where(grey[..., 0 if same else channel] / 255 > screen, 255.0, 0.0))
    return _levels(np.stack(planes, -1))


def dither(rng: Rng, side: int) -> Picture:
    """Error diffusion to black and white or to a palette, or an ordered Bayer pattern."""
    grey = Image.fromarray(leaves(rng, side) if rng.random() < 0.5 else spectrum(rng, side))
    kind = int(rng.integers(3))
    if kind == 0:
        return np.asarray(grey.convert("1").convert("RGB"))
    if kind == 1:
        return np.asarray(grey.quantize(int(rng.integers(4, 32)), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))
    bayer = np.array([[0]])
    for _ in range(int(rng.integers(1, 4))):
        bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
    tiled = np.tile((bayer + 0.5) / bayer.size, (side // len(bayer) + 1,) * 2)[:side, :side]
    steps = int(rng.integers(1, 4))
    return _levels(np.floor(np.asarray(grey) / 255 * steps + tiled[..., None]) / steps * 255)


def pixel_art(rng: Rng, side: int) -> Picture:
    """Sprites of a few colours in whole pixels of 1 to 6 source pixels."""
    block = int(rng.integers(1, 7))
    small = -(-side // block)
    palette = rng.integers(0, 256, (int(rng.integers(2, 12)), 3))
    tile = int(rng.choice([4, 8, 16, small]))
    sprites = rng.integers(0, len(palette), (int(rng.integers(1, 9)), tile, tile))
    sprites[:, :, tile // 2 :] = sprites[:, :, : tile - tile // 2][:, :, ::-1]
    count = -(-small // tile)
    grid = np.block([[sprites[int(rng.integers(len(sprites)))] for _ in range(count)] for _ in range(count)])
    return palette[np.kron(grid, np.ones((block, block), int))[:side, :side]].astype(np.uint8)


def fabric(rng: Rng, side: int) -> Picture:
    """Woven threads and gratings of 2 to 9 pixels, straight or slightly bent, with noise."""
    y, x = np.mgrid[:side, :side].astype(float)
    bend = rng.uniform(0, 3)
    y, x = y + bend * np.sin(x / rng.uniform(20, 90)), x + bend * np.sin(y / rng.uniform(20, 90))
    angle = rng.choice([0.0, rng.uniform(0, np.pi)])
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    first, second = (np.sin(2 * np.pi * w / rng.uniform(2, 9)) for w in (u, v))
    weave = (np.where(first * second > 0, first, second), first, first * second, np.sign(first))[int(rng.integers(4))]
    ground = rng.uniform(60, 190, 3) + 20 * np.sin(x / rng.uniform(30, 200))[..., None]
    image = ground + weave[..., None] * rng.uniform(-60, 60, 3)
    return _levels(image + rng.normal(0, rng.uniform(0, 10), image.shape))


def noise(rng: Rng, side: int) -> Picture:
    """Independent pixels: uniform, normal, black and white, or salt and pepper on a flat ground."""
    kind, channels = int(rng.integers(4)), int(rng.choice([1, 3]))
    shape = (side, side, channels)
    if kind == 0:
        plane = rng.integers(0, 256, shape).astype(float)
    elif kind == 1:
        plane = rng.uniform(40, 220) + rng.normal(0, rng.uniform(3, 60), shape)
    elif kind == 2:
        plane = rng.choice([0.0, 255.0], shape, p=[(share := rng.uniform(0.05, 0.95)), 1 - share])
    else:
        plane = np.full(shape, rng.uniform(0, 255))
        hit = rng.random(shape) < rng.uniform(0.001, 0.1)
        plane[hit] = rng.choice([0.0, 255.0], int(hit.sum()))
    return _levels(np.broadcast_to(plane, (side, side, 3)))


FAMILIES: dict[str, Callable[[Rng, int], Picture]] = {
    one.__name__: one for one in (spectrum, leaves, text, screenshot, chart, halftone, dither, pixel_art, fabric, noise)
}


def read_photographs(folder: str | os.PathLike[str]) -> list[Picture]:
    """Every picture of a folder that Pillow can read, RGB, in the order of their names."""
    found = []
    for path in sorted(Path(folder).iterdir()):
        try:
            with Image.open(path) as image:
                found.append(np.asarray(image.convert("RGB")))
        except OSError:
            continue
    return found


def cut(picture: Picture, side: int, rng: Rng) -> Picture:
    """A square part of a picture, turned and mirrored at random; ValueError where the picture is too small."""
    room = picture.shape[0] - side, picture.shape[1] - side
    if min(room) < 0:
        raise ValueError(f"a part of {side} pixels does not fit into a picture of {picture.shape[:2]}")
    top, left = (int(rng.integers(free + 1)) for free in room)
    part = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)
