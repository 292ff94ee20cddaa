"""The command line as a whole: exit codes, one line for what went wrong, no result lost to an encoding."""

import os
import subprocess
import sys

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.cli import main

pytestmark = pytest.mark.once

pytest.importorskip("cyclopts")
SIZES = ["--in", "32x48", "--out", "8x12"]


def command(*arguments, **environment):
    """``python -m secure_resize`` in a process of its own; bytes."""
    return subprocess.run(
        [sys.executable, "-m", "secure_resize", *arguments], capture_output=True, env={**os.environ, **environment}
    )


def test_alone_it_prints_help():
    run = command()
    assert run.returncode == 0
    for name in (b"demo", b"probe", b"survey", b"evaluate", b"Exit codes: 0 clean"):
        assert name in run.stdout


def test_every_command_explains_itself(capsys):
    from secure_resize.cli.app import app

    names = [name for name in app if not name.startswith("-")]
    assert len(names) >= 6
    for name in names:
        assert main([name, "--help"]) == 0, name
        assert "Usage: secure-resize" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert sr.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prbe"], 'Unknown command "prbe"'),
        (["probe", "opencv:linear"], "--in"),
        (["probe", "secure_resize:area", *SIZES, "--dtype", "int8"], 'Choose from: "auto", "uint8"'),
        (["probe", "secure_resize:area", "--in", "32", "--out", "8x8"], "HEIGHTxWIDTH"),
        (["survey", "--no-such-option"], "--no-such-option"),
        (["survey", "--format", "html"], 'Choose from: "table"'),
    ],
)
def test_usage_errors_are_4_and_one_line(arguments, message, capsys):
    assert main(arguments) == 4
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("secure-resize")
    assert message in line


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_the_code_does_not_depend_on_the_format(json):
    pytest.importorskip("cv2")
    assert main(["probe", "opencv:linear", *SIZES, *json]) == 1
    assert main(["probe", "secure_resize:area", *SIZES, *json]) == 0


@pytest.mark.parametrize("format", ["table", "markdown", "json"])
def test_a_survey_that_finds_something_is_1(format):
    pytest.importorskip("cv2")
    assert main(["survey", "opencv:linear", "--ratios", "4", "--format", format]) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise ValueError('two\\nlines')", "two lines"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("def transform(image): raise KeyError('lost')", "lost"),
    ],
)
def test_a_module_that_fails_is_2_and_one_line(body, message, tmp_path, monkeypatch, capsys):
    name = f"fails_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    assert main(["probe", f"{name}:transform", *SIZES]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert message in line


def test_a_picture_that_is_too_large_is_2_and_named(tmp_path, monkeypatch, capsys):
    from PIL import Image

    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert main(["demo", "--source", str(tmp_path / "large.png"), "--out", str(tmp_path / "out")]) == 2
    assert f"cannot read the picture {tmp_path / 'large.png'}" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_an_encoding_that_lacks_signs_costs_no_result(encoding):
    run = command("survey", "secure_resize:area", "--ratios", "4", PYTHONIOENCODING=encoding)
    assert run.returncode == 0, run.stderr
    assert b"secure_resize:area" in run.stdout
    assert b"\\u03b2 = 4" in run.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_file_names_that_are_no_utf8(tmp_path):
    from PIL import Image

    folder = os.fsencode(tmp_path) + b"/pict\xffures"
    os.mkdir(folder)
    noise = np.random.default_rng(0).integers(0, 256, (2, 90, 90, 3), np.uint8)
    for name, picture in zip((b"a\xe9.png", b"b.png"), noise, strict=True):
        with open(folder + b"/" + name, "wb") as file:
            Image.fromarray(picture).save(file, "PNG")
    out = os.fsencode(tmp_path) + b"/o\xffut"
    arguments = ["--pairs", "2", "--size", "16x16", "--scalers", "secure_resize:box", "--defenses", "none", "area"]
    run = command("evaluate", "--pictures", folder, *arguments, "--jobs", "0", "--out", out)
    assert run.returncode == 0, run.stderr
    assert b"secure_resize:box" in run.stdout
    with open(out + b"/records.jsonl") as file:
        assert len(file.readlines()) == 4


def test_a_reader_that_goes_away_is_no_traceback():
    run = subprocess.Popen(
        [sys.executable, "-m", "secure_resize", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    run.stdout.close()
    assert b"Traceback" not in run.stderr.read()
    run.stderr.close()
    run.wait()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("cyclopts", ["survey"]),
        ("rich", ["survey"]),
        ("matplotlib", ["probe", "secure_resize:area", *SIZES, "--plot", "p.png"]),
    ],
)
def test_without_the_extra_one_line_names_it(module, arguments):
    code = (
        f"import sys; sys.modules[{module!r}] = None; from secure_resize.cli import main; sys.exit(main({arguments}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "pip install 'secure-resize[cli]'" in line


def test_importing_the_package_imports_no_library_of_the_command_line():
    code = "import sys, secure_resize, secure_resize.cli; print({'cyclopts', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_shell_completion_knows_commands_and_names():
    from secure_resize.cli.app import app

    script = app.generate_completion(shell="bash")
    for word in ("probe", "--dtype", "float32", "area_l0"):
        assert word in script
