"""The wrapped functions as a registry: a row each, defined in :mod:`.live`, which stands on its own."""

from __future__ import annotations

from ...registry import Registry
from .live import start  # noqa: F401 - registers the rows
from .live.hook import ROWS, Hook

__all__ = ["HOOKS", "Hook"]

HOOKS: Registry[Hook] = Registry("hook")
for _row in ROWS.values():
    HOOKS.add(_row)
