"""``--promptune-against``: which baseline to record or to compare with."""

from __future__ import annotations

import pytest


def test_baselines_of_several_names_live_side_by_side(bot):
    """Recording and checking use the named baseline and leave the others alone."""
    bot.record()
    main = bot.baseline.read_bytes()
    bot.record("--promptune-against=nightly", miss="c00,c01,c02,c03")
    nightly = bot.baseline.with_name("test_bot.nightly.json")
    assert nightly.exists()
    assert bot.baseline.read_bytes() == main
    ran = bot.run("--promptune-against=nightly", miss="c00,c01,c02,c03")
    assert ran.code == 0
    assert ran.row("test_answer")["reference"] == "baseline:nightly"
    assert bot.run(miss="c00,c01,c02,c03").code == 1


def test_a_name_without_baseline_says_which_there_are(bot):
    """The missing baseline is named with the command that records it, and with those that exist."""
    bot.record()
    ran = bot.run("--promptune-against=release")
    assert ran.code == 0
    assert "test_bot.release.json" in ran.out
    assert "main" in ran.out
    assert "pytest --promptune-baseline --promptune-against=release" in ran.out
    assert ran.json["comparisons"] == []


@pytest.mark.parametrize("name", ["a/b", "", " ", "two words", "..\\x", "a:b"])
def test_a_name_that_is_no_part_of_a_file_name_is_refused(bot, name):
    """It becomes part of a file's name, so it is one word."""
    assert bot.run(f"--promptune-against={name}").refused("--promptune-against")


def test_the_ini_key(bot, form):
    """`promptune_against` names the baseline of a project; the command line wins."""
    bot.configure(form, against="staging")
    bot.record("-k", "c00")
    assert bot.baseline.with_name("test_bot.staging.json").exists()
    bot.record("-k", "c00", "--promptune-against=typed")
    assert bot.baseline.with_name("test_bot.typed.json").exists()
    assert not bot.baseline.exists()
