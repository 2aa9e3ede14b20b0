"""Properties of results, as junit XML has them: each sample's scores, and what each decision rests on."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pytest_promptune.core.properties import of_result
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Score


def properties(project, *arguments, subprocess=False, plugins=(), **bot):
    """By name of the junit test case, the properties of each."""
    path = project.path / "junit.xml"
    ran = project.run(f"--junitxml={path}", *arguments, subprocess=subprocess, plugins=plugins, **bot)
    suite = ElementTree.parse(path).getroot()
    found = {}
    for case in suite.findall(".//testcase"):
        pairs = [(each.get("name"), each.get("value")) for each in case.findall("./properties/property")]
        assert len(dict(pairs)) == len(pairs), f"{case.get('name')} has a property twice"
        found[case.get("name")] = dict(pairs)
    return ran, found


@pytest.mark.parametrize("workers", [0, 2])
def test_each_sample_has_its_scores(bot, workers):
    """Its case, variant and run, the scores under their names in baselines, and its latency."""
    options = ["-n", str(workers)] if workers else []
    plugins = ["xdist.plugin"] if workers else []
    _, found = properties(bot, *options, subprocess=bool(workers), plugins=plugins, miss="c01")
    right, missed = found["test_answer[c00-current-run1]"], found["test_answer[c01-current-run2]"]
    assert float(right.pop("promptune:bot::latency_s")) > 0
    assert right == {
        "promptune_case": "c00",
        "promptune_variant": "current",
        "promptune_run": "1",
        "promptune:test_answer": "1",
    }
    assert (missed["promptune_run"], missed["promptune:test_answer"]) == ("2", "0")
    words = found["test_words[c00-current-run1]"]
    assert (words["promptune:test_words"], words["promptune:test_words::length"]) == ("1", "3.0")
    assert len(found) >= 36


def test_a_sample_without_output_has_what_is_known(bot):
    """An errored one is a 0 of the assertion metric, a lost one has no value; neither has scores."""
    _, found = properties(bot, env={"BOT_RAISE": "c01", "BOT_LOSE": "c02"})
    errored, lost = found["test_words[c01-current-run1]"], found["test_words[c02-current-run1]"]
    assert errored["promptune:test_words"] == "0"
    assert "promptune:test_words" not in lost
    assert {each["promptune_case"] for each in (errored, lost)} == {"c01", "c02"}
    assert "promptune:test_words::length" not in errored | lost


def test_a_decision_has_what_it_rests_on(bot):
    """Difference, interval, p and verdict, as in the results file."""
    bot.record()
    ran, found = properties(bot, miss="all")
    row = ran.row("test_answer")
    decision = found["gate[test_answer-current]"]
    assert decision["promptune_verdict"] == "regressed" == row["verdict"]
    assert float(decision["promptune_difference"]) == row["difference"]
    assert [float(decision[f"promptune_ci_{end}"]) for end in ("low", "high")] == row["ci"]
    assert float(decision["promptune_p"]) == row["p"]
    assert decision["promptune_reference"] == "baseline:main"
    assert decision["promptune_candidate"] == "current"


def test_reports_have_them_for_other_plugins(bot):
    """`user_properties` is pytest's public place for them, in the report of the call as of the teardown."""
    bot.write(
        {
            "listening.py": "import json\n"
            "def pytest_runtest_logreport(report):\n"
            "    if report.user_properties:\n"
            "        names = [name for name, _ in report.user_properties]\n"
            "        print('\\nPROPERTIES', report.when, json.dumps(names))\n"
        }
    )
    ran = bot.run("-s", "-k", "test_answer and c00 and run1", plugins=["listening"], subprocess=True)
    told = [line.split(" ", 2) for line in ran.out.splitlines() if line.startswith("PROPERTIES")]
    assert [when for _, when, _ in told] == ["call", "teardown"]
    assert told[0][2] == told[1][2]


def result(**changes):
    values = {
        "nodeid": "t.py::test_x[a]",
        "module": "t.py",
        "test": "test_x",
        "metric": "test_x",
        "app": "bot",
        "case_id": "a",
        "case_hash": "",
        "variant": "current",
        "run": 1,
        "outcome": "passed",
    }
    return Result(**values | changes)


def test_values_are_plain_and_names_are_one_line():
    """Whatever a name holds: XML has no character for some of it, and ElementTree writes it all the same."""
    scores = {
        "a\x00\x1b[31mb\ud800": Score(value=0.25, kind="score"),
        "is_ok": Score(value=1.0, kind="binary"),
        "unknown": Score(value=None, kind="score"),
        "bot::judged": Score(value=0.5, kind="score", scorer="judge"),
    }
    found = dict(
        of_result(result(case_id="\x00c\u202e\n1", scores=scores, sample=SampleFacts(latency_s=0.5)))
    )
    assert found == {
        "promptune_case": "c 1",
        "promptune_variant": "current",
        "promptune_run": 1,
        "promptune:test_x": 1,
        "promptune:test_x::ab\ufffd": 0.25,
        "promptune:test_x::is_ok": 1,
        "promptune:bot::judged": 0.5,
        "promptune:bot::latency_s": 0.5,
    }
    assert type(found["promptune:test_x::is_ok"]) is int


@pytest.mark.parametrize(("outcome", "value"), [("passed", 1), ("missed", 0), ("errored", 0)])
def test_an_outcome_is_a_value_of_the_assertion_metric(outcome, value):
    assert dict(of_result(result(outcome=outcome)))["promptune:test_x"] == value


@pytest.mark.parametrize("outcome", ["missing", "failed", "skipped"])
def test_no_value_without_a_judgement(outcome):
    """Unknown is no 0."""
    assert "promptune:test_x" not in dict(of_result(result(outcome=outcome)))


def test_they_are_forgotten_when_all_have_heard(bot):
    """pytest keeps items and reports to the end; properties of others stay on them."""
    bot.write(
        {
            "conftest.py": (bot.path / "conftest.py").read_text(encoding="utf-8")
            + """

def pytest_runtest_setup(item):
    item.user_properties.append(("mine", 1))


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = [report for reports in reporter.stats.values() for report in reports]
    kept = {name for report in reports for name, _ in getattr(report, "user_properties", ())}
    kept |= {name for item in session.items for name, _ in item.user_properties}
    (session.config.rootpath / "kept").write_text(" ".join(sorted(kept)))
"""
        }
    )
    bot.run()
    assert (bot.path / "kept").read_text(encoding="utf-8") == "mine"
