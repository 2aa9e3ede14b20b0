"""The looks of one session: which are planned, which are over, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_promptune.core.looks import Looks, plan_looks
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.runs import Runs
from pytest_promptune.core.sharing import Standing
from pytest_promptune.core.view import LookView
from pytest_promptune.settings import Settings


class Looking:
    """Keeps the looks of a session in order; without looks everything is needed."""

    def __init__(self, settings: Settings, runs_of: Callable[[PlannedItem], Runs]) -> None:
        """Nothing is planned yet.

        Args:
            settings: what the user asked for.
            runs_of: what was asked for an item, by option, ini file or marker.
        """
        self._settings = settings
        self._runs_of = runs_of
        self._looks: Looks | None = None
        self.standing = Standing()
        #: How many items were left out.
        self.not_needed = 0

    def numbers(self, items: Sequence[PlannedItem]) -> tuple[int, ...] | None:
        """The look before which each item runs, ``None`` where all runs are measured in one go.

        A baseline is measured in full. Where nothing is gated there is nothing to be clear about.
        """
        settings = self._settings
        if settings.mode == "baseline" or settings.gate == "off":
            return None
        found = plan_looks(items, self._runs_of, alpha=settings.alpha)
        return found.numbers if found else None

    def plan(self, items: Sequence[PlannedItem]) -> bool:
        """Fix the looks; whether there are any.

        They need the items in their order. Where another plugin has deselected or moved some since they got
        their numbers, everything is measured.
        """
        numbers = self.numbers(items)
        is_in_order = numbers == tuple(item.look for item in items) and numbers == tuple(sorted(numbers))
        found = plan_looks(items, self._runs_of, alpha=self._settings.alpha) if is_in_order else None
        self._looks = found.looks if found else None
        return self._looks is not None

    def to_json(self) -> dict[str, Any] | None:
        """The plan as plain data, for the process that judges."""
        return self._looks.to_json() if self._looks else None

    def take_over(self, data: Mapping[str, Any] | None) -> None:
        """Take over the plan of another process, which collected."""
        self._looks = Looks.from_json(data) if data else None

    # --- between the items ------------------------------------------------------------------------

    @property
    def open(self) -> int | None:
        """Up to which look samples may be generated, ``None``: all."""
        return self.standing.open if self._looks else None

    def is_due(self, item: PlannedItem) -> bool:
        """Whether a look has to be taken before an item runs."""
        return self._looks is not None and not self.standing.not_needed and item.look > self.standing.open

    def taken(self, *, clear: bool) -> None:
        """The look that was due is over."""
        number = self.standing.open
        if self._looks is not None and clear:
            self.standing = Standing(open=number, not_needed=self._looks.reason(number))
        else:
            self.standing = Standing(open=number + 1)

    def why_not_needed(self, item: PlannedItem) -> str:
        """Why an item need not run any more, or empty."""
        return self.standing.not_needed if item.look > self.standing.open else ""

    # --- the end ----------------------------------------------------------------------------------

    @property
    def alpha(self) -> float | None:
        """Two-sided error level of the look that is due, or was the last; ``None``: the session's."""
        return self._looks.alpha(self.standing.open) if self._looks else None

    @property
    def view(self) -> LookView | None:
        """What is told of the look by which the session was judged."""
        return self._looks.view(self.standing.open, not_needed=self.not_needed) if self._looks else None
