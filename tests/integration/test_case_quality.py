"""What is odd about the cases is told where a baseline is recorded, and in the plan."""

from __future__ import annotations

import pytest

XDIST = ["xdist.plugin"]
SUITE = """
import pytest
from pytest_promptune import load_cases

pytestmark = pytest.mark.promptune(app="bot", runs=1)


@pytest.fixture(params=load_cases("cases.jsonl"), ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    return lambda text: text


def test_it(case, sample):
    assert sample.output
"""
CASES = """
{"id": "a", "input": "where is my invoice?", "expected_intent": "billing"}
{"id": "b", "input": "where is my invoice?", "expected_intent": "billing"}
{"id": "c", "input": "the app crashes", "expected_intent": "support"}
{"id": "d", "input": "hm", "expected_intent": "other"}
{"id": "e", "input": "how do I pay?"}
"""
SAID = [
    "the same input under different ids, which counts it several times: a = b",
    "very short inputs (fewer than 5 letters and digits) in 1 of 5 cases: d",
    "no expected in 1 of 5 cases: e",
]


@pytest.fixture
def suite(project):
    project.write({"test_bot.py": SUITE, "cases.jsonl": CASES})
    return project


@pytest.mark.parametrize("workers", [0, 2])
def test_recording_says_it_once(suite, workers):
    """What is recorded now stays; a check says nothing of it."""
    args, plugins = (("-n", "2"), XDIST) if workers else ((), ())
    ran = suite.run("--promptune-baseline", *args, plugins=plugins)
    assert ran.code == 0, ran.text
    notes = " ".join(ran.json["notes"])
    assert [notes.count(text) for text in SAID] == [1, 1, 1]
    text = " ".join(ran.out.split())
    assert all(f"Cases of test_bot.py: {said}" in text for said in SAID)
    ran = suite.run(*args, plugins=plugins)
    assert "Cases of" not in ran.out
    assert not any("Cases of" in note for note in ran.json["notes"])


def test_no_python_warnings(suite):
    """Suites that turn warnings into errors load the same cases."""
    assert suite.run("-W", "error").code == 0


def test_the_plan_says_it(suite):
    """In any mode, as lines of the checklist; they are no failure."""
    ran = suite.run("--promptune-plan")
    assert ran.code == 0, ran.text
    text = " ".join(ran.out.split())
    assert all(f"warning cases: {said}" in text for said in SAID)
