"""The promises about error rates, checked on suites with known truth and fixed seeds.

Small enough for every run of the tests; ``tests/nightly`` holds the full version.
"""

import numpy as np
import pytest
from simulated_suites import (
    broken,
    covered,
    logit_shift,
    partly_redrawn,
    rejections,
    shifted,
    unchanged_build,
)

from pytest_promptune.stats import judge


@pytest.fixture(scope="module")
def unchanged_judgements():
    rng = np.random.default_rng(2026)
    return [judge(unchanged_build(rng), resamples=999, seed=build) for build in range(400)]


def test_an_unchanged_app_rarely_fails_the_gate(unchanged_judgements):
    """At most 23 of 400 unchanged builds fail (2.5 % promised; more than 23 has probability 9e-5)."""
    failed = sum(judgement.gate == "fail" for judgement in unchanged_judgements)
    assert failed <= 23


def test_the_gate_is_not_dead(unchanged_judgements):
    """Before adjusting, score alone rejects in some of 400 unchanged builds (fewer than 2: P = 5e-4)."""
    rejected = sum(judgement.comparisons[1].p_worse <= 0.025 for judgement in unchanged_judgements)
    assert rejected >= 2


def test_p_values_of_an_unchanged_score_are_uniform(unchanged_judgements):
    """The empirical distribution of p_worse stays within the Kolmogorov bound of level 1e-4."""
    p = np.sort([judgement.comparisons[1].p_worse for judgement in unchanged_judgements])
    steps = np.arange(len(p) + 1) / len(p)
    distance = max(np.max(steps[1:] - p), np.max(p - steps[:-1]))
    assert distance < np.sqrt(np.log(2 / 1e-4) / 2 / len(p))


def test_a_drop_of_ten_points_is_found_as_often_as_promised():
    """Typical suite, 20 cases x 5 runs: 264 of 400 expected, 228 to 298 allowed."""
    shift = logit_shift(0.10)
    assert 228 <= rejections(lambda rates: shifted(rates, shift), 400) <= 298


def test_two_broken_cases_of_twenty_are_found_as_often_as_promised():
    """Typical suite, 20 cases x 5 runs, two cases break: 282 of 400 expected, 247 to 315 allowed."""
    assert 247 <= rejections(broken, 400) <= 315


def test_the_interval_covers_the_change_of_these_cases():
    """30 % of the cases redrawn: 924 to 976 of 1,000 95 % intervals hold the true change of the suite."""
    assert 924 <= covered(partly_redrawn, 1_000) <= 976
