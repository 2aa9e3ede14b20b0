"""What it takes to see a change of an app: the runs that the stored noise asks for, and what a run costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.matching import is_gated, short_name
from pytest_promptune.core.nodes.priority import Effort, Measure
from pytest_promptune.core.nodes.traces import Trace
from pytest_promptune.core.results import Result

#: The change that is to be found, of 0/1 metrics and scores within [0, 1]; 10 % of all others.
DIFFERENCE = 0.10
POWER = 0.8
_LAST_PART = {"latency": "latency_s", "cost": "cost_usd"}


def efforts(
    trace: Trace, results: Sequence[Result], measures: Collection[Measure], *, alpha: float
) -> dict[str, Effort]:
    """By app. The runs are those of the noisiest metric that the measures are about.

    Args:
        trace: of the experiment, whose nodes tell what samples cost.
        results: of the trace's variant.
        measures: what is to change; quality goes before the others.
        alpha: two-sided error level, which the metrics share.
    """
    experiment = Experiment()
    for result in results:
        experiment.add(result)
    columns = [column for column in experiment.in_order().columns() if _is_about(column, measures)]
    found = {}
    for app in trace.apps:
        mine = [column for column in columns if column.name.app == app]
        needs = [_runs(column, trace.variant, alpha, len(mine)) for column in mine]
        known = [runs for runs in needs if runs is not None]
        found[app] = Effort(runs=max(known, default=None), run_usd=_cost_of_run(app, trace, results))
    return found


def _is_about(column: Column, measures: Collection[Measure]) -> bool:
    if "quality" in measures:
        return is_gated(column, ())
    return short_name(column.name) in [_LAST_PART[measure] for measure in measures]


def _runs(column: Column, variant: str, alpha: float, family: int) -> int | None:
    """Runs per case on both sides of a comparison."""
    from pytest_promptune.core.comparison import specification
    from pytest_promptune.core.stats.calibration import Stored
    from pytest_promptune.core.stats.sizing import Design, Wanted, size_of

    scores = column.scores(variant)
    name = column.name
    stored = Stored(
        module=name.module, metric=name.metric, spec=specification(name, scores, {}), scores=scores
    )
    try:
        size = size_of(
            stored, Wanted(amount=DIFFERENCE), Design(alpha=alpha, power=POWER, family=max(family, 1))
        )
    except StatsError:
        return None
    return size.runs_both if size else None


def _cost_of_run(app: str, trace: Trace, results: Sequence[Result]) -> float | None:
    """Of one run over all cases of the app; ``None`` where the cost of any node isn't known."""
    costs = [node.usage.cost_usd for node in trace.nodes if node.app == app]
    mine = [result for result in results if result.app == app and result.sample is not None]
    samples = {(result.sample_identity, result.run) for result in mine}
    cases = {result.sample_identity for result in mine}
    known = [cost for cost in costs if cost is not None]
    if not samples or not known or len(known) < len(costs):
        return None
    return sum(known) * len(cases) / len(samples)
