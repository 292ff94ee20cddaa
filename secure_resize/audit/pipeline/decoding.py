"""Whether a pipeline scales while it decodes JPEG files, and a crafted file that shows it another picture if so.

A full decode cuts every pixel off to [0, 255]; a decoder that scales by 1/2, 1/4 or 1/8 averages first. A coarse JPEG
of black and white overshoots both limits: what a pipeline makes of that file, and of the very pixels that a full decode
shows, as a lossless file, is the same picture only if it decodes in full.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...attacks.craft import HIDDEN_DB, REACHED_DB
from ...attacks.jpeg import craft_file
from ...measure.quality import psnr, psnr_luma, rms, share
from ...measure.scalers import load
from ...measure.verify import natural_picture
from .attack import Back, fitted as fitted_to, levels_of, photographs
from .measure import Measurement

__all__ = ["Decoding", "decoding"]

Image = npt.NDArray[np.uint8]

# RMS levels by which the two may differ in a pipeline that decodes in full: decoders' arithmetic, and its rounding.
# Scaled decoding differs by 6 and more.
_SAME = 3.0
# Coarse files that overshoot.
_QUALITIES = (15, 30)
_SCALES = (8, 4, 2)
# Share of the hidden picture from which on a file counts as shown at the scale that it was made for.
_SHOWN = 0.5


@dataclass(frozen=True, eq=False)
class Decoding:
    """A pipeline that scales while it decodes. ``difference``: RMS levels, of the same picture in JPEG and lossless.

    ``scale``: it decodes at 1/scale; 0 where no crafted file said so (``reason``). ``certain``: whether it scales; else
    its decoder is only known not to be exact. Of the file crafted for it: ``data``
    its bytes, ``source`` and what a full decode ``shown``; ``target`` and what the pipeline made of it, ``seen``;
    PSNRs as in an attack.
    """

    measurement: Measurement
    difference: float
    scale: int = 0
    reason: str = ""
    certain: bool = True
    data: bytes = b""
    source: Image | None = None
    shown: Image | None = None
    target: Image | None = None
    seen: Image | None = None
    clean: Image | None = None
    psnr_source: float = np.nan
    psnr_source_luma: float = np.nan
    psnr_target: float = np.nan
    psnr_target_luma: float = np.nan
    share: float = np.nan
    seconds: float = 0.0

    @property
    def success(self) -> bool:
        """Whether the file showed people its source, to 15 dB, and the pipeline its target, to 25 dB, in RGB."""
        return self.psnr_target >= REACHED_DB and self.psnr_source >= HIDDEN_DB

    @property
    def verdict(self) -> str:
        """``vulnerable`` where the file worked, else ``weak``: people see that something is hidden."""
        return "vulnerable" if self.success else "weak"

    def to_dict(self) -> dict[str, Any]:
        """The figures, as JSON can hold them."""
        names = ("psnr_source", "psnr_source_luma", "psnr_target", "psnr_target_luma", "share", "seconds")
        figures = {name: float(getattr(self, name)) for name in names}
        return {
            "input": self.measurement.name,
            "in_size": list(self.measurement.in_size),
            "scale": self.scale,
            "difference": self.difference,
            "success": self.success,
            "reason": self.reason,
            **figures,
        }


def decoding(found: Measurement, images: Sequence[Image] = (), *, attack: bool = True) -> Decoding | None:
    """How the measured pipeline decodes JPEG files; None where it decodes them in full, or takes none."""
    run = found.run
    if found.operator is None or run.entry.way.raw is None or run.mode != "RGB" or run.channels != 3:
        return None
    back = levels_of(found.operator)
    difference = max(
        _difference(found, back, picture, quality) for picture in _extremes(found.in_size) for quality in _QUALITIES
    )
    if not difference > _SAME:
        return None
    if not attack:
        certain = found.verdict == "robust" and difference >= 2 * _SAME
        return Decoding(found, difference, reason="no file was crafted", certain=certain)
    started, best, reason = time.monotonic(), Decoding(found, difference), ""
    for scale in _SCALES:
        try:
            one = _crafted(found, back, scale, images, difference)
        except (ImportError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        if not one.share >= _SHOWN:
            continue
        if best.scale == 0 or one.psnr_source > best.psnr_source:
            best = one
        break
    if not best.scale:
        # Files were crafted, and it showed none: a decoder with a coarser arithmetic, which a pipeline that samples
        # lets through. Without the crafting library only a difference that outlives averaging says something.
        crafted = not reason.startswith(("ImportError", "ModuleNotFoundError"))
        certain = not crafted and found.verdict == "robust" and difference >= 2 * _SAME
        return Decoding(found, difference, reason=reason, certain=certain)
    return Decoding(**{**vars(best), "seconds": time.monotonic() - started})


def _extremes(size: tuple[int, int]) -> list[Image]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (*size, 1), np.uint8) * np.uint8(255)
    drawing = np.where(natural_picture(rng, size, 1) > 118, 255, 0).astype(np.uint8)
    return [noise, drawing]


def _difference(found: Measurement, back: Back, picture: Image, quality: int) -> float:
    """RMS levels between what the pipeline makes of a JPEG file and of the pixels that a full decode of it shows."""
    module, stream = load("PIL.Image"), io.BytesIO()
    module.fromarray(np.repeat(picture, 3, axis=2)).save(stream, "JPEG", quality=quality, subsampling=0)
    full = np.asarray(module.open(io.BytesIO(stream.getvalue())))
    try:
        return rms(back(found.run.raw(stream.getvalue())), back(found.run(full)), back.moved)
    except Exception:
        return 0.0  # it takes no JPEG files


def _crafted(found: Measurement, back: Back, scale: int, images: Sequence[Image], difference: float) -> Decoding:
    """A file crafted for one scale, and what the pipeline makes of it."""
    size, run = found.in_size, found.run
    if min(size) < 4 * scale:
        raise ValueError(f"a picture of {size[0]}x{size[1]} is too small to be decoded at 1/{scale}")
    own = photographs()
    source, large = fitted_to([*images, *own][0], size, 3), fitted_to(own[-1], size, 3)
    small = (-(-size[0] // scale), -(-size[1] // scale))
    crafted = craft_file(source, fitted_to(large, small, 3), lambda data: _drafted(data, scale), scale=scale)
    # What the pipeline makes of the target itself is what it should show.
    target, clean = back(run(large)), back(run(crafted.shown))
    seen = back(run.raw(crafted.data))
    return Decoding(
        found,
        difference,
        scale,
        "",
        True,
        crafted.data,
        source,
        crafted.shown,
        target,
        seen,
        clean,
        crafted.psnr_source,
        crafted.psnr_source_luma,
        psnr(seen, target, back.moved),
        psnr_luma(seen, target, back.moved),
        share(seen, clean, target, back.moved),
    )


def _drafted(data: bytes, scale: int) -> Image:
    with load("PIL.Image").open(io.BytesIO(data)) as picture:
        picture.draft("RGB", (max(picture.width // scale, 1), max(picture.height // scale, 1)))
        return np.asarray(picture)
