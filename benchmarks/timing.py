"""Fair timing on a shared machine: contenders take turns, medians of paired ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Contender = Callable[[], object]


def pin(core: int = 1) -> None:
    """Keep this process, and what it starts, on one core."""
    os.sched_setaffinity(0, {min(core, (os.cpu_count() or 1) - 1)})


def seconds(call: Contender, at_least: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds a call, from as many calls as take about ``at_least`` seconds."""
    call()  # whatever ran before has filled the caches with its own
    started = clock()
    call()
    once = clock() - started
    repeats = max(1, round(at_least / max(once, 1e-7)))
    started = clock()
    for _ in range(repeats):
        call()
    return (clock() - started) / repeats


def take_turns(
    timers: Mapping[str, Callable[[], float]], rounds: int, *, alternate: bool = False
) -> dict[str, list[float]]:
    """Each timer once a round, for ``rounds`` rounds: seconds by name, one a round.

    With ``alternate`` every other round runs backwards, so that none profits from always being the first.
    """
    results: dict[str, list[float]] = {name: [] for name in timers}
    for number in range(rounds):
        for name in reversed(timers) if alternate and number % 2 else timers:
            results[name].append(timers[name]())
    return results


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """The median over the rounds of slow / fast."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def geometric_mean(values: list[float]) -> float:
    """The geometric mean of positive numbers."""
    return statistics.geometric_mean(values)


def machine() -> str:
    """The processor's name as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
