"""How often k runs of a 0/1 metric have at least one pass (pass@k), and how often all of them pass (pass^k).

Both are unbiased estimates from n runs with c passes, as if k of the n were drawn without putting any back:
pass@k = 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374) says what retrying or choosing could
reach, pass^k = C(c, k) / C(n, k) (Yao et al. 2024, arXiv 2406.12045) what can be relied upon.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from pytest_promptune.core.stats.cells import tabulate
from pytest_promptune.core.stats.model import (
    PassEstimate,
    PassGroup,
    Passing,
    Scores,
    require_count,
)

#: All k up to here are estimated, and the number of runs itself.
MOST_K = 10


def pass_at_k(scores: Scores, k: int) -> PassEstimate:
    """The share of cases of which at least one of ``k`` runs passes, and the same for each case, in [0, 1].

    Missing runs are left out. A case with fewer than ``k`` runs left has no estimate (``None``), has no part
    in the mean, and is counted. Raises StatsError for a ``k`` that is no whole number of at least 1, and for
    values other than 0, 1 and missing.
    """
    return _estimate(_counts(scores), k, _any_passes)


def pass_hat_k(scores: Scores, k: int) -> PassEstimate:
    """The share of cases of which all of ``k`` runs pass, and the same for each case; else as `pass_at_k`."""
    return _estimate(_counts(scores), k, _all_pass)


def passing(scores: Scores) -> Passing:
    """Both for every k up to the largest number of runs (beyond `MOST_K`, for that number alone)."""
    counts = _counts(scores)
    most = max((n for n, _ in counts.values()), default=0)
    ks = [k for k in range(1, most + 1) if k <= MOST_K or k == most]
    at = {k: _estimate(counts, k, _any_passes) for k in ks}
    hat = {k: _estimate(counts, k, _all_pass) for k in ks}
    groups: dict[tuple[int, int], list[str]] = {}
    for case, found in counts.items():
        groups.setdefault(found, []).append(case)
    return Passing(
        at=_means(at),
        hat=_means(hat),
        left_out={k: found.n_left_out for k, found in at.items() if found.n_left_out},
        groups=tuple(
            PassGroup(
                runs=n,
                passes=c,
                cases=tuple(groups[n, c]),
                at={k: _any_passes(n, c, k) for k in ks if k <= n},
                hat={k: _all_pass(n, c, k) for k in ks if k <= n},
            )
            for n, c in sorted(groups, key=lambda found: (found[1] / max(found[0], 1), found))
            if n
        ),
    )


def _means(found: Mapping[int, PassEstimate]) -> dict[int, float]:
    return {k: estimate.mean for k, estimate in found.items() if estimate.mean is not None}


def _counts(scores: Scores) -> dict[str, tuple[int, int]]:
    """Runs with a value and passes by case, in the order of the ids."""
    table = tabulate(scores, metric="scores", kind="binary")
    runs, passes = np.count_nonzero(~np.isnan(table.values), axis=1), np.nansum(table.values, axis=1)
    return {
        case: (int(n), int(c)) for case, n, c in zip(table.cases, runs.tolist(), passes.tolist(), strict=True)
    }


def _estimate(
    counts: Mapping[str, tuple[int, int]], k: int, chance: Callable[[int, int, int], float]
) -> PassEstimate:
    require_count("k", k, lowest=1)
    chances = {(n, c): chance(n, c, k) for n, c in set(counts.values()) if n >= k}
    cases = {case: chances.get(found) for case, found in counts.items()}
    known = [value for value in cases.values() if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    return PassEstimate(k=k, mean=mean, cases=cases, n_left_out=len(cases) - len(known))


def _any_passes(n: int, c: int, k: int) -> float:
    return (math.comb(n, k) - math.comb(n - c, k)) / math.comb(n, k)


def _all_pass(n: int, c: int, k: int) -> float:
    return math.comb(c, k) / math.comb(n, k)
