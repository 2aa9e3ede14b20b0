"""``--promptune-runs``: how often each case is measured."""

from __future__ import annotations

import pytest

UNMARKED = """
import pytest
pytestmark = pytest.mark.promptune(app="bot")

def test_answer(case, sample):
    assert sample.output["a"] == "yes"
"""


def test_the_flag_overrides_the_marker(bot):
    """What is typed wins: two runs instead of the marker's three."""
    ran = bot.run("--promptune-runs=2")
    assert set(ran.per_case.values()) == {2}
    assert ran.json["experiment"]["runs"] == 2


def test_five_runs_where_nobody_says(project):
    """Without flag, marker and ini key there are five runs."""
    project.bot(UNMARKED)
    assert set(project.run().per_case.values()) == {5}


def test_the_closest_marker_counts(project):
    """A marker on a test or class wins over that of its module."""
    project.bot(
        UNMARKED
        + """

@pytest.mark.promptune(runs=1)
def test_once(case, sample):
    pass

@pytest.mark.promptune(runs=2)
class TestTwice:
    def test_twice(self, case, sample):
        pass
"""
    )
    ran = project.run("-k", "c00 and (once or twice)")
    assert sorted(ran.items) == [
        "test_bot.py::TestTwice::test_twice[c00-current-run1]",
        "test_bot.py::TestTwice::test_twice[c00-current-run2]",
        "test_bot.py::test_once[c00-current-run1]",
    ]
    assert ran.per_case == {"c00": 2}


def test_more_runs_than_recorded_are_compared(bot):
    """The number of runs may differ from that of the baseline."""
    bot.record()
    ran = bot.run("--promptune-runs=5")
    assert ran.code == 0
    assert ran.row("test_answer")["n_cases"] == 6


def test_one_run_still_gives_null_where_nothing_can_be_known(bot):
    """With one run of one case there is no spread: null in the results, no crash in the tables."""
    bot.record("--promptune-runs=1", "-k", "c00", "-v")
    ran = bot.run("--promptune-runs=1", "-k", "c00", "-v", p=0)
    assert ran.code == 0
    assert ran.metric("test_answer")["within_case_sd"] is None
    assert ran.row("test_answer")["verdict"] == "inconclusive"


@pytest.mark.parametrize("number", ["0", "-1", "2.5", "many", "", "1e2"])
def test_other_numbers_are_refused(bot, number):
    """Only whole numbers of at least 1 are runs."""
    assert bot.run(f"--promptune-runs={number}").refused("--promptune-runs", "at least 1")


def test_the_ini_key(project, form):
    """`promptune_runs` counts where the marker says nothing, and loses against it."""
    project.bot(UNMARKED + "\n\n@pytest.mark.promptune(runs=3)\ndef test_marked(case, sample):\n    pass\n")
    project.configure(form, runs=2)
    assert project.run("-k", "test_answer and c00").per_case == {"c00": 2}
    assert project.run("-k", "test_marked and c00").per_case == {"c00": 3}
    assert project.run("-k", "test_answer and c00", "--promptune-runs=1").per_case == {"c00": 1}


def test_a_bad_number_in_the_ini_file_is_refused(bot):
    """The message names the key."""
    bot.configure("ini", runs=0)
    assert bot.run().refused("promptune_runs", "'0'", "at least 1")
