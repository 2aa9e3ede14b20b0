"""Whether goals are reached, as far as the runs can tell (``core.stats.goals``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pytest_promptune.core.experiment import Column, Scores
from pytest_promptune.core.goals.matching import Candidate, Meant, target_of, total_tokens
from pytest_promptune.core.stats.aggregates import describe_aggregate
from pytest_promptune.core.stats.goals import goal_attainment
from pytest_promptune.core.stats.model import Scope
from pytest_promptune.core.stats.percentiles import Percentile
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import GoalRow, Interval, MetricName, MetricRow

Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that goals can be about, by metric."""

    columns: Mapping[Place, Column]
    #: Aggregates by metric and variant.
    aggregates: Mapping[tuple[Place, str], MetricRow]
    alpha: float
    scope: Scope


def candidates(
    columns: Sequence[Column], classifying: Sequence[Column], aggregates: Sequence[MetricName]
) -> list[Candidate]:
    """What a goal can mean: the metrics that were measured, aggregates, and all tokens of an app together.

    Args:
        columns: metrics of single samples.
        classifying: those of tests that classify.
        aggregates: names of the others.
    """
    classify = {_place(column.name) for column in classifying}
    found = [
        Candidate(
            name=column.name,
            is_assertion="::" not in column.name.metric and column.name.kind == "binary",
            classifies=_place(column.name) in classify,
        )
        for column in columns
    ]
    found += [Candidate(name=name) for name in dict.fromkeys(aggregates)]
    places = {_place(column.name) for column in columns}
    found += [
        Candidate(name=total_tokens(column.name))
        for column in columns
        if column.name.metric == f"{column.name.app}::input_tokens"
        and (column.name.module, f"{column.name.app}::output_tokens") in places
    ]
    return found


def judge(meant: Meant, variant: str, measured: Measured) -> list[GoalRow]:
    """One row for each metric of the goal; unknown values where nothing was measured."""
    rows = []
    for name in meant.names:
        row = GoalRow(
            goal=meant.goal.name,
            name=name,
            variant=variant,
            target=target_of(meant.goal, name),
            direction=meant.goal.target.direction,
            percentile=meant.goal.percentile,
            value=None,
            ci=None,
            status="unclear",
        )
        rows.append(_judged(row, measured))
    return rows


def _judged(row: GoalRow, measured: Measured) -> GoalRow:
    aggregate = measured.aggregates.get((_place(row.name), row.variant))
    if aggregate is not None:
        if row.percentile is not None:  # it is one number of all samples
            return row
        return _with(row, aggregate.mean, aggregate.ci)
    scores = _scores(row, measured.columns)
    if not scores:
        return row
    if row.percentile is not None:
        found = describe_aggregate(scores, Percentile(row.percentile), alpha=measured.alpha)
        return _with(row, found.value, found.ci)
    result = goal_attainment(
        scores,
        target=row.target,
        kind=row.name.kind,
        direction=row.direction,
        scope=measured.scope,
        alpha=measured.alpha,
    )
    return replace(row, value=result.mean, ci=_known(row.name, result.ci), status=result.status)


def _with(row: GoalRow, value: float | None, ci: tuple[float | None, float | None] | None) -> GoalRow:
    """The status by the same rule as that of means: where the whole interval lies."""
    low, high = ci or (None, None)
    worst, best = (low, high) if row.direction == "higher" else (high, low)
    sign = 1 if row.direction == "higher" else -1
    status: Literal["attained", "missed", "unclear"] = "unclear"
    if worst is not None and sign * worst >= sign * row.target:
        status = "attained"
    elif best is not None and sign * best < sign * row.target:
        status = "missed"
    return replace(row, value=value, ci=_known(row.name, ci), status=status)


def _known(name: MetricName, ci: tuple[float | None, float | None] | None) -> Interval | None:
    """An unbounded end is unknown, and no time or cost is negative."""
    if ci is None:
        return None
    low, high = (end if end is not None and math.isfinite(end) else None for end in ci)
    if low is not None and name.kind in ("latency", "cost"):
        low = max(low, 0.0)
    return low, high


def _scores(row: GoalRow, columns: Mapping[Place, Column]) -> Scores:
    name = row.name
    column = columns.get(_place(name))
    if column is not None:
        return column.scores(row.variant)
    parts = [
        columns[name.module, f"{name.app}::{which}"].all_scores(row.variant)
        for which in ("input_tokens", "output_tokens")
    ]
    return {
        case: [_sum(pair) for pair in zip(parts[0][case], parts[1][case], strict=True)]
        for case in parts[0]
        if case in parts[1]
    }


def _sum(pair: Sequence[float | None]) -> float | None:
    known = [value for value in pair if value is not None]
    return sum(known) if len(known) == len(pair) else None


def _place(name: MetricName) -> Place:
    return name.module, name.metric
