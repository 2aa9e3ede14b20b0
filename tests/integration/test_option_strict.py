"""``--promptune-strict``: inconclusive fails too."""

from __future__ import annotations

import pytest

GATE = "test_bot.py::test_answer::gate[test_answer-current]"
ANSWERS = ("-k", "test_answer")


def test_inconclusive_fails_and_says_why(bot):
    """The same session passes without it; with it the exit code is 1 and the message names the rule."""
    bot.record(*ANSWERS)
    assert bot.run(*ANSWERS).code == 0
    ran = bot.run(*ANSWERS, "--promptune-strict")
    assert ran.code == 1
    row = ran.row("test_answer")
    assert (row["verdict"], row["gate"], row["failure"]) == ("inconclusive", "failed", "inconclusive")
    assert ran.gates[GATE] is False
    (message,) = [item["message"] for item in ran.json["gate"] if item["nodeid"] == GATE]
    assert message.startswith("test_answer inconclusive, which fails under --promptune-strict: ")
    assert message.endswith(row["reason"])
    assert "which fails under --promptune-strict" in " ".join(ran.out.split())
    assert "which fails under --promptune-strict" in (bot.path / "promptune-report.md").read_text()
    assert "promptune: gate failed: " in ran.out or "Gate: failed" in ran.out


def test_what_is_settled_passes(bot):
    """Enough equal runs are no longer inconclusive."""
    bot.record(*ANSWERS)
    ran = bot.run(*ANSWERS, "--promptune-strict", "--promptune-runs=6")
    assert ran.code == 0, ran.text
    assert ran.row("test_answer")["verdict"] == "unchanged"


def test_a_regression_is_still_one(bot):
    """The three ways to fail are told apart in the results and in the exit text."""
    bot.record(*ANSWERS)
    ran = bot.run(*ANSWERS, "--promptune-strict", miss="all")
    assert ran.row("test_answer")["failure"] == "regressed"
    assert "test_answer regressed: " in ran.out
    ran = bot.run(*ANSWERS, "--promptune-strict", "--promptune-gate=non-inferiority")
    assert ran.row("test_answer")["failure"] == "not_shown"
    assert "not shown to drop by less than 10 points" in " ".join(ran.out.split())


def test_lost_samples_are_no_pass(bot):
    """Half of the values are missing: inconclusive, with that reason, and strict fails on it."""
    bot.record(*ANSWERS)
    assert bot.run(*ANSWERS, lose="c00,c01,c02").gates[GATE] is True
    ran = bot.run(*ANSWERS, "--promptune-strict", lose="c00,c01,c02")
    assert ran.code == 1
    assert ran.gates[GATE] is False
    assert ran.row("test_answer")["reason"].startswith("9 values of current are missing (9 used)")


def test_it_says_nothing_while_the_gate_is_off(bot):
    """As in the parts of a suite on several machines, where the merge decides."""
    bot.record(*ANSWERS)
    ran = bot.run(*ANSWERS, "--promptune-strict", "--promptune-gate=off")
    assert ran.code == 0
    assert ran.json["gate"] == []


def test_with_workers(bot):
    """-n 2 gives the same decision in the same words."""
    pytest.importorskip("xdist")
    bot.record(*ANSWERS)
    serial = bot.run(*ANSWERS, "--promptune-strict")
    ran = bot.run(*ANSWERS, "--promptune-strict", "-n", "2", plugins=["xdist.plugin"])
    assert ran.code == serial.code == 1
    assert ran.json["gate"] == serial.json["gate"]
    assert words(ran) == words(serial)


def words(ran):
    """What people read of each comparison that doesn't depend on the clock."""
    names = ("metric", "verdict", "reason", "failure")
    return [[row[name] for name in names] for row in ran.json["comparisons"] if row["kind"] != "latency"]


def test_the_ini_key(bot, form):
    """`promptune_strict` is a flag."""
    bot.record(*ANSWERS)
    bot.configure(form, strict=True)
    assert bot.run(*ANSWERS).code == 1
    bot.configure(form, strict=False)
    assert bot.run(*ANSWERS).code == 0
