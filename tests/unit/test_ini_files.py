"""The ini file, read without pytest, says what it says to pytest."""

import pytest

from pytest_promptune.cli import main
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.ini_files import read_ini, root_from, settings_of


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((word, True) for word in ("true", "Yes", "on", "t", "y", "1")),
        *((word, False) for word in ("false", "No", "off", "f", "n", "0")),
    ],
)
def test_flags(tmp_path, word, expected):
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npromptune_strict = {word}\n", encoding="utf-8")
    assert settings_of(tmp_path).strict is expected


def test_a_flag_that_is_none(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_strict = maybe\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="promptune_strict: 'maybe' is not valid; expected true or false"):
        settings_of(tmp_path)


@pytest.mark.parametrize("name", ["pytest.toml", ".pytest.toml"])
def test_a_file_of_pytest_s_own_counts_without_a_table(tmp_path, name):
    (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "tox.ini").write_text("[pytest]\npromptune_strict = true\n", encoding="utf-8")
    assert read_ini(tmp_path) == {}


def test_a_pyproject_without_tools(tmp_path):
    (tmp_path / "pyproject.toml").write_text("tool = 1\n", encoding="utf-8")
    (tmp_path / "tox.ini").write_text("[pytest]\npromptune_strict = true\n", encoding="utf-8")
    assert settings_of(tmp_path).strict


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ({"pytest.ini": ""}, "."),
        ({"pytest.ini": "", "a/pytest.ini": ""}, "a"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n", "a/pyproject.toml": "[tool.ruff]\n"}, "."),
        ({"pyproject.toml": "[tool.pytest]\n", "a/pyproject.toml": "[tool.ruff]\n"}, "a"),
        ({"tox.ini": "[pytest]\n", "a/setup.cfg": "[metadata]\n"}, "."),
        ({"setup.cfg": "[tool:pytest]\n", "a/b/tox.ini": "[tox]\n"}, "."),
        ({"pyproject.toml": "[tool.ruff]\n", "a/setup.py": ""}, "."),
        ({"a/setup.py": ""}, "a"),
        ({"pytest.ini": "", "a/.git/HEAD": ""}, "."),
        ({}, "a/b"),
    ],
    ids=str,
)
def test_the_root_is_that_of_pytest(pytester, monkeypatch, files, root):
    """Run in a folder below, whatever files there are on the way up."""
    for name, text in {"a/b/here": "", **files}.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder = pytester.path / "a" / "b"
    monkeypatch.chdir(folder)
    assert root_from(folder) == pytester.path / root == pytester.parseconfig().rootpath


def test_commands_find_the_root_from_below(project, monkeypatch, capsys):
    """The log of the project is theirs, and what they write under the root is named from where they are."""
    project.bot()
    project.run("--promptune-baseline")
    below = project.path / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert main(["history"]) == 0
    assert "6 cases × 3 runs, 18 samples" in capsys.readouterr().out
    assert main(["report"]) == 0
    written = project.path / "promptune-final-report.md"
    assert capsys.readouterr().out.startswith(f"Written: {written.as_posix()}")
    assert written.is_file()
    assert main(["history", "--root", "."]) != 0
    assert "there is no experiment log" in capsys.readouterr().err
