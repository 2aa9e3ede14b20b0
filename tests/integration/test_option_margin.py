"""``--promptune-margin``: which loss would be acceptable."""

from __future__ import annotations

import pytest


def test_it_decides_what_is_shown_to_be_unchanged(bot):
    """Under non-inferiority a wide margin passes what the default of ten points fails."""
    bot.record(p=0.8)
    common = ("--promptune-gate=non-inferiority", "-k", "test_answer", "--promptune-margin=error_rate=0.3")
    assert bot.run(*common, p=0.8).code == 1
    ran = bot.run(*common, "--promptune-margin=test_answer=0.6", p=0.8)
    assert ran.code == 0
    assert ran.row("test_answer")["margin"] == 0.6
    assert ran.row("test_answer")["verdict"] == "unchanged"


def test_metrics_are_named_in_full_or_by_their_last_part(bot):
    """App metrics and scores take margins too, in per cent where one likes; the option is repeatable."""
    bot.record()
    ran = bot.run(
        "--promptune-margin=bot::latency_s=50%",
        "--promptune-margin=test_words::length=0.5",
        "--promptune-margin=test_answer=5%",
    )
    assert ran.row("bot::latency_s")["margin"] is not None
    assert ran.row("test_words::length")["margin"] == 0.5
    assert ran.row("test_answer")["margin"] == 0.05
    assert bot.run("--promptune-margin=latency_s=50%").row("bot::latency_s")["margin"] is not None


@pytest.mark.parametrize(
    "given", ["test_answer", "test_answer=", "=0.1", "test_answer=-0.1", "test_answer=x", "test_answer=nan"]
)
def test_other_forms_are_refused(bot, given):
    """The message shows the form."""
    assert bot.run(f"--promptune-margin={given}").refused("--promptune-margin", "METRIC=VALUE")


def test_an_unknown_metric_is_refused(bot):
    """A misspelt metric must not run with the default margin; the message says what is near."""
    ran = bot.run("--promptune-margin=test_anwser=0.2")
    assert ran.refused("test_anwser", "Did you mean 'test_answer'?")


def test_the_ini_key(bot, form):
    """`promptune_margin` is a list; a slip in it is told, but not where -k may have left the metric out."""
    bot.record("-k", "test_answer")
    bot.configure(form, margin=["test_answer=0.2", "test_gone=0.3"])
    ran = bot.run("-k", "test_answer")
    assert ran.code == 0
    assert ran.row("test_answer")["margin"] == 0.2
    assert "test_gone" not in ran.out
    assert "promptune_margin names 'test_gone'" in bot.run("-q").out
    assert (
        bot.run("-k", "test_answer", "--promptune-margin=test_answer=0.4").row("test_answer")["margin"] == 0.4
    )
