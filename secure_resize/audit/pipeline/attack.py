"""An attack on a measured pipeline: crafted on its operator, run through the real thing, saved, and tried as a JPEG."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...attacks.craft import HIDDEN_DB, REACHED_DB, craft
from ...core.operator import Provenance, ScalingOperator
from ...measure.quality import psnr, psnr_luma, share
from ...measure.scalers import load
from ...measure.verify import natural_picture
from ...scaling import resize
from .inputs import file_bytes
from .measure import Measurement, Run

__all__ = [
    "JPEG_QUALITIES",
    "Attack",
    "Back",
    "Figures",
    "against",
    "attack",
    "fitted",
    "levels_of",
    "photographs",
    "save",
    "through",
]

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

JPEG_QUALITIES = (95, 75)
# PSNR in dB that what the pipeline makes of the source may have to the target: a pair that lies closer needs no hiding.
_APART = 12.5
# The fast methods, in the order in which they are tried: closed form, then the least change for 25 dB, and its slower
# and its stricter form.
_LADDER: tuple[tuple[Any, float, int], ...] = (
    ("least", 1.0, 1),
    ("strong_rms", 11.0, 60),
    ("strong", 4.0, 60),
    ("strong_rms", 13.0, 300),
)


@dataclass(frozen=True)
class Figures:
    """An output against the target, in dB, in RGB and in luma; ``share``: how much of the target it shows."""

    psnr_target: float
    psnr_target_luma: float
    share: float

    def to_dict(self) -> dict[str, float]:
        """As JSON can hold it."""
        return vars(self).copy()


@dataclass(frozen=True, eq=False)
class Attack:
    """An attack image, uint8 (H, W, C), and what the real pipeline makes of it, in levels of its source.

    ``predicted`` is by the operator, ``measured`` through the real pipeline; ``jpeg`` the same after a JPEG encoder of
    each quality. ``pair_db``: how near the target is to what the pipeline makes of the source.
    """

    source: Image
    target: Image
    image: Image
    seen: Image
    clean: Image
    method: str
    psnr_source: float
    psnr_source_luma: float
    predicted: Figures
    measured: Figures
    jpeg: dict[int, Figures]
    pair_db: float
    seconds: float
    mode: str = "RGB"
    moved: npt.NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def success(self) -> bool:
        """Whether the target came out, to 25 dB in RGB, of an image that is the source, to 15 dB in RGB."""
        return self.measured.psnr_target >= REACHED_DB and self.psnr_source >= HIDDEN_DB

    def to_dict(self) -> dict[str, Any]:
        """The figures, as JSON can hold them."""
        return {
            "success": self.success,
            "method": self.method,
            "mode": self.mode,
            "psnr_source": self.psnr_source,
            "psnr_source_luma": self.psnr_source_luma,
            "predicted": self.predicted.to_dict(),
            "measured": self.measured.to_dict(),
            "jpeg": {str(quality): figures.to_dict() for quality, figures in self.jpeg.items()},
            "source_to_target": self.pair_db,
            "seconds": self.seconds,
        }


# From the pipeline's units back to levels.


@dataclass(frozen=True, eq=False)
class Back:
    """How outputs of a measured pipeline become levels of its source again; ``grey``: of one channel, told by all."""

    known: Provenance
    moved: npt.NDArray[np.bool_]
    offset: FloatArray
    grey: bool

    def __call__(self, output: FloatArray) -> Image:
        """Uint8 (h, w, C) of what the pipeline gives."""
        centred = output[..., list(self.known.channels)] - self.offset
        if self.grey:
            gain = self.known.mix.sum(axis=1)
            levels = (centred @ gain / float(gain @ gain))[..., None]
        else:
            levels = centred @ np.linalg.pinv(self.known.mix).T
        shown: Image = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        return shown


def levels_of(operator: ScalingOperator) -> Back:
    """The way back for a probed operator."""
    known = operator.provenance
    assert known is not None
    rows, cols = ((axis.weights != 0).any(axis=1) for axis in (operator.rows, operator.cols))
    moved = np.logical_and.outer(rows, cols)
    moved = moved.T if known.transposed else moved
    offset = np.where(moved[..., None], known.offset, known.offset[moved].mean(axis=0)) if moved.any() else known.offset
    channels = known.mix.shape[1]
    grey = channels == 1 or np.linalg.matrix_rank(known.mix, tol=0.01 * np.abs(known.mix).max()) < channels
    return Back(known, moved, offset, bool(grey))


def attack(
    found: Measurement,
    images: Sequence[Image] = (),
    *,
    seconds: float = 30.0,
    thorough: bool = True,
    ladder: int = len(_LADDER),
) -> Attack | None:
    """The best attack on a measured pipeline, or None where there is nothing to attack.

    ``images`` (H, W, 3) are sources to prefer. ``thorough=False`` tries the first pair of pictures alone, ``ladder``
    as many methods.
    """
    operator = found.operator
    assert operator is not None
    back, started, best = levels_of(operator), time.monotonic(), None
    if not back.moved.any():
        return None
    for source, target in _pairs(found, back, images):
        for method, epsilon, iterations in _LADDER[:ladder]:
            try:
                one = _tried(found, back, source, target, method, epsilon, iterations, started)
            except ValueError:
                continue  # a method that this operator is none for
            if best is None or _merit(one) > _merit(best):
                best = one
            if one.success or time.monotonic() - started > seconds:
                break
        if best is not None and (best.success or not thorough or time.monotonic() - started > seconds):
            break
    return best


def _merit(one: Attack) -> tuple[bool, float]:
    return one.success, min(one.measured.psnr_target - REACHED_DB, 0) + min(one.psnr_source - HIDDEN_DB, 0)


def _tried(
    found: Measurement,
    back: Back,
    source: Image,
    target: Image,
    method: Any,
    epsilon: float,
    iterations: int,
    started: float,
) -> Attack:
    """One attack: crafted on the operator, sent through the pipeline."""
    operator, run = found.operator, found.run
    assert operator is not None
    crafted = craft(source, target, operator, method=method, epsilon=epsilon, iterations=iterations)
    clean, seen = (through(run, back, image) for image in (source, crafted.image))
    return Attack(
        source,
        target,
        crafted.image,
        seen,
        clean,
        method,
        crafted.psnr_source,
        crafted.psnr_source_luma,
        Figures(crafted.psnr_target, crafted.psnr_target_luma, crafted.share),
        against(seen, clean, target, back.moved),
        {quality: _after_jpeg(run, back, crafted.image, clean, target, quality) for quality in JPEG_QUALITIES},
        psnr(clean, target, back.moved),
        time.monotonic() - started,
        run.mode,
        back.moved,
    )


def through(run: Run, back: Back, image: Image) -> Image:
    """What the real pipeline makes of ``image``, in levels."""
    channels = run.channels
    return back(run(np.repeat(image, channels, axis=2) if image.shape[2] < channels else image))


def against(seen: Image, clean: Image, target: Image, moved: npt.NDArray[np.bool_]) -> Figures:
    """An output against the target, where the source moves it."""
    return Figures(psnr(seen, target, moved), psnr_luma(seen, target, moved), share(seen, clean, target, moved))


def _after_jpeg(run: Run, back: Back, image: Image, clean: Image, target: Image, quality: int) -> Figures:
    module = load("PIL.Image")
    stream = io.BytesIO()
    plane = image[..., 0] if image.shape[2] == 1 else image
    module.fromarray(np.ascontiguousarray(plane)).save(stream, "JPEG", quality=quality)
    decoded = np.asarray(module.open(io.BytesIO(stream.getvalue())))
    decoded = decoded[..., None] if decoded.ndim == 2 else decoded
    seen = through(run, back, decoded)
    return against(seen, clean, target, back.moved)


# Pictures.


def _pairs(found: Measurement, back: Back, images: Sequence[Image]) -> Iterator[tuple[Image, Image]]:
    """Sources and targets of the pipeline's sizes that are two pictures after scaling as well."""
    channels = 1 if back.grey else found.run.channels
    sources, targets = [*images[:2], *photographs()], photographs()[::-1]
    for k, source in enumerate(sources[:4]):
        shaped = fitted(source, found.in_size, channels)
        clean = through(found.run, back, shaped)
        target = fitted(targets[k % len(targets)], found.out_size, channels)
        for contrast in (1.0, 0.7, 0.5):
            toned = _toned(target, clean, back.moved, contrast)
            if psnr(clean, toned, back.moved) <= _APART:
                yield shaped, toned


def photographs() -> list[Image]:
    """Photographs (H, W, 3): scikit-image's where it is installed, else random pictures like photographs."""
    try:
        folder = Path(load("skimage").__file__).parent / "data"
        module = load("PIL.Image")
        names = ("chelsea.png", "coffee.png", "astronaut.png")
        return [np.asarray(module.open(folder / name).convert("RGB")) for name in names]
    except (ImportError, OSError):
        return [natural_picture(np.random.default_rng(seed), (256, 256), 3, 1.6) for seed in (1, 2, 5)]


def fitted(image: Image, size: tuple[int, int], channels: int) -> Image:
    """``image`` (H, W, 3) at ``size``, with 3 channels or, grey, with one."""
    scaled = resize(np.ascontiguousarray(image[..., :3]), size)
    if channels == 1:
        scaled = np.round(scaled @ (0.299, 0.587, 0.114)).astype(np.uint8)[..., None]
    return np.ascontiguousarray(scaled)


def _toned(target: Image, clean: Image, moved: npt.NDArray[np.bool_], contrast: float) -> Image:
    """The target with its contrast reduced about its own mean, half way to what the pipeline makes of the source."""
    if contrast == 1:
        return target
    mean, other = target.mean(axis=(0, 1)), clean[moved].mean(axis=0)
    toned = (target - mean) * contrast + (mean + other) / 2
    shown: Image = np.clip(np.round(toned), 0, 255).astype(np.uint8)
    return shown


def save(found: Attack, folder: Path, fixed: Image | None = None) -> list[dict[str, str]]:
    """Write the attack's pictures into ``folder``, PNG files, the attack image in its own mode; names and paths."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [
        ("source", found.source, "RGB"),
        ("attack", found.image, found.mode),
        ("target", found.target, "RGB"),
        ("seen", found.seen, "RGB"),
        ("clean", found.clean, "RGB"),
    ]
    if fixed is not None:
        shown.append(("fixed", fixed, "RGB"))
    entries = []
    for name, image, mode in shown:
        path = folder / f"{name}.png"
        # Inks are no PNG; the attack image is the same picture in RGB.
        path.write_bytes(file_bytes(image, "RGB" if mode == "CMYK" else mode))
        entries.append({"name": name, "caption": "", "path": str(path)})
    return entries


def draw(operator: ScalingOperator, title: str, folder: Path) -> list[dict[str, str]]:
    """Draw the operator's kernel, what it reads and its frequency response into ``folder``; nothing without matplotlib.

    Answers as :func:`save` does.
    """
    try:
        from ...measure.plots import plot_operator

        folder.mkdir(parents=True, exist_ok=True)
        plot_operator(operator, title, folder / "kernel.png")
    except ImportError:
        return []
    return [
        {
            "name": "kernel",
            "caption": "what each output reads, and the frequency response",
            "path": str(folder / "kernel.png"),
        }
    ]
