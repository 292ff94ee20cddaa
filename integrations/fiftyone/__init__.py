"""A FiftyOne plugin: its operator looks at each sample's picture, and writes what it finds into the samples' fields.

Link this folder into FiftyOne's plugins, and run the operator in the App or from code, at once or delegated::

    ln -s "$(python -c 'import secure_resize.integrations as i; print(i.__path__[0])')/fiftyone" \\
        "$(fiftyone config plugins_dir)/secure-resize"

    fiftyone.operators.get_operator("@secure-resize/scan/scan_for_scaling_attacks")(
        dataset, size="224x224", scaler="opencv:linear"
    )

Fields: ``scaling_attack`` (whether the picture is suspicious; None where it could not be looked at),
``scaling_attack_p_value``, ``scaling_attack_score``, ``scaling_attack_finding`` (why it could not be looked at),
``scaling_attack_box`` (a detection) and ``scaling_attack_difference`` (a heat map of what the pipeline sees and nobody
else does) of suspicious ones.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.operators.types as types
import numpy as np

import secure_resize as sr

__all__ = ["FIELD", "ScanForScalingAttacks", "register"]

FIELD = "scaling_attack"
_ANY = "any"
_BATCH = 32


class ScanForScalingAttacks(foo.Operator):  # type: ignore[misc]  # an untyped class
    """Looks for image-scaling attacks in a data set or view."""

    @property
    def config(self) -> Any:
        """What the App shows of it; it may be delegated."""
        return foo.OperatorConfig(
            name="scan_for_scaling_attacks",
            label="Scan for image-scaling attacks",
            description="Finds pictures that a resize turns into other ones",
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            allow_distributed_execution=True,
        )

    def resolve_input(self, ctx: Any) -> Any:
        """The form: size, scaler, and which samples."""
        inputs = types.Object()
        inputs.str("size", label="Size", description="HEIGHTxWIDTH that the pipeline resizes to, or any", default=_ANY)
        choices = types.AutocompleteView()
        for name in (_ANY, *sr.SCALERS):
            choices.add_choice(name, label=name)
        inputs.str("scaler", label="Scaler", description="how it resizes", default=_ANY, view=choices)
        inputs.view_target(ctx)
        return types.Property(inputs, view=types.View(label="Scan for image-scaling attacks"))

    def execute(self, ctx: Any) -> Iterator[Any]:
        """Look at the samples, some at a time, and write their fields."""
        look = _look(ctx.params.get("size", _ANY), ctx.params.get("scaler", _ANY))
        view = ctx.target_view()
        total, done, found = len(view), 0, 0
        batch: list[Any] = []
        for sample in view.iter_samples():
            batch.append(sample)
            done += 1
            if len(batch) == _BATCH or done == total:
                rows = look([(one.filepath, Path(one.filepath)) for one in batch])
                for one, row in zip(batch, rows, strict=True):
                    _write(one, row)
                    one.save()
                    found += row.suspicious
                batch = []
                ctx.set_progress(progress=done / total, label=f"{done} of {total}, {found} suspicious")
                yield
        ctx.ops.reload_dataset()
        yield {"samples": done, "suspicious": found}


def _look(size: str, scaler: str) -> Any:
    """What looks at the pictures; ValueError for a size or scaler that is none."""
    wanted = None
    if size != _ANY:
        height, _, width = size.partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            raise ValueError(f"expected HEIGHTxWIDTH such as 224x224, or any; got {size!r}")
        wanted = (int(height), int(width))
    return sr.scan.Look(size=wanted, scalers=() if scaler == _ANY else (scaler,), pictures=True)


def _write(sample: Any, row: Any) -> None:
    """The fields of one sample."""
    answer = row.answer
    sample[FIELD] = None if answer is None else answer["suspicious"]
    sample[f"{FIELD}_score"] = None if answer is None else answer["score"]
    sample[f"{FIELD}_p_value"] = None if answer is None else answer["p_value"]
    sample[f"{FIELD}_finding"] = "; ".join(f"{one.code}: {one.message}" for one in row.troubles) or None
    if not row.suspicious:
        sample[f"{FIELD}_box"] = sample[f"{FIELD}_difference"] = None
        return
    height, width = row.size
    top, left, down, across = answer["box"] or (0, 0, height, width)
    box = [left / width, top / height, across / width, down / height]
    label = f"{answer['scaler']} {answer['size'][0]}x{answer['size'][1]}"
    sample[f"{FIELD}_box"] = fo.Detections(detections=[fo.Detection(label=label, bounding_box=box)])
    if "difference" in row.pictures:
        sample[f"{FIELD}_difference"] = fo.Heatmap(map=_heat(row.pictures["difference"]), range=[0, 255])


def _heat(png: bytes) -> Any:
    """Where the difference is not grey, uint8 (h, w)."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        apart = np.abs(np.asarray(picture).astype(np.int16) - 128).max(axis=2)
    return np.minimum(2 * apart, 255).astype(np.uint8)


def register(plugin: Any) -> None:
    """Called by FiftyOne."""
    plugin.register(ScanForScalingAttacks)
