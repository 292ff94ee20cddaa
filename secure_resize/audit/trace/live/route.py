"""In a process that is to route calls: await the first library of which some are, and let the package do the rest.

Until then nothing of the package is imported, nor numpy: a script may have to set variables before that.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from types import ModuleType
from typing import Any

from . import rows_arrays, rows_pillow, rows_tensorflow, rows_torch
from .hook import ROWS
from .imports import Awaited
from .records import Writer

__all__ = ["PATCH", "await_libraries"]

PATCH = "SECURE_RESIZE_PATCH"
LIBRARIES = (rows_arrays, rows_pillow, rows_tensorflow, rows_torch)  # whose rows are registered by importing them


class _Awaiting:
    """The end of the wait: the first module that arrives starts the routes, later ones are handed on to them."""

    def __init__(self, folder: str | None) -> None:
        if folder:
            with contextlib.suppress(OSError):  # a folder that has gone: then nothing can be said
                Writer(folder).begin(None)
        self.awaited = Awaited({row.module: self.arrived for row in ROWS.values()})
        self.begun: Any = None

    def arrived(self, module: ModuleType, along: set[str]) -> None:
        if self.begun is None:
            self.awaited.remove()
            self.begun = False  # what the package imports may arrive too
            self.begun = _package().begin
            self.begun()
        elif self.begun:
            _package().arrived(module, along)


def _package() -> Any:
    """What routes calls; ImportError where it cannot be imported, so that nothing stays unrouted without a word."""
    name = "secure_resize.integrations.patch"
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "secure_resize":
            raise ImportError(f"secure-resize cannot route calls in this process: {error}") from error
    sys.path.append(root)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"secure-resize cannot route calls in this process: {error}") from error
    finally:
        sys.path.remove(root)


def await_libraries(folder: str | None) -> None:
    """From now on; what happens is written into ``folder``."""
    _Awaiting(folder).awaited.install()
