"""``--promptune-scope``: what the verdict speaks of."""

from __future__ import annotations

import pytest

ANSWERS = ("-k", "test_answer")


def test_the_population_is_harder_to_convince(bot):
    """Two of twelve cases broke: these cases regressed, inputs like them may not have."""
    bot.record(*ANSWERS, cases=12)
    suite = bot.run(*ANSWERS, cases=12, miss="c00,c01")
    population = bot.run(*ANSWERS, "--promptune-scope=population", cases=12, miss="c00,c01")
    assert suite.row("test_answer")["verdict"] == "regressed"
    assert population.row("test_answer")["verdict"] == "inconclusive"
    assert (suite.row("test_answer")["scope"], population.row("test_answer")["scope"]) == (
        "suite",
        "population",
    )
    assert suite.row("test_answer")["ci"][0] > population.row("test_answer")["ci"][0]
    assert "add cases" in population.row("test_answer")["reason"]
    assert "Scope: these 12 cases" in " ".join(bot.run(*ANSWERS, "-v", cases=12).out.split())
    told = bot.run(*ANSWERS, "-v", "--promptune-scope=population", cases=12).out
    assert "Scope: new inputs like these 12 cases" in " ".join(told.split())


def test_one_run_per_case_speaks_of_the_population(bot):
    """Without repeated runs the cases are all there is to go by."""
    bot.record(*ANSWERS, "--promptune-runs=1")
    ran = bot.run(*ANSWERS, "--promptune-runs=1", miss="c00")
    assert ran.row("test_answer")["scope"] == "population"
    assert "one run" in ran.row("test_answer")["reason"]


@pytest.mark.parametrize("word", ["", "cases", "Suite", "suite,population"])
def test_other_words_are_refused(bot, word):
    """The message lists the scopes."""
    assert bot.run(f"--promptune-scope={word}").refused("--promptune-scope", "suite", "population")


def test_the_ini_key(bot, form):
    """`promptune_scope` sets it; the command line wins."""
    bot.record(*ANSWERS)
    bot.configure(form, scope="population")
    assert bot.run(*ANSWERS).row("test_answer")["scope"] == "population"
    assert bot.run(*ANSWERS, "--promptune-scope=suite").row("test_answer")["scope"] == "suite"
