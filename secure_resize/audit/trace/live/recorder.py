"""What a process saw so far: a dict from calls to counters, and a line written for each new one."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from .frames import Site, locate, site_of, user_frame
from .hook import Hook, Sight
from .importlib_bootstrap import Inside, nothing_more
from .labels import looks_like_labels
from .records import FIELDS, ROOM, Writer

__all__ = ["INSIDE", "STARTED", "Recorder"]

STARTED = "_secure_resize_started"  # an attribute of threads: where in the user's code they were started

INSIDE = Inside()  # of the trace

_SIZES = 256  # different in-sizes of one call that are told apart; further ones are rounded to 1/8 of an octave
_KNOWN = 65536  # calls whose place is remembered
_LOOKS = 16  # at the pixels of the same call, for whether they are labels; from then on at every power of two


class Recorder:
    """Notes calls, cheaply once they are known. ``started``: where in the user's code this process was started."""

    def __init__(self, folder: str, started: Site | None = None) -> None:
        self.folder, self.started = folder, started
        self.lock = threading.Lock()
        self.located: dict[Any, tuple[Site | None, list[Site], bool]] = {}
        self._fresh()

    def _fresh(self) -> None:
        self.writer: Writer | None = None
        self.known: dict[Any, int] = {}
        self.places = 0
        self.written: dict[Any, int] = {}
        self.sizes: dict[Any, int] = {}
        self.versions: set[str] = set()
        self.failed: set[str] = set()

    def forked(self) -> None:
        """In a child: files of its own. (Another thread of the parent may have held the lock.)"""
        self.lock = threading.Lock()
        self._fresh()

    def note(
        self,
        hook: Hook,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        before: Any,
        took: int,
        frame: FrameType,
        done: str = "",
    ) -> None:
        """One call of a wrapped function, which took ``took`` ns; whatever fails in here is no matter of the script.

        ``done``: what was done about it.
        """
        try:
            try:
                self._note(hook, args, kwargs, result, before, took, frame, done)
            except RecursionError:  # of a script that is at its limit
                limit = sys.getrecursionlimit()
                sys.setrecursionlimit(limit + 500)
                try:
                    self._note(hook, args, kwargs, result, before, took, frame, done)
                finally:
                    _set_limit(limit)
        except Exception as error:
            self.failure(f"{hook.name}: {type(error).__name__}: {error}")

    def _note(
        self,
        hook: Hook,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        before: Any,
        took: int,
        frame: FrameType,
        done: str,
    ) -> None:
        sight = hook.read(args, kwargs, result if hook.prepare is None else (before, result))
        if sight is None and hook.unscaled is not None and done.startswith("replaced"):
            sight = hook.unscaled(result)
        if sight is None:
            return
        at = user_frame(frame)
        outer = at or frame
        code = outer.f_code
        key: Any = (hook.name, code.co_filename, code.co_firstlineno, outer.f_lasti, sight, done)
        if at is None:
            key = (*key, threading.get_ident())
        place = self.known.get(key)
        if place is None:
            place = self._first(key, hook, sight, frame, done)
        self._count(place, took, hook, args, kwargs, sight, not done)

    def _count(
        self,
        place: int,
        took: int,
        hook: Hook,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        sight: Sight,
        looks: bool,
    ) -> None:
        first, counters = FIELDS * place, self._writer().counters
        counters[first] += 1
        counters[first + 1] += took
        seen = counters[first]
        if looks and sight.nearest and not sight.graph and (seen <= _LOOKS or not seen & (seen - 1)):
            pixels = hook.pixels(args, kwargs)
            counters[first + 2] += 1
            counters[first + 3] += looks_like_labels(pixels, sight.channels)

    def _writer(self) -> Writer:
        writer = self.writer
        if writer is None:
            writer = self.writer = Writer(self.folder)
            writer.begin(self.started)
        return writer

    def _first(self, key: Any, hook: Hook, sight: Sight, frame: FrameType, done: str) -> int:
        """The place of a call that was not seen before."""
        with self.lock, nothing_more(INSIDE):
            if (known := self.known.get(key)) is not None:
                return known
            at = (*key[:4], *key[5:], sight.options)  # all but the sizes
            if at not in self.located:
                self.located[at] = (*locate(frame, self._started()), user_frame(frame) is not None)
            site, between, own = self.located[at]
            self.sizes[at] = self.sizes.get(at, 0) + 1
            place = self.places
            rounded = self.sizes[at] > _SIZES
            if rounded:
                sight = sight._replace(in_size=tuple(map(_rounded, sight.in_size)))
                place = self.known.setdefault((at, sight), place)
            if place == self.places:
                if place >= ROOM:
                    raise OverflowError(f"more than {ROOM} different calls in one process")
                self.places += 1
                where = {"as": self.written[at]} if at in self.written else {"site": site, "between": between}
                self.written.setdefault(at, place)
                self._writer().write(
                    {
                        "place": place,
                        "hook": hook.name,
                        **where,
                        "in": sight.in_size,
                        "out": sight.out_size,
                        "rounded": rounded,
                        "dtype": str(sight.dtype),
                        "channels": sight.channels,
                        "options": sight.options,
                        "graph": sight.graph,
                        "own": own,
                        "done": done,
                    }
                )
                self._version(hook.module.partition(".")[0])
            if len(self.known) < _KNOWN:
                self.known[key] = place
            return place

    def _version(self, library: str) -> None:
        if library not in self.versions:
            self.versions.add(library)
            version = getattr(sys.modules.get(library), "__version__", "")
            self._writer().write({"library": library, "version": str(version)})

    def failure(self, text: str) -> None:
        """Something of our own went wrong; said once, in the report."""
        try:
            if text not in self.failed and len(self.failed) < 100:
                self.failed.add(text)
                self._writer().write({"failure": text})
        except Exception:
            return

    def begin(self) -> None:
        """Say that this process is traced, whether it scales anything or not."""
        try:
            self._writer()
        except Exception:  # a folder that has gone: then nothing can be said
            return

    def _started(self) -> Site | None:
        """Where this thread was started, or this process."""
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # which makes no new object
        site: Site | None = getattr(thread, STARTED, None)
        return site or self.started

    def place_in_source(self, frame: FrameType) -> Site | None:
        """Where the user's code is, seen from ``frame``."""
        at = user_frame(frame)
        return site_of(at) if at is not None else self._started()


def _set_limit(limit: int) -> None:
    """Back to what it was; or, where it is so deep that Python refuses that, as near as it takes."""
    for more in range(10):
        try:
            return sys.setrecursionlimit(limit + more)
        except RecursionError:
            continue


def _rounded(side: int | None) -> int | None:
    if side is None or side < 16:
        return side
    step = 1 << (side.bit_length() - 4)
    return (side + step // 2) // step * step
