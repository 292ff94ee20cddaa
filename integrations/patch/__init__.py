"""Route other libraries' down-scalings to ours, in code that cannot be changed.

>>> from secure_resize.integrations import patched
>>> with patched("cv2", "torch"):
...     train()

Calls that sample are replaced while the ``with`` block runs, by robust ones of the same signature, dtype and type;
up-scalings, calls at the same size and those that are robust already are left to the library.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from secure_resize.integration_support import tracing

from . import opencv, pillow, scientific, tensorflow, torch  # noqa: F401 - registers the routes
from .importing import ENVIRONMENT, read_environment
from .patching import MODES, Mode, Patching, PatchWarning
from .routes import LIBRARIES, ROUTES, Route, routes_of

__all__ = ["LIBRARIES", "MODES", "ROUTES", "PatchWarning", "Route", "arrived", "begin", "patched"]

Function = TypeVar("Function", bound=Callable[..., Any])


class patched:
    """Route every down-scaling of ``libraries`` to a robust one; a context manager, and a decorator.

    >>> with patched("cv2"):
    ...     small = cv2.resize(image, (224, 224))  # antialiased
    >>> @patched("torch", "PIL", mode="warn")
    ... def load(path): ...

    Parameters
    ----------
    libraries
        Names from ``LIBRARIES``; none means all. A library is routed where its down-scalings end: ``"albumentations"``
        in OpenCV, ``"torchvision"`` in torch and Pillow, for whoever calls those. They may be imported before or
        within; references that were taken earlier (``from cv2 import resize``, ``self.resize = cv2.resize``,
        ``functools.partial``, defaults, closures) are routed too, and put back at the end.
    mode
        ``"enforce"`` (default): calls that sample are replaced. What is left as it is, because its pixels are labels or
        because nothing could replace it, is said once a line by a :class:`PatchWarning`. ``"warn"``: nothing is
        changed; each line that samples is warned of, with its stealth gain.

    It holds for the whole process, with all its threads, and for the Python processes that are started within the
    block, forked or not. Blocks nest and may overlap; ``"enforce"`` goes before ``"warn"``. A context can be entered
    again, also within itself.

    Raises
    ------
    ValueError
        An unknown library or mode, as soon as the context is made.
    """

    def __init__(self, *libraries: str, mode: Mode = "enforce") -> None:
        routes_of(libraries)
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}; valid modes: {', '.join(MODES)}")
        self.libraries, self.mode = libraries, mode

    def __enter__(self) -> patched:
        Patching.enter(self.libraries, self.mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Patching.leave(self.libraries, self.mode)

    def __call__(self, function: Function) -> Function:
        """``function``, routed while it runs."""

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return within  # type: ignore[return-value]


def begin() -> None:
    """Route in this process from now on, as its environment says (``secure-resize run``, or a block of a parent)."""
    folder = os.environ.get("SECURE_RESIZE_TRACE")
    recorder = tracing().Recorder(folder) if folder and os.path.isdir(folder) else None
    for libraries, mode in read_environment(os.environ.get(ENVIRONMENT, "")):
        Patching.enter(libraries, mode, recorder)  # type: ignore[arg-type]


def arrived(module: ModuleType, along: set[str]) -> None:
    """A module was imported for which an import began before :func:`begin`."""
    if Patching.active is not None:
        Patching.active.arrived(module, along)
