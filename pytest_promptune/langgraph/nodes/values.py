"""What an expression of the app's source may stand for: the values of the abstract evaluation."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from types import FunctionType
from typing import Any, TypeVar

from pytest_promptune.core.nodes.model import ModelUse, PromptText, Role
from pytest_promptune.core.values import dataclass

_T = TypeVar("_T")

#: Things one expression may stand for; more say nothing any more and take time.
_MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What an expression may stand for, and which models and prompt texts are in it."""

    #: Real objects of the running program, and an `Instance` for each that the source would make.
    objects: tuple[Any, ...] = ()
    models: tuple[ModelUse, ...] = ()
    texts: tuple[PromptText, ...] = ()
    #: Functions that the source defines inside others.
    closures: tuple[Closure, ...] = ()
    #: Values whose calling method this is, as ``model.invoke`` without a call.
    bound: tuple[Value, ...] = ()
    #: The elements, of a tuple or list that is written out.
    elements: tuple[Value, ...] | None = None
    #: Whether it is a str, so that a model takes it as a human message.
    is_text: bool = False
    #: Last name it was reached by, where nothing else is known of it.
    name: str | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known."""
        return not (self.objects or self.models or self.texts or self.closures or self.bound)

    @property
    def is_none(self) -> bool:
        """Whether it is None. Objects of the app are never compared: that would run its code."""
        return len(self.objects) == 1 and self.objects[0] is None and not (self.models or self.texts)

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for values that stand for the same."""
        parts = (*self.objects, *self.closures, *self.models)
        inner = (value.identity for value in (*self.bound, *(self.elements or ())))
        texts = ((text.file, text.line, text.text, text.role) for text in self.texts)
        return (self.name, self.is_text, *map(id, parts), *texts, *inner)

    def with_role(self, role: Role) -> Value:
        """The same as a message of that role."""
        real = [PromptText(text=item) for item in self.objects if isinstance(item, str)]
        texts = tuple(replace(text, role=text.role or role) for text in (*self.texts, *real))
        others = tuple(item for item in self.objects if not isinstance(item, str))
        return replace(self, is_text=False, texts=texts, objects=others)


NOTHING = Value()


def in_order(items: Iterable[Any]) -> list[Any]:
    """The items of a collection, those of a set by what they are: Python's order differs in each run."""
    return sorted(items, key=_by_name) if isinstance(items, set | frozenset) else list(items)


def _by_name(item: Any) -> tuple[str, str]:
    if isinstance(item, str | int | float):
        return type(item).__name__, str(item)
    if isinstance(item, FunctionType | type):
        return type(item).__name__, item.__qualname__
    known = getattr(item, "__dict__", None)
    named = known if isinstance(known, dict) else {}
    names = (named.get(key) for key in ("name", "model_name", "model"))
    return type(item).__name__, next((name for name in names if isinstance(name, str)), "")


def union(values: Iterable[Value]) -> Value:
    """What is any of the values, or holds all of them."""
    every = [value for value in values if value is not NOTHING]
    if len(every) == 1:
        return every[0]
    if not every:
        return NOTHING
    return Value(
        objects=_joined([v.objects for v in every if v.objects], _once),
        models=_joined([v.models for v in every if v.models], _equal_once),
        texts=_joined([v.texts for v in every if v.texts], dict.fromkeys),
        closures=_joined([v.closures for v in every if v.closures], _once),
        bound=_joined([v.bound for v in every if v.bound], _once),
        elements=_elements([v for v in every if not v.is_unknown]),
    )


def held(values: Iterable[Value]) -> Value:
    """What is made of the values: it holds all of them, and its elements are not known."""
    found = union(values)
    if found.elements is None and not found.is_text and found.name is None:
        return found
    return replace(found, elements=None, is_text=False, name=None)


def _elements(values: list[Value]) -> tuple[Value, ...] | None:
    every = [value.elements for value in values if value.elements is not None]
    if not every or len(every) < len(values) or len({len(each) for each in every}) > 1:
        return None
    return tuple(union(position) for position in zip(*every, strict=True))


def _joined(parts: list[tuple[_T, ...]], once: Callable[[list[_T]], Iterable[_T]]) -> tuple[_T, ...]:
    """What all parts have, each only once; most often there is one part, or none."""
    if len(parts) < 2:
        return parts[0][:_MOST] if parts else ()
    return tuple(once([item for part in parts for item in part]))[:_MOST]


def _once(items: list[_T]) -> Iterable[_T]:
    return {id(item): item for item in items}.values()


def _equal_once(items: list[_T]) -> Iterable[_T]:
    return (item for i, item in enumerate(items) if item not in items[:i])


@dataclass(eq=False, slots=True, kw_only=True)
class Instance:
    """An object that the source makes: its class where that is known, its attributes, what it was made of."""

    cls: type | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    made_of: Value = NOTHING
    #: Whether it is the state of a graph. A model that is given all of it gets its messages.
    is_state: bool = False


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Closure:
    """A function that the source defines inside another, or a lambda, with the names it sees."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A class of a package that isn't installed here."""

    name: str
    package: str


@dataclass(frozen=True, eq=False, slots=True)
class Method:
    """A function of a class with an object that the source makes."""

    function: Any
    owner: Value


@dataclass(eq=False, slots=True, kw_only=True)
class Scope:
    """The names a piece of source sees."""

    #: File of the source, as Python knows it.
    file: str
    globals: Mapping[str, Any]
    names: dict[str, Value] = field(default_factory=dict)
    outer: Scope | None = None

    def lookup(self, name: str) -> Value | None:
        """What `name` was bound to here or further out; None where it is global."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def bind(self, name: str, value: Value) -> None:
        """Add what `name` may stand for: every branch of the source counts."""
        before = self.names.get(name)
        self.names[name] = value if before is None else union([before, value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a function is called with."""

    positional: tuple[Value, ...] = ()
    named: Mapping[str, Value] = field(default_factory=dict)
    #: What ``*args`` and ``**kwargs`` hold.
    rest: Value = NOTHING

    @property
    def every(self) -> list[Value]:
        """All values."""
        return [*self.positional, *self.named.values(), self.rest]

    @property
    def is_complete(self) -> bool:
        """Whether all arguments are written out: nothing unknown is spread into the call."""
        return self.rest.is_unknown and not self.rest.name

    def get(self, position: int | None, *names: str) -> Value | None:
        """The argument of one of the names or at the position."""
        for name in names:
            if name in self.named:
                return self.named[name]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a call stands."""

    #: As Python knows it.
    file: str
    line: int
