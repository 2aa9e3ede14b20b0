"""Intervals in closed form for one mean and for a difference of means, and their agreement with the test.

Notation: C cases, R runs, d_i the difference of the run means of case i.
"""

import math

import numpy as np

from pytest_promptune.core.stats.cells import Cells, FloatArray, PairedCells
from pytest_promptune.core.stats.model import Interval, Kind
from pytest_promptune.core.stats.permutation import TailProbabilities
from pytest_promptune.core.stats.special import beta_quantile, normal_quantile, t_quantile
from pytest_promptune.core.stats.variance import (
    binary_floor,
    harmonic_total,
    rounding_variance,
    run_variances,
    squared_error,
    welch_satterthwaite,
)

#: Bounds, degrees of freedom (None: not a t interval), and whether there was no variance at all.
Bounds = tuple[Interval, float | None, bool]


def suite_interval(pair: PairedCells, *, kind: Kind, alpha: float) -> Bounds:
    """Interval of the mean difference for these cases; only run-to-run noise counts.

    Binary: Wilson limits at the effective number of runs, combined by MOVER (Newcombe 1998). Otherwise
    Welch-Satterthwaite t over the variances inside the cells. At least one cell needs two runs.
    """
    if kind == "binary":
        return _mover(pair, alpha), None, False
    reference = run_variances(pair.reference, pair.candidate)
    candidate = run_variances(pair.candidate, pair.reference)
    if reference is None or candidate is None:
        raise AssertionError("the suite interval needs a case with two runs; population formulas do not")
    parts = [(pair.reference, reference), (pair.candidate, candidate)]
    error = math.sqrt(sum(squared_error(cells, variances) for cells, variances in parts))
    difference = float(pair.differences.mean())
    if error == 0:
        return (difference, difference), None, True
    df = welch_satterthwaite(parts)
    reach = t_quantile(1 - alpha / 2, df) * error
    return (difference - reach, difference + reach), df, False


def population_interval(pair: PairedCells, *, kind: Kind, alpha: float) -> Bounds:
    """Interval of the mean difference over cases like these.

    Binary: Laplace-adjusted t, which is Bonett and Price (2012) at one run with a t quantile. Otherwise the
    paired t interval of the case differences. One case gives an infinite interval.
    """
    n_cases = len(pair.cases)
    if n_cases == 1:
        return (-math.inf, math.inf), None, False
    difference, error = population_error(pair, kind=kind)
    if error == 0:
        return (difference, difference), None, True
    reach = t_quantile(1 - alpha / 2, n_cases - 1) * error
    return (difference - reach, difference + reach), float(n_cases - 1), False


def population_error(pair: PairedCells, *, kind: Kind) -> tuple[float, float]:
    """Centre of the population interval and its standard error; needs two cases."""
    differences = pair.differences
    n_cases = len(differences)
    if kind == "binary":
        prior = float(np.concatenate([1 / pair.reference.n, 1 / pair.candidate.n]).mean())
        centre = float(differences.sum()) / (n_cases + 2)
        variance = (float((differences**2).sum()) + 2 * prior) / (n_cases + 2) - centre**2
        return centre, math.sqrt(variance / (n_cases + 2))
    variance = float(np.var(differences, ddof=1))
    if variance < max(rounding_variance(pair.reference), rounding_variance(pair.candidate)):
        variance = 0.0
    return float(differences.mean()), math.sqrt(variance / n_cases)


def clip_to_test(bounds: Interval, tails: TailProbabilities, *, alpha: float) -> Interval:
    """Move the bounds so that zero lies outside exactly when the one-sided test rejects at alpha / 2."""
    low, high = bounds
    level = alpha / 2
    low = min(low, 0.0) if tails.at_least > level else max(low, 0.0)
    high = max(high, 0.0) if tails.at_most > level else min(high, 0.0)
    return low, high


def wilson(share: float, n: float, *, alpha: float) -> Interval:
    """Wilson score interval of a share seen in n runs (n need not be whole)."""
    z = normal_quantile(1 - alpha / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and 1 the limit on that side is the share itself; the formula only gets there up to rounding.
    low = 0.0 if share == 0 else max(0.0, centre - reach)
    high = 1.0 if share == 1 else min(1.0, centre + reach)
    return low, high


def binary_squared_error(cells: Cells, other: Cells | None = None) -> float:
    """Squared error of a pass rate, at least that of one failure in two runs more than there are.

    Where nothing was repeated it is that of independent runs of one and the same case, the worst case.
    """
    variances, n = run_variances(cells, other), harmonic_total(cells)
    share = float(cells.mean.mean())
    measured = share * (1 - share) / n if variances is None else squared_error(cells, variances)
    return max(measured, binary_floor(cells) / n)


def effective_runs(cells: Cells, other: Cells | None = None) -> float:
    """Number of independent runs that know as much about the pass rate as these runs of these cases."""
    share, n = float(cells.mean.mean()), harmonic_total(cells)
    if share in (0.0, 1.0):
        return n
    return max(n, share * (1 - share) / binary_squared_error(cells, other))


def clopper_pearson(successes: float, n: float, *, alpha: float) -> Interval:
    """Exact binomial interval, for fractional counts too."""
    low = 0.0 if successes <= 0 else beta_quantile(successes, n - successes + 1, alpha / 2)
    high = 1.0 if successes >= n else beta_quantile(successes + 1, n - successes, 1 - alpha / 2)
    return low, high


def korn_graubard_runs(case_means: FloatArray, *, n_runs: int, alpha: float) -> float:
    """Independent runs that know as much about the pass rate over cases like these; needs two cases.

    The number n* of Korn and Graubard (1998), for an exact binomial interval at n*.
    """
    n_cases = len(case_means)
    share = float(case_means.mean())
    variance = float(np.var(case_means, ddof=1)) / n_cases
    effective = float(n_cases) if variance == 0 else share * (1 - share) / variance
    few_cases = normal_quantile(1 - alpha / 2) / t_quantile(1 - alpha / 2, n_cases - 1)
    return float(min(max(effective, n_cases), n_runs)) * few_cases**2


def _mover(pair: PairedCells, alpha: float) -> Interval:
    reference, candidate = pair.reference, pair.candidate
    p0, p1 = float(reference.mean.mean()), float(candidate.mean.mean())
    low0, high0 = wilson(p0, effective_runs(reference, candidate), alpha=alpha)
    low1, high1 = wilson(p1, effective_runs(candidate, reference), alpha=alpha)
    return (
        p1 - p0 - math.hypot(p1 - low1, high0 - p0),
        p1 - p0 + math.hypot(high1 - p1, p0 - low0),
    )
