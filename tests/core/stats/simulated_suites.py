"""Suites with known truth: cases of different difficulty, a change to find, and repeated runs."""

import numpy as np

Scores = dict[str, list[float]]


def as_scores(values: np.ndarray) -> Scores:
    return {f"case{row:03}": [float(value) for value in runs] for row, runs in enumerate(values)}


def pass_rates(rng: np.random.Generator, n_cases: int, *, mean: float = 0.75, icc: float = 0.6) -> np.ndarray:
    """The typical suite: most cases always pass or never do."""
    total = 1 / icc - 1
    return rng.beta(mean * total, (1 - mean) * total, n_cases)


def binary(rng: np.random.Generator, rates: np.ndarray, runs: int) -> Scores:
    return as_scores((rng.random((len(rates), runs)) < rates[:, None]).astype(float))


def normal(rng: np.random.Generator, means: np.ndarray, sd: float, runs: int) -> Scores:
    return as_scores(rng.normal(means[:, None], sd, (len(means), runs)))


def lognormal(rng: np.random.Generator, means: np.ndarray, sd: float, runs: int) -> Scores:
    return as_scores(np.exp(rng.normal(means[:, None], sd, (len(means), runs))))


def logit_shift(points: float) -> float:
    """How far to move all logits so that the mean over all possible cases falls by ``points``."""
    many = pass_rates(np.random.default_rng(0), 100_000)
    low, high = 0.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        fall = many.mean() - shifted(many, middle).mean()
        low, high = (middle, high) if fall < points else (low, middle)
    return high


def shifted(rates: np.ndarray, shift: float) -> np.ndarray:
    """Move all rates down by the same amount on the logit scale."""
    rates = np.clip(rates, 1e-12, 1 - 1e-12)
    return rates / (rates + (1 - rates) * np.exp(shift))


def broken(rates: np.ndarray) -> np.ndarray:
    """The best tenth of the cases, at least one, nearly always fails."""
    worse = rates.copy()
    worse[np.argsort(rates)[-max(1, len(rates) // 10) :]] = 0.02
    return worse
