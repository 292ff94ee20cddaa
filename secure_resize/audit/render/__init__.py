"""A report as text for a terminal, as SARIF and as a page."""
