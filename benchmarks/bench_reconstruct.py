"""What does image reconstruction cost, and what does it do to clean photographs? Prints a Markdown table.

    python benchmarks/bench_reconstruct.py speed [--rounds 15]
    python benchmarks/bench_reconstruct.py quality [--pictures DIR]

``speed``: uint8 RGB photographs, numpy in, numpy out, one pinned thread, contenders in turn, medians of ratios of the
processor's time within a round; results are asserted first. The research code's times are quoted, not measured: they
are those of its selective median in Cython on a Zen 5 core.

``quality``: clean photographs reconstructed and scaled, against plainly scaled, by ratio, and the share of photographs
that come out below 25 dB. Quiring et al. (USENIX Security 2020) claim that both filters keep the visual quality of
clean images.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import timing

import secure_resize as sr
from secure_resize.attacks import REACHED_DB
from secure_resize.core import native, reference
from secure_resize.evaluate.pairs import load_picture, picture_names
from secure_resize.measure.quality import psnr
from secure_resize.measure.scalers import SCALERS
from secure_resize.tables import Table

CASES = [((480, 640), 224), ((768, 1024), 224), ((1080, 1920), 224), ((2000, 3000), 299), ((3000, 4000), 224)]
SPEED_SCALERS = ("opencv:linear", "opencv:nearest")
METHODS = ("median", "random")
# Seconds of the research code's selective median at 1024 × 768 to 224 × 224.
RESEARCH = {"opencv:linear": 0.333, "opencv:nearest": 0.124}
AT_LEAST = 0.004  # seconds a turn
RATIOS = (2.5, 3, 4, 5, 7.5, 10)
QUALITY_SCALERS = ("opencv:nearest", "opencv:linear", "opencv:cubic", "tensorflow:bicubic")


def photograph(size: tuple[int, int]) -> np.ndarray:
    import skimage.data

    return sr.resize(skimage.data.astronaut(), size, kernel="bicubic")


def by_reference(call):
    """``call`` with the numpy core."""
    core = sys.modules["secure_resize.core"]
    names = ("apply_area", "fingerprint", "place", "select_median", "select_random")

    def run():
        before = {name: getattr(core, name) for name in names}
        try:
            for name in names:
                setattr(core, name, getattr(reference, name))
            return call()
        finally:
            for name, function in before.items():
                setattr(core, name, function)

    return run


def at_level(level, call):
    def run():
        with native.use_level(level):
            return call()

    return run


def speed(rounds: int) -> None:
    import cv2

    timing.pin()
    cv2.setNumThreads(1)
    titles, columns, head = [], [], []
    for (height, width), n in CASES:
        image, size = photograph((height, width)), (n, n)
        area = partial(cv2.resize, image, size, interpolation=cv2.INTER_AREA)
        calls = {"OpenCV area": area, "OpenCV linear (vulnerable)": partial(cv2.resize, image, size)}
        for scaler in SPEED_SCALERS:
            for method in METHODS:
                call = partial(sr.reconstruct_resize, image, size, scaler=scaler, method=method, key=bytes(32))
                whole = sr.reconstruct(image, size, scaler=scaler, method=method, key=bytes(32))
                assert np.array_equal(call(), SCALERS[scaler](whole, size))
                assert np.array_equal(by_reference(call)(), call())
                calls[f"{scaler} {method}"] = call
                if scaler == "opencv:linear":
                    for level in native.levels()[1:]:
                        calls[f"{scaler} {method}, {level}"] = at_level(level, call)
                    if width == 1024:
                        calls[f"{scaler} {method}, numpy"] = by_reference(call)
        timers = {k: partial(timing.seconds, call, AT_LEAST, time.process_time) for k, call in calls.items()}
        results = timing.take_turns(timers, rounds)
        head.append(f"{width}×{height} → {n}")
        columns.append(
            {k: (timing.median_ratio(v, results["OpenCV area"]), 1000 * np.median(v)) for k, v in results.items()}
        )
        titles += [k for k in results if k not in titles]
    print("| times OpenCV's INTER_AREA (ms) | " + " | ".join(head) + " |\n|---|" + "---:|" * len(head))
    for title in titles:
        cells = [f"{c[title][0]:.2f} ({c[title][1]:.2f})" if title in c else "" for c in columns]
        print(f"| {title} | " + " | ".join(cells) + " |")
    faster = ", ".join(f"{RESEARCH[s] * 1000 / columns[1][f'{s} median'][1]:.0f}× ({s})" for s in SPEED_SCALERS)
    print(f"\nThe selective median at 1024×768, against the research code's time on another machine: {faster}.")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("opencv-python-headless", "numpy"))
    print(f"{timing.machine()}, one core; backend {sr.backend()}, {native.level()}; {versions}; {rounds} rounds.")


def quality(folder: Path | None) -> None:
    from skimage.metrics import structural_similarity

    names = picture_names(folder)
    cases = [(s, m, r) for s in QUALITY_SCALERS if SCALERS[s].installed for m in METHODS for r in RATIOS]
    found: dict[tuple[str, str, float], list[tuple[float, float]]] = {case: [] for case in cases}
    for name in names:
        photo = load_picture(folder, name)
        for scaler, method, ratio in cases:
            size = (round(photo.shape[0] / ratio), round(photo.shape[1] / ratio))
            plain = SCALERS[scaler](photo, size)
            ours = sr.reconstruct_resize(photo, size, scaler=scaler, method=method, key=bytes(32))
            ssim = structural_similarity(plain, ours, channel_axis=2)
            found[scaler, method, ratio].append((min(psnr(plain, ours), 99.0), ssim))
    header = ["clean: dB / SSIM (below 25 dB)", *(f"β = {ratio:g}" for ratio in RATIOS)]
    lines = []
    for scaler, method in dict.fromkeys((scaler, method) for scaler, method, _ in cases):
        cells = []
        for ratio in RATIOS:
            decibels, ssim = np.array(found[scaler, method, ratio]).T
            below = 100 * (decibels < REACHED_DB).mean()
            cells.append(f"{np.mean(decibels):.1f} / {np.mean(ssim):.2f} ({below:.0f} %)")
        lines.append([f"`{scaler}` {method}", *cells])
    print(Table(header, lines, range(1, len(header))).markdown())
    print(
        f"\nMean PSNR and SSIM over {len(names)} photographs, against the same scaler on the untouched photograph, "
        "which aliases, and the share of photographs below 25 dB, the field's bar for two pictures that look alike."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "quality"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="default: scikit-image's photographs")
    options = parser.parse_args()
    speed(options.rounds) if options.what == "speed" else quality(options.pictures)


if __name__ == "__main__":
    main()
