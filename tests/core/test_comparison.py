"""From scores to rows: what is set beside what, which rules apply, and what a row tells."""

from dataclasses import replace
from typing import Any

import pytest

from pytest_promptune.core.baseline import Baseline, BaselineMetric, Recorded
from pytest_promptune.core.comparison import Rules, compare, measured
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.margins import Percent
from pytest_promptune.core.matching import Side, baseline_side, is_gated, is_named, match, short_name
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.view import CaseLists, MetricName

MODULE = "tests/test_m.py"


def metric(name: str = "test_a", *, test: str | None = None, kind: str = "binary", **more: Any) -> MetricName:
    values: dict[str, Any] = {
        "metric": name,
        "test": f"{MODULE}::{test or name.rpartition('::')[0] or name}",
        "module": MODULE,
        "app": "bot",
        "kind": kind,
        "direction": "higher",
        **more,
    }
    return MetricName(**values)


LATENCY = metric("bot::latency_s", kind="latency", direction="lower", unit="s")
ERRORS = metric("bot::error_rate", direction="lower")
WORDS = metric("test_a::words", kind="score")


def column(
    name: MetricName, gate: tuple[str, ...] | None = None, **variants: dict[str, list[float | None]]
) -> Column:
    found = Column(name, gate)
    for variant, cases in variants.items():
        for case, values in cases.items():
            for run, value in enumerate(values, 1):
                found.put(variant, case, run, value)
    return found


def side(label: str, scores: dict[str, list[float | None]], **hashes: str) -> Side:
    return Side(label=label, scores=scores, hashes=dict.fromkeys(scores, "same") | hashes)


def rules(**more: Any) -> Rules:
    values: dict[str, Any] = {"alpha": 0.05, "gate": "regression", "margins": {}, **more}
    return Rules(**values)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (metric("test_a"), None),
        (metric("TestX::test_a", test="TestX::test_a"), None),
        (metric("tone", test="test_a"), None),
        (WORDS, "words"),
        (metric("TestX::test_a::words", test="TestX::test_a"), "words"),
        (metric("test_a[x::y]::words", test="test_a[x::y]"), "words"),
        (LATENCY, "latency_s"),
    ],
    ids=lambda v: getattr(v, "metric", v),
)
def test_short_name(name, expected):
    """Scores and app metrics have a last part; assertion metrics have their name alone."""
    assert short_name(name) == expected


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        (WORDS, ["words"], True),
        (WORDS, ["test_a::words"], True),
        (WORDS, ["test_a"], False),
        (WORDS, ["test_b::words"], False),
        (WORDS, [], False),
        (metric("test_a"), ["test_a"], True),
        (LATENCY, ["latency_s"], True),
        (LATENCY, ["other::latency_s"], False),
    ],
)
def test_is_named(name, names, expected):
    """A metric is meant by its full name or its last part."""
    assert is_named(name, names) is expected


# --- which metrics are gated ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "gated"),
    [(metric("test_a"), True), (WORDS, True), (ERRORS, True), (LATENCY, False),
     (metric("bot::cost_usd", kind="cost", direction="lower"), False)],
    ids=lambda v: getattr(v, "metric", v),
)  # fmt: skip
def test_gated_by_default(name, gated):
    """Assertion metrics, scores and error_rate are gated; time and money are reported."""
    assert is_gated(column(name), ()) is gated


def test_a_score_called_like_an_app_metric_is_a_score():
    """A test's own latency_s is what it scored, and gated as such."""
    assert is_gated(column(metric("test_a::latency_s", kind="score")), ())


def test_ini_names_add_app_metrics():
    """promptune_gate_metrics gates time and money by name."""
    assert is_gated(column(LATENCY), ("latency_s",))
    assert is_gated(column(LATENCY), ("bot::latency_s",))
    assert not is_gated(column(LATENCY), ("cost_usd",))
    assert is_gated(column(metric("test_a")), ("latency_s",))


def test_marker_says_which_and_only_which():
    """The marker's list replaces the defaults, for tests and for the app."""
    gate = ("words", "latency_s")
    assert is_gated(column(WORDS, gate), ())
    assert is_gated(column(LATENCY, gate), ())
    assert not is_gated(column(metric("test_a"), gate), ())
    assert not is_gated(column(ERRORS, gate), ())
    assert not is_gated(column(metric("test_a"), ()), ("test_a",))


def of_two_tests(*gates: tuple[str, ...] | None) -> dict[str, Column]:
    experiment = Experiment()
    for number, gate in enumerate(gates, 1):
        experiment.add(
            Result(
                nodeid=f"n{number}",
                module=MODULE,
                test=f"test_{number}",
                metric=f"test_{number}",
                app="bot",
                case_id="c",
                case_hash="h",
                variant="current",
                run=number,
                outcome="passed",
                gate=gate,
                sample=SampleFacts(latency_s=1.0),
            )
        )
    return {found.name.metric: found for found in experiment.columns()}


@pytest.mark.parametrize("gates", [(None, ("words",)), (("words",), None)], ids=str)
def test_the_list_of_one_test_does_not_ungate_the_app_for_another(gates):
    """A test without a list keeps its defaults: error_rate stays gated, whichever test comes first."""
    assert is_gated(of_two_tests(*gates)["bot::error_rate"], ())


# --- setting sides beside each other --------------------------------------------------------------


def test_match_sorts_cases():
    """Changed cases are left out on both sides; cases of one side alone are listed."""
    reference = side("baseline:main", {"a": [1.0], "b": [1.0], "old": [1.0]}, b="before")
    candidate = side("current", {"b": [0.0], "a": [0.0], "new": [0.0]}, b="after")
    found = match(column(metric()), reference, candidate, gated=True)
    assert found.cases == CaseLists(changed=("b",), only_reference=("old",), only_candidate=("new",))
    assert found.reference.scores == {"a": [1.0], "old": [1.0]}
    assert found.candidate.scores == {"a": [0.0], "new": [0.0]}
    assert (found.reference.label, found.candidate.label, found.gated) == ("baseline:main", "current", True)


def test_a_case_without_hash_on_one_side_has_changed():
    """What can't be shown to be the same input isn't compared."""
    reference = Side(label="r", scores={"a": [1.0]}, hashes={})
    found = match(column(metric()), reference, side("c", {"a": [0.0]}), gated=True)
    assert found.cases.changed == ("a",)


RECORDED = Recorded(at="", commit=None, dirty=None, runs=1, promptune="")


def baseline(name: str = "test_a", **more: Any) -> Baseline:
    values: dict[str, Any] = {"direction": "higher", "unit": None, "kind": "binary", **more}
    scores = {name: {"a": [1.0], "b": [1.0], "gone": [1.0]}}
    return Baseline(
        recorded=RECORDED,
        cases=dict.fromkeys(scores[name], "same"),
        metrics={name: BaselineMetric(**values)},
        scores=scores,
    )


def test_deselected_cases_are_left_out():
    """A case that exists but didn't run says nothing; one that no longer exists is told."""
    now = column(metric(), current={"a": [1.0]})
    found = baseline_side(now, baseline(), "baseline:main", collected={"a", "b"})
    assert found.scores == {"a": [1.0], "gone": [1.0]}
    assert found.label == "baseline:main"
    assert found.hashes == baseline().cases


def test_a_case_whose_samples_were_lost_is_not_deselected():
    """A case that ran and gave nothing stays on the recorded side."""
    now = column(metric(), current={"a": [1.0], "b": [None]})
    assert set(baseline_side(now, baseline(), "x", collected={"a", "b"}).scores) == {"a", "b", "gone"}


def test_unknown_collection():
    """Where nobody knows which cases exist, all recorded ones stay."""
    now = column(metric(), current={"a": [1.0]})
    assert set(baseline_side(now, baseline(), "x", collected=None).scores) == {"a", "b", "gone"}


def test_reading_a_side_leaves_the_baseline_alone():
    """The baseline is written again later: its scores must not be thinned."""
    recorded = baseline()
    baseline_side(column(metric(), current={"a": [1.0]}), recorded, "x", collected={"a", "b"})
    assert set(recorded.scores["test_a"]) == {"a", "b", "gone"}


@pytest.mark.parametrize(
    "more", [{"direction": "lower"}, {"kind": "score"}, {"unit": "words"}], ids=lambda more: next(iter(more))
)
def test_another_measure_is_not_compared(more):
    """What was recorded in another kind, direction or unit is another measure."""
    now = column(metric(), current={"a": [1.0]})
    assert baseline_side(now, baseline(**more), "x", collected=None) is None


def test_a_metric_that_was_never_recorded():
    """There is no side for it."""
    assert (
        baseline_side(column(metric(), current={"a": [1.0]}), baseline("test_b"), "x", collected=None) is None
    )


# --- judging --------------------------------------------------------------------------------------

GOOD: dict[str, list[float | None]] = {f"c{i}": [1.0] * 5 for i in range(6)}
BAD: dict[str, list[float | None]] = {f"c{i}": [0.0] * 5 for i in range(6)}
MIXED: dict[str, list[float | None]] = {f"c{i}": [float((i + j) % 2) for j in range(5)] for i in range(6)}


def rows(*matches: Any, **more: Any) -> list[Any]:
    return compare(matches, rules(**more))


def pair(
    reference: dict[str, list[float | None]],
    candidate: dict[str, list[float | None]],
    name: MetricName | None = None,
    *,
    gated: bool = True,
) -> Any:
    sides = side("baseline:main", reference), side("current", candidate)
    return match(column(name or metric()), *sides, gated=gated)


def test_nothing_to_compare():
    """No matches, no rows."""
    assert rows() == []


def test_a_regression():
    """All cases fell: the row says so, with numbers, cases and the gate."""
    (row,) = rows(pair(GOOD, BAD))
    assert (row.verdict, row.gate, row.gated) == ("regressed", "failed", True)
    assert (row.reference, row.candidate, row.n_cases) == ("baseline:main", "current", 6)
    assert (row.reference_mean, row.candidate_mean, row.difference) == (1.0, 0.0, -1.0)
    assert row.p_worse_adjusted < 0.025
    assert not row.constant
    assert row.cases.regressed == tuple(GOOD)
    assert row.case_means == dict.fromkeys(GOOD, (1.0, 0.0))


def test_an_improvement_passes():
    """The other way round it is an improvement."""
    (row,) = rows(pair(BAD, GOOD))
    assert (row.verdict, row.gate) == ("improved", "passed")
    assert row.cases.improved == tuple(GOOD)


@pytest.mark.parametrize("value", [1.0, 0.0])
def test_constant(value):
    """All values equal on both sides: told in one line, passed, no case lists."""
    same: dict[str, list[float | None]] = {f"c{i}": [value] * 3 for i in range(4)}
    (row,) = rows(pair(same, same))
    assert row.constant
    assert row.gate == "passed"
    assert row.cases == CaseLists()


def test_constant_looks_at_common_cases_only():
    """A case of one side alone doesn't make a metric vary; missing values don't either."""
    one: dict[str, list[float | None]] = {"a": [1.0, None], "b": [1.0], "old": [0.0]}
    other: dict[str, list[float | None]] = {"a": [1.0], "b": [None, 1.0], "new": [0.0]}
    (row,) = rows(pair(one, other))
    assert row.constant
    assert row.cases == CaseLists(only_reference=("old",), only_candidate=("new",))


def test_no_common_cases_is_no_pass():
    """Nothing compared: neither constant, nor a verdict, nor numbers."""
    (row,) = rows(pair({"a": [1.0]}, {"b": [1.0]}))
    assert not row.constant
    assert (row.verdict, row.difference, row.n_cases) == ("inconclusive", None, 0)
    assert row.reason
    assert row.case_means == {}


def test_what_is_not_comparable_is_not_judged():
    """Means side by side, no verdict, no p; the other metrics don't share their error level with it."""
    other = match(column(WORDS), side("baseline:main", GOOD), side("current", BAD), gated=True)
    stopped = replace(pair(GOOD, BAD), obstacle="Another load.")
    unjudged, judged = compare([stopped, other], rules())
    (alone,) = compare([other], rules())
    assert (unjudged.verdict, unjudged.reason, unjudged.gate) == ("inconclusive", "Another load.", "passed")
    assert (unjudged.p, unjudged.ci, unjudged.minimum_detectable) == (None, None, None)
    assert (unjudged.reference_mean, unjudged.candidate_mean) == (alone.reference_mean, alone.candidate_mean)
    assert judged == alone


@pytest.mark.parametrize(
    ("more", "gate", "failure"),
    [
        ({"gate": "off"}, "off", None),
        ({"gate": "off", "strict": True}, "off", None),
        ({"gate": "non-inferiority"}, "failed", "not_shown"),
        ({"gate": "regression"}, "passed", None),
        ({"gate": "regression", "strict": True}, "failed", "inconclusive"),
    ],
)
def test_the_gate_of_what_is_not_comparable(more, gate, failure):
    """As for everything inconclusive: it fails where a good result has to be shown."""
    stopped = replace(pair(GOOD, BAD), obstacle="Another load.")
    row = compare([stopped], rules(**more))[0]
    assert (row.gate, row.failure) == (gate, failure)
    assert compare([replace(stopped, gated=False)], rules(**more))[0].gate == "off"


def test_equal_values_say_how_many_runs_would_do():
    """Of a metric without any difference `runs_needed` is what would make it `unchanged`."""
    (row,) = rows(pair({"a": [1.0] * 3, "b": [1.0] * 3}, {"a": [1.0] * 3, "b": [1.0] * 3}))
    assert (row.verdict, row.runs_needed) == ("inconclusive", 18)
    assert "18 runs per case" in row.reason


def test_not_gated_is_off():
    """What isn't gated has a verdict and never fails."""
    (row,) = rows(pair(GOOD, BAD, gated=False))
    assert (row.verdict, row.gate, row.gated) == ("regressed", "off", False)


def test_gate_off():
    """With the gate off nothing fails, and what would be gated is still told apart."""
    (row,) = rows(pair(GOOD, BAD), gate="off")
    assert (row.verdict, row.gate, row.gated) == ("regressed", "off", True)


def test_non_inferiority_fails_what_is_not_shown():
    """What regression lets pass as inconclusive, non-inferiority fails."""
    few = {case: values[:2] for case, values in MIXED.items()}
    assert rows(pair(few, few))[0].gate == "passed"
    assert rows(pair(few, few), gate="non-inferiority")[0].gate == "failed"


@pytest.mark.parametrize("key", ["test_a::words", "words"])
def test_margins(key):
    """A margin is given by full or short name, and reaches its metric only."""
    words = {case: [value * 10 + i for i, value in enumerate(values)] for case, values in MIXED.items()}
    one, other = rows(pair(words, words, WORDS), pair(MIXED, MIXED), margins={key: 2.5})
    assert one.margin == 2.5
    assert other.margin == pytest.approx(0.10)


def test_the_margin_of_the_full_name_wins():
    """A margin for one metric is more than one for all of that short name, in whichever order they stand."""
    words = {case: [value * 10 + i for i, value in enumerate(values)] for case, values in MIXED.items()}
    for margins in ({"words": 1.0, "test_a::words": 2.0}, {"test_a::words": 2.0, "words": 1.0}):
        (row,) = rows(pair(words, words, WORDS), margins=margins)
        assert row.margin == 2.0


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (WORDS, 3.0, 3.0),
        (WORDS, Percent(0.05), 0.5),
        (metric("bot::cost_usd", kind="cost", direction="lower"), Percent(0.05), 0.5),
        (LATENCY, 0.3, 3.0),
        (LATENCY, Percent(0.3), 3.0),
        (LATENCY, None, 1.0),
        (WORDS, None, 0.0),
        (metric(), Percent(0.05), 0.05),
        (metric(), 0.05, 0.05),
    ],
    ids=lambda v: getattr(v, "metric", repr(v)),
)
def test_tolerances_are_given_like_margins(name, given, expected):
    """Absolute or in per cent: of one for shares, of the reference for the rest; by full or short name."""
    tens: dict[str, list[float | None]] = {f"c{i}": [9.0, 10.0, 11.0] for i in range(4)}
    sides = (MIXED, MIXED) if name.kind == "binary" else (tens, tens)
    for key in (name.metric, short_name(name) or name.metric):
        (row,) = rows(pair(*sides, name), tolerances={} if given is None else {key: given})
        assert row.tolerance == pytest.approx(expected)


def test_a_tolerance_turns_a_verdict_and_says_so():
    """A drop that is certain and may be as small as the tolerance is no regression; its margin is its own."""
    names = {"tolerances": {"test_a": 0.9}, "margins": {"test_a": 0.99}}
    (row,) = rows(pair(GOOD, {**BAD, "c0": [1.0] * 5}), **names)
    assert (row.verdict, row.gate, row.tolerance) == ("unchanged", "passed", 0.9)
    assert "not clearly beyond the tolerance of 90.0 points" in row.reason
    assert row.p_worse_adjusted < 0.025


def test_strict_fails_what_is_open():
    """The same rows with and without strict: only the gate differs."""
    few = {case: values[:2] for case, values in MIXED.items()}
    (usual,), (strict,) = rows(pair(few, few)), rows(pair(few, few), strict=True)
    assert (usual.gate, usual.failure, strict.gate, strict.failure) == (
        "passed", None, "failed", "inconclusive",
    )  # fmt: skip
    assert (usual.verdict, usual.reason, usual.p) == (strict.verdict, strict.reason, strict.p)
    assert rows(pair(few, few, gated=False), strict=True)[0].gate == "off"


def test_single_cases_fail_where_they_are_gated():
    """One of twenty cases broke: the mean passes, its case doesn't."""
    good: dict[str, list[float | None]] = {f"c{i:02}": [1.0] * 3 for i in range(20)}
    broken = pair(good, {**good, "c03": [0.0] * 3})
    (usual,), (with_cases,) = rows(broken), rows(broken, gate_cases=True)
    assert (usual.gate, usual.failing_cases) == ("passed", ())
    assert (with_cases.gate, with_cases.failure) == ("failed", "cases")
    assert with_cases.failing_cases == with_cases.cases.regressed == ("c03",)
    assert with_cases.verdict == usual.verdict


def test_lower_is_better():
    """Where lower is better a rise is the regression."""
    (row,) = rows(pair(BAD, GOOD, ERRORS))
    assert row.verdict == "regressed"
    assert row.cases.regressed == tuple(GOOD)


def test_a_family_shares_the_error_level():
    """Each further gated metric makes a claim harder; what isn't gated doesn't."""
    slightly = {**GOOD, "c0": [0.0] * 5}
    alone = rows(pair(GOOD, slightly))[0]
    names = [metric(f"test_{i}") for i in range(4)]
    gated = rows(*(pair(GOOD, slightly, name) for name in names))
    loose = rows(pair(GOOD, slightly), *(pair(GOOD, slightly, name, gated=False) for name in names))
    assert gated[0].p_worse_adjusted > alone.p_worse_adjusted
    assert loose[0].p_worse_adjusted == alone.p_worse_adjusted


def test_same_metric_in_two_modules():
    """Names are unique in their module only; both are judged."""
    other = metric("test_a", test="test_a", module="tests/test_n.py")
    assert len(rows(pair(GOOD, BAD), pair(GOOD, BAD, other))) == 2


def test_same_input_same_verdict():
    """Chance is fixed: judging twice gives the same rows."""
    assert rows(pair(GOOD, MIXED)) == rows(pair(GOOD, MIXED))


# --- measuring ------------------------------------------------------------------------------------


def test_measured_row():
    """A metric of one variant: counts, mean, missing values, flaky cases, all from that variant."""
    found = measured(
        column(metric(), current={"a": [1.0, 1.0], "b": [0.0, 1.0], "c": [None, 0.0]}, v={"a": [0.0, 0.0]}),
        "current",
        alpha=0.05,
    )
    assert (found.variant, found.n_cases, found.n_samples, found.n_missing) == ("current", 3, 5, 1)
    assert found.mean == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    assert found.flaky_cases == ("b",)
    assert found.case_means == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert found.pass_all_runs == pytest.approx(1 / 3)
    assert found.p50 is None


def test_pass_all_runs_is_praise_only():
    """Where lower is better, all ones are nothing to be proud of."""
    assert measured(column(ERRORS, current={"a": [1.0]}), "current", alpha=0.05).pass_all_runs is None


def test_percentiles_of_times():
    """Latency has percentiles and no share of passes."""
    found = measured(column(LATENCY, current={"a": [1.0, 2.0, 3.0]}), "current", alpha=0.05)
    assert found.p50 == 2.0
    assert found.pass_all_runs is None
    assert found.flaky_cases == ()


def test_one_value_has_no_spread():
    """Unknown is None: one run of one case has no deviation, never 0 or NaN."""
    found = measured(column(metric(), current={"a": [1.0]}), "current", alpha=0.05)
    assert (found.mean, found.sd, found.within_case_sd, found.sd_of_runs) == (1.0, None, None, None)
