"""Image processors of transformers, run for real: a line of ``ROWS`` each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..decoding import open_picture
from ..measure.outputs import array_of, pictures
from ..measure.scalers import load
from .rows import FRONT_ENDS, FrontEnd, View
from .rules import closest_grid, fit_depth, fit_tiles, longest_edge, shortest_edge, smart_resize

__all__ = ["levels_of"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
Rule = Callable[[int, int], list[Size]]
READ = "5.24.0"
DATE = "2026-11"
BILINEAR, BICUBIC, LANCZOS = (f"torchvision:{name}+antialias" for name in ("bilinear", "bicubic", "lanczos"))


class Row(NamedTuple):
    """A processor: its class, how it is asked for, its rule, its filter, and how its views lie in the picture.

    ``cut``: ``"whole"``, ``"centre"`` (the middle of the scaled picture), ``"corner"`` (padded on the right and below),
    ``"tiles"`` (in rows, an overview among them or not).
    """

    cls: str
    rule: str
    sizes: Rule
    scaler: str
    cut: str = "whole"
    options: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    samples: bool | None = False
    words: str = ""
    model: str = ""


def _fixed(height: int, width: int) -> Rule:
    return lambda h, w: [(height, width)]


def _shortest(short: int, longest: int | None = None) -> Rule:
    return lambda h, w: [shortest_edge(h, w, short, longest)]


def _corner(longest: int) -> Rule:
    """Sam's: the longer edge becomes ``longest``, rounded half up."""
    return lambda h, w: [(int(h * longest / max(h, w) + 0.5), int(w * longest / max(h, w) + 0.5))]


SHARP = "without antialiasing"
ROWS = (
    Row("CLIPImageProcessor", "shortest edge 224, then the middle 224×224", _shortest(224), BICUBIC, "centre"),
    Row("LlavaImageProcessor", "shortest edge 224, then the middle 224×224", _shortest(224), BICUBIC, "centre"),
    Row(
        "BitImageProcessor",
        "shortest edge 256, then the middle 224×224",
        _shortest(256),
        BICUBIC,
        "centre",
        {"size": {"shortest_edge": 256}},
        model="DINOv2",
    ),
    Row("ChameleonImageProcessor", "shortest edge 512, the middle 512×512", _shortest(512), LANCZOS, "centre"),
    Row("ConvNextImageProcessor", "384×384", _fixed(384, 384), BICUBIC),
    Row("DeiTImageProcessor", "256×256, then the middle 224×224", _fixed(256, 256), BICUBIC, "centre"),
    Row("ViTImageProcessor", "224×224", _fixed(224, 224), BILINEAR),
    Row("SiglipImageProcessor", "224×224", _fixed(224, 224), BICUBIC),
    Row("BlipImageProcessor", "384×384", _fixed(384, 384), BICUBIC),
    Row("SegformerImageProcessor", "512×512", _fixed(512, 512), BILINEAR),
    Row("RTDetrImageProcessor", "640×640", _fixed(640, 640), BILINEAR),
    Row("DetrImageProcessor", "shortest edge 800, longest at most 1333", _shortest(800, 1333), BILINEAR),
    Row("SamImageProcessor", "longest edge 1024, padded", _corner(1024), BILINEAR, "corner"),
    Row(
        "Gemma3ImageProcessor",
        "896×896",
        _fixed(896, 896),
        BILINEAR,
        options={"size": {"height": 896, "width": 896}},
    ),
    Row(
        "PixtralImageProcessor",
        "longest edge at most 1024, both up to patches of 16",
        lambda h, w: [longest_edge(h, w, 1024, 16)],
        BICUBIC,
    ),
    Row(
        "Qwen2VLImageProcessor",
        "smart_resize: multiples of 28, 3136 to 1003520 pixels",
        lambda h, w: [smart_resize(h, w, 28, 3136, 1_003_520)],
        BICUBIC,
    ),
    Row(
        "GotOcr2ImageProcessor",
        "InternVL: the grid of up to 12 tiles of 448 whose shape is closest, and an overview of 448×448",
        lambda h, w: [closest_grid(h, w, 12, 448), (448, 448)],
        BICUBIC,
        "tiles",
        {"size": {"height": 448, "width": 448}, "crop_to_patches": True, "min_patches": 1, "max_patches": 12},
        model="InternVL 3",
    ),
    Row(
        "SmolVLMImageProcessor",
        "longest edge 1456, both up to tiles of 364, and an overview of 364×364",
        lambda h, w: [fit_tiles(h, w, 1456, 364)],
        "",
        "tiles",
        words="Lanczos with antialiasing, twice",
    ),
    Row(
        "DepthProImageProcessor",
        "1536×1536",
        _fixed(1536, 1536),
        "torchvision:bilinear",
        samples=True,
        words=f"bilinear {SHARP}",
    ),
    Row(
        "ZoeDepthImageProcessor",
        "384×512 at the picture's own shape, multiples of 32",
        lambda h, w: [fit_depth(h, w, 384, 512, 32)],
        "",
        options={"do_pad": False, "keep_aspect_ratio": True, "ensure_multiple_of": 32},
        samples=True,
        words=f"bilinear {SHARP}, align_corners=True",
    ),
    Row(
        "RfDetrImageProcessor",
        "shortest edge 800, longest at most 1333",
        _shortest(800, 1333),
        "torchvision:bilinear",
        samples=True,
        words=f"bilinear {SHARP}",
    ),
    *(
        Row(
            f"PPDocLayoutV{k}ImageProcessor",
            "800×800",
            _fixed(800, 800),
            "torchvision:bicubic",
            samples=True,
            words=f"bicubic {SHARP}",
        )
        for k in (2, 3, 4)
    ),
    Row(
        "Molmo2ImageProcessor",
        "an overview of 378×378, and tiles",
        _fixed(378, 378),
        "torchvision:bilinear",
        "patches",
        samples=True,
        words=f"bilinear {SHARP}",
    ),
    Row(
        "Owlv2ImageProcessor",
        "padded to a square, then 960×960",
        lambda h, w: [(round(960 * h / max(h, w)), round(960 * w / max(h, w)))],
        "",
        "corner",
        words=f"a Gaussian blur, then bilinear {SHARP}",
    ),
)


def _look(row: Row) -> Callable[[bytes], list[View]]:
    def look(data: bytes) -> list[View]:
        transformers = load("transformers")
        # What transformers itself does with a path or an address: upright by EXIF, RGB.
        with open_picture(data) as picture:
            image = load("transformers.image_utils").load_image(picture)
        options = {"do_normalize": False, "do_rescale": False, "return_tensors": "pt"}
        result = getattr(transformers, row.cls)(**row.options)(images=image, **options)
        sizes = row.sizes(image.height, image.width)
        if row.cut == "patches":
            return [View(_unpatched(result["pixel_values"][0]), sizes[0])]
        found = [levels_of(one) for key, one in pictures(result).items() if "pixel_values" in key]
        return _placed(found, sizes, row.cut)

    return look


def _placed(found: list[Image], sizes: list[Size], cut: str) -> list[View]:
    size, image = sizes[0], found[0]
    if cut == "centre":
        return [View(image, size, *(max(a - b, 0) // 2 for a, b in zip(size, image.shape, strict=False)))]
    if cut == "corner":
        return [View(image[: size[0], : size[1]], size)]
    if cut == "tiles":
        tile = image.shape[0]
        rows, columns = size[0] // tile, size[1] // tile
        tiles = np.stack(found[: rows * columns]).reshape(rows, columns, tile, tile, 3)
        whole = View(tiles.swapaxes(1, 2).reshape(*size, 3), size)
        # The overview comes last; of one tile it is that. One that is made of the tiles is no scaling of its own.
        return [whole, *(View(found[-1], other) for other in sizes[1:] if len(found) > rows * columns)]
    if image.shape[:2] != size:
        raise ValueError(f"it gave {image.shape[:2]}, by its rule it is {size}")
    return [View(image, size)]


def _unpatched(rows: Any) -> Image:
    """Square rows of square patches (n, 3·p²), channels last, as one picture."""
    patches = array_of(rows)
    assert patches is not None
    n, side = round(len(patches) ** 0.5), round((patches.shape[1] // 3) ** 0.5)
    return levels_of(patches.reshape(n, n, side, side, 3).swapaxes(1, 2).reshape(n * side, n * side, 3))


def levels_of(image: npt.NDArray[Any]) -> Image:
    """What is in units of 0 to 255, whatever its dtype, as uint8 (h, w, 3)."""
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


for _row in ROWS:
    FRONT_ENDS.add(
        FrontEnd(
            f"transformers:{_row.cls.removesuffix('ImageProcessor')}",
            f"transformers {READ}, {_row.cls}{f' as {_row.model} has it' if _row.model else ''}",
            _row.rule,
            _row.sizes,
            (_row.scaler,) if _row.scaler else (),
            _row.words or _row.scaler.partition(":")[2].replace("+antialias", " with antialiasing"),
            _row.samples,
            "the library, run",
            DATE,
            look=_look(_row),
            module="transformers",
            package="transformers",
        )
    )
