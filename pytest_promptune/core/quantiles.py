"""Quantiles of few numbers, the same wherever one is told."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of 0..1 of the values in order (n,) lies, n > 0.

    With linear interpolation (Hyndman and Fan 1996, type 7), as ``numpy.quantile`` has it.
    """
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
