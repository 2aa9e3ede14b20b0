"""Properties that hold for any scores."""

import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_promptune.stats import (
    MetricSpec,
    Pair,
    case_changes,
    compare,
    compare_all,
    describe,
    goal_attainment,
    judge,
    variance_components,
)

CELL = {
    "binary": st.sampled_from([0, 1, True, False, None]),
    "score": st.one_of(st.none(), st.just(math.nan), st.integers(0, 20).map(lambda n: n / 20)),
    "latency": st.one_of(st.none(), st.floats(0.01, 60)),
    "cost": st.one_of(st.none(), st.integers(0, 500)),
}


def of_every_kind(test):
    """Of each kind of metric in both scopes."""
    for names in (("kind", sorted(CELL)), ("scope", ["suite", "population"])):
        test = pytest.mark.parametrize(*names)(test)
    return test


@st.composite
def questions(draw, kind, scope):
    """Two suites of any shape: other cases, other run counts, missing values."""
    cases = st.sampled_from([f"case{i}" for i in range(8)])
    sides = st.dictionaries(cases, st.lists(CELL[kind], max_size=5), max_size=8)
    return {
        "reference": draw(sides),
        "candidate": draw(sides),
        "kind": kind,
        "direction": draw(st.sampled_from(["higher", "lower"])),
        "scope": scope,
        "statistic": draw(st.sampled_from(["studentized", "mean"])),
        "resamples": 199,
    }


def ask(question, **changes):
    options = question | changes
    return compare(options.pop("reference"), options.pop("candidate"), **options)


@of_every_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_numbers_are_in_range_and_never_nan(kind, scope, data):
    """p lies in [0, 1], intervals are ordered and hold the clipped difference; NaN never appears."""
    question = data.draw(questions(kind, scope))
    row = ask(question)
    for name in (field.name for field in fields(row)):
        value = getattr(row, name)
        assert type(value).__module__ == "builtins", name
        assert not any(isinstance(end, float) and math.isnan(end) for end in (value, *_ends(value))), name
    for p in (row.p_value, row.p_better, row.p_worse, row.p_better_adjusted, row.min_attainable_p):
        assert (p is None) == (row.n_cases == 0)
        assert p is None or 0 <= p <= 1
    if row.ci is not None:
        assert row.ci[0] <= row.ci[1]
        assert row.ci_raw[0] <= row.ci_raw[1]


def _ends(value):
    return value if isinstance(value, tuple) else ()


@of_every_kind
@settings(deadline=None, max_examples=20)
@given(data=st.data(), random=st.randoms(use_true_random=False))
def test_order_of_cases_and_runs_does_not_matter(kind, scope, data, random):
    """Shuffled cases and runs give exactly the same row, and the same changes of cases."""
    question = data.draw(questions(kind, scope))

    def shuffled(scores):
        cases = list(scores.items())
        random.shuffle(cases)
        return {case: random.sample(values, len(values)) for case, values in cases}

    sides = question["reference"], question["candidate"]
    others = [shuffled(scores) for scores in sides]
    assert ask(question, reference=others[0], candidate=others[1]) == ask(question)
    assert case_changes(*others, kind=kind) == case_changes(*sides, kind=kind)
    assert goal_attainment(others[0], target=0.5, kind=kind, scope=scope) == goal_attainment(
        sides[0], target=0.5, kind=kind, scope=scope
    )


@of_every_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_exchanging_the_sides_turns_the_answer(kind, scope, data):
    """Reference and candidate exchanged: p_worse and p_better exchange exactly, effects change sign."""
    question = data.draw(questions(kind, scope))
    row = ask(question)
    other = ask(question, reference=question["candidate"], candidate=question["reference"])
    assert (other.p_worse, other.p_better) == (row.p_better, row.p_worse)
    assert other.p_value == row.p_value
    if row.n_cases:
        assert other.difference == -row.difference
        assert other.cliffs_delta == -row.cliffs_delta
    if row.ratio is not None:
        assert other.ratio == pytest.approx(1 / row.ratio)
        assert other.ratio_ci == pytest.approx(tuple(turned(end) for end in reversed(row.ratio_ci)))
    elif row.n_cases:
        for bounds, theirs in ((row.ci, other.ci), (row.ci_raw, other.ci_raw)):
            assert theirs == pytest.approx((-bounds[1], -bounds[0]), abs=1e-9)


def turned(ratio):
    return math.inf if ratio == 0 else 1 / ratio


@of_every_kind
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_exchanging_the_sides_turns_every_case(kind, scope, data):
    """What got worse got better, with the same p-value; a suspect is only ever something that got worse."""
    question = data.draw(questions(kind, scope))
    sides = question["reference"], question["candidate"]
    there, back = case_changes(*sides, kind=kind), case_changes(*reversed(sides), kind=kind)
    for change, other in zip(there, back, strict=True):
        assert other.difference == -change.difference
        assert (other.p_worse_adjusted, other.p_better_adjusted) == pytest.approx(
            (change.p_better_adjusted, change.p_worse_adjusted)
        )
        if change.change in ("improved", "regressed"):
            assert other.change == {"improved": "regressed", "regressed": "improved"}[change.change]


@of_every_kind
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_the_direction_only_says_which_way_is_worse(kind, scope, data):
    """The other direction exchanges p_worse and p_better and leaves every other number as it is."""
    question = data.draw(questions(kind, scope))
    row = ask(question, direction="higher")
    other = ask(question, direction="lower")
    assert (other.p_worse, other.p_better) == (row.p_better, row.p_worse)
    assert (other.difference, other.ci, other.p_value) == (row.difference, row.ci, row.p_value)


def test_exchanging_the_sides_is_exact_with_random_relabellings():
    """The same for suites too large to enumerate, balanced and not."""
    rng = np.random.default_rng(4)
    for runs in ((5, 5), (5, 3)):
        reference, candidate = ({f"c{i:02}": list(rng.normal(1, 0.2, n)) for i in range(20)} for n in runs)
        row = compare(reference, candidate, kind="score", resamples=499)
        other = compare(candidate, reference, kind="score", resamples=499)
        assert (other.p_worse, other.p_better) == (row.p_better, row.p_worse)


@of_every_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_interval_and_test_agree_about_zero(kind, scope, data):
    """A bound lies beyond zero exactly if the one-sided test towards that side rejects."""
    question = data.draw(questions(kind, scope))
    row = ask(question)
    if row.ci is None:
        return
    up, down = (row.p_better, row.p_worse) if row.direction == "higher" else (row.p_worse, row.p_better)
    assert row.ci[0] >= 0 if up <= 0.025 else row.ci[0] <= 0
    assert row.ci[1] <= 0 if down <= 0.025 else row.ci[1] >= 0


@of_every_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_missing_value_is_the_same_as_no_value(kind, scope, data):
    """Leaving missing values out changes counts of missing values, not one number computed from the rest."""
    question = data.draw(questions(kind, scope))

    def dense(scores):
        return {
            case: [value for value in values if value is not None and not math.isnan(value)]
            for case, values in scores.items()
        }

    row = ask(question, max_missing=1)
    other = ask(question, reference=dense(question["reference"]), candidate=dense(question["candidate"]))
    names = (
        "n_cases", "mean_reference", "mean_candidate", "sd_candidate", "var_within_candidate", "difference",
        "ci", "ci_raw", "p_value", "p_worse", "cliffs_delta", "hedges_g", "minimum_detectable",
    )  # fmt: skip
    assert [getattr(row, name) for name in names] == [getattr(other, name) for name in names]
    sides = question["reference"], question["candidate"]
    assert case_changes(*sides, kind=kind) == case_changes(*map(dense, sides), kind=kind)
    assert variance_components(sides[0]) == variance_components(dense(sides[0]))
    assert goal_attainment(sides[0], target=0.5, kind=kind, scope=scope) == goal_attainment(
        dense(sides[0]), target=0.5, kind=kind, scope=scope
    )


@of_every_kind
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_case_without_a_value_is_not_compared(kind, scope, data):
    """All its runs missing: unpaired, which no zero would be."""
    question = data.draw(questions(kind, scope))
    lost = {case: [None] * len(values) for case, values in question["candidate"].items()}
    row = ask(question, candidate=lost)
    assert (row.n_cases, row.mean_candidate, row.difference, row.p_value) == (0, None, None, None)
    assert row.n_missing_candidate == sum(map(len, lost.values()))


@settings(deadline=None, max_examples=20)
@given(data=st.data(), random=st.randoms(use_true_random=False))
def test_order_of_the_rows_of_a_table_does_not_matter(data, random):
    """Any table with all kinds of metrics, its rows shuffled: the same judgement."""
    rows = []
    for kind in sorted(CELL):
        question = data.draw(questions(kind, "suite"))
        for variant in ("reference", "candidate"):
            rows += [
                {"variant": variant, "case": case, "run": run, "metric": kind, "value": value}
                for case, values in question[variant].items()
                for run, value in enumerate(values)
            ]
    metrics = {kind: MetricSpec(kind) for kind in sorted({row["metric"] for row in rows})}
    assume({row["variant"] for row in rows} == {"reference", "candidate"})
    options = {"reference": "reference", "metrics": metrics, "resamples": 99}
    first = compare_all(pd.DataFrame(rows), **options)
    random.shuffle(rows)
    assert compare_all(pd.DataFrame(rows), **options) == first


@of_every_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_description_invents_nothing(kind, scope, data):
    """Means lie between the smallest and largest value; without values everything is None."""
    question = data.draw(questions(kind, scope))
    scores = question["reference"]
    row = describe(scores, kind=question["kind"])
    values = [v for runs in scores.values() for v in runs if v is not None and not math.isnan(v)]
    assert row.n_samples == len(values)
    if not values:
        assert (row.mean, row.sd, row.ci, row.min, row.p50) == (None,) * 5
        assert row.case_means == {}
        return
    slack = 1e-9 * max(abs(value) for value in values)
    assert min(values) - slack <= row.mean <= max(values) + slack
    assert min(values) - slack <= row.min <= row.max <= max(values) + slack
    assert row.ci is None or row.ci[0] - slack <= row.mean <= row.ci[1] + slack


@of_every_kind
def test_the_seed_decides(kind, scope):
    """Same data and seed: the same judgement; another seed: other random relabellings."""
    rng = np.random.default_rng(8)
    draw = {"binary": lambda n: rng.integers(0, 2, n), "cost": lambda n: rng.integers(50, 90, n)}.get(
        kind, lambda n: rng.gamma(9, 0.1, n)
    )
    sides = [{f"c{i:02}": [float(v) for v in draw(5 - i % 2)] for i in range(40)} for _ in range(2)]
    asked = Pair(
        metric="m",
        reference="old",
        candidate="new",
        reference_scores=sides[0],
        candidate_scores=sides[1],
        spec=MetricSpec(kind, "higher"),
    )
    options = {"scope": scope, "resamples": 499}
    assert judge([asked], seed=3, **options) == judge([asked], seed=3, **options)
    assert len({judge([asked], seed=seed, **options).comparisons[0].p_worse for seed in range(8)}) > 1
