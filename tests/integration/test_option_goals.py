"""``--promptune-goals`` and ``promptune_goal_metrics``: targets from a goals file are judged and gated."""

from __future__ import annotations

import pytest

from pytest_promptune.cli import main

SUITE = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=5, retries=0)


def test_answer(case: Case, sample: Sample):
    sample.classify(predicted=sample.output["a"], expected=case.expected["a"])


def test_words(case: Case, sample: Sample):
    sample.score("length", len(sample.output["a"]), direction="lower")
"""
GOALS = """# Goals

- Accuracy: 90% or higher
- Latency: 100 seconds or less
- p95 latency: under 100 s
- Error rate: at most 20%
- length: at most 2
"""


@pytest.fixture
def aimed(project):
    """The bot's suite with a test that classifies, and goals."""
    project.bot(SUITE)
    project.write({"fine-tune.md": GOALS})
    return project


def goals(ran):
    return {row["name"]: row for row in ran.json["goals"]}


def flat(ran):
    """What was printed, without line breaks and columns."""
    return " ".join(ran.out.split())


def gates(ran):
    return {nodeid.partition("::")[2]: passed for nodeid, passed in ran.gates.items() if "::goal[" in nodeid}


def test_goals_are_judged_and_gated(aimed):
    """Missed fails, as an item of its own; the results have what DESIGN says."""
    ran = aimed.run(miss="c00,c01,c02")
    assert ran.code == 1
    assert gates(ran) == {
        "goal[Accuracy-current]": False,
        "goal[Latency-current]": True,
        "goal[p95 latency-current]": True,
        "goal[Error rate-current]": True,
        "goal[length-current]": False,
    }
    accuracy = goals(ran)["Accuracy"]
    wanted = ("metric", "target", "direction", "value", "gap", "achievement", "met", "confident", "status")
    assert [accuracy[key] for key in wanted[:7]] == [
        "test_answer",
        0.9,
        "higher",
        0.5,
        -0.4,
        0.5 / 0.9,
        False,
    ]
    assert (accuracy["confident"], accuracy["status"]) == (True, "missed")
    assert goals(ran)["Latency"]["status"] == "attained"
    p95 = goals(ran)["p95 latency"]
    assert p95["percentile"] == 95
    assert p95["value"] == pytest.approx(ran.metric("bot::latency_s")["p95"])
    assert goals(ran)["length"]["metric"] == "test_words::length"
    assert "Goal Accuracy (test_answer, current) missed: 50.0 %" in flat(ran)
    assert "Passing rule: all goals must be reached" in flat(ran)
    report = (aimed.path / "promptune-report.md").read_text(encoding="utf-8")
    assert "## Goals" in report
    assert "| Accuracy | `test_answer` | `current` | 50.0 % |" in report


def test_attained_goals_pass_and_say_stop(aimed):
    """Everything right: exit code 0, and the next step is to stop."""
    aimed.write({"fine-tune.md": "- F1: 0.8 or higher\n- Error rate: 20% or less\n"})
    aimed.record()
    ran = aimed.run()
    assert (ran.code, ran.json["decision"]["action"]) == (0, "stop")
    assert {row["status"] for row in ran.json["goals"]} == {"attained"}
    assert goals(ran)["F1"]["metric"] == "test_answer::macro_f1"
    assert "F1 (test_answer::macro_f1, current) attained" in flat(ran)


def test_recording_gates_nothing(aimed):
    """In baseline mode goals are reported, not gated."""
    ran = aimed.run("--promptune-baseline", miss="c00,c01,c02")
    assert (ran.code, gates(ran)) == (0, {})
    assert goals(ran)["Accuracy"]["status"] == "missed"
    assert "missed: 50.0 %" in flat(ran)


def test_a_switched_off_gate_and_a_part_of_the_suite(aimed):
    """Neither fails for a goal; a part says so."""
    assert aimed.run("--promptune-gate=off", miss="c00,c01,c02").code == 0
    ran = aimed.run("-k", "c00", miss="c00")
    assert (ran.code, gates(ran)) == (0, {})
    assert any("reported, not gated" in note for note in ran.json["notes"])


def test_unclear_fails_under_strict(aimed):
    """All of few runs right is no proof of 99 %."""
    aimed.write({"fine-tune.md": "- Accuracy: 99% or higher\n"})
    ran = aimed.run()
    assert (ran.code, goals(ran)["Accuracy"]["status"]) == (0, "unclear")
    assert gates(aimed.run("--promptune-strict")) == {"goal[Accuracy-current]": False}


def test_some_of_the_goals_can_be_enough(aimed):
    """The passing rule of the file."""
    text = "- Accuracy: 90% or higher\n- Latency: 100 s or less\n\nAny one of the goals is enough.\n"
    aimed.write({"fine-tune.md": text})
    ran = aimed.run(miss="c00,c01,c02")
    assert (ran.code, goals(ran)["Accuracy"]["status"]) == (0, "missed")
    aimed.record(miss="c00,c01,c02")
    decision = aimed.run(miss="c00,c01,c02").json["decision"]
    assert decision["action"] == "stop"
    assert "Enough goals are attained: any one goal is enough." in decision["reason"]


def test_every_variant_is_judged(tuned):
    """In a comparison each has its rows and items."""
    tuned.write({"fine-tune.md": "- Accuracy: 90% or higher\n", "pytest.ini": "[pytest]\n"})
    tuned.configure("ini", goal_metrics=["Accuracy = test_answer"])
    ran = tuned.run("--promptune-compare")
    assert ran.code == 1
    assert gates(ran) == {"goal[Accuracy-current]": True, "goal[Accuracy-worse]": False}


def test_a_goal_without_a_metric_is_a_warning(aimed):
    """It is never dropped: the run says so, and the plan fails once it is known what the tests score."""
    aimed.write({"fine-tune.md": "- Charm: 90% or higher\n- Error rate: 20% or less\n"})
    plan = aimed.run("--promptune-plan")
    assert plan.code == 0
    assert "warning goals (fine-tune.md): Goal Charm (line 1): no metric" in flat(plan)
    ran = aimed.run()
    assert ran.code == 0
    assert list(goals(ran)) == ["Error rate"]
    assert any("Goal Charm (line 1): no metric" in text for text in ran.json["warnings"])
    assert "Charm" in ran.out
    plan = aimed.run("--promptune-plan")
    assert plan.code == 1
    aimed.record()
    plan = aimed.run("--promptune-plan")
    assert plan.code == 1
    assert "failed goals (fine-tune.md): Goal Charm (line 1)" in flat(plan)
    assert "ok goals (fine-tune.md): Error rate 20 % or less" in flat(plan)


def test_the_plan_knows_what_it_cannot_know_yet(aimed):
    """Which test classifies, and what a test scores, is known later: a warning."""
    aimed.write({"fine-tune.md": "- Accuracy: 90% or higher\n- Length: 2 or less\n"})
    aimed.configure("ini", goal_metrics=["Length = test_words::length"])
    plan = aimed.run("--promptune-plan")
    assert plan.code == 0
    assert "warning goals (fine-tune.md): Goal Accuracy (line 1): it could be any of" in flat(plan)
    assert "Goal Length means test_words::length" in flat(plan)
    aimed.record()
    plan = aimed.run("--promptune-plan")
    assert "Accuracy 90 % or higher (test_answer); Length 2 or less (test_words::length)" in flat(plan)


def test_the_plan_knows_the_aggregates_of_the_hook(aimed):
    """As sessions do: goals mean them, and margins may name them."""
    hook = "def pytest_promptune_aggregates(config):\n    return {'Charm': lambda samples: 1.0}\n"
    conftest = (aimed.path / "conftest.py").read_text(encoding="utf-8")
    aimed.write({"fine-tune.md": "- Charm: 0.9 or higher\n"}, conftest=f"{conftest}\n\n{hook}")
    plan = aimed.run("--promptune-plan", "--promptune-margin=Charm=0.1")
    assert plan.code == 0
    assert "ok goals (fine-tune.md): Charm 0.9 or higher (bot::Charm)" in flat(plan)
    assert goals(aimed.run("--promptune-margin=Charm=0.1"))["Charm"]["metric"] == "bot::Charm"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "The file is empty"),
        ("# Objectifs\n- Précision : 90 % ou plus\n", "English and Japanese are read"),
        ("- Accuracy: 90% or higher\n- Accuracy: 95% or higher\n", "Two targets for Accuracy"),
    ],
)
def test_files_that_say_nothing_clear(aimed, text, why):
    """A warning in a run, a failed line in the plan."""
    aimed.write({"fine-tune.md": text})
    ran = aimed.run()
    assert (ran.code, ran.json["goals"]) == (0, [])
    assert any(why in warning for warning in ran.json["warnings"])
    plan = aimed.run("--promptune-plan")
    assert plan.code == 1
    assert why in flat(plan)


def test_files_that_cannot_be_read_end_the_session(aimed):
    """Missing though given, or not UTF-8: exit code 4 before the first call."""
    assert aimed.run("--promptune-goals=none.md").refused("none.md", "no such goals file")
    (aimed.path / "fine-tune.md").write_bytes("精度: 90%以上".encode("shift_jis"))
    assert aimed.run().refused("fine-tune.md", "not UTF-8")
    assert aimed.run("--promptune-goals=").code == 0


def test_the_option_and_its_keys(aimed, form):
    """Another file by option or key, and the mapping; a typed path is relative to where it was typed."""
    aimed.write({"docs/aims.md": "- Cleverness: 90% or higher\n"})
    aimed.configure(form, goals="docs/aims.md", goal_metrics=["Cleverness = test_answer"])
    assert goals(aimed.run())["Cleverness"]["metric"] == "test_answer"
    typed = aimed.run("--promptune-goals=aims.md", aimed.path, cwd=aimed.path / "docs")
    assert goals(typed)["Cleverness"]["metric"] == "test_answer"
    aimed.configure(form, goal_metrics=["Cleverness"])
    assert aimed.run().refused("promptune_goal_metrics", "GOAL = METRIC")


def test_a_missed_goal_ends_no_session_early(aimed):
    """Looks judge regressions: a goal would be asked more often than its level allows."""
    ran = aimed.run("--promptune-runs=2..6", miss="c00,c01,c02")
    assert ran.json["experiment"]["runs"] == 6
    aimed.record("--promptune-runs=6")
    ran = aimed.run("--promptune-runs=2..6", miss="c00,c01,c02")
    assert (ran.code, goals(ran)["Accuracy"]["status"]) == (1, "missed")


def test_goals_are_judged_at_the_level_of_the_session(aimed):
    """At a look, too: all goals of one session have intervals of one level, which the report tells."""
    aimed.write({"fine-tune.md": GOALS + "- F1: 0.9 or higher\n"})
    aimed.record("--promptune-runs=6")
    looked = aimed.run("--promptune-runs=2..6", miss="c00,c01,c02,c03")
    assert looked.json["experiment"]["runs"] == 2
    fixed = aimed.run("--promptune-runs=2", miss="c00,c01,c02,c03")
    for name in ("Accuracy", "Error rate", "length", "F1"):
        assert goals(looked)[name]["ci"] == goals(fixed)[name]["ci"]
    report = (aimed.path / "promptune-report.md").read_text(encoding="utf-8")
    assert "| Value | 95 % interval | Target |" in report
    wider = aimed.run("--promptune-runs=2", "--promptune-alpha=0.01", miss="c00,c01,c02,c03")
    assert goals(wider)["Accuracy"]["ci"][1] > goals(fixed)["Accuracy"]["ci"][1]
    assert "| Value | 99 % interval | Target |" in (aimed.path / "promptune-report.md").read_text()


def test_merged_parts(aimed, capsys):
    """Parts are judged together, by the goals file where they are merged or a given one."""
    for part in ("test_answer", "test_words"):
        aimed.run("-k", part, "--promptune-gate=off", miss="c00,c01,c02")
    parts = [str(aimed.path / f"results-{number}.json") for number in (1, 2)]
    root = ["--root", str(aimed.path)]
    assert main(["merge", *parts, *root, "--gate"]) == 1
    assert "Goal Accuracy (test_answer, current) missed: 50.0 %" in " ".join(capsys.readouterr().out.split())
    aimed.write({"other.md": "- Accuracy: 40% or higher\n"})
    assert main(["merge", *parts, *root, "--gate", "--goals", str(aimed.path / "other.md")]) == 0
    assert main(["merge", *parts, *root, "--gate", "--goals="]) == 0
    assert main(["merge", *parts, *root, "--goals", "none.md"]) == 2
    aimed.configure("ini", goals="other.md")
    assert main(["merge", *parts, *root, "--gate"]) == 0
    aimed.configure("ini", goals="")
    assert main(["merge", *parts, *root, "--gate"]) == 0
    assert main(["merge", *parts, *root, "--gate", "--goals", str(aimed.path / "fine-tune.md")]) == 1
    aimed.configure("ini", goals="none.md")
    assert main(["merge", *parts, *root, "--gate"]) == 2


def test_under_xdist(aimed):
    """The controller judges; the items are there once."""
    ran = aimed.run("-n2", plugins=["xdist.plugin"], subprocess=True, miss="c00,c01,c02")
    assert ran.code == 1
    assert gates(ran)["goal[Accuracy-current]"] is False
    assert goals(ran)["Accuracy"]["value"] == 0.5


def test_last_failed_knows_no_goals(aimed):
    """A goal is no test that could be run again: `--lf` after it runs everything."""
    assert aimed.run(miss="c00,c01,c02").code == 1
    ran = aimed.run("--lf")
    assert ran.json["experiment"]["cases"] == 6
    assert "known failures" not in ran.out
    assert "goal[" not in (aimed.path / ".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8")


def test_a_stage_is_a_part_of_the_suite(aimed):
    """A few cases say too little to fail for a goal."""
    ran = aimed.run("--promptune-stage=quick", miss="all")
    assert (gates(ran), goals(ran)["Accuracy"]["value"]) == ({}, 0.0)


def test_a_target_in_another_currency(aimed):
    """Costs are in USD: the session says that it doesn't judge the goal, and not that a price is missing."""
    aimed.write({"fine-tune.md": "- Cost: ¥3 or less\n"})
    ran = aimed.run()
    assert "¥3 can't be compared with cost_usd, which is measured in USD" in flat(ran)
    assert "It is not judged." in flat(ran)
    assert "price" not in flat(ran)


def test_the_plan_knows_what_was_stored(aimed):
    """A warning before the first session, failed after it; a changed test may score anything."""
    aimed.write({"fine-tune.md": "- Charm: 0.9 or higher\n"})
    ran = aimed.run("--promptune-plan")
    assert (ran.code, "What the tests score is known once they have run." in flat(ran)) == (0, True)
    assert aimed.run().code == 0
    ran = aimed.run("--promptune-plan")
    assert ran.code == 1
    assert "failed goals (fine-tune.md): Goal Charm (line 1): no metric is meant by this name" in flat(ran)
    aimed.write(test_bot=SUITE + "\n# changed\n")
    assert aimed.run("--promptune-plan").code == 0
