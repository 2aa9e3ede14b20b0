"""Whether the goals file is understood, and every goal in it means a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.experiment import APP_METRICS
from pytest_promptune.core.goals.matching import Candidate, Meant, meant_by, total_tokens
from pytest_promptune.core.goals.model import Goal, Goals
from pytest_promptune.core.goals.telling import aim
from pytest_promptune.core.goals.words import ACCURACY, MACRO_F1, normal
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Check, Status
from pytest_promptune.core.stats.model import Direction, Kind
from pytest_promptune.core.view import MetricName

#: Known before the first sample are assertion metrics and those of apps, and what a baseline has.
_LATER = "is known once its tests have run"


def goal_checks(
    goals: Goals | None,
    items: Sequence[PlannedItem],
    baselines: Mapping[str, Baseline | None],
    mapping: Mapping[str, str],
) -> list[Check]:
    """A line for what is understood, and one for each goal or line that isn't.

    Args:
        goals: of the goals file, ``None`` without one.
        items: that would run.
        baselines: by test module.
        mapping: metrics by goals, as the ini file says.
    """
    if goals is None:
        return []
    what = f"goals ({goals.path})"
    checks = [Check(status="failed", what=what, text=problem) for problem in goals.problems]
    known = _candidates(items, baselines)
    understood = []
    for goal in goals.goals:
        meant = meant_by(goal, known, mapping)
        if meant.names:
            understood.append(f"{goal.name} {aim(goal)} ({', '.join(name.metric for name in meant.names)})")
        if meant.problem:
            checks.append(_check(what, meant, items, baselines, mapping))
    if understood:
        checks.insert(0, Check(status="ok", what=what, text="; ".join(understood)))
    return checks


def _check(
    what: str,
    meant: Meant,
    items: Sequence[PlannedItem],
    baselines: Mapping[str, Baseline | None],
    mapping: Mapping[str, str],
) -> Check:
    """What may still turn out to be meant is a warning."""
    goal = meant.goal
    status: Status = "failed"
    text = meant.problem
    classes_unknown = not any(baseline and baseline.labels for baseline in baselines.values())
    of_classes = goal.measure in (ACCURACY, MACRO_F1) and normal(goal.name) not in map(normal, mapping)
    if classes_unknown and of_classes and not meant.names and _several_or_none(goal, items):
        status, text = "warning", f"{text} Which test classifies {_LATER}."
    elif (metric := _mapped(goal, mapping)) and _may_come(metric, items):
        status, text = "warning", f"Goal {goal.name} means {metric}: what it scores {_LATER}."
    return Check(status=status, what=what, text=text)


def _several_or_none(goal: Goal, items: Sequence[PlannedItem]) -> bool:
    """A test that classifies would decide among several, and is all that macro-F1 needs."""
    return bool(items) if goal.measure == MACRO_F1 else len({(i.module, i.metric) for i in items}) > 1


def _mapped(goal: Goal, mapping: Mapping[str, str]) -> str:
    return next((metric for name, metric in mapping.items() if normal(name) == normal(goal.name)), "")


def _may_come(metric: str, items: Sequence[PlannedItem]) -> bool:
    """A score of a test, or a scorer's or an aggregate of an app, that is there."""
    owner, separator, _ = metric.rpartition("::")
    owners = {item.test for item in items} | {item.marks.app for item in items}
    owners |= {scorer for item in items for scorer in item.marks.scorers}
    return bool(separator) and owner.partition("::")[0] in owners


def _candidates(items: Sequence[PlannedItem], baselines: Mapping[str, Baseline | None]) -> list[Candidate]:
    found: dict[tuple[str, str], Candidate] = {}

    def add(name: MetricName, *, is_assertion: bool = False, classifies: bool = False) -> None:
        candidate = Candidate(name=name, is_assertion=is_assertion, classifies=classifies)
        found.setdefault((name.module, name.metric), candidate)

    for item in items:
        name = MetricName(
            metric=item.metric,
            test=f"{item.module}::{item.test}",
            module=item.module,
            app=item.marks.app,
            kind="binary",
            direction="higher",
        )
        baseline = baselines.get(item.module)
        labelled = baseline is not None and item.metric in baseline.labels
        add(name, is_assertion=True, classifies=labelled)
        if labelled:
            add(replace(name, metric=f"{item.test}::{MACRO_F1}", kind="score"))
        for metric, kind, unit in APP_METRICS:
            of_app = f"{name.app}::{metric}"
            test = f"{name.module}::{name.app}"
            add(replace(name, metric=of_app, test=test, kind=kind, direction="lower", unit=unit))
        add(total_tokens(name))
    for module, recorded in baselines.items():
        for metric, known in (recorded.metrics if recorded else {}).items():
            of_test = metric.rpartition("::")[0] or metric
            add(
                MetricName(
                    metric=metric,
                    test=f"{module}::{of_test}",
                    module=module,
                    app="",
                    kind=cast(Kind, known.kind),  # checked when the file was read
                    direction=cast(Direction, known.direction),
                    unit=known.unit,
                )
            )
    return list(found.values())
