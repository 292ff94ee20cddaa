"""Put wrappers in the place of libraries' functions, as these are imported, and take them out again."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from .hook import Hook
from .importlib_bootstrap import FRAMES, is_wrapper
from .imports import Arrived, Awaited, find

__all__ = ["Wrappers", "Wrapping"]

Wrappers = dict[int, tuple[Any, Any]]  # (original, wrapper) by the original's id


class Wrapping:
    """The wrappers of ``rows`` in this process: ``make(row, original)`` gives what is put in the original's place.

    ``failed`` is told what went wrong with a row. ``more``: what else happens when modules arrive.
    """

    def __init__(
        self,
        rows: Iterable[Hook],
        make: Callable[[Hook, Any], Any],
        failed: Callable[[str], None],
        more: dict[str, Arrived] | None = None,
    ) -> None:
        self.rows, self.make, self.failed = tuple(rows), make, failed
        self.undo: list[tuple[Any, str, Any, Any]] = []
        self.wrappers: Wrappers = {}
        self.awaited = Awaited({**{row.module: self.arrived for row in self.rows}, **(more or {})})

    def start(self) -> None:
        """Wrap what is imported, and what will be."""
        self.awaited.install()
        if self.wrappers:
            self._elsewhere(self.wrappers, list(sys.modules.values()))

    def stop(self) -> None:
        """Put the originals back."""
        self.awaited.remove()
        for holder, name, original, wrapper in reversed(self.undo):
            if vars(holder).get(name) is wrapper:
                setattr(holder, name, original)
        self.undo.clear()

    def replace(self, holder: Any, name: str, original: Any, wrapper: Any) -> None:
        """Set an attribute until the end."""
        if isinstance(wrapper, FunctionType) and not is_wrapper(wrapper):  # one of ours that is no row's
            FRAMES.add(wrapper.__code__)
            functools.update_wrapper(wrapper, original)
        setattr(holder, name, wrapper)
        self.undo.append((holder, name, original, wrapper))

    def arrived(self, module: ModuleType, along: set[str]) -> None:
        """Wrap the functions of ``module``, there and where the modules that came ``along`` hold them already."""
        wrappers: Wrappers = {}
        for row in self.rows:
            if row.module != module.__name__ or (found := find(module, row.attribute)) is None:
                continue
            holder, name = found
            original = vars(holder)[name]
            if is_wrapper(original):
                continue
            try:
                wrapper = self.make(row, original)
                self.replace(holder, name, original, wrapper)
            except Exception as error:
                self.failed(f"{row.name} could not be wrapped: {type(error).__name__}: {error}")
                continue
            if isinstance(holder, ModuleType):  # a method has one place
                wrappers[id(original)] = original, wrapper
        self.wrappers |= wrappers
        if wrappers and along:
            self._elsewhere(wrappers, [one for name in along if (one := sys.modules.get(name)) is not None])

    def _elsewhere(self, wrappers: Wrappers, modules: list[ModuleType]) -> None:
        """Modules may hold a function under names of their own, as by ``from cv2 import resize as shrink``."""
        for module in modules:
            if not isinstance(module, ModuleType) or str(vars(module).get("__name__")).startswith(str(__package__)):
                continue
            for name, value in list(vars(module).items()):
                known = wrappers.get(id(value))
                if known is not None and known[0] is value:
                    self.replace(module, name, *known)
