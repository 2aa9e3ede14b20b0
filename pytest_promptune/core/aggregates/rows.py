"""Aggregate metrics of a session: what each is computed from, its rows, and what could not be computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.comparison import Rules, specification_beside
from pytest_promptune.core.errors import AggregateError
from pytest_promptune.core.matching import AggregateMatch, is_named
from pytest_promptune.core.stats.aggregates import (
    Aggregated,
    AggregatePair,
    Samples,
    describe_aggregate,
    measure_aggregate,
)
from pytest_promptune.core.stats.resampling import Statistic, value_of_all
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import CaseLists, GateItem, MetricName, MetricRow

_RESTS_ON_PLACE = (
    "Not comparable: it has no value where `run` and `variant` are others. Let it depend on neither."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Samples of one side, and how the aggregate is computed of them."""

    samples: Samples
    statistic: Statistic


class Subject(Protocol):
    """One aggregate metric."""

    @property
    def name(self) -> MetricName:
        """What it is called."""

    @property
    def gate(self) -> Sequence[str]:
        """Names that the markers of its tests want gated."""

    def measured(self, variant: str) -> Source:
        """What was measured under a variant."""

    def recorded(self, baseline: Baseline, variant: str) -> tuple[Source, Source] | str:
        """What was recorded, and what was measured as far as it can be compared with that; or why neither."""

    def value(self, source: Source) -> float | None:
        """The aggregate of one side; raises AggregateError."""


def is_gated(subject: Subject, also: Sequence[str]) -> bool:
    """Aggregates measure again what other metrics do: they are gated only by name."""
    return is_named(subject.name, [*subject.gate, *also])


def describe(subject: Subject, variant: str, *, alpha: float) -> MetricRow | None:
    """One aggregate under one variant; ``None`` where it has no samples.

    Raises:
        AggregateError: when a function of the user's can't compute it.
    """
    source = subject.measured(variant)
    subject.value(source)
    found = describe_aggregate(source.samples, source.statistic, alpha=alpha)
    if not found.n_cases:
        return None
    low, high = found.ci or (None, None)
    return MetricRow(
        name=subject.name,
        variant=variant,
        n_cases=found.n_cases,
        n_samples=found.n_samples,
        n_missing=found.n_missing,
        mean=found.value,
        sd=None,
        between_case_sd=None,
        within_case_sd=None,
        sd_of_runs=found.sd_of_runs,
        min=found.min,
        max=found.max,
        ci=None if found.ci is None else (low, high),
        aggregate=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Two sides of an aggregate that are to be compared."""

    subject: Subject
    gated: bool
    reference: str
    candidate: str
    sides: tuple[Source, Source] | str
    #: Hashes of the cases on both sides.
    hashes: tuple[Mapping[str, str], Mapping[str, str]]


def match_aggregate(asked: Question, rules: Rules, *, hypotheses: int) -> AggregateMatch:
    """Measure an aggregate on both sides; cases that changed under their id are left out.

    Raises:
        AggregateError: when a function of the user's can't compute it.
    """
    found = AggregateMatch(
        name=asked.subject.name,
        gated=asked.gated,
        reference=asked.reference,
        candidate=asked.candidate,
        cases=CaseLists(),
    )
    if isinstance(asked.sides, str):
        return replace(found, obstacle=asked.sides, is_unrecorded=True)
    before, now = asked.sides
    hashes = asked.hashes
    common = set(before.samples) & set(now.samples)
    changed = {case for case in common if hashes[0].get(case) != hashes[1].get(case)}
    kept = [_without(source, changed) for source in (before, now)]
    found = replace(
        found,
        cases=CaseLists(
            changed=tuple(sorted(changed)),
            only_reference=tuple(sorted(set(kept[0].samples) - set(kept[1].samples))),
            only_candidate=tuple(sorted(_present(kept[1].samples) - set(kept[0].samples))),
        ),
    )
    try:
        values = [asked.subject.value(_only(source, common - changed)) for source in kept]
    except AggregateError as error:
        if not error.lacking:
            raise
        needs = _columns(error.lacking)
        obstacle = f"Not comparable with the baseline: needs {needs}."
        return replace(found, obstacle=obstacle, is_unrecorded=True)
    if not common - changed:
        return replace(found, obstacle="No case has samples on both sides, so there is nothing to compare.")
    if None in values:
        side = asked.reference if values[0] is None else asked.candidate
        return replace(found, obstacle=f"Not comparable: it has no value in {side}.")
    measured = _measure(asked, kept, values, rules, hypotheses)
    if measured.row.p_value is None:
        return replace(found, obstacle=_RESTS_ON_PLACE)
    return replace(found, measured=measured)


def _measure(
    asked: Question, kept: Sequence[Source], values: Sequence[float | None], rules: Rules, hypotheses: int
) -> Aggregated:
    name = asked.subject.name
    pair = AggregatePair(
        metric=f"{name.module}::{name.metric}",
        reference=asked.reference,
        candidate=asked.candidate,
        reference_samples=kept[0].samples,
        candidate_samples=kept[1].samples,
        statistic=kept[1].statistic,
        spec=specification_beside(name, values[0], rules.margins, rules.tolerances),
        gated=asked.gated,
    )
    return measure_aggregate(pair, scope=rules.scope, alpha=rules.alpha, hypotheses=hypotheses)


def _columns(names: Sequence[str]) -> str:
    return f"column {names[0]}" if len(names) == 1 else f"the columns {', '.join(names)}"


def _without(source: Source, cases: set[str]) -> Source:
    return replace(source, samples={c: runs for c, runs in source.samples.items() if c not in cases})


def _present(samples: Samples) -> set[str]:
    """Cases with a sample; of the others nothing could be recorded either."""
    return {case for case, runs in samples.items() if any(run is not None for run in runs)}


def _only(source: Source, cases: set[str]) -> Source:
    present = {c: [run for run in source.samples[c] if run is not None] for c in sorted(cases)}
    return replace(source, samples={case: runs for case, runs in present.items() if runs})


def failure(name: MetricName, what: str) -> GateItem:
    """The failed decision on an aggregate that can't be computed."""
    return GateItem(
        nodeid=f"{name.test}::aggregate[{name.metric}]",
        failed=True,
        message=f"{name.metric} can't be computed: {what}",
    )


def value_of(source: Source) -> float | None:
    """The aggregate of samples without missing ones."""
    cases = [[run for run in runs if run is not None] for _, runs in sorted(source.samples.items())]
    cases = [runs for runs in cases if runs]
    if not cases:
        return None
    value = value_of_all(source.statistic.evaluator(cases), [len(runs) for runs in cases])
    return None if math.isnan(value) else value
