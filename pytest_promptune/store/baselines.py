"""Baseline files: ``__promptune__/<module>.<NAME>.json`` beside the test module."""

from __future__ import annotations

from pathlib import Path

from pytest_promptune.core.baseline import Baseline, dumps, loads
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.store.files import write_text

FOLDER = "__promptune__"


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
