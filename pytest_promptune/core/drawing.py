"""Which cases stand for all of them: a fixed draw, spread evenly over their categories."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

#: Another one draws other cases; so it stays.
_SEED = "pytest-promptune stage 1"


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
