"""``--promptune-resume``: an interrupted session goes on where it ended, under the same conditions only."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary, locate

XDIST = ["xdist.plugin"]
UNTIL_S = 40
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")

#: BOT_HOLD: cases without an answer. BOT_LOSE: cases whose connection is lost, BOT_RAISE: where the app
#: raises. BOT_DIE: whose first call ends the process. BOT_FAIL: the test of this case fails. Answers depend on case and run alone, by BOT_DRAWS.
SUITE = """
import asyncio, os
from collections import Counter
from pathlib import Path

import pytest
from pytest_promptune import Case

HERE = Path(__file__).parent
RUNS = 3
CASES = [Case(id=f"c{i:02d}", input=i) for i in range(6)]
seen = Counter()


def named(what):
    return os.environ.get("BOT_" + what, "").split(",")


def note(name, case):
    with (HERE / name).open("a") as file:
        file.write(case + "\\n")


@pytest.fixture(scope="session")
def bot():
    note("made.log", "bot")

    async def call(number):
        case = f"c{number:02d}"
        note("calls.log", case)
        if case in named("HOLD"):
            note("held.log", case)
            await asyncio.sleep(40)
        if case in named("DIE") and not (HERE / "died").exists():
            (HERE / "died").touch()
            await asyncio.sleep(3)
            os._exit(7)
        if case in named("LOSE"):
            raise ConnectionError("connection reset by peer")
        if case in named("RAISE"):
            raise RuntimeError("the model is confused")
        return {"a": number, "draw": os.environ.get("BOT_DRAW", "first")}

    return call


@pytest.mark.promptune(app="bot", runs=RUNS, retries=0, timeout=90)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    if case.id in named("FAIL"):
        raise OSError("broken")
    sample.score("number", sample.output["a"])
    assert sample.output["a"] % 2 == 0
"""


@pytest.fixture
def suite(project):
    """Six cases, three runs, and a session that can be stopped."""
    project.write(test_bot=SUITE, conftest="")
    return project


def history(path: Path) -> list[ExperimentSummary]:
    with ExperimentLog(locate(None, root=path)) as log:
        return log.history()


def finished(path: Path) -> Counter[str]:
    """How many samples of each case the newest experiment has, also while the log is being made."""
    try:
        with ExperimentLog(locate(None, root=path)) as log:
            return Counter(sample.key.case_id for sample in log.samples(log.history()[0].id))
    except (StoreError, IndexError):
        return Counter()


def findings(ran) -> list:
    """What a session found, without what depends on the clock."""
    names = ("metric", "n_samples", "mean", "sd_of_runs")
    return [[row[name] for name in names] for row in ran.json["metrics"] if "latency" not in row["metric"]]


def interrupted(suite, *args: str, **bot: object):
    """A session that ended early, with some samples finished."""
    ran = suite.run("-x", *args, fail="c03", **bot)
    assert ran.code in (1, 2), ran.text  # xdist ends a session by an interrupt
    assert history(suite.path)[0].status == "interrupted"
    return ran


def killed(path: Path, how: int, *args: str) -> Counter[str]:
    """Start a session, kill it when half of its samples hang, and give what the log has of it."""
    held = {"c03", "c04", "c05"}
    names = ("PYTEST_ADDOPTS", "CI", "GITHUB_STEP_SUMMARY")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "BOT_HOLD": ",".join(held)}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_promptune.plugin", "--promptune-runs=1", *args]
    process = subprocess.Popen(
        command,
        cwd=path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        until = time.monotonic() + UNTIL_S
        while finished(path).total() < 3:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until, "it takes too long"
            time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=UNTIL_S)
    finally:
        process.kill()
    return finished(path)


def killed_with_workers(path: Path, held: str, wanted: int) -> Counter[str]:
    """Start a session with two workers, kill all processes once the log has so many samples, or none more."""
    names = ("PYTEST_ADDOPTS", "CI", "GITHUB_STEP_SUMMARY")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "BOT_HOLD": held}
    plugins = ["-p", "xdist.plugin", "-p", "pytest_promptune.plugin"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *plugins, "--promptune-runs=1", "-n", "2"],
        cwd=path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + UNTIL_S
        while finished(path).total() < wanted and time.monotonic() < until:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # controller and workers
    process.communicate(timeout=UNTIL_S)
    return finished(path)


# --- going on -------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_after_a_kill(suite, how):
    """What was finished is not called again; the results are those of a session that nobody killed."""
    whole = suite.run("--promptune-runs=1", "--promptune-store=")
    assert killed(suite.path, how) == {"c00": 1, "c01": 1, "c02": 1}
    before = history(suite.path)[0]
    assert before.status == "interrupted"
    ran = suite.run("--promptune-runs=1", "--promptune-resume")
    assert ran.code == 0, ran.text
    assert ran.per_case == {"c03": 1, "c04": 1, "c05": 1}
    assert ran.json["experiment"]["reused"] == 3
    assert ran.json["experiment"]["samples"] == 6
    assert ran.json["experiment"]["id"] == before.id
    assert findings(ran) == findings(whole)
    (after,) = history(suite.path)
    assert (after.id, after.status, after.samples) == (before.id, "finished", 6)


@posix
@pytest.mark.parametrize("held", ["c00", "c00,c01"], ids=["one worker waits", "both wait"])
def test_after_a_kill_of_workers(suite, held):
    """What a worker generated ahead while its first item waits is stored: only what hung is called again."""
    pytest.importorskip("xdist")
    others = {f"c{i:02d}": 1 for i in range(6)}
    hung = {case: others.pop(case) for case in held.split(",")}
    assert killed_with_workers(suite.path, held, len(others)) == others
    ran = suite.run("--promptune-runs=1", "--promptune-resume", "-n", "2", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert ran.per_case == hung
    assert ran.json["experiment"]["reused"] == len(others)


@posix
def test_killed_twice(suite):
    """Each session goes on from the one before; nothing of the first is lost."""
    killed(suite.path, signal.SIGKILL)
    killed(suite.path, signal.SIGKILL, "--promptune-resume")
    ran = suite.run("--promptune-runs=1", "--promptune-resume")
    assert ran.per_case == {"c03": 1, "c04": 1, "c05": 1}
    assert len(history(suite.path)) == 1


def test_runs_stay_draws(suite):
    """The run is part of what a sample is called: a run that is measured later is a draw of its own."""
    interrupted(suite, "--promptune-concurrency=1", draw="first")
    done = finished(suite.path)
    assert 0 < done.total() < 18
    ran = suite.run("--promptune-resume", draw="second")
    assert ran.code == 0, ran.text
    with ExperimentLog(locate(None, root=suite.path)) as log:
        draws = Counter(s.record.output["draw"] for s in log.samples("last"))
        cells = {(s.key.case_id, s.key.run) for s in log.samples("last")}
    assert draws == {"first": done.total(), "second": 18 - done.total()}
    assert len(cells) == 18
    assert ran.json["experiment"]["reused"] == done.total()


@pytest.mark.parametrize("first", [(), ("-n", "2")], ids=["serial first", "workers first"])
@pytest.mark.parametrize("then", [(), ("-n", "2")], ids=["then serial", "then workers"])
def test_with_workers(suite, first, then):
    """Serial sessions and those with workers continue each other."""
    pytest.importorskip("xdist")
    whole = suite.run("--promptune-store=")
    interrupted(suite, *first, "--promptune-concurrency=2", plugins=XDIST if first else ())
    before, done = history(suite.path)[0], finished(suite.path)
    ran = suite.run("--promptune-resume", *then, plugins=XDIST if then else ())
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["id"] == before.id
    assert ran.json["experiment"]["reused"] == done.total()
    assert sum(ran.per_case.values()) == 18 - done.total()
    assert findings(ran) == findings(whole)
    (after,) = history(suite.path)
    assert (after.status, after.samples) == ("finished", 18)


def test_a_crash_while_resuming(suite):
    """The crashed worker's replacement takes what is stored, from before or by that worker; the latter isn't reused."""
    pytest.importorskip("xdist")
    interrupted(suite, "--promptune-concurrency=2", lose="c01")
    before, done = history(suite.path)[0], finished(suite.path)
    del done["c01"]
    assert 0 < done.total() < 15
    ran = suite.run("--promptune-resume", "-n", "2", plugins=XDIST, die="c01")
    assert ran.code == 1, ran.text
    assert ran.counts["failed"] == 1
    assert "c01-current-run1" in ran.out
    assert ran.json["experiment"]["id"] == before.id
    assert ran.per_case == {f"c{i:02d}": 3 - done[f"c{i:02d}"] for i in range(6)}
    assert ran.json["experiment"]["reused"] == done.total()
    assert finished(suite.path).total() == 17


def test_lost_samples_are_measured_again(suite):
    """What the infrastructure lost is no measurement; what the app did wrong is one, and stays."""
    interrupted(suite, lose="c00", **{"raise": "c01"})
    assert finished(suite.path)["c00"] > 0
    ran = suite.run("--promptune-resume")
    assert ran.per_case["c00"] == 3
    assert ran.per_case["c01"] < 3
    assert ran.json["experiment"]["missing"] == 0
    assert ran.json["experiment"]["errored"] == 3 - ran.per_case["c01"]
    with ExperimentLog(locate(None, root=suite.path)) as log:
        assert not any(s.record.error and s.record.error.infrastructure for s in log.samples("last"))
        assert log.experiment("last").missing == 0


def test_a_baseline_of_a_resumed_session(suite):
    """It is the one of an uninterrupted session."""
    whole = suite.record("--promptune-store=")
    del whole
    scores = suite.baseline_json()["scores"]
    suite.baseline.unlink()
    interrupted(suite, "--promptune-baseline")
    assert not suite.baseline.exists()
    suite.record("--promptune-resume")
    again = suite.baseline_json()["scores"]
    assert {k: v for k, v in again.items() if "latency" not in k} == {
        k: v for k, v in scores.items() if "latency" not in k
    }


# --- nothing to go on with ------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["nothing", "finished"])
@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_to_resume(suite, before, workers):
    """Everything is measured, and the session says so."""
    if before == "finished":
        suite.run()
    args, plugins = (("-n", "2"), XDIST) if workers else ((), ())
    ran = suite.run("--promptune-resume", "-v", *args, plugins=plugins)
    assert ran.code == 0, ran.text
    assert "no interrupted experiment to resume" in " ".join(ran.out.split())
    assert len(ran.calls) == 18
    assert ran.json["experiment"]["reused"] == 0


def test_without_a_log(suite):
    """A resumption of nothing stored is a slip."""
    assert suite.run("--promptune-resume", "--promptune-store=").refused("--promptune-store is empty")


def test_with_replay(suite):
    """They contradict each other."""
    assert suite.run("--promptune-resume", "--promptune-replay=last").refused("contradict each other")


CHANGES = {
    "case": (
        {"test_bot.py": SUITE.replace("input=i)", "input=i or 7)")},
        [],
        ["cases.test_bot.py::c00: changed"],
    ),
    "fewer cases": (
        {"test_bot.py": SUITE.replace("range(6)", "range(5)")},
        [],
        ["cases.test_bot.py::c05: gone"],
    ),
    "module": ({"test_bot.py": SUITE + "\n# later\n"}, [], ["tests.test_bot.py: changed"]),
    "conftest": ({"conftest.py": "x = 1\n"}, [], ["tests.conftest.py: changed"]),
    "runs": ({}, ["--promptune-runs=4"], ["runs.test_bot.py: 4, was 3"]),
    "selection and case": (
        {"test_bot.py": SUITE.replace("input=i)", "input=i or 7)")},
        ["-k", "c00"],
        ["cases.test_bot.py::c00: changed"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_conditions_are_refused(suite, change):
    """Exit code 4, naming the experiment and what changed, before any call."""
    files, args, words = CHANGES[change]
    interrupted(suite)
    before = history(suite.path)
    suite.write(files)
    ran = suite.run("--promptune-resume", *args)
    assert ran.refused("--promptune-resume", before[0].id, *words)
    assert history(suite.path) == before


SELECTIONS = {
    "cases": (["-k", "c00 or c03"], "leave out 8 cases of it (test_bot.py::c01, test_bot.py::c02, "),
    "runs": (["-k", "run1"], "leave out some runs of it"),
    "files": (["test_bot.py"], "leave out 6 cases of it (test_more.py::c00, "),
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_part_is_refused_as_such(suite, selection):
    """What -k or paths leave out didn't change: it is named as left out, and what is stored stays."""
    suite.write(test_more=SUITE)
    interrupted(suite)
    before = history(suite.path)
    args, words = SELECTIONS[selection]
    ran = suite.run("--promptune-resume", *args)
    assert ran.refused("--promptune-resume", before[0].id, "measures more than what is selected", words)
    assert "gone" not in ran.text
    assert history(suite.path) == before
    again = suite.run("--promptune-resume")
    assert again.json["experiment"]["reused"] == before[0].samples


@pytest.mark.parametrize("selection", [["-k", "test_it"], ["test_bot.py::test_it"]], ids=["-k", "node id"])
def test_tests_left_out_are_a_part_as_well(suite, selection):
    """They share the samples: going on would end the experiment without them."""
    head, test = SUITE.split("@pytest.mark.promptune(app")
    other = (
        test.replace("def test_it", "def test_other").split("    if case.id")[0] + "    assert sample\n\n\n"
    )
    suite.write(test_bot=f"{head}@pytest.mark.promptune(app{other}@pytest.mark.promptune(app{test}")
    interrupted(suite)
    before = history(suite.path)
    ran = suite.run("--promptune-resume", *selection)
    assert ran.refused(before[0].id, "leave out 1 test of it (test_bot.py::test_other)"), ran.text
    assert history(suite.path) == before
    again = suite.run("--promptune-resume")
    assert again.json["experiment"]["reused"] == before[0].samples


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_older_ones_are_superseded(suite, workers):
    """Once the suite was measured whole, what was interrupted before is over, under other conditions too."""
    plugins = XDIST if workers else []
    args = ("--promptune-runs=1", *workers)
    suite.run("-x", "--promptune-runs=1", fail="c01")
    suite.run("-x", "--promptune-runs=2", fail="c01")
    interrupted(suite, *args, plugins=plugins)
    ran = suite.run(*args, "--promptune-resume", plugins=plugins)
    assert ran.json["experiment"]["reused"] > 0, ran.text
    assert [each.status for each in history(suite.path)] == ["finished", "interrupted", "interrupted"]
    for _ in range(2):
        ran = suite.run(*args, "--promptune-resume", plugins=plugins)
        assert ran.code == 0, ran.text
        assert "no interrupted experiment to resume" in " ".join(ran.out.split())
        assert (ran.json["experiment"]["reused"], len(ran.calls)) == (0, 6)
    ran = suite.run("--promptune-runs=2", "--promptune-resume", *workers, plugins=plugins)
    assert ran.json["experiment"]["reused"] > 0, "that of two runs was never measured whole"


#: BOT_MODEL and BOT_TEMPERATURE are read when the app is made; BOT_LATER when a node runs.
MODELS = """
import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pytest_promptune import Case

HERE = Path(__file__).parent
CASES = [Case(id=f"c{i:02d}", input=f"c{i:02d}") for i in range(8)]


class Acme(BaseChatModel):
    model: str
    temperature: float = 0.0
    acme_api_key: str = "sk-very-secret"

    @property
    def _llm_type(self):
        return "acme"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        message = AIMessage("yes", response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=message)])


def made(name):
    return Acme(model=os.environ.get(name, "acme-1"), temperature=float(os.environ.get("BOT_TEMPERATURE", 0)))


@pytest.fixture(scope="session")
def bot():
    held = made("BOT_MODEL")

    def call(name):
        with (HERE / "calls.log").open("a") as file:
            file.write(name + "\\n")
        return (made("BOT_LATER") if os.environ.get("BOT_LATER") else held).invoke(name).text

    return call


@pytest.mark.promptune(app="bot", runs=1)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    if case.id in os.environ.get("BOT_FAIL", "").split(","):
        raise OSError("broken")
    assert sample.output == "yes"
"""


@pytest.mark.parametrize(
    ("first", "then"), [([], ["-n", "2"]), (["-n", "2"], [])], ids=["then workers", "workers first"]
)
def test_another_model_is_refused(project, first, then):
    """The model that the app holds is a condition, whatever variable chose it; its key is not named."""
    project.write(test_bot=MODELS)
    few = "--promptune-concurrency=2"
    project.run("-x", few, *first, plugins=XDIST if first else (), fail="c03")
    before = history(project.path)
    assert before[0].status == "interrupted"
    with ExperimentLog(locate(None, root=project.path)) as log:
        conditions = log.conditions_of("last")
    assert conditions["models"] == {"test_bot.py::bot": ["Acme acme-1, temperature=0"]}
    plugins = XDIST if then else ()
    ran = project.run("--promptune-resume", *then, plugins=plugins, model="acme-2", temperature="0.5")
    assert ran.refused(
        before[0].id,
        "models of test_bot.py::bot: [Acme acme-2, temperature=0.5]; before: [Acme acme-1, temperature=0]",
    )
    assert "secret" not in ran.text
    assert history(project.path) == before
    ran = project.run("--promptune-resume", *then, plugins=plugins, temperature="0.1")
    assert ran.refused("temperature=0.1")
    ran = project.run("--promptune-resume", *then, plugins=plugins)
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["reused"] == before[0].samples
    with ExperimentLog(locate(None, root=project.path)) as log:
        assert log.conditions_of("last") == conditions


@pytest.mark.parametrize("then", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_another_model_of_a_node_is_refused(project, then):
    """One that is chosen while the app runs shows in the first samples: none of them joins the stored ones."""
    project.write(test_bot=MODELS)
    project.run("-x", "--promptune-concurrency=1", later="acme-1", fail="c01")
    before = history(project.path)[0]
    assert before.status == "interrupted"
    plugins = XDIST if then else ()
    args = ("--promptune-resume", "--promptune-concurrency=1", *then)
    ran = project.run(*args, plugins=plugins, later="acme-2")
    assert ran.code == 4, ran.text
    assert (
        f"experiment {before.id} was measured under other conditions (models of bot under current in"
        in ran.text
    )
    assert "acme-2; before: acme-1" in ran.text
    assert 3 <= len(ran.calls) <= (6 if then else 4)  # three of each process
    after = history(project.path)[0]
    assert (after.id, after.status, after.samples) == (before.id, "interrupted", before.samples)
    ran = project.run(*args, plugins=plugins, later="acme-1")
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["reused"] == before.samples


def test_a_session_that_is_stopped_joins_nothing_unknown(project):
    """One sample of another model is no evidence, and what -x cancelled was not measured: it is left out."""
    slow = "        if name == 'c07':\n            __import__('time').sleep(3)\n        return (made("
    project.write(test_bot=MODELS.replace("        return (made(", slow, 1))
    project.run("--promptune-concurrency=8", later="acme-1")
    with sqlite3.connect(project.path / ".promptune" / "promptune.db") as log:
        log.execute("PRAGMA foreign_keys = ON")
        assert log.execute("DELETE FROM promptune_samples WHERE case_id > 'c05'").rowcount == 2
        log.execute("UPDATE promptune_experiments SET status = 'interrupted', samples = 6")
    ran = project.run("--promptune-resume", "-x", "--promptune-concurrency=2", later="acme-2", fail="c06")
    assert ran.code == 1, ran.text
    assert set(ran.calls) == {"c06", "c07"}
    assert finished(project.path) == {f"c{i:02d}": 1 for i in range(6)}


def test_another_variant_is_refused(tuned):
    """A variant whose parameters changed is another one; the same one goes on."""
    source = (tuned.path / "test_bot.py").read_text()
    failing = "\n\ndef test_broken(case, sample):\n    if sample.run == 2 and (HERE / 'stop').exists():\n        raise OSError\n"
    tuned.write(test_bot=f"from pathlib import Path\nHERE = Path(__file__).parent\n{source}{failing}")
    tuned.write({"stop": ""})
    assert tuned.run("--promptune-compare", "-x").code == 1
    (tuned.path / "stop").unlink()
    tuned.variant("worse", "c00")
    assert tuned.run("--promptune-compare", "--promptune-resume").refused("variants.worse: changed")
    tuned.variant("worse", "c00", "c01", "c02", "c03")
    ran = tuned.run("--promptune-compare", "--promptune-resume")
    assert ran.json["experiment"]["reused"] > 0, ran.text
    assert ran.json["experiment"]["samples"] == 36


def test_other_conditions_with_workers(suite):
    """The same message from a worker; the app isn't called."""
    interrupted(suite)
    suite.write(test_bot=SUITE + "\n# later\n")
    ran = suite.run("--promptune-resume", "-n", "2", plugins=XDIST)
    assert ran.refused("tests.test_bot.py: changed")


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_changed_app_is_refused(suite, workers):
    """Modules of the app that were imported, and not those that are imported only in one of the sessions."""
    imports = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport app_of_bot\n"
    more = "if os.environ.get('BOT_MORE'):\n    import more_of_bot\n"
    suite.write({"app_of_bot.py": "PROMPT = 'Be kind.'\n", "more_of_bot.py": ""})
    suite.write(test_bot=imports + more + SUITE)
    plugins = XDIST if workers else []
    before = suite.run("-x", *workers, plugins=plugins, fail="c03")
    assert before.code in (1, 2)
    suite.write(app_of_bot="PROMPT = 'Be kind, and brief.'\n")
    ran = suite.run("--promptune-resume", *workers, plugins=plugins)
    assert ran.refused("app.app_of_bot.py: changed")
    suite.write(app_of_bot="PROMPT = 'Be kind.'\n")
    ran = suite.run("--promptune-resume", *workers, plugins=plugins, more="1")
    assert ran.json["experiment"]["reused"] > 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
