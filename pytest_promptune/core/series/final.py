"""What the final report says, as one tree of values: Markdown, HTML and JSON are written from it alone.

No sentence is in it, since reports have a language: there are kinds instead, and what to fill in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

from pytest_promptune.core.circumstances import Circumstances, Difference
from pytest_promptune.core.model import Change
from pytest_promptune.core.series.model import Adopted, Series, Session
from pytest_promptune.core.stats.model import Scope
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import (
    ComparisonRow,
    GoalRow,
    Interval,
    MetricName,
    MetricRow,
    NodeRow,
    Verdict,
)

CaseVerdict = Literal["improved", "kept", "degraded", "unknown"]
RecommendationKind = Literal[
    "goal_open",
    "goal_unmatched",
    "goal_misfit",
    "goals_unread",
    "regressed",
    "adopt",
    "more_runs",
    "cost_share",
    "latency_share",
    "flaky",
    "flaky_errors",
    "thin_category",
    "thin_difficulty",
    "errored",
    "none",
]
Unjudged = Literal["unmatched", "misfit", "contradicted"]
RemarkKind = Literal[
    "no_iteration",
    "nothing_adopted",
    "remeasured",
    "chosen_by_these",
    "strayed",
    "by_hand",
    "partial",
    "partial_strayed",
    "running",
    "interrupted",
    "earlier",
    "other_series",
    "parts",
    "times_not_comparable",
    "only_initial",
    "only_final",
    "unlike",
    "not_computed",
    "several_apps",
    "few_runs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric at the starting point and at present."""

    name: MetricName
    initial: MetricRow | None
    #: ``None`` while the present state is the starting point.
    final: MetricRow | None
    #: Present minus start; ``None`` where there is nothing to compare.
    comparison: ComparisonRow | None
    gated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalChange:
    """One goal, judged at the starting point and at present."""

    initial: GoalRow
    final: GoalRow

    @property
    def name(self) -> MetricName:
        """Of the metric."""
        return self.final.name


@dataclass(frozen=True, slots=True, kw_only=True)
class UnjudgedGoal:
    """A goal of the goals file that no metric could be held against."""

    goal: str
    #: No metric is known by its name, or several are; its target can't be one of its metric; or the file
    #: gives it two targets.
    why: Unjudged


def goal_status(row: GoalRow) -> Literal["attained", "missed", "reached", "not_reached", "unclear"]:
    """As the interval says, or where that leaves it open, as the value does."""
    if row.status != "unclear" or row.met is None:
        return row.status
    return "reached" if row.met else "not_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """One case: its means before and after."""

    case: str
    before: float | None
    after: float | None
    verdict: CaseVerdict
    #: More than chance, at a false discovery rate of 10 % over the cases.
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChanges:
    """What became of the cases in one metric."""

    name: MetricName
    cases: tuple[CaseChange, ...]

    def count(self, verdict: CaseVerdict) -> int:
        """How many."""
        return sum(case.verdict == verdict for case in self.cases)

    @property
    def confirmed(self) -> int:
        """How many changes are more than chance."""
        return sum(case.confirmed for case in self.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedCases:
    """What became of the cases with a variant that was suggested and not adopted, beside `current`."""

    iteration: int
    variant: str
    cases: tuple[CaseChanges, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """One node of an app before and after; ``None`` where it didn't run."""

    app: str
    node: str
    before: NodeRow | None
    after: NodeRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The text of a prompt in one state of the app, as the log has it: without secrets."""

    text: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChange:
    """One prompt before and after; ``None`` where a state hasn't it."""

    name: str
    before: Prompt | None
    #: The same as before while nothing changed.
    after: Prompt | None

    @property
    def is_changed(self) -> bool:
        """Whether its text is another one."""
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One variant of an iteration beside `current`."""

    name: str
    description: str
    changes: tuple[Change, ...]
    one_change: bool
    comparisons: tuple[ComparisonRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationReport:
    """One iteration: what was tried, what came of it, what was decided."""

    number: int
    experiment: str
    started: str
    commit: str | None
    dirty: bool | None
    #: Of all its measurements, oldest first.
    notes: tuple[str, ...]
    #: Other measurements of the same, which don't count, oldest first.
    repeats: tuple[Session, ...]
    #: Prompts of `current` that changed by hand since the iteration before.
    by_hand: tuple[str, ...] = ()
    tried: tuple[Tried, ...]
    adopted: Adopted | None
    #: What the session suggested: ``adopt``, ``continue``, …; and which variant.
    suggested: str | None = None
    suggested_variant: str | None = None
    #: Why, in the words of the session.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressPoint:
    """A metric of the state after an iteration: with the variant that was adopted, or else `current`."""

    #: 0: the starting point; ``None``: at present, where that was measured after the last iteration.
    iteration: int | None
    #: The variant that made the state, ``None`` where none was adopted.
    adopted: str | None = None
    #: What was measured.
    experiment: str
    variant: str
    mean: float | None
    ci: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A metric over the iterations; the goal's line where there is one."""

    name: MetricName
    points: tuple[ProgressPoint, ...]
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to do, drawn from data, and the numbers behind it, ready to be shown."""

    kind: RecommendationKind
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a reader must know of where the numbers come from."""

    kind: RemarkKind
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReport:
    """A tuning series for people who were not there."""

    #: Day on which it was written, ISO 8601.
    written: str
    promptune: str
    series: Series
    apps: tuple[str, ...]
    start: Circumstances
    present: Circumstances
    differences: tuple[Difference, ...]
    alpha: float
    scope: Scope
    metrics: tuple[MetricChange, ...]
    #: Goals of the goals file, those that aren't judged, its path, and how many must be reached (``None``:
    #: all).
    goals: tuple[GoalChange, ...] = ()
    unjudged: tuple[UnjudgedGoal, ...] = ()
    goals_path: str | None = None
    goals_needed: int | None = None
    cases: tuple[CaseChanges, ...] = ()
    #: While the present state is the starting point: of the newest variant that was to be adopted.
    suggested_cases: SuggestedCases | None = None
    nodes: tuple[NodeChange, ...] = ()
    iterations: tuple[IterationReport, ...] = ()
    #: Templates alone: the log has no prompt that stands in Python source.
    prompts: tuple[PromptChange, ...] = ()
    progress: tuple[Progress, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether the present state is another than the starting point."""
        return self.series.is_changed

    def goals_with(self, holds: Callable[[GoalRow], bool]) -> int:
        """Of how many goals it holds at present, in each of their metrics."""
        fails = {each.final.goal for each in self.goals if not holds(each.final)}
        return len({each.final.goal for each in self.goals} - fails)

    @property
    def number_of_goals(self) -> int:
        """How many goals there are, judged or not."""
        return len({each.final.goal for each in self.goals}) + len(self.unjudged)

    def verdicts(self, verdict: Verdict) -> list[MetricChange]:
        """The gated metrics that have it."""
        return [
            each
            for each in self.metrics
            if each.gated and each.comparison and each.comparison.verdict == verdict
        ]
