"""Which files are looked at, and their text: never more than that is done with them."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import tokenize
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

__all__ = ["KINDS", "LARGEST", "NotReadable", "decoded", "discovered", "package_of", "shown"]

KINDS = (".py", ".pyw", ".pyi", ".ipynb", ".json")
LARGEST = 5_000_000  # bytes; a notebook with pictures in it may have eight times as many
SKIPPED = {
    ".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", ".eggs",
}  # fmt: skip
CONFIGURATION = re.compile(rb'"(?:resample|image_processor_type|feature_extractor_type|antialias|interpolation)"\s*:')


class NotReadable(ValueError):
    """A file that cannot be looked at; the message says why."""


def discovered(paths: Sequence[Path], exclude: Sequence[str], failures: list[str]) -> Iterator[tuple[Path, Path]]:
    """The files under ``paths``, each once, with the path that it was found under; sorted."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            for file in _walk(path, exclude, failures, seen):
                yield file, path
        elif not _excluded(path.name, exclude):
            yield path, path


def _walk(top: Path, exclude: Sequence[str], failures: list[str], seen: set[tuple[int, int]]) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        failures.append(f"{shown(Path(error.filename or top))}: {error.strerror or error}")

    for folder, folders, names in os.walk(top, onerror=failed, followlinks=False):
        inside = Path(folder).relative_to(top)
        try:
            status = os.stat(folder)
        except OSError as error:
            failed(error)
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders[:] = []
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(
            one for one in folders if one not in SKIPPED and not _excluded((inside / one).as_posix(), exclude)
        )
        for name in sorted(names):
            if name.lower().endswith(KINDS) and not _excluded((inside / name).as_posix(), exclude):
                yield Path(folder) / name


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path below the one that was asked for, or its last part, matches a pattern."""
    last = path.rpartition("/")[2]
    return any(fnmatch.fnmatch(path, one.rstrip("/")) or fnmatch.fnmatch(last, one.rstrip("/")) for one in patterns)


def content(file: Path) -> bytes:
    """The bytes of a regular file of a sensible size; NotReadable otherwise."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise NotReadable("it is not a regular file")
        largest = LARGEST * (8 if file.suffix.lower() == ".ipynb" else 1)
        if status.st_size > largest:
            if file.suffix.lower() == ".json":
                return b""  # vocabularies and weights; a configuration is small
            raise NotReadable(f"it has {status.st_size / 1e6:.0f} MB, more than the {largest / 1e6:.0f} that are read")
        return file.read_bytes()
    except OSError as error:
        raise NotReadable(error.strerror or str(error)) from error


def decoded(raw: bytes, kind: str) -> str:
    """The text of a file, its line ends as they are; NotReadable where it is none."""
    if b"\0" in raw:
        raise NotReadable("it is not a text file (it has null bytes)")
    try:
        encoding = "utf-8" if kind in (".ipynb", ".json") else tokenize.detect_encoding(BytesIO(raw).readline)[0]
        text = raw.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise NotReadable(f"its text cannot be decoded ({error})") from error
    return text.removeprefix("\ufeff")


def package_of(file: Path) -> tuple[str, ...]:
    """The package that a file's relative imports start from: the folders above it that have an ``__init__.py``."""
    parts: list[str] = []
    folder = file.resolve().parent
    while (folder / "__init__.py").is_file() and len(parts) < 30:
        parts.insert(0, folder.name)
        if folder.parent == folder:
            break
        folder = folder.parent
    return tuple(parts)


def shown(path: Path) -> str:
    """A path as reports have it: relative to where the command runs, if it lies below, with forward slashes."""
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else absolute.as_posix()
