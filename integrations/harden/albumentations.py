"""albumentations: its transforms that resize or shrink, in Compose, OneOf and their like."""

from __future__ import annotations

import importlib
from typing import Any

from .dropins import OURS, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__ = ["CV2_MODES"]

# OpenCV's interpolations: ours by the kernels' names, and those that have no robust form.
CV2_MODES = {"area": 3, "bilinear": 1, "bicubic": 2, "lanczos": 4}
NEAREST = (0, 6)  # INTER_NEAREST, INTER_NEAREST_EXACT
AREA = 3


def _decide(value: Any, asked: Asked) -> Decision | None:
    kind = type(value)
    if is_ours(kind):
        ours = kind.__module__ == f"{OURS}.albumentations"
        return kept(value, "it is robust already") if ours else None
    if not kind.__module__.startswith("albumentations."):
        return None
    known = importlib.import_module(f"{OURS}.albumentations")
    dropped_in = known.ROBUST.get(kind.__name__)
    if dropped_in is None:
        why = known.NOT_COVERED.get(kind.__name__)
        advice = "scale robustly before it, and keep it from shrinking"
        return refused(value, f"it samples wherever it shrinks a picture: {why}", advice) if why else None
    new = retyped(value, dropped_in)
    why = "it scales by OpenCV, which never antialiases"
    if value.interpolation in NEAREST:
        vars(new)["interpolation"] = AREA
        why += "; nearest on images is averaged by area"
    if asked.kernel is not None:
        vars(new)["interpolation"] = CV2_MODES.get(asked.kernel, AREA)
    return replaced(new, why)


HARDENERS.add(
    Hardener(
        "albumentations",
        "albumentations",
        "SR111",
        _decide,
        replaces="Resize, RandomResizedCrop, RandomScale, LongestMaxSize, Affine and the others of its robust classes; "
        "masks are left to albumentations",
        shares="all but the transforms on the way to a replaced one, the random generators too",
        examples=(
            "import albumentations as A\nA.Resize(64, 64)",
            "import albumentations as A\nA.Compose([A.OneOf([A.Compose([A.Resize(64, 64)])], p=1.0)])",
            "import albumentations as A\nA.Compose([A.LongestMaxSize(64), A.PadIfNeeded(64, 64)])",
        ),
        call=lambda pipeline, picture: pipeline(image=picture)["image"],
    )
)
