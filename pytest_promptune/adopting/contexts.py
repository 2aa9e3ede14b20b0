"""Way A: the new default of a field of the graph's context schema, written where the schema is defined."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_promptune.adopting.nodes import Project
from pytest_promptune.adopting.python_literals import check_replaced, literal
from pytest_promptune.adopting.python_source import PythonText
from pytest_promptune.adopting.source_files import SourceFile, read_source
from pytest_promptune.adopting.values import ByHand, ByHandError, Splice
from pytest_promptune.core.values import dataclass

#: Keywords and decorators that name a class of the context.
_SCHEMA = "context_schema"
_CALLS_OF_FIELDS = ("field", "Field")


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a schema says what the default of a field is."""

    source: SourceFile
    python: PythonText
    schema: str
    statement: ast.AnnAssign


def context_changes(context: Mapping[str, Any], project: Project) -> tuple[list[Splice], list[ByHand]]:
    """What is to be written for fields of the context, and what a person has to change."""
    splices: list[Splice] = []
    by_hand: list[ByHand] = []
    fields = _Fields(project) if context else None
    for name, value in context.items():
        assert fields is not None
        place: _Field | None = None
        try:
            place = fields.find(name)
            splices.append(_default(place, name, value))
        except ByHandError as why:
            path = place.source.path if place else None
            where = f"{_name(path, project)}:{place.statement.lineno}" if place and path else _ANYWHERE
            what = f"the default of {name} becomes:\n{_shown(value)}"
            by_hand.append(ByHand(where=where, what=what, why=str(why), path=path))
    return splices, by_hand


_ANYWHERE = "where the app sets it"


def _name(path: Path, project: Project) -> str:
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else str(path)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


class _Fields:
    """The fields of the classes that the project's graphs have as their context."""

    def __init__(self, project: Project) -> None:
        self._files = list(_parsed(project))
        self._classes: dict[str, list[tuple[SourceFile, PythonText, ast.ClassDef]]] = {}
        for source, python in self._files:
            for node in ast.walk(python.tree):
                if isinstance(node, ast.ClassDef):
                    self._classes.setdefault(node.name, []).append((source, python, node))

    def find(self, name: str) -> _Field:
        """The one definition of a field.

        Raises:
            ByHandError: when there is none, or several.
        """
        schemas = dict.fromkeys(_schemas(self._files))
        found = [each for schema in schemas for each in self._in_class(schema, name, set())]
        places = {(each.source.path, each.statement.lineno): each for each in found}
        if len(places) == 1:
            return next(iter(places.values()))
        if not places:
            raise ByHandError(f"no class that is given as {_SCHEMA}= defines {name}")
        raise ByHandError(f"{name} is defined in {len(places)} context schemas")

    def _in_class(self, schema: str, name: str, seen: set[str]) -> Iterator[_Field]:
        """The definition in a class, else in those that it is made from."""
        if schema in seen:
            return
        seen.add(schema)
        for source, python, node in self._classes.get(schema, ()):
            own = [
                each
                for each in node.body
                if isinstance(each, ast.AnnAssign)
                and isinstance(each.target, ast.Name)
                and each.target.id == name
            ]
            if own:
                yield from (_Field(source, python, schema, statement) for statement in own)
                continue
            for base in node.bases:
                yield from self._in_class(_last_name(base), name, seen)


def _parsed(project: Project) -> Iterator[tuple[SourceFile, PythonText]]:
    for path, _ in project.sources.app_files():
        if path.suffix == ".py":
            try:
                source = read_source(path)
                yield source, PythonText(source.text)
            except ByHandError:
                continue


def _schemas(files: list[tuple[SourceFile, PythonText]]) -> Iterator[str]:
    for _, python in files:
        for node in ast.walk(python.tree):
            if isinstance(node, ast.Call):
                given = [each.value for each in node.keywords if each.arg == _SCHEMA]
                yield from filter(None, map(_last_name, given))


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _default(place: _Field, name: str, value: object) -> Splice:
    """The new default in place of the old one, which must be a plain value."""
    old = _default_of(place.statement)
    if old is None:
        raise ByHandError(f"{place.schema}.{name} has no default there")
    if not isinstance(value, str | int | float | bool) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ByHandError("the new value is no text, number or truth value")
    python, what = place.python, f"context {name}"
    path, line = place.source.path, old.lineno
    if isinstance(value, str) and isinstance(old, ast.Constant) and isinstance(old.value, str):
        start, end, new = literal(python, old, (value,))
        check_replaced(python, old, python.text[:start] + new + python.text[end:], (value,))
        return Splice(path=path, start=start, end=end, text=new, what=what, line=line)
    if isinstance(value, str) or not _is_number(old):
        raise ByHandError("its default is put together, or is a value of another kind")
    start, end = python.span(old)
    return Splice(path=path, start=start, end=end, text=repr(value), what=what, line=line)


def _default_of(statement: ast.AnnAssign) -> ast.expr | None:
    """``x: T = 1``, ``x: T = field(default=1)``, ``x: T = Field(1)``."""
    value = statement.value
    if isinstance(value, ast.Call) and _last_name(value.func) in _CALLS_OF_FIELDS:
        named = [each.value for each in value.keywords if each.arg == "default"]
        positional = value.args[:1] if _last_name(value.func) == "Field" else []
        return next(iter([*named, *positional]), None)
    return value


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float)
