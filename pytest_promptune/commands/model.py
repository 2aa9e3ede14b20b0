"""What a command is: its words, its arguments, and the function that answers."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from pytest_promptune.core.lines import Line
    from pytest_promptune.settings import Settings
    from pytest_promptune.store.log import ExperimentLog


#: Where a command looks that isn't given ``--root``; `cli` fills it in.
USUAL_ROOT = "that of pytest, run here: the nearest folder with its ini file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found: `text` for people, `data` for ``--json``."""

    text: str
    data: Any
    #: 1: it found what it warns of.
    status: int = 0
    #: Commands to the CI runner, one a line, after the text.
    annotations: tuple[str, ...] = ()
    #: What `data` has no place for, to standard error beside it.
    beside_data: tuple[str, ...] = ()


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """For a command that takes none beside --json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One subcommand: its words, its arguments, and the function that answers."""

    words: tuple[str, ...]
    help: str
    run: Callable[[argparse.Namespace], Answer]
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    #: Exit status of an error that the user can mend.
    error_status: int = 1
    #: The command adds ``--json`` itself, since it may have a value.
    has_own_json: bool = False


def root_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--root``."""
    parser.add_argument("--root", metavar="DIR", help=f"root of the project (default: {USUAL_ROOT})")


def store_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    from pytest_promptune.settings import OPTIONS

    parser.add_argument("--store", metavar="URL", help=OPTIONS["store"].help)


@contextmanager
def stored_log(arguments: argparse.Namespace) -> Iterator[ExperimentLog]:
    """The experiment log that ``--store``, the ini file or the default names, open for reading.

    Raises:
        SettingsError: for a place that can't be meant.
        StoreError: when there is none, or it can't be read.
    """
    from pytest_promptune.store.log import ExperimentLog, locate_existing

    with ExperimentLog(
        locate_existing(settings_of_project(arguments).store, root=project_root(arguments))
    ) as log:
        yield log


def whole_number(least: int) -> Callable[[str], int]:
    """What argparse reads a count of at least `least` with."""

    def whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return whole


@contextmanager
def without_collecting() -> Iterator[None]:
    """Hold the garbage collector back: what a short command makes lives to its end, so it would look in vain.

    A tenth of the time of one that reads thousands of rows, a third of one that scans a large app.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def project_root(arguments: argparse.Namespace) -> Path:
    """The folder that ``--root`` names.

    Raises:
        SettingsError: when there is none.
    """
    from pytest_promptune.core.errors import SettingsError

    root = Path(arguments.root).resolve()
    if not root.is_dir():
        raise SettingsError(f"--root: {root.as_posix()} is no folder. Give the root of the project.")
    return root


def as_seen_from_here(path: Path) -> str:
    """`path` relative to the present folder where it is below it."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def settings_of_project(arguments: argparse.Namespace) -> Settings:
    """Of the project that is asked about; ``--store`` wins, where the command has it.

    Raises:
        SettingsError: when there is no such project, or its ini file says what can't be meant.
    """
    from dataclasses import replace

    from pytest_promptune.ini_files import settings_of

    settings = settings_of(project_root(arguments))
    store = getattr(arguments, "store", None)
    return settings if store is None else replace(settings, store=store)


def as_wide_as_the_terminal(lines_of: Callable[..., Sequence[Line]], found: object, **more: Any) -> str:
    """What `lines_of` gives of `found`, as wide as the terminal; `more` are arguments of its own."""
    import shutil

    lines = lines_of(found, width=shutil.get_terminal_size().columns, **more)
    return "\n".join(line.text for line in lines)
