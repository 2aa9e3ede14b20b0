"""From scores per case and run to arrays: missing values dropped and counted, cases paired.

Everything downstream sees cases in sorted order and the values of a cell in ascending order, so that no
result depends on the order in which cases and runs arrive.
"""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from decimal import Decimal
from itertools import chain
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.model import LARGEST_VALUE, Kind, Scores
from pytest_promptune.core.values import dataclass

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]

#: Spread below this share of the largest value is rounding, not variance.
ROUNDING = 1e-9

#: Types of values; the usual ones are looked up, which is faster than asking abstract classes.
_PLAIN = frozenset({bool, int, float, type(None)})
_NUMBERS = (Real, Decimal, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Scores of one variant as an array (cases, runs) in run order, NaN where there is no value."""

    cases: tuple[str, ...]
    values: FloatArray
    n_missing: int

    @property
    def n_samples(self) -> int:
        """Number of values that are there."""
        return int(np.count_nonzero(~np.isnan(self.values)))

    @property
    def missing_share(self) -> float:
        """Missing values as a share of all samples, 0 if there are none."""
        total = self.n_samples + self.n_missing
        return self.n_missing / total if total else 0.0

    def filled(self) -> "Table":
        """The same without the cases that have no value at all."""
        keep = np.count_nonzero(~np.isnan(self.values), axis=1) > 0
        cases = tuple(case for case, kept in zip(self.cases, keep, strict=True) if kept)
        return Table(cases=cases, values=self.values[keep], n_missing=self.n_missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The runs of every case under one variant, each case with at least one value."""

    #: (cases, runs), ascending within a case, NaN after the last value.
    values: FloatArray
    #: (cases,): number of values, their mean, and their sum of squared deviations.
    n: IntArray
    mean: FloatArray
    squares: FloatArray

    @property
    def variance(self) -> FloatArray:
        """Variance between the runs of each case (ddof 1); NaN for a case with one run."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.n > 1, self.squares / (self.n - 1), np.nan)

    @property
    def flat(self) -> FloatArray:
        """All values in one dimension."""
        return self.values[~np.isnan(self.values)]

    @property
    def effective_runs(self) -> float:
        """Harmonic mean of the runs per case: the variance of the mean is that of so many runs."""
        return float(1 / np.mean(1 / self.n))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCells:
    """Both variants over the cases they have in common."""

    cases: tuple[str, ...]
    reference: Cells
    candidate: Cells

    @property
    def differences(self) -> FloatArray:
        """Candidate minus reference of the case means, (cases,)."""
        return self.candidate.mean - self.reference.mean

    @property
    def largest(self) -> float:
        """Largest absolute value on either side: the unit in which rounding is judged."""
        return float(max(np.abs(self.reference.flat).max(), np.abs(self.candidate.flat).max()))

    @property
    def single_runs(self) -> bool:
        """Whether every case ran once on both sides, so that runs say nothing about noise."""
        return bool(max(self.reference.n.max(), self.candidate.n.max()) == 1)

    def logs(self) -> "PairedCells | None":
        """The same on the log scale; ``None`` if a value is not positive."""
        if min(self.reference.flat.min(), self.candidate.flat.min()) <= 0:
            return None
        return PairedCells(
            cases=self.cases,
            reference=cells(np.log(self.reference.values)),
            candidate=cells(np.log(self.candidate.values)),
        )


def tabulate(scores: Scores, *, metric: str, kind: Kind, side: str = "") -> Table:
    """Read scores into an array, cases sorted by id.

    Raises StatsError, naming metric, case and run (and the variant, where ``side`` says it), for values that
    are infinite or no numbers, and for values of a binary metric other than 0 and 1.
    """
    _refuse_shape(scores, metric)
    cases = _sorted_ids(scores, metric)
    lengths = [len(scores[case]) for case in cases]
    runs = np.array(lengths, dtype=np.int64)
    values = list(chain.from_iterable(scores[case] for case in cases))
    refuse_values(
        values,
        kind=kind,
        metric=metric,
        place=lambda index: _place(cases, lengths, index) + (f" of {side}" if side else ""),
    )
    flat = np.array(values, dtype=float)
    table = np.full((len(cases), int(runs.max(initial=0))), np.nan)
    table[np.arange(table.shape[1]) < runs[:, None]] = flat
    return Table(cases=cases, values=table, n_missing=int(np.isnan(flat).sum()))


def refuse_values(values: Sequence[Any], *, kind: Kind, metric: str, place: Callable[[int], str]) -> None:
    """Refuse values that mean nothing; missing ones (None or NaN) are none of them.

    ``place`` says of a position in ``values`` where that is, for people. Raises StatsError for the first one.
    """
    for index, value in enumerate(values):
        if type(value) not in _PLAIN and not isinstance(value, _NUMBERS):
            raise StatsError(
                f"{metric}: {value!r:.40} in {place(index)} is no number. Valid: bool, int, float, None."
            )
    flat = _as_floats(values)
    if (wrong := np.isinf(flat)).any():
        index = int(np.argmax(wrong))
        raise StatsError(
            f"{metric}: infinite value {values[index]!s:.20} in {place(index)}. "
            "Valid: finite numbers, None, NaN."
        )
    if (wrong := np.abs(flat) > LARGEST_VALUE).any():
        index = int(np.argmax(wrong))
        raise StatsError(
            f"{metric}: too large a value {values[index]!s:.20} in {place(index)}. "
            f"Valid: up to {LARGEST_VALUE:g}; use another unit."
        )
    if kind == "binary" and (wrong := ~np.isnan(flat) & (flat != 0) & (flat != 1)).any():
        index = int(np.argmax(wrong))
        raise StatsError(
            f"{metric}: not a binary value {values[index]!s:.20} in {place(index)}. "
            "Valid: 0, 1, None; or kind='score'."
        )


def _as_floats(values: Sequence[Any]) -> FloatArray:
    try:
        return np.array(values, dtype=float)
    except OverflowError:  # a whole number beyond all floats
        return np.array([_as_float(value) for value in values], dtype=float)


def _as_float(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf


def _refuse_shape(scores: Scores, metric: str) -> None:
    """A table of scores maps each case to a list: a text is no list of runs, and a set loses equal ones."""
    if not isinstance(scores, Mapping):
        raise StatsError(
            f"{metric}: scores are {type(scores).__name__}. Valid: a dict of case id to its runs, as "
            "{'a': [1, 0, 1]}."
        )
    for case, runs in scores.items():
        if isinstance(runs, str | bytes | Mapping | Set) or not hasattr(runs, "__len__"):
            raise StatsError(
                f"{metric}: {runs!r:.40} in case {case!r} is no list of runs. Valid: one value per run, as "
                "[1, 0, 1]."
            )


def _sorted_ids(scores: Scores, metric: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(scores))
    except TypeError:
        raise StatsError(f"{metric}: case ids of several types. Valid: all of them text.") from None


def _place(cases: Sequence[str], lengths: Sequence[int], index: int) -> str:
    """Which case and run the value at a position of the flat list belongs to."""
    for case, length in zip(cases, lengths, strict=True):
        if index < length:
            return f"case {case!r}, run {index + 1}"
        index -= length
    raise AssertionError("beyond the last run")


def cells(values: FloatArray) -> Cells:
    """Summarise an array (cases, runs), NaN where missing; every row needs at least one value."""
    ordered = np.sort(values, axis=1)
    present = ~np.isnan(ordered)
    n = present.sum(axis=1)
    # Deviations from the smallest value keep equal runs exactly equal: their mean is that value, not almost.
    base = ordered[:, :1]
    shifted = np.where(present, ordered - base, 0.0)
    offset = shifted.sum(axis=1) / n
    deviations = np.where(present, shifted - offset[:, None], 0.0)
    return Cells(values=ordered, n=n, mean=base[:, 0] + offset, squares=(deviations**2).sum(axis=1))


def pair(reference: Table, candidate: Table) -> PairedCells | None:
    """Keep the cases with a value on both sides; ``None`` if there is none."""
    left, right = reference.filled(), candidate.filled()
    common = tuple(sorted(set(left.cases) & set(right.cases)))
    if not common:
        return None
    return PairedCells(cases=common, reference=_rows(left, common), candidate=_rows(right, common))


def _rows(table: Table, cases: tuple[str, ...]) -> Cells:
    index = {case: row for row, case in enumerate(table.cases)}
    return cells(table.values[[index[case] for case in cases]])
