"""What methods of a model or chain derive from it: tools, structured output, parameters, chains."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable

from pytest_promptune.langgraph.nodes.contents import contents, tool_name
from pytest_promptune.langgraph.nodes.models import (
    constant_text,
    is_model,
    named_model,
    params_of,
    with_schema,
)
from pytest_promptune.langgraph.nodes.values import Arguments, Instance, Value, held


def tool_names(value: Value | None) -> tuple[str, ...]:
    """Names of tools, as far as they are known."""
    if value is None:
        return ()
    items: list[Any] = []
    for item in value.objects:
        items += item if isinstance(item, list | tuple) else [item]
    names = [tool_name(item) for item in items if not isinstance(item, Instance)]
    names += [closure.node.name for closure in value.closures if not isinstance(closure.node, ast.Lambda)]
    return tuple(dict.fromkeys(filter(None, names)))


def _all_models(base: Value) -> Value:
    """A value with its models beside the rest, so that they can be set otherwise."""
    inside = contents(base)
    rest = tuple(item for item in base.objects if not is_model(item) and not isinstance(item, Runnable))
    return Value(models=tuple(inside.models), texts=tuple(inside.texts), objects=rest, closures=base.closures)


def _bind_tools(base: Value, given: Arguments) -> Value:
    value, tools = _all_models(base), tool_names(given.get(0, "tools"))
    params = params_of(given)
    models = [
        replace(use, tools=tools or ("tools",), params={**use.params, **params}) for use in value.models
    ]
    return replace(value, models=tuple(models))


def _with_structured_output(base: Value, given: Arguments) -> Value:
    value, schema = _all_models(base), given.get(0, "schema")
    return replace(value, models=tuple(with_schema(use, schema) for use in value.models))


def _bind(base: Value, given: Arguments) -> Value:
    value, params = _all_models(base), params_of(given)
    if "tools" in given.named:
        return _bind_tools(base, given)
    if "response_format" in given.named:
        value = _with_structured_output(base, Arguments(positional=(given.named["response_format"],)))
    return replace(value, models=tuple(replace(use, params={**use.params, **params}) for use in value.models))


def _with_config(base: Value, given: Arguments) -> Value:
    """A model that is chosen by its configuration, as that of ``init_chat_model(configurable_fields=…)``."""
    fields = _entries(given.get(0, "config"))
    fields |= _entries(fields.get("configurable"))
    name = constant_text(fields.get("model"))
    value = _all_models(base)
    if name is None or any(use.model for use in value.models):
        return base
    chosen = named_model(name, constant_text(fields.get("model_provider")))
    params = params_of(Arguments(named=fields))
    models = [
        replace(
            use,
            model=chosen.model,
            provider=chosen.provider,
            params={**use.params, **params},
            origin="made",
        )
        for use in value.models
    ]
    return replace(value, models=tuple(models))


def _entries(value: Value | None) -> dict[str, Value]:
    """The entries of a dict that the source writes."""
    items = value.objects if value is not None else ()
    return {
        name: entry for item in items if isinstance(item, Instance) for name, entry in item.fields.items()
    }


def _same(base: Value, given: Arguments) -> Value:
    return base


def _together(base: Value, given: Arguments) -> Value:
    return held([base, *given.every])


#: Method → what it derives.
DERIVING: Mapping[str, Callable[[Value, Arguments], Value]] = {
    "bind_tools": _bind_tools,
    "with_structured_output": _with_structured_output,
    "bind": _bind,
    "with_config": _with_config,
    "with_retry": _same,
    "with_types": _same,
    "with_listeners": _same,
    "configurable_fields": _same,
    "configurable_alternatives": _together,
    "with_fallbacks": _together,
    "pipe": _together,
    "assign": _together,
    "map": _same,
    "pick": _same,
    "partial": _same,
}
