"""Audits of existing pipelines: findings and reports."""

from .lint import lint
from .report import PICTURES, Edit, Finding, Fix, Place, Report
from .rules import RULES, Rule
from .trace import trace

__all__ = ["PICTURES", "RULES", "Edit", "Finding", "Fix", "Place", "Report", "Rule", "lint", "trace"]
