"""ultralytics: ``LetterBox`` and the classification transforms, which scale by OpenCV without antialiasing."""

from __future__ import annotations

from typing import Any

from .dropins import drop_in_of, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, refused, replaced

__all__ = ["DROP_INS"]

DROP_INS = {"ultralytics.data.augment": "harden.ultralytics_robust"}


def _decide(value: Any, asked: Asked) -> Decision | None:
    kind = type(value)
    if is_ours(kind) or not kind.__module__.startswith("ultralytics."):
        return None
    dropped_in = drop_in_of(kind, DROP_INS)
    if dropped_in is not None:
        new = retyped(value, dropped_in)
        vars(new)["kernel"] = asked.kernel
        return replaced(new, "cv2.resize never antialiases")
    if kind.__name__ == "RandomPerspective" and kind.__module__ == "ultralytics.data.augment":
        if value.perspective or _least(value.scale) < 1:
            advice = "scale=0 and perspective=0 in its arguments, or pictures scaled robustly to imgsz before it"
            return refused(value, "it warps by OpenCV, which samples wherever it shrinks", advice)
        return None
    if kind.__module__.startswith("ultralytics.models.") or kind.__module__ == "ultralytics.engine.model":
        advice = "model(secure_resize.resize(image, (height, width))), of the sides of its imgsz, leaves it none"
        return refused(value, "a model makes its own LetterBox for each prediction", advice)
    return None


def _least(scale: Any) -> float:
    return float(scale[0]) if isinstance(scale, list | tuple) else 1 - float(scale)


def _call(transform: Any, picture: Any) -> Any:
    """LetterBox takes a dict of labels first; the others a picture."""
    if any(one.__name__ == "LetterBox" for one in type(transform).__mro__):
        return transform(image=picture)
    return transform(picture)


HARDENERS.add(
    Hardener(
        "ultralytics",
        "ultralytics",
        "SR113",
        _decide,
        replaces="LetterBox, ClassifyLetterBox and CenterCrop of ultralytics.data.augment",
        shares="all but the transforms on the way to a replaced one",
        call=_call,
        examples=(
            "from ultralytics.data.augment import LetterBox\nLetterBox((64, 64))",
            "from ultralytics.data.augment import CenterCrop\nCenterCrop(64)",
            "from ultralytics.data.augment import ClassifyLetterBox\nClassifyLetterBox((64, 64))",
        ),
    )
)
