"""Noise that comes from repeating runs: how far a mean of case means would move if all were run again."""

import numpy as np

from pytest_promptune.core.stats.cells import ROUNDING, BoolArray, Cells, FloatArray, IntArray


def noise_weights(n_first: IntArray, n_second: IntArray) -> tuple[FloatArray, FloatArray]:
    """Weights (cases,) of the sums of squares of two variants in the squared error of their difference.

    A cell with n > 1 runs adds squares / (n - 1) / n / cases^2. A cell with one run has no variance of its
    own and borrows the pooled one of its variant, or of the other variant if its own has none at all.
    The weights depend on the run counts alone, so they serve every relabelling.
    """
    counts = (n_first, n_second)
    weights = [np.where(n > 1, 1.0 / (n * np.maximum(n - 1, 1)), 0.0) for n in counts]
    free = [int((n - 1).sum()) for n in counts]
    for variant, n in enumerate(counts):
        lender = variant if free[variant] else 1 - variant
        if free[lender]:
            singles = np.count_nonzero(n == 1)
            weights[lender] = weights[lender] + singles / free[lender] * (counts[lender] > 1)
    n_cases = len(n_first)
    return weights[0] / n_cases**2, weights[1] / n_cases**2


def run_variances(cells: Cells, other: Cells | None = None) -> FloatArray | None:
    """Variance between the runs of each case, (cases,), the pooled one where a case ran once.

    ``other`` is the variant to borrow from when no case of ``cells`` has two runs. ``None`` when nobody has.
    Variance that is only rounding counts as 0.
    """
    lender = cells if (cells.n > 1).any() else other
    if lender is None or not (lender.n > 1).any():
        return None
    pooled = lender.squares.sum() / (lender.n - 1).sum()
    variance = np.where(cells.n > 1, cells.variance, pooled)
    return np.where(variance < rounding_variance(cells), 0.0, variance)


def squared_error(cells: Cells, variances: FloatArray) -> float:
    """Squared standard error of the mean of case means, given the variance of each case."""
    return float((variances / cells.n).sum()) / len(cells.n) ** 2


def welch_satterthwaite(parts: list[tuple[Cells, FloatArray]]) -> float:
    """Degrees of freedom of a sum of squared errors; cells with one run have no part in it."""
    total = sum(squared_error(cells, variances) for cells, variances in parts)
    below = 0.0
    for cells, variances in parts:
        many: BoolArray = cells.n > 1
        share = variances[many] / cells.n[many] / len(cells.n) ** 2
        below += float((share**2 / (cells.n[many] - 1)).sum())
    return max(1.0, total**2 / below) if below else 1.0


def within_variance(cells: Cells) -> float | None:
    """Mean variance between the runs of a case, over the cases with at least two."""
    many = cells.n > 1
    return float(cells.variance[many].mean()) if many.any() else None


def binary_floor(cells: Cells) -> float:
    """Smallest variance a 0/1 metric is credited with: one failure in n + 2 runs (n in all)."""
    n = harmonic_total(cells)
    return (n + 1) / (n + 2) ** 2


def harmonic_total(cells: Cells) -> float:
    """Number of runs, if cases with few runs are weighted like the others: cases^2 / sum(1/n)."""
    return len(cells.n) ** 2 / float((1 / cells.n).sum())


def sample_sd(values: FloatArray) -> float | None:
    """Standard deviation with ddof 1; ``None`` for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def rounding_variance(cells: Cells) -> float:
    """Variance below this is rounding."""
    return (ROUNDING * float(np.abs(cells.flat).max())) ** 2
