"""``--promptune-alpha``: the error level."""

from __future__ import annotations

import pytest


def test_a_smaller_level_is_harder_to_convince(bot):
    """The same drop is a regression at 0.05 and not at 0.0001; the interval gets wider."""
    bot.record()
    usual = bot.run(miss="c00,c01")
    strict = bot.run("--promptune-alpha=0.0001", miss="c00,c01")
    assert (usual.code, strict.code) == (1, 0)
    assert usual.row("test_answer")["verdict"] == "regressed"
    assert strict.row("test_answer")["verdict"] == "inconclusive"
    assert strict.row("test_answer")["ci"][0] < usual.row("test_answer")["ci"][0]
    assert strict.json["experiment"]["alpha"] == 0.0001


def test_no_interval_is_of_a_hundred_per_cent(bot):
    """The level is not rounded up to certainty in the tables."""
    assert "99.9 % interval" in bot.run("--promptune-alpha=0.001", "-v", "-k", "c00").out
    assert "100 % interval" not in bot.run("--promptune-alpha=0.0001", "-v", "-k", "c00").out


@pytest.mark.parametrize("level", ["0", "0.6", "-0.05", "x", "nan", "", "5%"])
def test_other_levels_are_refused(bot, level):
    """A level is a number between 0 and 0.5."""
    assert bot.run(f"--promptune-alpha={level}").refused("--promptune-alpha", "between 0 and 0.5")


def test_the_ini_key(bot, form):
    """`promptune_alpha` sets the level, as a number where the file has numbers."""
    bot.configure(form, alpha=0.1)
    assert bot.run("-k", "c00").json["experiment"]["alpha"] == 0.1
    assert bot.run("-k", "c00", "--promptune-alpha=0.2").json["experiment"]["alpha"] == 0.2
