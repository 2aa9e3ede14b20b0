"""The looks of one session: which are planned, which are over, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_promptune.core.looks import LookPlan, Looks, plan_looks
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.sharing import Standing
from pytest_promptune.core.view import LookView
from pytest_promptune.settings import Settings


def planned_looks(settings: Settings, items: Sequence[PlannedItem]) -> LookPlan | None:
    """The looks of a session with these items, ``None`` where all runs are measured in one go.

    A baseline is measured in full. Where nothing is gated there is nothing to be clear about.
    """
    if settings.mode == "baseline" or settings.gate == "off":
        return None
    return plan_looks(items, lambda item: settings.runs_of(item.marks.runs), alpha=settings.alpha)


def look_numbers(settings: Settings, items: Sequence[PlannedItem]) -> tuple[int, ...] | None:
    """The look before which each of the selected items runs, ``None`` where there are no looks."""
    found = planned_looks(settings, items)
    return found.numbers if found else None


class Looking:
    """Keeps the looks of a session in order; without looks everything is needed."""

    def __init__(self) -> None:
        self._looks: Looks | None = None
        self.standing = Standing()
        #: How many items were left out.
        self.not_needed = 0

    def plan(self, settings: Settings, items: Sequence[PlannedItem]) -> bool:
        """Fix the looks for items that have their numbers; whether there are any.

        Where another plugin has deselected or moved some since they got their numbers, everything is
        measured: a look needs all that comes before it.
        """
        found = planned_looks(settings, items)
        numbers = tuple(item.look for item in items)
        is_in_order = found is not None and found.numbers == numbers == tuple(sorted(numbers))
        self._looks = found.looks if found is not None and is_in_order else None
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
