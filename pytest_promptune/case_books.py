"""The case book of an experiment, with what the log has of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_promptune.core.casebook import Answer, CaseBook, Contents, build_case_book
from pytest_promptune.core.results import Result
from pytest_promptune.core.view import View
from pytest_promptune.store.log import ExperimentLog, LoggedCase


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
    contents = contents_of(log.cases_of(name))
    answers: dict[tuple[Any, ...], Answer] = {}
    for sample in log.samples(name):
        key, record = sample.key, sample.record
        error = "" if record.error is None else str(record.error)
        answers[key.app, key.scope, key.variant, key.case_id, key.case_hash, key.run] = Answer(
            output=record.output, error=error
        )
    return build_case_book(
        view, log.results(name) if results is None else results, contents=contents, answers=answers
    )


def contents_of(cases: Iterable[LoggedCase]) -> dict[tuple[str, str], Contents]:
    """What cases are, by module and id."""
    return {
        (case.module, case.id): Contents(input=case.input, expected=case.expected, tags=case.tags)
        for case in cases
    }
