"""OpenCV and Pillow: from a file, from bytes, in a class, by a method."""

import io
from functools import partial

import cv2
import numpy as np
from PIL import Image

SIZE = (96, 80)  # width, height


def load(path):
    image = cv2.imread(path)
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), SIZE)


def load_area(path):
    image = cv2.imread(path)
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), SIZE, interpolation=cv2.INTER_AREA)


def decode(data, interpolation=cv2.INTER_CUBIC):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.resize(image, (64, 64), interpolation=interpolation).astype(np.float32) / 255
    return ((small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)


class Preprocessor:
    """Made once, used by its method."""

    def __init__(self, size=72, interpolation=cv2.INTER_NEAREST):
        self.size, self.resize = size, partial(cv2.resize, interpolation=interpolation)

    def preprocess(self, image):
        return {"pixels": self.resize(image, (self.size, self.size))[None], "scale": self.size / image.shape[0]}


def letterbox(image, size=112, interpolation=cv2.INTER_LINEAR):
    scale = size / max(image.shape[:2])
    height, width = (round(n * scale) for n in image.shape[:2])
    canvas = np.full((size, size, 3), 114, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return canvas


nearest = partial(cv2.resize, dsize=(80, 64), interpolation=cv2.INTER_NEAREST)
area = partial(cv2.resize, dsize=(80, 64), interpolation=cv2.INTER_AREA)


# Pillow.


def palette_first(path):
    """Scales whatever the mode is: a picture with a palette by nearest neighbour."""
    return np.asarray(Image.open(path).resize((64, 64), Image.Resampling.LANCZOS).convert("RGB"))


def palette_last(path):
    return np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))


def drafted(path):
    """Lets the decoder scale first, which is fast."""
    image = Image.open(path)
    image.draft("RGB", (64, 64))
    return np.asarray(image.convert("RGB").resize((64, 64)))


def thumbnail(path):
    image = Image.open(path).convert("RGB")
    image.thumbnail((72, 72))
    return np.asarray(image)


def upload(data):
    """What a web service does."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize((64, 64), Image.Resampling.NEAREST)


def upload_bicubic(data):
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize((64, 64))
