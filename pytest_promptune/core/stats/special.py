"""The few special functions that verdicts need, for single numbers.

`scipy.special` has them all, and takes 0.27 s of every session to import, more than all other imports of
the statistics together; the tests hold these to its values. Formulas: NIST Digital Library of
Mathematical Functions, chapter 8.17 (incomplete beta functions).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_TINY = 1e-300


def normal_cdf(x: float) -> float:
    """Standard normal distribution."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """Inverse of `normal_cdf`; infinite at 0 and 1."""
    if not 0 < probability < 1:
        return math.copysign(math.inf, probability - 0.5)
    return _standard_normal_inverse()(probability)


@lru_cache(maxsize=1)
def _standard_normal_inverse() -> Callable[[float], float]:
    from statistics import NormalDist  # loads fractions and decimal: only where there are looks

    return NormalDist().inv_cdf


def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_cdf(a: float, b: float, x: float) -> float:
    """Regularized incomplete beta function I_x(a, b)."""
    return _beta_cdf(a, b, x, 1 - x)


@lru_cache(maxsize=1024)
def beta_quantile(a: float, b: float, probability: float) -> float:
    """Inverse of `beta_cdf` in x."""
    if not 0 < probability < 1:
        return 0.0 if probability <= 0 else 1.0
    log_scale = log_beta(a, b)

    def density(x: float) -> float:
        return math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_scale)

    return _solve(lambda x: beta_cdf(a, b, x) - probability, density, 0.0, 1.0, start=a / (a + b))


def t_cdf(t: float, df: float) -> float:
    """Student's t distribution with `df` degrees of freedom, normal for infinitely many."""
    if math.isnan(t) or math.isinf(t):
        return math.nan if math.isnan(t) else float(t > 0)
    if math.isinf(df):
        return normal_cdf(t)
    square = t * t
    tail = 0.5 * _beta_cdf(df / 2, 0.5, df / (df + square), square / (df + square))
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=1024)
def t_quantile(probability: float, df: float) -> float:
    """Inverse of `t_cdf`."""
    if probability > 0.5:  # the lower tail is exact where 1 - p is not
        return -t_quantile(1 - probability, df)
    if math.isinf(df) or probability in (0.0, 0.5):
        return normal_quantile(probability) if probability != 0.5 else 0.0
    log_scale = 0.5 * math.log(df) + log_beta(df / 2, 0.5)

    def density(t: float) -> float:
        return math.exp(-log_scale - (df + 1) / 2 * math.log1p(t * t / df))

    low = min(normal_quantile(probability), -1.0)
    while t_cdf(low, df) > probability:
        low *= 2
    return _solve(
        lambda t: t_cdf(t, df) - probability, density, low, 0.0, start=max(normal_quantile(probability), low)
    )


def _beta_cdf(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b) where y = 1 - x is known more exactly than the difference."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    scale = math.exp(a * math.log(x) + b * math.log(y) - log_beta(a, b))
    if x < (a + 1) / (a + b + 2):
        return scale * _fraction(a, b, x) / a
    return 1 - scale * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 8.17.22, by Lentz's method; takes about sqrt(max(a, b)) steps."""
    c, d = 1.0, _inverse(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100_000):
        for term in fraction_terms(m, a, b, x):
            d = _inverse(1 + term * d)
            c = 1 + term / (c if abs(c) > _TINY else _TINY)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def fraction_terms(m: int, a: Any, b: Any, x: Any) -> tuple[Any, Any]:
    """The m-th two terms of 8.17.22, m > 0; of numbers, and of arrays element by element."""
    even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return even, odd


def _inverse(value: float) -> float:
    return 1 / (value if abs(value) > _TINY else _TINY)


def _solve(
    value: Callable[[float], float],
    slope: Callable[[float], float],
    low: float,
    high: float,
    *,
    start: float,
) -> float:
    """Root of a rising function: Newton's steps, halving where one would leave what is left."""
    x = start if low < start < high else (low + high) / 2
    for _ in range(200):
        above = value(x)
        if above == 0:
            return x
        if above > 0:
            high = x
        else:
            low = x
        steep = slope(x)
        step = x - above / steep if steep > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - x) <= 4e-16 * abs(following):
            return following
        x = following
    return x
