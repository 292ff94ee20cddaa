"""What stands in front of a model: a registry row each for how a library or a service scales a picture down.

A library's row runs the real library where it is installed. A service's row knows only what its pages say: the rule for
the size, and of the filter nothing, so that every plausible one is shown.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..registry import Registry

__all__ = ["FRONT_ENDS", "NOT_PUBLISHED", "PLAUSIBLE", "FrontEnd", "View", "select_front_ends"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
NOT_PUBLISHED = "not published"
# The filters that a service may have, as the libraries that services are built with call them.
PLAUSIBLE = (
    "opencv:nearest",
    "pillow:nearest",
    "opencv:linear",
    "opencv:cubic",
    "pillow:bilinear",
    "pillow:bicubic",
    "pillow:lanczos",
    "opencv:area",
)


@dataclass(frozen=True, eq=False)
class View:
    """One picture that a front end gives its model: ``image`` uint8 (h, w, 3), without its padding.

    ``size``: the (height, width) to which the picture was scaled; ``top`` and ``left``: where in that the view begins.
    ``part``: (top, left, height, width) of the picture where only that was scaled, to ``size``.
    """

    image: Image
    size: Size
    top: int = 0
    left: int = 0
    part: tuple[int, int, int, int] | None = None

    def by(self, scaler: Callable[[Image, Size], Image], picture: Image) -> Image:
        """What the view would show of ``picture`` (H, W, 3), were it scaled by ``scaler(image, size)``."""
        if self.part is not None:
            top, left, height, width = self.part
            picture = picture[top : top + height, left : left + width]
        height, width = self.image.shape[:2]
        return scaler(picture, self.size)[self.top : self.top + height, self.left : self.left + width]


@dataclass(frozen=True)
class FrontEnd:
    """How one front end scales.

    ``name`` is ``library:part`` or ``service:model generation``; ``versions`` what was read or run, ``rule`` how the
    size follows from the picture's, in words, ``sizes`` the same as a function of (height, width): the sizes to which
    the whole picture is scaled, before anything is cut out of it; none where its user chooses. ``scalers``: names in
    ``SCALERS`` of the filters that it has or, of a service, may have; ``filter`` the same in words,
    :data:`NOT_PUBLISHED` of services. ``samples``: whether it skips pixels, None where nobody says. ``evidence`` is
    where that stands and ``date`` when it was looked up, ``own`` whether that is the maker's own word or code.
    ``look``: the views that the installed library makes of a file's bytes; None for what cannot be run here.
    ``module`` and ``package``: what has to be installed for it.
    """

    name: str
    versions: str
    rule: str
    sizes: Callable[[int, int], list[Size]]
    scalers: tuple[str, ...]
    filter: str
    samples: bool | None
    evidence: str
    date: str
    own: bool = True
    look: Callable[[bytes], list[View]] | None = None
    module: str = ""
    package: str = ""

    @property
    def published(self) -> bool:
        """Whether it is known by which filter it scales."""
        return self.filter != NOT_PUBLISHED

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return self.look is not None and importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed library's version; ``""`` where there is none."""
        return importlib.metadata.version(self.package) if self.installed else ""


FRONT_ENDS: Registry[FrontEnd] = Registry("front end")


def select_front_ends(patterns: list[str] | tuple[str, ...]) -> list[FrontEnd]:
    """The rows whose names match any of ``patterns`` (``fnmatch``), or are of a library or service so called.

    ValueError for a pattern that none matches.
    """
    from fnmatch import fnmatchcase

    found: dict[str, FrontEnd] = {}
    for pattern in patterns:
        here = {
            name: row
            for name, row in FRONT_ENDS.items()
            if fnmatchcase(name, pattern) or name.partition(":")[0] == pattern
        }
        if not here:
            raise ValueError(f"unknown front end {pattern!r}; valid front ends: {FRONT_ENDS.names}")
        found |= here
    return [row for name, row in FRONT_ENDS.items() if name in found]
