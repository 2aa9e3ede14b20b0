"""Properties that hold for any scores."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.stats import MetricSpec, Pair, compare, describe, judge

CELL = {
    "binary": st.sampled_from([0, 1, True, False, None]),
    "score": st.one_of(st.none(), st.just(math.nan), st.integers(0, 20).map(lambda n: n / 20)),
    "latency": st.one_of(st.none(), st.floats(0.01, 60)),
    "cost": st.one_of(st.none(), st.integers(0, 500)),
}


@st.composite
def questions(draw):
    """Two suites of any shape: other cases, other run counts, missing values."""
    kind = draw(st.sampled_from(sorted(CELL)))
    cases = st.sampled_from([f"case{i}" for i in range(8)])
    sides = st.dictionaries(cases, st.lists(CELL[kind], max_size=5), max_size=8)
    return {
        "reference": draw(sides),
        "candidate": draw(sides),
        "kind": kind,
        "direction": draw(st.sampled_from(["higher", "lower"])),
        "scope": draw(st.sampled_from(["suite", "population"])),
        "statistic": draw(st.sampled_from(["studentized", "mean"])),
        "resamples": 199,
    }


def ask(question, **changes):
    options = question | changes
    return compare(options.pop("reference"), options.pop("candidate"), **options)


@settings(deadline=None, max_examples=150)
@given(questions())
def test_numbers_are_in_range_and_never_nan(question):
    """p lies in [0, 1], intervals are ordered and hold the clipped difference; NaN never appears."""
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


@settings(deadline=None, max_examples=100)
@given(questions(), st.randoms(use_true_random=False))
def test_order_of_cases_and_runs_does_not_matter(question, random):
    """Shuffled cases and runs give exactly the same row."""

    def shuffled(scores):
        cases = list(scores.items())
        random.shuffle(cases)
        return {case: random.sample(values, len(values)) for case, values in cases}

    other = ask(
        question, reference=shuffled(question["reference"]), candidate=shuffled(question["candidate"])
    )
    assert other == ask(question)


@settings(deadline=None, max_examples=150)
@given(questions())
def test_exchanging_the_sides_turns_the_answer(question):
    """Reference and candidate exchanged: p_worse and p_better exchange exactly, effects change sign."""
    row = ask(question)
    other = ask(question, reference=question["candidate"], candidate=question["reference"])
    assert (other.p_worse, other.p_better) == (row.p_better, row.p_worse)
    assert other.p_value == row.p_value
    if row.n_cases:
        assert other.difference == -row.difference
        assert other.cliffs_delta == -row.cliffs_delta
    if row.ratio is not None:
        assert other.ratio == pytest.approx(1 / row.ratio)
    elif row.n_cases:
        assert other.ci == pytest.approx((-row.ci[1], -row.ci[0]), abs=1e-9)


def test_exchanging_the_sides_is_exact_with_random_relabellings():
    """The same for suites too large to enumerate, balanced and not."""
    rng = np.random.default_rng(4)
    for runs in ((5, 5), (5, 3)):
        reference, candidate = ({f"c{i:02}": list(rng.normal(1, 0.2, n)) for i in range(20)} for n in runs)
        row = compare(reference, candidate, kind="score", resamples=499)
        other = compare(candidate, reference, kind="score", resamples=499)
        assert (other.p_worse, other.p_better) == (row.p_better, row.p_worse)


@settings(deadline=None, max_examples=150)
@given(questions())
def test_interval_and_test_agree_about_zero(question):
    """A bound lies beyond zero exactly if the one-sided test towards that side rejects."""
    row = ask(question)
    if row.ci is None:
        return
    up, down = (row.p_better, row.p_worse) if row.direction == "higher" else (row.p_worse, row.p_better)
    assert row.ci[0] >= 0 if up <= 0.025 else row.ci[0] <= 0
    assert row.ci[1] <= 0 if down <= 0.025 else row.ci[1] >= 0


@settings(deadline=None, max_examples=100)
@given(questions())
def test_a_missing_value_is_the_same_as_no_value(question):
    """Leaving missing values out changes counts of missing values, not one number computed from the rest."""

    def dense(scores):
        return {
            case: [value for value in values if value is not None and not math.isnan(value)]
            for case, values in scores.items()
        }

    row = ask(question, max_missing=1)
    other = ask(question, reference=dense(question["reference"]), candidate=dense(question["candidate"]))
    names = ("n_cases", "difference", "ci", "ci_raw", "p_value", "p_worse", "cliffs_delta", "hedges_g")
    assert [getattr(row, name) for name in names] == [getattr(other, name) for name in names]


@settings(deadline=None, max_examples=100)
@given(questions())
def test_a_description_invents_nothing(question):
    """Means lie between the smallest and largest value; without values everything is None."""
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


def test_the_seed_decides():
    """Same data and seed: the same judgement; another seed: other random relabellings."""
    rng = np.random.default_rng(8)
    sides = [{f"c{i:02}": list(rng.normal(1, 0.2, 5)) for i in range(20)} for _ in range(2)]
    asked = Pair(
        metric="m",
        reference="old",
        candidate="new",
        reference_scores=sides[0],
        candidate_scores=sides[1],
        spec=MetricSpec("score", "higher"),
    )
    assert judge([asked], seed=3) == judge([asked], seed=3)
    assert judge([asked], seed=3).comparisons[0].p_value != judge([asked], seed=4).comparisons[0].p_value
