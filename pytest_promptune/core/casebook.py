"""Every case with all its samples, for a reader who wants to see the answers behind the numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from pytest_promptune.core.display import clean, clean_lines
from pytest_promptune.core.results import GRAVEST, Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import View

#: Characters of an output, input or expected that are shown.
LONGEST = 20_000
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
    #: ``predicted, not expected`` of tests that classify.
    labels: tuple[str, ...] = ()
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
    #: ``improved``, ``regressed``, ``suspect``, ``flaky``, ``missed``, ``errored``, ``missing``.
    marks: tuple[str, ...] = ()
    samples: tuple[BookSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBook:
    """All cases of an experiment."""

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
    grouped: dict[_Place, dict[tuple[str, int], list[Result]]] = {}
    for result in results:
        if result.outcome != "skipped":
            of_case = grouped.setdefault((result.module, result.app, result.case_id), {})
            of_case.setdefault((result.variant, result.run), []).append(result)
    marks = _marks(view)
    cases = []
    for place, by_sample in grouped.items():
        samples = tuple(_sample(group, answers) for group in by_sample.values())
        known = contents.get((place[0], place[2]), Contents())
        cases.append(
            BookCase(
                module=place[0],
                app=place[1],
                id=clean(place[2]),
                input=shown(known.input),
                expected=shown(known.expected),
                tags={clean(str(name)): clean(str(value)) for name, value in known.tags.items()},
                marks=(*marks.get((place[0], place[2]), ()), *_outcomes(samples)),
                samples=samples,
            )
        )
    return CaseBook(variants=view.experiment.variants, cases=tuple(cases), lacking=lacking)


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


def _sample(group: Sequence[Result], answers: Mapping[tuple[Any, ...], Answer]) -> BookSample:
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
            f"{clean(pair.predicted)}, not {clean(pair.expected)}"
            for result in group
            if (pair := result.classification) is not None and pair.predicted != pair.expected
        ),
        latency_s=facts.latency_s if facts else None,
        input_tokens=facts.usage.input_tokens if facts else None,
        output_tokens=facts.usage.output_tokens if facts else None,
        cost_usd=facts.usage.cost_usd if facts else None,
        output=None if answer is None or answer.error else shown(answer.output),
        error=clean(error or (answer.error if answer else "")),
    )


def shown(value: Any) -> str:
    """A value as harmless text with its lines, cut: strings as they are, everything else as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
    rest = len(text) - LONGEST
    lines = "\n".join(clean_lines(text[:LONGEST]))
    return lines if rest <= 0 else f"{lines}\n… {rest:,} more characters"
