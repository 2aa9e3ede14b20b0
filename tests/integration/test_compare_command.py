"""``pytest-promptune compare A B``: stored experiments, judged as a session judges its variants."""

from __future__ import annotations

import gc
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_promptune import cli

Ask = Callable[..., str]


@pytest.fixture
def ask(project, capsys) -> Ask:
    """Run a command in the project; its output, or its errors where it fails."""

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        status = cli.main([*words, "--root", str(project.path)])
        out, err = capsys.readouterr()
        assert status == code, out + err
        assert (err == "") is (code != 2)
        return out + err

    return run


def rows(answer: str) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in json.loads(answer)["comparisons"]}


def test_variants_of_one_experiment_as_in_their_session(tuned, ask):
    """The numbers and verdicts are those that the session found."""
    ran = tuned.run("--promptune-compare")
    id_ = ran.json["experiment"]["id"]
    found = rows(ask("compare", id_, f"{id_}:worse", "--json"))
    expected = [row for row in ran.json["comparisons"] if row["candidate"] == "worse"]
    assert {row["metric"] for row in expected} == set(found)
    assert len(expected) >= 5
    for row in expected:
        names = {key for key in row if key not in ("reference", "candidate", "reason", "gate", "failure")}
        assert {name: found[row["metric"]][name] for name in names} == {name: row[name] for name in names}
    text = ask("compare", id_, f"{id_}:worse")
    assert "tuned: B worse against A current" in text
    assert "test_answer" in text
    assert "conditions" not in text


def test_as_a_process_of_its_own(tuned, ask, project):
    """There a copy of it reads; answers, errors and status are the same."""
    id_ = tuned.run("--promptune-compare").json["experiment"]["id"]
    for words in ([id_, f"{id_}:worse"], [id_, f"{id_}:worse", "--json"]):
        assert typed(project, *words) == (0, ask("compare", *words))
    for words in ([id_, f"{id_}:other"], [id_, "20990101"], [id_, id_], [id_, ":"]):
        assert typed(project, *words) == (2, ask("compare", *words, code=2))


def typed(project, *words: str) -> tuple[int, str]:
    """Status and output of the command."""
    code = "import sys; from pytest_promptune.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "compare", *words, "--root", str(project.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_gate_decides_the_exit_status(bot, ask):
    """Only with --gate; its rule and level are those typed, else those of the ini file."""
    good = bot.run().json["experiment"]["id"]
    bad = bot.run(miss="c00,c01,c02,c03").json["experiment"]["id"]
    assert "Gate" not in ask("compare", good, bad)
    text = ask("compare", good, bad, "--gate", code=1)
    assert "Gate: failed" in text
    assert "test_answer regressed" in text
    shorter = "--tolerance=length=2"
    assert "Gate: passed" in ask("compare", bad, good, "--gate", shorter)
    assert "Gate: passed" in ask("compare", good, bad, "--gate", "--tolerance=test_answer=0.9", shorter)
    assert json.loads(ask("compare", good, bad, "--gate", "--json", code=1))["failed"] is True
    said = ask("compare", good, bad, "--gate", "--gate-rule=off", code=2)
    assert "contradict each other" in said
    bot.configure("ini", gate="off")
    ask("compare", good, bad, "--gate", code=1)  # who asks for the gate doesn't mean none
    bot.configure("ini", tolerance=["test_answer=0.9", "length=2"])
    ask("compare", good, bad, "--gate")


def test_names_of_experiments(bot, ask):
    """`last`, ids and their beginnings; both sides are named with what they are."""
    first = bot.run("--promptune-note=the first").json["experiment"]["id"]
    second = bot.run().json["experiment"]["id"]
    text = " ".join(ask("compare", first[:-1], "last").split())
    assert f"A {first}:current" in text
    assert f"B {second}:current" in text
    assert "note: the first" in text
    answer = json.loads(ask("compare", first, "last:current", "--json"))
    assert (answer["a"]["experiment"], answer["b"]["experiment"]) == (first, second)
    assert answer["comparisons"][0]["reference"] == answer["a"]["label"] == "A current"


def test_what_can_not_be_meant(tuned, ask):
    """Clear errors: what was given, and what would be valid."""
    ran = tuned.run("--promptune-compare")
    id_ = ran.json["experiment"]["id"]
    other = tuned.run("--promptune-variant=worse").json["experiment"]["id"]
    for words, said in (
        ((id_, id_), "A and B are the same"),
        ((id_, f"{id_}:none"), "Valid: current, worse"),
        ((id_, "nothing"), "there is no experiment 'nothing'"),
        ((":worse", id_), "names no experiment"),
        ((id_, f"{id_}:"), "names no experiment"),
        ((id_, other, "--alpha=2"), "a number between 0 and 0.5"),
        ((id_, other, "--gate-rule=all"), "--gate-rule: 'all' is not valid"),
        ((id_, other, "--store="), "is empty"),
        ((id_, other, "--store=sqlite:///none.db"), "there is no experiment log"),
    ):
        assert said in ask("compare", *words, code=2)
    assert gc.isenabled()  # held back while the command works
    assert "B worse" in ask("compare", id_, other)  # the only variant that was measured


def test_no_metric_in_common(bot, ask):
    """Experiments of another app or other tests are not compared in silence."""
    first = bot.run().json["experiment"]["id"]
    bot.write({"other/test_other.py": (bot.path / "test_bot.py").read_text(), "other/__init__.py": ""})
    second = bot.run("other").json["experiment"]["id"]
    said = ask("compare", first, second, code=2)
    assert "Nothing to compare" in said
    assert "test_answer" in said


def test_another_temperature_and_another_library_are_told(bot, ask):
    """As nodes were seen to call their models, and as the results have the versions."""
    first, second = (bot.run().json["experiment"]["id"] for _ in range(2))
    nodes = '[{"node": "say", "ways": [{"model": "m", "temperature": %s, "max_tokens": 64, "tools": []}]}]'
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        ids = dict(log.execute("SELECT id, experiment FROM promptune_experiments"))
        for id_, temperature, version in ((first, 0.3, "1.0"), (second, 0.7, "1.1")):
            log.execute(
                "UPDATE promptune_samples SET nodes = ? WHERE experiment = ?", [nodes % temperature, ids[id_]]
            )
            log.execute(
                "UPDATE promptune_manifests "
                "SET results = json_set(results, '$.experiment.libraries.langgraph', ?) WHERE experiment = ?",
                [version, ids[id_]],
            )
    text = " ".join(ask("compare", first, second).split())
    before, after = "say: temperature=0.3, max_tokens=64", "say: temperature=0.7, max_tokens=64"
    assert f"model parameters {before} in A, {after} in B; langgraph 1.0 in A, langgraph 1.1 in B" in text
    answer = json.loads(ask("compare", first, second, "--json"))
    assert answer["differences"] == {
        "parameters": [before, after],
        "libraries": ["langgraph 1.0", "langgraph 1.1"],
    }
    assert answer["b"]["parameters"] == {"say": "temperature=0.7, max_tokens=64"}
    assert answer["b"]["libraries"]["langgraph"] == "1.1"


def test_conditions_that_differ_are_told(bot, ask):
    """The tests' text and the load; times measured under another load have no verdict."""
    first = bot.run().json["experiment"]["id"]
    bot.write(test_bot=(bot.path / "test_bot.py").read_text() + "\n# another text\n")
    second = bot.run("--promptune-concurrency=4").json["experiment"]["id"]
    text = " ".join(ask("compare", first, second).split())
    assert "Measured under different conditions: 16 samples in flight in A, 4 in B" in text
    assert "the text of test_bot.py" in text
    answer = json.loads(ask("compare", first, second, "--json"))
    assert answer["differences"] == {"concurrency": ["16", "4"], "tests": ["test_bot.py", "test_bot.py"]}
    latency = next(row for row in answer["comparisons"] if row["metric"] == "bot::latency_s")
    assert latency["p"] is None
    assert "not comparable" in latency["reason"]


def test_cases_that_changed_or_are_new_are_told(bot, ask):
    """A case with another content is not compared; those of one side are named."""
    first = bot.run(cases="6").json["experiment"]["id"]
    conftest = bot.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"a": "yes"}, tags', '"a": "yes", "n": i // 5}, tags'))
    second = bot.run(cases="7").json["experiment"]["id"]
    changed = rows(ask("compare", first, second, "--json", code=0))["test_answer"]
    assert changed["cases"]["changed"] == [f"c0{case}" for case in range(6)]
    assert changed["cases"]["only_candidate"] == ["c06"]
    text = " ".join(ask("compare", first, second).split())
    assert "changed content, not compared" in text


def test_gated_metrics_that_got_lost_are_told(bot, ask):
    """A test that is gone is no pass in silence."""
    first = bot.run().json["experiment"]["id"]
    bot.write(test_bot=(bot.path / "test_bot.py").read_text().replace("def test_words", "def test_letters"))
    second = bot.run().json["experiment"]["id"]
    text = " ".join(ask("compare", first, second).split())
    assert "Gated, but not judged" in text
    assert "test_words::length" in text
    assert "Measured in A only" in text


def test_an_interrupted_experiment_says_so(bot, ask):
    """What it did not measure counts as missing."""
    first = bot.run().json["experiment"]["id"]
    bot.run("-x", miss="c03", json_file=False)
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET status = 'interrupted' WHERE id <> ?", [first])
    text = " ".join(ask("compare", first, "last").split())
    assert "ended early: what it did not measure counts as missing" in text


@pytest.mark.parametrize("side", ["A", "B"])
def test_an_interrupted_experiment_passes_no_gate(bot, ask, side):
    """What it had planned is missing, so that nothing is told by the rest; `--gate` is not green over it."""
    whole = bot.run().json["experiment"]["id"]
    part = bot.run().json["experiment"]["id"]
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        log.execute("PRAGMA foreign_keys = ON")
        which = "experiment = (SELECT experiment FROM promptune_experiments WHERE id = ?)"
        early = f"{which} AND case_id > 'c03'"
        assert log.execute(f"DELETE FROM promptune_results WHERE {early}", [part]).rowcount
        cut = "status = 'interrupted', exit_code = 2"
        log.execute(f"UPDATE promptune_experiments SET {cut} WHERE id = ?", [part])
    sides = (whole, part) if side == "B" else (part, whole)
    text = " ".join(ask("compare", *sides, "--gate", code=1).split())
    assert f"Experiment {part} ended early: the gate needs a finished one." in text
    assert "pytest --promptune-resume" in text
    answer = json.loads(ask("compare", *sides, "--json"))
    row = next(row for row in answer["comparisons"] if row["metric"] == "test_answer")
    assert row["verdict"] == "inconclusive"
    assert "missing" in row["reason"]
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET exit_code = 0 WHERE id = ?", [part])
    assert "the gate needs" not in ask("compare", *sides, "--gate")


def test_outputs_are_not_read(bot, ask):
    """Whatever stands there: the comparison needs scores alone."""
    first, second = (bot.run().json["experiment"]["id"] for _ in range(2))
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        assert log.execute("UPDATE promptune_outputs SET output = 'broken'").rowcount == 36
    assert "test_answer" in ask("compare", first, second)


def test_a_report_is_written(bot, ask):
    """With both sides under their names, by the session's own templates."""
    first = bot.run().json["experiment"]["id"]
    second = bot.run(miss="c00,c01,c02,c03").json["experiment"]["id"]
    path = bot.path / "compared.md"
    assert f"Written: {path}" in ask("compare", first, second, f"--report={path}")
    text = path.read_text()
    assert text.startswith(
        "# Prompt comparison: gate failed: test_answer regressed, test_words::length improved"
    )
    assert f"{first} (A) and {second} (B)" in text
    assert "B current against A current" in text
    assert "](compared_files/differences.svg)" in text
    assert (bot.path / "compared_files" / "differences.svg").exists()


def test_a_report_may_be_html_and_github_gets_its_summary(bot, ask, monkeypatch):
    """As those of sessions."""
    first, second = (bot.run().json["experiment"]["id"] for _ in range(2))
    summary = bot.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ask("compare", first, second, f"--report={bot.path / 'compared.html'}", "--gate")
    assert (bot.path / "compared.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    told = summary.read_text(encoding="utf-8")
    assert told.startswith("# Prompt comparison: 3 metrics inconclusive")
    assert f"Experiment {first} (A) and {second} (B)" in told


def test_html_reports_have_the_answers_of_both_sides(bot, ask):
    """Side by side under their names; for Markdown none is read."""
    first, second = (bot.run(miss=miss).json["experiment"]["id"] for miss in ("", "c01"))
    path = bot.path / "compared.html"
    ask("compare", first, second, f"--report={path}")
    page = path.read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert data["variants"] == ["A current", "B current"]
    case = next(each for each in data["cases"] if each["id"] == "c01")
    of_sides = [{data["texts"][s[9]] for s in case["samples"] if s[0] == side} for side in (0, 1)]
    assert [len(outputs) for outputs in of_sides] == [1, 1]
    assert of_sides[0] != of_sides[1]
    assert "missed" in case["marks"]
    with sqlite3.connect(bot.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_outputs SET output = 'broken'")
    ask("compare", first, second, f"--report={bot.path / 'compared.md'}")


def test_errored_everywhere_fails_the_gate(bot, ask):
    """An app that never answered has passed nothing."""
    first = bot.run().json["experiment"]["id"]
    second = bot.run("--promptune-concurrency=16", **{"raise": "all"}).json["experiment"]["id"]
    text = " ".join(ask("compare", first, second, "--gate", code=1).split())
    assert "gave no output in any of 18 samples" in text
