"""How much money a session may spend."""

from __future__ import annotations

from pytest_promptune.core.display import money

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
