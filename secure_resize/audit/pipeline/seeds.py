"""Random choices made again: every source of them that a pipeline may use is set before each call."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...registry import Registry

__all__ = ["GENERATORS", "SOURCES", "Source", "found_in", "reseed", "states"]


@dataclass(frozen=True)
class Source:
    """A library's global random state: ``set(seed)``, and ``state()``, which tells whether anybody drew from it."""

    name: str
    set: Callable[[int], None]
    state: Callable[[], Any] = lambda: None


SOURCES: Registry[Source] = Registry("random source")
SOURCES.add(Source("random", random.seed, random.getstate))
SOURCES.add(
    Source("numpy", lambda seed: np.random.seed(seed), lambda: np.random.get_state(legacy=False)["state"]["pos"])  # noqa: NPY002
)
SOURCES.add(
    Source(
        "torch",
        lambda seed: sys.modules["torch"].manual_seed(seed),
        lambda: sys.modules["torch"].get_rng_state().numpy().tobytes(),
    )
)
SOURCES.add(Source("tensorflow", lambda seed: sys.modules["tensorflow"].random.set_seed(seed)))


# Generators that a pipeline holds itself: by what they have, how they are set.
GENERATORS: tuple[tuple[str, Callable[[Any, int], Any]], ...] = (
    ("set_random_seed", lambda one, seed: one.set_random_seed(seed)),  # albumentations
    ("bit_generator", lambda one, seed: setattr(one.bit_generator, "state", type(one.bit_generator)(seed).state)),
    ("initial_seed", lambda one, seed: one.manual_seed(seed)),  # torch.Generator
    ("getrandbits", lambda one, seed: one.seed(seed)),  # random.Random
    ("seed_generator", lambda one, seed: _keras(one.seed_generator, seed)),  # keras layers
)


def _keras(generator: Any, seed: int) -> None:
    if hasattr(generator, "state"):
        generator.state.assign(np.array([seed, 0], dtype=str(generator.state.dtype)))


def reseed(seed: int, own: tuple[Any, ...] = ()) -> None:
    """Set every global source of a library that is loaded, and the generators ``own``, to ``seed``."""
    for source in SOURCES.values():
        if source.name in sys.modules:
            source.set(seed)
    for generator in own:
        next(put for name, put in GENERATORS if hasattr(generator, name))(generator, seed)


def states(own: tuple[Any, ...] = ()) -> list[Any]:
    """The global states and those of ``own``; unlike before where somebody drew a number in between."""
    found = [source.state() for source in SOURCES.values() if source.name in sys.modules]
    for generator in own:
        if hasattr(generator, "bit_generator"):
            found.append(repr(generator.bit_generator.state))
        elif hasattr(generator, "getstate"):
            found.append(generator.getstate())
        elif hasattr(generator, "initial_seed"):
            found.append(generator.get_state().numpy().tobytes())
    return found


def found_in(target: Any) -> tuple[Any, ...]:
    """The generators that ``target`` holds: in itself, its parts, closure and the globals that it names."""
    found: list[Any] = []
    seen: set[int] = set()
    todo = [(target, 0)]
    while todo and len(seen) < 5000:
        value, depth = todo.pop()
        if id(value) in seen or isinstance(value, type | str | bytes | int | float | np.ndarray):
            continue
        seen.add(id(value))
        if any(_has(value, name) for name, _ in GENERATORS):
            found.append(value)
        if depth < 6:
            todo += [(one, depth + 1) for one in _parts(value)]
    return tuple(found)


def _has(value: Any, name: str) -> bool:
    try:
        return hasattr(value, name) and value is not random and value is not np.random
    except Exception:  # of a property
        return False


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from list(value.values())[:200]
    elif isinstance(value, list | tuple | set | frozenset):
        yield from list(value)[:200]
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif hasattr(value, "__code__"):
        yield from (cell.cell_contents for cell in value.__closure__ or () if _filled(cell))
        names = {name for name in value.__code__.co_names if name in value.__globals__}
        yield from (value.__globals__[name] for name in names if not hasattr(value.__globals__[name], "__path__"))
    elif hasattr(value, "__self__") and hasattr(value, "__func__"):
        yield from (value.__self__, value.__func__)
    elif hasattr(value, "__dict__") and type(value).__name__ != "module":
        yield from list(vars(value).values())[:200]
        call = getattr(type(value), "__call__", None)  # noqa: B004
        if hasattr(call, "__code__"):
            yield call


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
