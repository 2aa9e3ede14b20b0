"""Case, variant, usage: what they refuse and what makes them the same."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.errors import CaseError, PromptuneError, ScoreError
from pytest_promptune.core.model import Case, SampleError, Usage, Variant

FAST = settings(max_examples=60, deadline=None, database=None)
NUMBERS = st.none() | st.integers(0, 1000)
USAGES = st.builds(Usage, input_tokens=NUMBERS, output_tokens=NUMBERS, cost_usd=NUMBERS)


@pytest.mark.parametrize("bad", ["", "  ", "\n", None, 3, 1.5, b"x", ("a",)], ids=repr)
def test_ids_are_texts(bad):
    """An id is a non-empty string; the message repeats what was given."""
    with pytest.raises(CaseError) as caught:
        Case(id=bad, input={})
    assert repr(bad) in str(caught.value)
    assert isinstance(caught.value, PromptuneError)


def test_number_as_id_is_told_how_to_write_it():
    """The usual slip, a number, is answered with the cure."""
    with pytest.raises(CaseError, match="Write id='3'"):
        Case(id=3, input={})


@pytest.mark.parametrize("bad", [0, -1, float("nan"), "1", None, True], ids=repr)
def test_weights_are_positive(bad):
    """A weight is a number above 0; True is no number."""
    with pytest.raises(CaseError, match="weight"):
        Case(id="a", input={}, weight=bad)


def test_text_of_a_case_is_its_id():
    """str(case) is the id, so `ids=str` names pytest's parameters."""
    assert str(Case(id="TC 1 – é", input=1)) == "TC 1 – é"


def test_fingerprint_is_of_input_and_expected():
    """Id, tags and weight may change; input and expected make another case."""
    case = Case(id="a", input={"q": "x", "n": 1}, expected={"intent": "bug"})
    same = Case(id="b", input={"n": 1, "q": "x"}, expected={"intent": "bug"}, tags={"t": 1}, weight=2)
    assert case.fingerprint == same.fingerprint
    others = [
        dataclasses.replace(case, input={"q": "x", "n": 2}),
        dataclasses.replace(case, expected={"intent": "billing"}),
        dataclasses.replace(case, expected=None),
        Case(id="a", input=case.expected, expected=case.input),
        Case(id="a", input=[case.input, case.expected]),
    ]
    assert len({case.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_fingerprint_of_something_without_json_form():
    """The message names the case and the place."""
    with pytest.raises(ScoreError) as caught:
        _ = Case(id="TC7", input={"f": object()}).fingerprint
    assert "Case 'TC7'" in str(caught.value)
    assert "['f']" in str(caught.value)


def test_values_are_frozen():
    """Nobody changes a case or variant after it was read."""
    for value, name in ((Case(id="a", input=1), "id"), (Variant(name="v"), "name"), (Usage(), "cost_usd")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "x")


def test_variant_fingerprint_is_of_its_contents():
    """Name, description and changes don't count; context, nodes and templates do, each in its place."""
    variant = Variant(name="a", context={"t": 0.0})
    assert variant.fingerprint == Variant(name="b", description="d", context={"t": 0.0}).fingerprint
    others = [
        Variant(name="a"),
        Variant(name="a", context={"t": 0.1}),
        Variant(name="a", templates={"t": "0.0"}),
        Variant(name="a", nodes={"t": {"t": 0.0}}),
        Variant(name="a", context={"t": {"t": 0.0}}),
    ]
    assert len({variant.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_variant_text_is_its_name():
    """str(variant) can stand in an assertion's message."""
    assert str(Variant(name="fewshot")) == "fewshot"


@FAST
@given(USAGES, USAGES, USAGES)
def test_usage_adds_up(a, b, c):
    """Adding is associative and commutative, nothing is the neutral element, and known parts survive."""
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == a
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        known = [value for value in (getattr(a, name), getattr(b, name)) if value is not None]
        assert getattr(a + b, name) == (sum(known) if known else None)


def test_unknown_usage_is_none_not_zero():
    """Nothing added to nothing stays unknown; a known 0 stays 0."""
    assert sum([Usage(), Usage()], Usage()) == Usage(input_tokens=None, output_tokens=None, cost_usd=None)
    assert (Usage(cost_usd=0.0) + Usage()).cost_usd == 0.0


def test_text_of_a_sample_error():
    """An exception without message is shown by its type alone."""
    assert str(SampleError(type="ValueError", message="no")) == "ValueError: no"
    assert str(SampleError(type="ValueError", message="")) == "ValueError"
