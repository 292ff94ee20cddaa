"""Recover the coefficient matrices of any resize, or of a whole pipeline, from what it does to images.

A resize is asked, never believed. It is asked in every layout and dtype that it takes, block by block of its output
(:mod:`.regions`) and by combs of impulses (:mod:`.recover`); and the operators that come back have to predict what it
makes of noise, of pictures like photographs, of the caller's own and of attack images (:mod:`.verify`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import Provenance, ScalingOperator
from ..names import ProbeDtype, ProbeLayout
from ..scaling import check_size, resize as scale
from .blackbox import (
    DTYPES,
    LAYOUTS,
    PEDESTAL,
    BlackBox,
    ProbeError,
    UnfaithfulError,
    Window,
    constant_image,
    open_boxes,
)
from .exposure import exposure
from .recover import SIGNIFICANT, recover
from .regions import find_windows
from .rounding import OVERSHOOT
from .scalers import Scaler
from .verify import check_neighbours, check_pictures, natural_picture, pictures

__all__ = ["DTYPES", "LAYOUTS", "SIGNIFICANT", "ProbeError", "UnfaithfulError", "predict", "probe"]

FloatArray = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]  # what is sent: (H, W, C), whole levels whatever the dtype

# Where a library may cut values off to [0, 255]; what predicts best is what it does. See Provenance.
CLIPS = ("", "output", "rows", "cols")


def probe(
    resize: str | Scaler | Callable[[Any], Any],
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    *,
    dtype: ProbeDtype = "auto",
    layout: ProbeLayout = "auto",
    images: Sequence[npt.NDArray[np.uint8]] = (),
    seed: int = 0,
) -> ScalingOperator:
    """The coefficient matrices of a resize, as it is installed here.

    >>> import secure_resize as sr
    >>> operator = sr.probe("secure_resize:area", (64, 96), (16, 16))
    >>> operator.residual < 1
    True

    Parameters
    ----------
    resize
        A name in ``SCALERS``, a Scaler, or a callable of one image: a function, a transform, a whole pipeline. It may
        resize, crop, pad, flip, turn by 90°, put several pictures side by side, swap, drop, mix and normalise channels.
    in_size, out_size
        (height, width) of the image that goes in and of what comes out.
    dtype
        What the callable is given: ``"uint8"``, ``"uint16"``, ``"float32"`` (in [0, 1]), or ``"auto"`` (default): all
        of them that it takes; a scaler gets uint8.
    layout
        A name in ``LAYOUTS``, or ``"auto"`` (default): all in which it makes an ``out_size`` of an image.
    images
        Pictures, uint8 (H, W, 3) or (H, W), that the operator has to predict as well; scaled to ``in_size``.
    seed
        Of the random images.

    Returns
    -------
    The operator, normalised to keep constants; ``residual`` and ``provenance`` say how well it is known and what else
    the callable does (colours, offset). :func:`predict` puts it all together. It has the callable's whole sizes:
    outputs that the source does not move have rows of zeros, pixels that are cropped away columns of zeros. Where
    layouts, dtypes or parts of the output differ, it is the operator of largest stealth gain, and the others are in
    ``provenance.others``.

    Raises
    ------
    UnfaithfulError
        The callable does something else with some pictures than the operator predicts. (A ProbeError.)
    ProbeError
        The callable is not deterministic, not affine, not separable in blocks, or ends the process; or it returns
        ``out_size`` in no layout. ``evidence`` says what was measured.
    TypeError, ValueError
        A bad size, dtype or layout, an unknown name; an image so large that its copies would take more than 1 GiB.
    ImportError
        The named library is not installed.

    Notes
    -----
    No test from outside excludes a callable that recognises the probe, or that behaves otherwise at another time, after
    more calls, at sizes that were not tried, or on one picture in a million. SECURITY.md says what is tried.
    """
    in_size, out_size = check_size(in_size), check_size(out_size)
    boxes = open_boxes(resize, in_size, out_size, dtype, layout)
    own = [_fitted(image, in_size) for image in images]
    paths: list[_Path] = []
    unmeasured: list[str] = []
    for box in boxes:
        try:
            paths.append(_measured(box, paths, own, seed, neighbours=not isinstance(resize, str | Scaler)))
        except UnfaithfulError:
            raise
        except ProbeError as error:
            # A pipeline made for 8-bit images may take others and make nothing sensible of them.
            if box.dtype == "uint8" or dtype != "auto":
                raise
            unmeasured.append(f"{box.path}: {error}")
    if not paths:
        raise ProbeError(f"{boxes[0].name} could not be measured: " + "; ".join(unmeasured))
    operators = [operator for path in paths for operator in path.operators]
    gains = [exposure(operator).stealth_gain_db for operator in operators]
    worst = operators[int(np.argmax(gains))]
    others = tuple(operator for operator in operators if operator is not worst)
    assert worst.provenance is not None
    return replace(worst, provenance=replace(worst.provenance, others=others, unmeasured=tuple(unmeasured)))


def predict(operator: ScalingOperator, image: npt.NDArray[Any]) -> FloatArray:
    """What a probed callable makes of ``image`` (H, W, C) in levels, by its operator; (h, w, C_out), its own units.

    Of the output channels and the block that the operator is of; all other outputs are what mid-grey makes them.
    """
    known = operator.provenance
    if known is None:
        raise ValueError("the operator was not probed: it has no provenance; use operator.apply")
    return _made(operator, known.clips, np.asarray(image), (0.0, 255.0))


def _made(operator: ScalingOperator, clips: str, image: npt.NDArray[Any], limits: tuple[float, float]) -> FloatArray:
    """As :func:`predict`, if values are cut off where ``clips`` says, at ``limits`` (levels)."""
    known = operator.provenance
    assert known is not None
    out = _passed(operator, clips, image, limits) @ known.mix.T
    out = (out.swapaxes(0, 1) if known.transposed else out) + known.offset
    if not clips:
        return np.asarray(out)
    ends = known.bounds[0] + np.multiply.outer(np.asarray(limits) / 255, known.bounds[1] - known.bounds[0])
    return np.clip(out, ends.min(axis=0), ends.max(axis=0))


def _passed(operator: ScalingOperator, clips: str, image: npt.NDArray[Any], limits: tuple[float, float]) -> FloatArray:
    """The two passes over ``image`` (H, W, C), with what lies between them cut off at ``limits`` where it is."""
    scaled = image
    passes = (operator.rows, 0), (operator.cols, 1)
    for axis, number in passes[::-1] if clips == "cols" else passes:
        scaled = axis.apply(scaled, number)
        if clips in ("rows", "cols"):
            scaled = np.clip(scaled, *limits)
    return np.asarray(scaled, dtype=np.float64)


def _fitted(image: Any, size: tuple[int, int]) -> Levels:
    """A caller's picture as RGB of ``size``."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise TypeError(f"images must be uint8 arrays (H, W) or (H, W, 3), got {type(image).__name__}")
    colours = np.repeat(np.atleast_3d(image)[..., :3], 3 if np.atleast_3d(image).shape[2] < 3 else 1, axis=2)[..., :3]
    return colours if colours.shape[:2] == size else scale(np.ascontiguousarray(colours), size)


# One path: a layout and a dtype.


@dataclass(frozen=True, eq=False)
class _Path:
    """What was measured in one layout and dtype: ``base`` (h, w, C_out), what mid-grey becomes, and the operators."""

    box: BlackBox
    base: FloatArray
    operators: tuple[ScalingOperator, ...]

    def span(self, image: Levels) -> tuple[FloatArray, FloatArray]:
        """The least and the largest that the whole output, all blocks together, may be: (h, w, C_out) each.

        They differ only where a kernel with negative lobes leaves a range, by what the ways to cut that off differ by:
        after either pass or at the end, at black and white or at the image's own darkest and brightest.
        """
        low, high = self.base.copy(), self.base.copy()
        for operator in self.operators:
            known = operator.provenance
            assert known is not None
            assert known.block is not None
            made = [_made(operator, *way) for way in _ways_to_cut_off(operator, image)]
            where = (*known.block, list(known.channels))
            low[where] = np.minimum.reduce(made)[known.block]
            high[where] = np.maximum.reduce(made)[known.block]
        return low, high


def _ways_to_cut_off(operator: ScalingOperator, image: Levels) -> Iterator[tuple[str, Levels, tuple[float, float]]]:
    if not _has_lobes(operator):
        yield "", image, (0.0, 255.0)
        return
    for limits in ((0.0, 255.0), (float(image.min()), float(image.max()))):
        yield from ((clips, image, limits) for clips in CLIPS)


def _has_lobes(operator: ScalingOperator) -> bool:
    """Whether values can leave the range of the image: a kernel that overshoots nowhere meets no limit."""
    return max(float(np.abs(axis.weights).sum(axis=1).max()) for axis in (operator.rows, operator.cols)) > OVERSHOOT


def _measured(box: BlackBox, before: Sequence[_Path], own: Sequence[Levels], seed: int, *, neighbours: bool) -> _Path:
    """The operators of a box, verified: those of a path measured before, if they predict this one too, or its own."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (*box.in_size, box.channels), np.uint8)
    first = _check_deterministic(box, noise)
    base = box(constant_image(box, PEDESTAL))
    path = next(
        (one for one in (_as(path, box, base) for path in before) if one and _fits(one, noise, own, seed)), None
    )
    if path is None:
        extreme = (noise >> 7).astype(np.uint8) * np.uint8(255)
        # Averaged over many pixels, noise meets no limit between the passes; a drawing does.
        drawing = np.where(natural_picture(rng, box.in_size, box.channels) > 118, 255, 0).astype(np.uint8)
        seen = {"noise": (noise, first), "extreme": (extreme, box(extreme)), "drawing": (drawing, box(drawing))}
        operators = [_described(window, base, seen, rng) for window in find_windows(box)]
        path = _Path(box, base, tuple(operators))
        _check(path, noise, own, seed)
    if neighbours:
        check_neighbours(box, rng, sum(path.box.calls for path in before))
    if not np.array_equal(first, box(noise)):
        raise UnfaithfulError(
            f"{box.name} no longer makes of an image what it made of it at first, {box.calls} calls ago",
            operator=path.operators[0],
        )
    known = [replace(operator.provenance, calls=box.calls) for operator in path.operators if operator.provenance]
    operators = [replace(one, provenance=new) for one, new in zip(path.operators, known, strict=True)]
    return replace(path, operators=tuple(operators))


def _as(path: _Path, box: BlackBox, base: FloatArray) -> _Path | None:
    """``path`` as if ``box`` were measured: its operators in the units of the other's outputs; None if unlike."""
    if base.shape != path.base.shape or box.channels != path.box.channels:
        return None
    own, moved = (
        float(np.abs(one(constant_image(one, 255)) - one(constant_image(one, 0))).sum()) for one in (box, path.box)
    )
    if not (own > 0 and moved > 0):
        return None
    unit = 1.0 if np.isclose(own, moved, rtol=0.02) else own / moved
    operators = []
    for operator in path.operators:
        known = operator.provenance
        assert known is not None
        pedestal = known.mix.sum(axis=1) * unit * PEDESTAL
        sums = operator.apply(np.ones(operator.in_size))
        sums = sums.T if known.transposed else sums
        own_known = replace(
            known,
            name=box.name,
            dtype=box.dtype,
            layout=box.layout.name,
            mix=known.mix * unit,
            offset=base[..., list(known.channels)] - sums[..., None] * pedestal,
            bounds=(known.bounds - known.bounds[0]) * unit + _black(box, known)[None],
        )
        operators.append(replace(operator, provenance=own_known))
    return _Path(box, base, tuple(operators))


def _black(box: BlackBox, known: Provenance) -> FloatArray:
    assert known.block is not None
    return np.asarray(np.median(box(constant_image(box, 0))[known.block][..., list(known.channels)], axis=(0, 1)))


def _check(path: _Path, noise: Levels, own: Sequence[Levels], seed: int) -> None:
    extreme = (noise >> 7).astype(np.uint8) * np.uint8(255)
    shown = pictures(path.operators, path.box.channels, own, seed)
    random = ("noise", noise), ("noise of black and white", extreme)
    check_pictures(path.box, path.span, path.operators, chain(random, shown))


def _fits(path: _Path, noise: Levels, own: Sequence[Levels], seed: int) -> bool:
    try:
        _check(path, noise, own, seed)
    except ProbeError:
        return False
    return True


def _check_deterministic(box: BlackBox, noise: Levels) -> FloatArray:
    """What ``noise`` becomes, twice."""
    first, second = box(noise), box(noise.copy())
    if first.shape != second.shape or not np.array_equal(first, second):
        furthest = float(np.abs(first - second).max()) if first.shape == second.shape else np.inf
        raise ProbeError(
            f"{box.name} is not deterministic: two runs on one image differ by up to {furthest:.4g}; fix its random "
            "choices (a seed, p=1, a fixed crop) and probe each",
            deterministic=False,
            furthest=furthest,
        )
    return first


def _described(
    window: Window, base: FloatArray, seen: dict[str, tuple[Levels, FloatArray]], rng: np.random.Generator
) -> ScalingOperator:
    """The operator of one window in the box's whole sizes, or a ProbeError; ``seen``: images and what they became."""
    box, found = window.box, recover(window, rng)
    (height, width), outs = box.out_size, (window.output[1], window.output[0]) if window.transposed else window.output
    whole = (width, height) if window.transposed else (height, width)
    rows = found.rows.within(box.in_size[0], window.source[0].start, whole[0], outs[0].start)
    cols = found.cols.within(box.in_size[1], window.source[1].start, whole[1], outs[1].start)
    model = ScalingOperator(rows, cols)
    channels = tuple(int(k) for k in window.outputs)
    mix = found.colours.mix * window.signs
    grey = model.apply(np.full(box.in_size, float(PEDESTAL)))
    grey = grey.T if window.transposed else grey
    known = Provenance(
        name=box.name,
        version=box.version,
        dtype=box.dtype,
        layout=box.layout.name,
        calls=0,
        weight_std=found.weight_std,
        nonlinearity=found.nonlinearity,
        inseparability=found.inseparability,
        extreme_residual=np.nan,
        clips="",
        bounds=found.colours.bounds,
        mix=mix,
        offset=base[..., list(channels)] - grey[..., None] * mix.sum(axis=1),
        notes=box.notes,
        channels=channels,
        transposed=window.transposed,
        block=window.output,
    )
    return _clipped(box, ScalingOperator(rows, cols, None, known), seen)


def _clipped(box: BlackBox, operator: ScalingOperator, seen: dict[str, tuple[Levels, FloatArray]]) -> ScalingOperator:
    """The operator with where values are cut off, and its residual on noise, which it was not recovered from."""
    known = operator.provenance
    assert known is not None
    assert known.block is not None
    gain = np.abs(known.mix).sum(axis=1).max()
    tried: list[tuple[list[float], ScalingOperator]] = []
    for clips in CLIPS if _has_lobes(operator) else CLIPS[:1]:
        candidate = replace(operator, provenance=replace(known, clips=clips))
        off = [
            float(np.abs((predict(candidate, x) - y[..., list(known.channels)])[known.block]).max() / gain)
            for x, y in seen.values()
        ]
        tried.append((off, candidate))
    # The simplest that predicts about as well as the best: a tenth of a level is no reason to cut off.
    best = min(max(off) for off, _ in tried)
    (residual, extreme_residual, *_), chosen = next(entry for entry in tried if max(entry[0]) <= best + 0.1)
    limit = box.tolerance + min(_prediction_noise(operator), box.tolerance)
    if not residual <= limit:
        raise UnfaithfulError(
            f"the operator recovered from {box.name} does not predict it: off by {residual:.3g} levels on a random "
            f"image, {limit:.3g} would be rounding",
            deterministic=True,
            linear=True,
            separable=True,
            residual=residual,
            operator=chosen,
        )
    assert chosen.provenance is not None
    notes = chosen.provenance.notes
    if extreme_residual > limit:
        notes += (f"extremes: on noise of black and white pixels the model is off by {extreme_residual:.3g} levels",)
    final = replace(chosen.provenance, notes=notes, extreme_residual=extreme_residual)
    return replace(chosen, residual=residual, provenance=final)


def _prediction_noise(operator: ScalingOperator) -> float:
    """Levels by which the weights' uncertainty moves the prediction of a random image: five standard deviations."""
    assert operator.provenance is not None
    rows_std, cols_std = operator.provenance.weight_std
    spread = rows_std * np.sqrt(operator.rows.width) + cols_std * np.sqrt(operator.cols.width)
    return float(SIGNIFICANT * PEDESTAL * spread)
