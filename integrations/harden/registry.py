"""What a hardener is: a row a library, with all that is known of what it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from secure_resize.integration_support import KernelName, Registry

__all__ = ["HARDENERS", "Asked", "Decision", "Hardener", "kept", "refused", "replaced"]

Verb = Literal["replaced", "left", "refused"]


@dataclass(frozen=True)
class Asked:
    """What a hardener is told beside the thing itself.

    ``kernel`` is the user's, for every resize; ``labels`` is True below an attribute that holds what is done to label
    maps (``target_transform``), where nearest is right. ``inside(value)`` tells whether a walk through ``value`` would
    replace anything, or could not; for closures.
    """

    kernel: KernelName | None
    labels: bool
    inside: Callable[[Any], bool]


@dataclass(frozen=True)
class Decision:
    """What becomes of one thing: ``value`` stands in its place. ``why``, in words; ``advice``, where it was refused.

    ``replaced``: ``value`` is robust. ``left``: it is, or does not scale pictures down, and ``value`` is the thing
    itself. ``refused``: it samples, or may, and cannot be replaced.
    """

    verb: Verb
    value: Any
    why: str
    advice: str = ""


def replaced(value: Any, why: str) -> Decision:
    """``value`` takes its place."""
    return Decision("replaced", value, why)


def kept(value: Any, why: str) -> Decision:
    """It stays as it is, for this reason."""
    return Decision("left", value, why)


def refused(value: Any, why: str, advice: str) -> Decision:
    """It would have to be replaced, and cannot be."""
    return Decision("refused", value, why, advice)


@dataclass(frozen=True)
class Hardener:
    """One library: ``decide(value, asked)`` says what becomes of a thing of that library, None for all others.

    ``module`` is the library's: as long as nobody has imported it, nothing can be of it. ``rule`` is the audit's rule
    for what it leaves behind. ``replaces`` and ``shares`` say in words what is replaced, and what the result has in
    common with the argument. ``examples`` are pipelines that sample, each as Python source whose last line is the
    pipeline; the tests and the benchmark harden every one. ``layout`` is the one of ``sr.probe`` in which they take a
    picture, ``call(pipeline, picture)`` how, and what they make of it.
    """

    name: str
    module: str
    rule: str
    decide: Callable[[Any, Asked], Decision | None]
    replaces: str
    shares: str
    examples: tuple[str, ...]
    layout: str = "HWC"
    call: Callable[[Any, Any], Any] = lambda pipeline, picture: pipeline(picture)


HARDENERS: Registry[Hardener] = Registry("hardener")
