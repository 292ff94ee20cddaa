"""What the records say: success rates with intervals, curves over the budget, and what is bad news."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from ..measure.scalers import SCALERS, load
from .records import Record, Verdict

__all__ = ["LEVEL", "Rate", "Result", "alarms", "feasible", "pooled", "summarise"]

# Of the intervals, which are exact: Clopper & Pearson, Biometrika 26(4), 1934.
LEVEL = 0.95
# PSNR of attack image and source, in dB, at which the curves are read off.
VISIBILITY = tuple(range(60, -1, -1))


@dataclass(frozen=True)
class Rate:
    """``count`` of ``total``."""

    count: int
    total: int

    @classmethod
    def of(cls, flags: Iterable[bool]) -> Rate:
        """How many of ``flags`` are set."""
        kept = [bool(flag) for flag in flags]
        return cls(sum(kept), len(kept))

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None of nothing."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The exact two-sided interval of ``LEVEL``; None of nothing. Needs SciPy."""
        return _interval(self.count, self.total) if self.total else None

    def __str__(self) -> str:
        if self.interval is None or self.share is None:
            return "-"
        low, high = (f"{100 * end:.3g}" for end in self.interval)
        return f"{100 * self.share:.1f} [{low}, {high}]"


@lru_cache(maxsize=4096)
def _interval(count: int, total: int) -> tuple[float, float]:
    found = load("scipy.stats").binomtest(count, total).proportion_ci(LEVEL, method="exact")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Result:
    """One attack on one scaler at one ratio through one defense; its records, and what they come to.

    ``knows`` and ``told_key`` as in :class:`.Record`. Rates are over the ``pairs`` that need hiding and for which the
    attack made an image, each pair counted once: an attack with several budgets succeeds if it does with any. ``alike``
    pairs need no hiding, for ``failed`` ones no image was made; both are left out of the rates.
    """

    scaler: str
    version: str
    ratio: str
    attack: str
    knows: str
    told_key: bool
    defense: str
    records: tuple[Record, ...]

    @cached_property
    def _by_pair(self) -> list[list[Record]]:
        pairs: dict[int, list[Record]] = {}
        for record in self.records:
            pairs.setdefault(record.pair, []).append(record)
        return list(pairs.values())

    @cached_property
    def _counted(self) -> list[list[tuple[Record, Verdict]]]:
        """Of each pair that counts, the records that hold an image."""
        made = (
            [(record, record.verdict) for record in group if record.verdict is not None]
            for group in self._by_pair
            if group[0].distance.needs_hiding
        )
        return [group for group in made if group]

    @property
    def pairs(self) -> int:
        """Pairs that the rates are over."""
        return len(self._counted)

    @property
    def alike(self) -> int:
        """Pairs that need no hiding."""
        return sum(not group[0].distance.needs_hiding for group in self._by_pair)

    @property
    def failed(self) -> int:
        """Pairs that need hiding for which the attack made no image at any budget."""
        return len(self._by_pair) - self.alike - self.pairs

    def _rate(self, flag: Callable[[Verdict], bool], counts: Callable[[Record, Verdict], bool] | None = None) -> Rate:
        """The pairs with a verdict of which ``flag`` holds; of those whose first record ``counts``."""
        groups = [group for group in self._counted if counts is None or counts(*group[0])]
        return Rate.of(any(flag(verdict) for _, verdict in group) for group in groups)

    @property
    def reached(self) -> Rate:
        """O1."""
        return self._rate(lambda verdict: verdict.reached)

    @property
    def success(self) -> Rate:
        """S1."""
        return self._rate(lambda verdict: verdict.success)

    @property
    def local_success(self) -> Rate:
        """Some 5×5 block of outputs moved by 64 levels, with 30 dB to the source."""
        return self._rate(lambda verdict: verdict.local_success)

    @property
    def certified(self) -> Rate:
        """The pairs for which S1 is proved impossible."""
        return self._rate(lambda verdict: verdict.certified)

    def success_at(self, psnr_source: float) -> Rate:
        """The pairs for which the target was reached (O1) with an attack image of at least ``psnr_source`` dB."""
        return Rate.of(best >= psnr_source for best in self._best)

    @property
    def success_far(self) -> Rate:
        """S1 over the pairs that a blend of both pictures does not solve; see :mod:`.verdicts`."""
        return self._rate(lambda verdict: verdict.success, lambda record, _: not record.distance.near)

    @property
    def success_possible(self) -> Rate:
        """S1 over the pairs for which it is not proved impossible; those of a defense without a proof all count."""
        return self._rate(lambda verdict: verdict.success, lambda _, verdict: not verdict.certified)

    @cached_property
    def _best(self) -> list[float]:
        """Of each pair the highest PSNR to the source with which its target was reached; minus infinity for none."""
        return [
            max((verdict.psnr_source for _, verdict in group if verdict.reached), default=-np.inf)
            for group in self._counted
        ]

    def median(self, figure: Callable[[Record, Verdict], float | None]) -> float | None:
        """The median of a figure over all records that count; None of nothing."""
        found = (figure(record, verdict) for group in self._counted for record, verdict in group)
        values = [value for value in found if value is not None]
        return round(float(np.median(values)), 4) if values else None

    @property
    def median_share(self) -> float | None:
        """The median share of the target that the output shows; None of nothing."""
        return self.median(lambda _, verdict: verdict.share)

    @property
    def median_best(self) -> float | None:
        """The median PSNR to the source over the pairs whose target was reached, each at its best; None of nothing."""
        found = [best for best in self._best if best > -np.inf]
        return float(np.median(found)) if found else None

    def visibility_curve(self) -> list[tuple[float, float]]:
        """(x, the share of pairs that the attack reaches at x dB to the source or better), x falling."""
        return [(float(x), self.success_at(x).share or 0.0) for x in VISIBILITY]

    def budget_curve(self) -> list[tuple[float, Rate, Rate]]:
        """(share of the window changed, O1, S1) for attacks that have a budget."""
        by_budget: dict[float, list[Verdict]] = {}
        for group in self._counted:
            for record, verdict in group:
                if record.budget is not None:
                    by_budget.setdefault(record.budget, []).append(verdict)
        return [
            (
                budget,
                Rate.of(verdict.reached for verdict in by_budget[budget]),
                Rate.of(verdict.success for verdict in by_budget[budget]),
            )
            for budget in sorted(by_budget)
        ]

    def seen(self, what: str, *, clean: bool = False) -> Rate | None:
        """How often the classifier saw ``"target"``, ``"source"`` or ``"other"``, or sees it of the ``clean`` output.

        Over the same pairs; with budgets, the records of the largest. None where no classifier was asked.
        """
        last = [max(group, key=lambda judged: judged[0].budget or 0.0)[0].seen for group in self._counted]
        asked = [seen for seen in last if seen is not None]
        if not asked:
            return None
        return Rate.of((seen.clean_seen_as if clean else seen.seen_as) == what for seen in asked)

    def figures(self) -> dict[str, float | str | None]:
        """Everything as plain numbers by name."""
        rates = {
            "reached": self.reached,
            "success": self.success,
            "success_20": self.success_at(20.0),
            "success_25": self.success_at(25.0),
            "success_far": self.success_far,
            "success_possible": self.success_possible,
            "local_success": self.local_success,
            "certified": self.certified,
            "seen_target": self.seen("target"),
            "seen_source": self.seen("source"),
            "clean_seen_source": self.seen("source", clean=True),
        }
        names = ("scaler", "version", "ratio", "attack", "knows", "told_key", "defense", "pairs", "alike", "failed")
        found: dict[str, float | str | None] = {name: getattr(self, name) for name in names}
        for name, rate in rates.items():
            low, high = (rate.interval if rate else None) or (None, None)
            found |= {name: rate.share if rate else None, f"{name}_low": low, f"{name}_high": high}
        found |= {f"median_{name}": self.median(figure) for name, figure in FIGURES.items()}
        found["broken_certificates"] = sum(bool(r.verdict and r.verdict.broken_certificate) for r in self.records)
        return found


# Of which medians are written.
FIGURES: dict[str, Callable[[Record, Verdict], float | None]] = {
    "psnr_source": lambda _, verdict: verdict.psnr_source,
    "psnr_target": lambda _, verdict: verdict.psnr_target,
    "psnr_clean": lambda _, verdict: verdict.psnr_clean,
    "psnr_source_luma": lambda _, verdict: verdict.psnr_source_luma,
    "psnr_target_luma": lambda _, verdict: verdict.psnr_target_luma,
    "share": lambda _, verdict: verdict.share,
    "ssim_source": lambda record, _: record.made.ssim_source if record.made else None,
    "ssim_target": lambda _, verdict: verdict.ssim_target,
    "gain_db": lambda _, verdict: verdict.gain_db,
}


def summarise(records: Sequence[Record]) -> list[Result]:
    """The records by scaler, ratio, attack, what it knows of, and defense, in the order in which they first come."""
    groups: dict[tuple[str, str, str, str, str, bool, str], list[Record]] = {}
    for one in records:
        key = one.scaler, one.version, one.ratio, one.attack, one.knows, one.told_key, one.defense
        groups.setdefault(key, []).append(one)
    return [Result(*key, records=tuple(group)) for key, group in groups.items()]


def pooled(results: Sequence[Result]) -> list[Result]:
    """All ratios of one scaler, attack and defense as one, whose ``ratio`` is ``"all"``."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for one in results:
        key = one.scaler, one.version, one.attack, one.knows, one.told_key, one.defense
        groups.setdefault(key, []).append(one)
    return [
        replace(group[0], ratio="all", records=tuple(record for one in group for record in one.records))
        for group in groups.values()
    ]


def feasible(results: Sequence[Result]) -> list[Result]:
    """Undefended, all ratios from ``Scaler.feasible_from`` on as one: a result a scaler and attack.

    Their ``ratio`` says from where on. What counts is the ratio of each pair, whatever bin it was drawn from.
    """
    found = []
    for result in pooled([one for one in results if (one.knows, one.defense) == ("", "none")]):
        least = SCALERS[result.scaler].feasible_from
        far = tuple(r for r in result.records if min(np.divide(r.in_size, r.out_size)) >= least)
        if far:
            found.append(replace(result, ratio=f"from {least:g}", records=far))
    return found


def alarms(records: Sequence[Record]) -> list[str]:
    """What must never happen, in words: an attack that was proved impossible, the default showing a hidden picture.

    The latter leaves out *near* pairs, of which :mod:`.verdicts` says why.
    """
    found = []
    for record in records:
        verdict, apart = record.verdict, record.distance
        if verdict is None:
            continue
        where = (
            f"{record.attack} on {record.knows or 'the scaler'} through {record.defense} ({record.scaler}), pair "
            f"{record.pair}: {record.target} in {record.source}"
        )
        if verdict.broken_certificate:
            most = [verdict.bound_db, verdict.certified_db if verdict.success else None]
            what = "ESTIMATED BOUND" if verdict.is_estimate else "CERTIFICATE"
            found.append(
                f"{what} BROKEN, {where}: {verdict.psnr_source:.2f} dB to the source, at most "
                f"{min(one for one in most if one is not None):.2f} are possible"
            )
        elif record.defense == "area" and verdict.success and apart.needs_hiding and not apart.near:
            found.append(f"HIDDEN PICTURE SHOWN, {where}: {verdict.psnr_target:.2f} dB to the target")
    return found
