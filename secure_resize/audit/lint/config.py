"""What a project asks of the linter: the table ``[tool.secure-resize]`` of the nearest pyproject.toml."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..report import SEVERITIES
from ..rules import RULES

__all__ = ["Config", "check_codes", "nearest"]

KEYS = ("select", "ignore", "exclude", "per-file-ignores", "fail-on")


@dataclass(frozen=True)
class Config:
    """``select`` and ``ignore`` are rule codes or beginnings of codes, ``exclude`` patterns of paths below the one that
    is asked for; ``per_file`` codes by such a pattern; ``fail_on`` a severity. ``folder`` is where the file lies.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fail_on: str | None = None
    folder: Path | None = None

    def wants(self, code: str, path: Path) -> bool:
        """Whether findings of ``code`` in ``path`` are asked for."""
        if self.select and not code.startswith(self.select):
            return False
        return not code.startswith(self.ignored(path) or ("?",))

    def ignored(self, path: Path) -> tuple[str, ...]:
        """The codes that are ignored in ``path``."""
        absolute = path.absolute()
        inside = self.folder is not None and absolute.is_relative_to(self.folder)
        name = absolute.relative_to(self.folder).as_posix() if inside and self.folder else absolute.as_posix()
        own = [
            code
            for pattern, codes in self.per_file.items()
            if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path.name, pattern)
            for code in codes
        ]
        return (*self.ignore, *own)


def check_codes(codes: Iterable[str], noun: str) -> tuple[str, ...]:
    """``codes``, each a rule's or the beginning of one, in capitals; ValueError otherwise."""
    found = [part.strip().upper() for one in codes for part in one.split(",") if part.strip()]
    for one in found:
        if not any(name.startswith(one) for name in RULES):
            raise ValueError(f"{noun}: unknown code {one!r}; valid codes, or beginnings of them: {RULES.names}")
    return tuple(found)


def nearest(path: Path) -> Config:
    """What the nearest pyproject.toml above ``path`` says that has the table; ValueError where it is wrong."""
    absolute = path.absolute()
    for folder in [*([absolute] if absolute.is_dir() else []), *absolute.parents]:
        file = folder / "pyproject.toml"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if "secure-resize" not in text:
            continue
        try:
            table = tomllib.loads(text).get("tool", {}).get("secure-resize")
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{file}: {error}") from error
        if isinstance(table, dict):
            return _checked(table, file)
    return Config()


def _checked(table: Mapping[str, Any], file: Path) -> Config:
    where = f"{file}: [tool.secure-resize]"
    for key in table:
        if key not in KEYS:
            raise ValueError(f"{where}: unknown key {key!r}; valid keys: {', '.join(KEYS)}")
    fail_on = table.get("fail-on")
    if fail_on is not None and fail_on not in SEVERITIES:
        raise ValueError(f"{where} fail-on: got {fail_on!r}; valid severities: {', '.join(SEVERITIES)}")
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise ValueError(f"{where} per-file-ignores: expected a table of lists of codes, got {per_file!r}")
    return Config(
        check_codes(_texts(table, "select", where), f"{where} select"),
        check_codes(_texts(table, "ignore", where), f"{where} ignore"),
        tuple(_texts(table, "exclude", where)),
        {key: check_codes(_texts(per_file, key, where), f"{where} per-file-ignores") for key in per_file},
        fail_on,
        file.parent,
    )


def _texts(table: Mapping[str, Any], key: str, where: str) -> Sequence[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{where} {key}: expected a list of texts, got {value!r}")
    return value
