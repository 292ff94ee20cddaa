"""What else decodes smaller, and full decoders that disagree: which can a file be made for? Prints Markdown tables.

    python benchmarks/other_decoders.py

JPEG 2000's and WebP's decoders that scale are measured by probing, as resizes (lossless files, so that the picture is
what the decoder gets); a progressive JPEG file's first scans by a crafted file; and full JPEG decoders by how far a
file made for it drives them apart, before and after a robust resize by 4.
"""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import PIL.Image
import skimage.data

import secure_resize as sr
from secure_resize.attacks import psnr
from secure_resize.measure.coefficients import Component, dct_matrix, split, write
from secure_resize.measure.scalers import load

SIDE = 128
Image = Any


def picture(name: str, side: int) -> Image:
    whole = PIL.Image.fromarray(getattr(skimage.data, name)()[:400, :400]).convert("RGB")
    return np.asarray(whole.resize((side, side)))


def file_of(image: Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


def jpeg2000(irreversible: bool) -> Callable[[Image, int], Image]:
    def scaled(image: Image, factor: int) -> Image:
        data = file_of(image, "JPEG2000", irreversible=irreversible, num_resolutions=6, quality_layers=[1])
        with PIL.Image.open(io.BytesIO(data)) as opened:
            opened.reduce = factor.bit_length() - 1
            return np.asarray(opened)

    return scaled


def webp(image: Image, factor: int) -> Image:
    data = file_of(image, "WEBP", lossless=True, exact=True)
    return load("pyvips").Image.new_from_buffer(data, "", scale=1 / factor).numpy()


def scaled_decoding() -> None:
    print("| decoder that scales | 1/2, dB | 1/4, dB | 1/8, dB | verdict |\n|---|---:|---:|---:|---|")
    calls: dict[str, Callable[[Image, int], Image]] = {
        "Pillow, JPEG 2000 `reduce`, 5/3 wavelet (lossless)": jpeg2000(False),
        "Pillow, JPEG 2000 `reduce`, 9/7 wavelet": jpeg2000(True),
    }
    if importlib.util.find_spec("pyvips"):
        calls["pyvips (libwebp), WebP `scale=`"] = webp
    for name, call in calls.items():
        found = []
        for factor in (2, 4, 8):
            sizes = (SIDE, SIDE), (SIDE // factor, SIDE // factor)
            operator = sr.probe(lambda image, c=call, f=factor: c(image, f), *sizes, dtype="uint8", layout="HWC")
            found.append(sr.exposure(operator))
        worst = max(found, key=lambda one: one.stealth_gain_db)
        cells = " | ".join(f"{one.stealth_gain_db + 0.0:.1f}" for one in found)
        print(f"| {name} | {cells} | {worst.verdict} |", flush=True)
    print()


def first_scans() -> None:
    """A progressive file that ends after its DC coefficients: what a preview shows."""
    source, target = picture("astronaut", SIDE), picture("coffee", SIDE // 8)
    crafted = sr.attacks.craft_file(source, target, "pillow:draft", progressive=True)
    scans = [k for k in range(len(crafted.data)) if crafted.data[k : k + 2] == b"\xff\xda"]
    early = crafted.data[: scans[3]] + b"\xff\xd9"
    shown = sr.decode(early, target.shape[:2])
    early_db, whole_db = psnr(shown, target), psnr(sr.decode(crafted.data, target.shape[:2]), target)
    print(f"The first 3 of {len(scans)} scans of a crafted progressive file, as a preview has them: to the target")
    print(f"{early_db:.1f} dB; all of it, robustly scaled: {whole_db:.1f} dB.\n")


# Full decoders.


def decoders() -> dict[str, Callable[[bytes], Image]]:
    """By what they do otherwise."""
    found: dict[str, Callable[[bytes], Image]] = {"accurate, smooth (Pillow)": lambda data: np.asarray(_opened(data))}
    if importlib.util.find_spec("simplejpeg"):
        simplejpeg = load("simplejpeg")
        found["accurate, plain (simplejpeg `fastupsample`)"] = lambda data: simplejpeg.decode_jpeg(
            data, fastupsample=True
        )
        found["fast, smooth (simplejpeg `fastdct`)"] = lambda data: simplejpeg.decode_jpeg(data, fastdct=True)
    if importlib.util.find_spec("tensorflow"):
        decode = load("tensorflow").io.decode_jpeg
        found["fast, smooth (TensorFlow's default)"] = lambda data: decode(data).numpy()
        found["accurate, plain (TensorFlow `fancy_upscaling=False`)"] = lambda data: decode(
            data, dct_method="INTEGER_ACCURATE", fancy_upscaling=False
        ).numpy()
    if importlib.util.find_spec("cv2"):
        cv2 = load("cv2")
        found["accurate, smooth (OpenCV)"] = lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]
    return found


def _opened(data: bytes) -> Any:
    return PIL.Image.open(io.BytesIO(data)).convert("RGB")


def checkered() -> tuple[bytes, Image]:
    """A file (4:2:0) for decoders that repeat chroma: dark all over, and where a disc is to appear, chroma that
    alternates between its extremes from sample to sample. Interpolated, it is next to none; repeated, each pixel's RGB
    is cut off, and the mean rises. And the disc, (SIDE, SIDE) bool.
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    disc = (rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 < (0.35 * SIDE) ** 2
    luma = np.full((SIDE, SIDE), 40.0)
    signs = np.where((rows + columns)[: SIDE // 2, : SIDE // 2] % 2, 1.0, -1.0)
    chroma = 128 + 127 * signs * disc[::2, ::2]
    basis, table = dct_matrix(), np.full((8, 8), 2, np.int64)
    planes = [np.round(basis @ (split(one) - 128.0) @ basis.T / 2).astype(np.int16) for one in (luma, chroma, chroma)]
    steps = ((1, 1), (2, 2), (2, 2))
    parts = [Component(plane, table, step) for plane, step in zip(planes, steps, strict=True)]
    return write((SIDE, SIDE), parts), disc


def disagreeing() -> None:
    photo = picture("astronaut", SIDE)
    target = picture("coffee", SIDE // 8)
    files = {
        "blank page": sr.attacks.craft_blank(photo).data,
        "1/8 attack, 4:4:4": sr.attacks.craft_file(photo, target, "pillow:draft").data,
        "1/8 attack, 4:2:0": sr.attacks.craft_file(photo, target, "pillow:draft", subsampling="4:2:0").data,
        "chequered chroma, 4:2:0": checkered()[0],
        "honest, 4:2:0": file_of(photo, "JPEG", quality=90),
    }
    small = (SIDE // 4, SIDE // 4)
    calls = decoders()
    reference = {name: np.asarray(_opened(data)) for name, data in files.items()}
    print("| to Pillow's decode, dB: as it is / after a robust resize by 4 | " + " | ".join(files) + " |")
    print("|---|" + "---:|" * len(files))
    for name, call in calls.items():
        cells = []
        for file, data in files.items():
            shown = call(data)
            shown = np.broadcast_to(shown.reshape(SIDE, SIDE, -1), (SIDE, SIDE, 3))
            after = psnr(sr.resize(np.ascontiguousarray(shown), small), sr.resize(reference[file], small))
            cells.append(f"{psnr(shown, reference[file]):.1f} / {after:.1f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    data, disc = checkered()
    print(
        "\nChequered chroma, after a robust resize by 4: how much brighter the disc is than what surrounds it, levels\n"
    )
    inside = sr.resize((255 * disc).astype(np.uint8), small)
    for name, call in calls.items():
        out = sr.resize(np.ascontiguousarray(call(data)), small).astype(float).mean(axis=2)
        print(f"- {name}: {out[inside == 255].mean() - out[inside == 0].mean():.1f}")


def main() -> None:
    warnings.simplefilter("ignore")
    scaled_decoding()
    first_scans()
    disagreeing()


if __name__ == "__main__":
    main()
