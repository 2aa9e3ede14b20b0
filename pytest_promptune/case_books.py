"""Case books of experiments and of tuning series, with what the log has of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pytest_promptune.core.casebook import Answer, CaseBook, Contents, build_case_book, build_series_book
from pytest_promptune.core.results import Result
from pytest_promptune.core.series.final import FinalReport
from pytest_promptune.core.view import View
from pytest_promptune.report.words import Words
from pytest_promptune.store.log import ExperimentLog, LoggedCase, LoggedSample, storable


def read_case_book(log: ExperimentLog, view: View, *, results: Iterable[Result] | None = None) -> CaseBook:
    """Every case of an experiment with inputs, expectations and outputs.

    Args:
        log: that has it.
        view: what was found, with the experiment's id.
        results: of its items, ``None`` for those in the log.

    Raises:
        StoreError: when it isn't there, or the log can't be read.
    """
    name = view.experiment.id
    known = list(log.results(name) if results is None else results)
    # ids and names that the log had to write otherwise
    given = {storable(text): text for each in known for text in (each.case_id, each.variant)}
    contents = {
        (module, given.get(case, case)): found
        for (module, case), found in contents_of(log.cases_of(name)).items()
    }
    answers = {
        tuple(given.get(part, part) for part in key): found
        for key, found in _answers(log.samples(name)).items()
    }
    return build_case_book(view, known, contents=contents, answers=answers)


def read_compared_book(
    log: ExperimentLog, view: View, sides: Iterable[tuple[str, str]], results: Iterable[Result]
) -> CaseBook:
    """Every case with what two sides of a comparison gave; no other samples are read.

    Args:
        log: that has both.
        view: what was found; its variants are the names of the sides.
        sides: experiment and variant of each.
        results: of both, with the names of the sides in place of those of their variants.

    Raises:
        StoreError: when the log can't be read.
    """
    contents: dict[tuple[str, str], Contents] = {}
    answers: dict[tuple[Any, ...], Answer] = {}
    for label, (experiment, variant) in zip(view.experiment.variants, sides, strict=True):
        contents |= contents_of(log.cases_of(experiment))
        answers |= _answers(log.samples(experiment, variant=variant), label)
    return build_case_book(view, results, contents=contents, answers=answers)


def read_series_book(log: ExperimentLog, report: FinalReport, *, language: str = "en") -> CaseBook:
    """Every case with what the initial and the final state of a series gave; no other samples are read.

    Args:
        log: that has the series.
        report: on it.
        language: of the names of both states.

    Raises:
        StoreError: when the log can't be read.
    """
    w = Words(language)
    states = {w.text("c_initial"): report.series.start}
    if report.is_changed:
        states[w.text("c_final")] = report.series.present
    results: list[Result] = []
    answers: dict[tuple[Any, ...], Answer] = {}
    for label, point in states.items():
        results += (
            replace(each, variant=label) for each in log.results(point.experiment, variant=point.variant)
        )
        answers |= _answers(log.samples(point.experiment, variant=point.variant), label)
    contents = contents_of(log.cases_of(report.series.present.experiment))
    return build_series_book(
        report, tuple(states), results, contents=contents, answers=answers, more=w.plain("book_rest")
    )


def _answers(samples: Iterable[LoggedSample], label: str | None = None) -> dict[tuple[Any, ...], Answer]:
    """By the identity of each sample, perhaps with another name for its variant, and the run."""
    found: dict[tuple[Any, ...], Answer] = {}
    for sample in samples:
        key, record = sample.key, sample.record
        error = "" if record.error is None else str(record.error)
        variant = key.variant if label is None else label
        found[key.app, key.scope, variant, key.case_id, key.case_hash, key.run] = Answer(
            output=record.output, error=error
        )
    return found


def contents_of(cases: Iterable[LoggedCase]) -> dict[tuple[str, str], Contents]:
    """What cases are, by module and id."""
    return {
        (case.module, case.id): Contents(input=case.input, expected=case.expected, tags=case.tags)
        for case in cases
    }
