"""Adjusting p-values for the number of questions asked of the same data."""

from collections.abc import Callable, Sequence

import numpy as np

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.cells import FloatArray
from pytest_promptune.core.stats.model import is_number


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Step-down adjusted p-values; valid under any dependence (Holm 1979).

    ``None`` (a hypothesis that cannot be tested) stays ``None`` and does not count. Raises StatsError for
    what is no probability.
    """

    def step_down(ordered: FloatArray) -> FloatArray:
        return np.maximum.accumulate(ordered * np.arange(len(ordered), 0, -1))

    return _adjust(p_values, step_down)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Step-up adjusted p-values that control the false discovery rate (Benjamini and Hochberg 1995).

    ``None`` stays ``None`` and does not count. Raises StatsError as ``holm`` does.
    """

    def step_up(ordered: FloatArray) -> FloatArray:
        scaled = ordered * len(ordered) / np.arange(1, len(ordered) + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _adjust(p_values, step_up)


def _adjust(
    p_values: Sequence[float | None], correct: Callable[[FloatArray], FloatArray]
) -> list[float | None]:
    tested = [index for index, p in enumerate(p_values) if p is not None]
    for index in tested:
        if not is_number(p_values[index]) or not 0 <= float(p_values[index] or 0) <= 1:
            raise StatsError(f"p_values[{index}]={p_values[index]!r}: must lie between 0 and 1, or be None.")
    p = np.array([p_values[index] for index in tested], dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.minimum(correct(p[order]), 1.0)
    adjusted: list[float | None] = [None] * len(p_values)
    for rank, position in enumerate(order):
        adjusted[tested[position]] = float(corrected[rank])
    return adjusted
