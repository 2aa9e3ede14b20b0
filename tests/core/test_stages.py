"""Stages: which cases and tests a part of the suite has."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from pytest_promptune.core.drawing import drawn
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem, of_stage, read_marks
from pytest_promptune.core.stages import STAGES, covers


def suite(**sizes: int) -> dict[str, str]:
    """Categories of cases by id: so many of each."""
    return {f"{name}{n}": name for name, size in sizes.items() for n in range(size)}


def of_each(ids: frozenset[str], categories: dict[str, str]) -> list[int]:
    return sorted(Counter(categories[case] for case in ids).values())


@pytest.mark.parametrize(
    ("sizes", "number", "expected"),
    [
        ({"a": 40, "b": 5, "c": 5}, 3, [1, 1, 1]),
        ({"a": 40, "b": 5, "c": 5}, 10, [3, 3, 4]),
        ({"a": 40, "b": 2, "c": 1}, 10, [1, 2, 7]),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, 3, [1, 1, 1]),
        ({"a": 2}, 3, [2]),
        ({}, 3, []),
    ],
    ids=str,
)
def test_categories_give_equally_many(sizes, number, expected):
    """As far as each has cases; what is lacking comes from the others."""
    categories = suite(**sizes)
    assert of_each(drawn(categories, number), categories) == expected


def test_the_order_of_the_cases_does_not_matter():
    """A file that is sorted anew gives the same cases."""
    categories = suite(a=12, b=7, c=3)
    expected = drawn(categories, 10)
    names = list(categories)
    for seed in range(20):
        random.Random(seed).shuffle(names)
        assert drawn({name: categories[name] for name in names}, 10) == expected


def test_other_cases_hardly_matter():
    """A new case takes the place of one at most; one that goes and wasn't drawn changes nothing."""
    categories = suite(a=12, b=7, c=3)
    before = drawn(categories, 10)
    assert len(before - drawn({**categories, "new": "b"}, 10)) <= 1
    gone = min(set(categories) - before)
    assert drawn({k: v for k, v in categories.items() if k != gone}, 10) == before


def test_not_the_first_cases_of_the_file():
    """Files are often sorted by difficulty: cases are drawn from all over it."""
    categories = {f"c{n:03d}": "" for n in range(100)}
    assert max(drawn(categories, 10)) > "c050" > min(drawn(categories, 10))
    assert drawn(categories, 3) == {"c008", "c014", "c045"}  # what was drawn once is drawn for ever


def test_a_larger_stage_has_the_cases_of_the_smaller_one():
    """What quick found can be looked at again in medium."""
    categories = suite(a=12, b=7, c=3)
    assert drawn(categories, 3) < drawn(categories, 10)


@pytest.mark.parametrize(
    ("marked", "runs_in"),
    [("quick", ["quick", "medium", "full"]), ("medium", ["medium", "full"]), ("full", ["full"])],
)
def test_a_marked_test_runs_in_its_stage_and_larger_ones(marked, runs_in):
    """`stage="full"` keeps an expensive test out of the others."""
    assert [stage for stage in STAGES if covers(stage, marked)] == runs_in


# --- items ----------------------------------------------------------------------------------------


def item(case: Case | None, test: str = "test_a", **more) -> PlannedItem:
    given = {"module": "test_x.py", "marks": Marks(), "cell": Cell(variant="current", run=1), **more}
    return PlannedItem(nodeid=f"test_x.py::{test}[{case}]", test=test, metric=test, case=case, **given)


CASES = [Case(id=f"c{n}", input=n, tags={"category": "even" if n % 2 == 0 else "odd"}) for n in range(20)]


def stays(items: list[PlannedItem], stage: str) -> list[PlannedItem]:
    return [item for item, is_staying in zip(items, of_stage(items, stage), strict=True) if is_staying]


def test_full_is_everything():
    """Nothing is left out by default."""
    items = [item(case) for case in CASES]
    assert stays(items, "full") == items


@pytest.mark.parametrize(("stage", "expected"), [("quick", [1, 2]), ("medium", [5, 5])])
def test_cases_are_spread_over_their_tags(stage, expected):
    """The tag `category` says what a case is of."""
    found = stays([item(case) for case in CASES], stage)
    assert sorted(Counter(each.case.tags["category"] for each in found).values()) == expected


def test_tests_with_the_same_cases_get_the_same():
    """They share samples: other cases for each would be other calls. All cells of a case stay together."""
    items = [
        item(case, test, cell=Cell(variant=variant, run=1))
        for case in CASES
        for test in ("test_a", "test_b")
        for variant in ("current", "new")
    ]
    found = stays(items, "quick")
    assert len(found) == 3 * 2 * 2
    assert len({each.case.id for each in found}) == 3


def test_each_test_has_cases():
    """A test with cases of its own isn't left without any."""
    rare = [Case(id=f"r{n}", input=n) for n in range(2)]
    found = stays([*(item(case) for case in CASES), *(item(case, "test_rare") for case in rare)], "quick")
    assert Counter(each.test for each in found) == {"test_a": 3, "test_rare": 2}


def test_modules_are_drawn_apart():
    """An id of one module means another case in the next."""
    items = [item(case, module=module) for module in ("test_x.py", "test_y.py") for case in CASES]
    assert len(stays(items, "quick")) == 6


def test_cases_that_only_a_fixture_knows():
    """Parameters of the test stand for them."""
    items = [item(None, f"test_a[{n}]") for n in range(9)]
    assert len(stays(items, "quick")) == 3
    assert len(stays([item(None)], "quick")) == 1


def test_marks_come_first():
    """A test of a larger stage has no cases in a smaller one."""
    marked = [replace(each, marks=Marks(stage="medium")) for each in (item(case) for case in CASES)]
    assert stays(marked, "quick") == []
    assert len(stays(marked, "medium")) == 10


@pytest.mark.parametrize("value", ["fast", "", 1, True, ["full"]], ids=repr)
def test_other_stages_are_refused(value):
    """A slip names those that exist."""
    with pytest.raises(SettingsError, match="expected 'quick' or 'medium' or 'full'"):
        read_marks([((), {"stage": value})], where="test_a.py::test_x")


def test_the_closest_mark_wins():
    """A test may take back what its module says."""
    assert read_marks([((), {"stage": "quick"}), ((), {"stage": "full"})], where="x").stage == "quick"
    assert read_marks([((), {"stage": None}), ((), {"stage": "full"})], where="x").stage is None
