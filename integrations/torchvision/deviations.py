"""Where a transform of ours does otherwise than torchvision's, and why: all of it, as data.

The conformance tests compare everything else for equality, and each of these with what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEVIATIONS", "Deviation"]


@dataclass(frozen=True)
class Deviation:
    """What ``stock`` torchvision does with ``call``, what we do, and the ``reason``."""

    call: str
    stock: str
    ours: str
    reason: str


SAMPLES = "a few pixels decide the result, which is what image-scaling attacks exploit"
SILENT = "nothing is passed through or left out silently"

DEVIATIONS = (
    Deviation("`antialias=False`", "samples", "warns and is ignored", SAMPLES),
    Deviation("nearest, of an image", "samples", "ValueError, with the way out for label maps", SAMPLES),
    Deviation("PIL modes P, PA and 1", "nearest, whatever is asked for", "ValueError, with the way out", SAMPLES),
    Deviation("PIL modes I;16B and I;16N", "Pillow 13 mixes up their bytes", "resized like I;16", "Pillow's fault"),
    Deviation("PIL mode I", "rounds after each pass", "rounds once: up to a level apart", "the more exact one"),
    Deviation("numpy image in a sample", "passed through unresized", "TypeError", SILENT),
    Deviation("bool tensor", "True where any weight is", "True where at least half of the weight is", SAMPLES),
    Deviation("other integer tensors", "in float32, wraps round where a kernel overshoots",
              "exact within a level and kept in range; int8 and int16 are uint8 and uint16 with an offset",
              "float32 has 24 bits, and what wraps round is another picture"),
    Deviation("uint8 tensor", "Pillow's bytes but for single levels", "Pillow's bytes",
              "a model sees what it was trained on"),
    Deviation("float tensor", "sums in its own precision", "sums in float64, rounded once", "the more exact one"),
    Deviation("`torch.jit.script`", "puts its own class into the script", "RuntimeError", "that class samples"),
    Deviation("`torch.fx.symbolic_trace`", "leaves the transform out", "records `Resize`, else TypeError", SILENT),
    Deviation("`affine`, `perspective`, `elastic` that shrink an image", "read one or four pixels an output",
              "average all that lie under it", SAMPLES),
    Deviation("presets of video models", "sample each frame", "antialiased", SAMPLES),
    Deviation("`GeneralizedRCNNTransform`", "samples", "antialiased", SAMPLES),
    Deviation("`kernel=`, `defense=`, `path=`", "TypeError", "ours", "additions"),
)  # fmt: skip
