"""timm: the transforms of ``create_transform`` that are timm's own; the others of it are torchvision's."""

from __future__ import annotations

from typing import Any

from .dropins import drop_in_of, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, refused, replaced

__all__ = ["DROP_INS", "SCALE"]

DROP_INS = {"timm.data": "timm"}
# timm's own that scale; they take PIL images and hand them to torchvision.
SCALE = ("RandomResizedCropAndInterpolation", "RandomResizedCropToSequence", "ResizeKeepRatio", "ResizeToSequence")


def _decide(value: Any, asked: Asked) -> Decision | None:
    kind = type(value)
    if is_ours(kind) or not kind.__module__.startswith("timm.data."):
        return None
    dropped_in = drop_in_of(kind, DROP_INS)
    if dropped_in is not None:
        kernel = {"kernel": asked.kernel} if asked.kernel else {}
        return replaced(retyped(value, dropped_in, **kernel), "it scales images of mode P and 1 by nearest")
    if kind.__name__ in SCALE:
        return refused(value, "it scales images of mode P and 1 by nearest", "give it images of mode RGB or L")
    return None


HARDENERS.add(
    Hardener(
        "timm",
        "timm",
        "SR113",
        _decide,
        replaces="ResizeKeepRatio, RandomResizedCropAndInterpolation and their like; torchvision's row does the rest",
        shares="all but the transforms on the way to a replaced one",
        examples=(
            "import timm.data\ntimm.data.create_transform(64, interpolation='bicubic', crop_mode='squash')",
            "import timm.data\ntimm.data.create_transform(64, is_training=True, auto_augment=None, color_jitter=None)",
        ),
        layout="PIL",
    )
)
