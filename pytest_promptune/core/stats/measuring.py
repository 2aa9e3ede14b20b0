"""One comparison's numbers, apart from what depends on the other comparisons of the session."""

import math
from dataclasses import replace

import numpy as np

from pytest_promptune.core.stats.cells import ROUNDING, FloatArray, PairedCells, Table, pair, tabulate
from pytest_promptune.core.stats.effect import cliffs_delta, hedges_g
from pytest_promptune.core.stats.interval import (
    binary_squared_error,
    clip_to_test,
    population_error,
    population_interval,
    suite_interval,
)
from pytest_promptune.core.stats.model import Comparison, Interval, Pair, Scope
from pytest_promptune.core.stats.permutation import TailProbabilities
from pytest_promptune.core.stats.planning import detection_factor, runs_needed
from pytest_promptune.core.stats.special import normal_quantile
from pytest_promptune.core.stats.variance import run_variances, sample_sd, squared_error, within_variance
from pytest_promptune.core.values import dataclass

#: Default margins: absolute for shares, relative otherwise.
SHARE_MARGIN = 0.10
RELATIVE_MARGIN = 0.10
LATENCY_MARGIN = 0.20
LATENCY_TOLERANCE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A pair after cleaning."""

    pair: Pair
    reference: Table
    candidate: Table
    #: Both sides over their common cases; ``None`` if there are none.
    raw: PairedCells | None
    #: The same on the scale of the analysis (logs for latency).
    scaled: PairedCells | None
    logged: bool
    scope: Scope
    flags: tuple[str, ...]

    def mean_reference(self) -> float:
        """Arithmetic mean of the reference's case means."""
        if self.raw is None:
            raise AssertionError("no common cases, no mean")
        return float(self.raw.reference.mean.mean())

    def to_unit(self, change: float) -> float:
        """A difference on the scale of the analysis, in the metric's own unit."""
        return self.mean_reference() * (_exp(change) - 1) if self.logged else change

    def to_scale(self, loss: float) -> float:
        """A positive change in the metric's own unit, on the scale of the analysis."""
        return math.log1p(loss / self.mean_reference()) if self.logged else loss


def prepare(asked: Pair, *, scope: Scope) -> Prepared:
    """Clean both sides, pair their cases, choose the scale, and fall back to cases where runs are single."""
    kind = asked.spec.kind
    reference = tabulate(asked.reference_scores, metric=asked.metric, side=asked.reference, kind=kind)
    candidate = tabulate(asked.candidate_scores, metric=asked.metric, side=asked.candidate, kind=kind)
    raw = pair(reference, candidate)
    if raw is None:
        return Prepared(
            pair=asked,
            reference=reference,
            candidate=candidate,
            raw=None,
            scaled=None,
            logged=False,
            scope=scope,
            flags=_flags(exploratory=not asked.gated),
        )
    logs = raw.logs() if kind == "latency" else None
    everything = set(reference.cases) | set(candidate.cases)
    single = raw.single_runs
    return Prepared(
        pair=asked,
        reference=reference,
        candidate=candidate,
        raw=raw,
        scaled=logs or raw,
        logged=logs is not None,
        scope="population" if single else scope,
        flags=_flags(
            **{"runs=1": single},
            single_runs=not single and min(raw.reference.n.min(), raw.candidate.n.min()) == 1,
            log_skipped=kind == "latency" and logs is None,
            few_common_cases=2 * len(raw.cases) < len(everything),
            exploratory=not asked.gated,
        ),
    )


def case_differences(scaled: PairedCells) -> FloatArray:
    """Differences of case means on the scale of the analysis; rounding is exactly 0."""
    differences = scaled.differences
    return np.where(np.abs(differences) <= ROUNDING * scaled.largest, 0.0, differences)


def count(prepared: Prepared) -> Comparison:
    """The row with its labels and counts only: all there is to say without common cases."""
    asked, raw = prepared.pair, prepared.raw
    n_cases = 0 if raw is None else len(raw.cases)
    return Comparison(
        metric=asked.metric,
        reference=asked.reference,
        candidate=asked.candidate,
        kind=asked.spec.kind,
        direction=asked.spec.direction,
        scope=prepared.scope,
        n_cases=n_cases,
        n_unpaired_cases=len(set(prepared.reference.cases) | set(prepared.candidate.cases)) - n_cases,
        n_samples_reference=0 if raw is None else int(raw.reference.n.sum()),
        n_samples_candidate=0 if raw is None else int(raw.candidate.n.sum()),
        n_missing_reference=prepared.reference.n_missing,
        n_missing_candidate=prepared.candidate.n_missing,
        flags=prepared.flags,
    )


def measure(prepared: Prepared, tails: TailProbabilities, *, alpha: float) -> Comparison:
    """Means, effects, interval and raw p-values of a pair with common cases."""
    raw, scaled, spec = prepared.raw, prepared.scaled, prepared.pair.spec
    if raw is None or scaled is None:
        raise AssertionError("a pair without common cases has nothing to measure")
    interval = suite_interval if prepared.scope == "suite" else population_interval
    bounds, df, deterministic = interval(scaled, kind=spec.kind, alpha=alpha)
    clipped = clip_to_test(bounds, tails, alpha=alpha)
    mean_reference, mean_candidate = prepared.mean_reference(), float(raw.candidate.mean.mean())
    p_up, p_down = tails.at_least, tails.at_most
    higher = spec.direction == "higher"
    return replace(
        count(prepared),
        mean_reference=mean_reference,
        mean_candidate=mean_candidate,
        sd_reference=sample_sd(raw.reference.flat),
        sd_candidate=sample_sd(raw.candidate.flat),
        var_within_reference=within_variance(raw.reference),
        var_within_candidate=within_variance(raw.candidate),
        difference=mean_candidate - mean_reference,
        relative_change=(mean_candidate - mean_reference) / mean_reference if mean_reference else None,
        ratio=_exp(float(scaled.differences.mean())) if prepared.logged else None,
        ratio_ci=(_exp(clipped[0]), _exp(clipped[1])) if prepared.logged else None,
        ci=_in_unit(prepared, clipped),
        ci_raw=_in_unit(prepared, bounds),
        df=df,
        cliffs_delta=cliffs_delta(raw),
        hedges_g=hedges_g(scaled.differences, rounding=ROUNDING * scaled.largest),
        p_value=tails.two_sided,
        p_better=p_up if higher else p_down,
        p_worse=p_down if higher else p_up,
        min_attainable_p=1.0 if tails.constant else min(1.0, 2 / tails.n_relabellings),
        n_relabellings=tails.n_relabellings,
        margin=margin(prepared),
        deterministic=deterministic,
        flags=(*prepared.flags, *_flags(constant=tails.constant, deterministic=deterministic)),
    )


def margin(prepared: Prepared) -> float:
    """Largest acceptable loss, positive, in the metric's own unit."""
    spec = prepared.pair.spec
    if spec.kind == "latency":
        return change_of(prepared, LATENCY_MARGIN if spec.margin is None else spec.margin)
    if spec.margin is not None:
        return spec.margin
    return change_of(prepared, SHARE_MARGIN if is_share(prepared) else RELATIVE_MARGIN)


def is_share(prepared: Prepared) -> bool:
    """Whether it is a rate, or a score within [0, 1] on both sides: its changes are told in points."""
    raw, kind = prepared.raw, prepared.pair.spec.kind
    if raw is None:
        raise AssertionError("no common cases, no scale")
    values = np.concatenate([raw.reference.flat, raw.candidate.flat])
    return kind == "binary" or (kind == "score" and bool(values.min() >= 0 and values.max() <= 1))


def change_of(prepared: Prepared, share: float) -> float:
    """A positive change in the metric's own unit: ``share`` of one for shares, else of the mean."""
    return share if is_share(prepared) else share * abs(prepared.mean_reference())


def tolerance(prepared: Prepared) -> float:
    """Loss that is ignored although significant, positive, in the metric's own unit."""
    spec = prepared.pair.spec
    if spec.kind == "latency":
        share = LATENCY_TOLERANCE if spec.tolerance is None else spec.tolerance
        return share * abs(prepared.mean_reference())
    return spec.tolerance or 0.0


def smallest_detectable(prepared: Prepared, *, alpha: float, family: int) -> float | None:
    """Smallest true change found with 80 % power, in the metric's own unit; ``None`` if noise is unknown."""
    scaled = prepared.scaled
    if scaled is None:
        return None
    if prepared.scope == "suite":
        error = math.sqrt(sum(squared_errors(prepared)))
    elif len(scaled.cases) > 1:
        error = population_error(scaled, kind=prepared.pair.spec.kind)[1]
    else:
        return None
    return prepared.to_unit(detection_factor(alpha, 0.8, family) * error)


def runs_for_margin(prepared: Prepared, *, alpha: float, family: int) -> int | None:
    """Runs per case on both sides that find a change of the margin; ``None`` if there is no such number."""
    scaled = prepared.scaled
    if scaled is None or prepared.scope != "suite":
        return None
    difference = prepared.to_scale(margin(prepared))
    if difference == 0:
        return None
    n_cases = len(scaled.cases)
    var0, var1 = (
        error * n_cases * cells.effective_runs
        for error, cells in zip(squared_errors(prepared), (scaled.reference, scaled.candidate), strict=True)
    )
    if not math.isfinite(var0 + var1):  # values so large that their squares are not numbers any more
        return None
    return runs_needed(var0, var1, cases=n_cases, difference=difference, alpha=alpha, family=family)


def runs_if_equal(prepared: Prepared, *, alpha: float) -> int | None:
    """Runs per case on both sides after which values that stay equal exclude a loss of the margin.

    Enough for a test that could reject at all, and for a Wilson limit of a share of 0 or 1 (n runs, quantile
    z) that lies within the margin: z^2 / (n + z^2) < margin. ``None`` if there is no such number.
    """
    raw = prepared.raw
    if raw is None or prepared.scope != "suite":
        return None
    n_cases, runs = len(raw.cases), 2
    while math.comb(2 * runs, runs) ** n_cases < 2 / alpha:
        runs += 1
    if prepared.pair.spec.kind != "binary":
        return runs
    acceptable = margin(prepared)
    if acceptable == 0:
        return None
    samples = normal_quantile(1 - alpha / 2) ** 2 * (1 / acceptable - 1)
    return max(runs, math.floor(samples / n_cases) + 1)


def squared_errors(prepared: Prepared) -> list[float]:
    """Squared error of both means on the scale of the analysis, from run-to-run noise.

    Empty without common cases; 0 where nothing was repeated and the metric is no 0/1 metric.
    """
    scaled = prepared.scaled
    if scaled is None:
        return []
    errors = []
    for cells, other in ((scaled.reference, scaled.candidate), (scaled.candidate, scaled.reference)):
        if prepared.pair.spec.kind == "binary":
            errors.append(binary_squared_error(cells, other))
        else:
            variances = run_variances(cells, other)
            errors.append(0.0 if variances is None else squared_error(cells, variances))
    return errors


def _in_unit(prepared: Prepared, bounds: Interval) -> Interval:
    if not prepared.logged:
        return bounds
    mean = prepared.mean_reference()
    return mean * (_exp(bounds[0]) - 1), mean * (_exp(bounds[1]) - 1)


def _exp(value: float) -> float:
    # A huge upper bound of few noisy runs must not stop the session.
    return math.exp(value) if value < 700 else math.inf


def _flags(**raised: bool) -> tuple[str, ...]:
    return tuple(name for name, is_raised in raised.items() if is_raised)
