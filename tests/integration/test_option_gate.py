"""``--promptune-gate``: which verdicts fail the build."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import pytest

MISSES = "c00,c01,c02,c03"


def test_regression_is_the_default(bot):
    """A significant regression fails with exit code 1, a named item and one clear sentence."""
    bot.record()
    ran = bot.run(miss=MISSES)
    assert ran.code == 1
    row = ran.row("test_answer")
    assert (row["verdict"], row["gate"]) == ("regressed", "failed")
    assert row["difference"] == pytest.approx(-2 / 3)
    assert row["cases"]["regressed"] == MISSES.split(",")
    gate = "test_bot.py::test_answer::gate[test_answer-current]"
    assert ran.gates[gate] is False
    assert f"FAILED {gate} - test_answer regr" in ran.out
    assert "c00: assert" in ran.out.partition("FAILURES")[2]  # why samples missed
    assert "c00: assert" in (bot.path / "promptune-report.md").read_text()
    assert "Traceback" not in ran.text


def test_an_unchanged_app_passes_regression(bot):
    """The same app passes, noise included."""
    bot.record(p=0.7)
    ran = bot.run(p=0.7)
    assert ran.code == 0
    assert all(ran.gates.values())


def test_an_improvement_passes(bot):
    """Better is never a failure."""
    bot.write(test_bot=(bot.path / "test_bot.py").read_text().replace(', direction="lower"', ""))
    bot.record(miss=MISSES)
    ran = bot.run()
    assert ran.code == 0
    assert ran.row("test_answer")["verdict"] == "improved"


def test_non_inferiority_fails_what_is_not_shown(bot):
    """What `regression` lets pass as inconclusive fails; with enough runs of an equal app it passes."""
    bot.record("-k", "test_answer")
    assert bot.run("-k", "test_answer").code == 0
    rule = ("-k", "test_answer", "--promptune-gate=non-inferiority")
    ran = bot.run(*rule)
    assert ran.code == 1
    assert ran.row("test_answer")["verdict"] == "inconclusive"
    assert ran.row("test_answer")["gate"] == "failed"
    assert "ruling out a drop of 10.0 points takes 6 runs per case" in " ".join(ran.out.split())
    ran = bot.run(*rule, "--promptune-runs=6")
    assert ran.code == 0
    assert ran.row("test_answer")["gate"] == "passed"


def test_off_reports_and_never_fails(bot):
    """The regression is reported, no item is made, the exit code is 0."""
    bot.record()
    ran = bot.run("--promptune-gate=off", miss=MISSES)
    assert ran.code == 0
    assert ran.row("test_answer")["verdict"] == "regressed"
    assert {row["gate"] for row in ran.json["comparisons"]} == {"off"}
    assert ran.json["gate"] == []
    assert "regressed" in ran.out
    assert "::gate[" not in ran.out


def test_metrics_of_time_and_money_are_gated_by_name_only(project):
    """A much slower app passes, unless the marker's `gate` or the ini key names its latency."""
    tests = """
import pytest
pytestmark = pytest.mark.promptune(app="bot", runs=3{gate})

def test_answer(case, sample):
    assert sample.output["a"] == "yes"
"""
    project.bot(tests.format(gate=""))
    project.record()
    ran = project.run(wait=0.2)
    assert ran.code == 0
    assert ran.row("bot::latency_s")["verdict"] == "regressed"
    assert ran.row("bot::latency_s")["gate"] == "off"
    project.configure("ini", gate_metrics=["latency_s"])
    ran = project.run(wait=0.2)
    assert ran.code == 1
    assert ran.gates["test_bot.py::bot::gate[bot::latency_s-current]"] is False
    assert ran.gates["test_bot.py::test_answer::gate[test_answer-current]"] is True
    project.configure("ini")
    project.bot(tests.format(gate=", gate=['latency_s']"))
    ran = project.run(wait=0.2)
    assert ran.code == 1
    assert list(ran.gates) == ["test_bot.py::bot::gate[bot::latency_s-current]"]


def test_a_name_that_nobody_measured_is_noted(bot):
    """A slip in `promptune_gate_metrics` would silently gate nothing: it is told."""
    bot.configure("ini", gate_metrics=["latncy_s"])
    assert "latncy_s" in bot.run().out


def test_a_marker_that_gates_an_unknown_metric_is_told(project):
    """A slip in the marker's `gate` would switch the whole gate off: it is refused or noted."""
    project.bot(
        "import pytest\npytestmark = pytest.mark.promptune(app='bot', runs=3, gate=['test_anwser'])\n\n"
        "def test_answer(case, sample):\n    assert sample.output['a'] == 'yes'\n"
    )
    project.record()
    ran = project.run(miss=MISSES)
    assert ran.code != 0 or "test_anwser" in ran.out


def test_one_tests_gate_does_not_depend_on_the_order_of_tests(project):
    """A marker on one test says what is gated of that test; the app's error rate stays gated for the others."""
    narrow = "@pytest.mark.promptune(gate=['test_a'])\ndef test_a(case, sample):\n    pass\n\n"
    usual = "def test_b(case, sample):\n    pass\n\n"
    head = "import pytest\npytestmark = pytest.mark.promptune(app='bot', runs=3)\n\n"
    gates = []
    for tests in (narrow + usual, usual + narrow):
        project.bot(head + tests)
        project.record()
        gates.append(set(project.run().gates))
    assert gates[0] == gates[1]
    assert "test_bot.py::bot::gate[bot::error_rate-current]" in gates[0]


def test_other_words_are_refused(bot):
    """The message lists the rules."""
    assert bot.run("--promptune-gate=never").refused(
        "--promptune-gate", "regression", "non-inferiority", "off"
    )


def test_the_ini_key(bot, form):
    """`promptune_gate` sets the rule; the command line wins."""
    bot.record("-k", "test_answer")
    bot.configure(form, gate="off")
    assert bot.run("-k", "test_answer", miss=MISSES).code == 0
    assert bot.run("-k", "test_answer", "--promptune-gate=regression", miss=MISSES).code == 1


def test_running_what_failed_is_no_verdict_on_the_suite(bot):
    """``--lf`` judges the items that missed; terminal, report and JSON say so, quiet or not."""
    bot.record()
    assert bot.run(miss=MISSES).code == 1
    again = bot.run("--lf", "-q", miss="c00")
    told = "Partial session: the verdict is about what ran (4 cases x 3 runs), not about the suite."
    assert again.json["warnings"] == [told]
    assert told in " ".join(again.out.split())
    assert told in (bot.path / "promptune-report.md").read_text()
    assert "Partial session" not in bot.run("-q").out


def test_a_failed_decision_says_how_to_run_its_tests(bot):
    """Its id is no test: the results name the command that works."""
    bot.record()
    ran = bot.run(miss=MISSES)
    hints = {item["nodeid"]: item["hint"] for item in ran.json["gate"]}
    assert hints.pop("test_bot.py::test_answer::gate[test_answer-current]").endswith("pytest --lf")
    assert set(hints.values()) == {""}
    assert set(bot.run("--lf", miss=MISSES).calls) == {"c00", "c01", "c02", "c03"}


def test_a_run_of_one_module_knows_nothing_of_other_names(bot):
    """The ini file speaks of all tests: a name that isn't measured is warned of only when all are run."""
    bot.write({"pytest.ini": "[pytest]\npromptune_gate_metrics = test_elsewhere::latency_s\n"})
    bot.record()
    assert any("test_elsewhere" in text for text in bot.run().json["warnings"])
    assert not any("test_elsewhere" in text for text in bot.run("test_bot.py").json["warnings"])
