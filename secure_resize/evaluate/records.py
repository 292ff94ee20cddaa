"""What an evaluation writes down: a record for each attack image and defense, a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Distance", "Made", "Record", "Seen", "Verdict", "read_records"]

Size = tuple[int, int]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Made:
    """Of the attack image itself, whatever it is run through."""

    epsilon: float
    iterations: int
    feasible: bool
    ssim_source: float | None  # None without scikit-image


@dataclass(frozen=True)
class Distance:
    """How far the pair's target lies from what the defense makes of the source, before any attack.

    PSNRs in dB, of RGB and of luma. ``needs_hiding`` and ``near`` as in :mod:`.verdicts`.
    """

    psnr_before: float
    psnr_before_luma: float
    needs_hiding: bool
    near: bool


@dataclass(frozen=True)
class Verdict:
    """What came of an attack image under a defense; see :mod:`.verdicts` for the definitions.

    ``psnr_source`` of attack image and source, ``psnr_target`` of output and target, ``psnr_clean`` of output and clean
    output, in dB; ``share`` of the target that the output shows. ``gain_db`` to ``certified_db`` are None where the
    defense is not linear: its stealth gain, the PSNR to the source that this output allows at most, and the one that
    any attack on the pair which reaches O1 can have at most; ``is_estimate`` where these follow from a probe.
    """

    psnr_source: float
    psnr_target: float
    psnr_clean: float
    psnr_source_luma: float
    psnr_target_luma: float
    share: float
    ssim_target: float | None
    reached: bool  # O1
    hidden: bool  # O2
    success: bool  # S1, both
    local_levels: float
    local_success: bool
    gain_db: float | None
    bound_db: float | None
    certified_db: float | None
    certified: bool
    broken_certificate: bool
    is_estimate: bool


@dataclass(frozen=True)
class Seen:
    """Which picture the classifier sees: ``"target"``, the pair's; ``"source"``, likewise; or ``"other"``."""

    seen_as: str  # the attack image's output
    clean_seen_as: str  # the source's
    target_seen_as: str  # the target itself


@dataclass(frozen=True)
class Record:
    """One attack image under one defense.

    ``knows``: the defense that the attack was made for, ``""`` for none; ``told_key``: whether it was also told the
    defense's secret. ``error``: why there is no attack image, ``""`` if there is one. ``made`` and ``verdict`` are None
    without an image, ``seen`` without a classifier.
    """

    pair: int
    source: str
    target: str
    ratio: str
    in_size: Size
    out_size: Size
    scaler: str
    version: str
    attack: str
    knows: str
    told_key: bool
    budget: float | None
    defense: str
    error: str
    distance: Distance
    made: Made | None = None
    verdict: Verdict | None = None
    seen: Seen | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What no other record of a run has."""
        return self.pair, self.scaler, self.attack, self.knows, self.told_key, self.budget, self.defense

    def line(self) -> str:
        """As one line of JSON, all figures side by side."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _PARTS:
                found |= asdict(value) if value is not None else {}
            else:
                found[field.name] = value
        return json.dumps(found, allow_nan=False) + "\n"

    @classmethod
    def of_line(cls, line: str) -> Record:
        """The record that :meth:`line` wrote; ValueError where it is none."""
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, got {type(found).__name__}")
        own: dict[str, Any] = {field.name: found.get(field.name) for field in fields(cls) if field.name not in _PARTS}
        missing = [name for name in own if name not in found]
        parts: dict[str, Any] = {name: _part(kind, found) for name, kind in _PARTS.items()}
        if missing or parts["distance"] is None:
            raise ValueError(f"it lacks {', '.join(missing or ['psnr_before'])}")
        own |= {"in_size": tuple(found["in_size"]), "out_size": tuple(found["out_size"])}
        return cls(**own, **parts)


_PARTS: dict[str, type] = {"distance": Distance, "made": Made, "verdict": Verdict, "seen": Seen}


def _part(kind: type[Part], found: dict[str, Any]) -> Part | None:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: found[name] for name in names}) if all(name in found for name in names) else None


def read_records(path: Path) -> list[Record]:
    """The records of a ``records.jsonl``, without a last line that was cut short; ValueError naming a broken line."""
    return list(_read(path)) if path.exists() else []


def _read(path: Path) -> Iterator[Record]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line feed is not a whole line
        try:
            yield Record.of_line(line.decode("ascii"))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number} is no record: {error}") from None
