"""From which size to which: numbers, and multiples of a picture's own height and width.

>>> sizes of cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2)): both axes shrink, whatever they are
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, NamedTuple

from .tree import Scope
from .values import UNKNOWN, Made, Ref, Resolver, Thunk, Tuple_

__all__ = ["Scaling", "by_factor", "scaling"]

Axis = str  # "h" or "w"


class Dim(NamedTuple):
    """A length: ``factor`` pixels, or ``factor`` times the height or width of the picture called ``base``."""

    factor: float
    base: tuple[str, Axis] | None = None


@dataclass(frozen=True)
class Scaling:
    """What happens to the axes: ``"shrinks"`` (both, or one while the other stays), ``"enlarges"``, ``"same"``,
    ``"mixed"`` (one grows, the other shrinks) or ``"unknown"``.
    """

    relation: str
    source: str = ""
    target: str = ""

    @property
    def text(self) -> str:
        """As a message says it."""
        if self.relation == "unknown":
            return f"to {self.target} from a size that is not known here" if self.target else "sizes not known here"
        if self.source and self.target:
            return f"from {self.source} to {self.target}"
        return {"shrinks": "both axes shrink", "mixed": "one axis shrinks while the other grows"}.get(self.relation, "")


def by_factor(factors: list[Any]) -> Scaling:
    """The scaling by known ``factors``, a number an axis; unknown where one is not a number."""
    numbers = [one for one in factors if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if not numbers or len(numbers) != len(factors):
        return Scaling("unknown")
    return Scaling(
        _relation([float(one) for one in numbers]), target=f"{'×'.join(f'{n:g}' for n in numbers)} times the size"
    )


def _relation(ratios: list[float]) -> str:
    if all(one == 1 for one in ratios):
        return "same"
    if all(one >= 1 for one in ratios):
        return "enlarges"
    return "shrinks" if all(one <= 1 for one in ratios) else "mixed"


def scaling(resolver: Resolver, picture: Thunk | None, height: Thunk | None, width: Thunk | None) -> Scaling:
    """What happens to ``picture`` on the way to ``height`` × ``width``."""
    reader = _Reader(resolver)
    wanted = [reader.dim(one) if one is not None else None for one in (height, width)]
    target = "×".join(f"{one.factor:g}" for one in wanted if one is not None and one.base is None)
    target = target if "×" in target else ""
    if picture is None or any(one is None for one in wanted):
        return Scaling("unknown", target=target)
    name = _root(picture.node)
    known = reader.size_of(picture)
    ratios = []
    for axis, length, own in zip("hw", wanted, known or (None, None), strict=True):
        assert length is not None
        same = own is not None and own.base == length.base and own.factor
        if length.base is not None and length.base == (name, axis):
            ratios.append(length.factor)
        elif own is not None and same:
            ratios.append(length.factor / own.factor)
        else:
            return Scaling("unknown", target=target)
    source = "×".join(f"{one.factor:g}" for one in known or () if one is not None and one.base is None)
    return Scaling(_relation(ratios), source if "×" in source else "", target)


def _root(node: ast.expr) -> str:
    """The variable or attribute that an expression is about: ``image`` of ``image[None].float()``."""
    while True:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # np.array(image) is about image, image.float() too
            modules = ("np", "numpy", "tf", "torch", "Image", "cv2", "jnp")
            outside = isinstance(node.func.value, ast.Name) and node.func.value.id in modules
            node = node.args[0] if outside and node.args else node.func.value
        elif isinstance(node, ast.Call) and node.args:
            node = node.args[0]
        elif isinstance(node, ast.Subscript) and not _cuts(node.slice):
            node = node.value
        elif isinstance(node, (ast.Name, ast.Attribute)):
            return ast.unparse(node)
        else:
            return ""


def _cuts(index: ast.expr) -> bool:
    """Whether an index takes a part of the picture: a slice with bounds."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(isinstance(one, ast.Slice) and (one.lower or one.upper or one.step) for one in parts)


class _Reader:
    """Reads lengths and sizes out of expressions, following the file's own names."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.left = 60

    def dim(self, thunk: Thunk, depth: int = 0) -> Dim | None:
        node = thunk.node
        self.left -= 1
        if depth > 8 or self.left < 0:
            return None
        value = self.resolver.one(thunk)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Dim(float(value))
        if isinstance(node, ast.Name):
            return self._named(node.id, thunk, depth + 1)
        if isinstance(node, ast.Attribute) and node.attr in ("height", "width"):
            return Dim(1.0, (ast.unparse(node.value), node.attr[0]))
        if isinstance(node, ast.Subscript):
            index = self.resolver.one(thunk._replace(node=node.slice))
            return self._of_shape(node.value, index) if isinstance(index, int) else None
        if isinstance(node, ast.Call):
            return self._called(node, thunk, depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            # 2 * height - 1 is about twice the height; height - 1 is not said to be anything.
            left, right = (self.dim(thunk._replace(node=one), depth + 1) for one in (node.left, node.right))
            small = left is not None and right is not None and right.base is None and abs(right.factor) <= 1
            return left if left is not None and small and (left.factor >= 2 or left.factor <= 0.5) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.FloorDiv)):
            left, right = (self.dim(thunk._replace(node=one), depth + 1) for one in (node.left, node.right))
            if left is None or right is None or (left.base and right.base):
                return None
            if isinstance(node.op, ast.Mult):
                return Dim(left.factor * right.factor, left.base or right.base)
            return Dim(left.factor / right.factor, left.base) if right.factor and not right.base else None
        return None

    def _called(self, node: ast.Call, thunk: Thunk, depth: int) -> Dim | None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("int", "round", "ceil", "floor", "float", "rint") and node.args:
            return self.dim(thunk._replace(node=node.args[0]), depth)
        if name == "max" and len(node.args) == 2 and isinstance(node.args[0], ast.Constant):
            return self.dim(thunk._replace(node=node.args[1]), depth)
        return None

    def _of_shape(self, node: ast.expr, index: int) -> Dim | None:
        """Element ``index`` of ``image.shape``, ``image.size`` (Pillow) or a slice of the former."""
        offset = 0
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            start = node.slice.lower
            offset = self.resolver_constant(start) if start is not None else 0
            node = node.value
            if offset < 0:
                index = offset + index
        if isinstance(node, ast.Attribute) and node.attr == "size" and index in (0, 1):
            return Dim(1.0, (ast.unparse(node.value), "wh"[index]))
        shape = isinstance(node, ast.Attribute) and node.attr == "shape"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "size":
            node, shape = node.func, True
        if shape and isinstance(node, ast.Attribute):
            axis = {0: "h", 1: "w", -2: "h", -1: "w"}.get(index + max(offset - 2, 0) * 0 if offset <= 0 else index)
            return Dim(1.0, (ast.unparse(node.value), axis)) if axis else None
        return None

    def resolver_constant(self, node: ast.expr) -> int:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return -int(node.operand.value)  # type: ignore[arg-type]
        return int(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int) else 0

    def _named(self, name: str, thunk: Thunk, depth: int) -> Dim | None:
        """A variable: what it was assigned last, as long as its picture has not been replaced since."""
        scope = next((one for one in self.resolver._visible(thunk.scope) if name in one.names), None)
        if scope is None:
            return None
        reached = self.resolver._reaching(scope, name, thunk)
        if len(reached) != 1 or reached[0].kind != "value" or not isinstance(reached[0].node, ast.expr):
            return None
        binding = reached[0]
        node = binding.node
        assert isinstance(node, ast.expr)
        found: Dim | None = None
        if not binding.element:
            found = self.dim(Thunk(node, scope, binding.block, binding.line), depth)
        elif len(binding.element) == 1:
            if isinstance(node, ast.Tuple) and binding.element[0] < len(node.elts):
                inner = Thunk(node.elts[binding.element[0]], scope, binding.block, binding.line)
                found = self.dim(inner, depth)
            else:
                found = self._of_shape(node, binding.element[0])
        if (
            found is not None
            and found.base is not None
            and self._replaced(found.base[0], scope, binding.line, thunk.line)
        ):
            return None
        return found

    def _replaced(self, picture: str, scope: Scope, after: int, before: int) -> bool:
        return any(after < one.line < before for one in scope.names.get(picture, []))

    def size_of(self, picture: Thunk, depth: int = 0) -> tuple[Dim, Dim] | None:
        """The size of a picture that the file itself makes or has just resized."""
        if depth > 4:
            return None
        node: ast.expr = picture.node
        value = self.resolver.one(picture)
        if isinstance(value, Made):
            return self._made(value, depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            return self.size_of(picture._replace(node=node.func.value), depth + 1)
        return None

    def _made(self, made: Made, depth: int) -> tuple[Dim, Dim] | None:
        call = made.site.node
        assert isinstance(call, ast.Call)
        name = made.function.name if isinstance(made.function, Ref) else ""
        last = name.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        if last in ("zeros", "ones", "empty", "full", "rand", "randn") and call.args:
            return self._shape([made.site._replace(node=one) for one in call.args], last in ("rand", "randn"), name)
        if name == "cv2.resize" and len(call.args) > 1:
            return self._pair(made.site._replace(node=call.args[1]), order="wh")
        if name.endswith("Image.new") and len(call.args) > 1:
            return self._pair(made.site._replace(node=call.args[1]), order="wh")
        if name == "" and last == "resize" and call.args:
            return self._pair(made.site._replace(node=call.args[0]), order="wh")
        if name == "tensorflow.image.resize" and len(call.args) > 1:
            return self._pair(made.site._replace(node=call.args[1]), order="hw")
        return None

    def _shape(self, arguments: list[Thunk], loose: bool, name: str) -> tuple[Dim, Dim] | None:
        items = arguments
        if not (loose and len(arguments) > 1):
            value = self.resolver.one(arguments[0])
            items = list(value.items) if isinstance(value, Tuple_) else []
        lengths = [self.dim(one) for one in items]
        if any(one is None or one.base is not None for one in lengths) or len(lengths) not in (2, 3, 4):
            return None
        first_channels = name.startswith("torch") or (len(lengths) == 3 and lengths[0] in (Dim(1), Dim(3)))
        at = len(lengths) - 2 if first_channels else (1 if len(lengths) == 4 else 0)
        return lengths[at], lengths[at + 1]  # type: ignore[return-value]

    def _pair(self, thunk: Thunk, order: str) -> tuple[Dim, Dim] | None:
        value = self.resolver.one(thunk)
        if value is UNKNOWN or not isinstance(value, Tuple_) or len(value.items) != 2:
            return None
        first, second = (self.dim(one) for one in value.items)
        if first is None or second is None:
            return None
        return (second, first) if order == "wh" else (first, second)
