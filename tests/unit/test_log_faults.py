"""Whatever happens to the store, the session goes on, and one sentence says where, what, and what to do."""

from __future__ import annotations

import sqlite3
import sys
import threading

import pytest
from log_samples import finish, manifest, result, sample, write

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import ExperimentLog, LogWriter, locate, opening, writer


@pytest.fixture
def location(tmp_path):
    """Where a log will be."""
    return locate(f"sqlite:///{tmp_path}/logs/a.db", root=tmp_path)


def problem_of(writing: LogWriter) -> str:
    """What the writer says after everything it does was tried."""
    writing.sample(sample("after"))
    writing.wait_for(sample("after").key)
    writing.result(result())
    writing.update(commit="abc")
    writing.flush()
    writing.finish(status="finished", finished="", seconds=1.0, exit_code=0)
    problem = writing.close()
    assert problem is not None
    assert problem == writing.problem
    return problem


def test_a_full_disk(location, monkeypatch):
    """It says how much was stored until then."""
    monkeypatch.setattr(opening, "PRAGMAS", (*opening.PRAGMAS, "max_page_count = 60"))
    writing = write(location, sample())
    for run in range(2, 200):
        writing.sample(sample(run=run, output="x" * 4000))
    problem = problem_of(writing)
    assert str(location) in problem
    assert "full" in problem
    assert "Make room on the disk" in problem
    assert "Stored until then: 1 of" in problem
    with ExperimentLog(location) as log:
        assert len(list(log.samples("last"))) >= 1


def test_a_folder_that_cannot_be_made(tmp_path):
    """A file in the way, or a disk that can't be written to."""
    (tmp_path / "file").touch()
    location = locate("sqlite:///file/a.db", root=tmp_path)
    problem = problem_of(LogWriter(location, manifest()))
    assert str(location) in problem
    assert "give --promptune-store another place" in problem


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_read_only_file(location, monkeypatch):
    """A store that may be read only is told as such, and reading it works."""
    finish(write(location, sample()))
    monkeypatch.setattr(opening, "PRAGMAS", (*opening.PRAGMAS, "query_only = ON"))
    problem = problem_of(LogWriter(location, manifest("b")))
    assert "readonly" in problem
    assert "Check the permissions" in problem
    with ExperimentLog(location) as log:
        assert log.history()[0].samples == 1


def test_a_locked_database(location, monkeypatch):
    """Somebody who never lets go is waited for once, not for each sample."""
    finish(write(location))
    monkeypatch.setattr(opening, "BUSY_S", 0.1)
    holder = sqlite3.connect(location.path)
    holder.execute("BEGIN EXCLUSIVE")
    problem = problem_of(LogWriter(location, manifest("b")))
    holder.close()
    assert "locked" in problem
    assert "Another process holds it" in problem


@pytest.mark.skipif(sys.platform == "win32", reason="open files can't be deleted there")
@pytest.mark.parametrize("replaced", [False, True])
def test_deleted_in_the_middle(location, replaced):
    """SQLite wouldn't notice; we do."""
    writing = write(location, sample())
    location.path.unlink()
    if replaced:
        location.path.touch()
    assert "deleted or replaced" in problem_of(writing)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damage(location, content):
    """A file that isn't a store: writing goes on without, reading refuses."""
    location.make_folder()
    location.path.write_bytes(content)
    problem = problem_of(LogWriter(location, manifest()))
    assert str(location) in problem
    assert "move it away" in problem
    with pytest.raises(StoreError, match="move it away"):
        ExperimentLog(location)
    assert location.path.read_bytes() == content


def test_a_newer_store(location):
    """Both versions are named, for writer and reader; nothing is written."""
    finish(write(location))
    with sqlite3.connect(location.path) as connection:
        connection.execute("INSERT INTO promptune_versions (version) VALUES (99)")
    connection.close()
    assert "store version 99; this one knows" in problem_of(LogWriter(location, manifest("b")))
    with pytest.raises(StoreError, match=r"store version 99.*Upgrade pytest-promptune"):
        ExperimentLog(location)


def test_no_store(location, tmp_path):
    """Reading makes nothing, and says what to do."""
    with pytest.raises(StoreError, match="no experiment log yet"):
        ExperimentLog(location)
    assert not location.path.parent.exists()
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(StoreError, match="no experiment log yet"):
        ExperimentLog(locate("sqlite:///other.db", root=tmp_path))


def test_an_empty_log(location):
    """A log whose experiments are gone has no last one."""
    finish(write(location))
    with ExperimentLog(location) as log:
        log.prune(keep=0, force=True)
        assert log.history() == []
        with pytest.raises(StoreError, match="Run pytest first"):
            log.experiment()


def test_a_server_that_is_not_there(tmp_path):
    """Nobody listens: the password isn't shown."""
    pytest.importorskip("psycopg")
    location = locate("postgresql://ann:secret@127.0.0.1:1/x", root=tmp_path)
    problem = problem_of(LogWriter(location, manifest()))
    assert "127.0.0.1" in problem
    assert "Check that the server runs" in problem
    assert "secret" not in problem
    with pytest.raises(StoreError, match="Check that the server runs"):
        ExperimentLog(location)


def test_a_store_that_never_answers(location, monkeypatch):
    """Patience ends once; then nobody waits any more."""
    monkeypatch.setattr(writer, "PATIENCE_S", 0.0)
    monkeypatch.setattr(LogWriter, "_write_everything", lambda self: self._work.wait(timeout=5))
    writing = LogWriter(location, manifest())
    writing.flush()
    assert "doesn't answer" in (writing.problem or "")
    writing._work.set()


def test_who_waits_for_a_slow_store_does_something_else_meanwhile(location, monkeypatch):
    """Progress is shown, and a stop gets through, while the log is still being opened."""
    opens, calls = threading.Event(), []
    begun = LogWriter._begun

    def slow(self):
        opens.wait(30)
        return begun(self)

    def look():
        calls.append(opens.is_set())
        if len(calls) == 2:
            opens.set()

    def stop():
        raise InterruptedError

    monkeypatch.setattr(LogWriter, "_begun", slow)
    writing = LogWriter(location, manifest())
    writing.sample(sample())
    with pytest.raises(InterruptedError):
        writing.wait_for(sample().key, while_waiting=stop)
    writing.wait_for(sample().key, while_waiting=look)
    assert calls[:2] == [False, False]
    assert writing.close() is None


def test_a_broken_installation(location, monkeypatch):
    """Without SQLAlchemy the session goes on as well."""
    monkeypatch.setitem(sys.modules, "pytest_promptune.store.log.inserting", None)
    monkeypatch.setitem(sys.modules, "pytest_promptune.store.log.opening", None)
    assert "Install sqlalchemy" in problem_of(LogWriter(location, manifest()))


def test_nothing_of_a_writer_outlives_it(location, monkeypatch):
    """Looking up versions imports, and a process that goes on may change its modules."""
    begun, may_end = threading.Event(), threading.Event()

    def look_for_long():
        begun.set()
        may_end.wait(10)
        return {"langgraph": "1.0"}

    monkeypatch.setattr("pytest_promptune.store.log.inserting.library_versions", look_for_long)
    writing = write(location, sample())
    assert begun.wait(10)
    threading.Timer(0.2, may_end.set).start()
    finish(writing)
    assert may_end.is_set()
    assert "promptune-versions" not in {thread.name for thread in threading.enumerate()}


def test_the_same_id_twice(location):
    """A writer that can't begin says so; the first one isn't touched."""
    finish(write(location, sample()))
    assert "can't be used" in problem_of(LogWriter(location, manifest()))
    with ExperimentLog(location) as log:
        assert log.history()[0].status == "finished"
