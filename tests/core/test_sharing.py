"""Who runs what, when several processes share a session."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_promptune.core.sharing import Share, slots

BONDS = st.lists(st.lists(st.integers(0, 8), max_size=3), max_size=30)


def test_units_of_one_size_are_dealt_round():
    """Two tests for each of four samples: every sample is whole, and both workers get two."""
    assert slots([["a"], ["a"], ["b"], ["b"], ["c"], ["c"], ["d"], ["d"]], 2) == [0, 0, 1, 1, 0, 0, 1, 1]


def test_free_items_have_no_slot():
    """An item without bonds may run anywhere."""
    assert slots([[], ["a"], []], 3) == [None, 0, None]


def test_bonds_reach_through_others():
    """Two files that share a sample stay together under --dist=loadfile."""
    found = slots([["file 1", "x"], ["file 2", "x"], ["file 2"], ["file 3"]], 2)
    assert found == [0, 0, 0, 1]


def test_large_units_are_weighed():
    """After a large unit the others fill up the other slot."""
    assert slots([["a"], ["a"], ["a"], ["b"], ["c"], ["d"]], 2) == [0, 0, 0, 1, 1, 1]


@given(BONDS, st.integers(1, 5))
def test_a_common_bond_means_a_common_slot(bonds, workers):
    """Whatever the bonds are: sharing one means the same slot, and only items without bonds have none."""
    found = slots(bonds, workers)
    of_bond = {}
    for item, slot in zip(bonds, found, strict=True):
        assert (slot is None) == (not item)
        assert slot is None or 0 <= slot < workers
        for bond in item:
            assert of_bond.setdefault(bond, slot) == slot


@given(st.integers(1, 200), st.integers(1, 12))
def test_parts_add_up(total, workers):
    """The parts of all workers are the whole, unless there is less than one for each."""
    parts = [Share(slot=slot, workers=workers, mine=(), ahead=()).of(total) for slot in range(workers)]
    assert sum(parts) == max(total, workers)
    assert max(parts) - min(parts) <= 1
