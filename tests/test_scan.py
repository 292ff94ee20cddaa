"""Scans: every source gives the same answers, a ledger goes on where it stopped, and reports say what was seen."""

import csv
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scan_kills

import secure_resize as sr
from secure_resize.cli import main
from secure_resize.scan import SOURCES, Limits, Look, NoSource, restore, scan
from secure_resize.scan.ledger import Ledger
from secure_resize.scan.units import quoted, unquoted

pytest.importorskip("cyclopts")
PIL = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.once

SIZE, SCALER = (48, 48), "opencv:nearest"
NAMES = ("a.png", "b/attack.png", "b/c.png", "d.jpg")
OPTIONS = {"size": SIZE, "scalers": [SCALER], "engine": "here"}
COMMAND = ["--size", "48x48", "--scaler", SCALER, "--engine", "here"]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Small pictures as files by name; one shows another picture to nearest."""
    data = pytest.importorskip("skimage.data")
    clean = [sr.resize(picture, (192, 192)) for picture in (data.astronaut(), data.coffee(), data.chelsea())]
    target = sr.resize(data.rocket(), SIZE)
    attacked = sr.attacks.craft(clean[0], target, SCALER, method="nearest").image
    return {name: encoded(image, name) for name, image in zip(NAMES, (clean[0], attacked, *clean[1:]), strict=True)}


def encoded(image: np.ndarray, name: str = ".png") -> bytes:
    file = io.BytesIO()
    PIL.fromarray(image).save(file, "JPEG" if name.endswith("jpg") else "PNG", quality=95)
    return file.getvalue()


@pytest.fixture
def folder(files, tmp_path):
    root = tmp_path / "data"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def packed(files, path, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def answers(report):
    """Without the ids."""
    return [{name: value for name, value in one.items() if name != "id"} for one in report.images]


@pytest.fixture(scope="module")
def expected(files):
    report = scan(list(files.items()), **OPTIONS)
    assert [one["suspicious"] for one in report.images] == [False, True, False, False]
    return answers(report)


# Sources.


def parquet_of(files, path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"image": {"bytes": data, "path": name}, "label": k} for k, (name, data) in enumerate(files.items())]
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


def arrow_of(files, path, kind):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"jpg": list(files.values()), "n": list(range(len(files)))})
    with kind(arrow)(path, table.schema) as writer:
        writer.write_table(table)
    return path


def dataset_of(files):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int32")})
    rows = {"image": [{"bytes": data, "path": None} for data in files.values()], "label": list(range(len(files)))}
    return datasets.Dataset.from_dict(rows, features=features)


def saved(files, path):
    dataset_of(files).save_to_disk(path)
    return path


def lance_of(files, path):
    lance, arrow = pytest.importorskip("lance"), pytest.importorskip("pyarrow")
    lance.write_dataset(arrow.table({"image": list(files.values())}), path)
    return path


def listed(files, path):
    for name, data in files.items():
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(data)
    path.write_text("\n".join(files) + "\n\n")
    return path


def pairs(files, path):
    return (pair for pair in files.items())


def arrays(files, path):
    return [(name, np.asarray(PIL.open(io.BytesIO(data)))) for name, data in files.items()]


MADE = {
    "tar": lambda files, path: packed(files, path / "s.tar"),
    "tar, gzip": lambda files, path: packed(files, path / "s.tar.gz", "w:gz"),
    "tar, xz": lambda files, path: packed(files, path / "s.txz", "w:xz"),
    "parquet": lambda files, path: parquet_of(files, path / "t.parquet"),
    "arrow, file": lambda files, path: arrow_of(files, path / "t.arrow", lambda arrow: arrow.ipc.new_file),
    "arrow, stream": lambda files, path: arrow_of(files, path / "t.arrow", lambda arrow: arrow.ipc.new_stream),
    "Hugging Face, on disk": lambda files, path: saved(files, path / "hf"),
    "Hugging Face": lambda files, path: dataset_of(files),
    "Hugging Face, streamed": lambda files, path: dataset_of(files).to_iterable_dataset(),
    "Hugging Face, some of it": lambda files, path: dataset_of(files).select([0, 1, 2, 3]),
    "lance": lambda files, path: lance_of(files, path / "d.lance"),
    "list": lambda files, path: listed(files, path / "names.txt"),
    "pairs": pairs,
    "arrays": arrays,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of datasets' own dependencies
@pytest.mark.parametrize("kind", MADE)
def test_every_source_gives_the_same_answers(kind, files, expected, tmp_path):
    report = scan(MADE[kind](files, tmp_path), **OPTIONS)
    assert answers(report) == expected
    assert [one.code for one in report.findings] == ["SR401"]


def test_there_is_a_source_of_each_kind():
    assert {"tar", "parquet", "arrow", "lance"} < set(SOURCES)
    assert {one.partition(",")[0] for one in MADE} >= set(SOURCES) - {"file"}


def test_a_folder_is_looked_through_archives_and_tables_included(files, folder, expected):
    packed(files, folder / "x.tar")
    parquet_of(files, folder / "y.parquet")
    (folder / "notes.txt").write_text("no picture")
    report = scan(folder, **OPTIONS)
    assert answers(report) == expected * 3
    ids = [one["id"] for one in report.images]
    assert ids[: len(files)] == list(NAMES)
    assert ids[len(files)] == "x.tar::a.png"
    assert ids[-1] == "y.parquet#3"
    assert report.facts["other_files"] == 1


def test_a_picture_is_known_by_its_first_bytes(files, tmp_path):
    (tmp_path / "hidden.dat").write_bytes(files["b/attack.png"])
    assert [one["suspicious"] for one in scan(tmp_path, **OPTIONS).images] == [True]


def test_what_is_no_source_is_said_in_one_line(tmp_path):
    with pytest.raises(NoSource, match="there is no"):
        scan(tmp_path / "nothing", **OPTIONS)
    with pytest.raises(NoSource, match="expected a path, a Hugging Face Dataset"):
        scan(5, **OPTIONS)
    with pytest.raises(ValueError, match="unknown engine 'spark'; valid engines: process, here, ray"):
        scan(tmp_path, size=SIZE, engine="spark")


@pytest.mark.parametrize(("module", "name"), [("pyarrow.parquet", "t.parquet"), ("lance", "t.lance")])
def test_without_its_library_a_source_says_what_installs_it(module, name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    code = f"""
import sys; sys.modules[{module!r}] = None
from secure_resize.scan.sources import items_of, units_of
from secure_resize.scan import Limits
list(items_of(next(units_of([{str(tmp_path / name)!r}])), 0, Limits()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtra: " in run.stderr.splitlines()[-1]
    assert "pip install" in run.stderr.splitlines()[-1]


# Views of one picture.


def test_the_view_that_hides_something_is_found(files):
    """Upright or as it lies, behind transparency, in the second frame."""
    attacked, clean = (np.asarray(PIL.open(io.BytesIO(files[name]))) for name in ("b/attack.png", "a.png"))
    look = Look(size=SIZE, scalers=(SCALER,))
    exif = PIL.Exif()
    exif[0x0112] = 3
    file = io.BytesIO()
    PIL.fromarray(attacked[::-1, ::-1]).save(file, "PNG", exif=exif)
    turned = file.getvalue()
    file = io.BytesIO()
    PIL.fromarray(clean).save(file, "PNG", save_all=True, append_images=[PIL.fromarray(attacked)])
    animated = file.getvalue()
    alpha = np.where((clean == attacked).all(axis=2), 255, 0).astype(np.uint8)
    transparent = encoded(np.dstack([attacked, alpha]))
    rows = look([("turned", turned), ("animated", animated), ("transparent", transparent)])
    assert [row.suspicious for row in rows] == [True, True, True]
    (row,) = Look(size=SIZE, scalers=(SCALER,), limits=Limits(frames=1))([("animated", animated)])
    assert [one.code for one in row.troubles] == ["SR406"]
    assert not row.suspicious


def test_the_false_positive_rate_is_divided_among_the_views(files):
    """Four frames are four chances of a false alarm."""
    attacked = PIL.open(io.BytesIO(files["b/attack.png"]))
    file = io.BytesIO()
    attacked.save(
        file, "PNG", save_all=True, append_images=[PIL.new("RGB", attacked.size, (k, 0, 0)) for k in (1, 2, 3)]
    )
    look = Look(size=SIZE, scalers=(SCALER,))
    one, four = look([("one", files["b/attack.png"]), ("four", file.getvalue())])
    assert one.suspicious
    assert four.answer["p_value"] == pytest.approx(4 * one.answer["p_value"], rel=1e-4)
    assert four.answer["threshold"] > one.answer["threshold"]
    assert four.answer["score"] == one.answer["score"]


# The callable.


def test_the_callable_can_be_pickled_and_goes_by_columns(files, expected):
    look = pickle.loads(pickle.dumps(Look(size=SIZE, scalers=(SCALER,))))
    rows = look(list(files.items()))
    assert [dict(row.answer) for row in rows] == expected
    columns = look.columns({"picture": list(files.values()), "name": NAMES}, image="picture", id="name")
    assert columns["suspicious"] == [False, True, False, False]
    assert columns["finding"] == [""] * 4
    broken = look.columns({"image": [b"GIF89a", files["a.png"]]})
    assert broken["suspicious"] == [None, False]
    assert broken["finding"][0].startswith("SR402: ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_datasets_map(files):
    datasets = pytest.importorskip("datasets")
    data = dataset_of(files).cast_column("image", datasets.Image(decode=False))
    found = data.map(Look(size=SIZE, scalers=(SCALER,)).columns, batched=True, batch_size=3)
    assert found["suspicious"] == [False, True, False, False]
    assert found["label"] == [0, 1, 2, 3]


# The ledger.


def test_a_finished_scan_looks_at_nothing_again(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = scan(folder, **OPTIONS, out=out)
    before = (out / "report.json").read_bytes()
    monkeypatch.setattr(Look, "one", lambda self, item: 1 / 0)
    again = scan(folder, **OPTIONS, out=out)
    assert (out / "report.json").read_bytes() == before
    assert again.to_json() == first.to_json() == before.decode().rstrip("\n")


def test_what_changed_is_looked_at_again_and_what_is_gone_is_forgotten(folder, files, tmp_path):
    out = tmp_path / "out"
    scan(folder, **OPTIONS, out=out)
    (folder / "a.png").write_bytes(files["b/attack.png"])
    (folder / "b/attack.png").unlink()
    report = scan(folder, **OPTIONS, out=out)
    assert [(one["id"], one["suspicious"]) for one in report.images] == [
        ("a.png", True),
        ("b/c.png", False),
        ("d.jpg", False),
    ]
    assert (out / "report.json").read_text() == scan(folder, **OPTIONS, out=tmp_path / "fresh").to_json() + "\n"


def test_a_ledger_knows_what_it_was_made_with(folder, tmp_path):
    scan(folder, **OPTIONS, out=tmp_path)
    with pytest.raises(ValueError, match=r"was made with size = \[48, 48\], now it is \[24, 24\]; choose another"):
        scan(folder, **(OPTIONS | {"size": (24, 24)}), out=tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ledger.sqlite").write_bytes(b"this is no ledger at all, but a text of some length")
    with pytest.raises(RuntimeError, match="is no ledger of a scan"):
        scan(folder, **OPTIONS, out=tmp_path / "other")


def test_one_scan_at_a_time_writes_into_a_folder(folder, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite"):
        code = f"""
from secure_resize.scan import scan
try:
    scan({str(folder)!r}, size=(48, 48), out={str(tmp_path)!r}, engine="here")
except RuntimeError as error:
    print(error)
"""
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "another scan is writing into" in run.stdout, run.stderr


@pytest.mark.slow
def test_killed_again_and_again_it_gives_the_same_report():
    """300 pictures and 6 kills; ``python tests/proofs/scan_kills.py 100000 100`` is the whole."""
    different, known = scan_kills.prove(300, 6, seed=4)
    assert not different
    assert any(0 < number < 300 for number in known), known


# Reports.


def test_the_files_of_a_report(folder, tmp_path):
    (folder / "=1+1.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "new\nline.png").write_bytes((folder / "b/attack.png").read_bytes())
    listing = tmp_path / "list.txt"
    report = scan(folder, **OPTIONS, out=tmp_path / "out", list_to=listing)
    found = json.loads((tmp_path / "out/report.json").read_text())
    assert list(found)[:2] == ["images", "findings"]
    assert found["images"] == report.to_dict()["images"] == list(report.images)
    assert set(found["images"][0]) >= {"id", "suspicious", "score", "p_value", "scaler", "size", "box"}
    assert found["versions"]["opencv"]
    with (tmp_path / "out/report.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["suspicious"] for line in lines] == [str(one["suspicious"]) for one in found["images"]]
    assert lines[0]["id"] == "'=1+1.png"  # no formula for a spreadsheet
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "out/report.parquet").to_pylist()
    assert [(one["id"], one["suspicious"]) for one in table] == [(o["id"], o["suspicious"]) for o in found["images"]]
    names = [unquoted(line) for line in listing.read_text().splitlines()]
    assert names == ["b/attack.png", "new\nline.png"]
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/png;base64,") == 8  # two pictures, four views each
    assert "new\\nline.png" in page


@pytest.mark.parametrize(
    "name", ["plain.png", "with space.png", 'qu"ote', '"begins', "two\nlines", "\x1b[31m", "\udce9"]
)
def test_a_name_in_a_list_comes_back(name):
    line = quoted(name)
    assert "\n" not in line
    assert "\x1b" not in line
    assert unquoted(line) == name


# Moving.


def test_suspicious_files_are_moved_and_come_back(folder, files, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    (away / "b__attack.png").write_bytes(b"somebody else's")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    packed(files, folder / "x.tar")
    report = scan(folder, **OPTIONS, out=tmp_path / "out", move_to=away)
    assert sum(one["suspicious"] for one in report.images) == 2
    assert not (folder / "b/attack.png").exists()
    assert (away / "b__attack.png").read_bytes() == b"somebody else's"
    assert (away / "b__attack.2.png").read_bytes() == files["b/attack.png"]
    assert (folder / "x.tar").exists()
    assert restore(away) == [folder / "b/attack.png"]
    assert {path: path.read_bytes() for path in before} == before
    assert restore(away) == []


def test_a_move_that_was_interrupted_goes_on(folder, tmp_path, monkeypatch):
    from secure_resize.scan import run

    out, away = tmp_path / "out", tmp_path / "away"
    with monkeypatch.context() as patch:
        patch.setattr(run, "move", lambda ledger: None)
        scan(folder, **OPTIONS, out=out, move_to=away)
    before = (out / "report.json").read_bytes()
    assert (folder / "b/attack.png").exists()
    scan(folder, **OPTIONS, out=out, move_to=away)
    assert not (folder / "b/attack.png").exists()
    assert (out / "report.json").read_bytes() == before


# Engines.


def test_processes_give_what_this_process_gives(folder, files, tmp_path):
    packed(files, folder / "x.tar")
    one, two = tmp_path / "one", tmp_path / "two"
    scan(folder, **OPTIONS, out=one)
    scan(folder, **(OPTIONS | {"engine": "process", "jobs": 2}), out=two)
    assert not scan_kills.compare(one, two)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_gives_what_this_process_gives(folder, files, tmp_path):
    """On a local cluster, in a process of its own: Ray's would outlive the test."""
    pytest.importorskip("ray.data")
    packed(files, folder / "x.tar")
    scan(folder, **OPTIONS, out=tmp_path / "one")
    arguments = ["scan", str(folder), *COMMAND[:-1], "ray", "--jobs", "1", "--out", str(tmp_path / "two")]
    # Ray's workers look for modules where the command was started: not among the sources, which may have no extension.
    command = [sys.executable, "-m", "secure_resize", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert not scan_kills.compare(tmp_path / "one", tmp_path / "two")


# The command.


@pytest.mark.parametrize("form", ["text", "json", "sarif", "html"])
def test_the_exit_code_is_the_same_in_every_format(form, folder, files, tmp_path, capsys):
    assert main(["scan", str(folder), *COMMAND, "--format", form]) == 1
    out = capsys.readouterr().out
    assert "attack.png" in out
    if form == "json":
        assert [one["suspicious"] for one in json.loads(out)["images"]] == [False, True, False, False]
    (folder / "b/attack.png").unlink()
    assert main(["scan", str(folder), *COMMAND, "--format", form]) == 0
    (tmp_path / "empty").mkdir()
    assert main(["scan", str(tmp_path / "empty"), *COMMAND, "--format", form]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a folder, file or data set"),
        (["."], "--size HEIGHTxWIDTH"),
        (["nothing", "--size", "8x8"], "there is no 'nothing'"),
        ([".", "--any", "--scaler", SCALER], "--any tries every way"),
        ([".", "--size", "8x8", "--scaler", "opencv:linaer"], "opencv:linaer"),
        ([".", "--size", "8x8", "--jobs", "-1"], "--jobs"),
        ([".", "--size", "8x8", "--rate", "2"], "--rate"),
        ([".", "--size", "8x8", "--time-limit", "0"], "seconds"),
    ],
)
def test_usage(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["scan", *arguments]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_command_moves_and_moves_back(folder, tmp_path, capsys):
    away = str(tmp_path / "away")
    assert main(["scan", str(folder), *COMMAND, "--move", away, "--list", str(tmp_path / "list")]) == 1
    assert (tmp_path / "list").read_text() == "b/attack.png\n"
    assert not (folder / "b/attack.png").exists()
    assert main(["scan", "--restore", away]) == 0
    assert (folder / "b/attack.png").exists()
    assert main(["scan", "--restore", str(tmp_path)]) == 2


def test_any_finds_it_without_being_told_the_size(files, tmp_path, capsys):
    data = pytest.importorskip("skimage.data")
    source, target = sr.resize(data.astronaut(), (672, 672)), sr.resize(data.rocket(), (224, 224))
    (tmp_path / "attack.png").write_bytes(encoded(sr.attacks.craft(source, target, SCALER, method="nearest").image))
    assert main(["scan", str(tmp_path), "--any", "--engine", "here", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["images"]
    assert (found["suspicious"], found["size"]) == (True, [224, 224])


@pytest.mark.skipif(sys.platform != "linux", reason="sends signals")
def test_an_interrupted_scan_says_how_it_goes_on(folder, tmp_path):
    for k in range(40):
        (folder / f"copy{k}.png").write_bytes((folder / "a.png").read_bytes())
    command = [sys.executable, "-m", "secure_resize", "scan", str(folder), "--any", "--size", "48x48", "--jobs", "1"]
    run = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out" / "ledger.sqlite-wal").exists() and run.poll() is None:
        pass
    os.kill(run.pid, signal.SIGINT)
    error = run.communicate()[1]
    assert run.returncode == 130, error
    assert "the same command goes on" in error


def test_clean_pictures_of_the_users_own_set_the_thresholds(files, tmp_path):
    from secure_resize.detect import Calibration

    rng = np.random.default_rng(0)
    clean = tmp_path / "clean"
    clean.mkdir()
    base = np.asarray(PIL.open(io.BytesIO(files["a.png"])))
    for k in range(44):
        rolled = np.roll(base, rng.integers(0, 192, 2), (0, 1))
        (clean / f"{k}.png").write_bytes(encoded(rolled))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/attack.png").write_bytes(files["b/attack.png"])
    (tmp_path / "data/clean.png").write_bytes(files["a.png"])
    arguments = ["scan", str(tmp_path / "data"), *COMMAND, "--rate", "0.01"]
    out = tmp_path / "out"
    assert main([*arguments, "--calibrate", str(clean), "--out", str(out)]) == 1
    found = json.loads((out / "report.json").read_text())
    assert [one["suspicious"] for one in found["images"]] == [True, False]
    assert found["facts"]["calibration"] == "pictures of clean"
    assert Calibration.load(out / "calibration.json").pictures
    again = Path(tmp_path / "again")
    assert main([*arguments, "--calibrate", str(out / "calibration.json"), "--out", str(again)]) == 1
    assert (again / "report.json").read_bytes() == (out / "report.json").read_bytes()
