"""``secure-resize demo`` and the command line, run as their users run them."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import secure_resize as sr
from secure_resize import cli
from secure_resize.cli import demo

pytestmark = pytest.mark.once

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The demo without arguments, in a process of its own: exit code, output and folder."""
    for module in ("cv2", "torchvision", "tensorflow"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.run(
        [sys.executable, "-m", "secure_resize", "demo", "--out", str(folder / "out")],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    return process, folder / "out"


@pytest.mark.slow
def test_it_succeeds(ran):
    process, _ = ran
    assert process.returncode == 0, process.stderr
    assert "left out" not in process.stdout


def test_the_attack_wins_on_every_stock_pipeline_and_on_none_of_ours(tmp_path, photos):
    for module in ("cv2", "torchvision", "tensorflow"):
        pytest.importorskip(module)
    seen, missing = demo.run(photos["astronaut.png"], photos["chelsea.png"], (112, 112), tmp_path)
    assert not missing
    assert {row.pipeline for row in seen} == {*demo.STOCK, *demo.OURS}
    assert {row.pipeline for row in seen if not row.ours} == set(demo.STOCK)
    for row in seen:
        assert row.attack_to_source >= 15, row
        if row.ours:
            assert row.output_to_target < 15, row
            assert row.output_to_clean > 25, row  # and what it shows is the source
        else:
            assert row.output_to_target >= 25, row
            assert row.output_to_clean < 15, row


@pytest.mark.slow
def test_its_files(ran):
    process, folder = ran
    with Image.open(folder / "demo.png") as picture:
        assert picture.width > 1000
        assert np.asarray(picture).std() > 30  # something is drawn
    source = np.asarray(Image.open(folder / "source.png"))
    for scaler in ("torch-nearest", "opencv-linear", "tensorflow-bilinear"):
        assert np.asarray(Image.open(folder / f"attack-{scaler}.png")).shape == source.shape
        assert scaler.replace("-", ":") in process.stdout


def test_what_is_not_installed_is_left_out_and_named(monkeypatch, tmp_path, capsys):
    pytest.importorskip("cv2")
    found = demo.importlib.util.find_spec
    monkeypatch.setattr(
        demo.importlib.util, "find_spec", lambda name: None if name in ("torchvision", "tensorflow") else found(name)
    )
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "left out, torchvision is not installed: torch interpolate" in printed
    assert "left out, tensorflow is not installed" in printed
    assert "opencv:linear" in printed
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 3
    assert "nothing to attack" in capsys.readouterr().err


def test_a_users_own_pictures(tmp_path, photos, capsys):
    pytest.importorskip("cv2")
    Image.fromarray(photos["coffee.png"]).save(tmp_path / "a.jpg")
    Image.fromarray(photos["rocket.jpg"]).save(tmp_path / "b.png")
    arguments = ["--source", str(tmp_path / "a.jpg"), "--target", str(tmp_path / "b.png"), "--size", "80x90"]
    assert cli.main(["demo", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert "ATTACKED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "missing.png"], "missing.png"),
        (["--size", "500x500"], "ratio"),
        (["--source", "{chelsea}"], "nothing to hide"),
    ],
)
def test_what_cannot_run_is_exit_code_2(arguments, message, tmp_path, photos, capsys):
    pytest.importorskip("cv2")
    Image.fromarray(photos["chelsea.png"]).save(tmp_path / "chelsea.png")
    arguments = [argument.format(chelsea=tmp_path / "chelsea.png") for argument in arguments]
    assert cli.main(["demo", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("size", ["112", "0x4", "4x", "axb", "112x112x3", "9999999x1", "-1x4"])
def test_bad_sizes_are_refused(size, capsys):
    assert cli.main(["demo", f"--size={size}"]) == 4
    assert "--size" in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert sr.__version__ in capsys.readouterr().out
