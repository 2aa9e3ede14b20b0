"""Canonical JSON: one text for equal data, and a message for what has no JSON form."""

import dataclasses
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from pytest_promptune.core.codec import canonical, sha256, to_jsonable
from pytest_promptune.core.errors import ScoreError

FAST = settings(max_examples=60, deadline=None, database=None)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Intent(StrEnum):
    BILLING = "billing"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Answer:
    text: str
    parts: list["Answer"] = dataclasses.field(default_factory=list)


class Reply(pydantic.BaseModel):
    when: date
    tags: set[str]


def refused(value: object) -> str:
    with pytest.raises(ScoreError) as caught:
        to_jsonable(value, where="output")
    return str(caught.value)


@FAST
@given(JSON)
def test_plain_data_stays_as_it_is(value):
    """JSON data passes through unchanged."""
    assert to_jsonable(value, where="x") == value


@FAST
@given(JSON)
def test_canonical_text_is_json_of_the_same_data(value):
    """The canonical text is JSON, and reading it gives the data back."""
    assert json.loads(canonical(value, where="x")) == value


@FAST
@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=6), st.randoms())
def test_order_of_keys_does_not_matter(data, random):
    """Two dicts with the same keys in another order have one text."""
    keys = list(data)
    random.shuffle(keys)
    assert canonical({key: data[key] for key in keys}, where="x") == canonical(data, where="x")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Intent.BILLING, "billing"),
        (Point(1, 2), [1, 2]),
        ((1, (2, 3)), [1, [2, 3]]),
        ({3, 1, 2}, [1, 2, 3]),
        pytest.param(frozenset({"b", "a"}), ["a", "b"], id="frozenset"),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Answer("a", [Answer("b")]), {"text": "a", "parts": [{"text": "b", "parts": []}]}),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array(3), 3),
        (range(3), [0, 1, 2]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
    ],
    ids=repr,
)
def test_converted(value, expected):
    """What people return from apps becomes plain data of the plain types."""
    found = to_jsonable(value, where="x")
    assert found == expected
    assert type(found) is type(expected)


def test_plain_types_inside_subclasses():
    """Subclasses of str, int and float are written as the plain type."""

    class Text(str):
        __slots__ = ()

    class Number(float):
        __slots__ = ()

    assert type(to_jsonable(Text("a"), where="x")) is str
    assert type(to_jsonable(Number(1.5), where="x")) is float
    assert to_jsonable(True, where="x") is True


def test_pydantic_models():
    """Pydantic models become their JSON form, at any depth."""
    found = to_jsonable({"r": [Reply(when=date(2026, 1, 2), tags={"a"})]}, where="x")
    assert found == {"r": [{"when": "2026-01-02", "tags": ["a"]}]}


def test_langchain_messages():
    """Messages of LangChain become dicts with their type and content."""
    found = to_jsonable({"messages": [HumanMessage("hi"), AIMessage("ho")]}, where="x")
    assert [(m["type"], m["content"]) for m in found["messages"]] == [("human", "hi"), ("ai", "ho")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")], ids=repr)
def test_no_nan_or_infinity(value):
    """NaN and infinity are refused; unknown is None."""
    assert "Return a finite number or None" in refused({"a": [value]})


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        bytearray(b"x"),
        object(),
        Decimal("1.5"),
        1j,
        np.array([1, 2]),
        pd.DataFrame(),
        Answer,
        Reply,
        (i for i in range(3)),
        len,
        datetime,
    ],
    ids=lambda v: type(v).__name__,
)
def test_refused(value):
    """Anything else is refused with its type and what would do."""
    message = refused(value)
    assert message.startswith("output is an object of type ")
    assert "Return plain data" in message


def test_message_names_the_place():
    """The message says where inside the value the culprit is."""
    assert refused({"a": [1, {"b": object()}]}).startswith("output['a'][1]['b'] is an object")


def test_keys():
    """Keys of JSON objects are strings; what can't be one without loss is refused."""
    assert "the key (1, 2)" in refused({(1, 2): "a"})
    assert "the key 1.5" in refused({1.5: "a"})


def test_keys_that_become_equal_are_not_lost():
    """Two keys with one text must not silently become one."""
    with pytest.raises(ScoreError):
        to_jsonable({1: "a", "1": "b"}, where="output")


def test_models_without_json_form_are_a_score_error():
    """A pydantic model that holds something without JSON form is refused like everything else."""

    class State(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        thing: Any

    refused(State(thing=object()))


def test_cycles_are_a_score_error():
    """Data that contains itself is refused, not recursed into for ever."""
    loop: list[Any] = []
    loop.append(loop)
    refused(loop)


def test_sha256_is_short_and_stable():
    """The hash is 64 bits in hexadecimal digits behind its name, for any text at all."""
    assert sha256("abc") == "sha256:ba7816bf8f01cfea"
    assert sha256("\ud800") != sha256("\ud801")
    assert sha256("é") != sha256("e\u0301")
