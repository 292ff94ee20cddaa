"""One file's scopes, bindings and calls, in one walk over its syntax tree.

The tree is that of the standard library's ``ast``: nothing has to be printed again (a fix is a few characters at a
known place), and it parses a hundred megabytes of libraries in under a minute, where a lossless tree takes ten times
as long.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Binding", "CallSite", "Function", "Scope", "Tree", "read_tree"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Path = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Binding:
    """What gives a name its value at one place.

    ``kind``: ``"import"`` (``target`` is the qualified name), ``"value"`` (``node`` is the expression, ``element`` the
    way into it by unpacking), ``"parameter"`` (``node`` is its default, if any), ``"def"``, ``"class"`` or ``"other"``
    (a loop's variable, say). ``block`` names the blocks around it, the outermost first.
    """

    kind: Literal["import", "value", "parameter", "def", "class", "other"]
    line: int
    block: Path
    node: ast.AST | None = None
    target: str = ""
    element: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class Scope:
    """A module's, class's, function's or comprehension's names."""

    kind: Literal["module", "class", "function", "comprehension"]
    node: ast.AST
    parent: Scope | None
    names: dict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    # Of a class: what its methods store in self.NAME, each with the method's scope.
    attributes: dict[str, list[tuple[Binding, Scope]]] = field(default_factory=lambda: defaultdict(list))
    returns: list[ast.expr] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The function's or class's own name; empty for the others."""
        return getattr(self.node, "name", "")

    def around(self) -> Iterator[Scope]:
        """This scope and those around it, the innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def function(self) -> Scope | None:
        """The innermost function around here."""
        return next((one for one in self.around() if one.kind == "function"), None)

    def class_(self) -> Scope | None:
        """The innermost class around here."""
        return next((one for one in self.around() if one.kind == "class"), None)


@dataclass(slots=True, eq=False)
class CallSite:
    """A call: its scope, the blocks around it, and ``labels``, the names that its result is given at once."""

    node: ast.Call
    scope: Scope
    block: Path
    labels: tuple[str, ...]

    @property
    def line(self) -> int:
        """Where it starts."""
        return self.node.lineno


@dataclass(slots=True, eq=False)
class Tree:
    """A file as the linter sees it. ``stars`` are the modules that all names are imported from."""

    module: Scope
    calls: list[CallSite]
    stars: list[str]
    scopes: dict[ast.AST, Scope]
    by_name: dict[str, list[CallSite]]  # calls by the last part of what is called


def read_tree(node: ast.Module, package: tuple[str, ...] = ()) -> Tree:
    """Index ``node``; ``package`` is the package that the file's relative imports start from."""
    walker = _Walker(node, package)
    walker.body(node.body)
    return walker.tree


class _Walker:
    """Walks once, in the order of the text, with the scope, the blocks and the labels at hand."""

    def __init__(self, node: ast.Module, package: tuple[str, ...]) -> None:
        self.scope = Scope("module", node, None)
        self.tree = Tree(self.scope, [], [], {node: self.scope}, defaultdict(list))
        self.package = package
        self.block: Path = ()
        self.blocks = 0
        self.labels: tuple[str, ...] = ()
        self.bind(MMCV, Binding("import", 0, (), target="mmcv"))

    # Statements.

    def body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            method = getattr(self, f"_{type(statement).__name__}", None)
            if method is None:
                self.children(statement)
            else:
                method(statement)

    def inner(self, *bodies: list[ast.stmt]) -> None:
        """Bodies of which each may or may not run."""
        outer = self.block
        for statements in bodies:
            if statements:
                self.blocks += 1
                self.block = (*outer, self.blocks)
                self.body(statements)
        self.block = outer

    def children(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self.inner(value)
            else:
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, ast.expr):
                        self.expression(one)
                    elif isinstance(one, ast.AST) and name != "ctx":
                        self.children(one)

    def bind(self, name: str, binding: Binding, scope: Scope | None = None) -> None:
        (scope or self.scope).names[name].append(binding)

    def _Import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            target = alias.name if alias.asname else name
            self.bind(name, Binding("import", node.lineno, self.block, target=target))

    def _ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            kept = self.package[: len(self.package) - node.level + 1]
            base = ".".join([*(kept or ("",)), *([node.module] if node.module else [])])
        for alias in node.names:
            if alias.name == "*":
                self.tree.stars.append(base)
            else:
                target = f"{base}.{alias.name}"
                self.bind(alias.asname or alias.name, Binding("import", node.lineno, self.block, target=target))

    def _If(self, node: ast.If) -> None:
        self.expression(node.test)
        self.inner(node.body, node.orelse)

    def _While(self, node: ast.While) -> None:
        self.expression(node.test)
        self.inner(node.body, node.orelse)

    def _For(self, node: ast.For | ast.AsyncFor) -> None:
        self.expression(node.iter)
        self.target(node.target, None)
        self.inner(node.body, node.orelse)

    _AsyncFor = _For

    def _With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.assigned([item.optional_vars] if item.optional_vars else [], item.context_expr)
        self.body(node.body)

    _AsyncWith = _With

    def _Try(self, node: ast.Try) -> None:
        self.inner(node.body)
        for handler in node.handlers:
            if handler.type:
                self.expression(handler.type)
            self.inner(handler.body)
        self.inner(node.orelse)
        self.body(node.finalbody)

    _TryStar = _Try

    def _Assign(self, node: ast.Assign) -> None:
        self.assigned(node.targets, node.value)

    def _AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assigned([node.target], node.value)

    def _AugAssign(self, node: ast.AugAssign) -> None:
        self.expression(node.value)
        self.target(node.target, None)

    def _Return(self, node: ast.Return) -> None:
        function = self.scope.function()
        if node.value is not None:
            if function is not None:
                function.returns.append(node.value)
            self.expression(node.value)

    def _FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.bind(node.name, Binding("def", node.lineno, self.block, node))
        for one in node.decorator_list:
            self.expression(one)
        self.function(node, node.body)

    _AsyncFunctionDef = _FunctionDef

    def function(self, node: Function, body: list[ast.stmt] | ast.expr) -> None:
        arguments = node.args
        for default in [*arguments.defaults, *(one for one in arguments.kw_defaults if one)]:
            self.expression(default)
        outer, block, labels = self.scope, self.block, self.labels
        self.scope = self.tree.scopes[node] = Scope("function", node, outer)
        self.labels = ()
        plain = [*arguments.posonlyargs, *arguments.args]
        missing: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
        pairs = [*zip(plain, [*missing, *arguments.defaults], strict=True)]
        pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        for argument, value in pairs:
            self.bind(argument.arg, Binding("parameter", argument.lineno, block, value))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest:
                self.bind(rest.arg, Binding("other", rest.lineno, block))
        if isinstance(body, list):
            self.body(body)
        else:
            self.scope.returns.append(body)
            self.expression(body)
        self.scope, self.block, self.labels = outer, block, labels

    def _ClassDef(self, node: ast.ClassDef) -> None:
        self.bind(node.name, Binding("class", node.lineno, self.block, node))
        for one in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.expression(one)
        outer = self.scope
        self.scope = self.tree.scopes[node] = Scope("class", node, outer)
        self.body(node.body)
        self.scope = outer

    def assigned(self, targets: list[ast.expr], value: ast.expr) -> None:
        before = self.labels
        self.labels = tuple(name for target in targets for name in _target_names(target))
        self.expression(value)
        self.labels = before
        for target in targets:
            self.target(target, value)

    def target(self, target: ast.expr, value: ast.expr | None, element: tuple[int, ...] = ()) -> None:
        """Bind what ``target`` names; ``value`` is None where it is not an expression's value."""
        if isinstance(target, ast.Name):
            kind: Literal["value", "other"] = "other" if value is None else "value"
            self.bind(target.id, Binding(kind, target.lineno, self.block, value, element=element))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for index, one in enumerate(target.elts):
                self.target(one.value if isinstance(one, ast.Starred) else one, value, (*element, index))
        elif isinstance(target, ast.Attribute):
            owner = self.scope.class_()
            if owner is not None and isinstance(target.value, ast.Name) and target.value.id in ("self", "cls"):
                kind = "other" if value is None else "value"
                found = Binding(kind, target.lineno, self.block, value, element=element)
                owner.attributes[target.attr].append((found, self.scope))
            self.expression(target.value)
        else:
            self.expression(target)

    # Expressions.

    def expression(self, node: ast.expr) -> None:
        if isinstance(node, ast.Call):
            self.call(node)
        elif isinstance(node, ast.Lambda):
            self.function(node, node.body)
        elif isinstance(node, ast.NamedExpr):
            self.assigned([node.target], node.value)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            self.comprehension(node)
        elif isinstance(node, ast.Dict):
            keys = [one.value if isinstance(one, ast.Constant) else None for one in node.keys]
            self.made(_configured(node, dict(zip(keys, node.values, strict=True))))
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None:
                    self.expression(key)
                self.labelled(
                    value, (key.value,) if isinstance(key, ast.Constant) and isinstance(key.value, str) else ()
                )
        elif not isinstance(node, (ast.Constant, ast.Name)):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.expression(child)
                elif isinstance(child, ast.AST):
                    self.children(child)

    def labelled(self, node: ast.expr, labels: tuple[str, ...]) -> None:
        before = self.labels
        self.labels = labels
        self.expression(node)
        self.labels = before

    def call(self, node: ast.Call) -> None:
        site = CallSite(node, self.scope, self.block, self.labels)
        last = _last_name(node.func)
        self.record(site, last)
        self.made(_made_by(node, last))
        if last == "dict" and not node.args:
            self.made(_configured(node, {one.arg: one.value for one in node.keywords if one.arg}))
        if isinstance(node.func, ast.Attribute):  # image.resize(...).astype(...): still the same picture
            self.expression(node.func.value)
        else:  # Resizing(224, 224)(image) is still the picture too
            self.labelled(node.func, self.labels if isinstance(node.func, ast.Call) else ())
        kept = self.labels if last in TRANSPARENT else ()
        for one in node.args:
            self.labelled(one, kept)
        for keyword in node.keywords:
            self.labelled(keyword.value, (keyword.arg,) if keyword.arg else ())

    def made(self, call: ast.Call | None) -> None:
        """A call that is not written as one."""
        if call is not None:
            self.record(CallSite(call, self.scope, self.block, self.labels), _last_name(call.func))

    def record(self, site: CallSite, name: str) -> None:
        self.tree.calls.append(site)
        self.tree.by_name[name].append(site)

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        outer = self.scope
        inner = Scope("comprehension", node, outer)
        for generator in node.generators:
            self.labelled(generator.iter, ())
            self.scope = inner
            self.target(generator.target, None)
            for condition in generator.ifs:
                self.labelled(condition, ())
        for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.expression(value)
        self.scope = outer


# Calls whose result is the same picture as their first argument.
TRANSPARENT = {
    "array", "asarray", "ascontiguousarray", "astype", "clip", "expand_dims", "float", "from_numpy", "fromarray",
    "list", "squeeze", "stack", "tensor", "to", "tuple", "uint8", "unsqueeze", "cvtColor", "permute", "transpose",
    "cast", "convert_to_tensor", "constant", "as_tensor", "rint", "round", "flip", "concat", "cat", "concatenate",
}  # fmt: skip


# Functions that call their first argument for each element of the others, and those that call it with the others; the
# loop's own run_in_executor has its executor before it.
MAPS = {"map", "imap", "imap_unordered", "map_async"}
STARMAPS = {"starmap", "starmap_async"}
SUBMITS = {"submit", "to_thread", "run_in_executor"}


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _made_by(node: ast.Call, name: str) -> ast.Call | None:
    """The call that ``map(function, images, sizes)``, ``executor.submit(function, image, size)`` and the like make."""
    if name not in MAPS | STARMAPS | SUBMITS:
        return None
    arguments = node.args[1:] if name == "run_in_executor" else node.args
    if not arguments or not isinstance(arguments[0], (ast.Name, ast.Attribute)):
        return None
    rest, keywords = arguments[1:], []
    if name in STARMAPS:
        rest = []  # tuples, which nothing is known of
    elif name in MAPS:
        rest = [ast.copy_location(_element(one), one) for one in rest]
    else:
        keywords = node.keywords
    return ast.copy_location(ast.Call(func=arguments[0], args=rest, keywords=keywords), arguments[0])


# What OpenMMLab's configuration files name in {"type": name, ...}, and by which other keys they are told from others'.
CONFIGURED = {"Resize", "RandomResize", "RandomChoiceResize"}
KEYS = {"scale", "scales", "img_scale", "scale_factor", "keep_ratio", "ratio_range", "clip_object_border"}
MMCV = "mmcv's registry"  # the name that the module has there, which no file can use


def _configured(node: ast.expr, entries: dict[object, ast.expr]) -> ast.Call | None:
    """The transform that ``dict(type="Resize", scale=(1333, 800), keep_ratio=True)`` becomes."""
    kind = entries.get("type")
    if not isinstance(kind, ast.Constant) or not isinstance(kind.value, str) or not KEYS & entries.keys():
        return None
    name = kind.value.rpartition(".")[2]
    if name not in CONFIGURED:
        return None
    module = ast.Attribute(ast.Name(MMCV, ast.Load()), "transforms", ast.Load())
    renamed = {"img_scale": "scale"}
    keywords = [
        ast.keyword(renamed.get(key, key), value)
        for key, value in entries.items()
        if isinstance(key, str) and key != "type"
    ]
    made = ast.Call(func=ast.Attribute(module, name, ast.Load()), args=[], keywords=keywords)
    for one in (made, made.func, module, module.value):
        ast.copy_location(one, node)
    return made


def _element(iterable: ast.expr) -> ast.expr:
    """What a loop over ``iterable`` gives first."""
    if isinstance(iterable, ast.BinOp) and isinstance(iterable.op, ast.Mult):  # [size] * n
        iterable = iterable.right if isinstance(iterable.left, ast.Constant) else iterable.left
    if isinstance(iterable, ast.Call) and _last_name(iterable.func) == "repeat" and iterable.args:
        return iterable.args[0]
    if isinstance(iterable, (ast.List, ast.Tuple)) and iterable.elts:
        return iterable.elts[0]
    first = ast.copy_location(ast.Constant(0), iterable)
    return ast.Subscript(value=iterable, slice=first, ctx=ast.Load())


def _target_names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Attribute):
        yield target.attr
    elif isinstance(target, ast.Subscript):
        yield from _target_names(target.value)
        if isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            yield target.slice.value
    elif isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == 1:
        yield from _target_names(target.elts[0])
