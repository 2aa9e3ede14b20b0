"""Labels of the runs of one case: all ways, and random ones."""

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray, IntArray

#: Up to this many ways to label the runs of a case, what they add is looked up (seven runs on each side).
TABULATE_UP_TO = 3_432


@lru_cache(maxsize=8)
def choices(n: int, k: int) -> IntArray:
    """All ways (ways, k) to label k of n values; kept, since thousands of cases of a suite are alike."""
    ways = np.array(list(combinations(range(n), k)), dtype=np.intp)
    ways.flags.writeable = False
    return ways


@lru_cache(maxsize=32)
def all_labels(n: int, k: int) -> FloatArray:
    """All labels (n, ways) of 0 and 1 with k ones each."""
    ways = choices(n, k)
    labels = np.zeros((n, len(ways)))
    labels[ways.T, np.arange(len(ways))] = 1
    labels.flags.writeable = False
    return labels


def draw_labels(rng: np.random.Generator, n_labelled: int, n_pooled: int, size: int) -> FloatArray:
    """Random labels (n_pooled, size) of 0 and 1, each column with `n_labelled` ones.

    One of all ways, where these are few; else by selection sampling (Knuth, The Art of Computer
    Programming 2, algorithm 3.4.2 S): run by run, take it with probability still needed / still left.
    """
    if comb(n_pooled, n_labelled) <= TABULATE_UP_TO:
        table = all_labels(n_pooled, n_labelled)
        return np.take(table, rng.integers(0, table.shape[1], size=size), axis=1)
    uniform = rng.random((n_pooled, size), dtype=np.float32)
    labels = np.empty((n_pooled, size))
    needed = np.full(size, n_labelled, dtype=np.float32)
    for run in range(n_pooled):
        taken = uniform[run] * np.float32(n_pooled - run) < needed
        labels[run] = taken
        needed -= taken
    return labels
