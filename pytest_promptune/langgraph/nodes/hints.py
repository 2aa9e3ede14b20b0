"""What an annotation says of an object."""

from __future__ import annotations

import enum
import typing
from typing import Any

from pytest_promptune.core.nodes.model import ModelUse
from pytest_promptune.langgraph.nodes.models import is_model_class, provider_of
from pytest_promptune.langgraph.nodes.values import NOTHING, Instance, Value, union


def value_of_hint(hint: Any) -> Value:
    """What is known of an object by its annotation: that it is a model, or of which class."""
    if typing.get_origin(hint) is not None:
        of_type = typing.get_origin(hint)
        if getattr(of_type, "__name__", "") == "Runtime":
            context = union([value_of_hint(part) for part in typing.get_args(hint)])
            return Value(objects=(Instance(fields={"context": context}),))
        if of_type in (dict, list, tuple, type):
            return NOTHING
        return union([value_of_hint(part) for part in typing.get_args(hint)])
    if is_model_class(hint):
        return Value(models=(ModelUse(provider=provider_of(hint)),))
    if isinstance(hint, type) and _is_of_an_app(hint):
        return Value(objects=(Instance(cls=hint),))
    return NOTHING


def _is_of_an_app(cls: type) -> bool:
    """Whether looking into objects of the class may find models: not of builtins and TypedDicts."""
    known = ("builtins", "typing", "collections", "langchain_core", "langgraph", "datetime")
    return cls.__module__.partition(".")[0] not in known and not issubclass(cls, dict | enum.Enum)
