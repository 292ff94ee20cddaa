"""What an expression can be, by reading alone: constants, library names, partial applications, the file's own code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .tree import Binding, CallSite, Scope, Tree

__all__ = ["UNKNOWN", "Bound", "Local", "Made", "Partial", "Possible", "Ref", "Resolver", "Table", "Thunk", "Tuple_"]

DEPTH, STEPS = 12, 30_000  # what one expression may nest, and what one file may cost


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


class Ref(NamedTuple):
    """Something outside of the file, by its qualified name: ``cv2.INTER_AREA``."""

    name: str


class Thunk(NamedTuple):
    """An expression and where it stands."""

    node: ast.expr
    scope: Scope
    block: tuple[int, ...] = ()
    line: int = 0


@dataclass(frozen=True, eq=False)
class Local:
    """A function, lambda or class of the file."""

    node: ast.AST
    scope: Scope  # its own


@dataclass(frozen=True, eq=False)
class Partial:
    """``functools.partial`` of something."""

    function: Any
    arguments: tuple[Thunk, ...]
    keywords: dict[str, Thunk]
    node: ast.Call


@dataclass(frozen=True, eq=False)
class Made:
    """What a call gave: an instance where a class was called."""

    function: Any
    site: Thunk


@dataclass(frozen=True, eq=False)
class Table:
    """A dict by its literal."""

    items: tuple[tuple[Any, Thunk], ...]


@dataclass(frozen=True, eq=False)
class Tuple_:
    """A tuple or list by its literal."""

    items: tuple[Thunk, ...]


class Possible(NamedTuple):
    """One value that an expression can have. ``sure``: whoever calls cannot make it another; ``site``: the call of the
    file's own function that hands it in.
    """

    value: Any
    sure: bool = True
    site: CallSite | None = None


@dataclass
class Bound:
    """A call's arguments by the names of the parameters. ``open``: there may be others (``**options``)."""

    arguments: dict[str, Thunk] = field(default_factory=dict)
    open: bool = False

    def get(self, name: str | None) -> Thunk | None:
        """The argument called ``name``."""
        return self.arguments.get(name) if name else None


Found = list[Possible]
NOTHING: Found = [Possible(UNKNOWN, sure=False)]

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitOr: operator.or_,
}  # fmt: skip


class Resolver:
    """Answers for one file. ``known(name)`` says whether a qualified name is one that the rules know."""

    def __init__(self, tree: Tree, known: Callable[[str], bool]) -> None:
        self.tree = tree
        self.known = known
        self.steps = 0
        self.used: set[ast.Call] = set()  # partial applications that are called somewhere in the file
        self._memo: dict[tuple[ast.expr, Scope], Found] = {}
        self._busy: set[tuple[int, str]] = set()

    def of(self, thunk: Thunk, depth: int = 0) -> Found:
        """All values that the expression can have; ``NOTHING`` where that is not known."""
        key = (thunk.node, thunk.scope)
        if key in self._memo:
            return self._memo[key]
        self.steps += 1
        if depth > DEPTH or self.steps > STEPS:
            return NOTHING
        method = getattr(self, f"_{type(thunk.node).__name__}", None)
        found: Found = method(thunk, depth + 1) if method else NOTHING
        found = found[:16] or NOTHING
        if depth == 0:
            self._memo[key] = found
        return found

    def one(self, thunk: Thunk | None) -> Any:
        """The value, where there is but one; else ``UNKNOWN``."""
        found = NOTHING if thunk is None else self.of(thunk)
        return found[0].value if len(found) == 1 else UNKNOWN

    # Expressions.

    def _Constant(self, thunk: Thunk, depth: int) -> Found:
        return [Possible(thunk.node.value)]  # type: ignore[attr-defined]

    def _Name(self, thunk: Thunk, depth: int) -> Found:
        name: str = thunk.node.id  # type: ignore[attr-defined]
        binding_scopes = (one for one in self._visible(thunk.scope) if name in one.names)
        scope = next(binding_scopes, None)
        if scope is None:
            for star in self.tree.stars:
                if self.known(f"{star}.{name}"):
                    return [Possible(Ref(f"{star}.{name}"))]
            return [Possible(Ref(name))] if name in _BUILTINS else NOTHING
        guard = (id(scope), name)
        if guard in self._busy:
            return NOTHING
        self._busy.add(guard)
        try:
            return [one for b in self._reaching(scope, name, thunk) for one in self._bound(b, scope, name, depth)]
        finally:
            self._busy.discard(guard)

    def _visible(self, scope: Scope) -> Iterator[Scope]:
        """The scopes in which a name is looked up: classes only from their own body."""
        for one in scope.around():
            if one.kind != "class" or one is scope:
                yield one

    def _reaching(self, scope: Scope, name: str, thunk: Thunk) -> list[Binding]:
        """The bindings that the name can have where ``thunk`` stands: back to the last one that is always passed."""
        # In image = resize(image), what the call is given is not yet what it makes.
        bindings = [one for one in scope.names[name] if not _inside(thunk.node, one.node)]
        if thunk.scope.function() is not scope.function() and thunk.scope is not scope:
            return bindings[-3:]  # it is read later, from a function: the last ones count
        reached: list[Binding] = []
        for one in reversed(bindings):
            if one.line > thunk.line and thunk.line:
                continue
            reached.append(one)
            if one.block == thunk.block[: len(one.block)]:
                break
        return reached

    def _bound(self, binding: Binding, scope: Scope, name: str, depth: int) -> Found:
        if binding.kind == "import":
            return [Possible(Ref(binding.target))]
        if binding.kind in ("def", "class") and binding.node is not None:
            return [Possible(Local(binding.node, self.tree.scopes[binding.node]))]
        if binding.kind == "value" and isinstance(binding.node, ast.expr):
            thunk = Thunk(binding.node, scope, binding.block, binding.line)
            return self._element(thunk, binding.element, depth)
        if binding.kind == "parameter":
            return self._parameter(binding, scope, name, depth)
        return NOTHING

    def _element(self, thunk: Thunk, path: tuple[int, ...], depth: int) -> Found:
        if not path:
            return self.of(thunk, depth)
        found: Found = []
        for one in self.of(thunk, depth):
            if isinstance(one.value, Tuple_) and path[0] < len(one.value.items):
                found += self._element(one.value.items[path[0]], path[1:], depth)
            else:
                found += NOTHING
        return found

    def _parameter(self, binding: Binding, scope: Scope, name: str, depth: int) -> Found:
        """The default, and what the file's own calls hand in."""
        found: Found = []
        default = binding.node
        sites = self._calls_of(scope)
        omitted = not sites
        for site in sites[:12]:
            bound = self.bind(site.node, _parameters(scope.node, skip_self=_is_method(scope)), site)
            handed = bound.get(name)
            if handed is None:
                omitted = True
            else:
                found += [Possible(one.value, one.sure, site) for one in self.of(handed, depth)]
        if isinstance(default, ast.expr) and omitted:
            outer = scope.parent or scope
            handed = Thunk(default, outer, binding.block, binding.line)
            found += [Possible(one.value, False) for one in self.of(handed, depth)]
        return found or NOTHING

    def _calls_of(self, scope: Scope) -> list[CallSite]:
        """The calls in the file of the function with ``scope``; of the class, where it is ``__init__``."""
        owner = scope.parent
        name = scope.name
        if name == "__init__" and owner is not None and owner.kind == "class":
            return [one for one in self.tree.by_name.get(owner.name, []) if isinstance(one.node.func, ast.Name)]
        if not name:
            return []
        method = owner is not None and owner.kind == "class"
        return [
            one
            for one in self.tree.by_name.get(name, [])
            if one.scope.function() is not scope
            and (
                _is_self(one.node.func) and one.scope.class_() is owner
                if method
                else isinstance(one.node.func, ast.Name)
            )
        ]

    def _Attribute(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.Attribute)
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            owner = thunk.scope.class_()
            return self._own(owner, node.attr, depth) if owner is not None else NOTHING
        found: Found = []
        for one in self.of(thunk._replace(node=node.value), depth):
            if isinstance(one.value, Ref):
                found.append(Possible(Ref(f"{one.value.name}.{node.attr}"), one.sure, one.site))
            elif isinstance(one.value, Local) and isinstance(one.value.node, ast.ClassDef):
                found += self._own(one.value.scope, node.attr, depth)
            elif isinstance(one.value, Made) and isinstance(one.value.function, Local):
                local = one.value.function
                found += self._own(local.scope, node.attr, depth) if isinstance(local.node, ast.ClassDef) else NOTHING
            else:
                found += NOTHING
        return found

    def _own(self, owner: Scope, name: str, depth: int) -> Found:
        """``self.name`` in the class ``owner``, or in those of the file that it is made from."""
        guard = (id(owner), f"self.{name}")
        if guard in self._busy:
            return NOTHING
        self._busy.add(guard)
        try:
            stored = owner.attributes.get(name, [])
            if stored:
                found = [one for binding, scope in stored[:4] for one in self._bound(binding, scope, name, depth)]
                return found
            if name in owner.names:
                return [
                    one._replace(sure=one.sure and binding.kind != "value")
                    for binding in owner.names[name][-1:]
                    for one in self._bound(binding, owner, name, depth)
                ]
            for base in self.bases(owner):
                if isinstance(base, Local):
                    return self._own(base.scope, name, depth + 1)
            return NOTHING
        finally:
            self._busy.discard(guard)

    def bases(self, owner: Scope) -> list[Any]:
        """What a class is made from, as far as that is known."""
        node, outer = owner.node, owner.parent or owner
        if not isinstance(node, ast.ClassDef):
            return []
        return [self.one(Thunk(base, outer, (), node.lineno)) for base in node.bases[:6]]

    def _Call(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.Call)
        found: Found = []
        for one in self.callee(node, thunk, depth):
            value = one.value
            if isinstance(value, Ref):
                found += self._called(value.name, node, thunk, depth)
            elif isinstance(value, Local) and isinstance(value.node, ast.ClassDef):
                found.append(Possible(Made(value, thunk)))
            elif isinstance(value, Local):
                for returned in value.scope.returns[:4]:
                    inner = Thunk(returned, value.scope, (), getattr(returned, "lineno", 0))
                    found += self.of(inner, depth + 2)
            elif isinstance(value, Partial):
                found.append(Possible(Made(value.function, thunk)))
            else:
                found += self._of_table(node, thunk, depth)
        return found

    def callee(self, node: ast.Call, thunk: Thunk, depth: int = 0) -> Found:
        """What is called; for ``super().__init__`` the classes that the own one is made from."""
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Call)
            and isinstance(function.value.func, ast.Name)
            and function.value.func.id == "super"
        ):
            owner = thunk.scope.class_()
            bases = self.bases(owner) if owner is not None else []
            if function.attr == "__init__":
                return [Possible(base) for base in bases if isinstance(base, Ref)] or NOTHING
            return [Possible(Ref(f"{base.name}.{function.attr}")) for base in bases if isinstance(base, Ref)] or NOTHING
        return self.of(thunk._replace(node=function), depth)

    def _called(self, name: str, node: ast.Call, thunk: Thunk, depth: int) -> Found:
        arguments = [thunk._replace(node=one) for one in node.args]
        if name in ("functools.partial", "functools.partialmethod") and arguments:
            keywords = {one.arg: thunk._replace(node=one.value) for one in node.keywords if one.arg}
            return [
                Possible(Partial(one.value, tuple(arguments[1:]), keywords, node), one.sure, one.site)
                for one in self.of(arguments[0], depth)
            ]
        if name == "getattr" and len(arguments) >= 2:
            wanted = [one.value for one in self.of(arguments[1], depth)]
            owners = [one.value for one in self.of(arguments[0], depth)]
            return [
                Possible(Ref(f"{owner.name}.{text}") if isinstance(owner, Ref) and isinstance(text, str) else UNKNOWN)
                for owner in owners
                for text in wanted
            ]
        if name in ("importlib.import_module", "__import__") and arguments:
            return [
                Possible(Ref(one.value) if isinstance(one.value, str) else UNKNOWN)
                for one in self.of(arguments[0], depth)
            ]
        if name == "dict":
            keywords = {one.arg: thunk._replace(node=one.value) for one in node.keywords if one.arg}
            return [Possible(Table(tuple(keywords.items())))]
        if name in ("int", "float", "str", "tuple", "list", "staticmethod", "cv2.UMat") and len(arguments) == 1:
            return self.of(arguments[0], depth)
        if name.rpartition(".")[2] in ("InterpolationMode", "Resampling", "Resample") and len(arguments) == 1:
            return self.of(arguments[0], depth)
        return [Possible(Made(Ref(name), thunk))]

    def _of_table(self, node: ast.Call, thunk: Thunk, depth: int) -> Found:
        """``TABLE.get(key, default)``; anything else is not known."""
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in ("get", "pop") and node.args:
            for one in self.of(thunk._replace(node=function.value), depth):
                if isinstance(one.value, Table):
                    found = self._looked_up(one.value, self.of(thunk._replace(node=node.args[0]), depth), depth)
                    default = node.args[1:] and self.of(thunk._replace(node=node.args[1]), depth)
                    return [*found, *(default or [])]
        return [Possible(Made(UNKNOWN, thunk), sure=False)]

    def _Subscript(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.Subscript)
        found: Found = []
        for one in self.of(thunk._replace(node=node.value), depth):
            keys = self.of(thunk._replace(node=node.slice), depth)
            if isinstance(one.value, Table):
                found += self._looked_up(one.value, keys, depth)
            elif isinstance(one.value, Tuple_):
                indices = [k.value for k in keys if isinstance(k.value, int)]
                items = one.value.items
                chosen = [items[k] for k in indices if -len(items) <= k < len(items)] or list(items[:8])
                found += [value for item in chosen for value in self.of(item, depth)]
            elif isinstance(one.value, Ref) and one.value.name.endswith(("Image", "Resampling", "InterpolationMode")):
                found += [Possible(Ref(f"{one.value.name}.{k.value}")) for k in keys if isinstance(k.value, str)]
            else:
                found += NOTHING
        return found

    def _looked_up(self, table: Table, keys: Found, depth: int) -> Found:
        wanted = [one.value for one in keys]
        sure = all(isinstance(one, (str, int, Ref)) for one in wanted)
        if sure:
            chosen = [value for key, value in table.items if key in wanted]
            if not chosen:
                return NOTHING
        else:
            chosen = [value for _, value in table.items]
        return [one._replace(sure=one.sure and sure) for value in chosen[:12] for one in self.of(value, depth)]

    def _Dict(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.Dict)
        items: list[tuple[Any, Thunk]] = []
        for key, value in zip(node.keys[:60], node.values, strict=False):
            if key is None:
                inner = self.one(thunk._replace(node=value))
                items += inner.items if isinstance(inner, Table) else ()
            else:
                items.append((self.of(thunk._replace(node=key), depth)[0].value, thunk._replace(node=value)))
        return [Possible(Table(tuple(items)))]

    def _Tuple(self, thunk: Thunk, depth: int) -> Found:
        return [Possible(Tuple_(tuple(thunk._replace(node=one) for one in thunk.node.elts)))]  # type: ignore[attr-defined]

    _List = _Tuple

    def _IfExp(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.IfExp)
        test = self.of(thunk._replace(node=node.test), depth)
        if len(test) == 1 and test[0].sure and isinstance(test[0].value, (int, type(None))):
            return self.of(thunk._replace(node=node.body if test[0].value else node.orelse), depth)
        return [*self.of(thunk._replace(node=node.body), depth), *self.of(thunk._replace(node=node.orelse), depth)]

    def _BoolOp(self, thunk: Thunk, depth: int) -> Found:
        found = [one for value in thunk.node.values for one in self.of(thunk._replace(node=value), depth)]  # type: ignore[attr-defined]
        return [one._replace(sure=False) for one in found]

    def _NamedExpr(self, thunk: Thunk, depth: int) -> Found:
        return self.of(thunk._replace(node=thunk.node.value), depth)  # type: ignore[attr-defined]

    def _Lambda(self, thunk: Thunk, depth: int) -> Found:
        return [Possible(Local(thunk.node, self.tree.scopes[thunk.node]))]

    def _UnaryOp(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.UnaryOp)
        found: Found = []
        for one in self.of(thunk._replace(node=node.operand), depth):
            value: Any = UNKNOWN
            if isinstance(node.op, ast.Not):
                value = not one.value if isinstance(one.value, (int, str, type(None))) else UNKNOWN
            elif isinstance(node.op, ast.USub) and isinstance(one.value, (int, float)):
                value = -one.value
            found.append(one._replace(value=value))
        return found

    def _BinOp(self, thunk: Thunk, depth: int) -> Found:
        node = thunk.node
        assert isinstance(node, ast.BinOp)
        left = self.of(thunk._replace(node=node.left), depth)[0].value
        right = self.of(thunk._replace(node=node.right), depth)[0].value
        compute = _BINARY.get(type(node.op))
        number = (int, float)
        if isinstance(node.op, ast.BitOr) and isinstance(left, Ref) and isinstance(right, Ref):
            return [Possible(left), Possible(right)]  # flags that are joined
        if compute is None or not isinstance(left, number) or not isinstance(right, number):
            return NOTHING
        try:
            return [Possible(compute(left, right))]
        except (ArithmeticError, TypeError, ValueError):
            return NOTHING

    # Calls.

    def bind(
        self, node: ast.Call, parameters: Sequence[str], at: CallSite | Thunk, partial: Partial | None = None
    ) -> Bound:
        """The arguments of ``node`` by name, those of ``partial`` before them."""
        line = node.lineno
        bound = Bound()
        positional: list[Thunk] = [*partial.arguments] if partial else []
        for one in node.args:
            if isinstance(one, ast.Starred):
                bound.open = True
                value = self.one(Thunk(one.value, at.scope, at.block, line))
                positional += value.items if isinstance(value, Tuple_) else ()
                break
            positional.append(Thunk(one, at.scope, at.block, line))
        bound.arguments.update(zip(parameters, positional, strict=False))
        bound.arguments.update(partial.keywords if partial else {})
        for keyword in node.keywords:
            thunk = Thunk(keyword.value, at.scope, at.block, line)
            if keyword.arg is not None:
                bound.arguments[keyword.arg] = thunk
                continue
            value = self.one(thunk)
            if isinstance(value, Table):
                bound.arguments.update({key: item for key, item in value.items if isinstance(key, str)})
            else:
                bound.open = True
        return bound


_BUILTINS = {"getattr", "dict", "int", "float", "str", "tuple", "list", "map", "super", "__import__"}


def _inside(node: ast.expr, value: ast.AST | None) -> bool:
    """Whether ``node`` stands inside the expression ``value``, or is it."""
    if not isinstance(value, ast.expr):
        return False
    start, end = (value.lineno, value.col_offset), (value.end_lineno or 0, value.end_col_offset or 0)
    return start <= (node.lineno, node.col_offset) < end


def _parameters(node: ast.AST, *, skip_self: bool) -> list[str]:
    arguments: ast.arguments = node.args  # type: ignore[attr-defined]
    names = [one.arg for one in [*arguments.posonlyargs, *arguments.args]]
    return names[1:] if skip_self else names


def _is_method(scope: Scope) -> bool:
    if scope.parent is None or scope.parent.kind != "class":
        return False
    decorators = getattr(scope.node, "decorator_list", [])
    return not any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in decorators)


def _is_self(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in ("self", "cls")
    )
