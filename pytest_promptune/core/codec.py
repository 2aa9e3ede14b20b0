"""Canonical JSON: what is hashed, stored, or sent between processes has one shape."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from typing import Any

from pytest_promptune.core.errors import ScoreError


def to_jsonable(value: object, *, where: str) -> Any:
    """Turn `value` into plain JSON data.

    Mappings, sequences, sets, dataclasses, enums, dates, pydantic models (LangChain messages among
    them) and numpy scalars are converted. ``where`` says in messages what the value belongs to.

    Raises:
        ScoreError: for anything else, and for NaN or infinity, naming the place inside the value.
    """
    try:
        return _jsonable(value, where)
    except RecursionError:
        raise ScoreError(
            f"{where} is nested too deeply or contains itself, which is not JSON. Return plain data."
        ) from None


def _jsonable(value: object, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _jsonable(value.value, where)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ScoreError(f"{where} is {value}, which is not JSON. Return a finite number or None.")
        return float(value)
    return _container(value, where)


def _container(value: object, where: str) -> Any:
    if isinstance(value, Mapping):
        plain = {_key(k, where): _jsonable(v, f"{where}[{k!r}]") for k, v in value.items()}
        if len(plain) < len(value):
            raise ScoreError(
                f"{where} has keys that are equal as text, as 1 and '1'; JSON keeps one of them."
            )
        return plain
    if isinstance(value, Set):
        return sorted((_jsonable(v, f"{where} (a set)") for v in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_jsonable(v, f"{where}[{i}]") for i, v in enumerate(value)]
    return _jsonable(_plain(value, where), where)


def unboxed(value: Any) -> Any:
    """Scalars of numpy, torch and their like as Python's own; everything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def _plain(value: object, where: str) -> object:
    """One step towards JSON for the objects people return from apps."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        try:
            dumped: object = dump(mode="json")
        except Exception as error:  # pydantic has several; what counts is that there is no JSON form
            raise ScoreError(f"{where} is {_describe(value)} without a JSON form: {error}") from None
        return dumped
    scalar = unboxed(value)
    if scalar is not value:
        return scalar
    isoformat = getattr(value, "isoformat", None)
    if callable(isoformat) and not isinstance(value, type):
        return str(isoformat())
    raise ScoreError(
        f"{where} is {_describe(value)}, which is not JSON. Return plain data: dicts, lists, strings, "
        "finite numbers, booleans, None, dataclasses, pydantic models or LangChain messages."
    )


def _describe(value: object) -> str:
    kind = type(value)
    return f"an object of type {kind.__module__}.{kind.__qualname__}"


def _key(key: object, where: str) -> str:
    if key is None or isinstance(key, str | int):
        return str(key)
    raise ScoreError(f"{where} has the key {key!r}; keys of JSON objects are strings.")


def canonical(value: object, *, where: str) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, no NaN."""
    return json.dumps(
        to_jsonable(value, where=where),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def sha256(text: str) -> str:
    """The hash of a text as it stands in files: ``sha256:`` and 16 hexadecimal digits.

    Sixty-four bits are plenty to notice an edit, and short enough for a reviewer's eye.
    """
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
