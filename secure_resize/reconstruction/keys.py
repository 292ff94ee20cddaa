"""The random filter's keys: one secret a process, and of every image a key of its own, a keyed hash of all its pixels.

So an attacker who knows everything but the secret cannot tell which candidates are drawn, and the same image gives the
same result for as long as the process lives.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import core
from .plan import dtype_name

__all__ = ["hash_keys", "image_keys", "process_key"]

Array = npt.NDArray[Any]

_secret: bytes | None = None
_secret_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a lock that another thread holds at a fork is never released in the child
    os.register_at_fork(
        before=_secret_lock.acquire,
        after_in_parent=_secret_lock.release,
        after_in_child=_secret_lock.release,
    )


def process_key() -> bytes:
    """This process's secret, 32 bytes, drawn when it is first needed; a forked child has its parent's."""
    global _secret
    with _secret_lock:
        if _secret is None:
            _secret = secrets.token_bytes(32)
        return _secret


@lru_cache(maxsize=4)
def hash_keys(key: bytes) -> tuple[bytes, Array, Array]:
    """The keys of the three hashes: 32 bytes, and twice 1024 as an array."""
    outer = hashlib.blake2b(key, digest_size=32, person=b"secure_resize 2").digest()
    parts = [hashlib.blake2b(bytes([k]), key=outer, digest_size=64).digest() for k in range(32)]
    inner = np.frombuffer(b"".join(parts), np.uint8)
    return outer, inner[:1024], inner[1024:]


def image_keys(batch: Array, key: bytes) -> Array:
    """uint8 (N, 32): a pseudorandom function of each image, all its pixels, dtype and shape.

    A universal hash and then a pseudorandom function of what is left, as in UMAC (Black et al., CRYPTO 1999): NH over
    the pixels, NH under another key over its hashes, and keyed BLAKE2b over those, 1/16384 of the image, and its kind.
    Two images share a key with probability 2⁻³¹ at most, over the secret: 2⁻³² for either NH.
    """
    outer, first, second = hash_keys(key)
    keys = np.empty((len(batch), 32), np.uint8)
    for image, image_key in zip(batch, keys, strict=True):
        data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
        hashes = core.fingerprint(data, first).astype("<u8", copy=False)
        if len(hashes) > 16:  # or the second would be as long as they are
            hashes = core.fingerprint(hashes.view(np.uint8), second).astype("<u8", copy=False)
        digest = hashlib.blake2b(f"{dtype_name(image.dtype)} {image.shape}".encode(), key=outer, digest_size=32)
        digest.update(hashes.tobytes())
        image_key[:] = np.frombuffer(digest.digest(), np.uint8)
    return keys
