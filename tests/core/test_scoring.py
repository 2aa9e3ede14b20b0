"""What a test may make of its sample."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import Case, NodeRun, SampleRecord, Usage, Variant
from pytest_promptune.core.scoring import Classification, Sample, Score

CASE = Case(id="TC1", input={"q": "x"}, expected={"intent": "bug"})


@pytest.fixture
def made() -> Sample:
    record = SampleRecord(
        case_id="TC1",
        variant="current",
        run=3,
        output={"intent": "bug"},
        latency_s=0.5,
        usage=Usage(input_tokens=3),
        nodes=(NodeRun(node="a/b", calls=2), NodeRun(node="c")),
    )
    return Sample(case=CASE, variant=Variant(name="current"), record=record)


def refused(made: Sample, name: object, value: object, **options: object) -> str:
    with pytest.raises(ScoreError) as caught:
        made.score(name, value, **options)
    assert "in case 'TC1', run 3" in str(caught.value)
    assert name not in made.scores
    return str(caught.value)


def test_what_a_test_sees(made):
    """Output, case, variant, run, latency, usage and nodes by path."""
    assert made.output == {"intent": "bug"}
    assert made.case is CASE
    assert (made.variant.name, made.run, made.latency_s, made.error) == ("current", 3, 0.5, None)
    assert made.usage == Usage(input_tokens=3)
    assert list(made.nodes) == ["a/b", "c"]
    assert made.nodes["a/b"].calls == 2
    assert repr(made) == "<Sample TC1 current run 3>"


@pytest.mark.parametrize("name", ["output", "case", "variant", "run", "error", "usage", "nodes"])
def test_a_sample_is_shared_so_nothing_can_be_set(made, name):
    """Tests share the sample: its facts can't be replaced."""
    with pytest.raises(AttributeError):
        setattr(made, name, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, Score(value=1.0, kind="binary")),
        (False, Score(value=0.0, kind="binary")),
        (np.bool_(True), Score(value=1.0, kind="binary")),
        (1, Score(value=1.0, kind="score")),
        (0.25, Score(value=0.25, kind="score")),
        (-0.0, Score(value=0.0, kind="score")),
        (Fraction(1, 4), Score(value=0.25, kind="score")),
        (np.float32(0.25), Score(value=0.25, kind="score")),
        (np.int64(3), Score(value=3.0, kind="score")),
        (np.array(3), Score(value=3.0, kind="score")),
        (None, Score(value=None, kind="score")),
    ],
    ids=repr,
)
def test_values(made, value, expected):
    """Booleans make 0/1 metrics, numbers scores, None is not scored; numpy scalars what they hold."""
    made.score("words", value)
    assert made.scores == {"words": expected}
    assert type(made.scores["words"].value) in (float, type(None))


def test_direction_and_unit(made):
    """Direction and unit travel with the score."""
    made.score("words", 3, direction="lower", unit="words")
    assert made.scores["words"] == Score(value=3.0, kind="score", direction="lower", unit="words")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), np.nan, np.float32("inf")], ids=repr
)
def test_not_a_number_is_refused(made, value):
    """NaN and infinity are refused; None says not scored."""
    assert "finite number, or None" in refused(made, "words", value)


@pytest.mark.parametrize("value", [1e61, -1e308, 10**61], ids=lambda value: f"{value:.0e}")
def test_what_is_too_large_is_refused(made, value):
    """Its square would be no number, and the session would end with that."""
    assert "too large to compute with" in refused(made, "words", value)
    made.score("other", 1e59)


@pytest.mark.parametrize(
    "value", ["1", [1], {}, 1j, Decimal(1), object(), np.array([1, 2])], ids=lambda v: type(v).__name__
)
def test_other_types_are_refused(made, value):
    """Only booleans, numbers and None can be scored."""
    refused(made, "words", value)


def test_numbers_too_large_are_refused_like_infinity(made):
    """An integer beyond the floats has no finite value."""
    refused(made, "words", 10**400)


@pytest.mark.parametrize("name", ["", "a::b", "a\nb", None, 3], ids=repr)
def test_names(made, name):
    """A metric's name is a line of text without '::', which joins it to its test."""
    assert "metric's name" in refused(made, name, 1)


@pytest.mark.parametrize("direction", ["up", None, "Higher", ""], ids=repr)
def test_directions(made, direction):
    """There are two directions."""
    assert "'higher' or 'lower'" in refused(made, "words", 1, direction=direction)


def test_one_value_for_each_name(made):
    """A second value of one name is refused, even after None; the first stays."""
    made.score("words", None)
    with pytest.raises(ScoreError, match="scored twice"):
        made.score("words", 2)
    assert made.scores["words"].value is None


def test_classify_a_hit(made):
    """A match passes and keeps the pair as text."""
    made.classify(predicted="bug", expected="bug")
    assert made.classification == Classification(predicted="bug", expected="bug")


def test_classify_a_miss_is_an_assertion(made):
    """A mismatch is an AssertionError that shows both, and the pair is kept."""
    with pytest.raises(AssertionError, match="classified as 'bug', expected 'billing'"):
        made.classify(predicted="bug", expected="billing")
    assert made.classification == Classification(predicted="bug", expected="billing")


def test_labels_are_compared_as_they_are(made):
    """1 is not '1', though both are kept as text."""
    with pytest.raises(AssertionError):
        made.classify(predicted=1, expected="1")
    assert made.classification == Classification(predicted="1", expected="1")


def test_classify_once(made):
    """Two classifications in one test are refused."""
    made.classify(predicted=1, expected=1)
    with pytest.raises(ScoreError, match="called twice"):
        made.classify(predicted=2, expected=2)
