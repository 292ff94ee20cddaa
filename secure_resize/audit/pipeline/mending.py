"""The guilty calls of a pipeline, and the pipeline measured and attacked once more with them mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .attack import Attack, Figures, against, levels_of, through
from .fix import MENDS, Replacement, mended, replacement
from .guilty import Guilty, guilty
from .measure import Measurement, measured, refresh

__all__ = ["Mended", "mend"]

_MOST = 3  # guilty calls that are named


@dataclass(frozen=True, eq=False)
class Mended:
    """``calls`` are the guilty ones, the worst first, ``replacements`` what to write in the user's own lines.

    ``again`` is the worst measurement with the calls mended, None where nothing here mends them; ``figures`` and
    ``seen`` are the attack image's output then.
    """

    calls: tuple[Guilty, ...]
    replacements: tuple[Replacement, ...]
    again: Measurement | None = None
    figures: Figures | None = None
    seen: npt.NDArray[np.uint8] | None = None

    @property
    def works(self) -> bool:
        """Whether the pipeline is robust with the calls mended."""
        return self.again is not None and self.again.verdict == "robust"

    @property
    def advice(self) -> str:
        """What to write, in words."""
        if not self.calls:
            return ""
        call = self.calls[0]
        row = MENDS.get(call.call)
        if self.replacements:
            one = self.replacements[0]
            text = f"{one.path}:{one.line}: write {one.new}"
        elif row is not None and self.works:
            via = f" in {call.through[0]}" if call.through else ""
            text = f"{call.call}{via}: {row.words}"
        else:
            return f"{call.call}: {call.advice}"
        if self.again is not None and self.again.exposure is not None:
            text += f"; measured with it: {self.again.verdict}, {self.again.gain:z.2f} dB"
        return text

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "verdict": self.again.verdict if self.again else None,
            "advice": self.advice,
            "guilty": [call.related() for call in self.calls],
            "replacements": [one.to_dict() for one in self.replacements],
            "measured": self.again.to_dict() if self.again else None,
            "attack": self.figures.to_dict() if self.figures else None,
        }


def mend(found: Measurement, attack: Attack | None) -> Mended:
    """What samples in the measured pipeline, and the same measurement with it mended."""
    calls = guilty(found)[:_MOST]
    written = [one for one in map(replacement, calls) if one is not None]
    if not any(call.call in MENDS for call in calls):
        return Mended(tuple(calls), tuple(written))
    with mended([call.call for call in calls]):
        again, figures, seen = _again(found, attack)
    refresh(found.run)
    works = again.verdict == "robust"
    return Mended(tuple(calls), tuple(written) if works else (), again, figures, seen)


def _again(
    found: Measurement, attack: Attack | None
) -> tuple[Measurement, Figures | None, npt.NDArray[np.uint8] | None]:
    run = replace(found.run)
    refresh(run)
    again = measured(run, found.in_size, None, ())
    if attack is None or again.operator is None:
        return again, None, None
    back = levels_of(again.operator)
    if again.out_size != found.out_size:
        return again, None, None
    image = attack.image
    seen, clean = through(run, back, image), through(run, back, attack.source)
    if seen.shape != attack.target.shape:
        return again, None, None
    return again, against(seen, clean, attack.target, back.moved), seen


def related(calls: Sequence[Guilty]) -> list[dict[str, Any]]:
    """The guilty calls that stand in somebody's file."""
    return [call.related() for call in calls if call.path is not None]
