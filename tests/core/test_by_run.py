"""A table by key and run: what is absent, what is missing, and in which order."""

from pytest_promptune.core.by_run import ByRun


def test_runs_keep_their_places_whatever_order_they_come_in():
    """Workers race; the values stand in the order of the runs, and runs that never came leave no gap."""
    table: ByRun[str, float | None] = ByRun()
    for run in (4, 1, 2):
        table.put("c1", run, run / 10)
    assert list(table.lists()) == [("c1", [0.1, 0.2, 0.4])]
    assert [table.has("c1", run) for run in range(1, 6)] == [True, True, False, True, False]


def test_a_missing_value_is_known():
    """``None`` says that the value is missing, which is more than nothing."""
    table: ByRun[str, float | None] = ByRun()
    table.put("c1", 2, None)
    assert table.has("c1", 2)
    assert not table.has("c1", 1)
    assert not table.has("c2", 1)
    assert (table.get("c1", 2), table.get("c2", 1)) == (None, None)
    assert list(table.values()) == [None]
    assert len(table) == 1


def test_a_later_value_of_a_run_replaces_the_first():
    """One value for each key and run."""
    table: ByRun[str, int] = ByRun()
    table.put("c1", 1, 1)
    table.put("c1", 1, 2)
    table.put("c2", 1, 3)
    assert list(table.items()) == [("c1", 2), ("c2", 3)]
    assert list(table) == ["c1", "c2"]


def test_tables_with_the_same_values_are_equal():
    """As dictionaries are, whatever the order of the keys."""
    one: ByRun[str, int] = ByRun()
    other: ByRun[str, int] = ByRun()
    one.put("c1", 1, 1)
    one.put("c2", 1, 2)
    other.put("c2", 1, 2)
    assert one != other
    other.put("c1", 1, 1)
    assert one == other
