"""What an attribute stands for, of live objects and of those that the source would make.

No code of the app runs: properties are not called but followed.
"""

from __future__ import annotations

import enum
import functools
import inspect
import typing
from collections.abc import Mapping
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_promptune.langgraph.nodes.hints import value_of_hint
from pytest_promptune.langgraph.nodes.values import NOTHING, Arguments, Instance, Method, Value, held, union

if TYPE_CHECKING:
    from pytest_promptune.langgraph.nodes.functions import Functions

_MISSING = object()
#: What becomes a method of an object: a function, also with ``functools.lru_cache`` around it.
_METHODS = (FunctionType, type(functools.lru_cache(len)))


class Attributes:
    """Looks attributes up, and keeps those that the source sets on live objects."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._set: dict[tuple[int, str], Value] = {}

    def get(self, value: Value, name: str) -> Value:
        """What ``value.name`` may stand for; with the name alone where nothing is known."""
        found = [self.find(value, name)]
        if found[0].is_unknown:  # part of something that holds all it was made of
            found += [held([item.made_of]) for item in value.objects if isinstance(item, Instance)]
        if value.texts and not value.models:
            found.append(Value(texts=value.texts))
        result = union(found)
        return Value(name=name) if result.is_unknown else result

    def find(self, value: Value, name: str) -> Value:
        """As `get`, but nothing where no object is known to have that attribute."""
        return union([self._of(item, name) for item in value.objects])

    def set(self, value: Value, name: str, new: Value) -> None:
        """Take ``value.name = new`` in."""
        for item in value.objects:
            if isinstance(item, Instance):
                item.fields[name] = union([item.fields.get(name, NOTHING), new])
            else:
                self._set[id(item), name] = union([self._set.get((id(item), name), NOTHING), new])

    def _of(self, item: Any, name: str) -> Value:
        if isinstance(item, Instance):
            return self._of_instance(item, name)
        found = self._of_live(item, name)
        return union([self._set.get((id(item), name), NOTHING), found])

    def _of_instance(self, item: Instance, name: str) -> Value:
        if name in item.fields:
            return item.fields[name]
        return self._of_class(item, item.cls, name) if item.cls is not None else NOTHING

    def _of_class(self, item: Instance, cls: type, name: str) -> Value:
        """A method, property, default or annotation of the class of an object that the source makes."""
        owner = Value(objects=(item,))
        member = inspect.getattr_static(cls, name, _MISSING)
        if isinstance(member, _METHODS):
            return Value(objects=(Method(member, owner),))
        if isinstance(member, staticmethod | classmethod):
            return Value(objects=(getattr(cls, name),))
        if (getter := _getter(member)) is not None:
            return self._functions.follow(getter, Arguments(positional=(owner,)))
        if member is not _MISSING and member is not None and not hasattr(member, "__get__"):
            return Value(objects=(member,))
        default = getattr(getattr(cls, "model_fields", {}).get(name), "default", None)
        hinted = value_of_hint(_hint(cls, name))
        return union([hinted, Value(objects=(default,)) if _is_known(default) else NOTHING])

    def _of_live(self, item: Any, name: str) -> Value:
        if isinstance(item, ModuleType):
            return _of_module(item, name)
        if isinstance(item, enum.Enum) and name in ("value", "name"):
            return Value(objects=(getattr(item, name),))
        member = inspect.getattr_static(item, name, _MISSING)
        return _private(item, name) if member is _MISSING else self._of_member(item, name, member)

    def _of_member(self, item: Any, name: str, member: Any) -> Value:
        """What a member of an object or its class gives, as Python's own lookup would."""
        if (getter := _getter(member)) is not None:
            return self._functions.follow(getter, Arguments(positional=(Value(objects=(item,)),)))
        if isinstance(member, _METHODS) and not isinstance(item, type) and not _is_own(item, name):
            return Value(objects=(MethodType(member, item),))
        if isinstance(member, staticmethod | classmethod | MemberDescriptorType):
            return Value(objects=(getattr(item, name, None),))
        return Value(objects=(member,))


def _is_known(default: Any) -> bool:
    return default is not None and type(default).__name__ != "PydanticUndefinedType"


def _getter(member: Any) -> FunctionType | None:
    getter = member.fget if isinstance(member, property) else None
    if isinstance(member, functools.cached_property):
        getter = member.func
    return getter if isinstance(getter, FunctionType) else None


def _is_own(item: Any, name: str) -> bool:
    """Whether the object itself has it, so that it is no method."""
    try:
        return name in vars(item)
    except TypeError:
        return False


def _private(item: Any, name: str) -> Value:
    """Private attributes and extra fields of pydantic's models."""
    for place in ("__pydantic_private__", "__pydantic_extra__"):
        kept = getattr(item, place, None) if hasattr(type(item), "model_fields") else None
        if isinstance(kept, dict) and name in kept:
            return Value(objects=(kept[name],))
    return NOTHING


def _of_module(module: ModuleType, name: str) -> Value:
    found = vars(module).get(name, _MISSING)
    if found is _MISSING:
        try:
            found = getattr(module, name)  # some packages import their parts so
        except (Exception, SystemExit):  # whatever that import raises, the name stays unknown
            return NOTHING
    return Value(objects=(found,))


def _hint(cls: type, name: str) -> Any:
    return _hints(cls).get(name)


@functools.lru_cache(maxsize=1024)
def _hints(cls: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # annotations that don't resolve
        return {}
