"""How many attacked pictures are found, and how many clean ones by mistake? Prints Markdown tables.

    python benchmarks/detection.py PHOTOS [--part clean attacked unknown field adaptive speed] [--cache DIR] [--first N]

PHOTOS is a folder of pictures of 321 pixels a side at least, which the calibration was not made of (that was made of
scikit-image's photographs and of drawn pictures with other seeds). Clean: parts of them, 192 to 320 pixels a side,
turned and mirrored, half of them through JPEG; and drawn ones: text, screenshots, charts, halftones, dithering, pixel
art, fabrics, noise. Each is looked at with one of six scalers at a ratio from 2.5 to 10. Attacked: detection_cases.py.
Intervals are Clopper and Pearson's, 95 %. ``--share`` makes everything smaller; ``--cache`` keeps crafted pictures;
``--first`` takes the pictures from that number on, which are others than those from 0 on.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from detection_cases import GROUPS, Case, cases, jpeg
from detection_pictures import FAMILIES, read_photographs
from PIL import Image

import secure_resize as sr
from secure_resize.detect import DETECTORS, Suspicion, Target, View, examine, inspect
from secure_resize.detect.calibration import interval

Picture = npt.NDArray[np.uint8]
CLEAN = {"photographs": 3000, "drawn": 2500}
ATTACKED = {
    "whole": 1200,
    "5x5 of 72 levels": 600,
    "3x3 of 72 levels": 420,
    "5x5 of 40 levels": 420,
    "checkerboard 5x5 of 72 levels": 420,
}
SIDES = (224, 256, 299, 320, 336, 384)


def look(case: Case) -> Suspicion:
    return examine(case.picture, [Target(case.scaler, case.size)])[0]


def line(name: str, found: list[bool]) -> str:
    low, high = interval(sum(found), len(found))
    return f"| {name} | {len(found)} | {sum(found)} | {np.mean(found):.2%} | {low:.2%} to {high:.2%} |"


def heading(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def clean(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """Clean pictures, scaler and size known."""
    print(heading("clean", "pictures", "found", "rate", "95 %"))
    every: list[bool] = []
    for group, count in CLEAN.items():
        rows: dict[str, list[bool]] = {}
        for number, case in enumerate(cases(group, photos, int(count * share), None, first)):
            name = list(FAMILIES)[(first + number) % len(FAMILIES)] if group == "drawn" else group
            rows.setdefault(name, []).append(look(case).suspicious)
        for name, found in rows.items():
            print(line(name.replace("_", " "), found), flush=True)
            every += found
    print(line("**all**", every))


def attacked(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """Attacked pictures, scaler and size known."""
    print(heading("attacked", "pictures", "found", "rate", "95 %"))
    for group, count in ATTACKED.items():
        found, again, kinds = [], [], {}
        for case in cases(group, photos, int(count * share), cache, first):
            if not case.kept:
                continue
            found.append(look(case).suspicious)
            kinds.setdefault(case.scaler, []).append(found[-1])
            if group == "whole":
                again.append(look(Case(jpeg(case.picture, 90), case.scaler, case.size)).suspicious)
        print(line(group, found), flush=True)
        if group == "whole":
            for scaler, some in sorted(kinds.items()):
                print(line(f"whole, {scaler}", some))
            print(line("whole, after JPEG of quality 90", again), flush=True)
    averaged(photos, int(200 * share), cache, first)


def averaged(photos: list[Picture], count: int, cache: Path | None, first: int) -> None:
    made = [case for case in cases("averaged", photos, count, cache, first) if case.kept]
    hidden = [case for case in made if case.psnr >= sr.attacks.HIDDEN_DB]
    print(
        f"\nAimed at OpenCV's area, {len(made)} pictures bring the target out; {len(hidden)} of them are hidden, 15 dB "
        f"to the source (the largest {max((case.psnr for case in made), default=0):.1f} dB). The rest are blends."
    )


def mosaic(photos: list[Picture], rng: np.random.Generator) -> Picture:
    """Six photographs side by side, 962x963 pixels: no single one is large enough for the sizes of models."""
    picked = [photos[int(k)] for k in rng.choice(len(photos), 6, replace=False)]
    wide = [one if one.shape[1] > one.shape[0] else np.rot90(one) for one in picked]
    return np.ascontiguousarray(np.vstack([np.hstack([one[:321, :481] for one in wide[k : k + 2]]) for k in (0, 2, 4)]))


def unknown(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """Neither scaler nor size is known."""
    mistaken: list[bool] = []
    for number in range(int(400 * share)):
        rng = np.random.default_rng([60, first + number])
        drawn = list(FAMILIES.values())[number // 2 % len(FAMILIES)]
        picture = drawn(rng, int(rng.integers(600, 1000))) if number % 2 else mosaic(photos, rng)
        mistaken.append(inspect(picture).suspicious)
    found, after, sizes = [], [], []
    for number in range(int(120 * share)):
        rng = np.random.default_rng([70, first + number])
        source, side = mosaic(photos, rng), int(rng.choice(SIDES))
        scaler = ("opencv:nearest", "pillow:nearest", "opencv:linear", "opencv:cubic")[number % 4]
        target = sr.resize(mosaic(photos, rng), (side, side))
        made = sr.attacks.craft(source, target, scaler, method="least")
        answer = inspect(made.image)
        found.append(answer.suspicious)
        sizes.append(answer.size == (side, side))
        after.append(inspect(jpeg(made.image, 90)).suspicious)
    print(heading("neither scaler nor size known", "pictures", "found", "rate", "95 %"))
    print(line("clean", mistaken))
    print(line("whole", found))
    print(line("whole, size named as it is", sizes))
    print(line("whole, after JPEG of quality 90", after), flush=True)


def field(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """The field's rows beside ours, each at its own 1 % of false positives on the same clean photographs."""
    scores: dict[str, dict[str, list[float]]] = {}
    for group, count in {"photographs": 400, "whole": 150, "5x5 of 72 levels": 150}.items():
        for case in cases(group, photos, int(count * share), cache, first):
            if not case.kept or case.scaler == "opencv:lanczos4":  # whose reads would have to be probed for each size
                continue
            view = View(case.picture, Target(case.scaler, case.size))
            for name, row in DETECTORS.items():
                if min(case.size) >= row.smallest and row.fixed is None:
                    one = row.measure(view)
                    scores.setdefault(name, {}).setdefault(group, []).append(one.score if one else 0.0)
    print(heading("detector", "by", "whole, at 1 %", "5x5 of 72 levels, at 1 %"))
    for name, by in scores.items():
        limit = np.quantile(by["photographs"], 0.99)
        rates = [f"{np.mean(np.array(by[group]) > limit):.0%}" for group in ("whole", "5x5 of 72 levels")]
        print(f"| {name} | {DETECTORS[name].source or 'ours'} | {' | '.join(rates)} |", flush=True)


def adaptive(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """An attacker who descends on the detectors' scores."""
    from detection_adaptive import curves

    curves(photos, max(2, int(12 * share)), first)


def _milliseconds(call: Callable[[], object], rounds: int = 40) -> float:
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


def speed(photos: list[Picture], share: float, cache: Path | None, first: int) -> None:
    """Processor time for a picture of 1024x768, 224x224 outputs; the least of 40 runs."""
    rng = np.random.default_rng(0)
    picture = sr.resize(mosaic(photos, rng), (768, 1024), kernel="bicubic")
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    decoding = _milliseconds(lambda: np.asarray(Image.open(io.BytesIO(file.getvalue()))))
    print(f"Decoding a JPEG file of 1024x768 with Pillow takes {decoding:.1f} ms.\n")
    print(heading("looked at with", "ms", "pictures a second, of those that decoding alone does"))
    for scaler in ("opencv:nearest", "opencv:linear", "opencv:cubic", "torch:bilinear"):
        target = Target(scaler, (224, 224))
        looking = _milliseconds(lambda target=target: examine(picture, [target]))
        print(f"| {target} | {looking:.1f} | {decoding / (decoding + looking):.2f} |", flush=True)
    print(f"| neither known | {_milliseconds(lambda: inspect(picture), 3):.0f} | |")


PARTS: dict[str, Callable[[list[Picture], float, Path | None, int], None]] = {
    one.__name__: one for one in (clean, attacked, unknown, field, adaptive, speed)
}


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    photos = [one for one in read_photographs(options.photos) if min(one.shape[:2]) >= 321]
    if len(photos) < 12:
        parser.error(f"{options.photos} holds {len(photos)} pictures of at least 321 pixels a side, 12 are needed")
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)
    assert set(CLEAN) | set(ATTACKED) <= set(GROUPS)
    print(f"{len(photos)} photographs; calibrated on {sr.detect.shipped().source}.\n")
    for part in options.part:
        PARTS[part](photos, options.share, options.cache, options.first)
        print(flush=True)


if __name__ == "__main__":
    main()
