"""What samples and their scorers use, and how much money a session may spend."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_promptune.core.display import money
from pytest_promptune.core.model import SampleRecord, Usage

#: How the reason begins for which a sample was not generated.
SPENT = "the budget is spent"


#: Samples that failed without a known cost, after which the next ones are no longer awaited one by one.
_MOST_FAILURES = 3


class Budget:
    """Adds up what calls cost; written by the engine's thread alone."""

    def __init__(self, limit_usd: float, *, expected_usd: float | None = None) -> None:
        """Nothing is spent.

        Args:
            limit_usd: that may be spent.
            expected_usd: what one sample costs, as far as earlier sessions tell; it counts like one sample.
        """
        self.limit_usd = limit_usd
        self.spent_usd = 0.0
        self._expected_usd = expected_usd
        self._samples = self._scorings = self._failures = 0

    def spend(self, cost_usd: float | None) -> None:
        """Add what a call cost; ``None`` for one that cost nothing, or where it isn't known."""
        self.spent_usd += cost_usd or 0.0

    def sampled(self, record: SampleRecord) -> None:
        """A sample is there; one that failed tells nothing of the price unless it has one."""
        tells = record.error is None or record.usage.cost_usd is not None
        self._failures += not tells
        self._samples += tells or self._failures >= _MOST_FAILURES

    def scored(self) -> None:
        """Scorers have judged a sample, which may be a stored one."""
        self._scorings += 1

    @property
    def is_spent(self) -> bool:
        """Nothing more may start."""
        return self.spent_usd >= self.limit_usd

    @property
    def affordable(self) -> int | None:
        """How many samples may be in flight, by what one costs on average; ``None`` for any number.

        One may as long as something is left: what it costs is known afterwards.
        """
        told = max(self._samples, self._scorings)
        if not told and self._expected_usd is None:
            return 1
        is_expected = self._expected_usd is not None
        mean = (self.spent_usd + (self._expected_usd or 0.0)) / (told + is_expected)
        if mean <= 0:
            return None
        return max(1, int((self.limit_usd - self.spent_usd) / mean + 1e-9))

    def __str__(self) -> str:
        return f"{money(self.spent_usd)} of {money(self.limit_usd)} (--promptune-max-cost)"


class Ledger:
    """Adds up costs and failures, and stops what spends more than the budget; in one thread."""

    def __init__(
        self, budget: Budget | None, *, stop: Callable[[str], None], allow: Callable[[int | None], None]
    ) -> None:
        """Nothing is used yet.

        Args:
            budget: nothing more starts when it is spent.
            stop: called with the reason then.
            allow: told how many samples may be in flight, whenever that may have changed.
        """
        self._budget = budget
        self._stop = stop
        self._allow = allow
        #: Samples that failed by the app's own doing, and those lost to the infrastructure.
        self.errored = 0
        self.lost = 0
        #: As far as it is known.
        self.cost_usd: float | None = None

    def sampled(self, record: SampleRecord, *, awaits_scores: bool = False) -> None:
        """A sample is there; what its attempts cost is charged apart.

        One that awaits its scorers tells what a sample costs when they have `scored`.
        """
        if record.error is not None:
            self.lost += record.error.infrastructure
            self.errored += not record.error.infrastructure
        self._add(record.usage)
        if self._budget is not None and not awaits_scores:
            self._budget.sampled(record)

    def scored(self, spent: Iterable[Usage]) -> None:
        """Scorers have used this."""
        calls = list(spent)
        for usage in calls:
            self._add(usage)
        if self._budget is not None:
            self._budget.scored()
        self.charge(calls)

    def charge(self, spent: Iterable[Usage]) -> None:
        """Take what calls cost from the budget: failed attempts are paid for as well."""
        if self._budget is None:
            return
        for usage in spent:
            self._budget.spend(usage.cost_usd)
        if self._budget.is_spent:
            self._stop(f"{SPENT}: {self._budget}")
        else:
            self._allow(self._budget.affordable)

    def _add(self, usage: Usage) -> None:
        if usage.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + usage.cost_usd
