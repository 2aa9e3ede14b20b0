"""Functions of the app that are followed: their definition, the names they see, their parameters."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable

from pytest_promptune.langgraph.nodes.hints import value_of_hint
from pytest_promptune.langgraph.nodes.sources import Definition, code_of
from pytest_promptune.langgraph.nodes.values import (
    NOTHING,
    Arguments,
    Closure,
    Instance,
    Scope,
    Value,
    held,
    union,
)

if TYPE_CHECKING:
    from pytest_promptune.langgraph.nodes.evaluator import Evaluator

#: Functions inside each other; each takes some twenty frames of Python's own stack.
_DEEPEST = 16


#: What has no Python function behind it; most of what functions are called with.
_NO_FUNCTIONS = (
    type(None), str, bytes, int, float, list, tuple, dict, set, frozenset, type, Runnable, Instance
)  # fmt: skip


class Functions:
    """Follows functions for an `Evaluator`."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._sources = evaluator.sources
        #: What is being followed, and in which file.
        self._active: list[tuple[object, str]] = []
        #: Results, with what they are of: an object's id is its own while it lives.
        self._results: dict[tuple[object, ...], tuple[Value, Any, Arguments]] = {}

    def follow(self, function: Any, given: Arguments) -> Value:
        """What a function of the app gives; evaluated once for the same arguments, and not inside itself."""
        if isinstance(function, MethodType):
            owner = Value(objects=(function.__self__,))
            return self.follow(function.__func__, replace(given, positional=(owner, *given.positional)))
        if not isinstance(function, Closure):
            function = inspect.unwrap(python_function(function) or function)
        key = (id(function), *(value.identity for value in given.every), *given.named)
        if key not in self._results:
            self._results[key] = (self._evaluate(function, given), function, given)
        return self._results[key][0]

    def _evaluate(self, function: Any, given: Arguments) -> Value:
        if isinstance(function, Closure):
            found: tuple[Definition, Scope] | None = (function.node, function.scope)
        else:
            found = self._definition(function) if self.is_followed(function) else None
        if found is None or len(self._active) > _DEEPEST:
            return NOTHING
        node, outer = found
        of = given.positional[0].objects if given.positional else ()
        key = (node, *(id(item) for item in of if not isinstance(item, Instance)))
        if key in [active for active, _ in self._active]:
            return NOTHING
        scope = Scope(file=outer.file, globals=outer.globals, outer=outer)
        self._active.append((key, outer.file))
        try:
            self._bind_parameters(node, scope, given, function)
            if isinstance(node, ast.Lambda):
                return self._evaluator.expression(node.body, scope)
            return self._evaluator.body(node.body, scope)
        finally:
            self._active.pop()

    def _definition(self, function: Any) -> tuple[Definition, Scope] | None:
        code = code_of(function)
        node = self._sources.definition(code) if code is not None else None
        if code is None or node is None:
            return None
        names = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            try:
                names[name] = Value(objects=(cell.cell_contents,))
            except ValueError:  # not bound yet
                names[name] = Value(name=name)
        return node, Scope(file=code.co_filename, globals=function.__globals__, names=names)

    def _bind_parameters(self, node: Definition, scope: Scope, given: Arguments, function: Any) -> None:
        parameters = [*node.args.posonlyargs, *node.args.args]
        left = dict(given.named)
        defaults = self._defaults(node, function, scope)
        for i, parameter in enumerate([*parameters, *node.args.kwonlyargs]):
            if i < len(given.positional) and i < len(parameters):
                value = given.positional[i]
            elif parameter.arg in left:
                value = left.pop(parameter.arg)
            else:
                value = union([defaults.get(parameter.arg, NOTHING), replace(given.rest, name=None)])
            if value.is_unknown or value.is_none:
                value = self._annotated(parameter, scope)
            scope.names[parameter.arg] = (
                value if value.name or not value.is_unknown else Value(name=parameter.arg)
            )
        if node.args.vararg is not None:
            rest = given.positional[len(parameters) :]
            scope.names[node.args.vararg.arg] = replace(held([*rest, given.rest]), elements=rest)
        if node.args.kwarg is not None:
            scope.names[node.args.kwarg.arg] = Value(objects=(Instance(fields=left, made_of=given.rest),))

    def _defaults(self, node: Definition, function: Any, scope: Scope) -> Mapping[str, Value]:
        parameters = [*node.args.posonlyargs, *node.args.args]
        if isinstance(function, FunctionType):
            given = function.__defaults__ or ()
            last = parameters[len(parameters) - len(given) :]
            found = {p.arg: Value(objects=(v,)) for p, v in zip(last, given, strict=True)}
            return found | {k: Value(objects=(v,)) for k, v in (function.__kwdefaults__ or {}).items()}
        last = parameters[len(parameters) - len(node.args.defaults) :]
        pairs = [
            *zip(last, node.args.defaults, strict=True),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ]
        return {p.arg: self._evaluator.expression(d, scope) for p, d in pairs if d is not None}

    def _annotated(self, parameter: ast.arg, scope: Scope) -> Value:
        """What a parameter's annotation says of it."""
        node = parameter.annotation
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return NOTHING
        return self._of_annotation(node, scope) if node is not None else NOTHING

    def _of_annotation(self, node: ast.expr, scope: Scope) -> Value:
        if isinstance(node, ast.BinOp):
            return union([self._of_annotation(side, scope) for side in (node.left, node.right)])
        if isinstance(node, ast.Subscript):
            name = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            inner = self._of_annotation(node.slice, scope)
            if name == "Runtime":
                return Value(objects=(Instance(fields={"context": inner}),))
            return inner if name in ("Optional", "Annotated") else NOTHING
        if isinstance(node, ast.Name | ast.Attribute):
            found = self._evaluator.expression(node, scope)
            return union([value_of_hint(item) for item in found.objects])
        return NOTHING

    def is_followed(self, function: FunctionType) -> bool:
        """Whether a function is the app's, or of the package that is being looked at."""
        code = code_of(inspect.unwrap(function))
        if code is None:
            return False
        file = code.co_filename
        if not self._sources.is_installed(file):
            return True
        if not self._active:  # a node's own function
            return True
        return _package(self._sources.name(self._active[-1][1])) == _package(self._sources.name(file))

    def is_app_class(self, cls: type) -> bool:
        """Whether the methods of a class are followed."""
        for member in vars(cls).values():
            if isinstance(member, FunctionType):
                file = member.__code__.co_filename
                if not file.startswith("<"):
                    return self.is_followed(member)
        module = inspect.getmodule(cls)
        place = getattr(module, "__file__", None)
        return bool(place) and not self._sources.is_installed(str(place))


def python_function(item: Any) -> FunctionType | None:
    """The Python function behind something that is called; tasks and decorated functions keep theirs."""
    if isinstance(item, MethodType):
        item = item.__func__
    if isinstance(item, FunctionType):
        return item
    if isinstance(item, _NO_FUNCTIONS):
        return None
    for name in ("func", "__wrapped__"):
        inner = inspect.getattr_static(item, name, None)
        if isinstance(inner, FunctionType | MethodType):
            return python_function(inner)
    return None


def _package(file: str) -> str:
    return file.partition("/")[0]
