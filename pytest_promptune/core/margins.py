"""Sizes of change as a user gives them, for margins and tolerances alike."""

from __future__ import annotations

from collections.abc import Iterable


class Percent(float):
    """A size given in per cent, as a fraction: of one for shares, of the reference for everything else."""


def read_sizes(values: Iterable[object]) -> dict[str, float]:
    """Metric → size from texts such as ``test_intent=0.05`` or ``bot::latency_s=20%``; the last one counts.

    Raises:
        ValueError: with what would be valid.
    """
    return dict(_size(str(value)) for value in values)


def _size(text: str) -> tuple[str, float]:
    expected = "METRIC=VALUE with a VALUE of at least 0, as test_intent=0.05 or bot::latency_s=20%"
    metric, equals, number = text.rpartition("=")
    number = number.strip()
    try:
        value = Percent(float(number[:-1]) / 100) if number.endswith("%") else float(number)
    except ValueError:
        raise ValueError(expected) from None
    if not equals or not metric.strip() or not 0 <= value < float("inf"):
        raise ValueError(expected)
    return metric.strip(), value
