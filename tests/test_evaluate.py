"""The evaluation: its pairs and verdicts, that it goes on where it stopped, its rates and curves, the command."""

import json
import math
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

import secure_resize as sr
from secure_resize import evaluate as ev
from secure_resize.attacks import ADAPTIVE, METHODS, craft
from secure_resize.cli import main
from secure_resize.evaluate import defenses, options, pairs, run, verdicts
from secure_resize.evaluate.records import Distance, Made, Record, Seen, Verdict
from secure_resize.measure.certificates import worst_change
from secure_resize.measure.quality import rms
from secure_resize.measure.scalers import SCALERS
from secure_resize.scaling import resize_unchecked

pytestmark = pytest.mark.once

pytest.importorskip("skimage")
pytest.importorskip("cv2")

SMALL = {"pairs": 3, "size": (16, 16), "scalers": ("opencv:linear",)}


@pytest.fixture(scope="module")
def images():
    (pair,) = ev.draw_pairs(["astronaut.png", "chelsea.png"], 1, seed=0, ratios=["4"], size=(24, 24))
    return pair, *ev.pair_images(pair, None)


@pytest.fixture
def defense_registry():
    before = dict(ev.DEFENSES)
    yield ev.DEFENSES
    ev.DEFENSES.clear()
    ev.DEFENSES.update(before)


# Pairs.


def test_pairs_are_distinct_pictures_and_repeatable():
    drawn = ev.draw_pairs(list("abcd"), 30, seed=3, ratios=["2-3", "5"], size=(20, 30))
    assert drawn == ev.draw_pairs(list("abcd"), 30, seed=3, ratios=["2-3", "5"], size=(20, 30))
    assert drawn[:7] == ev.draw_pairs(list("abcd"), 7, seed=3, ratios=["2-3", "5"], size=(20, 30))
    assert drawn != ev.draw_pairs(list("abcd"), 30, seed=4, ratios=["2-3", "5"], size=(20, 30))
    # Each of the 12 ordered pairs twice before any comes three times.
    assert set(Counter((pair.source, pair.target) for pair in drawn[:24]).values()) == {2}
    assert all(pair.source != pair.target for pair in drawn)
    assert [pair.ratio for pair in drawn[:4]] == ["2-3", "5", "2-3", "5"]


@pytest.mark.parametrize("text", [*ev.PAPER_RATIOS, "4", "2.5", "4x1", "1x3", "2-3x4-5"])
def test_ratios_hold_what_they_say(text):
    ratio = pairs.parse_ratio(text)
    for pair in ev.draw_pairs(["a", "b"], 40, seed=1, ratios=[text], size=(50, 70)):
        for side, out, (low, high) in zip(pair.in_size, pair.out_size, (ratio.rows, ratio.cols), strict=True):
            assert round(low * out) <= side <= round(high * out)
    if ratio.shared:
        assert abs(pair.in_size[0] / 50 - pair.in_size[1] / 70) < 0.02  # each side was rounded on its own


@pytest.mark.parametrize("text", ["", "x", "4x", "3-2", "0.5", "1000", "four", "4-", "2-3-4", "4x4x4"])
def test_bad_ratios_are_refused(text):
    with pytest.raises(ValueError, match="expected a number such as 4, a bin such as 2-3"):
        pairs.parse_ratio(text)


def test_bins_are_drawn_uniformly():
    ratio = pairs.parse_ratio("5-7.5")
    rng = np.random.default_rng(0)
    drawn = [ratio.draw(rng)[0] for _ in range(2000)]
    assert stats.kstest(drawn, stats.uniform(5, 2.5).cdf).pvalue > 0.01
    apart = pairs.parse_ratio("2-3x2-3")
    rows, cols = zip(*(apart.draw(rng) for _ in range(500)), strict=True)
    assert abs(np.corrcoef(rows, cols)[0, 1]) < 0.2


def test_pictures_are_cut_and_never_squashed():
    """A disc stays round, whatever the picture's shape."""
    y, x = np.mgrid[:300, :500]
    picture = np.repeat(np.where((y - 150) ** 2 + (x - 250) ** 2 < 100**2, 255, 0).astype(np.uint8)[..., None], 3, 2)
    image = pairs.brought_to(picture, (60, 60), 0.5)[..., 0] > 127
    rows, cols = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert abs(len(rows) - 40) <= 1
    assert abs(len(cols) - 40) <= 1
    assert np.array_equal(pairs.brought_to(picture, (300, 300), 0.0), picture[:, :300])
    assert np.array_equal(pairs.brought_to(picture, (300, 300), 1.0), picture[:, -300:])


def test_pictures_come_from_a_folder(tmp_path):
    from PIL import Image

    with pytest.raises(ValueError, match="is no folder"):
        ev.draw_pairs(pairs.picture_names(tmp_path / "gone"), 1, seed=0, ratios=["4"], size=(8, 8))
    Image.fromarray(np.full((40, 60), 90, np.uint8)).save(tmp_path / "grey.PNG")
    with pytest.raises(ValueError, match="holds 1 pictures"):
        pairs.picture_names(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    assert pairs.picture_names(tmp_path) == ["broken.jpg", "grey.PNG"]
    assert pairs.load_picture(tmp_path, "grey.PNG").shape == (40, 60, 3)
    with pytest.raises(ValueError, match=r"cannot read the picture .*broken\.jpg"):
        pairs.load_picture(tmp_path, "broken.jpg")


def test_scikit_images_photographs_are_there():
    for name in pairs.picture_names(None):
        assert min(pairs.load_picture(None, name).shape[:2]) >= 300


# Defenses and verdicts.


def test_defenses_are_what_they_say(images):
    pair, source, _ = images
    scaler, key = SCALERS["opencv:linear"], b"k" * 32
    outputs = {name: defense(source, pair.out_size, scaler, key) for name, defense in ev.DEFENSES.items()}
    assert set(outputs) == {"none", *sr.KERNELS, "median", "random"}
    assert np.array_equal(outputs["none"], scaler(source, pair.out_size))
    for kernel in sr.KERNELS:
        assert np.array_equal(outputs[kernel], resize_unchecked(source, pair.out_size, kernel=kernel))
    for method, own in (("median", {}), ("random", {"key": key})):
        expected = sr.reconstruct_resize(source, pair.out_size, scaler="opencv:linear", method=method, **own)
        assert np.array_equal(outputs[method], expected)


def test_the_registry_refuses_duplicates_and_names_what_it_has(defense_registry):
    with pytest.raises(ValueError, match="'area' is already registered; registered defenses: none, area"):
        ev.register_defense("area")(lambda image, size, scaler, key: image)
    with pytest.raises(ValueError, match="unknown defense 'areas'; valid defenses: none, area"):
        ev.DEFENSES["areas"]


@pytest.mark.parametrize("name", [name for name in ev.DEFENSES if name not in ("median", "random")])
@pytest.mark.parametrize("in_size", [(96, 96), (107, 61), (60, 24)])
def test_linear_defenses_keep_their_bound(name, in_size):
    """On noise, on the change that OpenCV's linear amplifies most, and on one that nothing averages out."""
    scaler, size, rng = SCALERS["opencv:linear"], (24, 24), np.random.default_rng(0)
    linear = ev.DEFENSES[name].linear(scaler, in_size, size)
    worst = worst_change(sr.probe(scaler, in_size, size))[0][..., None]
    base = np.full((*in_size, 3), 128, np.uint8)
    for change in (rng.integers(-60, 60, base.shape), worst / np.abs(worst).max() * 100, 40):
        attack = (base + np.round(change)).astype(np.uint8)
        moved = rms(*(ev.DEFENSES[name](image, size, scaler, b"") for image in (base, attack)))
        assert moved <= linear.gain * rms(base, attack) + 2 * linear.rounding
    assert moved == 40


def test_the_verdict_by_hand():
    """Grey images a known number of levels apart, through a map of gain 1."""
    source, target = np.full((16, 16, 3), 100, np.uint8), np.full((8, 8, 3), 200, np.uint8)
    attack, seen = source + 40, np.full((8, 8, 3), 190, np.uint8)
    clean = np.full((8, 8, 3), 100, np.uint8)
    found = ev.judge(source, target, attack, clean=clean, seen=seen, linear=ev.Linear(1.0, 0.5))
    assert found.psnr_source == found.psnr_source_luma == round(20 * math.log10(255 / 40), 4)
    assert found.psnr_target == found.psnr_target_luma == round(20 * math.log10(255 / 10), 4)
    assert found.share == 0.9
    assert (found.reached, found.hidden, found.success, found.certified) == (True, True, True, True)
    # The output moved by 90 levels and the source by 40: with gain 1 that is a lie, and the pair was certified.
    assert found.bound_db == round(20 * math.log10(255 / 89), 4)
    # A change of luma by 85.7 levels is cheapest along its weights: 85.7 / 1.158 levels in RGB.
    gain = math.sqrt(3 * (0.299**2 + 0.587**2 + 0.114**2))
    assert found.certified_db == round(20 * math.log10(255 / ((100 - 255 * 10**-1.25) / gain - 1)), 4)
    assert found.broken_certificate
    honest = ev.judge(source, target, attack, clean=clean, seen=clean + 40, linear=ev.Linear(1.0, 0.5))
    assert not honest.broken_certificate
    amplified = ev.judge(source, target, attack, clean=clean, seen=seen, linear=ev.Linear(3.0, 0.5))
    assert (amplified.success, amplified.certified, amplified.broken_certificate) == (True, False, False)
    unknown = ev.judge(source, target, attack, clean=clean, seen=seen, linear=None)
    assert unknown.bound_db is None
    assert unknown.success
    assert not unknown.broken_certificate


def test_a_picture_that_is_plain_in_luma_is_reached():
    """Other colours of the same luma: 17 dB to the target in RGB, and the picture is there."""
    rng = np.random.default_rng(0)
    target = np.repeat(rng.integers(60, 196, (24, 24, 1), np.uint8), 3, axis=2)
    seen = target + np.array([40, -40 * 299 / 587, 0]).round().astype(np.int8).view(np.uint8)
    clean, source = np.full_like(target, 128), np.full((96, 96, 3), 128, np.uint8)
    found = ev.judge(source, target, source, clean=clean, seen=seen, linear=None)
    assert found.psnr_target < 20 < 45 < found.psnr_target_luma
    assert found.reached
    assert found.share > 0.8


def test_the_negative_of_a_target_is_a_negative_share():
    rng = np.random.default_rng(0)
    target, clean = rng.integers(0, 256, (24, 24, 3), np.uint8), np.full((24, 24, 3), 128, np.uint8)
    seen = (clean - 0.2 * (target.astype(float) - clean)).round().astype(np.uint8)
    source = np.full((96, 96, 3), 128, np.uint8)
    found = ev.judge(source, target, source, clean=clean, seen=seen, linear=None)
    assert found.share == pytest.approx(-0.2, abs=0.01)
    assert not found.reached
    assert ev.judge(source, target, source, clean=clean, seen=clean, linear=None).share == 0


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_certified_pair_cannot_be_reached_in_luma_either(seed):
    """The cheapest attack through a map of gain 1: each pixel's luma moved along the weights, to exactly 25 dB."""
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    target = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    weights = np.array([0.299, 0.587, 0.114])
    away = target @ weights - clean @ weights
    size = np.sqrt((away**2).mean())
    change = (1 - min(1, 255 * 10**-1.25 / size)) * away[..., None] * weights / (weights @ weights)
    (cost,) = [np.sqrt((change**2).mean())]  # what that costs in RGB, if nothing clips
    found = ev.judge(clean, target, clean, clean=clean, seen=clean, linear=ev.Linear(1.0, 0.0))
    assert 255 * 10 ** (-found.certified_db / 20) <= cost * (1 + 1e-4)


@pytest.mark.parametrize(
    ("away", "needs_hiding", "near"), [(45, False, False), (46, True, True), (66, True, True), (67, True, False)]
)
def test_pairs_by_how_far_they_lie(away, needs_hiding, near):
    """255 · 10^(-15/20) = 45.3 levels, 1.158 as many in luma; a blend may leave 255 · 10^(-25/20) = 14.3 of them."""
    flat = np.zeros((8, 8, 3), np.uint8)
    found = verdicts.distance(flat, flat + away)
    assert (found.needs_hiding, found.near) == (needs_hiding, near)


def test_a_near_pair_is_solved_by_a_blend_even_through_area():
    source, target = np.zeros((32, 32, 3), np.uint8), np.full((8, 8, 3), 55, np.uint8)
    attack = np.full_like(source, 42)
    seen, clean = (sr.resize(image, (8, 8)) for image in (attack, source))
    found = ev.judge(source, target, attack, clean=clean, seen=seen, linear=ev.Linear(1.0, 0.51))
    apart = verdicts.distance(clean, target)
    assert (found.success, apart.near, found.certified, found.broken_certificate) == (True, True, False, False)
    assert not ev.alarms([replace(made_up(), distance=apart, verdict=found)])


HEAD = {
    "pair": 0,
    "source": "a",
    "target": "b",
    "ratio": "4",
    "in_size": (64, 64),
    "out_size": (16, 16),
    "scaler": "opencv:linear",
    "version": "5",
    "attack": "strong",
    "knows": "",
    "told_key": False,
    "budget": None,
    "defense": "area",
    "error": "",
}
APART = {"psnr_before": 9.0, "psnr_before_luma": 9.0, "needs_hiding": True, "near": False}
VERDICT = {field.name: None for field in fields(Verdict)} | {"psnr_source": 20.0, "share": 0.0, "certified": False}
VERDICT |= {"reached": True, "success": True, "broken_certificate": False, "is_estimate": False}


def made_up(**changes):
    """A record in which ``changes`` stand wherever they belong; ``error`` leaves out the verdict."""
    parts = [{k: changes.get(k, v) for k, v in part.items()} for part in (HEAD, APART, VERDICT)]
    assert changes.keys() <= {*HEAD, *APART, *VERDICT}
    return Record(**parts[0], distance=Distance(**parts[1]), verdict=None if parts[0]["error"] else Verdict(**parts[2]))


def test_records_survive_being_written():
    full = made_up(budget=0.5, knows="median", source="a\udcff.png", psnr_target_luma=30.5)
    full = replace(full, made=Made(1.0, 3, True, 0.9), seen=Seen("target", "source", "target"))
    for record in (full, made_up(error="cannot")):
        line = record.line()
        assert line.isascii()
        assert Record.of_line(line) == record


def test_equal_images_and_local_changes():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3), np.uint8)
    assert ev.judge(image, image, image, clean=image, seen=image, linear=None).psnr_source == verdicts.SAME_DB
    patched = image.copy()
    patched[7:12, 11:16] = image[7:12, 11:16] ^ 128
    change = patched.astype(int) - image
    brute = max(np.abs(change[y : y + 5, x : x + 5].mean(axis=(0, 1))).mean() for y in range(16) for x in range(26))
    assert verdicts.most_moved(patched, image)[0] == pytest.approx(brute)
    assert verdicts.most_moved(image[:3, :3] // 2 + 9, image[:3, :3] // 2)[0] == 9
    assert verdicts.similarity(image, image) == 1
    assert verdicts.similarity(image[:5], image[:5]) is None
    with pytest.raises(ValueError, match="one shape"):
        rms(image, image[1:])


# The loop.


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory):
    """Everything there is, on small images; in a process of its own."""
    small = {**SMALL, "pairs": 2, "size": (12, 12)}
    chosen = ev.Options(**small, attacks=tuple(METHODS), adaptive=True, budgets=(0.5, 1.0), ratios=("4", "3-4"))
    out = tmp_path_factory.mktemp("adaptive")
    return chosen, out, ev.evaluate(chosen, out)


@pytest.mark.slow
def test_every_attack_runs_through_what_it_should(adaptive):
    chosen, _, records = adaptive
    seen = {(r.attack, r.knows, r.told_key, r.defense) for r in records if r.scaler == "opencv:linear"}
    assert {(method, "", False, name) for method in METHODS for name in ev.DEFENSES} <= seen
    for name, attack in ADAPTIVE.items():
        assert (name, attack.knows, name == "replay", attack.knows) in seen
    for kernel in sr.KERNELS:
        own = {r.attack for r in records if r.scaler == f"secure_resize:{kernel}"}
        assert own == {"strong", "strong_rms", *(("area_l0", "area_l1", "area_l2") if kernel == "area" else ())}
    assert {r.budget for r in records if r.knows in ("median", "random") and not r.told_key} == {0.5, 1.0}
    assert {r.budget for r in records if r.told_key} == {1.0}
    assert [r.key for r in records] == list(chain(*(job.keys() for job in ev.jobs_of(chosen.resolved()))))
    for record in records:
        assert record.error == "" or record.attack != "strong"
        assert record.version == SCALERS[record.scaler].version


def test_what_it_finds(adaptive):
    _, _, records = adaptive
    assert not ev.alarms(records)
    assert not any(record.verdict and record.verdict.broken_certificate for record in records)
    proved = {r.defense for r in records if r.verdict and r.verdict.gain_db is not None and not r.verdict.is_estimate}
    assert proved >= set(sr.KERNELS)
    assert all(r.verdict.is_estimate for r in records if r.defense == "none" and r.verdict)  # OpenCV's, probed
    strong = [record for record in records if (record.attack, record.knows) == ("strong", "")]
    assert all(record.verdict.reached for record in strong if record.defense == "none")
    assert not any(
        record.verdict.reached for record in strong if record.defense in sr.KERNELS and record.distance.needs_hiding
    )
    known = [record for record in records if record.scaler == "secure_resize:area" and record.attack == "strong"]
    assert all(record.verdict.reached for record in known)  # an attack that may be seen reaches everything
    assert not any(record.verdict.success for record in known if record.verdict.certified)


def test_success_rises_with_the_budget_to_all_pairs(adaptive):
    """What an attack must show to be believed: half the budget reaches no more than all of it, and that reaches all."""
    budgeted = [result for result in ev.summarise(adaptive[2]) if result.budget_curve()]
    assert {result.attack for result in budgeted} == set(ADAPTIVE)
    for result in budgeted:
        shares = [reached.share for _, reached, _ in result.budget_curve()]
        assert shares == sorted(shares), result.attack
        assert shares[-1] == 1, result.attack
    assert any(result.budget_curve()[0][1].share == 0 for result in budgeted)  # or the budgets say nothing


def test_a_key_that_is_told_breaks_the_random_filter(adaptive):
    """The replay succeeds on pairs on which the best attack without the key does not, and shows much less."""
    told, best = (
        [result for result in ev.summarise(adaptive[2]) if result.attack == name]
        for name in ("replay", "expectation_random")
    )
    assert len(told) == len(best) == 2
    for known, secret in zip(told, best, strict=True):
        assert known.told_key
        assert known.success == ev.Rate(known.pairs, known.pairs)
        assert known.median_best > secret.median_best + 1


def test_the_records_are_what_craft_and_the_library_give(tmp_path):
    (record,) = ev.evaluate(
        ev.Options(pairs=1, size=(16, 16), scalers=("opencv:linear",), defenses=("none",)), tmp_path, jobs=0
    )
    (pair,) = ev.draw_pairs(pairs.picture_names(None), 1, seed=0, ratios=["4"], size=(16, 16))
    source, target = ev.pair_images(pair, None)
    crafted = craft(source, target, "opencv:linear", epsilon=options.EPSILONS)
    assert record.verdict.psnr_source == pytest.approx(crafted.psnr_source, abs=1e-4)
    assert record.verdict.psnr_target == pytest.approx(crafted.psnr_target, abs=1e-4)
    assert record.made.epsilon == crafted.epsilon
    assert ev.read_records(tmp_path / "records.jsonl") == [record]


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    chosen = ev.Options(**SMALL, defenses=("none", "area", "random"), attacks=("strong", "nearest"))
    whole = ev.evaluate(chosen, tmp_path / "whole")
    expected = (tmp_path / "whole" / "records.jsonl").read_bytes()

    def killed(job, *, after=[]):  # noqa: B006
        after.append(job)
        if len(after) > 2:
            raise KeyboardInterrupt
        return run_job(chosen.resolved(), job)

    run_job = run.run_job
    monkeypatch.setattr(run, "run_job", lambda asked, job, *, model: killed(job))
    with pytest.raises(KeyboardInterrupt):
        ev.evaluate(chosen, tmp_path / "cut", jobs=0)
    monkeypatch.undo()
    file = tmp_path / "cut" / "records.jsonl"
    assert len(file.read_bytes()) > 0
    assert expected.startswith(file.read_bytes())
    # A line cut short, and whole lines of a job that was not finished.
    lines = expected.split(b"\n")
    for left in (expected[:-40], b"\n".join(lines[:9]) + b"\n", b"\n".join(lines[:7]) + b"\n" + lines[7][:30], b""):
        file.write_bytes(left)
        done = []
        monkeypatch.setattr(run, "run_job", lambda o, job, *, model: done.append(job) or run_job(o, job))  # noqa: B023
        assert ev.evaluate(chosen, tmp_path / "cut", jobs=0) == whole
        monkeypatch.undo()
        assert file.read_bytes() == expected
        assert len(done) == 3 - left.count(b"\n") // 6
    assert ev.evaluate(chosen, tmp_path / "cut", jobs=0) == whole  # nothing is left to do
    assert file.read_bytes() == expected


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(tmp_path):
    chosen = ev.Options(pairs=4, size=(16, 16), scalers=("opencv:linear", "secure_resize:area"), defenses=("random",))
    ev.evaluate(chosen, tmp_path / "none", jobs=0)
    ev.evaluate(chosen, tmp_path / "two", jobs=2)
    assert (tmp_path / "none/records.jsonl").read_bytes() == (tmp_path / "two/records.jsonl").read_bytes()


def test_other_options_are_refused_by_name(tmp_path):
    chosen = ev.Options(**SMALL, defenses=("none",))
    ev.evaluate(chosen, tmp_path, jobs=0)
    before = (tmp_path / "records.jsonl").read_bytes()
    other = ev.Options(**SMALL, defenses=("none",), seed=1)
    with pytest.raises(ValueError, match="was made with seed = 0, now it is 1"):
        ev.evaluate(other, tmp_path, jobs=0)
    made = json.loads((tmp_path / "options.json").read_text())
    made["versions"]["cv2"] = "opencv-python-headless 1.0"
    (tmp_path / "options.json").write_text(json.dumps(made))
    with pytest.raises(ValueError, match=r"made with versions = .*opencv-python-headless 1\.0"):
        ev.evaluate(chosen, tmp_path, jobs=0)
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_a_damaged_file_is_named(tmp_path):
    good = made_up().line()
    for broken in ("nonsense", "[]", '{"pair": 0}', "caf\u00e9", good[:-3]):
        (tmp_path / "records.jsonl").write_text(f"{good}{broken}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"records\.jsonl, line 2 is no record"):
            ev.read_records(tmp_path / "records.jsonl")
    (tmp_path / "records.jsonl").write_text(good + good[:30])
    assert ev.read_records(tmp_path / "records.jsonl") == [made_up()]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_broken_settings_are_named(content, tmp_path, capsys):
    (tmp_path / "options.json").write_text(content)
    assert main([*COMMAND, "--jobs", "0", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'options.json'} holds no settings of a run" in line


def test_two_runs_in_one_folder_do_not_mix(tmp_path, capsys):
    fcntl = pytest.importorskip("fcntl")
    assert main([*COMMAND, "--jobs", "0", "--out", str(tmp_path)]) == 0
    before = (tmp_path / "records.jsonl").read_bytes()
    with open(tmp_path / "records.jsonl", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        capsys.readouterr()
        assert main([*COMMAND, "--jobs", "0", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"another run is writing into {tmp_path}" in line
    assert (tmp_path / "records.jsonl").read_bytes() == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys, time\nfrom secure_resize.workers import pool\n"
        "if __name__ == '__main__':\n"
        "    workers = pool(2)\n"
        "    [workers.submit(time.sleep, 600) for _ in range(2)]\n"
        "    while len(workers._processes) < 2 or not workers.submit: time.sleep(0.05)\n"
        "    print(*workers._processes, flush=True)\n"
        "    time.sleep(600)\n"
    )
    (tmp_path / "parent.py").write_text(code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert len(workers) == 2
    time.sleep(2)  # they have started by then
    assert all(Path(f"/proc/{number}").exists() for number in workers)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not any(running(number) for number in workers):
            return
        time.sleep(0.05)
    raise AssertionError("the workers outlive their parent")


def running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"attacks": ("strongest",)}, "unknown attack method 'strongest'; valid attack methods: strong"),
        ({"defenses": ("mean",)}, "unknown defense 'mean'; valid defenses: none"),
        ({"scalers": ("opncv:*",)}, "no scaler matches"),
        ({"ratios": ("big",)}, "unknown ratio 'big'"),
        ({"pairs": 0}, "at least 1"),
        ({"seed": -1}, "seed must be"),
        ({"epsilons": (5, 1)}, "epsilons must be rising"),
        ({"budgets": (0.5, 1.5)}, "budgets must be rising numbers above 0 and up to 1"),
        ({"size": (0, 4)}, "height must lie between"),
    ],
)
def test_bad_options_are_refused(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ev.evaluate(ev.Options(**{**SMALL, **wrong}), tmp_path, jobs=0)
    with pytest.raises(ValueError, match="jobs must be"):
        ev.evaluate(ev.Options(**SMALL), tmp_path, jobs=-1)


def test_a_broken_defense_is_reported_as_broken(tmp_path, defense_registry):
    """One that calls the scaler and claims to be linear with no stealth gain."""
    ev.register_defense("broken", linear=lambda scaler, in_size, out_size: ev.Linear(1.0, 0.51))(
        lambda image, size, scaler, key: scaler(image, size)
    )
    chosen = ev.Options(**{**SMALL, "scalers": ("opencv:nearest",)}, defenses=("none", "area", "broken"))
    records = ev.evaluate(chosen, tmp_path, jobs=0)
    undefended, area, broken = ev.summarise(records)
    assert broken.success == undefended.success == ev.Rate(broken.pairs, broken.pairs)
    assert area.success.count == 0
    found = ev.alarms(records)
    assert len(found) >= broken.pairs > 0
    assert all(line.startswith("CERTIFICATE BROKEN") and "through broken" in line for line in found)


def test_the_default_that_shows_a_hidden_picture_raises_the_alarm(adaptive):
    _, _, records = adaptive
    shown = next(r for r in records if r.defense == "none" and r.verdict.success and r.distance.needs_hiding)
    shown = replace(shown, distance=replace(shown.distance, near=False))
    assert not ev.alarms([shown])
    (line,) = ev.alarms([replace(shown, defense="area")])
    assert line.startswith("HIDDEN PICTURE SHOWN, strong on the scaler through area (opencv:linear)")


# Rates and curves.


@pytest.mark.parametrize(("count", "total"), [(0, 600), (3, 40), (20, 40), (600, 600), (1, 1)])
def test_intervals(count, total):
    """Clopper and Pearson's ends are those quantiles of beta distributions."""
    low, high = ev.Rate(count, total).interval
    assert low == pytest.approx(stats.beta.ppf(0.025, count, total - count + 1) if count else 0)
    assert high == pytest.approx(stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1)


def test_the_interval_by_hand():
    """None of 600: 1 - 0.025^(1/600) = 0.61 %."""
    assert ev.Rate(0, 600).interval == (0, pytest.approx(1 - 0.025 ** (1 / 600)))
    assert str(ev.Rate(0, 600)) == "0.0 [0, 0.613]"
    assert str(ev.Rate(0, 0)) == "-"
    assert ev.Rate(0, 0).interval is None


def test_rates_count_each_pair_once_and_leave_out_the_alike():
    missed, hidden, shown, plain = (
        {"reached": reached, "success": success, "psnr_source": psnr, "certified": psnr < 13}
        for reached, success, psnr in [
            (False, False, 40.0),
            (True, True, 18.0),
            (True, False, 12.0),
            (True, False, 9.0),
        ]
    )
    made = [
        made_up(pair=0, budget=0.5, **missed),
        made_up(pair=0, budget=1.0, **hidden),
        made_up(pair=1, budget=0.5, **missed),
        made_up(pair=1, budget=1.0, **shown),
        made_up(pair=2, budget=0.5, needs_hiding=False, **plain),
        made_up(pair=3, budget=0.5, error="cannot"),
        made_up(pair=4, budget=0.5, near=True, **shown | {"success": True, "psnr_source": 15.5}),
    ]
    (result,) = ev.summarise(made)
    assert (result.pairs, result.alike, result.failed) == (3, 1, 1)
    assert result.reached == ev.Rate(3, 3)
    assert result.success == ev.Rate(2, 3)
    assert result.success_far == ev.Rate(1, 2)
    assert result.success_possible == ev.Rate(1, 2)
    assert result.success_at(15.6) == ev.Rate(1, 3)
    assert result.median_best == 15.5
    assert [(b, o1.count, o1.total, s1.count) for b, o1, s1 in result.budget_curve()] == [
        (0.5, 1, 3, 1),
        (1.0, 2, 2, 1),
    ]
    curve = dict(result.visibility_curve())
    assert (curve[18], curve[15], curve[12]) == (1 / 3, 2 / 3, 1)


def test_feasible_ratios_are_pooled_by_what_each_pair_has():
    """Linear from 4 on and nearest from 3, on both axes; what is defended, antialiased or knows a defense stays out."""
    made = []
    for pair, (in_size, changes) in enumerate(
        [
            ((63, 80), {}),  # 3.9 on one axis
            ((64, 64), {}),
            ((90, 80), {"ratio": "5-7.5", "success": False, "certified": True}),
            ((90, 80), {"ratio": "5-7.5", "success": False}),
            ((64, 64), {"needs_hiding": False}),
            ((50, 50), {"scaler": "torch:nearest", "ratio": "3-4"}),
            ((40, 40), {"scaler": "torch:nearest", "ratio": "2-3"}),
            ((90, 90), {"scaler": "opencv:lanczos4", "ratio": "5-7.5"}),
            ((79, 90), {"scaler": "opencv:lanczos4", "ratio": "4-5"}),
            ((90, 90), {"defense": "area"}),
            ((90, 90), {"scaler": "pillow:bicubic"}),
            ((90, 90), {"scaler": "secure_resize:area", "knows": "area"}),
        ]
    ):
        made.append(made_up(**{"pair": pair, "in_size": in_size, "defense": "none"} | changes))
    found = {(one.scaler, one.ratio): one for one in ev.feasible(ev.summarise(made))}
    assert {key: one.success for key, one in found.items()} == {
        ("opencv:linear", "from 4"): ev.Rate(1, 3),
        ("torch:nearest", "from 3"): ev.Rate(1, 1),
        ("opencv:lanczos4", "from 5"): ev.Rate(1, 1),
    }
    assert found["opencv:linear", "from 4"].success_possible == ev.Rate(1, 2)


def test_curves_rise_as_the_attack_may_show(adaptive):
    for result in ev.summarise(adaptive[2]):
        x, y = zip(*result.visibility_curve(), strict=True)
        assert list(x) == sorted(x, reverse=True)
        assert list(y) == sorted(y)
        assert y[-1] == (result.reached.share or 0)


# Output, and the command.


def test_the_formats(adaptive):
    chosen, out, records = adaptive
    results, chosen_settings = ev.summarise(records), ev.described(chosen, out)
    table = ev.FORMATS["table"](results, chosen_settings)
    line = next(x for x in table.splitlines() if x.startswith("opencv:linear") and " strong " in x)
    assert line.split()[1] == "4"
    assert "0 broken" in table
    assert "seed 0; numpy" in table
    markdown = ev.FORMATS["markdown"](results, chosen_settings)
    for part in markdown.split("\n\n"):
        if part.startswith("|"):
            assert len({x.count("|") for x in part.splitlines()}) == 1
    brief = ev.FORMATS["brief"](results, chosen_settings)
    for text in (table, markdown, brief):
        assert "S1 where possible" in text
    assert "| `opencv:linear` | strong | from 4 | " in brief
    # All ratios of an attack that knows its defense in one line.
    told = [line for line in brief.splitlines() if "told the key" in line]
    assert [line.split(" | ")[:4] for line in told] == [["| random", "`opencv:linear`", "replay, told the key", "2"]]
    rows = ev.FORMATS["csv"](results, chosen_settings).splitlines()
    assert len(rows) == len(results) + 1
    assert len({len(row.split(",")) for row in rows}) == 1
    printed = json.loads(ev.FORMATS["json"](results, chosen_settings))
    assert printed["settings"]["size"] == [12, 12]
    assert [row["success"] for row in printed["results"]] == [result.success.share for result in results]
    assert len(printed["results"][0]["visibility_curve"]) == 61
    assert {(row["scaler"], row["ratio"]) for row in printed["feasible"]} == {("opencv:linear", "from 4")}
    assert set(ev.SUFFIXES) == set(ev.FORMATS)


@pytest.mark.slow
def test_it_is_drawn(adaptive, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    results = ev.summarise(adaptive[2])
    for draw in (ev.plot_heat, ev.plot_curves):
        draw(results, tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.shape[1] > 300
        assert pixels.std() > 5


COMMAND = ["evaluate", "--size", "16x16", "--pairs", "2", "--scalers", "opencv:linear", "--defenses", "none", "area"]


def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert main([*COMMAND, "--jobs", "0", "--out", str(out), "--plot", "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| scaler | β | attack | pairs | none | area |" in printed
    assert {path.name for path in out.iterdir()} == {
        "options.json",
        "records.jsonl",
        "summary.md",
        "summary.brief.md",
        "summary.csv",
        "summary.json",
        "success.png",
        "curves.png",
    }
    assert (out / "summary.md").read_text() == printed
    assert main([*COMMAND, "--jobs", "0", "--out", str(out), "--seed", "1"]) == 2
    assert "was made with seed = 0, now it is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--attacks", "strongest"], 'Choose from: "strong"', 4),
        (["--ratios", "big"], "expected a number such as 4", 4),
        (["--seed", "-1"], "seed must be a whole number >= 0", 4),
        (["--pairs", "0"], "pairs must be a whole number of at least 1", 4),
        (["--jobs", "-1"], "--jobs must be a number of processes", 4),
        (["--pictures", "/nowhere"], "is no folder", 2),
        (["--pictures", "."], "at least 2 are needed", 3),
    ],
)
def test_the_commands_errors(arguments, message, code, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *arguments, "--scalers", "opencv:linear", "--out", str(tmp_path / "out")]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_unknown_names_are_usage_errors(tmp_path, capsys):
    for option, name, message in (("--defenses", "mean", '"none", "area"'), ("--scalers", "opncv:*", "valid scalers")):
        command = ["evaluate", "--jobs", "0", "--out", str(tmp_path / "out"), option, name]
        assert main(command) == 4
        assert message in capsys.readouterr().err


def test_a_broken_certificate_is_exit_code_1(tmp_path, capsys, defense_registry, monkeypatch):
    forged = defenses.Defense(
        "area", lambda image, size, scaler, key: scaler(image, size), defenses.DEFENSES["area"].linear, "area"
    )
    monkeypatch.setitem(defenses.DEFENSES, "area", forged)
    assert main([*COMMAND, "--jobs", "0", "--out", str(tmp_path / "out")]) == 1
    assert "CERTIFICATE BROKEN" in capsys.readouterr().err


def test_an_interrupted_command_says_how_it_goes_on(tmp_path, capsys, monkeypatch):
    """Ctrl-C: no traceback, and the same command goes on from there."""
    run_job = run.run_job

    def interrupted(asked, job, *, model):
        if job.pair.index == 1:
            raise KeyboardInterrupt
        return run_job(asked, job, model=model)

    monkeypatch.setattr(run, "run_job", interrupted)
    command = [*COMMAND, "--jobs", "0", "--out", str(tmp_path / "out")]
    assert main(command) == 130
    assert f"what is done is kept in {tmp_path / 'out'}, and the same command goes on" in capsys.readouterr().err
    assert {record.pair for record in ev.read_records(tmp_path / "out" / "records.jsonl")} == {0}
    monkeypatch.undo()
    assert main(command) == 0
    assert {record.pair for record in ev.read_records(tmp_path / "out" / "records.jsonl")} == {0, 1}


def test_a_broken_picture_is_named_before_anything_runs(tmp_path, capsys):
    """Removed later it would be another folder of pictures, and what was done for nothing."""
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in "ab":
        Image.fromarray(np.full((40, 60), 90, np.uint8)).save(pictures / f"{name}.png")
    (pictures / "c.png").write_bytes((pictures / "a.png").read_bytes()[:40])
    command = [*COMMAND, "--jobs", "0", "--pictures", str(pictures), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert f"cannot read the picture {pictures / 'c.png'}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_papers_bins_and_one_axis(tmp_path, capsys):
    arguments = [*COMMAND[:3], "--pairs", "6", *COMMAND[5:], "--jobs", "0", "--ratios"]
    assert main([*arguments, "paper", "--out", str(tmp_path / "paper")]) == 0
    records = ev.read_records(tmp_path / "paper" / "records.jsonl")
    assert set(ev.PAPER_RATIOS) == {record.ratio for record in records}
    assert main([*arguments, "4x1", "--out", str(tmp_path / "axis")]) == 0
    assert {tuple(r.in_size) for r in ev.read_records(tmp_path / "axis" / "records.jsonl")} == {(64, 16)}


@pytest.mark.slow
@pytest.mark.parametrize("name", options.DEFAULT_SCALERS)
def test_the_default_scalers_through_their_libraries(name, tmp_path):
    """Each in a process of its own, as the command does it."""
    if not SCALERS[name].installed:
        pytest.skip(f"needs {SCALERS[name].module}")
    records = ev.evaluate(ev.Options(pairs=1, size=(16, 16), scalers=(name,)), tmp_path, jobs=1)
    assert [record.defense for record in records] == list(ev.DEFENSES)
    assert records[0].verdict.reached
    assert not ev.alarms(records)


def test_a_library_that_ends_its_process_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "pool", _Broken)
    assert main([*COMMAND, "--jobs", "1", "--out", str(tmp_path)]) == 2
    assert "cv2 ended its process; what was done before is kept" in capsys.readouterr().err


class _Broken:
    def __init__(self, *args, **kwargs): ...

    def map(self, work, tasks):
        raise run.BrokenProcessPool

    def shutdown(self, **kwargs): ...


def test_the_bar(tmp_path, capsys):
    pytest.importorskip("rich")
    ev.evaluate(ev.Options(**SMALL, defenses=("area",)), tmp_path, jobs=0, progress=True)
    assert "3/3" in capsys.readouterr().err
    assert Path(tmp_path / "records.jsonl").exists()
