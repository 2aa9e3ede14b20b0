"""A store of an earlier version becomes a present one, with what it holds."""

from __future__ import annotations

import pytest
from log_samples import finish, sample, write
from sqlalchemy import Connection, text

from pytest_promptune.store.log import ExperimentLog, locate, migrations


def add_mood(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE promptune_samples ADD COLUMN mood TEXT"))
    connection.execute(text("UPDATE promptune_samples SET mood = 'fine'"))


def fail(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE promptune_samples ADD COLUMN half TEXT"))
    raise OSError("power cut")


@pytest.fixture
def location(tmp_path):
    """A store of the present version, which is old once there is another step."""
    location = locate(None, root=tmp_path)
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
