"""What an evaluation runs: its options, and the jobs that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..attacks import ADAPTIVE, METHODS
from ..measure.scalers import SCALERS
from ..measure.survey import NothingInstalled, select
from ..scaling import check_size
from .defenses import DEFENSES
from .pairs import PAPER_RATIOS, Pair, draw_pairs, fingerprint, parse_ratio, picture_names

__all__ = ["DEFAULT_SCALERS", "EPSILONS", "Attack", "Job", "Options", "Settings", "jobs_of"]

# What OpenCV, TensorFlow and torch do unless they are asked for something else.
DEFAULT_SCALERS = ("opencv:linear", "tensorflow:bilinear", "torch:nearest")
# Levels by which the scaled attack image may miss the target, the paper's 1 to 50: an attack takes the first with which
# it meets both goals. 14.2 levels off everywhere are still 25 dB, after rounding too.
EPSILONS = (1.0, 2.0, 5.0, 10.0, 14.2, 20.0, 50.0)


@dataclass(frozen=True)
class Attack:
    """An attack to craft: ``method`` by someone who ``knows`` the defense of that name, or ``""`` for none.

    ``told_key``: the attacker has the defense's secret as well. ``budget`` is that of an attack on image
    reconstruction, else None. The attack image is run through each of ``defenses``.
    """

    method: str
    knows: str
    told_key: bool
    budget: float | None
    defenses: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One pair and one scaler, with the attacks to craft: what a worker does at a time."""

    pair: Pair
    scaler: str
    attacks: tuple[Attack, ...]

    def keys(self) -> list[tuple[object, ...]]:
        """The keys of its records, in their order."""
        return [
            (self.pair.index, self.scaler, attack.method, attack.knows, attack.told_key, attack.budget, defense)
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
        Of the attacks on reconstruction: shares of a window's unread pixels, or of the way to the target. By default
        each attack's own.
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
    budgets: tuple[float, ...] = ()
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
            METHODS[name]
        for name in self.defenses:
            DEFENSES[name]
        if isinstance(self.pairs, bool) or not isinstance(self.pairs, int) or self.pairs < 1:
            raise ValueError(f"pairs must be a whole number of at least 1, got {self.pairs!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed must be a whole number >= 0, got {self.seed!r}")
        for name, values, high in (("epsilons", self.epsilons, 255), ("budgets", self.budgets, 1)):
            if not all(0 < value <= high for value in values) or list(values) != sorted(set(values)):
                raise ValueError(f"{name} must be rising numbers above 0 and up to {high}, got {values}")
        if not self.epsilons:
            raise ValueError("epsilons must hold at least one number of levels")
        wanted = select(self.scalers or [name for name in DEFAULT_SCALERS if SCALERS[name].installed])
        chosen = [name for name in wanted if SCALERS[name].installed]
        if not chosen:
            modules = dict.fromkeys(SCALERS[name].module for name in wanted)
            raise NothingInstalled(f"nothing to evaluate: none of {', '.join(modules)} is installed")
        return Options(
            **{field.name: getattr(self, field.name) for field in fields(Options)}
            | {"scalers": tuple(chosen), "ratios": tuple(ratios), "defenses": self.defenses or tuple(DEFENSES)}
        )


@dataclass(frozen=True)
class Settings:
    """``Options.resolved()`` and all else that the records depend on; kept beside them.

    ``pictures_hash`` of all pictures' names and bytes; ``versions`` by module; ``accuracy`` of the classifier, by test,
    or None.
    """

    options: Options
    pictures_hash: str
    versions: dict[str, str]
    accuracy: dict[str, float] | None = None

    @classmethod
    def of(cls, options: Options) -> Settings:
        """Those of ``options.resolved()``."""
        modules = dict.fromkeys(["numpy", "skimage", *(SCALERS[name].module for name in options.scalers)])
        return cls(options, fingerprint(options.pictures), {module: _version(module) for module in modules})

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, all side by side."""
        found = asdict(self)
        flat = found.pop("options") | found
        flat["pictures"] = str(self.options.pictures) if self.options.pictures else "scikit-image"
        return {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}


@lru_cache(maxsize=64)
def _version(module: str) -> str:
    """Of the distribution that ``module`` comes from; nothing is imported, for TensorFlow and torch get in each other's
    way."""
    if module == "secure_resize":
        from .. import __version__

        return __version__
    names = metadata.packages_distributions().get(module, ())
    return ", ".join(sorted(f"{name} {metadata.version(name)}" for name in dict.fromkeys(names))) or "not installed"


def jobs_of(options: Options) -> list[Job]:
    """The jobs of ``options.resolved()``, in the order of their records: a library after the other."""
    names = picture_names(options.pictures)
    pairs = draw_pairs(names, options.pairs, seed=options.seed, ratios=options.ratios, size=options.size)
    work = {name: _attacks_on_scaler(options) for name in options.scalers}
    if options.adaptive:
        ours = {scaler.kernel: name for name, scaler in SCALERS.items() if scaler.ours}
        for name in options.defenses:
            kernel = DEFENSES[name].kernel
            if kernel:  # a robust scaler is attacked like any other, whatever it stands in for
                work[ours[kernel]] = work.get(ours[kernel], ()) + _attacks_on_kernel(kernel, name)
    modules = dict.fromkeys(SCALERS[name].module for name in work)
    return [
        Job(pair, name, attacks)
        for module in modules
        for pair in pairs
        for name, attacks in work.items()
        if SCALERS[name].module == module and attacks
    ]


def _attacks_on_scaler(options: Options) -> tuple[Attack, ...]:
    attacks = [Attack(method, "", False, None, options.defenses) for method in options.attacks]
    if options.adaptive:
        for attack in ADAPTIVE.values():
            # An attack with one budget ignores it.
            budgets = options.budgets if options.budgets and len(attack.budgets) > 1 else attack.budgets
            for name in options.defenses:
                if DEFENSES[name].reconstruction == attack.knows:
                    attacks += [Attack(attack.name, name, attack.told_key, budget, (name,)) for budget in budgets]
    return tuple(attacks)


def _attacks_on_kernel(kernel: str, defense: str) -> tuple[Attack, ...]:
    own = [method.name for method in METHODS.values() if kernel in method.kernels]
    return tuple(Attack(method, defense, False, None, (defense,)) for method in own)
