"""More than one process at one store, and processes that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from log_samples import manifest

from pytest_promptune.store.log import ExperimentLog, LogWriter

SESSION = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from log_samples import finish, manifest, sample
from pytest_promptune.store.log import LogWriter, locate

assert "sqlalchemy" not in sys.modules
writer = LogWriter(locate({store!r}, root=Path.cwd()), manifest({id!r}))
assert "sqlalchemy" not in sys.modules or writer._thread.is_alive()
for run in range({count}):
    writer.sample(sample(run=run))
    if run % 10 == 0:
        writer.wait_for(sample(run=run).key)
writer.flush()
print(writer.problem, flush=True)
{end}
"""
FINISH = "finish(writer)"
WAIT = "time.sleep(60)"


def start(store: str, id_: str, *, end: str, count: int) -> subprocess.Popen[str]:
    code = SESSION.format(here=str(Path(__file__).parent), store=store, id=id_, end=end, count=count)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_sessions_at_once(store, location):
    """All make the store and write to it; nothing is lost."""
    sessions = [start(store, id_, end=FINISH, count=300) for id_ in ("a", "b", "c", "d")]
    assert [session.communicate(timeout=120)[0] for session in sessions] == ["None\n"] * 4
    with ExperimentLog(location) as log:
        found = {each.id: (each.status, each.samples) for each in log.history()}
        assert found == dict.fromkeys(("a", "b", "c", "d"), ("finished", 300))
        for name in found:
            assert len(list(log.samples(name))) == 300


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed(store, location):
    """What was waited for survives ``kill -9``; the experiment is interrupted at once and can go on."""
    session = start(store, "a", end=WAIT, count=50)
    assert session.stdout is not None
    assert session.stdout.readline() == "None\n"
    with ExperimentLog(location) as log:
        assert log.history()[0].status == "running"
        session.send_signal(signal.SIGKILL)
        session.wait()
        session.stdout.close()
        found = log.newest_interrupted()
        assert found is not None
        assert found.samples == 50
        assert len(list(log.finished_samples("a"))) == 50
    assert LogWriter(location, manifest("a"), resumes=True).close() is None


def test_importing_the_log_is_cheap():
    """SQLAlchemy loads in the writer's thread or when a log is read, not before."""
    code = "import sys, pytest_promptune.store.log; print({'sqlalchemy', 'sqlite3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
