"""``secure-resize audit``: known pipelines get their true verdicts, from the command line alone, and true attacks."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pipelines.table import FOLDER, PIPELINES

import secure_resize as sr
from secure_resize.audit.pipeline import inputs, seeds
from secure_resize.audit.pipeline.attack import levels_of
from secure_resize.audit.pipeline.fix import MENDS, replacement
from secure_resize.audit.pipeline.guilty import Guilty
from secure_resize.audit.pipeline.target import TargetError, arguments
from secure_resize.audit.trace import HOOKS
from secure_resize.measure import outputs

Image = pytest.importorskip("PIL.Image")
cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.once
SIZE = (240, 320)


def command(*words, cwd, **options):
    run = [sys.executable, "-m", "secure_resize", "audit", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, cwd=cwd, timeout=300, **options)


def report(*words, cwd):
    """The exit code, and the report read from JSON."""
    run = command(*words, "--format", "json", cwd=cwd)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


# The known pipelines.


@pytest.mark.parametrize(
    "pipeline",
    [pytest.param(one, id=one.name, marks=() if one.quick else pytest.mark.slow) for one in PIPELINES],
)
def test_a_known_pipeline_gets_its_true_verdict(pipeline, tmp_path):
    for module in pipeline.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    size = () if "--in" in pipeline.words else ("--in", "300x400")
    code, found = report(*pipeline.command(), *size, cwd=tmp_path)
    facts = found["facts"]
    assert facts["verdict"] == pipeline.verdict, facts
    assert not found["failures"]
    if pipeline.verdict == "robust":
        assert (code, found["findings"]) == (0, [])
        assert not any(one["success"] for one in facts["attacks"])
    else:
        assert code == 1
        # PSNR in RGB, through the real pipeline: the target came out of an image that looks like the source.
        worked = [one for one in facts["attacks"] if one["success"]]
        files = [one for one in facts["decodings"] if one["success"]]
        assert worked or files
        for one in worked:
            assert float(one["measured"]["psnr_target"]) >= 25
            assert float(one["psnr_source"]) >= 15
            assert float(one["measured"]["psnr_target_luma"]) > 20


def test_there_are_enough_of_both_kinds():
    verdicts = [one.verdict for one in PIPELINES]
    assert verdicts.count("robust") >= 20
    assert verdicts.count("vulnerable") >= 20


# The report.


@pytest.fixture(scope="module")
def vulnerable(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    return folder, *report(FOLDER / "loading.py:load", "--in", "240x320", "--pictures", "pictures", cwd=folder)


def test_the_guilty_line_is_named_with_its_replacement_and_measured_with_it(vulnerable):
    _, code, found = vulnerable
    assert code == 1
    fix = found["facts"]["fix"]
    lines = (FOLDER / "loading.py").read_text().splitlines()
    line = next(k for k, text in enumerate(lines, 1) if "cv2.resize(" in text)
    assert [one["line"] for one in fix["guilty"]] == [line]
    new = "cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), SIZE, interpolation=cv2.INTER_AREA)"
    assert [one["new"] for one in fix["replacements"]] == [new]
    assert fix["verdict"] == "robust"
    assert fix["attack"]["share"] < 0.3  # of the attack's picture, once mended
    assert {one["line"] for one in found["findings"]} == {line}
    edit = found["findings"][0]["fix"]["edits"][0]
    assert (edit["line"], edit["text"]) == (line, new)


def test_predicted_and_measured_stand_side_by_side_with_pictures(vulnerable):
    folder, _, found = vulnerable
    (attack,) = found["facts"]["attacks"]
    assert abs(float(attack["predicted"]["share"]) - float(attack["measured"]["share"])) < 0.05
    assert set(attack["jpeg"]) == {"95", "75"}
    (finding,) = [one for one in found["findings"] if one["code"] == "SR204"]
    names = [one["name"] for one in finding["evidence"]["pictures"]]
    assert names == ["source", "attack", "target", "seen", "clean", "fixed", "kernel"]
    # The attack image's file does what the report says, through the pipeline's own code.
    pictures = {one["name"]: folder / one["path"] for one in finding["evidence"]["pictures"]}
    seen = cv2.resize(cv2.cvtColor(cv2.imread(str(pictures["attack"])), cv2.COLOR_BGR2RGB), (96, 80))
    target, source = (np.asarray(Image.open(pictures[name])) for name in ("target", "source"))
    assert sr.attacks.psnr(seen, target) >= 25
    assert sr.attacks.psnr(np.asarray(Image.open(pictures["attack"])), source) >= 15


TARGETS = """
import sys, time
import cv2
import numpy as np

class Evil:
    def __call__(self, image):
        return cv2.resize(image, (32, 24))
Evil.__qualname__ = Evil.__name__ = "\\x1b[31m<script>\\nevil"
evil = Evil()

def hangs(image):
    time.sleep(600)

def leaves(image):
    sys.exit(0)

def loud(image):
    print("\\x1b[2J a line that is no JSON")
    return cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA)

def slow(image):
    time.sleep(0.15)
    return cv2.resize(image, (32, 24))

def identity(image):
    return image

def words(image):
    return "no picture"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(TARGETS)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["mine.py:nothing"], 2, "cannot find 'nothing'"),
        (["nowhere.py:load"], 2, "there is no file"),
        (["mine"], 4, "expected module:object"),
        (["mine.py:words"], 2, "makes no picture"),
        (["mine.py:loud", "--input", "pathh"], 4, "valid inputs: path"),
        (["mine.py:loud", "--in", "12"], 4, "HEIGHTxWIDTH"),
        (["mine.py:loud", "--args", "size"], 4, "NAME=VALUE"),
        (["mine.py:loud", "--image", "none.png"], 2, "there is no picture"),
        (["mine.py:hangs", "--in", "48x64", "--time-limit", "6"], 2, "longer than 6 seconds"),
    ],
)
def test_what_cannot_be_audited_is_one_line(folder, words, code, said):
    run = command(*words, cwd=folder)
    assert run.returncode == code
    assert said in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_hostile_names_and_output_stay_text(folder):
    run = command("mine.py:evil", "--in", "60x90", "--no-attack", cwd=folder)
    assert run.returncode == 1
    assert "\x1b" not in run.stdout + run.stderr
    run = command("mine.py:loud", "--in", "48x64", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr


def test_what_is_not_resized_is_not_called_vulnerable(folder):
    code, found = report("mine.py:identity", "--in", "48x64", cwd=folder)
    assert (code, found["facts"]["verdict"], found["findings"]) == (0, "robust", [])
    assert "no resize to audit" in found["facts"]["notes"][0]


@pytest.mark.slow
def test_ctrl_c_leaves_a_valid_partial_report(folder):
    words = [sys.executable, "-m", "secure_resize", "audit", "mine.py:slow", "--in", "48x64", "--in", "96x128"]
    run = subprocess.Popen(
        [*words, "--report", "out.json"], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(12)
    os.killpg(run.pid, signal.SIGINT)
    out, error = run.communicate(timeout=60)
    assert run.returncode == 130, error
    found = json.loads((folder / "out.json").read_text())
    assert any("interrupted" in one for one in found["failures"])
    assert b"Traceback" not in out + error


def broken_pictures(folder):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8))
    photo.save(folder / "good.png")
    photo.convert("P").save(folder / "palette.png")
    photo.save(folder / "animated.gif", save_all=True, append_images=[photo.rotate(180)])
    data = (folder / "good.png").read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "truncated.png").write_bytes(data[: len(data) // 2])
    (folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff" + bytes(rng.integers(0, 256, 500, np.uint8)))
    header = bytearray(data)
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height; the check sum behind them is made right
    header[29:33] = __import__("zlib").crc32(bytes(header[12:29])).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(bytes(header))


def test_broken_pictures_are_findings(folder):
    pictures = folder / "photos"
    pictures.mkdir()
    broken_pictures(pictures)
    code, found = report("mine.py:loud", "--images", "photos", "--no-attack", cwd=folder)
    assert code == 1
    found_in = {one["path"].rpartition("/")[2]: one["message"] for one in found["findings"]}
    assert sorted(found_in) == ["animated.gif", "bomb.png", "corrupt.jpg", "empty.png", "truncated.png"]
    assert "pixels" in found_in["bomb.png"]
    assert found["facts"]["verdict"] == "robust"
    assert {tuple(one["in_size"]) for one in found["facts"]["measured"]} == {(48, 64)}


# In memory.


def test_assert_robust_raises_with_the_table():
    with pytest.raises(AssertionError, match=r"the pipeline is vulnerable[\s\S]*SR201[\s\S]*stealth gain"):
        sr.audit.assert_robust(lambda image: cv2.resize(image, (32, 24)), in_size=(96, 128), input="array")
    area = lambda image: cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA)  # noqa: E731
    assert sr.audit.assert_robust(area, in_size=(96, 128), input="array").facts["verdict"] == "robust"


def test_the_fixture_is_the_function(assert_robust):
    assert assert_robust is sr.audit.assert_robust


def test_a_pipeline_that_samples_for_some_pictures_only_is_unfaithful():
    def resize(image):
        dark = image.mean() < 60 and image.std() > 2
        return cv2.resize(image, (32, 24), interpolation=cv2.INTER_NEAREST if dark else cv2.INTER_AREA)

    found = sr.audit.audit(resize, (96, 128), input="array", attack=False)
    assert found.facts["verdict"] == "unfaithful"
    assert [one.code for one in found.active] == ["SR203"]


def test_random_pipelines_are_seeded_and_the_worst_seed_counts():
    rng = np.random.default_rng()

    def resize(image):
        flag = cv2.INTER_LINEAR if rng.random() < 0.3 else cv2.INTER_AREA
        return cv2.resize(image, (32, 24), interpolation=flag)

    found = sr.audit.audit(resize, (96, 128), input="array", attack=False)
    assert found.facts["verdict"] == "vulnerable", found.failures
    assert {one["verdict"] for one in found.facts["measured"]} >= {"vulnerable"}
    assert all(one["seed"] is not None for one in found.facts["measured"])


def test_what_re_encodes_is_measured_as_an_estimate():
    import io

    def resize(image):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=60)
        return np.asarray(Image.open(stream).resize((32, 24), Image.Resampling.NEAREST))

    found = sr.audit.audit(resize, (96, 128), input="array", attack=False)
    assert found.facts["verdict"] == "vulnerable"
    assert all(one["estimate"] for one in found.facts["measured"])
    assert found.active[0].confidence == "medium"


# The registries.


@pytest.mark.parametrize("mode", inputs.MODES)
def test_a_picture_of_every_mode_shows_the_levels(mode):
    levels = np.random.default_rng(0).integers(0, 256, (20, 30, inputs.MODES[mode]), np.uint8)
    picture = inputs.as_picture(levels, mode)
    assert picture.mode == mode
    back = np.asarray(picture) >> 8 if mode == "I;16" else np.asarray(picture.convert("RGB"))
    assert np.array_equal(back.reshape(20, 30, -1)[..., : levels.shape[2]], levels)


@pytest.mark.parametrize("name", outputs.UNPATCHED)
def test_patches_are_put_together_again(name):
    picture = np.arange(3 * 56 * 84, dtype=np.float32).reshape(3, 56, 84)
    if name == "qwen2_vl":
        parts = np.repeat(picture[None], 2, axis=0).reshape(1, 2, 3, 2, 2, 14, 3, 2, 14)
        rows = parts.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(24, -1)
        result = {"pixel_values": rows, "image_grid_thw": np.array([[1, 4, 6]])}
    else:
        rows = picture.reshape(3, 4, 14, 6, 14).transpose(1, 3, 2, 4, 0).reshape(1, 24, -1)
        result = {"pixel_values": rows, "spatial_shapes": np.array([[4, 6]])}
    (found,) = outputs.pictures(result).values()
    assert np.array_equal(found, np.moveaxis(picture, 0, -1))


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((24, 32), ["result"]),
        ((24, 32, 3), ["result"]),
        ((3, 24, 32), ["result"]),
        ((2, 3, 24, 32), ["[0]", "[1]"]),
        ((1, 24, 32, 3), ["[0]"]),
        ((3, 5, 24, 32), ["[0]", "[1]", "[2]", "[3]", "[4]"]),
        ((1, 2, 3, 24, 32), ["[0][0]", "[0][1]"]),
        ((4,), []),
        ((6, 4), []),
    ],
)
def test_pictures_are_found_in_arrays_of_any_layout(shape, names):
    found = outputs.pictures(np.zeros(shape))
    assert list(found) == names
    assert all(one.shape[:2] == (24, 32) for one in found.values())


def test_outputs_are_found_by_key_index_and_attribute():
    class Holder:
        def __init__(self):
            self.tensors, self.sizes = np.zeros((1, 3, 24, 32)), [(24, 32)]

    found = list(outputs.pictures((Holder(), {"a": np.zeros((24, 32)), "b": 3})))
    assert found == ["0.tensors[0]", "1.a"]
    assert outputs.chosen(found, "0") == ["0.tensors[0]"]
    assert outputs.chosen(found, "1.a") == ["1.a"]
    with pytest.raises(ValueError, match=r"the pictures are: 0\.tensors\[0\], 1\.a"):
        outputs.chosen(found, "c")


def test_every_mended_call_is_one_that_trace_names():
    assert set(MENDS) <= {one.shown for one in HOOKS.values()}


@pytest.mark.parametrize(
    ("line", "call", "new"),
    [
        ("x = cv2.resize(a, (2, 2))", "cv2.resize", "cv2.resize(a, (2, 2), interpolation=cv2.INTER_AREA)"),
        ("x = cv2.resize(a, s, interpolation=1)", "cv2.resize", "cv2.resize(a, s, interpolation=cv2.INTER_AREA)"),
        ("x = F.interpolate(a, size=s)", "torch.nn.functional.interpolate",
         "F.interpolate(a, size=s, mode='bilinear', antialias=True)"),
        ("x = tf.image.resize(a, s)", "tf.image.resize", "tf.image.resize(a, s, antialias=True)"),
        ("x = cv2.resize(a, s, None, 0, 0, 1)", "cv2.resize", None),  # the keyword may be among them
        ("x = resize(a, s)", "cv2.resize", None),  # what the constant is called here is not known
        ("x = transform(a)", "torch.nn.functional.interpolate", None),
        ("x = self.resize(a, s)", "torch.nn.functional.interpolate", None),  # an object's own call
        ("x = picture.resize(s)", "PIL.Image.Image.resize", "picture.resize(s, resample=3)"),
    ],
)  # fmt: skip
def test_replacement_lines(tmp_path, line, call, new):
    imports = "import cv2, tensorflow as tf, torch.nn.functional as F\nfrom cv2 import resize\n"
    (tmp_path / "code.py").write_text(f"{imports}{line}\n")
    place = str(tmp_path / "code.py")
    found = replacement(Guilty("SR101", call, "", (), place, 3, 10.0, "", ""))
    assert (found and found.new) == new


def test_generators_that_a_pipeline_holds_are_found():
    import random

    own, other = np.random.default_rng(1), random.Random(2)

    class Transform:
        def __init__(self):
            self.inner = {"generator": own}

        def __call__(self, image):
            return other.random()

    assert len(seeds.found_in(Transform())) >= 1
    assert seeds.found_in(lambda: other.random()) == (other,)
    seeds.reseed(3, (own, other))
    first = own.random(), other.random()
    seeds.reseed(3, (own, other))
    assert (own.random(), other.random()) == first


def test_arguments_are_literals_or_text():
    assert arguments(("size=[2, 3]", "name=a=b", "flag=True")) == {"size": [2, 3], "name": "a=b", "flag": True}
    with pytest.raises(ValueError, match="NAME=VALUE"):
        arguments(("size",))


def test_a_pipeline_without_a_picture_says_what_each_way_said():
    with pytest.raises(TargetError, match=r"makes no picture.*array.*no picture in the result"):
        sr.audit.audit(lambda image: 3, (48, 64))


def test_levels_come_back_from_a_normalised_output():
    def normalised(image):
        return (cv2.resize(image, (32, 24)).astype(np.float32) / 255 - 0.4) / [0.2, 0.3, 0.4]

    operator = sr.probe(normalised, (96, 128), (24, 32), dtype="uint8", layout="HWC")
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    assert np.abs(levels_of(operator)(normalised(image)).astype(int) - cv2.resize(image, (32, 24))).max() <= 1
