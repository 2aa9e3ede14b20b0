"""``--promptune-tolerance``: which measurable loss is no regression."""

from __future__ import annotations

import pytest

MISSES = "c00,c01,c02,c03"


def test_a_loss_that_may_be_within_it_passes(bot):
    """Two thirds fewer passes are a regression, unless so much is tolerated; the sentence says so."""
    bot.record()
    assert bot.run(miss=MISSES).code == 1
    ran = bot.run("--promptune-tolerance=test_answer=90%", "-v", miss=MISSES)
    assert ran.code == 0, ran.text
    row = ran.row("test_answer")
    assert (row["gate"], row["failure"], row["tolerance"]) == ("passed", None, 0.9)
    assert row["verdict"] == "inconclusive"
    assert "it is open whether beyond the tolerance of 90.0 points" in row["reason"]
    for text in (ran.out, (bot.path / "promptune-report.md").read_text()):
        assert "tolerance of 90.0 points" in " ".join(text.split())
    assert bot.run("--promptune-tolerance=test_answer=0.1", miss=MISSES).code == 1


def test_latency_has_one_of_ten_per_cent(bot):
    """Other metrics have none; per cent of latency are per cent of the reference."""
    bot.record()
    ran = bot.run()
    latency = ran.row("bot::latency_s")
    assert latency["tolerance"] == pytest.approx(0.1 * latency["reference_mean"])
    assert ran.row("test_answer")["tolerance"] == 0
    latency = bot.run("--promptune-tolerance=latency_s=25%").row("bot::latency_s")
    assert latency["tolerance"] == pytest.approx(0.25 * latency["reference_mean"])


def test_it_is_repeatable_and_absolute_for_scores(bot):
    """A score's tolerance is in its own unit, or per cent of its reference."""
    bot.record()
    ran = bot.run("--promptune-tolerance=test_words::length=2", "--promptune-tolerance=test_answer=0.05")
    assert ran.row("test_words::length")["tolerance"] == 2
    assert ran.row("test_answer")["tolerance"] == 0.05
    assert bot.run("--promptune-tolerance=test_words::length=10%").row("test_words::length")[
        "tolerance"
    ] == pytest.approx(0.3)


@pytest.mark.parametrize(
    "given", ["test_answer", "test_answer=", "=0.1", "test_answer=-0.1", "test_answer=inf"]
)
def test_other_forms_are_refused(bot, given):
    """The message shows the form."""
    assert bot.run(f"--promptune-tolerance={given}").refused("--promptune-tolerance", "METRIC=VALUE")


def test_an_unknown_metric_is_refused(bot):
    """A misspelt metric must not run without its tolerance."""
    ran = bot.run("--promptune-tolerance=test_anwser=0.2")
    assert ran.refused("--promptune-tolerance=test_anwser", "Did you mean 'test_answer'?")


def test_the_ini_key(bot, form):
    """`promptune_tolerance` is a list; a slip in it is told."""
    bot.record()
    bot.configure(form, tolerance=["test_answer=0.9", "test_gone=0.3"])
    ran = bot.run("-q", miss=MISSES)
    assert ran.code == 0, ran.text
    assert "promptune_tolerance names 'test_gone'" in ran.out
    assert bot.run("--promptune-tolerance=test_answer=0", miss=MISSES).code == 1
