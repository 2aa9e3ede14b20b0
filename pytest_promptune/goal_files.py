"""Where the goals file lies, and its text."""

from __future__ import annotations

from pathlib import Path

from pytest_promptune.core.display import clean
from pytest_promptune.core.errors import GoalsError
from pytest_promptune.core.goals.model import Goals

#: Looked for in this order, relative to the root.
PLACES = ("fine-tune.md", ".langgraph-architect/fine-tune.md", ".langgraph-master/fine-tune.md")
#: More than any list of goals; what is larger is another file.
_LARGEST = 1_000_000


def find_goals(given: str | None, *, root: Path) -> Goals | None:
    """The goals of a project; ``None`` where it has no goals file, or none is wanted.

    Args:
        given: as in `Settings.goals`: a path, empty for none, ``None`` for the usual places.
        root: of the project; relative paths are relative to it.

    Raises:
        GoalsError: when the file can't be read, or the given one doesn't exist.
    """
    if given == "":
        return None
    if given is not None:
        return _read(root / given, root)
    path = next((root / place for place in PLACES if (root / place).exists()), None)
    return None if path is None else _read(path, root)


def require_goals(given: str | None, *, configured: str | None, root: Path, here: Path) -> Goals:
    """The goals of a project that must have some.

    Args:
        given: a path relative to `here`; ``None`` for those that a session reads.
        configured: `Settings.goals` of the project.
        root: of the project.
        here: where the path was typed.

    Raises:
        GoalsError: when there is no goals file, or it can't be read.
    """
    if given is not None:
        return _read(here / given, root)
    if configured == "":
        raise GoalsError(
            "promptune_goals is empty, so no session reads a goals file. Name one: "
            "pytest-promptune goals PATH."
        )
    goals = find_goals(configured, root=root)
    if goals is None:
        raise GoalsError(
            f"there is no goals file under {root} ({', '.join(PLACES)}). Write one, or name it: "
            "pytest-promptune goals PATH."
        )
    return goals


def _read(path: Path, root: Path) -> Goals:
    shown = clean((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise GoalsError(
            f"{shown}: there is no such goals file. Write it, or name another one; where none is named, "
            f"{PLACES[0]} is read if there is one."
        ) from None
    except UnicodeDecodeError as error:
        raise GoalsError(
            f"{shown}: not UTF-8 (byte {error.start + 1}). Save it as UTF-8, or name another goals file (an "
            "empty name reads none)."
        ) from None
    except OSError as error:
        why = "is a folder" if path.is_dir() else f"can't be read ({error.strerror})"
        raise GoalsError(f"{shown}: {why}. Name a Markdown file.") from None
    if len(content) > _LARGEST:
        raise GoalsError(f"{shown}: is larger than 1 MB, which no list of goals is. Name another file.")
    from pytest_promptune.core.goals.reading import read_goals  # only where there are goals

    return read_goals(text, path=shown)
