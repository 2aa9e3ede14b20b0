"""Texts that nodes put into the state of their graph, by the key under which other nodes read them."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send

from pytest_promptune.core.nodes.model import CallPlace
from pytest_promptune.langgraph.nodes.values import NOTHING, Instance, Value, union

#: Kinds of messages that developers write; answers and results of tools are no prompts.
_WRITTEN = frozenset({"system", "human"})
_DEEPEST = 6

Channels = Mapping[str, Value]


def channels_of(returned: Iterable[Value], before: Channels) -> Channels:
    """What nodes put into the state, beside what is in it before.

    Args:
        returned: by each node and route: a dict, a state, a `Command`, or some `Send`.
        before: what the graph above puts into its own state, which this graph may share.
    """
    found = dict(before)
    for value in returned:
        for table in _tables(value, 0):
            for key, put in table.fields.items():
                if (said := _said(put, 0)) is not None:
                    found[key] = union([found.get(key, NOTHING), said])
    return found


def has_command(returned: Iterable[Value]) -> bool:
    """Whether a node may choose by itself what is next."""
    items = [item for value in returned for item in value.objects]
    return any(isinstance(item, Instance) and item.cls is Command for item in items)


def state_of(schema: Any, channels: Channels) -> Value:
    """The state as a node gets it.

    Args:
        schema: class of the state; one of attributes has its methods, too.
        channels: what is in it.
    """
    has_attributes = isinstance(schema, type) and not typing.is_typeddict(schema)
    cls = schema if has_attributes and not issubclass(schema, dict) else dict
    instance = Instance(cls=cls, fields=dict(channels), made_of=Value(name="state"), is_state=True)
    return Value(objects=(instance,))


def filled(calls: Sequence[CallPlace], again: Sequence[CallPlace]) -> list[CallPlace]:
    """Calls, those without any text with the texts that the same call has in `again`."""
    texts: dict[tuple[str | None, int | None], dict[Any, None]] = {}
    for call in again:
        texts.setdefault((call.file, call.line), {}).update(dict.fromkeys(call.prompt))
    return [
        call if call.prompt else replace(call, prompt=tuple(texts.get((call.file, call.line), ())))
        for call in calls
    ]


def _tables(value: Value, depth: int) -> Iterable[Instance]:
    """The dicts and states that reach the state."""
    for item in value.objects if depth < _DEEPEST else ():
        if not isinstance(item, Instance) or item.cls is None:
            continue
        if issubclass(item.cls, Command | Send):
            yield from _tables(item.made_of, depth + 1)
        else:
            yield item


def _said(value: Value, depth: int) -> Value | None:
    """The texts in what is put under a key, as they are held there; None where there are none."""
    if depth > _DEEPEST:
        return None
    objects: list[Any] = []
    for item in value.objects:
        if isinstance(item, str) or (isinstance(item, BaseMessage) and item.type in _WRITTEN):
            objects.append(item)
        elif isinstance(item, Instance) and item.cls is dict:
            entries = {key: said for key, put in item.fields.items() if (said := _said(put, depth + 1))}
            rest = _said(item.made_of, depth + 1)
            if entries or rest:
                objects.append(Instance(cls=dict, fields=entries, made_of=rest or NOTHING))
    texts = tuple(text for text in value.texts if text.role != "ai")
    if not objects and not texts:
        return None
    return Value(objects=tuple(objects), texts=texts, is_text=value.is_text)
