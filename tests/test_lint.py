"""lint: what it finds by reading, what it leaves alone, and what becomes of files that cannot be read."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import secure_resize as sr
from secure_resize.audit.lint import fix
from secure_resize.audit.lint.read import lint_text
from secure_resize.audit.lint.rows import CALLS, relevant
from secure_resize.cli import main

pytestmark = pytest.mark.once

CORPUS = Path(__file__).parent / "lint_corpus"
FLAG = "import cv2\ndef f(image, flag{}):\n    return cv2.resize(image, (9, 9), interpolation=flag)\n"
BAD = "import cv2\nsmall = cv2.resize(image, (224, 224))\n"


def corpus():
    """(file:number, code, the codes that it is to be found for), a call form each."""
    for file in sorted(CORPUS.glob("*.txt")):
        for number, block in enumerate(file.read_text().split("### ")[1:], 1):
            head, code = block.split("\n", 1)
            wanted = [] if head.strip() == "safe" else head.split()
            yield f"{file.stem}:{number}", code, wanted


def found(code):
    return [one.code for one in lint_text(code, "code.py") if one.suppressed is None]


# The labelled corpus.


def test_precision_and_recall_over_the_corpus():
    right, extra, missed = 0, [], []
    cases = list(corpus())
    for name, code, wanted in cases:
        got = found(code)
        right += len(set(wanted) & set(got))
        extra += [(name, one) for one in got if one not in wanted or got.count(one) > wanted.count(one)]
        missed += [(name, one) for one in wanted if one not in got]
    assert len(cases) >= 400
    assert sum(not wanted for _, _, wanted in cases) >= len(cases) * 0.49
    assert right / (right + len(extra)) >= 0.98, extra
    assert right / (right + len(missed)) >= 0.98, missed


@pytest.mark.parametrize(
    "call",
    ["map(cv2.resize, [image], [(9, 9)])", "pool.submit(cv2.resize, image, (9, 9), interpolation=cv2.INTER_CUBIC)"],
)
def test_what_map_and_submit_call_is_found_and_left_to_its_author(call, tmp_path):
    path = tmp_path / "code.py"
    path.write_text(f"import cv2\nimage = cv2.imread('a.png')[:99, :99]\nresult = {call}\n")
    [finding] = [one for one in lint_text(path.read_text(), "code.py") if one.suppressed is None]
    assert finding.place.line == 3
    assert finding.fix is None


def test_the_corpus_can_fail():
    """A linter that finds every call named resize, and one that finds nothing, are both far off."""
    cases = list(corpus())
    naive = [bool(re.search(r"resize|interpolate", code, re.I)) for _, code, _ in cases]
    right = sum(guess and bool(wanted) for guess, (_, _, wanted) in zip(naive, cases, strict=True))
    assert right / sum(naive) < 0.7
    assert right / sum(bool(wanted) for _, _, wanted in cases) < 0.8


def test_the_words_by_which_files_are_skipped_leave_no_bad_call_out():
    for name, code, wanted in corpus():
        assert relevant(code.encode(), "") or not wanted, name


def test_every_rule_of_code_stands_in_the_corpus():
    wanted = {one for _, _, codes in corpus() for one in codes}
    assert wanted >= {row.code for row in CALLS.values()}


def installed(name):
    """The object of that name, where its library is installed and has it."""
    module, rest = name.split(".")[0], name.split(".")[1:]
    try:
        value = importlib.import_module(module)
        while rest:
            module, one = f"{module}.{rest[0]}", rest.pop(0)
            value = getattr(value, one, None) or importlib.import_module(module)
    except ImportError:
        return None
    return value


@pytest.mark.filterwarnings("ignore:scipy.misc is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("package", "least"),
    [
        ("albumentations", 10), ("kornia", 10), ("scipy", 1), ("skimage", 2), ("torch", 3), ("torchvision", 6),
        pytest.param("keras", 5, marks=pytest.mark.slow), pytest.param("tensorflow", 4, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_rows_have_the_parameters_of_the_installed_library(package, least):
    rows = [row for row in CALLS.values() if row.name.startswith(f"{package}.") and row.parameters]
    checked = 0
    for row in rows:
        value = installed(row.name)
        if value is None or row.special in ("always", "warp", "export") or "GeneralizedRCNN" in row.name:
            continue
        try:
            names = [one for one in inspect.signature(value).parameters if one != "self"]
        except ValueError:  # made in C
            continue
        facts = (row.size, row.mode, row.antialias, row.picture)
        wanted = [one for one in row.parameters if one in names or one in facts]
        assert names[: len(wanted)] == wanted, row.name
        checked += 1
    assert checked >= least


# What a finding says.


def only(code, path="code.py"):
    (finding,) = lint_text(code, path)
    return finding


def test_a_finding_says_where_and_from_which_size():
    one = only("import cv2\n\n\ndef load(image):\n    return cv2.resize(\n        image,\n        (320, 240),\n    )\n")
    assert (one.place.line, one.place.column, one.place.end_line) == (5, 12, 8)
    assert "to 240×320 from a size that is not known here" in one.message
    assert one.evidence["scaling"] == "unknown"
    assert one.context == "return cv2.resize("
    known = only("import cv2, numpy as np\nbig = np.zeros((400, 600, 3))\nsmall = cv2.resize(big, (60, 40))\n")
    assert "from 400×600 to 40×60" in known.message
    columns = only("import cv2\nx = 'ä€𝄞', cv2.resize(image, (1, 1))\n")
    assert columns.place.column == len("x = 'ä€𝄞', ") + 1


@pytest.mark.parametrize(
    ("code", "confidence", "severity"),
    [
        (BAD, "high", "high"),
        (FLAG.format("=cv2.INTER_LINEAR"), "medium", "high"),
        (FLAG.format(""), "low", "low"),
        ("import cv2\nsmall = cv2.resize(cv2.GaussianBlur(image, (5, 5), 0), (224, 224))\n", "low", "medium"),
        ("import tensorflow as tf\nimage = tf.io.decode_jpeg(data)\n", "high", "medium"),
    ],
)  # fmt: skip
def test_confidence_and_severity(code, confidence, severity):
    one = only(code)
    assert (one.confidence, one.severity) == (confidence, severity)


def test_a_flag_where_fy_belongs_is_not_the_flag():
    one = only("import cv2\nsmall = cv2.resize(image, (224, 224), 0, 0, cv2.INTER_AREA)\n")
    assert "stands where fy belongs" in one.message


def test_a_wrapper_is_reported_where_the_flag_is_handed_in():
    code = FLAG.format("") + "f(photo, cv2.INTER_AREA)\nf(photo, cv2.INTER_LINEAR)\n"
    one = only(code)
    assert one.place.line == 5
    assert "f()" in one.message


# Suppressions.


@pytest.mark.parametrize(
    ("comment", "waved"),
    [
        ("# noqa", True),
        ("#noqa:SR101", True),
        ("# NOQA: E501, SR101 because", True),
        ("# noqa: E501 SR101", True),
        ("# noqa: SR102", False),
        ("# noqaSR101", False),
        ("# not noqa-worthy", False),
    ],
)
def test_noqa(comment, waved):
    one = only(f"import cv2\nsmall = cv2.resize(image, (224, 224))  {comment}\n")
    assert one.suppressed == ("noqa" if waved else None)


def test_noqa_of_any_line_of_the_call_and_of_the_file():
    call = "import cv2\nsmall = cv2.resize(\n    image,{}\n    (2, 2),\n){}\n{}"
    assert only(call.format("  # noqa: SR101", "", "")).suppressed == "noqa"
    assert only(call.format("", "  # noqa", "")).suppressed == "noqa"
    assert only(call.format("", "", "# noqa\n")).suppressed is None
    assert only("# secure-resize: noqa: SR101\n" + BAD).suppressed == "noqa"
    assert only("# secure-resize: noqa: SR103\n" + BAD).suppressed is None


def test_a_baseline_waves_through_what_is_known_and_no_more(tmp_path, capsys):
    file, known = tmp_path / "code.py", tmp_path / "known.json"
    file.write_text(BAD)
    assert main(["lint", str(file), "--write-baseline", str(known)]) == 0
    assert main(["lint", str(file), "--baseline", str(known)]) == 0
    file.write_text("\n\n" + BAD)  # moved: still known
    assert main(["lint", str(file), "--baseline", str(known)]) == 0
    file.write_text(BAD + BAD)  # the same line once more is new
    assert main(["lint", str(file), "--baseline", str(known)]) == 1
    file.write_text(BAD + "other = cv2.resize(image, (8, 8))\n")
    report = sr.audit.lint(file, baseline=known)
    assert [one.place.line for one in report.active] == [3]
    known.write_text("[]")
    assert main(["lint", str(file), "--baseline", str(known)]) == 4
    assert "is not a baseline" in capsys.readouterr().err


# Configuration.


def test_select_and_ignore(tmp_path):
    file = tmp_path / "code.py"
    file.write_text(BAD + "import torch.nn.functional as F\nF.interpolate(image, (2, 2))\n")
    codes = lambda **options: [one.code for one in sr.audit.lint(file, **options).active]  # noqa: E731
    assert codes() == ["SR101", "SR103"]
    assert codes(select=["SR103"]) == ["SR103"]
    assert codes(ignore=["sr101"]) == ["SR103"]
    assert codes(select=["SR1"], ignore=["SR103,SR101"]) == []
    with pytest.raises(ValueError, match="unknown code 'E501'; valid codes"):
        codes(select=["E501"])


def test_pyproject(tmp_path, capsys):
    (tmp_path / "src" / "gen").mkdir(parents=True)
    for name in ("src/a.py", "src/b.py", "src/gen/c.py"):
        (tmp_path / name).write_text(BAD)
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[tool.secure-resize]\nexclude = ["gen"]\nper-file-ignores = { "src/b.py" = ["SR1"] }\nfail-on = "high"\n'
    )
    report = sr.audit.lint(tmp_path)
    assert [Path(one.place.path).name for one in report.active] == ["a.py"]
    assert main(["lint", str(tmp_path)]) == 1
    assert len(sr.audit.lint(tmp_path, config=False).active) == 3
    project.write_text('[tool.secure-resize]\nselect = ["SR103"]\n')
    assert main(["lint", str(tmp_path / "src" / "a.py")]) == 0
    (tmp_path / "src" / "pyproject.toml").write_text("[tool.secure-resize]\n")  # nearer
    assert main(["lint", str(tmp_path / "src" / "a.py")]) == 1
    for text, said in {
        "[tool.secure-resize]\nselct = []": "unknown key 'selct'; valid keys: select",
        "[tool.secure-resize]\nselect = 'SR1'": "expected a list of texts",
        "[tool.secure-resize]\nfail-on = 'huge'": "valid severities: low, medium, high",
        "[tool.secure-resize]\nignore = ['X1']": "unknown code 'X1'",
        "[tool.secure-resize": "pyproject.toml",
    }.items():
        (tmp_path / "src" / "pyproject.toml").write_text(text)
        capsys.readouterr()
        assert main(["lint", str(tmp_path / "src")]) == 4
        assert said in capsys.readouterr().err


def test_fail_on_of_the_project_holds_where_the_command_says_nothing(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.secure-resize]\nfail-on = "high"\n')
    (tmp_path / "code.py").write_text("import tensorflow as tf\nimage = tf.io.decode_jpeg(data)\n")
    assert main(["lint", str(tmp_path)]) == 0
    assert main(["lint", str(tmp_path), "--fail-on", "high"]) == 0
    assert main(["lint", str(tmp_path), "--fail-on", "low"]) == 1
    (tmp_path / "pyproject.toml").unlink()
    assert main(["lint", str(tmp_path)]) == 1


# Changes since a commit.


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_diff_reports_changed_lines_and_new_files_alone(tmp_path, capsys):
    git(tmp_path, "init", "-q")
    names = ["old.py", "with space.py", "ünï\nnew.py"]
    for name in names:
        (tmp_path / name).write_text(BAD)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    assert sr.audit.lint(tmp_path, diff="HEAD").findings == ()
    for name in names:
        (tmp_path / name).write_text(BAD + "more = cv2.resize(\n    image,\n    (8, 8),\n)\n")
    (tmp_path / "new.py").write_text(BAD)
    found = sr.audit.lint(tmp_path, diff="HEAD").active
    assert [(Path(one.place.path).name, one.place.line) for one in found if "\n" not in one.place.path] == [
        ("new.py", 2), ("old.py", 3), ("with space.py", 3)
    ]  # fmt: skip
    assert len(found) == 4
    assert main(["lint", str(tmp_path), "--diff", "nowhere"]) == 4
    assert main(["lint", str(tmp_path), "--diff", "--output=pwned"]) == 4
    assert not (tmp_path / "pwned").exists()
    assert "nowhere" in capsys.readouterr().err


def test_diff_outside_of_a_repository_is_a_usage_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "code.py").write_text(BAD)
    assert main(["lint", str(tmp_path), "--diff", "HEAD"]) == 4
    assert "--diff HEAD" in capsys.readouterr().err


# Fixes.

TF, TV, CV = "import tensorflow as tf\n", "from torchvision.transforms import v2\n", "import cv2\n"
FIXES = {
    f"{CV}h, w = image.shape[:2]\ncv2.resize(image, (w // 2, h // 2))\n": "h // 2), interpolation=cv2.INTER_AREA)",
    "import cv2 as c\nc.resize(image, None, fx=0.5, fy=0.5, interpolation=c.INTER_CUBIC)\n": "=c.INTER_AREA)",
    "import torch.nn.functional as F\nF.interpolate(image, (2, 2), mode='bilinear')\n": "'bilinear', antialias=True)",
    f"{TV}v2.Resize((9), antialias=(False))\n": "antialias=(True))",
    f"{TF}tf.image.resize(image, (2, 2),)\n": "(2, 2), antialias=True,)",
    f"{TF}tf.image.resize(\n    image,\n    ((2, 2)),  # small ),\n)\n": "((2, 2)), antialias=True,  # small ),\n)",
    "import keras\nkeras.utils.image_dataset_from_directory('a', image_size=(2, 2))\n": ', interpolation="area")',
    "import keras\nkeras.utils.load_img(p, target_size=(2, 2), interpolation='nearest')\n": '="bicubic")',
    "from skimage.transform import resize\nresize(image, (2, 2), anti_aliasing=False)\n": "anti_aliasing=True)",
    f"{CV}image = cv2.imread(p)\ncv2.resize(image, (width, 2 * 3))\n": "secure_resize.resize(image, (2 * 3, width))",
}  # fmt: skip


@pytest.mark.parametrize("code", FIXES)
def test_a_fix_is_safe_and_made_once(tmp_path, code):
    file = tmp_path / "code.py"
    file.write_text(code)
    made, failed = fix(sr.audit.lint(file))
    assert (made, failed) == (1, [])
    text = file.read_text()
    assert FIXES[code] in text
    ast.parse(text)
    assert sr.audit.lint(file).active == ()
    assert fix(sr.audit.lint(file)) == (0, [])
    assert file.read_text() == text


@pytest.mark.parametrize(
    "code",
    [
        BAD,  # the sizes are not known: INTER_AREA is not safe; the dtype is not known: ours is not either
        "import torch.nn.functional as F\nF.interpolate(image, (2, 2))\n",  # nearest: another filter is another meaning
        "from torchvision.transforms import v2\nv2.Resize(9, v2.InterpolationMode.NEAREST)\n",
        "import tensorflow as tf\ntf.image.resize(image, **options)\n",
        f"{TF}def f(image, smooth=False):\n    return tf.image.resize(image, (2, 2), antialias=smooth)\n",
    ],
)
def test_what_is_not_safe_to_replace_is_left(tmp_path, code):
    file = tmp_path / "code.py"
    file.write_text(code)
    report = sr.audit.lint(file)
    assert report.active
    fix(report)
    assert file.read_text() == code


@pytest.mark.parametrize(
    ("encoding", "head"),
    [("utf-8", ""), ("utf-8-sig", ""), ("latin-1", "# coding: latin-1\r\n"), ("utf-8", "x = 'ä𝄞'; \r\n\x0c\r\n")],
)
def test_a_fix_keeps_every_other_byte(tmp_path, encoding, head):
    code = (
        head
        + "import tensorflow as tf\r\nname = 'ä'; tf.image.resize(image, (2, 2))  # ö\r\n# a\tb  \r\ny = '''\n\r\n'''"
    )
    file = tmp_path / "code.py"
    file.write_bytes(code.encode(encoding))
    assert fix(sr.audit.lint(file)) == (1, [])
    assert file.read_bytes() == code.replace("(2, 2))", "(2, 2), antialias=True)").encode(encoding)


def test_fix_by_the_command_reports_what_is_left(tmp_path, capsys):
    file = tmp_path / "code.py"
    file.write_text(BAD + "import tensorflow as tf\ntf.image.resize(image, (2, 2))\n")
    assert main(["lint", str(file), "--fix"]) == 1
    out = capsys.readouterr()
    assert "fixed 1 of 2" in out.err
    assert "SR106" not in out.out
    assert main(["lint", str(file), "--fix", "--select", "SR106"]) == 0


# Notebooks and configurations.


def notebook(*sources, language="python"):
    cells = [{"cell_type": "markdown", "source": "cv2.resize(image, (2, 2))"}]
    cells += [{"cell_type": "code", "source": one, "outputs": [], "metadata": {}} for one in sources]
    return json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": language}}, "nbformat": 4})


def test_notebooks(tmp_path):
    file = tmp_path / "book.ipynb"
    file.write_text(
        notebook(
            ["%matplotlib inline\n", "!pip install opencv-python\n", "import cv2\n", "files = !ls\n", "cv2.resize?"],
            "%%time\nif True:\n    %config x\n    small = cv2.resize(image, (2, 2))",
            "%%bash\ncv2.resize(image, (2, 2))",
            "this is no python (",
            "cv2.resize(image, (3, 3))  # noqa",
        )
    )
    report = sr.audit.lint(file)
    (one,) = report.active
    assert (one.place.cell, one.place.line, one.place.column, one.fix) == (3, 4, 13, None)
    assert str(one.place).endswith("book.ipynb:cell 3:4:13")
    assert one.to_dict()["cell"] == 3
    assert [line.partition("book.ipynb: ")[2].partition(":")[0] for line in report.failures] == ["cell 5"]
    (location,) = json.loads(report.to_sarif())["runs"][0]["results"][0]["locations"]
    assert "region" not in location["physicalLocation"]  # its lines would be taken for those of the file
    assert location["logicalLocations"][0]["name"] == "cell 3, line 4"
    file.write_text(notebook(BAD, language="R"))
    assert sr.audit.lint(file).findings == ()
    file.write_text('{"cells": 3}')
    assert "not a notebook" in sr.audit.lint(file).failures[0]


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ({"resample": 0}, [2]),
        ({"image_processor_type": "CLIPImageProcessor", "resample": 3}, []),
        ({"resample": 4}, [2]),
        ({"do_resize": False, "resample": 0}, []),
        ({"resample": False}, []),
        ({"image_processor": {"size": {"height": 9}, "resample": 0}}, [6]),
        ({"image_processor_type": "ZoeDepthImageProcessorFast", "resample": 2}, [2]),
        ({"class_name": "Resizing", "config": {"interpolation": "bilinear", "antialias": False}}, [5]),
        ({"class_name": "Resizing", "config": {"interpolation": "bilinear", "antialias": True}}, []),
        ({"mean": [0.5], "interpolation": "nearest"}, [5]),
        ({"text": "\"resample\": 0"}, []),
    ],
)  # fmt: skip
def test_configurations(tmp_path, config, lines):
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(config, indent=1))
    report = sr.audit.lint(file)
    assert [one.place.line for one in report.active] == lines
    assert {one.code for one in report.active} <= {"SR115"}
    assert report.looked_at == 1


# Files that cannot be read.


def test_whatever_lies_about_is_a_line_and_no_crash(tmp_path):
    files = {
        "two.py": b"import cv2\nprint 'python 2', cv2.resize(image, (2, 2))\n",
        "null.py": b"import cv2\0\n",
        "latin.py": "import cv2\nx = 'ä'; cv2.resize(image, (2, 2))".encode("latin-1"),
        "codec.py": b"# coding: nonsense\nimport cv2\ncv2.resize(image, (2, 2))\n",
        "deep.py": b"import cv2\ncv2.resize(image, (2, 2))\nx = " + b"-" * 100_000 + b"1\n",
        "parens.py": b"import cv2\ncv2.resize(image, (2, 2))\nx = " + b"(" * 300 + b")" * 300,
        "long.py": b"import cv2\ncv2.resize(image, (2, 2))\nx = " + b"+".join([b"1"] * 50_000),
        "huge.py": b"#" * 5_000_001,
        "bad.ipynb": b"{",
        "preprocessor_config.json": b'{"resample": 0,}',
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "empty.py").write_bytes(b"")
    (tmp_path / "good.py").write_text(BAD)
    report = sr.audit.lint(tmp_path)
    assert [Path(one.place.path).name for one in report.active] == ["good.py"]
    said = {Path(line.split(": ")[0]).name: line for line in report.failures}
    assert set(said) == {*files, "gone.py", "pipe.py"}
    assert "cannot parse it" in said["two.py"]
    assert not any("the linter failed" in line for line in report.failures)
    assert report.looked_at == 2


def test_code_that_goes_in_circles_is_read(tmp_path):
    code = """
import cv2
a = b
b = a
def f(x, flag=a): return g(x, flag)
def g(x, flag=b): return f(x, flag)
class A(B): flag = A.flag
class B(A): flag = B.flag
x = x
size = size * 2
cv2.resize(x, size, interpolation=a)
cv2.resize(f(x), (size, size), interpolation=A.flag)
table = {"a": table, **table}
cv2.resize(x, table["a"], **table)
"""
    file = tmp_path / "code.py"
    file.write_text(code)
    report = sr.audit.lint(file)
    assert not report.failures
    assert len(report.active) == 3


def test_nothing_of_the_target_is_run(tmp_path):
    marker = tmp_path / "ran"
    for name in ("code.py", "conftest.py", "setup.py", "cv2.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w')\n{BAD}")
    sr.audit.lint(tmp_path)
    assert not marker.exists()


# The command.


def test_exit_codes_are_the_same_in_every_format(tmp_path, capsys):
    bad, good, broken, empty = (tmp_path / one for one in ("bad", "good", "broken", "empty"))
    for folder in (bad, good, broken, empty):
        folder.mkdir()
    (bad / "code.py").write_text(BAD)
    (good / "code.py").write_text("import cv2\n")
    (broken / "code.py").write_text("import cv2 2 resize\n")
    for form in ("text", "json", "sarif", "html"):
        for folder, code in ((bad, 1), (good, 0), (broken, 2), (empty, 3)):
            assert main(["lint", str(folder), "--format", form]) == code, (form, folder)
        assert main(["lint", str(bad), "--format", form, "--exit-zero"]) == 0
    capsys.readouterr()
    assert main(["lint", str(tmp_path / "nowhere")]) == 4
    assert main(["lint"]) == 4
    assert main(["lint", str(good), str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_json_has_all_that_is_promised(tmp_path, capsys):
    (tmp_path / "code.py").write_text("import tensorflow as tf\ntf.image.resize(image, (2, 2))\n")
    assert main(["lint", str(tmp_path), "--format", "json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)["findings"]
    wanted = ("code", "severity", "confidence", "path", "line", "column", "end_line", "message", "advice", "fix")
    assert all(one[key] for key in wanted)
    assert one["fix"]["edits"] == [
        {"line": 2, "column": 30, "end_line": 2, "end_column": 30, "text": ", antialias=True"}
    ]


@pytest.mark.parametrize("code", ["SR101", "sr113"])
def test_a_rule_is_explained(code, capsys):
    assert main(["lint", "--explain", code]) == 0
    assert "## Instead" in capsys.readouterr().out
    assert main(["lint", "--explain", "SR999"]) == 4


def test_hostile_names_stay_text(tmp_path, capsys):
    name = "<script>\x1b[31m\n.py"
    (tmp_path / name).write_text("import cv2\nsmall = cv2.resize(image, (2, 2))  # \x1b]0;title\x07</script>\n")
    assert main(["lint", str(tmp_path)]) == 1
    assert "\x1b[31m" not in (out := capsys.readouterr().out)
    assert "\x1b]0" not in out
    for form in ("json", "sarif", "html"):
        main(["lint", str(tmp_path), "--format", form])
        assert "\x1b" not in (out := capsys.readouterr().out)
        assert form != "html" or "<script>\\x1b" not in out


def test_several_processes_find_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("secure_resize.audit.lint"), "FEW", 2)
    for number in range(4):
        (tmp_path / f"code{number}.py").write_text(BAD)
    assert sr.audit.lint(tmp_path, jobs=2).findings == sr.audit.lint(tmp_path).findings


# Real code.


def test_installed_libraries_are_read_without_a_failure_and_their_own_sampling_is_found():
    import albumentations
    import torchvision

    report = sr.audit.lint([Path(one.__file__).parent for one in (albumentations, torchvision)])
    assert not report.failures
    places = {(Path(one.place.path).name, one.code) for one in report.active}
    assert {("transform.py", "SR103"), ("_presets.py", "SR105"), ("resize.py", "SR111")} <= places


def test_a_picture_that_takes_the_place_of_the_one_it_is_made_of():
    """The size of image, where the call reads it, is not the size of what the call makes."""
    assert found("import cv2\ndef f(image):\n    image = cv2.resize(image, (9, 9))\n    return image\n") == ["SR101"]
    assert found("import cv2\nimage = cv2.imread(p)\nimage = cv2.resize(\n    image,\n    (9, 9),\n)\n") == ["SR101"]
    twice = "import cv2\nimage = cv2.imread(p)\nimage = cv2.resize(image, (9, 9))\nimage = cv2.resize(image, (9, 9))\n"
    assert found(twice) == ["SR101"]  # the second changes nothing
