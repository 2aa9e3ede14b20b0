"""How small a change a design can see, and how many runs or cases a given change needs.

Variances are per run (``var0`` of the reference, ``var1`` of the candidate), differences in the same unit.
``family`` is the number of hypotheses that share the error level.
"""

import math

import numpy as np

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.cells import Table, cells, tabulate
from pytest_promptune.core.stats.interval import binary_squared_error
from pytest_promptune.core.stats.model import (
    Scores,
    VarianceComponents,
    require_above_zero,
    require_at_least,
    require_fraction,
    require_level,
)
from pytest_promptune.core.stats.special import normal_quantile
from pytest_promptune.core.stats.variance import harmonic_total, within_variance


def variance_components(scores: Scores) -> VarianceComponents:
    """Split the spread of one variant's values into cases and runs (one-way ANOVA moments)."""
    return table_components(tabulate(scores, metric="scores", kind="score"))


def table_components(table: Table) -> VarianceComponents:
    """The same from cleaned scores."""
    table = table.filled()
    if not table.cases:
        return VarianceComponents(n_cases=0, within=None, between=None, icc=None, flaky_cases=None)
    summary = cells(table.values)
    within = within_variance(summary)
    between = None
    if within is not None and len(summary.n) > 1:
        total = float(summary.n.sum())
        typical_runs = (total - float((summary.n**2).sum()) / total) / (len(summary.n) - 1)
        spread = float(np.var(summary.mean, ddof=1))
        between = max(0.0, (typical_runs * spread - within) / typical_runs)
    known = within is not None and between is not None and within + between > 0
    binary = bool(np.isin(summary.flat, (0.0, 1.0)).all())
    mixed = (summary.mean > 0) & (summary.mean < 1)
    return VarianceComponents(
        n_cases=len(summary.n),
        within=within,
        between=between,
        icc=between / (between + within) if known and between is not None and within is not None else None,
        flaky_cases=tuple(c for c, m in zip(table.cases, mixed, strict=True) if m) if binary else None,
    )


def binary_run_variance(scores: Scores) -> float | None:
    """Variance per run that a 0/1 metric is credited with, floored as its interval is.

    ``None`` without any value.
    """
    table = tabulate(scores, metric="scores", kind="binary").filled()
    if not table.cases:
        return None
    summary = cells(table.values)
    return binary_squared_error(summary) * harmonic_total(summary)


def minimum_detectable(
    var0: float,
    var1: float,
    *,
    cases: int,
    runs0: float,
    runs1: float,
    alpha: float = 0.05,
    power: float = 0.8,
    family: int = 1,
) -> float:
    """Smallest true change of the mean over these cases that is found with the given power.

    Raises StatsError, naming the argument, for numbers that are no variance, count or probability; the other
    functions of planning do too.
    """
    require_above_zero(cases=cases, runs0=runs0, runs1=runs1)
    require_at_least(0, var0=var0, var1=var1)
    return detection_factor(alpha, power, family) * math.sqrt((var0 / runs0 + var1 / runs1) / cases)


def runs_needed(
    var0: float,
    var1: float,
    *,
    cases: int,
    difference: float,
    stored_runs: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    family: int = 1,
    safety: float = 1.25,
) -> int | None:
    """Runs per case that find a change of ``difference``.

    Without ``stored_runs`` both sides get that many runs. With it the reference has so many runs already and
    only the candidate is run. ``None`` if no number of runs is enough: the reference is too noisy, or the
    difference too small to be told from 0 at all. ``safety`` makes up for the permutation test needing more
    than the normal approximation says.
    """
    require_above_zero(cases=cases, difference=difference, safety=safety)
    require_at_least(0, var0=var0, var1=var1)
    squared_zz = detection_factor(alpha, power, family) ** 2
    if stored_runs is None:
        runs = safety * squared_zz * _in_differences(var0 + var1, difference) / cases
        return _whole(runs) if math.isfinite(runs) else None
    require_above_zero(stored_runs=stored_runs)
    left = cases * difference**2 / squared_zz - var0 / stored_runs
    return _whole(safety * var1 / left) if left > 0 else None


def cases_needed(
    omega2: float,
    var0: float,
    var1: float,
    *,
    runs0: float,
    runs1: float,
    difference: float,
    alpha: float = 0.05,
    power: float = 0.8,
    family: int = 1,
) -> int:
    """Cases that find a change of ``difference`` over cases like these (Miller 2024, arXiv 2411.00640).

    ``omega2`` is the variance of the true case differences.
    """
    require_above_zero(runs0=runs0, runs1=runs1, difference=difference)
    require_at_least(0, omega2=omega2, var0=var0, var1=var1)
    squared_zz = detection_factor(alpha, power, family) ** 2
    needed = squared_zz * _in_differences(omega2 + var0 / runs0 + var1 / runs1, difference)
    if not math.isfinite(needed):
        raise StatsError(f"difference={difference!r}: too small to be found with any number of cases.")
    return _whole(needed)


def detection_factor(alpha: float, power: float, family: int) -> float:
    """Standard errors between zero and the smallest change found with the given power."""
    require_level("alpha", alpha)
    require_fraction("power", power)
    require_at_least(1, family=family)
    if power <= alpha / (2 * family):
        raise StatsError(
            f"power={power!r}: must be larger than the error level ({alpha / (2 * family):g}), for example "
            "0.8."
        )
    return normal_quantile(1 - alpha / (2 * family)) + normal_quantile(power)


def _in_differences(variance: float, difference: float) -> float:
    """Variance in squared differences, infinite for a difference that can't be told from 0."""
    ratio = math.sqrt(variance) / difference
    return ratio * ratio


def _whole(number: float) -> int:
    # 25.000000000000004 runs are 25: formulas that come out whole must not be rounded up for rounding's sake.
    return max(1, math.ceil(number * (1 - 1e-12)))
