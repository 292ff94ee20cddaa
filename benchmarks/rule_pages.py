"""Write the pages of the rules, secure_resize/audit/pages/: ``python benchmarks/rule_pages.py CODE...``.

Without a CODE all of them, in some minutes; with ``--text`` alone, all of them with the figures that they have.

What is measured, with the libraries' real calls: the stealth gain of the bad call and of the same with the fix, by
probing them; then a photograph hidden in another against the bad call, run through both, and drawn. An example whose
library is not installed keeps what its page says.
"""

import importlib
import importlib.metadata
import io
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt

import secure_resize as sr
from secure_resize.attacks import craft, psnr
from secure_resize.audit import RULES
from secure_resize.audit.pages import measured as measured_before, text

Image = npt.NDArray[np.uint8]
Call = Callable[[Image], Image]
FOLDER = Path(__file__).parent.parent / "secure_resize" / "audit" / "pages"
# A ratio of 4.46, between the whole ones that flatter.
IN_SIZE, OUT_SIZE = (286, 286), (64, 64)
PANEL, GAP, COLOURS = 128, 6, 48
SHOWN = ("the photograph", "the attack image", "what the bad call makes of it", "what the fix makes of it")


@dataclass(frozen=True)
class Example:
    """A bad call and its fix, on images (H, W, 3). ``packages`` are what it needs, the distributions' names.

    ``model``: how the bad call's operator is known where it is too slow to probe, a scaler that does the same.
    """

    code: str
    bad: Call
    good: Call
    packages: tuple[str, ...]
    words: str
    model: str | None = None


EXAMPLES: dict[str, Example] = {}


def example(code: str, words: str, *packages: str, model: str | None = None) -> Callable[[Any], Any]:
    """Register the class's ``bad`` and ``good`` as the example of ``code``."""

    def register(both: Any) -> Any:
        EXAMPLES[code] = Example(code, both.bad, both.good, packages, words, model)
        return both

    return register


def _levels(image: Any) -> Image:
    return np.clip(np.round(np.asarray(image, np.float64)), 0, 255).astype(np.uint8)


def _torch(call: Callable[[Any], Any], image: Image) -> Image:
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))[None].float()
    return _levels(np.moveaxis(call(batch)[0].numpy(), 0, -1))


@example("SR101", "`cv2.resize(image, (64, 64))`, and with `INTER_AREA`", "opencv-python-headless")
class OpenCV:
    @staticmethod
    def bad(image: Image) -> Image:
        import cv2

        return cv2.resize(image, OUT_SIZE)

    @staticmethod
    def good(image: Image) -> Image:
        import cv2

        return cv2.resize(image, OUT_SIZE, interpolation=cv2.INTER_AREA)


@example("SR102", "`cv2.warpAffine` that scales by 64/286, and scaling by the mean before it", "opencv-python-headless")
class Warp:
    @staticmethod
    def bad(image: Image) -> Image:
        import cv2

        scale = OUT_SIZE[0] / IN_SIZE[0]
        shift = (scale - 1) / 2
        return cv2.warpAffine(image, np.array([[scale, 0, shift], [0, scale, shift]]), OUT_SIZE)

    @staticmethod
    def good(image: Image) -> Image:
        import cv2

        return cv2.warpAffine(sr.resize(image, OUT_SIZE), np.eye(2, 3), OUT_SIZE)


@example("SR103", "`interpolate(mode='bilinear')`, and with `antialias=True`", "torch")
class Interpolate:
    @staticmethod
    def bad(image: Image) -> Image:
        import torch.nn.functional as F

        return _torch(lambda batch: F.interpolate(batch, size=OUT_SIZE, mode="bilinear"), image)

    @staticmethod
    def good(image: Image) -> Image:
        import torch.nn.functional as F

        return _torch(lambda batch: F.interpolate(batch, size=OUT_SIZE, mode="bilinear", antialias=True), image)


@example("SR104", "`grid_sample` on a grid of 64x64, and `interpolate(antialias=True)` before it", "torch")
class Grid:
    @staticmethod
    def _sampled(batch: Any) -> Any:
        import torch
        import torch.nn.functional as F

        grid = F.affine_grid(torch.eye(2, 3)[None], (1, 3, *OUT_SIZE), align_corners=False)
        return F.grid_sample(batch, grid, align_corners=False)

    @staticmethod
    def bad(image: Image) -> Image:
        return _torch(Grid._sampled, image)

    @staticmethod
    def good(image: Image) -> Image:
        import torch.nn.functional as F

        return _torch(
            lambda batch: Grid._sampled(F.interpolate(batch, size=OUT_SIZE, mode="bilinear", antialias=True)), image
        )


@example("SR105", "`v2.Resize(antialias=False)`, and `antialias=True`", "torchvision")
class Torchvision:
    @staticmethod
    def bad(image: Image) -> Image:
        from torchvision.transforms import v2

        return _torch(v2.Resize(OUT_SIZE, antialias=False), image)

    @staticmethod
    def good(image: Image) -> Image:
        from torchvision.transforms import v2

        return _torch(v2.Resize(OUT_SIZE, antialias=True), image)


PIPELINE = "A pipeline of `v2.Resize(antialias=False)` and `v2.Normalize`, and the same with `antialias=True`"


@example("SR201", PIPELINE, "torchvision")
@example("SR204", PIPELINE, "torchvision")
class Pipeline:
    @staticmethod
    def _run(image: Image, antialias: bool) -> Image:
        from torchvision.transforms import v2

        transform = v2.Compose([v2.Resize(OUT_SIZE, antialias=antialias), v2.Normalize([127.5] * 3, [127.5] * 3)])
        return _torch(lambda batch: transform(batch) * 127.5 + 127.5, image)

    @staticmethod
    def bad(image: Image) -> Image:
        return Pipeline._run(image, False)

    @staticmethod
    def good(image: Image) -> Image:
        return Pipeline._run(image, True)


@example("SR106", "`tf.image.resize`, and with `antialias=True`", "tensorflow")
class TensorFlow:
    @staticmethod
    def bad(image: Image) -> Image:
        import tensorflow as tf

        return _levels(tf.image.resize(image, OUT_SIZE))

    @staticmethod
    def good(image: Image) -> Image:
        import tensorflow as tf

        return _levels(tf.image.resize(image, OUT_SIZE, antialias=True))


@example(
    "SR107",
    "`image_dataset_from_directory`, which reads the attack image from its file, and with `interpolation='area'`",
    "keras",
    "tensorflow",
    model="tensorflow:bilinear",
)
class Keras:
    @staticmethod
    def _loaded(image: Image, **options: Any) -> Image:
        import keras
        from PIL import Image as PILImage

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "one").mkdir()
            PILImage.fromarray(image).save(Path(folder) / "one" / "image.png")
            dataset = keras.utils.image_dataset_from_directory(folder, image_size=OUT_SIZE, verbose=False, **options)
            ((batch, _),) = dataset.as_numpy_iterator()
        return _levels(batch[0])

    @staticmethod
    def bad(image: Image) -> Image:
        return Keras._loaded(image)

    @staticmethod
    def good(image: Image) -> Image:
        return Keras._loaded(image, interpolation="area")


@example("SR108", "`resize` with `NEAREST`, and with `BICUBIC`", "pillow")
class Pillow:
    @staticmethod
    def bad(image: Image) -> Image:
        from PIL import Image as PILImage

        return np.asarray(PILImage.fromarray(image).resize(OUT_SIZE, PILImage.Resampling.NEAREST))

    @staticmethod
    def good(image: Image) -> Image:
        from PIL import Image as PILImage

        return np.asarray(PILImage.fromarray(image).resize(OUT_SIZE, PILImage.Resampling.BICUBIC))


@example("SR111", "`A.Resize(64, 64)`, and with `INTER_AREA`", "albumentations", "opencv-python-headless")
class Albumentations:
    @staticmethod
    def bad(image: Image) -> Image:
        import albumentations as A

        return A.Compose([A.Resize(*OUT_SIZE)])(image=image)["image"]

    @staticmethod
    def good(image: Image) -> Image:
        import albumentations as A
        import cv2

        return A.Compose([A.Resize(*OUT_SIZE, interpolation=cv2.INTER_AREA)])(image=image)["image"]


@example("SR112", "`scipy.ndimage.zoom`, and `skimage.transform.resize(anti_aliasing=True)`", "scipy", "scikit-image")
class SciPy:
    @staticmethod
    def bad(image: Image) -> Image:
        from scipy.ndimage import zoom

        factor = OUT_SIZE[0] / IN_SIZE[0]
        return _levels(zoom(image.astype(np.float64), (factor, factor, 1)))

    @staticmethod
    def good(image: Image) -> Image:
        from skimage.transform import resize

        return _levels(resize(image, OUT_SIZE, anti_aliasing=True, preserve_range=True))


@example(
    "SR113",
    "the transform inside torchvision's detection models, asked for 64 pixels, and `secure_resize.resize` before it",
    "torchvision",
)
class FrontEnd:
    @staticmethod
    def bad(image: Image) -> Image:
        from torchvision.models.detection.transform import GeneralizedRCNNTransform

        transform = GeneralizedRCNNTransform(*OUT_SIZE, [0.0] * 3, [1.0] * 3, size_divisible=1)
        return _torch(lambda batch: transform([batch[0]])[0].tensors, image)

    @staticmethod
    def good(image: Image) -> Image:
        return FrontEnd.bad(sr.resize(image, OUT_SIZE))


@example("SR114", "a `Resize` node in onnxruntime, and with `antialias=1`", "onnx", "onnxruntime")
class ONNX:
    @staticmethod
    def _run(image: Image, **options: int) -> Image:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper

        node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", **options)
        sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 3, *OUT_SIZE])
        graph = helper.make_graph(
            [node],
            "resize",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *IN_SIZE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, *OUT_SIZE])],
            [sizes],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        batch = np.ascontiguousarray(np.moveaxis(image, -1, 0)[None], np.float32)
        return _levels(np.moveaxis(session.run(None, {"x": batch})[0][0], 0, -1))

    @staticmethod
    def bad(image: Image) -> Image:
        return ONNX._run(image)

    @staticmethod
    def good(image: Image) -> Image:
        return ONNX._run(image, antialias=1)


@example("SR115", '`CLIPImageProcessor` with `"resample": 0`, and with `"resample": 3`', "transformers", "torchvision")
class Configuration:
    @staticmethod
    def _processed(image: Image, resample: int) -> Image:
        from transformers import CLIPImageProcessor

        side = OUT_SIZE[0]
        processor = CLIPImageProcessor(
            resample=resample,
            size={"height": side, "width": side},
            do_center_crop=False,
            do_rescale=False,
            do_normalize=False,
        )
        return _levels(np.moveaxis(np.asarray(processor(image, return_tensors="np")["pixel_values"][0]), 0, -1))

    @staticmethod
    def bad(image: Image) -> Image:
        return Configuration._processed(image, 0)

    @staticmethod
    def good(image: Image) -> Image:
        return Configuration._processed(image, 3)


def pictures() -> tuple[Image, Image]:
    """Scikit-image's astronaut as source, its cat as target."""
    import skimage.data

    cat = skimage.data.chelsea()[:, 75:375]
    return sr.resize(skimage.data.astronaut(), IN_SIZE), sr.resize(cat, OUT_SIZE)


def measure(one: Example) -> str:
    """What was measured, as the page has it; draws the page's picture."""
    source, target = pictures()
    if one.model:  # too slow to probe: what it calls is
        name = one.model.partition(":")[0]
        model, mended = (sr.probe(scaler, IN_SIZE, OUT_SIZE) for scaler in (one.model, f"{name}:area"))
        note = [f"The stealth gains are those of {name}'s resize, which it calls."]
    else:
        model, mended = (sr.probe(f, IN_SIZE, OUT_SIZE, dtype="uint8", layout="HWC") for f in (one.bad, one.good))
        note = []
    crafted = craft(source, target, model)
    seen, after = one.bad(crafted.image), one.good(crafted.image)
    assert psnr(seen, target) >= 25 > psnr(after, target), (one.code, psnr(seen, target), psnr(after, target))
    draw(FOLDER / f"{one.code}.png", [source, crafted.image, seen, after])
    lines = [
        f"{one.words}: {IN_SIZE[0]}x{IN_SIZE[1]} to {OUT_SIZE[0]}x{OUT_SIZE[1]}.",
        *note,
        f"The attack image is the same for both, {crafted.psnr_source:.1f} dB from the photograph that a person sees.",
        "",
        "| | stealth gain | verdict | output to the hidden picture |",
        "|---|---:|---|---:|",
    ]
    for name, operator, output in (("the bad call", model, seen), ("with the fix", mended, after)):
        exposure = sr.exposure(operator)
        gain = f"{exposure.stealth_gain_db + 0.0:.1f} dB"
        lines.append(f"| {name} | {gain} | {exposure.verdict} | {psnr(output, target):.1f} dB |")
    return "\n".join([*lines, "", *caption(one.code, SHOWN, one.packages)])


def scaled_decoding() -> str:
    """SR109: a file that a decoder at a quarter of the size shows otherwise than a full decode."""
    import cv2

    def bad(path: str) -> Image:
        return cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_4)[..., ::-1]

    def good(path: str) -> Image:
        return sr.resize(np.ascontiguousarray(cv2.imread(path)[..., ::-1]), OUT_SIZE)

    words = (
        "`cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_4)`, and `cv2.imread(path)` with `secure_resize.resize` after it:"
    )
    return file_shown("SR109", "opencv:imread_reduced", bad, good, words, "opencv-python-headless")


def thumbnails() -> str:
    """SR206: a pipeline that opens a file, drafts and scales it."""
    from PIL import Image as PILImage

    def bad(path: str) -> Image:
        with PILImage.open(path) as picture:
            picture.draft("RGB", OUT_SIZE)
            return np.asarray(picture)

    def good(path: str) -> Image:
        with PILImage.open(path) as picture:
            return sr.resize(np.asarray(picture), OUT_SIZE)

    words = (
        "A pipeline of `Image.open` and `draft`, and one that decodes in full, then scales by `secure_resize.resize`:"
    )
    return file_shown("SR206", "pillow:draft", bad, good, words, "pillow")


def file_shown(
    code: str, decoder: str, bad: Callable[[str], Image], good: Callable[[str], Image], words: str, package: str
) -> str:
    """A crafted JPEG file through two ways of reading it."""
    source, target = pictures()
    source = sr.resize(source, (256, 256))
    crafted = sr.attacks.craft_file(source, target, decoder)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "attack.jpg")
        Path(path).write_bytes(crafted.data)
        seen, after = bad(path), good(path)
    assert psnr(seen, target) >= 25 > psnr(after, target)
    draw(FOLDER / f"{code}.png", [source, crafted.shown, seen, after])
    lines = [
        words,
        f"256x256 to 64x64. The file is the same for both; decoded in full it lies {crafted.psnr_source:.1f} dB from",
        "the photograph.",
        "",
        "| | output to the hidden picture |",
        "|---|---:|",
        f"| the bad call | {psnr(seen, target):.1f} dB |",
        f"| with the fix | {psnr(after, target):.1f} dB |",
        "",
    ]
    return "\n".join([*lines, *caption(code, SHOWN, (package,))])


def a_little_gain() -> str:
    """SR202: what Pillow's box leaves at a ratio of 1.34, where it skips pixels."""
    gain = sr.exposure(sr.probe("pillow:box", (300, 300), (224, 224)))
    assert gain.verdict == "weak"
    none = sr.exposure(sr.probe("secure_resize:area", (300, 300), (224, 224)))
    lines = [
        "A pipeline that scales by Pillow's `BOX`, 300x300 to 224x224, and by `secure_resize.resize`:",
        "",
        "| | stealth gain | verdict |",
        "|---|---:|---|",
        f"| the pipeline | {gain.stealth_gain_db:.1f} dB | {gain.verdict} |",
        f"| with the fix | {none.stealth_gain_db + 0.0:.1f} dB | {none.verdict} |",
        "",
        f"Measured with pillow {importlib.metadata.version('pillow')}.",
    ]
    return "\n".join(lines)


def inexact_decoding() -> str:
    """SR110: what TensorFlow's default decode makes of a file with extreme coefficients."""
    import tensorflow as tf

    source, target = pictures()
    source = sr.resize(source, (256, 256))
    crafted = sr.attacks.craft_file(source, target, "opencv:imread_reduced")
    fast = tf.io.decode_jpeg(crafted.data).numpy()
    accurate = tf.io.decode_jpeg(crafted.data, dct_method="INTEGER_ACCURATE").numpy()
    shown = ("the photograph", "the file as other decoders show it", "as the bad call does", "as the fix does")
    draw(FOLDER / "SR110.png", [source, crafted.shown, fast, accurate])
    lines = [
        "`tf.io.decode_jpeg(data)`, and with `dct_method='INTEGER_ACCURATE'`, on a file whose coefficients put pixels",
        "far beyond black and white, made for SR109.",
        "",
        "| | to what Pillow, OpenCV and torchvision show |",
        "|---|---:|",
        f"| the bad call | {psnr(fast, crafted.shown):.1f} dB |",
        f"| with the fix | {'the same bytes' if np.array_equal(accurate, crafted.shown) else 'others'} |",
        "",
    ]
    return "\n".join([*lines, *caption("SR110", shown, ("tensorflow",))])


def caption(code: str, shown: tuple[str, ...], packages: tuple[str, ...]) -> list[str]:
    """The picture and what it shows, in lines of Markdown."""
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    listed = ", ".join(shown)
    left_to_right = f"From left to right: {listed}. Large pictures are drawn by their mean. Measured with {versions}."
    return [f"![{listed}]({code}.png)", "", *textwrap.wrap(left_to_right, 118)]


def draw(path: Path, images: list[Image]) -> None:
    """The images side by side, in few colours, as a small PNG file."""
    from PIL import Image as PILImage

    height, width = PANEL, len(images) * (PANEL + GAP) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    for place, image in enumerate(images):
        left = place * (PANEL + GAP)
        times = PANEL // image.shape[0]
        panel = image.repeat(times, 0).repeat(times, 1) if times > 1 else sr.resize(image, (PANEL, PANEL))
        sheet[:, left : left + PANEL] = panel
    out = io.BytesIO()
    few = PILImage.fromarray(sheet).quantize(COLOURS, PILImage.Quantize.MEDIANCUT, dither=PILImage.Dither.NONE)
    few.save(out, "PNG", optimize=True)
    assert len(out.getvalue()) <= 30_000, (path, len(out.getvalue()))
    path.write_bytes(out.getvalue())


OTHERS = {"SR109": scaled_decoding, "SR110": inexact_decoding, "SR202": a_little_gain, "SR206": thumbnails}


def main(codes: list[str]) -> None:
    import contextlib

    with contextlib.suppress(ImportError):
        import torchvision  # noqa: F401  (after TensorFlow it would end the process)
    for code in [*RULES] if codes in ([], ["--text"]) else codes:
        (FOLDER / f"{code}.md").write_text(
            text(RULES[code], figures(code) if codes != ["--text"] else kept(code)), encoding="utf-8"
        )
        print(f"{code}: {RULES[code].title}")


def figures(code: str) -> str:
    """What is measured now, or what the page says where that cannot be."""
    try:
        if code in OTHERS:
            return OTHERS[code]()
        if code in EXAMPLES:
            return measure(EXAMPLES[code])
    except ImportError as error:
        print(f"{code}: {error}; its figures stay", file=sys.stderr)
    return kept(code)


def kept(code: str) -> str:
    """What the page says."""
    return measured_before(code) if (FOLDER / f"{code}.md").exists() else ""


if __name__ == "__main__":
    main(sys.argv[1:])
