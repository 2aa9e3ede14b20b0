"""Rows of results documents as values again, as far as the final report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pytest_promptune.core.decoding import decode
from pytest_promptune.core.model import Change
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, Interval, MetricName, NodeRow

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a metric under one variant."""

    name: MetricName
    variant: str
    mean: float | None
    ci: Interval | None


def comparison_from(data: Mapping[str, Any]) -> ComparisonRow:
    """A row of ``comparisons``; keys that it lacks are unknown.

    Raises:
        KeyError: when it doesn't say what is compared.
        DecodeError: when a value is not what it can be.
    """
    return _row(ComparisonRow, data, "reference", "candidate", "verdict", name=name_from(data))


def comparisons_from(document: Mapping[str, Any]) -> list[ComparisonRow]:
    """The ``comparisons`` of a results document, with the means of cases where it has them.

    Raises:
        KeyError: see `comparison_from`; `DecodeError` likewise.
    """
    known = document.get("case_means") or {}
    described = zip(document.get("metrics", ()), known.get("metrics", ()), strict=False)
    sides = {(row["module"], row["metric"], row["variant"]): means for row, means in described}
    return [_with_case_means(comparison_from(row), sides) for row in document.get("comparisons", ())]


def _with_case_means(
    row: ComparisonRow, sides: Mapping[tuple[str, str, str], Mapping[str, float | None]]
) -> ComparisonRow:
    before, after = (
        sides.get((row.name.module, row.name.metric, variant), {})
        for variant in (row.reference, row.candidate)
    )
    return replace(row, case_means={case: (before[case], after[case]) for case in before if case in after})


def name_from(data: Mapping[str, Any]) -> MetricName:
    """Which metric a row is of.

    Raises:
        KeyError: when it doesn't say.
        DecodeError: see `comparison_from`.
    """
    return _row(MetricName, data, "metric", "test", "module", "app", "kind", "direction")


def mean_from(data: Mapping[str, Any]) -> Mean:
    """What a row of ``metrics`` says of the mean.

    Raises:
        KeyError: when it doesn't say of what.
        DecodeError: see `comparison_from`.
    """
    return _row(Mean, data, "variant", name=name_from(data))


def node_from(data: Mapping[str, Any]) -> NodeRow:
    """A row of ``nodes``.

    Raises:
        KeyError: when it doesn't say which.
        DecodeError: see `comparison_from`.
    """
    return _row(NodeRow, data, "node", "variant")


def change_from(data: Mapping[str, Any]) -> Change:
    """One change of a variant.

    Raises:
        KeyError: when it doesn't say what is changed into what.
        DecodeError: see `comparison_from`.
    """
    return _row(Change, data, "kind", "target", "after")


def _row(cls: type[T], data: Mapping[str, Any], *needed: str, **given: Any) -> T:
    for key in needed:
        if key not in data:
            raise KeyError(key)
    return decode(cls, data, where=f"a {cls.__name__}", **given)
