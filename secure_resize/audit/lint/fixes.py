"""The one safe replacement of a call, as edits of a few characters; and writing edits into a file."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from ..report import Edit, Fix
from .judge import Hit, Judge
from .rows import NEAREST
from .values import Made, Ref, Thunk

__all__ = ["Source", "apply_edits", "fix_of"]


class Source:
    """A file's text by lines, and positions in it as the syntax tree counts them (UTF-8 bytes) and as people do."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)

    def column(self, line: int, offset: int) -> int:
        """The column, from 1, of the byte ``offset`` of a line."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if text.isascii():
            return offset + 1
        return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")) + 1

    def line(self, line: int) -> str:
        """One line without its indentation and its end."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""

    def start(self, node: ast.expr) -> tuple[int, int]:
        """Line and column where a node begins."""
        return node.lineno, self.column(node.lineno, node.col_offset)

    def end(self, node: ast.expr) -> tuple[int, int]:
        """Line and column behind a node."""
        line = node.end_lineno or node.lineno
        return line, self.column(line, node.end_col_offset or 0)

    def index(self, line: int, column: int) -> int:
        """The place in ``text`` of a line and column."""
        return sum(len(one) for one in self.lines[: line - 1]) + column - 1

    def position(self, index: int) -> tuple[int, int]:
        """The line and column of a place in ``text``."""
        for number, one in enumerate(self.lines, 1):
            if index < len(one) or number == len(self.lines):
                return number, index + 1
            index -= len(one)
        return len(self.lines), 1

    def of(self, node: ast.expr) -> str:
        """The text of a node."""
        return self.text[self.index(*self.start(node)) : self.index(*self.end(node))]


def fix_of(hit: Hit, judge: Judge, source: Source) -> Fix | None:
    """Stock's own word first; ours where that would not hold; None where no replacement is safe."""
    kind = hit.row.fix
    # A flag that whoever calls can make another is not to be overruled: with NEAREST, antialias=True is an error.
    if not kind or hit.via or hit.bound is None or hit.confidence != "high":
        return None
    node = hit.place.node
    if hit.evidence.get("blurred_before"):
        return None
    if node.end_lineno == node.func.end_lineno and node.end_col_offset == node.func.end_col_offset:
        return None  # a call that map or submit makes has no parentheses to write into
    fixed: tuple[str, str, str] | None = None
    if kind == "opencv":
        return _opencv(hit, judge, source)
    if kind == "antialias" and hit.row.antialias and hit.mode not in NEAREST and hit.mode:
        fixed = (hit.row.antialias, "True", f"{hit.row.antialias}=True")
    elif kind in ("area", "bicubic") and hit.row.mode:
        fixed = (hit.row.mode, f'"{kind}"', f'{hit.row.mode}="{kind}"')
    if fixed is None:
        return None
    edit = _keyword(node, fixed[0], fixed[1], hit, source)
    return Fix(f"write {fixed[2]}", (edit,)) if edit else None


def _opencv(hit: Hit, judge: Judge, source: Source) -> Fix | None:
    node = hit.place.node
    assert hit.bound is not None
    module = node.func.value if isinstance(node.func, ast.Attribute) else None
    if hit.scaling.relation == "shrinks" and isinstance(module, ast.Name) and hit.mode:
        edit = _keyword(node, "interpolation", f"{module.id}.INTER_AREA", hit, source)
        return Fix("write interpolation=cv2.INTER_AREA: both axes are known to shrink", (edit,)) if edit else None
    size, picture = hit.bound.get("dsize"), hit.bound.get("src")
    others = set(hit.bound.arguments) - {"src", "dsize", "interpolation"}
    if size is None or picture is None or others or hit.bound.open or not _uint8(judge, picture):
        return None
    value = size.node
    if not isinstance(value, ast.Tuple) or len(value.elts) != 2 or value.lineno != value.end_lineno:
        return None
    if size.scope is not hit.place.scope:
        return None
    width, height = (source.of(one) for one in value.elts)
    text = f"secure_resize.resize({source.of(picture.node)}, ({height}, {width}))"
    if "#" in text or "\n" in text:
        return None
    edits = [Edit(*source.start(node), *source.end(node), text)]
    edits += _import(judge, source)
    return Fix("use secure_resize.resize, which averages every pixel at any pair of sizes", tuple(edits))


def _uint8(judge: Judge, picture: Thunk) -> bool:
    """Whether the picture is known to be 8-bit, as it was decoded: what our resize takes in any case."""
    value: Any = judge.resolver.one(picture)
    if not isinstance(value, Made) or not isinstance(value.function, Ref):
        return False
    name = value.function.name
    if name in ("cv2.imread", "cv2.cvtColor"):
        call = value.site.node
        assert isinstance(call, ast.Call)
        flags = judge.resolver.one(value.site._replace(node=call.args[1])) if len(call.args) > 1 else None
        if name == "cv2.cvtColor":
            return _uint8(judge, value.site._replace(node=call.args[0])) if call.args else False
        return flags is None or (isinstance(flags, Ref) and flags.name in ("cv2.IMREAD_COLOR", "cv2.IMREAD_GRAYSCALE"))
    return False


def _import(judge: Judge, source: Source) -> list[Edit]:
    if any(one.target == "secure_resize" for one in judge.tree.module.names.get("secure_resize", [])):
        return []
    body = judge.tree.module.node.body  # type: ignore[attr-defined]
    imports = [one for one in body if isinstance(one, (ast.Import, ast.ImportFrom))]
    last = imports[-1] if imports else None
    if last is None or last.end_lineno is None or source.line(last.end_lineno).endswith(("\\", ";")):
        return []
    newline = "\r\n" if source.lines[last.end_lineno - 1].endswith("\r\n") else "\n"
    return [Edit(last.end_lineno + 1, 1, last.end_lineno + 1, 1, f"import secure_resize{newline}")]


def _keyword(node: ast.Call, name: str, text: str, hit: Hit, source: Source) -> Edit | None:
    """Replace the argument called ``name``, where it is written out here, or add it as the last one."""
    assert hit.bound is not None
    given = hit.bound.get(name)
    own = [*node.args, *(one.value for one in node.keywords)]
    if given is not None:
        if not any(given.node is one for one in own):
            return None
        return Edit(*source.start(given.node), *source.end(given.node), text)
    if any(one.arg is None for one in node.keywords) or any(isinstance(one, ast.Starred) for one in node.args):
        return None
    if not own:
        return None
    last = max(own, key=lambda one: (one.end_lineno or 0, one.end_col_offset or 0))
    begin, close = source.index(*source.end(last)), source.index(*source.end(node)) - 1
    at, comma = _behind(source.text, begin, close)
    line, column = source.position(at)
    return Edit(line, column, line, column, f" {name}={text}," if comma else f", {name}={text}")


def _behind(text: str, begin: int, close: int) -> tuple[int, bool]:
    """Behind the last argument: its closing parentheses and a trailing comma, if there is one, left before it."""
    at, comma, index = begin, False, begin
    while index < close:
        if text[index] == "#":
            while index < close and text[index] not in "\r\n":
                index += 1
            continue
        if text[index] in "),":
            at, comma = index + 1, text[index] == ","
        index += 1
    return at, comma


def apply_edits(path: Path, edits: Iterable[Edit]) -> int:
    """Write ``edits`` into a file, every other byte of which stays; how many were made.

    Nothing is written where the file would not parse any more. Edits that overlap: the first counts.
    """
    raw = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
    mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    text = raw[len(mark) :].decode(encoding.removesuffix("-sig"))
    source = Source(text)
    spans = sorted(
        {(source.index(one.line, one.column), source.index(one.end_line, one.end_column), one.text) for one in edits}
    )
    pieces, at, made = [], 0, 0
    for begin, end, new in spans:
        if begin >= at:
            pieces += [text[at:begin], new]
            at, made = end, made + 1
    result = "".join([*pieces, text[at:]])
    ast.parse(result)
    if made:
        path.write_bytes(mark + result.encode(encoding.removesuffix("-sig")))
    return made
