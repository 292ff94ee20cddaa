"""Somebody else's pipeline, measured and attacked as it is: :func:`.audit.audit`."""
