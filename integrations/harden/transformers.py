"""transformers: image and video processors, slow and fast, alone and in what holds them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .dropins import OURS
from .registry import HARDENERS, Asked, Decision, Hardener, kept, refused, replaced

__all__: list[str] = []


def _decide(value: Any, asked: Asked) -> Decision | None:
    utilities = sys.modules.get("transformers.image_processing_utils")
    if utilities is None or not isinstance(value, utilities.BaseImageProcessor):
        return None
    ours = importlib.import_module(f"{OURS}.transformers")
    if isinstance(value, ours.RobustMixin):
        return kept(value, "it is robust already")
    try:
        return replaced(ours.robust(value), "it may sample: some classes always do, all with resample=0")
    except (TypeError, ValueError) as error:
        return refused(value, str(error), "scale robustly before it")


HARDENERS.add(
    Hardener(
        "transformers",
        "transformers",
        "SR113",
        _decide,
        replaces="every image and video processor, in multimodal processors and pipelines too",
        shares="the configuration's values, a pipeline's model and tokenizer",
        examples=(
            "import transformers\ntransformers.ViTImageProcessor(size={'height': 64, 'width': 64}, resample=0)",
            "import transformers\n"
            "transformers.DepthProImageProcessor(size={'height': 64, 'width': 64}, do_normalize=False)",
        ),
        call=lambda pipeline, picture: pipeline(picture, return_tensors="np")["pixel_values"][0],
    )
)
