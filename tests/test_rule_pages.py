"""The rules' pages: there is one of each, it says what the rule says, and its picture is there."""

import re
from importlib.resources import files

import pytest

from secure_resize.audit import RULES
from secure_resize.audit.pages import measured, page, text

FOLDER = files("secure_resize.audit.pages")
CODE = [rule.name for rule in RULES.values() if rule.bad]


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_a_page_that_says_what_the_rule_says(code):
    """``python benchmarks/rule_pages.py CODE`` writes it anew."""
    assert page(code) == text(RULES[code], measured(code))
    for said in (RULES[code].what, RULES[code].instead, RULES[code].bad, RULES[code].good, *RULES[code].tags):
        assert said in page(code)


def test_there_is_no_page_without_a_rule():
    names = {one.name.partition(".")[0] for one in FOLDER.iterdir() if one.name.startswith("SR")}
    assert names == set(RULES)


@pytest.mark.parametrize("code", CODE)
def test_a_bad_call_was_measured_and_drawn(code):
    """The figures that the page gives: an attack on the bad call worked, and the fix shows the photograph."""
    said = measured(code)
    (bad, good) = re.findall(r"^\| (?:the bad call|with the fix) \|.* ([\d.]+) dB \|$", said, re.MULTILINE)
    assert float(bad) >= 25 > float(good)
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", said)
    data = (FOLDER / picture).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= 30_000


def test_unknown_codes_are_refused():
    with pytest.raises(ValueError, match="unknown rule 'SR999'; valid rules: SR101, "):
        page("SR999")
