"""Rules by which front ends choose the size to which they scale a picture: each takes and gives (height, width).

Whole numbers and roundings are those of the code or page that a row of ``FRONT_ENDS`` names.
"""

from __future__ import annotations

import math

__all__ = [
    "closest_grid",
    "fit_depth",
    "fit_tiles",
    "largest_of_patches",
    "longest_edge",
    "patches",
    "shortest_edge",
    "smart_resize",
    "tiles_of_short_side",
    "token_budget",
    "within",
]

Size = tuple[int, int]


def shortest_edge(height: int, width: int, short: int, longest: int | None = None) -> Size:
    """The shorter edge becomes ``short``, or less where the longer one would pass ``longest`` (DETR's rule)."""
    raw = None
    if longest is not None and max(height, width) / min(height, width) * short > longest:
        raw = longest * min(height, width) / max(height, width)
        short = round(raw)
    if min(height, width) == short:
        return height, width
    by = short if raw is None else raw
    return (int(by * height / width), short) if width < height else (short, int(by * width / height))


def within(height: int, width: int, bottom: int, right: int, *, enlarge: bool = False) -> Size:
    """The largest size of the picture's shape that fits into (bottom, right); a smaller one stays as it is."""
    scale = min(bottom / height, right / width)
    if scale >= 1 and not enlarge:
        return height, width
    return max(round(height * scale), 1), max(round(width * scale), 1)


def longest_edge(height: int, width: int, longest: int, patch: int, *, floor: bool = True) -> Size:
    """The longer edge at most ``longest``, then both up to whole patches (Pixtral's rule, which rounds the edges down
    in transformers and to the nearest in mistral_common).
    """
    ratio = max(height, width) / longest
    if ratio > 1:
        height, width = (math.floor(x / ratio) if floor else round(x / ratio) for x in (height, width))
    return -(-height // patch) * patch, -(-width // patch) * patch


def smart_resize(height: int, width: int, factor: int, least: int, most: int) -> Size:
    """Both edges whole multiples of ``factor``, with ``least`` to ``most`` pixels (Qwen2-VL's rule)."""
    rows, columns = (max(factor, round(x / factor) * factor) for x in (height, width))
    if rows * columns > most:
        by = math.sqrt(height * width / most)
        rows, columns = (max(factor, math.floor(x / by / factor) * factor) for x in (height, width))
    elif rows * columns < least:
        by = math.sqrt(least / (height * width))
        rows, columns = (math.ceil(x * by / factor) * factor for x in (height, width))
    return rows, columns


def fit_depth(height: int, width: int, bottom: int, right: int, multiple: int) -> Size:
    """One edge becomes what is asked for, the one that changes the scale less; both multiples (ZoeDepth's rule)."""
    scales = bottom / height, right / width
    scale = scales[1] if abs(1 - scales[1]) < abs(1 - scales[0]) else scales[0]
    rows, columns = (max(round(scale * x / multiple), 1) * multiple for x in (height, width))
    return rows, columns


def closest_grid(height: int, width: int, most: int, tile: int) -> Size:
    """The whole tiles, at most ``most`` of them, whose shape is closest to the picture's (InternVL's rule)."""
    grids = sorted(
        {(rows, columns) for rows in range(1, most + 1) for columns in range(1, most + 1) if rows * columns <= most},
        key=lambda grid: grid[0] * grid[1],
    )
    best, apart = (1, 1), math.inf
    for rows, columns in grids:
        found = abs(width / height - columns / rows)
        larger = found == apart and height * width > 0.5 * tile**2 * rows * columns
        if found < apart or larger:
            best, apart = (rows, columns), found
    return best[0] * tile, best[1] * tile


def fit_tiles(height: int, width: int, longest: int, tile: int, most: int = 4096) -> Size:
    """The longer edge becomes ``longest``, the shorter follows and is made even, then both up to whole tiles
    (Idefics 3's and SmolVLM's rule).
    """
    shape = width / height
    if width >= height:
        width = longest
        height = int(width / shape)
        height += height % 2
    else:
        height = longest
        width = int(height * shape)
        width += width % 2
    height, width = max(height, 1), max(width, 1)
    if max(height, width) > most:
        height, width = within(height, width, most, most)
    shape = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / shape) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * shape) / tile) * tile
    return height, width


# Of services, as their pages put it.


def token_budget(height: int, width: int, longest: int, tokens: float, pixels: float) -> Size:
    """The longer edge at most ``longest``, and at most ``tokens`` tokens of ``pixels`` pixels each."""
    height, width = within(height, width, longest, longest)
    scale = math.sqrt(tokens * pixels / (height * width))
    return (height, width) if scale >= 1 else (max(int(height * scale), 1), max(int(width * scale), 1))


def patches(height: int, width: int, most: int, side: int, longest: int | None = None) -> Size:
    """At most ``most`` square patches of ``side`` pixels, the last ones cut; the longer edge at most ``longest``."""
    if longest is not None:
        height, width = within(height, width, longest, longest)
    if -(-height // side) * -(-width // side) <= most:
        return height, width
    scale = math.sqrt(side**2 * most / (height * width))
    down, across = height * scale / side, width * scale / side
    scale *= min(math.floor(down) / down, math.floor(across) / across)
    return max(int(height * scale), 1), max(int(width * scale), 1)


def largest_of_patches(height: int, width: int, most: int, side: int, longest: int) -> Size:
    """The largest size of the picture's shape with at most ``most`` patches of ``side`` pixels and edges of
    ``longest``.
    """
    low, high = 0, min(max(height, width), longest)
    while low < high:  # the longer edge; more of it is never fewer patches
        middle = (low + high + 1) // 2
        rows, columns = within(height, width, middle, middle)
        if -(-rows // side) * -(-columns // side) <= most:
            low = middle
        else:
            high = middle - 1
    return within(height, width, max(low, 1), max(low, 1))


def tiles_of_short_side(height: int, width: int, least: int, tile: int) -> Size:
    """Up to ``least`` a side as it is; else the shorter side is one and a half tiles (Gemini's rule)."""
    if max(height, width) <= least:
        return height, width
    unit = max(math.floor(min(height, width) / 1.5), 1)
    return max(round(height * tile / unit), 1), max(round(width * tile / unit), 1)
