"""The commit of an adoption: of which files, in which repository, and what is left where there is none."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pytest_promptune.adopting.repository import Repository
from pytest_promptune.core.display import clean_lines
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.files import WriteError, write_text
from pytest_promptune.store.log.location import FOLDER, Location

_MOST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What git made, and what it didn't."""

    commit: str | None = None
    tag: str | None = None
    problem: str = ""
    #: That makes the commit, where none was made.
    command: str = ""
    notes: tuple[str, ...] = ()


class Committing:
    """What git is asked about an adoption; the questions are answered before anything is written."""

    def __init__(self, root: Path, written: Sequence[Path], *, by_hand: Sequence[Path], gone: Path) -> None:
        """Ask git where everything lies.

        Raises:
            AdoptError: when git refuses to work.
        """
        self._root = root
        self._written = list(dict.fromkeys(written))
        self._by_hand = [path for path in dict.fromkeys(by_hand) if path not in self._written]
        self._gone = gone
        self._repositories = {path: Repository.of(path) for path in (*self._written, *self._by_hand, gone)}
        #: Of the variant, as long as it is there: git knows them afterwards, too.
        self._removed = self._known_below(gone)

    def _known_below(self, gone: Path) -> list[Path]:
        repository = self._repositories[gone]
        return repository.tracked([gone]) if repository else []

    def at_risk(self, paths: Sequence[Path]) -> Mapping[Path, str]:
        """Files whose present content would be lost, and why; nothing is known outside of repositories."""
        found: dict[Path, str] = {}
        for path in paths:
            repository = self._repositories.get(path) or Repository.of(path)
            if repository is not None:
                found |= repository.changed([path])
        return found

    def only_here(self, paths: Sequence[Path]) -> list[Path]:
        """Files that no commit has as they are."""
        outside = [path for path in paths if Repository.of(path) is None]
        return [*outside, *self.at_risk([path for path in paths if path not in outside])]

    def obstacle(self, tag: str | None) -> str | None:
        """Why there could be no commit, or no tag of that name."""
        if None in self._of_commit:
            return "--commit: not everything that is written lies in a git repository"
        if len(self._of_commit) > 1:
            tops = ", ".join(sorted(str(each.top) for each in self._of_commit if each))
            return f"--commit: what is written lies in several repositories ({tops}): commit in each yourself"
        repository = next(iter(self._of_commit), None)
        return repository.obstacle(tag) if repository else "--commit: there is nothing to commit"

    @cached_property
    def _of_commit(self) -> set[Repository | None]:
        removed = [self._gone] if self._removed else []
        return {self._repositories[path] for path in (*self._written, *removed)}

    def made(self, message: str, *, name: str, commit: bool, tag: str | None) -> Made:
        """The commit, or what is needed to make it; called when everything is written."""
        repositories = self._of_commit
        repository = next(iter(repositories), None)
        if repository is None or len(repositories) > 1:
            where = "no git repository" if repositories in (set(), {None}) else "not one git repository"
            return Made(notes=(f"There is no commit to make: what was written lies in {where}.",))
        changed_by_hand = [
            path
            for path in self._by_hand
            if self._repositories[path] == repository and repository.changed([path])
        ]
        wanted = [*self._written, *changed_by_hand]
        ignored = repository.ignored([path for path in wanted if path not in repository.tracked([path])])
        paths = [path for path in wanted if path not in ignored] + self._removed
        notes = [f"{self._name(path)} is ignored by git, and in no commit." for path in ignored]
        if not paths:
            return Made(notes=(*notes, "There is no commit to make."))
        hash_, said = repository.commit(paths, message) if commit else (None, "")
        if hash_ is None:
            problem = f"git made no commit; the files stay as they were written. It said:\n{_told(said)}"
            command = self._command(repository, paths, message, name)
            return Made(problem=problem if commit else "", command=command, notes=tuple(notes))
        if repository.is_detached:
            notes.append("HEAD is detached, so the commit is on no branch: git switch -c NAME keeps it.")
        if tag is not None and (said := repository.tag(tag, message.partition("\n")[0])):
            return Made(
                commit=hash_,
                problem=f"The commit is there, the tag is not. git said:\n{_told(said)}",
                notes=tuple(notes),
            )
        return Made(commit=hash_, tag=tag, notes=tuple(notes))

    def _command(self, repository: Repository, paths: Sequence[Path], message: str, name: str) -> str:
        """The command that makes the commit, to be typed in the root; its message is kept in a file."""
        new = [path for path in paths if path.exists() and not repository.tracked([path])]
        add = f"git add -- {self._shell(new)} && " if new else ""
        file = self._root / FOLDER / f"adopted-{name}.txt"
        try:
            Location(path=file, is_default=True).make_folder()  # kept out of version control
            write_text(file, message)
            given = f"-F {self._shell([file])} "
        except (OSError, WriteError):
            given = ""  # the message is printed, too
        return f"{add}git commit --only {given}-- {self._shell(paths)}"

    def _shell(self, paths: Sequence[Path]) -> str:
        return shlex.join(self._name(path) for path in paths)

    def _name(self, path: Path) -> str:
        for root in (self._root, self._root.resolve()):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return path.as_posix()


def _told(said: str) -> str:
    """What git or a hook said, harmless and not too long."""
    lines = clean_lines(said)
    return "\n".join(f"  {line}" for line in lines[-_MOST_LINES:])
