"""Failing and flaky cases by their category, and what was predicted instead of what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_promptune.core.analysis.model import Mistaken, TroubleRow
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result

#: Module and case id -> tags.
Tags = Mapping[str, Mapping[str, Mapping[str, str]]]

_JUDGED = ("passed", "missed", "errored")
_CATEGORY = "category"


def trouble_rows(experiment: Experiment, tags: Tags) -> tuple[TroubleRow, ...]:
    """Most misses first, within a test and variant; nothing of modules whose cases have no categories.

    Args:
        experiment: of the session.
        tags: of the cases, by module and id.
    """
    groups: dict[tuple[str, str, str], dict[str | None, list[Result]]] = {}
    for result in experiment.results:
        of_module = tags.get(result.module, {})
        if result.outcome not in _JUDGED or not of_module:
            continue
        category = of_module.get(result.case_id, {}).get(_CATEGORY)
        key = (result.module, result.metric, result.variant)
        groups.setdefault(key, {}).setdefault(category, []).append(result)
    found: list[TroubleRow] = []
    for (module, metric, variant), by_category in groups.items():
        if any(category is not None for category in by_category):
            rows = [
                _row(module, metric, variant, category, results)
                for category, results in by_category.items()
                if any(result.outcome != "passed" for result in results)
            ]
            found += sorted(rows, key=lambda row: -row.misses)
    return tuple(found)


def _row(
    module: str, metric: str, variant: str, category: str | None, results: Sequence[Result]
) -> TroubleRow:
    passed = {result.case_id for result in results if result.outcome == "passed"}
    misses = [result for result in results if result.outcome != "passed"]
    cases = tuple(dict.fromkeys(result.case_id for result in misses))
    return TroubleRow(
        metric=metric,
        module=module,
        variant=variant,
        category=category,
        samples=len(results),
        misses=len(misses),
        cases=cases,
        flaky=tuple(case for case in cases if case in passed),
        mistaken=_mistaken(misses),
    )


def _mistaken(misses: Sequence[Result]) -> tuple[Mistaken, ...]:
    pairs: dict[tuple[str, str | None], list[str]] = {}
    for result in misses:
        pair = result.classification
        if pair is not None and pair.predicted != pair.expected:
            pairs.setdefault((pair.expected, pair.predicted), []).append(result.case_id)
    rows = [
        Mistaken(expected=expected, predicted=predicted, count=len(cases), cases=tuple(dict.fromkeys(cases)))
        for (expected, predicted), cases in pairs.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.count))
