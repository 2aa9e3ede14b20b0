"""Plain data as frozen values again, told what they are by their own type hints.

For documents of other versions: keys that a class doesn't know are left alone, and a field whose key is
missing is unknown. What contradicts its type is damage.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

#: What stands for a missing value of a type that has no unknown.
_EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}

#: The guarded one of the words of a missing field: nobody may read it as good news.
_GUARDED = ("inconclusive", "unclear", "off", "suite", "score", "higher")


class DecodeError(ValueError):
    """Says where the data isn't what its type says."""


def decode(cls: type[T], data: Any, *, where: str, **given: Any) -> T:
    """An instance of a dataclass.

    Args:
        cls: whose fields are plain values, dataclasses, tuples and mappings of them.
        data: a mapping of its fields; more keys are left alone.
        where: what the data is, for the error.
        given: fields that are there already, or stand in the data in another shape.

    Raises:
        DecodeError: when the data is not of the types of its fields.
    """
    if not isinstance(data, Mapping):
        raise DecodeError(f"{where} is no object")
    values = dict(given)
    kind: Any = cls
    for field, hint in _fields(kind):
        if field.name in values:
            continue
        if field.name in data:
            values[field.name] = _value(hint, data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            values[field.name] = _unknown(hint)
    return cls(**values)


@lru_cache(maxsize=64)
def _fields(cls: Any) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    hints = get_type_hints(cls)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(cls))


def _unknown(hint: Any) -> Any:
    """``None`` where the type has it; else what is empty, or the guarded one of its words."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return None
    if origin is Literal:
        words = get_args(hint)
        return next((word for word in _GUARDED if word in words), words[0])
    if origin is tuple:
        return ()
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, {}, where="")
    return _EMPTY.get(hint, {})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _one_of(get_args(hint), value, where)
    if origin is Literal:
        if value in get_args(hint):
            return value
    elif origin is tuple:
        return _tuple(get_args(hint), value, where)
    elif origin is not None and isinstance(value, Mapping):
        of_key, of_value = get_args(hint)
        return {_key(of_key, k, where): _value(of_value, v, f"{where}.{k}") for k, v in value.items()}
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value, where=where)
    elif origin is None and _is_plain(hint, value):
        return float(value) if hint is float else value
    raise DecodeError(f"{where} is {_short(value)}, which it can't be")


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value or ``None``: no field of the documents has more alternatives."""
    if value is None and NoneType in hints:
        return None
    return _value(next(hint for hint in hints if hint is not NoneType), value, where)


def _tuple(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise DecodeError(f"{where} is {_short(value)}, not a list")
    if hints[1:] == (Ellipsis,):
        return tuple(_value(hints[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if len(value) != len(hints):
        raise DecodeError(f"{where} has {len(value)} values, not {len(hints)}")
    return tuple(_value(hint, each, where) for hint, each in zip(hints, value, strict=True))


def _key(hint: Any, key: Any, where: str) -> Any:
    if hint is not int:
        return key
    try:
        return int(key)  # keys of JSON are texts
    except ValueError:
        raise DecodeError(f"{where} has the key {_short(key)}, which is no number") from None


def _is_plain(hint: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
