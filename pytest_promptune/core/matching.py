"""What is compared with what: two sides of a metric, and how metrics are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pytest_promptune.core.baseline import Baseline, BaselineMetric
from pytest_promptune.core.experiment import Column, Scores
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import CaseLists, MetricName

if TYPE_CHECKING:
    from pytest_promptune.core.stats.aggregates import Aggregated
    from pytest_promptune.core.stats.model import Direction, Kind

#: Metrics of the app that are gated without being named; time and money are compared, not gated.
_GATED_APP_METRICS = ("error_rate",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison."""

    #: ``current``, a variant's name, or ``baseline:NAME``.
    label: str
    scores: Scores
    #: Hash of input and expected by case id.
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two sides of one metric, with what can't be compared set aside."""

    name: MetricName
    gated: bool
    reference: Side
    candidate: Side
    cases: CaseLists
    #: Why the two sides are not comparable, or empty.
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateMatch:
    """Two sides of an aggregate metric, measured by themselves; or why they can't be compared."""

    name: MetricName
    gated: bool
    #: Labels as those of sides.
    reference: str
    candidate: str
    cases: CaseLists
    measured: Aggregated | None = None
    #: Set where nothing was measured.
    obstacle: str = ""
    #: Whether the obstacle is what the baseline lacks, so that recording it again is the cure.
    is_unrecorded: bool = False


def short_name(name: MetricName) -> str | None:
    """``latency_s`` of ``bot::latency_s``, ``words`` of ``test_a::words``, nothing of ``test_a``."""
    prefix = name.test.removeprefix(f"{name.module}::") + "::"
    return name.metric.removeprefix(prefix) if name.metric.startswith(prefix) else None


def is_named(name: MetricName, names: Iterable[str]) -> bool:
    """Whether a metric is meant by one of `names`, in full or by its last part."""
    return not {name.metric, short_name(name)}.isdisjoint(names)


def is_gated(column: Column, also: Sequence[str]) -> bool:
    """Whether a verdict on this metric may fail the build."""
    name = column.name
    if column.gate is not None:
        if is_named(name, column.gate):
            return True
        if not column.keeps_defaults:
            return False
    if _is_of_app(name):
        return short_name(name) in _GATED_APP_METRICS or is_named(name, also)
    return True


def match(column: Column, reference: Side, candidate: Side, *, gated: bool) -> Match:
    """Set two sides of a metric beside each other; cases that changed under their id are left out."""
    changed = {
        case
        for case in candidate.scores
        if case in reference.scores and reference.hashes.get(case) != candidate.hashes.get(case)
    }
    empty = {
        case for case in candidate.scores if not (_is_scored(candidate, case) or _is_scored(reference, case))
    }
    if short_name(column.name) is None or _is_of_app(column.name):
        empty = set()  # these have a value for every sample that wasn't lost
    left_out = changed | empty
    keep_reference = {c: v for c, v in reference.scores.items() if c not in left_out}
    keep_candidate = {c: v for c, v in candidate.scores.items() if c not in left_out}
    lists = CaseLists(
        changed=tuple(sorted(changed)),
        only_reference=tuple(sorted(set(keep_reference) - set(keep_candidate))),
        only_candidate=tuple(sorted(set(keep_candidate) - set(keep_reference))),
    )
    return Match(
        name=column.name,
        gated=gated,
        reference=replace(reference, scores=keep_reference),
        candidate=replace(candidate, scores=keep_candidate),
        cases=lists,
    )


def _is_scored(side: Side, case: str) -> bool:
    return any(value is not None for value in side.scores.get(case, ()))


def _is_of_app(name: MetricName) -> bool:
    return name.test == f"{name.module}::{name.app}"


def baseline_side(
    column: Column, baseline: Baseline, label: str, *, collected: Iterable[str] | None
) -> Side | None:
    """The recorded side of a metric, ``None`` when it was never recorded or measured something else.

    Cases that exist but were deselected in this session say nothing and are left out.
    """
    recorded = baseline.metrics.get(column.name.metric)
    now = (column.name.kind, column.name.direction, column.name.unit)
    if recorded is None or (recorded.kind, recorded.direction, recorded.unit) != now:
        return None
    scores = dict(baseline.scores.get(column.name.metric, {}))
    for case in set(collected or ()) - column.cases:
        scores.pop(case, None)
    return Side(label=label, scores=scores, hashes=baseline.cases)


def recorded_name(metric: str, known: BaselineMetric, module: str) -> MetricName:
    """The metric that a module's baseline calls so; which app it is of, the file doesn't say."""
    return MetricName(
        metric=metric,
        test=f"{module}::{metric.rpartition('::')[0] or metric}",
        module=module,
        app="",
        kind=cast("Kind", known.kind),  # checked when the file was read
        direction=cast("Direction", known.direction),
        unit=known.unit,
    )
