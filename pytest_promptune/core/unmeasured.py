"""What a session that ended early did not get to, as samples that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.model import SampleError
from pytest_promptune.core.results import Result, SampleFacts

#: What such a sample is told to be.
ERROR = SampleError(
    type="NotMeasured", message="the session ended before this sample was measured", infrastructure=True
)


def with_unmeasured(
    measured: Sequence[Result],
    beside: Iterable[Result],
    *,
    cases: Mapping[str, str],
    runs: Mapping[str, int],
) -> list[Result]:
    """What was measured, and what was planned beside it as missing (STATISTICS 2.1).

    Which cases a test was to run with is known from what was measured of it on either side.

    Args:
        measured: results of one variant of a session that ended early.
        beside: results of what it is compared with.
        cases: hashes of the planned cases by ``module::id``.
        runs: planned runs by module.
    """
    known: dict[tuple[str, str, str], dict[str, None]] = {}
    for result in (*measured, *beside):
        if result.case_hash == cases.get(f"{result.module}::{result.case_id}"):
            known.setdefault(_test(result), {})[result.case_id] = None
    there = {(_test(result), result.case_id, result.run) for result in measured}
    first = {_test(result): result for result in reversed(measured)}
    lacking = [
        _missing(example, case, cases[f"{example.module}::{case}"], run)
        for test, example in reversed(first.items())
        for case in known.get(test, ())
        for run in range(1, runs.get(example.module, 0) + 1)
        if (test, case, run) not in there
    ]
    return [*measured, *_in_order(lacking, max((each.order for each in measured), default=0))]


def _test(result: Result) -> tuple[str, str, str]:
    return result.module, result.test, result.app


def _missing(example: Result, case: str, content: str, run: int) -> Result:
    return replace(
        example,
        case_id=case,
        case_hash=content,
        run=run,
        outcome="missing",
        scores={},
        classification=None,
        message=ERROR.message,
        sample=SampleFacts(error=ERROR),
    )


def _in_order(results: Iterable[Result], last: int) -> Iterator[Result]:
    for place, result in enumerate(results, start=last + 1):
        yield replace(result, order=place, nodeid=f"{result.nodeid}#{place}")
