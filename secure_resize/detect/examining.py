"""One picture against the scalers and sizes that an attack may aim at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..attacks.craft import known_operator
from ..measure.blackbox import TooLargeToProbe
from ..measure.exposure import exposure
from ..measure.probe import ProbeError
from ..measure.scalers import SCALERS
from .calibration import Calibration, applies, shipped
from .detectors import DETECTORS, Measured
from .fields import Box
from .file import examine_file
from .targets import Image, Suspicion, Target, as_targets
from .views import View, as_picture

__all__ = ["RATE", "examine"]

# The share of clean pictures that are found suspicious of any of the targets, at most.
RATE = 0.001


def examine(
    image: Image,
    targets: Iterable[Target],
    *,
    calibration: Calibration | None = None,
    file: bytes | None = None,
    rate: float = RATE,
    tried: int | None = None,
) -> list[Suspicion]:
    """Is what a scaler makes of ``image`` another picture than the one that a person sees?

    >>> import numpy as np
    >>> flat = np.full((448, 448, 3), 90, np.uint8)
    >>> examine(flat, [Target("opencv:linear", (224, 224))])[0].suspicious
    False

    Parameters
    ----------
    image
        uint8 (H, W) or (H, W, C).
    targets
        Scalers with their sizes; see :func:`plausible_targets` where nobody knows.
    calibration
        Made by :func:`calibrate` on clean pictures of yours; by default the one that comes with the package.
    file
        The bytes that ``image`` was decoded from, for the detectors that look at them; see :func:`examine_file`.
    rate
        How many of a hundred clean pictures, divided by a hundred, may be found suspicious. It is divided among the
        targets, and for each of them among the detectors (Bonferroni): each finds a picture suspicious where fewer
        than that share of clean pictures score as high.
    tried
        How many targets these were chosen from by a look at the picture, if there were more than these: the rate is
        divided among all of them.

    Returns
    -------
    One suspicion for each target, and one more of the file where that is suspicious itself; the most suspicious first.

    Raises
    ------
    TypeError, ValueError
        An image of another dtype or shape, no targets, an unknown scaler, a rate outside (0, 1), a calibration without
        the target's kind of scaler.
    ImportError
        The scaler's library is not installed.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must lie between 0 and 1, got {rate!r}")
    picture, chosen, table = as_picture(image), as_targets(targets), calibration or shipped()
    in_size = (picture.shape[0], picture.shape[1])
    reasons = [_nothing_to_find(in_size, target) for target in chosen]
    among = max(1, reasons.count(""), tried or 0)
    found = [
        _nothing(view, reason) if reason else _against(view, table, rate / among, among)
        for view, reason in zip((View(picture, target, file) for target in chosen), reasons, strict=True)
    ]
    if image.ndim == 2:
        found = [replace(one, hidden=one.hidden[..., 0]) for one in found if one.hidden is not None]
    of_file = examine_file(file) if file is not None else None
    if of_file is not None and of_file.suspicious:
        found.append(of_file)
    return sorted(found, key=_order)


def _order(one: Suspicion) -> tuple[bool, float, float]:
    return not one.suspicious, one.p_value, -one.score / one.threshold if one.threshold else 0.0


def _nothing(view: View, reason: str) -> Suspicion:
    target = view.target
    return Suspicion(False, 0.0, 0.0, 1.0, "", target.scaler, target.size, None, view.hidden, note=reason)


def _against(view: View, table: Calibration, rate: float, tried: int) -> Suspicion:
    """The suspicion of one of ``tried`` targets, each of which may find that ``rate`` of clean pictures suspicious."""
    target, in_size = view.target, view.source.shape[:2]
    rows = [DETECTORS[name] for name in table.detectors(target, in_size) if applies(DETECTORS[name], view)]
    share = rate / len(rows)

    def clean(name: str, score: float) -> bool:
        return table.p_value(name, target, in_size, score) > share

    found: dict[str, Measured] = {}
    for row in rows:
        most = next((x for x in row.at_most(view) if clean(row.name, x)), None) if row.at_most else None
        one = row.measure(view) if most is None else Measured(most)
        if one is not None:
            found[row.name] = one
    p_values = {name: table.p_value(name, target, in_size, one.score) for name, one in found.items()}
    worst = min(p_values, key=lambda name: p_values[name])
    one, threshold, reach = found[worst], table.threshold(worst, target, in_size, share), DETECTORS[worst].reach
    suspicious = p_values[worst] <= share
    box = reach(view, min(threshold, one.score)) if suspicious and reach is not None else one.box
    answer = Suspicion(
        suspicious,
        one.score,
        threshold,
        min(1.0, p_values[worst] * len(rows) * tried),
        worst,
        target.scaler,
        target.size,
        _on_source(box, view),
        view.hidden,
        max(each.bound for each in found.values()),
    )
    return _by_fixed_thresholds(answer, view)


def _by_fixed_thresholds(answer: Suspicion, view: View) -> Suspicion:
    """The answer, or that of a row with a threshold of its own, where it reaches that and the others found nothing."""
    for row in DETECTORS.values():
        if not row.decides or row.fixed is None or row.of_file or answer.suspicious:
            continue
        one, (threshold, rate) = row.measure(view), row.fixed
        if one is not None and one.score >= threshold:
            answer = replace(
                answer,
                suspicious=True,
                score=one.score,
                threshold=threshold,
                p_value=min(answer.p_value, rate),
                detector=row.name,
                box=_on_source(one.box, view),
            )
    return answer


def _on_source(box: Box | None, view: View) -> Box:
    """A box of outputs in the source's pixels."""
    height, width = view.source.shape[:2]
    if box is None:
        return 0, 0, height, width
    top, left = (int(np.floor(at * ratio)) for at, ratio in zip(box[:2], view.ratios, strict=True))
    down, right = (
        min(limit, int(np.ceil((at + side) * ratio)))
        for at, side, ratio, limit in zip(box[:2], box[2:], view.ratios, (height, width), strict=True)
    )
    return top, left, down - top, right - left


@lru_cache(maxsize=256)
def _nothing_to_find(in_size: tuple[int, int], target: Target) -> str:
    """Why no picture can be hidden from a person, or ``""``."""
    if in_size[0] <= target.size[0] and in_size[1] <= target.size[1]:
        return "not scaled down: nothing is left out"
    scaler = SCALERS[target.scaler]
    if min(target.size) < 3:
        return "too small to tell: an output of fewer than 3 pixels a side"
    if scaler.sampling is not None or scaler.algorithm.startswith("nearest"):
        return ""
    try:
        verdict = exposure(known_operator(scaler, in_size, target.size)).verdict
    except (ProbeError, TooLargeToProbe):  # it is looked at by the detectors, then
        return ""
    return "averages all pixels: what it gives is what a person sees" if verdict == "robust" else ""
