"""What waves a finding through: ``# noqa`` comments and a baseline."""

from __future__ import annotations

import json
import re
import tokenize
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from pathlib import Path

from ..report import Finding

__all__ = ["Noqa", "read_baseline", "waved_by_baseline", "write_baseline"]

_NOQA = re.compile(r"#\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?(?![\w-])", re.I)
_FILE = re.compile(r"#\s*secure-resize\s*:\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?", re.I)


class Noqa:
    """The ``# noqa`` comments of a file: of a line, or of all of it (``# secure-resize: noqa``)."""

    def __init__(self, text: str) -> None:
        self.lines: dict[int, frozenset[str]] = {}  # the empty set stands for all codes
        self.whole: list[frozenset[str]] = []
        if "noqa" not in text.lower():
            return
        for line, comment in _comments(text):
            match = _FILE.search(comment)
            if match:
                self.whole.append(_codes(match))
                continue
            match = _NOQA.search(comment)
            if match:
                self.lines[line] = _codes(match)

    def covers(self, code: str, first: int, last: int) -> bool:
        """Whether a finding from line ``first`` to ``last`` is waved through."""
        said = [*self.whole, *(self.lines[line] for line in range(first, last + 1) if line in self.lines)]
        return any(not codes or code in codes for codes in said)


def _codes(match: re.Match[str]) -> frozenset[str]:
    return frozenset(one.upper() for one in re.findall(r"[A-Za-z]+[0-9]+", match.group("codes") or ""))


def _comments(text: str) -> Iterable[tuple[int, str]]:
    """Comments with their lines, not what looks like one in a string."""
    try:
        for token in tokenize.generate_tokens(StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def write_baseline(file: Path, findings: Iterable[Finding]) -> int:
    """Write ``findings`` down, so that only newer ones count; how many there are."""
    kept = [one for one in findings if one.suppressed in (None, "baseline")]
    listed = [
        {"fingerprint": one.fingerprint, "code": one.code, "path": one.place.path, "context": one.context}
        for one in sorted(kept, key=lambda one: (one.place.path, one.place.line or 0, one.code))
    ]
    file.write_text(json.dumps({"version": 1, "findings": listed}, indent=1) + "\n", encoding="utf-8")
    return len(listed)


def read_baseline(file: Path) -> Counter[str]:
    """How often each fingerprint stands in a baseline; ValueError where it is none."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return Counter(str(one["fingerprint"]) for one in data["findings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(file)!r} is not a baseline that --write-baseline wrote ({type(error).__name__}: {error})"
        ) from error


def waved_by_baseline(findings: list[Finding], known: Counter[str]) -> list[Finding]:
    """The findings, those of the baseline suppressed; each stands for one of the same fingerprint."""
    left = known.copy()
    found = []
    for one in findings:
        if one.suppressed is None and left[one.fingerprint] > 0:
            left[one.fingerprint] -= 1
            one = replace(one, suppressed="baseline")
        found.append(one)
    return found
