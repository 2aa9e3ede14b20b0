"""Permutation tests inside cases: shuffle the run labels of every case, recompute the statistic, count.

The studentised form divides the mean difference by its standard error at every relabelling. It is exact when
nothing changed, and asymptotically valid when only the mean did not (Janssen 1997; Chung and Romano 2013).
With one run per case it is Fisher's sign-flip test, McNemar's exact test for binary values; unstudentised it
is the exact Cochran-Mantel-Haenszel test (Jung 2014).

Random relabellings are drawn once per case and split of its runs, for all columns (metrics and candidates)
with that split: metrics with the same run layout see the same labels. Where both variants have the same runs
they are drawn in complementary pairs, starting with the observed labels and their complement: still a uniform
sample under exchangeability, and exchanging the two variants exchanges the two p-values exactly.
"""

from collections import defaultdict
from collections.abc import Sequence
from math import comb, prod
from typing import TypeAlias

import numpy as np

from pytest_promptune.core.stats.cells import ROUNDING, BoolArray, FloatArray, IntArray, PairedCells
from pytest_promptune.core.stats.run_labels import TABULATE_UP_TO, all_labels, choices, draw_labels
from pytest_promptune.core.stats.variance import noise_weights
from pytest_promptune.core.values import dataclass

#: Up to this many relabellings all of them are looked at.
ENUMERATE_UP_TO = 65_536
#: Random relabellings are drawn in blocks, to keep working arrays in the processor's cache.
BLOCK = 2_048
#: Multiplications in a matrix product up to which OpenBLAS stays on one thread.
SINGLE_THREADED = 1 << 17
#: Statistics that differ by less than this share are ties.
TIE = 1e-9
#: Relabellings with a statistic at least the observed, at most the observed, and all.
Counts: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailProbabilities:
    """P(t* >= t) and P(t* <= t) over relabellings, the observed one included, and how many are possible."""

    at_least: float
    at_most: float
    n_relabellings: int
    #: No relabelling changes any value.
    constant: bool

    @property
    def two_sided(self) -> float:
        """Twice the smaller tail, at most 1."""
        return min(1.0, 2 * min(self.at_least, self.at_most))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One comparison, as sums over the labelled values of every case.

    With values y centred in their case, L the labels, s = sum(L y) and q = sum(L y^2) of a case, the mean
    difference is sum(slope s) and its squared standard error is constant + sum(lean q) - sum(bend s^2).
    """

    #: (cases, runs of both variants), centred in the case; 0 in constant cases and beyond the last run.
    values: FloatArray
    #: (cases,): values of the labelled variant, and of both.
    n_labelled: IntArray
    n_pooled: IntArray
    #: (cases,)
    slope: FloatArray
    bend: FloatArray
    lean: FloatArray
    constant: float
    #: Floor of the squared standard error; 0 turns studentising off.
    floor: float
    observed: float
    tolerance: float
    #: Whether the labelled variant is the reference instead of the candidate.
    turned: bool

    def statistic(self, difference: FloatArray, squared_error: FloatArray) -> FloatArray:
        """The statistic of many relabellings."""
        if self.floor == 0:
            return difference
        return difference / np.sqrt(np.maximum(squared_error, self.floor))

    @property
    def symmetric(self) -> bool:
        """Whether the complement of every labelling is a labelling, with the statistic's sign turned."""
        return bool((2 * self.n_labelled == self.n_pooled).all())


def relabel_runs(
    pairs: Sequence[PairedCells], *, studentized: bool, resamples: int, seed: int
) -> list[TailProbabilities]:
    """Shuffle run labels inside cases; one result per pair, in their order."""
    columns = [_column(pair, studentized=studentized) for pair in pairs]
    counts: dict[int, Counts] = {}
    sampled: dict[bool, list[int]] = defaultdict(list)
    for index, column in enumerate(columns):
        if _n_varying(column) <= ENUMERATE_UP_TO:
            counts[index] = _count(column, _enumerate(column))
        else:
            sampled[column.symmetric].append(index)
    for symmetric, indices in sampled.items():
        chosen = [columns[index] for index in indices]
        counts.update(zip(indices, _sample(chosen, resamples, seed, symmetric=symmetric), strict=True))
    return [_probabilities(column, counts[index]) for index, column in enumerate(columns)]


def flip_signs(differences: Sequence[FloatArray], *, resamples: int, seed: int) -> list[TailProbabilities]:
    """Flip the signs of case differences (cases,); one result per array, in their order.

    The statistic is the mean difference. This treats the cases as a sample: the question is whether the
    difference holds for cases like these (Fisher 1935).
    """
    results: dict[int, TailProbabilities] = {}
    by_cases: dict[int, list[int]] = defaultdict(list)
    for index, column in enumerate(differences):
        if 2 ** int(np.count_nonzero(column)) <= ENUMERATE_UP_TO:
            sums = np.zeros(1)
            for step in column[column != 0]:
                sums = np.concatenate([sums - step, sums + step])
            results[index] = _sign_probabilities(column, sums)
        else:
            by_cases[len(column)].append(index)
    for indices in by_cases.values():
        drawn = _sample_signs(np.column_stack([differences[i] for i in indices]), resamples, seed)
        for position, index in enumerate(indices):
            results[index] = _sign_probabilities(differences[index], drawn[position])
    return [results[index] for index in range(len(differences))]


def _sample_signs(stacked: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Sums (columns, relabellings) of (cases, columns) under random signs, the observed ones among them."""
    rng = np.random.default_rng(seed)
    blocks = [stacked.sum(axis=0)[None, :]]
    draws = n_pairs(resamples) - 1
    for start in range(0, draws, BLOCK):
        signs = rng.integers(0, 2, size=(min(BLOCK, draws - start), len(stacked)), dtype=np.int8)
        blocks.append((2.0 * signs - 1.0) @ stacked)
    sums = np.concatenate(blocks)
    return np.concatenate([sums, -sums]).T


def _sign_probabilities(column: FloatArray, sums: FloatArray) -> TailProbabilities:
    """Compare the sum of differences with its value under other signs, the observed ones among them."""
    observed, slack = column.sum(), TIE * float(np.abs(column).sum())
    return TailProbabilities(
        at_least=int(np.count_nonzero(sums >= observed - slack)) / len(sums),
        at_most=int(np.count_nonzero(sums <= observed + slack)) / len(sums),
        n_relabellings=2 ** len(column),
        constant=not column.any(),
    )


def _column(pair: PairedCells, *, studentized: bool) -> _Column:
    """Prepare a pair; the variant with more runs is labelled, so that exchanging the two changes nothing."""
    turned = tuple(pair.reference.n) > tuple(pair.candidate.n)
    labelled, other = (pair.reference, pair.candidate) if turned else (pair.candidate, pair.reference)
    n1, n0 = labelled.n, other.n
    values, varying = _centred(pair)
    w1, w0 = noise_weights(labelled.n, other.n)
    n_cases = len(n1)
    slope = (1 / n1 + 1 / n0) / n_cases
    difference = float((labelled.mean - other.mean).mean())
    squared_error = float(w1 @ labelled.squares + w0 @ other.squares)
    floor = (1e-6 * pair.largest) ** 2 if studentized else 0.0
    observed = difference / np.sqrt(max(squared_error, floor)) if floor else difference
    unit = 1.0 if floor else float(np.abs(values).sum(axis=1) @ slope) / 2
    return _Column(
        values=np.where(varying[:, None], values, 0.0),
        n_labelled=n1,
        n_pooled=n1 + n0,
        slope=slope,
        bend=w1 / n1 + w0 / n0,
        lean=w1 - w0,
        constant=float(w0 @ np.where(varying, (values**2).sum(axis=1), 0.0)),
        floor=floor,
        observed=float(observed),
        tolerance=TIE * max(abs(float(observed)), unit),
        turned=turned,
    )


def _centred(pair: PairedCells) -> tuple[FloatArray, BoolArray]:
    """Values of both variants, ascending and centred in their case; and which cases vary at all."""
    pooled = np.sort(np.hstack([pair.reference.values, pair.candidate.values]), axis=1)
    pooled = pooled[:, : int((pair.reference.n + pair.candidate.n).max())]
    present = ~np.isnan(pooled)
    varying = np.nanmax(pooled, axis=1) - pooled[:, 0] > ROUNDING * pair.largest
    shifted = np.where(present, pooled - pooled[:, :1], 0.0)
    centre = shifted.sum(axis=1) / present.sum(axis=1)
    return np.where(present, shifted - centre[:, None], 0.0), varying


def _n_splits(column: _Column) -> list[int]:
    return [comb(int(n), int(k)) for n, k in zip(column.n_pooled, column.n_labelled, strict=True)]


def _varying(column: _Column) -> list[int]:
    """Indices of the cases in which a relabelling changes anything."""
    return [int(case) for case in np.flatnonzero(np.count_nonzero(column.values, axis=1))]


def _n_varying(column: _Column) -> int:
    splits = _n_splits(column)
    return prod(splits[case] for case in _varying(column))


def _enumerate(column: _Column) -> FloatArray:
    """The statistic of every relabelling of the cases that vary."""
    difference, squared_error = np.zeros(1), np.full(1, column.constant)
    for case in _varying(column):
        n, k = int(column.n_pooled[case]), int(column.n_labelled[case])
        splits = column.values[case][choices(n, k)]
        sums = splits.sum(axis=1)
        noise = column.lean[case] * (splits**2).sum(axis=1) - column.bend[case] * sums**2
        difference = (difference[:, None] + column.slope[case] * sums).ravel()
        squared_error = (squared_error[:, None] + noise).ravel()
    return column.statistic(difference, squared_error)


def _count(column: _Column, statistics: FloatArray) -> Counts:
    """Compare with the observed statistic."""
    at_least = int(np.count_nonzero(statistics >= column.observed - column.tolerance))
    at_most = int(np.count_nonzero(statistics <= column.observed + column.tolerance))
    return at_least, at_most, len(statistics)


def n_pairs(resamples: int) -> int:
    """Complementary pairs among at least 1 + resamples relabellings, the observed one included."""
    return (resamples + 2) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """One case under one split of its runs, for all columns in which that case varies."""

    n_labelled: int
    n_pooled: int
    #: Own stream of random numbers: nobody else's columns change what a column draws.
    rng: np.random.Generator
    #: (columns,): which ones.
    columns: IntArray
    #: (columns, runs): what a labelled value adds to the mean difference and, linearly, to its squared error.
    steps: FloatArray
    squares: FloatArray
    #: (columns, 1): weight of the squared contribution of the case.
    bend: FloatArray

    @property
    def n_ways(self) -> int:
        """In how many ways its runs can be labelled."""
        return comb(self.n_pooled, self.n_labelled)

    def contributions(self, labels: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What labels (runs, n) of the case add to difference and squared error, (columns, n) each."""
        change = short_product(self.steps, labels)
        error = -self.bend * change**2
        if self.squares.any():
            error += short_product(self.squares, labels)
        return change, error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A case that can be labelled in many ways: each relabelling is drawn and computed."""

    split: _Split

    def add_to(self, difference: FloatArray, squared_error: FloatArray) -> None:
        """Relabel the case in both arrays (all columns, relabellings)."""
        split = self.split
        labels = draw_labels(split.rng, split.n_labelled, split.n_pooled, difference.shape[1])
        change, error = split.contributions(labels)
        difference[split.columns] += change
        squared_error[split.columns] += error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tabulated:
    """A case that can be labelled in few ways: what each of them adds is computed once, and one is drawn."""

    split: _Split
    #: (columns, ways)
    change: FloatArray
    error: FloatArray

    def add_to(self, difference: FloatArray, squared_error: FloatArray) -> None:
        """Relabel the case in both arrays (all columns, relabellings)."""
        drawn = self.split.rng.integers(0, self.change.shape[1], size=difference.shape[1])
        difference[self.split.columns] += np.take(self.change, drawn, axis=1)
        squared_error[self.split.columns] += np.take(self.error, drawn, axis=1)


def _part(split: _Split) -> _Drawn | _Tabulated:
    if split.n_ways > TABULATE_UP_TO:
        return _Drawn(split=split)
    change, error = split.contributions(all_labels(split.n_pooled, split.n_labelled))
    return _Tabulated(split=split, change=change, error=error)


def short_product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Matrix product in pieces too small for the BLAS to share between threads.

    Thousands of short products on threads that wait for each other took 20 times as long on a busy machine.
    """
    width = max(1, SINGLE_THREADED // left.size)
    result = np.empty((len(left), right.shape[1]))
    for first in range(0, right.shape[1], width):
        result[:, first : first + width] = left @ right[:, first : first + width]
    return result


def _parts(columns: list[_Column], seed: int) -> list[_Drawn | _Tabulated]:
    """Group what can share labels: the same case number, split in the same way."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, column in enumerate(columns):
        for case in _varying(column):
            groups[case, int(column.n_labelled[case]), int(column.n_pooled[case])].append(index)
    parts = []
    for (case, n_labelled, n_pooled), indices in sorted(groups.items()):
        chosen = [columns[index] for index in indices]
        values = np.array([column.values[case, :n_pooled] for column in chosen])
        slope = np.array([[column.slope[case]] for column in chosen])
        bend = np.array([[column.bend[case]] for column in chosen])
        lean = np.array([[column.lean[case]] for column in chosen])
        split = _Split(
            n_labelled=n_labelled,
            n_pooled=n_pooled,
            rng=np.random.default_rng([seed, case, n_labelled, n_pooled]),
            columns=np.array(indices),
            steps=slope * values,
            squares=lean * values**2,
            bend=bend / slope**2,
        )
        parts.append(_part(split))
    return parts


def _sample(columns: list[_Column], resamples: int, seed: int, *, symmetric: bool) -> list[Counts]:
    """Counts over random relabellings; in complementary pairs for columns where those exist."""
    draws = n_pairs(resamples) - 1 if symmetric else resamples
    totals = np.array([_identity(column) if symmetric else (1, 1, 1) for column in columns])
    parts = _parts(columns, seed)
    for start in range(0, draws, BLOCK):
        difference = np.zeros((len(columns), min(BLOCK, draws - start)))
        squared_error = np.zeros_like(difference)
        for part in parts:
            part.add_to(difference, squared_error)
        for index, column in enumerate(columns):
            statistics = column.statistic(difference[index], squared_error[index] + column.constant)
            totals[index] += _count(column, statistics)
            if symmetric:
                totals[index] += _count(column, -statistics)
    return [(int(low), int(high), int(total)) for low, high, total in totals]


def _identity(column: _Column) -> Counts:
    """Counts of the observed labels and of their complement."""
    return _count(column, np.array([column.observed, -column.observed]))


def _probabilities(column: _Column, counted: Counts) -> TailProbabilities:
    at_least, at_most, total = counted
    if column.turned:
        at_least, at_most = at_most, at_least
    return TailProbabilities(
        at_least=at_least / total,
        at_most=at_most / total,
        n_relabellings=prod(_n_splits(column)),
        constant=not column.values.any(),
    )
