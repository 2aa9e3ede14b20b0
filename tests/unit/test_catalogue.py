"""What a session collected, and how much of it is the session's to run."""

import json
from dataclasses import replace

import pytest

from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.sharding import Catalogue


def item(module: str, number: int, *, lazy: bool = False) -> PlannedItem:
    """One of a test's items; the case of a lazy one isn't known before it runs."""
    return PlannedItem(
        nodeid=f"{module}::test_a[{number}]",
        module=module,
        test="test_a",
        metric="test_a",
        marks=Marks(app="bot"),
        cell=Cell(variant="current", run=1),
        case=None if lazy else Case(id=f"c{number}", input=number),
    )


ITEMS = [item("one.py", 1), item("one.py", 2), item("two.py", 1), item("three.py", 1, lazy=True)]


def taken(selected: list[PlannedItem], *, whole: bool = True, everything: bool = True) -> Catalogue:
    catalogue = Catalogue()
    catalogue.take(selected, ITEMS, whole=whole, everything=everything)
    return catalogue


def test_cases_by_module():
    """Those of deselected items too; a module none of whose cases is known has none."""
    assert taken(ITEMS[:1]).cases == {"one.py": {"c1", "c2"}, "two.py": {"c1"}}


@pytest.mark.parametrize(
    ("selected", "whole", "everything", "expected"),
    [
        (ITEMS, True, True, (True, True)),
        (ITEMS, True, False, (True, False)),
        (ITEMS, False, True, (False, False)),
        (ITEMS[1:], True, True, (False, False)),
    ],
    ids=["all", "some modules", "single tests", "deselected"],
)
def test_how_much_of_it(selected, whole, everything, expected):
    """Everything is more than whole; what was deselected makes it neither."""
    catalogue = taken(selected, whole=whole, everything=everything)
    assert (catalogue.is_whole, catalogue.is_everything) == expected


def test_before_anything_is_collected():
    """Nothing is whole."""
    assert (Catalogue().cases, Catalogue().is_whole, Catalogue().is_everything) == ({}, False, False)


def test_another_process_takes_it_over():
    """By plain data."""
    other = Catalogue()
    other.take_over(json.loads(json.dumps(taken(ITEMS, everything=False).to_json())))
    assert other.cases == taken(ITEMS).cases
    assert (other.is_whole, other.is_everything) == (True, False)


def test_tags_of_the_cases():
    """Category and difficulty as texts, of deselected cases too; another process and a shard have them."""
    tagged = [
        replace(item("tests/test_a.py", number), case=Case(id=f"t{number}", input=number, tags=tags))
        for number, tags in enumerate([{"category": 7, "other": "x"}, {"difficulty": "easy"}, {}])
    ]
    found = Catalogue()
    found.take(tagged[:1], tagged, whole=True, everything=True)
    expected = {"tests/test_a.py": {"t0": {"category": "7"}, "t1": {"difficulty": "easy"}, "t2": {}}}
    assert found.tags == expected
    other = Catalogue()
    other.take_over(json.loads(json.dumps(found.to_json())))
    assert other.tags == expected
