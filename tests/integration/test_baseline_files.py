"""Baseline files: text to be committed and reviewed."""

from __future__ import annotations

import json
import re

import pytest

MISSES = "c00,c01,c02,c03"


def test_the_format(bot):
    """Path, keys, sorted lines, one line per metric and case, a newline at the end."""
    bot.record(p=0.7)
    assert bot.baseline == bot.path / "__promptune__" / "test_bot.main.json"
    text = bot.baseline.read_text(encoding="utf-8")
    data = json.loads(text)
    assert data["format"] == 1
    assert {"at", "commit", "dirty", "runs", "promptune", "models", "prompts"} <= set(data["recorded"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", data["recorded"]["at"])
    assert data["recorded"]["runs"] == 3
    assert all(re.fullmatch(r"sha256:[0-9a-f]+", content) for content in data["cases"].values())
    assert data["metrics"]["test_answer"] == {"direction": "higher", "unit": None, "kind": "binary"}
    assert data["metrics"]["test_words::length"]["direction"] == "lower"
    assert data["metrics"]["bot::latency_s"]["unit"] == "s"
    assert text.endswith("}\n")
    assert "\r" not in text
    assert list(data) == sorted(data)
    assert list(data["scores"]) == sorted(data["scores"])
    lines = text.splitlines()
    for case, runs in data["scores"]["test_answer"].items():
        assert any(line.strip().rstrip(",") == f'"{case}": {json.dumps(runs)}' for line in lines)
    for runs in data["scores"]["bot::latency_s"].values():
        assert all(len(re.sub(r"\D|e-?\d+", "", str(value)).lstrip("0")) <= 6 for value in runs)


def test_it_stands_beside_the_module(project):
    """In folders and packages too; the name is that of the module."""
    project.bot(name="tests/prompts/test_bot.py")
    project.record()
    assert (project.path / "tests/prompts/__promptune__/test_bot.main.json").exists()
    assert not list((project.path / "tests/prompts/__promptune__").glob("*.tmp"))
    assert project.run().row("test_answer")["n_cases"] == 6


def test_an_unchanged_recording_leaves_the_file_untouched(bot):
    """Neither time nor measured latencies make a difference worth a commit."""
    bot.record()
    before = bot.baseline.read_bytes()
    ran = bot.record()
    assert bot.baseline.read_bytes() == before
    assert "up to date" in ran.out or "did not change" in ran.out
    bot.record(miss="c01")
    assert bot.baseline.read_bytes() != before


def test_only_what_ran_is_replaced(bot):
    """With ``-k`` the other cases and tests keep their scores; a new metric is added."""
    bot.record()
    bot.record("-k", "c02 and test_answer", miss="all")
    scores = bot.baseline_json()["scores"]
    assert scores["test_answer"]["c02"] == [0, 0, 0]
    assert scores["test_answer"]["c01"] == [1, 1, 1]
    assert scores["test_words::length"]["c02"] == [3, 3, 3]
    assert len(scores["test_answer"]) == 6
    bot.record("-k", "c02 and test_answer", "--promptune-runs=1")
    assert bot.baseline_json()["scores"]["test_answer"]["c02"] == [1]


def test_modules_have_files_of_their_own(bot):
    """Recording one module leaves the other's file alone."""
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_second=source)
    bot.record()
    second = bot.baseline.with_name("test_second.main.json")
    before = second.read_bytes()
    bot.record("test_bot.py", miss="all")
    assert second.read_bytes() == before
    assert bot.baseline_json()["scores"]["test_answer"]["c01"] == [0, 0, 0]
    ran = bot.run(miss=MISSES)
    assert ran.gates["test_second.py::test_answer::gate[test_answer-current]"] is False
    assert ran.gates["test_bot.py::test_answer::gate[test_answer-current]"] is True


def test_modules_of_one_name_in_two_folders(project):
    """Each folder has its own baseline; the rows say which module they mean."""
    suite = (
        "import pytest\npytestmark = pytest.mark.promptune(app='bot', runs=3)\n"
        "def test_answer(case, sample):\n    assert sample.output['a'] == 'yes'\n"
    )
    project.bot(suite, name="a/test_bot.py")
    project.bot(suite, name="b/test_bot.py")
    project.write({"a/__init__.py": "", "b/__init__.py": ""})
    project.record()
    ran = project.run(miss=MISSES)
    assert ran.code == 1
    assert {row["test"] for row in ran.json["comparisons"] if row["metric"] == "test_answer"} == {
        "a/test_bot.py::test_answer",
        "b/test_bot.py::test_answer",
    }


def test_a_changed_case_is_reported_and_not_compared(bot):
    """Input or expected changed under the same id: another case. Tags may change."""
    bot.record()
    source = (bot.path / "conftest.py").read_text()
    bot.write(conftest=source.replace('expected={"a": "yes"}', 'expected={"a": "yes" if i else "no"}'))
    ran = bot.run()
    assert ran.code == 0
    row = ran.row("test_answer")
    assert row["cases"]["changed"] == ["c00"]
    assert row["n_cases"] == 5
    assert "c00" in ran.out
    bot.write(conftest=source.replace('"even" if', '"EVEN" if'))
    assert bot.run().row("test_answer")["cases"]["changed"] == []


def test_recording_a_changed_case_drops_its_old_scores(bot):
    """Scores of the former case must not stay under the id, in tests that did not run either."""
    bot.record()
    source = (bot.path / "conftest.py").read_text()
    bot.write(conftest=source.replace('"q": i}', '"q": i, **({"z": 1} if i == 2 else {})}'))
    bot.record("-k", "test_answer")
    scores = bot.baseline_json()["scores"]
    assert "c02" in scores["test_answer"]
    assert "c02" not in scores["test_words::length"]
    assert "c01" in scores["test_words::length"]


def test_new_and_gone_cases_are_named(bot):
    """A case on one side only is listed; those left out by ``-k`` are not."""
    bot.record()
    ran = bot.run(cases=7)
    assert ran.row("test_answer")["cases"]["only_candidate"] == ["c06"]
    ran = bot.run(cases=4)
    assert ran.row("test_answer")["cases"]["only_reference"] == ["c04", "c05"]
    ran = bot.run("-k", "c01")
    assert ran.row("test_answer")["cases"]["only_reference"] == []
    assert ran.row("test_answer")["n_cases"] == 1


def test_a_metric_that_changed_its_kind_is_not_compared(bot):
    """A score that was higher-is-better and is lower-is-better now is another measure: it is told."""
    bot.record()
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot=source.replace(', direction="lower"', ""))
    ran = bot.run()
    assert ran.code == 0
    assert not [row for row in ran.json["comparisons"] if row["metric"] == "test_words::length"]
    assert "test_words::length was recorded as" in ran.out
    bot.record()
    assert bot.baseline_json()["metrics"]["test_words::length"]["direction"] == "higher"


def test_missing_values_are_null(project):
    """A run without a score stands as null in its place."""
    project.bot(
        "import pytest\npytestmark = pytest.mark.promptune(app='bot', runs=3)\n"
        "def test_it(case, sample):\n"
        "    sample.score('x', None if sample.run == 2 else 0.123456789)\n"
    )
    project.record("-k", "c01")
    assert project.baseline_json()["scores"]["test_it::x"]["c01"] == [0.123457, None, 0.123457]
    ran = project.run("-k", "c01")
    assert ran.code == 0
    assert ran.metric("test_it::x")["n_samples"] == 2


DAMAGED = {
    "empty": ("", "not a baseline file"),
    "half": ('{"format": 1, "cases": {', "not a baseline file"),
    "list": ("[]", "format"),
    "older": ('{"format": 0}', "--promptune-baseline"),
    "newer": ('{"format": 99}', "Update pytest-promptune"),
    "no-format": ("{}", "--promptune-baseline"),
    "text-format": ('{"format": "1"}', "reads 1"),
    "no-keys": ('{"format": 1}', "damaged"),
    "binary": ("\udcff\udcfe", "can't be read"),
    "bom": ("\ufeff{}", ".json"),
}


@pytest.mark.parametrize(("text", "word"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("args", [(), ("--promptune-baseline",)], ids=["check", "baseline"])
def test_a_file_that_cannot_be_read_is_refused(bot, text, word, args):
    """Exit code 4 with path and cure, before the first call; the file stays as it is."""
    bot.baseline.parent.mkdir()
    content = text.encode("utf-8", "surrogateescape")
    bot.baseline.write_bytes(content)
    assert bot.run(*args, "-k", "c00").refused("test_bot.main.json", word)
    assert bot.baseline.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"test_answer": {"dir', '<<<<<<< HEAD\n    "test_answer": {"dir', "merge"),
        ('"c01": [1, 1, 1]', '"c01": [1, "x", 1]', "c01"),
        ('"c01": [1, 1, 1]', '"c01": [1, NaN, 1]', "c01"),
        ('"c01": [1, 1, 1]', '"c01": 1', "c01"),
        ('"kind": "binary"', '"kind": "tertiary"', "tertiary"),
        ('"direction": "higher"', '"direction": "up"', "up"),
        ('"c01": "sha256', '"c99": "sha256', "c01"),
        ('"runs": 3', '"runs": "3"', "runs"),
    ],
    ids=["merge", "text-score", "nan", "no-list", "kind", "direction", "unknown-case", "runs"],
)
def test_damage_is_named(bot, old, new, word):
    """A file damaged by hand or by a merge says what is wrong and what to do."""
    bot.record("-k", "c01")
    text = bot.baseline.read_text()
    assert old in text
    bot.baseline.write_text(text.replace(old, new, 1))
    assert bot.run("-k", "c01").refused("test_bot.main.json", word, "--promptune-baseline")


def test_a_damaged_file_of_another_module_does_not_matter(bot):
    """Only the baselines of modules that run are read."""
    bot.write(test_second=(bot.path / "test_bot.py").read_text())
    bot.record("test_bot.py")
    bot.baseline.with_name("test_second.main.json").write_text("{")
    assert bot.run("test_bot.py", "-k", "c00").code == 0
    assert bot.run("-k", "c00").refused("test_second.main.json")


def test_a_folder_that_cannot_be_written(bot):
    """Where the baseline can't be written, one line says so; the exit code is not 0."""
    bot.write({"__promptune__": "a file, not a folder"})
    ran = bot.run("--promptune-baseline", "-k", "c00")
    assert ran.code != 0
    assert "__promptune__" in ran.text
    assert "Traceback" not in ran.text
    assert "INTERNALERROR" not in ran.text
