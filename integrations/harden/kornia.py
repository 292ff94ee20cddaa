"""kornia: its layers and augmentations that resize, and its functions bound by ``partial``.

kornia's own ``antialias=True`` blurs by a Gaussian of fixed width before it samples; what stands here averages instead.
"""

from __future__ import annotations

import functools
import re
import types
from typing import Any

from .dropins import drop_in_of, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__ = ["DROP_INS", "KEEP_SCALE"]

DROP_INS = {"kornia.augmentation": "harden.kornia_robust", "kornia.geometry.transform": "harden.kornia_geometry"}
# Augmentations that move pixels at the scale that they have.
KEEP_SCALE = (
    "CenterCrop", "CenterCrop3D", "PadTo", "RandomCrop", "RandomCrop3D", "RandomHorizontalFlip", "RandomRotation",
    "RandomRotation3D", "RandomRotation90", "RandomShear", "RandomTranslate", "RandomVerticalFlip",
)  # fmt: skip
# What else is called like something that scales, or bends pictures.
SUSPECT = re.compile(
    r"Resiz|Rescale|Scale|Affine|Perspective|Elastic|Fisheye|ThinPlate|Pyr|Warp|Remap|Mosaic|Homography"
)


def _decide(value: Any, asked: Asked) -> Decision | None:
    if isinstance(value, functools.partial | types.FunctionType):
        return _function(value, asked)
    kind = type(value)
    if is_ours(kind) or not kind.__module__.startswith(("kornia.augmentation._", "kornia.geometry.transform")):
        return None
    dropped_in = drop_in_of(kind, DROP_INS)
    if dropped_in is not None:
        return _replaced(value, dropped_in, asked)
    name = kind.__name__
    if name in KEEP_SCALE or not SUSPECT.search(name):
        return None
    if name in ("RandomAffine", "RandomAffine3D") and _keeps_scale(value):
        return None
    advice = "keep it from shrinking (scale from 1 on), and scale robustly before it"
    return refused(value, f"kornia's {name} samples wherever it shrinks a picture", advice)


def _replaced(value: Any, dropped_in: type, asked: Asked) -> Decision:
    known = getattr(value, "flags", None) or vars(value)
    mode = known.get("resample", known.get("interpolation", ""))
    nearest = str(getattr(mode, "name", mode)).lower().startswith("nearest")
    if nearest and asked.labels:
        return kept(value, "nearest on label maps is as it should be")
    why = (
        "kornia samples unless it is told to blur before" if not known.get("antialias") else "kornia blurs, and samples"
    )
    why += "; nearest on images is averaged by area" if nearest else ""
    new = retyped(value, dropped_in)
    vars(new)["kernel"] = asked.kernel
    return replaced(new, why)


def _keeps_scale(value: Any) -> bool:
    scale = getattr(value, "scale", None)
    return scale is None or all(float(one) >= 1 for one in _flat(scale))


def _flat(scale: Any) -> list[Any]:
    values = scale.flatten().tolist() if hasattr(scale, "flatten") else scale
    return [inner for one in values for inner in (one if isinstance(one, list | tuple) else [one])]


def _function(value: Any, asked: Asked) -> Decision | None:
    function = value.func if isinstance(value, functools.partial) else value
    if not isinstance(function, types.FunctionType) or not function.__module__.startswith("kornia.geometry."):
        return None
    dropped_in = drop_in_of(function, DROP_INS)
    if dropped_in is None:
        return None
    if not isinstance(value, functools.partial):
        return replaced(
            functools.partial(dropped_in, kernel=asked.kernel) if asked.kernel else dropped_in, "it samples"
        )
    named = {**value.keywords, **({"kernel": asked.kernel} if asked.kernel else {})}
    if asked.labels and str(named.get("interpolation", "")).startswith("nearest"):
        return kept(value, "nearest on label maps is as it should be")
    return replaced(functools.partial(dropped_in, *value.args, **named), "it samples")


HARDENERS.add(
    Hardener(
        "kornia",
        "kornia",
        "SR111",
        _decide,
        replaces="Resize, LongestMaxSize, SmallestMaxSize, RandomResizedCrop of kornia.augmentation; Resize, Rescale, "
        "resize and rescale of kornia.geometry.transform",
        shares="all but the layers on the way to a replaced one",
        examples=(
            "import kornia\nkornia.geometry.transform.Resize((64, 64))",
            "import kornia.augmentation as K\nK.AugmentationSequential(K.Resize((64, 64)), data_keys=['input'])",
            "import kornia.augmentation as K\nK.ImageSequential(K.RandomResizedCrop((64, 64), scale=(0.5, 1.0)))",
        ),
        layout="NCHW tensor",
        call=lambda pipeline, picture: pipeline(picture.float() / 255),
    )
)
