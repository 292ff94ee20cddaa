"""A report as SARIF 2.1.0, the format of code-scanning sites.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import quote

from ..report import Finding, Place, Report, ascii_json, jsonable
from ..rules import RULES, Rule
from .words import FORMS, entries, exit_word, printable

__all__ = ["sarif"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
HOMEPAGE = "https://github.com/secure-resize/secure-resize"
LEVELS = {"low": "note", "medium": "warning", "high": "error"}
# Where relative paths begin; the name that code-scanning sites know.
BASE = "%SRCROOT%"
SUPPRESSIONS = {"noqa": ("inSource", "# noqa"), "baseline": ("external", "it stands in the baseline file")}
# The largest line and column: what a reader in another language may hold.
_LARGEST = 2**31 - 1

Object = dict[str, Any]


def sarif(report: Report, exit_code: int) -> str:
    """The log as JSON text; the same report, in the same folder, gives the same bytes."""
    from ... import __version__

    codes = list(dict.fromkeys(finding.code for finding in report.findings))
    seen: Counter[str] = Counter()
    driver = {
        "name": "secure-resize",
        "informationUri": HOMEPAGE,
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run: Object = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"secure-resize/{report.tool}/"},
        "invocations": [_invocation(report, exit_code)],
        "originalUriBaseIds": {BASE: {"uri": _folder(Path.cwd())}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code), seen) for finding in report.findings],
        "properties": {
            "lookedAt": {report.unit: report.looked_at},
            "versions": report.versions,
            "facts": report.facts,
        },
    }
    return ascii_json(jsonable({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}))


def _rule(code: str) -> Object:
    if code not in RULES:
        return {"id": printable(code)}
    rule = RULES[code]
    return {
        "id": rule.name,
        "name": "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", rule.title)),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.what},
        "help": {"text": f"{rule.what}\n\nInstead: {rule.instead}\n\n{rule.url}", "markdown": _markdown(rule)},
        "helpUri": rule.url,
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"security-severity": f"{rule.security_severity:.1f}", "tags": ["security", *rule.tags]},
    }


def _markdown(rule: Rule) -> str:
    example = f"```python\n# bad\n{rule.bad}\n# good\n{rule.good}\n```\n\n" if rule.bad and rule.good else ""
    return f"{rule.what}\n\n{example}**Instead:** {rule.instead}\n\n[More about {rule.name}]({rule.url})"


def _invocation(report: Report, exit_code: int) -> Object:
    return {
        "executionSuccessful": exit_code in (0, 1, 3),
        "exitCode": exit_code,
        "exitCodeDescription": exit_word(report, exit_code),
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": _text(failure)}} for failure in report.failures
        ],
        "workingDirectory": {"uri": _folder(Path.cwd())},
    }


def _result(finding: Finding, index: int, seen: Counter[str]) -> Object:
    """``seen`` counts the fingerprints: the same line twice in a file is two results."""
    seen[finding.fingerprint] += 1
    fingerprint = f"{finding.fingerprint}:{seen[finding.fingerprint]}"
    evidence = {key: value for key, value in finding.evidence.items() if key not in FORMS}
    result: Object = {
        "ruleId": printable(finding.code),
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": _text(finding.message + (f". Instead: {finding.advice}" if finding.advice else ""))},
        "locations": [_location(finding.place, finding.context)],
        "partialFingerprints": {"secureResize/v1": fingerprint, "primaryLocationLineHash": fingerprint},
        "properties": {"severity": finding.severity, "confidence": finding.confidence, "evidence": evidence},
    }
    related = [
        {"id": k, **_location(_place_of(one)), "message": {"text": _text(str(one.get("message", "")))}}
        for k, one in enumerate(entries(finding.evidence.get("related")))
    ]
    pictures = [
        {
            "description": {"text": _text(f"{one.get('name', 'picture')}: {one.get('caption', '')}")},
            "artifactLocation": _artifact(str(one.get("path", ""))),
        }
        for one in entries(finding.evidence.get("pictures"))
    ]
    fix = _fix(finding)
    kind, reason = SUPPRESSIONS.get(finding.suppressed or "", ("external", finding.suppressed or ""))
    suppressions = [{"kind": kind, "justification": printable(reason)}] if finding.suppressed is not None else []
    parts = {"relatedLocations": related, "attachments": _distinct(pictures), "fixes": fix}
    # The list of suppressions stands at every result, or a reader cannot tell that there is none.
    return {**result, **{key: part for key, part in parts.items() if part}, "suppressions": suppressions}


def _fix(finding: Finding) -> list[Object]:
    if finding.fix is None or not finding.fix.edits:
        return []
    replacements = [
        {
            "deletedRegion": _region(Place("", one.line, one.column, one.end_line, one.end_column)),
            "insertedContent": {"text": one.text},
        }
        for one in finding.fix.edits
    ]
    change = {"artifactLocation": _artifact(finding.place.path), "replacements": replacements}
    return [{"description": {"text": _text(finding.fix.description)}, "artifactChanges": [change]}]


def _location(place: Place, context: str = "") -> Object:
    physical: Object = {"artifactLocation": _artifact(place.path)}
    region = _region(place)
    if region:
        physical["region"] = region
        if context and region.get("endLine", region["startLine"]) == region["startLine"]:
            physical["contextRegion"] = {"startLine": region["startLine"], "snippet": {"text": printable(context)}}
    location: Object = {"physicalLocation": physical}
    if place.cell is not None:  # of a notebook: lines count within the cell, SARIF's within the file
        named = f"cell {place.cell}, line {place.line}"
        location["logicalLocations"] = [{"name": named, "fullyQualifiedName": printable(str(place))}]
    elif not region and ":" in place.path:  # module:object
        location["logicalLocations"] = [{"fullyQualifiedName": printable(place.path)}]
    return location


def _place_of(related: Mapping[str, Any]) -> Place:
    line, column = related.get("line"), related.get("column")
    return Place(
        str(related.get("path", "")),
        line if isinstance(line, int) else None,
        column if isinstance(column, int) else None,
    )


def _region(place: Place) -> Object:
    """The part of the place that SARIF can say; empty where it has no line."""
    if not _counts(place.line) or place.cell is not None:
        return {}
    region: Object = {"startLine": place.line}
    if _counts(place.column):
        region["startColumn"] = place.column
    if _counts(place.end_line) and place.end_line >= place.line:
        region["endLine"] = place.end_line
        ordered = place.end_line > place.line or (place.end_column or 0) >= (place.column or 1)
        if _counts(place.end_column) and ordered:
            region["endColumn"] = place.end_column
    return region


def _counts(number: int | None) -> TypeGuard[int]:
    return number is not None and not isinstance(number, bool) and 1 <= number <= _LARGEST


def _artifact(path: str) -> Object:
    absolute = path.startswith("/") or bool(re.match(r"[A-Za-z]:[\\/]", path))
    if absolute:
        return {"uri": "file:///" + _quoted(path.replace("\\", "/").lstrip("/"))}
    return {"uri": _quoted(path.removeprefix("./")) or ".", "uriBaseId": BASE}


def _quoted(path: str) -> str:
    """Percent-encoded; names that are no UTF-8 give their bytes."""
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogatepass")
    return quote(raw, safe="/")


def _folder(path: Path) -> str:
    return f"file:///{_quoted(path.as_posix().strip('/'))}/"


def _text(text: str) -> str:
    """A message's text as nothing but text: SARIF would read ``[a](b)`` as a link and ``{0}`` as an argument."""
    return re.sub(r"\{(\d+)\}", r"{{\1}}", printable(text).replace("](", "] (")) or "-"


def _distinct(objects: list[Object]) -> list[Object]:
    return [one for place, one in enumerate(objects) if one not in objects[:place]]
