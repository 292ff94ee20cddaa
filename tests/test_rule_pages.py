"""The rules' pages: there is one of each, it says what the rule says, and its picture is there."""

import importlib.util
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import secure_resize as sr
from secure_resize.audit import RULES
from secure_resize.audit.pages import measured, page, text

pytestmark = pytest.mark.once

FOLDER = files("secure_resize.audit.pages")
MEASURED = [rule.name for rule in RULES.values() if rule.bad] + ["SR201", "SR204", "SR206"]
# What the examples of the pages stand after.
IMPORTS = """
import cv2, keras, onnx, scipy.ndimage, secure_resize, skimage.transform, tensorflow as tf, ultralytics
import albumentations as A, torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2
"""


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_a_page_that_says_what_the_rule_says(code):
    """``python benchmarks/rule_pages.py CODE`` writes it anew."""
    assert page(code) == text(RULES[code], measured(code))
    words = " ".join(page(code).split())
    for said in (RULES[code].what, RULES[code].instead, RULES[code].bad, RULES[code].good, *RULES[code].tags):
        assert " ".join(said.split()) in words


def test_there_is_no_page_without_a_rule():
    names = {one.name.partition(".")[0] for one in FOLDER.iterdir() if one.name.startswith("SR")}
    assert names == set(RULES)


@pytest.mark.parametrize("code", MEASURED)
def test_a_bad_call_was_measured_and_drawn(code):
    """The figures that the page gives: an attack on the bad call worked, and the fix shows the photograph."""
    said = measured(code)
    if code == "SR110":  # decodes at full size; nothing is hidden
        assert "| the same bytes |" in said
    else:
        bad, good = re.findall(r"^\| (?:the bad call|with the fix) \|.* ([\d.]+) dB \|$", said, re.MULTILINE)
        assert float(bad) >= 25 > float(good)
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", said)
    data = (FOLDER / picture).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= 30_000


@pytest.mark.parametrize("code", [rule.name for rule in RULES.values() if rule.bad])
def test_lint_finds_the_bad_call_of_a_page_and_leaves_its_fix_alone(code, tmp_path):
    found = {}
    for kind, example in (("bad", RULES[code].bad), ("good", RULES[code].good)):
        assert f"\n{example}\n```" in page(code)
        folder = tmp_path / kind
        folder.mkdir()
        if example.startswith("{"):
            (folder / "preprocessor_config.json").write_text(example)
        else:
            (folder / "code.py").write_text(IMPORTS + example)
        found[kind] = [one.code for one in sr.audit.lint(folder).active]
    assert found == {"bad": [code], "good": []}


@pytest.mark.slow
@pytest.mark.parametrize("code", ["SR101", "SR103", "SR108", "SR111"])
def test_the_gains_that_a_page_gives_are_what_this_library_has(code, monkeypatch):
    """Those that are quickly probed; the script measures all."""
    path = Path(__file__).parent.parent / "benchmarks" / "rule_pages.py"
    if not path.exists():
        pytest.skip("the benchmarks are not here")
    spec = importlib.util.spec_from_file_location("rule_pages", path)
    rule_pages = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rule_pages", rule_pages)
    spec.loader.exec_module(rule_pages)
    one = rule_pages.EXAMPLES[code]
    gains = re.findall(r"^\| (?:the bad call|with the fix) \| ([\d.]+) dB", measured(code), re.MULTILINE)
    for call, gain in zip((one.bad, one.good), gains, strict=True):
        operator = sr.probe(call, rule_pages.IN_SIZE, rule_pages.OUT_SIZE, dtype="uint8", layout="HWC")
        # Rounded on the page to 0.1 dB, and other versions round otherwise.
        assert abs(sr.exposure(operator).stealth_gain_db - float(gain)) < 0.2


def test_unknown_codes_are_refused():
    with pytest.raises(ValueError, match="unknown rule 'SR999'; valid rules: SR101, "):
        page("SR999")


def test_lint_explains_by_the_page(capsys):
    pytest.importorskip("cyclopts")
    from secure_resize.cli import main

    assert main(["lint", "--explain", "sr101"]) == 0
    assert capsys.readouterr().out == page("SR101")
    assert main(["lint", "--explain", "SR9"]) == 4
