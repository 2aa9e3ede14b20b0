"""Whether the mean of a metric reaches its target, as far as the runs can tell."""

import math
from dataclasses import replace

import numpy as np

from pytest_promptune.core.stats.cells import Cells, cells, tabulate
from pytest_promptune.core.stats.interval import (
    clopper_pearson,
    effective_runs,
    korn_graubard_runs,
    wilson,
)
from pytest_promptune.core.stats.model import (
    Direction,
    GoalResult,
    Interval,
    Kind,
    Scope,
    Scores,
    require_level,
    require_one_of,
    require_target,
)
from pytest_promptune.core.stats.special import normal_cdf, t_cdf, t_quantile
from pytest_promptune.core.stats.variance import (
    rounding_variance,
    run_variances,
    squared_error,
    welch_satterthwaite,
)
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanEstimate:
    """A mean of case means with its uncertainty."""

    mean: float
    ci: Interval
    #: Standard error and degrees of freedom of a t interval; ``None`` for binary metrics.
    error: float | None = None
    df: float | None = None
    #: Binary: number of independent runs with the same information.
    n_effective: float | None = None


def goal_attainment(
    scores: Scores,
    *,
    target: float,
    kind: Kind = "binary",
    direction: Direction = "higher",
    scope: Scope = "suite",
    alpha: float = 0.05,
) -> GoalResult:
    """Compare the mean of one variant with its target (at least it, or at most it for ``lower``).

    ``attained`` if the whole interval reaches the target, ``missed`` if none of it does, otherwise
    ``unclear``. Means and intervals are arithmetic, for latency too. With one run per case the interval is
    that of ``scope="population"``, because runs then say nothing about noise. Raises StatsError as
    ``compare`` does.
    """
    require_one_of("kind", kind, Kind)
    require_one_of("direction", direction, Direction)
    require_one_of("scope", scope, Scope)
    require_level("alpha", alpha)
    require_target(target, kind)
    table = tabulate(scores, metric="scores", kind=kind).filled()
    unknown = GoalResult(
        status="unclear", target=target, direction=direction, scope=scope, n_cases=len(table.cases)
    )
    if not table.cases:
        return unknown
    summary = cells(table.values)
    used: Scope = scope if (summary.n > 1).any() else "population"
    estimate = estimate_mean(summary, kind=kind, scope=used, alpha=alpha)
    low, high = estimate.ci if direction == "higher" else (-estimate.ci[1], -estimate.ci[0])
    wanted = target if direction == "higher" else -target
    return replace(
        unknown,
        status="attained" if low >= wanted else "missed" if high < wanted else "unclear",
        scope=used,
        mean=estimate.mean,
        ci=estimate.ci,
        reached=estimate.mean >= target if direction == "higher" else estimate.mean <= target,
        n_effective=estimate.n_effective,
        p_value=_p_value(estimate, target, direction),
    )


def estimate_mean(summary: Cells, *, kind: Kind, scope: Scope, alpha: float) -> MeanEstimate:
    """Mean of the case means; ``scope="suite"`` needs a case with two runs, except for binary metrics."""
    mean = float(summary.mean.mean())
    if kind == "binary":
        return _pass_rate(summary, mean, scope, alpha)
    error, df = _suite_error(summary) if scope == "suite" else _population_error(summary)
    if error is None:
        return MeanEstimate(mean=mean, ci=(-math.inf, math.inf))
    reach = t_quantile(1 - alpha / 2, df) * error if error else 0.0
    return MeanEstimate(mean=mean, ci=(mean - reach, mean + reach), error=error, df=df)


def _pass_rate(summary: Cells, mean: float, scope: Scope, alpha: float) -> MeanEstimate:
    if scope == "suite":
        n_effective = effective_runs(summary)
        return MeanEstimate(mean=mean, ci=wilson(mean, n_effective, alpha=alpha), n_effective=n_effective)
    if len(summary.mean) == 1:
        return MeanEstimate(mean=mean, ci=(0.0, 1.0))
    n_effective = korn_graubard_runs(summary.mean, n_runs=int(summary.n.sum()), alpha=alpha)
    ci = clopper_pearson(mean * n_effective, n_effective, alpha=alpha)
    return MeanEstimate(mean=mean, ci=ci, n_effective=n_effective)


def _suite_error(summary: Cells) -> tuple[float | None, float]:
    variances = run_variances(summary)
    if variances is None:
        return None, 1.0
    return math.sqrt(squared_error(summary, variances)), welch_satterthwaite([(summary, variances)])


def _population_error(summary: Cells) -> tuple[float | None, float]:
    n_cases = len(summary.mean)
    if n_cases == 1:
        return None, 1.0
    variance = float(np.var(summary.mean, ddof=1))
    if variance < rounding_variance(summary):
        variance = 0.0
    return math.sqrt(variance / n_cases), float(n_cases - 1)


def _p_value(estimate: MeanEstimate, target: float, direction: Direction) -> float | None:
    """One-sided p-value of "the target is not reached"; ``None`` where it cannot be computed."""
    gain = estimate.mean - target if direction == "higher" else target - estimate.mean
    if estimate.n_effective is not None:
        if not 0 < target < 1:
            return None
        return normal_cdf(-gain / math.sqrt(target * (1 - target) / estimate.n_effective))
    if estimate.error is None or estimate.df is None:
        return None
    if estimate.error == 0:
        return 0.0 if gain > 0 else 1.0
    return t_cdf(-gain / estimate.error, estimate.df)
