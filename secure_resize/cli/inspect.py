"""``secure-resize inspect``: what front ends make of a picture, drawn, and whether another one is hidden in it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from ..audit.report import Finding, Place, Report, ascii_json, jsonable
from ..audit.rules import RULES
from ..decoding import MAX_PIXELS
from ..front_ends import FRONT_ENDS, select_front_ends
from ..inspection.text import MODULES
from ..inspection.work import inspect_files
from ..measure.scalers import get_scaler
from .arguments import Size
from .child import ChildError, ChildLimit, ChildRaised, run_in_child
from .outcome import Exit, usage
from .reporting import emit

__all__ = ["inspect"]

Answer = dict[str, Any]


def inspect(
    *images: Annotated[Path, Parameter(required=True)],
    size: Size | None = None,
    scaler: tuple[str, ...] = (),
    front_end: tuple[str, ...] = (),
    all: bool = False,
    ocr: bool = False,
    out: Path = Path("secure-resize-inspect"),
    json: bool = False,
    max_pixels: int = MAX_PIXELS,
    time_limit: float = 900.0,
    memory_limit: float = 8.0,
) -> Exit:
    """See a picture as models do: what each front end makes of it, and whether that is another picture.

    Draws the picture, what each front end's model would see, the robust version and the difference into --out, and
    says what is suspicious. Without --size, --scaler, --front-end and --all, every plausible size and way of sampling
    is tried. Exit code 1: suspicious.

    Parameters
    ----------
    images
        Picture files.
    size
        Of what the model gets.
    scaler
        Names of scalers, such as 'opencv:linear'.
    front_end
        Names or patterns of front ends, such as 'claude' or 'transformers:CLIP': those installed are run, of services
        every plausible filter is shown, since none is published.
    all
        All front ends.
    ocr
        Read what the model would see, too: text that the picture has not is suspicious. Needs the extra 'ocr'.
    out
        The folder for the pictures.
    json
        Print JSON.
    max_pixels
        Files that promise more are not decoded.
    time_limit
        Seconds for one picture, at most.
    memory_limit
        GiB, at most.
    """
    with usage():
        if (front_end or all) and (size is not None or scaler):
            raise ValueError("--front-end and --all have their own sizes and scalers: leave --size and --scaler out")
        for name in scaler:
            get_scaler(name)
        chosen = [row.name for row in (FRONT_ENDS.values() if all else select_front_ends(front_end))]
    if ocr and not any(importlib.util.find_spec(name) for name in MODULES):
        raise ImportError("--ocr needs RapidOCR: pip install 'secure-resize[ocr]'")
    options = {
        "front_ends": chosen,
        "sizes": [] if size is None else [list(size)],
        "scalers": list(scaler),
        "ocr": ocr,
        "out": str(out),
        "max_pixels": max_pixels,
        "memory": memory_limit * 2**30,
    }
    records: list[Answer] = []
    with Console(stderr=True).status("inspecting") as status:
        for record in _records([str(path) for path in images], options, time_limit, memory_limit):
            records.append(record)
            status.update(f"inspecting, {len(records)} of {len(images)}")
    report = _report(records, chosen, scaler)
    if json:
        print(ascii_json(_as_json(records, report)))
        return Exit(report.exit_code())
    return emit(report)


def _records(paths: list[str], options: Answer, seconds: float, memory: float) -> Iterable[Answer]:
    """What is told of each file; a file that ends the process is told of too, once it has done so twice."""
    tried: dict[str, int] = {}
    while paths:
        done: list[Answer] = []
        begun: list[str] = []

        def hear(told: Answer, done: list[Answer] = done, begun: list[str] = begun) -> None:
            (begun.append(told["path"]) if told.get("begun") else done.append(told))

        # Each picture has its own time; a process that many share has the sum of them.
        shared = paths[: 1 if tried.get(paths[0]) else None]
        try:
            run_in_child(
                inspect_files,
                shared,
                options,
                seconds=60 + seconds * len(shared),
                memory=memory * 2**30,
                heard=hear,
                quiet=True,
            )
            failure = None
        except ChildError as error:
            failure = error
        yield from done
        paths = paths[len(done) :]
        if failure and paths:
            first = paths[0]
            if not begun:  # nothing to do with any file
                raise RuntimeError(str(failure))
            tried[first] = tried.get(first, 0) + 1
            raised, limit = isinstance(failure, ChildRaised), isinstance(failure, ChildLimit)
            if tried[first] == 2 or raised or limit:
                # What is raised is a mistake of ours and says nothing of the file, which was not looked at.
                code = "" if raised else "SR403" if limit else "SR405"
                yield {"path": first, "error": str(failure), "code": code}
                paths = paths[1:]


# The report.


def _report(records: list[Answer], chosen: list[str], scalers: tuple[str, ...]) -> Report:
    findings: list[Finding] = []
    failures: list[str] = []
    looked = 0
    for record in records:
        place = Place(record["path"])
        if "error" in record:
            if record["code"]:
                rule = RULES[record["code"]]
                findings.append(Finding(rule.name, rule.severity, record["error"], place, advice=rule.instead))
            else:
                failures.append(f"{record['path']}: {record['error']}")
            continue
        looked += 1
        failures += [f"{record['path']}: {name}: {why}" for name, why in record["problems"].items()]
        if record["suspicious"]:
            findings.append(_suspicious(record, place))
    versions = {"secure-resize": importlib.metadata.version("secure-resize") if _packaged() else "source"}
    for name in chosen:
        row = FRONT_ENDS[name]
        if row.installed:
            versions[row.package] = row.version
    facts: dict[str, Any] = {"tables": [_table(records)] if looked else []}
    return Report("inspect", tuple(findings), versions, looked, "pictures", tuple(failures), facts)


def _packaged() -> bool:
    try:
        importlib.metadata.version("secure-resize")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _suspicious(record: Answer, place: Place) -> Finding:
    rule = RULES["SR401"]
    shown = [name for name, views in record["front_ends"].items() if any(view["suspicious"] for view in views)]
    text = list(
        dict.fromkeys(line for views in record["front_ends"].values() for view in views for line in view["text"])
    )
    what = []
    if shown:
        what.append(f"{', '.join(shown[:6])}{f' and {len(shown) - 6} more' if len(shown) > 6 else ''} may see another "
                    "picture")  # fmt: skip
    if text:
        what.append(f"what they see reads {'; '.join(map(repr, text[:4]))}, which the picture does not")
    if record["file"] and record["file"]["suspicious"]:
        what.append(
            f"its coefficients overshoot: a decoder that scales by 1/{record['file']['scale']}, or one that is not "
            "exact, shows something else"
        )
    evidence = {
        "score": record["score"],
        "threshold": record["threshold"],
        "p_value": record["p_value"],
        "detector": record["detector"],
        "scaler": record["scaler"] or None,
        "size": record["size"],
        "box": record["box"],
        "front_ends": shown,
        "text": text,
        "overshoot": record["file"],
        "pictures": [{"name": "other", "caption": "all views", "path": record["picture"]}, *record["views"]],
    }
    return Finding(rule.name, rule.severity, "; ".join(what), place, advice=rule.instead, evidence=evidence)


def _table(records: list[Answer]) -> Answer:
    lines = []
    for record in records:
        if "error" not in record:
            judged = [view for views in record["front_ends"].values() for view in views]
            suspicious = sum(bool(view["suspicious"]) for view in judged)
            notes = "; ".join(record["notes"])
            lines.append([record["path"], f"{suspicious} of {len(judged)}", notes, record["picture"]])
    return {"title": "What was looked at", "header": ["picture", "suspicious views", "", "drawn in"], "lines": lines}


_KEYS = ("suspicious", "score", "p_value", "scaler", "size", "box")


def _as_json(records: list[Answer], report: Report) -> Answer:
    """One entry for each file, in the order in which they were given; what could not be decoded is a finding alone."""
    images = []
    for record in records:
        if "error" not in record:
            images.append(
                {
                    "id": record["path"],
                    **{key: record[key] for key in _KEYS},
                    "front_ends": record["front_ends"],
                    "picture": record["picture"],
                }
            )
    found = report.to_dict()
    rest = {key: found[key] for key in ("findings", "failures", "versions")}
    return dict(jsonable({"images": images, **rest}))
