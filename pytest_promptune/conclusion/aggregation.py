"""The aggregate metrics of a session: described under every variant, compared as the other metrics are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.aggregates.given import HOOK, Given
from pytest_promptune.core.aggregates.rows import (
    Question,
    Source,
    Subject,
    describe,
    failure,
    is_gated,
    match_aggregate,
)
from pytest_promptune.core.aggregates.subjects import classes_of, subjects_of
from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.errors import AggregateError
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.matching import AggregateMatch, is_named
from pytest_promptune.core.view import ClassesRow, GateItem, MetricName, MetricRow
from pytest_promptune.settings import Settings


class Aggregation:
    """All aggregate metrics of a session."""

    def __init__(
        self,
        settings: Settings,
        experiment: Experiment,
        columns: Sequence[Column],
        *,
        variants: Sequence[str],
        baselines: Mapping[str, Baseline | None],
        collected: Mapping[str, frozenset[str]],
        given: Given,
    ) -> None:
        """Nothing is computed yet.

        Args:
            settings: of the session.
            experiment: its results.
            columns: its other metrics.
            variants: that were measured, the one in place of `current` first.
            baselines: by test module.
            collected: ids of the cases that exist, by test module.
            given: what users give.

        Raises:
            SettingsError: when an aggregate is named like a metric that there is.
        """
        self._settings = settings
        self._experiment = experiment
        self._columns = columns
        self._variants = variants
        self._baselines = baselines
        self._collected = collected
        self._given = given
        self._failures: dict[tuple[str, str], GateItem] = {}
        self._subjects = subjects_of(
            experiment, columns, given.aggregates, tags=given.tags, gate_metrics=settings.gate_metrics
        )

    @property
    def names(self) -> list[MetricName]:
        """What they are called, those included that can't be computed here."""
        return [*(subject.name for subject in self._subjects), *self._absent()]

    def classes(self) -> list[ClassesRow]:
        """Which class was taken for which."""
        return classes_of(self._experiment, self._columns, self._variants)

    def described(self) -> list[MetricRow]:
        """One row for each under each variant; what can't be computed is among the `failures`."""
        found: list[MetricRow] = []

        def add(subject: Subject) -> None:
            for variant in self._variants:
                row = describe(subject, variant, alpha=self._settings.alpha)
                found.extend([row] if row is not None else [])

        self._each(add)
        return found

    def matches(self, rules: Rules, *, hypotheses: int) -> list[AggregateMatch]:
        """Each measured beside its baseline, and each variant beside the first one.

        Args:
            rules: of the comparison.
            hypotheses: gated comparisons of other metrics, which share the error level.
        """
        found: list[AggregateMatch] = []
        gated = sum(is_gated(subject, self._settings.gate_metrics) for subject in self._subjects)
        hypotheses += gated * len(self._variants)

        def add(subject: Subject) -> None:
            for question in self._questions(subject):
                found.append(match_aggregate(question, rules, hypotheses=hypotheses))

        self._each(add)
        return found

    def without_baseline(self) -> list[MetricName]:
        """Gated ones in modules that have no baseline at all."""
        return [
            subject.name
            for subject in self._subjects
            if is_gated(subject, self._settings.gate_metrics)
            and self._baselines.get(subject.name.module) is None
        ]

    def _questions(self, subject: Subject) -> list[Question]:
        name, first = subject.name, self._variants[0]
        gated = is_gated(subject, self._settings.gate_metrics)
        now = self._experiment.case_hashes(name.module)
        questions = []
        baseline = self._baselines.get(name.module)
        if baseline is not None and subject.measured(first).samples:
            questions.append(
                Question(
                    subject=subject,
                    gated=gated,
                    reference=f"baseline:{self._settings.against}",
                    candidate=first,
                    sides=self._beside_baseline(subject, baseline),
                    hashes=(baseline.cases, now),
                )
            )
        for variant in self._variants[1:]:
            sides = (subject.measured(first), subject.measured(variant))
            if any(side.samples for side in sides):
                questions.append(
                    Question(
                        subject=subject,
                        gated=gated,
                        reference=first,
                        candidate=variant,
                        sides=sides,
                        hashes=(now, now),
                    )
                )
        return questions

    def _beside_baseline(self, subject: Subject, baseline: Baseline) -> tuple[Source, Source] | str:
        """Both sides; cases that exist but were deselected say nothing and are left out."""
        sides = subject.recorded(baseline, self._variants[0])
        if isinstance(sides, str):
            return sides
        before, now = sides
        deselected = (self._collected.get(subject.name.module) or frozenset()) - set(now.samples)
        samples = {case: runs for case, runs in before.samples.items() if case not in deselected}
        return replace(before, samples=samples), now

    # --- what can't be computed -------------------------------------------------------------------

    def _each(self, compute: Callable[[Subject], None]) -> None:
        """Compute something of each; what failed once is not tried again."""
        for subject in self._subjects:
            key = (subject.name.module, subject.name.metric)
            if key in self._failures:
                continue
            try:
                compute(subject)
            except AggregateError as error:
                self._failures[key] = failure(subject.name, str(error))

    @property
    def failures(self) -> list[GateItem]:
        """Failed decisions: on functions that raise or give no number, and on gated ones that are absent."""
        return [*self._failures.values(), *self._absent_gated()]

    def _absent_gated(self) -> list[GateItem]:
        found = []
        for name in self._absent():
            mine = [c for c in self._columns if (c.name.module, c.name.app) == (name.module, name.app)]
            wanted = [*self._settings.gate_metrics, *(gated for c in mine for gated in c.gate or ())]
            if is_named(name, wanted):
                found.append(failure(name, self._given.why_absent))
        return found

    def _absent(self) -> list[MetricName]:
        """Of every app, what the hook gave in another process only."""
        apps = {(column.name.module, column.name.app): column.name for column in self._columns}
        return [
            replace(known, metric=f"{app}::{absent}", test=f"{module}::{app}")
            for (module, app), known in apps.items()
            for absent in self._given.absent
        ]

    def warnings(self) -> list[str]:
        """That aggregates of the hook were not computed, if there are such."""
        if not self._given.absent:
            return []
        return [f"Not computed: {', '.join(self._given.absent)} of {HOOK}. {self._given.why_absent}"]
