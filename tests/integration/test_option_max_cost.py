"""``--promptune-max-cost``: what is not paid for is not run, and nobody takes the rest for the whole."""

from __future__ import annotations

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]

#: Each call reads a million tokens of a model that the ini file prices: BOT_MODEL says which, BOT_LATER for
#: all cases but the first.
SUITE = """
import os

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pathlib import Path
from pytest_promptune import Case

CASES = [Case(id=f"c{i:02d}", input=f"c{i:02d}") for i in range(6)]


class Scripted(BaseChatModel):
    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        used = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}
        model = os.environ.get("BOT_MODEL", "dollar")
        if messages[0].text != "c00":
            model = os.environ.get("BOT_LATER", model)
        message = AIMessage("yes", usage_metadata=used, response_metadata={"model_name": model})
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture(scope="session")
def bot():
    model = Scripted()

    def call(name):
        with Path(__file__).with_name("calls.log").open("a") as file:
            file.write(name + "\\n")
        return model.invoke(name).text

    return call


@pytest.mark.promptune(app="bot", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output == "yes"
"""

ONE_BY_ONE = "--promptune-concurrency=1"


@pytest.fixture
def suite(project):
    """Twelve samples of 1 USD."""
    project.write(test_bot=SUITE)
    project.configure("ini", prices=["dollar = 1 / 1", "three = 3 / 3", "nothing = 0 / 0"])
    return project


def test_nothing_more_is_begun(suite):
    """Calls stop when it is spent; the rest is skipped with the reason, and the session says so."""
    ran = suite.run("--promptune-max-cost=5", ONE_BY_ONE, "-rs")
    assert len(ran.calls) == 5
    assert ran.counts == {"passed": 5, "skipped": 7}
    text = " ".join(ran.out.split())
    assert "not run: the budget is spent" in text
    assert "--promptune-max-cost was spent: 7 items not run" in text
    assert any("7 items not run" in warning for warning in ran.json["warnings"])
    assert ran.json["usage"]["cost_usd"] == 5


def test_what_modules_share_is_left_out_once(suite):
    """A sample that was not paid for is one missing sample, whichever modules have tests of it."""
    conftest, test = SUITE.split("@pytest.mark.promptune(app")
    tests = f"import pytest\nfrom conftest import CASES\n\n@pytest.mark.promptune(app{test}"
    (suite.path / "test_bot.py").unlink()
    suite.write(conftest=conftest, test_one=tests, test_two=tests)
    ran = suite.run("--promptune-max-cost=5", ONE_BY_ONE)
    found = ran.json["experiment"]
    assert (len(ran.calls), found["samples"], found["missing"]) == (5, 12, 7), ran.text
    assert ran.json["usage"]["cost_usd"] == 5


def test_what_is_in_flight_is_kept(suite):
    """Calls that were begun are paid for, so their results count."""
    ran = suite.run("--promptune-max-cost=5", "--promptune-concurrency=3")
    assert 5 <= len(ran.calls) <= 7
    assert ran.counts["passed"] == len(ran.calls)


def most_in_flight(suite) -> int:
    """How many samples of the newest experiment were on their way at one moment."""
    with ExperimentLog(locate(None, root=suite.path)) as log:
        spans = [(sample.started, sample.finished) for sample in log.samples("last")]
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_no_more_is_begun_than_it_covers(suite, workers):
    """However many may be in flight: the first sample tells the price, and no more start than that covers."""
    plugins = XDIST if workers else []
    few = ("--promptune-concurrency=12", *workers)
    ran = suite.run("--promptune-max-cost=6", *few, plugins=plugins)
    assert (len(ran.calls), ran.json["usage"]["cost_usd"]) == (6, 6), ran.text
    assert not any("exceeded" in warning for warning in ran.json["warnings"])


def test_stored_samples_tell_the_price(suite):
    """Those of the same app and variant: the first wave is as large as the budget covers, and no larger."""
    slow = "        time.sleep(0.3)\n        used = "
    suite.write(
        test_bot=SUITE.replace("        used = ", slow, 1).replace("import os\n", "import os, time\n", 1)
    )
    suite.run("--promptune-runs=1", "-k", "c05")
    ran = suite.run("--promptune-max-cost=4", "--promptune-concurrency=12")
    assert (len(ran.calls), ran.json["usage"]["cost_usd"]) == (4, 4), ran.text
    assert most_in_flight(suite) == 4


JUDGE = """
@pytest.fixture(scope="session")
def judge():
    model = Scripted()
    return lambda outputs, **more: float(bool(model.invoke(outputs)))


@pytest.mark.promptune(scorers=["judge"], """


def test_a_judge_is_part_of_the_price(suite):
    """Where nothing else costs, its first judgement tells what a sample costs; then stored ones do."""
    free = SUITE.replace("return model.invoke(name).text", 'return "yes"')
    suite.write(test_bot=free.replace("@pytest.mark.promptune(", JUDGE.lstrip()))
    for _ in range(2):
        ran = suite.run("--promptune-max-cost=4", "--promptune-concurrency=12")
        assert ran.counts == {"passed": 4, "skipped": 8}, ran.text
        assert "the budget is spent: $4.00 of $4.00" in ran.out


@pytest.mark.parametrize("model", ["nothing", "mystery"])
def test_what_costs_nothing_is_not_awaited(suite, model):
    """Free models, and those without a price, are called with the whole concurrency after one sample."""
    slow = "        time.sleep(0.3)\n        used = "
    suite.write(
        test_bot=SUITE.replace("        used = ", slow, 1).replace("import os\n", "import os, time\n", 1)
    )
    ran = suite.run("--promptune-max-cost=4", "--promptune-concurrency=12", model=model)
    assert len(ran.calls) == 12
    assert most_in_flight(suite) > 4


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_an_excess_is_told(suite, workers):
    """What was in flight is paid for, at whatever price; what an earlier session paid for is no excess."""
    plugins = XDIST if workers else []
    ran = suite.run(
        "--promptune-max-cost=5", "--promptune-concurrency=12", *workers, plugins=plugins, later="three"
    )
    spent = ran.json["usage"]["cost_usd"]
    assert 5 < spent <= 16
    said = f"--promptune-max-cost was exceeded: ${spent:.2f} were spent of $5.00."
    assert any(said in warning for warning in ran.json["warnings"]), ran.json["warnings"]
    suite.run("--promptune-max-cost=10", ONE_BY_ONE)
    ran = suite.run("--promptune-resume", "--promptune-max-cost=2", ONE_BY_ONE, *workers, plugins=plugins)
    assert ran.json["experiment"]["reused"] == 10
    assert not any("exceeded" in warning for warning in ran.json["warnings"])


def test_enough_is_not_too_little(suite):
    """A budget that just suffices leaves nothing out, and says nothing."""
    ran = suite.run("--promptune-max-cost=12", ONE_BY_ONE)
    assert ran.counts == {"passed": 12}
    assert "max-cost" not in ran.out
    with ExperimentLog(locate(None, root=suite.path)) as log:
        assert log.experiment("last").status == "finished"


def test_the_ini_key(suite, form):
    """Also as a number of a TOML file."""
    suite.configure(form, prices=["dollar = 1 / 1"], max_cost="$3.00" if form == "ini" else 3)
    assert len(suite.run(ONE_BY_ONE).calls) == 3


@pytest.mark.parametrize("amount", ["0", "-1", "much", "nan", "inf"])
def test_other_amounts_are_refused(suite, amount):
    """Exit code 4 and what would be valid, before any call."""
    assert suite.run(f"--promptune-max-cost={amount}").refused("--promptune-max-cost", amount, "above 0")


def test_a_baseline_is_not_recorded_from_a_part(suite):
    """A complete baseline stays; where there is none, none is made; both are said."""
    ran = suite.run("--promptune-baseline", "--promptune-max-cost=5", ONE_BY_ONE)
    assert ran.code == 0, ran.text
    assert not suite.baseline.exists()
    assert "was not recorded, there is none: 7 items not run" in " ".join(ran.out.split())
    suite.record()
    before = suite.baseline.read_bytes()
    ran = suite.run("--promptune-baseline", "--promptune-max-cost=5", ONE_BY_ONE)
    assert suite.baseline.read_bytes() == before
    assert "was not recorded, the old one stays" in " ".join(ran.out.split())
    assert [view["action"] for view in ran.json["baselines"]] == ["not recorded"]


def test_missing_data_is_no_pass(suite):
    """More than a fifth missing: inconclusive; a gate that wants proof fails."""
    suite.record()
    ran = suite.run("--promptune-max-cost=5", ONE_BY_ONE)
    assert ran.row("test_it")["verdict"] == "inconclusive"
    assert "missing" in ran.row("test_it")["reason"], ran.row("test_it")
    assert ran.code == 0
    assert ran.json["experiment"]["missing"] == 7
    ran = suite.run("--promptune-max-cost=5", ONE_BY_ONE, "--promptune-gate=non-inferiority")
    assert ran.code == 1


def test_a_little_missing_is_counted_and_judged(suite):
    """One of twelve: the others are compared, and the counts say what is missing."""
    suite.record()
    ran = suite.run("--promptune-max-cost=11", ONE_BY_ONE)
    assert "missing" not in ran.row("test_it")["reason"]
    assert ran.metric("test_it")["n_samples"] == 11
    assert ran.json["experiment"]["missing"] == 1


def test_the_rest_can_be_measured_later(suite):
    """--promptune-resume goes on with a budget of its own, as often as it takes; then it can be recorded."""
    suite.run("--promptune-baseline", "--promptune-max-cost=5", ONE_BY_ONE)
    ran = suite.run("--promptune-baseline", "--promptune-resume", "--promptune-max-cost=5", ONE_BY_ONE)
    assert len(ran.calls) == 5
    assert ran.json["experiment"]["reused"] == 5
    assert not suite.baseline.exists()
    ran = suite.record("--promptune-resume", "--promptune-max-cost=5", ONE_BY_ONE)
    assert len(ran.calls) == 2
    assert ran.json["experiment"]["reused"] == 10
    assert suite.baseline_json()["scores"]["test_it"]["c05"] == [1, 1]


def test_workers_share_it(suite):
    """Each gets its part; the session as a whole says what was left out, and can be resumed."""
    pytest.importorskip("xdist")
    args = ("-n", "2", "--promptune-concurrency=2", "--promptune-baseline")
    ran = suite.run(*args, "--promptune-max-cost=4", plugins=XDIST)
    assert len(ran.calls) == 4
    assert not suite.baseline.exists()
    assert "--promptune-max-cost was spent: 8 items not run" in " ".join(ran.out.split())
    ran = suite.run(*args, "--promptune-resume", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert len(ran.calls) == 8
    assert suite.baseline.exists()


def test_what_has_no_price_cannot_be_counted(suite):
    """The session runs on, and says that the limit didn't hold."""
    ran = suite.run("--promptune-max-cost=5", ONE_BY_ONE, model="mystery")
    assert len(ran.calls) == 12
    assert "could not count all calls" in " ".join(ran.out.split())


def test_a_look_over_unpaid_runs_is_not_clear(suite):
    """Samples that weren't paid for are missing: the session goes on, and says what it left out."""
    suite.run("--promptune-baseline", "--promptune-runs=4")
    ran = suite.run("--promptune-runs=2..4", "--promptune-max-cost=6", ONE_BY_ONE)
    assert 6 <= len(ran.calls) <= 8
    assert "not run, whose samples count as missing" in " ".join(ran.out.split())
    assert ran.json["experiment"]["look"]["number"] == 3
    assert "not needed" not in ran.out
