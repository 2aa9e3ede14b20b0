"""Whether the goals file is understood, and every goal in it means a metric."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.aggregates.given import Aggregate
from pytest_promptune.core.aggregates.subjects import name_of
from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.display import some
from pytest_promptune.core.experiment import APP_METRICS, Experiment
from pytest_promptune.core.goals.matching import MAPPING, Candidate, Meant, meant_by, total_tokens
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.goals.telling import aim
from pytest_promptune.core.goals.words import ACCURACY, MACRO_F1, normal
from pytest_promptune.core.matching import recorded_name, short_name
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Check
from pytest_promptune.core.view import MetricName

#: From here on two names are taken for one with a slip of the pen.
_ALIKE = 0.8


class Suite:
    """What goals could be about, as far as it is known before the first sample.

    That is: assertion metrics, those of apps, users' aggregates, and what a baseline has.
    """

    def __init__(
        self,
        items: Sequence[PlannedItem],
        baselines: Mapping[str, Baseline | None],
        aggregates: Sequence[Aggregate],
        *,
        stored: Sequence[Experiment] = (),
        source: Callable[[], str] = str,
    ) -> None:
        """Gather it.

        Args:
            items: that would run.
            baselines: by test module.
            aggregates: that the user gives.
            stored: what the newest experiments have scored, with the tests as they are.
            source: gives the text of the tests, in which names of scores stand.
        """
        self._source = source
        marks = {
            (item.module, item.test, item.metric, item.marks.app, item.marks.scorers): item for item in items
        }
        #: One item of each test.
        self._tests = list(marks.values())
        self._baselines = baselines
        #: Those that came to their end in a stored sample.
        self._ended = {
            (r.module, r.metric) for table in stored for r in table.results if r.outcome == "passed"
        }
        #: Those that classify there.
        self._classifying = {
            (r.module, r.metric) for table in stored for r in table.results if r.classification is not None
        }
        #: Of the tests that neither a baseline has nor the store: what else they measure isn't known.
        self._unrecorded = [item for item in self._tests if not self._is_recorded(item)]
        found: dict[tuple[str, str], Candidate] = {}
        everything = (*self._of_tests(), *self._of_apps(aggregates), *self._of_baselines(), *_of(stored))
        for candidate in everything:
            found.setdefault((candidate.name.module, candidate.name.metric), candidate)
        self.candidates = list(found.values())

    def _is_recorded(self, item: PlannedItem) -> bool:
        baseline = self._baselines.get(item.module)
        is_in_it = baseline is not None and item.metric in baseline.metrics
        return is_in_it or (item.module, item.metric) in self._ended

    def _of_tests(self) -> Iterator[Candidate]:
        for item in self._tests:
            name = MetricName(
                metric=item.metric,
                test=f"{item.module}::{item.test}",
                module=item.module,
                app=item.marks.app,
                kind="binary",
                direction="higher",
            )
            baseline = self._baselines.get(item.module)
            classifies = baseline is not None and item.metric in baseline.labels
            classifies = classifies or (item.module, item.metric) in self._classifying
            yield Candidate(name=name, is_assertion=True, classifies=classifies)
            if classifies:
                yield Candidate(name=replace(name, metric=f"{item.test}::{MACRO_F1}", kind="score"))

    def _of_apps(self, aggregates: Sequence[Aggregate]) -> Iterator[Candidate]:
        for module, app in dict.fromkeys((item.module, item.marks.app) for item in self._tests):
            for metric, kind, unit in APP_METRICS:
                name = MetricName(
                    metric=f"{app}::{metric}",
                    test=f"{module}::{app}",
                    module=module,
                    app=app,
                    kind=kind,
                    direction="lower",
                    unit=unit,
                )
                yield Candidate(name=name)
            yield Candidate(name=total_tokens(name))
            for aggregate in aggregates:
                yield Candidate(name=name_of(aggregate, module=module, app=app))

    def _of_baselines(self) -> Iterator[Candidate]:
        for module, recorded in self._baselines.items():
            for metric, known in (recorded.metrics if recorded else {}).items():
                yield Candidate(name=recorded_name(metric, known, module))

    def may_bring(self, metric: str) -> bool:
        """Whether a metric of this name can still turn up: a score of an unrecorded test, or a scorer's."""
        owner, _, name = metric.rpartition("::")
        mine = [item for item in self._tests if owner in ("", item.test, item.marks.app)]
        if any(normal(name) in map(normal, item.marks.scorers) for item in mine):
            return True
        # what an app has beside its own metrics and aggregates comes from scorers
        unrecorded = (item for item in self._unrecorded if item in mine)
        return any(item.marks.scorers or owner in ("", item.test) for item in unrecorded)

    def slip_of(self, metric: str) -> str | None:
        """The known metric that is probably meant by a name that no test has as a text."""
        owner, _, name = metric.rpartition("::")
        if owner or re.search(rf"[\"']{re.escape(name)}[\"']", self._source()):
            return None
        known = {candidate.name.metric for candidate in self.candidates}
        known |= {short for candidate in self.candidates if (short := short_name(candidate.name))}
        return next(iter(difflib.get_close_matches(metric, sorted(known), 1, _ALIKE)), None)

    @property
    def may_classify(self) -> bool:
        """Whether some test may turn out to be one that classifies."""
        return bool(self._unrecorded)


def _of(stored: Sequence[Experiment]) -> Iterator[Candidate]:
    """What was scored, assertions and what every app has aside."""
    for table in stored:
        for column in table.columns():
            if "::" in column.name.metric:
                yield Candidate(name=column.name)


def goal_checks(goals: Goals | None, suite: Suite, mapping: Mapping[str, str]) -> list[Check]:
    """A line for what is understood, and one for each goal or line that isn't.

    Args:
        goals: of the goals file, ``None`` without one.
        suite: what they could be about.
        mapping: metrics by goals, as the ini file says.
    """
    if goals is None:
        return []
    what = f"goals ({goals.path})"
    checks = [Check(status="failed", what=what, text=problem) for problem in goals.problems]
    understood = []
    for goal in goals.goals:
        meant = meant_by(goal, suite.candidates, mapping)
        if meant.names:
            understood.append(f"{goal.name} {aim(goal)} ({', '.join(name.metric for name in meant.names)})")
        if meant.problem:
            mapped = {normal(name): metric for name, metric in mapping.items()}
            later = _later(meant, suite, mapped)
            slip = suite.slip_of(mapped.get(normal(goal.name), "")) if meant.is_unmatched else None
            text = later or meant.problem + (f" Did you mean {slip!r}?" if slip else "")
            checks.append(Check(status="warning" if later else "failed", what=what, text=text))
    checks += _unused(goals, mapping, what)
    if understood:
        checks.insert(0, Check(status="ok", what=what, text="; ".join(understood)))
    return checks


def _unused(goals: Goals, mapping: Mapping[str, str], what: str) -> Iterator[Check]:
    """Names in the mapping that no goal has."""
    names = {normal(goal.name): goal.name for goal in goals.goals}
    for name in mapping:
        if normal(name) not in names:
            near = difflib.get_close_matches(normal(name), sorted(names), 1, _ALIKE)
            there = some(list(names.values())) or "none"
            hint = f"did you mean {names[near[0]]}?" if near else f"it has {there}."
            text = f"{MAPPING} names the goal {name}, which the file doesn't have: {hint}"
            yield Check(status="warning", what=what, text=text)


def _later(meant: Meant, suite: Suite, mapping: Mapping[str, str]) -> str:
    """What to say where it is known only later whether a metric is meant, else nothing."""
    goal = meant.goal
    mapped = mapping.get(normal(goal.name))
    if not meant.is_unmatched:
        return ""
    if mapped is not None:
        text = f"Goal {goal.name} means {mapped}: what it scores is known once its tests have run."
        return text if suite.may_bring(mapped) and suite.slip_of(mapped) is None else ""
    if goal.measure in (ACCURACY, MACRO_F1):
        text = f"{meant.problem} Which test classifies is known once its tests have run."
        return text if suite.may_classify else ""
    text = f"{meant.problem} What the tests score is known once they have run."
    return text if suite.may_bring(goal.name) else ""
