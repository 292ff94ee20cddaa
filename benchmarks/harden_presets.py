"""What harden() does to the pipelines that libraries ship: the verdict by probe before and after, a row each.

    python benchmarks/harden_presets.py [LIBRARY ...]

Presets that are equal to one another are measured once. A mode of pictures that the hardened pipeline refuses is
``refused``. What is not installed is left out, with a word on stderr.
"""

from __future__ import annotations

import contextlib
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import secure_resize as sr
from secure_resize.integrations.harden import harden
from secure_resize.measure.blackbox import LAYOUTS
from secure_resize.measure.outputs import pictures
from secure_resize.registry import Registry

Size = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One pipeline: ``call(pipeline, picture)`` gives something in which the picture is that is measured."""

    pipeline: Any
    name: str
    in_size: Size
    layout: str = "CHW tensor"
    call: Callable[[Any, Any], Any] = lambda pipeline, picture: pipeline(picture)


@dataclass(frozen=True)
class Library:
    """A row: ``cases()`` imports the library."""

    name: str
    cases: Callable[[], Iterator[Case]]


LIBRARIES: Registry[Library] = Registry("library")


def register(cases: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
    LIBRARIES.add(Library(cases.__name__, cases))
    return cases


def once(named: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those that are equal as one, by the first's name and how many follow it."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, value in named:
        groups.setdefault(repr(value), []).append((name, value))
    return [(f"{m[0][0]} and {len(m) - 1} more" if len(m) > 1 else m[0][0], m[0][1]) for m in groups.values()]


@register
def torchvision() -> Iterator[Case]:
    from torchvision import models

    def presets(module: Any) -> list[tuple[str, Any]]:
        kinds = [models.get_model_weights(name) for name in models.list_models(module)]
        return once([(str(weights), weights.transforms()) for kind in dict.fromkeys(kinds) for weights in kind])

    def source(preset: Any) -> Size:
        side = preset.resize_size[0]
        return side * 19 // 10 | 1, side * 24 // 10 | 1

    for name, preset in presets(models.video):
        yield Case(preset, name, source(preset), call=lambda pipeline, picture: pipeline(picture[None])[:, 0])
    still = [*presets(models.segmentation), *presets(models), *presets(models.quantization)]
    for name, preset in sorted(still, key=lambda one: one[1].resize_size):
        yield Case(preset, name, source(preset))


@register
def detection() -> Iterator[Case]:
    """The transforms inside the models, which the presets lack; at 160 pixels, where their size can be chosen."""
    from torchvision import models

    made = []
    for name in models.list_models(models.detection):
        sizes = {} if name.startswith("ssd") else {"min_size": 160, "max_size": 266}
        made.append((name, models.get_model(name, weights=None, weights_backbone=None, **sizes)))
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, model in made:
        groups.setdefault(repr(model.transform), []).append((name, model))
    for members in groups.values():
        name, model = members[0]
        least = model.transform.min_size[0]
        shown = f"{name} and {len(members) - 1} more" if len(members) > 1 else name

        def call(pipeline: Any, picture: Any) -> Any:
            return pipeline.transform([picture.float() / 255])[0].tensors[0]

        yield Case(model, shown, (least * 3 // 2 + 7, least * 2 - 5), call=call)


@register
def timm() -> Iterator[Case]:
    import torch
    from PIL import Image
    from timm.data import create_transform

    def palette(pipeline: Any, picture: Any) -> Any:
        image = Image.frombytes("P", picture.size, picture.tobytes())
        image.putpalette([level for grey in range(256) for level in (grey, grey, grey)])
        return seeded(pipeline, image)

    def seeded(pipeline: Any, picture: Any) -> Any:
        random.seed(0)
        torch.manual_seed(0)
        return pipeline(picture)

    options: dict[str, dict[str, Any]] = {
        "center, bicubic": {"interpolation": "bicubic"},
        "squash, bilinear": {"crop_mode": "squash"},
        "border, bicubic": {"crop_mode": "border", "interpolation": "bicubic"},
        "training": {"is_training": True, "auto_augment": None, "color_jitter": None},
        "nearest": {"interpolation": "nearest"},
    }
    for name, given in options.items():
        pipeline = create_transform(224, normalize=False, **given)
        yield Case(pipeline, f"create_transform, {name}, RGB", (487, 653), "PIL", seeded)
        yield Case(pipeline, f"create_transform, {name}, mode P", (487, 653), "PIL grey", palette)


@register
def albumentations() -> Iterator[Case]:
    import albumentations as A

    def call(pipeline: Any, picture: Any) -> Any:
        pipeline.set_random_seed(1)
        return pipeline(image=picture)["image"]

    for transform in (
        A.Resize(224, 224),
        A.Resize(224, 224, interpolation=0),
        A.LongestMaxSize(224),
        A.SmallestMaxSize(224),
        A.RandomScale((-0.6, -0.5), p=1.0),
        A.RandomResizedCrop((160, 160), scale=(0.5, 1.0)),
        A.RandomSizedCrop((380, 480), (160, 160)),
        A.Affine(scale=0.4, p=1.0),
        A.ShiftScaleRotate(scale_limit=(-0.6, -0.5), rotate_limit=0, p=1.0),
    ):
        yield Case(A.Compose([transform]), type(transform).__name__, (487, 653), "HWC", call)


@register
def transformers() -> Iterator[Case]:
    """Made from configurations; of some the sizes are smaller than those of their checkpoints, to take less time."""
    import transformers as hf

    small = {"size": {"height": 160, "width": 160}}
    configurations: dict[str, dict[str, Any]] = {
        "DepthPro": small,
        "Molmo2": {},
        "Phi4Multimodal": {},
        "PPDocLayoutV2": small,
        "PPDocLayoutV3": small,
        "PPDocLayoutV4": small,
        "PPOCRV6SmallRec": {},
        "RfDetr": small,
        "ZoeDepth": {"size": {"height": 128, "width": 160}},
        "CLIP": {},
        "ViT": {},
        "ViT with resample=0": {"resample": 0},
    }

    def call(pipeline: Any, picture: Any) -> Any:
        found = pipeline(picture, return_tensors="np")
        if "image_pixel_values" in found:  # of Phi-4: the global view goes first
            return found["image_pixel_values"][0][0]
        values = np.asarray(found["pixel_values"])
        if values.shape[1:] == (729, 588):  # of Molmo 2, as well: 27 × 27 patches of 14 × 14
            return values[0].reshape(27, 27, 14, 14, 3).swapaxes(1, 2).reshape(378, 378, 3)
        return values[0]

    for name, given in configurations.items():
        kind = getattr(hf, f"{name.split()[0]}ImageProcessor", None)
        if kind is None:
            print(f"transformers has no processor for {name}", file=sys.stderr)
            continue
        large = name in ("Molmo2", "Phi4Multimodal")
        yield Case(kind(**given), name, (787, 1053) if large else (387, 451), "PIL", call)


@register
def kornia() -> Iterator[Case]:
    import kornia.augmentation as K

    def call(pipeline: Any, picture: Any) -> Any:
        import torch

        torch.manual_seed(0)
        return pipeline(picture.float() / 255)

    for layer in (K.Resize((224, 224)), K.LongestMaxSize(224), K.SmallestMaxSize(224), K.RandomResizedCrop((160, 160))):
        yield Case(K.ImageSequential(layer), type(layer).__name__, (487, 653), "NCHW tensor", call)


@register
def ultralytics() -> Iterator[Case]:
    from ultralytics.data import augment

    yield Case(augment.LetterBox((224, 224)), "LetterBox", (487, 653), "HWC", lambda p, x: p(image=x))
    yield Case(augment.ClassifyLetterBox((224, 224)), "ClassifyLetterBox", (487, 653), "HWC")
    yield Case(augment.CenterCrop(224), "CenterCrop", (487, 653), "HWC")


@register
def keras() -> Iterator[Case]:
    import keras as k

    yield Case(k.layers.Resizing(64, 64), "Resizing", (139, 187), "NHWC")
    inner = k.Sequential([k.layers.Resizing(64, 64), k.layers.Rescaling(1 / 255)])
    inputs = k.Input((None, None, 3))
    yield Case(k.Model(inputs, inner(inputs)), "Resizing in a Sequential in a model", (139, 187), "NHWC")


@register
def keras_hub() -> Iterator[Case]:
    import keras_hub as hub

    yield Case(hub.layers.ImageConverter(image_size=(64, 64)), "ImageConverter", (139, 187), "NHWC")


# Measuring.


def measured(case: Case, pipeline: Any) -> tuple[str, float]:
    """The worst verdict, and gain in dB, of the pictures that it makes."""
    layout = LAYOUTS[case.layout]
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*case.in_size, layout.channels), np.uint8)
    try:
        found = pictures(case.call(pipeline, layout.encode(picture)))
    except ValueError as error:
        if "mode" in str(error):
            return "refused", float("-inf")
        raise
    other = pictures(case.call(pipeline, layout.encode(255 - picture)))
    names = [name for name, one in found.items() if not np.array_equal(one, other[name])]
    worst: tuple[str, float] = ("not measured", float("-inf"))
    for name in names[:2] + names[-1:]:

        def call(image: Any, name: str = name) -> Any:
            return pictures(case.call(pipeline, image))[name]

        operator = sr.probe(call, case.in_size, found[name].shape[:2], dtype="uint8", layout=case.layout)  # type: ignore[arg-type]
        figures = sr.exposure(operator)
        worst = max(worst, (figures.verdict, figures.stealth_gain_db), key=lambda one: one[1])
    return worst


def row(library: str, case: Case) -> str:
    """The table's line of one case."""
    hardened = harden(case.pipeline)
    cells = []
    for pipeline in (case.pipeline, hardened):
        verdict, gain = measured(case, pipeline)
        cells.append(verdict if not np.isfinite(gain) else f"{verdict}, {gain:z.2f} dB")
    size = f"{case.in_size[0]}×{case.in_size[1]}"
    return f"| {library} | {case.name} | {size} | {cells[0]} | {cells[1]} |"


def main(names: list[str]) -> int:
    """Print the table; 1 where anything is vulnerable after."""
    with contextlib.suppress(ImportError):  # before TensorFlow
        import torchvision as _  # noqa: F401
    print("| library | pipeline | source | before | after |\n|---|---|---|---|---|")
    bad = 0
    for library in [LIBRARIES[name] for name in names] or LIBRARIES.values():
        try:
            cases = list(library.cases())
        except ImportError as error:
            print(f"{library.name}: {error}", file=sys.stderr)
            continue
        for case in cases:
            try:
                line = row(library.name, case)
            except Exception as error:
                line = f"| {library.name} | {case.name} | | not measured: {type(error).__name__}: {error} | |"
            bad += "vulnerable" in line.split("|")[-2] or "not measured" in line
            print(line, flush=True)
    return int(bool(bad))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
