"""From scores to rows: what the statistics say of two sides, and what happened to which case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from pytest_promptune.core.experiment import Column, Scores
from pytest_promptune.core.margins import Percent
from pytest_promptune.core.matching import AggregateMatch, Match, is_named
from pytest_promptune.core.stats.describing import describe
from pytest_promptune.core.stats.flips import case_changes
from pytest_promptune.core.stats.judging import judge
from pytest_promptune.core.stats.model import Comparison, Failure, Gate, MetricSpec, Pair, Scope
from pytest_promptune.core.stats.passing import passing
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import CaseLists, ComparisonRow, GateState, Interval, MetricName, MetricRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the session wants its verdicts."""

    alpha: float
    gate: Gate
    margins: Mapping[str, float]
    tolerances: Mapping[str, float] = field(default_factory=dict)
    scope: Scope = "suite"
    #: Inconclusive fails too; single cases that got worse do.
    strict: bool = False
    gate_cases: bool = False


def compare(
    matches: Sequence[Match], rules: Rules, aggregates: Sequence[AggregateMatch] = ()
) -> list[ComparisonRow]:
    """Judge all matches as one family and tell what happened to the cases; aggregates come last."""
    pairs = [_pair(entry, rules) for entry in matches if not entry.obstacle]
    measured = [entry.measured for entry in aggregates if entry.measured is not None]
    judgement = judge(
        pairs,
        alpha=rules.alpha,
        gate=rules.gate,
        scope=rules.scope,
        strict=rules.strict,
        gate_cases=rules.gate_cases,
        aggregates=measured,
    )
    judged = iter(judgement.comparisons)
    rows = [
        _unjudged(entry, rules) if entry.obstacle else _row(entry, next(judged), alpha=rules.alpha)
        for entry in matches
    ]
    return rows + [
        _row_of_aggregate(entry, rules, None if entry.measured is None else next(judged))
        for entry in aggregates
    ]


def _unjudged(entry: Match, rules: Rules) -> ComparisonRow:
    """The means side by side, without a verdict on their difference."""
    means = _case_means(entry)
    before, now = (_mean([pair[side] for pair in means.values()]) for side in (0, 1))
    difference = None if before is None or now is None else now - before
    row = _without_verdict(entry, rules)
    return replace(
        row,
        n_cases=len(means),
        reference_mean=before,
        candidate_mean=now,
        difference=difference,
        relative=difference / before if difference is not None and before else None,
        case_means=means,
    )


def _without_verdict(entry: Match | AggregateMatch, rules: Rules) -> ComparisonRow:
    """Why two sides are not comparable."""
    labels = [side if isinstance(side, str) else side.label for side in (entry.reference, entry.candidate)]
    gate: GateState = "off"
    failure: Failure | None = None
    if entry.gated and rules.gate != "off":
        failure = "not_shown" if rules.gate == "non-inferiority" else "inconclusive" if rules.strict else None
        gate = "failed" if failure else "passed"
    return ComparisonRow(
        name=entry.name,
        reference=labels[0],
        candidate=labels[1],
        n_cases=0,
        reference_mean=None,
        candidate_mean=None,
        difference=None,
        relative=None,
        ratio=None,
        ratio_ci=None,
        ci=None,
        p=None,
        p_adjusted=None,
        p_worse_adjusted=None,
        cliffs_delta=None,
        hedges_g=None,
        margin=None,
        minimum_detectable=None,
        runs_needed=None,
        scope=rules.scope,
        verdict="inconclusive",
        reason=entry.obstacle,
        gate=gate,
        failure=failure,
        gated=entry.gated,
        constant=False,
        cases=entry.cases,
    )


def specification(
    name: MetricName,
    reference: Scores,
    margins: Mapping[str, float],
    tolerances: Mapping[str, float] | None = None,
) -> MetricSpec:
    """What a metric is, with the margin and tolerance that were given for it.

    Those in per cent are of the reference's mean, of shares and latency see `MetricSpec`.
    """
    mean = _mean([_mean(values) for values in reference.values()])
    return specification_beside(name, mean, margins, tolerances or {})


def specification_beside(
    name: MetricName, mean: float | None, margins: Mapping[str, float], tolerances: Mapping[str, float]
) -> MetricSpec:
    """The same where the mean of the reference is known."""
    return MetricSpec(
        kind=name.kind,
        direction=name.direction,
        margin=_given(name, mean, margins),
        tolerance=_given(name, mean, tolerances),
    )


def _given(name: MetricName, mean: float | None, sizes: Mapping[str, float]) -> float | None:
    """What was given for the metric, by its full name or else its last part, in the unit of its spec."""
    short = [value for key, value in sizes.items() if is_named(name, [key])]
    size = sizes.get(name.metric, short[-1] if short else None)
    if isinstance(size, Percent) and name.kind in ("score", "cost"):
        return size * abs(mean or 0.0)
    return size


def _pair(entry: Match, rules: Rules) -> Pair:
    name = entry.name
    return Pair(
        metric=f"{name.module}::{name.metric}",
        reference=entry.reference.label,
        candidate=entry.candidate.label,
        reference_scores=entry.reference.scores,
        candidate_scores=entry.candidate.scores,
        spec=specification(name, entry.reference.scores, rules.margins, rules.tolerances),
        gated=entry.gated,
    )


def _row(entry: Match, result: Comparison, *, alpha: float) -> ComparisonRow:
    constant = _constant(entry)
    row = _numbers(entry.name, entry.gated, result, alpha)
    cases = _case_lists(entry) if not constant else entry.cases
    return replace(row, constant=constant, cases=cases, case_means=_case_means(entry))


def _row_of_aggregate(entry: AggregateMatch, rules: Rules, result: Comparison | None) -> ComparisonRow:
    if result is None:
        return replace(_without_verdict(entry, rules), aggregate=True)
    row = _numbers(entry.name, entry.gated, result, rules.alpha)
    return replace(row, constant="constant" in result.flags, cases=entry.cases, aggregate=True)


def _numbers(name: MetricName, gated: bool, result: Comparison, alpha: float) -> ComparisonRow:
    return ComparisonRow(
        name=name,
        reference=result.reference,
        candidate=result.candidate,
        n_cases=result.n_cases,
        reference_mean=result.mean_reference,
        candidate_mean=result.mean_candidate,
        difference=result.difference,
        relative=result.relative_change,
        ratio=result.ratio,
        ratio_ci=_finite(result.ratio_ci),
        ci=_finite(result.ci),
        p=result.p_value,
        p_adjusted=result.p_adjusted,
        p_worse_adjusted=result.p_worse_adjusted,
        cliffs_delta=result.cliffs_delta,
        hedges_g=result.hedges_g,
        margin=result.margin,
        tolerance=result.tolerance,
        minimum_detectable=result.minimum_detectable,
        runs_needed=result.runs_if_equal or result.runs_needed,
        scope=result.scope,
        verdict=result.verdict,
        reason=result.reason,
        gate=result.gate,
        failure=result.failure,
        failing_cases=result.failing_cases,
        gated=gated,
        constant=False,
        alpha=alpha,
    )


def _case_means(entry: Match) -> dict[str, tuple[float | None, float | None]]:
    before, now = entry.reference.scores, entry.candidate.scores
    return {case: (_mean(before[case]), _mean(now[case])) for case in sorted(set(before) & set(now))}


def _constant(entry: Match) -> bool:
    """All values of both sides equal: no relabelling could make a difference."""
    common = set(entry.reference.scores) & set(entry.candidate.scores)
    values = {
        value
        for side in (entry.reference, entry.candidate)
        for case in common
        for value in side.scores[case]
        if value is not None
    }
    return len(values) == 1


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _case_lists(entry: Match) -> CaseLists:
    changes = case_changes(
        entry.reference.scores,
        entry.candidate.scores,
        kind=entry.name.kind,
        direction=entry.name.direction,
    )
    by_change: dict[str, list[str]] = {}
    for change in changes:
        by_change.setdefault(change.change, []).append(change.case)
    return replace(
        entry.cases,
        improved=tuple(sorted(by_change.get("improved", ()))),
        regressed=tuple(sorted(by_change.get("regressed", ()))),
        suspect=tuple(sorted(by_change.get("suspect", ()))),
    )


def measured(column: Column, variant: str, *, alpha: float) -> MetricRow:
    """One metric under one variant."""
    scores = column.scores(variant)
    found = describe(scores, kind=column.name.kind, alpha=alpha)
    # of a metric where lower is better, all ones are nothing to be proud of
    is_pass = column.name.kind == "binary" and column.name.direction == "higher"
    low, high = _finite(found.ci) or (None, None)
    if low is not None and column.name.kind in ("latency", "cost"):
        low = max(low, 0.0)  # a symmetric interval of few values can reach below what is possible
    return MetricRow(
        name=column.name,
        variant=variant,
        n_cases=found.n_cases,
        n_samples=found.n_samples,
        n_missing=found.n_missing,
        mean=found.mean,
        sd=found.sd,
        between_case_sd=found.between_case_sd,
        within_case_sd=found.within_case_sd,
        sd_of_runs=found.sd_of_runs,
        min=found.min,
        max=found.max,
        ci=None if found.ci is None else (low, high),
        p50=found.p50,
        p95=found.p95,
        p99=found.p99,
        pass_all_runs=found.pass_all_runs if is_pass else None,
        passing=passing(scores) if is_pass else None,
        flaky_cases=found.flaky_cases,
        case_means=found.case_means,
    )


def _finite(interval: tuple[float, float] | None) -> Interval | None:
    """An unbounded end is unknown, not infinite."""
    if interval is None:
        return None
    low, high = (end if abs(end) < float("inf") else None for end in interval)
    return low, high
