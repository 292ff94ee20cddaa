"""Every down-scaling that a program really makes: where, of what, how often, and what it gives away."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from types import TracebackType

from ..report import Report
from .calls import Seen, put_together
from .findings import make_report
from .hooks import HOOKS, Hook
from .live.records import read
from .live.start import FOLDER, Tracing
from .run import environment, run_traced

__all__ = ["HOOKS", "Hook", "Trace", "run_traced", "trace"]


class Trace:
    """What :func:`trace` gives; a context manager."""

    def __init__(self, *, children: bool = True) -> None:
        self._children = children
        self._folder: str | None = None
        self._seen: Seen | None = None
        self._begin = self._seconds = 0.0

    def __enter__(self) -> Trace:
        if self._folder is not None or self._seen is not None:
            raise RuntimeError("a trace is entered once; ask secure_resize.audit.trace() for another")
        folder = tempfile.mkdtemp(prefix="secure-resize-trace-")
        self._tracing = Tracing(folder)
        try:
            self._tracing.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._folder, self._begin = folder, time.monotonic()
        self._before = {name: os.environ.get(name) for name in ("PYTHONPATH", FOLDER)}
        if self._children:
            os.environ.update({name: environment(folder)[name] for name in self._before})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._folder is not None
        self._seconds = time.monotonic() - self._begin
        self._tracing.stop()
        if self._children:
            for name, value in self._before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        self._seen = put_together(read(self._folder))
        shutil.rmtree(self._folder, ignore_errors=True)

    def report(self, *, probing: float = 60.0) -> Report:
        """What was seen, after the ``with`` block; ``probing``: seconds that measuring may take."""
        if self._seen is None:
            raise RuntimeError("the report is there when the with block has ended")
        return make_report(self._seen, seconds=self._seconds, probing=probing)


def trace(*, children: bool = True) -> Trace:
    """Record every down-scaling while a ``with`` block runs, in this process and in those that it starts.

    >>> import secure_resize as sr
    >>> with sr.audit.trace() as traced:
    ...     pass  # cv2.resize(image, (224, 224)), next(iter(loader)), dataset[0] ...
    >>> traced.report().findings
    ()

    Libraries may be imported before or within. Functions that were stored in objects, closures or containers before
    the block began are not seen; those that modules hold under any name are.

    Parameters
    ----------
    children
        Whether processes that are started within the block are traced too, by their environment (``PYTHONPATH``).

    Returns
    -------
    A context manager, whose ``report()`` is the :class:`~secure_resize.audit.Report`. Its findings are calls that
    sample; ``facts["calls"]`` lists all.

    Raises
    ------
    RuntimeError
        This process is being traced already, or the report is asked for within the block.
    """
    return Trace(children=children)
