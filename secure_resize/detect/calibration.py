"""How often clean pictures score as high: thresholds and p-values, by detector, kind of scaler and ratio.

A table holds, for each cell (kind of scaler, bin of ratios) and detector, the scores that a half, a tenth, ... of clean
pictures exceed. Between them p-values are interpolated, log against log. Rarer scores are held as multiples of the
cell's last, for all cells together. Beyond those, p-values follow a power law whose exponent is two standard errors
less steep than that of the largest scores (Hill, Ann. Stat. 3(5), 1975): an estimate.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..measure.scalers import SCALERS, load
from .detectors import DETECTORS, Detector, Measured
from .targets import Target, as_targets
from .views import View, as_picture

__all__ = [
    "LEVELS",
    "RARE",
    "RATIOS",
    "Calibration",
    "Sample",
    "applies",
    "calibrate",
    "cell_of",
    "findings",
    "fit",
    "interval",
    "shipped",
]

FloatArray = npt.NDArray[np.float64]

# The shares of clean pictures whose scores a table holds for each cell; and the smaller ones for which it holds by how
# much they exceed their cell's last, which all cells share: no single one has enough pictures.
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.02)
RARE = (0.01, 0.005, 0.002, 0.001, 0.0005)
# Bins of ratios, each from the number to the next.
RATIOS = (1.5, 2.2, 2.8, 3.6, 5.0, 7.0, 10.0)
# Pictures that a cell needs, exceedances that a rare score needs, and those by which a tail is fitted.
FEWEST, SEEN, TAIL = 40, 4, 60
# Pictures that a calibration has not seen score higher than those it was made of: of 1000 drawn ones with other seeds,
# several times as many reached a threshold. p-values are multiplied by this.
UNSEEN = 3.0
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
    ``rare``: by detector, the multiples of a cell's last that the shares ``RARE`` do, where there were enough pictures;
    ``tails``: by detector, the exponent beyond those; ``pictures``: by cell, how many there were, and ``outputs`` how
    many pixels their outputs had. ``source`` says what they were. The worst of more windows is worse: p-values of rows
    that look for it are multiplied by how many times as many outputs a target has.

    >>> calibration = shipped()
    >>> calibration.p_value("phase5", Target("opencv:linear", (224, 224)), (896, 896), 1e9) < 1e-4
    True
    """

    cells: Mapping[str, Mapping[str, Sequence[float]]]
    rare: Mapping[str, Sequence[float]]
    tails: Mapping[str, float]
    pictures: Mapping[str, int]
    outputs: Mapping[str, float]
    source: str = ""

    def detectors(self, target: Target, in_size: Sequence[int]) -> Sequence[str]:
        """The names of those that are calibrated for the target, and decide."""
        rows = self.cells[self._cell(target, in_size)]
        return [name for name in rows if name in DETECTORS and DETECTORS[name].decides]

    def _cell(self, target: Target, in_size: Sequence[int]) -> str:
        """The name of the cell: the target's own, or that of its kind whose ratios lie nearest."""
        wanted = cell_of(target, in_size)
        if wanted in self.cells:
            return wanted
        kind, _, ratio = wanted.partition(" ")
        near = [name for name in self.cells if name.partition(" ")[0] == kind]
        if not near:
            raise ValueError(f"not calibrated for {target}, {wanted!r}; calibrated: {', '.join(sorted(self.cells))}")
        return min(near, key=lambda name: abs(math.log(float(name.partition(" ")[2]) / float(ratio))))

    def _curve(self, detector: str, target: Target, in_size: Sequence[int]) -> tuple[FloatArray, FloatArray, float]:
        """Logarithms of scores and of their p-values, and by how much the windows outnumber the calibrated ones."""
        cell = self._cell(target, in_size)
        common = np.maximum(self.cells[cell][detector], 1e-12)
        scores = np.concatenate([common, common[-1] * np.asarray(self.rare[detector])])
        levels = (*LEVELS, *RARE)[: len(scores)]
        more = 1.0 if DETECTORS[detector].whole else target.size[0] * target.size[1] / self.outputs[cell]
        return np.log(scores), np.log(levels), UNSEEN * max(1.0, more)

    def p_value(self, detector: str, target: Target, in_size: Sequence[int], score: float) -> float:
        """The share of clean pictures that score at least ``score``; an estimate beyond the calibrated ones."""
        scores, levels, more = self._curve(detector, target, in_size)
        at = math.log(max(score, 1e-12))
        if at <= scores[0]:
            return 1.0
        beyond = max(0.0, at - float(scores[-1])) * self.tails[detector]
        return min(1.0, more * math.exp(float(np.interp(at, scores, levels)) - beyond))

    def threshold(self, detector: str, target: Target, in_size: Sequence[int], p_value: float) -> float:
        """The score that the share ``p_value`` of clean pictures reaches."""
        scores, levels, more = self._curve(detector, target, in_size)
        at = math.log(max(p_value / more, 1e-300))
        beyond = max(0.0, float(levels[-1]) - at) / self.tails[detector]
        return math.exp(float(np.interp(-at, -levels, scores)) + beyond)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON."""
        table = {
            "source": self.source,
            "levels": [LEVELS, RARE],
            "pictures": dict(sorted(self.pictures.items())),
            "outputs": {cell: round(count, 1) for cell, count in sorted(self.outputs.items())},
            "tails": {name: float(f"{tail:.3g}") for name, tail in self.tails.items()},
            "rare": {name: [float(f"{x:.4g}") for x in multiples] for name, multiples in self.rare.items()},
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
        outputs = {cell: float(table["outputs"][cell]) for cell in cells}
        rare = {name: [float(x) for x in multiples] for name, multiples in table["rare"].items()}
        found = Calibration(cells, rare, dict(table["tails"]), dict(table["pictures"]), outputs, str(table["source"]))
        rows = [(k, v) for one in cells.values() for k, v in one.items()]
        good = all(len(v) == len(LEVELS) and sorted(v) == v and found.tails[k] > 0 for k, v in rows)
        good = good and all(sorted([1.0, *rare[k]]) == [1.0, *rare[k]] for k, _ in rows)
        if table["levels"] != [list(LEVELS), list(RARE)] or not rows or not good:
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

    ``images``: uint8 (H, W) or (H, W, C). A scaler and bin of ratios that gets fewer than 40 of them is left out, and
    judged by the nearest ratio; ValueError where none gets as many. p-values below one by their number are estimates.
    """
    chosen = as_targets(targets)
    sample = Sample()
    for image in images:
        picture = as_picture(image)
        for target in chosen:
            sample.add(View(picture, target))
    return fit(sample, source)


@dataclass
class Sample:
    """Scores of clean pictures, by cell and detector, and the numbers of their outputs by cell."""

    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    outputs: dict[str, list[int]] = field(default_factory=dict)

    def add(self, view: View) -> None:
        """Measure a picture that is known to be clean."""
        cell = cell_of(view.target, view.source.shape[:2])
        rows = self.scores.setdefault(cell, {})
        for name, one in findings(view, DETECTORS).items():
            rows.setdefault(name, []).append(one.score)
        self.outputs.setdefault(cell, []).append(view.target.size[0] * view.target.size[1])


def applies(row: Detector, view: View) -> bool:
    """Whether a row decides by calibration, and the target's outputs are enough for it."""
    return row.decides and row.fixed is None and min(view.target.size) >= row.smallest


def findings(view: View, names: Iterable[str]) -> dict[str, Measured]:
    """What the rows of ``names`` that decide by calibration find, where they have anything to say."""
    found = {}
    for row in (DETECTORS[name] for name in names):
        one = row.measure(view) if applies(row, view) else None
        if one is not None:
            found[row.name] = one
    return found


def fit(sample: Sample, source: str = "") -> Calibration:
    """The table of a sample; ValueError where no cell has enough pictures."""
    scores = sample.scores
    cells: dict[str, dict[str, list[float]]] = {}
    excess: dict[str, list[FloatArray]] = {}
    for cell, rows in scores.items():
        for name, values in rows.items():
            if len(values) < FEWEST:
                continue
            ordered = np.sort(np.maximum(np.asarray(values, np.float64), 1e-9))
            cells.setdefault(cell, {})[name] = [_exceeded(ordered, level) for level in LEVELS]
            excess.setdefault(name, []).append(ordered / cells[cell][name][-1])
    if not cells:
        most = max((len(values) for rows in scores.values() for values in rows.values()), default=0)
        raise ValueError(f"at least {FEWEST} pictures are needed of a scaler and a ratio, got {most}")
    tails, rare = {}, {}
    for name, parts in excess.items():
        multiples = np.sort(np.concatenate(parts))
        enough = [level for level in RARE if level * len(multiples) >= SEEN]
        rare[name] = [max(1.0, _exceeded(multiples, level)) for level in enough]
        tail = np.log(multiples[-max(SEEN, min(TAIL, len(multiples) // 20)) :])
        steepness = 1 / max(float((tail[1:] - tail[0]).mean()), 1e-9)
        tails[name] = float(np.clip(steepness * (1 - 2 / math.sqrt(len(tail) - 1)), SLOWEST, STEEPEST))
    counts = {cell: min(len(scores[cell][name]) for name in rows) for cell, rows in cells.items()}
    outputs = {cell: float(np.median(sample.outputs[cell])) for cell in cells}
    return Calibration(cells, rare, tails, counts, outputs, source)


def _exceeded(ordered: FloatArray, level: float) -> float:
    """A score that no more than ``level`` of the sample exceeds."""
    return float(ordered[min(len(ordered) - 1, math.ceil((1 - level) * len(ordered)))])
