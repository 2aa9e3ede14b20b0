"""The order in which pytest runs the promptune items of a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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


def put_in_order_of_looks(
    items: list[pytest.Item], numbers_of: Callable[[Sequence[PlannedItem]], Sequence[int] | None]
) -> None:
    """Put what runs after a look behind everything that runs before it, across modules.

    Tests without a sample stay where they are among those before the first look.
    """
    states = [item.stash[item_key] for item in items if item_key in item.stash]
    numbers = numbers_of([state.planned for state in states])
    if numbers is None:
        return
    for state, number in zip(states, numbers, strict=True):
        state.planned = replace(state.planned, look=number)
    items.sort(key=lambda item: item.stash[item_key].planned.look if item_key in item.stash else 0)


class Regrouping:
    """Comes after pytest's own sorting by fixtures, and before ``--ff`` and the like."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Runs first, cases second."""
        put_in_order(items, regrouped)
