"""Every number in SECURITY.md, computed anew and looked for in its text."""

import math
from pathlib import Path

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks import HIDDEN_DB, REACHED_DB
from secure_resize.measure.rounding import models, rounding
from secure_resize.scaling import REFUSED_DB

pytestmark = pytest.mark.once

PAGE = Path(sr.__file__).parent.parent / "SECURITY.md"


@pytest.fixture(scope="module")
def said():
    if not PAGE.exists():
        pytest.skip("no source checkout")
    text = " ".join(PAGE.read_text(encoding="utf-8").split())

    def contains(sentence):
        assert sentence in text, sentence

    return contains


def test_box(said):
    operator = sr.scaling_operator((432, 432), (224, 224), "box")
    unread = 1 - operator.rows.read().mean() * operator.cols.read().mean()
    gain = sr.exposure(operator).stealth_gain_db
    said(f"(432 to 224: {100 * unread:.1f} % of the pixels have no weight at all, {gain:.1f} dB of stealth gain)")
    said(f"at the sizes asked for, reaches {REFUSED_DB:.0f} dB")
    with pytest.raises(ValueError, match="use kernel='area'"):
        sr.resize(np.zeros((432, 432), np.uint8), (224, 224), kernel="box")


def test_stealth_gains(said):
    """An axis, at the pairs of sizes that tests/test_operator.py found worst and all others up to 40; rounded up."""

    def largest(kernel):
        pairs = [(n_in, n_out) for n_in in range(1, 41) for n_out in range(1, n_in + 1)]
        axes = (sr.axis_operator.__wrapped__(*pair, kernel) for pair in pairs)
        return max(20 * math.log10(axis.norm * math.sqrt(axis.ratio)) for axis in axes)

    found = {kernel: math.ceil(10 * largest(kernel)) / 10 for kernel in ("bilinear", "bicubic", "lanczos", "hamming")}
    assert found["bilinear"] == found["bicubic"]
    said(
        f"{found['bilinear']} dB an axis for `bilinear` and `bicubic`, {found['lanczos']} for `lanczos`, "
        f"{found['hamming']} for `hamming`"
    )
    assert abs(largest("area")) < 1e-6
    said("is 0 dB at every ratio")


def rounded_up(number):
    """To two decimals: the page promises at most so much."""
    return f"{math.ceil(100 * number) / 100:.2f}"


def levels(kernel, n_in, n_out):
    return rounding(sr.scaling_operator((n_in, n_in), (n_out, n_out), kernel), kernel).levels


def test_rounding(said):
    said(f"by half a level at most: {2 * levels('area', 401, 224):.0f} level between two of them")
    assert levels("area", 401, 224) == pytest.approx(0.5, abs=1e-5)
    worst = {}
    for kernel in ("bilinear", "hamming", "bicubic", "lanczos"):
        sizes = [(n_in, n_out) for n_in in range(1, 61) for n_out in range(1, n_in)]
        worst[kernel] = max(levels(kernel, *pair) for pair in [*sizes, (224, 223), (1024, 1023), (1024, 224)])
    # 22-bit weights add up to four thousandths here.
    assert worst["bilinear"] == pytest.approx(1.0, abs=5e-3)
    said(
        f"at most {rounded_up(worst['bilinear'])} levels from the exact one with `bilinear` and `hamming`, "
        f"{rounded_up(worst['bicubic'])} with `bicubic`, {rounded_up(worst['lanczos'])} with `lanczos`"
    )
    between = [rounded_up(levels(kernel, 400, 224)) for kernel in ("bicubic", "lanczos")]
    said(f"(From 400 to 224 pixels {between[0]} and {between[1]}")


def test_rounding_as_noise_shows_it(said):
    seen = []
    for kernel in ("bicubic", "lanczos"):
        operator, furthest = sr.scaling_operator((400, 400), (224, 224), kernel), 0.0
        for seed in range(3):
            image = np.random.default_rng(seed).integers(0, 256, (400, 400), np.uint8)
            # With equal sides the horizontal pass is the first.
            exact, _ = models(
                ("cols",), lambda x, o=operator: o.rows.apply(x, 0), lambda x, o=operator: o.cols.apply(x, 1),
                image.astype(float),
            )  # fmt: skip
            off = np.abs(sr.resize(image, (224, 224), kernel=kernel) - np.clip(exact, 0, 255))
            furthest = max(furthest, float(off.max()))
        seen.append(furthest)
    said(f"of which noise shows {seen[0]:.1f} and {seen[1]:.1f}")


def test_windows(said):
    pytest.importorskip("cv2")
    squares, wide = (
        sr.reconstruction_info(np.zeros((*size, 1), np.uint8), (224, 224), scaler="opencv:linear")
        for size in ((1024, 1024), (768, 1024))
    )
    least, median = squares.candidates.min(), np.median(squares.candidates)
    said(f"{np.median(squares.breakdown):.0f} of {median:.0f} where OpenCV's linear makes 224x224 of 1024x1024")
    said(f"(from {least} candidates on, {squares.breakdown.min()} of them decide, at the corners)")
    said(f"{np.median(wide.breakdown):.0f} of {np.median(wide.candidates):.0f} of 1024x768")


def test_pictures_that_are_alike(said):
    hidden, reached = (255 * 10 ** (-db / 20) for db in (HIDDEN_DB, REACHED_DB))
    said(f"Up to about {20 * math.log10(255 / (hidden + reached)):.1f} dB apart")
    said(f"({REACHED_DB:.0f} dB to T once scaled, {HIDDEN_DB:.0f} dB to S)")


def test_keys(said):
    from secure_resize.core.reference import chacha8

    assert chacha8(np.zeros(32, np.uint8), 16).size == 16
    said("keyed by 32 bytes from the operating system")


def test_every_deviation_from_torchvision_stands_here(said):
    pytest.importorskip("torchvision")
    from secure_resize.integrations.torchvision.deviations import DEVIATIONS

    assert len(DEVIATIONS) >= 16
    for row in DEVIATIONS:
        said(f"| {row.call} | {row.stock} | {row.ours} | {row.reason} |")
