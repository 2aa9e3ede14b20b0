"""Where time and money go: nodes added up over the samples of each variant."""

import json
import random
from typing import Any

import numpy as np
import pytest

from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import NodeRun, SampleError, Usage
from pytest_promptune.core.nodes.facts import NodeFacts, facts_of_node
from pytest_promptune.core.nodes.usage import node_rows
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.view import NodeLatency, NodeRow

BROKEN = SampleError(type="ValueError", message="no")


def node(name: str = "say", **changes: Any) -> NodeFacts:
    values: dict[str, Any] = {"calls": 1, "latency_s": 0.5, "part_s": 0.5}
    values |= {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}
    return NodeFacts(node=name, **(values | changes))


def sample(*nodes: NodeFacts, run: int = 1, latency_s: float | None = 1.0, **changes: Any) -> Result:
    """An item with its sample."""
    facts = SampleFacts(latency_s=latency_s, nodes=nodes, error=changes.pop("error", None))
    values: dict[str, Any] = {
        "nodeid": f"test_m.py::test_a[{run}]",
        "module": "test_m.py",
        "test": "test_a",
        "metric": "test_a",
        "app": "bot",
        "case_id": "c1",
        "case_hash": "sha256:c1",
        "variant": "current",
        "run": run,
        "outcome": "passed",
        "sample": facts,
        "scope": "",
    }
    return Result(**(values | changes))


def rows(*results: Result) -> dict[tuple[str, str], NodeRow]:
    experiment = Experiment()
    for result in results:
        experiment.add(result)
    return {(row.node, row.variant): row for row in node_rows(experiment)}


def only(*results: Result) -> NodeRow:
    (row,) = rows(*results).values()
    return row


def test_sums_over_samples():
    """Calls, tokens, cost, retries and errors add up; the samples in which the node ran are counted."""
    row = only(
        sample(node(calls=2, failed=1, retries=1, errors=(("TimeoutError", 1),))),
        sample(node(errors=(("ValueError", 3), ("TimeoutError", 1)), retries=2), run=2),
        sample(run=3),
    )
    assert (row.samples, row.calls, row.retries) == (2, 3, 3)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (20, 10, 0.5)
    assert list(row.errors.items()) == [("ValueError", 3), ("TimeoutError", 2)]


def test_latencies_are_those_of_the_samples():
    """Mean and percentiles of the seconds per sample, by the same rule as those of metrics."""
    values = [0.3, 0.1, 2.0, 0.4, 0.9, 0.2, 0.7]
    row = only(*(sample(node(latency_s=value), run=run) for run, value in enumerate(values, 1)))
    expected = [np.mean(values), *np.percentile(values, [50, 95, 99])]
    found = row.latency_s
    assert [found.mean, found.p50, found.p95, found.p99] == pytest.approx(expected)
    one = only(sample(node(latency_s=0.3)))
    assert one.latency_s == NodeLatency(mean=0.3, p50=0.3, p95=0.3, p99=0.3)


def test_shares():
    """Of the latency of all samples, also of those without the node; of the cost of all nodes."""
    found = rows(
        sample(node("a", part_s=0.6, cost_usd=3), node("b", part_s=0.2, cost_usd=0), latency_s=1),
        sample(node("a", part_s=1.8, cost_usd=3), latency_s=2),
        sample(node("b", part_s=0.4, cost_usd=2), latency_s=1, run=3),
        sample(node("a", part_s=0.9, cost_usd=1), latency_s=1, variant="other"),
    )
    # the second sample is run 1 of the same case again: a sample counts once
    assert found["a", "current"].share_of_latency == pytest.approx(0.6 / 2)
    assert found["b", "current"].share_of_latency == pytest.approx(0.6 / 2)
    assert found["a", "current"].share_of_cost == pytest.approx(3 / 5)
    assert found["b", "current"].share_of_cost == pytest.approx(2 / 5)
    assert found["a", "other"].share_of_cost == 1
    assert found["a", "other"].share_of_latency == pytest.approx(0.9)


def test_unknown_is_none():
    """Never 0: no tokens, no cost, no time of what nobody told."""
    nothing = {"latency_s": None, "part_s": None, "input_tokens": None, "output_tokens": None}
    row = only(sample(node(**nothing, cost_usd=None), latency_s=None))
    assert row.latency_s == NodeLatency()
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, None)
    assert (row.share_of_latency, row.share_of_cost) == (None, None)


def test_a_part_of_the_cost_is_no_cost():
    """One answer without a price leaves the node without cost, and all nodes without shares; tokens stay."""
    found = rows(
        sample(node("a"), node("b")), sample(node("a", cost_usd=None, input_tokens=None), node("b"), run=2)
    )
    a, b = found["a", "current"], found["b", "current"]
    assert (a.cost_usd, a.input_tokens, a.output_tokens) == (None, 10, 10)
    assert b.cost_usd == 0.5
    assert (a.share_of_cost, b.share_of_cost) == (None, None)


def test_failed_calls_do_not_hide_costs():
    """A sample in which all calls of a node failed has no cost there, and none is missing."""
    failed = node("a", calls=2, failed=2, input_tokens=None, output_tokens=None, cost_usd=None)
    found = rows(sample(node("a"), node("b")), sample(failed, node("b"), run=2))
    assert found["a", "current"].cost_usd == 0.25
    assert found["a", "current"].share_of_cost == pytest.approx(1 / 3)


def test_free_models():
    """Nothing was spent: a share of nothing is unknown."""
    row = only(sample(node(cost_usd=0.0)))
    assert (row.cost_usd, row.share_of_cost) == (0, None)


def test_samples_that_errored():
    """Their calls, tokens, cost and errors count; their times don't, as the sample may have ended early."""
    errored = sample(
        node(latency_s=9, part_s=9, errors=(("ValueError", 1),)), run=2, latency_s=9, error=BROKEN
    )
    row = only(sample(node(latency_s=0.5, part_s=0.5)), errored)
    assert (row.samples, row.calls, row.cost_usd, row.errors) == (2, 2, 0.5, {"ValueError": 1})
    assert row.latency_s.mean == 0.5
    assert row.share_of_latency == 0.5


def test_a_sample_of_several_tests_counts_once():
    """Within a module and among modules that share it."""
    row = only(
        sample(node()),
        sample(node(), test="test_b", metric="test_b"),
        sample(node(), module="test_n.py"),
    )
    assert (row.samples, row.calls) == (1, 1)


def test_tests_of_a_sample_share_its_nodes_in_memory():
    """However often they travelled, they are kept once."""
    experiment = Experiment()
    for test in ("test_a", "test_b"):
        text = json.dumps(sample(node(), node("b"), test=test).to_json())
        experiment.add(Result.from_json(json.loads(text)))
    first, second = experiment.results
    assert first.sample is not None
    assert second.sample is not None
    assert first.sample.nodes is second.sample.nodes


def test_apps_are_kept_apart():
    """By name, and by where their fixture is defined."""
    found = node_rows_of(
        sample(node()),
        sample(node(), app="other"),
        sample(node(), scope="tests/a", module="tests/a/test_m.py"),
    )
    assert [(row.app, row.scope, row.calls) for row in found] == [
        ("bot", "", 1),
        ("other", "", 1),
        ("bot", "tests/a", 1),
    ]


def node_rows_of(*results: Result) -> tuple[NodeRow, ...]:
    experiment = Experiment()
    for result in results:
        experiment.add(result)
    return node_rows(experiment)


def test_rows_are_in_the_order_of_the_graph():
    """Nodes as they came up, and the variants of a node together."""
    found = node_rows_of(
        sample(node("z"), node("a")),
        sample(node("z"), node("a"), node("m"), variant="other"),
    )
    assert [(row.node, row.variant) for row in found] == [
        ("z", "current"),
        ("z", "other"),
        ("a", "current"),
        ("a", "other"),
        ("m", "other"),
    ]


def test_the_order_of_samples_changes_nothing():
    """Sums are the same to the last digit, so that workers and merges give what one process gives."""
    rng = random.Random(5)
    results = [
        sample(node(cost_usd=rng.random(), latency_s=rng.random(), part_s=rng.random()), run=run)
        for run in range(1, 60)
    ]
    shuffled = rng.sample(results, len(results))
    assert only(*results) == only(*shuffled)


def test_no_nodes():
    """An app that calls no model has no rows, and its samples carry nothing."""
    assert rows(sample(), sample(run=2)) == {}
    assert "nodes" not in SampleFacts().to_json()


def test_facts_of_a_node():
    """What travels of a node: six digits of its times, and its exceptions by name."""
    run = NodeRun(
        node="say",
        calls=3,
        latency_s=1.23456789,
        part_s=0.123456789,
        usage=Usage(input_tokens=1, output_tokens=2, cost_usd=0.1234567891),
        errors=1,
        retries=1,
        error_types={"ValueError": 1},
        prompt=(("human", "secret"),),
    )
    assert facts_of_node(run) == NodeFacts(
        node="say",
        calls=3,
        failed=1,
        retries=1,
        latency_s=1.23457,
        part_s=0.123457,
        input_tokens=1,
        output_tokens=2,
        cost_usd=0.1234567891,
        errors=(("ValueError", 1),),
    )
