"""``secure-resize probe``: what a resize or a pipeline gives away to an attacker."""

from __future__ import annotations

import importlib
import json
import operator
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from ..core.operator import ScalingOperator
from ..measure.blackbox import ProbeError, UnfaithfulError
from ..measure.exposure import exposure
from ..measure.probe import probe as probe_operator
from ..measure.scalers import SCALERS, get_scaler, load
from ..names import ProbeDtype, ProbeLayout
from .arguments import Size
from .child import Answer, run_in_child
from .outcome import Exit, usage

__all__ = ["probe"]

# What no test from outside can exclude; the report says it once.
NOT_EXCLUDED = "code that recognises this test, or does otherwise at other times and sizes (SECURITY.md)"


def probe(
    resize: str,
    /,
    *,
    in_size: Annotated[Size, Parameter(name="--in")],
    out_size: Annotated[Size, Parameter(name="--out")],
    dtype: ProbeDtype = "auto",
    layout: ProbeLayout = "auto",
    image: tuple[Path, ...] = (),
    time_limit: float = 600.0,
    memory_limit: float = 8.0,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    plot: Path | None = None,
) -> Exit:
    """Measure what a resize or a whole pipeline gives away to an attacker.

    Recovers the coefficient matrices from what it does to images, in every layout and dtype that it takes, checks that
    they predict pictures and attack images, and states what they prove about every attack. Code that is not one of the
    scalers runs in a process of its own. Exit code 0: robust; 1: weak or vulnerable, or it does something else with
    some pictures than with others; 2: it could not be measured.

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
        What it is given; auto: everything that it takes.
    layout
        How; auto: in every way that it takes.
    image
        Pictures of your own that it has to treat like all others.
    time_limit
        Seconds after which the measurement is given up.
    memory_limit
        GiB above which it is given up.
    as_json
        Print JSON.
    plot
        Draw kernel, pixels read and frequency response into this PNG file.
    """
    known = _known_scaler(resize)
    pictures, drawing = [os.fspath(one) for one in image], os.fspath(plot) if plot else None
    if known:
        answer = _measured(resize, in_size, out_size, dtype, layout, pictures, drawing)
    else:
        request = (resize, in_size, out_size, dtype, layout, pictures, drawing)
        answer = run_in_child(_measured, *request, seconds=time_limit, memory=memory_limit * 2**30)
    if "error" in answer:
        raise ProbeError(answer["error"])
    print(json.dumps(answer["facts"], indent=1) if as_json else answer["text"])
    return Exit.CLEAN if answer["facts"]["verdict"] == "robust" else Exit.FINDINGS


def _measured(
    resize: str,
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    dtype: ProbeDtype,
    layout: ProbeLayout,
    images: list[str],
    plot: str | None,
) -> Answer:
    """The result as JSON holds it: ``facts`` and ``text``, or ``error``."""
    try:
        target = _named(resize)
        own = [_picture(path) for path in images]
        model = probe_operator(target, in_size, out_size, dtype=dtype, layout=layout, images=own)
    except UnfaithfulError as error:
        text = _table([("resize", resize), ("verdict", "unfaithful"), ("finding", str(error))])
        return {"facts": {"verdict": "unfaithful", "finding": str(error), "name": resize}, "text": text}
    except (ImportError, OSError, TypeError, ValueError) as error:
        return {"error": str(error)}
    if plot:
        from ..measure.plots import plot_operator

        assert model.provenance is not None
        plot_operator(model, model.provenance.name, Path(plot))
    return {"facts": _facts(model), "text": _text(model)}


def _picture(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with load("PIL.Image").open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _facts(model: ScalingOperator) -> dict[str, Any]:
    found, known = exposure(model), model.provenance
    assert known is not None
    left_out = ("bounds", "mix", "offset", "block", "others")
    facts = {key: value for key, value in vars(known).items() if key not in left_out}
    listed = [
        {"path": _path(one), "part": _part(one), "verdict": figure.verdict, "stealth_gain_db": figure.stealth_gain_db}
        for one in (model, *known.others)
        for figure in [exposure(one)]
    ]
    figures = found.to_dict()
    facts |= {"not_excluded": NOT_EXCLUDED} if known.name not in SCALERS else {}
    return {**facts, "mix": known.mix.tolist(), "residual": model.residual, **figures, "measured": listed}


def _text(model: ScalingOperator) -> str:
    found, known = exposure(model), model.provenance
    assert known is not None
    shown = found.out_size
    lines = [
        ("resize", f"{known.name} {known.version}".strip()),
        ("sizes", f"{found.in_size[0]}x{found.in_size[1]} to {shown[0]}x{shown[1]}, {_path(model)}"),
        *found.rows(),
        ("taps", f"{model.rows.width} x {model.cols.width} (rows x columns)"),
        ("model", "deterministic, linear, separable" + (f", cut off: {known.clips}" if known.clips else "")),
        ("residual", f"{model.residual:.2f} levels on random images, rounding included ({known.calls} images sent)"),
    ]
    if known.others:
        for one in (model, *known.others):
            figure = exposure(one)
            gain = f"{figure.stealth_gain_db + 0.0:.2f} dB"
            lines.append(("measured", f"{_path(one):20} {figure.verdict:10} {gain:>9}  {_part(one)}".rstrip()))
    lines += [("not measured", reason) for reason in known.unmeasured]
    lines += [("note", note) for note in known.notes]
    if known.name not in SCALERS:
        lines.append(("not excluded", NOT_EXCLUDED))
    return _table(lines)


def _table(lines: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name:18} {value}" for name, value in lines)


def _path(model: ScalingOperator) -> str:
    assert model.provenance is not None
    return f"{model.provenance.layout} {model.provenance.dtype}"


def _part(model: ScalingOperator) -> str:
    """The part of the output that an operator is of, where that is not all of it."""
    known, view = model.provenance, exposure(model).view
    assert known is not None
    assert view is not None
    part = [
        f"{name} {one.start}–{one.stop}"
        for name, one, size in zip(("rows", "columns"), known.block or (), view.out_size, strict=False)
        if (one.start, one.stop) != (0, size)
    ]
    shown = ", ".join(f"{k}" for k in known.channels)
    return ", ".join([*part, *([f"channels {shown}"] if len(known.channels) != known.offset.shape[2] else [])])


def _known_scaler(text: str) -> bool:
    """Whether ``text`` names a scaler; a usage error where it looks like one that there is not."""
    module, separator, _ = text.partition(":")
    with usage():
        if text in SCALERS or not separator:
            get_scaler(text)
            return True
        if module in {scaler.library for scaler in SCALERS.values()}:
            names = ", ".join(name for name in SCALERS if name.startswith(f"{module}:"))
            raise ValueError(f"unknown scaler {text!r}; valid scalers of {module}: {names}")
    return False


def _named(text: str) -> Any:
    """The scaler called ``text``, or the object at ``module:attribute``."""
    if text in SCALERS:
        return get_scaler(text)
    module, _, path = text.partition(":")
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
