"""The labels of a baseline file: what each run of a case predicted, beside its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_promptune.core.aggregates.labels import Labels
from pytest_promptune.core.experiment import Scores
from pytest_promptune.core.stats.model import LabelPair


class DamageError(Exception):
    """What is wrong in the data of a baseline file."""


def labels_to_json(labels: Mapping[str, Labels]) -> dict[str, Any]:
    """By metric and case: the expected label and those predicted, ``null`` where there was none.

    Whether a ``null`` is missing or was a miss without a label, the score beside it says. Should a test
    expect several labels of one case, they are a list like the predicted ones.
    """
    return {
        metric: {case: _to_json(pairs) for case, pairs in cases.items()} for metric, cases in labels.items()
    }


def _to_json(pairs: Sequence[LabelPair | None]) -> dict[str, Any]:
    expected = [None if pair is None else pair[0] for pair in pairs]
    known = sorted({label for label in expected if label is not None})
    return {
        "expected": known[0] if len(known) == 1 else expected,
        "predicted": [None if pair is None else pair[1] for pair in pairs],
    }


def labels_from_json(data: Mapping[str, Any], scores: Mapping[str, Scores]) -> dict[str, Labels]:
    """The inverse, beside the scores.

    Raises:
        DamageError: when they are something else, or don't fit the scores.
    """
    found: dict[str, Labels] = {}
    for metric, cases in data.items():
        if metric not in scores:
            raise DamageError(f"'labels' has {metric!r}, which 'scores' doesn't have")
        if not isinstance(cases, dict):
            raise DamageError(f"the labels of {metric!r} are not an object")
        for case, value in cases.items():
            where = f"the labels of {metric!r} for case {case!r}"
            beside = scores[metric].get(case)
            if beside is None:
                raise DamageError(f"{where} have no scores")
            found.setdefault(metric, {})[case] = _from_json(value, beside, where)
    return found


def _from_json(value: Any, scores: Sequence[float | None], where: str) -> list[LabelPair | None]:
    table = value if isinstance(value, dict) else {}
    columns: list[Any] = [table.get("predicted"), table.get("expected")]
    if isinstance(columns[1], str):
        columns[1] = [columns[1]] * len(scores)
    for labels in columns:
        if not isinstance(labels, list) or any(not isinstance(label, str | None) for label in labels):
            raise DamageError(f"{where} are not 'expected' and a list of 'predicted' ones")
        if len(labels) != len(scores):
            raise DamageError(f"{where} are {len(labels)}, beside {len(scores)} scores")
    return [_pair(label, guess, score) for guess, label, score in zip(*columns, scores, strict=True)]


def _pair(expected: str | None, predicted: str | None, score: float | None) -> LabelPair | None:
    if expected is None or score is None or (predicted is None and score == 1):
        return None
    return expected, predicted
