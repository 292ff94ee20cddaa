"""What the documents say is so: code runs, commands exist, fixes are robust, figures are those measured, links lead on.

A code block, or an inline piece of code with a call in it, is run as it stands, with stand-ins for what a reader has.
"""

import importlib
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.measure import survey
from secure_resize.measure.scalers import SCALERS

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
if not (ROOT / "README.md").exists():
    pytest.skip("not a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT / "benchmarks"))
update_docs = importlib.import_module("update_docs")

README = (ROOT / "README.md").read_text()
EVIDENCE = (ROOT / "benchmarks/EVIDENCE.md").read_text()
DOCUMENTS = ["README.md", "SECURITY.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", "benchmarks/SPEED.md"]
DOCUMENTS.append("benchmarks/EVIDENCE.md")
# In a piece of inline code: what has to be installed for it.
NEEDS = {
    "srtf": ["tensorflow"],
    "tf": ["tensorflow"],
    "keras": ["keras"],
    "cv2": ["cv2"],
    "A": ["cv2", "albumentations"],
    "v2": ["torchvision"],
    "F": ["torch"],
}
SCRIPTS = {"ruff", "mypy", "pytest", ".ci/run"}


def fenced(text, language):
    """The code blocks of a language, without those that commands generate."""
    return re.findall(rf"^```{language}\n(.*?)^```$", update_docs.BLOCK.sub("", text), re.MULTILINE | re.DOTALL)


def inline(text):
    """The inline pieces of code."""
    prose = re.sub(r"^```.*?^```$", "", update_docs.BLOCK.sub("", text), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def is_command(code):
    return code.split()[0] in ("secure-resize", "python")


def is_call(code):
    return bool(re.match(r"[\w.]+\(.*\)$", code)) and not is_command(code)


def table_of(text, heading):
    """The cells of the first table under a heading, by the first cell of each row."""
    rows = re.search(rf"^## {re.escape(heading)}$.*?\n(\|.*?)\n\n", text, re.MULTILINE | re.DOTALL)[1].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {first: rest for first, *rest in cells[2:]}


def namespace(code, image):
    """What a reader has: the libraries that ``code`` names, and a picture in each of their forms."""
    from PIL import Image

    names = {"sr": sr, "image": image, "Image": Image, "load": lambda image: sr.resize(image, (224, 224))}
    for name in set(re.findall(r"\b\w+\b", code)) & set(NEEDS):
        for module in NEEDS[name]:
            pytest.importorskip(module)
    if re.search(r"\b(tf|srtf|dataset)\b", code):
        tf = pytest.importorskip("tensorflow")
        from secure_resize.integrations import tensorflow as srtf

        names |= {"tf": tf, "srtf": srtf, "dataset": tf.data.Dataset.from_tensors(image)}
    if re.search(r"\b(v2|F|tensor|batch)\b", code):
        torch = pytest.importorskip("torch")
        from secure_resize.integrations.torchvision import v2

        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
        names |= {"v2": v2, "F": torch.nn.functional, "tensor": tensor, "batch": tensor[None]}
    for name, module in {"keras": "keras", "cv2": "cv2", "A": "albumentations"}.items():
        if re.search(rf"\b{name}\b", code):
            names[name] = importlib.import_module(module)
    if re.search(r"\bpath\b", code):
        names["path"] = str(Path(tempfile.mkdtemp()) / "picture.jpg")
        Image.fromarray(image).save(names["path"], quality=100, subsampling=0)
    if re.search(r"\bfolder\b", code):
        names["folder"] = tempfile.mkdtemp()
        (Path(names["folder"]) / "cats").mkdir()
        Image.fromarray(image).save(Path(names["folder"]) / "cats/one.png")
    return names


def levels(result, image):
    """What a piece of code makes of the picture, as (H, W, C) uint8: it is the result, or a transform or layer."""
    if type(result).__module__.startswith("albumentations"):
        result = result(image=image)["image"]
    elif type(result).__module__.startswith(("torchvision", "secure_resize.integrations.torchvision")):
        result = result(namespace("tensor", image)["tensor"])
    elif callable(result) and not hasattr(result, "shape"):
        result = result(image)
    if hasattr(result, "as_numpy_iterator"):
        result = next(result.as_numpy_iterator())
        result = result[0] if isinstance(result, tuple) else result  # with its label
    array = result.numpy() if hasattr(result, "numpy") else np.asarray(result)
    array = array[0] if array.ndim == 4 else array
    array = np.moveaxis(array, 0, -1) if array.shape[0] == image.shape[2] else array
    return np.clip(np.round(array), 0, 255).astype(np.uint8)


def run_call(code, image):
    return levels(eval(code, namespace(code, image)), image)


def check_command(code):
    """A command that a document names: it is parsed, or its file is there."""
    words = [word for word in shlex.split(code) if word != "..."]
    if words[:3] == ["python", "-m", "secure_resize"]:
        words = ["secure-resize", *words[3:]]
    if words[0] == "secure-resize":
        app = pytest.importorskip("secure_resize.cli.app").app
        assert words[1] in app, code
        if len(words) > 2:
            app.parse_args(words[1:], exit_on_error=False, print_error=False)
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(re.findall(r"[a-z]+", words[2])) <= set(extras), code
    elif words[:2] == ["python", "-c"]:
        subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), code
    else:
        assert words[0] in SCRIPTS, code


def commands(text):
    for block in fenced(text, "sh"):
        yield from (command.strip() for line in block.splitlines() for command in line.split("&&"))
    yield from (code for code in inline(text) if is_command(code) and len(code.split()) > 1)
    yield from (match["command"] for match in update_docs.BLOCK.finditer(text))


def run_block(code, photo):
    """A block of Python, run; then what it defines is used."""
    names = namespace(code, photo)
    for name in ("sr", "srtf", "v2"):  # the block says where they come from
        names.pop(name, None)
    exec(code, names)
    used = {name: names[name] for name in ("transform", "dataset", "small") if name in names}
    assert used, f"nothing to look at in\n{code}"
    for result in used.values():
        assert levels(result, photo).shape == (224, 224, 3)


@pytest.mark.parametrize("place", range(len(fenced(README, "python"))))
def test_every_python_block_runs(place, photos):
    run_block(fenced(README, "python")[place], photos["chelsea.png"])


@pytest.mark.parametrize("code", dict.fromkeys(filter(is_call, inline(README))))
def test_every_call_in_the_text_runs(code, photos):
    if "Resize" in code or "resize" in code or "interpolate" in code:
        assert run_call(code, photos["chelsea.png"]).shape[:2] == (224, 224)
    else:
        eval(code, namespace(code, photos["chelsea.png"]))


FIXES = {
    (library, code)
    for library, cells in table_of(README, "What do I do?").items()
    for cell in cells
    for code in filter(is_call, inline(cell))
}


def test_the_table_is_read():
    assert len(FIXES) >= 10
    assert {"OpenCV", "Keras", "tf.data", "albumentations", "torch"} <= {library for library, _ in FIXES}


@pytest.mark.slow
@pytest.mark.parametrize(("library", "code"), sorted(FIXES))
def test_what_the_table_says_to_write_is_robust(library, code):
    operator = sr.probe(lambda image: run_call(code, image), (400, 640), (224, 224), layout="HWC", dtype="uint8")
    assert sr.exposure(operator).verdict == "robust"


def test_area_is_no_fix_where_an_axis_grows():
    pytest.importorskip("cv2")
    said = re.search(r"(\d+)×(\d+) to (\d+)×(\d+) it samples both \(([\d.]+) dB\)", README)
    sizes = [int(number) for number in said.groups()[:4]]
    operator = sr.probe("opencv:area", tuple(sizes[:2]), tuple(sizes[2:]))
    assert f"{sr.exposure(operator).stealth_gain_db:.1f}" == said[5]


@pytest.mark.slow
def test_processors_of_transformers_and_timm():
    """Only where they are installed: what the table says of them."""
    transformers = pytest.importorskip("transformers")
    create_transform = pytest.importorskip("timm.data").create_transform
    size = {"height": 224, "width": 224}
    plain = {"size": size, "do_pad": False}
    gains = {}
    for name, options in {
        "ViT": {"size": size},
        "CLIP": {"size": size, "do_center_crop": False},
        "Siglip": {"size": size},
        "DepthPro": {"size": size},
        "ZoeDepth": {**plain, "keep_aspect_ratio": False, "ensure_multiple_of": 1},
        "RfDetr": plain,
        "ViT, resample 0": {"size": size, "resample": 0},
    }.items():
        make = getattr(transformers, f"{name.partition(',')[0]}ImageProcessor")
        processor = make(**options, do_normalize=False, do_rescale=False)

        def call(image, processor=processor):
            return np.moveaxis(np.asarray(processor(image, return_tensors="pt")["pixel_values"][0]), 0, -1)

        gains[name] = sr.exposure(sr.probe(call, (400, 640), (224, 224), layout="PIL", dtype="uint8")).stealth_gain_db
    assert max(gains.pop("ViT"), gains.pop("CLIP"), gains.pop("Siglip")) < 1
    assert len(gains) == 4
    assert all(6 <= round(gain) <= 7 for gain in gains.values()), gains
    transform = create_transform((3, 224, 224), is_training=False, crop_pct=1.0)
    assert sr.exposure(sr.probe(transform, (400, 400), (224, 224), layout="PIL", dtype="uint8")).verdict == "robust"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_can_be_run(document):
    for command in commands((ROOT / document).read_text()):
        check_command(command)


@pytest.mark.parametrize("document", update_docs.DOCUMENTS, ids=lambda path: path.name)
def test_every_generated_block_is_filled(document):
    assert all(output.strip("`\n") for _, output in update_docs.blocks(document))


@pytest.mark.slow
def test_the_probed_pipeline_says_what_is_printed():
    pytest.importorskip("torchvision")
    (found,) = [found for found in update_docs.blocks(ROOT / "README.md") if " probe " in found[0]]

    def without_versions(text):
        return re.sub(r"\d+\.\d+\.\d+\S*", "VERSION", text)

    assert without_versions(update_docs.run(found[0])) == without_versions(found[1])


@pytest.mark.slow
def test_the_libraries_are_as_the_table_says():
    said = table_of(README, "Is my library safe already?")
    rows = [row for row in SCALERS.values() if any(row.library == name.split()[0] for name in said)]
    wanted = {row.name for row in rows if row.default}
    wanted |= {
        f"{name.split()[0]}:{cells[3].strip('`')}"
        for name, cells in said.items()
        if len(cells) > 3 and cells[3].strip()
    }
    measured, _ = survey.measure(sorted(wanted), survey.RATIOS)
    assert len(measured) >= 2
    now = {cells[0]: cells[1:] for cells in map(cells_of, survey.by_library(measured, {}).splitlines()[2:])}
    before = {name.split()[0]: cells for name, cells in said.items()}
    for name, cells in now.items():
        assert cells == before[name.split()[0]], name


def cells_of(row):
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def test_the_speeds_are_those_of_the_benchmark():
    speed = (ROOT / "benchmarks/SPEED.md").read_text()
    outputs = {match["command"]: match["output"] for match in update_docs.BLOCK.finditer(speed)}
    levels = [outputs[f"python benchmarks/bench_resize.py --level {level}"] for level in ("avx2", "avx512")]
    rows = table_of(README, "What does it cost?")
    assert len(rows) == 6
    for name, cells in rows.items():
        wanted = []
        for output in levels:  # of a row: its second size, 1024x768, and the mean
            (found,) = [cells_of(row)[1:] for row in output.splitlines() if row.startswith(f"| {name} |")] or [[""] * 6]
            wanted += [found[1], found[-1]]
        assert cells == wanted, name
    assert all(rows[name][2:] != ["", ""] for name in rows if not name.startswith("fast_image_resize"))


def rates(command, defense):
    """The S1 rates against a defense in the table of the evaluation ``command``: by attack, in the order of scalers."""
    (output,) = [match["output"] for match in update_docs.BLOCK.finditer(EVIDENCE) if command in match["command"]]
    table = output[output.index("| defense |") :]
    header, _, *rows = [cells_of(row) for row in table.splitlines() if row.startswith("|")]
    return [dict(zip(header, row, strict=True)) for row in rows if row[0] == defense]


def percent(cell):
    return float(cell.split()[0])


def test_the_evidence_is_that_of_the_evaluation():
    section = " ".join(README[README.index("## What is each defense worth?") :].split())
    area = rates("--adaptive --defenses none area", "area")
    assert {row["pairs"] for row in area} == {re.search(r"of (\d+) pairs none succeeds", section)[1]}
    assert all(percent(row["S1 far"]) == 0 for row in area)
    for kernel in ("bilinear", "hamming", "bicubic", "lanczos"):
        for row in rates("--adaptive --pairs 60", kernel):
            assert percent(row["S1 far"]) == 0
            assert row["pairs"] == re.search(r"on (\d+) pairs", section)[1]
    median = [percent(row["S1"]) for row in rates("--adaptive --pairs 60", "median")]
    assert f"[{min(median):.0f} to {max(median):.0f} %]" in section
    random = rates("--adaptive --pairs 60", "random")
    unknown = [percent(row["S1"]) for row in random if "told the key" not in row["attack that knows it"]]
    assert f"up to [{max(unknown):.0f} %]" in section


def test_the_cost_in_clean_quality_is_that_of_the_benchmark():
    (output,) = [match["output"] for match in update_docs.BLOCK.finditer(EVIDENCE) if "BSDS500" in match["command"]]
    rows = {cells[0]: cells for cells in map(cells_of, output.splitlines()) if len(cells) > 1}
    place = next(cells for name, cells in rows.items() if name.startswith("clean")).index("β = 4")
    found = [float(rows[f"`opencv:linear` {method}"][place].split()[0]) for method in ("median", "random")]
    assert "[{:.0f} and {:.0f} dB]".format(*found) in " ".join(README.split())


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        if anchor:
            assert anchor in [slug(line.lstrip("# ")) for line in linked.read_text().splitlines() if line[:1] == "#"]


def test_its_length():
    assert len(README.splitlines()) <= 160
    assert max(len(line) for line in README.splitlines() if not line.startswith(("|", "<!--", "!["))) <= 120


WRONG = [
    ("python", "sr.resize(image", "sr.resise(image"),
    ("python", "v2.CenterCrop(224)", "v2.CenterCrop(256)"),
    ("python", "map(srtf.Resize((224, 224)),", "map(srtf.Resize((112, 112)),"),
    ("call", "antialias=True)", "antialiased=True)"),
    ("call", 'scaler="opencv:linear")', 'scaler="opencv:bilinear")'),
    ("fix", "interpolation=cv2.INTER_AREA)", "interpolation=cv2.INTER_LINEAR)"),
    ("fix", "antialias=True)", "antialias=False)"),
    ("command", "secure-resize demo", "secure-resize show"),
    ("command", "pip install '.[all]'", "pip install '.[everything]'"),
]


@pytest.mark.parametrize(("kind", "right", "wrong"), WRONG)
def test_a_wrong_document_is_noticed(kind, right, wrong, photos):
    for module in ("torchvision", "tensorflow", "cv2", "cyclopts"):
        pytest.importorskip(module)
    assert right in README
    text, photo = README.replace(right, wrong), photos["chelsea.png"]
    pieces, check = {
        "python": (fenced(text, "python"), lambda code: run_block(code, photo)),
        "call": (filter(is_call, inline(text)), lambda code: run_call(code, photo)),
        "fix": (filter(is_call, inline(text)), lambda code: test_what_the_table_says_to_write_is_robust("", code)),
        "command": (commands(text), check_command),
    }[kind]
    touched = [piece for piece in pieces if wrong in piece]
    assert touched
    for piece in touched:
        with pytest.raises(Exception):  # noqa: B017, PT011  (AssertionError, and whatever the library says)
            check(piece)
