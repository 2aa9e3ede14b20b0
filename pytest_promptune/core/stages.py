"""How much of a suite a session measures: `quick`, `medium` or `full`, and which cases those are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Stage = Literal["quick", "medium", "full"]

#: From the smallest on.
STAGES: tuple[Stage, ...] = ("quick", "medium", "full")
#: Another one draws other cases; so it stays.
_SEED = "pytest-promptune stage 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a stage measures of each test."""

    cases: int
    #: Of each case under each variant.
    runs: int


#: Stages that are less than everything.
SIZES: Mapping[Stage, Size] = {"quick": Size(cases=3, runs=1), "medium": Size(cases=10, runs=3)}


def covers(stage: Stage, marked: Stage) -> bool:
    """Whether a test that is marked with a stage runs in another: in its own and in larger ones."""
    return STAGES.index(marked) <= STAGES.index(stage)


def drawn(categories: Mapping[str, str], number: int) -> frozenset[str]:
    """Ids of `number` cases, or of all if there are no more, spread evenly over their categories.

    Categories take turns, each giving its next case, until there are enough; one that has no more is passed
    over. The order of the cases of a category, and that of the categories, is that of hashes of their names:
    it looks random, and is the same in every session, whatever the order of the cases. Other cases that come
    or go move a case by their own places alone.

    Args:
        categories: of each case by its id, an empty text for a case without one.
        number: how many are wanted.
    """
    places: dict[str, int] = {}
    order = []
    for case in sorted(categories, key=_rank):
        category = categories[case]
        turn = places[category] = places.get(category, -1) + 1
        order.append((turn, _rank(category), case))
    return frozenset(case for *_, case in sorted(order)[:number])


def _rank(name: str) -> str:
    return hashlib.sha256(f"{_SEED}\0{name}".encode(errors="surrogatepass")).hexdigest()
