"""Clocks that jump, workers that are killed, and sessions that want the same experiment."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from pytest_promptune.cli import main
from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]
UNTIL_S = 30
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


#: Seconds by which each look at the clock differs from the one before.
JUMPS = {"back": -3600.0, "forward": 86_400.0, "to and fro": 0.0}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps(bot, monkeypatch, jump):
    """With every look: nothing waits, fails or is negative, the newest stays the newest, and a session that
    was interrupted meanwhile can be resumed."""
    import datetime
    import time

    from pytest_promptune import conditions

    now, looks = [2_000_000_000.0], [0]

    def jumping():
        looks[0] += 1
        now[0] += JUMPS[jump] or (1e6 if looks[0] % 2 else -1e6)
        return now[0]

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(jumping(), tz)

    bot.run()
    failing = (bot.path / "test_bot.py").read_text().replace(
        "    assert sample.output", "    if case.id == 'c03' and __import__('os').environ.get('BOT_STOP'):\n"
        "        raise OSError\n    assert sample.output"
    )  # fmt: skip
    bot.write(test_bot=failing)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", jumping)
        patch.setattr(conditions, "datetime", Jumping)
        assert bot.run("-x", stop="1").code == 1
        ran = bot.run("--promptune-resume")
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert looks[0] > 18
    assert ran.json["experiment"]["reused"] > 0
    assert ran.metric("bot::latency_s")["mean"] >= 0
    assert 0 <= ran.json["experiment"]["seconds"] < 60
    with ExperimentLog(locate(None, root=bot.path)) as log:
        newest = log.experiment("last")
        assert (newest.id, newest.status) == (ran.json["experiment"]["id"], "finished")
        assert all(s.record.latency_s < 60 for s in log.samples("last"))


#: Case c02 waits for the file "go"; before, it says which process it is in. One that finds the file "died" is quick.
HELD = """
import asyncio, os
from pathlib import Path
import pytest
from pytest_promptune import Case

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def app():
    async def call(n):
        with (HERE / "calls.log").open("a") as file:
            file.write(f"{n}\\n")
        if n == 2 and not (HERE / "died").exists():
            (HERE / "pid").write_text(str(os.getpid()))
            await asyncio.sleep(60)
        return n
    return call


@pytest.mark.promptune(app="app", runs=1)
@pytest.mark.parametrize("case", [Case(id=f"c{i:02d}", input=i) for i in range(12)], ids=str)
def test_it(case, sample):
    assert sample.output == case.input
"""


#: Says when the item of c02 begins; xdist has heard of those before it then.
REACHED = """
import os
from pathlib import Path


def pytest_runtest_logstart(nodeid):
    if "c02" in nodeid and "PYTEST_XDIST_WORKER" in os.environ:
        (Path(__file__).parent / "reached").touch()
"""


def begin(project, *args: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTEST_ADDOPTS", "CI", "GITHUB_STEP_SUMMARY")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "pytest_promptune.plugin", *args],
        cwd=project.path,
        env={**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(true, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + UNTIL_S
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


def is_waiting(project) -> bool:
    """The item of c02 waits, and those before it are in the log."""
    try:
        with ExperimentLog(locate(None, root=project.path)) as log:
            newest = log.history()[0]
            return newest.status == "running" and len(list(log.results(newest.id))) == 2
    except (StoreError, IndexError):  # it is being made
        return False


@posix
def test_a_worker_that_is_killed(project):
    """From outside, while its item waits: that item fails, the rest is measured by a replacement, and
    everything that was measured is in the log."""
    pytest.importorskip("xdist")
    project.write(test_app=HELD, conftest=REACHED)
    process = begin(project, "-n", "2", "-p", "xdist.plugin", "--promptune-concurrency=2")
    try:  # its sample begins ahead of the item: killed before that, the worker crashes in another one
        wait_until(lambda: (project.path / "pid").exists() and (project.path / "reached").exists(), process)
        (project.path / "died").touch()
        os.kill(int((project.path / "pid").read_text()), signal.SIGKILL)
        output, _ = process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    assert process.returncode == 1, output
    assert "1 failed, 11 passed" in output
    assert "crashed while running" in output
    with ExperimentLog(locate(None, root=project.path)) as log:
        assert log.experiment("last").status == "finished"
        assert len(list(log.samples("last"))) == 11


@posix
def test_two_sessions_that_resume_the_same(project):
    """The second one doesn't take it away from the first, which is still at it: it measures for itself."""
    project.write(test_app=HELD)
    process = begin(project)
    wait_until(lambda: is_waiting(project), process)
    process.kill()
    process.communicate()
    process = begin(project, "--promptune-resume", "--promptune-report=")
    try:
        wait_until(lambda: is_waiting(project), process)
        (project.path / "died").touch()  # the second one doesn't hang
        ran = project.run("--promptune-resume")
    finally:
        process.kill()
        process.communicate()
    assert ran.code == 0, ran.text
    assert "no interrupted experiment to resume" in " ".join(ran.out.split())
    assert (ran.json["experiment"]["samples"], ran.json["experiment"]["reused"]) == (12, 0)
    with ExperimentLog(locate(None, root=project.path)) as log:
        second, first = log.history()
        assert (second.status, second.samples) == ("finished", 12)
        assert first.status == "interrupted"
        assert first.id != second.id


@pytest.fixture
def repository(project, monkeypatch):
    """The project as a commit on the branch trunk."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    project.write(test_app=HELD)
    author = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    for words in (("init", "-q", "--initial-branch=trunk"), ("add", "."), (*author, "commit", "-qm", "m")):
        subprocess.run(["git", *words], cwd=project.path, check=True)
    return project


@posix
@pytest.mark.parametrize("workers", [0, 2])
def test_conditions_of_a_session_that_is_killed(repository, workers, monkeypatch, capsys):
    """What was known when it began, and what git and the installation said meanwhile, is in the log and shown."""
    if workers:
        pytest.importorskip("xdist")
    args = ("-n", str(workers), "-p", "xdist.plugin") if workers else ()
    process = begin(repository, *args, "--promptune-runs=2")
    try:
        wait_until(lambda: len(stored_samples(repository)) >= 4, process)
    finally:
        process.kill()
        process.communicate()
    until = time.monotonic() + UNTIL_S
    with ExperimentLog(locate(None, root=repository.path)) as log:
        while not log.libraries_of("last"):  # written by a process of its own, which ends a little later
            assert time.monotonic() < until, "the versions of libraries are missing"
            time.sleep(0.05)
        assert log.libraries_of("last")["pytest"] == pytest.__version__
        found = log.experiment("last")
    assert (found.status, found.seconds) == ("interrupted", None)
    assert (found.cases, found.runs, found.variants) == (12, 2, ("current",))
    assert (found.branch, found.dirty) == ("trunk", False)
    monkeypatch.chdir(repository.path)
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["show"]) == main(["history"]) == 0
    shown = capsys.readouterr().out
    for words in (
        f"commit {found.commit} on trunk",
        "variants: current",
        f"pytest-promptune {found.promptune}, {found.python}, pytest {pytest.__version__}",
        "12 cases × 2 runs",
    ):
        assert words in shown


def stored_samples(project) -> list[object]:
    """Those that are in the log by now."""
    try:
        with ExperimentLog(locate(None, root=project.path)) as log:
            return list(log.samples("last"))
    except StoreError:  # it is being made
        return []
