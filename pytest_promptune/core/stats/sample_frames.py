"""Aggregates that users compute themselves, from a pandas DataFrame of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pytest_promptune.core.codec import unboxed
from pytest_promptune.core.errors import AggregateError
from pytest_promptune.core.stats.cells import FloatArray, IntArray
from pytest_promptune.core.stats.resampling import Evaluator
from pytest_promptune.core.values import dataclass

#: One sample: column -> value; ``None`` = missing.
SampleRow: TypeAlias = Mapping[str, Any]

#: The function is called for every set, so there are fewer sets than for metrics computed in bulk.
RESAMPLES = 999
#: Columns that say which sample it is, and nothing about it.
PLACE = ("case", "run", "variant")

_VALID = "Give a finite number, or None where there is no value."


@dataclass(frozen=True, slots=True)
class FrameFunction:
    """A function from a DataFrame of samples to a finite number, or ``None`` where they have no value."""

    function: Callable[[pd.DataFrame], Any]
    #: How messages call it.
    name: str
    #: In their order; what a row lacks is missing.
    columns: Sequence[str]
    #: Columns that other sides have and these samples don't.
    absent: Sequence[str] = ()
    #: What the column of that name says in sets that were drawn from both sides.
    variant: str = ""

    resamples: int | None = RESAMPLES
    is_share: bool = False

    def key(self, sample: SampleRow) -> Hashable:
        """What the sample is, apart from its place."""
        return tuple(repr(sample.get(column)) for column in self.columns if column not in PLACE)

    def value(self, samples: Mapping[str, Sequence[SampleRow]]) -> float | None:
        """The aggregate of samples by case, as they were measured: a row per sample, by case and run.

        Raises:
            AggregateError: when the function raises, or gives no finite number and not ``None``.
        """
        rows = [row for case in sorted(samples) for row in samples[case]]
        value = self.call(_frame(rows, self.columns))
        if value is not None and not math.isfinite(value):
            raise AggregateError(f"{self.name} gave {value}. {_VALID}")
        return value

    def evaluator(self, cases: Sequence[Sequence[SampleRow]]) -> Evaluator:
        """Values of sets of these samples; in each, ``run`` is numbered anew and ``variant`` is `variant`.

        A set in which the function raises has no value: only `value` asks of samples as they were measured.
        """
        rows = [row for case in cases for row in case]
        frame = _frame(rows, self.columns).assign(variant=self.variant)
        return _Frames(self, frame, np.repeat(np.arange(len(cases)), [len(case) for case in cases]))

    def call(self, frame: pd.DataFrame) -> float | None:
        """One value, which may be infinite or NaN; see `value`."""
        try:
            value = self.function(frame)
        except Exception as error:
            told = str(error) if isinstance(error, KeyError | AttributeError) else ""
            why = str(error).rstrip(".")
            raise AggregateError(
                f"{self.name} raised {type(error).__name__}: {why}. Its DataFrame has {len(frame):,} rows "
                f"and the columns {', '.join(self.columns)}.",
                lacking=tuple(column for column in self.absent if column in told),
            ) from error
        value = unboxed(value)
        if value is None or (isinstance(value, Real) and not isinstance(value, bool)):
            return None if value is None else float(value)
        shown = value if isinstance(value, bool) else f"a {type(value).__name__}"
        raise AggregateError(f"{self.name} gave {shown}. {_VALID}")


@dataclass(frozen=True, slots=True)
class _Frames:
    of: FrameFunction
    #: All samples, by case, and the number of the case of each.
    frame: pd.DataFrame
    case: IntArray

    block: int = 128
    enumerate_up_to: int = RESAMPLES + 1

    def values(self, weights: Sequence[FloatArray], size: int) -> FloatArray:
        """See ``Evaluator``; calls are what takes the time, so sets are made one by one."""
        times = np.vstack([np.broadcast_to(each, (len(each), size)) for each in weights]).astype(np.int64)
        places = np.arange(len(times))
        return np.array([self._value(np.repeat(places, times[:, index])) for index in range(size)])

    def _value(self, rows: IntArray) -> float:
        case = self.case[rows]
        chosen = self.frame.take(rows)
        chosen.index = pd.RangeIndex(len(rows))
        chosen["run"] = np.arange(len(rows)) - np.searchsorted(case, case) + 1
        try:
            value = self.of.call(chosen)
        except AggregateError:  # `value` has shown that it works on what was measured: these rows are too few
            return math.nan
        return value if value is not None and math.isfinite(value) else math.nan


def _frame(rows: Sequence[SampleRow], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({column: _series([row.get(column) for row in rows]) for column in columns})


def _series(values: Sequence[Any]) -> pd.Series[Any]:
    """Numbers as floats with NaN for what is missing, whole ones without gaps as integers, else objects."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return pd.Series(values, dtype="int64")
    if all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    ):
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype="object")
