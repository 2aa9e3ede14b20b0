"""Which of several processes measures what: a sample is generated once, by one of them."""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence

from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the looks of a session are (see `core.looks`)."""

    #: Items up to this look may run.
    open: int = 0
    #: Why those after it need not run at all, or empty.
    not_needed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one of several processes has to do with a session's samples."""

    #: 0..workers-1.
    slot: int
    workers: int
    #: Node ids of the items it is to run.
    mine: Container[str]
    #: Those it will certainly run, so that their samples may be generated ahead.
    ahead: Container[str]
    #: Id of the experiment that the session goes on with or replays, where other processes found it before.
    continues: str | None = None
    #: When the session began, seconds since 1970; ``None`` where unknown.
    began: float | None = None
    #: Of the looks, when this process began.
    standing: Standing = Standing()

    def of(self, total: int) -> int:
        """This process's part of something the whole session may use, at least 1."""
        return max(total // self.workers + (self.slot < total % self.workers), 1)


def slots(bonds: Sequence[Sequence[Hashable]], workers: int) -> list[int | None]:
    """A slot for each item; items that have a bond in common, directly or through others, get the same.

    Units go to the slot with the fewest items so far, in the order of their first items, so that units
    of one size are dealt round: each slot then runs through the session's order from start to end.

    Args:
        bonds: what each item shares with others; an item without any may run anywhere.
        workers: how many slots there are.

    Returns:
        One slot per item, ``None`` for those that may run anywhere.
    """
    units = _units(bonds)
    sizes: dict[int, int] = {}
    for unit in units:
        if unit is not None:
            sizes[unit] = sizes.get(unit, 0) + 1
    loads = [0] * workers
    chosen: dict[int, int] = {}
    for unit, size in sizes.items():
        slot = loads.index(min(loads))
        loads[slot] += size
        chosen[unit] = slot
    return [None if unit is None else chosen[unit] for unit in units]


def _units(bonds: Sequence[Sequence[Hashable]]) -> list[int | None]:
    """The connected components of the items (union-find), numbered by their smallest bond."""
    numbers: dict[Hashable, int] = {}
    parents: list[int] = []

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    firsts: list[int | None] = []
    for of_item in bonds:
        first: int | None = None
        for bond in of_item:
            number = numbers.setdefault(bond, len(numbers))
            if number == len(parents):
                parents.append(number)
            if first is None:
                first = number
            else:
                one, other = sorted((root(first), root(number)))
                parents[other] = one
        firsts.append(first)
    return [None if first is None else root(first) for first in firsts]
