"""What a scaler's coefficient matrices prove about every attack on it, in closed form.

For scale(X) = L · X · Rᵀ with N source and n output pixels, every source change δ and the output change t it causes
obey RMS(t) ≤ G · RMS(δ), with G = σmax(L) · σmax(R) · √(N/n). The *stealth gain* 20·log₁₀ G is how much quieter an
attack may be in the source than its effect is in the output. A scaler that keeps constants has at least 0 dB. Cutting
values off to [0, 255] and everything else that never increases a difference keeps the bound; rounding adds its levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.operator import AxisOperator, ScalingOperator

__all__ = ["VERDICTS", "Exposure", "exposure"]

# Verdict: the stealth gain in dB (two axes together) from which on it holds.
VERDICTS = {"robust": -math.inf, "weak": 1.0, "vulnerable": 3.0}


@dataclass(frozen=True)
class Exposure:
    """What an operator gives away. Figures are for both axes together; ``±`` figures are five standard deviations.

    ``stealth_gain_db`` ± ``uncertainty_db``: see the module. ``influence``: levels by which one source pixel, changed
    by 255, moves one output at most. ``coverage``: the share of source pixels that any output reads. Coverage is not
    safety: a filter may read all and weigh few. ``effective_support``: how many source pixels an output really
    averages, mean of (Σ|w|)²/Σw². ``linf_gain``: levels that an output moves at most when every source pixel may move
    by one. ``in_size`` and ``out_size`` are (height, width).
    """

    stealth_gain_db: float
    uncertainty_db: float
    influence: float
    coverage: float
    effective_support: float
    linf_gain: float
    in_size: tuple[int, int]
    out_size: tuple[int, int]

    @property
    def verdict(self) -> str:
        """``robust`` below 1 dB of stealth gain, ``weak`` below 3 dB, else ``vulnerable``."""
        return [name for name, lowest in VERDICTS.items() if self.stealth_gain_db >= lowest][-1]

    @property
    def doubtful(self) -> bool:
        """Whether the uncertainty reaches across a verdict's limit."""
        return any(abs(self.stealth_gain_db - lowest) <= self.uncertainty_db for lowest in VERDICTS.values())

    def __str__(self) -> str:
        return "\n".join(f"{name:18} {value}" for name, value in self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """The figures by name, formatted with their units."""
        read = self.in_size[0] * self.in_size[1] / (self.out_size[0] * self.out_size[1])
        return [
            ("verdict", self.verdict + (" (within the uncertainty of another)" if self.doubtful else "")),
            ("stealth gain", f"{self.stealth_gain_db + 0.0:.2f} ± {self.uncertainty_db:.2f} dB"),
            ("influence", f"{self.influence:.1f} of 255 levels"),
            ("coverage", f"{100 * self.coverage:.1f} % of the source pixels"),
            (
                "effective support",
                f"{self.effective_support:.1f} pixels an output ({read:.1f} source pixels an output)",
            ),
            ("L∞ gain", f"{self.linf_gain:.3f}"),
        ]


def exposure(operator: ScalingOperator) -> Exposure:
    """What ``operator`` gives away, with the uncertainty of a probed one.

    >>> import secure_resize as sr
    >>> sr.exposure(sr.scaling_operator((400, 400), (224, 224), "area")).verdict
    'robust'
    """
    axes = (operator.rows, operator.cols)
    gain = error = 0.0
    influence, coverage, support, linf = 255.0, 1.0, 1.0, 1.0
    for axis, std in zip(axes, _weight_std(operator), strict=True):
        norm = axis.norm
        gain += 20 * math.log10(norm * math.sqrt(axis.ratio)) if norm else -math.inf
        error += _norm_error_db(axis, norm, std)
        size = np.abs(axis.weights)
        total, square = size.sum(axis=1), (size**2).sum(axis=1)
        influence *= float(size.max())
        coverage *= float(axis.read(5 * std).mean())
        support *= float((total[square > 0] ** 2 / square[square > 0]).mean()) if square.any() else 0.0
        linf *= float(total.max())
    return Exposure(gain, error, influence, coverage, support, linf, operator.in_size, operator.out_size)


def _weight_std(operator: ScalingOperator) -> tuple[float, float]:
    return operator.provenance.weight_std if operator.provenance else (0.0, 0.0)


def _norm_error_db(axis: AxisOperator, norm: float, std: float) -> float:
    """By how much weights with independent errors of deviation ``std`` may have shifted σmax, in dB.

    First order: uᵀEv of a unit pair has deviation ``std``, and the largest of many such pairs stays within five.
    Second order: ‖E‖²/σ, where ‖E‖ of a band with k entries a row and c a column is near std·(√k + √c).
    """
    if not std:
        return 0.0
    per_column = max(1.0, axis.width / max(axis.ratio, 1e-9))
    noise = std * (math.sqrt(axis.width) + math.sqrt(per_column))
    return 20 * math.log10(1 + (5 * std + noise**2 / norm) / norm) if norm else 0.0
