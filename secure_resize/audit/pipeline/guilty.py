"""The guilty call among several: which down-scalings one picture meets on its way through the pipeline, by trace."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...measure.verify import natural_picture
from ..trace import trace
from .measure import Measurement, refresh

__all__ = ["Guilty", "guilty"]

_OWN = str(Path(__file__).parent)
_CALLS = 2


@dataclass(frozen=True)
class Guilty:
    """One call that samples: ``call`` as its library names it, ``path`` and ``line`` of the user's own code (None where
    the pipeline is a library's object and no code of the user's makes the call), the rule's ``code`` and the advice.
    ``through``: the library's own frames on the way.
    """

    code: str
    call: str
    flags: str
    through: tuple[str, ...]
    path: str | None
    line: int | None
    gain_db: float | None
    message: str
    advice: str

    def related(self) -> dict[str, Any]:
        """As a finding's evidence holds a related place."""
        gain = f": {self.gain_db:.1f} dB" if self.gain_db is not None else ""
        through = f" through {self.through[0]}" if self.through else ""
        return {"path": self.path, "line": self.line, "message": f"{self.call} ({self.flags}){through}{gain}"}


def guilty(found: Measurement) -> list[Guilty]:
    """The calls that sample on the way of a picture through the measured pipeline, the worst first.

    The pipeline is imported and made afresh meanwhile, so that functions that it stores are seen as well.
    """
    run = found.run
    picture = natural_picture(np.random.default_rng(5), found.in_size, 3)
    # A library may scale a tensor by another function than a picture.
    layouts = run.entry.layouts if run.mode == "RGB" and run.entry.layouts else ("",)
    traced = trace(children=False)
    with traced:
        refresh(run)
        for layout in layouts * _CALLS:
            one = replace(run, layout=layout) if layout else run
            with contextlib.suppress(ValueError, TypeError):
                one(picture[..., : one.channels])
    refresh(run)
    report = traced.report(probing=10.0)
    calls = [_guilty(one) for one in report.findings]
    return sorted(calls, key=lambda one: -(one.gain_db if one.gain_db is not None else -np.inf))


def _guilty(finding: Any) -> Guilty:
    evidence, place = finding.evidence, finding.place
    own = os.path.abspath(place.path).startswith(_OWN) or place.line is None
    return Guilty(
        finding.code,
        str(evidence.get("call", "")),
        str(evidence.get("flags", "")),
        tuple(str(one) for one in evidence.get("through", ())),
        None if own else place.path,
        None if own else place.line,
        evidence.get("stealth_gain_db"),
        finding.message,
        finding.advice,
    )
