"""The installed front ends, run in a process of their own: what one of them does to it, it does to itself alone."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..front_ends import FRONT_ENDS, View
from ..measure.scalers import load
from ..scan.crew import Crew, Failed, Lost
from ..scan.units import LIMITS

__all__ = ["run_all"]

_ORDER = ("torchvision", "tensorflow")  # the other way round the process ends
# Seconds of processor time that one front end may take, the import of its library among them.
SECONDS = 45.0


@dataclass(frozen=True)
class RunFrontEnd:
    """What the process does: the name of a row and a file's bytes in, its views out."""

    names: tuple[str, ...]

    def __call__(self, task: tuple[str, bytes]) -> list[View]:
        """The views of one front end."""
        row = FRONT_ENDS[task[0]]
        assert row.look is not None
        return row.look(task[1])

    def warm(self) -> None:
        """Load what has to be loaded in an order, where any of the rows needs it."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        warnings.simplefilter("ignore")
        for name in _ORDER if any(FRONT_ENDS[name].module == "keras_hub" for name in self.names) else ():
            with contextlib.suppress(ImportError):
                load(name)


def run_all(names: Sequence[str], data: bytes, *, memory: float) -> dict[str, list[View] | str]:
    """What each of the front ends ``names`` that are installed makes of a file; or why it made nothing of it, in words.

    One that ends its process, takes more than :data:`SECONDS` of processor time or ``memory`` bytes is left out, and
    the others are run.
    """
    installed = [name for name in names if FRONT_ENDS[name].installed]
    if not installed:
        return {}
    found: dict[str, list[View] | str] = {}
    limits = replace(LIMITS, seconds=SECONDS, memory=int(memory))
    with Crew(RunFrontEnd(tuple(installed)), 1, limits) as crew:
        for results in crew.results([(name, data)] for name in installed):
            for (name, _), views in results:
                found[name] = views.reason if isinstance(views, Lost | Failed) else views
    return found
