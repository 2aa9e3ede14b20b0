"""Effect sizes that do not depend on the metric's unit."""

import math

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray, PairedCells


def cliffs_delta(pair: PairedCells) -> float:
    """Mean over cases of P(candidate run > reference run) - P(<) over all pairs of runs (Cliff 1993).

    (delta + 1) / 2 is the share of duels the candidate wins; for binary metrics delta is the difference.
    """
    duels = np.sign(pair.candidate.values[:, :, None] - pair.reference.values[:, None, :])
    return float((np.nansum(duels, axis=(1, 2)) / (pair.candidate.n * pair.reference.n)).mean())


def hedges_g(differences: FloatArray, *, rounding: float) -> float | None:
    """Mean case difference in standard deviations of the case differences, corrected for few cases.

    ``None`` for fewer than three cases, or if the differences do not vary by more than ``rounding``.
    """
    n_cases = len(differences)
    if n_cases < 3:
        return None
    sd = float(np.std(differences, ddof=1))
    if sd <= rounding:
        return None
    df = n_cases - 1
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * float(differences.mean()) / sd
