"""What calibrate and plan-runs tell of stored runs, held to the truth behind simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_suites import binary, pass_rates

from pytest_promptune.core.stats.calibration import Stored, false_alarms, lowered, power_of
from pytest_promptune.core.stats.sizing import Design, Wanted, size_of
from pytest_promptune.stats import MetricSpec, compare

pytestmark = pytest.mark.nightly

BASELINES = 60
SESSIONS = 40


def baseline(rng, runs):
    """Rates of a typical suite of 20 cases, and a recording of it."""
    rates = pass_rates(rng, 20)
    scores = binary(rng, rates, runs)
    return rates, Stored(module="test_m.py", metric="test_a", spec=MetricSpec("binary"), scores=scores)


def found(rng, rates, runs, drop):
    """Share of sessions that find the drop."""
    lower = lowered(rates[None, :], drop)[0]
    regressed = [
        compare(binary(rng, rates, runs), binary(rng, lower, runs), resamples=499, seed=seed).verdict
        == "regressed"
        for seed in range(SESSIONS)
    ]
    return float(np.mean(regressed))


@pytest.mark.parametrize(("runs", "drop"), [(5, 0.05), (5, 0.10), (10, 0.10), (5, 0.20)])
def test_power_told_from_stored_runs_is_that_of_the_suite(runs, drop, note):
    """Over 60 recordings the mean of what calibrate tells is within 5 points of the truth."""
    rng = np.random.default_rng(2033)
    told, true = [], []
    for seed in range(BASELINES):
        rates, stored = baseline(rng, runs)
        power = power_of(stored, drop, simulations=100, seed=seed)
        if power is not None:
            told.append(power)
            true.append(found(rng, rates, runs, drop))
    note(f"told {np.mean(told):.1%}, true {np.mean(true):.1%}")
    assert abs(np.mean(told) - np.mean(true)) <= 0.05


def test_the_runs_that_are_planned_find_the_change(note):
    """Planned from 5 stored runs for 80 %, 10 points are found in 72 to 90 % of sessions on average."""
    rng = np.random.default_rng(2034)
    true, planned = [], []
    for _ in range(BASELINES):
        rates, stored = baseline(rng, 5)
        runs = size_of(stored, Wanted(amount=0.10), Design()).runs_both
        planned.append(runs)
        true.append(found(rng, rates, runs, 0.10))
    note(f"{np.median(planned):g} runs planned (median), found in {np.mean(true):.1%}")
    assert 0.72 <= np.mean(true) <= 0.90


def test_halves_of_stored_runs_fail_as_rarely_as_promised(note):
    """Over 60 recordings of 10 runs and 100 splits each, at most 2.5 % of the splits fail; and some do."""
    rng = np.random.default_rng(2035)
    failed = sum(false_alarms([baseline(rng, 10)[1]], splits=100).failed for _ in range(BASELINES))
    note(f"{failed} of {BASELINES * 100} splits failed")
    assert 30 <= failed <= 185
