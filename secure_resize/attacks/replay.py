"""Attacks on the random filter by someone who knows, or guesses, what it will draw.

Its draws come from a keyed pseudorandom function of the whole image: whoever does not know the key learns nothing from
replaying it. Whoever does know the key owns the filter, and this module shows how. The image is first compressed by a
universal hash (:func:`secure_resize.core.reference.fingerprint`), whose collisions are easy *for a known key*: 16 bytes
of each 1024 that are changed go to keeping the fingerprint, the draws stay those of the source, and the target is
written into the pixels that are drawn. A pseudorandom function without collisions would only make this a search, see
:func:`grind`. The key must stay secret either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import core
from ..core.reference import FINGERPRINT_KEY_BYTES
from ..reconstruction.keys import hash_keys, image_keys
from ..reconstruction.plan import Plan

__all__ = ["collide", "grind", "known_draws", "replay", "write_drawn"]

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

# Places for the 16 bytes that are tried in each block of the fingerprint; the least visible one is taken.
_TRIES = 64
_WORD = 1 << 32


def replay(source: Image, wanted: Image, plan: Plan, guess: bytes, counts: tuple[Array, Array]) -> Image:
    """The image (H, W, C) uint8 in whose reconstruction with the key ``guess`` the read pixels are ``wanted``.

    ``wanted`` uint8 (rows, columns, C), of which only those count whose row and column ``counts`` (bool). Where two
    read pixels draw the same candidate, it becomes the mean of what they want; where there is no candidate, or no room
    for the 16 bytes, nothing is done.
    """
    places = np.where(np.logical_and.outer(*counts), known_draws(source, plan, guess), -1)
    image = write_drawn(source, wanted, places)
    drawn = np.zeros(source.shape[:2], bool)
    drawn.ravel()[places[places >= 0]] = True
    return collide(image, source, guess, np.broadcast_to(drawn[..., None], source.shape))


def known_draws(image: Image, plan: Plan, key: bytes) -> npt.NDArray[np.int64]:
    """The place y · W + x that the random filter draws for each read pixel of ``image`` (H, W, C) uint8.

    int64 (rows, columns); -1 where the window holds no candidate.
    """
    chosen = plan.selection
    height, width = chosen.in_size
    if max(height, width) > 1 << 16:
        raise ValueError(f"an image of {height}x{width} has coordinates beyond 16 bits")
    # The filter draws whole pixels, so it is run on an image whose pixels hold their own coordinates.
    where = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).astype(np.uint16)[None]
    out = np.zeros_like(where)
    core.select_random(where, out, chosen, image_keys(image[None], key))
    drawn = out[0][np.ix_(chosen.rows, chosen.cols)].astype(np.int64)
    return np.where(chosen.candidates > 0, drawn[..., 0] * width + drawn[..., 1], -1)


def write_drawn(source: Image, wanted: Image, places: npt.NDArray[np.int64]) -> Image:
    """``source`` (H, W, C) with ``wanted`` (rows, columns, C) at ``places`` (rows, columns), the rest as it was.

    A place that occurs more than once gets the rounded mean; one below 0 is left out.
    """
    channels, used = source.shape[2], places.ravel() >= 0
    at = places.ravel()[used]
    count = np.bincount(at, minlength=source.shape[0] * source.shape[1])
    image = source.copy().reshape(-1, channels)
    for channel in range(channels):
        sums = np.bincount(at, wanted[..., channel].ravel()[used].astype(np.float64), len(count))
        image[count > 0, channel] = np.round(sums[count > 0] / count[count > 0])
    return image.reshape(source.shape)


def collide(image: Image, like: Image, key: bytes, keep: npt.NDArray[np.bool_]) -> Image:
    """``image`` (uint8, any shape) with the fingerprint that ``like`` has for ``key``.

    The fingerprint of each 1024 bytes is Σ (m₂ᵢ + k₂ᵢ)(m₂ᵢ₊₁ + k₂ᵢ₊₁) modulo 2⁶⁴ over 32-bit words, sums of words
    modulo 2³². Two of its products, 16 bytes of the image, can be made to add up to anything: b₁ = ⌊sum / a₁⌋, a₂ = 1,
    and b₂ what remains. They are chosen where they change ``like`` least, among those that hold no byte of ``keep``
    (bool, of the image's shape). A block that has no two such products becomes ``like``'s.
    """
    block = FINGERPRINT_KEY_BYTES
    hash_key = [int(word) for word in hash_keys(key)[1].view("<u4")]
    out, before = np.ascontiguousarray(image).ravel().copy(), np.ascontiguousarray(like).ravel()
    held = np.ascontiguousarray(keep).ravel()
    for first in range(0, len(out), block):
        here = slice(first, min(first + block, len(out)))
        if np.array_equal(out[here], before[here]):
            continue
        size = here.stop - first
        words, old = (np.zeros(block, np.uint8) for _ in range(2))
        words[:size], old[:size] = out[here], before[here]
        whole = size // 8
        room = np.flatnonzero(~held[first : first + 8 * whole].reshape(-1, 8).any(axis=1))
        fixed = _fixed(words, old, hash_key, room)
        out[here] = before[here] if fixed is None else fixed[:size]
    return out.reshape(image.shape)


def _fixed(words: Array, old: Array, hash_key: list[int], room: Array) -> Array | None:
    """1024 bytes ``words`` with the fingerprint of ``old``, changed in two of the products ``room``; None without."""
    sums = [int(word) for word in words.view("<u4")]
    sums = [(word + key) % _WORD for word, key in zip(sums, hash_key, strict=True)]
    wanted = _product_sum([(int(w) + k) % _WORD for w, k in zip(old.view("<u4"), hash_key, strict=True)])
    missing = wanted - _product_sum(sums)
    best, least = None, np.inf
    for one, two in zip(room[:_TRIES:2].tolist(), room[1:_TRIES:2].tolist(), strict=False):
        rest = missing + sums[2 * one] * sums[2 * one + 1] + sums[2 * two] * sums[2 * two + 1]
        rest %= _WORD**2
        a = sums[2 * one] if sums[2 * one] > rest // _WORD else _WORD - 1
        b = min(rest // a, _WORD - 1)
        if rest - a * b >= _WORD:  # with probability 2⁻³²
            continue
        new = words.copy()
        for place, word in ((2 * one, a), (2 * one + 1, b), (2 * two, 1), (2 * two + 1, rest - a * b)):
            new.view("<u4")[place] = (word - hash_key[place]) % _WORD
        change = float(((new.astype(np.int32) - old) ** 2).sum())
        if change < least:
            best, least = new, change
    return best


def _product_sum(words: list[int]) -> int:
    return sum(a * b for a, b in zip(words[::2], words[1::2], strict=True))


def grind(
    image: Image, score: Callable[[Image], float], *, tries: int, places: tuple[Array, Array]
) -> tuple[Image, float]:
    """The one of ``tries`` variants of ``image`` with the highest ``score``, and that score.

    Variant k has the binary digits of k as the lowest bits of the pixels at ``places`` (rows, columns; log₂ ``tries``
    of them suffice), in their first channel: invisible, but every draw is another one.
    """
    if not isinstance(tries, int) or tries < 1:
        raise ValueError(f"tries must be a whole number of at least 1, got {tries!r}")
    if 1 << len(places[0]) < tries:
        raise ValueError(f"{len(places[0])} places give no {tries} variants")
    best, highest = image, -np.inf
    for k in range(tries):
        variant = image.copy()
        at = (*places, 0) if image.ndim == 3 else places
        variant[at] ^= ((k >> np.arange(len(places[0]))) & 1).astype(np.uint8)
        found = score(variant)
        if found > highest:
            best, highest = variant, found
    return best, highest
