"""The ini file of pytest, for commands that don't run pytest."""

from __future__ import annotations

import configparser
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.settings import SPECS, Settings, read

#: As pytest reads them.
_FLAGS = {"1": True, "yes": True, "true": True, "on": True, "y": True, "t": True} | dict.fromkeys(
    ("0", "no", "false", "off", "n", "f"), False
)


def listed(value: Any) -> tuple[str, ...]:
    """One a line in ini files, a list in TOML."""
    entries = value.splitlines() if isinstance(value, str) else value
    return tuple(text for entry in entries if (text := str(entry).strip()))


def settings_of(root: Path) -> Settings:
    """What the ini file says, and defaults for all else.

    Raises:
        SettingsError: when the file can't be read, or says what can't be meant.
    """
    section = read_ini(root)
    kinds = {spec.ini: spec.kind for spec in SPECS}

    def ini(key: str) -> Any:
        value = section.get(key)
        if value is None or kinds[key] == "text":
            return value
        return list(listed(value)) if kinds[key] == "list" else _flag(key, value)

    return read(lambda _: None, ini)


def _flag(key: str, value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _FLAGS:
        raise SettingsError(f"{key}: {value!r} is not valid; expected true or false.")
    return _FLAGS[word]


def read_ini(root: Path) -> Mapping[str, Any]:
    """The section that pytest would take, of the nearest file at or above the root.

    Raises:
        SettingsError: when that file can't be read.
    """
    return find_ini(root)[1]


def python_paths(root: Path) -> tuple[Path, ...]:
    """What Python is to import the app from: the root, ``src``, and ``pythonpath`` of the ini file.

    Raises:
        SettingsError: when that file can't be read.
    """
    folder, section = find_ini(root)
    value = section.get("pythonpath", ())
    given = shlex.split(value) if isinstance(value, str) else [str(path) for path in value]
    paths = [root, root / "src", *(folder / path for path in given)]
    return tuple(path for path in dict.fromkeys(paths) if path.is_dir())


def find_ini(root: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder of the file that `read_ini` reads, and its section; `root` where there is none.

    Raises:
        SettingsError: when that file can't be read.
    """
    for folder in (root, *root.parents):
        for name, section_of in _INI_FILES:
            if (folder / name).is_file() and (section := section_of(folder / name)) is not None:
                return folder, section
        if (folder / ".git").exists():
            break
    return root, {}


def root_from(folder: Path) -> Path:
    """The root that pytest has when it is run in a folder without arguments.

    As its documentation says: the nearest folder, here or above, with an ini file that counts; else with a
    ``pyproject.toml``; else with a ``setup.py``; else this one.

    Raises:
        SettingsError: when one of these files can't be read.
    """
    upwards = (folder, *folder.parents)
    for each in upwards:
        for name, section_of in _INI_FILES:
            if (each / name).is_file() and section_of(each / name) is not None:
                return each
    others = (each for name in ("pyproject.toml", "setup.py") for each in upwards if (each / name).is_file())
    return next(others, folder)


def _toml(path: Path) -> Mapping[str, Any] | None:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.as_posix()}: can't be read: {error}") from None
    is_shared = path.name == "pyproject.toml"  # the others are pytest's own, and count without a table, too
    outer = content.get("tool") if is_shared else content
    tool = outer.get("pytest") if isinstance(outer, Mapping) else None
    if not isinstance(tool, Mapping) or not tool:
        return None if is_shared else {}
    inner = tool.get("ini_options")
    return inner if isinstance(inner, Mapping) else tool


def _cfg(path: Path) -> Mapping[str, Any] | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), path.as_posix())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise SettingsError(f"{path.as_posix()}: can't be read: {error}") from None
    name = "tool:pytest" if path.name == "setup.cfg" else "pytest"
    if parser.has_section(name):
        return dict(parser.items(name))
    return {} if path.name in ("pytest.ini", ".pytest.ini") else None


_INI_FILES = (
    ("pytest.toml", _toml),
    (".pytest.toml", _toml),
    ("pytest.ini", _cfg),
    (".pytest.ini", _cfg),
    ("pyproject.toml", _toml),
    ("tox.ini", _cfg),
    ("setup.cfg", _cfg),
)
