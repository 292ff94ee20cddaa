"""What the rows share: our class for one of a library's, and an object of the one made an object of the other."""

from __future__ import annotations

import copy
import importlib
import inspect
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["OURS", "drop_in_of", "fallback_kernel", "is_ours", "retyped"]

OURS = "secure_resize.integrations"


def is_ours(kind: type) -> bool:
    """Whether a class is one of this package's."""
    return kind.__module__.startswith(f"{OURS}.")


def drop_in_of(stock: type | types.FunctionType, modules: Mapping[str, str]) -> Any:
    """Our class or function of the same name in the place of a library's; None where there is none.

    ``modules`` names the library's modules, by what their names begin with, and ours.
    """
    for theirs, ours in modules.items():
        if (stock.__module__ or "").startswith(theirs):
            found = getattr(_imported(f"{OURS}.{ours}"), stock.__name__, stock)
            if found is stock or not (getattr(found, "__module__", "") or "").startswith(OURS):
                return None
            return found
    return None


def _imported(name: str) -> Any:
    """The module; nothing with any names where this build has none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        return None


def retyped(value: Any, dropped_in: type, **attributes: Any) -> Any:
    """A copy of ``value`` as an object of our class, with all that was set on it, mode, hooks and generators included.

    Arguments that only our constructor has get their defaults; ``attributes`` are set where the object has them.
    """
    new = copy.copy(value)
    known = vars(new)
    # Past __setattr__, which would register modules anew.
    known.update({name: copy.copy(one) for name, one in known.items() if isinstance(one, dict)})
    stock = inspect.signature(type(value).__init__).parameters
    for name, parameter in inspect.signature(dropped_in.__init__).parameters.items():  # type: ignore[misc]
        if name not in stock and parameter.kind is parameter.KEYWORD_ONLY and not hasattr(dropped_in, name):
            known.setdefault(name, parameter.default)
    known.update({name: one for name, one in attributes.items() if name in known or hasattr(dropped_in, name)})
    new.__class__ = dropped_in
    for holder in (known, *(one for one in known.values() if isinstance(one, dict))):
        for name, one in holder.items():
            if isinstance(one, types.MethodType) and one.__self__ is value:
                holder[name] = getattr(new, one.__name__)  # the method that it has now
    return new


def fallback_kernel(mode: str) -> str | None:
    """The kernel for an interpolation that has no robust form of its own; None where it has one."""
    return "area" if mode.startswith("nearest") or mode == "box" else None
