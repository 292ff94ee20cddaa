"""``secure-resize harden``: what ``harden()`` makes of somebody else's pipeline, in a process of its own."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from ..audit.pipeline.answer import restored
from ..audit.pipeline.target import TargetError, arguments, find
from ..audit.report import Report
from ..names import KernelName
from .arguments import size_of
from .child import Answer, run_in_child
from .outcome import Exit, usage
from .reporting import Reporting

__all__ = ["harden"]


def harden(
    target: str,
    /,
    *,
    in_size: Annotated[tuple[str, ...], Parameter(name="--in", metavar="HxW")] = (),
    kernel: KernelName | None = None,
    args: tuple[str, ...] = (),
    probe: Annotated[bool, Parameter(negative="--no-probe")] = True,
    time_limit: float = 600.0,
    memory_limit: float = 8.0,
    reporting: Reporting = Reporting(),
) -> Exit:
    """Show what harden() replaces in a pipeline, what it cannot and why, and measure it before and after.

    Nothing is written: in your code, harden(pipeline) gives the pipeline that was measured as "after". The pipeline
    runs in a process of its own. Exit code 0: robust after; 1: something in it samples still; 2: it could not be
    measured.

    Parameters
    ----------
    target
        module:object or file.py:object, a pipeline: a transform, a class to construct, a data set, a loader, a
        processor, a layer or model, a function.
    in_size
        Sizes of the source; by default 375x500 and 768x1024.
    kernel
        For every resize; by default the antialiased one of the interpolation that each has.
    args
        NAME=VALUE: arguments of a class's constructor.
    probe
        Measure the pipeline before and after.
    time_limit
        Seconds after which it is given up.
    memory_limit
        GiB above which it is given up.
    """
    with usage():
        if ":" not in target.strip(":"):
            raise ValueError(f"expected module:object or file.py:object, got {target!r}")
        given = arguments(args)
        sizes = [list(size_of(text)) for text in in_size]
        if not (time_limit > 0 and memory_limit > 0):
            raise ValueError(f"limits must be above 0, got {time_limit:g} seconds and {memory_limit:g} GiB")
    request = (target, given, sizes, kernel, probe)
    answer = run_in_child(_work, *request, seconds=time_limit, memory=memory_limit * 2**30, quiet=True)
    if "error" in answer:
        raise TargetError(answer["error"])
    report: Report = restored(answer["report"])
    return reporting.emit(report)


def _work(target: str, given: dict[str, Any], sizes: list[list[int]], kernel: KernelName | None, probe: bool) -> Answer:
    """The report, in the child: ``report``, or ``error``."""
    from ..integrations.harden import harden as hardener

    try:
        found = find(target, given)
        report = hardener.report(
            found.value, [(height, width) for height, width in sizes], kernel=kernel, probe=probe, name=target
        )
    except (ImportError, OSError, TypeError, ValueError) as error:
        return {"error": str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"}
    return {"report": report.to_dict()}
