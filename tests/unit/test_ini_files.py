"""The ini file, read without pytest, says what it says to pytest."""

import pytest

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.ini_files import read_ini, settings_of


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
