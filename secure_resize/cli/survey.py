"""``secure-resize survey``: who is vulnerable on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from ..measure import survey as surveys
from .outcome import Exit, usage

__all__ = ["survey"]


def survey(
    *scalers: str,
    defaults: bool = False,
    ratios: Annotated[tuple[str, ...], Parameter(choices=tuple(surveys.RATIOS))] = tuple(surveys.RATIOS),
    format: Annotated[str, Parameter(choices=tuple(surveys.FORMATS))] = "table",
    plot: Path | None = None,
    decoders: bool = False,
) -> Exit:
    """See who is vulnerable on this machine: every library, every algorithm, several scaling ratios.

    Probes every resize that is installed here and prints its stealth gain in dB at each ratio. Exit code 0: all of them
    are robust, 1: some are not, 3: none is installed.

    Parameters
    ----------
    scalers
        Names or patterns such as 'opencv:*'; all of them by default.
    defaults
        Only what each library does by default.
    ratios
        Scaling ratios, source to output.
    format
        Of what is printed.
    plot
        Draw it into this PNG file.
    decoders
        Instead of resizes, decoders that scale while they decode (JPEG, JPEG 2000, WebP), which crafted files attack;
        names and patterns are theirs. Needs the extra 'jpeg'.
    """
    if decoders:
        return _decoders(scalers, format, "--defaults" if defaults else "--plot" if plot else "")
    with usage():
        names = surveys.select(scalers, defaults=defaults)
    with Console(stderr=True).status("probing") as status:
        rows, missing = surveys.measure(
            names,
            {ratio: surveys.RATIOS[ratio] for ratio in ratios},
            progress=lambda module: status.update(f"probing {module}"),
        )
    if not rows:
        raise surveys.NothingInstalled(f"none of {', '.join(missing)} is installed")
    if plot:
        from ..measure.plots import plot_survey

        plot_survey(rows, plot)
    print(surveys.FORMATS[format](rows, missing))
    return Exit.CLEAN if all(row.robust for row in rows) else Exit.FINDINGS


def _decoders(patterns: tuple[str, ...], format: str, other: str) -> Exit:
    from ..attacks import decoders

    with usage():
        if other or format not in decoders.FORMATS:
            raise ValueError(f"--decoders goes with no {other or f'--format {format}'}")
        names = decoders.select_decoders(patterns)
    if importlib.util.find_spec("jpeglib") is None:
        raise ImportError("crafting JPEG files needs jpeglib: pip install 'secure-resize[jpeg]'")
    with Console(stderr=True).status("attacking") as status:
        rows, missing = decoders.measure_decoders(names, progress=lambda one: status.update(f"attacking {one}"))
    if not rows:
        raise surveys.NothingInstalled(f"none of {', '.join(missing)} is installed")
    print(decoders.FORMATS[format](rows, missing))
    return Exit.FINDINGS if any(row.verdict == "vulnerable" for row in rows) else Exit.CLEAN
