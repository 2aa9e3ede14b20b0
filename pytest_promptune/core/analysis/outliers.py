"""Samples that stand out in time, tokens or cost, by Tukey's fences (Exploratory Data Analysis, 1977, 2C).

A value is an outlier beyond 1.5 interquartile ranges from the quartiles, and far beyond 3. They are shown and
never dropped: every number of a session is computed with them. Nothing is said of fewer than `FEWEST`
samples, whose quartiles are chance, or where the quartiles are equal, which gives no scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pytest_promptune.core.analysis.model import Outlier, OutlierRow
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.quantiles import quantile
from pytest_promptune.core.results import SampleFacts

#: Samples below which nothing is said.
FEWEST = 12
INNER, OUTER = 1.5, 3.0

#: Case, run, value, and the sample's facts.
_Value = tuple[str, int, float, SampleFacts]


def outlier_rows(experiment: Experiment) -> tuple[OutlierRow, ...]:
    """A row for each app, variant and quantity that has outliers; samples that errored are left out."""
    groups: dict[tuple[str, str, str], list[tuple[str, int, SampleFacts]]] = {}
    samples = experiment.distinct_samples
    for identity in samples:
        app, scope, variant, case, _ = identity
        groups.setdefault((app, scope, variant), []).extend(
            (case, run, facts) for run, facts in samples.runs(identity) if facts.error is None
        )
    return tuple(_rows(groups))


def _rows(groups: dict[tuple[str, str, str], list[tuple[str, int, SampleFacts]]]) -> Iterator[OutlierRow]:
    for (app, scope, variant), samples in groups.items():
        for quantity, (value_of, part_of) in _QUANTITIES.items():
            values = [
                (case, run, value, facts)
                for case, run, facts in samples
                if (value := value_of(facts)) is not None
            ]
            fences = fences_of([value for _, _, value, _ in values])
            if fences is None:
                continue
            found = _beyond(values, fences, part_of)
            if found:
                yield OutlierRow(
                    app=app,
                    scope=scope,
                    variant=variant,
                    quantity=quantity,
                    samples=len(values),
                    low=fences[0] - INNER * (fences[1] - fences[0]),
                    high=fences[1] + INNER * (fences[1] - fences[0]),
                    outliers=found,
                )


def fences_of(values: Sequence[float]) -> tuple[float, float] | None:
    """The quartiles that the fences are built on; ``None`` for too few values, or without any spread."""
    if len(values) < FEWEST:
        return None
    ordered = sorted(values)
    quartiles = quantile(ordered, 0.25), quantile(ordered, 0.75)
    return quartiles if quartiles[0] < quartiles[1] else None


def _beyond(
    values: Sequence[_Value], quartiles: tuple[float, float], part_of: Callable[[NodeFacts], float | None]
) -> tuple[Outlier, ...]:
    lower, upper = quartiles
    spread = upper - lower

    def distance(value: float) -> float:
        return max(lower - value, value - upper) / spread

    found = [each for each in values if distance(each[2]) > INNER]
    found.sort(key=lambda each: -distance(each[2]))
    return tuple(
        Outlier(
            case=case,
            run=run,
            value=value,
            node=_largest(facts.nodes, part_of) if value > upper else None,
            far=distance(value) > OUTER,
        )
        for case, run, value, facts in found
    )


def _largest(nodes: Sequence[NodeFacts], part_of: Callable[[NodeFacts], float | None]) -> str | None:
    parts = [(part, node.node) for node in nodes if (part := part_of(node))]
    return max(parts, key=lambda each: each[0])[1] if parts else None


def _time(node: NodeFacts) -> float | None:
    return node.latency_s if node.part_s is None else node.part_s


def _tokens(used: int | None, more: int | None) -> float | None:
    return None if used is None and more is None else float((used or 0) + (more or 0))


_QUANTITIES: dict[str, tuple[Callable[[SampleFacts], float | None], Callable[[NodeFacts], float | None]]] = {
    "latency_s": (lambda facts: facts.latency_s, _time),
    "tokens": (
        lambda facts: _tokens(facts.usage.input_tokens, facts.usage.output_tokens),
        lambda node: _tokens(node.input_tokens, node.output_tokens),
    ),
    "cost_usd": (lambda facts: facts.usage.cost_usd, lambda node: node.cost_usd),
}
