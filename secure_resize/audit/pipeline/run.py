"""``sr.audit.audit()``: a whole pipeline, measured, attacked, and said what to do about it."""

from __future__ import annotations

import importlib.metadata
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...scaling import check_size
from ..report import Report
from .answer import report_of
from .attack import Attack, attack as attacked, draw, save
from .decoding import Decoding, decoding
from .measure import MOST_OUTPUTS, Entry, Measurement, Unresized, entries, measurements, same_as
from .mending import Mended, mend
from .target import Target, TargetError, find, target_of
from .userpictures import Picture, read_all

__all__ = ["DEFAULT_SIZES", "Audited", "Options", "audit"]

Size = tuple[int, int]

# (height, width) of the sources where nobody says what they are: small and large pictures as they are common.
DEFAULT_SIZES: tuple[Size, ...] = ((375, 500), (768, 1024))
# Of the user's pictures, the sizes that are measured: the commonest, the largest and the smallest.
_MOST_SIZES = 4
LIBRARIES = (
    "albumentations", "cv2", "kornia", "keras", "numpy", "PIL", "scipy", "skimage", "tensorflow", "timm", "torch",
    "torchvision", "transformers", "ultralytics",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What :func:`audit` is asked; see there."""

    in_sizes: tuple[Size, ...] = ()
    out_size: Size | None = None
    inputs: tuple[str, ...] = ()
    output: str | None = None
    seed: int | None = None
    images: tuple[str, ...] = ()
    folder: str | None = None
    attack: bool = True
    attack_seconds: float = 30.0
    pictures: str | None = None


@dataclass(eq=False)
class Audited:
    """What is known so far; :func:`.answer.report_of` makes a report of it at any time."""

    target: str
    path: str | None = None
    line: int | None = None
    options: Options = field(default_factory=Options)
    measured: list[Measurement] = field(default_factory=list)
    attacks: list[tuple[Measurement, Attack]] = field(default_factory=list)
    decodings: list[Decoding] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    saved: list[dict[str, str]] = field(default_factory=list)
    fixed: Mended | None = None
    unresized: bool = False
    seconds: float = 0.0

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries that the pipeline has loaded."""
        found = {"python": ".".join(map(str, sys.version_info[:3]))}
        for name in LIBRARIES:
            version = getattr(sys.modules.get(name), "__version__", None)
            if version is not None:
                found[name] = str(version)
        try:
            found["secure-resize"] = importlib.metadata.version("secure-resize")
        except importlib.metadata.PackageNotFoundError:
            from ... import __version__

            found["secure-resize"] = __version__
        return found


Tell = Callable[[str, Audited], None]


def audit(
    pipeline: Any,
    in_size: Size | Sequence[Size] = (),
    out_size: Size | None = None,
    *,
    input: str | Sequence[str] = (),
    output: str | int | None = None,
    args: Mapping[str, Any] | None = None,
    seed: int | None = None,
    images: Sequence[str | Path] | str | Path = (),
    attack: bool = True,
    attack_seconds: float = 30.0,
    pictures: str | Path | None = None,
) -> Report:
    """Measure what a pipeline gives away to an attacker, and attack it.

    >>> import secure_resize as sr
    >>> report = sr.audit.audit(lambda image: sr.resize(image, (32, 32)), in_size=(96, 128), attack=False)
    >>> report.facts["verdict"], len(report.active)
    ('robust', 0)

    Parameters
    ----------
    pipeline
        What takes a picture and gives one: a function, a transform, a class to construct, a data set, a layer, a
        processor; or its name, ``"module:object"`` or ``"file.py:object"``. It runs in this process: for code that is
        not trusted, use the command.
    in_size
        (height, width) of the source, or a list of them. By default the sizes of ``images``, else 375x500 and 768x1024.
    out_size
        What the pipeline has to make of it; by default whatever it makes.
    input
        How it takes a picture (``KINDS``): ``"path"``, ``"bytes"``, ``"pil"``, ``"array"``, ``"tensor"``,
        ``"dict:KEY"``, ``"kw:NAME"``, ``"list"``, ``"tfrecord:KEY"``, ``"dataset"``. By default all that it takes,
        found out by trying.
    output
        The key, index or attribute under which the pictures are. By default all that follow the source.
    args
        Arguments for a class's constructor, or a function's further ones.
    seed
        Sets python's, numpy's, torch's and TensorFlow's random state before each call. By default that is done for
        pipelines that are random, with several seeds of which the worst counts.
    images
        Pictures that have to be treated like all others; a list of files, or a folder.
    attack
        Whether to hide a picture for the pipeline and send it through.
    attack_seconds
        The most that one attack may take.
    pictures
        A folder for the attack's pictures, PNG; by default they are not kept.

    Returns
    -------
    A report. ``facts["verdict"]`` is the worst: ``"unfaithful"``, ``"vulnerable"``, ``"weak"``, ``"robust"``, or
    ``"not measured"``, with the reasons in ``failures``.

    Raises
    ------
    ValueError
        There is no such target, it takes no picture, or an argument is none. (A TargetError for the first two.)
    """
    folder = str(images) if isinstance(images, str | Path) and Path(images).is_dir() else None
    single = isinstance(images, str | Path) and folder is None
    files: Sequence[Any] = [images] if single else ([] if folder else list(images))  # type: ignore[arg-type]
    options = Options(
        _sizes(in_size),
        None if out_size is None else check_size(out_size),
        (input,) if isinstance(input, str) else tuple(input),
        None if output is None else str(output),
        seed,
        tuple(str(one) for one in files),
        folder,
        attack,
        attack_seconds,
        None if pictures is None else str(pictures),
    )
    target = find(pipeline, args or {}) if isinstance(pipeline, str) else target_of(pipeline, args or {})
    found = run(target, options)
    if not found.measured and not found.unresized and found.failures:
        raise TargetError("; ".join(found.failures))
    return report_of(found)


def _sizes(size: Any) -> tuple[Size, ...]:
    if len(size) == 2 and all(isinstance(one, int | np.integer) for one in size):
        return (check_size(size),)
    return tuple(check_size(one) for one in size)


def run(target: Target, options: Options, tell: Tell = lambda text, found: None) -> Audited:
    """The audit; ``tell(text, found)`` is called with what is done next, and with what is known so far."""
    started = time.monotonic()
    found = Audited(target.name, target.path, target.line, options, notes=list(target.notes))
    found.pictures = read_all([Path(one) for one in options.images], Path(options.folder) if options.folder else None)
    own = [picture for picture in found.pictures if picture.levels is not None]
    with tempfile.TemporaryDirectory(prefix="secure-resize-audit-") as name:
        for size in options.in_sizes or _sizes_of(own) or DEFAULT_SIZES:
            tell(f"{target.name} at {size[0]}x{size[1]}: how it takes a picture", found)
            _measure(found, target, size, Path(name), own, tell)
            found.seconds = time.monotonic() - started
        if options.attack:
            _attack(found, [picture.levels for picture in own if picture.levels is not None], tell)
        _mend(found, tell)
        if options.pictures and found.attacks:
            one, best = max(found.attacks, key=lambda one: one[1].success)
            found.saved = save(best, Path(options.pictures), found.fixed.seen if found.fixed else None)
            assert one.operator is not None
            found.saved += draw(one.operator, f"{found.target}, {one.name}", Path(options.pictures))
        found.seconds = time.monotonic() - started
    return found


def _sizes_of(own: Sequence[Picture]) -> tuple[Size, ...]:
    """The commonest sizes of the user's pictures, with the largest and the smallest."""
    sizes = [picture.size for picture in own if min(picture.size) >= 16]
    if not sizes:
        return ()
    common = [size for size, _ in Counter(sizes).most_common(_MOST_SIZES - 2)]
    ends = [max(sizes, key=math.prod), min(sizes, key=math.prod)]
    return tuple(dict.fromkeys([*common, *ends]))


def _measure(found: Audited, target: Target, size: Size, folder: Path, mine: Sequence[Picture], tell: Tell) -> None:
    """All measurements at one size."""
    options = found.options
    try:
        ways = entries(target, size, folder, options.inputs, options.output)
    except Unresized as error:
        found.unresized = True
        found.notes.append(str(error))
        return
    except TargetError as error:
        found.failures.append(str(error))
        return
    pictures = _examples(mine, size)
    mains: list[Measurement] = []
    for entry in ways:
        like = next((main for main in mains if not entry.layouts and same_as(entry, main)), None)
        if like is not None:
            like.alike.append(entry.way.name)
            continue
        own = _measured(found, entry, size, pictures, tell)
        mains += own
        _decodings(found, own[:1], pictures, tell)


def _measured(
    found: Audited, entry: Entry, size: Size, pictures: Sequence[npt.NDArray[np.uint8]], tell: Tell
) -> list[Measurement]:
    """Those of one way in; the plain ones."""
    options, mains = found.options, []
    tell(f"{entry.target.name} at {size[0]}x{size[1]}: measuring its input {entry.way.name}", found)
    for one in measurements(entry, size, out_size=options.out_size, seed=options.seed, images=pictures):
        found.measured.append(one)
        if one.run.mode == "RGB":
            mains.append(one)
        if one.operator is None and not one.unfaithful:
            found.failures.append(f"{one.name} at {size[0]}x{size[1]}: {one.error}")
        tell(f"{entry.target.name} at {size[0]}x{size[1]}: {one.name}: {one.verdict}", found)
    left = entry.outputs[MOST_OUTPUTS:]
    if left:
        found.failures.append(
            f"{entry.way.name} at {size[0]}x{size[1]}: only {MOST_OUTPUTS} pictures of a result are "
            f"measured; name others by the output: {', '.join(left)}"
        )
    notes = (*entry.way.notes, *entry.target.notes)
    found.notes += [note for note in notes if note not in found.notes]
    return mains


def _decodings(
    found: Audited, mains: Sequence[Measurement], pictures: Sequence[npt.NDArray[np.uint8]], tell: Tell
) -> None:
    """Whether a way in that takes files scales while it decodes them."""
    for one in mains:
        if one.run.entry.way.raw is None or one.operator is None:
            continue
        tell(f"{found.target}: how it decodes JPEG files", found)
        scaled = decoding(one, pictures, attack=found.options.attack)
        if scaled is not None and not scaled.certain:
            found.notes.append(
                f"{one.name}: its JPEG decoder is not exact (rule SR110): what it makes of a coarse file lies "
                f"{scaled.difference:.1f} levels (RMS) from what it makes of the file's pixels"
            )
        elif scaled is not None:
            found.decodings.append(scaled)
            if scaled.reason:
                found.notes.append(f"{one.name}: it scales while it decodes JPEG files; {scaled.reason}")


def _examples(own: Sequence[Picture], size: Size) -> list[npt.NDArray[np.uint8]]:
    """Up to eight of the user's pictures, those of the very size first."""
    ordered = sorted(own, key=lambda picture: picture.size != size)
    return [picture.levels for picture in ordered[:8] if picture.levels is not None]


def _attack(found: Audited, images: Sequence[npt.NDArray[np.uint8]], tell: Tell) -> None:
    """An attack on the worst measurement, and on the next ones until one goes through."""
    measured = sorted((one for one in found.measured if one.operator is not None), key=lambda one: -_preference(one))
    for one in measured[:4]:
        tell(f"{found.target}: attacking its input {one.name}", found)
        try:
            made = attacked(
                one,
                images,
                seconds=found.options.attack_seconds,
                thorough=one.verdict != "robust",
                ladder=1 if one.verdict == "robust" else 4,
            )
        except Exception as error:  # of the pipeline: what it does with an attack image is its own
            found.notes.append(f"no attack on {one.name}: {type(error).__name__}: {error}")
            continue
        if made is not None:
            found.attacks.append((one, made))
            if made.success:
                break
        if one.verdict == "robust":
            break


def _mend(found: Audited, tell: Tell) -> None:
    """The guilty calls of the worst measurement, and the same measured with them mended."""
    bad = [one for one in found.measured if one.operator is not None and one.verdict != "robust"]
    if not bad:
        return
    worst, attack = next(
        ((one, made) for one, made in found.attacks if made.success), (max(bad, key=_preference), None)
    )
    tell(f"{found.target}: which call it is, and what mends it", found)
    try:
        found.fixed = mend(worst, attack)
    except Exception as error:  # of the pipeline, which is made once more
        found.notes.append(f"no call was found out: {type(error).__name__}: {error}")


def _preference(one: Measurement) -> float:
    """The stealth gain, with a little more for plain pictures."""
    return one.gain + (0.5 if one.run.mode == "RGB" else 0.0)
