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


def test_nothing_to_compare_with_is_no_pass(bot):
    """A metric without one value on a side is inconclusive, and fails."""
    bot.record(*ANSWERS)
    assert bot.run(*ANSWERS, lose="all").json["gate"]
    ran = bot.run(*ANSWERS, "--promptune-strict", lose="all")
    assert ran.code == 1
    assert ran.gates[GATE] is False


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
    told = [[row[name] for name in ("metric", "verdict", "reason", "failure")] for row in ran.json["comparisons"]
            if row["kind"] != "latency"]  # fmt: skip
    assert told == [[row[name] for name in ("metric", "verdict", "reason", "failure")]
                    for row in serial.json["comparisons"] if row["kind"] != "latency"]  # fmt: skip


def test_the_ini_key(bot, form):
    """`promptune_strict` is a flag."""
    bot.record(*ANSWERS)
    bot.configure(form, strict=True)
    assert bot.run(*ANSWERS).code == 1
    bot.configure(form, strict=False)
    assert bot.run(*ANSWERS).code == 0
