"""Our special functions are scipy's, number for number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special as reference

from pytest_promptune.core.stats import special
from pytest_promptune.core.stats.tails import tails_of_t

PROBABILITIES = (1e-12, 1e-6, 0.001, 0.0125, 0.025, 0.1, 0.3, 0.5, 0.7, 0.95, 0.975, 0.9995, 1 - 1e-9)
FREEDOM = (0.5, 1, 1.7, 2, 3.3, 5, 9, 19, 57.25, 99, 1000, 25_000)
SHAPES = (0.5, 1, 1.5, 3, 17.2, 100, 980, 12_345)


@pytest.mark.parametrize("df", FREEDOM)
def test_student(df):
    """Distribution and quantile, from far out to the middle."""
    for t in (-1e6, -40, -8.3, -3, -1.2, -1e-4, 0, 1e-9, 0.3, 2.1, 6, 30):
        assert special.t_cdf(t, df) == pytest.approx(reference.stdtr(df, t), rel=1e-9, abs=1e-300)
    for p in PROBABILITIES:
        assert special.t_quantile(p, df) == pytest.approx(reference.stdtrit(df, p), rel=1e-7, abs=1e-12)
        assert special.t_cdf(special.t_quantile(p, df), df) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("a", SHAPES)
@pytest.mark.parametrize("b", SHAPES)
def test_beta(a, b):
    """Distribution and quantile, for few and many successes and failures."""
    assert special.log_beta(a, b) == pytest.approx(reference.betaln(a, b), rel=1e-9, abs=1e-9)
    for x in (1e-9, 0.01, 0.2, 0.5, 0.77, 0.99, 1 - 1e-9):
        expected = reference.betainc(a, b, x)
        assert special.beta_cdf(a, b, x) == pytest.approx(expected, rel=1e-8, abs=1e-14)
    for p in (0.0005, 0.025, 0.5, 0.975, 0.9995):
        assert special.beta_quantile(a, b, p) == pytest.approx(reference.betaincinv(a, b, p), rel=1e-8)


@pytest.mark.parametrize("p", PROBABILITIES)
def test_normal(p):
    """Distribution and quantile."""
    assert special.normal_quantile(p) == pytest.approx(reference.ndtri(p), rel=1e-12, abs=1e-12)
    x = reference.ndtri(p)
    assert special.normal_cdf(x) == pytest.approx(reference.ndtr(x), rel=1e-12)


def test_the_ends():
    """Certainty is infinitely far away; an interval of proportions ends at 0 and 1."""
    assert special.normal_quantile(0) == -math.inf
    assert special.normal_quantile(1) == math.inf
    assert special.t_quantile(0.975, math.inf) == pytest.approx(reference.ndtri(0.975))
    assert special.t_quantile(0.5, 3) == 0
    assert (special.t_cdf(math.inf, 3), special.t_cdf(-math.inf, 3)) == (1, 0)
    assert math.isnan(special.t_cdf(math.nan, 3))
    assert special.t_cdf(1.3, math.inf) == pytest.approx(reference.ndtr(1.3))
    assert (special.beta_quantile(2, 3, 0), special.beta_quantile(2, 3, 1)) == (0, 1)
    assert (special.beta_cdf(2, 3, 0), special.beta_cdf(2, 3, 1)) == (0, 1)


def test_tails_of_many_values():
    """All at once they are what they are one by one, to the ends and at certainty."""
    t = np.array([-math.inf, -1e6, -40, -8.3, -1.2, -1e-4, 0, 1e-9, 0.3, 2.1, 6, 30, 1e150, math.inf])
    pairs = [(value, df) for df in (1.0, 4.0, 5.0, 12.0, 57.0, 1000.0) for value in t.tolist()]
    below, above = tails_of_t(np.array([t for t, _ in pairs]), np.array([df for _, df in pairs]))
    assert below.tolist() == pytest.approx([special.t_cdf(t, df) for t, df in pairs], rel=1e-12, abs=1e-300)
    assert above.tolist() == pytest.approx([special.t_cdf(-t, df) for t, df in pairs], rel=1e-12, abs=1e-300)
