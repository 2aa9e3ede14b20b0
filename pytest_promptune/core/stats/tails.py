"""Tails of Student's t distribution for many values at once."""

from __future__ import annotations

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray
from pytest_promptune.core.stats.special import fraction_terms, log_beta

#: A value beyond which nothing is left, and whose square is a number.
_CERTAIN = 1e150

#: Stands for a zero that would be divided by.
_TINY = 1e-300


def tails_of_t(t: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P(T <= t) and P(T >= t) for values (n,) with finite degrees of freedom (n,); each exact in its tail."""
    is_certain = np.abs(t) > _CERTAIN
    square = np.square(np.where(is_certain, 0.0, t))
    small = np.where(is_certain, 0.0, 0.5 * _beta_cdf(df / 2, df / (df + square), square / (df + square)))
    below = np.where(t < 0, small, 1 - small)
    return below, np.where(t < 0, 1 - small, small)


def _beta_cdf(a: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """I_x(a, 1/2) where y = 1 - x, and x is no zero."""
    found = np.ones_like(x)
    inside = y > 0
    a, x, y = a[inside], x[inside], y[inside]
    logs = {each: log_beta(each, 0.5) for each in set(a.tolist())}
    scale = np.exp(a * np.log(x) + 0.5 * np.log(y) - np.array([logs[each] for each in a.tolist()]))
    is_far = x < (a + 1) / (a + 2.5)  # else the fraction converges faster from the other end
    first, second = np.where(is_far, a, 0.5), np.where(is_far, 0.5, a)
    part = scale * _fraction(first, second, np.where(is_far, x, y)) / first
    found[inside] = np.where(is_far, part, 1 - part)
    return found


def _fraction(a: FloatArray, b: FloatArray, x: FloatArray) -> FloatArray:
    """The continued fraction of ``special``, by Lentz's method, until all have converged."""
    c, d = np.ones_like(x), _inverse(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100_000):
        for term in fraction_terms(m, a, b, x):
            d = _inverse(1 + term * d)
            c = 1 + term * _inverse(c)
            value = value * c * d
        if bool((np.abs(c * d - 1) < 1e-15).all()):
            break
    return value


def _inverse(value: FloatArray) -> FloatArray:
    inverse: FloatArray = 1 / np.where(np.abs(value) > _TINY, value, _TINY)
    return inverse
