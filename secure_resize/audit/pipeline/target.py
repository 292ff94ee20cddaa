"""What is audited: found by ``module:object`` or ``file.py:object``, constructed where it is a class, and called.

Its parameters are filled from the user's ``--args``; those that name a label get one, those that name files or a
folder get the ones that the audit writes (:mod:`.inputs`).
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import operator
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Target", "TargetError", "arguments", "find", "parameters", "target_of"]

# Attributes that hold the preprocessing of a thing that has no picture to give itself.
INSIDE = ("image_processor", "preprocess", "transform", "transforms", "preprocessor")
LABELS = ("label", "labels", "target", "targets", "y", "caption", "text", "index", "idx", "id", "class_id")


class TargetError(ValueError):
    """There is no such target, or nothing can be called of it."""


@dataclass(eq=False)
class Target:
    """``value`` is what is called, ``call`` how; ``label`` parameters behind the first are filled with 0.

    ``find`` finds or makes the value once more; ``place`` is the path of its file, where it has one, and ``line``.
    ``needs`` are the names of the parameters that a class or function has for files or a folder, not yet filled.
    """

    name: str
    value: Any
    find: Callable[[], Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None
    line: int | None = None
    notes: list[str] = field(default_factory=list)

    def call(self, *values: Any, **named: Any) -> Any:
        """The result for one picture, handed over in whatever way."""
        labels = [0] * _labels(self.value, len(values), {*named, *self._named})
        return self.value(*values, *labels, **named, **self._named)

    @property
    def _named(self) -> Mapping[str, Any]:
        return {} if self.constructed else self.given

    @property
    def constructed(self) -> bool:
        """Whether the arguments went into a constructor."""
        return bool(getattr(self.find, "constructed", False))


def arguments(words: tuple[str, ...]) -> dict[str, Any]:
    """``k=v`` words as a dict; a value is a Python literal, or else text."""
    found = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or not name.isidentifier():
            raise ValueError(f"expected an argument as NAME=VALUE, such as size=224; got {word!r}")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


def find(text: str, given: Mapping[str, Any]) -> Target:
    """The target that ``text`` names; TargetError where there is none, or its module cannot be imported."""
    module, separator, path = text.rpartition(":")
    if not separator or not module or not path:
        raise TargetError(f"expected module:object or file.py:object, got {text!r}")
    finder = _Finder(module, path, given)
    value = finder()
    where, line = _where(value, finder.file)
    return Target(text, value, finder, given, where, line)


def target_of(value: Any, given: Mapping[str, Any]) -> Target:
    """An object in memory as a target."""
    if isinstance(value, Target):
        return value
    finder = _Finder("", "", given, value)
    made = finder()
    owner = made if hasattr(made, "__qualname__") else type(made)
    where, line = _where(made, None)
    name = f"{getattr(owner, '__module__', '')}:{getattr(owner, '__qualname__', type(made).__name__)}"
    return Target(name, made, finder, given, where, line)


@dataclass(eq=False)
class _Finder:
    """Finds the value; callable again, for a fresh one."""

    module: str
    path: str
    given: Mapping[str, Any]
    value: Any = None
    file: str | None = None
    constructed: bool = False

    def __call__(self) -> Any:
        if self.module:
            value = self._imported()
            for name in self.path.split("."):
                value = self._ready(value) if inspect.isclass(value) else value
                try:
                    value = operator.attrgetter(name)(value)
                except AttributeError as error:
                    names = ", ".join(one for one in dir(value) if not one.startswith("_"))[:300]
                    reason = f"cannot find {self.path!r} in {self.module!r}: {error}; there are: {names}"
                    raise TargetError(reason) from None
        else:
            value = self.value
        return _callable(self._ready(value))

    def _ready(self, value: Any) -> Any:
        """An object of a class, with the arguments; whatever else as it is."""
        if not inspect.isclass(value):
            return value
        missing = [name for name in parameters(value, required=True) if name not in self.given]
        if missing and any(_for_files(name) for name in missing):
            return value  # a data set: it is constructed on files that the audit writes
        self.constructed = True
        if missing:
            raise TargetError(f"{value.__name__} needs {', '.join(missing)}: give them by --args {missing[0]}=...")
        try:
            return value(**self.given)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise TargetError(f"{value.__name__}({_written(self.given)}) fails: {reason}") from error

    def _imported(self) -> Any:
        sys.path.insert(0, os.getcwd()) if os.getcwd() not in sys.path else None
        try:
            if self.module.endswith(".py"):
                return self._from_file(Path(self.module))
            module = importlib.import_module(self.module)
        except TargetError:
            raise
        except (Exception, SystemExit) as error:
            raise TargetError(f"cannot import {self.module!r}: {type(error).__name__}: {error}") from error
        self.file = getattr(module, "__file__", None)
        return module

    def _from_file(self, path: Path) -> Any:
        if not path.is_file():
            raise TargetError(f"there is no file {os.fspath(path)!r}")
        path = path.absolute()
        self.file, folder, name = str(path), path.parent, path.stem
        while (folder / "__init__.py").is_file():  # relative imports work from inside the package only
            folder, name = folder.parent, f"{folder.name}.{name}"
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        known = sys.modules.get(name)
        if known is not None and getattr(known, "__file__", None) == str(path):
            del sys.modules[name]
        if known is None or getattr(known, "__file__", None) == str(path):
            importlib.invalidate_caches()
            module = importlib.import_module(name)
            if getattr(module, "__file__", None) == str(path):
                return module
        # Something else is called so (a test, numpy's own): the file, under a name that is free.
        spec = importlib.util.spec_from_file_location(f"audited_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module


def _callable(value: Any) -> Any:
    """What can be called of ``value``: itself, a data set, or the preprocessing inside of it."""
    if inspect.isclass(value) or callable(value) or hasattr(value, "__getitem__"):
        return value
    inner = next((getattr(value, name) for name in INSIDE if callable(getattr(value, name, None))), None)
    if inner is None:
        methods = ", ".join(
            name for name in dir(value) if not name.startswith("_") and callable(getattr(value, name, None))
        )
        kind = type(value).__name__
        raise TargetError(f"a {kind} cannot be called; name one of its methods: {methods[:300] or 'it has none'}")
    return inner


def inside(value: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    """The preprocessing that a model or processor holds: its name, and what takes it out of such a thing."""
    found: list[tuple[str, Callable[[Any], Any]]] = []
    if keras_stage(value) is not None:
        found.append(("layers before the first weights", keras_stage))
    names = [name for name in INSIDE if callable(getattr(value, name, None))]
    return found + [(name, operator.attrgetter(name)) for name in names]


def keras_stage(model: Any) -> Any:
    """What a Keras model does to pictures before its first layer with weights, as a model; None for anything else."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        return None
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    first = next((k for k, layer in enumerate(layers) if layer.weights), len(layers))
    return keras.Model(model.inputs, layers[first - 1].output) if 0 < first < len(layers) else None


def parameters(value: Any, *, required: bool = False) -> list[str]:
    """The names of the parameters by which ``value`` can be called; without those of ``self``, * and **."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, one in signature.parameters.items()
        if one.kind not in kinds and (not required or one.default is inspect.Parameter.empty)
    ]


def _labels(value: Any, positional: int, named: set[str]) -> int:
    """How many of the next parameters are labels that have no default."""
    if isinstance(value, functools.partial):
        return 0
    names = [name for name in parameters(value, required=True) if name not in named][positional:]
    return len(names) if names and all(name.lower() in LABELS for name in names) else 0


def _for_files(name: str) -> bool:
    from .inputs import FILLED  # which knows what it can write

    return name.lower() in FILLED


def _written(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


def _where(value: Any, file: str | None) -> tuple[str | None, int | None]:
    """Path, relative to the current folder if below it, and line of where ``value`` was written."""
    inner = inspect.unwrap(value) if callable(value) else value
    inner = getattr(inner, "func", inner)
    owner = inner if hasattr(inner, "__code__") or inspect.isclass(inner) or inspect.ismethod(inner) else type(inner)
    try:
        path, line = inspect.getsourcefile(owner), inspect.getsourcelines(owner)[1]
    except (TypeError, OSError):
        path, line = None, None
    if file is not None and path != file:
        path, line = file, None
    if path is None:
        return None, None
    relative = os.path.relpath(path)
    return (path if relative.startswith("..") else relative).replace(os.sep, "/"), line
