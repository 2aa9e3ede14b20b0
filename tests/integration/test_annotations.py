"""Annotations of a GitHub job: ``::error`` for what failed, ``::warning`` for what is open."""

from __future__ import annotations

import pytest
import runners

from pytest_promptune.cli import main

ON_GITHUB = {"GITHUB_ACTIONS": "true"}

MANY = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=2, retries=0)


def test_many(case: Case, sample: Sample):
    for n in range(14):
        sample.score(f"m{n:02d}", float(sample.output["a"] == "yes") * (1 + n / 100), direction="higher")
"""


def annotations(ran, name="error"):
    return [each for each in runners.commands(ran.out) if each.name == name]


def test_a_failed_gate_is_an_error_at_its_test(bot):
    """With file, line and the gate's sentence, as the runner reads them back."""
    bot.record()
    ran = bot.run(env=ON_GITHUB, miss="all")
    (error,) = annotations(ran)
    assert ran.code == 1
    assert error.name == "error"
    assert error.properties == {"file": "test_bot.py", "line": "8", "title": "Prompt regression: test_answer"}
    (failed,) = (item for item in ran.json["gate"] if item["failed"])
    assert error.message.splitlines()[0] == failed["message"]
    assert "100.0 %" in error.message, "per cent signs survive the escaping"
    assert "pytest" in error.message.splitlines()[1], "how to run it again"


def test_they_stand_at_line_starts_behind_the_summary(bot):
    """The runner looks for them there, and a reader has read the summary by then."""
    bot.record()
    lines = bot.run("-s", env=ON_GITHUB, miss="all").out.splitlines()
    (place,) = (number for number, text in enumerate(lines) if "::error" in text)
    assert lines[place].startswith("::error ")
    assert place > max(number for number, text in enumerate(lines) if text.startswith("  Written:"))


@pytest.mark.parametrize("option", ["-q", "-qq", "-v", "-rA"])
def test_any_verbosity_has_them(bot, option):
    """A quiet log is no reason to leave the pull request without its remark."""
    bot.record()
    assert len(annotations(bot.run(option, env=ON_GITHUB, miss="all"))) == 1


@pytest.mark.parametrize("env", [{}, {"GITHUB_ACTIONS": ""}, {"GITHUB_ACTIONS": "false"}])
def test_elsewhere_nothing_is_printed(bot, env):
    """A terminal is no runner."""
    bot.record()
    assert "::error" not in bot.run(env=env, miss="all").out


def test_a_session_without_findings_has_none(bot):
    """Neither errors nor warnings when all is well, when the gate is off, or when a baseline is recorded."""
    recorded = bot.record("--promptune-runs=20", env=ON_GITHUB)
    assert runners.commands(recorded.out) == []
    assert runners.commands(bot.run("--promptune-runs=20", env=ON_GITHUB).out) == []
    assert runners.commands(bot.run("--promptune-gate=off", env=ON_GITHUB, miss="all").out) == []


def test_what_is_inconclusive_is_a_warning(bot):
    """The job stays green; the pull request says what it could not tell, at most once for equal metrics."""
    bot.record(p="0.8")
    ran = bot.run(env=ON_GITHUB, p="0.7")
    open_rows = {row["metric"]: row for row in ran.json["comparisons"] if row["verdict"] == "inconclusive"}
    assert {row["gate"] for row in open_rows.values()} >= {"passed"}
    assert ran.code == 0
    assert annotations(ran) == []
    first, second, *others = annotations(ran, "warning")
    titles = {each.properties["title"]: each for each in (first, second, *others)}
    assert titles["Inconclusive: test_answer"].message == "test_answer: " + open_rows["test_answer"]["reason"]
    assert titles["Inconclusive: test_answer"].properties["line"] == "8"
    equal = titles["Inconclusive: test_words, bot::error_rate"]
    assert [text.partition(":")[0] for text in equal.message.splitlines()] == ["test_words", "error_rate"]
    strict = bot.run("--promptune-strict", env=ON_GITHUB, p="0.7")
    assert "Prompt gate failed: test_answer" in {e.properties["title"] for e in annotations(strict)}


def test_variants_are_named_and_what_they_share_is_told_once(tuned):
    """Five variants of which the same is open take one of the ten places; another one has its own."""
    for number in range(5):
        tuned.variant(f"w{number}")
    tuned.variant("worse", "c00")
    found = annotations(tuned.run("--promptune-compare", "-k", "test_answer", env=ON_GITHUB), "warning")
    by_title = {
        each.properties["title"]: each for each in found if each.properties["title"].startswith("Inc")
    }
    assert set(by_title) == {
        "Inconclusive: test_answer (worse)",
        "Inconclusive: tuned::error_rate (worse)",
        "Inconclusive: test_answer, tuned::error_rate (w0, w1, w2, w3, w4)",
    }


def test_a_variant_that_fails_the_gate_is_named(tuned):
    """In the title, which is all that a list of annotations shows."""
    tuned.variant("worse", *(f"c{number:02d}" for number in range(6)))
    (error,) = annotations(tuned.run("--promptune-compare", "-k", "test_answer", env=ON_GITHUB))
    assert error.properties["title"] == "Prompt regression: test_answer (worse)"


def test_a_goal_that_is_not_reached_is_an_error_of_its_module(bot):
    """With its name; it is of no single test."""
    bot.write({"fine-tune.md": "- Accuracy: 90 % or higher\n"})
    bot.configure("ini", goal_metrics=["Accuracy = test_answer"])
    (error,) = annotations(bot.run(env=ON_GITHUB, miss="all"))
    assert error.properties == {"file": "test_bot.py", "title": "Prompt goal not reached: Accuracy-current"}


def test_a_missing_baseline_is_a_warning_or_an_error(bot):
    """With the command that records it; required ones fail, and are told once for each metric."""
    (warning,) = annotations(bot.run(env=ON_GITHUB), "warning")
    assert warning.properties == {"file": "test_bot.py", "title": "No baseline main"}
    assert "pytest --promptune-baseline" in warning.message
    ran = bot.run("--promptune-require-baseline", env=ON_GITHUB)
    errors = annotations(ran)
    assert len(errors) == sum(item["failed"] for item in ran.json["gate"]) > 0
    assert {each.properties["file"] for each in errors} == {"test_bot.py"}


def test_paths_are_those_of_the_repository(bot, tmp_path):
    """GitHub knows files by their place in the checkout, which may hold the project in a folder."""
    bot.record()
    inside = {**ON_GITHUB, "GITHUB_WORKSPACE": str(bot.path.parent)}
    (error,) = annotations(bot.run(env=inside, miss="all"))
    assert error.properties["file"] == f"{bot.path.name}/test_bot.py"
    elsewhere = {**ON_GITHUB, "GITHUB_WORKSPACE": str(tmp_path)}
    (error,) = annotations(bot.run(env=elsewhere, miss="all"))
    assert error.properties["file"].endswith("test_bot.py")


def test_more_than_github_shows_are_counted(project):
    """Ten of a step are shown: nine and one that names the others."""
    project.bot(MANY)
    project.record()
    ran = project.run(env=ON_GITHUB, miss="all")
    failed = [item for item in ran.json["gate"] if item["failed"]]
    errors = annotations(ran)
    assert len(failed) == 14
    assert len(errors) == 10
    assert errors[-1].properties["title"] == "5 more failed decisions of the gate"
    shown = " ".join(each.properties["title"] for each in errors[:-1]) + errors[-1].message
    assert all(f"test_many::m{n:02d}" in shown for n in range(14))


def test_the_controller_of_workers_prints_them_once(bot):
    """With the line that only the workers know."""
    bot.record()
    ran = bot.run("-n", "2", plugins=["xdist.plugin"], subprocess=True, env=ON_GITHUB, miss="all")
    (error,) = annotations(ran)
    assert error.properties["line"] == "8"


def test_a_merge_with_a_gate_prints_them(bot, capsys, monkeypatch):
    """It is the gate of a job with shards."""
    bot.record()
    parts = []
    for name in ("test_answer", "test_words"):
        ran = bot.run("--promptune-gate=off", "-k", name, env=ON_GITHUB, miss="all")
        assert runners.commands(ran.out) == []
        parts.append(str(bot.path / f"results-{len(parts) + 2}.json"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert main(["merge", *parts, "--root", str(bot.path), "--gate"]) == 1
    error, *warnings = runners.commands(capsys.readouterr().out)
    assert [each.name for each in warnings] == ["warning"]
    assert error.properties == {"file": "test_bot.py", "title": "Prompt regression: test_answer"}
    assert main(["merge", *parts, "--root", str(bot.path)]) == 0
    assert runners.commands(capsys.readouterr().out) == []


def test_a_comparison_of_stored_experiments_with_a_gate_prints_them(bot, capsys, monkeypatch):
    """As the session itself would have."""
    good, bad = (ran.json["experiment"]["id"] for ran in (bot.record(), bot.record(miss="all")))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    assert main(["compare", good, bad, "--gate", "--root", str(bot.path)]) == 1
    error, *_ = runners.commands(capsys.readouterr().out)
    assert error.properties == {"file": "test_bot.py", "title": "Prompt regression: test_answer"}
    assert main(["compare", good, bad, "--gate", "--json", "--root", str(bot.path)]) == 1
    assert runners.commands(capsys.readouterr().out) == []
    assert main(["compare", good, bad, "--root", str(bot.path)]) == 0
    assert runners.commands(capsys.readouterr().out) == []
