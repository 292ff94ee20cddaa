"""keras_hub: the image converters of its presets, alone and in preprocessors and tasks."""

from __future__ import annotations

import copy
import sys
from typing import Any

from . import keras
from .registry import HARDENERS, Asked, Decision, Hardener, replaced

__all__: list[str] = []


def _decide(value: Any, asked: Asked) -> Decision | None:
    if not type(value).__module__.startswith("keras_hub."):
        return None
    hub = sys.modules["keras_hub"]
    if isinstance(value, hub.layers.ImageConverter):
        return keras.layer_decision(value, asked)
    converter = getattr(value, "image_converter", None)
    if converter is None:
        return None
    decision = keras.layer_decision(converter, asked)
    if decision is None or decision.verb != "replaced":
        return decision
    new = copy.copy(value)
    new.image_converter = decision.value
    return replaced(new, f"of its image converter: {decision.why}")


HARDENERS.add(
    Hardener(
        "keras_hub",
        "keras_hub",
        "SR113",
        _decide,
        replaces="ImageConverter and its subclasses",
        shares="all but the converter",
        examples=("import keras_hub\nkeras_hub.layers.ImageConverter(image_size=(64, 64))",),
        layout="NHWC",
    )
)
