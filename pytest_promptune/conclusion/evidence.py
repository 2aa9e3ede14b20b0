"""What the conclusion of a session is drawn from, and the conclusion itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from pytest_promptune.core.aggregates.given import Given
from pytest_promptune.core.analysis.ranking import Ranking
from pytest_promptune.core.baseline import (
    Baseline,
    Recorded,
)
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.model import SampleRecord
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import (
    BaselineView,
    ClassesRow,
    ComparisonRow,
    Decision,
    ErrorView,
    GateItem,
    GoalRow,
    MetricRow,
    View,
)
from pytest_promptune.settings import Settings
from pytest_promptune.store.baselines import baseline_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the conclusion is drawn from."""

    settings: Settings
    root: Path
    experiment: Experiment
    #: Variants that were measured, the one in place of `current` first.
    variants: Sequence[str]
    #: Those that are more than one change.
    several: Collection[str] = ()
    #: Paths of nodes by the variant that changes them at the chat model.
    changed_nodes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: By test module, ``None`` where there is no file.
    baselines: Mapping[str, Baseline | None]
    #: Case ids that exist in a module, whether or not they were selected; ``None`` where unknown.
    collected: Mapping[str, frozenset[str]]
    #: Whether all collected items were selected, so that what was not measured doesn't exist any more.
    is_whole: bool = False
    #: Whether that were all tests of the project, and not those of some folders or modules.
    is_everything: bool = False
    #: Some samples of the first variant, each with its app.
    looked_at: Sequence[tuple[str, SampleRecord]] = ()
    #: Arguments that select the same tests again, as one types them after a blank.
    selection: str = ""
    #: By test module: items that were not run since the budget was spent.
    unpaid: Mapping[str, int] = field(default_factory=dict)
    #: Under which conditions a baseline would be recorded.
    recorded: Recorded
    #: Aggregate metrics of the user's.
    given: Given = field(default_factory=Given)
    #: Of the goals file, ``None`` without one.
    goals: Goals | None = None
    #: Whether each earlier iteration of the tuning series brought something, oldest first.
    earlier: Sequence[bool] = ()
    #: Two-sided error level of the comparisons, where it is that of a look and not the session's.
    alpha: float | None = None

    def shown_path(self, module: str) -> str:
        """Of a module's baseline file, as people know it."""
        path = baseline_path(self.root, module, self.settings.against)
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()


@dataclass(slots=True, kw_only=True)
class Conclusion:
    """What the evidence says."""

    metrics: list[MetricRow] = field(default_factory=list)
    classes: list[ClassesRow] = field(default_factory=list)
    comparisons: list[ComparisonRow] = field(default_factory=list)
    goals: list[GoalRow] = field(default_factory=list)
    passing_rule: str = ""
    #: Decisions about goals; they are in `gate` too.
    goal_items: list[GateItem] = field(default_factory=list)
    baselines: list[BaselineView] = field(default_factory=list)
    errors: list[ErrorView] = field(default_factory=list)
    gate: list[GateItem] = field(default_factory=list)
    decision: Decision | None = None
    #: Of the nodes of the app as it stands.
    ranking: Ranking = field(default_factory=Ranking)
    #: The gate failed for a scorer that gave no score: nothing to be recorded.
    unscored: bool = False
    #: What limits the worth of the verdict, and what else is worth knowing.
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Node ids that ``--lf`` should run again.
    rerun: list[str] = field(default_factory=list)

    @property
    def gate_without_goals(self) -> list[GateItem]:
        """The decisions about regressions."""
        return [item for item in self.gate if item not in self.goal_items]

    def told_in(self, view: View) -> View:
        """`view` with everything that was found, after what it tells already."""
        return replace(
            view,
            metrics=tuple(self.metrics),
            classes=tuple(self.classes),
            comparisons=tuple(self.comparisons),
            goals=tuple(self.goals),
            passing_rule=self.passing_rule,
            baselines=tuple(self.baselines),
            errors=tuple(self.errors),
            decision=self.decision,
            gate=tuple(self.gate),
            warnings=(*view.warnings, *self.warnings),
            notes=(*view.notes, *self.notes),
        )
