"""A pipeline measured: every way in which it takes a picture, every mode and size, each picture that it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.operator import ScalingOperator
from ...measure.blackbox import DTYPES, LAYOUTS, ProbeError, UnfaithfulError
from ...measure.exposure import Exposure, exposure
from ...measure.outputs import chosen, pictures
from ...measure.probe import probe
from ...measure.verify import natural_picture, pictures as test_pictures
from . import seeds as random_sources
from .inputs import MODES, Reader, Way, ways
from .lossless import lossless
from .target import Target, TargetError

__all__ = [
    "MOST_OUTPUTS",
    "Entry",
    "Measurement",
    "Run",
    "Unresized",
    "entries",
    "measured",
    "measurements",
    "refresh",
    "same_as",
]

FloatArray = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]
Size = tuple[int, int]

# Seeds of which the one that leaves most of a little noise is measured, and how many of the worst are.
_DRAWN, _MEASURED = 12, 3
# Levels by which what a pipeline makes of a picture in another mode may differ for the mode to count as the same.
_ALIKE = 1.5
# Pictures of one result that are measured each on its own.
MOST_OUTPUTS = 12


@dataclass(eq=False)
class Entry:
    """A way in that works, and the pictures that come out: their names."""

    target: Target
    way: Way
    layouts: tuple[str, ...]
    dtype: str
    outputs: tuple[str, ...]


@dataclass(eq=False)
class Run:
    """The real pipeline as a function of levels: one way in, one picture out, one mode, one seed (None: none)."""

    entry: Entry
    output: str
    mode: str = "RGB"
    seed: int | None = None
    layout: str = ""
    dtype: str = "uint8"
    generators: tuple[Any, ...] = ()

    def __call__(self, levels: Levels) -> FloatArray:
        """What the pipeline makes of levels (H, W, C); (h, w, C_out) in its own units."""
        if self.entry.layouts:
            layout = LAYOUTS[self.layout or self.entry.layouts[0]]
            if self.mode != "RGB":
                return self._picked(lambda: self.entry.way.show(levels, self.mode))
            image = levels if self.dtype == "uint8" else levels * np.asarray(DTYPES[self.dtype], self.dtype)
            return self.hand(layout.encode(image))
        return self._picked(lambda: self.entry.way.show(levels, self.mode))

    def hand(self, picture: Any) -> FloatArray:
        """What it makes of a picture that is ready to be handed over."""
        return self._picked(lambda: self.entry.way.hand(picture))

    def raw(self, data: bytes) -> FloatArray:
        """What it makes of an image file's bytes."""
        assert self.entry.way.raw is not None
        raw = self.entry.way.raw
        return self._picked(lambda: raw(data))

    def _picked(self, call: Callable[[], Any]) -> FloatArray:
        if self.seed is not None:
            random_sources.reseed(self.seed, self.generators)
        found = pictures(call())
        if self.output not in found:
            names = ", ".join(found) or "none"
            raise ValueError(f"the result has no picture {self.output!r} this time; it has: {names}")
        return found[self.output]

    @property
    def channels(self) -> int:
        """Of the levels that go in."""
        if self.entry.layouts and self.mode == "RGB":
            return LAYOUTS[self.layout or self.entry.layouts[0]].channels
        return MODES[self.mode]


@dataclass(eq=False)
class Measurement:
    """One way, mode, size, output and seed: the operator and its exposure, or why there are none.

    ``unfaithful``: the pipeline does something else with some pictures. ``estimate``: measured with every JPEG encoder
    inside of it made lossless. ``alike``: other modes that it treats the same; ``unmeasured``: modes, layouts and types
    that it takes and of which nothing is known, with the reasons.
    """

    run: Run
    in_size: Size
    out_size: Size
    operator: ScalingOperator | None = None
    exposure: Exposure | None = None
    error: str = ""
    unfaithful: bool = False
    estimate: bool = False
    alike: list[str] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)

    @property
    def gain(self) -> float:
        """The stealth gain in dB; -inf where nothing was measured."""
        return self.exposure.stealth_gain_db if self.exposure else -np.inf

    @property
    def verdict(self) -> str:
        """``robust``, ``weak``, ``vulnerable``, ``unfaithful`` or ``not measured``."""
        if self.exposure is None:
            return "unfaithful" if self.unfaithful else "not measured"
        return self.exposure.verdict

    @property
    def name(self) -> str:
        """In what way, in words."""
        known = self.operator.provenance if self.operator else None
        way, mode = self.run.entry.way.name, self.run.mode
        if self.run.entry.layouts and mode == "RGB":
            wrapper = way.rpartition(":")[0]
            how = f"{known.layout} {known.dtype}" if known else way.rpartition(":")[2]
            return f"{wrapper}:{how}" if wrapper else how
        return f"{way} {mode}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        figures = self.exposure.to_dict() if self.exposure else {"verdict": self.verdict}
        known = self.operator.provenance if self.operator else None
        return {
            "input": self.name,
            "mode": self.run.mode,
            "output": self.run.output,
            "seed": self.run.seed,
            "estimate": self.estimate,
            "alike": list(self.alike),
            "unmeasured": list(self.unmeasured),
            "error": self.error,
            **figures,
            "in_size": list(self.in_size),
            "out_size": list(self.out_size),
            "residual": self.operator.residual if self.operator else None,
            "notes": list(known.notes) if known else [],
        }


def refresh(run: Run) -> None:
    """Import and make the pipeline afresh: what it stored of libraries' functions, or traced of them, is gone."""
    target, raw = run.entry.target, run.entry.way.raw
    target.value = target.find()
    run.generators = random_sources.found_in(target.value)
    if isinstance(raw, Reader):
        raw.data = None


# Ways in.


class Unresized(TargetError):
    """A pipeline that takes pictures and changes nothing of them."""


def entries(target: Target, size: Size, folder: Path, named: tuple[str, ...], output: str | None) -> list[Entry]:
    """Every way in that works at ``size``; TargetError with what each said where none does."""
    refusals: dict[str, str] = {}
    unchanged = 0
    for group in ways(target, folder, named):
        found: list[Entry] = []
        for way in group:
            if way.layouts == () and any(one.way.name == way.name for one in found):
                continue
            try:
                entry = _entered(target, way, size, output)
            except Exception as error:  # whatever a stranger's code raises: the next way may be the one
                reason = f"{type(error).__name__}: {error}".split("\n")[0][:160]
                unchanged += isinstance(error, Unchanged)
                refusals.setdefault(way.name, reason)
            else:
                found.append(entry)
        if found:
            return _merged(found)
    reasons: dict[str, list[str]] = {}
    for name, reason in refusals.items():
        reasons.setdefault(reason, []).append(name)
    told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in list(reasons.items())[:12])
    if unchanged:
        raise Unresized(f"{target.name} gives pictures back as they came: there is no resize to audit ({told})")
    raise TargetError(f"{target.name} makes no picture of a picture of {size[0]}x{size[1]}: {told}")


def _entered(target: Target, way: Way, size: Size, output: str | None) -> Entry:
    """The entry, if the way works; raises where it does not."""
    rng = np.random.default_rng(0)
    picture = natural_picture(rng, size, 3)
    for layout in way.layouts or ("",):
        for dtype in DTYPES if layout and not layout.startswith("PIL") else ("uint8",):
            probe_entry = Entry(target, way, (layout,) if layout else (), dtype, ())
            try:
                names = _responding(probe_entry, picture, layout, dtype, output)
            except Exception as error:
                last = error
                continue
            return Entry(target, way, (layout,) if layout else (), dtype, names)
    raise last


def _responding(entry: Entry, picture: Levels, layout: str, dtype: str, output: str | None) -> tuple[str, ...]:
    """The pictures that follow the picture which goes in, and stay of one colour if that does."""

    def result(levels: Levels) -> dict[str, npt.NDArray[Any]]:
        random_sources.reseed(0)
        if not layout:
            return pictures(entry.way.show(levels))
        image = levels[..., : LAYOUTS[layout].channels]
        image = image if dtype == "uint8" else image * np.asarray(DTYPES[dtype], dtype)
        return pictures(entry.way.hand(LAYOUTS[layout].encode(image)))

    first, other = result(picture), result(255 - picture)
    if not first:
        raise ValueError("no picture in the result")
    names = [name for name in first if name in other and first[name].shape == other[name].shape]
    names = [name for name in names if not np.array_equal(first[name], other[name])]
    black, white = result(np.zeros_like(picture)), result(np.full_like(picture, 255))
    names = [name for name in names if name in black and name in white and _even(white[name], black[name])]
    # Axes taken for others show in one channel alone.
    for channel in range(3) if names else ():
        colour = np.zeros_like(picture)
        colour[..., channel] = 255
        one = result(colour)
        names = [name for name in names if name in one and _even(one[name], black[name], moves=False)]
    if not names:
        raise ValueError("no picture in the result that shows the one which goes in")
    names = [name for name in names if not _unchanged(first[name], picture, layout)]
    if not names:
        raise Unchanged("it is given back as it came, unresized")
    if output is not None:
        return tuple(chosen(names, output))
    return tuple(_distinct(names, [first, other]))


class Unchanged(ValueError):
    """A pipeline gives back the very picture that it was handed in this way."""


def _unchanged(output: FloatArray, picture: Levels, layout: str) -> bool:
    """Whether an output of the picture's size is the picture itself, up to a factor and an offset."""
    sent = picture.astype(np.float64)
    sent = sent[..., : LAYOUTS[layout].channels] if layout else sent
    if output.shape[:2] != sent.shape[:2] or output.shape[2] < 1:
        return False
    for channel in np.moveaxis(output, -1, 0):
        best = max(abs(float(np.corrcoef(channel.ravel(), one.ravel())[0, 1])) for one in np.moveaxis(sent, -1, 0))
        if not best > 1 - 1e-9:
            return False
    return True


def _even(white: FloatArray, black: FloatArray, *, moves: bool = True) -> bool:
    """Whether two constant pictures make outputs that differ by one amount, channel by channel, wherever they differ.

    ``moves``: whether they have to differ at all.
    """
    if white.shape != black.shape:
        return False
    change = np.abs(white - black)
    if not change.max() > 0:
        return not moves
    moved = [one[one > 0.02 * change.max()] for one in np.moveaxis(change, -1, 0)]
    return all(np.mean(np.abs(one - np.median(one)) <= 0.02 * one.max()) > 0.5 for one in moved if one.size)


def _distinct(names: Sequence[str], results: Sequence[dict[str, npt.NDArray[Any]]]) -> Iterator[str]:
    """Without those that only repeat another (the frames of a still video)."""
    kept: list[str] = []
    for name in names:
        if not any(all(np.array_equal(one[name], one[other]) for one in results) for other in kept):
            kept.append(name)
            yield name


def _merged(found: list[Entry]) -> list[Entry]:
    """Decoded pictures in all their layouts as one entry, whose layouts are all probed together."""
    objects = [one for one in found if one.layouts]
    # Where an axis of the picture is taken for its batch, there are more pictures than there should be.
    least = min((len(one.outputs) for one in objects), default=0)
    objects = [one for one in objects if len(one.outputs) == least]
    files = [one for one in found if not one.layouts]
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for one in objects:
        wrapper = one.way.name.rpartition(":")[0]
        groups.setdefault((wrapper, one.outputs), []).append(one)
    merged = []
    for (_, outputs), members in groups.items():
        layouts = tuple(layout for one in members for layout in one.layouts)
        best = next((one for one in members if one.way.content == "pil"), members[0])
        merged.append(Entry(best.target, best.way, layouts, best.dtype, outputs))
    return [*files, *merged]


# Measuring.


def measurements(
    entry: Entry,
    size: Size,
    *,
    out_size: Size | None,
    seed: int | None,
    images: Sequence[Levels] = (),
    modes: bool = True,
) -> Iterator[Measurement]:
    """All that there is to measure of an entry at one size, the plain picture first."""
    generators = random_sources.found_in(entry.target.value)
    for output in entry.outputs[:MOST_OUTPUTS]:
        run = Run(entry, output, dtype=entry.dtype, generators=generators)
        numbers = _seeds(run, size, seed)
        while numbers:
            number = numbers.pop(0)
            own = Run(entry, output, "RGB", number, "", entry.dtype, generators)
            main = measured(own, size, out_size, images)
            if number is None and "is not deterministic" in main.error:  # it draws too seldom to be seen drawing
                numbers = _seeds(run, size, 0)
                continue
            yield main
            if modes and main.operator is not None and number in (None, seed, 0):
                yield from _modes(main, size, images)


def _seeds(run: Run, size: Size, seed: int | None) -> list[int | None]:
    """``[None]`` for what is deterministic; else the seeds to measure, the worst by what they leave of noise."""
    if seed is None and not _random(run, size):
        return [None]
    first = 0 if seed is None else seed
    rng = np.random.default_rng(0)
    grey = np.clip(natural_picture(rng, size, run.channels), 40, 215)
    noise = rng.choice(np.array([-32, 32], np.int16), grey.shape)
    left: list[tuple[float, int]] = []
    shown: set[bytes] = set()
    for number in range(first, first + _DRAWN):
        own = Run(run.entry, run.output, run.mode, number, "", run.dtype, run.generators)
        try:
            more, less = own((grey + noise).astype(np.uint8)), own((grey - noise).astype(np.uint8))
            change = more - less
        except ValueError:
            continue
        shown.add(more.tobytes())
        moved = change[change != 0]
        left.append((float(np.mean(moved**2)) if moved.size else 0.0, number))
    if len(shown) == 1:
        return [first]  # what is drawn does not matter to the picture's scale
    worst = [number for _, number in sorted(left, reverse=True)[:_MEASURED]]
    return list(sorted({first, *worst} if seed is not None else worst))


def _random(run: Run, size: Size) -> bool:
    """Whether the pipeline draws random numbers, or makes two things of one picture."""
    picture = natural_picture(np.random.default_rng(1), size, run.channels)
    run(picture)  # what is set up at the first call may draw
    before = random_sources.states(run.generators)
    results = [run(picture) for _ in range(4)]
    drawn = any(a != b for a, b in zip(before, random_sources.states(run.generators), strict=False))
    return drawn or any(one.shape != results[0].shape or not np.array_equal(one, results[0]) for one in results)


def measured(run: Run, size: Size, out_size: Size | None, images: Sequence[Levels]) -> Measurement:
    """One measurement, by probing; as an estimate where the pipeline encodes JPEG."""
    try:
        shown = run(natural_picture(np.random.default_rng(0), size, run.channels)).shape[:2]
    except Exception as error:
        return Measurement(run, size, out_size or (0, 0), error=f"{type(error).__name__}: {error}")
    found = Measurement(run, size, (shown[0], shown[1]))
    if out_size is not None and found.out_size != out_size:
        found.error = f"it makes {shown[0]}x{shown[1]} of {size[0]}x{size[1]}, not {out_size[0]}x{out_size[1]}"
        return found
    with lossless(active=False) as encoders:
        _probe_into(found, images)
    if found.operator is None and encoders.used:
        with lossless():
            again = Measurement(run, size, found.out_size, estimate=True)
            _probe_into(again, images)
        if again.operator is not None or again.unfaithful:
            return again
    return found


def _probe_into(found: Measurement, images: Sequence[Levels]) -> None:
    run, sizes = found.run, (found.in_size, found.out_size)
    try:
        if run.entry.layouts and run.mode == "RGB":
            found.operator = _probed_objects(found, images)
            known = found.operator.provenance
            assert known is not None
            run.layout, run.dtype = known.layout, known.dtype
        else:
            layout: Any = "HWC" if run.channels == 3 else "HW"

            def call(levels: Levels) -> FloatArray:
                return run(levels if levels.ndim == 3 else levels[..., None])

            found.operator = probe(call, *sizes, dtype="uint8", layout=layout, images=images)
        found.exposure = exposure(found.operator)
    except UnfaithfulError as error:
        found.error, found.unfaithful = _plain(str(error), run), True
    except ProbeError as error:
        found.error = _plain(str(error), run)
    except Exception as error:
        found.error = f"{type(error).__name__}: {error}"


def _plain(text: str, run: Run) -> str:
    """An error without the names of the audit's own functions."""
    for inner in ("_probe_into", "_probed_objects"):
        text = text.replace(f"{__name__}:{inner}.<locals>.call", run.entry.target.name)
    return text


def _probed_objects(measurement: Measurement, images: Sequence[Levels]) -> ScalingOperator:
    """The worst operator of all layouts and dtypes that are taken; what cannot be measured is noted."""
    run, size, out_size = measurement.run, measurement.in_size, measurement.out_size

    def call(picture: Any) -> FloatArray:
        return run.hand(picture)

    found: list[ScalingOperator] = []
    first: ProbeError | None = None
    for layout in run.entry.layouts:
        if found and _layout_alike(run, found[0], layout):
            continue
        try:
            found.append(probe(call, size, out_size, dtype="auto", layout=layout, images=images))  # type: ignore[arg-type]
        except UnfaithfulError:
            raise
        except ProbeError as error:
            first = first or error
            measurement.unmeasured.append(f"{layout}: {_plain(str(error), run)[:200]}")
    if not found:
        assert first is not None
        raise first
    for one in found:
        assert one.provenance is not None
        measurement.unmeasured += [_plain(text, run)[:200] for text in one.provenance.unmeasured]
    return max(found, key=lambda one: exposure(one).stealth_gain_db)


def _layout_alike(run: Run, operator: ScalingOperator, layout: str) -> bool:
    """Whether in ``layout``, in every dtype that is taken, the same becomes of pictures as in the operator's own."""
    known = operator.provenance
    assert known is not None
    first = replace(run, layout=known.layout, dtype=known.dtype)
    channels = LAYOUTS[layout].channels
    if LAYOUTS[known.layout].channels != channels:
        return False
    images = [image for _, image in test_pictures([operator], channels, (), 0)]
    expected = _shares(first, images)
    if expected is None:
        return False
    seen = [_shares(replace(run, layout=layout, dtype=dtype), images) for dtype in DTYPES]
    taken = [one for one in seen if one is not None]
    limit = _ALIKE / 255
    return bool(taken) and all(
        one.shape == expected.shape and bool(np.abs(one - expected).max() <= limit) for one in taken
    )


def _shares(run: Run, images: Sequence[Levels]) -> FloatArray | None:
    """What the pipeline makes of pictures, as shares of the way from black to white; None where it refuses them."""
    try:
        black, white = (run(np.full_like(images[0], level)) for level in (0, 255))
        span = np.where(white == black, np.inf, white - black)
        return np.stack([(run(image) - black) / span for image in images])
    except Exception:
        return None


def _modes(main: Measurement, size: Size, images: Sequence[Levels]) -> Iterator[Measurement]:
    """The other modes that the way takes: those that are treated as RGB is are named, the others measured."""
    run = main.run
    for mode in run.entry.way.modes:
        if mode == "RGB":
            continue
        own = Run(run.entry, run.output, mode, run.seed, "", "uint8", run.generators)
        try:
            own(natural_picture(np.random.default_rng(0), size, MODES[mode]))
        except Exception:
            continue  # it does not take the mode
        if _alike(own, main):
            main.alike.append(mode)
            continue
        other = measured(own, size, None, images if MODES[mode] == 3 else ())
        if other.operator is not None or other.unfaithful:
            yield other
        else:
            main.unmeasured.append(f"{mode}: {other.error[:200]}")


def _alike(own: Run, main: Measurement) -> bool:
    """Whether the pipeline makes of pictures in another mode what it makes of the same pictures in RGB."""
    assert main.operator is not None
    channels = MODES[own.mode]
    rgb = replace(main.run, mode="RGB")
    if rgb.channels != 3 or (main.run.entry.layouts and not (rgb.layout or rgb.entry.layouts[0]).startswith("PIL")):
        return False
    known = main.operator.provenance
    assert known is not None
    unit = float(np.abs(known.mix).sum(axis=1).max())
    for _, image in test_pictures([main.operator], channels, (), 0):
        try:
            one = own(image)
            other = rgb(np.repeat(image, 3, axis=2) if channels == 1 else image)
        except Exception:
            return False
        if one.shape[2] != other.shape[2]:  # a grey or transparent picture stays one
            least = min(one.shape[2], other.shape[2])
            one, other = one[..., :least], other[..., :least]
        if one.shape != other.shape or np.abs(one - other).max() > _ALIKE * unit:
            return False
    return True


def same_as(entry: Entry, main: Measurement) -> bool:
    """Whether another way in makes of pictures what the way measured in ``main`` makes of them, in every mode."""
    if entry.outputs != main.run.entry.outputs or main.operator is None or main.operator.provenance is None:
        return False
    run = main.run
    other = Run(entry, run.output, "RGB", run.seed, "", entry.dtype, run.generators)
    if other.channels != 3 or run.channels != 3:
        return False
    unit = float(np.abs(main.operator.provenance.mix).sum(axis=1).max())
    try:
        for _, image in test_pictures([main.operator], 3, (), 0):
            one, two = other(image), run(image)
            if one.shape != two.shape or np.abs(one - two).max() > _ALIKE * unit:
                return False
        modes = set(entry.way.modes) & set(run.entry.way.modes) - {"RGB"}
        if set(entry.way.modes) - set(run.entry.way.modes):
            return False
        return all(_same_mode(replace(other, mode=mode), replace(run, mode=mode), mode, unit) for mode in modes)
    except ValueError:
        return False


def _result(run: Run, image: Levels) -> FloatArray | None:
    try:
        return run(image)
    except Exception:
        return None


def _same_mode(other: Run, run: Run, mode: str, unit: float) -> bool:
    image = natural_picture(np.random.default_rng(3), (97, 131), MODES[mode])
    first, second = _result(other, image), _result(run, image)
    if first is None or second is None:
        return first is None and second is None
    return first.shape == second.shape and bool(np.abs(first - second).max() <= _ALIKE * unit)
