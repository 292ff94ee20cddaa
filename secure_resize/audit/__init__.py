"""Audits of existing pipelines: findings and reports."""

from .report import Edit, Finding, Fix, Place, Report
from .rules import RULES, Rule

__all__ = ["RULES", "Edit", "Finding", "Fix", "Place", "Report", "Rule"]
