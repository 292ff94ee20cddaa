"""The routes as a registry: for each function that trace watches, what is called in its place where it samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from secure_resize.integration_support import Registry, tracing

from .arrays import looks_like_labels

__all__ = ["LIBRARIES", "ROUTES", "Answer", "Call", "Done", "Left", "Route", "route", "routes_of"]


@dataclass(frozen=True)
class Done:
    """The call was replaced; this is what it returns."""

    result: Any
    by: str


@dataclass(frozen=True)
class Left:
    """The call is left as it is, for a reason that is said once a line. ``harmless``: nothing is wrong with that."""

    why: str
    harmless: bool = False


Answer = Done | Left | None  # None: it samples nothing, and is the library's own business

LABELS = Left("a map of labels, for which nearest is right", harmless=True)


@dataclass(slots=True)
class Call:
    """A call of a library's function: ``original(*args, **kwargs)``, with what tells its role."""

    original: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    # Whether the names around the call say that it scales a mask.
    names_a_mask: Callable[[], bool] = field(default=lambda: False)
    # Runs a function whose own calls are routed in turn.
    routed: Callable[[Callable[[], Any]], Any] = field(default=lambda function: function())

    def is_labels(self, pixels: Any, size: tuple[int, ...]) -> bool:
        """Whether ``pixels``, an array (..., H, W) that nearest was asked for, is a map of labels."""
        return self.names_a_mask() or looks_like_labels(pixels, size)

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument that may be given by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def with_argument(self, place: int, name: str, value: Any) -> Call:
        """The same call with one argument changed."""
        if len(self.args) > place:
            return replace(self, args=(*self.args[:place], value, *self.args[place + 1 :]))
        return replace(self, kwargs={**self.kwargs, name: value})

    def through(self) -> Any:
        """The library's own, with what it calls in turn routed."""
        return self.routed(self.stock)

    def stock(self) -> Any:
        """The library's own result."""
        return self.original(*self.args, **self.kwargs)


Answering = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """What stands in the place of the function of the hook ``name`` (``tracing().HOOKS``).

    ``replace(call)`` answers with a result, or why the call is left as it is, or None. ``compiling(original, *args)``:
    what torch's compilers see instead.
    """

    name: str
    replace: Answering
    compiling: Callable[..., Any] | None = None

    @property
    def hook(self) -> Any:
        """Where the function stands, and how a call of it is read."""
        return tracing().HOOKS[self.name]

    @property
    def package(self) -> str:
        """The top of the module that holds the function."""
        return str(self.hook.module).partition(".")[0]


ROUTES: Registry[Route] = Registry("route")

# What a user may name, and the packages in which that library's down-scalings end.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "PIL": ("PIL",),
    "albumentations": ("cv2",),
    "cv2": ("cv2",),
    "keras": ("PIL", "tensorflow", "torch"),
    "kornia": ("kornia", "torch"),
    "scipy": ("scipy",),
    "simplejpeg": ("simplejpeg",),
    "skimage": ("scipy", "skimage"),
    "tensorflow": ("tensorflow",),
    "torch": ("torch",),
    "torchvision": ("PIL", "torch"),
}


def route(*names: str, compiling: Callable[..., Any] | None = None) -> Callable[[Answering], Answering]:
    """Register the decorated function as what replaces calls of the hooks ``names``."""

    def register(replace: Answering) -> Answering:
        for name in names:
            ROUTES.add(Route(name, replace, compiling))
        return replace

    return register


def routes_of(libraries: tuple[str, ...]) -> list[Route]:
    """The routes of the libraries named, of all where none is; ValueError for an unknown name."""
    for name in libraries:
        if name not in LIBRARIES:
            raise ValueError(f"unknown library {name!r}; valid libraries: {', '.join(LIBRARIES)}")
    packages = {package for name in libraries or LIBRARIES for package in LIBRARIES[name]}
    return [one for one in ROUTES.values() if one.package in packages]
