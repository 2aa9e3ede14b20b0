"""From scores per case and run to arrays: missing values dropped and counted, cases paired.

Everything downstream sees cases in sorted order and the values of a cell in ascending order, so that no
result depends on the order in which cases and runs arrive.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.model import Kind, Scores

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]

#: Spread below this share of the largest value is rounding, not variance.
ROUNDING = 1e-9


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


def tabulate(scores: Scores, *, metric: str, kind: Kind) -> Table:
    """Read scores into an array, cases sorted by id.

    Raises StatsError, naming metric and case, for infinite values, for values that are not numbers, and for
    values of a binary metric other than 0 and 1.
    """
    cases = tuple(sorted(scores))
    runs = np.array([len(scores[case]) for case in cases], dtype=np.int64)
    flat = _numbers(list(chain.from_iterable(scores[case] for case in cases)), metric)
    owner = np.repeat(np.arange(len(cases)), runs)
    _refuse(np.isinf(flat), flat, owner, cases, f"{metric}: infinite value", "finite numbers, None or NaN")
    if kind == "binary":
        wrong = ~np.isnan(flat) & (flat != 0) & (flat != 1)
        _refuse(wrong, flat, owner, cases, f"{metric}: not a binary value", "0, 1, None; or kind='score'")
    values = np.full((len(cases), int(runs.max(initial=0))), np.nan)
    values[np.arange(values.shape[1]) < runs[:, None]] = flat
    return Table(cases=cases, values=values, n_missing=int(np.isnan(flat).sum()))


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


def _numbers(flat: list[Any], metric: str) -> FloatArray:
    try:
        return np.array(flat, dtype=float)
    except (TypeError, ValueError) as error:
        raise StatsError(f"{metric}: {error}. Valid: bool, int, float, None.") from error


def _refuse(
    wrong: BoolArray, flat: FloatArray, owner: IntArray, cases: tuple[str, ...], what: str, valid: str
) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise StatsError(f"{what} {flat[first]} in case {cases[owner[first]]!r}. Valid: {valid}.")
