"""Attacks that know the defense: image reconstruction is part of what they aim at.

Reconstruction replaces every pixel that a scaler reads by the median, or by a random one, of the *candidates* around it
(:mod:`..reconstruction.filters`), so an attacker has to change the candidates. What an attack reaches is always
measured through the real pipeline: reconstruction, then the real library.

References: Quiring et al., *Adversarial Preprocessing*, USENIX Security 2020, section 5.4 (``median``, ``random``); Gao
et al., *Rethinking Image-Scaling Attacks*, ICML 2022, section 4 (``surrogate_median``, ``expectation_random``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.operator import ScalingOperator
from ..measure.quality import as_levels, levels, psnr, psnr_luma, share
from ..measure.scalers import Scaler, get_scaler
from ..names import AdaptiveMethod, ReconstructionMethod
from ..reconstruction.filters import reconstruct, reconstruct_resize
from ..reconstruction.plan import Plan, make_plan
from ..registry import Registry
from .craft import REACHED_DB, Crafted, check_iterations, check_pair, craft, known_operator, rising, with_outputs
from .defended import Middle, Model, Windows, absolute, candidate_means, expected_random, ranked, restricted
from .replay import replay

__all__ = ["ADAPTIVE", "Adapted", "AdaptiveAttack", "Case", "craft_adaptive", "register_adaptive"]

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Phase = tuple[Array, Array]

# Levels by which a median may miss what is wanted of it (Quiring et al. 2020, section 5.4).
TOLERANCE = 3


@dataclass(frozen=True, eq=False)
class Adapted(Crafted):
    """An attack image and what it does to the defended pipeline; the first fields are :class:`.Crafted`'s.

    ``scaled`` is what reconstruction and the real library make of it, with the first key. ``budget`` made the image;
    ``trials``: for each key (one number for the median, which has none) the PSNR of output and target in dB, in RGB or
    in luma, whichever is higher; of the block alone where one was attacked, like ``psnr_target`` and ``share``.
    """

    budget: float
    trials: tuple[float, ...]

    @property
    def reached_rate(self) -> float:
        """The share of keys with which goal O1 is met."""
        return sum(trial >= REACHED_DB for trial in self.trials) / len(self.trials)

    @property
    def success_rate(self) -> float:
        """The share of keys with which both goals are met."""
        return self.reached_rate if self.hidden else 0.0


@dataclass(frozen=True, eq=False)
class Case:
    """What an attack works on: ``source`` uint8 (H, W, C), the scaler, the defense's plan and the options of
    :func:`craft_adaptive`; of the output, only the block that is attacked: ``target`` uint8 and ``operator``.
    """

    source: Image
    target: Image
    scaler: Scaler
    operator: ScalingOperator
    plan: Plan
    epsilon: float
    iterations: int
    guess: bytes | None

    @cached_property
    def windows(self) -> Windows:
        """The windows of the read pixels that count."""
        return Windows(self.plan.selection, self.counts)

    @property
    def read(self) -> tuple[Array, ...]:
        """Indices of the read pixels, for (H, W, C)."""
        return np.ix_(self.plan.selection.rows, self.plan.selection.cols)

    @cached_property
    def counts(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """The read rows and the read columns that move the block by half a level or more."""
        small = restricted(self.operator, self.plan.selection)
        return small.rows.read(1 / 512), small.cols.read(1 / 512)

    @cached_property
    def wanted(self) -> Image:
        """What the read pixels should become, uint8 (rows, columns, C): what the outputs that read them should show.

        A pixel that several outputs read gets the mean of what they should show, by weight. The strong attack's values
        would be nearer to the source, but differ between the pixels of one output, whose windows share most of their
        candidates: no candidates could serve both.
        """
        size, bandwidth = self.plan.operator.out_size, self.plan.bandwidth
        base = reconstruct(self.source, size, scaler=self.scaler, bandwidth=bandwidth)
        target = as_levels(self.target)
        target = np.clip(self.operator.apply(base), target - self.epsilon, target + self.epsilon)
        weights = absolute(restricted(self.operator, self.plan.selection))
        total = weights.adjoint(np.ones((*self.operator.out_size, 1)))
        shown = weights.adjoint(target) / np.where(total > 0, total, 1.0)
        return np.asarray(np.clip(np.round(shown), 0, 255).astype(np.uint8))


Run = Callable[[Case, float], Image]


@dataclass(frozen=True)
class AdaptiveAttack:
    """``attack(case, budget) -> image`` uint8 (H, W, C), by someone who ``knows`` the filter "median" or "random".

    ``budget`` is the one that :func:`craft_adaptive` takes by default, ``budgets`` those that an evaluation tries; one
    alone where the attack ignores it. ``told_key``: whether the attacker also has the random filter's secret key, as
    nobody should.
    """

    name: str
    run: Run
    knows: ReconstructionMethod
    budget: float = 1.0
    budgets: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    told_key: bool = False

    def __call__(self, case: Case, budget: float) -> Image:
        """The attack image of a budget above 0 and up to 1."""
        return self.run(case, budget)


ADAPTIVE: Registry[AdaptiveAttack] = Registry("adaptive attack")


def register_adaptive(name: str, *, knows: ReconstructionMethod, **facts: Any) -> Callable[[Run], Run]:
    """Register the decorated function as the adaptive attack ``name``; a name that is taken raises ValueError.

    ``knows`` and ``facts`` are the other fields of :class:`AdaptiveAttack`.
    """

    def register(run: Run) -> Run:
        ADAPTIVE.add(AdaptiveAttack(name, run, knows, **facts))
        return run

    return register


def craft_adaptive(
    source: Image,
    target: Image,
    scaler: str | Scaler,
    *,
    method: AdaptiveMethod,
    budget: float | Sequence[float] | None = None,
    epsilon: float = 1.0,
    block: tuple[int, int, int, int] | None = None,
    bandwidth: float = 2.0,
    key: bytes | Sequence[bytes] | None = None,
    guess: bytes | None = None,
    iterations: int = 80,
) -> Adapted:
    """Hide ``target`` in ``source`` so that reconstruction followed by ``scaler`` brings it out.

    >>> import numpy as np, secure_resize as sr
    >>> source, target = np.full((64, 64), 200, np.uint8), np.zeros((16, 16), np.uint8)
    >>> bool(sr.attacks.craft_adaptive(source, target, "opencv:linear", method="median", budget=0.6).reached)
    True

    Parameters
    ----------
    source
        uint8 (H, W) or (H, W, C).
    target
        uint8 (h, w) or (h, w, C), with the source's channels; its size is the scaler's output size.
    scaler
        A name in ``scalers.SCALERS`` or a Scaler. What it reads is what reconstruction takes it to read.
    method
        ``"median"``: candidates are moved until the medians are what the outputs that read them should show.
        ``"random"``: the candidates nearest to that value are overwritten by it. ``"surrogate_median"``,
        ``"expectation_random"``: the least change of the whole image with which the output's squared error, or its
        expectation over all keys, is that of 25 dB, by descent. ``"replay"``: the random filter's draws are taken to be
        those of the key ``guess``, see :mod:`.replay`.
    budget
        A number above 0 and up to 1, or a rising list of them, of which the first is taken that reaches both goals with
        every key, or else the one that comes nearest (O1 counts before O2). ``"median"`` and ``"random"``: the share of
        a window's candidates that may be moved for its sake, rounded up (overlapping windows move more, and
        ``"median"`` visits each up to four times). The others: how much of the way to the target is gone, from what the
        defense makes of the source. By default the method's.
    epsilon
        For ``"median"``, ``"random"`` and ``"replay"``: levels by which the values wanted of the read pixels may miss
        the target.
    block
        (top, left, height, width) in output pixels: all of the target that counts, for the attack as for its success.
    bandwidth, key
        The defense's, see :func:`secure_resize.reconstruct`. Of several keys each is tried on the finished image.
    guess
        The key that ``"replay"`` takes the defense to use.
    iterations
        The most steps of an iterative method.

    Returns
    -------
    The attack image with what it does. A target out of reach is no error. Where the defense leaves the scaler as it is
    (a robust one), it is the strong attack's image. ``feasible`` tells whether O1 was met with every key, ``gap`` is
    nan: these methods prove nothing.

    Raises
    ------
    TypeError, ValueError
        What :func:`.craft` and :func:`secure_resize.reconstruct` raise; an unknown method, a bad budget, no guess.
    ImportError
        The scaler's library is not installed.
    """
    attack = ADAPTIVE[method]
    asked = attack.budget if budget is None else budget
    budgets = rising("budget", asked, "above 0 and up to 1", lambda one: 0 < one <= 1)
    (epsilon,) = rising("epsilon", [epsilon], "between 0 and 255 levels", lambda one: 0 <= one <= 255)
    check_iterations(iterations)
    check_pair(source, target)
    if isinstance(scaler, str):
        scaler = get_scaler(scaler)
    if not isinstance(scaler, Scaler):
        raise TypeError(f"scaler must be a name or a Scaler, got {type(scaler).__name__}")
    keys: list[bytes | None] = [key] if key is None or isinstance(key, bytes) else [*key]
    if attack.knows == "median" or not keys:
        keys = [None]
    in_size, size = (source.shape[0], source.shape[1]), (target.shape[0], target.shape[1])
    plan = make_plan(scaler, in_size, size, float(bandwidth), "uint8")
    top, left, height, width = _check_block(block, size)
    here = slice(top, top + height), slice(left, left + width)
    first, last = (np.ascontiguousarray(image).reshape(*image.shape[:2], -1) for image in (source, target[here]))
    operator = known_operator(scaler, in_size, size)
    operator = ScalingOperator(with_outputs(operator.rows, here[0]), with_outputs(operator.cols, here[1]))
    case = Case(first, last, scaler, operator, plan, epsilon, iterations, guess)
    defend = partial(reconstruct_resize, size=size, scaler=scaler, method=attack.knows, bandwidth=bandwidth)
    clean = defend(source, key=keys[0])
    best: Adapted | None = None
    for budget in budgets:
        image = craft(first, last, operator).image if plan.unchanged else attack(case, budget)
        image = image.reshape(source.shape)
        outputs = [defend(image, key=one) for one in keys]
        pairs = [(output[here], target[here]) for output in outputs]
        trials = tuple(max(psnr(*pair), psnr_luma(*pair)) for pair in pairs)
        reached = min(trials) >= REACHED_DB
        found = Adapted(
            image=image,
            scaled=outputs[0],
            psnr_source=psnr(image, source),
            psnr_target=psnr(*pairs[0]),
            psnr_source_luma=psnr_luma(image, source),
            psnr_target_luma=psnr_luma(*pairs[0]),
            share=share(outputs[0][here], clean[here], target[here]),
            method=method,
            epsilon=epsilon,
            feasible=reached,
            iterations=iterations,
            gap=float("nan"),
            budget=budget,
            trials=trials,
        )
        if best is None or _merit(found) > _merit(best):
            best = found
        if reached and found.hidden:
            break
    assert best is not None
    return best


def _merit(found: Adapted) -> tuple[bool, float]:
    return found.feasible, found.psnr_source if found.feasible else float(np.mean(found.trials))


def _check_block(block: tuple[int, int, int, int] | None, size: tuple[int, int]) -> tuple[int, int, int, int]:
    if block is None:
        return 0, 0, *size
    top, left, height, width = block
    if not (0 <= top < top + height <= size[0] and 0 <= left < left + width <= size[1]):
        raise ValueError(f"block (top, left, height, width) must lie inside {size}, got {block!r}")
    return block


# Moving candidates, window by window (Quiring et al. 2020).


# Windows of different phases share pixels, so a later phase can undo what an earlier one did: repeat, this often.
_SWEEPS = 4


@register_adaptive("median", knows="median", budget=0.5)
def _median(case: Case, budget: float) -> Image:
    """The windows of one phase after the other, each seeing what those before it did; all of them up to four times."""
    windows, out = case.windows, np.empty_like(case.source)
    for channel in range(out.shape[2]):
        plane = np.pad(case.source[..., channel], windows.reach)
        for _ in range(_SWEEPS):
            before = plane.copy()
            for phase in windows.phases:
                wanted = case.wanted[phase[0][:, None], phase[1], channel].ravel()
                moved = _move_median(windows.read(plane, phase), windows.free(phase), wanted, budget)
                windows.write(plane, phase, moved)
            if np.array_equal(plane, before):
                break
        out[..., channel] = windows.inside(plane)
    return out


@register_adaptive("random", knows="random", budget=0.75)
def _random(case: Case, budget: float) -> Image:
    """A candidate that several windows overwrite becomes the mean of what they want; in the paper the last one wins."""
    windows, out = case.windows, np.empty_like(case.source)
    for channel in range(out.shape[2]):
        plane = np.pad(case.source[..., channel], windows.reach)
        sums, votes = np.zeros(plane.shape, np.int32), np.zeros(plane.shape, np.int32)
        for phase in windows.phases:
            wanted = case.wanted[phase[0][:, None], phase[1], channel].ravel().astype(np.int32)
            taken = _nearest(windows.read(plane, phase), windows.free(phase), wanted, budget)
            windows.write(votes, phase, windows.read(votes, phase) + taken)
            windows.write(sums, phase, windows.read(sums, phase) + taken * wanted[:, None])
        plane = np.where(votes > 0, np.round(sums / np.maximum(votes, 1)), plane)
        out[..., channel] = windows.inside(plane)
    return out


def _move_median(values: Array, free: Array, wanted: Array, budget: float) -> Array:
    """Windows (n, K) uint8 whose lower median lies within 3 levels of ``wanted`` (n,), or as near as the budget allows.

    The least change that does it: between the median and the wanted value, candidates are moved onto that value, those
    that are nearest to the median's rank; ⌈budget · candidates⌉ of them at most. Where that is not enough, they are
    moved onto the furthest value that the median then reaches, x[h ± b] of the sorted candidates.
    """
    order, places = ranked(values, free)
    count = free.sum(axis=1)
    middle, most = np.maximum(count - 1, 0) // 2, np.ceil(budget * count - 1e-9).astype(np.int64)
    now = np.take_along_axis(order, middle[:, None], axis=1)[:, 0]
    rank, middle_, wanted = np.arange(values.shape[1]), middle[:, None], wanted.astype(np.int32)
    out = values.copy()
    for sign in (1, -1):
        moving = (count > 0) & (sign * (wanted - now) > TOLERANCE)
        short = sign * (wanted[:, None] - order) > TOLERANCE
        short &= (sign * (rank - middle_) >= 0) & (rank < count[:, None]) & moving[:, None]
        needed = short.sum(axis=1)
        enough = needed <= most
        reached = np.take_along_axis(order, np.where(enough, middle, middle + sign * most)[:, None], axis=1)[:, 0]
        goal = np.where(enough, wanted, reached)
        move = short & (sign * (rank - middle_) < np.minimum(needed, most)[:, None])
        window, place = np.nonzero(move)
        out[window, places[window, place]] = goal[window]
    return out


def _nearest(values: Array, free: Array, wanted: Array, budget: float) -> npt.NDArray[np.bool_]:
    """Of windows (n, K) uint8, the ⌈budget · candidates⌉ candidates nearest to ``wanted`` (n,); bool."""
    distance = np.abs(values.astype(np.int32) - wanted[:, None])
    places = ranked(distance, free)[1]
    taken = np.zeros(values.shape, bool)
    most = np.ceil(budget * free.sum(axis=1) - 1e-9)
    np.put_along_axis(taken, places, np.arange(values.shape[1]) < most[:, None], axis=1)
    return taken


# The least change through the whole pipeline, by descent (Gao et al. 2022).


@register_adaptive("surrogate_median", knows="median")
def _surrogate_median(case: Case, budget: float) -> Image:
    mean = candidate_means(case.plan, case.operator)
    return _descend(case, Middle(case.plan, case.windows, mean), budget)


@register_adaptive("expectation_random", knows="random")
def _expectation_random(case: Case, budget: float) -> Image:
    # The margin covers how much the squared error varies from key to key: less the more outputs, 2 % at 112x112.
    spread = 10 / math.sqrt(case.target.shape[0] * case.target.shape[1])
    return _descend(case, expected_random(case.plan, case.operator), budget, _MARGIN + spread)


# Descents of one attack, between which the weight of the error is adjusted, and steps of the bisection at the end.
_ROUNDS = 8
# Decibels beyond the goal, so that rounding the image to whole levels does not miss it.
_MARGIN = 0.3


def _descend(case: Case, model: Model, budget: float, margin: float = _MARGIN) -> Image:
    """The x in [0, 255] nearest to the source whose error to the target, or a part of the way there, is that of 25 dB.

    Minimises ½‖x - s‖² + ½λ·error(x) by accelerated proximal descent (Beck & Teboulle, SIAM J. Imaging Sciences 2009)
    with restarts, for λ that are searched for between the descents.
    """
    source, target = as_levels(case.source), as_levels(case.target)
    now = model.output(source)
    target = now + budget * (target - now)
    goal = target.size * levels(REACHED_DB + margin) ** 2
    best, merit = source, (False, -np.inf)

    def consider(image: FloatArray) -> bool:
        """Whether the image, in whole levels, has reached the goal; it is kept if it is the best one yet."""
        nonlocal best, merit
        image = np.round(image)
        error, change = model.error(image, target), float(((image - source) ** 2).sum())
        reached = error <= goal
        if (reached, -change if reached else -error) > merit:
            best, merit = image, (reached, -change if reached else -error)
        return reached

    if consider(source):
        return case.source
    image, short, weight, step = source, source, 32.0, 1 / model.slope
    below, above = 0.0, np.inf
    for _ in range(_ROUNDS):
        ahead, momentum = image, 1.0
        for _ in range(max(1, case.iterations // _ROUNDS)):
            pulled = model.slope_at(ahead, target)
            pace = step / weight
            following = np.clip((ahead - step * pulled + pace * source) / (1 + pace), 0, 255)
            if ((ahead - following) * (following - image)).sum() > 0:
                momentum = 1.0
            later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / later * (following - image)
            image, momentum = following, later
        reached = consider(image)
        if not reached:
            short = image
        below, above = (below, weight) if reached else (weight, above)
        weight = (below * above) ** 0.5 if below and above < np.inf else weight / 4 if reached else weight * 4
    if merit[0]:  # bisect between the last image that missed the goal and the best one that met it
        enough = best
        for _ in range(_ROUNDS):
            image = (enough + short) / 2
            if consider(image):
                enough = image
            else:
                short = image
    return best.astype(np.uint8)


# Guessed draws.


@register_adaptive("replay", knows="random", budgets=(1.0,), told_key=True)
def _replay(case: Case, budget: float) -> Image:
    """The budget is ignored: the target is written where the key says that it will be drawn."""
    if case.guess is None:
        raise ValueError("a replay needs a guess, the key that the defense is taken to use")
    return replay(case.source, case.wanted, case.plan, case.guess, case.counts)
