"""Which node to work on first: impact x feasibility x cost, all of them measured or counted.

Impact is a share of what the unmet goals are about, no promised gain: a change of the node can't win more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from pytest_promptune.core.nodes.headroom import failed_cases, headroom_of
from pytest_promptune.core.nodes.model import Node
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass

Measure = Literal["quality", "latency", "cost"]
MEASURES: tuple[Measure, ...] = ("quality", "latency", "cost")

#: Rules whose fix is a parameter or a change of form, and no new wording.
MECHANICAL = frozenset({"P103", "P201", "P202", "P301", "P401", "P402", "P404"})

_MEASURE_OF: Mapping[str, Measure] = {
    "latency_s": "latency",
    "cost_usd": "cost",
    "input_tokens": "cost",
    "output_tokens": "cost",
    "total_tokens": "cost",
}
#: Shares from which on impact has two and three stars.
_TWO, _THREE = 0.2, 0.5
_MOST_STARS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """What there is to gain: the goals that are not met, or everything where there are none."""

    measures: tuple[Measure, ...] = MEASURES
    #: Names of those goals.
    goals: tuple[str, ...] = ()
    #: Whether there are goals at all.
    has_goals: bool = False
    #: App and case of those that keep the goals of quality from being met.
    failing: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What it takes to see a change: runs per case, and what a run over all cases costs."""

    runs: int | None = None
    run_usd: float | None = None

    @property
    def usd(self) -> float | None:
        """Of those runs."""
        return None if self.runs is None or self.run_usd is None else self.runs * self.run_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """One node's row; unknown is ``None``."""

    node: str
    #: Mean of `shares`.
    impact: float | None
    #: The measured shares of the node, by what unmet goals are about.
    shares: Mapping[Measure, float]
    feasibility: int
    effort: Effort

    @property
    def impact_stars(self) -> int:
        """How many stars the impact is shown with."""
        if not self.impact:
            return 0
        return 3 if self.impact >= _THREE else 2 if self.impact >= _TWO else 1

    @property
    def feasibility_stars(self) -> int:
        """How many stars the feasibility is shown with."""
        return min(self.feasibility, _MOST_STARS)


def unmet_goals(goals: Iterable[Mapping[str, Any]], results: Sequence[Result], *, variant: str) -> Unmet:
    """What goals are not met, by the rows of a results document; everything where there are none.

    Args:
        goals: rows as ``--promptune-json`` has them.
        results: of the variant.
        variant: whose goals count.
    """
    mine = [goal for goal in goals if goal.get("variant") == variant and goal.get("met") is not None]
    if not mine:
        return Unmet(failing=frozenset(failed_cases(results)))
    missed = [goal for goal in mine if not goal["met"]]
    measured = {goal["name"]: _measure(goal) for goal in missed}
    failing = (_failing(goal, results) for goal in missed if _measure(goal) == "quality")
    return Unmet(
        measures=tuple(measure for measure in MEASURES if measure in measured.values()),
        goals=tuple(measured),
        has_goals=True,
        failing=frozenset[tuple[str, str]]().union(*failing),
    )


def _measure(goal: Mapping[str, Any]) -> Measure:
    return _MEASURE_OF.get(str(goal["metric"]).rpartition("::")[2], "quality")


def _failing(goal: Mapping[str, Any], results: Sequence[Result]) -> set[tuple[str, str]]:
    """Cases beyond the target: by their scores, or those that a test of the metric missed."""
    metric, test = goal["metric"], goal["test"]
    scored: dict[tuple[str, str], list[float]] = {}
    for result in results:
        score = result.scores.get(metric) or result.scores.get(str(metric).rpartition("::")[2])
        own = test in (f"{result.module}::{result.test}", f"{result.module}::{result.app}")
        if own and score is not None and score.value is not None:
            scored.setdefault((result.app, result.case_id), []).append(score.value)
    if scored:
        sign = 1 if goal["direction"] == "higher" else -1
        target = sign * goal["target"]
        return {case for case, values in scored.items() if sign * sum(values) / len(values) < target}
    return failed_cases(
        result
        for result in results
        if test in (f"{result.module}::{result.test}", f"{result.module}::{result.app}")
        and (not str(metric).endswith("::error_rate") or result.outcome == "errored")
    )


def priorities(nodes: Sequence[Node], unmet: Unmet, efforts: Mapping[str, Effort]) -> tuple[Priority, ...]:
    """A row for each node, those with the largest impact first, then those with the most mechanical fixes.

    Args:
        nodes: with traces and findings.
        unmet: what there is to gain.
        efforts: by app.
    """
    rows = [_priority(node, unmet, efforts) for node in nodes]
    return tuple(sorted(rows, key=lambda row: (-(row.impact or 0.0), -row.feasibility)))


def _priority(node: Node, unmet: Unmet, efforts: Mapping[str, Effort]) -> Priority:
    room = headroom_of(node, unmet.failing)
    measured: Mapping[Measure, float | None] = {
        "quality": room.failed_cases,
        "latency": room.latency,
        "cost": room.cost,
    }
    shares = {name: share for name in unmet.measures if (share := measured[name]) is not None}
    return Priority(
        node=node.node,
        impact=sum(shares.values()) / len(shares) if shares else None,
        shares=shares,
        feasibility=mechanical(node.findings),
        effort=next((efforts[each.app] for each in node.traced if each.app in efforts), Effort()),
    )


def mechanical(findings: Collection[Any]) -> int:
    """How many of these findings a parameter or another form mends."""
    return sum(finding.rule in MECHANICAL for finding in findings)
