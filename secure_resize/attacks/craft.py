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

from ..core.operator import ScalingOperator, scaling_operator
from ..measure.blackbox import open_boxes
from ..measure.certificates import HIDDEN_DB, least_attack
from ..measure.probe import probe
from ..measure.scalers import SCALERS, Scaler, get_scaler
from ..measure.solver import FEASIBLE, Goal, Near, least_change, reach

__all__ = [
    "HIDDEN_DB",
    "METHODS",
    "REACHED_DB",
    "Crafted",
    "Found",
    "Task",
    "as_levels",
    "check_epsilons",
    "check_pair",
    "craft",
    "kept",
    "known_operator",
    "psnr",
    "register_method",
]

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
AnyScaler = str | Scaler | ScalingOperator | Callable[[Any], Any]

# PSNR of output and target in dB from which on the target counts as reached (Quiring et al. 2020, goal O1).
REACHED_DB = 25.0


@dataclass(frozen=True, eq=False)
class Crafted:
    """An attack image and what it does.

    ``image`` uint8 like the source; ``scaled`` uint8 like the target, what the real library makes of it;
    ``psnr_source`` of image and source and ``psnr_target`` of scaled and target, in dB. ``method`` and ``epsilon`` made
    it. Of the method's program before rounding to whole levels: ``feasible``, whether every output came to within
    ``epsilon`` of the target (what is short of it is the method's best effort); ``iterations``; ``gap``, by which share
    the squared change may lie above the least possible (nan where the method proves nothing of the kind).
    """

    image: Image
    scaled: Image
    psnr_source: float
    psnr_target: float
    method: str
    epsilon: float
    feasible: bool
    iterations: int
    gap: float

    @property
    def reached(self) -> bool:
        """Goal O1: the output is the target, PSNR at least 25 dB."""
        return self.psnr_target >= REACHED_DB

    @property
    def hidden(self) -> bool:
        """Goal O2: the attack image looks like the source, PSNR at least 15 dB."""
        return self.psnr_source >= HIDDEN_DB

    @property
    def success(self) -> bool:
        """Both goals."""
        return self.reached and self.hidden


@dataclass(frozen=True, eq=False)
class Task:
    """What a method works on: ``source`` (H, W, C) and ``target`` (h, w, C) float64 in [0, 255], and the scaler's
    operator, an ``epsilon`` in levels and the most ``iterations``.
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


Method = Callable[[Task], Found]
METHODS: dict[str, Method] = {}


def register_method(name: str) -> Callable[[Method], Method]:
    """Register the decorated function as the attack method ``name``; a name that is taken raises ValueError."""

    def register(method: Method) -> Method:
        if name in METHODS:
            raise ValueError(f"method {name!r} is already registered; registered methods: {', '.join(METHODS)}")
        METHODS[name] = method
        return method

    return register


def craft(
    source: Image,
    target: Image,
    scaler: AnyScaler,
    *,
    method: str = "strong",
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
        uint8 (h, w) or (h, w, C), with the source's channels; its size is the scaler's output size.
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
        heeded. ``"area_l0"``, ``"area_l1"``, ``"area_l2"``: for scalers that average, the fewest pixels, the least sum
        of changes and the least sum of squares (Quiring et al., section 5.4 and appendix), see :mod:`.area`.
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
        Images of another dtype or of shapes that do not fit, an unknown scaler or method, a bad ``epsilon``; ProbeError
        where no operator describes the scaler.
    ImportError
        The scaler's library is not installed.
    """
    if method not in METHODS:
        raise ValueError(f"unknown attack method {method!r}; valid methods: {', '.join(METHODS)}")
    epsilons = check_epsilons(epsilon)
    if not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations must be a whole number of at least 1, got {iterations!r}")
    check_pair(source, target)
    operator, call = _known(scaler, source.shape, target.shape)
    best: Crafted | None = None
    task = Task(as_levels(source), as_levels(target), operator, epsilons[0], iterations)
    for epsilon in epsilons:
        found = METHODS[method](replace(task, epsilon=epsilon))
        image = np.round(found.image).astype(np.uint8).reshape(source.shape)
        scaled = call(image)
        crafted = Crafted(
            image,
            scaled,
            psnr(image, source),
            psnr(scaled, target),
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
    return crafted.reached, crafted.psnr_source if crafted.reached else crafted.psnr_target


def check_epsilons(epsilon: float | Sequence[float]) -> list[float]:
    """``epsilon`` as a list; ValueError unless it is a number from 0 to 255 or a rising list of them."""
    epsilons = [epsilon] if isinstance(epsilon, int | float | np.number) else list(epsilon)
    if not epsilons or not all(isinstance(one, int | float | np.number) and 0 <= one < 256 for one in epsilons):
        raise ValueError(f"epsilon must lie between 0 and 255 levels, or be a list of such numbers; got {epsilon!r}")
    if sorted(set(epsilons)) != epsilons:
        raise ValueError(f"a list of epsilons must rise, got {epsilon!r}")
    return [float(one) for one in epsilons]


def check_pair(source: Any, target: Any) -> None:
    """Raise what :func:`craft` raises for images that do not fit."""
    for name, image in (("source", source), ("target", target)):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise TypeError(f"{name} must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"{name} must have shape (H, W) or (H, W, C), got {image.shape}")
    if source.shape[2:] != target.shape[2:]:
        raise ValueError(f"source and target must have the same channels, got shapes {source.shape}, {target.shape}")


def as_levels(image: Image) -> FloatArray:
    """The image as float64 (H, W, C)."""
    return image.astype(np.float64).reshape(*image.shape[:2], -1)


def psnr(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two images of one shape in [0, 255], in dB; infinite where they are equal."""
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {a.shape} and {b.shape}")
    if a.dtype == b.dtype == np.uint8:  # in whole numbers
        mean_square = float(np.mean(np.square(np.subtract(a, b, dtype=np.int16), dtype=np.int32), dtype=np.float64))
    else:
        mean_square = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10.0 * math.log10(255.0**2 / mean_square) if mean_square else math.inf


# The scaler: what it does to any image, and what it does to this one.


def known_operator(
    scaler: AnyScaler, in_size: tuple[int, int], out_size: tuple[int, int], *, grey: bool = False
) -> ScalingOperator:
    """The operator that describes ``scaler``: given, known, or probed; sizes are (height, width).

    ``grey``: a callable is to take an image of one channel. Raises what ``probe`` does, and ValueError for an operator
    of other sizes.
    """
    if isinstance(scaler, ScalingOperator):
        if (scaler.in_size, scaler.out_size) != (in_size, out_size):
            raise ValueError(f"the operator scales {scaler.in_size} to {scaler.out_size}, not {in_size} to {out_size}")
        return scaler
    name = scaler.name if isinstance(scaler, Scaler) else scaler
    if isinstance(name, str) and name.startswith("secure_resize:") and scaler in (name, SCALERS.get(name)):
        get_scaler(name)
        return scaling_operator(in_size, out_size, name.partition(":")[2])
    if isinstance(scaler, str | Scaler):
        return _probed(scaler, in_size, out_size)
    return probe(scaler, in_size, out_size, dtype="uint8", layout="HW" if grey else "auto")


@lru_cache(maxsize=32)
def _probed(scaler: str | Scaler, in_size: tuple[int, int], out_size: tuple[int, int]) -> ScalingOperator:
    return probe(scaler, in_size, out_size)


def _known(
    scaler: AnyScaler, source: tuple[int, ...], target: tuple[int, ...]
) -> tuple[ScalingOperator, Callable[[Image], Image]]:
    """The scaler's operator, and the scaler itself as a function of the attack image."""
    in_size, out_size = (source[0], source[1]), (target[0], target[1])
    channels = source[2] if len(source) == 3 else 1
    operator = known_operator(scaler, in_size, out_size, grey=channels == 1)
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if isinstance(scaler, Scaler):
        real = scaler
        return operator, lambda image: real(image, out_size)
    if isinstance(scaler, ScalingOperator):
        return operator, lambda image: _as_image(operator.apply(as_levels(image)), target)
    known = operator.provenance
    assert known is not None
    (box,) = open_boxes(scaler, in_size, out_size, "uint8", known.layout)
    if not channels == box.layout.channels == len(known.mix):
        raise ValueError(
            f"{known.name} takes {box.layout.channels} channels and returns {len(known.mix)}: an attack needs both to "
            f"be the source's, which has {channels}"
        )
    back = np.linalg.inv(known.mix)

    def call(image: Image) -> Image:
        return _as_image((box(image.reshape(*in_size, channels)) - known.offset) @ back.T, target)

    return operator, call


def _as_image(levels: FloatArray, shape: tuple[int, ...]) -> Image:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8).reshape(shape)


# The methods.


@register_method("strong")
def _strong(task: Task) -> Found:
    return _least(task, reach(task.operator.apply(task.source), task.target, task.epsilon))


@register_method("strong_rms")
def _strong_rms(task: Task) -> Found:
    return _least(task, Near(task.target - task.operator.apply(task.source), task.epsilon))


def _least(task: Task, goal: Goal) -> Found:
    solution = least_change(task.source, task.operator, goal, iterations=task.iterations)
    return Found(solution.image, solution.feasible, solution.iterations, solution.gap)


@register_method("weak")
def _weak(task: Task) -> Found:
    return _strong(replace(task, source=np.full_like(task.source, 128.0)))


@register_method("nearest")
def _nearest(task: Task) -> Found:
    image = task.source.copy()
    rows, cols = (
        axis.start + np.argmax(np.abs(axis.weights), axis=1) for axis in (task.operator.rows, task.operator.cols)
    )
    image[np.ix_(rows, cols)] = task.target
    return Found(image, kept(task, image))


@register_method("least")
def _closed_form(task: Task) -> Found:
    change = least_attack(task.operator, task.target - task.operator.apply(task.source))
    image = np.clip(task.source + change, 0, 255)
    return Found(image, kept(task, image))


def kept(task: Task, image: FloatArray) -> bool:
    """Whether every output of ``image`` lies within the task's epsilon of the target, before any rounding."""
    goal = reach(task.operator.apply(image), task.target, task.epsilon)
    return goal.missing(np.zeros(task.target.shape)) <= FEASIBLE
