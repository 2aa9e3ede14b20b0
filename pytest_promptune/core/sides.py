"""Two variants beside each other, whichever experiments they were measured in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from pytest_promptune.core.aggregates.labels import Classified, classified
from pytest_promptune.core.aggregates.rows import Question, Subject, describe, match_aggregate
from pytest_promptune.core.aggregates.rows import is_gated as is_aggregate_gated
from pytest_promptune.core.aggregates.subjects import subjects_of
from pytest_promptune.core.comparison import Rules, compare, measured
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.matching import AggregateMatch, Match, Side, is_gated, match
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, MetricName, MetricRow

_Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of one variant, and nothing else."""

    #: Under which `experiment` has all its results.
    label: str
    experiment: Experiment
    columns: Sequence[Column]
    classified: Sequence[Classified]

    def rows(self, *, alpha: float) -> list[MetricRow]:
        """Every metric and aggregate of classes, described."""
        found = [measured(column, self.label, alpha=alpha) for column in self.columns]
        described = [describe(subject, self.label, alpha=alpha) for subject in self.subjects(())]
        return found + [row for row in described if row is not None]

    def subjects(self, gate_metrics: Sequence[str]) -> list[Subject]:
        """Its aggregates of classes; the user's own are functions, and not stored."""
        return subjects_of(self.columns, self.classified, (), tags={}, gate_metrics=gate_metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What two variants are to each other."""

    rows: tuple[ComparisonRow, ...]
    #: Measured on one side alone.
    only_reference: tuple[MetricName, ...] = ()
    only_candidate: tuple[MetricName, ...] = ()
    #: Of one name and different kinds, directions or units: not compared.
    unlike: tuple[tuple[MetricName, MetricName], ...] = ()
    #: Names of those that are gated and could not be compared.
    unjudged: tuple[str, ...] = field(default_factory=tuple)


def measured_as(label: str, results: Iterable[Result]) -> Measured:
    """Take the results of one variant together under a name of its own."""
    experiment = Experiment()
    for result in sorted(results, key=lambda result: result.order):
        experiment.add(replace(result, variant=label))
    columns = [column for column in experiment.columns() if column.scores(label)]
    return Measured(
        label=label, experiment=experiment, columns=columns, classified=classified(experiment, columns)
    )


def beside(
    reference: Measured,
    candidate: Measured,
    rules: Rules,
    *,
    gate_metrics: Sequence[str] = (),
    obstacle_to_times: str = "",
) -> Beside:
    """Compare every metric that both have, as one family of questions.

    Args:
        reference: is subtracted.
        candidate: the markers of its tests say what is gated.
        rules: of the comparison.
        gate_metrics: what is gated beside the default metrics.
        obstacle_to_times: why measured times can't be compared, or empty.
    """
    before, now = _by_place(reference.columns), _by_place(candidate.columns)
    both = [place for place in now if place in before]
    unlike = [
        (before[place].name, now[place].name)
        for place in both
        if _measure(before[place].name) != _measure(now[place].name)
    ]
    different = {_place(name) for name, _ in unlike}
    matches = [
        _match(
            (reference, before[place]),
            (candidate, now[place]),
            gated=is_gated(now[place], gate_metrics),
            obstacle=obstacle_to_times if now[place].name.kind == "latency" else "",
        )
        for place in both
        if place not in different
    ]
    gated = sum(entry.gated for entry in matches)
    aggregates = _aggregates(reference, candidate, rules, gate_metrics, hypotheses=gated)
    rows = compare(matches, rules, aggregates)
    lost = [before[place] for place in before if place not in now]
    unjudged = [row.name.metric for row in rows if row.gated and row.p is None]
    unjudged += [column.name.metric for column in lost if is_gated(column, gate_metrics)]
    unjudged += [name.metric for _, name in unlike if is_gated(now[_place(name)], gate_metrics)]
    return Beside(
        rows=tuple(rows),
        only_reference=tuple(column.name for column in lost),
        only_candidate=tuple(now[place].name for place in now if place not in before),
        unlike=tuple(unlike),
        unjudged=tuple(unjudged),
    )


def _match(
    reference: tuple[Measured, Column], candidate: tuple[Measured, Column], *, gated: bool, obstacle: str
) -> Match:
    sides = [
        Side(
            label=side.label,
            scores=column.all_scores(side.label),
            hashes=side.experiment.case_hashes(column.name.module),
        )
        for side, column in (reference, candidate)
    ]
    entry = match(candidate[1], sides[0], sides[1], gated=gated)
    return replace(entry, obstacle=obstacle)


def _aggregates(
    reference: Measured,
    candidate: Measured,
    rules: Rules,
    gate_metrics: Sequence[str],
    *,
    hypotheses: int,
) -> list[AggregateMatch]:
    """Those of classes, where both sides classify."""
    before = {_place(subject.name): subject for subject in reference.subjects(gate_metrics)}
    both = [s for s in candidate.subjects(gate_metrics) if _place(s.name) in before]
    hypotheses += sum(is_aggregate_gated(subject, gate_metrics) for subject in both)
    questions = [
        Question(
            subject=subject,
            gated=is_aggregate_gated(subject, gate_metrics),
            reference=reference.label,
            candidate=candidate.label,
            sides=(
                before[_place(subject.name)].measured(reference.label),
                subject.measured(candidate.label),
            ),
            hashes=(_hashes(reference, subject), _hashes(candidate, subject)),
        )
        for subject in both
    ]
    return [match_aggregate(question, rules, hypotheses=hypotheses) for question in questions]


def _hashes(side: Measured, subject: Subject) -> Mapping[str, str]:
    return side.experiment.case_hashes(subject.name.module)


def _by_place(columns: Iterable[Column]) -> dict[_Place, Column]:
    return {_place(column.name): column for column in columns}


def _place(name: MetricName) -> _Place:
    return name.module, name.metric


def _measure(name: MetricName) -> tuple[str, str, str | None]:
    return name.kind, name.direction, name.unit
