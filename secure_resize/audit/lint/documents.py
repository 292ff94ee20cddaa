"""Configuration files and notebooks: JSON with the places of its values, and a notebook's cells as one Python file.

A JSON text is, but for three words, a Python expression: once ``json`` has said that it is valid, ``ast`` reads it
again and knows the line and column of every value.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from .more_calls import SAMPLING_PROCESSORS

__all__ = ["Cell", "Setting", "cells_of", "settings_of"]


@dataclass(frozen=True)
class Setting:
    """A value of a JSON file that makes something sample."""

    line: int
    column: int
    end_column: int
    reason: str
    severity: str
    confidence: str
    context: str
    setting: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A code cell: its number, counted from 1 over all cells, and where it begins in the joined text."""

    number: int
    first: int
    lines: int


# Keys that say that a dict is a processor's, with the class that it names.
_CLASSES = ("image_processor_type", "feature_extractor_type", "processor_class", "video_processor_type", "class_name")
_RESAMPLE = {0: "nearest", 4: "box"}


def settings_of(text: str) -> list[Setting]:
    """What a configuration file asks for that samples; ValueError where it is no JSON."""
    value = json.loads(text)
    if not isinstance(value, (dict, list)):
        return []
    tree = ast.parse(text.lstrip(), mode="eval").body
    skipped = text[: len(text) - len(text.lstrip())]
    found: list[Setting] = []
    _walk(tree, found, skipped.count("\n"), text)
    return found


def _walk(node: ast.expr, found: list[Setting], above: int, text: str) -> None:
    stack: list[tuple[ast.expr, str]] = [(node, "")]
    while stack:
        one, outer = stack.pop()
        if isinstance(one, ast.Dict):
            items = {
                key.value: value
                for key, value in zip(one.keys, one.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
            name = next((v for k in _CLASSES if isinstance(v := _plain(items.get(k)), str)), outer)
            found += _judged(items, name, above)
            stack += [(value, key) for key, value in reversed(items.items())]
        elif isinstance(one, ast.List):
            stack += [(value, outer) for value in reversed(one.elts)]


def _plain(node: ast.expr | None) -> Any:
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}.get(node.id)
    return node.value if isinstance(node, ast.Constant) else ...


def _judged(items: dict[str, ast.expr], name: str, above: int) -> list[Setting]:
    if _plain(items.get("do_resize")) is False:
        return []
    value = {key: _plain(node) for key, node in items.items()}
    found: list[Setting] = []

    def say(key: str, reason: str, severity: str = "high", confidence: str = "high") -> None:
        node = items[key]
        shown = {key: value[key], **({"class": name} if name else {})}
        end = node.end_col_offset or node.col_offset
        found.append(
            Setting(
                node.lineno + above,
                node.col_offset + 1,
                end + 1,
                reason,
                severity,
                confidence,
                f"{key}: {value[key]}",
                shown,
            )
        )

    resample = value.get("resample")
    if isinstance(resample, bool):
        resample = None
    if resample == 0 or (isinstance(resample, str) and resample.lower() in ("nearest", "nearest-exact")):
        say("resample", f"{resample!r} is nearest neighbour: one pixel of the picture for each that it makes")
    elif resample == 4:
        say(
            "resample",
            "4 is Pillow's box, which skips pixels wherever the ratio is no whole number",
            "medium",
            "medium",
        )
    bare = re.sub(r"(Fast|Pil)$", "", name)
    if bare in SAMPLING_PROCESSORS:
        key = next((k for k in _CLASSES if value.get(k) == name), None)
        if key is not None:
            say(
                key,
                f"{name} of transformers samples whatever it is told ({SAMPLING_PROCESSORS[bare]})",
                "high",
                "medium",
            )
    keras = "antialias" in value and ("interpolation" in value or name.endswith(("Resizing", "ImageConverter")))
    if keras and value["antialias"] is False and value.get("interpolation", "bilinear") != "area":
        say("antialias", f"{name or 'the layer'} is told not to antialias")
    elif value.get("interpolation") in ("nearest", "INTER_NEAREST") and ("mean" in value or "input_size" in value):
        say("interpolation", "nearest neighbour: one pixel of the picture for each that it makes")
    return found


# Notebooks.

_PYTHON_MAGICS = ("time", "timeit", "capture", "prun", "python", "python3", "debug", "notify")


def cells_of(text: str) -> tuple[str, list[Cell], list[str]]:
    """The code cells of a notebook as one Python text, where each begins, and what could not be read in it.

    Magics are blanked; cells in other languages are left out; a cell that does not parse is blanked and said.
    """
    notebook = json.loads(text)
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("it is not a notebook: no list of cells")
    language = str(((notebook.get("metadata") or {}).get("kernelspec") or {}).get("language") or "python").lower()
    if language not in ("python", "ipython", "python3"):
        return "", [], []
    lines: list[str] = []
    cells: list[Cell] = []
    failures: list[str] = []
    for number, cell in enumerate(notebook["cells"], 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        source = "".join(map(str, source)) if isinstance(source, list) else str(source)
        code = _without_magics(re.split(r"\r\n|\n|\r", source))
        try:
            ast.parse("\n".join(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            failures.append(f"cell {number}: {type(error).__name__}: {getattr(error, 'msg', None) or error}")
            code = [""] * len(code)
        cells.append(Cell(number, len(lines) + 1, len(code)))
        lines += code
    return "\n".join(lines) + "\n", cells, failures


def _without_magics(lines: list[str]) -> list[str]:
    first = next((one for one in lines if one.strip()), "")
    if first.startswith("%%") and first[2:].split(" ")[0].strip() not in _PYTHON_MAGICS:
        return [""] * len(lines)
    found: list[str] = []
    continued = False
    for one in lines:
        if continued or _is_magic(one):
            found.append("" if continued else f"{one[: len(one) - len(one.lstrip())]}pass")
            continued = one.rstrip().endswith("\\")
        else:
            found.append(one)
    return found


def _is_magic(line: str) -> bool:
    stripped = line.strip()
    if stripped[:1] in ("!", "?") or re.match(r"%{1,2}\w", stripped):
        return True
    return bool(re.match(r"^[\w.]+\s*=\s*[%!]\w", stripped) or re.match(r"^[\w.]+\?\??$", stripped))
