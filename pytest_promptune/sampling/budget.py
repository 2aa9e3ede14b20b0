"""What samples and their scorers use, and how much money a session may spend."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_promptune.core.display import money
from pytest_promptune.core.model import SampleRecord, Usage

#: How the reason begins for which a sample was not generated.
SPENT = "the budget is spent"


class Budget:
    """Adds up what calls cost; written by the engine's thread alone."""

    def __init__(self, limit_usd: float) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = 0.0

    def spend(self, cost_usd: float | None) -> None:
        """Add what a call cost; ``None`` for one that cost nothing, or where it isn't known."""
        self.spent_usd += cost_usd or 0.0

    @property
    def is_spent(self) -> bool:
        """Nothing more may start."""
        return self.spent_usd >= self.limit_usd

    def __str__(self) -> str:
        return f"{money(self.spent_usd)} of {money(self.limit_usd)} (--promptune-max-cost)"


class Ledger:
    """Adds up costs and failures, and stops what spends more than the budget; in one thread."""

    def __init__(self, budget: Budget | None, stop: Callable[[str], None]) -> None:
        """Nothing is used yet.

        Args:
            budget: nothing more starts when it is spent.
            stop: called with the reason then.
        """
        self._budget = budget
        self._stop = stop
        #: Samples that failed by the app's own doing, and those lost to the infrastructure.
        self.errored = 0
        self.lost = 0
        #: As far as it is known.
        self.cost_usd: float | None = None

    def sampled(self, record: SampleRecord) -> None:
        """A sample is there; what its attempts cost is charged apart."""
        if record.error is not None:
            self.lost += record.error.infrastructure
            self.errored += not record.error.infrastructure
        self._add(record.usage)

    def scored(self, spent: Iterable[Usage]) -> None:
        """Scorers have used this."""
        calls = list(spent)
        for usage in calls:
            self._add(usage)
        self.charge(calls)

    def charge(self, spent: Iterable[Usage]) -> None:
        """Take what calls cost from the budget: failed attempts are paid for as well."""
        if self._budget is None:
            return
        for usage in spent:
            self._budget.spend(usage.cost_usd)
        if self._budget.is_spent:
            self._stop(f"{SPENT}: {self._budget}")

    def _add(self, usage: Usage) -> None:
        if usage.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + usage.cost_usd
