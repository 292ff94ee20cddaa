"""The picture of an inspection: the source, and in a row for each front end what its model would see, the robust
version, and the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import load
from ..scaling import resize
from .look import AVERAGES, Inspected, Seen

__all__ = ["drawn", "grouped"]

Image = npt.NDArray[np.uint8]
TILE = 232
MARGIN, CAPTION, TITLE = 10, 18, 24
# Of a grey difference: so many levels are black or white.
CONTRAST = 64
MOST = 40  # rows; the most suspicious first


def grouped(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Views that show the same, together: the most suspicious first, and of those the ones furthest from robust."""
    groups: list[list[Seen]] = []
    for one in sorted(seen, key=lambda x: (not x.suspicious, -_certain(x), -x.apart)):
        for group in groups:
            if group[0].reading == one.reading and np.array_equal(group[0].image, one.image):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _certain(seen: Seen) -> float:
    return 1.0 - seen.suspicion.p_value if seen.suspicious and seen.suspicion else 0.0


def drawn(inspected: Inspected, title: str) -> Any:
    """The whole picture, a Pillow image."""
    module, draw_module = load("PIL.Image"), load("PIL.ImageDraw")
    font = load("PIL.ImageFont").load_default(13)
    groups = grouped(inspected.seen)
    rows = [_head(inspected)] + [_row(group) for group in groups[:MOST]]
    if len(groups) > MOST:
        rows.append((f"{len(groups) - MOST} more views, less suspicious, are not drawn", [], False))
    columns = max(len(tiles) for _, tiles, _ in rows)
    heights = [
        MARGIN + TITLE + max((CAPTION + image.shape[0] for _, image in tiles), default=0) for _, tiles, _ in rows
    ]
    width = max(MARGIN + columns * (TILE + MARGIN), 760)
    canvas = module.new("RGB", (width, TITLE + MARGIN + sum(heights)), "white")
    draw = draw_module.Draw(canvas)
    draw.text((MARGIN, 6), title, fill="black", font=font)
    top = TITLE
    for (words, tiles, alarm), height in zip(rows, heights, strict=True):
        draw.line([(0, top + 4), (width, top + 4)], fill=(210, 210, 210))
        draw.text((MARGIN, top + MARGIN), words, fill=(178, 24, 43) if alarm else "black", font=font)
        left = MARGIN
        for caption, image in tiles:
            draw.text((left, top + MARGIN + TITLE - 4), caption, fill=(90, 90, 90), font=font)
            canvas.paste(module.fromarray(image), (left, top + MARGIN + TITLE + CAPTION - 6))
            left += TILE + MARGIN
        top += height
    return canvas


def _head(inspected: Inspected) -> tuple[str, list[tuple[str, Image]], bool]:
    tiles = [(one.name, _fit(one.image)) for one in inspected.readings]
    worst = inspected.worst
    if worst is not None and worst.suspicious and worst.suspicion is not None:
        suspicion = worst.suspicion
        for index, one in enumerate(inspected.readings):
            if one.name == worst.reading and suspicion.box is not None:
                tiles[index] = (one.name, _boxed(tiles[index][1], suspicion.box, one.image.shape))
    alarm = inspected.suspicious
    return f"the picture: {'SUSPICIOUS' if alarm else 'nothing suspicious was found'}", tiles, alarm


def _row(group: Sequence[Seen]) -> tuple[str, list[tuple[str, Image]], bool]:
    first = group[0]
    names = list(dict.fromkeys(one.front_end for one in group))
    filters = list(dict.fromkeys(one.filter for one in group))
    who = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    how = "run" if first.run else "if it scales by"
    size = f"{first.size[0]}x{first.size[1]}"
    words = f"{who}: {size}, {how} {' or '.join(filters[:3])}" if first.front_end not in _own(first) else who
    verdict = "SUSPICIOUS" if first.suspicious else "clean"
    if first.suspicion is None:
        verdict = first.note or "not judged"
    elif not first.suspicious and first.suspicion.note:
        verdict += f": it {first.suspicion.note.partition(':')[0]}" if first.suspicion.note == AVERAGES else ""
    if first.text:
        verdict += f", reads {first.text[0]!r}"
    difference = first.image.astype(np.float32) - first.robust
    shown = np.clip(128 + difference * (127 / CONTRAST), 0, 255).astype(np.uint8)
    tiles = [
        ("what the model would see", _fit(first.image)),
        ("robust", _fit(first.robust)),
        (f"difference, {first.apart:.1f} levels RMS", _fit(shown)),
    ]
    return f"{words}   [{verdict}]", tiles, first.suspicious


def _own(seen: Seen) -> tuple[str, ...]:
    return (f"{seen.filter} {seen.size[0]}x{seen.size[1]}",)


def _fit(image: Image) -> Image:
    """At most TILE a side: robustly reduced, or enlarged by whole pixels."""
    longest = max(image.shape[:2])
    if longest > TILE:
        scale = TILE / longest
        size = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
        return np.asarray(resize(np.ascontiguousarray(image), size))
    return np.ascontiguousarray(image.repeat(TILE // longest, axis=0).repeat(TILE // longest, axis=1))


def _boxed(tile: Image, box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Image:
    """With a red frame around ``box`` of the whole picture."""
    scales = tile.shape[0] / shape[0], tile.shape[1] / shape[1]
    tile = tile.copy()
    top, left = int(box[0] * scales[0]), int(box[1] * scales[1])
    bottom = min(int((box[0] + box[2]) * scales[0]), tile.shape[0] - 1)
    right = min(int((box[1] + box[3]) * scales[1]), tile.shape[1] - 1)
    for rows, columns in (
        (slice(top, top + 2), slice(left, right + 1)),
        (slice(max(bottom - 1, 0), bottom + 1), slice(left, right + 1)),
        (slice(top, bottom + 1), slice(left, left + 2)),
        (slice(top, bottom + 1), slice(max(right - 1, 0), right + 1)),
    ):
        tile[rows, columns] = (220, 20, 40)
    return tile
