"""How the time of a sample is divided among its nodes."""

import random

import pytest

from pytest_promptune.langgraph.spans import Span, Times, times


def spans(*given_spans):
    return [Span(node=node, began=began, ended=ended) for node, began, ended in given_spans]


def test_nodes_one_after_the_other():
    """Each has the time that it took."""
    found = times(spans(("a", 0, 3), ("b", 3, 4)))
    assert found == {"a": Times(3, 3, 3), "b": Times(1, 1, 1)}


def test_nodes_at_the_same_time():
    """They share the time in which both ran; their own times are whole."""
    found = times(spans(("a", 0, 4), ("b", 2, 4)))
    assert found == {"a": Times(4, 4, 3), "b": Times(2, 2, 1)}


def test_executions_at_the_same_time():
    """Many executions of one node: their sum, and the time on the wall."""
    found = times(spans(("a", 0, 2), ("a", 1, 3), ("a", 5, 6)))
    assert found == {"a": Times(5, 4, 4)}


def test_a_node_around_another():
    """The inner one has the time in which it ran; a name that only begins alike is not around it."""
    found = times(spans(("a", 0, 4), ("a/b", 1, 3)))
    assert found == {"a": Times(4, 4, 2), "a/b": Times(2, 2, 2)}
    assert times(spans(("a", 0, 4), ("ab", 0, 4)))["a"].part == 2


def test_parts_add_up():
    """To the time in which any node ran, whatever ran when; no part is longer than the time on the wall."""
    rng = random.Random(7)
    for _ in range(200):
        drawn = [
            (rng.choice(["a", "a/b", "c"]), began, began + rng.randrange(10))
            for began in (rng.randrange(20) for _ in range(rng.randrange(8)))
        ]
        found = times(spans(*drawn))
        busy = {second for _, began, ended in drawn for second in range(began, ended)}
        assert sum(each.part for each in found.values()) == pytest.approx(len(busy))
        assert all(each.part <= each.wall + 1e-9 <= each.total + 2e-9 for each in found.values())
