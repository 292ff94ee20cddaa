"""How processes that are started while a context is open come to route as well: by their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from secure_resize.integration_support import tracing

__all__ = ["ENVIRONMENT", "environment", "read_environment"]

ENVIRONMENT = "SECURE_RESIZE_PATCH"

Contexts = Sequence[tuple[tuple[str, ...], str]]


def environment(contexts: Contexts, before: Mapping[str, str | None]) -> dict[str, str]:
    """The variables by which Python routes from its start: ``enforce:cv2,torch;warn:`` says what (nothing: all)."""
    said = ";".join(dict.fromkeys(f"{mode}:{','.join(libraries)}" for libraries, mode in contexts))
    paths = [tracing().INJECTED, *filter(None, [before.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), ENVIRONMENT: said}


def read_environment(said: str) -> list[tuple[tuple[str, ...], str]]:
    """The contexts that :func:`environment` has written down."""
    contexts = []
    for one in filter(None, said.split(";")):
        mode, _, names = one.partition(":")
        contexts.append((tuple(filter(None, names.split(","))), mode))
    return contexts
