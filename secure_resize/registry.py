"""The one kind of registry: rows by name. A row holds all that is known of its kernel, scaler, attack or defense."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

__all__ = ["Registry"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=_Named)


class Registry(dict[str, Row]):
    """A dict of rows by their names, in the order in which they were added.

    >>> from secure_resize.core.kernels import KERNELS
    >>> KERNELS["bicubc"]
    Traceback (most recent call last):
    ValueError: unknown kernel 'bicubc'; valid kernels: area, box, bilinear, hamming, bicubic, lanczos

    A name that is taken, and one that nobody registered, raises ValueError with those that are registered.
    """

    def __init__(self, noun: str) -> None:
        super().__init__()
        self.noun = noun

    def add(self, row: Row) -> Row:
        """Register ``row`` under its name, and return it."""
        if row.name in self:
            raise ValueError(f"{self.noun} {row.name!r} is already registered; registered {self.noun}s: {self.names}")
        self[row.name] = row
        return row

    def __missing__(self, name: Any) -> Row:
        raise ValueError(f"unknown {self.noun} {name!r}; valid {self.noun}s: {self.names}")

    @property
    def names(self) -> str:
        """All names, as an error message lists them."""
        return ", ".join(self)
