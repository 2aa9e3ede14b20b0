"""Percentiles of sets of samples."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_promptune.core.stats.aggregates import describe_aggregate
from pytest_promptune.core.stats.percentiles import Percentile


@pytest.mark.parametrize("q", [0, 12.5, 50, 95, 100])
def test_weighted_sets_are_those_of_numpy(q):
    """A sample of weight 2 is there twice, one of weight 0 is not."""
    rng = np.random.default_rng(7)
    cases = [list(rng.lognormal(size=n)) for n in (3, 1, 5)]
    weights = [rng.integers(0, 4, size=(len(case), 40)).astype(float) for case in cases]
    found = Percentile(q).evaluator(cases).values(weights, 40)
    samples, counts = np.concatenate(cases), np.concatenate(weights).astype(int)
    expected = [np.percentile(np.repeat(samples, counts[:, i]), q) for i in range(40)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_an_empty_set_has_none():
    """NaN, not zero."""
    found = Percentile(50).evaluator([[1.0, 2.0]]).values([np.zeros((2, 1))], 1)
    assert np.isnan(found).all()


def test_described_with_an_interval():
    """The interval holds the value; equal samples have one of no width."""
    scores = {f"c{i}": [float(i + r) for r in range(5)] for i in range(8)}
    found = describe_aggregate(scores, Percentile(95))
    assert found.value == np.percentile([v for runs in scores.values() for v in runs], 95)
    assert found.ci is not None
    assert found.ci[0] <= found.value <= found.ci[1]
    same = describe_aggregate({"a": [2.0, 2.0], "b": [2.0, 2.0]}, Percentile(95))
    assert (same.value, same.ci) == (2.0, (2.0, 2.0))
