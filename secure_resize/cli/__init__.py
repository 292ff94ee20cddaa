"""The command ``secure-resize``.

Exit codes: 0 done, 1 the command ran and its answer is bad news, 2 it could not run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import operator
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .. import __version__, evaluate
from ..attacks import METHODS
from ..measure import survey
from ..measure.blackbox import DTYPES, LAYOUTS
from ..measure.exposure import exposure
from ..measure.probe import probe
from ..measure.scalers import SCALERS, get_scaler
from ..scaling import check_size
from . import demo

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on ``arguments`` (default: the process') and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"secure-resize {options.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="secure-resize", description="Image resizing that hides no second picture.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "demo",
        help="attack the stock resizes that are installed here, then run the same attack images through ours",
        description="Hides --target in --source against the default down-scaling of OpenCV, TensorFlow and torch "
        "(those that are installed), runs every attack image through the stock pipeline and through secure_resize's, "
        "prints what came out and draws it. Exit code 1: a secure_resize pipeline showed the hidden picture.",
    )
    command.add_argument("--source", type=Path, help="the picture to hide in (default: scikit-image's astronaut)")
    command.add_argument("--target", type=Path, help="the picture to hide (default: scikit-image's chelsea)")
    command.add_argument(
        "--size", type=_size, default=(112, 112), metavar="HxW", help="pipeline size (default 112x112)"
    )
    command.add_argument(
        "--out", type=Path, default=Path("secure-resize-demo"), metavar="DIR", help="default: %(default)s"
    )
    command.set_defaults(run=lambda options: demo.main(options.source, options.target, options.size, options.out))
    _add_probe(commands)
    _add_survey(commands)
    _add_evaluate(commands)
    return parser


def _add_probe(commands: Any) -> None:
    command = commands.add_parser(
        "probe",
        help="measure what a resize gives away to an attacker",
        description="Recovers the coefficient matrices of a resize from what it does to images, checks that they "
        "predict it, and states what they prove about every attack. Exit code 0: robust, 1: weak or vulnerable, 2: it "
        "could not be measured.",
    )
    command.add_argument(
        "resize",
        metavar="NAME|module:callable",
        help="a scaler such as opencv:linear (secure-resize survey lists them), or anything importable that takes an "
        "image and returns it resized",
    )
    for option, name, what in (("--in", "in_size", "source"), ("--out", "out_size", "output")):
        command.add_argument(option, dest=name, type=_size, required=True, metavar="HxW", help=f"size of the {what}")
    command.add_argument("--dtype", choices=DTYPES, default="uint8", help="what it is given (default %(default)s)")
    command.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto", help="how (default %(default)s)")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--plot", type=Path, metavar="PNG", help="draw kernel, pixels read and frequency response")
    command.set_defaults(run=_run_probe)


def _run_probe(options: argparse.Namespace) -> int:
    model = probe(_named(options.resize), options.in_size, options.out_size, dtype=options.dtype, layout=options.layout)
    found, known = exposure(model), model.provenance
    assert known is not None
    if options.plot:
        from ..measure.plots import plot_operator

        plot_operator(model, known.name, options.plot)
    if options.json:
        facts = {key: value for key, value in vars(known).items() if key not in ("bounds", "mix", "offset")}
        facts |= {"mix": known.mix.tolist(), "residual": model.residual}
        print(json.dumps({**facts, **vars(found), "verdict": found.verdict}, indent=1))
    else:
        print(_probe_table(model, found, known))
    return int(found.verdict != "robust")


def _probe_table(model: Any, found: Any, known: Any) -> str:
    lines = [
        ("resize", f"{known.name} {known.version}".strip()),
        ("sizes", f"{_text(model.in_size)} to {_text(model.out_size)}, {known.dtype}, {known.layout}"),
        *found.rows(),
        ("taps", f"{model.rows.width} x {model.cols.width} (rows x columns)"),
        ("model", "deterministic, linear, separable" + (f", cut off: {known.clips}" if known.clips else "")),
        ("residual", f"{model.residual:.2f} levels on random images, rounding included ({known.calls} images sent)"),
        *(("note", note) for note in known.notes),
    ]
    return "\n".join(f"{name:18} {value}" for name, value in lines)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _named(text: str) -> Any:
    """The scaler called ``text``, or the object at ``module:attribute``."""
    module, separator, path = text.partition(":")
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
    except ImportError as error:
        libraries = ", ".join(dict.fromkeys(scaler.library for scaler in SCALERS.values()))
        raise ValueError(f"cannot import {module!r} ({error}); libraries with scalers: {libraries}") from None


def _add_survey(commands: Any) -> None:
    command = commands.add_parser(
        "survey",
        help="who is vulnerable on this machine: every library, every algorithm, several scaling ratios",
        description="Probes every resize that is installed here and prints its stealth gain in dB at each ratio.",
    )
    command.add_argument("scalers", nargs="*", metavar="PATTERN", help="names such as 'opencv:*' (default: all)")
    command.add_argument("--defaults", action="store_true", help="only what each library does by default")
    command.add_argument(
        "--ratios", nargs="+", choices=survey.RATIOS, default=list(survey.RATIOS), help="default: all of them"
    )
    command.add_argument("--format", choices=survey.FORMATS, default="table", help="default: %(default)s")
    command.add_argument("--plot", type=Path, metavar="PNG", help="draw it")
    command.set_defaults(run=_run_survey)


def _run_survey(options: argparse.Namespace) -> int:
    names = survey.select(options.scalers, defaults=options.defaults)
    show = sys.stderr.isatty()
    rows, missing = survey.measure(
        names,
        {ratio: survey.RATIOS[ratio] for ratio in options.ratios},
        progress=lambda name: print(f"\r\033[Kprobing {name}", end="", file=sys.stderr, flush=True) if show else None,
    )
    if show:
        print("\r\033[K", end="", file=sys.stderr)
    if not rows:
        raise ImportError(f"nothing to measure: none of {', '.join(missing)} is installed")
    if options.plot:
        from ..measure.plots import plot_survey

        plot_survey(rows, options.plot)
    print(survey.FORMATS[options.format](rows, missing))
    return 0


def _add_evaluate(commands: Any) -> None:
    default = evaluate.Options()
    command = commands.add_parser(
        "evaluate",
        help="attack pairs of photographs through every scaler and every defense, and count what succeeds",
        description="Hides one photograph in another, for many pairs, and runs the attack images through the scalers "
        "and the defenses. A run that was interrupted goes on where it stopped, with the same options and --out. Exit "
        "code 1: an attack did what was proved impossible, or the default resize showed a hidden picture.",
    )
    command.add_argument("--pictures", type=Path, metavar="DIR", help="default: scikit-image's photographs")
    command.add_argument("--pairs", type=int, default=default.pairs, metavar="N", help="default: %(default)s")
    command.add_argument("--seed", type=int, default=default.seed, help="default: %(default)s")
    command.add_argument(
        "--scalers", nargs="+", default=[], metavar="PATTERN", help=f"default: {', '.join(evaluate.DEFAULT_SCALERS)}"
    )
    command.add_argument(
        "--ratios",
        nargs="+",
        default=default.ratios,
        metavar="BETA",
        help="scaling ratios: 4, a bin such as 2-3, rows x columns such as 4x1; 'paper': the paper's bins (default: 4)",
    )
    command.add_argument(
        "--size", type=_size, default=default.size, metavar="HxW", help="of the outputs (default: 112x112)"
    )
    command.add_argument(
        "--attacks",
        nargs="+",
        default=default.attacks,
        metavar="NAME",
        help=f"of {', '.join(METHODS)} (default: strong)",
    )
    command.add_argument(
        "--defenses", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(evaluate.DEFENSES)} (default: all)"
    )
    command.add_argument("--adaptive", action="store_true", help="also attacks that know which defense they face")
    command.add_argument(
        "--epsilons",
        nargs="+",
        type=float,
        default=default.epsilons,
        metavar="LEVELS",
        help="by how much the scaled attack image may miss the target; the first that succeeds is taken",
    )
    command.add_argument(
        "--budgets",
        nargs="+",
        type=float,
        default=default.budgets,
        metavar="SHARE",
        help="of the attacks on reconstruction: of a window's unread pixels, or of the way to the target",
    )
    command.add_argument(
        "--classifier", action="store_true", help="also train a small network and ask it (needs torch)"
    )
    command.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    command.add_argument(
        "--out", type=Path, default=Path("secure-resize-evaluation"), metavar="DIR", help="default: %(default)s"
    )
    command.add_argument("--format", choices=evaluate.FORMATS, default="table", help="default: %(default)s")
    command.add_argument("--plot", action="store_true", help="draw success.png and curves.png into --out")
    command.set_defaults(run=_run_evaluate)


def _run_evaluate(options: argparse.Namespace) -> int:
    names = {field.name for field in fields(evaluate.Options)}
    chosen: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in vars(options).items() if key in names
    }
    if chosen["ratios"] == ("paper",):
        chosen["ratios"] = evaluate.PAPER_RATIOS
    asked = evaluate.Options(**chosen)
    try:
        records = evaluate.evaluate(asked, options.out, jobs=options.jobs, progress=sys.stderr.isatty())
    except RuntimeError as error:
        print(f"secure-resize evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"secure-resize evaluate: interrupted; what is done is kept in {options.out}, and the same command goes on",
            file=sys.stderr,
        )
        return 130  # as a shell says it of a process that SIGINT ended
    results = evaluate.summarise(records)
    if options.plot:
        evaluate.plot_heat(results, options.out / "success.png")
        evaluate.plot_curves(results, options.out / "curves.png")
    settings = evaluate.described(asked, options.out)
    for name, form in evaluate.FORMATS.items():
        if name != "table":
            text = form(results, settings) + "\n"
            (options.out / f"summary.{evaluate.SUFFIXES[name]}").write_text(text, encoding="utf-8")
    print(evaluate.FORMATS[options.format](results, settings))
    found = evaluate.alarms(records)
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found))


def _size(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 224x224, got {text!r}")
    try:
        return check_size((int(height), int(width)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
