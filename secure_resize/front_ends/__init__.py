"""How chat services, image processors and libraries scale a picture before their model sees it.

``FRONT_ENDS`` has a row for each, with the rule for the size, the filter where it is known, and the evidence.
"""

from . import libraries, processors, read, services  # noqa: F401 (they add their rows)
from .rows import FRONT_ENDS, NOT_PUBLISHED, PLAUSIBLE, FrontEnd, View, select_front_ends

__all__ = ["FRONT_ENDS", "NOT_PUBLISHED", "PLAUSIBLE", "FrontEnd", "View", "select_front_ends"]
