"""The attacks that know the scaler: :func:`craft`, and its methods that change as little as possible.

:mod:`.area` has the methods for scalers that average, :mod:`.adaptive` the attacks that know a defense.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.kernels import KERNELS
from ..core.operator import AxisOperator, Provenance, ScalingOperator, scaling_operator
from ..measure.blackbox import LAYOUTS, open_boxes
from ..measure.certificates import HIDDEN_DB, least_attack
from ..measure.exposure import exposure
from ..measure.probe import probe
from ..measure.quality import as_levels, psnr, psnr_luma, share
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..measure.solver import FEASIBLE, Goal, Near, least_change, reach
from ..names import AttackMethod
from ..registry import Registry

__all__ = [
    "HIDDEN_DB",
    "METHODS",
    "REACHED_DB",
    "Crafted",
    "Found",
    "Method",
    "Problem",
    "check_image",
    "check_iterations",
    "check_pair",
    "craft",
    "kept",
    "known_operator",
    "register_method",
    "rising",
    "with_outputs",
]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
AnyScaler = str | Scaler | ScalingOperator | Callable[[Any], Any]

# PSNR of output and target in dB from which on the target counts as reached (Quiring et al. 2020, goal O1).
REACHED_DB = 25.0


@dataclass(frozen=True, eq=False)
class Crafted:
    """An attack image and what it does.

    ``image`` uint8 like the source; ``scaled`` uint8 like the target, what the real library makes of it. PSNRs in dB:
    ``psnr_source`` of image and source, ``psnr_target`` of scaled and target, and the same of their BT.601 lumas.
    ``share``: how much of the target ``scaled`` shows, the projection of its change on the change that the target asks
    for; 1 is all of it. Outputs that no source pixel moves, such as the border of a letterbox, do not count in any of
    them. ``method`` and ``epsilon`` made the image. Of the method's program before rounding to whole levels:
    ``feasible``, whether every output came to within ``epsilon`` of the target (what is short of it is the method's
    best effort); ``iterations``; ``gap``, by which share the squared change may lie above the least possible (nan where
    the method proves nothing of the kind).
    """

    image: Image
    scaled: Image
    psnr_source: float
    psnr_target: float
    psnr_source_luma: float
    psnr_target_luma: float
    share: float
    method: str
    epsilon: float
    feasible: bool
    iterations: int
    gap: float

    @property
    def reached(self) -> bool:
        """Goal O1: the output is the target, PSNR at least 25 dB in RGB or in luma."""
        return max(self.psnr_target, self.psnr_target_luma) >= REACHED_DB

    @property
    def hidden(self) -> bool:
        """Goal O2: the attack image looks like the source, PSNR at least 15 dB (in RGB)."""
        return self.psnr_source >= HIDDEN_DB

    @property
    def success(self) -> bool:
        """Both goals."""
        return self.reached and self.hidden


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method works on: ``source`` (H, W, C) and ``target`` (h, w, C) float64 in [0, 255], and the scaler's
    operator, an ``epsilon`` in levels and the most ``iterations``. Target and operator are without the rows and columns
    of outputs that no source pixel moves.
    """

    source: FloatArray
    target: FloatArray
    operator: ScalingOperator
    epsilon: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found: ``image`` float64 (H, W, C) in [0, 255], and the rest as in :class:`Crafted`."""

    image: FloatArray
    feasible: bool
    iterations: int = 1
    gap: float = math.nan


@dataclass(frozen=True)
class Method:
    """An attack on the scaler: ``run(problem) -> found``.

    ``kernels``: the robust kernels that an evaluation of attacks on robust scaling also aims it at.
    """

    name: str
    run: Callable[[Problem], Found]
    kernels: tuple[str, ...] = ()

    def __call__(self, problem: Problem) -> Found:
        """What the method finds."""
        return self.run(problem)


METHODS: Registry[Method] = Registry("attack method")


def register_method(
    name: str, *, kernels: tuple[str, ...] = ()
) -> Callable[[Callable[[Problem], Found]], Callable[[Problem], Found]]:
    """Register the decorated function as the attack method ``name``; a name that is taken raises ValueError.

    ``kernels`` as in :class:`Method`.
    """

    def register(run: Callable[[Problem], Found]) -> Callable[[Problem], Found]:
        METHODS.add(Method(name, run, kernels))
        return run

    return register


def craft(
    source: Image,
    target: Image,
    scaler: AnyScaler,
    *,
    method: AttackMethod = "strong",
    epsilon: float | Sequence[float] = 1.0,
    iterations: int = 500,
) -> Crafted:
    """Hide ``target`` in ``source`` so that ``scaler`` brings it out.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((64, 64), 200, np.uint8), np.zeros((16, 16), np.uint8)
    >>> sr.attacks.craft(source, target, "opencv:linear").psnr_target > 25
    True

    Parameters
    ----------
    source
        uint8 (H, W) or (H, W, C).
    target
        uint8 (h, w) or (h, w, C), with the source's channels; its size is the scaler's output size. Where the output
        does not depend on the source, as in the border of a letterbox, the target is not heeded.
    scaler
        A name in ``scalers.SCALERS``, a Scaler, or a callable that takes an image like ``source`` (in any of the
        layouts of ``probe``) and returns one like ``target``: what it reads is probed, and it scales the result. Or a
        ScalingOperator, whose output is rounded and cut off to [0, 255], for there is no library to ask.
    method
        ``"strong"``: the least change, in the 2-norm and inside [0, 255], that takes every output pixel to within
        ``epsilon`` of the target; the whole quadratic program at once, see :mod:`..measure.solver`, where Xiao et
        al. (section 4) and Quiring et al. (section 2.2) solve one axis after the other, which changes more.
        ``"strong_rms"``: the least change with which the output's root mean square distance to the target is
        ``epsilon``: 14.3 levels are 25 dB, so that nobody reaches 25 dB with less.
        ``"weak"``: the strong attack from a grey image: the source gives its size alone (Xiao et al., section 3).
        ``"nearest"``: the target written into the pixels that count most, one for each output.
        ``"least"``: the closed form S + L⁺ (T - scale(S)) (R⁺)ᵀ, cut off to [0, 255] afterwards; ``epsilon`` is not
        heeded. ``"counter"``: the strong attack, and the pixels that nothing reads moved the other way, so that the
        mean of each output's part of the source stays as it was, see :mod:`.counter`. ``"area_l0"``, ``"area_l1"``,
        ``"area_l2"``: for scalers that average, the fewest pixels, the least sum of changes and the least sum of
        squares (Quiring et al., section 5.4 and appendix), see :mod:`.area`.
    epsilon
        Levels by which the scaled attack image may miss the target; or a rising list of them, of which the first is
        taken that reaches both goals, or else the one that comes nearest (O1 counts before O2).
    iterations
        The most steps of an iterative method.

    Returns
    -------
    The attack image with what it does. A target out of reach is no error: ``feasible`` and the goals tell.

    Raises
    ------
    TypeError, ValueError
        Images of another dtype or of shapes that do not fit, an unknown scaler or method, a bad ``epsilon``, an output
        that depends on no source pixel; ProbeError where no operator describes the scaler.
    ImportError
        The scaler's library is not installed.
    """
    chosen = METHODS[method]
    epsilons = rising("epsilon", epsilon, "between 0 and 255 levels", lambda one: 0 <= one <= 255)
    check_iterations(iterations)
    check_pair(source, target)
    operator, call = _known(scaler, source.shape, target.shape)
    rows, cols = _moved(operator)
    if not (rows.any() and cols.any()):
        raise ValueError("there is nothing to attack: no output depends on any source pixel")
    moved = _upright(np.logical_and.outer(rows, cols), operator)
    inner = ScalingOperator(with_outputs(operator.rows, rows), with_outputs(operator.cols, cols))
    wanted = _upright(as_levels(target), operator)[np.ix_(rows, cols)]
    problem = Problem(as_levels(source), wanted, inner, epsilons[0], iterations)
    clean = call(source)
    best: Crafted | None = None
    for epsilon in epsilons:
        found = chosen(replace(problem, epsilon=epsilon))
        image = np.round(found.image).astype(np.uint8).reshape(source.shape)
        scaled = call(image)
        crafted = Crafted(
            image,
            scaled,
            psnr(image, source),
            psnr(scaled, target, moved),
            psnr_luma(image, source),
            psnr_luma(scaled, target, moved),
            share(scaled, clean, target, moved),
            method,
            epsilon,
            found.feasible,
            found.iterations,
            found.gap,
        )
        if best is None or _merit(crafted) > _merit(best):
            best = crafted
        if crafted.success:
            break
    assert best is not None
    return best


def _merit(crafted: Crafted) -> tuple[bool, float]:
    nearest = max(crafted.psnr_target, crafted.psnr_target_luma)
    return crafted.reached, crafted.psnr_source if crafted.reached else nearest


def _moved(operator: ScalingOperator) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Bool (h,) and (w,): the operator's outputs that some source pixel moves are those of which both hold."""
    rows, cols = ((axis.weights != 0).any(axis=1) for axis in (operator.rows, operator.cols))
    return rows, cols


def _upright(image: npt.NDArray[Any], operator: ScalingOperator) -> npt.NDArray[Any]:
    """What the operator gives, (h, w) or (h, w, C), as the pipeline shows it, and back: some turn images by 90°."""
    turned = operator.provenance is not None and operator.provenance is not None and operator.provenance.transposed
    return image.swapaxes(0, 1) if turned else image


def with_outputs(axis: AxisOperator, outputs: Any) -> AxisOperator:
    """The axis with those of its outputs alone; ``outputs`` indexes an array of them."""
    start, weights = axis.start[outputs].copy(), axis.weights[outputs].copy()
    return AxisOperator(axis.n_in, len(start), start, weights)


def rising(name: str, value: float | Sequence[float], expected: str, valid: Callable[[float], bool]) -> list[float]:
    """``value`` as a list; TypeError or ValueError unless it is a valid number or a rising list of them."""
    numbers = [value] if isinstance(value, int | float | np.number) else value
    if isinstance(numbers, str | bytes) or not isinstance(numbers, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a number {expected}, or a list of such numbers; got {value!r}")
    if any(isinstance(one, bool) or not isinstance(one, int | float | np.number) for one in numbers):
        raise TypeError(f"{name} must be a number {expected}, or a list of such numbers; got {value!r}")
    if len(numbers) == 0 or not all(valid(one) for one in numbers):
        raise ValueError(f"{name} must be a number {expected}, or a list of such numbers; got {value!r}")
    if sorted(set(numbers)) != list(numbers):
        raise ValueError(f"a list of numbers as {name} must rise, got {value!r}")
    return [float(one) for one in numbers]


def check_iterations(iterations: Any) -> None:
    """TypeError or ValueError unless it is a whole number of at least 1."""
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer):
        raise TypeError(f"iterations must be a whole number of at least 1, got {iterations!r}")
    if iterations < 1:
        raise ValueError(f"iterations must be a whole number of at least 1, got {iterations!r}")


def check_pair(source: Any, target: Any) -> None:
    """Raise what :func:`craft` raises for images that do not fit."""
    for name, image in (("source", source), ("target", target)):
        check_image(name, image)
    if source.shape[2:] != target.shape[2:]:
        raise ValueError(f"source and target must have the same channels, got shapes {source.shape}, {target.shape}")


def check_image(name: str, image: Any) -> None:
    """TypeError or ValueError unless ``image`` is a uint8 array (H, W) or (H, W, C)."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError(f"{name} must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"{name} must have shape (H, W) or (H, W, C), got {image.shape}")


# The scaler: what it does to any image, and what it does to this one.


def known_operator(
    scaler: AnyScaler, in_size: tuple[int, int], out_size: tuple[int, int], *, channels: int = 3
) -> ScalingOperator:
    """The operator that describes ``scaler``: given, known, or probed; sizes are (height, width).

    ``channels``: those of the images that a callable is to take and give, if it can. Raises what ``probe`` does, and
    ValueError for an operator of other sizes.
    """
    if isinstance(scaler, ScalingOperator):
        shown = _upright(np.empty(scaler.out_size), scaler).shape
        if (scaler.in_size, shown) != (in_size, out_size):
            raise ValueError(f"the operator scales {scaler.in_size} to {shown}, not {in_size} to {out_size}")
        return scaler
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if isinstance(scaler, Scaler):
        kernel: Any = scaler.kernel if scaler is SCALERS.get(scaler.name) else ""  # of any other it is but a claim
        return scaling_operator(in_size, out_size, kernel) if kernel else _probed(scaler, in_size, out_size)
    found = probe(scaler, in_size, out_size, dtype="uint8", layout="HW" if channels == 1 else "auto")
    # A probe describes every way of handing over an image that the callable takes, and every block of its output.
    ways = [found, *(found.provenance.others if found.provenance else ())]
    fit = [one for one in ways if one.provenance and _channels(one.provenance) == (channels, channels)]
    return max(fit, key=lambda one: exposure(one).stealth_gain_db, default=found)


def _channels(known: Provenance) -> tuple[int, int]:
    """Of the images that a probed callable takes, and of those that it gives."""
    return LAYOUTS[known.layout].channels, len(known.mix)


@lru_cache(maxsize=32)
def _probed(scaler: Scaler, in_size: tuple[int, int], out_size: tuple[int, int]) -> ScalingOperator:
    return probe(scaler, in_size, out_size)


def _known(
    scaler: AnyScaler, source: tuple[int, ...], target: tuple[int, ...]
) -> tuple[ScalingOperator, Callable[[Image], Image]]:
    """The scaler's operator, and the scaler itself as a function of the attack image."""
    in_size, out_size = (source[0], source[1]), (target[0], target[1])
    channels = source[2] if len(source) == 3 else 1
    operator = known_operator(scaler, in_size, out_size, channels=channels)
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if isinstance(scaler, Scaler):
        real = scaler
        return operator, lambda image: _scaled(real, image, out_size)
    if isinstance(scaler, ScalingOperator):
        return operator, lambda image: _as_image(_upright(operator.apply(as_levels(image)), operator), target)
    known = operator.provenance
    assert known is not None
    (box,) = open_boxes(scaler, in_size, out_size, "uint8", known.layout)
    taken, given = _channels(known)
    if not channels == taken == given:
        raise ValueError(
            f"{known.name} takes {taken} channels and returns {given}: an attack needs both to be the source's, which "
            f"has {channels}"
        )
    if np.linalg.matrix_rank(known.mix) < channels:
        raise ValueError(f"{known.name} makes {channels} channels of fewer: an attack cannot choose them one by one")
    # (output - offset) · mix⁻¹ are levels of the source again, whatever the pipeline normalised them to. Where nothing
    # moves, as in the border of a letterbox, the probed offset is the whole output: that of the other outputs is taken,
    # which shows the border in levels too.
    moved = _upright(np.logical_and.outer(*_moved(operator)), operator)
    offset = np.where(moved[..., None], known.offset, known.offset[moved].mean(axis=0)) if moved.any() else known.offset
    back, shown = np.linalg.inv(known.mix), list(known.channels)

    def call(image: Image) -> Image:
        return _as_image((box(image.reshape(*in_size, channels))[..., shown] - offset) @ back.T, target)

    return operator, call


def _scaled(scaler: Scaler, image: Image, size: tuple[int, int]) -> Image:
    try:
        return scaler(image, size)
    except Exception as error:  # each library raises its own class; OpenCV for more than 512 channels, for one
        raise ValueError(f"{scaler.name} cannot scale an image of shape {image.shape}: {error}") from error


def _as_image(levels: FloatArray, shape: tuple[int, ...]) -> Image:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8).reshape(shape)


# The methods.


@register_method("strong", kernels=tuple(KERNELS))
def _strong(problem: Problem) -> Found:
    return _least(problem, reach(problem.operator.apply(problem.source), problem.target, problem.epsilon))


@register_method("strong_rms", kernels=tuple(KERNELS))
def _strong_rms(problem: Problem) -> Found:
    return _least(problem, Near(problem.target - problem.operator.apply(problem.source), problem.epsilon))


def _least(problem: Problem, goal: Goal) -> Found:
    solution = least_change(problem.source, problem.operator, goal, iterations=problem.iterations)
    return Found(solution.image, solution.feasible, solution.iterations, solution.gap)


@register_method("weak")
def _weak(problem: Problem) -> Found:
    return _strong(replace(problem, source=np.full_like(problem.source, 128.0)))


@register_method("nearest")
def _nearest(problem: Problem) -> Found:
    image = problem.source.copy()
    rows, cols = (
        axis.start + np.argmax(np.abs(axis.weights), axis=1) for axis in (problem.operator.rows, problem.operator.cols)
    )
    image[np.ix_(rows, cols)] = problem.target
    return Found(image, kept(problem, image))


@register_method("least")
def _closed_form(problem: Problem) -> Found:
    change = least_attack(problem.operator, problem.target - problem.operator.apply(problem.source))
    image = np.clip(problem.source + change, 0, 255)
    return Found(image, kept(problem, image))


def kept(problem: Problem, image: FloatArray) -> bool:
    """Whether every output of ``image`` lies within the problem's epsilon of the target, before any rounding."""
    goal = reach(problem.operator.apply(image), problem.target, problem.epsilon)
    return goal.missing(np.zeros(problem.target.shape)) <= FEASIBLE
