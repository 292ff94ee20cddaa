"""Functions are wrapped as soon as the module that holds them has been imported, before anybody else sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["Awaited", "find"]

Arrived = Callable[[ModuleType, "set[str]"], None]


class Awaited:
    """A finder on ``sys.meta_path`` that finds nothing itself: after an import it calls what ``arrived`` has for it.

    That is given the module, and the names of those that were imported along with it.
    """

    def __init__(self, arrived: dict[str, Arrived]) -> None:
        self.arrived = arrived

    def install(self) -> None:
        """Await the modules from now on, and take those that are there already."""
        sys.meta_path.insert(0, self)
        for name, arrived in self.arrived.items():
            if isinstance(module := sys.modules.get(name), ModuleType):
                arrived(module, set())

    def remove(self) -> None:
        """Await nothing any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, with a loader that says when it is done."""
        if name not in self.arrived:
            return None
        # (Those behind this one: others that await would ask it in turn.)
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :] if self in sys.meta_path else ():
            if hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    self._listen(spec, self.arrived[name])
                    return spec
        return None

    def _listen(self, spec: ModuleSpec, arrived: Arrived) -> None:
        loader: Any = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # nothing of this stays behind
            before = set(sys.modules)
            execute(module)
            arrived(module, sys.modules.keys() - before)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader without attributes of its own is left alone
            return


def find(module: ModuleType, attribute: str) -> tuple[Any, str] | None:
    """The module or class that holds ``attribute`` (``"resize"``, ``"Image.resize"``), and its name there."""
    holder: Any = module
    *path, name = attribute.split(".")
    for part in path:
        holder = vars(holder).get(part)
        if holder is None:
            return None
    return (holder, name) if name in vars(holder) else None
