"""What the records say: success rates with intervals, curves over the budget, and what is bad news."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..measure.scalers import SCALERS, load

__all__ = ["LEVEL", "Rate", "Result", "alarms", "feasible", "pooled", "summarise"]

Record = dict[str, Any]

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

    Rates are over the ``pairs`` that need hiding and for which the attack made an image, each pair counted once: an
    attack with several budgets succeeds if it does with any. ``alike`` pairs need no hiding, for ``failed`` ones no
    image was made; both are left out of the rates.
    """

    scaler: str
    version: str
    ratio: str
    attack: str
    against: str
    defense: str
    records: tuple[Record, ...]

    @cached_property
    def _by_pair(self) -> list[list[Record]]:
        pairs: dict[int, list[Record]] = {}
        for record in self.records:
            pairs.setdefault(record["pair"], []).append(record)
        return list(pairs.values())

    @cached_property
    def _counted(self) -> list[list[Record]]:
        """Of each pair that counts, the records that hold an image."""
        made = ([r for r in group if not r["error"]] for group in self._by_pair if group[0]["needs_hiding"])
        return [group for group in made if group]

    @property
    def pairs(self) -> int:
        """Pairs that the rates are over."""
        return len(self._counted)

    @property
    def alike(self) -> int:
        """Pairs that need no hiding."""
        return sum(not group[0]["needs_hiding"] for group in self._by_pair)

    @property
    def failed(self) -> int:
        """Pairs that need hiding for which the attack made no image at any budget."""
        return len(self._by_pair) - self.alike - self.pairs

    def rate(self, name: str) -> Rate:
        """The pairs for which the flag ``name`` (``"reached"``, ``"success"``, ``"certified"``...) is set."""
        return Rate.of(any(record[name] for record in group) for group in self._counted)

    def success_at(self, psnr_source: float) -> Rate:
        """The pairs for which the target was reached (O1) with an attack image of at least ``psnr_source`` dB."""
        return Rate.of(best >= psnr_source for best in self._best)

    @property
    def success_far(self) -> Rate:
        """S1 over the pairs that a blend of both pictures does not solve; see :mod:`.verdicts`."""
        far = [group for group in self._counted if not group[0]["near"]]
        return Rate.of(any(record["success"] for record in group) for group in far)

    @property
    def success_possible(self) -> Rate:
        """S1 over the pairs for which it is not proved impossible; those of a defense without a proof all count."""
        open_ = [group for group in self._counted if not group[0]["certified"]]
        return Rate.of(any(record["success"] for record in group) for group in open_)

    @cached_property
    def _best(self) -> list[float]:
        """Of each pair the highest PSNR to the source with which its target was reached; minus infinity for none."""
        return [max((r["psnr_source"] for r in group if r["reached"]), default=-np.inf) for group in self._counted]

    def median(self, name: str) -> float | None:
        """The median of a figure over all records that count; None of nothing."""
        values = [record[name] for group in self._counted for record in group if record.get(name) is not None]
        return round(float(np.median(values)), 4) if values else None

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
        budgets = sorted({r["budget"] for group in self._counted for r in group if r["budget"] is not None})
        flat = [record for group in self._counted for record in group]
        return [
            (
                budget,
                Rate.of(record["reached"] for record in flat if record["budget"] == budget),
                Rate.of(record["success"] for record in flat if record["budget"] == budget),
            )
            for budget in budgets
        ]

    def seen(self, field: str, what: str) -> Rate | None:
        """How often the classifier saw ``"target"``, ``"source"`` or ``"other"`` in ``seen_as`` or ``clean_seen_as``.

        Over the same pairs; with budgets, the records of the largest. None where no classifier was asked.
        """
        last = [max(group, key=lambda record: record["budget"] or 0.0) for group in self._counted]
        if not last or field not in last[0]:
            return None
        return Rate.of(record[field] == what for record in last)

    def figures(self) -> dict[str, Any]:
        """Everything as plain numbers by name."""
        rates = {
            "reached": self.rate("reached"),
            "success": self.rate("success"),
            "success_20": self.success_at(20.0),
            "success_25": self.success_at(25.0),
            "success_far": self.success_far,
            "success_possible": self.success_possible,
            "local_success": self.rate("local_success"),
            "certified": self.rate("certified"),
            "seen_target": self.seen("seen_as", "target"),
            "seen_source": self.seen("seen_as", "source"),
            "clean_seen_source": self.seen("clean_seen_as", "source"),
        }
        names = ("scaler", "version", "ratio", "attack", "against", "defense", "pairs", "alike", "failed")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name, rate in rates.items():
            low, high = (rate.interval if rate else None) or (None, None)
            found |= {name: rate.share if rate else None, f"{name}_low": low, f"{name}_high": high}
        found |= {
            f"median_{name}": self.median(name)
            for name in ("psnr_source", "psnr_target", "psnr_clean", "ssim_source", "ssim_target", "gain_db")
        }
        found["broken_certificates"] = sum(bool(record.get("broken_certificate")) for record in self.records)
        return found


def summarise(records: Sequence[Record]) -> list[Result]:
    """The records by scaler, ratio, attack, what it knows of, and defense, in the order in which they first come."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    names = ("scaler", "version", "ratio", "attack", "against", "defense")
    for record in records:
        groups.setdefault(tuple(str(record[name]) for name in names), []).append(record)
    return [Result(**dict(zip(names, key, strict=True)), records=tuple(group)) for key, group in groups.items()]


def pooled(results: Sequence[Result]) -> list[Result]:
    """All ratios of one scaler, attack and defense as one, whose ``ratio`` is ``"all"``."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for one in results:
        groups.setdefault((one.scaler, one.version, one.attack, one.against, one.defense), []).append(one)
    return [
        replace(group[0], ratio="all", records=tuple(record for one in group for record in one.records))
        for group in groups.values()
    ]


def feasible(results: Sequence[Result]) -> list[Result]:
    """Undefended, all ratios from ``Scaler.feasible_from`` on as one: a result a scaler and attack.

    Their ``ratio`` says from where on. What counts is the ratio of each pair, whatever bin it was drawn from.
    """
    found = []
    for result in pooled([one for one in results if (one.against, one.defense) == ("scaler", "none")]):
        least = SCALERS[result.scaler].feasible_from
        far = tuple(r for r in result.records if min(np.divide(r["in_size"], r["out_size"])) >= least)
        if far:
            found.append(replace(result, ratio=f"from {least:g}", records=far))
    return found


def alarms(records: Sequence[Record]) -> list[str]:
    """What must never happen, in words: an attack that was proved impossible, the default showing a hidden picture.

    The latter leaves out *near* pairs, of which :mod:`.verdicts` says why.
    """
    found = []
    for record in records:
        where = (
            f"{record['attack']} on {record['against']} through {record['defense']} ({record['scaler']}), pair "
            f"{record['pair']}: {record['target']} in {record['source']}"
        )
        if record.get("broken_certificate"):
            found.append(
                f"CERTIFICATE BROKEN, {where}: {record['psnr_source']:.2f} dB to the source, at most "
                f"{min(record['bound_db'], record['certified_db'] if record['success'] else np.inf):.2f} are possible"
            )
        elif record["defense"] == "area" and record.get("success") and record["needs_hiding"] and not record["near"]:
            found.append(f"HIDDEN PICTURE SHOWN, {where}: {record['psnr_target']:.2f} dB to the target")
    return found
