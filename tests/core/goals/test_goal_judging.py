"""Goals are judged by the statistics of their metric."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_promptune.core.experiment import Column
from pytest_promptune.core.goals.judging import Measured, candidates, judge
from pytest_promptune.core.goals.matching import meant_by
from pytest_promptune.core.goals.reading import read_goals
from pytest_promptune.core.stats.aggregates import describe_aggregate
from pytest_promptune.core.stats.goals import goal_attainment
from pytest_promptune.core.stats.percentiles import Percentile
from pytest_promptune.core.view import GoalRow, MetricName, MetricRow

MODULE = "test_m.py"


def column(metric: str, values: dict[str, list[float | None]], **more: str) -> Column:
    test = metric.rpartition("::")[0] or metric
    given = {"kind": "binary", "direction": "higher", "unit": None, **more}
    name = MetricName(metric=metric, test=f"{MODULE}::{test}", module=MODULE, app="bot", **given)  # type: ignore[arg-type]
    found = Column(name, None)
    for case, runs in values.items():
        for run, value in enumerate(runs, 1):
            found.put("current", case, run, value)
    return found


ANSWERS = {f"c{i}": [1.0, 1.0, float(i % 2), 1.0] for i in range(10)}
TIMES = {f"c{i}": [1.0 + i / 10, 1.2 + i / 10, 0.9 + i / 10] for i in range(8)}


def cost(metric: str, values: dict[str, list[float | None]], unit: str = "tokens") -> Column:
    return column(metric, values, kind="cost", direction="lower", unit=unit)


def replace_module(given: Column, module: str = "test_other.py") -> Column:
    found = Column(replace(given.name, module=module, test=f"{module}::bot"), None)
    for case, runs in given.scores("current").items():
        for run, value in enumerate(runs, 1):
            found.put("current", case, run, value)
    return found


def judged(line: str, *columns: Column, **more: object) -> GoalRow:
    (goal,) = read_goals(f"- {line}\n", path="goals.md").goals
    measured = Measured(
        columns={(one.name.module, one.name.metric): one for one in columns},
        aggregates={},
        alpha=0.05,
        scope="suite",
    )
    meant = meant_by(goal, candidates(columns, [], []), {})
    (row,) = judge(meant, "current", replace(measured, **more))  # type: ignore[arg-type]
    return row


@pytest.mark.parametrize("scope", ["suite", "population"])
@pytest.mark.parametrize("target", [60, 90, 99.5])
def test_means_are_judged_as_the_statistics_say(scope, target):
    """Value, interval and status are those of `goal_attainment`."""
    row = judged(f"Accuracy: at least {target}%", column("test_a", ANSWERS), scope=scope)
    expected = goal_attainment(ANSWERS, target=target / 100, scope=scope)
    assert (row.value, row.ci, row.status) == (expected.mean, expected.ci, expected.status)


def test_each_status():
    """The whole interval, none of it, or a part."""
    answers = column("test_a", ANSWERS)
    found = [judged(f"Accuracy: at least {target}%", answers).status for target in (60, 88, 99.5)]
    assert found == ["attained", "unclear", "missed"]


def test_percentiles():
    """Of all samples, with the interval of a bootstrap; both directions of the rule."""
    times = column("bot::latency_s", TIMES, kind="latency", direction="lower", unit="s")
    row = judged("p95 latency: under 1500 ms", times)
    assert row.value == pytest.approx(1.785)
    assert row.ci is not None
    assert row.status == "missed"
    assert judged("p95 latency: under 5 s", times).status == "attained"
    assert judged("p95 latency: under 1.8 s", times).status == "unclear"


@pytest.mark.parametrize("alpha", [0.2, 0.4])
def test_the_error_level(alpha):
    """Intervals of means and of percentiles hold at the level that is asked for."""
    times = column("bot::latency_s", TIMES, kind="latency", direction="lower", unit="s")
    for line, of, expected in (
        ("Accuracy: 90%", column("test_a", ANSWERS), goal_attainment(ANSWERS, target=0.9, alpha=alpha).ci),
        ("p95 latency: 2 s", times, describe_aggregate(TIMES, Percentile(95), alpha=alpha).ci),
    ):
        assert judged(line, of, alpha=alpha).ci == expected
        assert judged(line, of).ci != expected, "0.05 gives another one"


def test_tokens_are_input_and_output_together():
    """A sample without one of them has no sum."""
    read = cost("bot::input_tokens", {"a": [100.0, 110.0, None], "b": [100.0, 90.0, 100.0]})
    written = cost("bot::output_tokens", {"a": [10.0, 10.0, 10.0], "b": [20.0, 20.0, 20.0]})
    row = judged("tokens per request: <= 1,200", read, written)
    assert (row.name.metric, row.value, row.status) == (
        "bot::total_tokens",
        pytest.approx(115.8333333),
        "attained",
    )


def test_tokens_of_an_app_that_another_module_counts_too():
    """Input tokens here and output tokens there are no sum, and no error."""
    read = cost("bot::input_tokens", {"a": [100.0, 110.0]})
    elsewhere = [
        replace_module(cost(f"bot::{name}", {"a": [10.0, 12.0]}))
        for name in ("input_tokens", "output_tokens")
    ]
    row = judged("tokens per request: <= 1,200", read, *elsewhere)
    assert (row.name.module, row.value, row.status) == ("test_other.py", pytest.approx(22.0), "attained")


def test_aggregates_are_judged_by_their_interval():
    """Macro-F1 is a number of all samples."""
    name = MetricName(
        metric="test_a::macro_f1",
        test=f"{MODULE}::test_a",
        module=MODULE,
        app="bot",
        kind="score",
        direction="higher",
    )
    described = MetricRow(
        name=name,
        variant="current",
        n_cases=10,
        n_samples=40,
        n_missing=0,
        mean=0.8,
        sd=None,
        between_case_sd=None,
        within_case_sd=None,
        sd_of_runs=None,
        min=None,
        max=None,
        ci=(0.7, 0.85),
        aggregate=True,
    )
    (goal,) = read_goals("- F1: >= 0.9\n", path="goals.md").goals
    known = candidates([column("test_a", ANSWERS)], [], [name])
    measured = Measured(
        columns={}, aggregates={((MODULE, name.metric), "current"): described}, alpha=0.05, scope="suite"
    )
    (row,) = judge(meant_by(goal, known, {}), "current", measured)
    assert (row.value, row.ci, row.status) == (0.8, (0.7, 0.85), "missed")


def test_nothing_measured_is_unknown():
    """A variant without values: no value, and no verdict."""
    answers = column("test_a", ANSWERS)
    (goal,) = read_goals("- Accuracy: 90% or higher\n", path="goals.md").goals
    meant = meant_by(goal, candidates([answers], [], []), {})
    measured = Measured(columns={(MODULE, "test_a"): answers}, aggregates={}, alpha=0.05, scope="suite")
    (row,) = judge(meant, "other", measured)
    assert (row.value, row.met, row.confident) == (None, None, False)
