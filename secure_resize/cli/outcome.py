"""How a command ends: its exit code, and what it raises to end otherwise than by a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

__all__ = ["Exit", "UsageError", "hint", "usage"]

# The modules that come with the extra "cli".
EXTRA = {"PIL", "cv2", "cyclopts", "jinja2", "matplotlib", "rich", "scipy", "skimage"}


class Exit(IntEnum):
    """The exit codes of every command, in every output format."""

    CLEAN = 0
    FINDINGS = 1
    FAILED = 2  # it could not run
    NOTHING = 3  # to look at
    USAGE = 4
    INTERRUPTED = 130  # what a shell reports of a process that SIGINT ended


class UsageError(ValueError):
    """An argument that no run could do anything with."""


@contextmanager
def usage() -> Iterator[None]:
    """Around the check of arguments: their ValueErrors and TypeErrors are usage errors."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def hint(error: ImportError) -> str:
    """What installs the module that is missing, as the end of a line; nothing for one that the command needs not."""
    module = (error.name or "").partition(".")[0]
    return "; pip install 'secure-resize[cli]'" if module in EXTRA else ""
