"""Which metrics a goal means."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.goals.matching import Candidate, Meant, meant_by, target_of, total_tokens
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.goals.reading import read_goals
from pytest_promptune.core.view import MetricName


def metric(name: str, *, module: str = "test_m.py", **more: Any) -> MetricName:
    test = name.rpartition("::")[0] or name
    values = {"kind": "binary", "direction": "higher", "app": "bot", **more}
    return MetricName(metric=name, test=f"{module}::{test}", module=module, **values)


INTENT = Candidate(name=metric("test_intent"), is_assertion=True, classifies=True)
REPLY = Candidate(name=metric("test_reply"), is_assertion=True)
WORDS = Candidate(name=metric("test_reply::words", kind="score", direction="lower", unit="words"))
HELPFUL = Candidate(name=metric("test_reply::helpfulness", kind="score"))
LATENCY = Candidate(name=metric("bot::latency_s", kind="latency", direction="lower", unit="s"))
COST = Candidate(name=metric("bot::cost_usd", kind="cost", direction="lower", unit="USD"))
ERRORS = Candidate(name=metric("bot::error_rate", direction="lower"))
F1 = Candidate(name=metric("test_intent::macro_f1", kind="score"))
TOKENS = Candidate(name=total_tokens(LATENCY.name))
ALL = [INTENT, REPLY, WORDS, HELPFUL, LATENCY, COST, ERRORS, F1, TOKENS]


def goals(text: str) -> Goals:
    return read_goals(text, path="fine-tune.md")


def meant(line: str, known: list[Candidate] | None = None, **mapping: str) -> Meant:
    (goal,) = goals(f"- {line}\n").goals
    return meant_by(goal, ALL if known is None else known, mapping)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Accuracy: 90% or higher", "test_intent"),
        ("精度: 90%以上", "test_intent"),
        ("Latency: 2 s or less", "bot::latency_s"),
        ("応答時間: 2秒以下", "bot::latency_s"),
        ("p95 latency: 2 s or less", "bot::latency_s"),
        ("Cost: $0.01 or less", "bot::cost_usd"),
        ("コスト: $0.01以下", "bot::cost_usd"),
        ("Error rate: 1% or less", "bot::error_rate"),
        ("F1: 0.9 or higher", "test_intent::macro_f1"),
        ("tokens per request: <= 1,200", "bot::total_tokens"),
        ("Helpfulness: at least 4.2", "test_reply::helpfulness"),
        ("test_reply: 90% or higher", "test_reply"),
        ("Reply: 90% or higher", "test_reply"),
        ("words: at most 50", "test_reply::words"),
    ],
)
def test_names_and_usual_words(line, name):
    """The metric's name, with or without `test_`, and the usual words of both languages."""
    found = meant(line)
    assert ([one.metric for one in found.names], found.problem) == ([name], "")


def test_a_metric_of_that_name_comes_before_the_usual_word():
    """The marker's `metric="accuracy"` is meant by *Accuracy*."""
    named = Candidate(name=metric("accuracy"), is_assertion=True)
    assert meant("Accuracy: 90% or higher", [*ALL, named]).names == (named.name,)


def test_the_mapping_comes_first():
    """`promptune_goal_metrics` decides, whatever the case of the name."""
    assert meant("Accuracy: 90% or higher", accuracy="test_reply").names == (REPLY.name,)
    assert (
        "says nothing, which no test measures" in meant("Accuracy: 90% or higher", Accuracy="nothing").problem
    )


def test_accuracy_of_several_tests_is_not_guessed():
    """None or several that classify: all that could be meant are named."""
    found = meant("Accuracy: 90% or higher", [REPLY, Candidate(name=metric("test_b"), is_assertion=True)])
    assert found.names == ()
    assert "could be any of test_reply, test_b" in found.problem
    assert meant("Accuracy: 90% or higher", [REPLY, LATENCY]).names == (REPLY.name,)


def test_every_app_and_module():
    """A goal of latency is one of each app."""
    other = Candidate(
        name=metric("bot::latency_s", module="test_n.py", kind="latency", direction="lower", unit="s")
    )
    assert meant("Latency: 2 s or less", [LATENCY, other]).names == (LATENCY.name, other.name)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Charm: 90% or higher", "no metric is meant by this name"),
        ("Accuracy: 90 or higher", "in %"),
        ("Accuracy: 2 s or more", "no share"),
        ("Accuracy: 90% or less", "higher values are better"),
        ("Latency: 2 or less", "write the unit"),
        ("Latency: 20% or less", "can't be compared"),
        ("Cost: ¥3 or less", "can't be compared with bot::cost_usd, which is measured in USD"),
        ("words: at most 3 s", "measured in words"),
        ("p95 accuracy: 90% or higher", "no percentiles"),
        ("median F1: 0.9 or higher", "no percentiles"),
    ],
)
def test_what_does_not_fit_is_a_problem(line, why):
    """It names goal and line, and is never dropped in silence."""
    found = meant(line)
    assert found.names == ()
    assert why in found.problem
    assert "(line 1)" in found.problem


@pytest.mark.parametrize("known", [[INTENT], ALL])
def test_another_currency_is_told_before_a_missing_price(known):
    """Whatever was measured: nothing is converted."""
    problem = meant("Cost: ¥3 or less", known).problem
    assert (
        "which is measured in USD. Say it in USD, or give it a score in JPY in promptune_goal_metrics."
        in problem
    )
    assert "price" not in problem


@pytest.mark.parametrize("line", ["Cost: $0.01 or less", "F1: 0.9 or higher", "input tokens: <= 5"])
def test_what_was_not_measured_says_why(line):
    """A metric that every app could have, but has no value."""
    assert "no " in meant(line, [INTENT, LATENCY]).problem


def test_targets_in_the_metrics_own_unit():
    """90 % is 0.9, except of a score in %."""
    (goal,) = goals("- Quality: 90% or higher").goals
    assert target_of(goal, metric("t::quality", kind="score", unit="%")) == 90
    assert target_of(goal, metric("t::quality", kind="score")) == 0.9
