"""The priority matrix of a session: where its own samples say that work promises most.

The rule is that of `core.nodes.priority`. No source is read: feasibility counts what the samples themselves
show (`core.analysis.fixes`); the cost is that of measuring one more variant with as many runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_promptune.core.analysis.model import PriorityRow, leading
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import SampleRecord
from pytest_promptune.core.nodes.model import Node
from pytest_promptune.core.nodes.priority import Effort, Unmet, priorities, unmet_goals
from pytest_promptune.core.nodes.traces import TracedNode
from pytest_promptune.core.nodes.usage import NodeUsage
from pytest_promptune.core.nodes.wording import impact_rule
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import GoalRow

#: Nodes of an app that call models, below which there is nothing to choose between.
FEWEST_NODES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The rows and how they came about."""

    rows: tuple[PriorityRow, ...] = ()
    rule: str = ""

    @property
    def first(self) -> str | None:
        """The node on which work promises most, if it is one alone."""
        row = leading(self.rows)
        return None if row is None else row.node


def ranked(
    experiment: Experiment,
    goals: Sequence[GoalRow],
    *,
    variant: str,
    runs: int,
    looked_at: Sequence[tuple[str, SampleRecord]] = (),
) -> Ranking:
    """The nodes of apps with several that call models.

    Args:
        experiment: of the session.
        goals: judged.
        variant: whose samples and goals count.
        runs: per case.
        looked_at: some of the variant's samples with their apps: prompts, parameters and answers.
    """
    found = _traced(experiment, variant)
    apps = [traced.app for traced in found]
    found = [traced for traced in found if apps.count(traced.app) >= FEWEST_NODES]
    if not found:
        return Ranking()
    results = [result for result in experiment.results if result.variant == variant]
    unmet = unmet_goals([_plain(goal) for goal in goals], results, variant=variant)
    efforts = {app: Effort(runs=runs, run_usd=_run_usd(app, experiment, variant)) for app in set(apps)}
    mended: Mapping[tuple[str, str], int] = {}
    if looked_at:
        from pytest_promptune.core.analysis.fixes import fixes  # with rules that a check has no use for

        mended = fixes(looked_at, results)
    rows: list[PriorityRow] = []
    for app in dict.fromkeys(traced.app for traced in found):
        nodes = [_node(traced) for traced in found if traced.app == app]
        rows += [
            PriorityRow(
                node=row.node,
                app=app,
                impact=row.impact,
                shares={str(name): share for name, share in row.shares.items()},
                feasibility=mended.get((app, row.node)),
                runs=row.effort.runs,
                cost_usd=row.effort.usd,
            )
            for row in priorities(nodes, unmet, efforts)
        ]
    rows.sort(key=lambda row: (-(row.impact or 0.0), -(row.feasibility or 0)))
    return Ranking(rows=tuple(rows), rule=rule_of(unmet))


def rule_of(unmet: Unmet) -> str:
    """What the columns are."""
    return (
        f"{impact_rule(unmet)} Feasibility: findings of prompts, parameters and answers that a parameter or "
        "another form mends, in the samples that were looked at (– where none was); pytest-promptune nodes "
        "names them, and reads the source, too. Cost: the runs per case of this session, and what they cost "
        "over all cases of the app; one more variant costs that much. Order: impact, then feasibility."
    )


def _node(traced: TracedNode) -> Node:
    return Node(node=traced.node, file=None, line=None, calls=(), evidence="trace", traced=(traced,))


def _traced(experiment: Experiment, variant: str) -> list[TracedNode]:
    """Nodes that called a model in some sample, by app."""
    usages: dict[str, NodeUsage] = {}
    cases: dict[tuple[str, str], set[str]] = {}
    for (app, _, of, case, _), facts in experiment.distinct_samples.items():
        if of != variant:
            continue
        usage = usages.setdefault(app, NodeUsage())
        usage.add(facts.nodes, latency_s=facts.latency_s, is_error=facts.error is not None)
        for node in facts.nodes:
            cases.setdefault((app, node.node), set()).add(case)
    return [
        TracedNode(node=row.node, app=app, calls=(), usage=row, cases=frozenset(cases[app, row.node]))
        for app, usage in usages.items()
        for row in usage.rows(app, "", variant)
        if row.calls
    ]


def _run_usd(app: str, experiment: Experiment, variant: str) -> float | None:
    """What one run over all cases of an app cost on average; ``None`` where any sample's cost isn't known."""
    costs: list[float] = []
    cases: set[tuple[str, ...]] = set()
    for (of_app, scope, of, case, content), facts in experiment.distinct_samples.items():
        if (of_app, of) != (app, variant) or facts.error is not None:
            continue
        if facts.usage.cost_usd is None:
            return None
        costs.append(facts.usage.cost_usd)
        cases.add((scope, case, content))
    return sum(costs) / len(costs) * len(cases) if costs else None


def _plain(goal: GoalRow) -> dict[str, object]:
    """As the results document has it, which is what the rule reads."""
    return {
        "name": goal.goal,
        "metric": goal.name.metric,
        "test": goal.name.test,
        "variant": goal.variant,
        "direction": goal.direction,
        "target": goal.target,
        "met": goal.met,
    }
