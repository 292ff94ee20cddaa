"""The stealth gain of a call that was seen: of its library, flags and sizes.

Filters of a fixed width and our own kernels have closed forms, which need no library and take no time. Everything else
is probed as it is installed here, after the traced script has ended.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from ...core.operator import ScalingOperator, scaling_operator
from ...measure.exposure import exposure
from ...measure.probe import ProbeError, probe
from ...measure.sampling import sampled_axis
from ...measure.scalers import SCALERS
from .live.hook import Hook

__all__ = ["Gain", "Gains"]

Size = tuple[int, int]

# Probing takes seconds at most for pictures of so many pixels; for larger ones both sizes are divided alike.
_PIXELS = 500_000
# What a graph does not tell is taken to be this ratio: of a photograph of 900 pixels and a network of 224.
_RATIO = 4
_SMALLEST = 8


@dataclass(frozen=True)
class Gain:
    """``stealth_gain_db`` None: not measured, for the reason that ``how`` says."""

    stealth_gain_db: float | None
    verdict: str
    how: str
    in_size: Size | None = None
    out_size: Size | None = None


@dataclass
class Gains:
    """Measures each (call, flags, sizes) once. ``seconds``: after that much time no more is probed."""

    seconds: float = 60.0
    spent: float = 0.0
    known: dict[Any, Gain] = field(default_factory=dict)

    def of(self, hook: Hook, options: tuple[Any, ...], in_size: Any, out_size: Any) -> Gain:
        """The gain of one call; sizes that a graph left open are None."""
        key = (hook.name, options, tuple(in_size), tuple(out_size))
        if key not in self.known:
            self.known[key] = self._measured(hook, options, *key[2:])
        return self.known[key]

    def _measured(self, hook: Hook, options: tuple[Any, ...], in_size: Any, out_size: Any) -> Gain:
        began = time.monotonic()
        try:
            return self._decided(hook, options, in_size, out_size)
        finally:
            self.spent += time.monotonic() - began

    def _decided(self, hook: Hook, options: tuple[Any, ...], in_size: Any, out_size: Any) -> Gain:
        _, scaler, kind = hook.describe(*options)
        if kind == "decode":
            factor = int(options[0])
            if factor == 1:
                return Gain(None, "vulnerable", "decodes by a transform that wraps round on extreme coefficients")
            verdict = "vulnerable" if factor >= 4 else "weak"
            return Gain(None, verdict, f"scales by {factor} before it clips: coefficients that no pixels have steer it")
        open_sizes = None in (*in_size, *out_size)
        if open_sizes and kind == "warp":
            return Gain(None, "unknown", "whether it shrinks is not known in the graph")
        if open_sizes:
            out_size = tuple(n or 224 for n in out_size)
            in_size = tuple(n or _RATIO * m for n, m in zip(in_size, out_size, strict=True))
        note = f"at an assumed {_RATIO}:1" if open_sizes else ""
        try:
            found = self._gain(hook, options, scaler, kind, in_size, out_size, note)
        except (ProbeError, ImportError, ValueError, TypeError, RuntimeError) as error:
            return Gain(None, "unknown", f"not measured: {error}", in_size, out_size)
        return found

    def _gain(
        self, hook: Hook, options: tuple[Any, ...], scaler: str, kind: str, in_size: Size, out_size: Size, note: str
    ) -> Gain:
        operator = _closed_form(scaler, in_size, out_size)
        how = "closed form"
        if operator is None:
            in_size, out_size, divided = _divided(in_size, out_size)
            if self.spent > self.seconds:
                raise ProbeError(f"probing took more than {self.seconds:g} seconds")
            operator = self._probed(hook, options, scaler, in_size, out_size)
            how = "probed" + f" at 1/{divided} of the sizes" * (divided > 1)
        if kind == "warp":
            how += ", an estimate by its steps"
        found = exposure(operator)
        return Gain(found.stealth_gain_db + 0.0, found.verdict, ", ".join(filter(None, (how, note))), in_size, out_size)

    def _probed(
        self, hook: Hook, options: tuple[Any, ...], scaler: str, in_size: Size, out_size: Size
    ) -> ScalingOperator:
        if scaler in SCALERS:
            return probe(scaler, in_size, out_size)
        if hook.again is None:
            raise ProbeError(f"no scaler {scaler!r} is registered" if scaler else "it is none of the scalers")
        return probe(hook.again(in_size, out_size, *options), in_size, out_size, dtype="uint8", layout="HWC")


# torch's antialiased filters are Pillow's, which are ours; its documentation says so, and tests/test_trace.py asks it.
_AS_PILLOW = {
    f"{library}:{name}+antialias": name for library in ("torch", "torchvision") for name in ("bilinear", "bicubic")
}


def _closed_form(scaler: str, in_size: Size, out_size: Size) -> ScalingOperator | None:
    known = SCALERS.get(scaler)
    shrinks = all(m <= n for n, m in zip(in_size, out_size, strict=True))
    if known is None:
        return None
    if known.sampling is not None:
        rows, cols = (sampled_axis(known.sampling, n, m).operator for n, m in zip(in_size, out_size, strict=True))
        return ScalingOperator(rows, cols)
    if kernel := known.kernel or _AS_PILLOW.get(scaler):
        return scaling_operator(in_size, out_size, kernel)  # type: ignore[arg-type]
    if scaler == "opencv:area" and shrinks:  # the exact mean; see no-area in DEVIATIONS for the rest
        return scaling_operator(in_size, out_size, "area")
    return None


def _divided(in_size: Size, out_size: Size) -> tuple[Size, Size, int]:
    """Both sizes divided by the least whole number that makes probing quick, at nearly the same ratios."""
    by = max(1, math.ceil(math.sqrt(math.prod(in_size) / _PIXELS)))
    if by == 1:
        return in_size, out_size, 1
    small = tuple(max(_SMALLEST, round(m / by)) if m >= _SMALLEST else m for m in out_size)
    large = tuple(max(1, round(s * n / m)) for s, n, m in zip(small, in_size, out_size, strict=True))
    return large, small, by  # type: ignore[return-value]
