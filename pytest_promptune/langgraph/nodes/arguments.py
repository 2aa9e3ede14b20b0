"""The arguments of calls: as they are written, as a partial keeps them, as an SDK takes them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pytest_promptune.langgraph.nodes.values import NOTHING, Arguments, Instance, Value, held


def arguments_of(node: ast.Call, evaluate: Callable[[ast.expr], Value]) -> Arguments:
    """The arguments of a call, with lists and dicts that are spread into it."""
    positional: list[Value] = []
    named: dict[str, Value] = {}
    rest: list[Value] = []
    for argument in node.args:
        value = evaluate(argument)
        if not isinstance(argument, ast.Starred):
            positional.append(value)
        elif value.elements is not None:
            positional += value.elements
        else:
            rest.append(value)
    for keyword in node.keywords:
        value = evaluate(keyword.value)
        if keyword.arg is not None:
            named[keyword.arg] = value
        elif (entries := _entries(value)) is not None:
            named |= entries
        else:
            rest.append(replace(value, name="**"))
    rest_value = replace(held(rest), name="**") if rest else NOTHING
    return Arguments(positional=tuple(positional), named=named, rest=rest_value)


def _entries(value: Value) -> dict[str, Value] | None:
    """The entries of a dict that is written out or real."""
    if len(value.objects) != 1 or value.models or value.texts:
        return None
    item = value.objects[0]
    if isinstance(item, Instance):
        return dict(item.fields) if item.made_of.is_unknown and not item.made_of.name else None
    if isinstance(item, dict):
        return {str(key): Value(objects=(entry,)) for key, entry in item.items()}
    return None


def with_partial(item: functools.partial[Any], given: Arguments) -> Arguments:
    """What a partial is called with."""
    return Arguments(
        positional=(*(Value(objects=(value,)) for value in item.args), *given.positional),
        named={**{key: Value(objects=(value,)) for key, value in item.keywords.items()}, **given.named},
        rest=given.rest,
    )


def sdk_texts(given: Arguments) -> list[Value]:
    """The prompt among the arguments of a call into an SDK."""
    found = [
        given.named[name].with_role("system") for name in ("system", "instructions") if name in given.named
    ]
    names = ("messages", "input", "contents", "prompt")
    return found + [given.named[name] for name in names if name in given.named]
