"""The permutation engine against a slow one that recomputes everything from its definition."""

from itertools import combinations, product
from math import sqrt
from statistics import mean, variance

import numpy as np
import pytest

from pytest_promptune.core.stats import permutation
from pytest_promptune.core.stats.cells import pair, tabulate
from pytest_promptune.stats import compare


def slow_statistic(cells):
    """d / SE of a list of (reference values, candidate values), single runs with pooled variance."""
    n_cases = len(cells)
    difference = mean(mean(new) - mean(old) for old, new in cells)
    error = 0.0
    pooled = []
    for side in (0, 1):
        squares = sum(variance(cell[side]) * (len(cell[side]) - 1) for cell in cells if len(cell[side]) > 1)
        free = sum(len(cell[side]) - 1 for cell in cells)
        pooled.append(squares / free if free else None)
    for side in (0, 1):
        fallback = pooled[side] if pooled[side] is not None else pooled[1 - side]
        for cell in cells:
            own = variance(cell[side]) if len(cell[side]) > 1 else fallback
            error += own / len(cell[side]) / n_cases**2
    largest = max(abs(value) for cell in cells for side in cell for value in side)
    return difference / sqrt(max(error, (1e-6 * largest) ** 2))


def slow_tails(cells):
    """P(t* >= t) and P(t* <= t) over all relabellings."""
    options = []
    for old, new in cells:
        values, splits = old + new, []
        for chosen in combinations(range(len(values)), len(new)):
            rest = [values[i] for i in range(len(values)) if i not in chosen]
            splits.append((rest, [values[i] for i in chosen]))
        options.append(splits)
    observed = slow_statistic(cells)
    statistics = [slow_statistic(list(cell)) for cell in product(*options)]
    slack = 1e-9 * max(1, abs(observed))
    return (
        mean(value >= observed - slack for value in statistics),
        mean(value <= observed + slack for value in statistics),
    )


def paired(cells, kind="score"):
    reference = {f"c{i}": old for i, (old, _) in enumerate(cells)}
    candidate = {f"c{i}": new for i, (_, new) in enumerate(cells)}
    return pair(*(tabulate(side, metric="m", kind=kind) for side in (reference, candidate)))


LAYOUTS = {
    "balanced": [(3, 3), (3, 3), (3, 3)],
    "unbalanced": [(2, 3), (3, 2), (4, 2)],
    "single runs": [(1, 3), (3, 3), (2, 1)],
    "reference always once": [(1, 4), (1, 2), (1, 3), (1, 4)],
    "one case": [(4, 3)],
}


def random_cells(layout, *, binary, seed=3):
    rng = np.random.default_rng(seed)
    draw = (lambda n: rng.integers(0, 2, n)) if binary else (lambda n: rng.normal(5, 1, n))
    return [([float(v) for v in draw(n0)], [float(v) for v in draw(n1)]) for n0, n1 in layout]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "score"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_enumeration_equals_the_definition(layout, binary):
    """The vectorised enumeration gives the p-values of a plain one, whatever the run counts."""
    cells = random_cells(layout, binary=binary)
    (tails,) = permutation.relabel_runs([paired(cells)], studentized=True, resamples=99, seed=0)
    assert (tails.at_least, tails.at_most) == pytest.approx(slow_tails(cells), abs=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_random_relabellings_approach_the_enumeration(layout, monkeypatch):
    """Sampling estimates the same probabilities, with an error of a Monte Carlo of its size."""
    columns = [paired(random_cells(layout, binary=binary)) for binary in (True, False)]
    exact = permutation.relabel_runs(columns, studentized=True, resamples=99, seed=0)
    monkeypatch.setattr(permutation, "ENUMERATE_UP_TO", 0)
    sampled = permutation.relabel_runs(columns, studentized=True, resamples=40_000, seed=1)
    for one, other in zip(exact, sampled, strict=True):
        assert other.at_least == pytest.approx(one.at_least, abs=0.01)
        assert other.at_most == pytest.approx(one.at_most, abs=0.01)


def test_random_sign_flips_approach_the_enumeration(monkeypatch):
    """Sampled signs estimate the exact sign-flip probabilities."""
    differences = [np.random.default_rng(5).normal(0.3, 1, 12)]
    (exact,) = permutation.flip_signs(differences, resamples=99, seed=0)
    monkeypatch.setattr(permutation, "ENUMERATE_UP_TO", 0)
    (sampled,) = permutation.flip_signs(differences, resamples=40_000, seed=0)
    assert sampled.at_least == pytest.approx(exact.at_least, abs=0.01)


def test_columns_do_not_disturb_each_other():
    """A metric's p-values are the same alone and beside forty others of its layout."""
    layout = [(5, 5)] * 12
    columns = [paired(random_cells(layout, binary=seed % 2 == 0, seed=seed)) for seed in range(41)]
    together = permutation.relabel_runs(columns, studentized=True, resamples=999, seed=0)
    (alone,) = permutation.relabel_runs(columns[40:], studentized=True, resamples=999, seed=0)
    assert together[40] == alone


def test_p_value_is_never_zero():
    """The observed labels count among the relabellings, so p is at least 2 / (1 + resamples)."""
    good, bad = {f"c{i:02}": [1] * 5 for i in range(20)}, {f"c{i:02}": [0] * 5 for i in range(20)}
    row = compare(good, bad, resamples=999)
    assert row.p_worse == pytest.approx(1 / 1000)
    assert row.p_value == pytest.approx(2 / 1000)


def test_one_case_is_fishers_exact_test():
    """Two-by-two tables inside one case give the hypergeometric tail."""
    row = compare({"a": [1, 1, 1, 1, 0]}, {"a": [1, 0, 0, 0, 0]})
    # 5 of 10 pass; at most 1 of the 5 candidate runs does: (C(5,0) C(5,5) + C(5,1) C(5,4)) / C(10,5)
    assert row.p_worse == pytest.approx(26 / 252)
