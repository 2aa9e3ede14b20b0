"""Suites with known truth: cases of different difficulty, a change to find, and repeated runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from pytest_promptune.stats import MetricSpec, Pair, compare

Scores = dict[str, list[float]]
#: What happens to the pass rates (cases,) between the reference and the candidate.
Change: TypeAlias = Callable[[np.ndarray], np.ndarray]

#: Latency without its tolerance: the promise has to hold before it.
SPECS = {
    "accuracy": MetricSpec("binary", "higher"),
    "score": MetricSpec("score", "higher"),
    "latency": MetricSpec("latency", "lower", tolerance=0.0),
    "cost": MetricSpec("cost", "lower"),
}
#: Two more kinds of 0/1 metrics and scores beside these four.
SIX_SPECS = {**SPECS, "mature": MetricSpec("binary", "higher"), "length": MetricSpec("score", "lower")}


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


def unchanged_build(
    rng: np.random.Generator,
    n_cases: int = 20,
    runs: int = 5,
    *,
    specs: Mapping[str, MetricSpec] = SPECS,
    candidates: Sequence[str] = ("same",),
) -> list[Pair]:
    """All sides drawn from the same truth, all metrics gated."""
    rates = pass_rates(rng, n_cases)
    levels = rng.uniform(0.3, 0.9, n_cases)
    seconds = rng.normal(0.5, 0.5, n_cases)
    costs = rng.uniform(0.01, 0.02, n_cases)
    mature = pass_rates(rng, n_cases, mean=0.95, icc=0.5) if "mature" in specs else rates
    draw = {
        "accuracy": lambda: binary(rng, rates, runs),
        "score": lambda: normal(rng, levels, 0.1, runs),
        "latency": lambda: lognormal(rng, seconds, 0.3, runs),
        "cost": lambda: normal(rng, costs, 0.001, runs),
        "mature": lambda: binary(rng, mature, runs),
        "length": lambda: normal(rng, 50 * levels, 8.0, runs),
    }
    pairs = []
    for name, spec in specs.items():
        reference = draw[name]()
        pairs += [
            Pair(
                metric=name,
                reference="current",
                candidate=candidate,
                reference_scores=reference,
                candidate_scores=draw[name](),
                spec=spec,
            )
            for candidate in candidates
        ]
    return pairs


def rejections(change: Change, n_builds: int, *, seed: int = 7) -> int:
    """Typical suites of 20 cases x 5 runs: how many changes of accuracy are found (two-sided 5 %)."""
    rng = np.random.default_rng(seed)
    found = 0
    for build in range(n_builds):
        rates = pass_rates(rng, 20)
        reference, candidate = binary(rng, rates, 5), binary(rng, change(rates), 5)
        found += compare(reference, candidate, resamples=999, seed=build).p_value <= 0.05
    return found


def partly_redrawn(rng: np.random.Generator, rates: np.ndarray) -> np.ndarray:
    """About 30 % of the cases become others of the same kind."""
    return np.where(rng.random(len(rates)) < 0.3, pass_rates(rng, len(rates)), rates)


def covered(
    change: Callable[[np.random.Generator, np.ndarray], np.ndarray], n_builds: int, *, seed: int = 11
) -> int:
    """How many 95 % intervals hold the true change of the 20 cases."""
    rng = np.random.default_rng(seed)
    hits = 0
    for build in range(n_builds):
        rates = pass_rates(rng, 20)
        others = change(rng, rates)
        row = compare(binary(rng, rates, 5), binary(rng, others, 5), resamples=799, seed=build)
        low, high = row.ci
        hits += low <= others.mean() - rates.mean() <= high
    return hits
