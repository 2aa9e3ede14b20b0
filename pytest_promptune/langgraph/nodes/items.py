"""What is taken out of collections: by a key, by an index, by a method of a dict, one after the other."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import FunctionType
from typing import Any

from langchain_core.runnables import Runnable

from pytest_promptune.langgraph.nodes.models import constant
from pytest_promptune.langgraph.nodes.values import NOTHING, Arguments, Instance, Value, held, in_order, union

_MOST_ITEMS = 40
#: Methods of dicts that give an entry.
_LOOKUPS = frozenset({"get", "pop", "setdefault"})


def items_of(value: Value) -> Value:
    """What iterating over a value gives."""
    if value.elements is not None:
        return union(value.elements)
    items: list[Any] = []
    for item in value.objects:
        if isinstance(item, dict):
            items += list(dict.values(item))[:_MOST_ITEMS]
        elif isinstance(item, list | tuple | set | frozenset):
            items += in_order(item)[:_MOST_ITEMS]
        elif isinstance(item, Instance | Runnable):  # one of a collection that the source makes
            items.append(item)
    return replace(value, objects=tuple(items), is_text=False)


def item_of(value: Value, key: Any) -> Value:
    """What a key or index gives; all items where it is not known (None)."""
    found = union([_item(item, key) for item in value.objects])
    if value.models or value.texts or value.closures:
        found = union([found, held([replace(value, objects=())])])
    return Value(name=key if isinstance(key, str) else None) if found.is_unknown else found


def with_item(value: Value, key: Any, new: Value) -> Value:
    """What a collection is after ``value[key] = new``: a table that the source makes has it under its key."""
    tables = [item for item in value.objects if isinstance(item, Instance) and item.cls is dict]
    if value.is_unknown and value.elements is None:  # other entries stay unknown
        tables = [Instance(cls=dict, made_of=Value(name=value.name or "table"))]
        value = Value(objects=tuple(tables))
    if not tables or not isinstance(key, str):
        return union([value, held([new])])
    for table in tables:
        table.fields[key] = union([table.fields.get(key, NOTHING), new])
    return value


def looked_up(value: Value, method: str, given: Arguments) -> Value | None:
    """What ``get``, ``pop`` and ``setdefault`` of dicts give: the entry, or the default.

    Returns:
        None for other methods, and where none of the objects is a dict with Python's own.
    """
    tables = [item for item in value.objects if _is_table(item, method)]
    if method not in _LOOKUPS or not tables:
        return None
    key = constant(given.get(0))
    found, default = item_of(value, key), given.get(1, "default")
    is_there = _is_key(key) and all(_has_key(table, key) for table in tables)
    return found if is_there or default is None else union([found, default])


def _is_table(item: Any, method: str) -> bool:
    """Whether it is a dict, real or made by the source, whose method is Python's own."""
    if isinstance(item, Instance):
        return item.cls is dict
    return isinstance(item, dict) and not isinstance(inspect.getattr_static(item, method, None), FunctionType)


def _has_key(table: Any, key: Any) -> bool:
    return key in table.fields if isinstance(table, Instance) else dict.__contains__(table, key)


def _is_key(key: Any) -> bool:
    """Whether an entry can be looked up by it: it is known, and no list or dict."""
    return key is not None and not isinstance(key, list | dict)


def _item(item: Any, key: Any) -> Value:
    if isinstance(item, Instance):
        if isinstance(key, str) and key in item.fields:
            return item.fields[key]
        return held([item.made_of, *(() if isinstance(key, str) else item.fields.values())])
    # the app's own kinds of tables may do anything when they are asked
    if isinstance(item, dict):
        if not _is_key(key):
            return Value(objects=tuple(dict.values(item))[:_MOST_ITEMS])
        return Value(objects=(dict.__getitem__(item, key),)) if dict.__contains__(item, key) else NOTHING
    if isinstance(item, list | tuple) and not isinstance(key, str):
        within = isinstance(key, int) and -len(item) <= key < len(item)
        return Value(objects=(item[key],) if within else tuple(item)[:_MOST_ITEMS])
    # something that has no items itself is one of a collection that the source makes
    return Value(objects=(item,)) if isinstance(item, Runnable) else NOTHING
