"""What a session found, as one tree of values: terminal, Markdown and JSON are written from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pytest_promptune.core.analysis.model import AnalysisView
from pytest_promptune.core.model import Change
from pytest_promptune.core.stats.model import Confusions, Direction, Failure, Kind, Passing, Scope
from pytest_promptune.core.values import dataclass

Mode = Literal["baseline", "compare", "check"]
Verdict = Literal["improved", "regressed", "unchanged", "inconclusive"]
GateState = Literal["passed", "failed", "off"]
Interval = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricName:
    """Which metric: a name is unique within its test module."""

    #: As in baseline files: ``test_intent``, ``test_reply::words``, ``bot::latency_s``.
    metric: str
    #: Node id of the test without its parameters; ``<module>::<app>`` for the app's own metrics.
    test: str
    #: The test module, relative to the root, with forward slashes.
    module: str
    #: Name of the app fixture.
    app: str
    kind: Kind
    direction: Direction
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric under one variant; every number that doesn't exist is ``None``."""

    name: MetricName
    variant: str
    n_cases: int
    n_samples: int
    n_missing: int
    mean: float | None
    #: Over all samples.
    sd: float | None
    between_case_sd: float | None
    within_case_sd: float | None
    #: Of the means of run 1, run 2, ...; ``min`` and ``max`` are of the same means.
    sd_of_runs: float | None
    min: float | None
    max: float | None
    ci: Interval | None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    #: Share of cases that passed all runs; 0/1 metrics only.
    pass_all_runs: float | None = None
    #: How often k runs have a pass, or only passes; 0/1 metrics where higher is better.
    passing: Passing | None = None
    flaky_cases: tuple[str, ...] = ()
    case_means: Mapping[str, float | None] = field(default_factory=dict)
    #: Of many samples at once, as macro-F1: ``mean`` is its value over all of them.
    aggregate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassesRow:
    """Which class a test took for which, under one variant."""

    #: The assertion metric of the test.
    name: MetricName
    variant: str
    n_samples: int
    n_missing: int
    found: Confusions


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLists:
    """Ids of cases by what happened to them in one comparison."""

    improved: tuple[str, ...] = ()
    regressed: tuple[str, ...] = ()
    #: Much worse, but chance could still explain it: run again.
    suspect: tuple[str, ...] = ()
    #: Input or expected is not what the baseline was recorded with: not compared.
    changed: tuple[str, ...] = ()
    only_reference: tuple[str, ...] = ()
    only_candidate: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """Candidate minus reference for one metric."""

    name: MetricName
    #: ``baseline:NAME`` or ``current``.
    reference: str
    candidate: str
    n_cases: int
    reference_mean: float | None
    candidate_mean: float | None
    difference: float | None
    #: Difference as a fraction of the reference's mean.
    relative: float | None
    #: Ratio of geometric means and its interval; latency only.
    ratio: float | None
    ratio_ci: Interval | None
    ci: Interval | None
    #: Unknown, as is what follows from it, where the two sides are not comparable: ``reason`` says why.
    p: float | None
    p_adjusted: float | None
    p_worse_adjusted: float | None
    cliffs_delta: float | None
    hedges_g: float | None
    margin: float | None
    #: Loss that is ignored although it is more than chance.
    tolerance: float | None = None
    minimum_detectable: float | None
    #: Runs per case on both sides that would settle an inconclusive verdict, if any number would.
    runs_needed: int | None
    scope: Scope
    verdict: Verdict
    reason: str
    gate: GateState
    #: Which rule failed it, and the cases that got worse by themselves; see `core.stats`.
    failure: Failure | None = None
    failing_cases: tuple[str, ...] = ()
    #: Part of the family of gated hypotheses, or reported only.
    gated: bool
    #: All values equal on both sides: nothing to test, told in one line.
    constant: bool
    cases: CaseLists = field(default_factory=CaseLists)
    #: Means of the reference and the candidate by case; empty where the metric rows of both variants tell.
    case_means: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    #: Of many samples at once, as macro-F1: the means are its values over all samples of a side.
    aggregate: bool = False
    #: Two-sided error level of the interval; ``None``: that of the session.
    alpha: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalRow:
    """One goal of the goals file for one metric under one variant."""

    #: As the goals file calls it.
    goal: str
    name: MetricName
    variant: str
    target: float
    direction: Direction
    #: Of the samples; ``None``: the mean.
    percentile: float | None = None
    #: What was measured, and its interval.
    value: float | None
    ci: Interval | None
    #: ``attained`` if the whole interval reaches the target, ``missed`` if none of it does.
    status: Literal["attained", "missed", "unclear"]

    @property
    def gap(self) -> float | None:
        """Value minus target, in the metric's own unit."""
        return None if self.value is None else float(f"{self.value - self.target:.12g}")

    @property
    def achievement(self) -> float | None:
        """Value as a fraction of the target; of metrics where lower is better, target as one of the value."""
        up, down = (self.value, self.target) if self.direction == "higher" else (self.target, self.value)
        return None if up is None or not down else up / down

    @property
    def met(self) -> bool | None:
        """Whether the value reaches the target, whatever its uncertainty."""
        if self.value is None:
            return None
        return self.value >= self.target if self.direction == "higher" else self.value <= self.target

    @property
    def confident(self) -> bool:
        """Whether the interval agrees."""
        return self.status != "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookView:
    """The look by which a session with ``MIN..MAX`` runs was judged."""

    #: 1..`of`.
    number: int
    of: int
    #: Runs per case at this look and at the last one.
    runs: int
    most: int
    #: Runs per case at all of them.
    planned: tuple[int, ...]
    #: Two-sided error level of the look.
    alpha: float
    #: Items of runs that were not started any more.
    not_needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantView:
    """What a variant changes, for people."""

    name: str
    description: str
    changes: tuple[Change, ...]
    #: Touches one node's prompt, or parameters, but not more.
    one_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """Samples of one variant that failed in the same way."""

    app: str
    variant: str
    error: str
    #: Rate limits, 5xx, lost connections: missing, not errored.
    infrastructure: bool
    count: int
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLatency:
    """Seconds per sample in a node, over the samples in which it ran; ``None`` where no time is known."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One node of an app under one variant; unknown is ``None``."""

    node: str
    variant: str
    #: Name of the app fixture, and whose it is (see `SampleKey.scope`).
    app: str
    scope: str = ""
    #: In which the node ran.
    samples: int
    calls: int
    #: Calls and executions that repeat one that failed.
    retries: int
    latency_s: NodeLatency
    #: Sums over all samples.
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    #: Of the latency of all samples; where several nodes run at once, each has its part of that time.
    share_of_latency: float | None
    #: Of the cost of all nodes.
    share_of_cost: float | None
    #: Of the tokens of all nodes, input and output together.
    share_of_tokens: float | None = None
    #: By name of the exception, most frequent first.
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageView:
    """Sums over the session; unknown is ``None``."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    scorer_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """The conditions of one session."""

    id: str
    #: ISO 8601, UTC, to the second.
    started: str
    finished: str
    commit: str | None
    dirty: bool | None
    branch: str | None
    runs: int
    cases: int
    variants: tuple[str, ...]
    samples: int
    errored: int
    missing: int
    reused: int
    #: Hashes of cases and tests.
    conditions: Mapping[str, str]
    models: tuple[str, ...]
    promptune: str
    python: str
    #: Versions by name of the libraries between the app and its models.
    libraries: Mapping[str, str] = field(default_factory=dict)
    concurrency: int
    alpha: float
    seconds: float
    #: ``None`` where the number of runs was fixed.
    look: LookView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineView:
    """One baseline file and what this session did with it."""

    #: Relative to the root.
    path: str
    name: str
    module: str
    action: Literal["recorded", "updated", "untouched", "compared", "missing", "not recorded"]
    #: When and at which commit the scores compared with were recorded; ``None`` when there are none.
    recorded_at: str | None = None
    commit: str | None = None
    #: One line about it, or empty: what differs in its conditions, why nothing was recorded, ...
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do next, why, and with which command."""

    action: Literal["record", "adopt", "continue", "stop", "plateau", "investigate"]
    variant: str | None
    reason: str
    #: The command to run next, or empty.
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateItem:
    """One decision of the gate as a result of the test session."""

    nodeid: str
    failed: bool
    #: Which metric, by how much, with which interval, compared with what.
    message: str
    #: What some of the samples behind a failed decision said, one line each.
    examples: tuple[str, ...] = ()
    #: How to run what is behind a failed decision: its own id can't be selected.
    hint: str = ""

    @property
    def details(self) -> tuple[str, ...]:
        """What stands below the message where there is room."""
        return (*self.examples, self.hint) if self.hint else self.examples


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything a session has to say."""

    mode: Mode
    exit_code: int
    experiment: ExperimentView
    metrics: tuple[MetricRow, ...] = ()
    classes: tuple[ClassesRow, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    goals: tuple[GoalRow, ...] = ()
    #: How many of the goals must be reached, in words; empty without goals.
    passing_rule: str = ""
    variants: tuple[VariantView, ...] = ()
    baselines: tuple[BaselineView, ...] = ()
    errors: tuple[ErrorView, ...] = ()
    #: Where time and money went.
    nodes: tuple[NodeRow, ...] = ()
    #: Where it fails, what stands out, what to work on; ``None`` in documents of earlier versions.
    analysis: AnalysisView | None = None
    usage: UsageView = field(default_factory=UsageView)
    decision: Decision | None = None
    gate: tuple[GateItem, ...] = ()
    #: What a reader must know even of a quiet session, since it limits what the verdict is worth.
    warnings: tuple[str, ...] = ()
    #: What else is worth knowing, one sentence each.
    notes: tuple[str, ...] = ()
    #: Files that tell more, relative to the root.
    written: tuple[str, ...] = ()
    #: ``True`` when the session ended early (``-x``, Ctrl-C, usage error): nothing was gated or recorded.
    interrupted: bool = False
