"""``harden(pipeline)``: somebody's whole pipeline once more, with every resize in it that samples replaced.

>>> from secure_resize.integrations import harden
>>> transform = harden(transform)

A row of :data:`HARDENERS` for each library says what of it is replaced, by which of the drop-ins of
``secure_resize.integrations``.
"""

from __future__ import annotations

import contextlib
import types
import warnings
import weakref
from collections.abc import Sequence
from typing import Any, TypeVar

import secure_resize as sr
from secure_resize.integration_support import KernelName

# Each registers its row.
from . import (
    albumentations as albumentations,
    keras as keras,
    keras_hub as keras_hub,
    kornia as kornia,
    plain as plain,
    timm as timm,
    torchvision as torchvision,
    transformers as transformers,
    ultralytics as ultralytics,
)
from .registry import HARDENERS, Decision, Hardener
from .reporting import report_of
from .walk import Change, Walk

__all__ = ["HARDENERS", "Change", "Decision", "HardenWarning", "Hardener", "harden"]

Pipeline = TypeVar("Pipeline")
Size = tuple[int, int]


class HardenWarning(UserWarning):
    """Something samples in a pipeline and could not be replaced; ``changes`` are those parts."""

    def __init__(self, message: str, changes: Sequence[Change] = ()) -> None:
        super().__init__(message)
        self.changes = tuple(changes)


class _Harden:
    """The function :func:`harden`, with :meth:`report`."""

    __name__ = __qualname__ = "harden"

    def __call__(self, pipeline: Pipeline, *, kernel: KernelName | None = None) -> Pipeline:
        """The same pipeline with every resize replaced that samples, or may.

        >>> transform = harden(v2.Compose([v2.Resize(256, antialias=False), v2.CenterCrop(224)]))
        >>> loader = harden(DataLoader(ImageFolder("photos", transform=preset), num_workers=2))

        Parameters
        ----------
        pipeline
            A transform, a list or a Compose of them however nested, a preset, a data set or a loader, a processor, a
            model with a resize inside, a function: whatever a row of :data:`HARDENERS` knows, and whatever holds it.
        kernel
            For every resize; by default the antialiased one of the interpolation that each has. Keras, transformers and
            routed functions keep theirs.

        Returns
        -------
        A pipeline of the same type. What is replaced is of a subclass of what stood there. The argument stays as it
        was; the two share all but the things on the way to what was replaced, such as weights, files and random
        generators: a model that was hardened trains the weights of the one that was not. A pipeline in which there is
        nothing to replace is returned itself.

        Nearest on label maps, below ``target_transform`` and its like, is left alone.

        Warns
        -----
        HardenWarning
            Something samples and could not be replaced; the warning names each, with the way out.

        Raises
        ------
        TypeError
            A class, which has to be constructed first, a module, text or a number.
        ValueError
            There is no such kernel.
        """
        if isinstance(pipeline, type | types.ModuleType | str | bytes | int | float | None):
            shown = f"the class {pipeline.__name__}" if isinstance(pipeline, type) else type(pipeline).__name__
            raise TypeError(
                f"got {shown}; expected a pipeline: a transform, a data set, a processor, a model, a function"
            )
        walk = _walk(pipeline, kernel)
        left_over = [change for change in walk.changes if change.verb == "refused"]
        if left_over:
            warnings.warn(HardenWarning(_told(pipeline, left_over), left_over), stacklevel=2)
        _remember(walk.result, pipeline, kernel)
        hardened: Pipeline = walk.result
        return hardened

    def report(
        self,
        pipeline: Any,
        in_size: Size | Sequence[Size] = (),
        *,
        kernel: KernelName | None = None,
        probe: bool = True,
        name: str = "",
    ) -> sr.audit.Report:
        """What ``harden(pipeline)`` replaces, what it cannot and why, with the verdicts before and after.

        >>> report = harden.report(transform, (768, 1024))
        >>> report.facts["before"], report.facts["after"]
        ('vulnerable', 'robust')

        Parameters
        ----------
        pipeline
            One that is not hardened yet, or what ``harden`` made in this process.
        in_size
            (height, width) of the pictures that go in, or several; by default as for ``sr.audit.audit``.
        kernel
            As for ``harden``, of a pipeline that is not hardened yet.
        probe
            Whether to measure the pipeline before and after, as ``sr.audit.audit`` does, which runs it.
        name
            What the report calls it.

        Returns
        -------
        A report: a finding for each part that samples and could not be replaced, and for what is measured vulnerable
        still. ``facts`` has ``"before"`` and ``"after"``, the verdicts, ``"parts"``, and tables of both.
        """
        known = _REMEMBERED.get(id(pipeline))
        if known is not None and known[0]() is pipeline:
            _, pipeline, kernel = known
        return report_of(pipeline, _walk(pipeline, kernel), in_size, probe=probe, name=name)

    def __repr__(self) -> str:
        return "<function secure_resize.integrations.harden>"

    def __reduce__(self) -> str:
        return "harden"


harden = _Harden()

# Of what harden() made, while it lives: what it was made from and with, for the report.
_REMEMBERED: dict[int, tuple[weakref.ref[Any], Any, KernelName | None]] = {}


def _walk(pipeline: Any, kernel: KernelName | None) -> Walk:
    if kernel is not None:
        sr.get_kernel(kernel)
    return Walk(pipeline, kernel)


def _remember(hardened: Any, pipeline: Any, kernel: KernelName | None) -> None:
    if hardened is pipeline:
        return
    key = id(hardened)
    with contextlib.suppress(TypeError):  # nothing that can be watched: its report will be of a hardened pipeline
        _REMEMBERED[key] = (weakref.ref(hardened, lambda _: _REMEMBERED.pop(key, None)), pipeline, kernel)


def _told(pipeline: Any, left_over: Sequence[Change]) -> str:
    named = "; ".join(
        f"{type(pipeline).__name__}{change.path}: {change.decision.why} ({change.decision.advice})"
        for change in left_over
    )
    return f"could not be hardened, and samples as before: {named}"
