"""Where time and money go: what the nodes of each app did in all samples of a variant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.nodes.facts import NodeFacts, short
from pytest_promptune.core.quantiles import quantile
from pytest_promptune.core.view import NodeLatency, NodeRow


def node_rows(experiment: Experiment) -> tuple[NodeRow, ...]:
    """A row for each node and variant: by app, and in the order in which they came up.

    Every sample counts once, whatever tests share it. Samples that errored or were lost count in calls,
    tokens, cost, retries and errors; times are those of samples that ended well, as in the metric
    ``latency_s``.
    """
    usages: dict[tuple[str, str], dict[str, NodeUsage]] = {}
    for (app, scope, variant, *_), facts in experiment.distinct_samples.items():
        usage = usages.setdefault((app, scope), {}).setdefault(variant, NodeUsage())
        usage.add(facts.nodes, latency_s=facts.latency_s, is_error=facts.error is not None)
    found: list[NodeRow] = []
    for (app, scope), by_variant in usages.items():
        rows = [row for variant, usage in by_variant.items() for row in usage.rows(app, scope, variant)]
        order = list(dict.fromkeys(row.node for row in rows))
        found += sorted(rows, key=lambda row: order.index(row.node))
    return tuple(found)


class NodeUsage:
    """Adds up the nodes of one app under one variant, sample by sample."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Sums] = {}
        #: Latencies of the samples that ended well.
        self._latencies: list[float] = []

    def add(self, nodes: Iterable[NodeFacts], *, latency_s: float | None, is_error: bool) -> None:
        """Take in one sample. One that errored may have ended early: it counts, but not in times."""
        latency_s = short(latency_s)
        if not is_error and latency_s is not None:
            self._latencies.append(latency_s)
        for facts in nodes:
            self._nodes.setdefault(facts.node, _Sums()).add(facts, is_timed=not is_error)

    def rows(self, app: str, scope: str, variant: str) -> list[NodeRow]:
        """A row for each node, in the order in which they came up."""
        whole = math.fsum(self._latencies)
        spent = _sum([cost for sums in self._nodes.values() for cost in sums.costs])
        tokens = sum(sums.tokens or 0 for sums in self._nodes.values())
        return [
            NodeRow(
                node=node,
                variant=variant,
                app=app,
                scope=scope,
                samples=sums.samples,
                calls=sums.calls,
                retries=sums.retries,
                latency_s=_latencies(sums.latencies),
                input_tokens=sums.input_tokens,
                output_tokens=sums.output_tokens,
                cost_usd=sums.cost_usd,
                share_of_latency=_share(sums.part_s, whole),
                share_of_cost=_share(sums.cost_usd, spent),
                share_of_tokens=_share(sums.tokens, tokens),
                errors=dict(sorted(sums.errors.items(), key=lambda each: (-each[1], each[0]))),
            )
            for node, sums in self._nodes.items()
        ]


class _Sums:
    """One node over samples."""

    def __init__(self) -> None:
        self.samples = self.calls = self.retries = 0
        self.latencies: list[float] = []
        self.errors: Counter[str] = Counter()
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        #: Of each sample in which a model answered.
        self.costs: list[float | None] = []
        self._parts: list[float | None] = []

    def add(self, facts: NodeFacts, *, is_timed: bool) -> None:
        self.samples += 1
        self.calls += facts.calls
        self.retries += facts.retries
        self.errors.update(dict(facts.errors))
        self.input_tokens = _plus(self.input_tokens, facts.input_tokens)
        self.output_tokens = _plus(self.output_tokens, facts.output_tokens)
        if facts.cost_usd is not None or facts.calls > facts.failed:  # failed calls alone cost nothing
            self.costs.append(facts.cost_usd)
        if is_timed:
            self._parts.append(facts.part_s)
            self.latencies += [] if facts.latency_s is None else [facts.latency_s]

    @property
    def cost_usd(self) -> float | None:
        """Of all answers, or unknown: a part of it would read as all of it."""
        return _sum(self.costs)

    @property
    def tokens(self) -> int | None:
        """Input and output together."""
        return _plus(self.input_tokens, self.output_tokens)

    @property
    def part_s(self) -> float | None:
        return _sum(self._parts)


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    # exactly rounded: the same in whatever order the samples came
    return math.fsum(known) if known and len(known) == len(values) else None


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _latencies(values: Sequence[float]) -> NodeLatency:
    if not values:
        return NodeLatency()
    ordered = sorted(values)
    p50, p95, p99 = (quantile(ordered, share) for share in (0.5, 0.95, 0.99))
    return NodeLatency(mean=math.fsum(ordered) / len(ordered), p50=p50, p95=p95, p99=p99)
