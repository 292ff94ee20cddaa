"""The commands ``probe`` and ``survey``, and the pictures that they draw."""

import json

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.cli import main
from secure_resize.measure import survey
from secure_resize.measure.scalers import SCALERS

pytestmark = pytest.mark.once

PIPELINE = """
import numpy as np

def every_fourth(image):
    return image[::4, ::4]

class Holder:
    robust = staticmethod(lambda image: np.stack([image[i::4, j::4] for i in range(4) for j in range(4)]).mean(axis=0))

def noisy(image):
    return image[::4, ::4] + np.random.default_rng().normal(size=(8, 12, 1))
"""


@pytest.fixture
def pipelines(tmp_path, monkeypatch):
    (tmp_path / "pipelines_under_test.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return "pipelines_under_test"


SIZES = ["--in", "32x48", "--out", "8x12"]


def test_probe_says_who_is_vulnerable(capsys):
    pytest.importorskip("cv2")
    assert main(["probe", "opencv:linear", *SIZES]) == 1
    out = capsys.readouterr().out
    assert "vulnerable" in out
    assert "6.0" in out
    assert SCALERS["opencv:linear"].version in out
    assert main(["probe", "secure_resize:area", *SIZES]) == 0
    assert "robust" in capsys.readouterr().out


def test_probe_shows_the_deviations(capsys):
    pytest.importorskip("cv2")
    main(["probe", "opencv:area", "--in", "40x10", "--out", "10x20"])
    assert "no-area: averages while both axes shrink" in capsys.readouterr().out


def test_probe_takes_any_importable_callable(pipelines, capsys):
    assert main(["probe", f"{pipelines}:every_fourth", *SIZES]) == 1
    assert main(["probe", f"{pipelines}:Holder.robust", *SIZES]) == 0
    capsys.readouterr()
    assert main(["probe", f"{pipelines}:noisy", *SIZES]) == 2
    assert "not deterministic" in capsys.readouterr().err


def test_probe_json_is_the_api(capsys):
    assert main(["probe", "secure_resize:bicubic", *SIZES, "--dtype", "float32", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = sr.exposure(sr.probe("secure_resize:bicubic", (32, 48), (8, 12), dtype="float32"))
    assert printed["stealth_gain_db"] == found.stealth_gain_db
    assert printed["verdict"] == "robust"
    assert (printed["dtype"], printed["layout"]) == ("float32", "HWC")
    assert printed["view"]["text"] == "the whole source, the whole output"
    assert printed["measured"] == [{"path": "HWC float32", "part": "", "verdict": "robust",
                                    "stealth_gain_db": found.stealth_gain_db}]  # fmt: skip
    assert printed["residual"] < 0.01


@pytest.mark.parametrize(
    ("resize", "message", "code"),
    [
        ("opencv:bilinear", "valid scalers of opencv: opencv:linear", 4),
        ("linear", "unknown scaler 'linear'", 4),
        ("no_such_module:resize", "cannot import 'no_such_module'", 2),
        ("json:resize", "cannot find 'json:resize'", 2),
        ("json:dumps", "in any layout", 2),
    ],
)
def test_probe_errors_are_no_verdict(resize, message, code, capsys):
    assert main(["probe", resize, *SIZES]) == code
    assert message in capsys.readouterr().err


def pixels(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_pictures_show_what_they_should(tmp_path, capsys):
    """The middle panel is black where nothing is read: a great deal of it for nearest, none for area."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("cv2")
    black = {}
    for name in ("opencv:nearest", "opencv:area"):
        main(["probe", name, "--in", "64x64", "--out", "16x16", "--plot", str(tmp_path / "plot.png")])
        picture = pixels(tmp_path / "plot.png")
        assert picture.shape[1] > picture.shape[0] > 300
        black[name] = (picture[:, picture.shape[1] // 3 : -picture.shape[1] // 3].max(axis=2) < 8).mean()
    assert black["opencv:nearest"] > 0.3
    assert black["opencv:area"] < 0.05


@pytest.fixture(scope="module")
def measured():
    pytest.importorskip("cv2")
    return survey.measure(["opencv:linear", "secure_resize:area", "opencv:area"], {"2": 112, "4": 224})


def test_the_survey_holds_what_probe_says(measured):
    rows, missing = measured
    assert not missing
    assert [row.scaler for row in rows] == ["opencv:linear", "secure_resize:area", "opencv:area"]
    for row in rows:
        for side, cell in zip((112, 224), row.cells.values(), strict=True):
            assert cell.exposure == sr.exposure(sr.probe(row.scaler, (side, side), (56, 56)))
    assert [row.worst.verdict for row in rows] == ["vulnerable", "robust", "robust"]


def test_its_formats(measured):
    table = survey.as_table(*measured)
    (line,) = [line for line in table.splitlines() if line.startswith("opencv:linear")]
    assert line.split() == ["opencv:linear", "(default)", SCALERS["opencv:linear"].version, "0.0", "6.0", "vulnerable"]
    markdown = survey.as_markdown(*measured).splitlines()
    assert markdown[0].startswith("| scaler | version | β = 2 | β = 4 |")
    assert len({line.count("|") for line in markdown}) == 1
    assert "**vulnerable**" in markdown[2]
    _, _, opencv, ours = survey.by_library(*measured).splitlines()
    version = SCALERS["opencv:linear"].version
    assert opencv == f"| opencv {version} | `linear` | 6.0 | **vulnerable** | `area` | 0.0 |"
    assert ours == f"| secure_resize {sr.__version__} | `area` | 0.0 | robust |  |  |"
    printed = json.loads(survey.as_json(*measured))
    assert printed["rows"][0]["cells"]["4"]["stealth_gain_db"] == pytest.approx(6.02, abs=0.05)


def test_what_is_missing_is_named(monkeypatch):
    absent = SCALERS["opencv:linear"].__class__("gone:linear", lambda image, size: image, "nowhere_to_be_found")
    monkeypatch.setitem(SCALERS, absent.name, absent)
    rows, missing = survey.measure([absent.name], {"2": 112})
    assert (rows, missing) == ([], {"nowhere_to_be_found": ["gone:linear"]})
    assert "left out, nowhere_to_be_found is not installed: gone:linear" in survey.as_table(rows, missing)


def test_a_library_without_a_model_is_a_finding_not_a_gap():
    cell = survey.Measured((8, 8), (4, 4), None, None, (), "off by 50 levels")
    row = survey.Surveyed("opencv:linear", "1", True, {"2": cell})
    assert row.worst is None
    assert "no model" in survey.as_table([row], {})
    assert "off by 50 levels" in survey.as_table([row], {})
    assert "| no model |" in survey.by_library([row], {})


def test_selection():
    assert survey.select(["opencv:*"], defaults=True) == ["opencv:linear"]
    assert len(survey.select([])) == len(SCALERS)
    with pytest.raises(ValueError, match=r"no scaler matches opncv:\*; valid scalers: .*opencv:linear"):
        survey.select(["opncv:*"])


def test_the_survey_command_draws_and_prints(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "survey.png"
    assert main(["survey", "secure_resize:a*", "--ratios", "2", "--format", "markdown", "--plot", str(path)]) == 0
    assert capsys.readouterr().out.startswith("| scaler | version | β = 2 | verdict |")
    assert pixels(path).std() > 5
    assert main(["survey", "opncv:*"]) == 4
