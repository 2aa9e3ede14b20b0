"""The looks of one session: planned, taken, and what they leave."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.core.runs import RunRange
from pytest_promptune.core.sharing import Standing
from pytest_promptune.looking import Looking, planned_looks
from pytest_promptune.settings import DEFAULT_RUNS, Settings

RANGE = Settings(runs=RunRange(1, 4), runs_override=True)


def numbered(settings: Settings = RANGE, runs: int = 4) -> list[PlannedItem]:
    items = [
        PlannedItem(
            nodeid=f"m.py::test_a[{case}-{run}]",
            module="m.py",
            test="test_a",
            metric="test_a",
            marks=Marks(app="bot"),
            cell=Cell(variant="current", run=run),
            case=Case(id=case, input=case),
        )
        for run, case in product(range(1, runs + 1), "xy")
    ]
    found = planned_looks(settings, items)
    numbers = found.numbers if found else [0] * len(items)
    return [replace(item, look=number) for item, number in zip(items, numbers, strict=True)]


@pytest.fixture
def looking() -> Looking:
    found = Looking()
    assert found.plan(RANGE, numbered())
    return found


@pytest.mark.parametrize(
    ("settings", "marks", "expected"),
    [
        (Settings(), Marks(), DEFAULT_RUNS),
        (Settings(runs=3), Marks(), 3),
        (Settings(runs=3), Marks(runs=RunRange(2, 4)), RunRange(2, 4)),
        (Settings(runs=RunRange(3, 10), runs_override=True), Marks(runs=2), RunRange(3, 10)),
    ],
)
def test_who_says_how_often(settings, marks, expected):
    """The command line, the marker, the ini file, the default."""
    assert settings.runs_of(marks.runs) == expected


@pytest.mark.parametrize("more", [{"baseline": True}, {"gate": "off"}, {"runs": 4}], ids=str)
def test_when_there_are_none(more: dict[str, Any]):
    """A baseline is measured in full, a gate that is off decides nothing, and a number is a number."""
    settings = replace(RANGE, **more)
    assert planned_looks(settings, numbered(settings)) is None
    found = Looking()
    assert not found.plan(settings, numbered(settings))
    assert (found.open, found.alpha, found.view, found.to_json()) == (None, None, None, None)


def test_items_out_of_their_order_have_no_looks():
    """Another plugin shuffled or deselected them since: a look would miss what comes later."""
    items = numbered()
    assert not Looking().plan(RANGE, items[::-1])
    assert not Looking().plan(RANGE, items[1:])
    assert not Looking().plan(RANGE, [replace(item, look=0) for item in items])


def test_items_wait_for_their_look(looking):
    """Those before it don't; taken looks move on, one at a time."""
    items = numbered()
    assert [looking.is_due(item) for item in items] == [item.look > 0 for item in items]
    assert looking.open == 0
    looking.taken(clear=False)
    assert looking.open == 1
    assert [looking.is_due(item) for item in items] == [item.look > 1 for item in items]
    assert not any(looking.why_not_needed(item) for item in items)


def test_after_a_clear_look_nothing_is_due(looking):
    """What follows isn't needed; what came before was."""
    items = numbered()
    looking.taken(clear=False)
    looking.taken(clear=True)
    assert not any(looking.is_due(item) for item in items)
    reasons = {item.look: looking.why_not_needed(item) for item in items}
    assert reasons == {0: "", 1: "", 2: "not needed: the verdict was clear after 2 of 4 runs"}


def test_the_level_is_that_of_the_look_that_counts(looking):
    """Of the one that was clear, else of the last one."""
    first = looking.alpha
    looking.taken(clear=False)
    second = looking.alpha
    assert first < second < 0.05
    looking.taken(clear=True)
    assert looking.alpha == second
    looking.not_needed = 4
    assert (looking.view.number, looking.view.runs, looking.view.not_needed) == (2, 2, 4)


def test_another_process_takes_the_plan_over(looking):
    """The controller, which has not collected; without looks there is nothing to take over."""
    controller = Looking()
    controller.take_over(looking.to_json())
    assert controller.alpha == looking.alpha
    controller.take_over(None)
    assert controller.alpha is None
    worker = Looking()
    worker.plan(RANGE, numbered())
    worker.standing = Standing(open=1, not_needed="enough")
    assert worker.why_not_needed(numbered()[-1]) == "enough"
