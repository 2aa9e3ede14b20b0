"""Permutation test of an aggregate metric: a number of many samples at once.

The mean over cases can be studentised in closed form; macro-F1, or a function of the user's, cannot. The test
is the plain one: inside every case draw which runs are the candidate's (the draws of ``permutation``, by the
same rules), compute the aggregate of both sides anew, count the differences at least, and at most, as large
as the observed one. It is exact when nothing changed, and only then.

With ``scope="population"`` whole cases change sides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from math import comb, prod
from typing import Any, Protocol

import numpy as np

from pytest_promptune.core.stats.cells import BoolArray, FloatArray
from pytest_promptune.core.stats.model import Scope
from pytest_promptune.core.stats.permutation import (
    BLOCK,
    ENUMERATE_UP_TO,
    TIE,
    TailProbabilities,
    n_pairs,
    short_product,
)
from pytest_promptune.core.stats.run_labels import draw_labels
from pytest_promptune.core.values import dataclass


class Evaluator(Protocol):
    """The aggregate of many sets of the same samples."""

    @property
    def block(self) -> int:
        """How many sets are evaluated at a time."""

    @property
    def enumerate_up_to(self) -> int:
        """Up to how many relabellings all of them are looked at."""

    def values(self, weights: Sequence[FloatArray], size: int) -> FloatArray:
        """The aggregate of each set, (size,); NaN where it has none.

        Args:
            weights: per case (samples, size), or (samples, 1) for all sets alike: how often each sample of
                the case is in the set.
            size: number of sets.
        """
        ...


class Statistic(Protocol):
    """An aggregate metric: what is computed from samples."""

    @property
    def resamples(self) -> int | None:
        """Random relabellings and bootstrap sets that are enough; ``None``: as for other metrics."""

    @property
    def is_share(self) -> bool:
        """Whether its values lie within [0, 1] whatever the samples."""

    def key(self, sample: Any) -> Hashable:
        """Equal for samples that are alike; keys can be sorted."""

    def evaluator(self, cases: Sequence[Sequence[Any]]) -> Evaluator:
        """Prepare for sets of these samples; each case has at least one."""


@dataclass(frozen=True, slots=True)
class Sums:
    """An aggregate that is a function of sums over the samples of a set."""

    #: Per case (sums, samples): what each sample adds to each sum.
    features: Sequence[FloatArray]
    #: From (sums, size) to (size,).
    evaluate: Callable[[FloatArray], FloatArray]

    block: int = BLOCK
    enumerate_up_to: int = ENUMERATE_UP_TO

    def values(self, weights: Sequence[FloatArray], size: int) -> FloatArray:
        """See ``Evaluator``."""
        sums = np.zeros((len(self.features[0]), size))
        for features, weight in zip(self.features, weights, strict=True):
            used = features.any(axis=1)
            if used.any():
                sums[used] += short_product(features[used], weight)
        return self.evaluate(sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The samples of both sides together, case by case, in an order that doesn't depend on their side."""

    evaluator: Evaluator
    #: Per case (samples,): whether the sample is the candidate's.
    is_candidate: tuple[BoolArray, ...]
    #: Per case, one per sample.
    keys: tuple[tuple[Hashable, ...], ...]

    def side(self, *, candidate: bool) -> list[FloatArray]:
        """Weights of one side as it was measured."""
        return [(mask == candidate).astype(float)[:, None] for mask in self.is_candidate]

    def difference(
        self, labelled: Sequence[FloatArray], other: Sequence[FloatArray], size: int
    ) -> FloatArray:
        """Aggregates of the labelled sets minus those of the others."""
        return self.evaluator.values(labelled, size) - self.evaluator.values(other, size)

    def contents(self, *, candidate: bool) -> tuple[tuple[Hashable, ...], ...]:
        """Keys of one side's samples, case by case."""
        return tuple(
            tuple(key for key, mine in zip(keys, mask, strict=True) if mine == candidate)
            for keys, mask in zip(self.keys, self.is_candidate, strict=True)
        )


def pool(
    statistic: Statistic, reference: Mapping[str, Sequence[Any]], candidate: Mapping[str, Sequence[Any]]
) -> Pool:
    """Put both sides together; both have the same cases, each with at least one sample on either side."""
    cases, masks, keys = [], [], []
    for case in sorted(reference):
        both = [(statistic.key(s), False, s) for s in reference[case]]
        both += [(statistic.key(s), True, s) for s in candidate[case]]
        both.sort(key=lambda entry: entry[:2])
        cases.append([sample for _, _, sample in both])
        masks.append(np.array([mine for _, mine, _ in both]))
        keys.append(tuple(key for key, _, _ in both))
    return Pool(evaluator=statistic.evaluator(cases), is_candidate=tuple(masks), keys=tuple(keys))


def value_of_all(evaluator: Evaluator, sizes: Sequence[int]) -> float:
    """The aggregate of all samples, `sizes` of each case; NaN where it has none."""
    return float(evaluator.values([np.ones((size, 1)) for size in sizes], 1)[0])


# --- test -----------------------------------------------------------------------------------------


class _Labels(Protocol):
    """Where the labels of one case come from."""

    def take(self, start: int, size: int, /) -> FloatArray:
        """Labels (samples, size), or (samples, 1) where they are always the same."""
        ...


@dataclass(frozen=True, slots=True)
class _Fixed:
    labels: FloatArray

    def take(self, _start: int, _size: int, /) -> FloatArray:
        return self.labels


@dataclass(frozen=True, slots=True)
class _Listed:
    """Every choice of a case beside every choice of the cases before it."""

    choices: FloatArray
    stride: int

    def take(self, start: int, size: int, /) -> FloatArray:
        chosen = np.arange(start, start + size) // self.stride % self.choices.shape[1]
        labels: FloatArray = self.choices[:, chosen]
        return labels


@dataclass(frozen=True, slots=True)
class _Drawn:
    rng: np.random.Generator
    n_labelled: int
    n_pooled: int

    def take(self, _start: int, size: int, /) -> FloatArray:
        return draw_labels(self.rng, self.n_labelled, self.n_pooled, size)


@dataclass(frozen=True, slots=True)
class _Swapped:
    """All samples of the case change sides, or none."""

    rng: np.random.Generator
    labels: FloatArray

    def take(self, _start: int, size: int, /) -> FloatArray:
        swapped = self.rng.integers(0, 2, size=size, dtype=np.int8)
        labels: FloatArray = np.where(swapped == 1, 1 - self.labels, self.labels)
        return labels


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts relabellings with a difference at least, and at most, the observed one."""

    observed: float
    tolerance: float

    def count(self, differences: FloatArray) -> FloatArray:
        """At least, at most, all; a relabelling without a value counts as a tie, the cautious way."""
        undefined = np.isnan(differences)
        at_least = undefined | (differences >= self.observed - self.tolerance)
        at_most = undefined | (differences <= self.observed + self.tolerance)
        return np.array([at_least.sum(), at_most.sum(), len(differences)], dtype=float)


def relabel(pooled: Pool, *, scope: Scope, resamples: int, seed: int) -> TailProbabilities:
    """Test the difference of an aggregate by relabelling; ties count on both sides.

    All relabellings are looked at where they are few (see ``Evaluator.enumerate_up_to``), else `resamples`
    random ones and the observed one. With as many samples on both sides of every case they are drawn in
    complementary pairs, so that exchanging the sides exchanges the tails exactly.
    """
    sizes = [(int(mask.sum()), len(mask)) for mask in pooled.is_candidate]
    turned = tuple(n - k for k, n in sizes) > tuple(k for k, _ in sizes)
    labelled = pooled.side(candidate=not turned)
    values = [float(pooled.evaluator.values(pooled.side(candidate=c), 1)[0]) for c in (turned, not turned)]
    observed = values[1] - values[0]
    counter = _Counter(observed, TIE * max(abs(value) for value in values))
    varying = _varying(pooled, scope)
    splits = [_n_splits(labels, scope) for labels in labelled]
    symmetric = scope == "population" or all(2 * labels.sum() == len(labels) for labels in labelled)
    possible = prod(n for n, varies in zip(splits, varying, strict=True) if varies)
    if possible <= pooled.evaluator.enumerate_up_to:
        sources = _listed(labelled, varying, scope)
        totals = sum(map(counter.count, _differences(pooled, sources, possible)), np.zeros(3))
    else:
        sources = _drawn(labelled, varying, scope, seed)
        totals = counter.count(np.array([observed, -observed] if symmetric else [observed]))
        for differences in _differences(pooled, sources, n_pairs(resamples) - 1 if symmetric else resamples):
            totals += counter.count(differences)
            totals += counter.count(-differences) if symmetric else 0
    at_least, at_most, total = totals
    if turned:
        at_least, at_most = at_most, at_least
    return TailProbabilities(
        at_least=float(at_least / total),
        at_most=float(at_most / total),
        n_relabellings=prod(splits),
        constant=not any(varying),
    )


def _varying(pooled: Pool, scope: Scope) -> list[bool]:
    """Per case whether relabelling changes anything."""
    if scope == "suite":
        return [len(set(keys)) > 1 for keys in pooled.keys]
    sides = (pooled.contents(candidate=False), pooled.contents(candidate=True))
    return [mine != theirs for mine, theirs in zip(*sides, strict=True)]


def _n_splits(labels: FloatArray, scope: Scope) -> int:
    return 2 if scope == "population" else comb(len(labels), int(labels.sum()))


def _listed(labelled: Sequence[FloatArray], varying: Sequence[bool], scope: Scope) -> list[_Labels]:
    sources: list[_Labels] = []
    stride = 1
    for labels, varies in zip(labelled, varying, strict=True):
        if not varies:
            sources.append(_Fixed(labels))
            continue
        choices = np.hstack([labels, 1 - labels]) if scope == "population" else _all_splits(labels)
        sources.append(_Listed(choices, stride))
        stride *= choices.shape[1]
    return sources


def _all_splits(labels: FloatArray) -> FloatArray:
    n, k = len(labels), int(labels.sum())
    chosen = np.array(list(combinations(range(n), k)))
    splits = np.zeros((n, len(chosen)))
    splits[chosen.T, np.arange(len(chosen))] = 1
    return splits


def _drawn(labelled: Sequence[FloatArray], varying: Sequence[bool], scope: Scope, seed: int) -> list[_Labels]:
    sources: list[_Labels] = []
    for case, (labels, varies) in enumerate(zip(labelled, varying, strict=True)):
        n, k = len(labels), int(labels.sum())
        rng = np.random.default_rng([seed, case, k, n] if scope == "suite" else [seed, case])
        drawn = _Drawn(rng, k, n) if scope == "suite" else _Swapped(rng, labels)
        sources.append(drawn if varies else _Fixed(labels))
    return sources


def _differences(pooled: Pool, sources: Sequence[_Labels], number: int) -> Iterator[FloatArray]:
    """Differences of so many relabellings, block by block."""
    block = pooled.evaluator.block
    for start in range(0, number, block):
        size = min(block, number - start)
        labels = [source.take(start, size) for source in sources]
        yield pooled.difference(labels, [1 - each for each in labels], size)
