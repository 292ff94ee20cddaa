"""Broken files through ``decode``: ``python tests/proofs/decode_fuzz.py FILES [FIRST SEED]``.

JPEG (baseline and progressive, every subsampling, grey, CMYK, with EXIF), PNG, WebP, TIFF and GIF files with flipped
bytes, cut off, spliced and with wrong sizes. Each gives an image or a DecodeError, in child processes that may take
1.5 GiB of address space beyond what they start with and five seconds a file.
"""

from __future__ import annotations

import io
import random
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np
import PIL.Image

import secure_resize as sr

PER_CHILD = 250
MEMORY = 3 * 2**29
SECONDS_A_FILE = 5.0
MAX_PIXELS = 1 << 22


@cache
def seeds_of_files() -> tuple[bytes, ...]:
    """The unbroken files."""
    y, x = np.mgrid[0:96, 0:120]
    noise = np.random.default_rng(0).integers(-30, 30, (96, 120, 3))
    image = PIL.Image.fromarray(np.clip(np.dstack([x * 2, y * 2, x + y]) + noise, 0, 255).astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds = [
        (image, "JPEG", {"quality": 80}),
        (image, "JPEG", {"quality": 60, "subsampling": 0, "exif": exif}),
        (image, "JPEG", {"quality": 90, "subsampling": 1, "progressive": True}),
        (image.convert("L"), "JPEG", {"progressive": True}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "PNG", {}),
        (image.convert("RGBA"), "PNG", {}),
        (image.convert("P"), "PNG", {}),
        (image.convert("I;16"), "PNG", {}),
        (image, "WEBP", {"quality": 70}),
        (image.convert("RGBA"), "WEBP", {"lossless": True, "exif": exif}),
        (image, "TIFF", {}),
        (image, "TIFF", {"compression": "tiff_lzw"}),
        (image, "TIFF", {"compression": "jpeg"}),
        (image.convert("L"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (image, "GIF", {}),
    ]
    files = []
    for picture, format, options in kinds:
        file = io.BytesIO()
        picture.save(file, format, **options)
        files.append(file.getvalue())
    return tuple(files)


def mutated(seed: int) -> bytes:
    """One broken file."""
    rng = random.Random(seed)
    files = seeds_of_files()
    data = bytearray(files[seed % len(files)])
    for _ in range(rng.choice([1, 1, 2, 4, 10])):
        kind = rng.randrange(7)
        # Half of all changes to the headers, where the most can go wrong.
        place = rng.randrange(min(len(data), 700) if rng.random() < 0.5 else len(data)) if data else 0
        if kind == 0:
            del data[rng.randrange(len(data) + 1) :]
        elif kind == 1:
            data[place : place + 2] = rng.choice([b"\xff\xff", b"\x00\x00", b"\x7f\xff", b"\xff\xd9", b"\xff\xda"])
        elif kind == 2:
            data[place : place + 4] = rng.choice([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x00\x01\x00\x00"])
        elif kind == 3:
            data[place:place] = data[rng.randrange(len(data) + 1) :][: rng.randrange(64)]
        elif kind == 4:
            del data[place : place + rng.randrange(1, 40)]
        elif kind == 5:
            other = rng.choice(files)
            data[place:] = other[min(place, len(other)) :]
        elif data:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def run(seeds: Iterable[int]) -> Counter[str]:
    """How many gave an ``image`` and how many an ``error``; anything else is raised, with the seed."""
    done: Counter[str] = Counter()
    for seed in seeds:
        pad = seed % 3 == 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Pillow about broken EXIF and sizes
                out = sr.decode(mutated(seed), (9, 11), truncated="pad" if pad else "error", max_pixels=MAX_PIXELS)
        except sr.DecodeError:
            done["error"] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        else:
            assert (out.shape, out.dtype) == ((9, 11, 3), np.uint8), seed
            done["image"] += 1
    return done


def _child(first: int, count: int) -> None:
    run([])
    seeds_of_files()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    done = run(range(first, first + count))
    print(done["image"], done["error"])


def _batch(first: int, count: int) -> tuple[Counter[str], str]:
    """What a child process made of the seeds, and what went wrong with it."""
    command = [sys.executable, __file__, "--child", str(first), str(count)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60 + SECONDS_A_FILE * min(count, 20))
    except subprocess.TimeoutExpired:
        return Counter(), "it took too long"
    if ended.returncode:
        return Counter(), f"exit code {ended.returncode}: {ended.stderr.strip().splitlines()[-1:]}"
    image, error = map(int, ended.stdout.split()[-2:])
    return Counter(image=image, error=error), ""


def main(files: int, first: int = 0) -> int:
    """Run them all; 1 where any did anything else."""
    done: Counter[str] = Counter()
    wrong: list[str] = []
    started = time.monotonic()
    for start in range(first, first + files, PER_CHILD):
        count = min(PER_CHILD, first + files - start)
        result, message = _batch(start, count)
        if message:  # which of them was it?
            for seed in range(start, start + count):
                one, why = _batch(seed, 1)
                done += one
                wrong += [f"seed {seed}: {why}"] if why else []
        done += result
    print(f"{sum(done.values())} files in {time.monotonic() - started:.0f} s: {done['image']} images, {done['error']} "
          f"errors, {len(wrong)} of anything else")  # fmt: skip
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
