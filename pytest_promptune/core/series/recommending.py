"""What to do next, drawn from data alone: each recommendation carries the numbers behind it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_promptune.core.case_checks import DIFFICULTIES, thin_categories, thin_levels
from pytest_promptune.core.circumstances import Circumstances
from pytest_promptune.core.display import change, clean, interval, mean, money, percent, seconds
from pytest_promptune.core.gate import ADOPT
from pytest_promptune.core.nodes.wording import share
from pytest_promptune.core.series.final import (
    GoalChange,
    IterationReport,
    MetricChange,
    NodeChange,
    Recommendation,
    UnjudgedGoal,
    goal_status,
)
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName, NodeRow
from pytest_promptune.core.wording import label

#: A node with a larger share of cost or time is worth a look: of no other one can that be said.
_LARGE = 0.5
_SUGGESTED = "adopt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What recommendations are drawn from."""

    metrics: Sequence[MetricChange]
    goals: Sequence[GoalChange]
    unjudged: Sequence[UnjudgedGoal]
    #: Of the goals file, and how many things in it could not be understood.
    goals_path: str
    goals_problems: int
    nodes: Sequence[NodeChange]
    iterations: Sequence[IterationReport]
    present: Circumstances
    #: The prompts are no longer those that the last iteration measured as `current`.
    is_outdated: bool = False
    #: Tags of the cases.
    tags: Iterable[Mapping[str, Any]]


def recommend(found: Findings) -> tuple[Recommendation, ...]:
    """Open goals first, then what got worse, what could be settled, and where to look."""
    every = (
        *(() if found.is_outdated else _adopt(found.iterations)),
        *_open_goals(found.goals),
        *_unjudged(found.unjudged),
        *_unread(found),
        *_regressed(found.metrics),
        *_undecided(found.metrics, found.present.runs),
        *_shares(found.nodes),
        *_flaky(found.metrics),
        *_errored(found.present),
        *_thin(found.tags),
    )
    return every or (Recommendation(kind="none"),)


def _adopt(iterations: Sequence[IterationReport]) -> Iterator[Recommendation]:
    if not iterations or iterations[-1].adopted is not None:
        return
    last = iterations[-1]
    if last.suggested != _SUGGESTED or last.suggested_variant is None:
        return
    rows = [
        row
        for tried in last.tried
        if tried.name == last.suggested_variant
        for row in tried.comparisons
        if row.gated and row.verdict == "improved"
    ]
    numbers = ", ".join(
        f"{label(row.name)} {mean(row.name, row.reference_mean)} → {mean(row.name, row.candidate_mean)}"
        for row in rows
    )
    values = {"variant": last.suggested_variant, "numbers": numbers, "iteration": last.number}
    command = f"{ADOPT}{shlex.quote(last.suggested_variant)}"
    yield Recommendation(kind="adopt", values=values | {"command": command})


def _open_goals(goals: Sequence[GoalChange]) -> Iterator[Recommendation]:
    for each in goals:
        row = each.final
        if row.status != "attained":
            yield Recommendation(
                kind="goal_open",
                values={
                    "goal": row.goal,
                    "metric": row.name.metric,
                    "value": mean(row.name, row.value),
                    "interval": interval(row.name, row.ci),
                    "target": mean(row.name, row.target),
                    "gap": change(row.name, row.target, row.value),
                    "status": goal_status(row),
                },
            )


def _unjudged(goals: Sequence[UnjudgedGoal]) -> Iterator[Recommendation]:
    """Goals with two targets are faults of the file, which `_unread` counts."""
    for each in goals:
        if each.why == "unmatched":
            yield Recommendation(kind="goal_unmatched", values={"goal": each.goal})
        elif each.why == "misfit":
            yield Recommendation(kind="goal_misfit", values={"goal": each.goal})


def _unread(found: Findings) -> Iterator[Recommendation]:
    if found.goals_problems:
        yield Recommendation(
            kind="goals_unread", values={"path": found.goals_path, "count": found.goals_problems}
        )


def _regressed(metrics: Sequence[MetricChange]) -> Iterator[Recommendation]:
    for each in metrics:
        row = each.comparison
        if row is not None and each.gated and row.verdict == "regressed":
            yield Recommendation(
                kind="regressed",
                values={
                    "metric": row.name.metric,
                    "before": mean(row.name, row.reference_mean),
                    "after": mean(row.name, row.candidate_mean),
                    "cases": row.cases.regressed,
                },
            )


def _undecided(metrics: Sequence[MetricChange], runs: int) -> Iterator[Recommendation]:
    rows = [
        each.comparison
        for each in metrics
        if each.gated and each.comparison is not None and each.comparison.verdict == "inconclusive"
    ]
    open_ = [row for row in rows if not row.constant and (row.runs_needed or 0) > runs]
    if open_:
        most = max(row.runs_needed or 0 for row in open_)
        yield Recommendation(
            kind="more_runs",
            values={"metrics": tuple(row.name.metric for row in open_), "runs": most, "now": runs},
        )


def _shares(nodes: Sequence[NodeChange]) -> Iterator[Recommendation]:
    """The node that costs most, and the one that takes longest; of a single node nothing is to be said."""
    by_app: dict[str, list[NodeRow]] = {}
    for each in nodes:
        row = each.after or each.before
        if row is not None and row.calls:
            by_app.setdefault(each.app, []).append(row)
    for app, rows in by_app.items():
        if len(rows) < 2:
            continue
        cost = max(rows, key=lambda row: row.share_of_cost or 0.0)
        if (cost.share_of_cost or 0.0) > _LARGE:
            values = {"app": app, "node": cost.node, "share": share(cost.share_of_cost)}
            yield Recommendation(kind="cost_share", values=values | {"cost": money(cost.cost_usd)})
        time = max(rows, key=lambda row: row.share_of_latency or 0.0)
        if (time.share_of_latency or 0.0) > _LARGE:
            values = {"app": app, "node": time.node, "share": share(time.share_of_latency)}
            yield Recommendation(kind="latency_share", values=values | {"time": seconds(time.latency_s.mean)})


def _flaky(metrics: Sequence[MetricChange]) -> Iterator[Recommendation]:
    """Errors are told once: not where the tests of the app are flaky in the same cases."""
    gated = [each.final or each.initial for each in metrics if each.gated]
    rows = [row for row in gated if row is not None and row.flaky_cases]
    told: dict[str, set[str]] = {}
    for row in rows:
        if not _is_of_errors(row.name):
            told.setdefault(row.name.app, set()).update(row.flaky_cases)
    for row in rows:
        numbers = {"count": len(row.flaky_cases), "of": row.n_cases, "cases": row.flaky_cases}
        if not _is_of_errors(row.name):
            yield Recommendation(kind="flaky", values={"metric": row.name.metric} | numbers)
        elif not told.get(row.name.app, set()).issuperset(row.flaky_cases):
            yield Recommendation(kind="flaky_errors", values={"app": row.name.app} | numbers)


def _is_of_errors(name: MetricName) -> bool:
    return name.metric == f"{name.app}::error_rate"


def _errored(present: Circumstances) -> Iterator[Recommendation]:
    if present.errored:
        yield Recommendation(kind="errored", values={"count": present.errored, "of": present.samples})


def _thin(tags: Iterable[Mapping[str, Any]]) -> Iterator[Recommendation]:
    every = list(tags)
    counts = _counts(every, "category")
    for category in thin_categories(counts):
        yield Recommendation(
            kind="thin_category",
            values={
                "category": clean(category),
                "count": counts[category],
                "of": counts.total(),
                "categories": len(counts),
            },
        )
    counts = _counts(every, "difficulty")
    for level, number in thin_levels(counts).items():
        low, high = (percent(share) for share in DIFFICULTIES[level])
        values = {"difficulty": level, "count": number, "of": counts.total(), "low": low, "high": high}
        yield Recommendation(kind="thin_difficulty", values=values)


def _counts(tags: Iterable[Mapping[str, Any]], tag: str) -> Counter[str]:
    return Counter(str(each[tag]) for each in tags if each.get(tag) is not None)
