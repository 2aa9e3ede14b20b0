"""Comparing an aggregate metric: a number of many samples at once, such as macro-F1 or a 95th percentile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_promptune.core.stats.bootstrap import Spread, bootstrap_difference, bootstrap_value
from pytest_promptune.core.stats.interval import clip_to_test
from pytest_promptune.core.stats.measuring import RELATIVE_MARGIN, SHARE_MARGIN
from pytest_promptune.core.stats.model import Comparison, Interval, MetricSpec, Scope
from pytest_promptune.core.stats.permutation import TailProbabilities
from pytest_promptune.core.stats.planning import detection_factor, runs_needed
from pytest_promptune.core.stats.resampling import Statistic, pool, relabel, value_of_all
from pytest_promptune.core.values import dataclass

#: Case id -> one sample per run, ``None`` = missing; what a sample is, its statistic knows.
Samples = Mapping[str, Sequence[Any]]
#: As many random relabellings as for metrics of single samples.
RESAMPLES = 9_999
#: How many times as many are drawn at most, where the error level is small.
MANY_TIMES = 10
#: Sets of the bootstrap, at most: the ends of an interval need fewer than a p-value.
BOOTSTRAP_SETS = 1_999


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatePair:
    """One aggregate of one candidate beside its reference."""

    metric: str
    #: Labels of the two sides; they must differ.
    reference: str
    candidate: str
    reference_samples: Samples
    candidate_samples: Samples
    statistic: Statistic
    #: Of kind ``score``.
    spec: MetricSpec
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """An aggregate that was compared by itself: what is left depends on the session's other comparisons."""

    row: Comparison
    gated: bool
    #: Share of missing samples in the reference and in the candidate.
    missing_shares: tuple[float, float]
    #: Of the difference; ``None`` where unknown.
    standard_error: float | None

    @property
    def metric(self) -> str:
        """As in `row`."""
        return self.row.metric

    @property
    def reference(self) -> str:
        """As in `row`."""
        return self.row.reference

    @property
    def candidate(self) -> str:
        """As in `row`."""
        return self.row.candidate

    def planned(self, *, alpha: float) -> Comparison:
        """The row with the smallest change that the design finds, and the runs that would find the margin."""
        row, error = self.row, self.standard_error
        if error is None:
            return row
        factor = detection_factor(alpha, 0.8, row.family_size)
        needed = None
        if row.scope == "suite" and row.margin and error > 0:
            runs = max(row.n_samples_reference, row.n_samples_candidate) / row.n_cases
            needed = runs_needed(
                runs * error**2, 0.0, cases=1, difference=row.margin, alpha=alpha, family=row.family_size
            )
        return replace(row, minimum_detectable=factor * error, runs_needed=needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateDescription:
    """One aggregate of one variant in a table of results."""

    n_cases: int
    n_samples: int
    n_missing: int
    #: ``None`` where these samples have none.
    value: float | None = None
    #: For these cases, run-to-run noise only; ``None`` without repeated runs.
    ci: Interval | None = None
    #: Over run numbers: spread, smallest and largest of the aggregate of one run of all cases.
    sd_of_runs: float | None = None
    min: float | None = None
    max: float | None = None


def describe_aggregate(
    samples: Samples,
    statistic: Statistic,
    *,
    alpha: float = 0.05,
    resamples: int | None = None,
    seed: int = 0,
) -> AggregateDescription:
    """Summarise one variant; samples are matched to run numbers by their position.

    ``resamples`` of the bootstrap are as many as the statistic finds enough, unless they are given.
    """
    present = _present(samples)
    missing = sum(len(runs) for runs in samples.values()) - sum(map(len, present.values()))
    row = AggregateDescription(
        n_cases=len(present), n_samples=sum(map(len, present.values())), n_missing=missing
    )
    if not present:
        return row
    cases = [present[case] for case in sorted(present)]
    sizes = [len(case) for case in cases]
    evaluator = statistic.evaluator(cases)
    value = value_of_all(evaluator, sizes)
    if math.isnan(value):
        return row
    ci = None
    if max(sizes) > 1:
        drawn = min(resamples or statistic.resamples or RESAMPLES, BOOTSTRAP_SETS)
        keys = [[statistic.key(sample) for sample in case] for case in cases]
        ci = bootstrap_value(evaluator, keys, alpha=alpha, resamples=drawn, seed=seed).interval
    return replace(row, value=value, ci=_within(ci, statistic), **_of_runs(samples, statistic))


def _of_runs(samples: Samples, statistic: Statistic) -> dict[str, Any]:
    """The aggregate of each run number over all cases, summed up."""
    values = []
    for run in range(max(map(len, samples.values()))):
        of_run = [runs[run] for _, runs in sorted(samples.items()) if run < len(runs)]
        cases = [[sample] for sample in of_run if sample is not None]
        if cases:
            values.append(value_of_all(statistic.evaluator(cases), [1] * len(cases)))
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return {}
    mean = sum(known) / len(known)
    spread = math.sqrt(sum((v - mean) ** 2 for v in known) / (len(known) - 1)) if len(known) > 1 else None
    return {"sd_of_runs": spread, "min": min(known), "max": max(known)}


def _within(interval: Interval | None, statistic: Statistic) -> Interval | None:
    """A share's interval ends at 0 and 1."""
    if interval is None or not statistic.is_share:
        return interval
    return max(interval[0], 0.0), min(interval[1], 1.0)


def measure_aggregate(
    asked: AggregatePair,
    *,
    scope: Scope = "suite",
    alpha: float = 0.05,
    resamples: int | None = None,
    hypotheses: int = 1,
    seed: int = 0,
) -> Aggregated:
    """Test and bootstrap the difference over the cases that both sides have (see ``resampling``).

    Not studentised: exact when nothing changed. With one run per case on both sides the cases are the unit,
    as in ``scope="population"``. Where a side has no value (precision of a class that it never predicts)
    there is nothing to compare, and the row has no p-values.

    ``resamples`` are as many as the statistic finds enough unless they are given, and in either case at least
    20 per hypothesis and alpha, for one that shares its error level with others (see ``judge``); where an
    early look asks for very many, ten times as many as usual must do.
    """
    drawn = resamples or asked.statistic.resamples or RESAMPLES
    if asked.gated:
        drawn = max(drawn, min(math.ceil(20 * hypotheses / alpha), MANY_TIMES * drawn))
    reference, candidate = _present(asked.reference_samples), _present(asked.candidate_samples)
    common = sorted(set(reference) & set(candidate))
    everything = set(reference) | set(candidate)
    sides = [{case: side[case] for case in common} for side in (reference, candidate)]
    sizes = [len(runs) for side in sides for runs in side.values()]
    single = bool(common) and max(sizes) == 1
    flags = {
        "runs=1": single,
        "single_runs": bool(common) and not single and min(sizes) == 1,
        "few_common_cases": 2 * len(common) < len(everything),
        "exploratory": not asked.gated,
    }
    missing = [_n_missing(asked.reference_samples), _n_missing(asked.candidate_samples)]
    row = Comparison(
        metric=asked.metric,
        reference=asked.reference,
        candidate=asked.candidate,
        kind=asked.spec.kind,
        direction=asked.spec.direction,
        scope="population" if single else scope,
        n_cases=len(common),
        n_unpaired_cases=len(everything) - len(common),
        n_samples_reference=sum(map(len, sides[0].values())),
        n_samples_candidate=sum(map(len, sides[1].values())),
        n_missing_reference=missing[0],
        n_missing_candidate=missing[1],
        flags=tuple(name for name, raised in flags.items() if raised),
    )
    error = None
    if common:
        row, error = _measured(row, asked, sides, alpha=alpha, resamples=drawn, seed=seed)
    return Aggregated(
        row=row,
        gated=asked.gated,
        missing_shares=(
            _share(missing[0], asked.reference_samples),
            _share(missing[1], asked.candidate_samples),
        ),
        standard_error=error,
    )


def _measured(
    row: Comparison,
    asked: AggregatePair,
    sides: Sequence[Samples],
    *,
    alpha: float,
    resamples: int,
    seed: int,
) -> tuple[Comparison, float | None]:
    """The row with its numbers, and the standard error of the difference."""
    pooled = pool(asked.statistic, sides[0], sides[1])
    before, now = (float(pooled.evaluator.values(pooled.side(candidate=c), 1)[0]) for c in (False, True))
    if math.isnan(before) or math.isnan(now):
        return replace(row, mean_reference=_known(before), mean_candidate=_known(now)), None
    tails = relabel(pooled, scope=row.scope, resamples=resamples, seed=seed)
    sets = min(resamples, BOOTSTRAP_SETS)
    spread = bootstrap_difference(pooled, scope=row.scope, alpha=alpha, resamples=sets, seed=seed)
    higher = row.direction == "higher"
    steady = spread.standard_error == 0
    flags = {"constant": tails.constant, "deterministic": steady}
    row = replace(
        row,
        mean_reference=before,
        mean_candidate=now,
        difference=now - before,
        relative_change=(now - before) / before if before else None,
        ci=_clipped(spread, tails, alpha),
        ci_raw=spread.interval,
        p_value=tails.two_sided,
        p_better=tails.at_least if higher else tails.at_most,
        p_worse=tails.at_most if higher else tails.at_least,
        min_attainable_p=1.0 if tails.constant else min(1.0, 2 / tails.n_relabellings),
        n_relabellings=tails.n_relabellings,
        margin=_margin(asked, before),
        tolerance=asked.spec.tolerance or 0.0,
        deterministic=steady,
        flags=(*row.flags, *(name for name, raised in flags.items() if raised)),
    )
    return row, spread.standard_error


def _clipped(spread: Spread, tails: TailProbabilities, alpha: float) -> Interval | None:
    return None if spread.interval is None else clip_to_test(spread.interval, tails, alpha=alpha)


def _margin(asked: AggregatePair, before: float) -> float:
    """Largest acceptable loss: ten points of a share, 10 % of the reference otherwise."""
    if asked.spec.margin is not None:
        return asked.spec.margin
    return SHARE_MARGIN if asked.statistic.is_share else RELATIVE_MARGIN * abs(before)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _present(samples: Samples) -> dict[str, list[Any]]:
    """Samples without the missing ones, and cases without any left out."""
    present = {case: [run for run in runs if run is not None] for case, runs in samples.items()}
    return {case: runs for case, runs in present.items() if runs}


def _n_missing(samples: Samples) -> int:
    return sum(run is None for runs in samples.values() for run in runs)


def _share(missing: int, samples: Samples) -> float:
    total = sum(map(len, samples.values()))
    return missing / total if total else 0.0
