"""What adopting a variant takes and gives, as values."""

from __future__ import annotations

from pathlib import Path

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.values import dataclass


class AdoptError(PromptuneError):
    """A variant that can't be adopted as it was asked for; nothing was written."""


class ByHandError(Exception):
    """A change that can't be made mechanically, and why; caught where the places are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants."""

    root: Path
    variant: str
    #: Id of the experiment whose numbers count, its beginning, or ``last``; ``None``: the newest that fits.
    experiment: str | None = None
    #: URL of the experiment log, ``None`` for that of the ini file.
    store: str | None = None
    commit: bool = False
    tag: str | None = None
    dry_run: bool = False
    force: bool = False
    #: What can't be written mechanically has been written by hand.
    applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """One stretch of a file and what shall stand there."""

    path: Path
    #: Offsets in the file's text with ``\\n`` as line ends.
    start: int
    end: int
    text: str
    #: What it belongs to, ``template classify.j2``.
    what: str
    #: Line of the file, from 1.
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """A file and its whole content before and after."""

    path: Path
    #: ``None`` where there is no file yet.
    before: bytes | None
    after: bytes
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A change that a person has to make."""

    #: ``src/graph.py:12``, or where to look.
    where: str
    #: What to change there.
    what: str
    #: Why it isn't done for them.
    why: str
    #: The file of `where`, if it is one of the project's.
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    variant: str
    experiment: str
    #: Written, or, in a dry run, what would be; relative to the root.
    files: tuple[str, ...] = ()
    #: Of them the baselines.
    baselines: tuple[str, ...] = ()
    #: The variant's folder or file that was removed.
    removed: str = ""
    #: Unified diffs of prompts and source, in a dry run.
    diffs: tuple[str, ...] = ()
    by_hand: tuple[ByHand, ...] = ()
    #: Why it was not adopted, and what to do about it.
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    message: str = ""
    #: The command that makes the commit, empty where there is none to make.
    command: str = ""
    #: The command that compares with the new baselines.
    compares: str = ""
    commit: str | None = None
    tag: str | None = None
    #: Why git made no commit or tag, though it was asked for.
    git_problem: str = ""
    adopted: bool = False
    dry_run: bool = False

    @property
    def status(self) -> int:
        """1 where something is left to be done."""
        if self.refusals or self.by_hand:
            return 1
        return int(bool(self.git_problem))
