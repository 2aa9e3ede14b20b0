"""``--promptune-store=postgresql+psycopg://…``: whole sessions on a real server, and one that isn't there."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

pytestmark = pytest.mark.postgres
XDIST = ["xdist.plugin"]
#: Of results: what is another one each time, and what a clock measured.
OTHER = {"recorded_at", "id", "started", "finished", "seconds", "commit", "dirty"}


@pytest.fixture
def url(postgres_server, database):
    return postgres_server.url(database)


def said(ran) -> str:
    """What was printed, without the line breaks of a narrow terminal."""
    return " ".join(ran.text.split())


def stable(document: Any) -> Any:
    """Results up to ids and times."""
    if isinstance(document, dict):
        rows = {name: stable(value) for name, value in document.items() if name not in OTHER}
        return {name: value for name, value in rows.items() if "latency" not in name}
    if isinstance(document, list):
        timed = [
            v
            for v in document
            if isinstance(v, dict) and "latency" in f"{v.get('metric')} {v.get('quantity')}"
        ]
        return [stable(item) for item in document if item not in timed]
    return document


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
def test_the_same_results_as_with_sqlite(tuned, url, args):
    """Baseline, check and comparison give the same documents, and the log holds what SQLite's holds."""
    documents = []
    for store in ("sqlite:///log.db", url):
        tuned.baseline.unlink(missing_ok=True)
        tuned.variant("worse", "c00", "c01", "c02", "c03")
        given = [f"--promptune-store={store}", *args]
        plugins = XDIST if args else ()
        runs = [
            tuned.run("--promptune-baseline", *given, plugins=plugins, miss="c05"),
            tuned.run(*given, plugins=plugins, miss="c01,c02,c03,c05"),
            tuned.run("--promptune-compare", *given, plugins=plugins, miss="c05"),
        ]
        assert [ran.code for ran in runs] == [0, 1, 1], runs[-1].text
        documents.append([stable(ran.json) for ran in runs])
        with ExperimentLog(locate(store, root=tuned.path)) as log:
            found = log.history()
            assert [(one.mode, one.samples, one.status) for one in found] == [
                ("compare", 36, "finished"),
                ("check", 18, "finished"),
                ("baseline", 18, "finished"),
            ]
            logged = sorted(
                (each.key.case_id, each.key.variant, each.key.run, str(each.record.output))
                for each in log.samples("last")
            )
            documents[-1].append(logged)
    assert documents[0] == documents[1]


def test_replay_and_history(bot, url):
    """Stored outputs are scored again without a call, and the store is listed."""
    store = f"--promptune-store={url}"
    first = bot.run(store, miss="c01")
    ran = bot.run(store, "--promptune-replay=last")
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert stable(ran.json["metrics"]) == stable(first.json["metrics"])
    with ExperimentLog(locate(url, root=bot.path)) as log:
        assert [one.replay_of for one in log.history()] == [log.experiment().id, None]


#: A test fails where FAIL says so, and each call of the app is counted.
FAILS = """
import os
import pytest
from pathlib import Path
from pytest_promptune import Case

CASES = [Case(id=f"c{i}", input=i) for i in range(6)]


@pytest.fixture(scope="session")
def app():
    def call(number):
        with (Path(__file__).parent / "called").open("a") as file:
            file.write(f"{number}\\n")
        return number

    return call


@pytest.mark.promptune(app="app", runs=2, retries=0)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    if case.id == "c3" and os.environ.get("FAIL"):
        raise RuntimeError
    assert sample.output == case.input
"""


def test_resuming(project, url, monkeypatch):
    """What the ended session has measured is taken, the rest is measured, under the same id."""
    project.write({"test_fails.py": FAILS})
    store = f"--promptune-store={url}"
    monkeypatch.setenv("FAIL", "1")
    assert project.run(store, "-x", "--promptune-concurrency=1").code == 1
    with ExperimentLog(locate(url, root=project.path)) as log:
        before = log.newest_interrupted()
        assert before is not None
        assert 0 < before.samples < 12
    monkeypatch.delenv("FAIL")
    called = (project.path / "called").read_text().split()
    ran = project.run(store, "--promptune-resume")
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["id"] == before.id
    assert ran.json["experiment"]["samples"] == 12
    again = (project.path / "called").read_text().split()[len(called) :]
    assert len(again) == 12 - before.samples


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_addresses_as_users_have_them(bot, url, scheme):
    """Providers give them without a driver: ours is taken."""
    ran = bot.run(f"--promptune-store={url.replace('postgresql+psycopg', scheme)}")
    assert ran.code == 0, ran.text
    with ExperimentLog(locate(url, root=bot.path)) as log:
        assert log.experiment().samples == 18


#: The app asks for the server to be stopped after a few calls.
STOPS = """
import os, time
import pytest
from pytest_promptune import Case

from pathlib import Path
HERE = Path(__file__).parent
CASES = [Case(id=f"c{i:02d}", input=i) for i in range(8)]


@pytest.fixture(scope="session")
def app():
    def call(number):
        if number == 4:
            (HERE / "stop").touch()
            for _ in range(600):
                if (HERE / "stopped").exists():
                    break
                time.sleep(0.05)
        return number

    return call


@pytest.mark.promptune(app="app", runs=1, retries=0)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output == case.input
"""


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
def test_the_server_goes_away(project, postgres_server, url, args):
    """The session goes on with the same results and exit code, and says so once."""
    import threading
    import time

    project.write(test_it=STOPS)

    def stop():
        until = time.monotonic() + 60
        while not (project.path / "stop").exists() and time.monotonic() < until:
            time.sleep(0.05)
        postgres_server.stop()
        (project.path / "stopped").touch()

    thread = threading.Thread(target=stop)
    thread.start()
    ran = project.run(
        f"--promptune-store={url}", *args, subprocess=True, plugins=XDIST if args else (), timeout=120
    )
    thread.join()
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 8
    assert said(ran).count("the experiment log can't be used") == 1, ran.text
    assert "Check that the server runs" in said(ran)
    assert "Traceback" not in ran.text


PASSWORD = "swordfish-4711"


@pytest.mark.parametrize(
    ("user", "database", "words"),
    [
        (f"locked:{PASSWORD}", "postgres", "password authentication failed"),
        (f"nobody:{PASSWORD}", "postgres", 'role "nobody" does not exist'),
        (f"ann:{PASSWORD}", "nowhere", 'database "nowhere" does not exist'),
    ],
    ids=["password", "role", "database"],
)
def test_not_let_in(bot, postgres_server, user, database, words):
    """The message says what is wrong and what to do; the password is neither shown nor stored."""
    postgres_server.sql("DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'other'")
    address = postgres_server.url(database).replace("ann@", f"{user}@")
    ran = bot.run(f"--promptune-store={address}")
    assert ran.code == 0, ran.text
    assert words in said(ran)
    assert said(ran).count("the experiment log can't be used") == 1
    assert PASSWORD not in ran.text
    for path in bot.path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def test_a_server_that_does_not_run(bot, postgres_server, url):
    """Nobody listens: measured all the same."""
    postgres_server.stop()
    ran = bot.run(f"--promptune-store={url}")
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert said(ran).count("the experiment log can't be used") == 1
    assert "Check that the server runs" in said(ran)


def test_without_the_driver(bot, url):
    """The extra is named."""
    bot.write(psycopg="raise ModuleNotFoundError(\"No module named 'psycopg'\")\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from pathlib import Path\n"
            "from pytest_promptune.store.log import ExperimentLog, locate\n"
            "try: ExperimentLog(locate(sys.argv[1], root=Path.cwd()))\n"
            "except Exception as error: print(type(error).__name__, error)",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=bot.path,
    )
    assert done.stdout.startswith("StoreError")
    assert "Install pytest-promptune[postgres]" in done.stdout


@pytest.mark.parametrize("address", ["postgresql://ann:swordfish-4711@host:port/x", "postgresql://[::1/x"])
def test_addresses_that_are_none(bot, address):
    """Told as such, without a traceback or the password."""
    ran = bot.run(f"--promptune-store={address}")
    assert ran.refused("postgresql+psycopg://user@host/database")
    assert PASSWORD not in ran.text
