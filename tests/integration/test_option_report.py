"""``--promptune-report``: the Markdown or HTML report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.cli import main

REPORT = "promptune-report.md"


def test_it_is_written_to_the_root_by_default(bot):
    """Without the option the report stands beside the ini file, wherever pytest was called."""
    (bot.path / "deep").mkdir()
    ran = bot.run("..", cwd=bot.path / "deep")
    assert ran.code == 0
    assert "test_answer" in (bot.path / REPORT).read_text()
    assert not (bot.path / "deep" / REPORT).exists()


def test_typed_paths_are_relative_to_where_they_were_typed(bot):
    """A typed path means what the shell would mean; folders are made; the option is repeatable."""
    (bot.path / "deep").mkdir()
    absolute = bot.path / "absolute.md"
    bot.run("..", "--promptune-report=out/a.md", f"--promptune-report={absolute}", cwd=bot.path / "deep")
    assert (bot.path / "deep" / "out" / "a.md").exists()
    assert absolute.exists()
    assert not (bot.path / REPORT).exists()


def test_an_empty_value_writes_none(bot):
    """``--promptune-report=`` is how to say: no report."""
    bot.run("--promptune-report=")
    assert not list(bot.path.glob("*.md"))


def test_the_terminal_says_where_it_is(bot):
    """One line with the paths relative to the root; quiet sessions keep it for failures."""
    (bot.path / "deep").mkdir()
    options = ("..", "--promptune-report=a.md")
    ran = bot.run(*options, cwd=bot.path / "deep")
    assert "Written: deep/a.md" in ran.out
    assert "Written" not in bot.run("-q").out
    bot.record()
    assert "Written: promptune-report.md" in bot.run("-q", miss="c00,c01,c02,c03").out


def test_it_tells_what_failed(bot):
    """The report of a regression names metric, cases and the next step."""
    bot.record()
    bot.run(miss="c00,c01,c02,c03")
    text = (bot.path / REPORT).read_text()
    for word in ("test_answer", "regressed", "c03", "baseline"):
        assert word in text


def test_every_mode_writes_one(tuned):
    """Baseline, check, compare and an early stop each leave a report of their own."""
    for args in (["--promptune-baseline"], [], ["--promptune-compare"]):
        (tuned.path / REPORT).unlink(missing_ok=True)
        tuned.run(*args)
        assert (tuned.path / REPORT).exists(), args


def test_github_gets_a_summary(bot, monkeypatch):
    """Where GITHUB_STEP_SUMMARY is set, the result is appended to that file."""
    bot.write({"summary.md": "before\n"})
    conftest = (bot.path / "conftest.py").read_text()
    bot.write(conftest=conftest + f"\nos.environ['GITHUB_STEP_SUMMARY'] = {str(bot.path / 'summary.md')!r}\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "restored after the test")
    bot.run()
    text = (bot.path / "summary.md").read_text()
    assert text.startswith("before\n")
    assert "promptune" in text.lower() or "test_answer" in text


def test_other_kinds_of_files_are_refused(bot):
    """Before anything runs."""
    assert bot.run("--promptune-report=report.pdf").refused("--promptune-report", ".md")


def test_a_report_that_cannot_be_written_is_told(bot):
    """The scores are not lost in a traceback: one line says which path, and the exit code is not 0."""
    bot.write({"occupied": "a file, not a folder"})
    ran = bot.run("--promptune-report=occupied/report.md")
    assert ran.code == 4
    assert "occupied" in ran.out
    assert "Traceback" not in ran.text
    assert "INTERNALERROR" not in ran.text


def test_the_ini_key(bot, form):
    """`promptune_report` is a list of paths relative to the root; the command line replaces it."""
    bot.configure(form, report=["build/a.md", "build/b.md"])
    (bot.path / "deep").mkdir()
    bot.run("..", "-k", "c00", cwd=bot.path / "deep")
    assert sorted(p.name for p in (bot.path / "build").iterdir()) == ["a.md", "b.md"]
    bot.run("-k", "c00", "--promptune-report=typed.md")
    assert (bot.path / "typed.md").exists()


def test_an_empty_ini_key_writes_none(bot):
    """`promptune_report =` in the ini file: no report."""
    bot.configure("ini", report="")
    bot.run("-k", "c00")
    assert not list(bot.path.glob("*.md"))


def answers(path: Path) -> Any:
    """The data of the cases in an HTML report."""
    text = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)


@pytest.mark.parametrize(("words", "plugins"), [((), ()), (("-n", "2"), ("xdist.plugin",))])
def test_html_has_every_answer(bot, words, plugins):
    """Inputs, outcomes and outputs of all samples, in several processes too; Markdown may stand beside it."""
    options = ("--promptune-report=a.html", "--promptune-report=a.md")
    bot.run(*options, *words, plugins=plugins, miss="c01")
    assert (bot.path / "a.md").exists()
    data = answers(bot.path / "a.html")
    assert data["lacking"] == ""
    by_id = {case["id"]: case for case in data["cases"]}
    assert sorted(by_id) == list(by_id)
    case = by_id["c01"]
    assert case["marks"] == ["missed"]
    assert {sample[2] for sample in case["samples"]} == {"missed"}
    assert all(data["texts"][sample[9]] for sample in case["samples"])
    assert data["texts"][case["input"]]


def test_html_without_a_log(bot):
    """Outcomes are there, and the page says why outputs are not."""
    bot.run("--promptune-report=a.html", "--promptune-store=", miss="c01")
    data = answers(bot.path / "a.html")
    assert "nothing was stored" in data["lacking"]
    assert all(sample[9] is None for case in data["cases"] for sample in case["samples"])
    assert data["texts"][data["cases"][0]["input"]]


def test_html_of_a_stored_session(bot):
    """``show --html`` writes what the session would have written."""
    bot.run("--promptune-report=a.html")
    assert main(["show", "--root", str(bot.path), "--html", str(bot.path / "b.html")]) == 0
    assert answers(bot.path / "b.html") == answers(bot.path / "a.html")


def test_a_matplotlib_that_is_broken_fails_no_test(tuned):
    """It is imported in the background; what is wrong with it is said with the report, which is written."""
    tuned.write({"matplotlib/__init__.py": 'raise RuntimeError("no fonts")\n'})
    ran = tuned.run(
        "--promptune-compare", "-W", "error::pytest.PytestUnhandledThreadExceptionWarning", subprocess=True
    )
    assert "error" not in ran.counts
    assert "Written: promptune-report.md, results-1.json" in ran.out
    assert "The plots can't be drawn (RuntimeError: no fonts)" in ran.out
    assert (tuned.path / REPORT).exists()
