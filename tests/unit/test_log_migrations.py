"""A store of an earlier version becomes a present one, with what it holds."""

from __future__ import annotations

import pytest
from log_samples import finish, manifest, sample, write
from sqlalchemy import Connection, inspect, text

from pytest_promptune.store.log import ExperimentLog, migrations


def add_mood(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE promptune_samples ADD COLUMN mood TEXT"))
    connection.execute(text("UPDATE promptune_samples SET mood = 'fine'"))


def fail(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE promptune_samples ADD COLUMN half TEXT"))
    raise OSError("power cut")


@pytest.fixture
def location(location):
    """A store of the present version, which is old once there is another step."""
    finish(write(location, sample()))
    return location


def moods(location) -> list[str]:
    from pytest_promptune.store.log.opening import open_for_reading

    with open_for_reading(location).connect() as connection:
        return list(connection.execute(text("SELECT mood FROM promptune_samples")).scalars())


def test_opening_brings_it_up_to_date(location, monkeypatch):
    """Reading or writing, once; what was there is kept."""
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, add_mood))
    with ExperimentLog(location) as log:
        assert log.history()[0].samples == 1
    assert moods(location) == ["fine"]
    finish(write(location, sample(), id_="b"))
    assert moods(location) == ["fine", None]


def test_half_a_step_is_none(location, monkeypatch):
    """When a step fails the store is as it was."""
    steps = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", (*steps, fail))
    with pytest.raises(Exception, match="power cut"):
        ExperimentLog(location)
    monkeypatch.setattr(migrations, "STEPS", (*steps, add_mood))
    with ExperimentLog(location) as log:
        assert log.history()[0].samples == 1
    assert moods(location) == ["fine"]


def as_version_1(location) -> None:
    """What later versions added is taken away again."""
    from pytest_promptune.store.log.opening import open_for_writing

    engine = open_for_writing(location)
    with engine.begin() as connection:
        for statement in (
            "DROP TABLE promptune_adoptions",
            "DROP TABLE promptune_cases",
            "DROP TABLE promptune_contents",
            "ALTER TABLE promptune_manifests DROP COLUMN libraries",
            "DROP INDEX promptune_experiments_by_series",
            "ALTER TABLE promptune_experiments DROP COLUMN series",
            "DELETE FROM promptune_versions",
            "INSERT INTO promptune_versions VALUES (1)",
        ):
            connection.execute(text(statement))
    engine.dispose()


def shape(location) -> dict[str, object]:
    """Columns, keys and indices of all tables."""
    from pytest_promptune.store.log.opening import open_for_reading

    with open_for_reading(location).connect() as connection:
        found = inspect(connection)
        return {
            table: (
                {(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
                found.get_pk_constraint(table)["constrained_columns"],
                sorted((i["name"] or "", i["column_names"]) for i in found.get_indexes(table)),
                sorted(
                    (f["constrained_columns"], f["referred_table"], str(f["options"]))
                    for f in found.get_foreign_keys(table)
                ),
            )
            for table in found.get_table_names()
        }


def test_an_old_store_gets_the_shape_of_a_new_one(location):
    """Migrating from version 1 leaves nothing out; what was there is kept, and can be added to."""
    new = shape(location)
    as_version_1(location)
    with ExperimentLog(location) as log:
        assert log.history()[0].series is None
        assert log.cases_of("last") == []
    assert shape(location) == new
    finish(write(location, sample(), id_="b"))
    with ExperimentLog(location) as log:
        assert [found.id for found in log.history()] == ["b", manifest().id]
