"""Functions and objects that run with the calls routed that they make, whoever calls them, in every process."""

from __future__ import annotations

import copy
import copyreg
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["ENTRIES", "Routed", "can_route", "routed_class"]

# Methods by which a thing is handed a picture, or asked for one.
ENTRIES = ("__call__", "__getitem__", "__getitems__", "__iter__", "__next__", "forward", "preprocess", "transform")


def _routing() -> Any:
    return importlib.import_module("secure_resize.integrations.patch.patching").routing()


def can_route() -> bool:
    """Whether this build can route calls."""
    try:
        return hasattr(importlib.import_module("secure_resize.integrations.patch.patching"), "routing")
    except ModuleNotFoundError:
        return False


class Routed:
    """A function whose calls are routed while it runs: a callable with its name, signature and documentation.

    It pickles as the function does. The routes are opened once a process, which takes a second or two.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        with _routing():
            return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Routed) and self.function == other.function

    def __hash__(self) -> int:
        return hash((Routed, self.function))

    def __repr__(self) -> str:
        return f"Routed({self.function!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Routed, (self.function,)


def routed_class(value: Any) -> Any:
    """A copy of an object, of a class derived from its own, whose :data:`ENTRIES` run with their calls routed.

    TypeError where its class cannot be derived from, or the object be copied.
    """
    new = copy.copy(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        vars(new).update({name: copy.copy(one) for name, one in vars(value).items() if isinstance(one, dict)})
    new.__class__ = _derived(type(value))  # type: ignore[arg-type]
    return new


@functools.lru_cache(maxsize=1024)
def _derived(kind: type) -> type:
    body: dict[str, Any] = {name: _entry(kind, name) for name in ENTRIES if _is_own(kind, name)}
    body |= {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": _reduce,
        "_is_routed": True,
    }
    return type(kind)(kind.__name__, (kind,), body)


def _is_own(kind: type, name: str) -> bool:
    """Whether the class, or one that it derives from, defines the method, other than as torch's modules do it."""
    owner = next((one for one in kind.__mro__ if name in vars(one)), object)
    return owner is not object and owner.__module__.partition(".")[0] not in ("torch", "typing", "builtins")


def _entry(kind: type, name: str) -> Callable[..., Any]:
    stock = getattr(kind, name)
    if name == "__iter__":

        @functools.wraps(stock)
        def each(self: Any) -> Iterator[Any]:
            with _routing():
                members = iter(stock(self))
            while True:
                try:
                    with _routing():
                        member = next(members)
                except StopIteration:
                    return
                yield member

        return each

    @functools.wraps(stock)
    def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _routing():
            return stock(self, *args, **kwargs)

    return entry


def _reduce(self: Any, protocol: Any) -> Any:
    # Pickled by its stock class: the derived one has no name to be found by.
    kind = type(self).__mro__[1]
    how: Any = kind.__reduce_ex__(self, protocol)  # type: ignore[call-arg]
    if isinstance(how, str) or type(self) not in how[1]:
        return how
    args = tuple(kind if one is type(self) else one for one in how[1])
    if how[0] is copyreg.__newobj__:  # type: ignore[attr-defined]
        return _made_again, args, *how[2:]
    return how[0], args, *how[2:]


def _made_again(kind: type, *args: Any) -> Any:
    derived = _derived(kind)
    return derived.__new__(derived, *args)
