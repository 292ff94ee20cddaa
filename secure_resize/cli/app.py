"""The commands as one application, and the end of each as an exit code and at most one line on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from .. import __version__
from ..audit.render.words import printable
from ..evaluate.pairs import NoPictures
from ..measure.survey import NothingInstalled
from .audit import audit
from .demo import demo
from .evaluate import evaluate
from .harden import harden
from .inspect import inspect
from .lint import lint
from .outcome import Exit, UsageError, hint
from .probe import probe
from .run import run as run_routed
from .scan import scan
from .survey import survey
from .trace import trace

__all__ = ["app", "run"]

app = App(
    name="secure-resize",
    version=__version__,
    help="Image resizing that hides no second picture.",
    help_epilogue="Exit codes: 0 clean, 1 findings, 2 could not run, 3 nothing to look at, 4 usage.",
    default_parameter=Parameter(consume_multiple=True, negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()
for command in (audit, harden, demo, probe, survey, lint, trace, inspect, scan, evaluate):
    app.command(command)
app.command(run_routed, name="run")


def run(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name, and return its exit code."""
    name = f"{app.name[0]} {arguments[0]}" if arguments and arguments[0] in app else app.name[0]
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return Exit.CLEAN if code is None else int(code)  # None: help, version, completion
    except BrokenPipeError:  # whoever read the output has gone; the interpreter flushes it once more as it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except (CycloptsError, UsageError) as error:
        return _ended(name, str(error), Exit.USAGE)
    except (NothingInstalled, NoPictures) as error:
        return _ended(name, str(error), Exit.NOTHING)
    except ModuleNotFoundError as error:
        return _ended(name, f"{error}{hint(error)}", Exit.FAILED)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        return _ended(name, str(error), Exit.FAILED)
    except KeyboardInterrupt as error:
        return _ended(name, f"interrupted{f'; {error}' if error.args else ''}", Exit.INTERRUPTED)
    except (Exception, SystemExit) as error:  # of a library, or of the user's own code
        where = traceback.extract_tb(error.__traceback__)[-1]
        return _ended(name, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})", Exit.FAILED)


def _ended(name: str, message: str, code: Exit) -> Exit:
    # What somebody else's code is called, or says, stays text on a terminal.
    print(f"{name}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
