"""The rules by which findings are named: a registry row each, with all that a report says of it.

SR1xx: a call or class that samples (lint, trace). SR2xx: what was measured of a pipeline (audit). SR4xx: image files.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import Registry
from .report import Severity

__all__ = ["DOCUMENTATION", "RULES", "Rule"]

# Where the page of each rule stands: DOCUMENTATION + code + ".md".
DOCUMENTATION = "https://github.com/secure-resize/secure-resize/blob/main/secure_resize/audit/pages/"


@dataclass(frozen=True)
class Rule:
    """One rule. ``security_severity`` is what code-scanning sites sort by: from 0.1 to 10, as in CVSS.

    ``title`` is a few words, ``what`` what it finds and why that matters, ``instead`` what to write. ``tags`` are names
    in MITRE ATLAS and OWASP.
    """

    name: str
    title: str
    severity: Severity
    security_severity: float
    what: str
    instead: str
    tags: tuple[str, ...] = ("AML.T0043", "AML.T0020", "LLM01", "LLM04")

    @property
    def url(self) -> str:
        """The rule's page."""
        return f"{DOCUMENTATION}{self.name}.md"


RULES: Registry[Rule] = Registry("rule")
