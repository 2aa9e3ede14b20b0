"""What stored runs say about the gate's false alarms, its power, and the size that a change needs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from simulated_suites import binary, lognormal, normal, pass_rates

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.calibration import (
    FalseAlarms,
    Stored,
    false_alarms,
    family_of,
    lowered,
    power_of,
)
from pytest_promptune.core.stats.interval import clopper_pearson
from pytest_promptune.core.stats.sizing import Design, Wanted, size_of, smallest_failing
from pytest_promptune.stats import MetricSpec, cases_needed, minimum_detectable, runs_needed


def stored(scores, *, metric="test_a", module="test_m.py", **spec):
    return Stored(module=module, metric=metric, spec=MetricSpec(**spec), scores=scores)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def accuracy(rng):
    return stored(binary(rng, pass_rates(rng, 12), 8))


# --- false alarms ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_splits(accuracy):
    """Equal seeds give equal results, another seed others."""
    found = false_alarms([accuracy], splits=40, seed=3)
    assert found == false_alarms([accuracy], splits=40, seed=3)
    assert found.verdicts != false_alarms([accuracy], splits=40, seed=4).verdicts


def test_every_split_has_a_verdict_for_every_metric(accuracy, rng):
    """The verdicts of a metric add up to the number of splits, and the interval is that of the failures."""
    score = stored(normal(rng, rng.uniform(0, 1, 12), 0.1, 8), metric="test_a::words", kind="score")
    found = false_alarms([accuracy, score], splits=30)
    assert {label: sum(counts.values()) for label, counts in found.verdicts.items()} == {
        "test_m.py::test_a": 30,
        "test_m.py::test_a::words": 30,
    }
    assert found.ci == clopper_pearson(found.failed, 30, alpha=0.05)
    assert found.promised == 0.025


def test_the_gate_fails_about_as_often_as_it_may(rng):
    """One continuous metric at alpha 0.4: about a fifth of 400 splits fail (48 to 112, four deviations)."""
    score = stored(normal(rng, np.zeros(10), 1.0, 10), kind="score")
    assert 48 <= false_alarms([score], splits=400, alpha=0.4).failed <= 112


def test_metrics_share_the_error_level(rng):
    """Four metrics together fail no more often than one may: at most 60 of 200 at alpha 0.4, not 118."""
    many = [
        stored(normal(rng, np.zeros(6), 1.0, 8), metric=f"test_a::m{index}", kind="score")
        for index in range(4)
    ]
    assert false_alarms(many, splits=200, alpha=0.4).failed <= 60


def test_metrics_of_a_sample_are_split_alike(rng):
    """Two metrics with the same values have the same verdicts; of another module, they are split apart."""
    scores = normal(rng, np.zeros(6), 1.0, 8)
    one, same = stored(scores, kind="score"), stored(scores, metric="test_b", kind="score")
    other = replace(one, module="test_n.py")
    counts = false_alarms([one, same, other], splits=60, alpha=0.4).verdicts
    assert counts["test_m.py::test_a"] == counts["test_m.py::test_b"] != counts["test_n.py::test_a"]


def test_many_splits_are_judged_in_portions(accuracy, monkeypatch):
    """How many are judged at a time doesn't show in the result."""
    whole = false_alarms([accuracy], splits=20)
    monkeypatch.setattr("pytest_promptune.core.stats.calibration._MOST_PAIRS", 3)
    assert false_alarms([accuracy], splits=20) == whole


def test_cases_with_too_few_runs_are_left_out(accuracy):
    """A case with three runs takes no part; with none left there is nothing to split."""
    short = {"few": [1.0, 0.0, 1.0]}
    with_short = replace(accuracy, scores={**accuracy.scores, **short})
    assert false_alarms([with_short], splits=10) == false_alarms([accuracy], splits=10)
    with pytest.raises(StatsError, match="no case has 4 runs"):
        false_alarms([stored(short)])


def test_inputs_like_these_are_judged_by_their_cases(rng):
    """The scope is that of the gate: over cases, the same splits get other verdicts."""
    scores = stored(binary(rng, pass_rates(rng, 12), 8))
    found = [false_alarms([scores], splits=40, scope=scope) for scope in ("suite", "population")]
    assert found[0].verdicts != found[1].verdicts


def test_splits_must_be_positive(accuracy):
    with pytest.raises(StatsError, match="splits=0: must be at least 1; 200 are usual"):
        false_alarms([accuracy], splits=0)


@pytest.mark.parametrize(("failed", "broken"), [(5, False), (10, False), (11, True), (20, True)])
def test_the_promise_is_broken_beyond_what_chance_explains(failed, broken):
    """Of 200 splits where at most 2.5 % should fail, 11 are too many."""
    found = FalseAlarms(
        splits=200, failed=failed, ci=clopper_pearson(failed, 200, alpha=0.05), promised=0.025, verdicts={}
    )
    assert found.is_broken is broken


def test_what_is_all_equal_takes_no_part_in_the_family(accuracy):
    """Constant metrics don't count beside others, but each counts once it changes itself."""
    constant = stored({"a": [0.0] * 5}, metric="bot::error_rate", direction="lower")
    assert family_of(accuracy, [accuracy, constant]) == 1
    assert family_of(constant, [accuracy, constant]) == 2


# --- power ----------------------------------------------------------------------------------------------


def test_power_agrees_with_the_smallest_detectable_change(rng):
    """Coins of 20 cases x 10 runs: a drop of the detectable change is found four times of five."""
    coins = stored(binary(rng, np.full(20, 0.5), 10))
    size = size_of(coins, Wanted(amount=0.1), Design())
    assert power_of(coins, size.minimum) == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize("scope", ["suite", "population"])
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_what_is_tolerated_is_not_found(rng, direction, scope):
    """The gate lets a significant drop of ten points pass that may be within 20; it is told as that."""
    runs = binary(rng, np.full(30, 0.6 if direction == "higher" else 0.4), 16)
    strict, tolerant, hardly = (
        stored(runs, direction=direction, tolerance=tolerance) for tolerance in (None, 0.20, 1e-9)
    )
    given = {"simulations": 100, "scope": scope}
    assert power_of(strict, 0.10, **given) > 0.5
    assert power_of(tolerant, 0.10, **given) == 0
    assert 0 < power_of(tolerant, 0.40, **given) <= power_of(strict, 0.40, **given)
    assert power_of(hardly, 0.10, **given) == pytest.approx(power_of(strict, 0.10, **given), abs=0.1)


def test_the_smallest_failing_drop_is_beyond_the_tolerance(rng):
    """Coins of 20 cases x 10 runs: it fails four times of five, with a tolerance of ten points as without."""
    runs = binary(rng, np.full(20, 0.5), 10)
    plain, tolerant = stored(runs), stored(runs, tolerance=0.10)
    smallest = [smallest_failing(each, Design()) for each in (plain, tolerant)]
    assert smallest[0] == size_of(plain, Wanted(amount=0.1), Design()).minimum
    assert smallest[1] == pytest.approx(smallest[0] + 0.10)
    assert power_of(tolerant, smallest[1]) == pytest.approx(0.8, abs=0.08)


def test_a_large_family_may_ask_for_more_than_the_tolerance(rng):
    """The level is shared, the interval is not: the harder of the two decides."""
    runs = binary(rng, np.full(20, 0.5), 10)
    for tolerance, is_harder in ((1e-6, False), (0.10, True)):
        many = smallest_failing(stored(runs, tolerance=tolerance), Design(family=50))
        plain = smallest_failing(stored(runs), Design(family=50))
        assert (many > plain) is is_harder


def test_the_usual_tolerance_of_latency_counts(rng):
    """A tenth of the mean is ignored unless another tolerance is given; on the log scale, as the test is."""
    runs = lognormal(rng, np.zeros(30), 0.2, 6)
    usual, none = (
        stored(runs, kind="latency", direction="lower", tolerance=tolerance) for tolerance in (None, 0.0)
    )
    size = size_of(none, Wanted(amount=0.1), Design())
    assert smallest_failing(none, Design()) == pytest.approx(size.minimum)
    ratio = (1 + size.minimum / size.mean) * 1.1
    assert smallest_failing(usual, Design()) == pytest.approx(size.mean * (ratio - 1))


@pytest.mark.parametrize("scores", [{"a": [1.0], "b": [0.0]}, {"a": [None]}])
def test_without_repeated_runs_the_smallest_is_unknown(scores):
    assert smallest_failing(stored(scores, tolerance=0.1), Design()) is None


def test_larger_drops_are_found_more_often(accuracy):
    few, many = (power_of(accuracy, drop, simulations=200) for drop in (0.05, 0.20))
    assert few < 0.4 < 0.8 < many


def test_inputs_like_these_need_more_than_these_cases(rng):
    """A drop of all cases is found less often where the cases count as a sample."""
    typical = stored(binary(rng, pass_rates(rng, 20), 5))
    suite, population = (
        power_of(typical, 0.10, simulations=200, scope=scope) for scope in ("suite", "population")
    )
    assert 0 < population < suite


def test_a_larger_family_finds_less(accuracy):
    assert power_of(accuracy, 0.15, family=12, simulations=200) < power_of(accuracy, 0.15, simulations=200)


def test_power_is_the_same_for_errors_that_rise(accuracy):
    """Where lower is better, a drop is a rise: the mirrored metric has about the same power."""
    mirrored = stored(
        {case: [1 - value for value in runs] for case, runs in accuracy.scores.items()}, direction="lower"
    )
    assert power_of(mirrored, 0.15, simulations=200) == pytest.approx(
        power_of(accuracy, 0.15, simulations=200), abs=0.12
    )


def test_the_same_seed_gives_the_same_power(accuracy):
    assert power_of(accuracy, 0.1, simulations=50) == power_of(accuracy, 0.1, simulations=50)


@pytest.mark.parametrize(
    ("scores", "spec"),
    [
        ({"a": [0.0, 0.0, 0.0, 1.0]}, {}),
        ({"a": [1.0, 1.0, 1.0, 1.0]}, {"direction": "lower"}),
        ({"a": [1.0], "b": [0.0]}, {}),
        ({"a": [None, None]}, {}),
    ],
    ids=["nearly none", "all errors", "one run each", "nothing"],
)
def test_power_is_unknown_where_nothing_can_fall(scores, spec):
    """At 25 % it can't fall by 30 points; without repeated runs nothing is known of their noise."""
    assert power_of(stored(scores, **spec), 0.3) is None


def test_power_in_points_is_for_rates(rng):
    with pytest.raises(StatsError, match="0/1 metrics only"):
        power_of(stored(normal(rng, np.zeros(3), 1.0, 4), kind="score"), 0.1)


def test_rates_are_lowered_by_exactly_the_drop(rng):
    """The mean falls by the drop, every case falls, and none leaves [0, 1]."""
    rates = np.vstack([pass_rates(rng, 20), pass_rates(rng, 20, mean=0.95)])
    lower = lowered(rates, 0.1)
    assert (rates.mean(axis=1) - lower.mean(axis=1)).tolist() == pytest.approx([0.1, 0.1])
    assert ((lower >= 0) & (lower <= rates + 1e-9)).all()


# --- size -----------------------------------------------------------------------------------------------


def test_a_score_needs_what_the_formulas_say(rng):
    """Runs on both sides, against the stored runs, and cases are those of the planning formulas."""
    scores = stored(normal(rng, rng.uniform(0.4, 0.6, 20), 0.05, 5), kind="score")
    size = size_of(scores, Wanted(amount=0.02), Design(family=3, power=0.9))
    variance = size.components.within
    given = {"difference": 0.02, "power": 0.9, "family": 3}
    assert size.runs_both == runs_needed(variance, variance, cases=20, **given)
    assert size.runs_candidate == runs_needed(variance, variance, cases=20, stored_runs=5, **given)
    assert size.cases_like_these == cases_needed(0.0, variance, variance, runs0=5, runs1=5, **given)
    assert size.is_bound
    assert size.minimum == pytest.approx(
        minimum_detectable(variance, variance, cases=20, runs0=5, runs1=5, power=0.9, family=3)
    )


def test_too_noisy_runs_are_said_to_be(rng):
    """A change below what the stored runs' own noise allows is impossible against them, not on both sides."""
    size = size_of(stored(binary(rng, np.full(10, 0.5), 4)), Wanted(amount=0.05), Design())
    assert size.is_impossible
    assert size.runs_candidate is None
    assert size.runs_both > 4
    assert not size.is_enough


def test_enough_is_enough(rng):
    """Runs that find the change on both sides are enough."""
    size = size_of(stored(binary(rng, np.full(50, 0.9), 10)), Wanted(amount=0.2), Design())
    assert size.is_enough
    assert not size.is_impossible
    assert size.minimum < size.difference


@pytest.mark.parametrize(
    ("kind", "values", "wanted", "difference"),
    [
        ("binary", [0.0, 1.0], Wanted(amount=0.1), 0.1),
        ("score", [0.2, 0.6], Wanted(amount=0.1), 0.1),
        ("score", [20.0, 60.0], Wanted(amount=0.1), 4.0),
        ("cost", [0.2, 0.6], Wanted(amount=0.1), 0.04),
        ("latency", [2.0, 6.0], Wanted(amount=0.1), 0.4),
        ("score", [20.0, 60.0], Wanted(amount=3.0, counts="unit"), 3.0),
        ("score", [0.2, 0.6], Wanted(amount=0.1, counts="mean"), 0.04),
        ("binary", [0.0, 1.0], Wanted(amount=0.1, counts="mean"), 0.1),
        ("latency", [2.0, 6.0], Wanted(amount=0.1, counts="unit"), 0.4),
    ],
)
def test_a_wanted_change_in_the_unit_of_the_metric(kind, values, wanted, difference):
    """Points for rates and scores within [0, 1], else a share of the mean; or the metric's own unit."""
    size = size_of(stored({"a": values, "b": values}, kind=kind), wanted, Design())
    assert size.difference == pytest.approx(difference)


def test_latency_is_sized_on_the_log_scale(rng):
    """The smallest change of latency is a factor of the mean, from the variance of the logs."""
    times = stored(lognormal(rng, np.zeros(30), 0.2, 6), kind="latency", direction="lower")
    size = size_of(times, Wanted(amount=0.1), Design())
    logs = np.log(np.array(list(times.scores.values())))
    variance = logs.var(axis=1, ddof=1).mean()
    least = minimum_detectable(variance, variance, cases=30, runs0=6, runs1=6)
    assert size.minimum == pytest.approx(size.mean * (math.exp(least) - 1))


def test_another_variant_tells_how_differently_cases_change(rng):
    """Changes that differ by 0.2 from case to case need many cases; equal changes none on their account."""
    means = rng.uniform(0, 1, 400)
    scores = stored(normal(rng, means, 0.1, 5), kind="score")
    differing = normal(rng, means + rng.normal(0, 0.2, 400), 0.1, 5)
    alike = normal(rng, means + 0.3, 0.1, 5)
    size = size_of(scores, Wanted(amount=0.1), Design(), others=[alike, differing])
    assert size.change_variance == pytest.approx(0.04, rel=0.2)
    assert not size.is_bound
    only_alike = size_of(scores, Wanted(amount=0.1), Design(), others=[alike])
    assert only_alike.change_variance < 0.004
    assert size.cases_like_these > 5 * only_alike.cases_like_these


def test_a_single_run_says_nothing_about_noise():
    """Neither a smallest change nor runs are known; no value at all has no size."""
    size = size_of(stored({"a": [1.0], "b": [0.0]}), Wanted(amount=0.1), Design())
    assert (size.minimum, size.runs_both, size.cases_like_these, size.is_impossible) == (
        None,
        None,
        None,
        False,
    )
    assert size_of(stored({"a": [None]}), Wanted(amount=0.1), Design()) is None
