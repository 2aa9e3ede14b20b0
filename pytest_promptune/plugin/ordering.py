"""The order in which pytest runs the promptune items of a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pytest_promptune.core.plan import PlannedItem, by_module, regrouped
from pytest_promptune.plugin.state import item_key


def put_in_order(items: list[pytest.Item], order: Callable[[Sequence[PlannedItem]], Sequence[int]]) -> None:
    """Rearrange the promptune items of each module among the places they have."""
    places = [place for place, item in enumerate(items) if item_key in item.stash]
    mine = [items[place] for place in places]
    plans = [item.stash[item_key].planned for item in mine]
    for of_module in by_module(plans):
        positions = order([plans[number] for number in of_module])
        for number, position in zip(of_module, positions, strict=True):
            items[places[number]] = mine[of_module[position]]


class Regrouping:
    """Comes after pytest's own sorting by fixtures, and before ``--ff`` and the like."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Runs first, cases second."""
        put_in_order(items, regrouped)
