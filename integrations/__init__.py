"""Thin adapters of :func:`secure_resize.resize` to other libraries; importing this package imports none of them.

>>> from secure_resize.integrations import harden, patched

A module each for those who write their own pipeline: ``torchvision``, ``tensorflow``, ``keras``, ``opencv``,
``albumentations``, ``transformers``, ``timm``. ``harden(pipeline)`` rewrites a pipeline that is there already, and
``patched(...)`` reroutes the calls of code that cannot be changed; both are imported when they are first asked for.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .harden import harden as harden
    from .patch import patched as patched

__all__ = ["harden", "patched"]

# The functions of this package, and the module that each is in.
_MODULES = {"harden": ".harden", "patched": ".patch"}


class _Integrations(ModuleType):
    """This package: ``harden`` is the function here, and stays it when the folder of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Integrations

if not TYPE_CHECKING:  # for a type checker every name would be there

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _MODULES[name]
        try:
            found = getattr(importlib.import_module(module, __name__), name)
        except ModuleNotFoundError as error:
            if error.name != __name__ + module:
                raise
            raise ImportError(f"this build of secure_resize has no {name}: {error}") from error
        setattr(sys.modules[__name__], name, found)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
