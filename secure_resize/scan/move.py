"""Suspicious files out of the way: never outside of the folder, never over another file, and back again."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from .ledger import Ledger
from .units import IMAGE_SUFFIXES, quoted

__all__ = ["MOVED", "move", "restore"]

# In the folder: a line a file, {"from", "to", "id"}, written before the file is moved.
MOVED = "moved.jsonl"
_LONGEST = 200  # bytes of a name


def move(ledger: Ledger) -> int:
    """Do the moves that are planned and not yet done; a kill at any point loses nothing and moves nothing twice."""
    count = 0
    for source, folder, id in ledger.moves():
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(source):
            target = _free(root, id)
            _note(root, source, target, id)
            _rename(source, target)
            count += 1
        ledger.moved(source)
    return count


def restore(folder: str | os.PathLike[str]) -> list[Path]:
    """Move what lies in ``folder`` back to where it came from, as its ``moved.jsonl`` says; the paths that are back.

    A file whose old place is taken stays, and so does its line of the list. FileNotFoundError where there is no list.
    """
    root = Path(folder)
    lines = [line for line in (root / MOVED).read_text("ascii").splitlines() if line.strip()]
    back, left = [], []
    for line in lines:
        entry = json.loads(line)
        source, target = entry["from"], os.path.join(root, entry["to"])
        if not os.path.lexists(target):
            continue  # it was never moved, or is back already
        if os.path.lexists(source) or not os.path.isdir(os.path.dirname(source)):
            left.append(line)
            continue
        _rename(target, Path(source))
        back.append(Path(source))
    rest = root / f".{MOVED}.new"
    rest.write_text("".join(line + "\n" for line in left), "ascii")
    rest.replace(root / MOVED)
    return back


def _note(root: Path, source: str, target: Path, id: str) -> None:
    entry = {"from": source, "to": target.name, "id": id}
    with (root / MOVED).open("a", encoding="ascii") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _free(root: Path, id: str) -> Path:
    """A new path directly in ``root``, named like the id, which may be anything."""
    name = quoted(id).replace("/", "__").replace("\\", "_").replace(":", "_").strip('"').lstrip(".") or "picture"
    stem, suffix = os.path.splitext(name)
    suffix = suffix if suffix.lower() in IMAGE_SUFFIXES else ""
    stem = os.fsencode(stem if suffix else name)[:_LONGEST].decode("utf-8", "ignore")
    for number in range(1, 1 << 31):
        path = root / (f"{stem}{suffix}" if number == 1 else f"{stem}.{number}{suffix}")
        if not os.path.lexists(path) and path.name != MOVED:
            return path
    raise RuntimeError(f"no name is left in {root}")


def _rename(source: str | Path, target: Path) -> None:
    """Move one file, or the link that it is; to another file system by a copy that is whole before the file goes."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.new")
        shutil.copy2(source, beside, follow_symlinks=False)
        os.replace(beside, target)
        os.unlink(source)
