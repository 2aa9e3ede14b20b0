"""Sizes of change as a user gives them, for margins and tolerances alike."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Percent(float):
    """A size given in per cent, as a fraction: of one for shares, of the reference for everything else."""


def read_sizes(values: Iterable[object]) -> dict[str, float]:
    """Metric → size from texts such as ``test_intent=0.05`` or ``bot::latency_s=20%``; the last one counts.

    Raises:
        ValueError: with what would be valid.
    """
    return dict(_size(str(value)) for value in values)


def read_amount(text: str) -> float:
    """A number, or a `Percent` from one with ``%`` after it.

    Raises:
        ValueError: for anything else, what is infinite or no number included.
    """
    text = text.strip()
    value = Percent(float(text[:-1]) / 100) if text.endswith("%") else float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _size(text: str) -> tuple[str, float]:
    expected = "METRIC=VALUE with a VALUE of at least 0, as test_intent=0.05 or bot::latency_s=20%"
    metric, equals, number = text.rpartition("=")
    try:
        value = read_amount(number)
    except ValueError:
        raise ValueError(expected) from None
    if not equals or not metric.strip() or value < 0:
        raise ValueError(expected)
    return metric.strip(), value
