"""``--promptune-baseline-runs``: more runs for the baseline than for a check."""

from __future__ import annotations

import pytest


def test_it_counts_where_a_baseline_is_recorded(bot):
    """Instead of the marker's three runs; a check keeps them, and compares five with three."""
    ran = bot.record("--promptune-baseline-runs=5")
    assert set(ran.per_case.values()) == {5}
    assert bot.baseline_json()["recorded"]["runs"] == 5
    assert len(bot.baseline_json()["scores"]["test_answer"]["c00"]) == 5
    ran = bot.run("--promptune-baseline-runs=5")
    assert set(ran.per_case.values()) == {3}
    assert ran.row("test_answer")["n_cases"] == 6


def test_a_comparison_keeps_its_runs(tuned):
    """It measures both sides equally often."""
    assert set(tuned.run("--promptune-compare", "--promptune-baseline-runs=5").per_case.values()) == {6}


def test_runs_on_the_command_line_win(bot):
    """What is typed for everything is typed for the baseline too."""
    ran = bot.record("--promptune-baseline-runs=5", "--promptune-runs=2")
    assert set(ran.per_case.values()) == {2}


def test_with_workers(bot):
    """Each worker plans the same runs."""
    pytest.importorskip("xdist")
    ran = bot.record("--promptune-baseline-runs=4", "-n", "2", plugins=["xdist.plugin"])
    assert set(ran.per_case.values()) == {4}


def test_the_plan_knows_it(bot):
    """What would be measured is shown before."""
    ran = bot.run("--promptune-baseline", "--promptune-baseline-runs=5", "--promptune-plan")
    assert ran.code == 0, ran.text
    (line,) = [line for line in ran.out.splitlines() if line.strip().startswith("bot ")]
    assert line.split()[1:5] == ["6", "1", "5", "30"]


def test_the_plan_tells_what_a_check_could_find(bot):
    """The smallest change is that of a later check against these runs; equal runs are told as before."""
    bot.record(p=0.7)
    recording = ("--promptune-baseline", "--promptune-plan")
    told = " ".join(bot.run(*recording, "--promptune-baseline-runs=5").out.split())
    assert "points against this baseline (6 cases, 3 runs against 5)" in told
    told = " ".join(bot.run(*recording).out.split())
    assert "points against another session of this size (6 cases, 3 runs)" in told


@pytest.mark.parametrize("number", ["0", "-1", "2.5", "many", ""])
def test_other_numbers_are_refused(bot, number):
    """Only whole numbers of at least 1 are runs."""
    ran = bot.run("--promptune-baseline", f"--promptune-baseline-runs={number}")
    assert ran.refused("--promptune-baseline-runs", "at least 1")


def test_the_ini_key(bot, form):
    """`promptune_baseline_runs` wins over the marker, and the command line over it."""
    bot.configure(form, baseline_runs=4)
    assert set(bot.record().per_case.values()) == {4}
    assert set(bot.run().per_case.values()) == {3}
    assert set(bot.record("--promptune-baseline-runs=2").per_case.values()) == {2}
