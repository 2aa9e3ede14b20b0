"""``--promptune-stage``: a part of the suite, the same one each time."""

from __future__ import annotations

import pytest

from pytest_promptune.cli import main

XDIST = ["xdist.plugin"]
QUICK = "--promptune-stage=quick"
MEDIUM = "--promptune-stage=medium"
FULL_ONLY = """

@pytest.mark.promptune(stage="full")
def test_slow(case: Case, sample: Sample):
    pass


@pytest.mark.promptune(stage="medium")
def test_middling(case: Case, sample: Sample):
    pass
"""


def sizes(ran) -> tuple[int, set[int]]:
    """How many cases were measured, and how often each."""
    return len(ran.per_case), set(ran.per_case.values())


@pytest.mark.parametrize(
    ("stage", "expected"), [("quick", (3, {1})), ("medium", (10, {3})), ("full", (25, {3}))]
)
def test_sizes(bot, stage, expected):
    """Three cases once, ten cases three times, or everything as the marker says."""
    assert sizes(bot.run(f"--promptune-stage={stage}", cases=25)) == expected


def test_full_is_the_default(bot):
    """Nothing is left out, and nothing said."""
    ran = bot.run(cases=12)
    assert sizes(ran) == (12, {3})
    assert "deselected" not in ran.out


def test_pytest_tells_what_is_left_out(bot):
    """The tests of 22 cases are deselected: two tests of each, once."""
    ran = bot.run(QUICK, cases=25)
    assert "44 deselected" in ran.out
    assert ran.counts == {"passed": 6}


def test_categories_are_spread(bot):
    """Ten cases, five of each category."""
    even = sum(int(case[1:]) % 2 == 0 for case in bot.run(MEDIUM, cases=25).per_case)
    assert even == 5


def test_the_same_cases_in_another_order(bot):
    """Twice the same, and after the cases were sorted the other way."""
    first = bot.run(QUICK, cases=25).per_case
    assert bot.run(QUICK, cases=25).per_case == first
    text = (bot.path / "conftest.py").read_text()
    bot.write({"conftest.py": text.replace("params=CASES", "params=CASES[::-1]")})
    assert bot.run(QUICK, cases=25).per_case == first


def test_partial_sessions_say_so(bot):
    """Its verdict is about what ran; what the baseline has of other tests is no loss."""
    bot.record(cases=12)
    ran = bot.run(QUICK, cases=12)
    assert ran.code == 0, ran.text
    text = " ".join(ran.out.split())
    assert "Partial session: the verdict is about what ran (3 cases x 1 run), not about the suite." in text
    assert ran.row("test_answer")["n_cases"] == 3


def test_a_suite_that_fits_is_not_partial(bot):
    """Six cases are less than ten: all are there."""
    ran = bot.run(MEDIUM)
    assert sizes(ran) == (6, {3})
    assert "Partial session" not in ran.out


def test_a_quick_session_can_fail(bot):
    """Everything wrong in three cases of one run may be chance; in ten cases of three it isn't."""
    bot.record(cases=12)
    quick = bot.run(QUICK, cases=12, miss="all")
    assert (quick.code, quick.row("test_answer")["verdict"]) == (0, "inconclusive")
    assert bot.run(QUICK, "--promptune-strict", cases=12, miss="all").code == 1
    assert bot.run(MEDIUM, cases=12, miss="all").code == 1


@pytest.mark.parametrize("stage", ["quick", "medium"])
def test_no_baseline_of_a_part(bot, stage):
    """Fewer runs would take the place of recorded ones, silently."""
    bot.record()
    before = bot.baseline.read_bytes()
    ran = bot.run("--promptune-baseline", f"--promptune-stage={stage}")
    assert ran.refused("--promptune-baseline", f"--promptune-stage={stage}", "--promptune-stage=full")
    assert bot.baseline.read_bytes() == before


def test_a_stage_of_the_ini_file_gives_no_baseline_either(bot):
    """What to type is said, and helps."""
    bot.configure("ini", stage="quick")
    assert bot.run("--promptune-baseline").refused("Add --promptune-stage=full")
    assert bot.run("--promptune-baseline", "--promptune-stage=full").code == 0


# --- with other options ---------------------------------------------------------------------------


def test_runs_on_the_command_line_win(bot):
    """The stage chooses cases then, and nothing else."""
    assert sizes(bot.run(QUICK, "--promptune-runs=4", cases=12)) == (3, {4})


def test_the_stage_wins_over_runs_of_the_ini_file(bot, form):
    """As it does over the marker; the command line wins over the stage of the ini file."""
    bot.configure(form, stage="quick", runs=7)
    assert sizes(bot.run(cases=12)) == (3, {1})
    assert sizes(bot.run("--promptune-stage=full", cases=12)) == (12, {3})


def test_looks(bot):
    """A range of runs ends early with the cases of the stage."""
    bot.record("--promptune-runs=10", cases=14)
    ran = bot.run(MEDIUM, "--promptune-runs=3..10", cases=14, miss="all")
    assert ran.code == 1
    assert sizes(ran) == (10, {3})
    assert "not needed" in ran.out.splitlines()[-1]


def test_after_k(bot):
    """Cases are drawn from those that -k leaves."""
    ran = bot.run(QUICK, "-k", "c00 or c01 or c02 or c03 or c04", cases=25)
    assert sizes(ran) == (3, {1})
    assert max(ran.per_case) <= "c04"
    assert sizes(bot.run(QUICK, "-k", "c07", cases=25)) == (1, {1})


def test_marked_tests(bot):
    """A test marked with a stage runs in that one and in larger ones."""
    bot.write({"test_bot.py": (bot.path / "test_bot.py").read_text() + FULL_ONLY})

    def ran(*args):
        return {row["metric"].partition("::")[0] for row in bot.run(*args).json["metrics"]} - {"bot"}

    assert ran(QUICK) == {"test_answer", "test_words"}
    assert ran(MEDIUM) == {"test_answer", "test_words", "test_middling"}
    assert ran() == {"test_answer", "test_words", "test_middling", "test_slow"}


def test_nothing_left(bot):
    """pytest's exit code for a session without tests; the app isn't called."""
    bot.write({"test_bot.py": (bot.path / "test_bot.py").read_text().replace("runs=3", "stage='full'")})
    ran = bot.run(QUICK)
    assert ran.code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert ran.calls == []


def test_tests_without_a_sample_stay(bot):
    """They are pytest's alone."""
    bot.write(test_plain="def test_plain():\n    pass\n")
    assert bot.run(QUICK, cases=12).counts["passed"] == 2 * 3 + 1


def test_comparing(tuned):
    """Variants are measured with the same cases as current."""
    ran = tuned.run("--promptune-compare", QUICK, cases=12)
    assert sizes(ran) == (3, {2})
    assert ran.row("test_answer", "worse", "current")["n_cases"] == 3


def test_with_workers(bot):
    """Each worker draws the same cases."""
    pytest.importorskip("xdist")
    alone = bot.run(QUICK, cases=25).per_case
    assert bot.run(QUICK, "-n", "2", plugins=XDIST, cases=25).per_case == alone


def test_replaying(bot):
    """A part of what is stored can be scored again."""
    bot.run(cases=12)
    ran = bot.run(QUICK, "--promptune-replay=last", cases=12)
    assert ran.calls == []
    assert ran.json["experiment"]["samples"] == 3


def test_resuming(bot):
    """What is stored of an interrupted session of the stage isn't measured again."""
    text = (bot.path / "test_bot.py").read_text()
    fails = (
        "    import os\n    if 'BOT_FAIL' in os.environ:\n        raise RuntimeError('x')\n    assert sample"
    )
    bot.write({"test_bot.py": text.replace("    assert sample", fails)})
    assert bot.run(QUICK, "-x", "--promptune-concurrency=1", cases=12, fail=1).code == 1
    ran = bot.run(QUICK, "--promptune-resume", cases=12)
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 3
    assert ran.json["experiment"]["reused"] == 3 - len(ran.calls) > 0


def test_the_plan(bot):
    """What would be measured is what is measured, and the stage is named."""
    ran = bot.run(QUICK, "--promptune-plan", cases=12)
    assert ran.code == 0, ran.text
    (row,) = [line for line in ran.out.splitlines() if line.strip().startswith("bot ")]
    assert row.split()[1:] == ["3", "1", "1", "3", "6", "0"]
    text = " ".join(ran.out.split())
    assert "--promptune-stage=quick leaves 3 of 12 cases" in text
    assert "12 cases, each with an id of its own" in text


def test_merging(bot, monkeypatch):
    """Parts of one stage are one session; parts of two are not."""
    parts = [
        bot.run(QUICK, "-k", test, "--promptune-json=" + str(bot.path / f"{test}.json"), cases=12)
        for test in ("test_answer", "test_words")
    ]
    assert [part.code for part in parts] == [0, 0]
    bot.run("-k", "test_words", "--promptune-json=" + str(bot.path / "full.json"), cases=12)
    monkeypatch.chdir(bot.path)
    assert main(["merge", "test_answer.json", "test_words.json", "--json=merged.json"]) == 0
    assert main(["merge", "test_answer.json", "full.json", "--json=other.json"]) == 2


@pytest.mark.parametrize("value", ["fast", "", "Quick", "1"])
def test_other_stages_are_refused(bot, value):
    """The message names those that exist."""
    assert bot.run(f"--promptune-stage={value}").refused("--promptune-stage", "quick or medium or full")
