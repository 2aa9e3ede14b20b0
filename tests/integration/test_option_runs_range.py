"""``--promptune-runs=MIN..MAX``: fixed looks, after which runs may not be needed any more."""

from __future__ import annotations


def test_try(bot):
    bot.record("--promptune-runs=10", cases=8)
    ran = bot.run("--promptune-runs=3..10", miss="all", cases=8)
    #print(ran.text, ran.json["experiment"], ran.per_case)
    ran = bot.run("--promptune-runs=3..10", "-v", miss="all", cases=8)
    #print(ran.text)
    ran = bot.run("--promptune-runs=3..10", cases=8, p="0.9")
    #print(ran.text, ran.json["experiment"])
    ran = bot.run("--promptune-runs=3..10", "-n", "2", miss="all", cases=8, plugins=["xdist.plugin"])
    #print(ran.text, ran.json["experiment"], ran.per_case)
    assert 0
