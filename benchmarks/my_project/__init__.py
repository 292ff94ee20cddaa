"""Stands for a project of its own, which the README probes."""
