"""``secure-resize demo``: an attack image for each stock resize, as that pipeline sees it and as ours do.

Every pipeline is the real one and reads the attack image from its file: ``cv2.resize``; a tf.data pipeline with
``tf.image.resize``; a torch DataLoader with ``interpolate``; and ours in a DataLoader and in a tf.data pipeline.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..attacks import HIDDEN_DB, REACHED_DB, craft, psnr
from ..evaluate.pairs import load_picture
from ..measure.survey import NothingInstalled
from ..scaling import resize
from ..tables import Table
from .arguments import Size
from .outcome import Exit

__all__ = ["Seen", "demo", "run"]

Image = npt.NDArray[np.uint8]
Pipeline = Callable[[Path, tuple[int, int]], Image]

# Below, linear's outputs share source pixels, and what is to be hidden shows.
SMALLEST_RATIO = 2
# Larger pictures are drawn smaller.
_LARGEST_DRAWN = 512


@dataclass(frozen=True)
class Seen:
    """What one pipeline makes of one attack image; PSNRs in dB."""

    attacked: str  # the scaler that the attack image was crafted against
    pipeline: str
    ours: bool
    attack_to_source: float
    output_to_target: float
    output_to_clean: float  # against what the same pipeline makes of the unattacked source

    @property
    def outcome(self) -> str:
        """In words: whether the pipeline showed the hidden picture."""
        if self.output_to_target >= REACHED_DB:
            return "ATTACKED" if self.attack_to_source >= HIDDEN_DB else "attacked, but the attack shows"
        return "safe" if self.output_to_target < HIDDEN_DB else "in between"


def _opencv(path: Path, size: tuple[int, int]) -> Image:
    import cv2

    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(image, size[::-1]))


def _tf_data(resize_image: Callable[[Any], Any]) -> Callable[[Path], Image]:
    def run_pipeline(path: Path) -> Image:
        import tensorflow as tf

        dataset = tf.data.Dataset.from_tensors(str(path))
        dataset = dataset.map(lambda name: tf.io.decode_png(tf.io.read_file(name), channels=3))
        dataset = dataset.map(resize_image, num_parallel_calls=tf.data.AUTOTUNE).batch(1)
        (batch,) = dataset.as_numpy_iterator()
        return np.asarray(np.clip(np.round(batch[0]), 0, 255).astype(np.uint8))

    return run_pipeline


def _tensorflow_stock(path: Path, size: tuple[int, int]) -> Image:
    import tensorflow as tf

    return _tf_data(lambda image: tf.image.resize(image, size))(path)


def _tensorflow_ours(path: Path, size: tuple[int, int]) -> Image:
    from ..integrations import tensorflow as srtf

    return _tf_data(srtf.Resize(size))(path)


def _data_loader(transform: Callable[[Any], Any], path: Path) -> Image:
    import torch
    from PIL import Image as PILImage
    from torchvision.transforms.v2.functional import pil_to_tensor

    def collate(names: list[str]) -> Any:
        with PILImage.open(names[0]) as image:
            return transform(pil_to_tensor(image))

    loader: Any = torch.utils.data.DataLoader([str(path)], collate_fn=collate)  # type: ignore[arg-type]
    (image,) = loader
    return np.ascontiguousarray(np.moveaxis(image.numpy(), 0, -1))


def _torch_stock(path: Path, size: tuple[int, int]) -> Image:
    import torch

    return _data_loader(lambda image: torch.nn.functional.interpolate(image[None], size=size)[0], path)


def _torchvision_ours(path: Path, size: tuple[int, int]) -> Image:
    from ..integrations.torchvision import v2

    return _data_loader(v2.Compose([v2.Resize(size)]), path)


# The module that each needs, the scaler that the attack is crafted against, the pipeline. torch comes first: loaded
# after TensorFlow, torchvision (through triton) ends the process, because both register the same LLVM options.
STOCK: dict[str, tuple[str, str, Pipeline]] = {
    "torch interpolate(size=…)": ("torchvision", "torch:nearest", _torch_stock),
    "OpenCV cv2.resize(…)": ("cv2", "opencv:linear", _opencv),
    "tf.data tf.image.resize(…)": ("tensorflow", "tensorflow:bilinear", _tensorflow_stock),
}
OURS: dict[str, tuple[str, Pipeline]] = {
    "torchvision v2.Resize, ours": ("torchvision", _torchvision_ours),
    "tf.data srtf.Resize, ours": ("tensorflow", _tensorflow_ours),
}


def demo(
    *,
    source: Path | None = None,
    target: Path | None = None,
    size: Size = (112, 112),
    out: Path = Path("secure-resize-demo"),
) -> Exit:
    """Attack the stock resizes that are installed here, then run the same attack images through ours.

    Hides --target in --source against the default down-scaling of OpenCV, TensorFlow and torch (those that are
    installed), runs every attack image through the stock pipeline and through secure_resize's, prints what came out and
    draws it. Exit code 1: a secure_resize pipeline showed the hidden picture.

    Parameters
    ----------
    source
        The picture to hide in; scikit-image's astronaut by default.
    target
        The picture to hide; scikit-image's chelsea by default.
    size
        Of the pipelines' outputs.
    out
        The folder for the pictures.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the table, not TensorFlow's news about missing GPUs
    seen, missing = run(_load(source, "astronaut"), _load(target, "chelsea"), size, out)
    print(_table(seen).text())
    for module, names in missing.items():
        print(f"left out, {module} is not installed: {', '.join(names)}")
    print(f"picture: {out / 'demo.png'}")
    return Exit.FINDINGS if any(one.ours and one.output_to_target >= HIDDEN_DB for one in seen) else Exit.CLEAN


def run(source: Image, target: Image, size: tuple[int, int], out: Path) -> tuple[list[Seen], dict[str, list[str]]]:
    """Craft the attack images, run every installed pipeline on them, write the files of the demo to ``out``.

    Returns what each pipeline made of each attack image, and what was left out for want of which module.
    NothingInstalled if no stock pipeline is; ValueError if the pictures are so alike that there is nothing to hide, or
    if the source is too small for ``size``.
    """
    from PIL import Image as PILImage

    ratio = min(a / b for a, b in zip(source.shape, size, strict=False))
    if ratio < SMALLEST_RATIO:
        raise ValueError(
            f"the source is only {ratio:.3g} times as large as the pipeline's size: at a ratio below {SMALLEST_RATIO} "
            "the hidden picture shows; choose a larger source or a smaller size"
        )
    target = resize(target, size)
    if psnr(resize(source, size), target) >= HIDDEN_DB:
        raise ValueError("source and target look alike at this size: there is nothing to hide, choose another pair")
    missing: dict[str, list[str]] = {}
    for name, module in [(n, s[0]) for n, s in STOCK.items()] + [(n, o[0]) for n, o in OURS.items()]:
        if importlib.util.find_spec(module) is None:
            missing.setdefault(module, []).append(name)
    stock = {name: entry for name, entry in STOCK.items() if entry[0] not in missing}
    ours = {name: pipeline for name, (module, pipeline) in OURS.items() if module not in missing}
    if not stock:
        raise NothingInstalled(
            f"nothing to attack: none of {', '.join(missing)} is installed; pip install 'secure-resize[all]'"
        )

    out.mkdir(parents=True, exist_ok=True)
    clean_file = out / "source.png"
    PILImage.fromarray(source).save(clean_file)
    seen_by: list[Seen] = []
    drawn = [[("source", source), ("hidden target", target)]]
    for name, (_, scaler, pipeline) in stock.items():
        crafted = craft(source, target, scaler)
        attack_file = out / f"attack-{scaler.replace(':', '-')}.png"
        PILImage.fromarray(crafted.image).save(attack_file)
        drawn.append([(f"attack image for {scaler}, {crafted.psnr_source:.1f} dB to source", crafted.image)])
        for label, run_pipeline in {name: pipeline, **ours}.items():
            seen = run_pipeline(attack_file, size)
            to_clean = psnr(seen, run_pipeline(clean_file, size))
            seen_by.append(Seen(scaler, label, label in ours, crafted.psnr_source, psnr(seen, target), to_clean))
            drawn[-1].append((f"{label}: {seen_by[-1].outcome}", seen))
    _grid(drawn).save(out / "demo.png")
    return seen_by, missing


def _load(path: Path | None, example: str) -> Image:
    """The RGB picture at ``path``, or scikit-image's picture called ``example``."""
    if path is not None:
        return load_picture(path.parent, path.name)
    import skimage.data

    return np.asarray(getattr(skimage.data, example)())


def _table(seen: list[Seen]) -> Table:
    header = ("attack image for", "PSNR to source", "seen by", "output to target", "to its clean output", "")
    lines = []
    before = ""
    for one in seen:
        first, before = before != one.attacked, one.attacked
        lines.append(
            (
                one.attacked if first else "",
                f"{one.attack_to_source:.1f} dB" if first else "",
                one.pipeline,
                f"{one.output_to_target:.1f} dB",
                f"{one.output_to_clean:.1f} dB",
                one.outcome,
            )
        )
    return Table(header, lines, range(0))


def _grid(captioned: list[list[tuple[str, Image]]]) -> Any:
    """The rows of captioned pictures on one canvas, as a Pillow image."""
    from PIL import Image as PILImage, ImageDraw, ImageFont

    font = ImageFont.load_default(15)
    margin, caption = 12, 26
    tiles = [[(text, _fit(image)) for text, image in row] for row in captioned]
    columns = max(len(row) for row in tiles)
    widths = [max(row[k][1].shape[1] for row in tiles if k < len(row)) for k in range(columns)]
    widths = [max(width, 330) for width in widths]  # room for a caption
    heights = [max(image.shape[0] for _, image in row) + caption + margin for row in tiles]
    canvas = PILImage.new("RGB", (sum(widths) + margin * (columns + 1), sum(heights) + margin), "white")
    draw = ImageDraw.Draw(canvas)
    top = margin
    for row, height in zip(tiles, heights, strict=True):
        left = margin
        for (text, image), width in zip(row, widths, strict=False):
            draw.text((left, top), text, fill="black", font=font)
            canvas.paste(PILImage.fromarray(image), (left, top + caption))
            left += width + margin
        top += height
    return canvas


def _fit(image: Image) -> Image:
    """Small pictures enlarged by whole pixels, large ones robustly reduced."""
    longest = max(image.shape[:2])
    if longest > _LARGEST_DRAWN:
        scale = _LARGEST_DRAWN / longest
        return resize(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))
    factor = max(1, 340 // longest)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
