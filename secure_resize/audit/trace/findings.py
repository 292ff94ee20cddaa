"""From calls to a report: what each gives away, how bad that is, and the table of all of them."""

from __future__ import annotations

import linecache
import os
import platform
from collections.abc import Sequence
from typing import Any

from ... import __version__
from ..report import Confidence, Finding, Place, Report, Severity
from ..rules import RULES
from .calls import Call, Seen, relative
from .gains import Gain, Gains

__all__ = ["make_report"]

# The family of a library that stands between the user's line and the call: it is that one's options that he can change.
FAMILIES = {
    "torchvision": "SR105",
    "keras": "SR107",
    "keras_hub": "SR113",
    **dict.fromkeys(("albumentations", "albucore", "kornia", "imgaug", "mmcv", "detectron2"), "SR111"),
    **dict.fromkeys(("transformers", "ultralytics", "diffusers", "rfdetr", "mistral_common"), "SR113"),
}
_SEVERITIES: dict[str, Severity] = {"vulnerable": "high", "weak": "medium", "unknown": "low"}
_MEASURED = 40  # pairs of sizes of one call for which a closed form is worked out
_PROBED = 4  # and for which it is probed

# What of a call's row a finding holds; an audit finds the guilty call by it.
EVIDENCE = (
    "function", "call", "flags", "through", "in_sizes", "out_sizes", "seconds", "scaler", "stealth_gain_db", "verdict",
    "measured", "notes",
)  # fmt: skip

NOTES = {
    "labels": "a map of labels, for which nearest is right",
    "activations": "inside a network, of no picture",
    "graph": "in a graph, which Python does not see executed",
}


def make_report(
    seen: Seen, *, seconds: float, facts: dict[str, Any] | None = None, probing: float = 60.0, tool: str = "trace"
) -> Report:
    """The report on what was seen in ``seconds`` of wall-clock time; ``probing``: seconds that measuring may take.

    Calls that were replaced are listed and are no findings.
    """
    gains, folder = Gains(probing), os.getcwd()
    findings, rows = [], []
    for call in (one for one in seen.calls if one.kind != "unseen"):
        gain, measured = _worst(gains, call)
        row = _row(call, gain, measured, seconds, folder)
        rows.append(row)
        if (
            not call.labels
            and not call.replaced
            and gain.verdict != "robust"
            and not (gain.verdict == "unknown" and call.kind == "warp")
        ):
            findings.append(_finding(call, gain, row, folder))
    findings.sort(key=lambda one: (one.place.path, one.place.line or 0, one.code, one.message))
    return Report(
        tool,
        tuple(findings),
        {"secure-resize": __version__, "python": platform.python_version(), **dict(sorted(seen.versions.items()))},
        len(rows),
        "calls",
        tuple(seen.failures),
        {
            **(facts or {}),
            "processes": seen.processes,
            "seconds": round(seconds, 3),
            "not_seen": [
                f"{call.hook.shown} at {_place(call, folder)}: {call.flags}"
                for call in seen.calls
                if call.kind == "unseen"
            ],
            "calls": rows,
            "tables": [_table(rows)] if rows else [],
        },
    )


def _worst(gains: Gains, call: Call) -> tuple[Gain, int]:
    """The largest gain of the call's sizes, and of how many: all, or the most telling ones where they are many."""
    pairs = sorted(call.sizes, key=lambda pair: (-_ratio(pair), -call.sizes[pair], str(pair)))
    often = sorted(call.sizes, key=lambda pair: (-call.sizes[pair], str(pair)))
    alternate = [pair for both in zip(pairs, often, strict=True) for pair in both]
    ordered = list(dict.fromkeys(alternate))
    found: list[Gain] = []
    for pair in ordered[:_MEASURED]:
        slow = gains.spent > gains.seconds / 2 or any(one.how.startswith("probed") for one in found)
        if slow and len(found) >= _PROBED:
            break
        found.append(gains.of(call.hook, call.options, *pair))
    order = ("robust", "unknown", "weak", "vulnerable")
    return max(found, key=lambda one: (order.index(one.verdict), one.stealth_gain_db or 0.0)), len(found)


def _place(call: Call, folder: str) -> str:
    path, line, _ = call.site or ("<unknown>", 0, "")
    return f"{relative(path, folder)}:{line}" if line else path


def _ratio(pair: Any) -> float:
    sides = [(n, m) for n, m in zip(*pair, strict=True) if n and m]
    return max((n / m for n, m in sides), default=0.0)


def _row(call: Call, gain: Gain, measured: int, seconds: float, folder: str) -> dict[str, Any]:
    """A call as the report's facts have it."""
    path, line, function = call.site or ("<unknown>", None, "")
    notes = [text for name, text in NOTES.items() if getattr(call, name, False)]
    notes += [NOTES["graph"]] * bool(call.traced)
    notes += [call.done] * bool(call.done)
    notes += [] if call.own else ["the line is where its thread or process was started"]
    took = call.nanoseconds / 1e9
    return {
        "path": relative(path, folder),
        "line": line,
        "function": function,
        "call": call.hook.shown,
        "flags": call.flags,
        "through": list(call.through),
        "library_frames": [f"{relative(file, folder)}:{number}" for file, number, _ in call.named],
        "sizes": _sizes(call),
        "in_sizes": [list(pair[0]) for pair in sorted(call.sizes, key=str)][:_MEASURED],
        "out_sizes": [list(size) for size in sorted({pair[1] for pair in call.sizes}, key=str)][:_MEASURED],
        "different_sizes": len(call.sizes),
        "sizes_rounded": call.rounded,
        "dtype": call.dtype,
        "channels": call.channels,
        "count": None if call.traced and not call.count else call.count,
        "traced": call.traced,
        "seconds": round(took, 6),
        "share_of_time": None if call.traced and not call.count else round(took / seconds, 6) if seconds else 0.0,
        "kind": call.kind,
        "labels": call.labels,
        "scaler": call.scaler or None,
        "stealth_gain_db": None if gain.stealth_gain_db is None else round(gain.stealth_gain_db, 3),
        "verdict": gain.verdict,
        "measured": gain.how + (f", the worst of {measured} of {len(call.sizes)} sizes" if len(call.sizes) > 1 else ""),
        "rule": _rule(call),
        "done": call.done,
        "notes": notes,
    }


def _rule(call: Call) -> str:
    if call.kind == "decode":
        return "SR110" if call.options[:1] == (1,) else "SR109"
    families = [FAMILIES[one] for one in call.libraries if one in FAMILIES]
    return families[0] if families else call.hook.rule


def _side(values: Sequence[int | None]) -> str:
    known = sorted({value for value in values if value is not None})
    if not known:
        return "?"
    text = f"{known[0]}" if len(known) == 1 else f"{known[0]}..{known[-1]}"
    return text + "?" * (None in values)


def _sizes(call: Call) -> str:
    def both(place: int) -> str:
        return "x".join(_side([pair[place][axis] for pair in call.sizes]) for axis in (0, 1))

    about = "about " if call.rounded or call.kind == "warp" else ""
    return f"{about}{both(0)} -> {both(1)}"


def _times(row: dict[str, Any]) -> str:
    parts = []
    if row["count"] is not None:
        calls = "1 call" if row["count"] == 1 else f"{row['count']} calls"
        parts.append(f"{calls}, {100 * row['share_of_time']:.1f} % of the time")
    if row["traced"]:
        parts.append(f"traced {row['traced']} times in a graph, executions not counted")
    return ", ".join(parts)


def _gain_text(row: dict[str, Any]) -> str:
    if row["stealth_gain_db"] is not None:
        text = f"{row['stealth_gain_db']:.1f} dB"
        return text + " (at an assumed 4:1)" * ("assumed" in row["measured"])
    return str(row["measured"])


def _finding(call: Call, gain: Gain, row: dict[str, Any], folder: str) -> Finding:
    through = f" through {' > '.join(call.through)}" if call.through else ""
    dtype = f"{call.dtype}, {call.channels} channels" if call.activations and call.channels else call.dtype
    message = f"{call.hook.shown} ({call.flags}){through} {row['sizes']}, {dtype}, {_times(row)}: {_gain_text(row)}"
    severity = _SEVERITIES[gain.verdict]
    confidence: Confidence = "high"
    if "assumed" in gain.how or call.kind == "warp" or not call.own:
        confidence = "medium"
    if call.activations:
        severity, confidence = "low", "low"
    if gain.verdict == "unknown":
        confidence = "low"
    code = str(row["rule"])
    related = [
        {"path": relative(path, folder), "line": number, "message": f"in {function}"}
        for path, number, function in call.named
    ]
    path = call.site[0] if call.site else ""
    context = linecache.getline(path, call.site[1]).strip() if call.site and not path.startswith("<") else ""
    evidence = {key: row[key] for key in EVIDENCE if row[key] not in (None, [])}
    evidence |= {"related": related} if related else {}
    return Finding(
        code,
        severity,
        message,
        Place(row["path"], row["line"] or None),
        confidence,
        RULES[code].instead if code in RULES else "",
        evidence=evidence,
        context=context,
    )


def _table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Every down-scaling, one a line."""
    header = ["line", "call", "through", "flags", "sizes", "dtype", "calls", "time, %", "dB", "verdict"]
    lines = [
        [
            f"{row['path']}:{row['line']}" if row["line"] else row["path"],
            row["call"],
            row["through"][-1] if row["through"] else "",
            row["flags"],
            row["sizes"],
            row["dtype"],
            "traced" if row["count"] is None else row["count"],
            "" if row["share_of_time"] is None else f"{100 * row['share_of_time']:.1f}",
            "" if row["stealth_gain_db"] is None else f"{row['stealth_gain_db'] + 0.0:.1f}",
            row["done"] or ("labels" if row["labels"] else row["verdict"]),
        ]
        for row in rows
    ]
    return {"title": "down-scalings (stealth gain in dB, both axes)", "header": header, "lines": lines}
