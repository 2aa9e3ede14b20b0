"""Cases from files and tables: everything that is wrong with them is said at once, with its line."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.cases.files import Problems, read_file
from pytest_promptune.cases.tables import Row, plain, read_frame
from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.model import Case

if TYPE_CHECKING:
    from pandas import DataFrame

_EXPECTED = "expected_"
_OWN_KEYS = frozenset({"id", "input", "expected", "tags", "metadata", "weight"})


def load_cases(
    source: str | os.PathLike[str] | DataFrame | Iterable[Mapping[str, Any]],
    *,
    input_key: str | None = None,
) -> list[Case]:
    """Read cases from a file, a pandas DataFrame, or dicts.

    Files are ``.json`` (a list, or an object with ``test_cases`` or ``cases``), ``.jsonl``, ``.csv``,
    ``.yaml``, ``.yml`` or ``.parquet``, in UTF-8. ``id``, ``input``, ``expected``, ``tags`` and
    ``weight`` are the fields of `Case`; ``expected_*`` keys are collected into ``expected`` as a dict
    without the prefix; ``metadata`` is merged into ``tags``; every other key becomes a tag.

    In CSV files empty cells are absent, and cells of ``input``, ``expected*``, ``tags`` and
    ``metadata`` that are JSON objects or arrays are read as such; one that merely begins with ``{`` or
    ``[`` stays text. In DataFrames and parquet NaN and null are absent.

    Args:
        source: what to read.
        input_key: wraps inputs into ``{input_key: input}`` for graphs; a dict that already has this
            key is left alone.

    Raises:
        CaseError: with everything that is wrong, each with file and line (row, for tables).
    """
    name, rows, problems = _read(source)
    cases = [case for row in rows if (case := _case(row, problems, input_key)) is not None]
    _note_twice(rows, problems)
    problems.raise_any()
    if not cases:
        raise CaseError(f"{name}: there are no cases. Write at least one with an id and an input.")
    return cases


def _read(source: Any) -> tuple[str, list[Row], Problems]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        problems = Problems(str(path))
        return str(path), read_file(path, problems), problems
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return "DataFrame", read_frame(source), Problems("DataFrame")
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes | bytearray):
        rows = [
            Row(where=f"load_cases(...), item {number}", short=f"item {number}", data=plain(item))
            for number, item in enumerate(source, start=1)
        ]
        return "load_cases(...)", rows, Problems("load_cases(...)")
    raise CaseError(
        f"load_cases({source!r:.60}): cases come from a path, a pandas DataFrame or a list of dicts, "
        f"not from {type(source).__name__}. Pass one of those."
    )


def _case(row: Row, problems: Problems, input_key: str | None) -> Case | None:
    """The case of a row, or ``None`` after its problems were noted."""
    if not isinstance(row.data, Mapping):
        problems.add(
            row.where,
            f"this is {_kind(row.data)}, not an object. Write a case such as "
            '{"id": "TC001", "input": "…"}.',
        )
        return None
    found = len(problems.lines)
    odd = [key for key in row.data if not isinstance(key, str)]
    if odd:
        problems.add(row.where, f"the key {odd[0]!r} is not text. Put it in quotes.")
        return None
    data: Mapping[str, Any] = row.data
    _check_id(row, problems)
    if data.get("input") is None:
        problems.add(row.where, f'no input. Add "input", what the app is called with. {_keys(data, "input")}')
    weight = _weight(row, problems)
    expected = _expected(row, problems)
    tags = _tags(row, problems)
    if len(problems.lines) > found:
        return None
    return Case(
        id=data["id"], input=_wrapped(data["input"], input_key), expected=expected, tags=tags, weight=weight
    )


def _wrapped(value: Any, key: str | None) -> Any:
    if key is None or (isinstance(value, Mapping) and key in value):
        return value
    return {key: value}


def _check_id(row: Row, problems: Problems) -> None:
    case_id = row.data.get("id")
    if case_id is None or (isinstance(case_id, str) and not case_id.strip()):
        problems.add(
            row.where,
            'no id. Add "id", a text of its own that stays the same when other cases change. '
            + _keys(row.data, "id"),
        )
    elif not isinstance(case_id, str):
        advice = (
            'Convert the column: df["id"] = df["id"].astype(str).'
            if ", row " in row.where
            else f'Put it in quotes: "{case_id}".'
            if not isinstance(case_id, bool)
            else "Put it in quotes."
        )
        problems.add(row.where, f"the id {case_id!r} is {_kind(case_id)}, not text. {advice}")


def _keys(data: Mapping[str, Any], wanted: str) -> str:
    """What the row has instead."""
    near = [key for key in data if key.strip().lower() in (wanted, wanted + "s")]
    near = [key for key in near if key != wanted]
    if near:
        return f"There is {near[0]!r}: rename it to {wanted!r}."
    keys = [repr(key) for key in data]
    return f"The keys here are {', '.join(keys[:8])}{', …' if len(keys) > 8 else ''}." if keys else ""


def _note_twice(rows: list[Row], problems: Problems) -> None:
    first: dict[str, str] = {}
    for row in rows:
        case_id = row.data.get("id") if isinstance(row.data, Mapping) else None
        if not isinstance(case_id, str) or not case_id.strip():
            continue
        if case_id in first:
            problems.add(
                row.where,
                f"the id {case_id!r} is already used in {first[case_id]}. Give each case an id of its own.",
            )
        else:
            first[case_id] = row.short


def _weight(row: Row, problems: Problems) -> float:
    weight = row.data.get("weight")
    if weight is None:
        return 1.0
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        problems.add(
            row.where, f"the weight {weight!r} is {_kind(weight)}. Write a number above 0 without quotes."
        )
    elif not (math.isfinite(weight) and weight > 0):
        problems.add(row.where, f"the weight is {weight!r}. Write a finite number above 0, or leave it out.")
    else:
        return float(weight)
    return 1.0


def _expected(row: Row, problems: Problems) -> Any:
    data = row.data
    parts = {key[len(_EXPECTED) :]: value for key, value in data.items() if _is_expected(key)}
    whole = data.get("expected")
    if not parts:
        return whole
    if whole is None:
        return parts
    if not isinstance(whole, Mapping):
        names = ", ".join(repr(_EXPECTED + key) for key in parts)
        problems.add(
            row.where,
            f"'expected' is {_kind(whole)}, so {names} can't be added to it. "
            "Make 'expected' an object, or leave one of them out.",
        )
        return None
    merged = dict(whole)
    for key, value in parts.items():
        if key in merged and not _same(merged[key], value):
            problems.add(
                row.where,
                f"'expected' says {key!r} is {merged[key]!r}, {_EXPECTED + key!r} says {value!r}. "
                "Leave one of them out.",
            )
        merged[key] = value
    return merged


def _is_expected(key: str) -> bool:
    return key.startswith(_EXPECTED) and key != _EXPECTED


def _tags(row: Row, problems: Problems) -> dict[str, Any]:
    others = {key: value for key, value in row.data.items() if key not in _OWN_KEYS and not _is_expected(key)}
    tags: dict[str, Any] = {}
    for origin, part in (
        ("tags", row.data.get("tags")),
        ("metadata", row.data.get("metadata")),
        ("", others),
    ):
        if part is None:
            continue
        if not isinstance(part, Mapping):
            problems.add(
                row.where,
                f"{origin!r} is {_kind(part)}{_not_json(part)}. "
                'Write an object such as {"difficulty": "hard"}.',
            )
            continue
        for key, value in part.items():
            if key in tags and not _same(tags[key], value):
                problems.add(
                    row.where, f"the tag {key!r} is both {tags[key]!r} and {value!r}. Leave one of them out."
                )
            tags[key] = value
    return tags


def _not_json(value: Any) -> str:
    """Why a CSV cell that looks like an object is none."""
    return " that is not JSON" if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else ""


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), f"of type {type(value).__name__}")
