"""``secure-resize survey``: who is vulnerable on this machine."""

from __future__ import annotations

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
    """
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
