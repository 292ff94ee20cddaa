"""What a scan answers: a Report that knows each picture, and the files that it is written into.

The same ledger gives the same bytes: nothing in them tells when, where, or by how many processes a scan was made.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ..audit.report import Finding, Place, Report, jsonable, text_of
from ..audit.rules import RULES
from ..measure.scalers import load
from .ledger import Ledger
from .look import FIELDS, Row
from .units import Trouble, quoted

__all__ = ["MOST", "ScanReport", "report_of", "write_files", "write_list"]

# Findings that a report holds; how many more there are is a fact of it.
MOST = 100_000
# Of a trouble without a rule: the picture could not be looked at, for a reason that is not the picture's.
FAILED = ""
_ADVICE = {"SR401": "look at what the model would see; keep the picture out, or scale it robustly"}


@dataclass(frozen=True, repr=False)
class ScanReport(Report):
    """A :class:`.Report` that holds an answer for each picture as well.

    ``images``: dicts of ``id``, ``suspicious``, ``score``, ``threshold``, ``p_value``, ``detector``, ``scaler``,
    ``size`` and ``box`` ((top, left, height, width) on the picture, in pixels, or None), in the order of the source.
    A picture that could not be looked at is not among them: it is a finding.
    """

    images: Iterable[Mapping[str, Any]] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"images": [jsonable(one) for one in self.images], **super().to_dict()}

    def to_json(self) -> str:
        """JSON in ASCII, a picture and a finding a line; the same report gives the same bytes."""
        return "".join(self.json_parts()).removesuffix("\n")

    def json_parts(self) -> Iterator[str]:
        """:meth:`to_json` and a newline, in parts, for reports that fill no memory."""
        yield '{\n "images": ['
        yield from _lines(self.images)
        yield '],\n "findings": ['
        yield from _lines(finding.to_dict() for finding in self.findings)
        yield "]"
        for name, value in super().to_dict().items():
            if name != "findings":
                yield f",\n {_ascii(name)}: {_ascii(value)}"
        yield "\n}\n"


class Images:
    """The answers in a ledger, read anew whenever they are gone through."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with Ledger(self.path) as ledger:
            yield from map(image_of, ledger.rows("image"))


def image_of(row: Row) -> dict[str, Any]:
    """A row's entry of ``images``."""
    answer = row.answer or {}
    return {"id": text_of(row.id), **{name: answer.get(name) for name in FIELDS}}


def _ascii(value: Any) -> str:
    return json.dumps(jsonable(value), ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")


def _lines(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    first = True
    for record in records:
        yield f"{'' if first else ','}\n  {_ascii(record)}"
        first = False
    yield "" if first else "\n "


def report_of(ledger: Ledger, versions: Mapping[str, str], facts: Mapping[str, Any]) -> ScanReport:
    """The report of a finished ledger; its ``images`` are read from the ledger."""
    counts = ledger.counts()
    failures: list[str] = []
    found = list(islice(findings(ledger, failures), MOST + 1))
    more = {"findings_left_out": f"more than {MOST}"} if len(found) > MOST else {}
    said = {
        **facts,
        "looked_at": counts["image"],
        "suspicious": counts["suspicious"],
        "not_looked_at": counts["trouble"],
        "other_files": counts["other"],
        **more,
    }
    return ScanReport(
        "scan",
        tuple(found[:MOST]),
        versions,
        counts["image"] + counts["trouble"],
        "pictures",
        tuple(failures),
        said,
        Rows(ledger),
    )


class Rows:
    """The answers in a ledger that is open."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(image_of, self.ledger.rows("image"))


def findings(ledger: Ledger, failures: list[str]) -> Iterator[Finding]:
    """All findings of a ledger; what could not be looked at for no fault of the picture's goes to ``failures``."""
    for _, _, row in ledger.suspicious():
        yield suspicion(row)
    for row in ledger.troubled():
        for trouble in row.troubles:
            if trouble.code == FAILED:
                failures.append(f"{row.id}: {trouble.message}")
            else:
                yield _finding(row.id, trouble)
    for id, count in ledger.twice():
        said = f"{count} pictures have this name, and readers differ in which they take"
        yield _finding(id, Trouble("SR404", said, {"times": count}))


def suspicion(row: Row) -> Finding:
    """The finding of a suspicious picture."""
    answer = row.answer or {}
    height, width = answer["size"] or (0, 0)
    # A finding without a scaler is about the file itself.
    how = f"resized to {height}x{width} by {answer['scaler']}"
    if not answer["scaler"]:
        how = "decoded by a decoder that scales, or one that is not exact,"
    message = (
        f"{how} it may be another picture: {answer['detector']} "
        f"{answer['score']:.4g}, threshold {answer['threshold']:.4g}, p = {answer['p_value']:.2g}"
    )
    evidence = {name: answer[name] for name in FIELDS if name != "suspicious"}
    advice = _ADVICE["SR401"]
    return Finding("SR401", RULES["SR401"].severity, message, Place(text_of(row.id)), advice=advice, evidence=evidence)


def _finding(id: str, trouble: Trouble) -> Finding:
    rule = RULES[trouble.code]
    place, evidence = Place(text_of(id)), trouble.evidence
    return Finding(rule.name, rule.severity, trouble.message, place, advice=rule.instead, evidence=evidence)


# Files.


def write_files(report: ScanReport, ledger: Ledger, out: Path) -> None:
    """``report.json``, ``report.csv``, ``report.html`` and, where pyarrow is, ``report.parquet``: each whole or not."""
    with _whole(out / "report.json") as file:
        file.writelines(part.encode() for part in report.json_parts())
    with _whole(out / "report.csv") as file:
        _write_csv(report.images, file)
    if importlib.util.find_spec("pyarrow") is not None:
        with _whole(out / "report.parquet") as file:
            _write_parquet(report.images, file)
    from .gallery import gallery

    with _whole(out / "report.html") as file:
        file.writelines(part.encode() for part in gallery(report, ledger, out))


class _whole:
    """A file that is there when all of it was written."""

    def __init__(self, path: Path) -> None:
        self.path, self.beside = path, path.with_name(f".{path.name}.new")

    def __enter__(self) -> Any:
        self.file = self.beside.open("wb")
        return self.file

    def __exit__(self, kind: object, *exception: object) -> None:
        self.file.close()
        if kind is None:
            self.beside.replace(self.path)
        else:
            self.beside.unlink(missing_ok=True)


COLUMNS = ("id", *(name for name in FIELDS if name not in ("size", "box")))
_CORNERS = ("top", "left", "height", "width")


def flat(image: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``images`` with a column for each number."""
    size, box = image["size"] or (None, None), image["box"] or (None,) * 4
    return (
        {name: image[name] for name in COLUMNS}
        | {"size_height": size[0], "size_width": size[1]}
        | {f"box_{name}": value for name, value in zip(_CORNERS, box, strict=True)}
    )


def _write_csv(images: Iterable[Mapping[str, Any]], file: Any) -> None:
    """A line a picture. An id that a spreadsheet would take for a formula has an apostrophe before it."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    names = [*COLUMNS, "size_height", "size_width", *(f"box_{name}" for name in _CORNERS)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for image in images:
        line = flat(image)
        id = quoted(line["id"])
        writer.writerow(line | {"id": f"'{id}" if id.startswith(("=", "+", "-", "@")) else id})
    text.flush()
    text.detach()


def _write_parquet(images: Iterable[Mapping[str, Any]], file: Any) -> None:
    arrow, parquet = load("pyarrow"), load("pyarrow.parquet")

    whole = [(f"size_{name}", arrow.int32()) for name in ("height", "width")]
    whole += [(f"box_{name}", arrow.int32()) for name in _CORNERS]
    kinds = {"id": arrow.string(), "suspicious": arrow.bool_(), "detector": arrow.string(), "scaler": arrow.string()}
    schema = arrow.schema([*((name, kinds.get(name, arrow.float64())) for name in COLUMNS), *whole])
    lines = map(flat, images)
    with parquet.ParquetWriter(file, schema) as writer:
        while some := list(islice(lines, 4096)):
            writer.write_table(arrow.Table.from_pylist(some, schema))


def write_list(ledger: Ledger, path: Path) -> None:
    """One suspicious id a line, as :func:`.quoted` writes it."""
    with _whole(Path(os.path.realpath(path))) as file:
        for _, _, row in ledger.suspicious():
            file.write((quoted(row.id) + "\n").encode("utf-8", "surrogateescape"))
