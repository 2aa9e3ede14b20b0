"""The aggregate metrics there are in a session: of classes, and those that users give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.aggregates.given import Aggregate
from pytest_promptune.core.aggregates.labels import Classified
from pytest_promptune.core.aggregates.rows import Source, Subject, is_gated, value_of
from pytest_promptune.core.aggregates.tables import SampleTable, sample_tables
from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.stats.classes import ClassMeasure, confusions
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ClassesRow, MetricName

if TYPE_CHECKING:
    from pytest_promptune.core.stats.sample_frames import FrameFunction

MACRO_F1 = "macro_f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSubject:
    """Macro-F1 of a test that classifies, or precision or recall of one of its classes."""

    of: Classified
    name: MetricName
    measure: ClassMeasure

    @property
    def gate(self) -> Sequence[str]:
        """See `Subject`."""
        return self.of.column.gate or ()

    def measured(self, variant: str) -> Source:
        """See `Subject`."""
        return Source(samples=self.of.labels(variant), statistic=self.measure)

    def recorded(self, baseline: Baseline, variant: str) -> tuple[Source, Source] | str:
        """See `Subject`; a baseline of an older version has no labels."""
        metric = self.of.column.name.metric
        labels = baseline.labels.get(metric)
        if labels is None:
            return (
                f"The baseline has no labels of {metric} yet: not compared; record it with "
                "--promptune-baseline."
            )
        expected = {case: pair[0] for case, pairs in labels.items() for pair in pairs if pair is not None}
        now = self.of.labels(variant, more_expected=expected)
        return Source(samples=labels, statistic=self.measure), Source(samples=now, statistic=self.measure)

    def value(self, source: Source) -> float | None:
        """See `Subject`."""
        return value_of(source)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSubject:
    """An aggregate of the user's, of one app in one test module."""

    of: Aggregate
    table: SampleTable
    name: MetricName

    @property
    def gate(self) -> Sequence[str]:
        """See `Subject`."""
        return self.table.gate

    def measured(self, variant: str) -> Source:
        """See `Subject`."""
        return Source(samples=self.table.rows(variant), statistic=self._function(self.table.columns, variant))

    def recorded(self, baseline: Baseline, variant: str) -> tuple[Source, Source] | str:
        """See `Subject`; both sides have the columns that the baseline has."""
        rows, columns = self.table.recorded(baseline)
        if not rows:
            return "The baseline has no scores of this app yet: record it with --promptune-baseline."
        function = self._function(columns, variant)
        now = Source(samples=self.table.rows(variant), statistic=function)
        return Source(samples=rows, statistic=function), now

    def value(self, source: Source) -> float | None:
        """See `Subject`."""
        samples = {case: [run for run in runs if run is not None] for case, runs in source.samples.items()}
        if not any(samples.values()):
            return None
        statistic: Any = source.statistic
        value: float | None = statistic.value(samples)
        return value

    def _function(self, columns: Sequence[str], variant: str) -> FrameFunction:
        from pytest_promptune.core.stats.sample_frames import FrameFunction  # pandas, only where it is used

        absent = tuple(column for column in self.table.columns if column not in columns)
        return FrameFunction(self.of.function, self.of.place, columns, absent, variant)


def subjects_of(
    columns: Sequence[Column],
    classifying: Sequence[Classified],
    aggregates: Sequence[Aggregate],
    *,
    tags: Mapping[str, Mapping[str, Mapping[str, Any]]],
    gate_metrics: Sequence[str],
) -> list[Subject]:
    """All aggregate metrics of a session; precision and recall of a class only where they are gated by name.

    Args:
        columns: metrics of the session.
        classifying: its tests that classify.
        aggregates: that the user gives.
        tags: of the cases by test module and id, for those.
        gate_metrics: names that the settings want gated.

    Raises:
        SettingsError: when an aggregate is named like a metric that there is.
    """
    taken = {(column.name.module, column.name.metric) for column in columns}
    found: list[Subject] = []
    for each in classifying:
        found += [
            subject
            for subject in _of_classes(each, gate_metrics)
            if (subject.name.module, subject.name.metric) not in taken
        ]
    if aggregates:
        for table in sample_tables(columns, classifying, tags):
            for aggregate in aggregates:
                name = name_of(aggregate, module=table.module, app=table.app)
                if (name.module, name.metric) in taken:
                    raise SettingsError(
                        f"{aggregate.place}: {name.module} has a metric {name.metric} already; rename the "
                        "aggregate."
                    )
                found.append(FrameSubject(of=aggregate, table=table, name=name))
    return found


def _of_classes(each: Classified, gate_metrics: Sequence[str]) -> Iterable[Subject]:
    name = each.column.name
    test = name.test.removeprefix(f"{name.module}::")

    def named(measure: str) -> MetricName:
        return replace(name, metric=f"{test}::{measure}", kind="score", direction="higher", unit=None)

    yield ClassSubject(of=each, name=named(MACRO_F1), measure=ClassMeasure("macro_f1"))
    labels = {p for r in each.results.values() for one in r if one.classification for p in _both(one)}
    for label in sorted(labels):
        for subject in (
            ClassSubject(
                of=each, name=named(f"precision[{label}]"), measure=ClassMeasure("precision", label)
            ),
            ClassSubject(of=each, name=named(f"recall[{label}]"), measure=ClassMeasure("recall", label)),
        ):
            if is_gated(subject, gate_metrics):
                yield subject


def _both(result: Any) -> tuple[str, str]:
    return result.classification.predicted, result.classification.expected


def name_of(aggregate: Aggregate, *, module: str, app: str) -> MetricName:
    """What an aggregate that a user gives is called for an app in a module."""
    return MetricName(
        metric=f"{app}::{aggregate.name}",
        test=f"{module}::{app}",
        module=module,
        app=app,
        kind="score",
        direction=aggregate.direction,
        unit=aggregate.unit,
    )


def classes_of(classifying: Sequence[Classified], variants: Sequence[str]) -> list[ClassesRow]:
    """Which class was taken for which, by test and variant."""
    rows = []
    for each in classifying:
        for variant in variants:
            pairs = [pair for runs in each.labels(variant).values() for pair in runs]
            present = [pair for pair in pairs if pair is not None]
            if present:
                rows.append(
                    ClassesRow(
                        name=each.column.name,
                        variant=variant,
                        n_samples=len(present),
                        n_missing=len(pairs) - len(present),
                        found=confusions(present),
                    )
                )
    return rows
