"""``secure-resize audit``: somebody else's whole pipeline, measured and attacked in a process of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..audit.pipeline.answer import report_of, restored
from ..audit.pipeline.inputs import KINDS
from ..audit.pipeline.run import Audited, Options, run
from ..audit.pipeline.target import TargetError, arguments, find
from ..audit.render.words import printable
from ..audit.report import Report
from .arguments import Size, size_of
from .child import Answer, ChildError, run_in_child
from .outcome import Exit, usage
from .reporting import Reporting

__all__ = ["audit"]


def audit(
    target: str,
    /,
    *,
    in_size: Annotated[tuple[str, ...], Parameter(name="--in", metavar="HxW")] = (),
    out_size: Annotated[Size | None, Parameter(name="--out")] = None,
    input: tuple[str, ...] = (),
    output: str | None = None,
    args: tuple[str, ...] = (),
    seed: int | None = None,
    image: tuple[Path, ...] = (),
    images: Path | None = None,
    attack: Annotated[bool, Parameter(negative="--no-attack")] = True,
    pictures: Path | None = None,
    time_limit: float = 600.0,
    memory_limit: float = 8.0,
    reporting: Reporting = Reporting(),
) -> Exit:
    """Measure what a whole pipeline gives away to an attacker, and attack it.

    Finds out how the pipeline takes a picture and where in its result the pictures are, measures every way, mode and
    size, hides a picture for the worst of them, sends it through the real pipeline, and says what to write instead. The
    pipeline runs in a process of its own.

    Parameters
    ----------
    target
        module:object or file.py:object, anything that takes a picture: a function, a transform, a class to construct, a
        method, a data set, a Keras layer or model, a processor, a tf.data map function, a TFRecord parser.
    in_size
        Sizes of the source; by default those of --images, else 375x500 and 768x1024.
    out_size
        What the pipeline has to make of it; by default what it makes.
    input
        How it takes a picture: path, bytes, pil, array, tensor, dict:KEY, kw:NAME, list, tfrecord:KEY or dataset; by
        default every way that it takes, found out by trying.
    output
        The key, index or attribute under which the pictures are; by default all that follow the source.
    args
        NAME=VALUE: arguments of a class's constructor, or a function's further ones.
    seed
        Of random transforms, set before each call; by default several, of which the worst counts.
    image
        Pictures of your own that it has to treat like all others, and that pictures are hidden in.
    images
        A folder of such pictures.
    attack
        Hide a picture for the pipeline and send it through.
    pictures
        The folder for the attack's pictures; by default one beside the report, or secure-resize-audit.
    time_limit
        Seconds after which the audit is given up; what is known then is reported.
    memory_limit
        GiB above which it is given up.
    """
    with usage():
        if ":" not in target.strip(":"):
            raise ValueError(f"expected module:object or file.py:object, got {target!r}")
        given = arguments(args)
        sizes = tuple(size_of(text) for text in in_size)
        for text in input:
            _ = KINDS[text.partition(":")[0]]
        if not (time_limit > 0 and memory_limit > 0):
            raise ValueError(f"limits must be above 0, got {time_limit:g} seconds and {memory_limit:g} GiB")
    beside = reporting.report.with_suffix(".pictures") if reporting.report else Path("secure-resize-audit")
    options = Options(
        sizes,
        out_size,
        tuple(input),
        output,
        seed,
        tuple(os.fspath(path) for path in image),
        os.fspath(images) if images else None,
        attack,
        max(2.0, min(60.0, time_limit / 4)),
        os.fspath(pictures or beside),
    )
    report, interrupted = _in_child(target, given, options, time_limit, memory_limit)
    code = reporting.emit(report, code=Exit.INTERRUPTED if interrupted else None)
    return Exit.INTERRUPTED if interrupted else code


def _in_child(
    target: str, given: dict[str, Any], options: Options, seconds: float, memory: float
) -> tuple[Report, bool]:
    """The report, partial where the process was ended or the user interrupted it."""
    known: dict[str, Any] = report_of(Audited(target, options=options)).to_dict()

    with _progress() as show:

        def heard(what: Answer) -> None:
            nonlocal known
            show(what["text"])
            known = what["report"]

        try:
            request = (target, given, asdict(options))
            answer = run_in_child(_work, *request, seconds=seconds, memory=memory * 2**30, heard=heard, quiet=True)
        except ChildError as error:
            return restored({**known, "failures": [*known["failures"], f"{target}: {error}"]}), False
        except KeyboardInterrupt:
            return restored({**known, "failures": [*known["failures"], f"{target}: interrupted"]}), True
    if "error" in answer:
        raise TargetError(answer["error"])
    return restored(answer["report"]), False


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """A function that shows a line on stderr, in the place of the one before, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def show(text: str) -> None:
        width = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        print(f"\r\x1b[K{printable(text)[:width]}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _work(tell: Any, target: str, given: dict[str, Any], asked: dict[str, Any]) -> Answer:
    """The audit, in the child: ``report``, or ``error``."""
    lists = ("in_sizes", "out_size", "inputs", "images")
    options = Options(**{key: _tuples(value) if key in lists and value else value for key, value in asked.items()})

    def told(text: str, found: Audited) -> None:
        tell({"text": text, "report": report_of(found).to_dict()})

    try:
        found = run(find(target, given), options, told)
    except (ImportError, OSError, TypeError, ValueError) as error:
        return {"error": str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"}
    if not found.measured and not found.unresized and found.failures and not report_of(found).findings:
        return {"error": "; ".join(found.failures)}
    return {"report": report_of(found).to_dict()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) if isinstance(one, list) else one for one in value)
