"""Audits of existing pipelines: findings and reports."""

from .report import PICTURES, Edit, Finding, Fix, Place, Report
from .rules import RULES, Rule

__all__ = ["PICTURES", "RULES", "Edit", "Finding", "Fix", "Place", "Report", "Rule"]
