"""In what two stored measurements differ."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.circumstances import Circumstances, differences, parameters_of
from pytest_promptune.core.model import ModelCall


def circumstances(**changes: Any) -> Circumstances:
    values: dict[str, Any] = {
        "experiment": "e1",
        "variant": "current",
        "started": "2026-11-22T10:00:00Z",
        "status": "finished",
        "mode": "baseline",
        "commit": "aaaa",
        "models": ("m1",),
        "parameters": {"a": "temperature=0.3", "b": ""},
        "libraries": {"langgraph": "1.0", "openai": "3.0"},
        "concurrency": 16,
        "tests": {"test_a.py": "1"},
        "prompts": {"a.j2": "1", "b.j2": "1"},
    }
    return Circumstances(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "what", "before", "after"),
    [
        ({"models": ("m2",)}, "models", "m1", "m2"),
        (
            {"parameters": {"a": "", "b": "", "c": "max_tokens=9"}},
            "parameters",
            "a: temperature=0.3",
            "a: –",
        ),
        ({"libraries": {"langgraph": "1.1", "openai": "3.0"}}, "libraries", "langgraph 1.0", "langgraph 1.1"),
        ({"concurrency": 4}, "concurrency", "16", "4"),
        ({"tests": {"test_a.py": "2"}}, "tests", "test_a.py", "test_a.py"),
        ({"prompts": {"a.j2": "2", "b.j2": "1"}}, "prompts", "a.j2", "a.j2"),
        ({"commit": "bbbb"}, "commit", "aaaa", "bbbb"),
    ],
)
def test_each_difference_is_named(changes, what, before, after):
    """What differs, and how it was on both sides."""
    found = differences(circumstances(), circumstances(experiment="e2", **changes))
    assert [(each.what, each.before, each.after) for each in found] == [(what, before, after)]


@pytest.mark.parametrize(
    "changes",
    [
        {"models": ()},
        {"parameters": {}},
        {"libraries": {"anthropic": "2"}},
        {"concurrency": None},
        {"tests": {}},
        {"prompts": {"c.j2": "1"}},
        {"commit": None},
    ],
)
def test_the_unknown_is_no_difference(changes):
    """What one side doesn't know can't be said to differ."""
    assert differences(circumstances(), circumstances(experiment="e2", **changes)) == []


def test_variants_of_one_experiment_share_its_circumstances():
    """They were measured interleaved."""
    assert differences(circumstances(), circumstances(variant="b", concurrency=4)) == []


def test_parameters_of_nodes_are_those_that_calls_had():
    """What is set, by node; a node that calls in several ways has them all, once each."""
    cold, free = ModelCall(model="m", temperature=0.0, max_tokens=256), ModelCall(model="m", site="a.py:1")
    form = ModelCall(model="m", temperature=0.7, is_structured=True)
    calls = [("a", (cold,)), ("b", (free,)), ("c", (form, free)), ("a", (cold,)), ("d", ())]
    assert parameters_of(calls) == {
        "a": "temperature=0, max_tokens=256",
        "b": "",
        "c": "– / temperature=0.7, response_format",
    }
