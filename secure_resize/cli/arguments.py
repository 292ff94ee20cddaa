"""Types of arguments that several commands take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from ..audit.report import SEVERITIES, Severity
from ..scaling import check_size

__all__ = ["FailOn", "Size", "size_of"]


def size_of(text: str) -> tuple[int, int]:
    """``"HxW"`` as (height, width); ValueError where it is none."""
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise ValueError(f"expected HEIGHTxWIDTH such as 224x224, got {text!r}")
    return check_size((int(height), int(width)))


def _size(kind: Any, tokens: Sequence[Token]) -> tuple[int, int]:
    return size_of(tokens[0].value)


def _shown(size: tuple[int, int] | None) -> str | None:
    """The default in the help; None: there is none to show."""
    return f"{size[0]}x{size[1]}" if size else None


Size = Annotated[tuple[int, int], Parameter(converter=_size, n_tokens=1, metavar="HxW", show_default=_shown)]


def _severity(kind: Any, tokens: Sequence[Token]) -> str:
    if tokens[0].value not in SEVERITIES:  # "none" and "null" would mean that nothing was said
        raise ValueError(f"expected one of {', '.join(SEVERITIES)}, got {tokens[0].value!r}")
    return tokens[0].value


# A severity that is not said is None: a project's configuration may say it.
FailOn = Annotated[Severity | None, Parameter(converter=_severity, n_tokens=1)]
