"""Which looks of a session are over, and what came of them: the state between its items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_promptune.core.looks import Looks, plan_looks
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.runs import Runs
from pytest_promptune.core.view import LookView
from pytest_promptune.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the looks are, as one process tells another."""

    #: Items up to this look may run.
    open: int = 0
    #: Why those after it need not, or empty.
    not_needed: str = ""


class Looking:
    """Keeps the looks of one session in order; without looks everything is needed."""

    def __init__(self) -> None:
        self._looks: Looks | None = None
        self.standing = Standing()
        #: Number of the look by which the session is judged; before the first it is that of all runs.
        self._judged: int | None = None
        #: Items that were reported as not needed.
        self.not_needed = 0

    @property
    def looks(self) -> Looks | None:
        """The plan, ``None`` where all runs are measured in one go."""
        return self._looks

    def arranged(
        self, items: Sequence[PlannedItem], runs_of: Callable[[PlannedItem], Runs], settings: Settings
    ) -> tuple[int, ...] | None:
        """Fix the looks for these items; gives the number of each item's look, ``None`` without looks.

        A baseline is measured in full, and where nothing is gated there is nothing to be clear about.
        """
        found = None
        if settings.mode != "baseline" and settings.gate != "off":
            found = plan_looks(items, runs_of, alpha=settings.alpha)
        self._looks = found and found.looks
        return found and found.numbers

    def confirm(self, items: Sequence[PlannedItem], numbers: Sequence[int] | None) -> None:
        """Others may have deselected or moved items since: without their order there are no looks."""
        mine = [item.look for item in items]
        if numbers is None or list(numbers) != mine or sorted(mine) != mine:
            self._looks = None

    def take_over(self, data: Any) -> None:
        """Become what another process, which collected, has planned."""
        if data is not None:
            self._looks = Looks.from_json(data)

    def follow(self, standing: Standing) -> bool:
        """Take over how far the looks are; whether that is news."""
        is_news = standing != self.standing
        self.standing = standing
        return is_news

    def due_before(self, item: PlannedItem) -> list[int]:
        """Numbers of the looks that have to be taken before an item runs."""
        if self._looks is None or self.standing.not_needed:
            return []
        return list(range(self.standing.open, item.look))

    def taken(self, number: int, *, clear: bool) -> None:
        """A look is over."""
        if self._looks is None:
            return
        self._judged = number
        reason = self._looks.reason(number) if clear else ""
        self.standing = Standing(open=number if clear else number + 1, not_needed=reason)

    def why_not_needed(self, item: PlannedItem) -> str:
        """Why an item need not run any more, or empty."""
        return self.standing.not_needed if item.look > self.standing.open else ""

    @property
    def alpha(self) -> float | None:
        """Two-sided error level of the conclusion, ``None``: the session's."""
        return self._looks.alpha(self._number) if self._looks is not None else None

    def alpha_at(self, number: int) -> float | None:
        """Two-sided error level of a look."""
        return self._looks.alpha(number) if self._looks is not None else None

    @property
    def view(self) -> LookView | None:
        """What is told of the look by which the session was judged."""
        return self._looks and self._looks.view(self._number, not_needed=self.not_needed)

    @property
    def _number(self) -> int:
        """The look that counts: the one that was clear, else the last."""
        assert self._looks is not None
        return self._judged if self.standing.not_needed and self._judged is not None else self._looks.last
