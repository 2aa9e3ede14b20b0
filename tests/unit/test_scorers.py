"""What can be a scorer, what its answers mean, and what an experiment makes of them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from log_samples import result, sample

from pytest_promptune.core.errors import ScoreError, SettingsError
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.jobs import Job
from pytest_promptune.core.matching import is_gated
from pytest_promptune.core.model import Case, SampleError, SampleRecord, ScorerScore, Scoring, Usage
from pytest_promptune.core.plan import Cell, Marks, PlannedItem, read_marks
from pytest_promptune.core.results import Result, SampleFacts, result_of
from pytest_promptune.core.scorers import (
    ScorerError,
    ScorerTally,
    Unscored,
    failures_told,
    read_scores,
    scorer_of,
    scores_of,
)
from pytest_promptune.core.scoring import Score
from pytest_promptune.engine import Engine
from pytest_promptune.store.log import sample_from_json, sample_to_json

make = partial(scorer_of, name="judge", home="", everywhere=True)
read = partial(read_scores, scorer="judge")


class AsyncJudge:
    async def __call__(self, *, outputs: Any, **kwargs: Any) -> bool:
        return True


# --- what can be a scorer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        (lambda outputs: True, ("outputs",)),
        (lambda inputs, outputs, reference_outputs: True, ("inputs", "outputs", "reference_outputs")),
        (lambda *, reference_outputs, other=3: True, ("reference_outputs",)),
        (lambda outputs, **kwargs: True, ("inputs", "outputs", "reference_outputs")),
        (partial(lambda rubric, outputs: True, "be kind"), ("outputs",)),
        (AsyncJudge(), ("inputs", "outputs", "reference_outputs")),
    ],
)
def test_arguments(value, takes):
    """A scorer gets those of the three arguments that it names, or all with ``**kwargs``."""
    assert make(value).takes == takes


def test_async_is_seen():
    """Coroutine functions and objects whose call is one are awaited in the loop."""

    async def judge(outputs: Any) -> bool:
        return True

    assert [make(value).is_async for value in (judge, AsyncJudge(), lambda outputs: True)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returns None"),
        (3, "of type int"),
        (dict, "of type type"),
        (lambda run, example=None: True, "'run'"),
        (lambda outputs, rubric: True, "'rubric'"),
        (lambda outputs, /: True, "'outputs'"),
        (lambda: True, "without arguments"),
    ],
)
def test_what_cannot_be_one(value, words):
    """Refused with the fixture's name and what is wanted."""
    with pytest.raises(ScorerError, match="judge") as error:
        make(value)
    assert words in str(error.value)


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "scores"),
    [
        (True, [("judge", 1.0, True, "")]),
        (np.bool_(False), [("judge", 0.0, True, "")]),
        (0.25, [("judge", 0.25, False, "")]),
        (np.float32(0.5), [("judge", 0.5, False, "")]),
        ({"score": 3}, [("judge", 3.0, False, "")]),
        ({"key": "k", "score": True, "comment": "why", "metadata": None}, [("k", 1.0, True, "why")]),
        ({"key": None, "score": 1.0, "reasoning": "why"}, [("judge", 1.0, False, "why")]),
        ({"key": "k", "score": None, "comment": "can't tell"}, [("k", None, False, "can't tell")]),
        ([{"key": "a", "score": 1}, {"key": "b", "score": False}], [("a", 1, False, ""), ("b", 0, True, "")]),
        ([{"score": 1}], [("judge", 1, False, "")]),
        ([], []),
    ],
)
def test_answers(answer, scores):
    """A bool, a number, a dict or a list of dicts; a value without a key has the scorer's name."""
    found = [(score.key, score.value, score.is_binary, score.comment) for score in read(answer)]
    assert found == scores


def test_results_of_langsmith():
    """LangSmith's own class of results is read like its dict."""
    evaluation = pytest.importorskip("langsmith.evaluation")
    (score,) = read(evaluation.EvaluationResult(key="k", score=True, comment="why"))
    assert score == ScorerScore(key="k", value=1.0, is_binary=True, comment="why")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "None"),
        ("good", "'good'"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ({"key": "k"}, "no 'score'"),
        ({"key": "k", "score": "0.5"}, "'0.5'"),
        ({"key": "a::b", "score": 1}, "'a::b'"),
        ({"key": 3, "score": 1}, "key is 3"),
        ({"key": "latency_s", "score": 1}, "every app has"),
        ([1, 2], "1"),
        ([{"score": 1}, {"score": 2}], "no 'key'"),
        ([{"key": "a", "score": 1}, {"key": "a", "score": 2}], "two values"),
    ],
)
def test_answers_that_say_nothing(answer, words):
    """Anything else is an error that quotes it."""
    with pytest.raises(ScoreError) as error:
        read(answer)
    assert words in str(error.value)


@pytest.mark.parametrize("value", ["judge", ["a b"], [3], {"judge"}, 3])
def test_marks_that_make_no_sense(value):
    """``scorers=`` is a list of names of fixtures."""
    with pytest.raises(SettingsError, match="a list of names of fixtures"):
        read_marks([((), {"scorers": value})], where="t.py::t")


def test_closest_mark_wins():
    """Like every keyword; a name that is given twice counts once."""
    marks = [((), {"scorers": ["a", "b", "a"]}), ((), {"scorers": ["c"]})]
    assert read_marks(marks, where="t.py::t").scorers == ("a", "b")
    assert read_marks([((), {"scorers": []}), marks[1]], where="t.py::t").scorers == ()
    assert read_marks([], where="t.py::t").scorers == ()


# --- results --------------------------------------------------------------------------------------

SCORINGS = (
    Scoring(
        scorer="judge",
        scores=(
            ScorerScore(key="tone", value=0.5, comment="dry"),
            ScorerScore(key="ok", value=1, is_binary=True),
        ),
        usage=Usage(cost_usd=0.5),
    ),
    Scoring(
        scorer="twin", home="a", scores=(ScorerScore(key="tone", value=0.0),), usage=Usage(cost_usd=0.25)
    ),
    Scoring(scorer="late", error=SampleError(type="ValueError", message="no"), unpriced=("m",)),
)


def test_results_carry_scores():
    """By full name; failures and one key of two scorers are told apart; all of it survives JSON."""
    planned = PlannedItem(
        nodeid="m.py::t",
        module="m.py",
        test="t",
        metric="t",
        marks=Marks(app="bot"),
        cell=Cell(variant="current", run=1),
        case=None,
    )
    record = SampleRecord(case_id="c", variant="current", run=1, output=1, scorings=SCORINGS)
    case = Case(id="c", input=1)
    found = result_of(planned, case=case, record=record, sample=None, outcome="passed", message="")
    assert found.scores == {
        "bot::tone": Score(value=0.5, kind="score", scorer="judge", comment="dry"),
        "bot::ok": Score(value=1.0, kind="binary", scorer="judge"),
    }
    assert found.sample is not None
    assert (found.sample.scorer_cost_usd, found.sample.scorer_unpriced) == (0.75, ("m",))
    errors = {error.scorer: error for error in found.sample.scorer_errors}
    assert errors["late"] == Unscored(scorer="late", reason="ValueError: no")
    assert "'tone' is that of the scorer 'judge'" in errors["twin"].reason
    assert Result.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("value", "is_binary", "kept"),
    [
        (0.0, True, "why"),
        (1.0, True, ""),
        (1.0, False, "why"),  # the worst of 1 to 5
        (None, False, "why"),
    ],
)
def test_comments_are_kept_unless_the_sample_passed(value, is_binary, kept):
    """Of a number nobody knows what would be the best; of a yes nobody asks why."""
    given = ScorerScore(key="k", value=value, is_binary=is_binary, comment="why")
    scores, _ = scores_of([Scoring(scorer="judge", scores=(given,))], app="bot")
    assert scores["bot::k"].comment == kept


def test_what_is_kept_of_a_sample_is_short():
    """All samples stay in memory to the end: 200 characters of a comment, 500 of an error."""
    given = ScorerScore(key="k", value=0.0, comment="word " * 1000)
    lost = SampleError(type="ValueError", message="word " * 1000, infrastructure=True)
    scorings = [Scoring(scorer="judge", scores=(given,)), Scoring(scorer="other", error=lost)]
    scores, (error,) = scores_of(scorings, app="bot")
    assert 190 < len(scores["bot::k"].comment) <= 200
    assert 490 < len(error.reason) <= 500
    assert error.infrastructure


def test_samples_carry_scorings():
    """They come back from plain data as they were."""
    logged = sample()
    logged = replace(logged, record=replace(logged.record, scorings=SCORINGS))
    assert sample_from_json(sample_to_json(logged)).record.scorings == SCORINGS


def of_scorer(case: str, value: float | None, *, test: str = "test_a", **more: Any) -> Result:
    scores = {} if value is None else {"bot::tone": Score(value=value, kind="score")}
    given = {"scores": scores, "sample": SampleFacts(), "outcome": "passed", "gate": None} | more
    return result(case, test=test, metric=test, **given)


def test_one_value_for_each_sample():
    """Several tests tell the same value; a sample without one is missing where a test scored others."""
    experiment = Experiment()
    for test in ("test_a", "test_b"):
        for case, value in (("c0", 0.5), ("c1", None)):
            experiment.add(of_scorer(case, value, test=test))
    experiment.add(of_scorer("c9", None, test="test_other"))
    (column,) = (column for column in experiment.columns() if column.name.metric == "bot::tone")
    assert column.all_scores("current") == {"c0": [0.5], "c1": [None]}
    assert (column.name.test, column.name.direction, column.name.unit) == ("test_a.py::bot", "higher", None)


@pytest.mark.parametrize(
    ("gates", "gated"),
    [
        ([None], True),
        ([("tone",)], True),
        ([("bot::tone",)], True),
        ([("test_a",)], False),
        ([("test_a",), None], True),
        ([None, ("test_a",)], True),
    ],
)
def test_gated_like_other_scores(gates, gated):
    """By default; where markers name others, only if one test keeps the defaults."""
    experiment = Experiment()
    for number, gate in enumerate(gates):
        experiment.add(of_scorer("c0", 0.5, test=f"test_{number}", gate=gate))
    (column,) = (column for column in experiment.columns() if column.name.metric == "bot::tone")
    assert is_gated(column, ()) is gated
    (latency,) = (c for c in [*experiment._columns.values()] if c.name.metric == "bot::latency_s")
    assert not is_gated(latency, ())


def test_tally():
    """Costs add up, and are unknown as soon as one is; a failure counts once for each sample."""
    tally = ScorerTally()
    assert tally.cost_usd is None
    tally.add(cost_usd=0.5, unpriced=())
    tally.add(cost_usd=None, unpriced=())
    tally.add(cost_usd=0.25, unpriced=())
    assert tally.cost_usd == 0.75
    tally.add(cost_usd=0.25, unpriced=("m",))
    assert (tally.cost_usd, tally.unpriced) == (None, ("m",))
    for run in (1, 2, 2):
        tally.fail("bot", "judge", "ValueError: no", "current", "c0", run)
    assert failures_told(tally.failures) == [
        "The scorer 'judge' gave no score for 2 samples of bot (c0): ValueError: no"
    ]


# --- engine ---------------------------------------------------------------------------------------


def test_calls_beside_each_other():
    """Calls that belong to a job run together in its slot, past the rate, with their own retries."""
    engine = Engine(concurrency=1, window=1, rate=1000)
    lost = [ConnectionError("lost")]

    def once_lost() -> str:
        if lost:
            raise lost.pop()
        return "found"

    async def conclude(_: Any) -> list[Any]:
        calls = [once_lost, lambda: "at once", lambda: 1 / 0]
        jobs = [Job(key=None, order=0, call=call, is_async=False, retries=1) for call in calls]
        return [outcome.value or type(outcome.error) for outcome in await engine.together(jobs)]

    try:
        engine.submit([Job(key="a", order=0, call=lambda: None, is_async=False, conclude=conclude)])
        assert engine.result("a") == ["found", "at once", ZeroDivisionError]
        extra = Job(key="b", order=0, call=lambda: engine.ended("a"), is_async=True, is_extra=True)
        engine.submit([extra])
        assert engine.result("b").value == ["found", "at once", ZeroDivisionError]
        assert engine.counts.done == 1
    finally:
        engine.close()
