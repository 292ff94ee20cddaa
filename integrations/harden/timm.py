"""timm: the transforms of ``create_transform`` that are timm's own; the others of it are torchvision's."""

from __future__ import annotations

from typing import Any

from .dropins import drop_in_of, fallback_kernel, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__ = ["DROP_INS", "SEQUENCES"]

DROP_INS = {"timm.data": "timm"}
# For sequences of patches: they antialias themselves, unless they are asked for nearest.
SEQUENCES = ("RandomResizedCropToSequence", "ResizeKeepRatioToSequence", "ResizeToSequence")


def _decide(value: Any, asked: Asked) -> Decision | None:
    kind = type(value)
    if is_ours(kind) or not kind.__module__.startswith("timm.data."):
        return None
    dropped_in = drop_in_of(kind, DROP_INS)
    if dropped_in is not None:
        kernel = asked.kernel or ("area" if _samples(value) else None)
        why = "nearest reads one pixel for each output, box skips some; averaged by area"
        why = why if _samples(value) else "it scales images of mode P and 1 by nearest"
        return replaced(retyped(value, dropped_in, kernel=kernel), why)
    if kind.__name__ in SEQUENCES:
        if _samples(value):
            return refused(value, "it reads one pixel for each output", "interpolation='bicubic'")
        return kept(value, "it antialiases")
    if kind.__name__ == "TfPreprocessTransform":
        return refused(value, "it resizes with TensorFlow, which samples", "tf_preprocessing=False")
    return None


def _samples(value: Any) -> bool:
    """Whether any interpolation that it may draw is nearest or box."""
    modes = value.interpolation if isinstance(value.interpolation, tuple | list) else (value.interpolation,)
    return any(fallback_kernel(str(getattr(mode, "value", mode))) for mode in modes)


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
