"""Situations that break naive statistics: what must happen in each of them."""

import math

import pytest
from scipy.special import stdtrit

from pytest_promptune.core.errors import StatsError
from pytest_promptune.stats import MetricSpec, Pair, compare, judge

KINDS = ["binary", "score", "latency", "cost"]


def suite(n_cases, values):
    """The same runs in every case."""
    return {f"c{index:02}": list(values) for index in range(n_cases)}


def make_pair(reference, candidate, *, metric="m", candidate_label="new", spec=None, gated=True):
    return Pair(
        metric=metric,
        reference="old",
        candidate=candidate_label,
        reference_scores=reference,
        candidate_scores=candidate,
        spec=spec or MetricSpec("binary", "higher"),
        gated=gated,
    )


def test_no_common_cases():
    """Without a common case there is no number at all, and the verdict says why."""
    row = compare({"a": [1, 1]}, {"b": [1, 1]})
    assert row.verdict == "inconclusive"
    assert row.n_cases == 0
    assert row.n_unpaired_cases == 2
    assert (row.difference, row.p_value, row.ci, row.minimum_detectable) == (None, None, None, None)
    assert "No case" in row.reason


def test_no_cases_at_all():
    """Two empty sides are compared without a crash."""
    assert compare({}, {}).verdict == "inconclusive"


def test_few_common_cases_are_flagged():
    """Less than half of all cases in common raises a flag."""
    row = compare({"a": [1, 1], "b": [1, 0], "x": [1, 1]}, {"a": [1, 1], "y": [1, 1], "z": [0, 1]})
    assert "few_common_cases" in row.flags
    assert row.n_unpaired_cases == 4


def test_one_case_with_three_runs_is_too_small_a_design():
    """3 + 3 runs cannot give p below 0.10, so even a complete reversal stays inconclusive."""
    row = compare({"a": [1, 1, 1]}, {"a": [0, 0, 0]})
    assert row.min_attainable_p == pytest.approx(0.10)
    assert row.verdict == "inconclusive"
    assert "so few runs" in row.reason


@pytest.mark.parametrize(
    ("n_cases", "runs", "p"), [(1, 4, 2 / 70), (2, 3, 0.005), (5, 1, 0.0625), (6, 1, 1 / 32)]
)
def test_smallest_attainable_p(n_cases, runs, p):
    """The smallest p of a design is 2 over its relabellings."""
    assert compare(suite(n_cases, [1] * runs), suite(n_cases, [0] * runs)).min_attainable_p == pytest.approx(
        p
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_case_in_population_scope_is_unbounded(kind):
    """One case says nothing about other cases: the interval is infinite."""
    row = compare({"a": [1, 1, 1]}, {"a": [1, 1, 1]}, kind=kind, scope="population")
    # A latency cannot fall by more than all of it.
    assert row.ci_raw == ((-1.0 if kind == "latency" else -math.inf), math.inf)
    assert row.verdict == "inconclusive"
    assert row.minimum_detectable is None


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_everywhere_is_judged_by_cases(kind):
    """With one run per case the cases are the sample, and a flag says so."""
    reference = {f"c{i:02}": [1.0 if i % 3 else 0.0] for i in range(12)}
    candidate = {f"c{i:02}": [1.0 if i % 2 else 0.0] for i in range(12)}
    row = compare(reference, candidate, kind=kind)
    assert "runs=1" in row.flags
    assert row.scope == "population"
    assert row.var_within_reference is None
    assert row.runs_needed is None


def test_single_runs_borrow_the_pooled_variance():
    """A case with one run neither counts as free of noise nor adds degrees of freedom."""
    reference = {"a": [0.2, 0.4, 0.3], "b": [0.5, 0.7, 0.6], "c": [0.9]}
    row = compare(reference, {case: [0.4, 0.6, 0.5] for case in reference}, kind="score")
    assert "single_runs" in row.flags
    # The variance is 0.01 in every cell with three runs, so c borrows 0.01 for its one run.
    known = [0.01 / 3] * 5
    squared_error = (sum(known) + 0.01) / 9
    df = squared_error**2 / sum((share / 9) ** 2 / 2 for share in known)
    assert row.df == pytest.approx(df)
    half_width = stdtrit(df, 0.975) * math.sqrt(squared_error)
    assert row.ci_raw == pytest.approx((row.difference - half_width, row.difference + half_width))


@pytest.mark.parametrize("value", [0, 1])
def test_all_the_same_in_both(value):
    """All pass or all fail on both sides: no evidence, but not certainty either."""
    row = compare(suite(20, [value] * 5), suite(20, [value] * 5))
    assert (row.difference, row.p_value, row.cliffs_delta, row.hedges_g) == (0, 1, 0, None)
    assert row.ci == pytest.approx((-0.0369935, 0.0369935), abs=1e-6)
    assert row.verdict == "unchanged"


def test_a_deterministic_binary_change_keeps_a_width():
    """Zero variance inside the cases does not make a binary interval a point."""
    row = compare(suite(6, [1, 1, 1]), {**suite(6, [1, 1, 1]), "c00": [0, 0, 0]})
    assert row.ci_raw[0] < row.difference < row.ci_raw[1]
    assert not row.deterministic


@pytest.mark.parametrize("kind", ["score", "latency", "cost"])
def test_a_deterministic_change(kind):
    """Without any noise the interval is the difference, flagged; the p-value still counts relabellings."""
    row = compare(suite(4, [2.0] * 4), suite(4, [3.0] * 4), kind=kind, direction="lower")
    assert row.deterministic
    assert row.ci_raw == pytest.approx((1.0, 1.0))
    assert row.p_worse == pytest.approx(1 / 70**4, abs=1e-3)
    assert row.verdict == "regressed"


def test_differences_that_are_equal_up_to_rounding_have_no_variance():
    """0.1 + 0.2 is not 0.3 in binary fractions; that is no evidence of noise between cases."""
    reference = {"a": [0.1, 0.1], "b": [0.3, 0.3], "c": [0.7, 0.7], "d": [0.9, 0.9]}
    candidate = {case: [value + 0.2 for value in values] for case, values in reference.items()}
    row = compare(reference, candidate, kind="score", scope="population")
    assert row.deterministic
    assert row.ci_raw == pytest.approx((0.2, 0.2))
    assert row.hedges_g is None


def test_hedges_g_needs_three_cases():
    """The correction for few cases does not exist for two."""
    row = compare({"a": [0.1], "b": [0.3]}, {"a": [0.2], "b": [0.6]}, kind="score")
    assert row.hedges_g is None


@pytest.mark.parametrize("kind", ["score", "latency", "cost"])
def test_identical_values_everywhere(kind):
    """Nothing differs: p is 1 and the interval [0, 0]."""
    row = compare(suite(5, [0.015] * 3), suite(5, [0.015] * 3), kind=kind, direction="lower")
    assert (row.p_value, row.ci, row.min_attainable_p, row.verdict) == (1, (0, 0), 1, "unchanged")
    assert row.deterministic


def test_a_metric_that_is_zero_throughout_is_unchanged():
    """A free local model costs 0 on both sides; that is not inconclusive, whatever the relative margin."""
    row = compare(suite(5, [0.0] * 3), suite(5, [0.0] * 3), kind="cost", direction="lower")
    assert row.verdict == "unchanged"
    assert row.relative_change is None
    judged = judge([make_pair(suite(5, [0.0]), suite(5, [0.0]), spec=MetricSpec("cost", "lower"))],
                   gate="non-inferiority")  # fmt: skip
    assert judged.gate == "pass"


def test_missing_values_are_dropped_and_counted():
    """None and NaN are the same as no value, except that they are counted."""
    with_gaps = {"a": [1, None, 0, math.nan], "b": [1, 1, 0], "c": [None]}
    whole = {"a": [1, 0], "b": [1, 1, 0]}
    other = {"a": [1, 1, 1], "b": [1, 1, 1], "c": [0, 1]}
    row, plain = compare(with_gaps, other), compare(whole, {case: other[case] for case in "ab"})
    assert (row.n_missing_reference, row.n_missing_candidate) == (3, 0)
    assert (row.n_cases, row.n_unpaired_cases, row.n_samples_reference) == (2, 1, 5)
    assert (row.difference, row.p_value, row.ci) == (plain.difference, plain.p_value, plain.ci)


def test_many_missing_values_forbid_good_news():
    """More than 20 % missing is inconclusive, although what is left is better."""
    reference = suite(10, [0, 0, 0, 0, 0])
    row = compare(reference, suite(10, [1, 1, 1, None, None]))
    assert row.p_better < 0.001
    assert row.verdict == "inconclusive"
    assert "20 values of candidate are missing" in row.reason


def test_a_significant_regression_wins_over_missing_values():
    """Missing values do not hide a regression."""
    assert compare(suite(10, [1] * 5), suite(10, [0, 0, 0, None, None])).verdict == "regressed"


def test_unequally_many_missing_values_are_inconclusive():
    """Shares of missing values that differ by more than 10 points are suspicious even below 20 %."""
    row = compare(suite(10, [1, 0] * 4), suite(10, [1, 0, 1, 0, 1, 0, 1, None]))
    assert row.verdict == "inconclusive"
    assert "missing_data" in row.flags


def test_unbalanced_runs_weigh_cases_equally():
    """A case with many runs does not count more than one with few."""
    row = compare({"a": [1] * 8, "b": [0, 0]}, {"a": [1, 1], "b": [0] * 7})
    assert (row.mean_reference, row.mean_candidate) == (0.5, 0.5)


def test_latency_that_is_not_positive_stays_on_the_raw_scale():
    """A latency of 0 has no logarithm: raw scale, no ratio, flagged."""
    reference = {"a": [1.0, 2.0, 0.0], "b": [1.0, 1.5, 2.0]}
    row = compare(reference, {"a": [1.0, 2.0, 1.0], "b": [1.0, 1.5, 2.0]}, kind="latency", direction="lower")
    assert "log_skipped" in row.flags
    assert (row.ratio, row.ratio_ci) == (None, None)
    assert row.ci_raw[0] < row.difference < row.ci_raw[1]


def test_latency_interval_in_seconds_is_the_ratio_times_the_mean():
    """``ci`` of a latency is mean_reference * (ratio_ci - 1); the difference is arithmetic."""
    row = compare({"a": [1.0, 2.0, 1.2], "b": [1.0, 1.5, 2.0]}, {"a": [1.1, 2.2, 1.3], "b": [1.5, 1.6, 2.5]},
                  kind="latency", direction="lower")  # fmt: skip
    assert row.ci == pytest.approx(tuple(row.mean_reference * (end - 1) for end in row.ratio_ci))
    assert row.difference == pytest.approx(row.mean_candidate - row.mean_reference)
    assert row.margin == pytest.approx(0.20 * row.mean_reference)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_an_error(value):
    """An infinite value is refused, naming metric and case."""
    with pytest.raises(StatsError, match=r"words.*'c1'"):
        judge([make_pair({"c1": [1.0, value]}, {"c1": [1.0, 1.0]}, metric="words",
                         spec=MetricSpec("score", "higher"))])  # fmt: skip


def test_a_binary_metric_holds_zeros_and_ones():
    """0.5 under kind="binary" is refused with the kinds that would do."""
    with pytest.raises(StatsError, match="kind='score'"):
        compare({"a": [0.5]}, {"a": [1]})


def test_text_is_not_a_value():
    """A value that is no number is refused."""
    with pytest.raises(StatsError, match="Valid: bool, int, float"):
        compare({"a": ["good"]}, {"a": [1]})


def test_a_candidate_that_is_the_reference_is_an_error():
    """Comparing a variant with itself is refused by name."""
    with pytest.raises(StatsError, match="'old' would be compared with itself"):
        judge([make_pair({"a": [1]}, {"a": [1]}, candidate_label="old")])


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "ordinal"},
        {"direction": "up"},
        {"scope": "world"},
        {"statistic": "median"},
        {"alpha": 0},
        {"alpha": 5},
        {"margin": -0.1},
        {"margin": math.nan},
        {"tolerance": -1},
        {"resamples": 0},
        {"seed": -1},
        {"max_missing": 20},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_errors(options):
    """Every option says which value is wrong."""
    (name,) = options
    with pytest.raises(StatsError, match=name):
        compare({"a": [1, 0]}, {"a": [1, 1]}, **options)


@pytest.mark.parametrize("options", [{"gate": "never"}, {"multiplicity": "sidak"}], ids=str)
def test_unknown_rules_are_errors(options):
    """An unknown gate or multiplicity lists the valid ones."""
    with pytest.raises(StatsError, match="Valid:"):
        judge([make_pair({"a": [1, 0]}, {"a": [1, 1]})], **options)
