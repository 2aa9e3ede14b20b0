"""From the samples of the starting point and of the present state to what changed between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_promptune.core.goals.judging import Measured as Goaled
from pytest_promptune.core.goals.judging import candidates, judge
from pytest_promptune.core.goals.matching import meant_by
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.matching import is_gated
from pytest_promptune.core.series.final import (
    CaseChange,
    CaseChanges,
    CaseVerdict,
    GoalChange,
    IterationReport,
    MetricChange,
    NodeChange,
    SuggestedCases,
    UnjudgedGoal,
)
from pytest_promptune.core.sides import Beside, Measured
from pytest_promptune.core.stats.model import Scope
from pytest_promptune.core.view import ComparisonRow, GoalRow, MetricName, MetricRow, NodeRow

_Place = tuple[str, str]


def metric_changes(
    start: Sequence[MetricRow],
    present: Sequence[MetricRow] | None,
    found: Beside | None,
    *,
    gated: frozenset[_Place],
) -> tuple[MetricChange, ...]:
    """Every metric of either side, those of the start first.

    Args:
        start: described.
        present: described; ``None`` while it is the starting point.
        found: the comparison of both.
        gated: those that a verdict counts for.
    """
    before = {_place(row.name): row for row in start}
    after = {_place(row.name): row for row in present or ()}
    rows = {_place(row.name): row for row in found.rows} if found else {}
    return tuple(
        MetricChange(
            name=(after.get(place) or before[place]).name,
            initial=before.get(place),
            final=after.get(place),
            comparison=rows.get(place),
            gated=place in gated,
        )
        for place in dict.fromkeys((*before, *after))
    )


def gated_places(side: Measured, gate_metrics: Sequence[str]) -> frozenset[_Place]:
    """The metrics that are gated on this side."""
    return frozenset(_place(column.name) for column in side.columns if is_gated(column, gate_metrics))


def goal_changes(
    goals: Goals,
    sides: tuple[Measured, Measured],
    rows: tuple[Sequence[MetricRow], Sequence[MetricRow]],
    *,
    alpha: float,
    scope: Scope,
    meanings: dict[str, str],
) -> tuple[tuple[GoalChange, ...], tuple[UnjudgedGoal, ...]]:
    """Each goal judged on both sides, by the rules of a session; and those that no metric can speak for.

    What was measured on one side only is unknown on the other.

    Args:
        goals: of the goals file.
        sides: start and present.
        rows: of the same, described; aggregates are taken from them.
        alpha: two-sided error level.
        scope: what is claimed.
        meanings: metrics by the name of the goal, where the name doesn't say.
    """
    judged: list[dict[tuple[str, _Place], GoalRow]] = []
    unjudged: dict[str, UnjudgedGoal] = {}
    for side, described in zip(sides, rows, strict=True):
        mine, lacking = _judged(goals, side, described, alpha=alpha, scope=scope, meanings=meanings)
        judged.append({(row.goal, _place(row.name)): row for row in mine})
        unjudged |= {each.goal: each for each in lacking}
    before, now = judged
    keys = dict.fromkeys((*now, *before))
    changes = tuple(
        GoalChange(
            initial=before.get(key) or _unknown(now[key], sides[0].label),
            final=now.get(key) or _unknown(before[key], sides[1].label),
        )
        for key in keys
    )
    known = {name for name, _ in keys}
    twice = tuple(UnjudgedGoal(goal=name, why="contradicted") for name in goals.contradicted)
    return changes, (*(each for name, each in unjudged.items() if name not in known), *twice)


def _unknown(row: GoalRow, label: str) -> GoalRow:
    """The same goal where its metric was not measured."""
    return replace(row, variant=label, value=None, ci=None, status="unclear")


def _judged(
    goals: Goals,
    side: Measured,
    rows: Sequence[MetricRow],
    *,
    alpha: float,
    scope: Scope,
    meanings: dict[str, str],
) -> tuple[list[GoalRow], list[UnjudgedGoal]]:
    aggregates = [row for row in rows if row.aggregate]
    columns = list(side.columns)
    known = candidates(columns, [each.column for each in side.classified], [row.name for row in aggregates])
    measured = Goaled(
        columns={_place(column.name): column for column in columns},
        aggregates={(_place(row.name), row.variant): row for row in aggregates},
        alpha=alpha,
        scope=scope,
    )
    found: list[GoalRow] = []
    lacking: list[UnjudgedGoal] = []
    for goal in goals.goals:
        meant = meant_by(goal, known, meanings)
        judged = judge(meant, side.label, measured)
        found += judged
        if not judged:
            lacking.append(UnjudgedGoal(goal=goal.name, why="unmatched" if meant.is_unmatched else "misfit"))
    return found, lacking


def case_changes(rows: Iterable[ComparisonRow]) -> tuple[CaseChanges, ...]:
    """Of every gated test and score what became of its cases."""
    found = []
    for row in rows:
        if not row.gated or row.aggregate or row.name.kind not in ("binary", "score") or not row.case_means:
            continue
        confirmed = {*row.cases.improved, *row.cases.regressed}
        cases = tuple(
            CaseChange(
                case=case,
                before=before,
                after=after,
                verdict=_verdict(row.name, before, after),
                confirmed=case in confirmed,
            )
            for case, (before, after) in row.case_means.items()
        )
        found.append(CaseChanges(name=row.name, cases=cases))
    return tuple(found)


def suggested_cases(iterations: Sequence[IterationReport]) -> SuggestedCases | None:
    """Those of the newest variant that a session suggested to adopt; ``None`` where none did."""
    for each in reversed(iterations):
        for tried in each.tried:
            if each.suggested == "adopt" and tried.name == each.suggested_variant:
                cases = case_changes(tried.comparisons)
                return SuggestedCases(iteration=each.number, variant=tried.name, cases=cases)
    return None


def _verdict(name: MetricName, before: float | None, after: float | None) -> CaseVerdict:
    if before is None or after is None:
        return "unknown"
    if before == after:
        return "kept"
    return "improved" if (after > before) == (name.direction == "higher") else "degraded"


def node_changes(before: Sequence[NodeRow], after: Sequence[NodeRow] | None) -> tuple[NodeChange, ...]:
    """Every node of either side; `after` is ``None`` while nothing changed."""
    first = {(row.app, row.scope, row.node): row for row in before}
    then = {(row.app, row.scope, row.node): row for row in after or ()}
    return tuple(
        NodeChange(app=key[0], node=key[2], before=first.get(key), after=then.get(key))
        for key in dict.fromkeys((*first, *then))
    )


def _place(name: MetricName) -> _Place:
    return name.module, name.metric
