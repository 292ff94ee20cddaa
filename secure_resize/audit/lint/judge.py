"""Whether a call samples: its row, its arguments, its sizes and what it is used on."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..report import CONFIDENCES, SEVERITIES, Confidence, Severity
from ..rules import RULES
from . import calls, more_calls
from .roles import blurred, enlarging, in_module, in_part, names_larger, role, used_on_masks
from .rows import METHODS, NEAREST, Row, find, known, last_names, mode_word, of_known_package
from .sizes import Scaling, by_factor, scaling
from .tree import Binding, CallSite, Tree
from .values import UNKNOWN, Bound, Local, Made, Partial, Possible, Ref, Resolver, Thunk, Tuple_

__all__ = ["Hit", "Judge"]

_REGISTERED = (calls, more_calls)  # importing them registers their rows
VOLUMES = {"trilinear"}  # what scales volumes, not pictures
TARGETS = {"y", "y_true", "target", "targets", "ys"}  # nearest is right there: they are classes
BARE = {"x", "input", "inputs", "inp", "data", "sample", "batch", "a", "arr", "array", "tensor", "src", "t", "X"}


@dataclass(frozen=True)
class Hit:
    """A call that samples. ``place`` is the call to point at, ``via`` the name of a wrapper that it goes through."""

    row: Row
    place: CallSite
    code: str
    severity: Severity
    confidence: Confidence
    reason: str
    scaling: Scaling = field(default_factory=lambda: Scaling("unknown"))
    mode: str = ""
    via: str = ""
    bound: Bound | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """What is said of it."""
        name = self.shown
        through = f", called here through {self.via}" if self.via else ""
        sizes = f"; {self.scaling.text}" if self.scaling.text and (self.row.size or self.row.factors) else ""
        return f"{name}{through} {self.reason}{sizes}"

    @property
    def shown(self) -> str:
        """The call's name for people."""
        named: str = self.row.facts.get("shown") or self.row.name.replace("tensorflow_v1.", "tf.compat.v1.")
        named = re.sub(r"^tensorflow\.", "tf.", named)
        return f"Image{named}" if named.startswith(".") and self.row.code in ("SR108", "SR109") else named.lstrip(".")


def lower(level: Severity) -> Severity:
    """One severity less."""
    return SEVERITIES[max(SEVERITIES.index(level) - 1, 0)]


def least(*levels: Confidence) -> Confidence:
    """The lowest of some confidences."""
    return CONFIDENCES[min(CONFIDENCES.index(one) for one in levels)]


class Judge:
    """Judges the calls of one file."""

    def __init__(self, tree: Tree, package: str = "") -> None:
        from . import special

        self.package = package

        self.special = special.SPECIAL
        self.tree = tree
        self.resolver = Resolver(tree, known)

    def hits(self) -> list[Hit]:
        """All calls of the file that sample, in its order."""
        found: list[Hit] = []
        waiting: list[tuple[CallSite, Partial]] = []
        names = self._names()
        for site in self.tree.calls:
            if self._may_matter(site, names):
                found += self._call(site, waiting)
        for site, partial in waiting:
            row = find(partial.function.name)
            if partial.node not in self.resolver.used and row is not None:
                inner = ast.Call(func=partial.node.args[0], args=partial.node.args[1:], keywords=partial.node.keywords)
                ast.copy_location(inner, partial.node)
                bound = self.resolver.bind(inner, row.parameters, site)
                found += [
                    replace(hit, confidence=least(hit.confidence, "medium"))
                    for hit in self.judge(row, site, bound, None)
                ]
        unique: dict[ast.Call, Hit] = {}
        for hit in found:
            before = unique.get(hit.place.node)
            if before is None or CONFIDENCES.index(before.confidence) < CONFIDENCES.index(hit.confidence):
                unique[hit.place.node] = hit
        exported = self.special["export"]
        hits = list(unique.values())
        hits += [hit for site in self.tree.calls for hit in exported(self, site, hits)]
        return sorted(hits, key=lambda one: (one.place.node.lineno, one.place.node.col_offset))

    def _names(self) -> set[str]:
        """The names by which anything that matters can be called in this file: those of the rows, and aliases."""
        names = {*last_names(), *METHODS, "partial", "partialmethod"}
        bindings = [
            (name, one) for scope in self.tree.scopes.values() for name in scope.names for one in scope.names[name]
        ]
        for scope in self.tree.scopes.values():
            bindings += [(name, one) for name, stored in scope.attributes.items() for one, _ in stored]
        for _ in range(3):  # an alias of an alias of an alias
            before = len(names)
            for name, binding in bindings:
                if name not in names and _is_alias(binding, names):
                    names.add(name)
            if len(names) == before:
                break
        return names

    def _may_matter(self, site: CallSite, names: set[str]) -> bool:
        function = site.node.func
        if isinstance(function, ast.Attribute):
            last = function.attr
            matters = last in names or (isinstance(function.value, ast.Call) and last == "__init__")
        elif isinstance(function, ast.Name):
            matters = function.id in names
        else:
            return True
        return matters or any(one.arg in ("antialias", "resample") for one in site.node.keywords)

    def _call(self, site: CallSite, waiting: list[tuple[CallSite, Partial]]) -> list[Hit]:
        node = site.node
        whole = Thunk(node, site.scope, site.block, node.lineno)
        found: list[Hit] = []
        seen: set[str] = set()
        for one in self.resolver.callee(node, whole):
            value, partial = one.value, None
            if isinstance(value, Partial):
                self.resolver.used.add(value.node)
                value, partial = value.function, value
            if isinstance(value, Ref):
                if value.name == "functools.partial":
                    waiting += [
                        (site, made.value)
                        for made in self.resolver.of(whole)
                        if isinstance(made.value, Partial) and isinstance(made.value.function, Ref)
                    ]
                row = find(value.name)
                if row is None and not of_known_package(value.name):
                    found += self._method(site, seen)
                elif row is None and value.name.startswith("transformers."):
                    found += self._processor(site, value.name.rpartition(".")[2], seen)
                elif row is not None and row.name not in seen:
                    seen.add(row.name)
                    bound = self.resolver.bind(node, row.parameters, site, partial)
                    found += self.judge(row, site, bound, None)
            elif value is UNKNOWN:
                found += self._method(site, seen)
            elif isinstance(value, Local) and isinstance(node.func, ast.Attribute):
                found += self._processor(site, node.func.attr, seen)
        return found

    def _method(self, site: CallSite, seen: set[str]) -> list[Hit]:
        function = site.node.func
        if not isinstance(function, ast.Attribute):
            return self._processor(site, getattr(function, "id", ""), seen)
        row = METHODS.get(function.attr)
        found: list[Hit] = []
        if row is not None and row.name not in seen:
            seen.add(row.name)
            bound = self.resolver.bind(site.node, row.parameters, site)
            receiver = Thunk(function.value, site.scope, site.block, site.line)
            found = self.judge(row, site, bound, receiver)
        return found or self._processor(site, function.attr, seen)

    def _processor(self, site: CallSite, name: str, seen: set[str]) -> list[Hit]:
        """``self.resize(image, size, antialias=False)`` of somebody's class, and ``processor(image, resample=0)``."""
        if "processor" in seen:
            return []
        seen.add("processor")
        hit: Hit | None = self.special["processor"](self, site, name)
        return [hit] if hit else []

    # One row.

    def judge(self, row: Row, site: CallSite, bound: Bound, receiver: Thunk | None) -> list[Hit]:
        """What is to be said of the call ``site`` of ``row``."""
        subject = receiver or bound.get(row.picture)
        if row.name.startswith(".flow_from"):
            subject = None
        what = role(subject, site)
        if subject is None and what == "inner":
            what = ""  # what a transform is called says only whether it is for masks
        if what in ("mask", "inner") and row.code not in ("SR109", "SR110", "SR113", "SR114"):
            return []
        if row.layer and not self._is_input(subject, site, what):
            return []
        special = self.special.get(row.special) if row.special else None
        if row.special == "export" or (
            row.special in ("always", "vae") and row.facts.get("front_end") == self.package != ""
        ):
            return []  # a library's own use of its front end says nothing new
        if special is not None:
            hit = special(self, row, site, bound, receiver)
            return [self.softened(hit, subject, site)] if hit else []
        return self.generic(row, site, bound, subject)

    def _is_input(self, subject: Thunk | None, site: CallSite, what: str) -> bool:
        """Whether what a network scales can be the picture that somebody gives it."""
        if not in_module(site.scope):
            return True
        if in_part(site.scope):
            return what == "picture" and subject is not None and "pixel" in ast.unparse(subject.node)
        node = subject.node if subject is not None else None
        if node is None:
            return True
        function = site.scope.function()
        named = isinstance(node, ast.Name) and function is not None
        bindings = function.names.get(node.id, []) if isinstance(node, ast.Name) and function is not None else []
        before = [one.kind for one in bindings if one.line < site.line]
        if what == "picture":
            return not named or not bindings or "other" not in before or "parameter" in before
        if not isinstance(node, ast.Name) or node.id not in BARE or function is None:
            return False
        return before == ["parameter"] and function.name in ("forward", "call")

    def generic(self, row: Row, site: CallSite, bound: Bound, subject: Thunk | None) -> list[Hit]:
        """By interpolation, antialiasing and sizes."""
        scale = self.scaling(row, bound, subject)
        if scale.relation in ("enlarges", "same") or (scale.relation == "unknown" and enlarging(site)):
            return []
        height, width = self.size(row, bound)
        whole = [bound.get(one) for one in (row.size, row.mode, *row.factors) if isinstance(one, str)]
        if any(names_larger(one) for one in (height, width, *whole)):
            return []
        if row.picture is None and any(used_on_masks(site, self.tree.by_name.get(one, [])) for one in site.labels):
            return []
        if row.needs_size and isinstance(row.size, str) and self.resolver.one(bound.get(row.size)) is None:
            return []
        if row.needs_size and bound.get(str(row.size)) is None:
            return []
        modes = self.words(row, bound)
        if set(site.labels) & TARGETS and all(one.value in NEAREST for one in modes):
            return []
        antialias = self.antialias(row, bound)
        outcomes = [
            (self.samples(row, word.value, anti.value, scale), word, anti) for word in modes for anti in antialias
        ]
        worst = [one for one in outcomes if one[0]]
        if not worst:
            if row.unknown and any(one[0] is None for one in outcomes) and all(one[0] is not False for one in outcomes):
                return [self._unknown(row, site, bound, scale, subject)]
            return []
        word, anti = worst[0][1], worst[0][2]
        sure = all(one[0] for one in outcomes) and all(o[1].sure and o[2].sure for o in worst)
        confidence = least(row.confidence, "high" if sure else "medium")
        if bound.open and bound.get(row.mode) is None and bound.get(row.antialias) is None:
            confidence = "low"
        base: Severity = row.severity or RULES[row.code].severity
        if self._passes_on(row, site, bound):
            base, confidence = lower(base), "low"
        hit = Hit(
            row, site, row.code, base, confidence, self._reason(row, word.value, anti.value, bound, scale), scale,
            str(word.value or ""), bound=bound, evidence=self._evidence(row, word.value, anti.value, scale),
        )  # fmt: skip
        return [self.softened(one, subject, site) for one in self._placed(hit, worst)]

    def _passes_on(self, row: Row, site: CallSite, bound: Bound) -> bool:
        """Whether the function around is the same by another name: ``def resize(image, size, mode="linear"): ...``"""
        function = site.scope.function()
        thunk = bound.get(row.mode)
        last = row.name.rpartition(".")[2]
        if function is None or function.name.lstrip("_") != last or thunk is None:
            return False
        return isinstance(thunk.node, ast.Name) and any(
            b.kind == "parameter" for b in function.names.get(thunk.node.id, [])
        )

    def _placed(self, hit: Hit, worst: list[tuple[Any, Possible, Possible]]) -> list[Hit]:
        """At the call itself, or at those of the wrapper that hand in what makes it sample."""
        sites = {one for _, word, anti in worst for one in (word.site, anti.site) if one is not None}
        direct = any(word.site is None and anti.site is None for _, word, anti in worst)
        if direct or not sites:
            return [hit]
        name = next((one.name for one in hit.place.scope.around() if one.kind == "function" and one.name), "")
        return [
            replace(hit, place=site, via=f"{name}()", confidence=least(hit.confidence, "high"))
            for site in sorted(sites, key=lambda one: (one.node.lineno, one.node.col_offset))
            if all(
                role(Thunk(argument, site.scope, site.block, site.line), site) != "mask"
                for argument in site.node.args[:1]
            )
        ]

    def _unknown(self, row: Row, site: CallSite, bound: Bound, scale: Scaling, subject: Thunk | None) -> Hit:
        safe = "/".join(sorted(row.safe)) or "none"
        reason = f"samples with any interpolation but {safe}, and which one it gets is not known here"
        hit = Hit(row, site, row.code, "low", "low", reason, scale, "", bound=bound)
        return self.softened(replace(hit, evidence=self._evidence(row, None, None, scale)), subject, site)

    def softened(self, hit: Hit, subject: Thunk | None, site: CallSite) -> Hit:
        """``hit``, with less weight where the picture is blurred just before."""
        if hit.row.code in ("SR109", "SR110", "SR113", "SR114") or not blurred(subject, site):
            return hit
        reason = f"{hit.reason}, but the picture is blurred before; measure it with secure-resize probe"
        evidence = {**hit.evidence, "blurred_before": True}
        return replace(hit, severity=lower(hit.severity), confidence="low", reason=reason, evidence=evidence)

    # Parts of it.

    def scaling(self, row: Row, bound: Bound, subject: Thunk | None) -> Scaling:
        """From which size to which."""
        given = [bound.get(one) for one in row.factors]
        if any(one is not None for one in given):
            values: list[Any] = []
            for thunk in given:
                value = self.resolver.one(thunk) if thunk is not None else UNKNOWN
                if isinstance(value, Tuple_):
                    values += [self.resolver.one(item) for item in value.items]
                elif thunk is not None:
                    values.append(value)
            sized = isinstance(row.size, str) and bound.get(row.size) is not None
            if not (sized and self.resolver.one(bound.get(str(row.size))) not in (None, UNKNOWN)):
                if row.name == "scipy.ndimage.zoom":
                    values = values[:2] if len(values) == 3 and values[2] == 1 else values
                values = [one for one in values if one is not None and one != 0]  # OpenCV's 0: not given
                if values:
                    return by_factor(values)
        height, width = self.size(row, bound)
        return scaling(self.resolver, subject, height, width)

    def size(self, row: Row, bound: Bound) -> tuple[Thunk | None, Thunk | None]:
        """The expressions for height and width, where the size is written as two."""
        if isinstance(row.size, tuple):
            return bound.get(row.size[0]), bound.get(row.size[1])
        thunk = bound.get(row.size)
        value = self.resolver.one(thunk) if thunk is not None else UNKNOWN
        if isinstance(value, Tuple_) and len(value.items) == 2:
            first, second = value.items
            return (second, first) if row.order == "wh" else (first, second)
        return None, None

    def words(self, row: Row, bound: Bound) -> list[Possible]:
        """The interpolations that it can have, as words; the value None where one is not known."""
        thunk = bound.get(row.mode)
        if row.mode is None or thunk is None:
            return [Possible(row.default or None)]
        found = []
        for one in self.resolver.of(thunk):
            value = row.default if one.value is None else mode_word(one.value, row.numbers)
            found.append(one._replace(value=value))
        return found

    def antialias(self, row: Row, bound: Bound) -> list[Possible]:
        """True, False, or None where it is not known."""
        thunk = bound.get(row.antialias)
        if row.antialias is None:
            return [Possible(None)]
        if thunk is None:
            return [Possible(row.antialias_default, sure=not bound.open)]
        found = []
        for one in self.resolver.of(thunk):
            value = one.value
            if value is None or value == "warn":
                value = row.antialias_default if row.antialias_default is False else False
            found.append(one._replace(value=value if isinstance(value, bool) else None))
        return found

    def samples(self, row: Row, word: str | None, antialias: bool | None, scale: Scaling) -> bool | None:
        """Whether it samples; None where that is not known."""
        if word == "area" and row.numbers == "cv2" and scale.relation == "mixed":
            return True
        if row.bad is not None:
            return None if word is None else word in row.bad
        if word in row.safe or word in VOLUMES or (word == "linear" and row.name.startswith("torch.nn")):
            return False  # torch's linear is for sequences
        if row.antialias is None:
            return None if word is None else True
        if word in NEAREST:
            return True
        if antialias is None:
            return None
        if not antialias:
            return (
                True if word is not None or not row.unknown else (None if row.safe and row.numbers == "cv2" else True)
            )
        return row.antialiases is not None and word is not None and word not in row.antialiases

    def _reason(self, row: Row, word: str | None, antialias: bool | None, bound: Bound, scale: Scaling) -> str:
        if row.why:
            return f"samples: {row.why}"
        given = bound.get(row.mode) is not None
        misplaced = self.resolver.one(bound.get("fy")) if row.name == "cv2.resize" else None
        if isinstance(misplaced, Ref) and "INTER_" in misplaced.name:  # image, size, 0, 0, cv2.INTER_AREA
            return f"samples with {word}, its default: the flag stands where fy belongs; write interpolation="
        if word == "area":
            return "samples with INTER_AREA as soon as one axis grows"
        if word in NEAREST:
            said = word if given else f"{word}, its default"
            return f"samples with {said}: one pixel of the picture for each that it makes"
        if row.antialias and antialias is False:
            said = f"{row.antialias}=False" + ("" if bound.get(row.antialias) is not None else ", its default")
            return f"samples: {word or 'the interpolation'} with {said}"
        return f"samples with {word}{'' if given or not word else ', its default'}: {calls.POINTS}"

    def _evidence(self, row: Row, word: str | None, antialias: bool | None, scale: Scaling) -> dict[str, Any]:
        known = {"interpolation": word, "antialias": antialias, "from": scale.source, "to": scale.target}
        facts = {key: value for key, value in known.items() if value not in (None, "")}
        return {"call": row.name.lstrip("."), "scaling": scale.relation, **facts}


ALIASING = ("partial", "partialmethod", "staticmethod", "getattr", "get", "dict", "import_module", "__import__")


def _is_alias(binding: Binding, names: set[str]) -> bool:
    """Whether a name is bound to something that one of ``names`` stands in, and that can be called."""
    if binding.kind == "import":
        return binding.target.rpartition(".")[2] in names
    node = binding.node
    if binding.kind not in ("value", "parameter") or not isinstance(node, ast.expr):
        return False
    if isinstance(node, ast.Constant):
        return False
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called not in ALIASING:
            return False
    for one in ast.walk(node):
        word = one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", getattr(one, "value", None))
        if isinstance(word, str) and word in names:
            return True
    return False


def local_span(value: Any) -> tuple[int, int] | None:
    """The lines of a function or class of the file, or of the call that made a value."""
    if isinstance(value, Made) and isinstance(value.function, Local):
        value = value.function
    node = value.node if isinstance(value, Local) else None
    if isinstance(value, Made):
        node = value.site.node
    if node is None or not hasattr(node, "lineno"):
        return None
    return node.lineno, getattr(node, "end_lineno", None) or node.lineno
