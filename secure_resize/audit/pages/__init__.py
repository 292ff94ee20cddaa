"""The page of each rule: what it finds, a bad call and its fix, and what was measured of both.

The pages lie beside this file, ``SR101.md`` and its picture ``SR101.png``. ``python benchmarks/rule_pages.py`` writes
them out of the rules and of what it measures; a test holds them against the rules.
"""

from __future__ import annotations

import textwrap
from importlib.resources import files

from ..rules import RULES, Rule

__all__ = ["page", "text"]

_MEASURED = "## Measured\n\n"
_END = "\n## "


def page(code: str) -> str:
    """The page of the rule ``code``, as Markdown. ValueError, with the valid codes, for any other code."""
    return (files(__package__) / f"{RULES[code].name}.md").read_text(encoding="utf-8")


def measured(code: str) -> str:
    """What the page of ``code`` says was measured; empty where it says nothing of the kind."""
    return page(code).partition(_MEASURED)[2].partition(_END)[0].strip()


def text(rule: Rule, measured: str = "") -> str:
    """The page of ``rule``, with the Markdown ``measured`` in its place."""
    language = "json" if rule.bad.startswith("{") else "python"
    parts = [
        f"# {rule.name}: {rule.title}",
        f"Severity {rule.severity}, security severity {rule.security_severity}; {', '.join(rule.tags)}.",
        _wrapped(rule.what),
    ]
    if rule.bad:
        parts.append(f"## What it finds\n\n```{language}\n{rule.bad}\n```")
    if rule.good:
        parts.append(f"## Instead\n\n```{language}\n{rule.good}\n```\n\n{_wrapped(rule.instead)}")
    else:
        parts.append(f"## Instead\n\n{_wrapped(rule.instead)}")
    if measured:
        parts.append(f"{_MEASURED}{measured}")
    parts.append((_LEAVING.format(code=rule.name) if rule.name.startswith("SR1") else "") + _CAUTION)
    return "\n\n".join(parts) + "\n"


def _wrapped(paragraph: str) -> str:
    return "\n".join(textwrap.wrap(paragraph, 120, break_long_words=False, break_on_hyphens=False))


# Of what lint and trace find, which a user can wave through.
_LEAVING = """## If it is right as it is

A mask or label map, a picture that is scaled up, files that nobody else can write: `# noqa: {code}` at the end of the
line, `--ignore {code}` or `--baseline FILE` wave a finding through. SARIF says so by `suppressions`.

"""
_CAUTION = """## What a fix does not do

A resize without stealth gain takes away the amplification that image-scaling attacks live on. It is no defense against
ordinary adversarial examples."""
