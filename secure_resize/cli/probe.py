"""``secure-resize probe``: what a resize gives away to an attacker."""

from __future__ import annotations

import importlib
import json
import operator
import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..core.operator import Provenance, ScalingOperator
from ..measure.blackbox import DTYPES, LAYOUTS
from ..measure.exposure import Exposure, exposure
from ..measure.probe import probe as probe_operator
from ..measure.scalers import SCALERS, get_scaler
from .arguments import Size
from .outcome import Exit, usage

__all__ = ["probe"]


def probe(
    resize: str,
    /,
    *,
    in_size: Annotated[Size, Parameter(name="--in")],
    out_size: Annotated[Size, Parameter(name="--out")],
    dtype: Annotated[str, Parameter(choices=tuple(DTYPES))] = "uint8",
    layout: Annotated[str, Parameter(choices=("auto", *LAYOUTS))] = "auto",
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    plot: Path | None = None,
) -> Exit:
    """Measure what a resize gives away to an attacker.

    Recovers the coefficient matrices of a resize from what it does to images, checks that they predict it, and states
    what they prove about every attack. Exit code 0: robust, 1: weak or vulnerable, 2: it could not be measured.

    Parameters
    ----------
    resize
        A scaler such as opencv:linear (secure-resize survey lists them), or module:callable, anything importable that
        takes an image and returns it resized.
    in_size
        Size of the source.
    out_size
        Size of the output.
    dtype
        What it is given.
    layout
        How.
    as_json
        Print JSON.
    plot
        Draw kernel, pixels read and frequency response into this PNG file.
    """
    model = probe_operator(_named(resize), in_size, out_size, dtype=dtype, layout=layout)
    found, known = exposure(model), model.provenance
    assert known is not None
    if plot:
        from ..measure.plots import plot_operator

        plot_operator(model, known.name, plot)
    print(_json(model, found, known) if as_json else _text(model, found, known))
    return Exit.CLEAN if found.verdict == "robust" else Exit.FINDINGS


def _json(model: ScalingOperator, found: Exposure, known: Provenance) -> str:
    facts = {key: value for key, value in vars(known).items() if key not in ("bounds", "mix", "offset")}
    facts |= {"mix": known.mix.tolist(), "residual": model.residual}
    return json.dumps({**facts, **vars(found), "verdict": found.verdict}, indent=1)


def _text(model: ScalingOperator, found: Exposure, known: Provenance) -> str:
    sizes = [f"{height}x{width}" for height, width in (model.in_size, model.out_size)]
    lines = [
        ("resize", f"{known.name} {known.version}".strip()),
        ("sizes", f"{sizes[0]} to {sizes[1]}, {known.dtype}, {known.layout}"),
        *found.rows(),
        ("taps", f"{model.rows.width} x {model.cols.width} (rows x columns)"),
        ("model", "deterministic, linear, separable" + (f", cut off: {known.clips}" if known.clips else "")),
        ("residual", f"{model.residual:.2f} levels on random images, rounding included ({known.calls} images sent)"),
        *(("note", note) for note in known.notes),
    ]
    return "\n".join(f"{name:18} {value}" for name, value in lines)


def _named(text: str) -> Any:
    """The scaler called ``text``, or the object at ``module:attribute``."""
    module, separator, path = text.partition(":")
    with usage():
        if text in SCALERS or not separator:
            return get_scaler(text)
        if module in {scaler.library for scaler in SCALERS.values()}:
            names = ", ".join(name for name in SCALERS if name.startswith(f"{module}:"))
            raise ValueError(f"unknown scaler {text!r}; valid scalers of {module}: {names}")
    sys.path.insert(0, os.getcwd())
    try:
        return operator.attrgetter(path)(_imported(module))
    except AttributeError as error:
        raise ValueError(f"cannot find {text!r}: {error}") from None


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        libraries = ", ".join(dict.fromkeys(scaler.library for scaler in SCALERS.values()))
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot import {module!r} ({reason}); libraries with scalers: {libraries}") from error
