"""What an evaluation runs: its options, and the tasks and records that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..attacks import ADAPTIVE, METHODS
from ..core.kernels import KERNELS
from ..measure.scalers import SCALERS
from ..measure.survey import NothingInstalled, select
from ..scaling import check_size
from .defenses import DEFENSES, get_defense
from .pairs import PAPER_RATIOS, Pair, draw_pairs, fingerprint, parse_ratio, picture_names

__all__ = ["BUDGETS", "DEFAULT_SCALERS", "EPSILONS", "Attack", "Options", "Task", "plan", "settings"]

# What OpenCV, TensorFlow and torch do unless they are asked for something else.
DEFAULT_SCALERS = ("opencv:linear", "tensorflow:bilinear", "torch:nearest")
# Levels by which the scaled attack image may miss the target, the paper's 1 to 50: an attack takes the first with which
# it meets both goals. 14.2 levels off everywhere are still 25 dB, after rounding too.
EPSILONS = (1.0, 2.0, 5.0, 10.0, 14.2, 20.0, 50.0)
# Of the attacks on image reconstruction: shares of a window's unread pixels that may change, or of the way to go.
BUDGETS = (0.25, 0.5, 0.75, 1.0)
# What an attack is against that also knows the secret of the random filter, as no attacker should: a check of the rest.
KNOWS_KEY = " and its key"


@dataclass(frozen=True)
class Attack:
    """An attack to craft: ``method`` against ``against`` (``"scaler"``, or the name of the defense it knows of).

    ``against`` ends in ``KNOWS_KEY`` if it is told even the secret key. ``budget`` is that of an attack on image
    reconstruction, else None. The attack image is run through each
    of ``defenses``.
    """

    method: str
    against: str
    budget: float | None
    defenses: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One pair and one scaler, with the attacks to craft: what a worker does at a time."""

    pair: Pair
    scaler: str
    attacks: tuple[Attack, ...]

    def keys(self) -> list[tuple[Any, ...]]:
        """What identifies each of its records, in their order."""
        return [
            (self.pair.index, self.scaler, attack.method, attack.against, attack.budget, defense)
            for attack in self.attacks
            for defense in attack.defenses
        ]


@dataclass(frozen=True)
class Options:
    """What is evaluated; the same options and library versions give the same records, to the byte.

    Parameters
    ----------
    pictures
        A folder of pictures; scikit-image's photographs by default.
    pairs
        How many in all, dealt to the ratios in turn.
    seed
        Of every random choice.
    scalers
        Names or patterns such as 'opencv:*'; by default what OpenCV, TensorFlow and torch do unless asked otherwise.
    ratios
        Scaling ratios: 4, a bin such as 2-3, rows and columns such as 4x1; 'paper' stands for the paper's bins.
    size
        (height, width) of the outputs.
    attacks
        Methods crafted on the bare scaler, which know of no defense.
    defenses
        All of them by default.
    adaptive
        Also attacks that know which defense they face, with each of the budgets.
    epsilons
        Levels that the scaled attack image may miss the target by; the first that succeeds is taken.
    budgets
        Of the attacks on reconstruction: shares of a window's unread pixels, or of the way to the target.
    classifier
        Also train a small network and ask what it sees (needs torch).
    """

    pictures: Path | None = None
    pairs: int = 12
    seed: int = 0
    scalers: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ("4",)
    size: tuple[int, int] = (112, 112)
    attacks: tuple[str, ...] = ("strong",)
    defenses: tuple[str, ...] = ()
    adaptive: bool = False
    epsilons: tuple[float, ...] = EPSILONS
    budgets: tuple[float, ...] = BUDGETS
    classifier: bool = False

    def resolved(self) -> Options:
        """The options with names in place of patterns and defaults; ValueError or TypeError naming what is valid.

        NothingInstalled where none of the scalers is; scalers whose library is not installed are left out.
        """
        check_size(self.size)
        ratios = PAPER_RATIOS if self.ratios == ("paper",) else self.ratios
        for ratio in ratios:
            parse_ratio(ratio)
        for name in self.attacks:
            if name not in METHODS:
                raise ValueError(f"unknown attack {name!r}; valid attacks: {', '.join(METHODS)}")
        for name in self.defenses:
            get_defense(name)
        if isinstance(self.pairs, bool) or not isinstance(self.pairs, int) or self.pairs < 1:
            raise ValueError(f"pairs must be a whole number of at least 1, got {self.pairs!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed must be a whole number >= 0, got {self.seed!r}")
        for name, values, high in (("epsilons", self.epsilons, 255), ("budgets", self.budgets, 1)):
            if not values or not all(0 < value <= high for value in values) or list(values) != sorted(set(values)):
                raise ValueError(f"{name} must be rising numbers above 0 and up to {high}, got {values}")
        wanted = select(self.scalers or [name for name in DEFAULT_SCALERS if SCALERS[name].installed])
        chosen = [name for name in wanted if SCALERS[name].installed]
        if not chosen:
            modules = dict.fromkeys(SCALERS[name].module for name in wanted)
            raise NothingInstalled(f"nothing to evaluate: none of {', '.join(modules)} is installed")
        everything = {f.name: getattr(self, f.name) for f in fields(self)}
        everything |= {"scalers": tuple(chosen), "ratios": ratios, "defenses": self.defenses or tuple(DEFENSES)}
        return Options(**everything)


def settings(options: Options) -> dict[str, Any]:
    """``options.resolved()`` and all else that the records depend on, as JSON holds it; kept beside the records."""
    found: dict[str, Any] = asdict(options)
    found |= {"pictures": str(options.pictures) if options.pictures else "scikit-image"}
    found |= {"pictures_hash": fingerprint(options.pictures)}
    modules = dict.fromkeys(["numpy", "skimage", *(SCALERS[name].module for name in options.scalers)])
    found["versions"] = {module: _version(module) for module in modules}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


@lru_cache(maxsize=64)
def _version(module: str) -> str:
    """Of the distribution that ``module`` comes from; nothing is imported, for TensorFlow and torch get in each other's
    way."""
    if module == "secure_resize":
        from .. import __version__

        return __version__
    names = metadata.packages_distributions().get(module, ())
    return ", ".join(sorted(f"{name} {metadata.version(name)}" for name in dict.fromkeys(names))) or "not installed"


def plan(options: Options) -> list[Task]:
    """The tasks of ``options.resolved()``, in the order of their records: a library after the other."""
    names = picture_names(options.pictures)
    pairs = draw_pairs(names, options.pairs, seed=options.seed, ratios=options.ratios, size=options.size)
    work = {name: _attacks_on_scaler(options) for name in options.scalers}
    if options.adaptive:
        for kernel in options.defenses:
            if kernel in KERNELS:  # a robust scaler is attacked like any other, whatever it stands in for
                work.setdefault(f"secure_resize:{kernel}", ())
                work[f"secure_resize:{kernel}"] += _attacks_on_kernel(kernel)
    modules = dict.fromkeys(SCALERS[name].module for name in work)
    return [
        Task(pair, name, attacks)
        for module in modules
        for pair in pairs
        for name, attacks in work.items()
        if SCALERS[name].module == module and attacks
    ]


def _attacks_on_scaler(options: Options) -> tuple[Attack, ...]:
    attacks = [Attack(method, "scaler", None, options.defenses) for method in options.attacks]
    if options.adaptive:
        attacks += [
            Attack(name, attack.defense + KNOWS_KEY * replays, budget, (attack.defense,))
            for name, attack in ADAPTIVE.items()
            if attack.defense in options.defenses
            for replays in [name == "replay"]
            for budget in (options.budgets[-1:] if replays else options.budgets)  # a replay knows no half measures
        ]
    return tuple(attacks)


def _attacks_on_kernel(kernel: str) -> tuple[Attack, ...]:
    own = [name for name in METHODS if name.startswith(f"{kernel}_")]  # area_l0, area_l1, area_l2
    return tuple(Attack(method, kernel, None, (kernel,)) for method in ["strong", "strong_rms", *own])
