"""What ``patched`` needs of the trace: the hooks, how wrappers are put in and taken out, where a call comes from."""

from __future__ import annotations

from .gains import Gain, Gains
from .hooks import HOOKS, Hook
from .live.frames import Site, site_of, user_frame
from .live.geometry import inverse, mapped_steps, projective_steps, stepped_over
from .live.hook import Sight, argument
from .live.importlib_bootstrap import Inside, is_wrapper, wrap
from .live.labels import looks_like_labels, names_a_mask
from .live.recorder import Recorder
from .live.references import swap
from .live.rows_pillow import transform_steps
from .live.wrapping import Wrapping
from .run import INJECTED

__all__ = [
    "HOOKS",
    "INJECTED",
    "Gain",
    "Gains",
    "Hook",
    "Inside",
    "Recorder",
    "Sight",
    "Site",
    "Wrapping",
    "argument",
    "inverse",
    "is_wrapper",
    "looks_like_labels",
    "mapped_steps",
    "names_a_mask",
    "projective_steps",
    "site_of",
    "stepped_over",
    "swap",
    "transform_steps",
    "user_frame",
    "wrap",
]
