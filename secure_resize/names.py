"""The names that arguments are chosen from, as types, so that an editor and mypy know ``kernel="bicubc"`` for a typo.

Tests hold each equal to what is registered. A kernel or an attack that is registered elsewhere works by its name all
the same, and needs a ``# type: ignore`` where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

__all__ = [
    "AdaptiveMethod",
    "AttackMethod",
    "Defense",
    "KernelName",
    "PassOrder",
    "ProbeDtype",
    "ProbeLayout",
    "ReconstructionMethod",
    "Size",
]

KernelName: TypeAlias = Literal["area", "box", "bilinear", "hamming", "bicubic", "lanczos"]
PassOrder: TypeAlias = Literal["pillow13", "pillow12"]
ReconstructionMethod: TypeAlias = Literal["median", "random"]
AttackMethod: TypeAlias = Literal[
    "strong", "strong_rms", "weak", "nearest", "least", "counter", "area_l0", "area_l1", "area_l2"
]
AdaptiveMethod: TypeAlias = Literal["median", "random", "surrogate_median", "expectation_random", "replay"]
Defense: TypeAlias = Literal["robust", "median", "random"]
ProbeDtype: TypeAlias = Literal["auto", "uint8", "uint16", "float32"]
ProbeLayout: TypeAlias = Literal[
    "auto", "HWC", "HW", "NHWC", "CHW", "NCHW", "PIL", "PIL grey", "CHW tensor", "NCHW tensor", "HWC tf", "NHWC tf"
]
Size: TypeAlias = Sequence[int]  # (height, width); a tuple, a list or an array of two whole numbers
