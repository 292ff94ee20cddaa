"""Keras 3: layers that resize, alone or in models, and keras_hub's image converters.

A layer is made once more from its configuration, a model put together once more around the same layers: the weights
are those of the argument. tf.data pipelines cannot be looked into; they are refused.
"""

from __future__ import annotations

import sys
from typing import Any

from .dropins import drop_in_of, is_ours
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__ = ["DROP_INS", "MAY_SHRINK", "layer_decision"]

DROP_INS = {"keras.src.layers": "keras"}
# Layers that scale pictures down where their arguments, or the sizes, say so; and when they do not.
MAY_SHRINK = {
    "RandomZoom": "it zooms out by positive factors",
    "RandomPerspective": "it shrinks parts of the picture",
    "RandomElasticTransform": "it shrinks parts of the picture",
    "RandomCrop": "it resizes where it does not train",
    "RandomShear": "it samples as it shears",
}
ADVICE = "scale robustly before it, or use secure_resize.integrations.keras where it has a layer of that name"


def _decide(value: Any, asked: Asked) -> Decision | None:
    keras = sys.modules["keras"]
    if not isinstance(value, keras.layers.Layer):
        return _other(value)
    if type(value).__module__.startswith("keras_hub."):  # has a row of its own
        return None
    if isinstance(value, keras.Sequential) or _is_functional(value):
        return _model(value, asked)
    return layer_decision(value, asked)


def _is_functional(value: Any) -> bool:
    return isinstance(value, sys.modules["keras"].Model) and type(value).__name__ == "Functional"


def layer_decision(value: Any, asked: Asked) -> Decision | None:
    """A layer that is not a model put together of layers."""
    kind = type(value)
    if is_ours(kind):
        return kept(value, "it is robust already")
    if kind.__name__ in MAY_SHRINK and kind.__module__.startswith("keras."):
        return _may_shrink(value, asked)
    nearest = str(getattr(value, "interpolation", "")) == "nearest"
    if asked.labels and nearest:
        return kept(value, "nearest on label maps is as it should be")
    if kind.__name__ == "CenterCrop" and drop_in_of(kind, DROP_INS) is not None:
        return replaced(drop_in_of(kind, DROP_INS).from_config(value.get_config()), "it resizes what is smaller")
    if hasattr(value, "antialias") and hasattr(value, "interpolation"):
        if value.antialias and not nearest:
            return kept(value, "it antialiases")
        return _rebuilt(value, asked, nearest)
    inside = [one for one in value._flatten_layers(include_self=False) if _decides(one, asked)]
    if not inside:
        return None
    advice = "build it with secure_resize.integrations.keras.Resizing, or Resizing(..., antialias=True)"
    return refused(value, f"{inside[0].name!r} in it resizes, and what it does with it cannot be seen", advice)


def _decides(layer: Any, asked: Asked) -> bool:
    decision = layer_decision(layer, asked)
    return decision is not None and decision.verb != "left"


def _rebuilt(value: Any, asked: Asked, nearest: bool) -> Decision:
    """The layer once more, of our class where there is one, else of its own and told to antialias."""
    kind = drop_in_of(type(value), DROP_INS) or type(value)
    config = {**value.get_config(), "antialias": True}
    if nearest:
        config["interpolation"] = "bilinear"
    try:
        new = kind.from_config(config)
    except Exception as error:  # of a class that is not what its configuration says
        reason = f"it cannot be made from its configuration ({type(error).__name__})"
        return refused(value, reason, "construct it with antialias=True")
    why = "nearest on images; bilinear, antialiased" if nearest else "it does not antialias"
    return replaced(new, why)


def _may_shrink(value: Any, asked: Asked) -> Decision | None:
    kind = type(value)
    dropped_in = drop_in_of(kind, DROP_INS)
    why = MAY_SHRINK[kind.__name__]
    if dropped_in is not None:
        return replaced(dropped_in.from_config(value.get_config()), why)
    if kind.__name__ == "RandomZoom" and not _zooms_out(value):
        return None
    return refused(value, why, ADVICE)


def _zooms_out(layer: Any) -> bool:
    factors = [getattr(layer, name, None) for name in ("height_factor", "width_factor")]
    numbers = [number for one in factors if one is not None for number in (one if isinstance(one, tuple) else (one,))]
    return any(number > 0 for number in numbers)


def _model(value: Any, asked: Asked) -> Decision | None:
    """A Sequential or functional model: the same layers, those that resize replaced, at any depth."""
    decisions = {layer: _decide(layer, asked) for layer in value.layers}
    made = {layer: one for layer, one in decisions.items() if one is not None}
    refusals = [one for one in made.values() if one.verb == "refused"]
    swapped = {id(layer): one.value for layer, one in made.items() if one.verb == "replaced"}
    if refusals:
        return refused(value, refusals[0].why, refusals[0].advice)
    if not swapped:
        return kept(value, next(iter(made.values())).why) if made else None
    new = sys.modules["keras"].models.clone_model(value, clone_function=lambda layer: swapped.get(id(layer), layer))
    new.trainable = value.trainable
    if value.compiled:
        new.compile_from_config(value.get_compile_config())
    names = ", ".join(repr(layer.name) for layer in value.layers if id(layer) in swapped)
    return replaced(new, f"of its layers {names}: {next(one.why for one in made.values() if one.verb == 'replaced')}")


def _other(value: Any) -> Decision | None:
    """tf.data, and traced functions: what they do is compiled."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return None
    if isinstance(value, tensorflow.data.Dataset):
        advice = 'secure_resize.integrations.tensorflow.resize in its map; or build it within patched("tensorflow")'
        return refused(value, "a tf.data pipeline is compiled, and cannot be looked into", advice)
    if type(value).__module__.startswith("tensorflow.") and hasattr(value, "get_concrete_function"):
        advice = "resize with secure_resize.integrations.tensorflow.resize in it"
        return refused(value, "a tf.function is compiled when it is called", advice)
    return None


HARDENERS.add(
    Hardener(
        "keras",
        "keras",
        "SR107",
        _decide,
        replaces="Resizing and every other layer that can antialias, keras_hub's image converters, in Sequential and "
        "functional models at any depth",
        shares="all layers of a model that do not resize, with their weights; it is compiled anew, as it was",
        examples=(
            "import keras\nkeras.layers.Resizing(64, 64)",
            "import keras\nkeras.Sequential([keras.layers.Resizing(64, 64), keras.layers.Rescaling(1 / 255)])",
            "import keras\ninputs = keras.Input((None, None, 3))\n"
            "inner = keras.Sequential([keras.layers.Resizing(64, 64), keras.layers.Rescaling(1 / 255)])\n"
            "keras.Model(inputs, keras.layers.Rescaling(2.0)(inner(inputs)))",
        ),
        layout="NHWC",
    )
)
