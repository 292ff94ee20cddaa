"""``secure-resize evaluate``: the paper's experiments, on the libraries that are installed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import evaluate as evaluation
from ..attacks import METHODS
from .arguments import Size
from .outcome import Exit, usage

__all__ = ["evaluate"]


@dataclass(frozen=True)
class Asked(evaluation.Options):
    """The options as the command line takes them: sizes as HxW, names out of lists."""

    size: Size = evaluation.Options.size
    attacks: Annotated[tuple[str, ...], Parameter(choices=tuple(METHODS))] = evaluation.Options.attacks
    defenses: Annotated[tuple[str, ...], Parameter(choices=tuple(evaluation.DEFENSES))] = ()


def evaluate(
    *,
    asked: Annotated[Asked, Parameter(name="*")] = Asked(),
    jobs: int = os.cpu_count() or 1,
    out: Path = Path("secure-resize-evaluation"),
    format: Annotated[str, Parameter(choices=tuple(evaluation.FORMATS))] = "table",
    plot: bool = False,
) -> Exit:
    """Attack pairs of photographs through every scaler and every defense, and count what succeeds.

    Hides one photograph in another, for many pairs, and runs the attack images through the scalers and the defenses. A
    run that was interrupted goes on where it stopped, with the same options and --out. Exit code 1: an attack did what
    was proved impossible, or the default resize showed a hidden picture.

    Parameters
    ----------
    jobs
        Processes; all cores by default. 0: this one.
    out
        The folder for records and summaries.
    format
        Of what is printed.
    plot
        Draw success.png and curves.png into --out.
    """
    with usage():
        if jobs < 0:
            raise ValueError(f"--jobs must be a number of processes, or 0 for this one; got {jobs}")
        asked.resolved()
    try:
        records = evaluation.evaluate(asked, out, jobs=jobs, progress=sys.stderr.isatty())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what is done is kept in {out}, and the same command goes on") from None
    results = evaluation.summarise(records)
    if plot:
        evaluation.plot_heat(results, out / "success.png")
        evaluation.plot_curves(results, out / "curves.png")
    settings = evaluation.described(asked, out)
    for name, form in evaluation.FORMATS.items():
        if name != "table":
            text = form(results, settings) + "\n"
            (out / f"summary.{evaluation.SUFFIXES[name]}").write_text(text, "utf-8", errors="backslashreplace")
    print(evaluation.FORMATS[format](results, settings))
    found = evaluation.alarms(records)
    for line in found:
        print(line, file=sys.stderr)
    return Exit.FINDINGS if found else Exit.CLEAN
