"""Finding attacked pictures: every detector's row, what an answer holds, and calibration."""

import json
from dataclasses import replace

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks.payload import local_trigger
from secure_resize.core.windows import line_energy, window_sums
from secure_resize.detect import (
    DETECTORS,
    Detector,
    Measured,
    Suspicion,
    Target,
    View,
    calibrate,
    examine,
    inspect,
    likely_targets,
    plausible_targets,
)
from secure_resize.detect.calibration import Calibration, cell_of, interval, shipped
from secure_resize.detect.fields import box_mean, energy, lines
from secure_resize.detect.phases import UNREAD, phases

pytestmark = pytest.mark.once

pytest.importorskip("cv2")
TARGET = Target("opencv:linear", (64, 64))
TARGET_16 = Target("opencv:linear", (16, 16))


@pytest.fixture(scope="module")
def source(photos):
    return np.ascontiguousarray(photos["astronaut.png"][100:356, 100:356])


@pytest.fixture(scope="module")
def other(photos):
    return sr.resize(np.ascontiguousarray(photos["coffee.png"][:384, :384]), (64, 64))


@pytest.fixture(scope="module")
def attacked(source, other):
    return sr.attacks.craft(source, other, TARGET.scaler, iterations=60).image


@pytest.mark.parametrize("method", ["strong", "strong_rms", "weak", "nearest", "least", "counter"])
@pytest.mark.parametrize("scaler", ["opencv:nearest", "pillow:nearest", "opencv:linear", "opencv:cubic"])
def test_every_attack_is_found_and_its_picture_shown(source, other, method, scaler):
    crafted = sr.attacks.craft(source, other, scaler, method=method, iterations=60)
    found = examine(crafted.image, [Target(scaler, (64, 64))])[0]
    assert found.suspicious
    assert found.p_value <= 0.001
    assert found.score >= found.threshold > 0
    assert sr.attacks.psnr(found.hidden, other) >= 25 or not crafted.reached
    assert (found.scaler, found.size) == (scaler, (64, 64))


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png", "page.png", "grass.png", "rocket.jpg"])
@pytest.mark.parametrize("scaler", ["opencv:nearest", "opencv:linear", "opencv:cubic", "opencv:lanczos4"])
def test_clean_pictures_are_not_found(photos, name, scaler):
    picture = photos[name]
    size = round(picture.shape[0] / 3.7), round(picture.shape[1] / 3.7)
    found = examine(picture, [Target(scaler, size)])[0]
    assert not found.suspicious
    assert found.p_value > 0.001


def test_a_picture_too_large_to_probe_a_scaler_with_is_looked_at(source, attacked, monkeypatch):
    """Only what averages need not be looked at, and whether it does can't be measured then."""
    monkeypatch.setattr("secure_resize.measure.blackbox.MAX_BYTES", 1000)
    found = examine(source[:251, :247], [Target("opencv:lanczos4", (63, 61))])[0]
    assert found.box is not None
    assert not found.note


def test_the_box_lies_on_the_trigger(source):
    wanted, (top, left, height, width) = local_trigger(sr.get_scaler(TARGET.scaler)(source, (64, 64)), place=(40, 20))
    crafted = sr.attacks.craft(source, wanted, TARGET.scaler, iterations=60)
    found = examine(crafted.image, [TARGET])[0]
    assert found.suspicious
    y, x, h, w = found.box
    assert y < 4 * (top + height)
    assert y + h > 4 * top
    assert x < 4 * (left + width)
    assert x + w > 4 * left
    assert h <= 40
    assert w <= 40


def test_the_box_holds_all_that_is_hidden(source):
    """Two words in opposite corners: the box reaches from one to the other, and not to the border."""
    wanted = sr.get_scaler(TARGET.scaler)(source, (64, 64)).copy()
    for rows in (slice(8, 18), slice(44, 54)):
        for cols in (slice(6, 28), slice(34, 57)):
            if (rows.start < 20) == (cols.start < 20):
                wanted[rows, cols] = np.where(wanted[rows, cols].mean() < 128, 230, 20)
    crafted = sr.attacks.craft(source, wanted, TARGET.scaler, iterations=60)
    found = examine(crafted.image, [TARGET])[0]
    assert found.suspicious
    top, left, height, width = found.box
    assert 4 * 4 <= top <= 9 * 4
    assert 2 * 4 <= left <= 9 * 4
    assert 52 * 4 <= top + height <= 58 * 4
    assert 54 * 4 <= left + width <= 61 * 4


@pytest.mark.parametrize("name", [name for name, row in DETECTORS.items() if row.reach is not None])
def test_what_a_row_reaches_holds_its_worst_window(source, attacked, name):
    row = DETECTORS[name]
    for picture in (source, attacked):
        view = View(picture, TARGET)
        one = row.measure(view)
        if one.score > 0:
            assert row.reach(view, one.score) == one.box
            top, left, height, width = row.reach(view, one.score / 2)
            assert top <= one.box[0]
            assert left <= one.box[1]
            assert top + height >= one.box[0] + one.box[2]
            assert left + width >= one.box[1] + one.box[3]


CALIBRATED = [name for name, row in DETECTORS.items() if row.fixed is None]


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_row_says_the_same_twice_and_more_of_an_attack(source, attacked, name):
    row = DETECTORS[name]
    first, again, clean = (row.measure(View(x, TARGET)) for x in (attacked, attacked.copy(), source))
    assert first == again
    assert np.isfinite(first.score)
    assert first.score > clean.score
    assert row.summary or row.measure.__doc__ or row.name.startswith(("phase", "difference"))


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_row_takes_the_smallest_output_that_it_says_and_flat_pictures(name):
    row = DETECTORS[name]
    for image in (np.full((64, 64, 3), 90, np.uint8), np.zeros((64, 64, 1), np.uint8)):
        found = row.measure(View(image, Target("opencv:linear", (row.smallest, row.smallest))))
        assert 0 <= found.score < 101
        assert np.isfinite(found.score)


def test_every_scaler_reads_where_its_closed_form_says(source):
    """What lies further on is read; the closed form and the library agree but for rounding and at the border."""
    for one, same in (("torch:bilinear", "opencv:linear"), ("tensorflow:nearest", "pillow:nearest")):
        pytest.importorskip("PIL")
        closed, library = (View(source, Target(name, (64, 32))) for name in (one, same))
        for rows, cols in ((0, 0), (1, -1), (-2, 2)):
            here, there = (view.shifted(rows, cols)[2:-2, 2:-2] for view in (closed, library))
            np.testing.assert_allclose(here, there, atol=1)  # roundings
        np.testing.assert_allclose(closed.aliasing[2:-2, 2:-2], library.aliasing[2:-2, 2:-2], atol=1)


def test_what_is_read_stands_out_by_what_was_hidden():
    """On a flat picture the phase is the change itself."""
    image = np.full((64, 64, 3), 100, np.uint8)
    image[::4, ::4] = 160
    view = View(image, Target("opencv:nearest", (16, 16)))
    known = phases(view)
    assert (known.read.lines == 2 * 60).all()
    assert (known.read.energy == 3 * 120**2).all()
    assert all((known.residual(place).lines[1:-1, 3:-3] == 0).all() for place in UNREAD)
    assert (view.difference == 56).all()  # 60 in one of 16 pixels


def test_the_certificate_is_no_more_than_what_is_hidden(source, other):
    """A picture whose means are the seen ones: flat parts, each output's own, alias by nothing but the border's."""
    flat = np.kron(sr.resize(source, (64, 64)), np.ones((4, 4, 1), np.uint8))
    made = sr.attacks.craft(flat, other, TARGET.scaler, method="counter", iterations=60).image
    bound = examine(made, [TARGET])[0].bound
    shown, clean = (sr.get_scaler(TARGET.scaler)(x, (64, 64)).astype(float) for x in (made, flat))
    windows = np.lib.stride_tricks.sliding_window_view((shown - clean) ** 2, (5, 5), (0, 1))
    assert 10 < bound <= np.sqrt(windows.mean((2, 3, 4)).max()) + 1
    assert examine(source, [TARGET])[0].bound < 10


def test_a_row_with_a_threshold_of_its_own_decides_beside_the_others(source, monkeypatch):
    def measure(view):
        return Measured(3.0, (1, 2, 5, 5)) if view.file else None

    monkeypatch.setitem(DETECTORS, "file", Detector("file", measure, True, fixed=(2.0, 1e-4)))
    assert not examine(source, [TARGET])[0].suspicious
    found = examine(source, [TARGET], file=b"bytes")[0]
    assert found.suspicious
    assert (found.detector, found.score, found.threshold, found.box) == ("file", 3.0, 2.0, (4, 8, 20, 20))
    assert found.p_value <= 1e-4


def test_the_size_is_recovered_from_the_spectrum(photos):
    source = sr.resize(photos["astronaut.png"], (700, 760))
    wanted = sr.resize(photos["coffee.png"], (224, 224))
    made = sr.attacks.craft(source, wanted, "opencv:linear", method="least").image
    found = inspect(made)
    assert found.suspicious
    assert found.size == (224, 224)
    odd = sr.resize(photos["coffee.png"], (177, 201))
    made = sr.attacks.craft(source, odd, "opencv:nearest", method="least").image
    targets, among = likely_targets(made)
    assert Target("opencv:nearest", (177, 201)) in targets
    assert among > len(targets)
    assert not inspect(source).suspicious


def test_arrays_of_any_layout_and_channels(attacked):
    grey = np.ascontiguousarray(attacked[..., 1])
    found = examine(grey, [TARGET])[0]
    assert found.suspicious
    assert found.hidden.shape == (64, 64)
    turned = np.asfortranarray(attacked)
    assert examine(turned, [TARGET])[0].to_dict() == examine(attacked, [TARGET])[0].to_dict()
    alpha = np.dstack([attacked, np.full(attacked.shape[:2], 255, np.uint8)])
    assert examine(alpha, [TARGET])[0].hidden.shape == (64, 64, 4)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((9, 9, 3)), TypeError, "uint8 array, got float64"),
        ([[1]], TypeError, "uint8 array, got list"),
        (np.zeros((3, 3, 3, 3), np.uint8), ValueError, r"shape \(H, W\) or \(H, W, C\)"),
        (np.zeros((0, 9), np.uint8), ValueError, "shape"),
        (np.zeros((9, 9, 5), np.uint8), ValueError, "1 to 4 channels"),
    ],
)
def test_bad_images_are_refused(image, error, message):
    with pytest.raises(error, match=message):
        examine(image, [TARGET])


def test_bad_arguments_are_refused(source):
    with pytest.raises(ValueError, match="unknown scaler 'opencv:liner'"):
        Target("opencv:liner", (8, 8))
    with pytest.raises(TypeError, match="size must be a pair"):
        Target("opencv:linear", 8)
    with pytest.raises(ValueError, match="at least one target"):
        examine(source, [])
    with pytest.raises(TypeError, match=r"Target\(scaler, size\), got tuple"):
        examine(source, [("opencv:linear", (8, 8))])
    with pytest.raises(ValueError, match="rate must lie between"):
        examine(source, [TARGET], rate=1)
    with pytest.raises(ValueError, match="unknown detector 'phase4'; valid detectors: phase3"):
        DETECTORS["phase4"]
    with pytest.raises(TypeError, match="exclude each other"):
        inspect(source, (8, 8), front_end="x")
    with pytest.raises(ValueError, match="unknown front end 'x'; valid front ends: "):
        inspect(source, front_end="x")
    with pytest.raises(ValueError, match="no picture that Pillow can read"):
        inspect(b"no picture")


def test_what_cannot_hide_anything_is_not_suspicious_and_says_why(source):
    for scaler in ("opencv:area", "secure_resize:area", "pillow:bicubic", "tensorflow:area"):
        if sr.SCALERS[scaler].library == "tensorflow":
            continue
        found = examine(source, [Target(scaler, (64, 64))])[0]
        assert not found.suspicious
        assert "averages all pixels" in found.note
    found = examine(source, [Target("opencv:linear", (512, 512))])[0]
    assert "not scaled down" in found.note
    assert found.p_value == 1


def test_the_rate_is_divided_among_the_targets(source, attacked):
    one = examine(attacked, [TARGET])[0]
    many = examine(attacked, [TARGET, *(Target("opencv:nearest", (60 + k, 60)) for k in range(3))])
    same = next(found for found in many if (found.scaler, found.size) == (TARGET.scaler, TARGET.size))
    assert same.p_value == pytest.approx(min(1, 4 * one.p_value))
    assert same.threshold > one.threshold
    assert [found.p_value for found in many] == sorted(found.p_value for found in many)


def test_an_answer_is_json(attacked):
    found = examine(attacked, [TARGET])[0]
    assert isinstance(found, Suspicion)
    table = json.loads(json.dumps(found.to_dict()))
    assert table["suspicious"] is True
    assert table["size"] == [64, 64]
    assert table["box"] == list(found.box)
    assert "hidden" not in table


def test_plausible_targets_are_smaller_than_the_picture():
    targets = plausible_targets((600, 800))
    assert Target("opencv:linear", (224, 224)) in targets
    assert Target("pillow:nearest", (224, 299)) in targets
    assert all(600 / one.size[0] >= 1.5 and 800 / one.size[1] >= 1.5 for one in targets)
    assert plausible_targets((300, 300)) == []
    assert plausible_targets((90, 90), sizes=[(30, 30)], scalers=["opencv:cubic"]) == [Target("opencv:cubic", (30, 30))]


def test_inspect_reads_files_as_they_are(tmp_path, attacked):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(attacked).save(path)
    for given in (attacked, path, str(path), path.read_bytes()):
        found = inspect(given, (64, 64), scaler="opencv:linear")
        assert found.suspicious
        assert found.size == (64, 64)
    front = inspect(np.kron(attacked, np.ones((4, 4, 1), np.uint8)), front_end="claude*")
    assert max(front.size) <= 2576
    small = inspect(np.full((200, 200, 3), 9, np.uint8))
    assert not small.suspicious
    assert "smaller than" in small.note


# Calibration.


def test_p_values_fall_with_the_score_and_thresholds_are_their_inverse():
    table = shipped()
    for name in table.detectors(TARGET, (256, 256)):
        scores = np.geomspace(1e-3, 1e9, 400)
        p_values = [table.p_value(name, TARGET, (256, 256), score) for score in scores]
        assert p_values == sorted(p_values, reverse=True)
        assert p_values[0] == 1
        for p_value in (0.1, 0.01, 1e-3, 1e-5):
            threshold = table.threshold(name, TARGET, (256, 256), p_value)
            assert table.p_value(name, TARGET, (256, 256), threshold) == pytest.approx(p_value, rel=1e-6)


def test_a_calibration_of_ones_own_is_saved_and_loaded(tmp_path, photos):
    rng = np.random.default_rng(0)
    picture = photos["chelsea.png"]
    places = rng.integers(0, 200, (45, 2))
    parts = [np.ascontiguousarray(picture[y : y + 96, x : x + 96]) for y, x in places]
    target = Target("opencv:linear", (24, 24))
    table = calibrate(parts, [target], source="a cat")
    table.save(tmp_path / "c.json")
    loaded = Calibration.load(tmp_path / "c.json")
    assert loaded.source == "a cat"
    assert loaded.pictures == {"linear 3.6": 45}
    assert loaded.save(tmp_path / "d.json") is None
    assert (tmp_path / "c.json").read_bytes() == (tmp_path / "d.json").read_bytes()
    assert not examine(parts[0], [target], calibration=loaded)[0].suspicious
    with pytest.raises(ValueError, match="not calibrated for opencv:nearest 24x24"):
        examine(parts[0], [Target("opencv:nearest", (24, 24))], calibration=loaded)
    with pytest.raises(ValueError, match="at least 40 pictures are needed of a scaler and a ratio, got 39"):
        calibrate(parts[:39], [target])
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no calibration"):
        Calibration.load(tmp_path / "c.json")


def test_the_shipped_calibration_covers_every_kind_and_ratio():
    table = shipped()
    for scaler in ("opencv:nearest", "opencv:linear", "opencv:cubic", "opencv:lanczos4"):
        for ratio in (1.6, 2.5, 3, 4, 6, 8, 12):
            assert cell_of(Target(scaler, (40, 40)), (round(40 * ratio),) * 2) in table.cells
    assert min(table.pictures.values()) >= 100


def test_intervals_are_clopper_and_pearsons():
    pytest.importorskip("scipy")
    assert interval(0, 5000) == (0.0, pytest.approx(1 - 0.025 ** (1 / 5000)))
    low, high = interval(5, 100)
    assert (round(low, 4), round(high, 4)) == (0.0164, 0.1128)
    assert interval(7, 7)[1] == 1


def test_windows_are_means():
    planes = np.random.default_rng(0).normal(size=(12, 14, 2)).astype(np.float32)
    for side in (3, 5, 7, 9, 11):
        windows = np.lib.stride_tricks.sliding_window_view(planes, (side, side), (0, 1))
        # float32 sums of up to 121 numbers
        np.testing.assert_allclose(box_mean(planes, side), windows.mean((3, 4)), atol=1e-6)


def test_windows_of_lines_of_16_bits_are_exact():
    planes = np.random.default_rng(0).choice([-510, 510], (14, 15, 3)).astype(np.int16)
    for image in (planes, np.full_like(planes, 510)):
        for side in (3, 5, 9):
            windows = np.lib.stride_tricks.sliding_window_view(image.astype(int), (side, side), (0, 1))
            sums = window_sums(lines(image), side, 3).reshape(windows.shape[0], -1, 3)
            assert (sums == windows.sum((3, 4))).all()
        assert (line_energy(lines(image), 3) == energy(image)).all()
        assert (energy(image) == np.square(image.astype(int)).sum(2)).all()


@pytest.mark.parametrize("name", [name for name, row in DETECTORS.items() if row.at_most])
def test_what_a_score_is_at_most_falls_and_is_never_less(source, attacked, photos, name):
    row = DETECTORS[name]
    page = np.ascontiguousarray(np.dstack([photos["page.png"]] * 3)[:190, :190])
    for image in (source, attacked, page, np.kron(page[:64, :64], np.ones((4, 4, 1), np.uint8))):
        for scaler in ("opencv:nearest", "opencv:linear"):
            for size in ((24, 24), (80, 79)):
                view = View(image, Target(scaler, size))
                bounds = list(row.at_most(view))
                assert bounds == sorted(bounds, reverse=True)
                assert bounds[-1] >= row.measure(view).score


def test_what_is_not_computed_changes_no_answer(source, attacked, photos, monkeypatch):
    images = [source, attacked, *(photos[name] for name in ("coffee.png", "grass.png", "page.png"))]
    quick = [examine(image, [TARGET])[0] for image in images]
    for name, row in list(DETECTORS.items()):
        monkeypatch.setitem(DETECTORS, name, replace(row, at_most=None))
    for one, image in zip(quick, images, strict=True):
        full = examine(image, [TARGET])[0]
        assert one.suspicious == full.suspicious
        if full.suspicious:
            assert one.to_dict() == full.to_dict()
        assert one.p_value <= full.p_value


@pytest.mark.parametrize(("by", "filter"), [(2, "NEAREST"), (4, "NEAREST"), (4, "BILINEAR"), (4, "BICUBIC")])
def test_enlarged_pictures_are_not_found_at_the_size_that_they_had(photos, by, filter):
    """What a scaler reads of them stands out, but is what a person sees."""
    pillow = pytest.importorskip("PIL.Image")
    for name in ("grass.png", "coffee.png", "page.png"):
        small = pillow.fromarray(np.dstack([photos[name]] * 3)[:96, :96, :3])
        large = np.asarray(small.resize((96 * by, 96 * by), pillow.Resampling[filter]))
        found = examine(large, [Target("opencv:linear", (96, 96))])[0]
        assert not found.suspicious, (name, found)


def test_the_kept_border_is_the_pictures_own():
    """Views of one size take turns: what one has continued by its border is not taken for another's."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2)]
    views = [View(image, TARGET_16) for image in images]
    for rows, cols in ((1, -1), (-2, 1)):
        for view, image in zip(views, images, strict=True):
            assert (view.shifted(rows, cols) == View(image, TARGET_16).shifted(rows, cols)).all()


def test_a_suspicion_prints_on_a_line():
    found = sr.inspect(np.zeros((64, 64, 3), np.uint8), (16, 16), scaler="opencv:linear")
    assert found.hidden.shape == (16, 16, 3)
    assert "\n" not in repr(found)
