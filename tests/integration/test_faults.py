"""Apps, stores and machines that misbehave: the session goes on, and says what happened."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import re
import sqlite3
import sys
from pathlib import Path

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]


def suite(
    app: str, *, runs: int = 2, cases: int = 3, body: str = "pass", head: str = "", **marks: object
) -> str:
    """A module whose fixture `app` is made by the given lines."""
    given = ", ".join(f"{key}={value!r}" for key, value in {"app": "app", "runs": runs, **marks}.items())
    lines = "\n".join(f"    {line}" for line in app.strip().splitlines())
    return (
        "import asyncio, os, sys, time\nfrom pathlib import Path\nimport pytest\n"
        "from pytest_promptune import Case\n"
        f"HERE = Path(__file__).parent\nCASES = [Case(id=f'c{{i:02d}}', input=i) for i in range({cases})]\n{head}\n\n"
        f"@pytest.fixture(scope='session')\ndef app():\n{lines}\n\n"
        f"@pytest.mark.promptune({given})\n@pytest.mark.parametrize('case', CASES, ids=str)\n"
        f"def test_it(case, sample):\n    {body}\n"
    )


def samples(path: Path) -> list:
    with ExperimentLog(locate(None, root=path)) as log:
        return list(log.samples("last"))


# --- what apps give -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_none_is_an_output(project, kind):
    """An app that returns None gave None."""
    project.write(
        test_app=suite(f"{kind} call(n):\n    return None\nreturn call", body="assert sample.output is None")
    )
    ran = project.run()
    assert ran.metric("test_it")["mean"] == 1
    assert ran.json["experiment"]["errored"] == 0
    assert [s.record.output for s in samples(project.path)] == [None] * 6


@pytest.mark.parametrize("value", ["object()", "{1: object()}", "(lambda: 0)", "float('nan')", "open"])
def test_outputs_without_a_json_form(project, value):
    """Errored, with the name of the app and what is wrong, in session and log alike; the others are fine."""
    project.write(test_app=suite(f"return lambda n: {value} if n == 1 else n"))
    ran = project.run()
    assert ran.json["experiment"]["errored"] == 2, ran.text
    assert "'app'" in ran.json["errors"][0]["error"]
    assert ran.json["errors"][0]["cases"] == ["c01"]
    assert sum(s.record.error is not None for s in samples(project.path)) == 2


RAISES = {
    "exception": "raise ValueError('no')",
    "exit": "sys.exit(3)",
    "interrupt": "raise KeyboardInterrupt",
    "skip": "pytest.skip('not now')",
    "cancelled": "raise asyncio.CancelledError",
    "stop": "raise StopIteration",
    "assertion": "assert n is None, 'inside the app'",
}


@pytest.mark.parametrize("what", RAISES)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_whatever_an_app_raises_is_data(project, what, kind):
    """Errored samples of that case; session, loop and the other cases go on."""
    project.write(
        test_app=suite(f"{kind} call(n):\n    if n == 1:\n        {RAISES[what]}\n    return n\nreturn call")
    )
    ran = project.run()
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["errored"] == 2
    assert ran.json["errors"][0]["cases"] == ["c01"]
    assert ran.counts == {"passed": 4, "errored": 2}


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_hanging_apps(project, kind):
    """An app that never answers costs its time-out, and the session ends although it still hangs."""
    hang = "time.sleep(60)" if kind == "def" else "await asyncio.sleep(60)"
    project.write(
        test_app=suite(
            f"{kind} call(n):\n    if n == 1:\n        {hang}\n    return n\nreturn call",
            timeout=0.3,
            retries=0,
        )
    )
    ran = project.run(subprocess=True, timeout=40)
    assert ran.code == 0, ran.text
    assert ran.json["errors"][0]["error"] == "TimeoutError: no answer within 0.3 s"
    assert ran.json["errors"][0]["count"] == 2


def test_an_app_that_ignores_its_cancellation(project):
    """It is left behind: the other samples and the end of the session don't wait for it."""
    project.write(
        test_app=suite(
            "async def call(n):\n    until = time.monotonic() + 60\n    while n == 1 and time.monotonic() < until:\n"
            "        try:\n            await asyncio.sleep(1)\n        except asyncio.CancelledError:\n            pass\n"
            "    return n\nreturn call",
            timeout=0.3,
            runs=1,
        )
    )
    ran = project.run(subprocess=True, timeout=40)
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 2, "errored": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_app_that_blocks_the_loop(project, monkeypatch, workers):
    """A warning says so, and how to mend it; also where it did so in an xdist worker."""
    monkeypatch.setattr("pytest_promptune.engine.STALL_S", 0.3)
    project.write(
        conftest="from pytest_promptune import engine\nengine.STALL_S = 0.3\n",  # for workers
        test_app=suite("async def call(n):\n    time.sleep(1)\n    return n\nreturn call", runs=1, cases=2),
    )
    ran = project.run(*(("-n", "2") if workers else ()), plugins=XDIST if workers else ())
    assert "blocks the event loop" in " ".join(ran.out.split())
    assert any("blocks the event loop" in text for text in ran.json["warnings"])
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 2}
    assert [s.record.output for s in samples(project.path)] in ([0, 1], [1, 0])


def test_an_app_that_changes_directory(project):
    """Reports, JSON and baselines are where they would be without it; so is the log."""
    (project.path / "elsewhere").mkdir()
    project.write(test_app=suite("def call(n):\n    os.chdir(HERE / 'elsewhere')\n    return n\nreturn call"))
    ran = project.run(
        "--promptune-baseline",
        "--promptune-report=r.md",
        "--promptune-json=o.json",
        subprocess=True,
        json_file=False,
    )
    assert ran.code == 0, ran.text
    assert (project.path / "r.md").exists()
    assert (project.path / "o.json").exists()
    assert (project.path / "__promptune__" / "test_app.main.json").exists()
    assert (project.path / ".promptune" / "promptune.db").exists()
    assert not list((project.path / "elsewhere").iterdir())


PRINTS = {
    "sync": "def call(n):\n    print('LEAKED', n)\n    print('LEAKED', n, file=sys.stderr)\n    return n\nreturn call",
    "async": "async def call(n):\n    print('LEAKED', n)\n    await asyncio.sleep(0.01)\n    print('LEAKED', n, file=sys.stderr)\n    return n\nreturn call",
}


@pytest.mark.parametrize("capture", ["--capture=fd", "--capture=sys"])
@pytest.mark.parametrize("kind", PRINTS)
@pytest.mark.parametrize("workers", [0, 2])
def test_what_apps_print(project, kind, capture, workers):
    """It gets neither between pytest's lines nor into another test's output: a test that fails shows that of
    its own sample and what it prints itself."""
    body = "print('OWN', case.id)\n    if case.id == 'c04':\n        raise OSError('see above')"
    project.write(test_app=suite(PRINTS[kind], cases=9, body=body))
    args = ("-n", "2", "-p", "xdist.plugin") if workers else ()
    ran = project.run(capture, *args, subprocess=True)
    assert ran.counts == {"passed": 16, "failed": 2}
    assert ran.out.count("OWN c04") == 2
    assert re.findall("LEAKED (.)", ran.text) == ["4"] * 4
    for stream in ("stdout", "stderr"):
        assert len(re.findall(rf"^-+ Captured {stream} setup -+\nLEAKED 4$", ran.out, re.MULTILINE)) == 2


def test_what_apps_print_is_told_once(project):
    """Of the tests that share a sample the first one has it; of what never ends a beginning is kept."""
    second = (
        "\n\n@pytest.mark.promptune(app='app', runs=2)\n@pytest.mark.parametrize('case', CASES, ids=str)\n"
        "def test_other(case, sample):\n    pass\n"
    )
    app = "def call(n):\n    print('LEAKED', n, '.' * 20_000, 'END')\n    return n\nreturn call"
    project.write(test_app=suite(app) + second)
    ran = project.run("-rP")
    assert ran.counts == {"passed": 12}
    assert sorted(re.findall("LEAKED (.)", ran.out)) == list("001122")
    assert "END" not in ran.out
    assert 9_000 * 6 < ran.out.count(".") < 11_000 * 6


def test_streams_are_given_back(project):
    """After the session the streams of the process are as they were."""
    project.write(test_app=suite(PRINTS["sync"]))
    before = [
        dict(vars(stream)) if hasattr(stream, "__dict__") else {} for stream in (sys.stdout, sys.stderr)
    ]
    assert project.run().code == 0
    after = [dict(vars(stream)) if hasattr(stream, "__dict__") else {} for stream in (sys.stdout, sys.stderr)]
    assert after == before


@pytest.mark.parametrize("kind", PRINTS)
def test_what_apps_print_under_s(project, kind):
    """-s shows it, all of it."""
    project.write(test_app=suite(PRINTS[kind]))
    ran = project.run("-s", subprocess=True)
    assert ran.text.count("LEAKED") == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_an_app_fixture_that_fails(project, workers):
    """All items fail with its error; nothing is reported as measured, and the session isn't green."""
    project.write(test_app=suite("raise OSError('no model here')"))
    args, plugins = (("-n", "2"), XDIST) if workers else ((), ())
    ran = project.run(*args, plugins=plugins)
    assert ran.code == 1
    assert ran.counts == {"errors": 6}
    assert ran.out.count("E       OSError: no model here") == 6
    assert ran.json["experiment"]["samples"] == 0


def test_a_fixture_of_some_tests_that_fails(project):
    """The items that have it fail; the samples are generated for the others, once each."""
    head = (
        "@pytest.fixture\ndef shaky(case, sample):\n    if case.id == 'c01':\n        raise OSError('broken')\n"
        "    return 1\n\n"
        "@pytest.mark.promptune(app='app', runs=2)\n@pytest.mark.parametrize('case', CASES, ids=str)\n"
        "def test_shaky(case, sample, shaky):\n    pass\n"
    )
    app = "def call(n):\n    with (HERE / 'calls.log').open('a') as f:\n        f.write(f'{n}\\n')\n    return n\nreturn call"
    project.write(test_app=suite(app, head=head))
    ran = project.run()
    assert ran.code == 1
    assert ran.counts == {"passed": 10, "errors": 2}
    assert ran.per_case == {"0": 2, "1": 2, "2": 2}
    assert ran.metric("test_it")["n_samples"] == 6
    assert ran.metric("test_shaky")["n_samples"] == 4


# --- infrastructure -------------------------------------------------------------------------------

LIMITED = """
class TooMany(Exception):
    def __init__(self, wait):
        super().__init__("429 Too Many Requests")
        self.status_code = 429
        headers = {} if wait is None else {"retry-after": wait}
        self.response = type("Response", (), {"headers": headers, "status_code": 429})()

seen = set()

async def call(n):
    if n not in seen:
        seen.add(n)
        raise TooMany(WAIT)
    return n

return call
"""


@pytest.mark.parametrize(("wait", "told"), [("None", False), ("'7'", True)])
def test_429(project, monkeypatch, wait, told):
    """Tried again after what Retry-After says, or after a pause of our own; no sample is lost."""
    pauses = []
    real = __import__("pytest_promptune.engine", fromlist=["pause_before"]).pause_before

    def pause(*given):
        pauses.append(real(*given))
        return 0.0

    monkeypatch.setattr("pytest_promptune.engine.pause_before", pause)
    project.write(test_app=suite(LIMITED.replace("WAIT", wait), runs=1, retries=2))
    ran = project.run()
    assert ran.counts == {"passed": 3}, ran.text
    assert ran.json["experiment"]["missing"] == 0
    assert len(pauses) == 3
    assert all((pause >= 7) is told for pause in pauses)
    assert {s.attempts for s in samples(project.path)} == {2}


def test_429_without_end(project, monkeypatch):
    """Missing, not errored: the provider's limits say nothing about the prompt."""
    monkeypatch.setattr("pytest_promptune.engine.pause_before", lambda *_: 0.0)
    endless = LIMITED.replace("if n not in seen:", "if n == 1:").replace("WAIT", "None")
    project.write(test_app=suite(endless, retries=2))
    ran = project.run()
    assert (ran.json["experiment"]["missing"], ran.json["experiment"]["errored"]) == (2, 0)
    assert {s.attempts for s in samples(project.path) if s.record.error} == {3}


# --- the store ------------------------------------------------------------------------------------


def survives(ran) -> str:
    """All samples were measured and reported; gives what was said, in one line."""
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert "INTERNALERROR" not in ran.text
    return " ".join(ran.out.split())


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="permissions")
def test_a_place_that_cannot_be_written_to(bot):
    """The session goes on and says where and why; root may write anywhere, so a file stands in the way."""
    (bot.path / ".promptune").write_text("no folder")
    ran = bot.run()
    assert "the experiment log can't be used" in survives(ran)
    assert any(".promptune" in text for text in ran.json["warnings"])


def test_a_full_disk(bot, monkeypatch):
    """A disk that fills up in the middle: what was measured is in the report, and the session says so."""
    from pytest_promptune.store.log import inserting

    real = inserting.Inserter.commit
    commits = []

    def commit(self):
        commits.append(1)
        if len(commits) > 2:
            raise sqlite3.OperationalError("database or disk is full")
        real(self)

    monkeypatch.setattr(inserting.Inserter, "commit", commit)
    said = survives(bot.run(wait=0.05))
    assert "database or disk is full" in said
    assert "Make room on the disk" in said


@pytest.mark.parametrize("args", [[], ["-q"]])
def test_a_newer_store(bot, args):
    """Not touched; the session goes on and names both versions. What must read it refuses."""
    bot.run()
    path = bot.path / ".promptune" / "promptune.db"
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO promptune_versions VALUES (99)")
        before = list(connection.iterdump())
    connection.close()
    said = survives(bot.run(*args))
    assert "99" in said
    for option in ("--promptune-replay=last", "--promptune-resume"):
        assert bot.run(option).refused("99")
    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == before
    connection.close()


def test_something_else_in_its_place(bot):
    """A file that is no database: the session goes on, and the file stays as it is."""
    (bot.path / ".promptune").mkdir()
    (bot.path / ".promptune" / "promptune.db").write_bytes(b"precious " * 1000)
    assert "the experiment log can't be used" in survives(bot.run())
    assert (bot.path / ".promptune" / "promptune.db").read_bytes() == b"precious " * 1000


@pytest.mark.parametrize("workers", [0, 2])
def test_two_sessions_at_once(project, workers):
    """A session inside a session, on one store: both are whole."""
    inner = (
        "\n\ndef test_other(case, sample, request):\n    import subprocess\n"
        "    if case.id == 'c01' and sample.run == 1 and not os.environ.get('INNER'):\n"
        "        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'pytest_promptune.plugin', '--promptune-report=']\n"
        "        done = subprocess.run(command, cwd=HERE, env={**os.environ, 'INNER': '1'}, capture_output=True, text=True)\n"
        "        assert done.returncode == 0, pytest.fail(done.stdout + done.stderr)\n"
    )
    marks = "\n\n@pytest.mark.promptune(app='app', runs=2)\n@pytest.mark.parametrize('case', CASES, ids=str)"
    project.write(test_app=suite("return lambda n: n") + marks + inner.lstrip("\n").join(["\n", ""]))
    args, plugins = (("-n", "2"), XDIST) if workers else ((), ())
    ran = project.run(*args, plugins=plugins)
    assert ran.code == 0, ran.text
    with ExperimentLog(locate(None, root=project.path)) as log:
        found = log.history()
        assert [(e.status, e.samples) for e in found] == [("finished", 6)] * 2
        assert found[0].id != found[1].id


# --- size -----------------------------------------------------------------------------------------


def test_many_samples_of_which_some_fail(project):
    """10,000 samples, one in twenty errored: all are counted, scored and stored."""
    project.write(
        test_app=suite(
            "async def call(n):\n    if n % 20 == 7:\n        raise ValueError('one in twenty')\n    return n\nreturn call",
            cases=1000,
            runs=10,
            body="assert sample.output % 2 == 0",
        )
    )
    ran = project.run("-q", "--promptune-report=", subprocess=True, timeout=150)
    assert ran.code == 0, ran.text[-2000:]
    assert (ran.json["experiment"]["samples"], ran.json["experiment"]["errored"]) == (10_000, 500)
    assert ran.metric("test_it")["mean"] == 0.5
    assert ran.metric("app::error_rate")["mean"] == pytest.approx(0.05)
    assert ran.json["errors"][0]["count"] == 500
    with ExperimentLog(locate(None, root=project.path)) as log:
        found = log.experiment("last")
        assert (found.samples, found.errored, found.status) == (10_000, 500, "finished")
