"""What a scan does with what was made to harm it: a finding each, never a crash, and no file outside of its folder."""

import gzip
import io
import os
import signal
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from secure_resize.cli import main
from secure_resize.scan import Limits, Look, Row, run as run_module, scan
from secure_resize.scan.crew import Crew, Failed, Lost
from secure_resize.scan.reader import Reader
from secure_resize.scan.sources import units_of
from secure_resize.scan.units import Unit

pytest.importorskip("cyclopts")
PIL = pytest.importorskip("PIL.Image")
pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="pipes, links, limits")]

OPTIONS = {"size": (16, 16), "scalers": ["opencv:nearest"], "engine": "here"}
ESCAPE = "\x1b[31mred\n.png"


def picture(number=0) -> bytes:
    file = io.BytesIO()
    PIL.fromarray(np.full((64, 64, 3), 40 + number, np.uint8)).save(file, "PNG")
    return file.getvalue()


GOOD = picture()


def codes(report) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in report.findings:
        found.setdefault(one.place.path, []).append(one.code)
    return found


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


# Archives.


def header(name: bytes, size: int, kind: bytes = b"0", link: bytes = b"") -> bytes:
    """A tar header, as if by hand: sizes and kinds that tarfile would not write."""
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block = bytearray(name.ljust(100, b"\0")[:100] + b"0000644\0" + b"0000000\0" * 2 + field + b"00000000000\0")
    block += b" " * 8 + kind + link.ljust(100, b"\0") + b"ustar\x0000" + b"\0" * 247
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block[:512])


def member(name: bytes, data: bytes, **options) -> bytes:
    return header(name, len(data), **options) + data + b"\0" * (-len(data) % 512)


END = b"\0" * 1024
MEMBERS = {
    "absolute": (member(b"/etc/cron.d/evil.png", GOOD), ["SR404"]),
    "climbing": (member(b"a/../../evil.png", GOOD), ["SR404"]),
    "a drive": (member(b"C:\\evil.png", GOOD), ["SR404"]),
    "control characters": (member(ESCAPE.encode(), GOOD), ["SR404"]),
    "a link": (member(b"link.png", b"", kind=b"2", link=b"/etc/passwd"), ["SR404"]),
    "a hard link": (member(b"link.png", b"", kind=b"1", link=b"../../secret.png"), ["SR404"]),
    "a device": (member(b"null.png", b"", kind=b"3"), ["SR404"]),
    "a pipe": (member(b"pipe.png", b"", kind=b"6"), ["SR404"]),
    "an archive": (member(b"more.tar.gz", b"..."), ["SR406"]),
    "no picture": (member(b"x.png", b"<html>"), ["SR402"]),
    "empty": (member(b"x.png", b""), ["SR402"]),
    "too large": (header(b"x.png", 1 << 20) + b"\1" * (1 << 20), ["SR403"]),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_hostile_member_is_a_finding_and_the_next_is_looked_at(kind, tmp_path):
    data, expected = MEMBERS[kind]
    (tmp_path / "s.tar").write_bytes(member(b"before.png", GOOD) + data + member(b"after.png", GOOD) + END)
    before = tree(tmp_path.parent)
    report = scan(tmp_path / "s.tar", **OPTIONS, limits=Limits(file_bytes=1 << 19))
    assert [code for found in codes(report).values() for code in found] == expected
    ids = [one["id"] for one in report.images]
    assert ids[0] == "s.tar::before.png"
    assert ids[-1] == "s.tar::after.png"
    assert tree(tmp_path.parent) == before


GOOD_MEMBER = member(b"before.png", GOOD)
ENDINGS = {
    "ends within a member": (GOOD_MEMBER + member(b"x.png", GOOD * 9)[:900], "SR404"),
    "ends within a header": (GOOD_MEMBER + header(b"x.png", 9)[:100], "SR404"),
    "a broken header": (GOOD_MEMBER + b"\xff" * 512 + member(b"hidden.png", GOOD) + END, "SR404"),
    "more behind the end": (GOOD_MEMBER + END + member(b"hidden.png", GOOD) + END, "SR404"),
    "a member of many gigabytes": (GOOD_MEMBER + header(b"x.png", 1 << 62) + END, "SR403"),
    "a long name of many gigabytes": (GOOD_MEMBER + header(b"x", 1 << 40, b"L") + END, "SR404"),
    "a negative size": (GOOD_MEMBER + header(b"x.png", 0)[:124] + b"-0000000777\0" + END, "SR404"),
    "long names without end": (GOOD_MEMBER + member(b"x", b"name", kind=b"L") * 5000 + END, "SR404"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ENDINGS)
def test_an_archive_that_goes_wrong_says_so_and_keeps_what_came_before(kind, packed, tmp_path):
    data, code = ENDINGS[kind]
    path = tmp_path / "s.tar"
    path.write_bytes(gzip.compress(data) if packed else data)
    report = scan(path, **OPTIONS)
    assert [one["id"] for one in report.images] == ["s.tar::before.png"]
    assert code in {found for one in codes(report).values() for found in one}
    assert report.exit_code() == 1


def test_what_is_no_archive(tmp_path):
    for name, data in {"a.tar": b"", "b.tar": b"\x1f\x8b broken", "c.tar": os.urandom(2000), "d.tar": GOOD}.items():
        (tmp_path / name).write_bytes(data)
    found = codes(scan(tmp_path, **OPTIONS))
    assert set(found) >= {"b.tar", "c.tar", "d.tar"}


def test_a_bomb_of_an_archive_is_given_up(tmp_path):
    """A member that unpacks to 3 GiB out of 3 MiB: skipped by its size, and not at all in memory."""
    with gzip.open(tmp_path / "s.tar.gz", "wb", compresslevel=1) as file:
        file.write(member(b"before.png", GOOD) + header(b"x.bin", 300 << 20))
        for _ in range(300):
            file.write(b"\0" * (1 << 20))
        file.write(member(b"after.png", GOOD) + END)
    began = time.process_time()
    report = scan(tmp_path, **OPTIONS, limits=Limits(file_bytes=1 << 20, expansion=20))
    assert [one["id"] for one in report.images] == ["s.tar.gz::before.png"]
    assert "SR403" in {code for found in codes(report).values() for code in found}
    assert time.process_time() - began < 30


def test_a_name_that_occurs_twice(tmp_path):
    (tmp_path / "s.tar").write_bytes(member(b"x.png", GOOD) + member(b"x.png", picture(9)) + END)
    report = scan(tmp_path, **OPTIONS)
    assert len(list(report.images)) == 2
    assert codes(report) == {"s.tar::x.png": ["SR404"]}


# Folders.


def test_links_pipes_and_names(tmp_path):
    root, secret = tmp_path / "data", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (secret / "private.png").write_bytes(GOOD)
    (root / "a.png").write_bytes(GOOD)
    (root / "loop").symlink_to(root)
    (root / "self.png").symlink_to(root / "self.png")
    (root / "nowhere.png").symlink_to(root / "gone")
    (root / "out").symlink_to(secret)
    (root / "device.png").symlink_to("/dev/zero")
    (root / "file.png").symlink_to(root / "a.png")
    os.mkfifo(root / "pipe.png")
    (root / ESCAPE).write_bytes(GOOD)
    (root / os.fsdecode(b"caf\xe9.png")).write_bytes(GOOD)
    (root / "deep").mkdir()
    report = scan(root, **OPTIONS, out=tmp_path / "report", list_to=tmp_path / "list")
    assert codes(report) == {
        "device.png": ["SR404"],
        "nowhere.png": ["SR402"],
        "out": ["SR406"],
        "pipe.png": ["SR404"],
        "self.png": ["SR402"],
        ESCAPE: ["SR404"],
    }
    assert [one["id"] for one in report.images] == [ESCAPE, "a.png", "caf\\udce9.png", "file.png"]
    text = repr(report) + (tmp_path / "report/report.html").read_text() + (tmp_path / "report/report.csv").read_text()
    assert "\x1b" not in text
    assert "\x1b" not in (tmp_path / "report/report.json").read_text()


def test_the_report_may_lie_in_the_folder_that_is_scanned(tmp_path):
    (tmp_path / "a.png").write_bytes(GOOD)
    for _ in range(2):
        report = scan(tmp_path, **OPTIONS, out=tmp_path / "out", move_to=tmp_path / "moved")
        assert [one["id"] for one in report.images] == ["a.png"]
        assert not report.findings


@pytest.mark.parametrize("form", ["text", "json", "sarif", "html"])
def test_hostile_names_stay_text(form, tmp_path, capsys):
    (tmp_path / "\x1b]0;title\x07<script>alert(1)<／script>.png").write_bytes(b"broken")
    assert main(["scan", str(tmp_path), "--size", "8x8", "--scaler", "opencv:nearest", "--engine", "here",
                 "--format", form]) == 1  # fmt: skip
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert form != "html" or "<script" not in out


def test_a_list_may_name_anything(tmp_path):
    (tmp_path / "names.txt").write_text(f"/dev/zero\n/etc/passwd\n../../../../../../etc\n{tmp_path}/gone.png\n\n\n")
    found = codes(scan(tmp_path / "names.txt", **OPTIONS))
    assert found["/dev/zero"] == ["SR404"]
    assert found["../../../../../../etc"] == ["SR404"]
    assert found[f"{tmp_path}/gone.png"] == ["SR402"]
    (tmp_path / "bad.txt").write_bytes(b'"\\ud800 is no end\nx\0y.png\n')
    with pytest.raises(ValueError, match=r"bad.txt, line 1: "):
        scan(tmp_path / "bad.txt", **OPTIONS)


# Files.


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb() -> bytes:
    """A PNG file of some bytes that promises 3600 million pixels."""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


FILES = {
    "bomb.png": (bomb(), "SR403"),
    "cut.png": (GOOD[: len(GOOD) // 2], "SR402"),
    "cut.jpg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "SR402"),
    "empty.jpg": (b"", "SR402"),
    "page.png": (b"<html><script>alert(1)</script>", "SR402"),
    "program.png": (b"\x7fELF" + b"\0" * 100, "SR402"),
    "ghost.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "SR402"),
    "large.png": (GOOD + b"\0" * (1 << 20), "SR403"),
    "more.zip": (b"PK\3\4", "SR406"),
}


def test_broken_and_hostile_files(tmp_path):
    for name, (data, _) in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "good.png").write_bytes(GOOD)
    report = scan(tmp_path, **OPTIONS, limits=Limits(file_bytes=1 << 20))
    assert codes(report) == {name: [code] for name, (_, code) in sorted(FILES.items())}
    assert [one["id"] for one in report.images] == ["good.png"]
    assert not report.failures


def test_hostile_tables(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {"image": {"bytes": None, "path": "/etc/passwd"}},
        {"image": {"bytes": GOOD, "path": "../../x"}},
        {"image": {"bytes": b"no picture", "path": None}},
        {"image": None},
        {"image": {"bytes": b"\0" * (1 << 20), "path": None}},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    parquet.write_table(arrow.table({"text": ["a"], "n": [1]}), tmp_path / "text.parquet")
    report = scan(tmp_path, **OPTIONS, limits=Limits(file_bytes=1 << 19))
    assert codes(report) == {
        "a.parquet#0": ["SR404"],
        "a.parquet#2": ["SR402"],
        "a.parquet#4": ["SR403"],
        "cut.parquet": ["SR402"],
        "no.parquet": ["SR402"],
        "text.parquet": ["SR402"],
    }
    assert [one["id"] for one in report.images] == ["a.parquet#1"]
    assert "no column holds pictures" in report.findings[-1].message


@pytest.mark.parametrize("seed", range(3))
def test_tables_and_archives_with_broken_bytes(seed, tmp_path):
    """Whatever the readers make of them: findings, in the end, and a report."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(seed)
    parquet.write_table(arrow.table({"image": [GOOD] * 20}), tmp_path / "p.parquet")
    with arrow.ipc.new_file(tmp_path / "a.arrow", arrow.schema([("image", arrow.binary())])) as writer:
        writer.write_table(arrow.table({"image": [GOOD] * 20}))
    (tmp_path / "t.tar").write_bytes(member(b"x.png", GOOD) * 20 + END)
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        for k in range(8):
            data = bytearray(whole)
            for _ in range(rng.integers(1, 6)):
                data[rng.integers(len(data))] = rng.integers(256)
            (tmp_path / f"{path.stem}{k}{path.suffix}").write_bytes(data)
    report = scan(tmp_path, **OPTIONS)
    assert len(list(report.images)) >= 60
    assert not report.failures


# Processes that are lost.


@dataclass(frozen=True)
class Harmful:
    """Does to its process what an item's name says."""

    marks: str = ""

    def __call__(self, item):
        mark = Path(self.marks, item)
        if item.startswith("crash") or (item.startswith("once") and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        if item.startswith("exit"):
            os._exit(3)
        if item.startswith("spin"):
            while True:
                pass
        if item.startswith("memory"):
            return len(bytearray(4 << 30))
        if item.startswith("raise"):
            raise KeyError(item)
        return item.upper()


def done(items, tmp_path, count=2, **limits):
    with Crew(Harmful(str(tmp_path)), count, Limits(**limits)) as crew:
        return {item: result for some in crew.results(items) for item, result in some}


def test_a_process_that_ends_costs_one_item(tmp_path):
    found = done([["a", "crash", "b"], ["once", "c"], ["d", "exit", "e", "crash2"], ["raise"]], tmp_path)
    assert {name: found[name] for name in "abcde"} == {name: name.upper() for name in "abcde"}
    assert found["once"] == "ONCE"
    for name, word in {"crash": "SIGSEGV", "crash2": "SIGSEGV", "exit": "exit code 3"}.items():
        assert isinstance(found[name], Lost)
        assert word in found[name].reason
        assert not found[name].limit
    assert found["raise"] == Failed("KeyError: 'raise'")


def test_limits_of_time_and_memory(tmp_path):
    found = done([["a", "spin", "b"], ["memory", "c"]], tmp_path, count=1, seconds=0.5, memory=1 << 30)
    assert (found["a"], found["b"], found["c"]) == ("A", "B", "C")
    assert found["spin"].limit
    assert "processor time" in found["spin"].reason
    assert isinstance(found["memory"], Failed)
    assert "MemoryError" in found["memory"].reason


class Crashing(Look):
    """A Look whose decoder crashes on pictures of a certain name."""

    def one(self, item) -> Row:
        if "crash" in item.id:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "spin" in item.id:
            while True:
                pass
        return super().one(item)


def test_a_scan_goes_on_where_a_decoder_crashes(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "Look", Crashing)
    for name in ("a.png", "crash.png", "b.png", "spin.png", "c.png"):
        (tmp_path / name).write_bytes(GOOD)
    report = scan(tmp_path, **(OPTIONS | {"engine": "process", "jobs": 1}), limits=Limits(seconds=1.0))
    assert codes(report) == {"crash.png": ["SR405"], "spin.png": ["SR403"]}
    assert [one["id"] for one in report.images] == ["a.png", "b.png", "c.png"]
    assert "SIGSEGV" in report.findings[0].message


@pytest.fixture
def shard(tmp_path) -> Unit:
    (tmp_path / "s.tar").write_bytes(b"".join(member(b"%d.png" % k, GOOD) for k in range(100)) + END)
    (unit,) = units_of([tmp_path / "s.tar"])
    return unit


def test_a_reader_that_is_ended_once_goes_on(shard):
    numbers = []
    with Reader(Limits()) as reader:
        for some in reader.items(shard, 0):
            numbers += [item.number for item in some]
            if len(numbers) == 32:
                reader.process.kill()
    assert numbers == list(range(100))


def test_a_reader_that_ends_again_and_again_costs_the_rest_of_its_file(shard, monkeypatch):
    received = Reader._received

    def ends(reader):
        found = received(reader)
        if found and found[0].number:
            reader.process.kill()
            raise EOFError
        return found

    monkeypatch.setattr(Reader, "_received", ends)
    with Reader(Limits()) as reader:
        items = [item for some in reader.items(shard, 0) for item in some]
    assert [item.number for item in items] == list(range(33))
    assert [[trouble.code for trouble in item.troubles] for item in items] == [[]] * 32 + [["SR405"]]


def test_a_reader_has_a_limit_of_time(shard):
    with Reader(Limits(seconds=1e-7)) as reader:
        (item,) = [item for some in reader.items(shard, 0) for item in some]
    assert [trouble.code for trouble in item.troubles] == ["SR403"]


def test_a_library_that_cannot_scale_a_picture_is_a_failure_not_a_crash(monkeypatch):
    def one(look, item):
        if item.id == "wide":
            raise RuntimeError("no side above 32767")
        return whole(look, item)

    whole = Look.one
    monkeypatch.setattr(Look, "one", one)
    grey = np.zeros((64, 64), np.uint8)
    report = scan([("wide", grey), ("good", grey)], **OPTIONS)
    assert [one["id"] for one in report.images] == ["good"]
    assert report.failures == ("wide: RuntimeError: no side above 32767",)
    assert report.exit_code() == 2
