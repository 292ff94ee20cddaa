"""``secure-resize probe`` on somebody else's code: measured in a child process, whatever that code does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from secure_resize.cli import main

pytestmark = pytest.mark.once

pytest.importorskip("cv2")

TARGETS = """
import os
import sys
import time

import cv2
import numpy as np


def area(image):
    return cv2.resize(image, (12, 8), interpolation=cv2.INTER_AREA)


def chatty(image):
    print("a line that is no JSON")
    return area(image)


def nearest_in_the_dark(image):
    dark = image.ndim == 3 and image.mean() < 50 and image.std() > 2
    return cv2.resize(image, (12, 8), interpolation=cv2.INTER_NEAREST if dark else cv2.INTER_AREA)


def quits(image):
    sys.exit(0)


def leaves(image):
    os._exit(0)


def hangs(image):
    time.sleep(600)


def hoards(image, kept=[]):
    while True:
        kept.append(np.ones(1 << 24))


def raises(image):
    raise MemoryError("no more")


def letterbox(image):
    canvas = np.full((16, 16, 3), 114, image.dtype)
    canvas[4:12, 2:14] = area(image)
    return canvas
"""
SIZES = ["--in", "64x96", "--out", "8x12"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "targets.py").write_text(TARGETS)
    (tmp_path / "quits_on_import.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "leaves_on_import.py").write_text("import os\nos._exit(0)\n")
    (tmp_path / "raises_on_import.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_robust_pipeline_is_0_and_the_view_is_stated(folder, capfd):
    assert main(["probe", "targets:area", *SIZES]) == 0
    out = capfd.readouterr().out
    assert "verdict            robust" in out
    assert "view               the whole source, the whole output" in out
    assert "measured           HW float32" in out
    assert out.count("not excluded       code that recognises this test") == 1
    assert main(["probe", "targets:letterbox", "--in", "64x96", "--out", "16x16"]) == 0
    assert "view               output rows 4–12 of 16, output columns 2–14 of 16" in capfd.readouterr().out


def test_what_the_code_prints_is_no_part_of_the_result(folder, capfd):
    assert main(["probe", "targets:chatty", *SIZES, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["verdict"], found["view"]["source"]) == ("robust", [[0, 64], [0, 96]])
    assert {one["path"] for one in found["measured"]} >= {"HWC uint8", "HWC float32", "HW uint16"}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_does_something_else_with_some_pictures_is_a_finding(folder, capfd, form):
    assert main(["probe", "targets:nearest_in_the_dark", *SIZES, *form]) == 1
    out = capfd.readouterr().out
    assert "does something else with a dark picture (HWC uint8) than its operator says" in out
    assert (json.loads(out)["verdict"] if form else out.split("verdict")[1].split()[0]) == "unfaithful"


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("targets:quits", [], "tries to end the process: SystemExit(0)"),
        ("targets:leaves", [], "it ended the process (exit code 0) before anything was measured"),
        ("targets:hangs", ["--time-limit", "6"], "it took longer than 6 seconds; --time-limit allows more"),
        (
            "targets:hoards",
            ["--memory-limit", "0.5"],
            "it took more than 0.5 GiB of memory; --memory-limit allows more",
        ),
        ("targets:raises", [], "MemoryError: no more"),
        ("quits_on_import:f", [], "cannot import 'quits_on_import' (SystemExit: 0)"),
        ("leaves_on_import:f", [], "it ended the process (exit code 0) before anything was measured"),
        ("raises_on_import:f", [], "cannot import 'raises_on_import' (ZeroDivisionError: division by zero)"),
        ("targets:nothing", [], "cannot find 'targets:nothing'"),
    ],
)
def test_anything_but_a_measured_verdict_is_2_and_one_line(folder, capfd, target, options, message):
    assert main(["probe", target, *SIZES, *options]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_pictures_of_ones_own(folder, capfd):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(folder / "own.png")
    assert main(["probe", "targets:area", *SIZES, "--image", "own.png"]) == 0
    (folder / "own.png").write_bytes(b"no picture")
    capfd.readouterr()
    assert main(["probe", "targets:area", *SIZES, "--image", "own.png"]) == 2
    assert "cannot identify image file" in capfd.readouterr().err


def test_through_the_shell(folder):
    """As its users run it, with an output that has no room for the signs of the field."""
    run = subprocess.run(
        [sys.executable, "-m", "secure_resize", "probe", "targets:area", *SIZES],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=folder,
    )
    assert run.returncode == 0, run.stderr
    assert b"verdict            robust" in run.stdout
