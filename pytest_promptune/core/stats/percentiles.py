"""A percentile over all samples as an aggregate, so that it has an interval from a bootstrap of the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray
from pytest_promptune.core.stats.resampling import Evaluator
from pytest_promptune.core.values import dataclass

#: Sets at a time.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Percentile:
    """The q-th percentile of the samples of a set, interpolated linearly as ``numpy.percentile`` does."""

    #: 0..100.
    q: float
    resamples: int | None = None
    is_share: bool = False

    def key(self, sample: float) -> float:
        """What tells samples apart, and orders them."""
        return sample

    def evaluator(self, cases: Sequence[Sequence[float]]) -> Evaluator:
        """Values of weighted sets of these samples."""
        return _Percentiles(np.concatenate([np.asarray(case, dtype=float) for case in cases]), self.q)


@dataclass(frozen=True, slots=True)
class _Percentiles:
    """Percentiles of sets that have each sample as often as its weight says."""

    samples: FloatArray
    q: float
    block: int = _BLOCK
    enumerate_up_to: int = 0

    def values(self, weights: Sequence[FloatArray], size: int) -> FloatArray:
        """See ``Evaluator``."""
        order = np.argsort(self.samples, kind="stable")
        weight = np.concatenate([np.broadcast_to(one, (len(one), size)) for one in weights])[order]
        counts = weight.cumsum(axis=0)
        ordered, total = self.samples[order], counts[-1]
        place = (total - 1) * self.q / 100
        low, high = np.floor(place), np.ceil(place)
        lower, upper = (ordered[np.argmax(counts > rank, axis=0)] for rank in (low, high))
        found: FloatArray = np.where(total > 0, lower + (upper - lower) * (place - low), np.nan)
        return found
