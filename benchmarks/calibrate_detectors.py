"""Writes the calibration that comes with the package: scores of clean pictures, by scaler, ratio and detector.

    python benchmarks/calibrate_detectors.py [--photographs 1200] [--drawn 120] [--out FILE]

Pictures: parts of scikit-image's photographs, as they are and reduced, half of them through JPEG, and the drawn ones of
detection_pictures.py. None of them is kept: the table holds scores alone.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from detection_pictures import FAMILIES, cut
from PIL import Image

import secure_resize as sr
from secure_resize.detect.calibration import RATIOS, Sample, fit
from secure_resize.detect.targets import Target
from secure_resize.detect.views import View
from secure_resize.evaluate.pairs import PHOTOGRAPHS, load_picture

Picture = npt.NDArray[np.uint8]
SCALERS = {
    "nearest": ("opencv:nearest", "pillow:nearest"),
    "linear": ("opencv:linear",),
    "cubic": ("opencv:cubic", "tensorflow:bicubic"),
    "wide": ("opencv:lanczos4",),
}
SIDES = (224, 256, 320)


def jpeg(picture: Picture, rng: np.random.Generator) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(rng.integers(60, 98)))
    return np.asarray(Image.open(file))


def photographs(count: int) -> Iterator[Picture]:
    for k in range(count):
        rng = np.random.default_rng([1, k])
        picture = load_picture(None, PHOTOGRAPHS[k % len(PHOTOGRAPHS)])
        side = int(rng.choice(SIDES))
        room = min(picture.shape[:2]) / side
        if room > 1.3 and rng.random() < 0.5:
            by = rng.uniform(1, room)
            picture = sr.resize(picture, (round(picture.shape[0] / by), round(picture.shape[1] / by)), kernel="bicubic")
        part = cut(picture, min(side, *picture.shape[:2]), rng)
        yield jpeg(part, rng) if rng.random() < 0.5 else part


def drawn(count: int) -> Iterator[Picture]:
    for k in range(count):
        for number, make in enumerate(FAMILIES.values()):
            rng = np.random.default_rng([2, number, k])
            picture = make(rng, int(rng.choice(SIDES)))
            yield jpeg(picture, rng) if rng.random() < 0.3 else picture


def locked(ratio: float) -> bool:
    """Whether drawn patterns of a few pixels may fall in step with what a scaler reads.

    Then it shows another picture than a person sees, whoever drew it, and is found; it is no measure of clean ones.
    """
    return abs(2 * ratio - round(2 * ratio)) < 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=1200)
    parser.add_argument("--drawn", type=int, default=60, help="of each family")
    parser.add_argument("--ratios", type=int, default=2, help="drawn for each picture and kind of scaler")
    parser.add_argument("--out", type=Path, default=Path(sr.__file__).parent / "detect" / "calibration.json")
    options = parser.parse_args()
    sample = Sample()
    rng = np.random.default_rng(3)
    number = 0
    for picture in (*photographs(options.photographs), *drawn(options.drawn)):
        number += 1
        for scalers in SCALERS.values():
            for place in rng.choice(len(RATIOS), options.ratios, replace=False):
                low, high = [*RATIOS, 14.0][place : place + 2]
                ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
                size = round(picture.shape[0] / ratio), round(picture.shape[1] / ratio)
                if locked(picture.shape[0] / size[0]) and number > options.photographs:
                    size = size[0] + 1, size[1] + 1
                sample.add(View(picture, Target(str(rng.choice(scalers)), size)))
    source = f"{options.photographs} parts of {len(PHOTOGRAPHS)} photographs of scikit-image, "
    source += f"{options.drawn} drawn pictures of each of {len(FAMILIES)} kinds"
    found = fit(sample, source)
    found.save(options.out)
    print(f"{number} pictures, {sum(found.pictures.values())} measurements; tails {dict(found.tails)}")


if __name__ == "__main__":
    main()
