"""Which line of the user's own code a call comes from, and what lies between."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from types import FrameType
from typing import Any

from .importlib_bootstrap import FRAMES

__all__ = ["Site", "locate", "site_of", "user_frame"]

Site = tuple[str, int, str]  # file, line, function

_START = os.getcwd() if os.path.isdir(os.curdir) else "/"
_PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOLDERS = tuple(
    os.path.join(os.path.realpath(folder), "")
    for folder in {
        *(
            path
            for name, path in sysconfig.get_paths().items()
            if name in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
        *(site.getsitepackages() if hasattr(site, "getsitepackages") else ()),
        *((site.getusersitepackages(),) if hasattr(site, "getusersitepackages") else ()),
        os.path.dirname(os.__file__),
        _PACKAGE,
    }
)
_PARTS = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_AUTOGRAPH = "__autograph_generated_file"

_own: dict[str, bool] = {}  # by file name
_paths: dict[str, str] = {}  # real ones, by file name


def _is_own(frame: FrameType) -> bool:
    """Whether the frame is of the user's own code: of no library, nor of the standard one."""
    name = frame.f_code.co_filename
    known = _own.get(name)
    if known is None:
        if name.startswith("<"):  # python -c, a notebook, or code that a library generated; many share a name
            main = frame.f_globals.get("__name__") == "__main__"
            return main and "spawn_main" not in frame.f_code.co_names
        path = path_of(frame)
        known = not (path.startswith(_FOLDERS) or any(part in path for part in _PARTS) or _AUTOGRAPH in name)
        _own[name] = known
    return known


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the user's own code, from ``frame`` outwards."""
    own = _own
    while frame is not None:
        known = own.get(frame.f_code.co_filename)
        if known or (known is None and _is_own(frame)):
            return frame
        frame = frame.f_back
    return None


def path_of(frame: FrameType) -> str:
    """The frame's file, absolute; a name in angle brackets stays."""
    name = frame.f_code.co_filename
    path = _paths.get(name)
    if path is None:
        path = _paths[name] = name if name.startswith("<") else os.path.realpath(os.path.join(_START, name))
    return path


def site_of(frame: FrameType) -> Site:
    """File, line and function of a frame."""
    function = frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name
    return path_of(frame), frame.f_lineno or 0, function


def locate(frame: FrameType, started: Site | None) -> tuple[Site | None, list[Site]]:
    """The user's site of a call made in ``frame``, and the library's frames between, innermost first.

    Where no frame is the user's, it is where the process or the thread was ``started``; else, that of the script
    itself where it belongs to a library (``python -m``); else None.
    """
    between: list[Site] = []
    main: FrameType | None = None
    generated = False
    at: FrameType | None = frame
    while at is not None:
        if _is_own(at):
            if generated and (converted := _converted()) is not None:
                return converted, between
            return site_of(at), between
        generated = generated or _AUTOGRAPH in at.f_code.co_filename
        if at.f_globals.get("__name__") == "__main__" and not at.f_code.co_filename.startswith("<"):
            main = main or at
        if at.f_code not in FRAMES and _AUTOGRAPH not in at.f_code.co_filename and len(between) < 40:
            between.append(site_of(at))
        at = at.f_back
    if generated and (converted := _converted()) is not None:
        return converted, between
    if started is not None:
        return started, between
    return (site_of(main), between) if main is not None else (None, between)


def _converted() -> Site | None:
    """The user's innermost line where TensorFlow's AutoGraph runs a translation of it; TensorFlow keeps the book."""
    stack: Any = sys.modules.get("tensorflow.python.util.tf_stack")
    try:
        frames = list(stack.extract_stack())
    except Exception:
        return None
    for one in reversed(frames):
        path = os.path.realpath(os.path.join(_START, one.filename))
        if not path.startswith(_FOLDERS) and not any(part in path for part in _PARTS):
            return path, int(one.lineno), str(one.name)
    return None
