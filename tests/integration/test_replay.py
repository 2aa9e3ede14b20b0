"""``--promptune-replay``: stored outputs are scored with today's tests; nothing is called."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]

SUITE = """
from pathlib import Path

import pytest
from pytest_promptune import Case

HERE = Path(__file__).parent
CASES = [Case(id=f"c{i:02d}", input={"q": i}) for i in range(6)]


@pytest.fixture(scope="session")
def bot():
    with (HERE / "made.log").open("a") as file:
        file.write("made\\n")

    def call(inputs):
        with (HERE / "calls.log").open("a") as file:
            file.write(f"c{inputs['q']:02d}\\n")
        if inputs["q"] == 5:
            raise RuntimeError("the model is confused")
        return {"a": inputs["q"]}

    return call


@pytest.mark.promptune(app="bot", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output["a"] < 3
"""


@pytest.fixture
def suite(project):
    """A suite that was measured once; making its app again would leave a trace."""
    project.write(test_bot=SUITE)
    project.first = project.run("--promptune-report=")
    assert project.first.metric("test_it")["mean"] == 0.5
    (project.path / "made.log").unlink()
    return project


@pytest.fixture(params=[0, 2], ids=["serial", "workers"])
def how(request):
    """In one process, and in several."""
    return {"plugins": XDIST} if request.param else {}, ("-n", "2") if request.param else ()


def test_todays_tests_on_stored_outputs(suite, how):
    """Other assertions, scores and tests are new; outputs, errors and times are those of then."""
    more = "\n\n@pytest.mark.promptune(app='bot', runs=2)\n@pytest.mark.parametrize('case', CASES, ids=str)\ndef test_new(case, sample):\n    sample.score('answer', sample.output['a'])\n"
    suite.write(test_bot=SUITE.replace("< 3", "< 4") + more)
    args, plugins = how[1], how[0]
    ran = suite.run("--promptune-replay=last", *args, **plugins)
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert not (suite.path / "made.log").exists()
    assert ran.metric("test_it")["mean"] == pytest.approx(4 / 6)
    assert ran.metric("test_new::answer")["mean"] == 2
    assert ran.metric("bot::latency_s")["mean"] == suite.first.metric("bot::latency_s")["mean"]
    assert ran.metric("bot::error_rate")["mean"] == pytest.approx(1 / 6)
    assert (ran.json["experiment"]["samples"], ran.json["experiment"]["reused"]) == (12, 12)


def test_the_same_tests_give_the_same_results(suite):
    """A replay with nothing changed finds what the session found."""
    ran = suite.run("--promptune-replay=last")
    assert ran.json["metrics"] == suite.first.json["metrics"]
    assert ran.json["errors"] == suite.first.json["errors"]


@pytest.mark.parametrize("args", [[], ["-q"], ["-v"]])
def test_results_say_so(suite, args, how):
    """Terminal, quiet or not, report and JSON name the experiment whose outputs were scored."""
    id_ = suite.first.json["experiment"]["id"]
    plugins, workers = how
    ran = suite.run("--promptune-replay=last", *args, *workers, **plugins)
    sentence = f"Replayed: outputs of experiment {id_}"
    assert " ".join(ran.out.split()).count(sentence) == 1
    assert sentence in (suite.path / "promptune-report.md").read_text()
    assert sum(sentence in text for text in ran.json["warnings"]) == 1
    assert ran.json["experiment"]["id"] != id_


def test_which_one(suite):
    """`last`, an id, and the beginning of one; a replay is never `last` itself."""
    id_ = suite.first.json["experiment"]["id"]
    for name in ("last", id_, id_[:-2]):
        ran = suite.run(f"--promptune-replay={name}")
        assert f"experiment {id_}" in " ".join(ran.out.split())
        assert not ran.calls
    with ExperimentLog(locate(None, root=suite.path)) as log:
        replays = [found for found in log.history() if found.replay_of]
        assert {found.replay_of for found in replays} == {id_}
        assert {found.status for found in replays} == {"finished"}
        assert len(list(log.results(replays[0].id))) == 12


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing", "there is no experiment 'nothing'"), ("2", "begins several experiments")],
)
def test_names_that_name_nothing(suite, how, name, words):
    """Unknown or ambiguous: exit code 4, what was given, and no app was made."""
    args, plugins = how[1], how[0]
    suite.run()
    (suite.path / "made.log").unlink()
    assert suite.run(f"--promptune-replay={name}", *args, **plugins).refused(words)
    assert not (suite.path / "made.log").exists()


@pytest.mark.parametrize("plan", [[], ["--promptune-plan"]], ids=["run", "plan"])
def test_of_another_module(suite, how, plan):
    """No stored sample of anything that is selected: exit code 4, what was asked and what there is."""
    args, plugins = how[1], how[0]
    suite.write(test_other=SUITE.replace("bot", "helper"))
    ran = suite.run("--promptune-replay=last", "test_other.py", *plan, *(() if plan else args), **plugins)
    id_ = suite.first.json["experiment"]["id"]
    assert ran.refused(
        f"experiment {id_} has no sample of anything that is selected (12 items of helper in test_other.py)",
        "It has 12 samples of bot in test_bot.py.",
    )
    assert not (suite.path / "made.log").exists()
    ran = suite.run("--promptune-replay=last", *args, **plugins)
    assert (ran.code, ran.counts["skipped"]) == (0, 12), ran.text


def test_without_a_log(project):
    """Nothing was ever stored, or storing is switched off: exit code 4."""
    project.write(test_bot=SUITE)
    assert project.run("--promptune-replay=last").refused("there is no experiment log yet")
    assert project.run("--promptune-replay=last", "--promptune-store=").refused("--promptune-store is empty")
    assert not (project.path / ".promptune").exists()


def test_cases_that_changed_are_not_scored(suite, how):
    """Another input under the old id, and a new case: skipped with the reason, the others are scored."""
    args, plugins = how[1], how[0]
    suite.write(test_bot=SUITE.replace('{"q": i})', '{"q": i if i else 9})').replace("range(6)", "range(7)"))
    ran = suite.run("--promptune-replay=last", "-rs", *args, **plugins)
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert ran.counts["skipped"] == 4
    told = "4 items skipped: there is no stored sample of them"
    assert told in " ".join(ran.out.split())
    assert any(told in warning for warning in ran.json["warnings"])
    assert "has no sample of this case, as it is now" in " ".join(ran.out.split())
    assert ran.json["experiment"]["samples"] == 10
    assert ran.metric("test_it")["n_cases"] == 5


def test_more_runs_than_were_measured(suite):
    """A replay never draws: runs that nobody measured are skipped."""
    ran = suite.run("--promptune-replay=last", "--promptune-runs=3")
    assert ran.counts["skipped"] == 6
    assert ran.json["experiment"]["samples"] == 12


def test_a_baseline_of_a_replay(suite):
    """It can be recorded, with the scores of today's tests, and compared with."""
    suite.write(test_bot=SUITE.replace("< 3", "< 4"))
    ran = suite.record("--promptune-replay=last")
    assert "Replayed" in ran.out
    assert suite.baseline_json()["scores"]["test_it"]["c03"] == [1, 1]
    suite.write(test_bot=SUITE)
    ran = suite.run("--promptune-replay=last")
    assert ran.row("test_it")["difference"] == pytest.approx(-1 / 6, abs=1e-6)


def test_a_part_of_it(suite):
    """-k scores some cases alone."""
    ran = suite.run("--promptune-replay=last", "-k", "c01")
    assert ran.json["experiment"]["samples"] == 2
    assert ran.metric("test_it")["mean"] == 1
