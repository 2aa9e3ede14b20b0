"""Abstract evaluation of the app's source: which values its names and expressions may stand for.

Statements are taken in order and every branch counts, so a name stands for all it may have been bound to.
Nothing of the app is executed, but modules that a function imports: they are imported.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from pytest_promptune.core.literals import text_of
from pytest_promptune.core.nodes.model import CallPlace, PromptText
from pytest_promptune.langgraph.nodes.calls import Calls
from pytest_promptune.langgraph.nodes.contents import contents, role_of
from pytest_promptune.langgraph.nodes.items import item_of, items_of, with_item
from pytest_promptune.langgraph.nodes.models import constant, is_called_like_a_class
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.langgraph.nodes.strings import joined_name, joined_text, pieces_of
from pytest_promptune.langgraph.nodes.values import (
    NOTHING,
    Arguments,
    Closure,
    Instance,
    Missing,
    Scope,
    Value,
    held,
    union,
)

#: Expressions that are looked at for one node; a graph's nodes take some hundreds each.
_MOST_STEPS = 40_000


class Evaluator:
    """Evaluates what one node runs, and collects the calls of models in it."""

    def __init__(self, sources: Sources, *, declared: frozenset[str] = frozenset()) -> None:
        """Begin with nothing.

        Args:
            sources: the files.
            declared: functions that call a model in a way of their own, as ``app.services:call``.
        """
        self.sources = sources
        self.found: list[CallPlace] = []
        self.calls = Calls(self, declared=declared)
        self._steps = 0
        self._returned: list[list[Value]] = []

    def run(self, value: object, state: Value | None = None) -> Value:
        """Evaluate what happens when a live object, as a node's runnable, is invoked.

        Args:
            value: the object.
            state: what its functions get, where something is known of it.

        Returns:
            What its functions give.
        """
        given = Arguments() if state is None else Arguments(positional=(state,))
        return self.calls.run(Value(objects=(value,)), given, None)

    # -- functions ---------------------------------------------------------------------------------------

    def body(self, statements: Sequence[ast.stmt], scope: Scope) -> Value:
        """What a function with this body may return."""
        self._returned.append([])
        self.statements(statements, scope)
        return union(self._returned.pop())

    # -- statements --------------------------------------------------------------------------------------

    def statements(self, statements: Iterable[ast.stmt], scope: Scope) -> None:
        """Take statements in."""
        for statement in statements:
            _STATEMENTS.get(type(statement), Evaluator._any_statement)(self, statement, scope)

    def _any_statement(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.statements([child], scope)
            elif isinstance(child, ast.expr):
                self.expression(child, scope)
            else:  # handlers of try, cases of match, items of with
                self._any_statement(child, scope)

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.expression(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)

    def _assign_one(self, node: ast.AnnAssign | ast.AugAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.expression(node.value, scope), scope)

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        self.bind(node.target, items_of(self.expression(node.iter, scope)), scope)
        self.statements([*node.body, *node.orelse], scope)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        for item in node.items:
            value = self.expression(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, scope)
        self.statements(node.body, scope)

    def _return(self, node: ast.Return, scope: Scope) -> None:
        if node.value is not None and self._returned:
            self._returned[-1].append(self.expression(node.value, scope))

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        scope.bind(node.name, Value(closures=(Closure(node=node, scope=scope),)))

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        """A class inside a function: its name alone."""

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.Import):
                value = _imported(alias.name if alias.asname else name, None, scope)
            else:
                value = _imported("." * node.level + (node.module or ""), alias.name, scope)
            scope.bind(name, value)

    def bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a target of an assignment."""
        if isinstance(target, ast.Name):
            scope.bind(target.id, value)
        elif isinstance(target, ast.Attribute):
            self.calls.attributes.set(self.expression(target.value, scope), target.attr, value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.elements if value.elements and len(value.elements) == len(target.elts) else None
            for i, element in enumerate(target.elts):
                self.bind(element, parts[i] if parts else items_of(value), scope)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value, scope)
        elif isinstance(target, ast.Subscript):
            before, key = self.expression(target.value, scope), constant(self.expression(target.slice, scope))
            after = with_item(before, key, value)
            if after is not before:
                self.bind(target.value, after, scope)

    # -- expressions -------------------------------------------------------------------------------------

    def expression(self, node: ast.expr, scope: Scope) -> Value:
        """What an expression may stand for."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            return NOTHING
        return _EXPRESSIONS.get(type(node), Evaluator._any_expression)(self, node, scope)

    def _any_expression(self, node: ast.AST, scope: Scope) -> Value:
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return held([self.expression(child, scope) for child in children])

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        if isinstance(node.value, str):
            return Value(texts=(self._literal(node, node.value, scope),), is_text=True)
        return Value(objects=(node.value,))

    def _literal(self, node: ast.expr, text: str, scope: Scope) -> PromptText:
        return PromptText(text=text, file=self.sources.name(scope.file), line=node.lineno)

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        """An f-string: its own text, and those that it fills in; a name where all of it is known."""
        parts = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        values = [self.expression(part.value, scope) for part in parts]
        if (name := joined_name(node, values)) is not None:
            return Value(texts=(self._literal(node, name, scope),), is_text=True)
        texts = [text for value in values for text in contents(_without_paths(value)).texts]
        fixed = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        own = (self._literal(node, text_of(node) or "", scope),) if fixed.strip() else ()
        return Value(texts=(*own, *texts), is_text=True)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        found = scope.lookup(node.id)
        if found is not None:
            return Value(name=node.id) if found.is_unknown and found.name is None else found
        for names in (scope.globals, vars(builtins)):
            if node.id in names:
                return Value(objects=(names[node.id],))
        return Value(name=node.id)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        base = self.expression(node.value, scope)
        if self.calls.is_invocation(base, node.attr):
            return Value(bound=(base,))
        return self.calls.attributes.get(base, node.attr)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        base = self.expression(node.value, scope)
        key = constant(self.expression(node.slice, scope))
        if (
            base.elements is not None
            and isinstance(key, int)
            and -len(base.elements) <= key < len(base.elements)
        ):
            return base.elements[key]
        return item_of(base, key)

    def _either(self, node: ast.IfExp, scope: Scope) -> Value:
        self.expression(node.test, scope)
        return union([self.expression(node.body, scope), self.expression(node.orelse, scope)])

    def _or(self, node: ast.BoolOp, scope: Scope) -> Value:
        return union([self.expression(value, scope) for value in node.values])

    def _operator(self, node: ast.BinOp, scope: Scope) -> Value:
        """Texts put together, or a chain."""
        pieces = pieces_of(node)
        if len(pieces) < 3:  # other operators, and most sums
            pieces = [node.left, node.right]
        sides = [self.expression(piece, scope) for piece in pieces]
        is_text = any(side.is_text for side in sides) and not any(side.models for side in sides)
        if is_text and isinstance(node.op, ast.Add) and (text := joined_text(pieces, sides)) is not None:
            others = [side for piece, side in zip(pieces, sides, strict=True) if text_of(piece) is None]
            own = Value(texts=(self._literal(node, text, scope),))
            return replace(held([own, *others]), is_text=True)
        return replace(held(sides), is_text=is_text)

    def _compare(self, node: ast.Compare | ast.UnaryOp, scope: Scope) -> Value:
        self._any_expression(node, scope)
        return NOTHING

    def _inner(self, node: ast.Await | ast.Starred | ast.YieldFrom, scope: Scope) -> Value:
        return self.expression(node.value, scope)

    def _yield(self, node: ast.Yield, scope: Scope) -> Value:
        if node.value is not None and self._returned:
            self._returned[-1].append(self.expression(node.value, scope))
        return NOTHING

    def _walrus(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.expression(node.value, scope)
        self.bind(node.target, value, scope)
        return value

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set, scope: Scope) -> Value:
        elements = tuple(self.expression(element, scope) for element in node.elts)
        if len(elements) == 2 and (role := role_of(constant(elements[0]))) is not None:
            return elements[1].with_role(role)  # ("system", "You are …")
        has_stars = any(isinstance(element, ast.Starred) for element in node.elts)
        return replace(held(elements), elements=None if has_stars else elements)

    def _dict(self, node: ast.Dict, scope: Scope) -> Value:
        fields: dict[str, Value] = {}
        rest = []
        for key, value in zip(node.keys, node.values, strict=True):
            name = constant(self.expression(key, scope)) if key is not None else None
            if isinstance(name, str):
                fields[name] = self.expression(value, scope)
            else:
                rest.append(self.expression(value, scope))
        role = role_of(constant(fields.get("role")))
        if role is not None and "content" in fields:
            return fields["content"].with_role(role)
        return Value(objects=(Instance(cls=dict, fields=fields, made_of=held(rest)),))

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return Value(closures=(Closure(node=node, scope=scope),))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> Value:
        inner = Scope(file=scope.file, globals=scope.globals, outer=scope)
        for generator in node.generators:
            self.bind(generator.target, items_of(self.expression(generator.iter, inner)), inner)
            for condition in generator.ifs:
                self.expression(condition, inner)
        if isinstance(node, ast.DictComp):  # a key may be a call, as in {pool.submit(ask, q): q for q in …}
            return held([self.expression(part, inner) for part in (node.value, node.key)])
        return held([self.expression(node.elt, inner)])

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        return self.calls.call(node, scope)


def _without_paths(value: Value) -> Value:
    """A value whose paths are only mentioned: the files aren't read."""
    return replace(value, objects=tuple(item for item in value.objects if not isinstance(item, PurePath)))


def _imported(module: str, name: str | None, scope: Scope) -> Value:
    """What an import inside a function binds; of what can't be imported, its name."""
    package = scope.globals.get("__package__")
    try:
        found = importlib.import_module(module, package) if module.startswith(".") else _module(module)
        if name is None:
            return Value(objects=(found,))
        if not hasattr(found, name):
            importlib.import_module(f"{found.__name__}.{name}")
        return Value(objects=(getattr(found, name),))
    except (Exception, SystemExit):  # whatever the import raises, the name stays unknown
        if name and is_called_like_a_class(name) and "langchain" in module:
            return Value(objects=(Missing(name=name, package=module.partition(".")[0]),))
        return Value(name=name or module)


def _module(name: str) -> Any:
    return sys.modules.get(name) or importlib.import_module(name)


_STATEMENTS: Mapping[type, Callable[[Evaluator, Any, Scope], None]] = {
    ast.Assign: Evaluator._assign,
    ast.AnnAssign: Evaluator._assign_one,
    ast.AugAssign: Evaluator._assign_one,
    ast.For: Evaluator._for,
    ast.AsyncFor: Evaluator._for,
    ast.With: Evaluator._with,
    ast.AsyncWith: Evaluator._with,
    ast.Return: Evaluator._return,
    ast.FunctionDef: Evaluator._define,
    ast.AsyncFunctionDef: Evaluator._define,
    ast.ClassDef: Evaluator._class,
    ast.Import: Evaluator._import,
    ast.ImportFrom: Evaluator._import,
}

_EXPRESSIONS: Mapping[type, Callable[[Evaluator, Any, Scope], Value]] = {
    ast.Constant: Evaluator._constant,
    ast.JoinedStr: Evaluator._joined,
    ast.Name: Evaluator._name,
    ast.Attribute: Evaluator._attribute,
    ast.Subscript: Evaluator._subscript,
    ast.IfExp: Evaluator._either,
    ast.BoolOp: Evaluator._or,
    ast.BinOp: Evaluator._operator,
    ast.Compare: Evaluator._compare,
    ast.UnaryOp: Evaluator._compare,
    ast.Await: Evaluator._inner,
    ast.Starred: Evaluator._inner,
    ast.YieldFrom: Evaluator._inner,
    ast.Yield: Evaluator._yield,
    ast.NamedExpr: Evaluator._walrus,
    ast.Tuple: Evaluator._sequence,
    ast.List: Evaluator._sequence,
    ast.Set: Evaluator._sequence,
    ast.Dict: Evaluator._dict,
    ast.Lambda: Evaluator._lambda,
    ast.ListComp: Evaluator._comprehension,
    ast.SetComp: Evaluator._comprehension,
    ast.GeneratorExp: Evaluator._comprehension,
    ast.DictComp: Evaluator._comprehension,
    ast.Call: Evaluator._call,
}
