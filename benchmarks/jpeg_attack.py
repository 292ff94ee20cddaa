"""Who shows another picture of a crafted JPEG file? Prints Markdown tables.

    python benchmarks/jpeg_attack.py PHOTOS [--pairs 100] [--side 192] [--half 6] [--blank 20] [--seed 1]
    python benchmarks/jpeg_attack.py PHOTOS --picture .github/jpeg.jpg

PHOTOS is a folder of pictures. Random pairs of them, in colour, the source a square of ``--side`` pixels: one file each
at 1/4 and 1/8 that every decoder reads, one each for thumbnail, and a few at 1/2 for a budget curve; and files that
are a blank page to accurate decoders and hide a photograph from all but TensorFlow's default one. A win: the scaled
decode is the target to 25 dB or better and the full decode the source to 15 dB or better, both in RGB and in luma.
Pairs whose target already lies within 15 dB of the scaled source hide nothing and are counted apart.

With ``--picture`` it measures nothing and draws one file instead, as viewers, decoders that scale and ours show it: the
first two pictures of PHOTOS by name, the second hidden in the first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import torchvision  # noqa: F401  (before TensorFlow, or the process ends)

import secure_resize as sr
from secure_resize.attacks import CraftedFile, psnr
from secure_resize.measure.decoders import DECODERS, Decoder
from secure_resize.measure.quality import psnr_luma, share

Image = npt.NDArray[np.uint8]
# Of the target, in levels (RMS); 25 dB are 14.3, and decoders round.
EPSILON = 12.6
BUDGETS = (4.0, 12.6, 25.0, 40.0, 60.0)


@dataclass
class Tally:
    """What one decoder showed of all pairs at one scale."""

    wins: int = 0
    alike: int = 0
    target: list[float] = field(default_factory=list)
    source: list[float] = field(default_factory=list)

    def add(self, crafted: CraftedFile, scaled: Image, target: Image, alike: bool) -> None:
        near = min(psnr(scaled, target), psnr_luma(scaled, target))
        self.wins += bool(near >= 25 and crafted.hidden)
        self.alike += alike
        self.target.append(psnr(scaled, target))
        self.source.append(crafted.psnr_source)


def photo(file: Path, side: int) -> Image:
    """A square of ``side`` pixels, RGB."""
    with PIL.Image.open(file) as picture:
        return np.asarray(picture.convert("RGB").resize((side, side), PIL.Image.Resampling.BICUBIC))


def usable() -> list[Decoder]:
    """The decoders that work here."""
    file = Path(__file__).parent.parent / ".github" / "demo.jpg"
    found = []
    for decoder in (one for one in DECODERS.values() if one.form == "JPEG"):
        try:
            if decoder.installed:
                with PIL.Image.open(file) as picture:
                    size = decoder.size((picture.height, picture.width), decoder.scales[0])
                decoder(file.read_bytes(), (size[0] // 2, size[1] // 2) if decoder.then else size)
                found.append(decoder)
        except (ImportError, OSError, RuntimeError) as error:
            print(f"left out, {decoder.name}: {error}\n")
    return found


def table(header: list[str], rows: Iterable[list[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join(["---"] * len(header)) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def attack(pairs: list[tuple[Path, Path]], side: int, scale: int, decoders: list[Decoder]) -> None:
    """Both tables at one scale."""
    tallies = {decoder.name: Tally() for decoder in decoders if decoder.scaled}
    full = {decoder.name: Tally() for decoder in decoders if not decoder.scaled}
    safe, apart, alike = {kernel: Tally() for kernel in ("area", "bicubic")}, 0, 0
    thumbnail = next((decoder for decoder in decoders if decoder.then), None)
    for a, b in pairs:
        source, target = photo(a, side), photo(b, side // scale)
        similar = psnr(sr.resize(source, target.shape[:2]), target) >= 15
        alike += similar
        crafted = sr.attacks.craft_file(source, target, "pillow:draft", epsilon=EPSILON)
        for decoder in decoders:
            if decoder.scaled and not decoder.then:
                tallies[decoder.name].add(crafted, decoder(crafted.data, target.shape[:2]), target, similar)
            elif not decoder.scaled:
                shown = decoder(crafted.data, source.shape[:2])
                full[decoder.name].source.append(psnr(shown, crafted.shown))
                full[decoder.name].target.append(psnr(sr.resize(shown, target.shape[:2]), target))
        for kernel, tally in safe.items():
            out = sr.decode(crafted.data, target.shape[:2], kernel=kernel)
            expected = sr.resize(crafted.shown, target.shape[:2], kernel=kernel)
            apart = max(apart, int(np.abs(out.astype(int) - expected).max()))
            if not similar:
                tally.target.append(psnr(out, target))
                clean = sr.resize(source, target.shape[:2], kernel=kernel)
                tally.source.append(share(out, clean, target))
        if thumbnail is not None:
            small = photo(b, side // scale // 2)
            similar = psnr(sr.resize(source, small.shape[:2]), small) >= 15
            made = sr.attacks.craft_file(source, small, thumbnail.name, epsilon=EPSILON)
            tallies[thumbnail.name].add(made, made.scaled, small, similar)
    print(f"**1/{scale}**, {len(pairs)} pairs, of which {alike} are alike from the start\n")
    header = ["decoder", "version", "wins", "target, dB: median", "least", "full decode, dB: median", "least"]
    versions = {decoder.name: decoder.version for decoder in decoders}
    table(header, ([f"`{name}`", versions[name], f"{one.wins}/{len(one.target)}", *spread(one.target),
                    *spread(one.source)] for name, one in tallies.items()))  # fmt: skip
    header = ["full decode, then area", "version", "to Pillow's full decode, dB: least", "to the target, dB: most"]
    table(header, ([f"`{name}`", versions[name], f"{min(one.source):.1f}", f"{max(one.target):.1f}"]
                   for name, one in full.items()))  # fmt: skip
    for kernel, tally in safe.items():
        near = sum(one >= 15 for one in tally.target)
        print(f"`sr.decode(kernel={kernel!r})`, {len(tally.target)} pairs that are not alike: at most "
              f"{max(tally.target):.1f} dB to the target, {near} at 15 dB or more;")  # fmt: skip
        print(f"at most {100 * max(tally.source):.0f} % of the target shows.\n")
    print(f"Largest difference from `resize` of the full decode: {apart} levels.\n")


def spread(values: list[float]) -> list[str]:
    return [f"{statistics.median(values):.1f}", f"{min(values):.1f}"]


def half(pairs: list[tuple[Path, Path]], side: int) -> None:
    """The budget curve at 1/2."""
    print(f"**1/2**, {len(pairs)} pairs: what a budget buys\n")
    rows = []
    for epsilon in BUDGETS:
        made = [sr.attacks.craft_file(photo(a, side), photo(b, side // 2), "pillow:draft", epsilon=epsilon)
                for a, b in pairs]  # fmt: skip
        figures = [statistics.median(getattr(one, name) for one in made) for name in
                   ("psnr_target", "psnr_target_luma", "psnr_source", "psnr_source_luma")]  # fmt: skip
        rows.append([f"{epsilon:g}", *(f"{figure:.1f}" for figure in figures), f"{sum(x.success for x in made)}"])
    table(["epsilon", "target, dB", "in luma", "full decode, dB", "in luma", "wins"], rows)


def blank(files: list[Path], side: int) -> None:
    """What INTEGER_FAST shows of a blank page."""
    made = [sr.attacks.craft_blank(photo(file, side)) for file in files]
    print(f"**A blank page**, {len(made)} photographs, decoded in full\n")
    rows = []
    for name, values in (
        ("to a white page in luma, dB, Pillow's decode", [one.psnr_blank for one in made]),
        ("to the photograph, dB, tensorflow:decode_jpeg", [one.psnr_target for one in made]),
        ("in luma", [one.psnr_target_luma for one in made]),
    ):
        rows.append([name, *spread(values)])
    table(["", "median", "least"], rows)


# The picture.

PANEL, GAP, LINES = 240, 12, 44


def panels(data: bytes, small: tuple[int, int], half: tuple[int, int], side: int) -> dict[str, Image]:
    """What each shows of one file, by caption."""
    calls: dict[str, tuple[str, tuple[int, int]]] = {
        "viewers, browsers:\na full decode": ("pillow:open", (side, side)),
        "Pillow: Image.draft\nat 1/8": ("pillow:draft", small),
        "Pillow: Image.thumbnail\nto 1/16": ("pillow:thumbnail", half),
        "OpenCV:\nIMREAD_REDUCED_COLOR_8": ("opencv:imread_reduced", small),
        "TensorFlow:\ndecode_jpeg(ratio=8)": ("tensorflow:decode_jpeg+ratio", small),
    }
    found = {caption: DECODERS[name](data, size) for caption, (name, size) in calls.items()}
    return found | {"secure_resize:\nsr.decode to 1/8": sr.decode(data, small)}


def draw(files: list[Path], out: Path, side: int = 512) -> None:
    """One crafted file as a strip of panels, each enlarged pixel by pixel."""
    source, target = photo(files[0], side), photo(files[1], side // 8)
    crafted = sr.attacks.craft_file(source, target, "pillow:draft", epsilon=4)
    shown = panels(crafted.data, target.shape[:2], (side // 16, side // 16), side)
    columns = 3
    rows = -(-len(shown) // columns)
    sheet = PIL.Image.new("RGB", (columns * (PANEL + GAP) + GAP, rows * (PANEL + GAP + LINES) + GAP), "white")
    pen = PIL.ImageDraw.Draw(sheet)
    for number, (caption, image) in enumerate(shown.items()):
        x, y = GAP + number % columns * (PANEL + GAP), GAP + number // columns * (PANEL + GAP + LINES)
        pen.text((x, y), caption, fill="black", font_size=15)
        if image.shape[0] > PANEL:
            panel = PIL.Image.fromarray(sr.resize(image, (PANEL, PANEL)))
        else:
            panel = PIL.Image.fromarray(image).resize((PANEL, PANEL), PIL.Image.Resampling.NEAREST)
        sheet.paste(panel, (x, y + LINES))
        print(f"{' '.join(caption.split())}: {image.shape[1]}×{image.shape[0]}")
    sheet.save(out, quality=88)
    print(
        f"{out}: full decode {crafted.psnr_source:.1f} dB to the source, draft {crafted.psnr_target:.1f} to the target"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--half", type=int, default=6)
    parser.add_argument("--blank", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="draw one crafted file into this picture instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    files = sorted(file for file in options.photos.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if options.picture:
        draw(files, options.picture)
        return
    rng = np.random.default_rng(options.seed)
    pairs = [(files[a], files[b]) for a, b in (rng.choice(len(files), 2, replace=False) for _ in range(options.pairs))]
    decoders = usable()
    for scale in (8, 4) if pairs else ():
        attack(pairs, options.side, scale, decoders)
    if options.half:
        half(pairs[: options.half], options.side)
    if options.blank:
        chosen = rng.choice(len(files), min(options.blank, len(files)), replace=False)
        blank([files[index] for index in chosen], options.side)


if __name__ == "__main__":
    main()
