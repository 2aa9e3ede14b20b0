"""Bad input: a clear error that names metric, case and run, or the behaviour that is documented."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from pytest_promptune.core.errors import StatsError
from pytest_promptune.stats import (
    MetricSpec,
    Pair,
    benjamini_hochberg,
    case_changes,
    cases_needed,
    compare,
    compare_all,
    describe,
    goal_attainment,
    holm,
    judge,
    minimum_detectable,
    runs_needed,
    spending,
    variance_components,
)

GOOD = {"c1": [1, 0, 1], "c2": [1, 1, 1]}

#: Every function that takes scores, with one table of them.
TAKING = {
    "compare": lambda scores, **options: compare(GOOD, scores, **options),
    "judge": lambda scores, kind="binary", **options: judge(
        [Pair(metric="tone", reference="old", candidate="new", reference_scores=GOOD,
              candidate_scores=scores, spec=MetricSpec(kind))],
        **options,
    ),
    "case_changes": lambda scores, **options: case_changes(GOOD, scores, **options),
    "goal_attainment": lambda scores, **options: goal_attainment(scores, target=0.5, **options),
    "describe": lambda scores, kind="binary", **options: describe(scores, kind=kind, **options),
}  # fmt: skip


@pytest.fixture(params=TAKING.values(), ids=TAKING)
def taking(request):
    return request.param


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.inf, "infinite value inf"),
        (-math.inf, "infinite value -inf"),
        (10**400, "infinite value 1000[0]*"),
        ("good", "'good'"),
        ("1", "'1'"),
        ([1], r"\[1\]"),
        (1j, "1j"),
        (0.5, "not a binary value 0.5"),
        (2, "not a binary value 2"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_a_value_that_means_nothing_is_named_with_case_and_run(taking, value, words):
    """Infinite, no number (not even as text), or out of range of a 0/1 metric."""
    with pytest.raises(StatsError, match=rf"{words} in case 'c2', run 3.*Valid: "):
        taking({"c1": [1, 0], "c2": [1, None, value, 1]})


def test_values_whose_squares_are_no_numbers_are_refused():
    """Before they overflow in a sum; what is smaller by far is compared like everything else."""
    with pytest.raises(StatsError, match=r"score: too large a value 1e\+200 in case 'a', run 2 of reference"):
        compare({"a": [1, 1e200]}, {"a": [1, 1]}, kind="score")
    for size in (1e60, 1e-300):
        scores = {f"c{i}": [size, 0.5 * size, 0.7 * size] for i in range(4)}
        for kind in ("score", "latency", "cost"):
            for scope in ("suite", "population"):
                assert compare(scores, scores, kind=kind, scope=scope).difference == 0


def test_the_metric_and_the_side_are_named():
    """In a family of many metrics and variants the error says whose value it is."""
    with pytest.raises(StatsError, match=r"tone: .* in case 'c2', run 2 of new"):
        TAKING["judge"]({"c2": [1.0, math.inf]}, kind="score")
    with pytest.raises(StatsError, match=r"scores: .* in case 'a', run 1 is no number"):
        variance_components({"a": ["x"]})


@pytest.mark.parametrize("runs", ["101", 1, {"run1": 1}, {0, 1}, None], ids=repr)
def test_what_is_no_list_of_runs_is_refused(taking, runs):
    """A text must not be read as a list of its letters."""
    with pytest.raises(StatsError, match="'c1' is no list of runs"):
        taking({"c1": runs})


@pytest.mark.parametrize("scores", [[1, 0, 1], "c1", None, 3], ids=repr)
def test_what_is_no_table_is_refused(taking, scores):
    """Scores belong to cases."""
    with pytest.raises(StatsError, match="a dict of case id to its runs"):
        taking(scores)


def test_case_ids_of_several_types_are_refused():
    """They have no order, and pairing by them is a guess."""
    with pytest.raises(StatsError, match="case ids of several types"):
        compare({"a": [1, 1], 1: [0, 1]}, GOOD)


def test_booleans_are_zero_and_one():
    """Alone or among numbers, in every kind."""
    mixed, plain = (
        {"a": [True, 0.5, False, 1], "b": [np.True_, 0, 1, 1]},
        {"a": [1, 0.5, 0, 1], "b": [1, 0, 1, 1]},
    )
    for kind in ("score", "cost"):
        assert compare(mixed, GOOD | {"a": [1, 1]}, kind=kind) == compare(
            plain, GOOD | {"a": [1, 1]}, kind=kind
        )
    assert compare({"a": [True, 0, False]}, {"a": [1, np.False_, True]}) == compare(
        {"a": [1, 0, 0]}, {"a": [1, 0, 1]}
    )


def test_other_numbers_are_numbers():
    """What numpy, fractions and decimals call a number is one."""
    row = compare({"a": np.array([1, 2], dtype=np.float32)}, {"a": [np.int64(1), Decimal("2")]}, kind="score")
    assert row.difference == 0


@pytest.mark.parametrize(
    "alpha", [0, 0.5, -0.05, 0.7, 1, 5, math.nan, math.inf, "0.05", None, True], ids=repr
)
def test_alpha_lies_between_0_and_one_half(alpha):
    """The open interval (0, 0.5), wherever alpha is asked for."""
    pairs = [Pair(metric="m", reference="a", candidate="b", reference_scores=GOOD, candidate_scores=GOOD,
                  spec=MetricSpec())]  # fmt: skip
    for ask in (
        lambda: compare(GOOD, GOOD, alpha=alpha),
        lambda: judge(pairs, alpha=alpha),
        lambda: goal_attainment(GOOD, target=0.5, alpha=alpha),
        lambda: describe(GOOD, kind="binary", alpha=alpha),
        lambda: minimum_detectable(0.2, 0.2, cases=20, runs0=5, runs1=5, alpha=alpha),
        lambda: runs_needed(0.2, 0.2, cases=20, difference=0.1, alpha=alpha),
        lambda: cases_needed(0.1, 0.2, 0.2, runs0=5, runs1=5, difference=0.1, alpha=alpha),
    ):
        with pytest.raises(StatsError, match=r"alpha=.*above 0 and below 0.5"):
            ask()


@pytest.mark.parametrize("name", ["margin", "tolerance"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, "10%", True], ids=repr)
def test_margins_are_numbers_of_at_least_zero(name, value):
    """A negative margin would ask for an improvement, which is what a goal is for."""
    with pytest.raises(StatsError, match=f"{name}=.*at least 0"):
        compare(GOOD, GOOD, **{name: value})
    with pytest.raises(StatsError, match=f"{name}=.*at least 0"):
        MetricSpec(**{name: value})


@pytest.mark.parametrize("target", ["0.9", None, math.inf, math.nan, True, 90, -0.1], ids=repr)
def test_a_target_is_a_number_that_the_mean_could_have(target):
    """90 for 90 % would never be reached; the message shows the form."""
    with pytest.raises(StatsError, match="target="):
        goal_attainment(GOOD, target=target)
    assert goal_attainment(GOOD, target=90, kind="score").status == "missed"


@pytest.mark.parametrize("options", [{"kind": "accuracy"}, {"kind": None}, {"direction": "up"}], ids=str)
def test_unknown_kinds_and_directions_list_the_valid_ones(options):
    """In everything that takes them."""
    for ask in (compare, case_changes):
        with pytest.raises(StatsError, match=r"unknown. Valid: '"):
            ask(GOOD, GOOD, **options)
    with pytest.raises(StatsError, match=r"unknown. Valid: '"):
        goal_attainment(GOOD, target=0.5, **options)


@pytest.mark.parametrize(
    "options",
    [{"resamples": 9.5}, {"resamples": "many"}, {"resamples": True}, {"seed": 0.5}, {"max_missing": "0.2"},
     {"max_missing": math.nan}],
    ids=str,
)  # fmt: skip
def test_other_options_are_checked_too(options):
    """Each error names its option."""
    (name,) = options
    with pytest.raises(StatsError, match=f"{name}="):
        compare(GOOD, GOOD, **options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"var0": -0.1}, {"var1": math.nan}, {"var0": math.inf}, {"var0": "0.2"}, {"cases": 0},
        {"cases": None},
        {"runs0": 0}, {"runs1": -1}, {"difference": 0}, {"difference": -0.1}, {"difference": math.inf},
        {"power": 0}, {"power": 1}, {"power": 0.01}, {"family": 0}, {"family": 0.5}, {"safety": 0},
        {"stored_runs": 0}, {"omega2": -1},
    ],
    ids=str,
)  # fmt: skip
def test_planning_refuses_impossible_designs(wrong):
    """Every argument of the planning functions is checked, by name."""
    (name,) = wrong
    given = {"var0": 0.2, "var1": 0.2} | wrong
    asked = 0
    for function, more in (
        (minimum_detectable, {"cases": 20, "runs0": 5, "runs1": 5}),
        (runs_needed, {"cases": 20, "difference": 0.1}),
        (cases_needed, {"omega2": 0.1, "runs0": 5, "runs1": 5, "difference": 0.1}),
    ):
        takes = function.__code__.co_varnames[
            : function.__code__.co_argcount + function.__code__.co_kwonlyargcount
        ]
        if name in takes:
            asked += 1
            with pytest.raises(StatsError, match=f"{name}="):
                function(**more | given)
    assert asked


def test_a_difference_that_is_nearly_nothing_needs_more_than_there_is():
    """No overflow: there is no number of runs, and of cases the error says so."""
    assert runs_needed(0.2, 0.2, cases=20, difference=1e-200) is None
    with pytest.raises(StatsError, match="difference=1e-200: too small"):
        cases_needed(0.1, 0.2, 0.2, runs0=5, runs1=5, difference=1e-200)


@pytest.mark.parametrize("kind", ["binary", "score", "latency", "cost"])
@pytest.mark.parametrize("scope", ["suite", "population"])
@pytest.mark.parametrize(
    "scores",
    [{}, {"c1": []}, {"c1": [None, math.nan], "c2": [None]}],
    ids=["empty", "no runs", "all missing"],
)
def test_nothing_there_is_unknown_not_zero(kind, scope, scores):
    """An empty table, or one with nothing but missing values: no number, and a verdict that says why."""
    row = compare(GOOD, scores, kind=kind, scope=scope)
    assert (row.verdict, row.n_cases, row.mean_candidate, row.p_value, row.ci) == (
        "inconclusive",
        0,
        None,
        None,
        None,
    )
    assert case_changes(GOOD, scores, kind=kind) == []
    goal = goal_attainment(scores, target=0.5, kind=kind, scope=scope)
    assert (goal.status, goal.mean, goal.ci, goal.reached, goal.p_value) == (
        "unclear",
        None,
        None,
        None,
        None,
    )
    parts = variance_components(scores)
    assert (parts.n_cases, parts.within, parts.between, parts.icc, parts.flaky_cases) == (
        0,
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("kind", ["binary", "score", "latency", "cost"])
@pytest.mark.parametrize("scope", ["suite", "population"])
@pytest.mark.parametrize("runs", [[1], [1, 0, 1]], ids=["one run", "one case"])
def test_one_case_and_one_run(kind, scope, runs):
    """A single case, with one run or three, has an answer in everything, and it isn't certainty."""
    scores = {"only": runs}
    assert compare(scores, scores, kind=kind, scope=scope).verdict == "inconclusive"
    (change,) = case_changes(scores, scores, kind=kind)
    assert change.change == "unchanged"
    assert goal_attainment(scores, target=0.9, kind=kind, scope=scope).status == "unclear"
    parts = variance_components(scores)
    assert parts.between is None
    assert (parts.within is None) == (len(runs) == 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.5", True], ids=repr)
def test_p_values_are_probabilities(value):
    """Adjusting anything else would give numbers that look like p-values."""
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(StatsError, match=r"p_values\[1\]="):
            adjust([0.5, value, None])
        assert adjust([0, 1, None])[2] is None


@pytest.mark.parametrize("looks", [[], [0, 3], [3, 3], [5, 3], [1.5, 3], ["3"], [None]], ids=str)
def test_looks_are_ascending_numbers_of_runs(looks):
    """Whole numbers, each larger than the one before."""
    with pytest.raises(StatsError, match="looks="):
        spending(0.025, looks)


@pytest.mark.parametrize("total", [0, 1, -0.1, math.nan, "0.025", None], ids=repr)
def test_an_error_level_is_spent_where_there_is_one(total):
    """A number between 0 and 1."""
    with pytest.raises(StatsError, match="total="):
        spending(total, [3, 6, 10])


# --- tables ---------------------------------------------------------------------------------------


def table(**changed):
    rows = [
        {"variant": variant, "case": f"c{case}", "run": run, "metric": "tone", "value": float(run % 2)}
        for variant in ("current", "polite")
        for case in range(3)
        for run in (1, 2, 4)
    ]
    for name, value in changed.items():
        rows[-1][name] = value
    return pd.DataFrame(rows)


SPEC = {"tone": MetricSpec("binary")}


@pytest.mark.parametrize("value", ["good", "1", math.inf, 0.5, [1]], ids=repr)
def test_a_value_of_a_table_is_named_with_its_row(value):
    """Metric, case, run (by its name, not its position) and variant."""
    with pytest.raises(StatsError, match=r"tone: .* in case 'c2', run 4, of polite"):
        compare_all(table(value=value), reference="current", metrics=SPEC)


@pytest.mark.parametrize("name", ["variant", "case", "run", "metric"])
def test_a_row_without_a_name_is_no_missing_value(name):
    """Dropping it would be silence about a slip."""
    with pytest.raises(StatsError, match=f"rows without {name}"):
        compare_all(table(**{name: None}), reference="current", metrics=SPEC)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (pd.DataFrame(), "no column variant"),
        (table().iloc[:0], "table is empty"),
        ([1, 2], "no column variant"),
    ],
    ids=["nothing", "no rows", "list"],
)
def test_empty_tables(scores, words):
    """They say that they are empty."""
    with pytest.raises(StatsError, match=words):
        compare_all(scores, reference="current", metrics=SPEC)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [({}, "none named"), ({"tone": "binary"}, "not a MetricSpec"), ({"tome": MetricSpec()}, "Valid: tone")],
    ids=["none", "no spec", "unknown"],
)
def test_metrics_that_are_none(metrics, words):
    """Comparing nothing is no pass."""
    with pytest.raises(StatsError, match=words):
        compare_all(table(), reference="current", metrics=metrics)


def test_names_that_are_numbers():
    """Cases and variants may be numbers; 1 and "1" are one case, whose two values contradict each other."""
    numbers = table().replace({"current": 0, "polite": 1})
    assert compare_all(numbers, reference=0, metrics=SPEC).comparisons[0].candidate == "1"
    twice = pd.concat([table(case=1, run=1), table(case="1", run=1).iloc[-1:]])
    with pytest.raises(StatsError, match="more than one value"):
        compare_all(twice, reference="current", metrics=SPEC)


def test_missing_values_of_pandas():
    """pd.NA is as missing as NaN."""
    spoilt = table().astype({"value": "Int64"})
    spoilt.loc[spoilt.index[-1], "value"] = pd.NA
    row = compare_all(spoilt, reference="current", metrics=SPEC).comparisons[0]
    assert (row.n_missing_candidate, row.n_missing_reference) == (1, 0)


def test_one_run_per_case_in_a_table():
    """It is judged by cases, and says so."""
    once = table()
    row = compare_all(once[once["run"] == 1], reference="current", metrics=SPEC).comparisons[0]
    assert "runs=1" in row.flags
