"""What git knows of the files that are written, and the commit of exactly those."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_promptune.adopting.values import AdoptError
from pytest_promptune.core.display import clean

#: What may be going on in a repository that keeps a commit of some files from being made.
_IN_PROGRESS = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}

#: Why git could not give a file back.
CHANGED, UNKNOWN, IGNORED = "changed since the last commit", "not known to git", "ignored by git"


class Repository:
    """A working tree of git."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repository) and self.top == other.top

    def __hash__(self) -> int:
        return hash(self.top)

    @classmethod
    def of(cls, path: Path) -> Repository | None:
        """The innermost one in which a file or folder lies; ``None`` outside of all, and without git.

        Raises:
            AdoptError: when git refuses to work there.
        """
        folder = path
        while not folder.is_dir():
            folder = folder.parent
        try:
            done = _git(folder, "rev-parse", "--show-toplevel")
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return cls(Path(done.stdout.rstrip("\n")))
        if "not a git repository" in done.stderr or "must be run in a work tree" in done.stderr:
            return None
        raise AdoptError(f"git doesn't work in {folder}: {clean(done.stderr)}")

    def _run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return _git(self.top, *arguments, given=given)

    def _names(self, paths: Iterable[Path]) -> list[str]:
        """Names as git knows them; a link is itself, and not what it leads to."""
        return [_inside(path).relative_to(self.top.resolve()).as_posix() for path in paths]

    def pathspecs(self, paths: Iterable[Path]) -> list[str]:
        """Names in a form in which nothing in them is a pattern."""
        return [f":(top,literal){name}" for name in self._names(paths)]

    def _asked(self, *arguments: str, paths: Sequence[Path]) -> list[str]:
        if not paths:
            return []
        done = self._run(*arguments, "-z", "--", *self.pathspecs(paths))
        if done.returncode:
            raise AdoptError(f"git {arguments[0]} fails in {self.top}: {clean(done.stderr)}")
        return [entry for entry in done.stdout.split("\0") if entry]

    def tracked(self, paths: Sequence[Path]) -> list[Path]:
        """Those of the files, and the files in those folders, that git knows."""
        return [self.top / name for name in self._asked("ls-files", paths=paths)]

    def changed(self, paths: Sequence[Path]) -> dict[Path, str]:
        """What would be lost of files if they were written over: changes that no commit has, by path."""
        found: dict[Path, str] = {}
        tracked = {_inside(path) for path in self.tracked(paths)}
        for path in paths:
            if path.exists() and _inside(path) not in tracked:
                found[path] = IGNORED if self.ignored([path]) else UNKNOWN
        entries = self._asked("status", "--porcelain", "--untracked-files=no", "--no-renames", paths=paths)
        names = {entry[3:] for entry in entries}
        for path, name in zip(paths, self._names(paths), strict=True):
            if name in names:
                found[path] = CHANGED
        return found

    def ignored(self, paths: Sequence[Path]) -> list[Path]:
        """Those that git is told to ignore."""
        if not paths:
            return []
        names = dict(zip(self._names(paths), paths, strict=True))
        done = self._run("check-ignore", "-z", "--stdin", given="\0".join(names))
        return [names[name] for name in done.stdout.split("\0") if name in names]

    @property
    def has_commits(self) -> bool:
        """Whether there is any commit to go on from."""
        return self._run("rev-parse", "--quiet", "--verify", "HEAD").returncode == 0

    @property
    def is_detached(self) -> bool:
        """Whether a commit would be on no branch."""
        return self._run("symbolic-ref", "--quiet", "HEAD").returncode != 0

    def obstacle(self, tag: str | None) -> str | None:
        """Why no commit, or no tag of that name, could be made."""
        for ref, what in _IN_PROGRESS.items():
            if self._run("rev-parse", "--quiet", "--verify", ref).returncode == 0:
                return (
                    f"a {what} is in progress in {self.top}, in which git commits no single files: finish it"
                )
        if tag is None:
            return None
        is_valid = self._run("check-ref-format", f"refs/tags/{tag}").returncode == 0
        if not is_valid or tag.startswith("-"):
            return f"--tag: {tag!r} is no name for a tag"
        if self._run("rev-parse", "--quiet", "--verify", f"refs/tags/{tag}").returncode == 0:
            return (
                f"--tag: there is a tag {tag} already: give another name, or delete it with git tag -d {tag}"
            )
        return None

    def commit(self, paths: Sequence[Path], message: str) -> tuple[str | None, str]:
        """Commit exactly these files as they are now, the removed ones too; what else is staged stays staged.

        Hooks run, and signing, as the user has them.

        Returns:
            The commit's hash, or ``None`` and what git said.
        """
        known = {_inside(path) for path in self.tracked(paths)}
        new = [path for path in paths if path.exists() and _inside(path) not in known]
        if new:
            done = self._run("add", "--", *self.pathspecs(new))
            if done.returncode:
                return None, _said(done)
        arguments = ("commit", "--quiet", "--only", "--file=-", "--")
        done = self._run(*arguments, *self.pathspecs(paths), given=message)
        if done.returncode:
            if new:
                self._run("rm", "--cached", "--force", "--quiet", "--", *self.pathspecs(new))
            return None, _said(done)
        return self._run("rev-parse", "HEAD").stdout.strip(), ""

    def tag(self, name: str, subject: str) -> str:
        """Tag the last commit; gives what git said when it doesn't."""
        done = self._run("tag", "--annotate", f"--message={subject}", name, "HEAD")
        return _said(done) if done.returncode else ""


def _inside(path: Path) -> Path:
    """A path whose folder is resolved, and that itself may be a link."""
    return path.parent.resolve() / path.name


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr + done.stdout).strip() or f"git ended with status {done.returncode}"


def _git(folder: Path, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="surrogateescape",
        env=os.environ if arguments[0] == "commit" else os.environ | {"LC_ALL": "C"},  # hooks have the user's
    )
