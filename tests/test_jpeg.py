"""Crafted JPEG files: what a full decode shows, what a scaled one does, and that nothing hides it better."""

import io
import itertools
import json
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks.jpeg import SUBSAMPLINGS, shown
from secure_resize.attacks.overshoot import Plane, hide
from secure_resize.measure.coefficients import read, to_rgb, to_ycc
from secure_resize.measure.decoders import DECODERS, get_decoder

pytestmark = pytest.mark.once

PIL = pytest.importorskip("PIL.Image")
needs_coefficients = pytest.mark.skipif(find_spec("jpeglib") is None, reason="needs jpeglib")
JPEG = [name for name, decoder in DECODERS.items() if decoder.form == "JPEG"]
SCALED = [name for name in JPEG if DECODERS[name].scaled]
OTHERS = [name for name in DECODERS if name not in JPEG]


@cache
def picture(name, side, grey=False):
    data = pytest.importorskip("skimage.data")
    whole = PIL.fromarray(getattr(data, name)()[:400, :400]).convert("L" if grey else "RGB")
    return np.asarray(whole.resize((side, side)))


def pair(factor, grey=False, side=128):
    return picture("astronaut", side, grey), picture("coffee", side // factor, grey)


def file_of(image, **options):
    file = io.BytesIO()
    PIL.fromarray(image).save(file, **{"format": "JPEG", **options})
    return file.getvalue()


def decoder_here(name):
    if not DECODERS[name].installed:
        pytest.skip(f"{DECODERS[name].package} is not installed")
    decoder = DECODERS[name]
    saved = {"format": decoder.form, **decoder.saved}
    try:
        decoder(file_of(np.zeros((64, 64, 3), np.uint8), **saved), decoder.size((64, 64), decoder.scales[0]))
    except (OSError, RuntimeError) as error:
        if name.partition(":")[0] not in ("pyvips", "turbojpeg"):  # whose packages may lack the C library behind them
            raise
        pytest.skip(str(error))
    return get_decoder(name)


# Decoders.


@pytest.mark.filterwarnings(
    "ignore:The image decoding and encoding capabilities:DeprecationWarning"
)  # torchvision 0.29
@pytest.mark.parametrize("name", JPEG)
def test_decoders_agree_on_honest_files(name):
    """At every scale, to within 3 levels (RMS) of the mean of the full decode, which interpolates chroma; thumbnail's
    bicubic is sharper than a mean.
    """
    decoder = decoder_here(name)
    for grey in (False, True):
        data = file_of(picture("astronaut", 128, grey), quality=90)
        full = shown(data).astype(float)
        for scale in decoder.scales:
            size = decoder.size((128, 128), scale)
            if decoder.then:
                size = (size[0] // 2, size[1] // 2)
            assert decoder.factor((128, 128), size) == scale
            out = decoder(data, size)
            mean = full.reshape(size[0], 128 // size[0], size[1], 128 // size[1], -1).mean(axis=(1, 3))
            assert out.shape == size + full.shape[2:]
            assert out.dtype == np.uint8
            assert np.sqrt(np.mean((out.reshape(mean.shape) - mean) ** 2)) < (9 if decoder.then else 3)


@pytest.mark.parametrize("name", OTHERS)
def test_decoders_of_other_formats(name):
    decoder = decoder_here(name)
    image = picture("astronaut", 128)
    data = file_of(image, format=decoder.form, **decoder.saved)
    np.testing.assert_array_equal(shown(data), image)  # without loss: what is probed is the decoder
    for scale in decoder.scales:
        size = decoder.size((128, 128), scale)
        out = decoder(data, size)
        assert out.shape == (*size, 3)
        mean = image.reshape(size[0], scale, size[1], scale, 3).mean(axis=(1, 3))
        assert np.corrcoef(out.ravel(), mean.ravel())[0, 1] > 0.85  # a wavelet's low band is no mean
    for craft in (lambda: sr.attacks.craft_file(*pair(8), name), lambda: sr.attacks.craft_blank(image, name)):
        with pytest.raises(ValueError, match=f"reads {decoder.form} files, not JPEG"):
            craft()


def test_decoders_refuse_sizes_that_they_do_not_give():
    with pytest.raises(ValueError, match=r"gives 64×64, 32×32, 16×16 of a file of 128×128, got the size \(30, 30\)"):
        DECODERS["pillow:draft"](file_of(picture("coffee", 128)), (30, 30))
    with pytest.raises(ValueError, match="unknown decoder 'pillow:drafts'; valid decoders: pillow:open"):
        get_decoder("pillow:drafts")


# The attack.


@needs_coefficients
@pytest.mark.parametrize("name", SCALED)
def test_a_file_shows_two_pictures(name):
    decoder_here(name)
    factor = 16 if DECODERS[name].then else 8
    crafted = sr.attacks.craft_file(*pair(factor), name)
    assert crafted.scale == 8
    assert crafted.success, crafted
    # And it is the decoder, not the file: the mean of what everybody sees is the source still.
    mean = sr.resize(crafted.shown, crafted.scaled.shape[:2])
    assert sr.attacks.psnr(mean, sr.resize(pair(factor)[0], mean.shape[:2])) > 18
    assert sr.attacks.psnr(mean, pair(factor)[1]) < 15


@needs_coefficients
@pytest.mark.parametrize(
    ("factor", "subsampling", "progressive"),
    [*itertools.product((4, 8), SUBSAMPLINGS, (False,)), (8, "4:2:0", True), (8, "4:4:4", True)],
)
def test_every_kind_of_file(factor, subsampling, progressive):
    crafted = sr.attacks.craft_file(*pair(factor), "pillow:draft", subsampling=subsampling, progressive=progressive)
    assert crafted.success, crafted
    with PIL.open(io.BytesIO(crafted.data)) as file:
        assert file.info.get("progressive", 0) == progressive
        assert file.size == (128, 128)
    if progressive:  # the same coefficients, hence the same pixels
        again = sr.attacks.craft_file(*pair(factor), "pillow:draft", subsampling=subsampling)
        np.testing.assert_array_equal(again.shown, crafted.shown)
        np.testing.assert_array_equal(again.scaled, crafted.scaled)


@needs_coefficients
@pytest.mark.parametrize("shape", [(61, 75), (8, 8), (64, 17)])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_sizes_that_are_no_multiple_of_a_block(shape, subsampling):
    source = picture("coffee", 128)[: shape[0], : shape[1]]
    target = picture("astronaut", 128)[: -(-shape[0] // 8), : -(-shape[1] // 8)]
    crafted = sr.attacks.craft_file(source, target, "pillow:draft", subsampling=subsampling, epsilon=5)
    assert crafted.shown.shape == source.shape
    assert crafted.psnr_target > 25


@needs_coefficients
def test_half_is_a_budget():
    """At 1/2 four pixels carry one: what is hidden better is reached worse."""
    tight, loose = (sr.attacks.craft_file(*pair(2), "pillow:draft", epsilon=epsilon) for epsilon in (5, 30))
    assert tight.psnr_target > loose.psnr_target + 10
    assert loose.psnr_source > tight.psnr_source + 2


@needs_coefficients
def test_a_callable_and_its_scale():
    def mine(data):
        with PIL.open(io.BytesIO(data)) as file:
            file.draft("RGB", (file.width // 4, file.height // 4))
            return np.asarray(file)

    assert sr.attacks.craft_file(*pair(4), mine, scale=4).success
    with pytest.raises(ValueError, match="must say at which scale"):
        sr.attacks.craft_file(*pair(4), mine)
    with pytest.raises(ValueError, match=r"the target's size is \(16, 16\), got \(32, 32\)"):
        sr.attacks.craft_file(*pair(4), mine, scale=8)


@needs_coefficients
def test_portable_decoders_are_reached_with_less_overshoot():
    """No sample lies further than asked for beyond black or white: libjpeg without vector instructions wraps around."""
    crafted = sr.attacks.craft_file(*pair(8, grey=True), "pillow:draft", overshoot=380)
    assert crafted.psnr_target > 25
    ([luma], far) = read(crafted.data).components, 380 + 40  # quantisation adds a little
    assert luma.samples().min() > -far
    assert luma.samples().max() < 255 + far
    assert sr.attacks.craft_file(*pair(8, grey=True), "pillow:draft").psnr_source > crafted.psnr_source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "pillow:open"}, r"pillow:open gives 128×128 of a file of 128×128"),
        ({"scale": 4}, "decodes at 1/8"),
        ({"scale": 3}, "scale must be 2, 4 or 8, got 3"),
        ({"subsampling": "4:1:1"}, "unknown subsampling '4:1:1'; valid: 4:4:4, 4:2:2, 4:2:0"),
        ({"quality": 100}, "from 1 to 99, got 100"),
        ({"epsilon": -1}, "epsilon must be"),
        ({"overshoot": 1e9}, "overshoot must be"),
        ({"source": np.zeros((128, 128, 4), np.uint8)}, "the same channels"),
    ],
)
def test_bad_arguments(options, message):
    source, target = pair(8)
    arguments = {"source": source, "target": target, "decoder": "pillow:draft", **options}
    with pytest.raises(ValueError, match=message):
        sr.attacks.craft_file(**arguments)


def test_colours_go_there_and_back():
    image = picture("coffee", 64).astype(float)
    np.testing.assert_allclose(to_rgb(to_ycc(image)), image, atol=1e-9)
    with PIL.fromarray(picture("coffee", 64)) as rgb:  # Pillow rounds, each side by half a level
        assert np.abs(np.asarray(rgb.convert("YCbCr")) - to_ycc(image)).max() < 1.1


# The least change.


def plane(samples, means, group):
    ones = np.ones_like(samples)
    return Plane(samples, ones, means, np.ones_like(means), group, 1.0, 1.0, 1)


@pytest.mark.parametrize("mean", [90, 140, 30, 240, 20, 129])
def test_no_other_change_is_smaller(mean):
    """One group of four samples, searched in full: every shown picture in steps of 15 whose mean is what is asked."""
    samples = np.array([[210.0, 60.0], [150.0, 90.0]])
    found = hide([plane(samples, np.array([[float(mean)]]), 2)], epsilon=0.0, overshoot=1e9)
    assert abs(found.planes[0].mean() - mean) < 0.01
    cost = ((np.clip(found.planes[0], 0, 255) - samples) ** 2).sum()
    levels = np.stack(np.meshgrid(*[np.arange(0, 256, 15.0)] * 4)).reshape(4, -1)
    # A shown sample at the edge may lie anywhere beyond it, so that the mean reaches anything on that side.
    low = np.where((levels == 0).any(axis=0), -np.inf, levels.mean(axis=0))
    high = np.where((levels == 255).any(axis=0), np.inf, levels.mean(axis=0))
    other = np.where((low <= mean) & (mean <= high), ((levels - samples.reshape(4, 1)) ** 2).sum(axis=0), np.inf)
    assert cost <= other.min() + 1
    # Nor is it one that no sample could show.
    nearest = np.abs(levels - np.clip(found.planes[0], 0, 255).reshape(4, 1)).max(axis=0).argmin()
    assert np.abs(levels[:, nearest] - np.clip(found.planes[0], 0, 255).reshape(4)).max() <= 7.5


def test_the_bound_is_sound_and_near():
    rng = np.random.default_rng(3)
    samples = rng.integers(0, 256, (64, 64)).astype(float)
    means = rng.integers(0, 256, (16, 16)).astype(float)
    for epsilon in (2.0, 10.0, 40.0):
        found = hide([plane(samples, means, 4)], epsilon=epsilon, overshoot=1e9)
        missed = found.planes[0].reshape(16, 4, 16, 4).mean(axis=(1, 3)) - means
        assert np.sqrt(np.mean(missed**2)) <= epsilon + 1e-3
        assert 0 <= found.gap < 0.05


# Decoders that are not exact.


@needs_coefficients
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("shade", ["white", "black"])
def test_a_blank_page_is_a_picture_to_tensorflow(grey, shade):
    decoder_here("tensorflow:decode_jpeg")
    target = picture("coffee", 125, grey)
    crafted = sr.attacks.craft_blank(target, shade=shade)
    assert crafted.psnr_target > 25
    assert crafted.psnr_target_luma > 28
    assert crafted.psnr_blank > (1000 if grey else 20)
    exact = get_decoder("tensorflow:decode_jpeg+accurate")(crafted.data, (125, 125))
    np.testing.assert_array_equal(exact, crafted.shown)
    whole = np.broadcast_to(np.atleast_3d(crafted.shown), (125, 125, 3))
    np.testing.assert_array_equal(sr.decode(crafted.data, (25, 25)), sr.resize(whole, (25, 25)))
    found = sr.overshoot(crafted.data)
    assert found.suspicious
    assert found.beyond > 1500


@needs_coefficients
def test_a_blank_page_stays_blank_to_accurate_decoders():
    for name in ("pillow:open", "opencv:imdecode", "simplejpeg:decode_jpeg"):
        if DECODERS[name].installed:
            assert sr.attacks.craft_blank(picture("coffee", 64, grey=True), name).psnr_target < 15
    with pytest.raises(ValueError, match="unknown shade 'grey'; valid: white, black"):
        sr.attacks.craft_blank(picture("coffee", 64), shade="grey")


# The survey of decoders.


@needs_coefficients
@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
def test_the_survey_of_decoders(capsys):
    pytest.importorskip("rich")
    from secure_resize.cli import main

    assert main(["survey", "--decoders", "pillow:*", "--format", "json"]) == 1
    rows = {row["decoder"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert [rows[name]["verdict"] for name in rows] == ["decodes in full", *["vulnerable"] * 3]
    assert list(rows)[-1] == "pillow:jpeg2000+reduce"
    probed = rows["pillow:jpeg2000+reduce"]["cells"]
    assert [cell["gain_db"] for cell in probed.values()] == pytest.approx([6.2, 9.5, 11.3], abs=0.2)
    assert {cell["psnr_target"] for cell in probed.values()} == {None}
    assert rows["pillow:open"]["full_db"] == "inf"
    cell = rows["pillow:draft"]["cells"]["8"]
    assert cell["gain_db"] > 5
    assert cell["psnr_target"] >= 25
    assert main(["survey", "--decoders", "pillow:open"]) == 0
    out = capsys.readouterr().out
    assert "pillow:open" in out
    assert "decodes in full" in out
    assert main(["survey", "--decoders", "pillow:close"]) == 4
    assert "valid decoders: pillow:open" in capsys.readouterr().err
    assert main(["survey", "--decoders", "--format", "libraries"]) == 4
    assert "goes with no --format libraries" in capsys.readouterr().err


# Detection.


@needs_coefficients
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_crafted_files_are_told_from_honest_ones(factor, subsampling):
    for overshoot in (3_000, 380)[: 1 if factor == 2 else 2]:
        crafted = sr.attacks.craft_file(*pair(factor), "pillow:draft", subsampling=subsampling, overshoot=overshoot)
        found = sr.overshoot(crafted.data)
        assert found.suspicious, found
        assert found.levels[factor] > 50
        assert found.beyond > 300
        # What a full decode makes of it is an honest file again.
        assert not sr.overshoot(file_of(crafted.shown, quality=90, subsampling=subsampling)).suspicious


@needs_coefficients
@pytest.mark.parametrize("quality", [30, 60, 95])
def test_honest_files_are_not_suspicious(quality):
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (256, 256), "white")
    for k in range(16):
        ImageDraw.Draw(page).text((3 * k, 16 * k), "The quick brown fox jumps over the lazy dog" * 2, fill="black")
    noise = np.random.default_rng(0).choice([0, 255], (256, 256, 3)).astype(np.uint8)
    for image in (picture("astronaut", 256), picture("coffee", 256, grey=True), np.asarray(page), noise):
        for options in (
            {"subsampling": "4:4:4"},
            {"subsampling": "4:2:2"},
            {"subsampling": "4:2:0"},
            {"keep_rgb": True},
        ):
            if image.ndim == 3 or "subsampling" in options:
                found = sr.overshoot(file_of(image, quality=quality, **options))
                assert found.score < 0.7, found
    with PIL.fromarray(picture("astronaut", 256)) as rgb:
        file = io.BytesIO()
        rgb.convert("CMYK").save(file, "JPEG", quality=quality)
    assert sr.overshoot(file.getvalue()).score < 0.7


@needs_coefficients
def test_a_small_hidden_thing_is_found_where_it_is():
    source = picture("coffee", 256)
    with PIL.fromarray(source) as image:
        target = np.asarray(image.reduce(8)).copy()
    target[10:15, 20:25] ^= 0x80
    found = sr.overshoot(sr.attacks.craft_file(source, target, "pillow:draft", epsilon=1).data)
    assert found.suspicious
    assert np.abs(np.subtract(found.place, (80, 160))).max() <= 16


@needs_coefficients
def test_overshoot_is_what_scaled_decoders_show():
    """The largest difference, computed from the coefficients, is the one between two real decodes of a grey file."""
    crafted = sr.attacks.craft_file(*pair(8, grey=True), "pillow:draft")
    apart = (crafted.scaled.astype(float) - crafted.shown.reshape(16, 8, 16, 8).mean(axis=(1, 3))) ** 2
    windows = np.lib.stride_tricks.sliding_window_view(apart, (5, 5)).mean(axis=(2, 3))
    assert abs(np.sqrt(windows.max()) - sr.overshoot(crafted.data).levels[8]) < 1


@needs_coefficients
@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"no picture", file_of(np.zeros((8, 8), np.uint8))[:300]])
def test_overshoot_of_what_is_no_jpeg_file(data):
    with pytest.raises(ValueError, match="JPEG file"):
        sr.overshoot(data)
    with pytest.raises(TypeError, match="got ndarray"):
        sr.overshoot(np.zeros((8, 8)))
    with pytest.raises(FileNotFoundError):
        sr.overshoot("/nowhere/at/all.jpg")
    assert not sr.overshoot(file_of(np.zeros((1, 3), np.uint8))).suspicious


@needs_coefficients
def test_tall_files_are_looked_at_some_rows_at_a_time(monkeypatch):
    source = np.tile(picture("astronaut", 128), (11, 1, 1))[:1301]
    target = sr.resize(source, (163, 16)).copy()
    target[120:126, 3:9] ^= 0x80
    for subsampling in ("4:4:4", "4:2:0"):
        crafted = sr.attacks.craft_file(source, target, "pillow:draft", subsampling=subsampling)
        found = sr.overshoot(crafted.data)
        monkeypatch.setattr("secure_resize.measure.clipping._LOT", 4096)
        whole = sr.overshoot(crafted.data)
        monkeypatch.undo()
        assert found.suspicious
        assert found.levels == pytest.approx(whole.levels, rel=1e-3)
        assert (found.scale, found.place) == (whole.scale, whole.place)
        assert found.beyond == pytest.approx(whole.beyond, rel=1e-5)


def levels_by_definition(file, side):
    """What ``Overshoot.levels`` says of a scale, from every pixel of the picture."""

    def cut(values):
        values = np.clip(values, 0, 255)
        return np.clip(to_rgb(values), 0, 255) if file.ycc else values

    def means(values):
        rows, columns = (n // side for n in file.size)
        return values[: rows * side, : columns * side].reshape(rows, side, columns, side, -1).mean((1, 3))

    planes = []
    for one in file.components:
        plane = one.samples().repeat(one.step[0], axis=0).repeat(one.step[1], axis=1)
        planes.append(plane[: file.size[0], : file.size[1]].astype(np.float64))
    samples = np.stack(planes, axis=2)
    apart = ((cut(means(samples)) - means(cut(samples))) ** 2).mean(2)
    return np.sqrt(np.lib.stride_tricks.sliding_window_view(apart, (5, 5)).mean((2, 3)).max())


@needs_coefficients
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_only_where_something_is_cut_off_has_a_full_decode_other_means(subsampling, scale):
    source = picture("astronaut", 120)[:, :101]
    target = sr.resize(picture("coffee", 120), (-(-120 // scale), -(-101 // scale)))
    crafted = sr.attacks.craft_file(source, target, "pillow:draft", subsampling=subsampling)
    for data in (crafted.data, file_of(source), file_of(source[..., 0])):
        found, file = sr.overshoot(data), read(data)
        for side in (2, 4, 8):
            assert found.levels[side] == pytest.approx(levels_by_definition(file, side), abs=1e-2)


def oriented(data):
    """The file with an Exif directory that says that it is to be turned."""
    exif = PIL.Exif()
    exif[0x0112] = 6
    body = exif.tobytes()
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


@needs_coefficients
@pytest.mark.parametrize("side", [128, 512])  # smaller than what models are fed with, and not
def test_inspect_finds_a_crafted_file_and_not_the_same_picture(side, tmp_path):
    crafted = sr.attacks.craft_file(*pair(8, side=side), "pillow:draft")
    (tmp_path / "crafted.jpg").write_bytes(crafted.data)
    for options in ({}, {"size": (64, 64), "scaler": "pillow:bicubic"}):
        for file in (crafted.data, tmp_path / "crafted.jpg"):
            found = sr.inspect(file, **options)
            assert found.suspicious
            assert (found.detector, found.scaler) == ("overshoot", "")
            assert found.score >= found.threshold == 1
            assert found.size in ((side // 8, side // 8), (side // 4, side // 4))
            np.testing.assert_array_equal(found.hidden, DECODERS["pillow:draft"](crafted.data, found.size))
            assert min(found.box[2:]) >= 5
        assert not sr.inspect(file_of(crafted.shown, quality=90), **options).suspicious
        assert sr.inspect(crafted.shown, **options).detector != "overshoot"
    turned = sr.inspect(oriented(crafted.data))
    assert turned.suspicious
    assert turned.box is None


@needs_coefficients
def test_inspect_finds_what_inexact_decoders_alone_show():
    data = sr.attacks.craft_blank(picture("coffee", 64, grey=True), lambda data: np.zeros((64, 64), np.uint8)).data
    found = sr.inspect(data)
    assert (found.suspicious, found.detector) == (True, "overshoot")


def test_inspect_says_what_it_could_not_look_at(monkeypatch):
    def missing():
        raise ImportError("needs jpeglib")

    monkeypatch.setattr("secure_resize.measure.coefficients._jpeglib", missing)
    for side in (20, 400):
        found = sr.inspect(file_of(picture("astronaut", side), quality=91), (32, 32), scaler="opencv:linear")
        assert not found.suspicious
        assert "needs jpeglib" in found.note
    assert "jpeglib" not in sr.inspect(picture("chelsea", 400)).note


@needs_coefficients
def test_a_scan_finds_a_crafted_file_and_not_the_same_picture(tmp_path, capsys):
    pytest.importorskip("cyclopts")
    from secure_resize.cli import main

    crafted = sr.attacks.craft_file(*pair(8), "pillow:draft")
    for name, data in {"crafted": crafted.data, "honest": file_of(crafted.shown, quality=90)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jpg").write_bytes(data)
    for options in (["--size", "64x64", "--scaler", "pillow:bicubic"], ["--any"]):
        out = tmp_path / f"out{len(options)}"
        arguments = ["--engine", "here", "--format", "json", *options]
        assert main(["scan", str(tmp_path / "honest"), *arguments, "--out", str(out / "honest")]) == 0
        capsys.readouterr()
        assert main(["scan", str(tmp_path / "crafted"), *arguments, "--out", str(out / "crafted")]) == 1
        (finding,) = json.loads(capsys.readouterr().out)["findings"]
        assert finding["code"] == "SR401"
        assert "decoded by a decoder that scales" in finding["message"]
        assert finding["evidence"]["detector"] == "overshoot"
        assert list((out / "crafted").rglob("*.png"))
        page = (out / "crafted" / "report.html").read_text()
        assert "a decoder that scales makes of it at " in page


@needs_coefficients
def test_a_scan_says_which_coefficients_it_could_not_look_at(monkeypatch):
    from secure_resize.scan import Look

    def broken(data):
        raise ValueError("its coefficients cannot be read")

    monkeypatch.setattr("secure_resize.detect.file.overshoot", broken)
    (row,) = Look(size=(32, 32))([("a.jpg", file_of(picture("chelsea", 100), quality=92))])
    assert not row.suspicious
    assert [one.code for one in row.troubles] == ["SR406"]
    assert "cannot be read" in row.troubles[0].message


def test_a_jpeglib_without_the_newest_libjpeg_reads_the_same(monkeypatch):
    pytest.importorskip("jpeglib")
    file = io.BytesIO()
    PIL.fromarray(np.random.default_rng(3).integers(0, 256, (40, 56, 3), np.uint8)).save(file, "JPEG")
    newest = read(file.getvalue())
    monkeypatch.setattr("secure_resize.measure.coefficients._LIBJPEG", "turbo999")
    default = read(file.getvalue())
    for one, other in zip(newest.components, default.components, strict=True):
        assert np.array_equal(one.coefficients, other.coefficients)
