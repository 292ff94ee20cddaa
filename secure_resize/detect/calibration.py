"""How often clean pictures score as high: thresholds and p-values, by detector, kind of scaler and ratio.

A table holds, for each cell (kind of scaler, bin of ratios) and detector, the scores that a half, a tenth, ... of clean
pictures exceed. Between them p-values are interpolated, log against log. Beyond the last they follow a power law, whose
exponent is the smallest that the largest scores of any family of pictures allow: an estimate, on the safe side.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import SCALERS, load
from .detectors import DETECTORS
from .targets import Target, as_targets
from .views import View, as_picture

__all__ = ["LEVELS", "RATIOS", "Calibration", "calibrate", "cell_of", "fit", "interval", "shipped"]

# The shares of clean pictures whose scores a table holds.
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
# Bins of ratios, each from the number to the next.
RATIOS = (1.5, 2.2, 2.8, 3.6, 5.0, 7.0, 10.0)
# Pictures that a cell needs, and exceedances by which a tail is fitted.
FEWEST, TAIL = 40, 40
# No tail is taken to fall faster than this power of the score, nor slower.
STEEPEST, SLOWEST = 6.0, 0.5


def kind_of(scaler: str) -> str:
    """What the scaler's filter is: nearest, linear, cubic or wide."""
    row = SCALERS[scaler]
    if row.sampling is not None:
        return {0: "nearest", 1: "linear"}.get(row.sampling.support, "cubic")
    for kind in ("nearest", "linear", "cubic"):
        if kind in row.algorithm:
            return kind
    return "wide"


def cell_of(target: Target, in_size: Sequence[int]) -> str:
    """The cell of a target and a picture of ``in_size``: ``"linear 3.6"``."""
    ratio = math.sqrt(in_size[0] * in_size[1] / (target.size[0] * target.size[1]))
    return f"{kind_of(target.scaler)} {max((low for low in RATIOS if low <= ratio), default=RATIOS[0])}"


@dataclass(frozen=True)
class Calibration:
    """``cells``: by cell and detector, the scores that the shares ``LEVELS`` of clean pictures exceed, rising;
    ``tails``: by detector, the exponent beyond them; ``pictures``: by cell, how many there were. ``source`` says what
    they were.

    >>> calibration = shipped()
    >>> calibration.p_value("phase5", Target("opencv:linear", (224, 224)), (896, 896), 1e9) < 1e-4
    True
    """

    cells: Mapping[str, Mapping[str, Sequence[float]]]
    tails: Mapping[str, float]
    pictures: Mapping[str, int]
    source: str = ""

    def detectors(self, target: Target, in_size: Sequence[int]) -> Sequence[str]:
        """The names of those that are calibrated for the target, and decide."""
        return [name for name in self._cell(target, in_size) if name in DETECTORS and DETECTORS[name].decides]

    def _cell(self, target: Target, in_size: Sequence[int]) -> Mapping[str, Sequence[float]]:
        wanted = cell_of(target, in_size)
        if wanted in self.cells:
            return self.cells[wanted]
        kind, _, ratio = wanted.partition(" ")
        near = [name for name in self.cells if name.partition(" ")[0] == kind]
        if not near:
            raise ValueError(f"not calibrated for {target}, {wanted!r}; calibrated: {', '.join(sorted(self.cells))}")
        return self.cells[min(near, key=lambda name: abs(math.log(float(name.partition(" ")[2]) / float(ratio))))]

    def p_value(self, detector: str, target: Target, in_size: Sequence[int], score: float) -> float:
        """The share of clean pictures that score at least ``score``; an estimate beyond the calibrated ones."""
        scores = np.log(np.maximum(self._cell(target, in_size)[detector], 1e-12))
        at = math.log(max(score, 1e-12))
        if at <= scores[0]:
            return 1.0
        if at >= scores[-1]:
            return float(LEVELS[-1] * math.exp(-self.tails[detector] * (at - scores[-1])))
        return float(np.exp(np.interp(at, scores, np.log(LEVELS))))

    def threshold(self, detector: str, target: Target, in_size: Sequence[int], p_value: float) -> float:
        """The score that the share ``p_value`` of clean pictures reaches."""
        scores = np.log(np.maximum(self._cell(target, in_size)[detector], 1e-12))
        if p_value <= LEVELS[-1]:
            return float(math.exp(scores[-1] + math.log(LEVELS[-1] / max(p_value, 1e-300)) / self.tails[detector]))
        return float(np.exp(np.interp(-math.log(p_value), -np.log(LEVELS), scores)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON."""
        table = {
            "source": self.source,
            "levels": LEVELS,
            "pictures": dict(sorted(self.pictures.items())),
            "tails": {name: float(f"{tail:.3g}") for name, tail in self.tails.items()},
            "cells": {
                cell: {name: [float(f"{x:.4g}") for x in scores] for name, scores in rows.items()}
                for cell, rows in sorted(self.cells.items())
            },
        }
        Path(path).write_text(json.dumps(table, indent=0) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """A saved table; ValueError for a file that holds none."""
        return _parsed(Path(path).read_text(), os.fspath(path))


def _parsed(text: str, name: str) -> Calibration:
    try:
        table = json.loads(text)
        cells = {cell: {k: [float(x) for x in v] for k, v in rows.items()} for cell, rows in table["cells"].items()}
        found = Calibration(cells, dict(table["tails"]), dict(table["pictures"]), str(table["source"]))
        rows = [(k, v) for one in cells.values() for k, v in one.items()]
        good = all(len(v) == len(LEVELS) and sorted(v) == v and found.tails[k] > 0 for k, v in rows)
        if table["levels"] != list(LEVELS) or not rows or not good:
            raise ValueError("its levels or scores do not fit")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{name} holds no calibration of this version: {error}; make one with calibrate()") from None
    return found


@lru_cache(maxsize=1)
def shipped() -> Calibration:
    """The table that comes with the package."""
    path = resources.files(__package__).joinpath("calibration.json")
    return _parsed(path.read_text(), "calibration.json")


def interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a rate of which ``count`` of ``total`` were seen; needs scipy."""
    beta = load("scipy.stats").beta
    rest = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(beta.ppf(rest, count, total - count + 1))
    high = 1.0 if count == total else float(beta.ppf(1 - rest, count + 1, total - count))
    return low, high


def calibrate(images: Iterable[Any], targets: Iterable[Target], *, source: str = "") -> Calibration:
    """A calibration on pictures that are known to be clean: yours, where they differ from photographs.

    >>> calibration = calibrate(pictures, [Target("opencv:linear", (224, 224))])  # doctest: +SKIP

    ``images``: uint8 (H, W) or (H, W, C). ValueError where a cell gets fewer than 40 of them: p-values below one by
    their number are estimates by the tail.
    """
    chosen = as_targets(targets)
    scores: dict[str, dict[str, list[float]]] = {}
    for image in images:
        picture = as_picture(image)
        for target in chosen:
            rows = scores.setdefault(cell_of(target, picture.shape[:2]), {})
            for name, score in measured(View(picture, target)).items():
                rows.setdefault(name, []).append(score)
    return fit(scores, source)


def measured(view: View) -> dict[str, float]:
    """The scores of the rows that decide."""
    least = min(view.target.size)
    return {name: row.measure(view).score for name, row in DETECTORS.items() if row.decides and least >= row.smallest}


def fit(scores: Mapping[str, Mapping[str, Sequence[float]]], source: str = "") -> Calibration:
    """The table of scores of clean pictures, by cell and detector."""
    cells: dict[str, dict[str, list[float]]] = {}
    excess: dict[str, list[float]] = {}
    for cell, rows in scores.items():
        for name, values in rows.items():
            if len(values) < FEWEST:
                raise ValueError(f"{len(values)} pictures for {cell!r}, at least {FEWEST} are needed")
            ordered = np.sort(np.maximum(np.asarray(values, np.float64), 1e-9))
            quantiles = _conservative(ordered)
            cells.setdefault(cell, {})[name] = quantiles
            tail = ordered[-max(5, min(TAIL, len(ordered) // 20)) :]
            excess.setdefault(name, []).extend(np.log(tail[1:] / tail[0]))
    if not cells:
        raise ValueError("no pictures to calibrate on")
    tails = {}
    for name, above in excess.items():
        # Hill's estimate, less two standard errors.
        hill = 1 / max(float(np.mean(above)), 1e-9)
        tails[name] = float(np.clip(hill * (1 - 2 / math.sqrt(len(above))), SLOWEST, STEEPEST))
    counts = {cell: min(len(values) for values in rows.values()) for cell, rows in scores.items()}
    return Calibration(cells, tails, counts, source)


def _conservative(ordered: npt.NDArray[np.float64]) -> list[float]:
    """For each level a score that clean pictures exceed no more often: the next one above the sample's own."""
    n = len(ordered)
    places = [min(n - 1, math.ceil((1 - level) * n)) for level in LEVELS]
    return [float(x) for x in ordered[places]]
