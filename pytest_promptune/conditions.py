"""Under which conditions a session ran: commit, time, versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath

from pytest_promptune.core.codec import sha256
from pytest_promptune.core.tally import hash_of_tests
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The state of the repository; ``None`` where it isn't one."""

    commit: str | None = None
    branch: str | None = None
    #: Whether tracked files differ from the commit.
    dirty: bool | None = None


class CommitReader:
    """Asks git in the background, so that the session doesn't wait for it."""

    def __init__(self, root: Path) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._found: Commit | None = None
        try:
            self._process = subprocess.Popen(
                [
                    "git",
                    "--no-optional-locks",
                    "status",
                    "--porcelain=v2",
                    "--branch",
                    "--untracked-files=no",
                ],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError:  # no git on this machine
            self._process = None

    def read(self) -> Commit:
        """What git said, waiting for it; everything unknown outside a repository."""
        with self._lock:
            if self._found is None:
                self._found = self._read()
            return self._found

    def so_far(self) -> Commit | None:
        """What git said, ``None`` while it is still at it; from any thread, and nothing waits.

        A git that has more to say than a pipe holds waits for `read`.
        """
        if self._found is None and not self._lock.locked() and self._has_ended():
            return self.read()
        return self._found

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _read(self) -> Commit:
        if self._process is None:
            return Commit()
        try:
            output, _ = self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.close()
            return Commit()
        return parse_status(output) if self._process.returncode == 0 else Commit()

    def close(self) -> None:
        """Leave no process behind."""
        self._found = self._found or Commit()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


def parse_status(output: str) -> Commit:
    """Read ``git status --porcelain=v2 --branch``."""
    if "# branch." not in output:  # no answer
        return Commit()
    commit, branch, dirty = None, None, False
    for line in output.splitlines():
        if line.startswith("# branch.oid ") and not line.endswith("(initial)"):
            commit = line.split()[-1][:10]
        elif line.startswith("# branch.head ") and not line.endswith("(detached)"):
            branch = line.removeprefix("# branch.head ")
        elif line and not line.startswith("#"):
            dirty = True
    return Commit(commit=commit, branch=branch, dirty=dirty)


#: Folders of packages that are installed below a project's root.
_INSTALLED = ("site-packages", "dist-packages", "node_modules")


def timestamp() -> str:
    """Now, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def own_version() -> str:
    """The version of this package."""
    try:
        return version("pytest-promptune")
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"


def python_version() -> str:
    """``CPython 3.11.7``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def tests_hash(modules: Sequence[str], *, root: Path) -> str:
    """Hash of the test modules' texts."""
    return hash_of_tests({module: module_hash(root, module) for module in modules})


def changed_tests(before: Mapping[str, str], *, root: Path) -> list[str]:
    """Test files that aren't what they were, or are gone.

    Args:
        before: their hashes, by path relative to `root`.
        root: of the project.
    """
    return [file for file, content in before.items() if tests_hash([file], root=root) != content]


def app_hashes(root: Path, *, but: Collection[str]) -> dict[str, str]:
    """Hashes of the project's modules that are imported by now, by path relative to its root.

    Args:
        root: of the project; what is installed below it, or hidden, isn't the project's.
        but: paths that are left out.
    """
    above = {str(each).rstrip(os.sep) + os.sep for each in (root, root.resolve())}
    found = {}
    for module in list(sys.modules.values()):
        file = str(getattr(module, "__dict__", {}).get("__file__"))
        place = next((each for each in above if file.startswith(each)), None)
        if place is None or not file.endswith(".py"):  # most are of somebody else
            continue
        path = PurePath(file.removeprefix(place))
        is_ours = not any(part.startswith(".") or part in _INSTALLED for part in path.parts)
        if is_ours and path.as_posix() not in but:
            found[path.as_posix()] = module_hash(root, path.as_posix())
    return dict(sorted(found.items()))


def module_hash(root: Path, module: str) -> str:
    """Hash of a test module's text, the same under all line endings; of its name where it is no file."""
    try:
        text = (root / module).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = module
    return sha256(text)
