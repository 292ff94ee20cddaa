"""The page of a scan: the most suspicious pictures, what the pipeline sees in each, and what else was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..audit.render.page import page
from ..audit.report import Finding
from .ledger import GALLERY, Ledger
from .look import Row
from .report import ScanReport, suspicion

__all__ = ["gallery"]

FOLDER = "pictures"
# Of the findings without pictures.
_OTHERS = 200


def gallery(report: ScanReport, ledger: Ledger, out: Path) -> Iterator[str]:
    """Write the pictures into the folder ``pictures`` in ``out``, and yield the page that has them inside it."""
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    shown: list[Finding] = []
    written = set()
    for number, (row, pictures) in enumerate(ledger.gallery(), 1):
        entries = []
        for name, caption in _captions(row).items():
            if name in pictures:
                file = folder / f"{number:02d}-{name}.png"  # no name of the data set's becomes one of a file
                file.write_bytes(pictures[name])
                written.add(file)
                entries.append({"name": name, "caption": caption, "path": f"{FOLDER}/{file.name}"})
        finding = suspicion(row)
        shown.append(replace(finding, evidence={**finding.evidence, "pictures": entries}))
    for path in folder.glob("??-*.png"):  # of a scan before this one
        if path not in written:
            path.unlink()
    others = [finding for finding in report.findings if finding.code != "SR401"]
    suspicious = len(report.findings) - len(others)
    facts = dict(report.facts)
    if suspicious > len(shown):
        facts["shown"] = f"the {GALLERY} most suspicious of {suspicious}; report.json has all"
    if len(others) > _OTHERS:
        facts["shown_of_the_rest"] = f"the first {_OTHERS} of {len(others)}; report.json has all"
    yield page(replace(report, findings=(*shown, *others[:_OTHERS]), facts=facts), report.exit_code(), out)


def _captions(row: Row) -> dict[str, str]:
    """What each picture shows, in the order in which a reader wants them."""
    answer = row.answer or {}
    height, width = answer["size"] or (0, 0)
    return {
        "source": "the picture, with a box around what is suspicious",
        "seen": f"what {answer['scaler'] or 'a decoder that scales'} makes of it at {height}x{width}",
        "fixed": "what robust scaling makes of it",
        "difference": "the difference of the two; grey where there is none",
    }
