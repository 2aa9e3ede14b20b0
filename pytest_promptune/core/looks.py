"""Looking at the verdict before all runs are there, at moments and error levels fixed in advance.

Running more "until it passes" would make an unchanged app fail (or pass) too often. So the looks are planned
before the first run: at each the whole suite is judged, at a level of its own, and all levels together are
the session's (Lan and DeMets 1983). Single cases and single variants never stop early: their means would be
biased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_promptune.core.display import count
from pytest_promptune.core.gate import gate_nodeid
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.runs import RunRange, Runs, most_runs, steps
from pytest_promptune.core.stats.looks import spending
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, GateItem, LookView, Mode

#: Test, case and variant of a module: what is measured once in each run.
_Place = tuple[str, str, str | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When a session looks, and with which error."""

    #: Runs per case at each look; of the range with the most, where tests differ.
    runs: tuple[int, ...]
    #: One-sided error level of each look; together they are half of the session's alpha.
    levels: tuple[float, ...]

    def alpha(self, number: int) -> float:
        """Two-sided error level of a look: that of its intervals."""
        return 2 * self.levels[number]

    def reason(self, number: int) -> str:
        """Why items after this look aren't needed."""
        return f"not needed: the verdict was clear after {self.runs[number]} of {self.runs[-1]} runs"

    def view(self, number: int, *, not_needed: int) -> LookView:
        """What is told of the look by which the session was judged."""
        return LookView(
            number=number + 1,
            of=len(self.runs),
            runs=self.runs[number],
            most=self.runs[-1],
            planned=self.runs,
            alpha=self.alpha(number),
            not_needed=not_needed,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the process that judges."""
        return {"runs": list(self.runs), "levels": list(self.levels)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Looks:
        """The inverse of `to_json`."""
        return cls(runs=tuple(data["runs"]), levels=tuple(data["levels"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPlan:
    """The looks of a session, and before which of them each item runs."""

    looks: Looks
    #: One for each item, counted from 0.
    numbers: tuple[int, ...]


def plan_looks(
    items: Sequence[PlannedItem], runs_of: Callable[[PlannedItem], Runs], *, alpha: float
) -> LookPlan | None:
    """Fix the looks of a session, ``None`` where it has to measure everything that was selected.

    Look k of every test happens together, at the k-th step of its own range. A test with a plain number of
    runs has them all at the first look. How much of the error a look may spend depends on the share of the
    planned items that are there by then.

    Args:
        items: those that will run.
        runs_of: what was asked for an item, by option, ini file or marker.
        alpha: two-sided error level of the session.
    """
    asked = [runs_of(item) for item in items]
    if not any(isinstance(runs, RunRange) for runs in asked) or not _has_whole_runs(items, asked):
        return None
    at_step = [_step(runs, item.cell.run) for item, runs in zip(items, asked, strict=True)]
    taken = sorted(set(at_step))  # one at which nothing is new is none
    numbers = tuple(taken.index(step) for step in at_step)
    there = [sum(number <= look for number in numbers) for look in range(len(taken))]
    widest = max((runs for runs in asked if isinstance(runs, RunRange)), key=most_runs)
    looks = Looks(runs=tuple(steps(widest)[step] for step in taken), levels=tuple(spending(alpha / 2, there)))
    return LookPlan(looks=looks, numbers=numbers)


def _step(runs: Runs, run: int) -> int:
    return next(step for step, there in enumerate(steps(runs)) if run <= there)


def _has_whole_runs(items: Sequence[PlannedItem], asked: Sequence[Runs]) -> bool:
    """Whether every selected case has all its runs, unlike what ``-k run3`` or ``--lf`` leaves."""
    found: dict[_Place, set[int]] = {}
    wanted: dict[_Place, int] = {}
    for item, runs in zip(items, asked, strict=True):
        case = item.case.id if item.case else None
        place = (item.module, item.test, case, item.cell.variant)
        found.setdefault(place, set()).add(item.cell.run)
        wanted[place] = most_runs(runs)
    return all(len(runs) == wanted[place] for place, runs in found.items())


# --- deciding -------------------------------------------------------------------------------------


def is_clear(mode: Mode, rows: Iterable[ComparisonRow], gate: Iterable[GateItem]) -> bool:
    """Whether more runs would change nothing that a session is for.

    A check is over when its gate is: something gated regressed, or failed for a reason that runs don't mend,
    or everything gated is improved or unchanged and passes. A comparison of variants is over when nothing
    gated is inconclusive. What can't be judged at all, as a metric without a baseline, keeps nobody waiting;
    where nothing can, nothing is clear.

    Args:
        mode: of the session.
        rows: judged at the level of the look.
        gate: the decisions that follow from them, and those that no row tells of.
    """
    judged = [row for row in rows if row.gated and row.p is not None and row.n_cases]
    if mode == "compare":
        return bool(judged) and all(row.verdict != "inconclusive" for row in judged)
    if any(row.verdict == "regressed" and row.gate == "failed" for row in judged):
        return True
    open_ids = {gate_nodeid(row.name, row.candidate) for row in judged if row.gate == "failed"}
    if any(item.failed and item.nodeid not in open_ids for item in gate):  # no row's doing
        return True
    passes = (row.verdict in ("improved", "unchanged") and row.gate != "failed" for row in judged)
    return bool(judged) and all(passes)


# --- telling --------------------------------------------------------------------------------------


def told(look: LookView) -> str:
    """One sentence for the summary and the reports."""
    level = f"look {look.number} of {look.of}: intervals and verdicts at {100 * (1 - look.alpha):.5g} %"
    if look.not_needed:
        return (
            f"{count(look.not_needed, 'item')} not needed: the verdict was clear after {look.runs} of "
            f"{look.most} runs ({level})."
        )
    before = " and ".join(str(runs) for runs in look.planned[:-1])
    return f"All {look.most} runs were needed: the verdict was not clear after {before} ({level})."
