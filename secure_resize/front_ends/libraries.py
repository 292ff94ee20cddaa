"""Libraries that prepare pictures for models, run for real, each from the file as its users give it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decoding import open_picture
from ..measure.scalers import load
from .processors import DATE, levels_of
from .rows import FRONT_ENDS, FrontEnd, View
from .rules import longest_edge, shortest_edge, smart_resize, within

__all__: list[str] = []

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]


def _library(
    name: str,
    version: str,
    rule: str,
    sizes: Callable[[int, int], list[Size]],
    scaler: str,
    filter: str,
    *,
    samples: bool,
    module: str,
    package: str,
) -> Callable[[Callable[[bytes], list[View]]], Callable[[bytes], list[View]]]:
    def add(look: Callable[[bytes], list[View]]) -> Callable[[bytes], list[View]]:
        row = FrontEnd(
            name,
            f"{package} {version}",
            rule,
            sizes,
            (scaler,),
            filter,
            samples,
            "the library, run",
            DATE,
            look=look,
            module=module,
            package=package,
        )
        FRONT_ENDS.add(row)
        return look

    return add


def _opened(data: bytes) -> Any:
    picture = open_picture(data)
    picture.load()
    return picture


def _without_patches(module: str) -> Any:
    """Import a library that puts its own functions in the place of Pillow's and OpenCV's, and put theirs back.

    Who imported it before wants it as it is.
    """
    if module in sys.modules:
        return load(module)
    others = load("PIL.Image"), load("cv2")
    before = [(other, name, value) for other in others for name, value in vars(other).items() if callable(value)]
    found = load(module)
    for other, name, value in before:
        setattr(other, name, value)
    return found


def _array(of: Any) -> Image:
    return np.ascontiguousarray(np.asarray(of, dtype=np.uint8))


_QWEN = (28, 4 * 28**2, 16384 * 28**2)


@_library(
    "qwen_vl_utils:fetch_image",
    "0.0.14",
    "smart_resize: multiples of 28, 3136 to 12845056 pixels",
    lambda h, w: [smart_resize(h, w, *_QWEN)],
    "pillow:bicubic",
    "Pillow's bicubic, with antialiasing",
    samples=False,
    module="qwen_vl_utils",
    package="qwen-vl-utils",
)
def _qwen(data: bytes) -> list[View]:
    image = _array(load("qwen_vl_utils").fetch_image({"image": _opened(data)}))
    return [View(image, (image.shape[0], image.shape[1]))]


@_library(
    "mistral_common:ImageEncoder",
    "1.9.1, 1.13.1",
    "Pixtral: longest edge at most 1024, both up to patches of 16",
    lambda h, w: [longest_edge(h, w, 1024, 16, floor=False)],
    "opencv:cubic",
    "OpenCV's bicubic of float32, without antialiasing",
    samples=True,
    module="mistral_common",
    package="mistral-common",
)
def _mistral(data: bytes) -> list[View]:
    chunks = load("mistral_common.protocol.instruct.chunk")
    module = load("mistral_common.tokens.tokenizers.image")
    encoder = module.ImageEncoder(module.ImageConfig(16, 1024), module.SpecialImageIDs(10, 12, 13))
    encoded = encoder(chunks.ImageChunk(image=_opened(data))).image
    levels = (encoded.transpose(1, 2, 0) * module.DATASET_STD + module.DATASET_MEAN) * 255
    return [View(levels_of(levels), (levels.shape[0], levels.shape[1]))]


@_library(
    "keras_hub:ImageConverter",
    "0.32.0",
    "the square in the middle, then 224×224",
    lambda h, w: [shortest_edge(h, w, 224)],
    "keras:bilinear",
    "bilinear, without antialiasing",
    samples=True,
    module="keras_hub",
    package="keras-hub",
)
def _keras_hub(data: bytes) -> list[View]:
    whole = _array(_opened(data).convert("RGB"))
    image = levels_of(np.asarray(load("keras_hub").layers.ImageConverter(image_size=(224, 224))(whole[None]))[0])
    height, width = whole.shape[:2]
    side = min(height, width)
    return [View(image, (224, 224), part=((height - side) // 2, (width - side) // 2, side, side))]


@_library(
    "ultralytics:LetterBox",
    "8.4.190",
    "longest edge 640, padded",
    lambda h, w: [within(h, w, 640, 640, enlarge=True)],
    "opencv:linear",
    "OpenCV's bilinear, without antialiasing",
    samples=True,
    module="ultralytics",
    package="ultralytics",
)
def _ultralytics(data: bytes) -> list[View]:
    augment = _without_patches("ultralytics.data.augment")
    cv2 = load("cv2")
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if whole is None:
        raise ValueError("OpenCV cannot decode this file")
    height, width = within(whole.shape[0], whole.shape[1], 640, 640, enlarge=True)
    image = augment.LetterBox((640, 640))(image=whole)
    top, left = (round((640 - side) / 2 - 0.1) for side in (height, width))
    return [View(_array(image[top : top + height, left : left + width, ::-1]), (height, width))]


@_library(
    "open_clip:image_transform",
    "3.3.0",
    "shortest edge 224, then the middle 224×224",
    lambda h, w: [shortest_edge(h, w, 224)],
    "pillow:bicubic",
    "Pillow's bicubic, with antialiasing",
    samples=False,
    module="open_clip",
    package="open_clip_torch",
)
def _open_clip(data: bytes) -> list[View]:
    transform = load("open_clip.transform").image_transform(224, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3)
    return _centred(transform, data, 224)


@_library(
    "timm:create_transform",
    "1.0.31",
    "shortest edge 256, then the middle 224×224",
    lambda h, w: [shortest_edge(h, w, 256)],
    "pillow:bilinear",
    "Pillow's bilinear, with antialiasing",
    samples=False,
    module="timm",
    package="timm",
)
def _timm(data: bytes) -> list[View]:
    create = load("timm.data").create_transform
    return _centred(create((3, 224, 224), is_training=False, mean=(0.0,) * 3, std=(1.0,) * 3), data, 256)


def _centred(transform: Callable[[Any], Any], data: bytes, short: int) -> list[View]:
    picture = _opened(data).convert("RGB")
    image = levels_of(255 * transform(picture).numpy().transpose(1, 2, 0))
    size = shortest_edge(picture.height, picture.width, short)
    return [View(image, size, round((size[0] - 224) / 2), round((size[1] - 224) / 2))]
