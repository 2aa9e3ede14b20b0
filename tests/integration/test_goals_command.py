"""``pytest-promptune goals``: what was understood of the goals file, and what was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_promptune.cli import main

FIXTURES = Path(__file__).parents[1] / "core" / "goals" / "data"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_usual_file(language, capsys):
    """Goals, rule and cases first, then line by line; everything is understood."""
    assert main(["goals", str(FIXTURES / f"fine-tune.{language}.md")]) == 0
    out = capsys.readouterr().out
    for text in (
        "Latency: 2 s or less; measured by latency_s (lines 5, 21)",
        "Passing rule: all goals must be reached (line 28)",
        "Test cases: tests/prompts/tickets.json",
        "\n  17: ",
    ):
        assert text in out
    assert "Not understood" not in out


def test_json(capsys):
    """The same as data, on one line."""
    assert main(["goals", "--json", str(FIXTURES / "fine-tune.terse.md")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["needed"], found["problems"]) == ("any", 2, [])
    assert found["goals"][1] == {
        "name": "p95 latency",
        "metric": "latency_s",
        "measure": "latency_s",
        "target": 0.8,
        "direction": "lower",
        "unit": "s",
        "percentile": 95.0,
        "lines": [6],
    }
    assert [line["line"] for line in found["understood"]] == [3, 5, 6, 7, 8, 10]


def test_metrics_of_the_ini_file(tmp_path, monkeypatch, capsys):
    """A goal that the project gives a metric is told with it, as every session reads it."""
    (tmp_path / "fine-tune.md").write_text(
        "- Accuracy: 90% or higher\n- Cost: $1 or less\n", encoding="utf-8"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npromptune_goal_metrics = ["accuracy = test_intent"]\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["goals"]) == 0
    out = capsys.readouterr().out
    assert "Accuracy: 90 % or higher; measured by test_intent (line 1)" in out
    assert "measured by cost_usd" in out
    assert main(["goals", "--json"]) == 0
    assert [goal["metric"] for goal in json.loads(capsys.readouterr().out)["goals"]] == [
        "test_intent",
        "cost_usd",
    ]


def test_what_is_not_understood(tmp_path, monkeypatch, capsys):
    """Exit status 1; the line, its number and the reason, and nothing that moves the cursor."""
    (tmp_path / "fine-tune.md").write_text(
        "# Goals\n- Accuracy: 90% or higher\n- Speed: \x1b[2Jreduce by 20%\n- Accuracy: 95% or higher\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    assert main(["goals"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "3: Speed: reduce by 20% -> Speed: it is relative" in out
    assert "Two targets for Accuracy" in out
    assert main(["goals", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [line["line"] for line in found["not_understood"]] == [3]
    assert len(found["problems"]) == 2


def test_no_file(tmp_path, capsys):
    """Exit status 2: there is nothing to read."""
    assert main(["goals", "--root", str(tmp_path)]) == 2
    assert "no goals file" in capsys.readouterr().err
    assert main(["goals", str(tmp_path / "none.md")]) == 2
    assert "no such goals file" in capsys.readouterr().err


def test_the_file_of_the_ini_file(tmp_path, capsys):
    """What sessions read is read here, and a given path wins."""
    (tmp_path / "fine-tune.md").write_text("- Accuracy: 90% or higher\n", encoding="utf-8")
    (tmp_path / "aims.md").write_text("- Cost: $1 or less\n", encoding="utf-8")
    root = ["--root", str(tmp_path)]
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_goals = aims.md\n", encoding="utf-8")
    assert main(["goals", *root]) == 0
    assert "Cost: $1 or less; measured by cost_usd" in capsys.readouterr().out
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_goals =\n", encoding="utf-8")
    assert main(["goals", *root]) == 2
    assert "promptune_goals is empty" in capsys.readouterr().err
    assert main(["goals", str(tmp_path / "fine-tune.md"), *root]) == 0
    assert "Accuracy: 90 % or higher" in capsys.readouterr().out


def test_a_file_that_is_not_there(tmp_path, capsys):
    """The error names no option that this command doesn't have."""
    assert main(["goals", str(tmp_path / "none.md")]) == 2
    assert "--promptune" not in capsys.readouterr().err


def test_a_target_in_another_currency(tmp_path, monkeypatch, capsys):
    """Said at once; a failure only where the project itself says that it means the app's cost."""
    (tmp_path / "fine-tune.md").write_text("- Cost: ¥3 or less\n- Latency: 2 s or less\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = "Goal Cost (line 1): ¥3 can't be compared with cost_usd, which is measured in USD."
    assert main(["goals"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"Not judged, unless a test has a score of that name {text}" in out
    assert main(["goals", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found["problems"], found["doubts"][0].startswith(text)] == [[], True]
    ini = "[pytest]\npromptune_goal_metrics = Cost = bot::cost_usd\n"
    (tmp_path / "pytest.ini").write_text(ini, encoding="utf-8")
    assert main(["goals"]) == 1
    assert f"Problems {text}" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "pytest.ini").write_text(ini.replace("bot::cost_usd", "test_a::yen"), encoding="utf-8")
    assert main(["goals"]) == 0
    assert "can't be compared" not in capsys.readouterr().out
