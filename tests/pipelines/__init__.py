"""A project whose input pipelines are audited: what it does right and what it does wrong is known, see table.py."""
