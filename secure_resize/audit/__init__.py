"""Audits of existing pipelines: findings and reports.

``lint`` reads code, ``audit`` measures and attacks a pipeline, ``assert_robust`` is the same for a test.
"""

from .lint import lint
from .pipeline.run import audit
from .pipeline.testing import assert_robust
from .report import PICTURES, Edit, Finding, Fix, Place, Report
from .rules import RULES, Rule
from .trace import trace

__all__ = [
    "PICTURES",
    "RULES",
    "Edit",
    "Finding",
    "Fix",
    "Place",
    "Report",
    "Rule",
    "assert_robust",
    "audit",
    "lint",
    "trace",
]
