"""Looking early keeps the promise about false alarms; checked on suites with known truth and fixed seeds."""

from dataclasses import replace

import numpy as np
import pytest
import views
from simulated_suites import binary, logit_shift, lognormal, normal, pass_rates, shifted

from pytest_promptune.core.gate import gate_items
from pytest_promptune.core.looks import is_clear
from pytest_promptune.core.stats import judging
from pytest_promptune.core.stats.multiplicity import holm
from pytest_promptune.stats import MetricSpec, Pair, judge, spending

LOOKS = (3, 6, 10)
LEVELS = spending(0.025, LOOKS)


def suite(rng, change=lambda rates: rates, *, metrics=1, cases=20):
    """Metric by metric: the reference's and the candidate's ten runs."""
    rates = pass_rates(rng, cases)
    levels, seconds = rng.uniform(0.3, 0.9, cases), rng.normal(0.5, 0.5, cases)
    costs = rng.uniform(0.01, 0.02, cases)
    draws = {
        "accuracy": (MetricSpec("binary", "higher"), lambda p: binary(rng, p, 10)),
        "score": (MetricSpec("score", "higher"), lambda _: normal(rng, levels, 0.1, 10)),
        "latency": (
            MetricSpec("latency", "lower", tolerance=0.0),
            lambda _: lognormal(rng, seconds, 0.3, 10),
        ),
        "cost": (MetricSpec("cost", "lower"), lambda _: normal(rng, costs, 0.001, 10)),
    }
    chosen = list(draws.items())[:metrics]
    return [(name, spec, draw(rates), draw(change(rates))) for name, (spec, draw) in chosen]


def until(scores, runs):
    return {case: values[:runs] for case, values in scores.items()}


def rows_of(judgement):
    """As the session has them."""
    return [
        replace(
            views.comparison(views.metric_name(found.metric)),
            verdict=found.verdict,
            gate=found.gate,
            p=found.p_value,
            n_cases=found.n_cases,
        )
        for found in judgement.comparisons
    ]


def check(measured, seed):
    """A check of 3..10 runs against a baseline of ten: whether it fails, and after how many runs."""
    for runs, level in zip(LOOKS, LEVELS, strict=True):
        pairs = [
            Pair(
                metric=name,
                reference="baseline",
                candidate="current",
                reference_scores=reference,
                candidate_scores=until(candidate, runs),
                spec=spec,
            )
            for name, spec, reference, candidate in measured
        ]
        judgement = judge(pairs, alpha=2 * level, resamples=999, seed=seed)
        rows = rows_of(judgement)
        if is_clear("check", rows, gate_items(rows)):
            break
    return judgement.gate == "fail", runs


@pytest.mark.parametrize("metrics", [1, 4])
def test_an_unchanged_app_rarely_fails_at_any_look(metrics):
    """At most 23 of 400 fail (2.5 % promised; more than 23 has probability 9e-5), and a quarter is saved."""
    rng = np.random.default_rng(2026)
    found = [check(suite(rng, metrics=metrics), seed) for seed in range(400)]
    assert sum(failed for failed, _ in found) <= 23
    assert 6.5 <= np.mean([runs for _, runs in found]) <= 7.7


def test_a_drop_of_ten_points_is_found_nearly_as_often():
    """Typical suite, 3..10 runs: 88 of 100 expected, 74 to 98 allowed; with 10 runs throughout, 90."""
    rng, shift = np.random.default_rng(2026), logit_shift(0.10)
    found = [check(suite(rng, lambda rates: shifted(rates, shift)), seed) for seed in range(100)]
    assert 74 <= sum(failed for failed, _ in found) <= 98
    assert np.mean([runs for _, runs in found]) <= 8.5


# --- small levels ---------------------------------------------------------------------------------


def broken(metrics=4, cases=20):
    """Pairs of an app that answers nearly nothing right any more."""
    rng, rates = np.random.default_rng(1), np.full(cases, 0.9)
    return [
        Pair(
            metric=f"m{number}",
            reference="baseline",
            candidate="current",
            reference_scores=binary(rng, rates, 5),
            candidate_scores=binary(rng, rates / 10, 3),
            spec=MetricSpec("binary", "higher"),
        )
        for number in range(metrics)
    ]


def test_a_broken_app_is_found_at_the_first_look():
    """Its level is 0.00004: ten thousand relabellings could not tell, so those near it are drawn again."""
    judgement = judge(broken(), alpha=2 * LEVELS[0])
    assert judgement.gate == "fail"
    assert all(row.p_worse_adjusted <= LEVELS[0] for row in judgement.comparisons)
    assert [row.p_worse_adjusted for row in judgement.comparisons] == holm(
        [row.p_worse for row in judgement.comparisons]
    )


def test_only_pairs_near_the_level_are_drawn_again(monkeypatch):
    """One that is far from significant keeps the p-value of the first draw."""
    asked = []

    def noted(prepared, options, resamples):
        asked.append((len(prepared), resamples))
        return drawn(prepared, options, resamples)

    drawn = judging._drawn
    monkeypatch.setattr(judging, "_drawn", noted)
    rng, rates = np.random.default_rng(2), np.full(20, 0.8)
    same = replace(
        broken(1)[0],
        metric="same",
        reference_scores=binary(rng, rates, 5),
        candidate_scores=binary(rng, rates, 3),
    )
    judge([*broken(2), same], alpha=2 * LEVELS[0])
    assert [count for count, _ in asked] == [3, 2]
    assert asked[0][1] == 9_999 < asked[1][1]
    asked.clear()
    judge([*broken(2), same], alpha=0.05)
    assert asked == [(3, 9_999)], "at the usual level one draw resolves everything"


def test_what_could_not_become_significant_is_not_drawn_again(monkeypatch):
    """Too much work for the smallest p-value that Holm asks for: the next look will tell."""
    monkeypatch.setattr(judging, "MOST_WORK", 1_000)
    judgement = judge(broken(), alpha=2 * LEVELS[0])
    assert judgement.gate == "pass"
    assert {row.verdict for row in judgement.comparisons} == {"inconclusive"}
