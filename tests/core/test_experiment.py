"""What items contribute, and the table of scores they add up to."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.model import Case, NodeRun, SampleError, SampleRecord, Usage, Variant
from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.core.results import Result, SampleFacts, result_of
from pytest_promptune.core.scorers import Unscored
from pytest_promptune.core.scoring import Classification, Sample, Score
from pytest_promptune.core.tally import tally
from pytest_promptune.core.view import MetricName

FAST = settings(max_examples=60, deadline=None, database=None)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=6)
RESULTS = st.builds(
    Result,
    nodeid=TEXT,
    module=TEXT,
    test=TEXT,
    metric=TEXT,
    app=TEXT,
    case_id=TEXT,
    case_hash=TEXT,
    variant=TEXT,
    run=st.integers(1, 9),
    outcome=st.sampled_from(["passed", "missed", "errored", "missing", "failed", "skipped"]),
    gate=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    scores=st.dictionaries(
        TEXT,
        st.builds(
            Score,
            value=st.none() | FLOATS,
            kind=st.sampled_from(["binary", "score"]),
            direction=st.sampled_from(["higher", "lower"]),
            unit=st.none() | TEXT,
        )
        | st.builds(Score, value=FLOATS, kind=st.just("score"), scorer=st.just("judge"), comment=TEXT),
        max_size=3,
    ),
    classification=st.none() | st.builds(Classification, predicted=TEXT, expected=TEXT),
    message=TEXT,
    scope=st.none() | TEXT,
    sample=st.builds(
        SampleFacts,
        latency_s=st.none() | FLOATS,
        usage=st.builds(
            Usage,
            input_tokens=st.none() | st.integers(0),
            output_tokens=st.none() | st.integers(0),
            cost_usd=st.none() | FLOATS,
        ),
        error=st.none() | st.builds(SampleError, type=TEXT, message=TEXT, infrastructure=st.booleans()),
        models=st.lists(TEXT, max_size=2).map(tuple),
        scorer_errors=st.lists(
            st.builds(Unscored, scorer=TEXT, reason=TEXT, infrastructure=st.booleans()), max_size=2
        ).map(tuple),
        nodes=st.lists(
            st.builds(
                NodeFacts,
                node=TEXT,
                calls=st.integers(0, 9),
                failed=st.integers(0, 9),
                retries=st.integers(0, 9),
                latency_s=st.none() | FLOATS,
                part_s=st.none() | FLOATS,
                input_tokens=st.none() | st.integers(0),
                output_tokens=st.none() | st.integers(0),
                cost_usd=st.none() | FLOATS,
                errors=st.lists(st.tuples(TEXT, st.integers(1, 9)), max_size=2).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
    ),
)

LOST = SampleError(type="RateLimitError", message="slow down", infrastructure=True)
BROKEN = SampleError(type="ValueError", message="no")


def result(
    outcome: str = "passed",
    *,
    test: str = "test_a",
    case: str = "c1",
    run: int = 1,
    variant: str = "current",
    module: str = "test_m.py",
    scores: dict[str, Score] | None = None,
    error: SampleError | None = None,
    latency_s: float | None = 0.5,
    **more: Any,
) -> Result:
    usage = Usage(input_tokens=3, output_tokens=4, cost_usd=0.25)
    values: dict[str, Any] = {
        "nodeid": f"{module}::{test}[{case}-{variant}-run{run}]",
        "module": module,
        "test": test,
        "metric": test,
        "app": "bot",
        "case_id": case,
        "case_hash": f"sha256:{case}",
        "variant": variant,
        "run": run,
        "outcome": outcome,
        "scores": scores or {},
        "sample": SampleFacts(latency_s=latency_s, usage=usage, error=error),
        **more,
    }
    return Result(**values)


def table(*results: Result) -> dict[str, Column]:
    experiment = Experiment()
    for one in results:
        experiment.add(one)
    return {column.name.metric: column for column in experiment.columns()}


def number(value: float | None) -> Score:
    return Score(value=value, kind="score")


def flag(value: bool | None) -> Score:
    return Score(value=None, kind="score") if value is None else Score(value=float(value), kind="binary")


# --- travelling -----------------------------------------------------------------------------------


@FAST
@given(RESULTS)
def test_results_survive_the_journey(found):
    """What a worker sends as JSON is what the controller takes in."""
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Result.from_json(json.loads(text)) == found


def test_reading_does_not_change_what_is_read():
    """The report's data stays as it was: other plugins may read it."""
    data = result().to_json()
    copy = json.loads(json.dumps(data))
    Result.from_json(data)
    assert data == copy


def test_a_sample_that_modules_share_counts_once():
    """One call of a shared app is one sample and paid once; each module still has its own facts of it."""
    experiment = Experiment()
    for module in ("test_m.py", "test_n.py"):
        experiment.add(result(module=module, scope=""))
        experiment.add(result(module=module, scope="", test="test_b"))
    counts = tally(experiment)
    assert (counts.cases, counts.samples) == (1, 1)
    assert (counts.usage.input_tokens, counts.usage.cost_usd) == (3, 0.25)
    assert len(experiment.samples) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"scope": "test_n.py"},
        {"scope": None},
        {"scope": "", "app": "other"},
        {"scope": "", "case_hash": "sha256:edited"},
        {"scope": "", "case": "c2"},
        {"scope": "", "variant": "terse"},
        {"scope": "", "run": 2},
    ],
    ids=repr,
)
def test_samples_that_only_look_alike_count_each(other):
    """A module's own app, another app, another content of the case, another variant or run: another call."""
    experiment = Experiment()
    experiment.add(result(scope=""))
    experiment.add(result(module="test_n.py", **other))
    assert tally(experiment).samples == 2


@pytest.mark.parametrize("first", [None, BROKEN], ids=["first answered", "first raised"])
def test_an_error_is_not_hidden_by_the_same_sample_of_another_machine(first):
    """Where parts of a suite generated a sample more than once, one that failed is counted."""
    experiment = Experiment()
    for error in (first, BROKEN if first is None else None):
        experiment.add(result(module=f"test_{error}.py", scope="", error=error))
    counts = tally(experiment)
    assert (counts.samples, counts.errored) == (1, 1)


ITEM = PlannedItem(
    nodeid="test_m.py::test_a[c1-v-run2]",
    module="test_m.py",
    test="test_a[formal]",
    metric="tone[formal]",
    marks=Marks(app="bot", gate=("words",)),
    cell=Cell(variant="v", run=2),
    case=None,
)
CASE = Case(id="c1", input={"q": 1}, expected="x")


def test_result_of_an_item():
    """An item contributes its names, its case's hash, its scores, and the facts of its sample."""
    record = SampleRecord(
        case_id="c1",
        variant="v",
        run=2,
        output="x",
        latency_s=0.5,
        usage=Usage(input_tokens=3),
        nodes=(NodeRun(node="a", models=("m1", "m2")), NodeRun(node="b", models=("m2",))),
    )
    seen = Sample(case=CASE, variant=Variant(name="v"), record=record)
    seen.score("words", 3)
    seen.classify(predicted="x", expected="x")
    found = result_of(ITEM, case=CASE, record=record, sample=seen, outcome="passed", message="")
    assert (found.test, found.metric, found.app) == ("test_a[formal]", "tone[formal]", "bot")
    assert (found.case_id, found.case_hash) == ("c1", CASE.fingerprint)
    assert (found.variant, found.run, found.gate) == ("v", 2, ("words",))
    assert found.scores == {"words": number(3.0)}
    assert found.classification == Classification(predicted="x", expected="x")
    assert found.sample == SampleFacts(
        latency_s=0.5,
        usage=Usage(input_tokens=3),
        models=("m1", "m2"),
        nodes=(NodeFacts(node="a", calls=0), NodeFacts(node="b", calls=0)),
    )


@pytest.mark.parametrize(
    ("message", "kept"),
    [("", ""), ("  \n ", ""), ("\n\nassert 1 == 2\n  where", "assert 1 == 2"), ("x" * 400, "x" * 300)],
)
def test_message_is_one_line(message, kept):
    """The first line of what an assertion says is kept, not all of a model's answer."""
    found = result_of(ITEM, case=CASE, record=None, sample=None, outcome="missed", message=message)
    assert found.message == kept


# --- columns --------------------------------------------------------------------------------------


def test_columns_of_a_test_and_its_app():
    """An assertion metric, a score, and the five metrics of the app, test metrics first."""
    found = table(result(scores={"words": number(7.0)}))
    assert list(found) == [
        "test_a",
        "test_a::words",
        "bot::latency_s",
        "bot::cost_usd",
        "bot::input_tokens",
        "bot::output_tokens",
        "bot::error_rate",
    ]
    assert {m: c.scores("current") for m, c in found.items()} == {
        "test_a": {"c1": [1.0]},
        "test_a::words": {"c1": [7.0]},
        "bot::latency_s": {"c1": [0.5]},
        "bot::cost_usd": {"c1": [0.25]},
        "bot::input_tokens": {"c1": [3.0]},
        "bot::output_tokens": {"c1": [4.0]},
        "bot::error_rate": {"c1": [0.0]},
    }
    name = MetricName(
        metric="test_a",
        test="test_m.py::test_a",
        module="test_m.py",
        app="bot",
        kind="binary",
        direction="higher",
    )
    assert found["test_a"].name == name
    app = found["bot::latency_s"].name
    assert (app.test, app.kind, app.direction, app.unit) == ("test_m.py::bot", "latency", "lower", "s")


@pytest.mark.parametrize(
    ("outcome", "error", "assertion", "error_rate"),
    [
        ("passed", None, 1.0, 0.0),
        ("missed", None, 0.0, 0.0),
        ("errored", BROKEN, 0.0, 1.0),
        ("missing", LOST, None, None),
        ("failed", None, None, 0.0),
    ],
)
def test_what_an_outcome_is_worth(outcome, error, assertion, error_rate):
    """Errored is 0 in the assertion metric and 1 in error_rate, missing nowhere, a failed test no value."""
    good = [result(case="c2"), result(case="c2", run=2)]
    found = table(*good, result(outcome, error=error), result("passed", run=2))
    assert found["test_a"].scores("current")["c1"] == [assertion, 1.0]
    assert found["bot::error_rate"].scores("current")["c1"] == [error_rate, 0.0]


@pytest.mark.parametrize(("outcome", "error"), [("errored", BROKEN), ("missing", LOST)])
def test_a_lost_sample_is_missing_in_every_other_metric(outcome, error):
    """Scores, latency, tokens and cost of a sample without output are missing, not 0."""
    found = table(
        result(scores={"words": number(5.0)}),
        result(outcome, run=2, error=error),
        result(run=3, scores={"words": number(6.0)}),
    )
    assert found["test_a::words"].scores("current") == {"c1": [5.0, None, 6.0]}
    for metric in ("latency_s", "cost_usd", "input_tokens", "output_tokens"):
        assert found[f"bot::{metric}"].scores("current")["c1"][1] is None


def test_a_score_that_was_not_given_is_missing():
    """Where one run of a test scored nothing, its value is missing there, whichever run came first."""
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        results = [result(), result(run=2, scores={"words": number(0.0)}), result(run=3)]
        found = table(*[results[i] for i in order])
        assert found["test_a::words"].scores("current") == {"c1": [None, 0.0, None]}


def test_scores_are_in_the_order_of_the_runs():
    """Items arrive in any order, from several workers too."""
    results = [result(run=run, scores={"n": number(run)}) for run in range(1, 6)]
    random.Random(2).shuffle(results)
    assert table(*results)["test_a::n"].scores("current") == {"c1": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_cases_without_any_value_are_left_out():
    """A case whose every sample was lost has no row; a metric without values has no column."""
    found = table(result(), result("missing", case="c2", error=LOST))
    assert found["test_a"].scores("current") == {"c1": [1.0]}
    assert "bot::error_rate" in table(result("errored", error=BROKEN))
    assert table(result("missing", error=LOST)) == {}


def test_skipped_items_contribute_nothing():
    """A skipped test is no miss and no sample."""
    assert table(result("skipped")) == {}


def test_variants_stand_apart():
    """Each variant has values of its own."""
    found = table(result(), result("missed", variant="v"))
    assert found["test_a"].scores("current") == {"c1": [1.0]}
    assert found["test_a"].scores("v") == {"c1": [0.0]}
    assert found["test_a"].scores("unknown") == {}


def test_modules_stand_apart():
    """Metrics of one name in two modules are two metrics, each beside its own app's."""
    experiment = Experiment()
    for module in ("test_b.py", "test_a.py"):
        experiment.add(result(module=module))
    found = [(column.name.module, column.name.metric) for column in experiment.columns()]
    assert found[0] == ("test_a.py", "test_a")
    assert [module for module, _ in found] == ["test_a.py"] * 6 + ["test_b.py"] * 6
    assert experiment.modules == ("test_b.py", "test_a.py")
    assert experiment.case_hashes("test_a.py") == {"c1": "sha256:c1"}
    assert experiment.case_hashes("elsewhere.py") == {}


def test_a_shared_sample_counts_once():
    """Two tests of one sample: one row of app metrics, one sample."""
    experiment = Experiment()
    experiment.add(result(latency_s=0.5))
    experiment.add(result(test="test_b", latency_s=0.5))
    assert len(experiment.samples) == 1
    columns = {column.name.metric: column for column in experiment.columns()}
    assert columns["bot::latency_s"].scores("current") == {"c1": [0.5]}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1.23456789, 1.23457),
        (123456789.0, 123457000.0),
        (0.000123456789, 0.000123457),
        (0.1 + 0.2, 0.3),
        (0.0, 0.0),
    ],
)
def test_six_significant_digits(value, kept):
    """Values stand in the table as they will stand in the baseline file."""
    assert table(result(scores={"n": number(value)}))["test_a::n"].scores("current") == {"c1": [kept]}


@FAST
@given(FLOATS)
def test_rounding_is_done_once(value):
    """Rounding what is rounded changes nothing, so measured and recorded values are equal."""
    once = Column(name=None, gate=None)
    once.put("v", "c", 1, value)
    again = Column(name=None, gate=None)
    again.put("v", "c", 1, once.scores("v")["c"][0])
    assert once.scores("v") == again.scores("v")


# --- kinds, directions, gates ---------------------------------------------------------------------


def test_booleans_make_a_binary_metric():
    """A metric of booleans is 0/1; one number among them makes it a score, wherever it stands."""
    assert table(result(scores={"ok": flag(True)}))["test_a::ok"].name.kind == "binary"
    for pair in ([flag(True), number(0.5)], [number(0.5), flag(True)]):
        found = table(*[result(run=run, scores={"ok": score}) for run, score in enumerate(pair, 1)])
        assert found["test_a::ok"].name.kind == "score"


@pytest.mark.parametrize("values", [[None, True], [True, None], [None, None, False]], ids=str)
def test_not_scored_says_nothing_about_the_kind(values):
    """None among booleans leaves the metric 0/1: which sample comes first must not matter."""
    found = table(*[result(run=run, scores={"ok": flag(value)}) for run, value in enumerate(values, 1)])
    assert found["test_a::ok"].name.kind == "binary"


def test_contradicting_directions_are_told_once():
    """A score with two directions is kept with the first, and the user is told."""
    experiment = Experiment()
    experiment.add(result(scores={"n": Score(value=1.0, kind="score", unit="s")}))
    for run in (2, 3):
        experiment.add(result(run=run, scores={"n": Score(value=1.0, kind="score", direction="lower")}))
    assert len(experiment.contradictions) == 1
    assert "test_a::n" in experiment.contradictions[0]
    (column,) = [c for c in experiment.columns() if c.name.metric == "test_a::n"]
    assert (column.name.direction, column.name.unit) == ("higher", "s")


def test_gates_of_several_tests_add_up():
    """Names that the markers of an app's tests want gated are all gated."""
    found = table(result(gate=("words",)), result(test="test_b", run=2, gate=("latency_s", "words")))
    assert found["bot::latency_s"].gate == ("words", "latency_s")
    assert found["test_a"].gate == ("words",)


def test_the_gate_of_the_second_test_of_a_sample_counts():
    """A marker that gates latency does so whichever test of the shared sample carries it."""
    found = table(result(), result(test="test_b", gate=("latency_s",)))
    assert "latency_s" in found["bot::latency_s"].gate


# --- samples --------------------------------------------------------------------------------------


def test_a_test_that_never_got_its_sample_says_nothing_of_the_app():
    """A fixture broke before the app was called: that is no sample, and no error_rate of 0."""
    item = result_of(ITEM, case=CASE, record=None, sample=None, outcome="failed", message="fixture broke")
    experiment = Experiment()
    experiment.add(item)
    assert len(experiment.samples) == 0
    assert list(experiment.columns()) == []


def test_facts_of_a_sample_come_from_the_test_that_got_it():
    """The first test of a sample broke in its fixtures; latency and usage are those the second one saw."""
    item = result_of(ITEM, case=CASE, record=None, sample=None, outcome="failed", message="fixture broke")
    record = SampleRecord(case_id="c1", variant="v", run=2, latency_s=0.5, usage=Usage(cost_usd=0.25))
    seen = Sample(case=CASE, variant=Variant(name="v"), record=record)
    experiment = Experiment()
    experiment.add(item)
    experiment.add(result_of(ITEM, case=CASE, record=record, sample=seen, outcome="passed", message=""))
    (facts,) = experiment.samples.values()
    assert facts.latency_s == 0.5
    assert facts.usage.cost_usd == 0.25
