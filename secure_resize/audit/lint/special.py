"""Judgements that a row's columns cannot express: functions of (judge, row, call, arguments, receiver)."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, TypeVar

from ..rules import RULES
from .judge import Hit, Judge, least, local_span, lower
from .roles import keeps_scale, role
from .rows import NEAREST, Row, find, mode_word
from .sizes import Scaling, scaling
from .tree import CallSite
from .values import UNKNOWN, Bound, Made, Ref, Thunk, Tuple_

__all__ = ["SPECIAL"]

SPECIAL: dict[str, Callable[..., Any]] = {}
Receiver = Thunk | None
Function = TypeVar("Function", bound=Callable[..., Any])


def _special(name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        SPECIAL[name] = function
        return function

    return register


def _hit(row: Row, site: CallSite, reason: str, bound: Bound, **facts: Any) -> Hit:
    severity = facts.pop("severity", None) or row.severity or RULES[facts.get("code", row.code)].severity
    confidence = facts.pop("confidence", row.confidence)
    version = {"version_read": row.facts["version"]} if "version" in row.facts else {}
    evidence = {"call": row.name.lstrip("."), **version, **facts.pop("evidence", {})}
    return Hit(
        row, site, facts.pop("code", row.code), severity, confidence, reason, bound=bound, evidence=evidence, **facts
    )


def _number(judge: Judge, thunk: Thunk | None) -> float | None:
    value = judge.resolver.one(thunk) if thunk is not None else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _numbers(judge: Judge, thunk: Thunk | None) -> list[float] | None:
    """A number or a tuple of numbers, as a list."""
    value = judge.resolver.one(thunk) if thunk is not None else None
    items = value.items if isinstance(value, Tuple_) else ([thunk] if thunk is not None else [])
    found = [_number(judge, one) for one in items]
    return None if not found or any(one is None for one in found) else [one for one in found if one is not None]


@_special("always")
def _always(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit:
    verb = "decodes inexactly" if row.code == "SR110" else "scales while decoding" if row.code == "SR109" else "samples"
    return _hit(row, site, f"{verb}: {row.why}", bound)


@_special("given")
def _given(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    for name in row.facts["any"]:
        thunk = bound.get(name)
        if thunk is not None and judge.resolver.one(thunk) not in (None, 0, 1):
            return _hit(
                row, site, f"scales while decoding ({name}=...), before the values are cut off to 0..255", bound
            )
    return None


@_special("warp")
def _warp(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    matrix = bound.get("M")
    if keeps_scale(site) or (matrix is not None and _keeps_scale(judge, matrix)):
        return None
    return _hit(row, site, "samples where its transformation shrinks the picture, and that is not known here", bound)


def _keeps_scale(judge: Judge, matrix: Thunk) -> bool:
    """Whether a matrix only moves, rotates or enlarges, as far as it is written out."""
    value = judge.resolver.one(matrix)
    if isinstance(value, Made) and isinstance(value.function, Ref) and isinstance(value.site.node, ast.Call):
        call = value.site.node
        if value.function.name == "cv2.getRotationMatrix2D":
            bound = judge.resolver.bind(call, ("center", "angle", "scale"), value.site)
            factor = _number(judge, bound.get("scale"))
            return factor is not None and factor >= 1
        if call.args:
            rows = judge.resolver.one(value.site._replace(node=call.args[0]))
            return isinstance(rows, Tuple_) and _moves(judge, rows)
    return isinstance(value, Tuple_) and _moves(judge, value)


def _moves(judge: Judge, rows: Tuple_) -> bool:
    lists = [judge.resolver.one(one) for one in rows.items]
    if len(lists) < 2 or not all(isinstance(one, Tuple_) and len(one.items) == 3 for one in lists[:2]):
        return False
    left = [[_number(judge, cell) for cell in one.items[:2]] for one in lists[:2]]
    return left == [[1.0, 0.0], [0.0, 1.0]]


@_special("grid")
def _grid(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    return _hit(row, site, "samples where its grid is coarser than the picture, and that is not known here", bound)


@_special("upsample")
def _upsample(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    factors = _numbers(judge, bound.get("scale_factor"))
    size = bound.get("size")
    if factors is not None:
        if all(one >= 1 for one in factors):
            return None
        word = judge.words(row, bound)[0].value or "an interpolation"
        scale = Scaling("shrinks", target=f"{factors[0]:g} times the size")
        return _hit(row, site, f"samples with {word}: it knows no antialiasing", bound, scaling=scale)
    if size is None or judge.resolver.one(size) is None:
        return None  # a factor that is not known: what Upsample is for makes larger
    word = judge.words(row, bound)[0].value or "an interpolation"
    return _hit(row, site, f"samples with {word}, if it shrinks: it knows no antialiasing", bound, confidence="low",
                severity="medium")  # fmt: skip


@_special("affine")
def _affine(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    """A range of factors below 1, or of changes: ``factor`` multiplies, ``out`` is added to 1."""
    name = row.facts.get("factor") or row.facts["out"]
    thunk = bound.get(name)
    if thunk is None and not row.facts.get("default"):
        return None
    numbers = _numbers(judge, thunk) if thunk is not None else [-0.1, 0.1]
    if thunk is not None and judge.resolver.one(thunk) is None:
        return None
    if numbers is not None:
        if "factor" in row.facts and min(numbers) >= 1:
            return None
        keras = row.name.startswith("keras")
        if "out" in row.facts and (max(numbers) <= 0 if keras and len(numbers) > 1 else not any(numbers)):
            return None
        if "out" in row.facts and not keras and len(numbers) > 1 and min(numbers) >= 0:
            return None
    severity = row.severity or "medium"
    reason = "samples where it makes the picture smaller: it knows no antialiasing"
    return _hit(row, site, reason, bound, severity=severity, confidence=least(row.confidence, "medium"))


@_special("albumentations")
def _albumentations(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    if judge.resolver.one(bound.get("area_for_downscale")) in ("image", "image_mask"):
        return None
    found = judge.generic(row, site, bound, None)
    return found[0] if found else None


@_special("mmcv")
def _mmcv(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    if judge.resolver.one(bound.get("backend")) == "pillow":
        words = [one.value for one in judge.words(row, bound)]
        if not any(one in NEAREST for one in words):
            return None
    found = judge.generic(row, site, bound, bound.get(row.picture))
    return found[0] if found else None


# Pillow: what is known of the receiver decides.


def _picture(judge: Judge, receiver: Receiver) -> tuple[str, str]:
    """(how the picture came about, its mode where that is known): ``("open", "")``, ``("convert", "P")``."""
    if receiver is None:
        return "", ""
    for _ in range(6):
        value = judge.resolver.of(receiver)[-1].value
        if not isinstance(value, Made) or not isinstance(value.site.node, ast.Call):
            return "", ""
        call = value.site.node
        name = value.function.name if isinstance(value.function, Ref) else ""
        last = name.rpartition(".")[2] if name else (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        first = judge.resolver.one(value.site._replace(node=call.args[0])) if call.args else UNKNOWN
        for keyword in call.keywords:
            if keyword.arg == "mode":
                first = judge.resolver.one(value.site._replace(node=keyword.value))
        if name.startswith("PIL.") or name in ("Image.open", "Image.new", "Image.fromarray"):
            if last == "open":
                return "open", "P" if isinstance(first, str) and first.lower().endswith(".gif") else ""
            mode = first if last == "new" else UNKNOWN
            if last == "fromarray" and len(call.args) > 1:
                mode = judge.resolver.one(value.site._replace(node=call.args[1]))
            return last, mode if isinstance(mode, str) else ""
        if name and not name.startswith("PIL"):
            return "other", ""
        if last == "convert":
            return "convert", first if isinstance(first, str) else ""
        if last == "quantize":
            return "quantize", "P"
        if last in ("resize", "crop", "rotate", "transpose", "copy", "filter") and isinstance(call.func, ast.Attribute):
            receiver = value.site._replace(node=call.func.value)
            continue
        return "", ""
    return "", ""


_ENUM = re.compile(r"(^|\.)(Image|Resampling|PILImageResampling|PIL|Transpose)\.\w+$|^PIL\.")


@_special("pillow")
def _pillow(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    thunk = bound.get("resample") or bound.get("interpolation")
    origin, mode = _picture(judge, receiver)
    if origin == "other":
        return None
    size = judge.resolver.one(bound.get("size")) if bound.get("size") is not None else None
    height, width = judge.size(row, bound)
    scale = scaling(judge.resolver, receiver, height, width)
    if scale.relation in ("enlarges", "same"):
        return None
    facts: dict[str, Any] = {"scaling": scale, "evidence": {"scaling": scale.relation}}
    if mode in ("P", "1") and size is not None:
        reason = f"samples: a picture of mode {mode} is scaled by NEAREST, whatever filter is asked for"
        return _hit(row, site, reason, bound, confidence="medium", mode="nearest", **facts)
    if thunk is None or row.name not in (".resize",):
        return None
    possible = judge.resolver.of(thunk)
    for one in possible:
        value = one.value
        word = mode_word(value, "pillow")
        pillow = isinstance(value, Ref) and (_ENUM.search(value.name) is not None or word == "nearest")
        number = isinstance(value, int) and not isinstance(value, bool)
        if number and origin == "" and "resample" not in {k.arg for k in site.node.keywords}:
            if role(receiver, site) != "picture" or not isinstance(size, Tuple_):
                continue
        elif not (pillow or number):
            continue
        confidence = "high" if one.sure and len(possible) == 1 else "medium"
        if word in NEAREST:
            reason = "samples with NEAREST: one pixel of the picture for each that it makes"
            facts["evidence"]["interpolation"] = word
            return _hit(row, site, reason, bound, confidence=confidence, mode="nearest", **facts)
        if word == "box" and not _whole(scale):
            reason = "skips pixels with BOX wherever the ratio is no whole number (5.7 dB at 432 to 224)"
            facts["evidence"]["interpolation"] = word
            return _hit(row, site, reason, bound, confidence=confidence, severity="medium", mode="box", **facts)
    return None


def _whole(scale: Scaling) -> bool:
    source, target = scale.source.split("×"), scale.target.split("×")
    if len(source) != 2 or len(target) != 2:
        return False
    return all(float(a) % float(b) == 0 for a, b in zip(source, target, strict=True))


@_special("pillow_transform")
def _pillow_transform(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    method = judge.resolver.one(bound.get("method"))
    name = method.name.rpartition(".")[2] if isinstance(method, Ref) else ""
    if name not in ("AFFINE", "EXTENT", "PERSPECTIVE", "QUAD", "MESH") or keeps_scale(site):
        return None
    data = judge.resolver.one(bound.get("data")) if bound.get("data") is not None else UNKNOWN
    if name == "AFFINE" and isinstance(data, Tuple_) and len(data.items) == 6:
        steps = [_number(judge, data.items[k]) for k in (0, 4)]  # source pixels from one output pixel to the next
        if all(one is not None and abs(one) <= 1 for one in steps):
            return None  # it shears and moves
    return _hit(row, site, f"samples where {name} shrinks the picture: it knows no antialiasing", bound)


@_special("thumbnail")
def _thumbnail(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    if len(site.node.args) + len(site.node.keywords) == 0:
        return None
    origin, _ = _picture(judge, receiver)
    word = mode_word(judge.resolver.one(bound.get("resample")), "pillow") if bound.get("resample") else ""
    if word in NEAREST:
        return _hit(row, site, "samples with NEAREST", bound, code="SR108", mode="nearest")
    gap = bound.get("reducing_gap")
    if gap is not None and judge.resolver.one(gap) is None:
        return None  # no draft
    if origin in ("convert", "new", "fromarray", "quantize", "other"):
        return None  # it is decoded already
    if origin == "" and receiver is not None and role(receiver, site) not in ("picture", ""):
        return None
    if origin == "" and not _looks_like_size(judge, bound.get("size")):
        return None
    reason = "lets JPEG files be scaled while they are decoded (draft), before the values are cut off to 0..255"
    return _hit(row, site, reason, bound, confidence="high" if origin == "open" else "medium")


def _looks_like_size(judge: Judge, thunk: Thunk | None) -> bool:
    if thunk is None:
        return False
    value = judge.resolver.one(thunk)
    return isinstance(value, Tuple_) or "size" in ast.unparse(thunk.node).lower()


@_special("draft")
def _draft(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    size = bound.get("size")
    if size is None or judge.resolver.one(size) is None or len(site.node.args) + len(site.node.keywords) != 2:
        return None
    mode = judge.resolver.one(bound.get("mode"))
    if not (mode is None or isinstance(mode, str) or _picture(judge, receiver)[0] == "open" or mode is UNKNOWN):
        return None
    return _hit(row, site, "makes the decoder scale JPEG files before the values are cut off to 0..255", bound)


@_special("reduced")
def _reduced(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    thunk = bound.get("flags")
    for one in judge.resolver.of(thunk) if thunk is not None else []:
        value = one.value
        flag = value.name.rpartition(".")[2] if isinstance(value, Ref) else ""
        number = value if isinstance(value, int) and not isinstance(value, bool) else 0
        if flag.startswith("IMREAD_REDUCED") or (number > 0 and number & 0b1110000):
            said = flag or str(number)
            return _hit(row, site, f"scales while decoding ({said}), before the values are cut off to 0..255", bound)
    return None


@_special("decode_jpeg")
def _decode_jpeg(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    ratio = bound.get("ratio")
    value = judge.resolver.one(ratio) if ratio is not None else 1
    if value != 1:
        sure = isinstance(value, int)
        return _hit(row, site, "scales while decoding (ratio=), before the values are cut off to 0..255", bound,
                    confidence="high" if sure else "low")  # fmt: skip
    method = bound.get("dct_method")
    said = judge.resolver.one(method) if method is not None else ""
    if said == "INTEGER_ACCURATE" or said is UNKNOWN or (bound.open and method is None):
        return None
    return _hit(row, site, "decodes inexactly: INTEGER_FAST is its default", bound, code="SR110",
                mode="INTEGER_FAST")  # fmt: skip


@_special("turbojpeg")
def _turbojpeg(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    thunk = bound.get("scaling_factor")
    if thunk is None or judge.resolver.one(thunk) is None:
        return None
    keyword = any(one.arg == "scaling_factor" for one in site.node.keywords)
    value = judge.resolver.one(receiver) if receiver is not None else UNKNOWN
    turbo = isinstance(value, Made) and isinstance(value.function, Ref) and value.function.name.endswith("TurboJPEG")
    if not (keyword or turbo) or _numbers(judge, thunk) == [1.0, 1.0]:
        return None
    return _hit(row, site, "scales while decoding (scaling_factor), before the values are cut off to 0..255", bound)


@_special("skimage")
def _skimage(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    scale = judge.scaling(row, bound, bound.get("image"))
    if scale.relation in ("enlarges", "same"):
        return None
    thunk = bound.get("anti_aliasing")
    said = [one.value for one in judge.resolver.of(thunk)] if thunk is not None else [None]
    order = judge.resolver.one(bound.get("order")) if bound.get("order") is not None else None
    facts: dict[str, Any] = {"scaling": scale, "evidence": {"scaling": scale.relation}}
    if False in said:
        confidence = "high" if said == [False] else "medium"
        return _hit(row, site, "samples: anti_aliasing=False", bound, confidence=confidence, mode="linear", **facts)
    if order == 0 and said == [None]:
        reason = "samples with order=0, which integers are scaled by without antialiasing"
        return _hit(row, site, reason, bound, confidence="medium", mode="nearest", **facts)
    return None


# Front ends and processors.

_CHECKPOINTS = re.compile(r"depth[-_]?pro\b|depthpro|zoedepth|molmo2|rf[-_]?detr|phi-4-multimodal|pp-?doclayout", re.I)


@_special("checkpoint")
def _checkpoint(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    for thunk in bound.arguments.values():
        for one in judge.resolver.of(thunk):
            if isinstance(one.value, str) and _CHECKPOINTS.search(one.value) and "/" in one.value:
                return _hit(row, site, f"loads an image processor that samples ({one.value[:80]})", bound)
    return _said(judge, row, site, bound)


def _said(judge: Judge, row: Row, site: CallSite, bound: Bound) -> Hit | None:
    """``resample=NEAREST`` and ``antialias=False`` where a processor is loaded or called."""
    thunk = bound.get("resample")
    if thunk is not None and mode_word(judge.resolver.one(thunk), "pillow") in NEAREST:
        return _hit(row, site, "is told to sample: resample=NEAREST", bound, mode="nearest", confidence="high")
    return None


@_special("vae")
def _vae(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    if judge.resolver.one(bound.get("do_resize")) is False:
        return None
    for keyword in ("do_normalize", "do_binarize", "do_convert_grayscale"):
        if keyword == "do_binarize" and judge.resolver.one(bound.get(keyword)) is True:
            return None  # a mask's processor
    return _hit(row, site, f"samples: {row.why}", bound)


_FRONT_END = re.compile(r"process|backend|front_?end|converter", re.I)
_RESIZERS = re.compile(r"^(_?resize\w*|interpolate|_?resized_crop|center_crop|Resize\w*|RandomResizedCrop)$")


@_special("processor")
def _processor(judge: Judge, site: CallSite, name: str) -> Hit | None:
    """``self.resize(images, size, antialias=False)`` of a class whose resize lies elsewhere, and ``resample=NEAREST``
    where a processor is loaded or called.
    """
    if not any(one.arg in ("antialias", "resample") for one in site.node.keywords):
        return None
    keywords = {one.arg: Thunk(one.value, site.scope, site.block, site.line) for one in site.node.keywords if one.arg}
    subject = keywords.get("image") or keywords.get("images")
    if subject is None and site.node.args:
        subject = Thunk(site.node.args[0], site.scope, site.block, site.line)
    if role(subject, site) in ("mask", "inner"):
        return None
    called = ast.unparse(site.node.func)[:60]
    bound = Bound(keywords)
    if _RESIZERS.match(name) and "antialias" in keywords and judge.resolver.one(keywords["antialias"]) is False:
        around = [*(one.name for one in site.scope.around()), called]
        code = "SR113" if any(_FRONT_END.search(one) for one in around) else "SR105"
        row = Row(called, code, facts={"shown": called})
        hit = _hit(row, site, "is told not to antialias: antialias=False", bound, confidence="medium")
        return judge.softened(hit, subject, site)
    if "resample" in keywords and re.search(r"processor|from_pretrained|feature_extractor", called, re.I):
        return _said(judge, Row(called, "SR113", facts={"shown": called}), site, bound)
    return None


# Exports.


@_special("onnx")
def _onnx(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    if judge.resolver.one(bound.get("op_type")) not in ("Resize", "Upsample"):
        return None
    return _onnx_resize(judge, row, site, bound, receiver)


@_special("onnx_op")
def _onnx_resize(judge: Judge, row: Row, site: CallSite, bound: Bound, receiver: Receiver) -> Hit | None:
    antialias = bound.get("antialias")
    mode = judge.resolver.one(bound.get("mode")) if bound.get("mode") is not None else "nearest"
    if antialias is not None and judge.resolver.one(antialias) in (1, True) and mode != "nearest":
        return None
    if role(None, site) in ("mask", "inner"):
        return None
    said = mode if isinstance(mode, str) else "its interpolation"
    return _hit(row, site, f"makes an ONNX Resize that samples where it shrinks ({said}, antialias=0)", bound,
                confidence="medium")  # fmt: skip


@_special("export")
def _export(judge: Judge, site: CallSite, hits: list[Hit]) -> list[Hit]:
    """An export of a model of this file that holds one of ``hits``."""
    whole = Thunk(site.node, site.scope, site.block, site.line)
    rows = [find(one.value.name) for one in judge.resolver.callee(site.node, whole) if isinstance(one.value, Ref)]
    row = next((one for one in rows if one is not None and one.special == "export"), None)
    if row is None:
        return []
    bound = judge.resolver.bind(site.node, row.parameters, site)
    thunk = bound.get(row.parameters[0])
    if thunk is None:
        return []
    spans = [local_span(one.value) for one in judge.resolver.of(thunk)]
    for span in spans:
        for hit in hits:
            if span is not None and span[0] <= hit.place.line <= span[1] and hit.code in _IN_GRAPHS:
                reason = f"exports {hit.shown} of line {hit.place.line}, which samples, with the model"
                return [_hit(row, site, reason, bound, severity=lower(hit.severity), confidence=hit.confidence)]
    return []


_IN_GRAPHS = ("SR103", "SR104", "SR105", "SR106", "SR107", "SR111")
