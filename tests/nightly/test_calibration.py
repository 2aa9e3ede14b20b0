"""The promises about error rates in full: 1,000 simulated builds each, with known truth and fixed seeds.

`python -m pytest -m nightly`, or ``nox -s nightly``. The limits are those of a binomial count that an honest
implementation passes in 99.98 % of all seeds or more; the numbers are in docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from simulated_suites import (
    SIX_SPECS,
    as_scores,
    binary,
    broken,
    covered,
    logit_shift,
    partly_redrawn,
    pass_rates,
    rejections,
    shifted,
    unchanged_build,
)

from pytest_promptune.stats import MetricSpec, Pair, case_changes, judge

pytestmark = pytest.mark.nightly

BUILDS = 1_000


def judged(seed, *, n_builds=BUILDS, alpha=0.05, resamples=999, **suite):
    rng = np.random.default_rng(seed)
    return [
        judge(unchanged_build(rng, **suite), alpha=alpha, resamples=resamples, seed=build)
        for build in range(n_builds)
    ]


def failures(judgements):
    return sum(judgement.gate == "fail" for judgement in judgements)


@pytest.fixture(scope="module")
def typical():
    """20 cases x 5 runs x 4 metrics, nothing changed."""
    return judged(2026)


# --- nothing changed ------------------------------------------------------------------------------------


def test_an_unchanged_app_fails_as_rarely_as_promised(typical, note):
    """At most 45 of 1,000 builds fail; 25 are expected at most (more than 45: P = 8e-5)."""
    failed = failures(typical)
    note(f"{failed} of {BUILDS} builds failed")
    assert failed <= 45


def test_another_error_level_is_kept_too(note):
    """With alpha = 0.10 at most 77 of 1,000 builds fail; 50 are expected at most."""
    failed = failures(judged(2027, alpha=0.10))
    note(f"{failed} of {BUILDS} builds failed")
    assert failed <= 77


def test_few_cases_and_runs_keep_the_level(note):
    """5 cases x 3 runs: at most 45 of 1,000 builds fail."""
    failed = failures(judged(2028, n_cases=5, runs=3))
    note(f"{failed} of {BUILDS} builds failed")
    assert failed <= 45


def test_six_metrics_and_three_variants_together_keep_the_level(note):
    """18 gated comparisons: at most 45 of 1,000 builds fail (4.5 %); 18 tests apart would fail a third."""
    judgements = judged(2029, specs=SIX_SPECS, candidates=("one", "two", "three"))
    failed = failures(judgements)
    apart = sum(any(row.p_worse <= 0.025 for row in each.comparisons) for each in judgements)
    note(f"{failed} of {BUILDS} builds failed; without Holm's correction it were {apart}")
    assert failed <= 45
    assert apart > 200


def test_a_suite_that_nearly_always_passes_keeps_the_level(note):
    """A pass rate of 98 %: at most 45 of 1,000 builds fail, and it isn't that none could."""
    rng = np.random.default_rng(2030)
    failed = rejected = 0
    for build in range(BUILDS):
        rates = pass_rates(rng, 20, mean=0.98, icc=0.5)
        judgement = judge([accuracy(binary(rng, rates, 5), binary(rng, rates, 5))], seed=build)
        failed += judgement.gate == "fail"
        rejected += judgement.comparisons[0].p_value <= 0.05
    note(f"{failed} of {BUILDS} builds failed; {rejected} two-sided rejections")
    assert failed <= 45
    assert rejected > 0


def accuracy(reference, candidate):
    return Pair(
        metric="accuracy",
        reference="current",
        candidate="same",
        reference_scores=reference,
        candidate_scores=candidate,
        spec=MetricSpec("binary"),
    )


def test_the_gate_is_not_dead(typical, note):
    """Before adjusting, the score alone rejects in 10 of 1,000 unchanged builds or more (fewer: P = 2e-4)."""
    rejected = sum(judgement.comparisons[1].p_worse <= 0.025 for judgement in typical)
    note(f"{rejected} of {BUILDS} unadjusted one-sided rejections; expected 25")
    assert rejected >= 10


def test_p_values_of_an_unchanged_score_are_uniform(typical, note):
    """Kolmogorov-Smirnov against the uniform distribution: p > 1e-4."""
    test = kstest([judgement.comparisons[1].p_worse for judgement in typical], "uniform")
    note(f"distance {test.statistic:.4f}, p = {test.pvalue:.3f}")
    assert test.pvalue > 1e-4


# --- something changed ----------------------------------------------------------------------------------


def test_a_drop_of_ten_points_is_found(note):
    """Typical suite, 20 cases x 5 runs: 660 of 1,000 expected, 604 to 716 allowed."""
    shift = logit_shift(0.10)
    found = rejections(lambda rates: shifted(rates, shift), BUILDS)
    note(f"{found} of {BUILDS} found")
    assert 604 <= found <= 716


def test_two_broken_cases_of_twenty_are_found(note):
    """Typical suite, 20 cases x 5 runs: 705 of 1,000 expected, 651 to 759 allowed."""
    found = rejections(broken, BUILDS)
    note(f"{found} of {BUILDS} found")
    assert 651 <= found <= 759


def test_one_broken_case_is_named(note):
    """A case that always passed and now fails is flagged in 95 % of builds, with at most 10 % false flags."""
    rng = np.random.default_rng(2031)
    flagged, false_shares = 0, []
    for _ in range(BUILDS):
        rates = pass_rates(rng, 20)
        best = int(np.argmax(rates))
        rates[best] = 1.0
        worse = rates.copy()
        worse[best] = 0.02
        changes = case_changes(binary(rng, rates, 5), binary(rng, worse, 5))
        regressed = {change.case for change in changes if change.change == "regressed"}
        (name,) = [case for row, case in enumerate(as_scores(rates[:, None])) if row == best]
        flagged += name in regressed
        false_shares.append(len(regressed - {name}) / max(1, len(regressed)))
    rate = float(np.mean(false_shares))
    note(f"flagged in {flagged} of {BUILDS}; {rate:.1%} of the flags are false on average")
    assert flagged >= 950
    assert rate <= 0.10


# --- the interval ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["nothing", "redrawn", "shifted", "broken"])
def test_the_interval_covers_the_true_change(what, note):
    """924 to 976 of 1,000 intervals of 95 % hold the true change of these cases, whatever changed."""
    shift = logit_shift(0.10)
    changes = {
        "nothing": lambda rng, rates: rates,
        "redrawn": partly_redrawn,
        "shifted": lambda rng, rates: shifted(rates, shift),
        "broken": lambda rng, rates: broken(rates),
    }
    hits = covered(changes[what], BUILDS)
    note(f"{hits} of {BUILDS} intervals hold the truth")
    assert 924 <= hits <= 976
