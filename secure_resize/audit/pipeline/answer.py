"""The report of an audit: findings, with the tables of what was measured and what an attack did."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report import Edit, Finding, Fix, Place, Report
from ..rules import RULES
from .measure import Measurement
from .mending import related

if TYPE_CHECKING:
    from .attack import Attack
    from .run import Audited

__all__ = ["VERDICTS", "attack_table", "facts_of", "report_of", "restored"]

# The worst first.
VERDICTS = ("unfaithful", "vulnerable", "weak", "not measured", "robust")
_CODES = {"vulnerable": "SR201", "weak": "SR202", "unfaithful": "SR203"}


def report_of(found: Audited) -> Report:
    """What is known of a pipeline as a report, at any time."""
    findings = [*_verdicts(found), *_attacks(found), *_decodings(found), *_pictures(found)]
    looked_at = 1 if any(one.verdict != "not measured" for one in found.measured) or found.unresized else 0
    return Report(
        "audit",
        tuple(findings),
        found.versions,
        looked_at,
        "pipelines",
        tuple(dict.fromkeys(found.failures)),
        facts_of(found),
    )


def facts_of(found: Audited) -> dict[str, Any]:
    """All figures, as JSON can hold them, and the tables."""
    return {
        "target": found.target,
        "verdict": _worst(found),
        "measured": [one.to_dict() for one in found.measured],
        "attacks": [{"input": one.name, "output": one.run.output, **made.to_dict()} for one, made in found.attacks],
        "decodings": [one.to_dict() for one in found.decodings],
        "fix": found.fixed.to_dict() if found.fixed else {},
        "pictures": [one.to_dict() for one in found.pictures],
        "notes": list(dict.fromkeys(found.notes)),
        "seconds": round(found.seconds, 1),
        "tables": tables(found),
    }


def _worst(found: Audited) -> str:
    verdicts = {one.verdict for one in found.measured} | {one.verdict for one in found.decodings}
    if any(made.success and one.verdict == "robust" for one, made in found.attacks):
        verdicts.add("unfaithful")
    if not verdicts:
        return "robust" if found.unresized else "not measured"
    return next(name for name in VERDICTS if name in verdicts)


def tables(found: Audited) -> list[dict[str, Any]]:
    """What was measured, and what the attacks did: predicted and measured side by side."""
    made = [_measured_table(found.measured)] if found.measured else []
    if found.fixed and found.fixed.again is not None:
        title = "measured with the fix" if found.fixed.works else "measured with the calls mended that can be"
        made.append({**_measured_table([found.fixed.again]), "title": title})
    for one, attack in found.attacks:
        fixed = found.fixed.figures if found.fixed and attack.success else None
        made.append(attack_table(f"attack on {one.name}, {one.in_size[0]}x{one.in_size[1]}", attack, fixed))
    return made


def _measured_table(measured: Sequence[Measurement]) -> dict[str, Any]:
    return {"title": "measured", "header": _HEADER, "lines": [_line(one) for one in measured]}


_HEADER = ["input", "output", "source", "result", "verdict", "stealth gain", "view", "remark"]


def _line(one: Measurement) -> list[str]:
    figures = one.exposure
    remark = [
        f"seed {one.run.seed}" if one.run.seed is not None else "",
        "estimate: measured with its JPEG encoders made lossless" if one.estimate else "",
        f"the same: {', '.join(one.alike)}" if one.alike else "",
        f"not measured: {'; '.join(one.unmeasured)}" if one.unmeasured else "",
        one.error,
    ]
    return [
        one.name,
        one.run.output,
        f"{one.in_size[0]}x{one.in_size[1]}",
        f"{one.out_size[0]}x{one.out_size[1]}",
        one.verdict,
        f"{figures.stealth_gain_db:z.2f} ± {figures.uncertainty_db:.2f} dB" if figures else "",
        str(figures.view) if figures else "",
        "; ".join(filter(None, remark)),
    ]


def attack_table(title: str, attack: Attack, fixed: Any = None) -> dict[str, Any]:
    """Its figures: predicted, measured, after JPEG, and with a fix."""
    columns = [("predicted", attack.predicted), ("measured", attack.measured)]
    columns += [(f"JPEG {quality}", figures) for quality, figures in attack.jpeg.items()]
    columns += [("with the fix", fixed)] if fixed is not None else []
    rows = [
        ("output to target, RGB", "psnr_target", "{:.1f} dB"),
        ("output to target, luma", "psnr_target_luma", "{:.1f} dB"),
        ("share of the target shown", "share", "{:.2f}"),
    ]
    lines = [[name, *(form.format(getattr(figures, key)) for _, figures in columns)] for name, key, form in rows]
    lines.append(["attack image to source, RGB", f"{attack.psnr_source:.1f} dB"] + [""] * (len(columns) - 1))
    lines.append(["attack image to source, luma", f"{attack.psnr_source_luma:.1f} dB"] + [""] * (len(columns) - 1))
    lines.append(["unattacked output to target", f"{attack.pair_db:.1f} dB"] + [""] * (len(columns) - 1))
    return {"title": title, "header": ["", *(name for name, _ in columns)], "lines": lines}


# Findings.


def _place(found: Audited) -> Place:
    call = next((one for one in found.fixed.calls if one.path), None) if found.fixed else None
    if call is not None and call.path is not None:
        return Place(call.path, call.line)
    return Place(found.path or found.target, found.line if found.path else None)


def _fix(found: Audited) -> Fix | None:
    """The replacement of the guilty call, where it was measured to be one, and all edits are to one file."""
    if found.fixed is None or not found.fixed.works or not found.fixed.replacements:
        return None
    first = found.fixed.replacements[0]
    edits = [one for one in found.fixed.replacements if one.path == first.path]
    return Fix(
        f"write {first.new}",
        tuple(Edit(one.line, one.column, one.end_line, one.end_column, one.new) for one in edits),
    )


def _verdicts(found: Audited) -> Iterator[Finding]:
    """One finding for each verdict that is none to rest with, on its worst measurement."""
    for verdict, code in _CODES.items():
        members = [one for one in found.measured if one.verdict == verdict]
        if not members:
            continue
        worst = max(members, key=lambda one: one.gain)
        rule = RULES[code]
        yield Finding(
            code,
            rule.severity,
            _message(found, worst, members),
            _place(found),
            "medium" if worst.estimate or (worst.exposure is not None and worst.exposure.doubtful) else "high",
            (found.fixed.advice if found.fixed else "") or rule.instead,
            _fix(found),
            evidence={
                "stealth_gain_db": worst.gain if worst.exposure else None,
                "tables": [_measured_table(members)],
                "related": related(found.fixed.calls) if found.fixed else [],
            },
            context=f"{found.target} {verdict}",
        )


def _message(found: Audited, worst: Measurement, members: Sequence[Measurement]) -> str:
    sizes = f"{worst.in_size[0]}x{worst.in_size[1]} to {worst.out_size[0]}x{worst.out_size[1]}"
    if worst.unfaithful:
        return f"{found.target}, {sizes}, {worst.name}: {worst.error}"
    estimate = "by an estimate " if worst.estimate else ""
    more = f"; {len(members)} measurements say so" if len(members) > 1 else ""
    read = 100 * (worst.exposure.coverage if worst.exposure else 1)
    return (
        f"{found.target} is {estimate}{worst.verdict}: {worst.gain:.1f} dB of stealth gain from {sizes} as "
        f"{worst.name}, where {read:.0f} % of the source is read{more}"
    )


def _attacks(found: Audited) -> Iterator[Finding]:
    for one, made in found.attacks:
        if made.success:
            yield Finding(
                "SR204",
                RULES["SR204"].severity,
                f"{found.target} showed a hidden picture: {made.measured.psnr_target:.1f} dB to the target (luma "
                f"{made.measured.psnr_target_luma:.1f} dB, {100 * made.measured.share:.0f} % of it) from an image "
                f"{made.psnr_source:.1f} dB from its source, {one.in_size[0]}x{one.in_size[1]} as {one.name}",
                _place(found),
                advice=(found.fixed.advice if found.fixed else "") or RULES["SR204"].instead,
                evidence={
                    "method": made.method,
                    "mode": made.mode,
                    "pictures": [dict(entry) for entry in found.saved],
                    "tables": [attack_table("attack", made, found.fixed.figures if found.fixed else None)],
                },
                context=f"{found.target} attacked",
            )
            return


def _decodings(found: Audited) -> Iterator[Finding]:
    """One finding, on the file that worked, or else the worst."""
    if not found.decodings:
        return
    one = max(found.decodings, key=lambda each: (each.success, each.scale))
    sizes = f"{one.measurement.in_size[0]}x{one.measurement.in_size[1]}"
    shown = (
        f"; a file made for 1/{one.scale} showed people its source ({one.psnr_source:.1f} dB) and the pipeline another "
        f"picture ({one.psnr_target:.1f} dB to it, luma {one.psnr_target_luma:.1f} dB, {100 * one.share:.0f} % of it)"
        if one.scale
        else ""
    )
    yield Finding(
        "SR206",
        RULES["SR206"].severity if one.success or not one.scale else "medium",
        f"{found.target} scales while it decodes JPEG files of {sizes}: what it makes of one lies "
        f"{one.difference:.1f} levels from what it makes of the pixels that a full decode shows{shown}",
        _place(found),
        "high",
        RULES["SR206"].instead,
        evidence={key: value for key, value in one.to_dict().items() if key not in ("input", "in_size")},
        context=f"{found.target} decodes at a scale",
    )


def _pictures(found: Audited) -> Iterator[Finding]:
    for picture in found.pictures:
        if picture.problem:
            yield Finding(
                "SR205",
                RULES["SR205"].severity,
                f"{os.path.basename(picture.path)!r}: {picture.problem}",
                Place(picture.path),
                "high",
                RULES["SR205"].instead,
                evidence=picture.to_dict(),
                context=picture.problem,
            )


def restored(values: Mapping[str, Any]) -> Report:
    """A report from what its ``to_dict`` made of it, read back from JSON."""
    (unit, looked_at), *_ = values["looked_at"].items()
    findings = tuple(
        Finding(
            one["code"],
            one["severity"],
            one["message"],
            Place(one["path"], one["line"], one["column"], one["end_line"]),
            one["confidence"],
            one["advice"],
            Fix(one["fix"]["description"], tuple(Edit(**edit) for edit in one["fix"]["edits"])) if one["fix"] else None,
            one["evidence"],
            one.get("context", ""),
            one["suppressed"],
        )
        for one in values["findings"]
    )
    return Report(
        values["tool"], findings, values["versions"], looked_at, unit, tuple(values["failures"]), values["facts"]
    )
