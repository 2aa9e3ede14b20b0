"""The experiment log written by a process of its own: the same as by a thread, and it never hurts."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from log_samples import finish, manifest, result, sample

from pytest_promptune.core.redaction import REDACTED, Redactor
from pytest_promptune.store.log import ExperimentLog, LogWriter, locate
from pytest_promptune.store.writing import EndedError, WritingProcess


@pytest.fixture
def process(monkeypatch):
    """One that has started."""
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "sqlalchemy.engine", raising=False)
        started = WritingProcess.start()
    assert started is not None
    yield started
    started.close()


@pytest.fixture
def location(tmp_path):
    """Where a log will be."""
    return locate(None, root=tmp_path)


def test_what_is_given_comes_back(location, process):
    """Samples, results and the end; the experiment runs as long as the session, not as the process."""
    writer = LogWriter(location, manifest(), process=process)
    samples = [sample(), sample("c1", output="lone \ud800, NUL \0"), sample("c1", run=3, output=2**70)]
    for each in samples:
        writer.sample(each)
    writer.result(result())
    writer.wait_for(samples[-1].key)
    with ExperimentLog(location) as log:
        assert log.history()[0].status == "running"
        assert list(log.samples("last")) == samples
        assert log.newest_interrupted() is None
        writer.update(commit="abc")
        finish(writer, metrics=[])
        (found,) = log.history()
        assert (found.status, found.commit, found.samples, found.exit_code) == ("finished", "abc", 3, 1)
        assert list(log.results("last")) == [result()]
    with pytest.raises(EndedError):
        process.ask("write", [])


def test_no_secret_is_stored(location, process):
    """The user's own patterns reach the process."""
    redactor = Redactor([r"ACME-\d+"])
    writer = LogWriter(location, manifest(), redactor=redactor, process=process)
    writer.sample(sample(output="ACME-12345 and sk-proj-aB3dE5gH7jK9mN1pQ2rS4tU6"))
    finish(writer)
    with ExperimentLog(location) as log:
        (found,) = log.samples("last")
    assert found.record.output == f"{REDACTED} and {REDACTED}"


def test_resuming(location, process):
    """An experiment that a thread began goes on in a process; one that runs is refused."""
    first = LogWriter(location, manifest())
    first.sample(sample())
    first.flush()
    refused = LogWriter(location, manifest(), resumes=True, process=process)
    assert "can't be resumed, it is running" in (refused.close() or "")
    finish(first, "interrupted")


def test_a_fault_is_explained(location, process):
    """In the words that a thread has for it; what was measured until then is told."""
    location.make_folder()
    location.path.write_bytes(b"not a database at all" * 100)
    writer = LogWriter(location, manifest(), process=process)
    problem = writer.close() or ""
    assert str(location) in problem
    assert "move it away" in problem


def test_a_newer_store(location, process):
    """Both versions are named."""
    finish(LogWriter(location, manifest()))
    with sqlite3.connect(location.path) as connection:
        connection.execute("INSERT INTO promptune_versions (version) VALUES (99)")
    connection.close()
    writer = LogWriter(location, manifest("b"), process=process)
    assert "store version 99; this one knows" in (writer.close() or "")


def test_the_process_is_killed(location, process):
    """The session goes on and says so; what was waited for is there."""
    writer = LogWriter(location, manifest(), process=process)
    writer.sample(sample())
    writer.wait_for(sample().key)
    process._running.kill()
    process._running.wait()
    writer.sample(sample(run=2))
    writer.wait_for(sample(run=2).key)
    problem = writer.close() or ""
    assert "has ended" in problem
    assert "Stored until then: 1 of 2" in problem
    with ExperimentLog(location) as log:
        assert [each.key.run for each in log.samples("last")] == [1]


def test_it_never_began(location, process):
    """A process that can't even load is a problem of the log, not of the session."""
    process._running.kill()
    process._running.wait()
    writer = LogWriter(location, manifest(), process=process)
    writer.sample(sample())
    assert "has ended" in (writer.close() or "")


def test_no_process(monkeypatch):
    """Where Python can't be started, or SQLAlchemy is loaded already, a thread writes."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sqlalchemy.engine", object())
        assert WritingProcess.start() is None
        patch.delitem(sys.modules, "sqlalchemy.engine")
        patch.setattr(sys, "frozen", True, raising=False)
        assert WritingProcess.start() is None
        patch.delattr(sys, "frozen")
        patch.setattr(sys, "executable", "")
        assert WritingProcess.start() is None
        patch.setattr(sys, "executable", "/does/not/exist")
        assert WritingProcess.start() is None


def test_closed_without_use(process):
    """It ends by itself, and may be closed again."""
    process.close()
    process.close()
    assert process._running.returncode == 0


def test_stuck(process, monkeypatch):
    """A process that doesn't answer is ended all the same."""
    monkeypatch.setattr("pytest_promptune.store.writing._GRACE_S", 0.1)
    process._lock.acquire()  # as a thread does that waits for an answer
    process.close()
    assert process._running.returncode not in (None, 0)
    process._lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_are_the_sessions(location, process):
    """What CI or a terminal sends to everybody doesn't end the one that still has to write."""
    writer = LogWriter(location, manifest(), process=process)
    writer.flush()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process._running.pid, number)
    assert os.getpgid(process._running.pid) != os.getpgid(0)
    writer.sample(sample())
    finish(writer)
    with ExperimentLog(location) as log:
        assert log.history()[0].samples == 1


SESSION = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from log_samples import manifest, sample
from pytest_promptune.store.log import LogWriter, locate
from pytest_promptune.store.writing import WritingProcess

process = WritingProcess.start()
writer = LogWriter(locate(None, root=Path({root!r})), manifest("a"), process=process)
writer.flush()
for run in range(50):
    writer.sample(sample(run=run))
writer.wait_for(sample(run=49).key)
assert "sqlalchemy" not in sys.modules
print(process._running.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_session_is_killed(location, tmp_path):
    """What was waited for is there, the experiment can go on, and no process stays behind."""
    code = SESSION.format(here=str(Path(__file__).parent), root=str(tmp_path))
    session = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    child = int(session.stdout.readline())
    session.send_signal(signal.SIGKILL)
    session.wait()
    session.stdout.close()
    with ExperimentLog(location) as log:
        found = log.newest_interrupted()
        assert found is not None
        assert (found.status, found.samples) == ("interrupted", 50)
    for _ in range(100):
        if not _runs(child):
            break
        threading.Event().wait(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
