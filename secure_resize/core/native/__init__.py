"""The C extension's implementation of the core; importing it raises ImportError where it was not built."""

from ._native import apply_area, apply_fixed, apply_float  # type: ignore[import-not-found]

__all__ = ["apply_area", "apply_fixed", "apply_float"]
