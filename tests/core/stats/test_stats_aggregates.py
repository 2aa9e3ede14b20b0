"""Aggregate metrics: macro-F1 and functions of the user's, their test and their interval."""

import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_promptune.core.errors import AggregateError, StatsError
from pytest_promptune.core.stats.aggregates import AggregatePair, describe_aggregate, measure_aggregate
from pytest_promptune.core.stats.bootstrap import bootstrap_difference
from pytest_promptune.core.stats.classes import ClassMeasure, confusions
from pytest_promptune.core.stats.judging import judge
from pytest_promptune.core.stats.model import MetricSpec, Pair
from pytest_promptune.core.stats.resampling import Sums, pool, relabel
from pytest_promptune.core.stats.sample_frames import FrameFunction

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MACRO_F1 = ClassMeasure("macro_f1")
LABELS = ["billing", "bug", "tech"]


def plain_macro_f1(pairs):
    """F1 from precision and recall, class by class, without any numpy."""
    scores = []
    for label in {expected for expected, _ in pairs}:
        hits = sum(expected == predicted == label for expected, predicted in pairs)
        predicted = sum(guess == label for _, guess in pairs)
        precision = hits / predicted if predicted else 0.0
        recall = hits / sum(expected == label for expected, _ in pairs)
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(scores) / len(scores)


def flat(side):
    return [pair for runs in side.values() for pair in runs if pair is not None]


@st.composite
def sides(draw, *, runs=(1, 4), missing=True):
    """A suite of classified samples: one expected label per case, any predictions."""
    guesses = st.sampled_from([*LABELS, "invented", None])
    side = {}
    for case in draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True)):
        expected = LABELS["abcde".index(case) % 3]
        run = guesses.map(lambda guess, expected=expected: (expected, guess))
        side[case] = draw(st.lists(st.none() | run if missing else run, min_size=runs[0], max_size=runs[1]))
    return side


# --- counting -------------------------------------------------------------------------------------


def test_a_hand_computed_example():
    """Counts, precision, recall and macro-F1 are those worked out by hand."""
    pairs = [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", "x"), ("c", None)]
    found = confusions(pairs)
    assert found.labels == ("a", "b", "c", "x")
    assert found.counts == ((2, 1, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0, 0, 0, 1))
    a, b, c, x = found.classes
    assert (a.precision, a.recall, a.f1) == (1.0, 2 / 3, 0.8)
    assert (b.precision, b.recall, b.f1) == (0.5, 0.5, 0.5)
    assert (c.precision, c.recall, c.f1) == (None, 0.0, 0.0)  # never predicted: no precision, F1 0
    assert (x.precision, x.recall, x.f1) == (0.0, None, None)  # only predicted: no class of the average
    assert found.macro_f1 == pytest.approx((0.8 + 0.5 + 0.0) / 3)


def test_nothing_is_unknown():
    """No samples have no macro-F1, and no labels."""
    found = confusions([])
    assert (found.labels, found.counts, found.classes, found.macro_f1) == ((), (), (), None)


@UNHURRIED
@given(sides())
def test_macro_f1_is_that_of_a_plain_loop(side):
    """Counts in bulk give what a loop over classes gives."""
    pairs = flat(side)
    assert confusions(pairs).macro_f1 == (pytest.approx(plain_macro_f1(pairs)) if pairs else None)


@UNHURRIED
@given(sides())
def test_the_order_of_rows_is_irrelevant(side):
    """Counts and descriptions don't depend on the order of cases."""
    turned = dict(reversed(side.items()))
    assert confusions(flat(side)) == confusions(list(reversed(flat(side))))
    assert describe_aggregate(side, MACRO_F1, resamples=50) == describe_aggregate(
        turned, MACRO_F1, resamples=50
    )


# --- the test -------------------------------------------------------------------------------------


def brute_force(reference, candidate, aggregate):
    """All relabellings inside the cases, each aggregate from scratch: at least, at most, all."""
    observed = aggregate(flat(candidate)) - aggregate(flat(reference))
    choices = []
    for case in sorted(reference):
        runs = reference[case] + candidate[case]
        choices.append(
            [
                ([runs[i] for i in chosen], [runs[i] for i in range(len(runs)) if i not in chosen])
                for chosen in combinations(range(len(runs)), len(candidate[case]))
            ]
        )
    differences = [
        aggregate([p for mine, _ in split for p in mine])
        - aggregate([p for _, other in split for p in other])
        for split in product(*choices)
    ]
    at_least = sum(d >= observed - 1e-12 for d in differences)
    at_most = sum(d <= observed + 1e-12 for d in differences)
    return at_least / len(differences), at_most / len(differences)


@settings(UNHURRIED, max_examples=40)
@given(st.data())
def test_few_relabellings_are_enumerated_exactly(data):
    """Both tails are those of brute force, for equal and for unequal numbers of runs."""
    reference = data.draw(sides(runs=(1, 3), missing=False).filter(lambda side: len(side) <= 3))
    candidate = {
        case: data.draw(
            st.lists(
                st.sampled_from([*LABELS, None]).map(lambda g, runs=runs: (runs[0][0], g)),
                min_size=1,
                max_size=3,
            )
        )
        for case, runs in reference.items()
    }
    tails = relabel(pool(MACRO_F1, reference, candidate), scope="suite", resamples=99, seed=0)
    expected = brute_force(reference, candidate, plain_macro_f1)
    assert (tails.at_least, tails.at_most) == pytest.approx(expected)


def noisy(seed, *, cases=12, runs=4, share=0.7):
    rng = np.random.default_rng(seed)
    side = {}
    for case in range(cases):
        expected = LABELS[case % 3]
        right = rng.random(runs) < share
        side[f"c{case:02}"] = [(expected, expected if hit else LABELS[rng.integers(3)]) for hit in right]
    return side


def test_random_relabellings_come_near_brute_force():
    """Where there are too many to enumerate, random ones estimate the same tails."""
    reference, candidate = noisy(1, cases=3, runs=3), noisy(2, cases=3, runs=3, share=0.3)
    pooled = pool(MACRO_F1, reference, candidate)
    exact = brute_force(reference, candidate, plain_macro_f1)
    assert exact[0] < 1
    evaluator = Sums(pooled.evaluator.features, pooled.evaluator.evaluate, enumerate_up_to=0)
    drawn = relabel(replace(pooled, evaluator=evaluator), scope="suite", resamples=9_999, seed=0)
    assert (drawn.at_least, drawn.at_most) == pytest.approx(exact, abs=0.02)
    assert (drawn.at_least, drawn.at_most) != exact
    assert drawn.n_relabellings == 20**3


def test_one_run_per_case_swaps_the_cases():
    """With one run per case and in the population scope, whole cases change sides."""
    reference = {case: [(LABELS[i % 3], LABELS[i % 3])] for i, case in enumerate("abcdef")}
    candidate = {case: [(runs[0][0], "x")] for case, runs in reference.items()}
    row = measure_aggregate(asked(reference, candidate)).row
    assert row.scope == "population"
    assert "runs=1" in row.flags
    assert row.p_worse == 1 / 64
    assert row.n_relabellings == 64


def asked(reference, candidate, statistic=MACRO_F1, **changes):
    return AggregatePair(
        metric="test_intent::macro_f1",
        reference="current",
        candidate="other",
        reference_samples=reference,
        candidate_samples=candidate,
        statistic=statistic,
        spec=MetricSpec(kind="score", direction=changes.pop("direction", "higher")),
        **changes,
    )


@settings(UNHURRIED, max_examples=60)
@given(sides(), sides(), st.sampled_from(["suite", "population"]), st.integers(0, 3))
def test_exchanging_the_sides_turns_all_signs(reference, candidate, scope, seed):
    """Difference and interval change signs, better and worse change places, exactly."""
    options = {"scope": scope, "resamples": 199, "seed": seed}
    one = measure_aggregate(asked(reference, candidate), **options).row
    other = measure_aggregate(asked(candidate, reference), **options).row
    assert (one.p_better, one.p_worse, one.p_value) == (other.p_worse, other.p_better, other.p_value)
    assert one.n_cases == other.n_cases
    if one.difference is not None:
        assert one.difference == -other.difference
        for ends in ("ci", "ci_raw"):
            low, high = getattr(other, ends)
            assert getattr(one, ends) == pytest.approx((-high, -low))


@settings(UNHURRIED, max_examples=60)
@given(sides(), sides(), st.sampled_from(["suite", "population"]))
def test_interval_and_p_agree_about_zero(reference, candidate, scope):
    """Zero lies outside the interval exactly when a one-sided test rejects; p lies in (0, 1]."""
    row = measure_aggregate(asked(reference, candidate), scope=scope, resamples=199).row
    if row.p_value is None:
        return
    assert 0 < row.p_value <= 1
    low, high = row.ci
    assert (row.p_better > 0.025) == (low <= 0) or low == high == 0
    assert (row.p_worse > 0.025) == (high >= 0) or low == high == 0


@settings(UNHURRIED, max_examples=30)
@given(sides(), sides(), st.randoms(use_true_random=False))
def test_same_seed_same_row_whatever_the_order(reference, candidate, random):
    """The order of cases, and of the runs in a case, changes nothing; another seed draws others."""

    def shuffled(side):
        cases = list(side)
        random.shuffle(cases)
        return {case: random.sample(side[case], len(side[case])) for case in cases}

    one = measure_aggregate(asked(reference, candidate), resamples=99).row
    assert measure_aggregate(asked(shuffled(reference), shuffled(candidate)), resamples=99).row == one


def test_the_seed_decides_what_is_drawn():
    """Many relabellings: the same seed gives the same p, another one another."""
    one, two = noisy(1), noisy(2, share=0.55)
    p = [measure_aggregate(asked(one, two), resamples=499, seed=seed).row.p_value for seed in (0, 0, 1)]
    assert p[0] == p[1] != p[2]


def test_a_drop_is_found_and_bounded():
    """A variant that takes every bug for billing regresses; the interval lies below zero, around the drop."""
    reference = noisy(3, cases=30, share=0.95)
    candidate = {
        case: [(e, "billing" if e == "bug" else p) for e, p in runs] for case, runs in reference.items()
    }
    row = measure_aggregate(asked(reference, candidate)).row
    assert row.difference == pytest.approx(plain_macro_f1(flat(candidate)) - plain_macro_f1(flat(reference)))
    assert row.p_worse < 0.001
    assert row.ci[0] < row.difference < row.ci[1] < 0
    lower = measure_aggregate(asked(reference, candidate, direction="lower")).row
    assert (lower.p_better, lower.p_worse) == (row.p_worse, row.p_better)


def test_the_bootstrap_of_a_mean_has_the_error_of_the_mean():
    """Recall of one class is a mean over its samples: its bootstrap error is the stratified one."""
    side = noisy(5, cases=30, runs=3, share=0.6)
    other = noisy(6, cases=30, runs=3, share=0.6)
    spread = bootstrap_difference(
        pool(ClassMeasure("recall", "bug"), side, other), scope="suite", alpha=0.05, resamples=9_999, seed=0
    )
    variance = 0.0
    for each in (side, other):
        bugs = [np.array([p == "bug" for _, p in runs]) for runs in each.values() if runs[0][0] == "bug"]
        variance += sum(hits.var(ddof=1) / 3 for hits in bugs) / len(bugs) ** 2
    assert spread.standard_error == pytest.approx(math.sqrt(variance), rel=0.05)


def test_nothing_varies():
    """All right in both: no difference, p 1, an interval without width, flags that say so."""
    side = {case: [("a", "a")] * 3 for case in "xy"}
    row = measure_aggregate(asked(side, side)).row
    assert (row.difference, row.p_value, row.ci) == (0.0, 1.0, (0.0, 0.0))
    assert {"constant", "deterministic"} <= set(row.flags)
    assert row.min_attainable_p == 1.0


def test_no_common_cases_and_missing_samples():
    """Cases without a sample on one side are counted and left out; none in common means nothing to say."""
    row = measure_aggregate(asked({"a": [("x", "x"), None]}, {"b": [("x", "x")], "a": [None]})).row
    assert (row.n_cases, row.n_unpaired_cases, row.p_value) == (0, 2, None)
    assert (row.n_missing_reference, row.n_missing_candidate) == (1, 1)


def test_precision_of_a_class_that_is_never_predicted():
    """An undefined side can't be compared: means as far as known, no p-value."""
    row = measure_aggregate(
        asked({"a": [("x", "x")] * 2}, {"a": [("x", "y")] * 2}, ClassMeasure("precision", "x"))
    ).row
    assert (row.mean_reference, row.mean_candidate, row.p_value) == (1.0, None, None)


def test_relabellings_without_a_value_count_as_ties():
    """Precision is undefined where no run of the relabelled side predicts the class: the cautious way."""
    reference = {"a": [("x", "x"), ("x", "y")]}
    candidate = {"a": [("x", "x"), ("x", "y")]}
    tails = relabel(
        pool(ClassMeasure("precision", "x"), reference, candidate), scope="suite", resamples=99, seed=0
    )
    assert (tails.at_least, tails.at_most) == (1.0, 1.0)


# --- in a family ----------------------------------------------------------------------------------


def family(*, gated, **options):
    reference = noisy(3, cases=30, share=0.95)
    candidate = noisy(4, cases=30, share=0.7)
    scores = [
        {case: [float(e == p) for e, p in runs] for case, runs in side.items()}
        for side in (reference, candidate)
    ]
    mean = Pair(
        metric="test_intent",
        reference="current",
        candidate="other",
        reference_scores=scores[0],
        candidate_scores=scores[1],
        spec=MetricSpec(),
    )
    item = measure_aggregate(asked(reference, candidate, gated=gated), hypotheses=2)
    return judge([mean], aggregates=[item], **options)


def test_a_gated_aggregate_shares_the_error_level():
    """Holm counts it; ungated it is exploratory and leaves the others alone."""
    both, alone = family(gated=True), family(gated=False)
    assert [row.family_size for row in both.comparisons] == [2, 2]
    assert [row.gate for row in both.comparisons] == ["failed", "failed"]
    assert len(both.reasons) == 2
    assert [row.family_size for row in alone.comparisons] == [1, 1]
    assert [row.gate for row in alone.comparisons] == ["failed", "off"]
    assert both.comparisons[1].p_worse_adjusted >= both.comparisons[1].p_worse
    assert both.comparisons[1].verdict == "regressed"
    assert both.comparisons[1].minimum_detectable > alone.comparisons[1].minimum_detectable > 0
    assert both.comparisons[1].runs_needed >= 1


def test_single_cases_fail_the_gate_beside_an_aggregate():
    """``gate_cases`` looks at the cases of pairs alone; the aggregate's row is still there."""
    judged = family(gated=True, gate_cases=True)
    assert [row.metric for row in judged.comparisons] == ["test_intent", "test_intent::macro_f1"]
    assert judged.comparisons[1].failing_cases == ()


def test_missing_samples_make_an_aggregate_inconclusive():
    """More than 20 % missing on a side, and no regression: inconclusive."""
    side = {case: [("a", "a"), None, ("a", "a")] for case in "uvwxyz"}
    (row,) = judge([], aggregates=[measure_aggregate(asked(side, side, gated=True))]).comparisons
    assert row.verdict == "inconclusive"
    assert "missing_data" in row.flags


def test_an_aggregate_compared_with_itself_is_refused():
    """As for other metrics."""
    pair = asked({"a": [("x", "x")]}, {"a": [("x", "x")]})
    item = measure_aggregate(
        AggregatePair(**{n: getattr(pair, n) for n in pair.__slots__} | {"candidate": "current"})
    )
    with pytest.raises(StatsError, match="itself"):
        judge([], aggregates=[item])


# --- functions of the user's ----------------------------------------------------------------------


def rows(values):
    return {
        case: [
            {"case": case, "run": run, "variant": "current", "latency_s": value}
            for run, value in enumerate(runs, 1)
        ]
        for case, runs in values.items()
    }


def function(call, **changes):
    return FrameFunction(
        call, "p95 (conftest.py:3)", ("case", "run", "variant", "latency_s"), **{"variant": "fast"} | changes
    )


def test_a_function_of_the_mean_agrees_with_brute_force():
    """A user's function is tested and bootstrapped by the same relabelling."""
    slow, fast = {"a": [1.0, 2.0], "b": [5.0, 6.5]}, {"a": [0.5, 1.5], "b": [4.0, 4.5]}
    mean = function(lambda frame: frame["latency_s"].mean())
    pooled = pool(mean, rows(slow), rows(fast))
    tails = relabel(pooled, scope="suite", resamples=99, seed=0)
    expected = brute_force(slow, fast, lambda values: sum(values) / len(values))
    assert (tails.at_least, tails.at_most) == pytest.approx(expected)


def test_what_a_function_sees():
    """Rows by case and run with the columns in order; in drawn sets runs are numbered anew, sides are one."""
    seen = []

    def keep(frame):
        seen.append(frame)
        return float(len(frame))

    values = {"a": [1.0, None], "b": [3.0]}
    assert function(keep).value(rows(values)) == 3.0
    assert list(seen[0].columns) == ["case", "run", "variant", "latency_s"]
    assert seen[0]["run"].tolist() == [1, 2, 1]
    assert seen[0]["latency_s"].dtype == "float64"
    assert pd.isna(seen[0]["latency_s"][1])
    measure_aggregate(asked(rows(values), rows({"a": [2.0], "b": [2.0]}), function(keep)), resamples=9)
    for frame in seen[1:]:
        assert set(frame["variant"]) == {"fast"}
        assert all(
            group.tolist() == list(range(1, len(group) + 1)) for _, group in frame.groupby("case")["run"]
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda frame: 1 / 0, "raised ZeroDivisionError"),
        (lambda frame: frame["speed"].mean(), "raised KeyError.*columns case, run, variant, latency_s"),
        (lambda frame: math.nan, "gave nan. Give a finite number, or None"),
        (lambda frame: math.inf, "gave inf"),
        (lambda frame: True, "gave True"),
        (lambda frame: "0.9", "gave a str"),
        (lambda frame: frame["latency_s"], "gave a Series"),
    ],
)
def test_a_function_that_gives_no_number_is_named(call, message):
    """The error says which function, what it did, and what is valid."""
    with pytest.raises(AggregateError, match=rf"p95 \(conftest.py:3\) {message}"):
        function(call).value(rows({"a": [1.0]}))


def test_a_column_that_one_side_lacks_is_named():
    """The error knows which of the absent columns was asked for."""
    asks = function(lambda frame: frame["cost_usd"].sum(), absent=("cost_usd", "test_intent::predicted"))
    with pytest.raises(AggregateError) as caught:
        asks.value(rows({"a": [1.0]}))
    assert caught.value.lacking == ("cost_usd",)


def test_sets_in_which_a_function_raises_have_no_value():
    """As where it gives None: some drawn sets lack the rows that the samples as measured have."""
    side = rows({"a": [1.0, 0.0], "b": [1.0, 0.0]})
    raised = []

    def per_slow(frame):
        slow = int((frame["latency_s"] == 1).sum())
        if not slow:
            raised.append(len(frame))
        return len(frame) / slow

    def none_of_slow(frame):
        slow = int((frame["latency_s"] == 1).sum())
        return len(frame) / slow if slow else None

    careless = measure_aggregate(asked(side, side, function(per_slow)), resamples=99)
    assert raised
    assert careless == measure_aggregate(asked(side, side, function(none_of_slow)), resamples=99)
    assert careless.row.p_value == 1.0
    assert describe_aggregate(side, function(per_slow)) == describe_aggregate(side, function(none_of_slow))


def test_numbers_of_numpy_and_none_are_values():
    """Scalars of numpy count; None is no value, and has no interval."""
    assert function(lambda frame: np.float64(0.5)).value(rows({"a": [1.0]})) == 0.5
    assert function(lambda frame: np.int64(2)).value(rows({"a": [1.0]})) == 2.0
    assert function(lambda frame: None).value(rows({"a": [1.0]})) is None
    found = describe_aggregate(rows({"a": [1.0, 2.0]}), function(lambda frame: None))
    assert (found.value, found.ci) == (None, None)


def test_description_of_one_variant():
    """Value, interval, and the spread over run numbers."""
    side = {"a": [("x", "x"), ("x", "y"), ("x", "x")], "b": [("y", "y"), ("y", "y"), None]}
    found = describe_aggregate(side, MACRO_F1)
    assert (found.n_cases, found.n_samples, found.n_missing) == (2, 5, 1)
    assert found.value == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert found.min == pytest.approx(1 / 3)  # the second run: x is never found, y twice guessed
    assert found.max == 1.0
    assert 0 <= found.ci[0] <= found.value <= found.ci[1] <= 1
    assert describe_aggregate({"a": [("x", "x")]}, MACRO_F1).ci is None  # one run says nothing of noise
