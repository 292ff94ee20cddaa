"""What ``inspect`` does with each file, in a process of its own: hostile files are decoded here."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..decoding import DecodeError, TooLarge
from ..front_ends import FRONT_ENDS
from ..measure.scalers import load
from .look import Inspected, Seen, look_at
from .picture import drawn, grouped
from .readings import read_as
from .running import run_all
from .text import new_text, read_text

__all__ = ["inspect_files"]

Answer = dict[str, Any]
_DRAWN = 8  # full-size pictures of what suspicious views show, at most
# Text is read in so many distinct views, the most suspicious first, that lie further than this from the robust ones.
_READ, _APART = 24, 2.0


def inspect_files(tell: Callable[[Answer], None], paths: Sequence[str], options: Answer) -> Answer:
    """Tell of each file: first that it is begun, then what was found. ``options`` as the command has them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    for path in paths:
        tell({"path": path, "begun": True})
        tell({"path": path, **_one(path, options)})
    return {}


def _one(path: str, options: Answer) -> Answer:
    try:
        data = Path(path).read_bytes()
        readings, notes = read_as(data, max_pixels=options["max_pixels"])
    except DecodeError as error:
        return {"error": str(error), "code": "SR403" if isinstance(error, TooLarge) else "SR402"}
    except OSError as error:
        return {"error": error.strerror or str(error), "code": ""}
    found = look_at(
        data,
        readings,
        front_ends=[FRONT_ENDS[name] for name in options["front_ends"]],
        looked=run_all(options["front_ends"], data, memory=options["memory"]),
        sizes=[tuple(size) for size in options["sizes"]],
        scalers=options["scalers"],
    )
    if options["ocr"]:
        found = _with_text(found)
    name = _safe_name(path)
    out = Path(options["out"])
    out.mkdir(parents=True, exist_ok=True)
    picture = out / f"{name}.png"
    drawn(found, f"secure-resize inspect: {Path(path).name!r}").save(picture)
    return {**_record(found), "notes": notes, "picture": str(picture), "views": _saved(found, out, name)}


def _with_text(found: Inspected) -> Inspected:
    """Read what each distinct view shows that is not the robust one, and what the picture says in any reading."""
    known = [line for one in found.readings for line in read_text(one.image)]
    seen: list[Seen] = []
    for number, group in enumerate(grouped(found.seen)):
        look = number < _READ and group[0].apart >= _APART
        text = new_text(read_text(group[0].image), known) if look else []
        seen += [replace(one, text=text) for one in group]
    return replace(found, seen=seen)


def _safe_name(path: str) -> str:
    """A file name for what is written about ``path``: of two pictures of one name each gets its own."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(path).name)[:80] or "picture"
    return f"{stem}-{hashlib.sha256(os.path.abspath(path).encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _saved(found: Inspected, out: Path, name: str) -> list[Answer]:
    """The suspicious views in full size."""
    image = load("PIL.Image")
    saved = []
    groups = [group for group in grouped(found.seen) if group[0].suspicious][:_DRAWN]
    for number, group in enumerate(groups, 1):
        first, path = group[0], out / f"{name}-seen{number}.png"
        image.fromarray(first.image).save(path)
        caption = f"{first.front_end}: {first.size[0]}x{first.size[1]}, {first.filter}"
        saved.append({"name": "seen", "caption": caption, "path": str(path)})
    return saved


def _record(found: Inspected) -> Answer:
    worst = found.worst
    suspicion = worst.suspicion if worst is not None else None
    file = found.file
    by_file = file is not None and file["suspicious"] and not (worst is not None and worst.suspicious)
    ends: dict[str, list[Answer]] = {}
    for one in found.seen:
        ends.setdefault(one.front_end, []).append(_view(one))
    return {
        "suspicious": found.suspicious,
        "score": file["score"] if by_file and file else suspicion.score if suspicion else 0.0,
        "threshold": 1.0 if by_file else suspicion.threshold if suspicion else 0.0,
        "p_value": None if by_file else suspicion.p_value if suspicion else 1.0,
        "detector": "overshoot" if by_file else suspicion.detector if suspicion else "",
        "scaler": "" if by_file or suspicion is None else suspicion.scaler,
        "size": list(suspicion.size) if suspicion and not by_file else None,
        "box": list(suspicion.box) if suspicion and suspicion.box and not by_file else None,
        "front_ends": ends,
        "file": file,
        "problems": found.problems,
        "readings": [one.name for one in found.readings],
    }


def _view(one: Seen) -> Answer:
    suspicion = one.suspicion
    judged = {
        "suspicious": one.suspicious if suspicion is not None or one.text else None,
        "score": suspicion.score if suspicion else None,
        "p_value": suspicion.p_value if suspicion else None,
        "box": list(suspicion.box) if suspicion and suspicion.box else None,
    }
    return {
        **judged,
        "scaler": one.filter,
        "size": list(one.size),
        "reading": one.reading,
        "run": one.run,
        "apart": round(one.apart, 2),
        "note": (suspicion.note if suspicion else "") or (one.note if suspicion is None else ""),
        "text": one.text,
    }
