"""The aggregate metrics of a session: described under every variant, compared as the other metrics are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_promptune.conclusion.evidence import Evidence
from pytest_promptune.core.aggregates.given import HOOK
from pytest_promptune.core.aggregates.labels import Classified
from pytest_promptune.core.aggregates.rows import (
    Question,
    Source,
    Subject,
    describe,
    is_gated,
    match_aggregate,
)
from pytest_promptune.core.aggregates.subjects import classes_of, subjects_of
from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.comparison import Rules
from pytest_promptune.core.errors import AggregateError
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.matching import AggregateMatch, is_named
from pytest_promptune.core.view import ClassesRow, MetricName, MetricRow


class Aggregation:
    """All aggregate metrics of a session."""

    def __init__(
        self, evidence: Evidence, columns: Sequence[Column], classifying: Sequence[Classified]
    ) -> None:
        """Nothing is computed yet.

        Args:
            evidence: of the session.
            columns: its other metrics.
            classifying: its tests that classify.

        Raises:
            SettingsError: when an aggregate is named like a metric that there is.
        """
        self._evidence = evidence
        self._columns = columns
        self._classifying = classifying
        self._failures: dict[tuple[str, str], tuple[MetricName, str]] = {}
        given = evidence.given
        self._subjects = subjects_of(
            columns,
            classifying,
            given.aggregates,
            tags=given.tags,
            gate_metrics=evidence.settings.gate_metrics,
        )

    @property
    def names(self) -> list[MetricName]:
        """What they are called, those included that can't be computed here."""
        return [*(subject.name for subject in self._subjects), *self._absent()]

    def classes(self) -> list[ClassesRow]:
        """Which class was taken for which."""
        return classes_of(self._classifying, self._evidence.variants)

    def described(self) -> list[MetricRow]:
        """One row for each under each variant; what can't be computed is among the `failures`."""
        found: list[MetricRow] = []

        def add(subject: Subject) -> None:
            for variant in self._evidence.variants:
                row = describe(subject, variant, alpha=self._evidence.settings.alpha)
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
        gated = sum(self._is_gated(subject) for subject in self._subjects)
        hypotheses += gated * len(self._evidence.variants)

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
            if self._is_gated(subject) and self._evidence.baselines.get(subject.name.module) is None
        ]

    def _is_gated(self, subject: Subject) -> bool:
        return is_gated(subject, self._evidence.settings.gate_metrics)

    def _questions(self, subject: Subject) -> list[Question]:
        name, first = subject.name, self._evidence.variants[0]
        gated = self._is_gated(subject)
        now = self._evidence.experiment.case_hashes(name.module)
        questions = []
        baseline = self._evidence.baselines.get(name.module)
        if baseline is not None and subject.measured(first).samples:
            questions.append(
                Question(
                    subject=subject,
                    gated=gated,
                    reference=f"baseline:{self._evidence.settings.against}",
                    candidate=first,
                    sides=self._beside_baseline(subject, baseline),
                    hashes=(baseline.cases, now),
                )
            )
        for variant in self._evidence.variants[1:]:
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
        sides = subject.recorded(baseline, self._evidence.variants[0])
        if isinstance(sides, str):
            return sides
        before, now = sides
        deselected = (self._evidence.collected.get(subject.name.module) or frozenset()) - set(now.samples)
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
                self._failures[key] = (subject.name, str(error))

    @property
    def failures(self) -> list[tuple[MetricName, str]]:
        """What fails by itself, and why: what raises or gives no number, and gated ones that are absent."""
        return [
            *self._failures.values(),
            *((name, self._evidence.given.why_absent) for name in self._absent_gated()),
        ]

    def _absent_gated(self) -> list[MetricName]:
        found = []
        for name in self._absent():
            mine = [c for c in self._columns if (c.name.module, c.name.app) == (name.module, name.app)]
            wanted = [*self._evidence.settings.gate_metrics, *(gated for c in mine for gated in c.gate or ())]
            if is_named(name, wanted):
                found.append(name)
        return found

    def _absent(self) -> list[MetricName]:
        """Of every app, what the hook gave in another process only."""
        apps = {(column.name.module, column.name.app): column.name for column in self._columns}
        return [
            replace(known, metric=f"{app}::{absent}", test=f"{module}::{app}")
            for (module, app), known in apps.items()
            for absent in self._evidence.given.absent
        ]

    def warnings(self) -> list[str]:
        """That aggregates of the hook were not computed, if there are such."""
        given = self._evidence.given
        if not given.absent:
            return []
        return [f"Not computed: {', '.join(given.absent)} of {HOOK}. {given.why_absent}"]
