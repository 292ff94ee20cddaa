"""torchvision: transforms of both kinds, presets, functions bound by ``partial``, detection models' own transform."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from .dropins import drop_in_of, fallback_kernel, is_ours, retyped
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__ = ["DROP_INS", "KEEP_SCALE", "MAY_SHRINK"]

# torchvision's modules, and ours with the same names.
DROP_INS = {
    "torchvision.transforms.v2.functional": "torchvision.v2.functional",
    "torchvision.transforms.v2": "torchvision.v2",
    "torchvision.transforms.transforms": "torchvision.v1",
    "torchvision.transforms._presets": "torchvision.presets",
    "torchvision.transforms.functional": "torchvision.functional_v1",
    "torchvision.models.detection.transform": "torchvision.presets",
}
# Move and mix pixels at the scale that they have, whatever their arguments: nothing to replace.
KEEP_SCALE = (
    "AugMix", "AutoAugment", "CenterCrop", "FiveCrop", "Pad", "RandAugment", "RandomCrop", "RandomHorizontalFlip",
    "RandomIoUCrop", "RandomRotation", "RandomVerticalFlip", "RandomZoomOut", "TenCrop", "TrivialAugmentWide",
)  # fmt: skip
# Shrink parts of pictures where their arguments say so.
MAY_SHRINK = ("ElasticTransform", "RandomAffine", "RandomPerspective")


def _decide(value: Any, asked: Asked) -> Decision | None:
    if isinstance(value, functools.partial | types.FunctionType):
        return _function(value, asked)
    kind = type(value)
    if is_ours(kind):
        return kept(value, "it is robust already")
    if not kind.__module__.startswith("torchvision."):
        return None
    dropped_in = drop_in_of(kind, DROP_INS)
    if dropped_in is None:
        if kind.__name__ in MAY_SHRINK or kind.__name__ == "GeneralizedRCNNTransform":
            return refused(
                value,
                f"{kind.__name__} samples wherever it shrinks a picture",
                "scale robustly before it, and keep it from shrinking",
            )
        return None
    mode = _mode(getattr(value, "interpolation", ""))
    if asked.labels and mode.startswith("nearest"):
        return kept(value, "nearest on label maps is as it should be")
    kernel = asked.kernel or fallback_kernel(mode)
    changes = {"antialias": True} | ({"kernel": kernel} if kernel else {})
    return replaced(retyped(value, dropped_in, **changes), _why(value, mode))


def _mode(interpolation: Any) -> str:
    """The name of an interpolation, which may be one of Pillow's numbers."""
    named = sys.modules["torchvision"].transforms.functional.pil_modes_mapping
    by_number = {number: mode.value for mode, number in named.items()}
    return str(getattr(interpolation, "value", by_number.get(interpolation, interpolation)))


def _why(value: Any, mode: str) -> str:
    if type(value).__name__ in MAY_SHRINK:
        return "it samples wherever it shrinks a picture"
    if mode.startswith("nearest"):
        return f"{mode} reads one pixel for each output; averaged by area (label maps belong in tv_tensors.Mask)"
    if mode == "box":
        return "box skips pixels between the whole ratios; averaged by area"
    if not getattr(value, "antialias", False):
        return "it does not antialias"
    return "it scales images of mode P and 1 by nearest, and passes arrays through as they are"


def _function(value: Any, asked: Asked) -> Decision | None:
    """A function of torchvision's, alone or bound to arguments."""
    function = value.func if isinstance(value, functools.partial) else value
    if not isinstance(function, types.FunctionType):
        return None
    dropped_in = drop_in_of(function, DROP_INS)
    if dropped_in is None:
        return None
    bound = dict(value.keywords) if isinstance(value, functools.partial) else {}
    mode = _mode(bound.get("interpolation", ""))
    if asked.labels and mode.startswith("nearest"):
        return kept(value, "nearest on label maps is as it should be")
    why = "it samples wherever it is told to" if bound.pop("antialias", True) else "it does not antialias"
    kernel = asked.kernel or fallback_kernel(mode)
    if kernel is not None:
        bound["kernel"] = kernel
    positional = value.args if isinstance(value, functools.partial) else ()
    return replaced(functools.partial(dropped_in, *positional, **bound) if positional or bound else dropped_in, why)


HARDENERS.add(
    Hardener(
        "torchvision",
        "torchvision",
        "SR105",
        _decide,
        replaces="transforms of v2 and v1 that scale, presets of weights, functions bound by partial, the transform "
        "of detection models",
        shares="all but the transforms on the way to a replaced one: weights, files, random generators",
        examples=(
            "from torchvision.transforms import v2\nv2.Resize((64, 64), antialias=False)",
            "from torchvision.transforms import v2\n"
            "v2.Compose([v2.RandomApply([v2.Compose([v2.Resize((64, 64), antialias=False)])], p=1.0), v2.ToImage()])",
            "from torchvision.transforms import v2\nv2.RandomResizedCrop((64, 64), antialias=False)",
            "from torchvision import transforms\n"
            "transforms.Compose([transforms.Resize((64, 64), antialias=False), transforms.CenterCrop(64)])",
            "import functools\nfrom torchvision.transforms.v2 import functional\n"
            "functools.partial(functional.resize, size=[64, 64], antialias=False)",
        ),
        layout="CHW tensor",
    )
)
