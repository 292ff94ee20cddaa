"""``secure-resize run``: run a program with every down-scaling of its libraries made robust, or warned of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..audit.trace import run_traced
from .arguments import FailOn
from .outcome import Exit, UsageError
from .reporting import Format, Reporting
from .trace import end_by

__all__ = ["run"]


def run(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    mode: Literal["enforce", "warn"] = "enforce",
    format: Format | None = None,
    report: Path | None = None,
    fail_on: FailOn = None,
) -> int:
    """Run a Python program unchanged, with every down-scaling that samples replaced by a robust one.

    secure-resize run --mode enforce -- train.py --epochs 1; secure-resize run -- -m pytest. What stands behind -- is
    given to Python as it is. Replaced are calls of OpenCV, Pillow, torch, torchvision, TensorFlow, Keras, scikit-image,
    SciPy, kornia, albumentations and simplejpeg, in this process, in its threads and worker processes and in Python
    programs that it starts. Maps of labels, and what a network computes inside, are left as they are, and listed. Not
    reached are saved and scripted models, other programs, and Python started without its environment (-I, -E, -S).

    --mode enforce: the exit code is the program's own. With --fail-on it is 1 where the program ended with 0 but a
    call that samples could not be replaced, and 2 where calls may have gone unseen. --mode warn changes nothing and
    reports what samples: a program that ended with 0 then ends with 1 where there are findings, of --fail-on or above.

    The program's standard output stays as it is; the report goes to standard error when it has ended, or into a file.
    Usage errors end with 4.

    Parameters
    ----------
    command
        What Python is to run: a script, or -m and a module, and their arguments.
    mode
        enforce replaces, warn only looks.
    format
        Of the report; by default what --report's ending says, else text.
    report
        Write the report into this file, instead of printing it to standard error.
    fail_on
        The least severity of a finding that makes the exit code 1; with --mode warn low.
    """
    arguments = list(command[1:] if command[:1] == ("--",) else command)
    if not arguments:
        raise UsageError("nothing to run: expected secure-resize run -- SCRIPT [ARGUMENT ...], or -- -m MODULE")
    sys.stdout.flush()
    ended, found = run_traced(arguments, tool="run", routed="enforce:" if mode == "enforce" else None)
    wanted = fail_on or ("low" if mode == "warn" else None)
    code = ended
    if ended == 0 and wanted is not None:
        code = Exit.FINDINGS if found.reaches(wanted) else Exit.FAILED if found.failures else ended
    Reporting(format=format, report=report).emit(found, stream=sys.stderr, code=code)
    sys.stderr.flush()
    if ended < 0:
        end_by(-ended)
    return code
