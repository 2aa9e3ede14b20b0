"""Where the experiment log is: a SQLite file under the root, or what ``--promptune-store`` says."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.values import dataclass

FOLDER = ".promptune"
FILE = "promptune.db"

#: What names the place: of pytest, and of commands.
_OPTION, STORE_OPTION = "--promptune-store", "--store"

#: As we write it, and as providers and other tools do.
_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")

#: What follows: user and password, host, port, database and parameters, each of them left out or not.
_SERVER = re.compile(r"(?:[^/]*@)?(?:\[[^\]/?]+\]|[^/:?\[\]]*)(?::\d{1,5})?(?:[/?].*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place that exists or that the first session will make; give it to writer and reader."""

    #: SQLite file, ``None`` for a server.
    path: Path | None
    #: Of the server, with its password; never shown.
    url: str | None = None
    #: The folder is ours: it is made, and kept out of version control.
    is_default: bool = False
    #: The one that whoever asks for this place can give another one with.
    option: str = _OPTION

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else Redactor().text(self.url or "")

    def make_folder(self) -> None:
        """Make the folder of a SQLite file.

        Raises:
            OSError: when it can't be made.
        """
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        ignore = self.path.parent / ".gitignore"
        if self.is_default and not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")


def locate(url: str | None, *, root: Path, option: str = _OPTION) -> Location:
    """The place a URL names, ``None`` for the default one.

    Args:
        url: of SQLite or PostgreSQL.
        root: a relative SQLite path is relative to it.
        option: the one that gives the place, for messages.

    Raises:
        SettingsError: when it isn't a URL of SQLite or PostgreSQL, saying what would be.
    """
    if url is None:
        return Location(path=root / FOLDER / FILE, is_default=True, option=option)
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("sqlite", "sqlite+pysqlite"):
        name = rest.removeprefix("/").partition("?")[0]
        if rest.startswith("/") and name not in ("", ":memory:"):
            return Location(path=root / name, option=option)
    elif separator and scheme in _POSTGRES and rest and _SERVER.fullmatch(rest):
        return Location(path=None, url=f"postgresql+psycopg://{rest}", option=option)
    raise SettingsError(
        f"{option}: {Redactor().text(url)!r} is not a place for the experiment log. Give "
        "sqlite:///path/to/file.db or postgresql+psycopg://user@host/database."
    )


def locate_existing(url: str | None, *, root: Path) -> Location:
    """As `locate`, for commands that only read.

    Raises:
        SettingsError: when nothing is stored, or it isn't a URL of SQLite or PostgreSQL.
        StoreError: when there is no file.
    """
    if url == "":
        raise SettingsError("--store: is empty, so nothing is stored. Say where the experiment log is.")
    location = locate(url, root=root, option=STORE_OPTION)
    if location.path is not None and not location.path.exists():
        raise StoreError(
            f"{location}: there is no experiment log. Run pytest first, or say where with --store or --root."
        )
    return location
