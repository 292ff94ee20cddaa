"""The command ``secure-resize``, one module a command.

Exit codes, the same in every output format: 0 clean, 1 findings, 2 could not run, 3 nothing to look at, 4 usage.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from .outcome import Exit, hint

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on ``arguments`` (default: the process') and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks (β, a file name that is no UTF-8) must not cost the result.
            stream.reconfigure(errors="backslashreplace")
    try:
        from .app import run
    except ModuleNotFoundError as error:
        print(f"secure-resize: {error}{hint(error)}", file=sys.stderr)
        return Exit.FAILED
    return run(sys.argv[1:] if arguments is None else arguments)
