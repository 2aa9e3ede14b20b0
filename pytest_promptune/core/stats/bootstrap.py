"""Bootstrap intervals of aggregate metrics, stratified by case."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf, sqrt

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray
from pytest_promptune.core.stats.model import Interval, Scope
from pytest_promptune.core.stats.resampling import Evaluator, Pool, value_of_all
from pytest_promptune.core.values import dataclass

#: Above this share of bootstrap sets without a value there is no interval.
MOST_UNDEFINED = 0.1
#: Streams of random numbers apart from those of the labels.
_BOOTSTRAP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What a bootstrap says of an aggregate, or of a difference of two."""

    #: ``None`` where too many sets have no value; infinite where a single case bounds nothing.
    interval: Interval | None
    #: ``None`` likewise.
    standard_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The samples of one side among those of both."""

    #: Per case (samples, 1): 1 for those of this side.
    masks: Sequence[FloatArray]
    #: Per case: whether they differ from each other, so that it matters which are drawn.
    varies: Sequence[bool]


def _side(masks: Sequence[FloatArray], keys: Sequence[Sequence[Hashable]]) -> _Side:
    return _Side(masks=masks, varies=[len(set(of_case)) > 1 for of_case in keys])


def bootstrap_difference(pooled: Pool, *, scope: Scope, alpha: float, resamples: int, seed: int) -> Spread:
    """Percentile interval of candidate minus reference, stratified by case.

    ``suite`` draws the runs of every case anew, on each side; ``population`` draws cases, with the runs of
    both sides. See ``_spread`` for its width.
    """
    reference, candidate = (pooled.contents(candidate=which) for which in (False, True))
    # Both sides draw from streams of their own; which is whose depends on what they hold, not on their names.
    turned = candidate < reference
    first = _side(pooled.side(candidate=turned), candidate if turned else reference)
    second = _side(pooled.side(candidate=not turned), reference if turned else candidate)
    drawn = _resampled(pooled.evaluator, [first, second], scope, resamples, seed)
    differences = (drawn[1] - drawn[0]) * (-1 if turned else 1)
    if reference == candidate:
        differences = np.concatenate([differences, -differences])
    observed = pooled.difference(pooled.side(candidate=True), pooled.side(candidate=False), 1)[0]
    return _spread(float(observed), differences, [first, second], scope, alpha)


def bootstrap_value(
    evaluator: Evaluator,
    keys: Sequence[Sequence[Hashable]],
    *,
    alpha: float,
    resamples: int,
    seed: int,
) -> Spread:
    """Percentile interval of the aggregate of one set of samples, over their runs.

    Args:
        evaluator: of the samples.
        keys: of each sample, by case (see ``Statistic.key``).
        alpha: the interval's level is 1 - alpha.
        resamples: how many sets are drawn.
        seed: of what is drawn.
    """
    side = _side([np.ones((len(of_case), 1)) for of_case in keys], keys)
    drawn = _resampled(evaluator, [side], "suite", resamples, seed)
    observed = value_of_all(evaluator, [len(of_case) for of_case in keys])
    return _spread(observed, drawn[0], [side], "suite", alpha)


def _resampled(
    evaluator: Evaluator, sides: Sequence[_Side], scope: Scope, resamples: int, seed: int
) -> FloatArray:
    """Aggregates (sides, resamples) of sets drawn anew; one of each where all draws are alike."""
    if scope == "suite" and not any(any(side.varies) for side in sides):
        return np.array([evaluator.values(side.masks, 1) for side in sides]).repeat(2, axis=1)
    streams = [
        {
            case: np.random.default_rng([seed, _BOOTSTRAP, number, case])
            for case, varies in enumerate(side.varies)
            if varies
        }
        for number, side in enumerate(sides)
    ]
    of_cases = np.random.default_rng([seed, _BOOTSTRAP])
    blocks = []
    for start in range(0, resamples, evaluator.block):
        size = min(evaluator.block, resamples - start)
        if scope == "population":
            times = _multiplicities(of_cases, len(sides[0].masks), size)
            weights = [[mask * n for mask, n in zip(side.masks, times, strict=True)] for side in sides]
        else:
            weights = [
                [_runs(rngs.get(case), mask, size) for case, mask in enumerate(side.masks)]
                for side, rngs in zip(sides, streams, strict=True)
            ]
        blocks.append(np.array([evaluator.values(each, size) for each in weights]))
    return np.concatenate(blocks, axis=1)


def _runs(rng: np.random.Generator | None, mask: FloatArray, size: int) -> FloatArray:
    """Weights of the samples of one case and side, drawn anew with replacement; as they are without `rng`."""
    if rng is None:
        return mask
    mine = np.flatnonzero(mask)
    weights = np.zeros((len(mask), size))
    weights[mine] = _multiplicities(rng, len(mine), size)
    return weights


def _multiplicities(rng: np.random.Generator, number: int, size: int) -> FloatArray:
    """How often each of `number` things is drawn in `number` draws with replacement, (number, size)."""
    drawn = rng.integers(0, number, size=(number, size)) + number * np.arange(size)
    counts = np.bincount(drawn.ravel(), minlength=number * size)
    return counts.reshape(size, number).T.astype(float)


def _spread(
    observed: float, values: FloatArray, sides: Sequence[_Side], scope: Scope, alpha: float
) -> Spread:
    """Percentiles, moved away from the observed value by what few draws are too narrow.

    A mean of n values drawn from n has (n - 1) / n of the variance it should have: with 3 runs the interval
    would be a fifth too narrow. Its reach is multiplied by the root of the mean of n / (n - 1), n being the
    runs of the cases that have several (``population``: the cases).
    """
    if scope == "population" and len(sides[0].masks) == 1:
        return Spread(interval=(-inf, inf), standard_error=None)
    known = values[~np.isnan(values)]
    if len(known) < 2 or len(known) < (1 - MOST_UNDEFINED) * len(values):
        return Spread(interval=None, standard_error=None)
    numbers = [int(mask.sum()) for side in sides for mask in side.masks]
    if scope == "population":
        numbers = [len(sides[0].masks)]
    several = [n / (n - 1) for n in numbers if n > 1]
    factor = sqrt(sum(several) / len(several)) if several else 1.0
    low, high = (float(end) for end in np.quantile(known, [alpha / 2, 1 - alpha / 2]))
    return Spread(
        interval=(observed + factor * (low - observed), observed + factor * (high - observed)),
        standard_error=factor * float(np.std(known, ddof=1)),
    )
