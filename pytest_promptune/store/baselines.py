"""Baseline files: ``__promptune__/<module>.<NAME>.json`` beside the test module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pytest_promptune.core.baseline import Baseline, dumps, loads
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.store.files import WriteError, write_text

FOLDER = "__promptune__"

#: Folders that hold no tests of the project.
_NOT_OURS = ("node_modules", "__pycache__", "site-packages")


def baseline_path(root: Path, module: str, name: str) -> Path:
    """Where the baseline `name` of a test module lies.

    Args:
        root: the session's root directory.
        module: the test module relative to it, with forward slashes.
    """
    test_module = root / module
    return test_module.parent / FOLDER / f"{test_module.stem}.{name}.json"


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file, ``None`` when there is no file.

    Raises:
        BaselineError: when it can't be read, is damaged, or is of another format version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: can't be read ({error}). Restore it from version control.") from None
    return loads(text, where=str(path))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Replace the file as a whole."""
    write_text(path, dumps(baseline))


def other_baselines(root: Path, module: str) -> list[str]:
    """Names under which the module has baselines, for error messages."""
    test_module = root / module
    folder = test_module.parent / FOLDER
    prefix = f"{test_module.stem}."
    return sorted(
        path.name[len(prefix) : -len(".json")]
        for path in folder.glob(f"{prefix}*.json")
        if "." not in path.name[len(prefix) : -len(".json")]
    )


def find_baselines(folder: Path, name: str | None = None) -> Iterator[Path]:
    """The baseline files in and below a folder, of one name or any; environments are left out."""
    ending = ".json" if name is None else f".{name}.json"
    for place, folders, files in os.walk(folder):
        if Path(place).name == FOLDER:
            yield from (
                Path(place, file) for file in files if file.endswith(ending) and not file.startswith(".")
            )
        folders[:] = [
            each
            for each in folders
            if not each.startswith(".")
            and each not in _NOT_OURS
            and not Path(place, each, "pyvenv.cfg").exists()
        ]


def remove_baseline(path: Path) -> None:
    """Remove a baseline file; its folder goes with the last one.

    Raises:
        BaselineError: when it is no file of this folder.
        WriteError: when it can't be removed.
    """
    if path.parent.name != FOLDER or path.suffix != ".json" or "." not in path.stem:
        raise BaselineError(f"{path}: not a baseline file. Those are {FOLDER}/<test module>.<NAME>.json.")
    try:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise WriteError(
            f"{path}: can't be removed ({error.strerror or error}). Check the permissions."
        ) from None
