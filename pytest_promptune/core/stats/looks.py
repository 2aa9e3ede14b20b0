"""Error levels for a test that may look at the data before all runs are there."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pytest_promptune.core.errors import StatsError
from pytest_promptune.core.stats.model import require_count, require_fraction, require_one_of
from pytest_promptune.core.stats.special import normal_cdf, normal_quantile

Spending = Literal["obf", "split"]
#: Shares of the error level at three looks: late looks, which see most runs, get most of it.
THREE_LOOKS = (0.2, 0.3, 0.5)


def spending(total: float, looks: Sequence[int], *, kind: Spending = "obf") -> list[float]:
    """One-sided error level of every look; they add up to at most ``total``.

    ``looks`` are numbers of runs, ascending, fixed before the first run. ``obf`` spends like O'Brien-Fleming
    (Lan and DeMets 1983): nearly nothing early, so that hardly any power is lost. ``split`` gives 20, 30 and
    50 % to three looks and equal parts to any other number: more runs saved, less power.
    """
    require_fraction("total", total)
    require_one_of("kind", kind, Spending)
    for look in looks:
        require_count("looks", look, lowest=1, example=", for example [3, 6, 10]")
    if not looks or any(b <= a for a, b in pairwise(looks)):
        raise StatsError(f"looks={list(looks)!r}: must be ascending numbers of runs, for example [3, 6, 10].")
    if kind == "split":
        shares = THREE_LOOKS if len(looks) == len(THREE_LOOKS) else [1 / len(looks)] * len(looks)
        return [total * share for share in shares]
    z = -normal_quantile(total / 2)
    spent = [2 * normal_cdf(-z / math.sqrt(look / looks[-1])) for look in looks]
    return [now - before for before, now in pairwise([0.0, *spent])]
