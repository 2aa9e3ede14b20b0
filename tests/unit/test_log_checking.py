"""Whether the log could be written to, found out without writing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import log_samples
import pytest

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import ExperimentLog, check_writable, locate, opening
from pytest_promptune.store.log.location import Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return locate(None, root=tmp_path)


@pytest.fixture
def stored(location: Location) -> Location:
    log_samples.finish(log_samples.write(location, log_samples.sample()))
    return location


def test_nothing_is_made(location, tmp_path):
    """Where there is no log, its folder isn't there afterwards either."""
    check_writable(location)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_changed(stored):
    """A log that is there stays as it is, byte for byte, without files beside it."""
    before = {path.name: path.read_bytes() for path in stored.path.parent.iterdir()}
    check_writable(stored)
    assert {path.name: path.read_bytes() for path in stored.path.parent.iterdir()} == before
    with ExperimentLog(stored) as log:
        assert len(log.history()) == 1


def test_a_file_in_place_of_the_folder(tmp_path):
    """Said with what is in the way."""
    (tmp_path / "taken").write_text("x")
    with pytest.raises(StoreError, match=r"taken is no folder.*--promptune-store"):
        check_writable(locate("sqlite:///taken/log.db", root=tmp_path))


def test_a_folder_without_permission(location, monkeypatch):
    """Root may write everywhere, so the answer of the system is given here."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="is not writable"):
        check_writable(location)


def test_a_locked_log(stored, monkeypatch):
    """Somebody else writes all the time."""
    monkeypatch.setattr(opening, "BUSY_S", 0.1)
    holder = sqlite3.connect(stored.path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="Another process holds it"):
        check_writable(stored)
    holder.close()


def test_a_newer_log(stored):
    """An older plugin must not write to it."""
    with sqlite3.connect(stored.path) as connection:
        connection.execute("INSERT INTO promptune_versions (version) VALUES (99)")
    connection.close()
    with pytest.raises(StoreError, match="store version 99"):
        check_writable(stored)


def test_something_else(location):
    """A file that is no database."""
    location.make_folder()
    location.path.write_text("no database at all, but long enough to be read as one " * 50)
    with pytest.raises(StoreError, match="not a database"):
        check_writable(location)


def test_a_server_that_is_not_there(tmp_path):
    """Nobody listens on this port."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="can't be used"):
        check_writable(locate("postgresql+psycopg://nobody@127.0.0.1:1/none", root=tmp_path))
