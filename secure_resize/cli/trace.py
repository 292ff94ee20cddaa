"""``secure-resize trace``: run a script as it is and say every down-scaling that it made."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..audit.trace import run_traced
from .arguments import FailOn
from .outcome import Exit, UsageError
from .reporting import Format, Reporting

__all__ = ["end_by", "trace"]


def trace(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    format: Format | None = None,
    report: Path | None = None,
    fail_on: FailOn = None,
) -> int:
    """Run a Python script unchanged and report every down-scaling that it really made.

    secure-resize trace -- train.py --epochs 1; secure-resize trace -- -m package.train. What stands behind -- is given
    to Python as it is. Seen are OpenCV, Pillow, torch, torchvision, TensorFlow, Keras, scikit-image, SciPy, kornia and
    albumentations, in this process, in worker processes and in Python programs that it starts; TensorFlow's graphs as
    they are made, since how often they are executed Python is not told. Not seen are compiled and scripted torch code,
    other programs, and Python started without its environment (-I, -E, -S).

    The script's standard output and its exit code stay as they are; the report goes to standard error when the script
    has ended, or into a file. What the script can see of it is its environment: PYTHONPATH and SECURE_RESIZE_TRACE.
    Only with --fail-on do findings change the exit code: a script that ended with 0 then ends with 1. Usage errors end
    with 4.

    Parameters
    ----------
    command
        What Python is to run: a script, or -m and a module, and their arguments.
    format
        Of the report; by default what --report's ending says, else text.
    report
        Write the report into this file, instead of printing it to standard error.
    fail_on
        The least severity of a finding that makes the exit code 1.
    """
    arguments = list(command[1:] if command[:1] == ("--",) else command)
    if not arguments:
        raise UsageError("nothing to run: expected secure-resize trace -- SCRIPT [ARGUMENT ...], or -- -m MODULE")
    sys.stdout.flush()
    ended, found = run_traced(arguments)
    code = ended
    if ended == 0 and fail_on is not None:
        code = Exit.FINDINGS if found.reaches(fail_on) else Exit.FAILED if found.failures else ended
    Reporting(format=format, report=report).emit(found, stream=sys.stderr, code=code)
    sys.stderr.flush()
    if ended < 0:
        end_by(-ended)
    return code


def end_by(number: int) -> None:
    """End as the script did, by a signal."""
    signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), number)
