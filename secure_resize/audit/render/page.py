"""A report as one HTML page that needs nothing beside it: no script, no request, pictures inside.

The template is Jinja's, which escapes everything that is put into it unless it is told otherwise; only the style sheet,
our own, is.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..report import SEVERITIES, Edit, Finding, Report
from ..rules import RULES
from . import words
from .pictures import Album

__all__ = ["page"]


def page(report: Report, exit_code: int, folder: Path = Path()) -> str:
    """The page as text; the same report and pictures give the same bytes. ``folder``: from which on pictures lie."""
    from ... import __version__

    template = _template()
    album = Album(folder)
    text: str = template.render(
        version=__version__,
        report=report,
        verdict="clean" if exit_code == 0 and not report.active else "found" if report.active else "unknown",
        summary=words.summary(report),
        headline=_headline(report),
        exit_code=exit_code,
        exit_word=words.exit_word(report, exit_code),
        counts=[(one, Counter(f.severity for f in report.active)[one]) for one in reversed(SEVERITIES)],
        facts=words.facts(report.facts),
        tables=words.own_tables(report),
        findings=[_shown(finding, album) for finding in report.active],
        suppressed=[_shown(finding, album) for finding in report.findings if finding.suppressed is not None],
        rules=[RULES[code] for code in dict.fromkeys(one.code for one in report.findings) if code in RULES],
    )
    return text


@lru_cache(maxsize=1)
def _template() -> Any:
    """Jinja's template, which knows its style sheet and the policy that allows nothing beside it."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def visible(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else words.printable(value, keep="\n")

    folder = files(__package__)
    style = (folder / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True
    )
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    environment.globals |= {"style": Markup(style), "policy": policy}
    return environment.from_string((folder / "page.html").read_text(encoding="utf-8"))


def _shown(finding: Finding, album: Album) -> dict[str, Any]:
    """What the template shows of a finding."""
    rule = RULES.get(finding.code)
    pictures = list(album.of(finding.evidence))
    return {
        "finding": finding,
        "place": words.printable(str(finding.place)),
        "title": rule.title if rule else "",
        "photographs": [one for one in pictures if not one.diagram],
        "diagrams": [one for one in pictures if one.diagram],
        "edits": [{"where": _where(edit), "text": edit.text} for edit in (finding.fix.edits if finding.fix else ())],
        "facts": words.facts(finding.evidence),
        "tables": words.tables(finding.evidence),
        "related": [
            (
                ":".join(str(one[key]) for key in ("path", "line", "column") if one.get(key) is not None),
                one.get("message"),
            )
            for one in words.entries(finding.evidence.get("related"))
        ],
    }


def _headline(report: Report) -> str:
    if report.active:
        return words.counted(len(report.active), "findings")
    if report.failures:
        return "Not everything could be looked at"
    return "Nothing found" if report.looked_at else "Nothing to look at"


def _where(edit: Edit) -> str:
    start, end = (edit.line, edit.column), (edit.end_line, edit.end_column)
    if start == end:
        return f"{edit.line}:{edit.column} insert"
    until = edit.end_column if edit.line == edit.end_line else f"{edit.end_line}:{edit.end_column}"
    return f"{edit.line}:{edit.column}–{until} {'becomes' if edit.text else 'deleted'}"
