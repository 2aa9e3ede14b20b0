"""Every case with all its samples, for a reader who wants to see the answers behind the numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.display import clean, clean_lines
from pytest_promptune.core.results import GRAVEST, Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import View

if TYPE_CHECKING:
    from pytest_promptune.core.series.final import FinalReport

#: Characters of an output, input or expected that are shown.
LONGEST = 20_000
#: What stands in place of the rest.
MORE = "… {rest} more characters"
#: What happens to cases: in comparisons ``regressed``, between the states of a series ``degraded``.
MARKS = ("regressed", "degraded", "improved", "suspect", "flaky", "missed", "errored", "missing")
#: Module, app and id.
_Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a case is, as far as it was known before its fixtures ran."""

    input: Any = None
    expected: Any = None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a sample gave."""

    output: Any = None
    #: ``Type: message`` of one that has no output.
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one test says of one sample."""

    metric: str
    outcome: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSample:
    """One execution, with what all its tests say."""

    variant: str
    run: int
    #: The gravest of its verdicts.
    outcome: str
    verdicts: tuple[Verdict, ...]
    #: Scores by name.
    scores: Mapping[str, float | None] = field(default_factory=dict)
    #: What tests that classify predicted and what they expected, where that differs.
    labels: tuple[tuple[str, str], ...] = ()
    latency_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    #: ``None`` where it isn't known.
    output: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCase:
    """One case of an app in a test module."""

    module: str
    app: str
    id: str
    input: str = ""
    expected: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    #: What happened to it, see `MARKS`.
    marks: tuple[str, ...] = ()
    samples: tuple[BookSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBook:
    """All cases of an experiment, or of the two states of a series."""

    #: Names of what stands side by side; the others differ from the first.
    variants: tuple[str, ...]
    cases: tuple[BookCase, ...]
    #: Why outputs are not shown, or empty.
    lacking: str = ""


def build_case_book(
    view: View,
    results: Iterable[Result],
    *,
    contents: Mapping[tuple[str, str], Contents],
    answers: Mapping[tuple[Any, ...], Answer],
    lacking: str = "",
) -> CaseBook:
    """Put together what a session knows.

    Args:
        view: tells what happened to which case.
        results: what the items contributed, in their order.
        contents: by module and case id.
        answers: by the sample's identity (see `Result.sample_identity`) and the run.
        lacking: why there are no answers.
    """
    cases = _cases(results, contents, answers, marks=_marks(view), more=MORE)
    return CaseBook(variants=view.experiment.variants, cases=cases, lacking=lacking)


def build_series_book(
    report: FinalReport,
    variants: tuple[str, ...],
    results: Iterable[Result],
    *,
    contents: Mapping[tuple[str, str], Contents],
    answers: Mapping[tuple[Any, ...], Answer],
    more: str = MORE,
) -> CaseBook:
    """Put together what a final report has of its states.

    Args:
        report: tells what became of which case.
        variants: what its states are called, the initial one first.
        results: of both, with these names in place of those of their variants.
        contents: by module and case id.
        answers: by the sample's identity, with these names, and the run.
        more: what stands in place of the rest of a text, with the number of its characters as ``{rest}``.
    """
    cases = _cases(results, contents, answers, marks=_changes(report), more=more)
    return CaseBook(variants=variants, cases=cases)


def _cases(
    results: Iterable[Result],
    contents: Mapping[tuple[str, str], Contents],
    answers: Mapping[tuple[Any, ...], Answer],
    *,
    marks: Mapping[tuple[str, str], Sequence[str]],
    more: str,
) -> tuple[BookCase, ...]:
    grouped: dict[_Place, dict[tuple[str, int], list[Result]]] = {}
    for result in results:
        if result.outcome != "skipped":
            of_case = grouped.setdefault((result.module, result.app, result.case_id), {})
            of_case.setdefault((result.variant, result.run), []).append(result)
    cases = []
    for place, by_sample in grouped.items():
        samples = tuple(_sample(group, answers, more) for group in by_sample.values())
        known = contents.get((place[0], place[2]), Contents())
        cases.append(
            BookCase(
                module=place[0],
                app=place[1],
                id=clean(place[2]),
                input=shown(known.input, more),
                expected=shown(known.expected, more),
                tags={clean(str(name)): clean(str(value)) for name, value in known.tags.items()},
                marks=(*marks.get((place[0], place[2]), ()), *_outcomes(samples)),
                samples=samples,
            )
        )
    return tuple(cases)


def _changes(report: FinalReport) -> dict[tuple[str, str], list[str]]:
    """As the report counts them; flaky is what is so at present."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for metric in report.cases:
        for each in metric.cases:
            if each.verdict in ("improved", "degraded"):
                found.setdefault((metric.name.module, each.case), {})[each.verdict] = None
    for change in report.metrics:
        row = change.final if report.is_changed else change.initial
        for case in row.flaky_cases if row is not None else ():
            found.setdefault((change.name.module, case), {})["flaky"] = None
    return {place: list(marks) for place, marks in found.items()}


def _marks(view: View) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in view.comparisons:
        for mark in ("improved", "regressed", "suspect"):
            for case in getattr(row.cases, mark) if row.gated else ():
                found.setdefault((row.name.module, case), {})[mark] = None
    for metric in view.metrics:
        for case in metric.flaky_cases:
            found.setdefault((metric.name.module, case), {})["flaky"] = None
    return {place: list(marks) for place, marks in found.items()}


def _outcomes(samples: Sequence[BookSample]) -> list[str]:
    return [mark for mark in ("missed", "errored", "missing") if any(s.outcome == mark for s in samples)]


def _sample(group: Sequence[Result], answers: Mapping[tuple[Any, ...], Answer], more: str) -> BookSample:
    first = group[0]
    facts = next((result.sample for result in group if result.sample is not None), None)
    answer = answers.get((*first.sample_identity, first.run))
    error = str(facts.error) if facts is not None and facts.error is not None else ""
    outcomes = {result.outcome for result in group}
    return BookSample(
        variant=first.variant,
        run=first.run,
        outcome=next(outcome for outcome in GRAVEST if outcome in outcomes),
        verdicts=tuple(
            Verdict(metric=result.metric, outcome=result.outcome, message=clean(result.message))
            for result in group
        ),
        scores={clean(name): score.value for result in group for name, score in result.scores.items()},
        labels=tuple(
            (clean(pair.predicted), clean(pair.expected))
            for result in group
            if (pair := result.classification) is not None and pair.predicted != pair.expected
        ),
        latency_s=facts.latency_s if facts else None,
        input_tokens=facts.usage.input_tokens if facts else None,
        output_tokens=facts.usage.output_tokens if facts else None,
        cost_usd=facts.usage.cost_usd if facts else None,
        output=None if answer is None or answer.error else shown(answer.output, more),
        error=clean(error or (answer.error if answer else "")),
    )


def shown(value: Any, more: str = MORE) -> str:
    """A value as harmless text with its lines, cut: strings as they are, everything else as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
    rest = len(text) - LONGEST
    lines = "\n".join(clean_lines(text[:LONGEST]))
    return lines if rest <= 0 else f"{lines}\n{more.format(rest=f'{rest:,}')}"
