"""Predicted and expected labels of the tests that classify, by variant, case and run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.results import Result
from pytest_promptune.core.stats.model import LabelPair
from pytest_promptune.core.values import dataclass

#: Case id -> one pair per run, ``None`` = missing.
Labels = dict[str, list[LabelPair | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What one test classified.

    An errored sample is a wrong prediction of no class, and so is one whose test missed before it classified:
    they count in the assertion metric too. What is missing there is missing here, and so is a sample that
    passed without classifying.
    """

    #: The assertion metric of the test.
    column: Column
    #: By variant, case and run.
    results: Mapping[tuple[str, str], Sequence[Result]]
    #: By case, from whichever of its samples was classified.
    expected: Mapping[str, str]

    def labels(self, variant: str, *, more_expected: Mapping[str, str] | None = None) -> Labels:
        """Pairs by case, each beside its score in `Column.all_scores`.

        Args:
            variant: that was measured.
            more_expected: labels of cases that no sample of this session classified.
        """
        expected = {**(more_expected or {}), **self.expected}
        found: Labels = {}
        for case in self.column.all_scores(variant):
            by_run = {result.run: result for result in self.results.get((variant, case), ())}
            runs = range(1, max(by_run, default=0) + 1)
            known = [run for run in runs if self.column.has(variant, case, run)]
            found[case] = [_pair(by_run.get(run), expected.get(case)) for run in known]
        return found


def classified(experiment: Experiment, columns: Iterable[Column]) -> list[Classified]:
    """The tests that classified at least one sample, in the order of their columns."""
    results: dict[tuple[str, str], dict[tuple[str, str], list[Result]]] = {}
    expected: dict[tuple[str, str], dict[str, str]] = {}
    for result in experiment.results:
        key = (result.module, result.metric)
        results.setdefault(key, {}).setdefault((result.variant, result.case_id), []).append(result)
        if result.classification is not None and result.outcome != "skipped":
            expected.setdefault(key, {}).setdefault(result.case_id, result.classification.expected)
    return [
        Classified(column=column, results=results[key], expected=expected[key])
        for column in columns
        if (key := (column.name.module, column.name.metric)) in expected
    ]


def _pair(result: Result | None, expected: str | None) -> LabelPair | None:
    if result is None or result.outcome not in ("passed", "missed", "errored"):
        return None
    pair = result.classification
    if pair is not None:
        return pair.expected, pair.predicted
    if result.outcome == "passed" or expected is None:
        return None
    return expected, None


def beside(scores: Mapping[str, Mapping[str, object]], labels: Mapping[str, Labels]) -> dict[str, Labels]:
    """Labels of cases that have scores, and at least one label among them, by metric."""
    kept = {
        metric: {
            case: pairs
            for case, pairs in of_metric.items()
            if case in scores[metric] and any(pair is not None for pair in pairs)
        }
        for metric, of_metric in labels.items()
    }
    return {metric: of_metric for metric, of_metric in kept.items() if of_metric}
