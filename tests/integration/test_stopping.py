"""However a session is stopped: nothing waits, exit codes are pytest's, and what was finished is kept."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary, locate

XDIST = ["xdist.plugin"]
UNTIL_S = 30

#: Cases in BOT_HOLD never get an answer; STOP says how the third item ends the session.
HOLDING = """
import asyncio, os, signal, time
from pathlib import Path

import pytest
from pytest_promptune import Case

HERE = Path(__file__).parent
CASES = [Case(id=f"c{i:02d}", input=i) for i in range(8)]
HELD = os.environ.get("BOT_HOLD", "").split(",")
pytestmark = pytest.mark.promptune(app="APP", runs=2, timeout=120)


def note(name, number):
    with (HERE / name).open("a") as file:
        file.write(f"c{number:02d}\\n")


@pytest.fixture(scope="session")
def async_app():
    async def call(number):
        note("calls.log", number)
        if f"c{number:02d}" in HELD:
            note("held.log", number)
            await asyncio.sleep(30)
        return number
    return call


@pytest.fixture(scope="session")
def sync_app():
    def call(number):
        note("calls.log", number)
        if f"c{number:02d}" in HELD:
            note("held.log", number)
            time.sleep(30)
        return number
    return call


@pytest.fixture
def stops(sample):
    how = os.environ.get("BOT_STOP")
    if how and sample.output == 2 and sample.run == 1:
        if how == "usage":
            from pytest_promptune.core.errors import PromptuneError
            raise PromptuneError("that can't be meant")
        return how


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample, stops):
    if stops == "fail":
        raise OSError("broken")
    if stops == "ctrl-c":
        raise KeyboardInterrupt
    if stops == "exit":
        pytest.exit("enough", returncode=17)
    if stops == "term":
        os.kill(os.getpid(), signal.SIGTERM)
"""

INTERNAL = """
import os

def pytest_runtest_logreport(report):
    if "c02" in report.nodeid and report.when == "call" and os.environ.get("BOT_STOP") == "internal":
        raise RuntimeError("a broken plugin")
"""

APPS = ["async_app", "sync_app"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(params=APPS)
def holding(request, project):
    """Samples of the cases that BOT_HOLD names take half a minute; a session that waited for them has them."""
    project.write(test_hold=HOLDING.replace("APP", request.param), conftest=INTERNAL)
    return project


@pytest.fixture
def one(project):
    """The same with one kind of app."""
    project.write(test_hold=HOLDING.replace("APP", "async_app"), conftest=INTERNAL)
    return project


def newest(path: Path) -> ExperimentSummary:
    with ExperimentLog(locate(None, root=path)) as log:
        return log.history()[0]


def finished(path: Path) -> set[tuple[str, int]]:
    """Case and run of the samples that are in the log."""
    with ExperimentLog(locate(None, root=path)) as log:
        return {(s.key.case_id, s.key.run) for s in log.samples(log.history()[0].id)}


def reported(path: Path) -> int:
    """How many results are in the log, also while it is being made."""
    try:
        with ExperimentLog(locate(None, root=path)) as log:
            return len(list(log.results(log.history()[0].id)))
    except (StoreError, IndexError):
        return 0


def begin(path: Path, *args: str, **bot: str) -> subprocess.Popen[str]:
    """Start pytest in a process of its own, with signals as a terminal has them."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTEST_ADDOPTS", "CI", "GITHUB_STEP_SUMMARY")}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **{f"BOT_{k.upper()}": v for k, v in bot.items()}}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "pytest_promptune.plugin", *args],
        cwd=path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a shell starts background jobs with SIGINT ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(true, process: subprocess.Popen[str]) -> None:
    """Wait for something that will be true soon."""
    until = time.monotonic() + UNTIL_S
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


# --- from inside ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "args", "code", "words"),
    [
        ("fail", ["-x"], 1, "OSError: broken"),
        ("fail", ["--maxfail=1"], 1, "stopping after 1 failures"),
        ("ctrl-c", [], 2, "KeyboardInterrupt"),
        ("exit", [], 17, "enough"),
        ("usage", [], 4, "that can't be meant"),
        ("internal", [], 3, "a broken plugin"),
        pytest.param("term", [], 2, "SIGTERM", marks=posix),
    ],
)
def test_stopping(holding, stop, args, code, words):
    """Pending and hanging samples are given up at once; the finished ones are in the log, to be resumed."""
    ran = holding.run(*args, hold="c03,c04,c05,c06,c07", stop=stop)
    assert ran.code == code, ran.text
    assert words in ran.text
    assert "::gate[" not in ran.text
    assert newest(holding.path).status == "interrupted"
    assert newest(holding.path).exit_code == code
    assert finished(holding.path) >= {("c00", 1), ("c01", 1), ("c02", 1)}
    assert {case for case, _ in finished(holding.path)} <= {"c00", "c01", "c02"}
    again = holding.run("--promptune-resume")
    assert again.code == 0, again.text
    assert again.json["experiment"]["samples"] == 16
    assert again.json["experiment"]["reused"] >= 3
    assert len(again.calls) == 16 - again.json["experiment"]["reused"]
    assert newest(holding.path).status == "finished"


@pytest.mark.parametrize("stop", ["fail", "ctrl-c"])
def test_outputs_of_a_stopped_session(one, stop):
    """JSON and report are there and say that the session ended early."""
    ran = one.run("-x", hold="c06,c07", stop=stop)
    assert ran.json["interrupted"] is True
    assert ran.json["experiment"]["id"] == newest(one.path).id
    assert "ended early" in (one.path / "promptune-report.md").read_text()


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_signals(holding, how):
    """While an item waits for a sample that hangs: exit code 2, finished samples kept, outputs written."""
    process = begin(
        holding.path, "--promptune-concurrency=4", "--promptune-json=out.json", hold="c04,c05,c06,c07"
    )
    try:
        wait_until(lambda: len(lines(holding.path / "held.log")) == 4, process)
        wait_until(lambda: reported(holding.path) == 4, process)  # the fifth item waits
        process.send_signal(how)
        output, _ = process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    assert process.returncode == 2, output
    assert ("KeyboardInterrupt" if how == signal.SIGINT else "SIGTERM") in output
    for trouble in ("Exception ignored", "never awaited", "Task was destroyed", "INTERNALERROR"):
        assert trouble not in output
    assert '"interrupted": true' in (holding.path / "out.json").read_text()
    assert newest(holding.path).status == "interrupted"
    assert finished(holding.path) == {(f"c0{i}", 1) for i in range(4)}


@posix
def test_a_signal_before_the_first_sample_is_finished(holding):
    """Nothing was measured: no outputs, and the experiment reads as interrupted without samples."""
    process = begin(holding.path, hold="c00,c01,c02,c03,c04,c05,c06,c07")
    try:
        wait_until(lambda: lines(holding.path / "held.log"), process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    assert process.returncode == 2, output
    summary = newest(holding.path)
    assert (summary.status, summary.samples, summary.exit_code) == ("interrupted", 0, 2)
    ran = holding.run("--promptune-resume")
    assert ran.code == 0, ran.text
    assert "no interrupted experiment to resume" in ran.text
    assert len(ran.calls) == 16


# --- with workers ---------------------------------------------------------------------------------

#: How each worker's own session ended; execnet interrupts one that is still busy after five seconds.
ENDED = """

def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "workerinput"):
        with (session.config.rootpath / "ended.log").open("a") as file:
            file.write(f"{int(exitstatus)}\\n")
"""


@pytest.mark.parametrize(
    ("stop", "args", "code", "words"),
    [
        ("fail", ["-x"], 2, "stopping after 1 failures"),  # xdist ends a session by an interrupt
        ("fail", ["--maxfail=1"], 2, "stopping after 1 failures"),
        ("ctrl-c", [], 2, "keyboard-interrupt"),
        ("usage", [], 4, "that can't be meant"),
        ("internal", [], 3, "a broken plugin"),
    ],
)
def test_stopping_with_workers(one, stop, args, code, words):
    """The other worker ends as well: it neither waits for its sample nor runs the rest of its items."""
    pytest.importorskip("xdist")
    ran = one.run(*args, "-n", "2", plugins=XDIST, hold="c03,c04,c05,c06,c07", stop=stop)
    assert ran.code == code, ran.text
    assert words in ran.text
    assert "::gate[" not in ran.text
    assert (newest(one.path).status, newest(one.path).exit_code) == ("interrupted", code)
    assert ("c00", 1) in finished(one.path)  # the worker that stops has reported it before
    assert {case for case, _ in finished(one.path)} <= {"c00", "c01", "c02"}


def test_what_a_stopped_worker_had_left(project):
    """None of it is called: under -x workers that have all their items stop at the next one."""
    pytest.importorskip("xdist")
    body = HOLDING.replace("APP", "async_app").replace("range(8)", "range(80)")
    project.write(test_hold=body, conftest="")
    ran = project.run("-x", "-n", "2", "--promptune-concurrency=2", plugins=XDIST, stop="fail", hold="c09")
    assert ran.code == 2, ran.text
    assert len(ran.calls) < 40
    again = project.run("--promptune-resume", "-n", "2", plugins=XDIST)
    assert again.code == 0, again.text
    assert again.json["experiment"]["samples"] == 160
    assert len(again.calls) == 160 - again.json["experiment"]["reused"]


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("to", ["controller", "group"])
def test_signals_with_workers(one, how, to):
    """Sent to the controller or, as a terminal does, to all: exit code 2, what was reported is kept, no
    process stays behind, and workers end in order, not by execnet's force."""
    pytest.importorskip("xdist")
    one.write(conftest=INTERNAL + ENDED)
    process = begin(
        one.path, "-n", "2", "-p", "xdist.plugin", "--promptune-concurrency=4", hold="c04,c05,c06,c07"
    )
    try:
        wait_until(lambda: len(lines(one.path / "held.log")) == 4, process)
        wait_until(lambda: reported(one.path) == 4, process)
        if to == "group":
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        output, _ = process.communicate(timeout=UNTIL_S)  # also waits until the workers close the pipe
    finally:
        process.kill()
    assert process.returncode == 2, output
    assert ("KeyboardInterrupt" if how == signal.SIGINT else "SIGTERM") in output
    assert newest(one.path).status == "interrupted"
    assert finished(one.path) == {(f"c0{i}", 1) for i in range(4)}
    if to == "controller":
        assert lines(one.path / "ended.log") == ["0", "0"]


#: Workers that say next to nothing while an item waits.
SILENT = """
from pytest_promptune.plugin import distribution

distribution.TELL_AFTER_S = distribution.NEWS_AFTER_S = distribution.REPEAT_AFTER_S = 600.0
"""


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("to", ["controller", "group"])
def test_what_workers_had_not_sent(one, how, to):
    """What has finished since a worker's last report is sent when the session ends, and so is in the log."""
    pytest.importorskip("xdist")
    one.write(conftest=SILENT)
    process = begin(one.path, "-n", "2", "-p", "xdist.plugin", "--promptune-concurrency=4", hold="c00,c01")
    try:
        wait_until(lambda: len(lines(one.path / "held.log")) == 4, process)  # both runs: all between is done
        time.sleep(1.0)  # a controller that still loads knows of nothing
        if to == "group":
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        output, _ = process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    assert process.returncode == 2, output
    assert "INTERNALERROR" not in output
    assert finished(one.path) == {(f"c0{i}", 1) for i in range(2, 8)}, output


#: Tells who the workers are.
PIDS = """
import os


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput"):
        with (session.config.rootpath / "workers.log").open("a") as file:
            file.write(f"{os.getpid()}\\n")
"""


@posix
def test_a_worker_that_alone_is_terminated(project):
    """xdist replaces it, as it replaces one that crashes, and the session goes on to its end."""
    pytest.importorskip("xdist")
    body = HOLDING.replace("APP", "async_app").replace(
        "        return", "        await asyncio.sleep(0.2)\n        return", 1
    )
    project.write(test_hold=body, conftest=PIDS)
    process = begin(project.path, "-n", "2", "-p", "xdist.plugin", "--promptune-concurrency=1", hold="")
    try:
        wait_until(lambda: len(lines(project.path / "calls.log")) >= 6, process)
        os.kill(int(lines(project.path / "workers.log")[0]), signal.SIGTERM)
        output, _ = process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    assert "INTERNALERROR" not in output
    assert "replacing crashed worker" in output
    assert newest(project.path).status == "finished", output
    assert len(finished(project.path)) >= 15


# --- the handler itself ---------------------------------------------------------------------------

HANDLER = """
import signal


def own(*args):
    pass


def shown():
    found = signal.getsignal(signal.SIGTERM)
    return found.name if isinstance(found, signal.Handlers) else found.__name__


def pytest_addoption(parser):
    parser.addoption("--own", action="store_true")


def pytest_configure(config):
    if config.getoption("--own"):
        signal.signal(signal.SIGTERM, own)


def pytest_runtest_call(item):
    print("DURING", shown())


def pytest_unconfigure(config):
    print("AFTERWARDS", shown())
"""


@posix
@pytest.mark.parametrize(
    ("tests", "args", "during", "after"),
    [
        (HOLDING.replace("APP", "async_app"), [], "_stop", "SIG_DFL"),
        (HOLDING.replace("APP", "async_app"), ["--own"], "own", "own"),
        ("def test_handler():\n    pass\n", [], "SIG_DFL", "SIG_DFL"),
    ],
    ids=["default", "somebody's", "no promptune tests"],
)
def test_only_the_default_handler_is_replaced(project, tests, args, during, after):
    """Ours is there while promptune items run, where nobody else's is; afterwards it is as before."""
    project.write(test_hold=tests, conftest=HANDLER)
    ran = project.run("-s", *args, subprocess=True)
    assert ran.code == 0, ran.text
    assert set(re.findall(r"DURING (\w+)", ran.out)) == {during}
    assert f"AFTERWARDS {after}" in ran.out
