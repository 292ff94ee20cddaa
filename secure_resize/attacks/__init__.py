"""Image-scaling attacks, for auditing: how a picture is hidden so that it appears only after down-scaling.

The attack image A = S + Δ looks like the source S; scaled, it is the target T (Xiao et al., USENIX Security 2019;
Quiring et al., USENIX Security 2020, section 2). Whether an attack worked is always measured through the real library.
"""

from ..measure.quality import psnr
from . import area as _area, counter as _counter, payload  # noqa: F401  (which register their methods)
from .adaptive import ADAPTIVE, Adapted, craft_adaptive, register_adaptive
from .craft import HIDDEN_DB, METHODS, REACHED_DB, Crafted, craft, register_method
from .inexact import BlankFile, craft_blank
from .jpeg import CraftedFile, craft_file

__all__ = [
    "ADAPTIVE",
    "HIDDEN_DB",
    "METHODS",
    "REACHED_DB",
    "Adapted",
    "BlankFile",
    "Crafted",
    "CraftedFile",
    "craft",
    "craft_adaptive",
    "craft_blank",
    "craft_file",
    "payload",
    "psnr",
    "register_adaptive",
    "register_method",
]
