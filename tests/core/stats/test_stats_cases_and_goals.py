"""Single cases, goals, planning, looks and descriptions."""

import math

import pytest
from scipy.special import beta, comb

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.cells import PairedCells
from pytest_promptune.stats import (
    case_changes,
    cases_needed,
    describe,
    goal_attainment,
    minimum_detectable,
    runs_needed,
    spending,
    variance_components,
)


def suite(n_cases, values):
    return {f"c{index:02}": list(values) for index in range(n_cases)}


def by_case(changes):
    return {change.case: change for change in changes}


def test_a_broken_case_among_passing_ones_is_confirmed_with_three_runs():
    """One of twenty always-passing cases fails three times: regressed; the others: unchanged."""
    good = suite(20, [1, 1, 1])
    changes = by_case(case_changes(good, {**good, "c07": [0, 0, 0]}))
    assert changes["c07"].change == "regressed"
    assert {change.change for case, change in changes.items() if case != "c07"} == {"unchanged"}


def test_the_case_p_value_is_the_beta_binomial_tail():
    """Two cases by hand: moments of the pooled rates and 0.5, then the sum over equal or larger drops."""
    changes = by_case(case_changes({"a": [1, 1], "b": [1, 0]}, {"a": [1, 0], "b": [1, 0]}))
    rates = [0.75, 0.5, 0.5]
    mean = sum(rates) / 3
    spread = sum((rate - mean) ** 2 for rate in rates) / 2
    rho = min(max((spread * 4 / (mean * (1 - mean)) - 1) / 3, 0.01), 0.99)
    a, b = mean * (1 / rho - 1), (1 - mean) * (1 / rho - 1)
    p = sum(
        comb(2, x0) * comb(2, x1) * beta(a + x0 + x1, b + 4 - x0 - x1) / beta(a, b)
        for x0 in range(3)
        for x1 in range(3)
        if x0 - x1 >= 1
    )
    assert changes["a"].p_worse == pytest.approx(p)
    assert changes["a"].p_better == 1
    assert (changes["b"].p_worse, changes["b"].p_better) == (1, 1)


def test_a_large_unconfirmed_drop_is_suspect():
    """A flaky suite explains a lost half, so it is only worth another look."""
    flaky = suite(20, [1, 0, 1, 0])
    changes = by_case(case_changes(flaky, {**flaky, "c00": [0, 0, 0, 0]}))
    assert changes["c00"].change == "suspect"


def test_case_changes_mirror():
    """Exchanged sides exchange improvements and regressions, and so does the direction."""
    good = suite(20, [1, 1, 1])
    bad = {**good, "c07": [0, 0, 0]}
    assert by_case(case_changes(bad, good))["c07"].change == "improved"
    assert by_case(case_changes(good, bad, direction="lower"))["c07"].change == "improved"


@pytest.mark.parametrize("kind", ["score", "latency", "cost"])
def test_a_case_far_outside_its_noise_is_confirmed(kind):
    """A case that doubles while the suite's runs differ by per cents is confirmed; nothing else is."""
    values = suite(10, [1.0, 1.05, 0.95, 1.02, 0.98])
    other = {**values, "c04": [2.0, 2.1, 1.9, 2.04, 1.96]}
    changes = by_case(case_changes(values, other, kind=kind, direction="lower"))
    assert [case for case, change in changes.items() if change.change == "regressed"] == ["c04"]
    assert {change.change for change in changes.values()} == {"regressed", "unchanged"}


def test_without_repeated_runs_scores_of_single_cases_are_not_tested():
    """One run per case: no variance, no p-value, no verdict about a case."""
    (change,) = case_changes({"a": [0.1]}, {"a": [0.9]}, kind="score")
    assert (change.p_worse, change.p_better, change.change) == (None, None, "unchanged")


def test_a_deterministic_change_of_a_case_is_certain():
    """Without any noise a difference is a change and equality is none."""
    changes = by_case(
        case_changes(suite(3, [2.0] * 3), {**suite(3, [2.0] * 3), "c01": [3.0] * 3}, kind="cost")
    )
    assert [changes[case].change for case in ("c00", "c01")] == ["unchanged", "improved"]
    assert changes["c00"].p_worse == 0.5


@pytest.mark.parametrize("kind", ["binary", "score"])
def test_more_cases_take_no_more_passes(kind, monkeypatch):
    """The differences of all cases are subtracted at once, and not again for every case."""
    subtract, asked = PairedCells.differences.fget, []
    monkeypatch.setattr(PairedCells, "differences", property(lambda both: asked.append(1) or subtract(both)))
    passes = []
    for cases in (5, 50):
        asked.clear()
        assert len(case_changes(suite(cases, [1, 0]), suite(cases, [0, 0]), kind=kind)) == cases
        passes.append(len(asked))
    assert passes[0] == passes[1] > 0


def test_no_common_cases_no_changes():
    """Nothing in common is an empty list."""
    assert case_changes({"a": [1]}, {"b": [1]}) == []


def test_goals_in_both_directions():
    """A target is a floor for "higher" and a ceiling for "lower"."""
    seconds = suite(10, [2.0, 2.1, 1.9])
    options = {"kind": "latency", "direction": "lower"}
    assert goal_attainment(seconds, target=3.0, **options).status == "attained"
    assert goal_attainment(seconds, target=1.0, **options).status == "missed"
    close = goal_attainment(seconds, target=2.005, **options)
    assert (close.status, close.reached) == ("unclear", True)


def test_a_perfect_small_suite_does_not_attain_ninety_five_percent():
    """30 of 30 passes still allow a true rate of 89 %: reached but unclear."""
    result = goal_attainment(suite(10, [1, 1, 1]), target=0.95)
    assert (result.status, result.reached) == ("unclear", True)
    assert result.ci == pytest.approx((0.886487, 1.0), abs=1e-6)


def test_goal_for_cases_like_these_is_wider():
    """Population scope counts the cases as a sample."""
    scores = {**suite(15, [1] * 5), **{f"x{i}": [0, 1, 0, 0, 1] for i in range(5)}}
    suite_ci = goal_attainment(scores, target=0.8).ci
    population_ci = goal_attainment(scores, target=0.8, scope="population").ci
    assert population_ci[0] < suite_ci[0]
    assert population_ci[1] > suite_ci[1]


@pytest.mark.parametrize("kind", ["binary", "score"])
def test_goal_of_one_run_speaks_about_cases(kind):
    """With one run per case the noise between runs is unknown, so cases are the sample."""
    result = goal_attainment({f"c{i:02}": [float(i % 4 > 0)] for i in range(20)}, target=0.5, kind=kind)
    assert result.scope == "population"
    assert result.ci[0] < 0.75 < result.ci[1]


def test_goal_without_values_is_unknown():
    """No value, no statement."""
    result = goal_attainment({"a": [None]}, target=0.5)
    assert (result.status, result.mean, result.ci, result.p_value) == ("unclear", None, None, None)


@pytest.mark.parametrize(("kind", "ci"), [("binary", (0.0, 1.0)), ("score", (-math.inf, math.inf))])
def test_goal_of_one_case_and_run_knows_nothing(kind, ci):
    """One value leaves everything possible."""
    assert goal_attainment({"a": [1]}, target=0.5, kind=kind).ci == ci


def test_a_goal_without_noise_is_certain():
    """Equal values leave no doubt on either side of the target."""
    scores = suite(4, [0.5, 0.5])
    below, above = (goal_attainment(scores, target=target, kind="score") for target in (0.4, 0.6))
    assert (below.status, below.p_value) == ("attained", 0)
    assert (above.status, above.p_value) == ("missed", 1)
    assert goal_attainment(scores, target=0.4, kind="score", scope="population").ci == (0.5, 0.5)


def test_a_binary_target_of_one_has_no_test():
    """No test can show that every run passes."""
    assert goal_attainment(suite(4, [1, 1]), target=1).p_value is None


def test_an_infinite_target_is_an_error():
    """A target is a number one can reach."""
    with pytest.raises(StatsError, match="target"):
        goal_attainment(suite(4, [1, 1]), target=math.inf)


def test_planning_formulas_agree_with_each_other():
    """The change that R runs detect needs R runs without the safety factor, stored ones or not."""
    noise = {"var0": 0.1, "var1": 0.2}
    change = minimum_detectable(**noise, cases=20, runs0=7, runs1=7, family=3)
    assert runs_needed(**noise, cases=20, difference=change, family=3, safety=1) == 7
    assert runs_needed(**noise, cases=20, difference=change, stored_runs=7, family=3, safety=1) == 7
    assert cases_needed(0, **noise, runs0=7, runs1=7, difference=change, family=3) == 20


def test_runs_needed_keeps_a_reserve():
    """By default a quarter more runs than the normal approximation says."""
    assert runs_needed(0.08, 0.08, cases=20, difference=0.05) == math.ceil(1.25 * 25.12)


@pytest.mark.parametrize(
    "wrong", [{"difference": 0}, {"cases": 0}, {"family": 0}, {"alpha": 2}, {"power": 0}]
)
def test_plans_that_make_no_sense_are_errors(wrong):
    """Each names the number that is wrong."""
    (name,) = wrong
    with pytest.raises(StatsError, match=name):
        runs_needed(0.1, 0.1, **{"cases": 20, "difference": 0.1} | wrong)


def test_variance_components_without_repeats_are_unknown():
    """One run per case cannot tell cases from noise; one case has no variance between cases."""
    single = variance_components({"a": [1], "b": [0]})
    assert (single.within, single.between, single.icc) == (None, None, None)
    assert single.flaky_cases == ()
    one_case = variance_components({"a": [1, 0]})
    assert (one_case.within, one_case.between) == (0.5, None)
    assert variance_components({}).within is None


def test_spending_adds_up():
    """All looks together spend the total, whichever way."""
    assert sum(spending(0.025, [3, 6, 10])) == pytest.approx(0.025)
    assert spending(0.025, [2, 5], kind="split") == [0.0125, 0.0125]


@pytest.mark.parametrize("looks", [[], [0, 3], [6, 3], [3, 3]], ids=str)
def test_looks_must_ascend(looks):
    """Looks that make no order are refused."""
    with pytest.raises(StatsError, match="looks"):
        spending(0.025, looks)


def test_describe_a_binary_metric():
    """Means over cases, spread between runs, pass^N and flaky cases."""
    row = describe({"a": [1, 1, 1], "b": [1, 0, 1], "c": [0, 0, None], "d": [None] * 3}, kind="binary")
    assert (row.n_cases, row.n_samples, row.n_missing) == (3, 8, 4)
    assert row.mean == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert row.pass_all_runs == pytest.approx(1 / 3)
    assert row.flaky_cases == ("b",)
    assert (row.min, row.max) == pytest.approx((1 / 3, 1))
    assert (row.p50, row.p95, row.p99) == (None, None, None)
    assert row.case_means == pytest.approx({"a": 1, "b": 2 / 3, "c": 0})


def test_describe_a_score():
    """Percentiles over runs; nothing about passing."""
    row = describe({"a": [1.0, 3.0], "b": [2.0, 4.0]}, kind="score")
    assert (row.p50, row.min, row.max, row.pass_all_runs) == (2.5, 1.5, 3.5, None)
    assert row.within_case_sd == pytest.approx(math.sqrt(2))
    assert row.sd_of_runs == pytest.approx(math.sqrt(2))


def test_describe_without_repeats_leaves_noise_unknown():
    """One run per case: no variance between runs, no interval from it; a pass rate keeps a wide one."""
    row = describe({"a": [1.0], "b": [3.0]}, kind="score")
    assert (row.within_case_sd, row.between_case_sd, row.sd_of_runs, row.ci) == (None, None, None, None)
    low, high = describe({f"c{i}": [i % 2] for i in range(20)}, kind="binary").ci
    assert (low, high) == pytest.approx((0.2993, 0.7007), abs=1e-3)
