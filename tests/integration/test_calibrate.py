"""``pytest-promptune calibrate`` and ``plan-runs``: what sessions stored is asked about the gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_promptune import cli
from pytest_promptune.sizing import calibrating

#: Coins: what an answer is depends on the case and on how often it was asked.
BOT = """
import collections
import pytest
from pytest_promptune import Case

CASES = [Case(id=f"c{i}", input={"q": i}, expected={"a": "yes"}) for i in range(6)]
asked = collections.Counter()


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


def answer(q):
    asked[q] += 1
    return {"a": "yes" if (asked[q] * (q + 3)) % 4 else "no", "n": (asked[q] * 7 + q) % 5}


@pytest.fixture(scope="session")
def bot():
    return lambda variant: (lambda inputs: answer(inputs["q"]))
"""

TESTS = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=8)


def test_answer(case: Case, sample: Sample):
    sample.score("words", sample.output["n"])
    assert sample.output["a"] == case.expected["a"]
"""


@pytest.fixture
def suite(project):
    project.write({"conftest.py": BOT, "pytest.ini": "[pytest]\n", "tests/test_bot.py": TESTS})
    return project


@pytest.fixture
def ask(suite, capsys) -> Callable[..., str]:
    """Run a command in the project; its output, or its errors where it fails."""

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        status = cli.main([*words, "--root", str(suite.path)])
        out, err = capsys.readouterr()
        assert status == code, out + err
        assert (err == "") is (code != 2)
        return out + err

    return run


def test_a_recorded_baseline_is_calibrated(suite, ask):
    """Splits, interval, promise, verdicts and power of the gated metrics, and the same in JSON."""
    suite.record()
    text = ask("calibrate", "--splits=50")
    for words in (
        "tests/__promptune__/test_bot.main.json",
        "False alarms: 50 random halves",
        "Promised: at most 2.5 %",
        "test_answer",
        "test_answer::words",
        "bot::error_rate",
    ):
        assert words in text
    assert "latency_s" not in text
    data = json.loads(ask("calibrate", "--splits=50", "--json"))
    alarms = data["false_alarms"]
    assert f"{alarms['failed']} of 50 failed the gate" in text
    assert alarms["ci"][0] <= alarms["rate"] <= alarms["ci"][1]
    (answer,) = [row for row in data["metrics"] if row["metric"] == "test_answer"]
    assert (answer["cases"], answer["runs"], answer["module"]) == (6, [8, 8], "tests/test_bot.py")
    assert sum(answer["verdicts"].values()) == 50
    assert [row["drop"] for row in answer["power"]] == [0.05, 0.1, 0.2]
    assert answer["power"][0]["power"] <= answer["power"][2]["power"]


def test_the_seed_decides(suite, ask):
    """The same seed gives the same answer, byte for byte; another one other splits."""
    suite.record()
    once = ask("calibrate", "--splits=20", "--seed=1", "--json")
    assert ask("calibrate", "--splits=20", "--seed=1", "--json") == once
    assert ask("calibrate", "--splits=20", "--seed=2", "--json") != once


def test_an_experiment_can_be_asked_instead(suite, ask):
    """The newest session in the log gives the runs that its baseline has."""
    suite.record()
    of_baseline = json.loads(ask("calibrate", "--splits=20", "--json"))
    of_log = json.loads(ask("calibrate", "--splits=20", "--json", "--experiment=last"))
    assert of_log["source"].startswith("experiment ")
    rows = [{row["metric"]: row["mean"] for row in data["metrics"]} for data in (of_baseline, of_log)]
    assert rows[0] == pytest.approx(rows[1])


def test_a_broken_promise_is_status_1(suite, ask, monkeypatch):
    """Where more splits fail than chance explains, the command says so and fails."""
    suite.record()
    monkeypatch.setattr(
        calibrating, "calibrate", lambda *given, whole=calibrating.calibrate: _broken(whole(*given))
    )
    assert "The promise is broken" in ask("calibrate", "--splits=20", code=1)


def _broken(found: calibrating.Calibration) -> Any:
    from dataclasses import replace

    return replace(found, alarms=replace(found.alarms, failed=20, ci=(0.8, 1.0)))


def test_too_few_runs_are_status_2(suite, ask):
    """It says how many there are and how to record more."""
    suite.record("--promptune-runs=3")
    said = ask("calibrate", code=2)
    assert "has 3 runs of a case at most, and two halves need 4" in said
    assert "pytest --promptune-baseline --promptune-runs=10" in said


def test_runs_are_planned_from_a_baseline(suite, ask):
    """Noise, what is needed, and a sentence for each metric; the same in JSON."""
    suite.record()
    text = ask("plan-runs", "--difference=0.2", "--difference=words=1.5")
    data = json.loads(ask("plan-runs", "--difference=0.2", "--difference=words=1.5", "--json"))
    rows = {row["metric"]: row for row in data["metrics"]}
    assert (rows["test_answer"]["difference"], rows["test_answer::words"]["difference"]) == (0.2, 1.5)
    assert rows["test_answer"]["runs_both"] > 8
    for row in data["metrics"]:
        assert " ".join(row["sentence"].split()[:4]) in " ".join(text.split())
    smaller = json.loads(ask("plan-runs", "--difference=0.02", "--json"))
    (answer,) = [row for row in smaller["metrics"] if row["metric"] == "test_answer"]
    assert answer["impossible"] is True
    assert answer["runs_candidate"] is None
    assert "impossible: baseline too noisy" in answer["sentence"]


def test_a_compared_variant_tells_how_many_cases(suite, ask):
    """With another variant in the experiment the number of cases is no mere bound."""
    suite.write({"prompts/variants/other.toml": "[context]\na = 1\n"})
    compared = suite.run("--promptune-compare", "--promptune-gate=off")
    assert compared.code == 0, compared.text
    text = ask("plan-runs", "--experiment=last")
    assert "≥" not in text
    suite.record()
    assert "≥" in ask("plan-runs")


def test_a_damaged_baseline_is_status_2(suite, ask):
    """Without a traceback, with what to do."""
    suite.record()
    path = suite.path / "tests" / "__promptune__" / "test_bot.main.json"
    path.write_text(path.read_text()[:-40])
    assert "not a baseline file" in ask("calibrate", code=2)
    assert "Restore it from version control" in ask("plan-runs", code=2)
