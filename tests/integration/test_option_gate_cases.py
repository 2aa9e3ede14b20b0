"""``--promptune-gate-cases``: single cases that got worse fail too."""

from __future__ import annotations

GATE = "test_bot.py::test_answer::gate[test_answer-current]"
OPTIONS = ("-k", "test_answer", "--promptune-runs=3")


def test_a_broken_case_fails_what_the_mean_would_pass(bot):
    """One of twenty cases broke: the metric's own decision fails, and names the case with its means."""
    bot.record(*OPTIONS, cases=20)
    assert bot.run(*OPTIONS, cases=20, miss="c03").code == 0
    ran = bot.run(*OPTIONS, "--promptune-gate-cases", cases=20, miss="c03")
    assert ran.code == 1
    row = ran.row("test_answer")
    assert (row["gate"], row["failure"], row["failing_cases"]) == ("failed", "cases", ["c03"])
    assert row["verdict"] != "regressed"
    assert list(ran.gates.items()) == [
        (GATE, False),
        ("test_bot.py::bot::gate[bot::error_rate-current]", True),
    ]
    told = " ".join(ran.out.split())
    assert "1 case got worse (--promptune-gate-cases)" in told
    assert "Worse by themselves: c03 (100.0 % to 0.0 %)." in told
    assert "c03: assert" in ran.out.partition("FAILURES")[2]
    assert "Worse by themselves: c03" in (bot.path / "promptune-report.md").read_text()
    assert ran.json["decision"]["action"] == "investigate"
    quiet = bot.run(*OPTIONS, "--promptune-gate-cases", "-q", cases=20, miss="c03")
    assert "promptune: gate failed: " in quiet.out
    assert "test_answer worse in 1 case" in " ".join(quiet.out.split())
    assert set(bot.run("--lf", *OPTIONS, cases=20).calls) == {"c03"}


def test_an_unchanged_app_passes(bot):
    """Noise of runs is no change of a case: cases that lose one of three runs are not worse by themselves."""
    bot.record(*OPTIONS, p=0.8)
    assert bot.run(*OPTIONS, "--promptune-gate-cases", p=0.8).code == 0
    ran = bot.run(*OPTIONS, "--promptune-gate-cases", p=0.6)
    assert ran.row("test_answer")["difference"] < 0
    assert ran.code == 0


def test_a_variant_that_breaks_a_case_is_not_proposed(tuned):
    """In a comparison, better in the mean and worse in a gated case is nothing to adopt."""
    tuned.write({"prompts/variants/worse.toml": "[context]\nmisses = ['c03']\n"})
    misses = "c00,c01,c02,c04,c06"
    options = (*OPTIONS, "--promptune-compare")
    ran = tuned.run(*options, cases=20, miss=misses)
    assert ran.json["decision"]["action"] == "adopt"
    ran = tuned.run(*options, "--promptune-gate-cases", cases=20, miss=misses)
    assert ran.code == 1
    assert ran.row("test_answer", "worse")["failing_cases"] == ["c03"]
    assert ran.row("test_answer", "worse")["verdict"] == "improved"
    assert ran.json["decision"]["action"] != "adopt"


def test_the_ini_key(bot, form):
    """`promptune_gate_cases` is a flag."""
    bot.record(*OPTIONS, cases=20)
    bot.configure(form, gate_cases=True)
    assert bot.run(*OPTIONS, cases=20, miss="c03").code == 1
    assert bot.run(*OPTIONS, "--promptune-gate=off", cases=20, miss="c03").code == 0
