"""Values for fake models: valid by their schema, choices visited in turn, the same for the same seed."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_promptune.core.fakes.patterns import text_of_pattern
from pytest_promptune.core.fakes.values import Faker


def values(schema: Any, number: int = 20, seed: int = 0) -> list[Any]:
    faker = Faker(Random(seed))
    return [faker.value(schema, "node") for _ in range(number)]


def test_choices_come_in_turn():
    """Each value of an enumeration, a boolean or an alternative once before any comes again."""
    assert values({"enum": ["a", "b", "c"]}, 6) == ["a", "b", "c", "a", "b", "c"]
    assert values({"type": "boolean"}, 3) == [True, False, True]
    assert values({"const": 7}, 2) == [7, 7]
    kinds = [type(value) for value in values({"anyOf": [{"type": "string"}, {"type": "null"}]}, 4)]
    assert kinds == [str, type(None), str, type(None)]
    assert [type(value) for value in values({"type": ["integer", "null"]}, 2)] == [int, type(None)]


def test_choices_in_one_answer_meet_in_all_ways():
    """Two of three values each have had all nine pairs after nine answers."""
    schema = {"type": "object", "properties": {name: {"enum": [1, 2, 3]} for name in "ab"}}
    assert len({(value["a"], value["b"]) for value in values(schema, 9)}) == 9


def test_places_have_turns_of_their_own():
    """What one node chose doesn't move another one on."""
    faker = Faker(Random(0))
    assert [faker.value({"enum": [1, 2]}, place) for place in ("a", "b", "a")] == [1, 1, 2]


def test_seeds():
    """The same seed gives the same values, another one others."""
    schema = {"type": "number"}
    assert values(schema) == values(schema)
    assert values(schema) != values(schema, seed=1)


@given(low=st.integers(-1000, 1000), span=st.integers(0, 500), seed=st.integers(0, 99))
def test_numbers_stay_within_their_bounds(low, span, seed):
    """Minimum, maximum, and the bounds that are left out; steps."""
    high = low + span
    for value in values({"type": "integer", "minimum": low, "maximum": high}, 5, seed):
        assert isinstance(value, int)
        assert low <= value <= high
    for value in values({"type": "number", "exclusiveMinimum": low, "maximum": high + 1}, 5, seed):
        assert low < value <= high + 1
    for value in values({"type": "integer", "maximum": low, "multipleOf": 5, "minimum": low - 20}, 5, seed):
        assert value % 5 == 0
        assert low - 20 <= value <= low


def test_texts():
    """Lengths, formats and patterns."""
    assert all(12 <= len(text) <= 14 for text in values({"type": "string", "minLength": 12, "maxLength": 14}))
    assert {len(text) for text in values({"type": "string", "maxLength": 1})} == {1}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", values({"type": "string", "format": "date"}, 1)[0])
    assert re.fullmatch(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", values({"type": "string", "format": "uuid"})[0]
    )
    assert all(
        re.fullmatch(r"[A-Z]{3}-\d+", text)
        for text in values({"type": "string", "pattern": r"^[A-Z]{3}-\d+$"})
    )
    assert all(isinstance(text, str) for text in values({"type": "string", "pattern": r"(?=x)(?!x)["}))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?:yes|no)$",
        r"[^\s@]+@[a-z]{2,5}\.(com|org)",
        r"(?P<a>\w{2}){3}x?y*z+",
        r"\+?[0-9]{7,15}",
        r"^#[0-9a-fA-F]{6}$",
        r"a{2}b{,3}c{1,}\.\\",
        r"[]a-]{4}",
    ],
)
def test_patterns(pattern):
    """What is made matches as a whole."""
    rng = Random(0)
    for _ in range(50):
        assert re.fullmatch(pattern, text_of_pattern(pattern, rng)), pattern


def test_objects_lists_and_references():
    """As pydantic writes them: definitions, alternatives, defaults, lists of objects."""
    from pydantic import BaseModel, Field

    class Step(BaseModel):
        title: str = Field(min_length=3)
        kind: str = Field(pattern="^(web|mail)$")

    class Plan(BaseModel):
        steps: list[Step] = Field(min_length=2, max_length=3)
        first: Step
        score: float = Field(ge=0, le=1)
        note: str | None = None
        parent: Plan | None = None
        tags: set[int] = Field(min_length=2)

    for value in values(Plan.model_json_schema(), 30):
        Plan.model_validate(value)


@pytest.mark.parametrize(
    "schema", [True, {}, {"$ref": "#/nowhere"}, {"enum": []}, {"allOf": [{"type": "string"}]}]
)
def test_schemas_that_say_little(schema):
    """Something, and never an error."""
    assert len(values(schema, 3)) == 3


def test_what_is_said_of_all():
    """Parts of ``allOf`` hold together."""
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"const": 1}}},
            {"type": "object", "properties": {"b": {"const": 2}}},
        ]
    }
    assert values(schema, 1) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        ("Answer with one word: billing, bug or other.", ["billing", "bug", "other", "billing"]),
        ("Is it urgent? Say yes or no.", ["yes", "no", "yes", "no"]),
        (
            "Is it a payment, a late parcel or a product? Say so.",
            ["a payment", "a late parcel", "a product", "a payment"],
        ),
        ("Reply refund|bug|other", ["refund", "bug", "other", "refund"]),
    ],
)
def test_choices_in_words(prompt, answers):
    """Those that a prompt names come in turn."""
    faker = Faker(Random(0))
    assert [faker.text([prompt], "node") for _ in range(4)] == answers


def test_texts_without_a_choice():
    """Some words, as of a reply; two words with an "or" are no choice."""
    faker = Faker(Random(0))
    assert len(faker.text(["Write to the customer or friend."], "node").split()) == 3


def test_the_first_prompt_that_names_a_choice():
    """What a system message says goes before what a person writes."""
    faker = Faker(Random(0))
    assert faker.text(["Be kind.", "Say x, y or z.", "I saw a, b and c."], "node") == "x"


def test_choices_in_a_long_text():
    """A table of many words is no list of choices, and a list as long is read from its end."""
    labels = ", ".join(f"label-{number}" for number in range(20_000))
    prompt = f"{labels}. {'x' * 200_000}"
    assert Faker(Random(0)).text([prompt], "node").split() != []
    assert Faker(Random(0)).text([f"{labels} or none"], "node").startswith("label-199")
